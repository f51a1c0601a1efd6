/* Prints what the tables that read a fleet file say: shoal-compose(5) as scdoc source, or docs/compose.md (--markdown), or
 * the JSON schema of x-shoal (--schema). */
#include <stdio.h>
#include <string.h>

#include "compose/compose.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--markdown") == 0)
        compose_print_markdown(stdout);
    else if (argc > 1 && strcmp(argv[1], "--schema") == 0)
        compose_print_schema(stdout);
    else
        compose_print_manual(stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
