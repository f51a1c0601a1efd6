#include <string.h>

#include "api/inside.h"

const struct route routes[] = {
    {"GET", "/metrics", "200 the fleet's numbers for Prometheus", scrape_handle, scrape_fini},
};
const size_t route_count = COUNT(routes);

const struct route *route_find(const char *method, const char *path, unsigned *out_status, const char **out_text)
{
    bool known = false;
    const char *asked = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < route_count; i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        if (strcmp(routes[i].method, asked) == 0)
            return &routes[i];
        known = true;
    }
    *out_status = known ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
    *out_text = known ? "this method is not allowed here\n" : "no such page; there is /metrics\n";
    return NULL;
}
