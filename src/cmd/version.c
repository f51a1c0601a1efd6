#include <stdio.h>

#include "cmd/cmd.h"

int cmd_version(const struct cmd_options *options)
{
    (void)options;
    printf("shoal %s\n", shoal_version());
    return 0;
}
