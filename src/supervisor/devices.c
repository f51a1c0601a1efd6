/* The devices that a fleet asks for, held against the host, and the list that every sandbox has. */
#include <errno.h>

#include "cgroup/cgroup.h"
#include "kernel/devices.h"
#include "supervisor/inside.h"

/* The default list of devices, for all sandboxes without one of their own. look_only: nothing is attached. */
static int guard_devices(shoal_supervisor_t *s, bool look_only, shoal_error_t *err)
{
    size_t count;
    const shoal_device_rule_t *rules = devices_default_rules(&count);
    AUTO_FD fd = devices_load(rules, count, err);
    if (fd < 0)
        return fd;
    return look_only ? cgroup_root_may_set_devices(s->cgroups, err) : cgroup_root_set_devices(s->cgroups, fd, err);
}

static int refuse_devices(shoal_supervisor_t *s, const shoal_service_t *service, const char *why)
{
    bool rules = service->device_count == 0;
    struct supervisor_place place = supervisor_place(rules ? &service->device_rules[0].at : &service->devices[0].at);
    const char *key = rules ? "device_cgroup_rules" : "devices";
    if (s->spec->degrade)
        supervisor_message(s, SHOAL_WARNING,
                           "%sservices.%s.%s: what may be done with them is not restricted: %s; x-shoal.degrade",
                           place.text, service->name, key, why);
    else
        supervisor_message(s, SHOAL_ERROR,
                           "%sservices.%s.%s: needs a device program on its cgroup, which this host does not take: %s; "
                           "provide it, or go on without by x-shoal: {degrade: true}",
                           place.text, service->name, key, why);
    return s->spec->degrade ? 0 : -ENOTSUP;
}

int check_devices(shoal_supervisor_t *s, bool look_only, shoal_error_t *err)
{
    shoal_error_t why, error;
    int code = 0;
    bool said = false;
    s->no_device_lists = guard_devices(s, look_only, &why) < 0;
    for (size_t i = 0; i < s->spec->service_count; i++) {
        const shoal_service_t *service = &s->spec->services[i];
        size_t index;
        if (s->no_device_lists && service->device_count + service->device_rule_count > 0) {
            int result = refuse_devices(s, service, why.text);
            code = code < 0 ? code : result;
            said = true;
        }
        int result = sandbox_find_devices(service, &index, &error);
        if (result < 0) {
            struct supervisor_place place = supervisor_place(&service->devices[index].at);
            supervisor_message(s, SHOAL_ERROR, "%sservices.%s.devices.%zu: %s", place.text, service->name, index,
                               error.text);
            code = result == -ENOMEM ? result : -ENOTSUP;
        }
    }
    if (s->no_device_lists && !said)
        supervisor_message(s, SHOAL_WARNING, "what devices sandboxes may use is not restricted by a program: %s",
                           why.text);
    if (code < 0)
        return shoal_refuse(err, code, "the host lacks what the fleet needs; nothing was started");
    return 0;
}
