/* Prints shoal-compose(5) as scdoc source, from the tables that read the file. */
#include <stdio.h>

#include "compose/compose.h"

int main(void)
{
    compose_print_manual(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
