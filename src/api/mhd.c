#include "api/mhd.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

/* The number of the ABI that deps/packages asks for. */
static const char library[] = "libmicrohttpd.so.12";

struct mhd mhd;

int mhd_load(shoal_error_t *err)
{
    static const struct {
        const char *name;
        void *place;
    } functions[] = {
#define MHD_ROW(name) {"MHD_" #name, &mhd.name},
        MHD_FUNCTIONS(MHD_ROW)
#undef MHD_ROW
    };
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL); /* for as long as the process lives */
    if (handle == NULL)
        return shoal_refuse(err, -ELIBACC, "load %s: %s", library, dlerror());
    for (size_t i = 0; i < COUNT(functions); i++) {
        void *address = dlsym(handle, functions[i].name);
        if (address == NULL)
            return shoal_refuse(err, -ELIBACC, "load %s: it has no %s", library, functions[i].name);
        memcpy(functions[i].place, &address, sizeof address); /* dlsym(3): no cast goes from an object to a function */
    }
    return 0;
}
