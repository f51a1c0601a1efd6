#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "compose/names.h"

struct item {
    const char *name;
    size_t number;
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

static struct item *find(const struct names *names, const char *name)
{
    struct item wanted = {.name = name};
    void *const *found = tfind(&wanted, &names->root, compare);
    return found == NULL ? NULL : *found;
}

int names_put(struct names *names, const char *name, size_t number, size_t *out_before)
{
    struct item *item = malloc(sizeof *item);
    if (item == NULL)
        return -ENOMEM;
    *item = (struct item){name, number};
    struct item **found = tsearch(item, &names->root, compare);
    if (found == NULL) {
        free(item);
        return -ENOMEM;
    }
    if (*found == item) {
        names->count++;
        return 1;
    }
    free(item);
    if (out_before != NULL)
        *out_before = (*found)->number;
    return 0;
}

int names_replace(struct names *names, const char *name, size_t number)
{
    int code = names_put(names, name, number, NULL);
    if (code == 0)
        find(names, name)->number = number;
    return code < 0 ? code : 0;
}

bool names_get(const struct names *names, const char *name, size_t *out_number)
{
    const struct item *item = find(names, name);
    if (item != NULL)
        *out_number = item->number;
    return item != NULL;
}

void names_free(struct names *names)
{
    tdestroy(names->root, free);
    *names = (struct names){0};
}
