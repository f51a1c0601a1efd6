/* A row per key of a service, a network, a volume and the file: what is written, what it becomes, what is said. */
#include "loading.h"

static void put_list(struct text *out, const char *name, const shoal_strings_t *list)
{
    text_add_format(out, " %s=", name);
    for (size_t i = 0; i < list->count; i++)
        text_add_format(out, "%s%s", i > 0 ? "|" : "", list->items[i]);
    assert_true(list->items == NULL || list->items[list->count] == NULL);
}

static void put_pairs(struct text *out, const char *name, const shoal_pair_t *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text_add_format(out, " %s:%s=%s", name, pairs[i].key, pairs[i].value);
}

static void put_mount(struct text *out, const shoal_mount_t *m)
{
    static const char *const kinds[] = {"bind", "volume", "tmpfs"};
    text_add_format(out, " %s:%s:%s:%d", kinds[m->kind], m->source == NULL ? "" : m->source, m->target, m->volume);
    text_add_format(out, "%s%s", m->read_only ? ":ro" : "", m->create_host_path ? ":create" : "");
    if (m->size_bytes != 0 || m->mode != 0)
        text_add_format(out, ":%llu:%o", (unsigned long long)m->size_bytes, m->mode);
}

static void put_process(struct text *out, const shoal_service_t *s)
{
    if (s->entrypoint_set)
        put_list(out, "entrypoint", &s->entrypoint);
    if (s->command_set)
        put_list(out, "command", &s->command);
    if (s->environment.count > 0)
        put_list(out, "env", &s->environment);
    if (s->group_add.count > 0)
        put_list(out, "groups", &s->group_add);
    const char *const texts[][2] = {{"hostname", s->hostname},
                                    {"domainname", s->domainname},
                                    {"user", s->user},
                                    {"dir", s->working_dir},
                                    {"container", s->container_name}};
    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i][1] != NULL)
            text_add_format(out, " %s=%s", texts[i][0], texts[i][1]);
    text_add_format(out, "%s%s", s->init ? " init" : "", s->read_only ? " ro" : "");
    if (s->stop_signal != 15 || s->stop_grace_ms != 10000)
        text_add_format(out, " stop=%d:%llu", s->stop_signal, (unsigned long long)s->stop_grace_ms);
    if (s->replicas != 1)
        text_add_format(out, " replicas=%u", s->replicas);
}

static void put_limits(struct text *out, const shoal_service_t *s)
{
    static const char *const names[SHOAL_LIMIT_COUNT] = {
        [SHOAL_LIMIT_MEMORY] = "memory",
        [SHOAL_LIMIT_MEMORY_SWAP] = "swap",
        [SHOAL_LIMIT_MEMORY_RESERVATION] = "reservation",
        [SHOAL_LIMIT_MEMORY_HIGH] = "high",
        [SHOAL_LIMIT_OOM_GROUP] = "oom_group",
        [SHOAL_LIMIT_CPUS] = "cpus",
        [SHOAL_LIMIT_CPU_QUOTA] = "quota",
        [SHOAL_LIMIT_CPU_PERIOD] = "period",
        [SHOAL_LIMIT_CPU_BURST] = "burst",
        [SHOAL_LIMIT_CPU_SHARES] = "shares",
        [SHOAL_LIMIT_CPU_WEIGHT] = "weight",
        [SHOAL_LIMIT_CPU_IDLE] = "idle",
        [SHOAL_LIMIT_CPUSET] = "cpuset",
        [SHOAL_LIMIT_CPUSET_MEMS] = "mems",
        [SHOAL_LIMIT_PIDS] = "pids",
        [SHOAL_LIMIT_IO_WEIGHT] = "io_weight",
    };
    for (size_t i = 0; i < SHOAL_LIMIT_COUNT; i++) {
        const shoal_limit_t *l = &s->limits.items[i];
        if (l->set && l->text != NULL)
            text_add_format(out, " %s=%s", names[i], l->text);
        else if (l->set)
            text_add_format(out, " %s=%lld", names[i], (long long)l->value);
        if (l->set && strchr(l->key, '.') != NULL)
            text_add_format(out, "(%s)", l->key);
    }
    for (size_t i = 0; i < s->limits.device_count; i++) {
        const shoal_io_limit_t *l = &s->limits.devices[i];
        text_add_format(out, " io:%s=%llu,%llu,%llu,%llu", l->path, (unsigned long long)l->rbps,
                        (unsigned long long)l->wbps, (unsigned long long)l->riops, (unsigned long long)l->wiops);
        if (l->weight != 0)
            text_add_format(out, ":%llu", (unsigned long long)l->weight);
    }
    for (size_t i = 0; i < s->limits.named_count; i++) {
        const shoal_named_limit_t *l = &s->limits.named[i];
        text_add_format(out, " %s=%lld,%lld", l->key, (long long)l->value, (long long)l->objects);
    }
    for (size_t i = 0; i < s->ulimit_count; i++)
        text_add_format(out, " ulimit%d=%lld,%lld", s->ulimits[i].resource, (long long)s->ulimits[i].soft,
                        (long long)s->ulimits[i].hard);
    if (s->shm_bytes != 0)
        text_add_format(out, " shm=%llu", (unsigned long long)s->shm_bytes);
}

/* What differs from the defaults, in words. */
static void put_service(struct text *out, const shoal_spec_t *spec, const shoal_service_t *s)
{
    const shoal_restart_t *r = &s->restart;
    put_process(out, s);
    put_limits(out, s);
    for (size_t i = 0; i < s->mount_count; i++)
        put_mount(out, &s->mounts[i]);
    if (r->policy != SHOAL_RESTART_NO || r->max_attempts != 0 || r->window_ms != 0)
        text_add_format(out, " restart=%d:%d:%llu", r->policy, r->max_attempts, (unsigned long long)r->window_ms);
    if (r->first_ms != 100 || r->max_ms != 60000 || r->reset_ms != 10000 || (int)(r->factor * 1000) != 2000 ||
        (int)(r->jitter * 1000) != 100)
        text_add_format(out, " backoff=%d,%d,%d,%d,%d", (int)r->first_ms, (int)(r->factor * 1000), (int)r->max_ms,
                        (int)(r->jitter * 1000), (int)r->reset_ms);
    for (size_t i = 0; i < s->dependency_count; i++)
        text_add_format(out, " after:%s%s%s", spec->services[s->dependencies[i].service].name,
                        s->dependencies[i].condition == SHOAL_CONDITION_STARTED ? "" : ":completed",
                        s->dependencies[i].required ? "" : ":optional");
    if (s->cap_add != 0 || s->cap_drop != 0)
        text_add_format(out, " caps=+%llx-%llx", (unsigned long long)s->cap_add, (unsigned long long)s->cap_drop);
    text_add_format(out, "%s%s", s->no_new_privileges ? "" : " new-privileges",
                    s->seccomp_unconfined ? " seccomp-unconfined" : "");
    put_pairs(out, "sysctl", s->sysctls, s->sysctl_count);
    put_pairs(out, "host", s->extra_hosts, s->extra_host_count);
    put_pairs(out, "label", s->labels, s->label_count);
    if (s->network_mode != SHOAL_NETWORK_BRIDGES)
        text_add_format(out, " network_mode=%d", s->network_mode);
    for (size_t i = 0; i < s->attachment_count; i++) {
        const shoal_attachment_t *a = &s->attachments[i];
        if (strcmp(spec->networks[a->network].name, "default") == 0 && a->priority == 0 && a->aliases.count == 0)
            continue;
        text_add_format(out, " on:%s:%d", spec->networks[a->network].name, a->priority);
        for (size_t k = 0; k < a->aliases.count; k++)
            text_add_format(out, ":%s", a->aliases.items[k]);
    }
    if (s->log.driver != SHOAL_LOG_JSON_FILE || s->log.max_bytes != 0 || s->log.max_files != 1)
        text_add_format(out, " log=%d:%llu:%u", s->log.driver, (unsigned long long)s->log.max_bytes, s->log.max_files);
}

struct row {
    const char *yaml; /* of service `web`, each line indented by four */
    const char *out;  /* what it becomes, and what is said; with "web." for services.web. */
};

static const struct row service_rows[] = {
    {"command: a 'b c'", " command=a|b c"},
    {"command: [a, 'b c', '']", " command=a|b c|"},
    {"command: []", " command="},
    {"command: ''", " command="},
    {"command: ", ""},
    {"command: [sleep, 10]", "5:22: error: web.command.1: 10 is a number, where text belongs; put it in quotes\n"},
    {"command: a; b", "5:5: error: web.command: the command needs a shell (it has one of ; & | < > ` $( outside of "
                      "quotes); write [\"sh\", \"-c\", \"...\"]\n"},
    {"entrypoint: [/init]", " entrypoint=/init"},
    {"entrypoint: {a: b}", "5:5: error: web.entrypoint: takes text or a list of texts, not a mapping\n"},
    {"environment: {A: 1.10, B: yes, C: true, D: 0x10, E: , USER: , F: '', G: null}",
     " env=A=1.1|B=yes|C=true|D=16|USER=me|F="},
    {"environment: [A=1, 'B=x=y', USER, NOT_THERE, A=2, C=]", " env=A=2|B=x=y|USER=me|C="},
    {"environment: [=x]", "5:19: error: web.environment.: \"\" is not a variable's name\n"},
    {"environment: A=1", "5:5: error: web.environment: takes a mapping or a list of NAME=value, not text \"A=1\"\n"},
    {"environment: {3: x}", "5:19: error: the key 3 is a number; put it in quotes\n"},
    {"environment: {A: [x]}", "5:19: error: web.environment.A: takes text, a number, true or false, not a list\n"},
    {"env_file: a.env", " env=A=1|B=two 1|USER=me"},
    {"env_file: [a.env, ./b.env]", " env=A=1|B=3|USER=me"},
    {"env_file: [{path: a.env}, {path: none, required: false}]\n    environment: {A: 9}", " env=A=9|B=two 9|USER=me"},
    {"env_file: none.env",
     "5:15: error: web.env_file.0: /fleet/none.env: there is no such file; required: false does without\n"},
    {"env_file: [bad.env]", "5:16: error: web.env_file.0: /fleet/bad.env: line 2: the quote ' is not closed\n"},
    {"env_file: [{format: raw}]", "5:16: error: web.env_file.0: the key \"path\" is missing\n"},
    {"hostname: h1.x", " hostname=h1.x"},
    {"hostname: a b", "5:5: error: web.hostname: \"a b\" is not a host name\n"},
    {"hostname: 12", "5:5: error: web.hostname: 12 is a number, where text belongs; put it in quotes\n"},
    {"domainname: d.e", " domainname=d.e"},
    {"user: '1000:50'", " user=1000:50"},
    {"user: 'a:b:c'", "5:5: error: web.user: \"a:b:c\" is not a user; write 1000, 1000:1000, name or name:group\n"},
    {"group_add: [5, audio]", " groups=5|audio"},
    {"group_add: audio", "5:5: error: web.group_add: takes a list, not text \"audio\"\n"},
    {"working_dir: /a/../b", " dir=/b"},
    {"working_dir: a", "5:5: error: web.working_dir: \"a\" is not an absolute path\n"},
    {"init: true\n    read_only: yes", "6:5: warning: web.read_only: \"yes\" is text in YAML 1.2; write true\n"
                                       " init ro"},
    {"init: maybe", "5:5: error: web.init: \"maybe\" is neither true nor false\n"},
    {"init: ", "5:5: error: web.init: has no value; it takes true or false\n"},
    {"tmpfs: /run", " tmpfs::/run:-1"},
    {"tmpfs: ['/run:size=64m,mode=755', /tmp]", " tmpfs::/run:-1:67108864:755 tmpfs::/tmp:-1"},
    {"tmpfs: /run:uid=5",
     "5:12: error: web.tmpfs.0: the option \"uid=5\" is not supported yet; size=, mode=, ro and rw are\n"},
    {"tmpfs: run", "5:12: error: web.tmpfs.0: the target \"run\" is not an absolute path\n"},
    {"volumes: [data:/d, './x:/x:ro', '~/y:/y', /anon]",
     " volume::/d:0 bind:/fleet/x:/x:-1:ro:create bind:/home/me/y:/y:-1:create volume::/anon:-1"},
    {"volumes: [nope:/d]",
     "5:15: error: web.volumes.0: the volume \"nope\" is not defined under volumes; a path begins with "
     "/ ./ or ~\n"},
    {"volumes: ['/a:/b:z']", "5:15: error: web.volumes.0.bind.selinux: not carried out yet\n"},
    {"volumes: ['/a:/b', '/c:/b/']", " bind:/c:/b:-1:create"},
    {"volumes: ['/a:/']", "5:15: error: web.volumes.0: nothing can be mounted on \"/\"\n"},
    {"volumes:\n      - {type: bind, source: ./s, target: /s, read_only: true, bind: {create_host_path: true}}\n"
     "      - {type: bind, source: ../t, target: /t}\n"
     "      - {type: tmpfs, target: /u, tmpfs: {size: 1m, mode: 01777}}\n"
     "      - {type: volume, source: data, target: /v}",
     " bind:/fleet/s:/s:-1:ro:create bind:/t:/t:-1 tmpfs::/u:-1:1048576:1777 volume::/v:0"},
    {"volumes: [{type: tmpfs, target: /u, tmpfs: {mode: 1777}}]",
     "5:49: error: web.volumes.0.tmpfs.mode: 1777 is not an octal mode; write 01777\n"},
    {"volumes: [{type: npipe, source: x, target: /u}]",
     "5:15: error: web.volumes.0: the type \"npipe\" is not supported yet; bind, volume and tmpfs are\n"},
    {"volumes: [{type: bind, target: /u, bind: {propagation: shared}}]",
     "5:15: error: web.volumes.0: a bind needs a source\n"
     "5:47: error: web.volumes.0.bind.propagation: not carried out yet\n"},
    {"volumes: [{source: x}]", "5:15: error: web.volumes.0: the key \"type\" is missing\n"
                               "5:15: error: web.volumes.0: the key \"target\" is missing\n"},
    {"mem_limit: 64m", " memory=67108864"},
    {"mem_limit: 67108864", " memory=67108864"},
    {"mem_limit: 0", ""},
    {"mem_limit: 64Q", "5:5: error: web.mem_limit: \"64Q\" is not a size; write 64m, 1.5g or bytes\n"},
    {"mem_limit: 5m", "5:5: error: web.mem_limit: 5242880 bytes are too little; the least is 6 MiB\n"},
    {"mem_limit: 64m\n    memswap_limit: 128m\n    mem_reservation: 32m",
     " memory=67108864 swap=134217728 reservation=33554432"},
    {"memswap_limit: -1", " swap=-1"},
    {"memswap_limit: 1g", "5:5: error: web.memswap_limit: needs mem_limit, for it limits memory and swap together\n"},
    {"mem_limit: 64m\n    memswap_limit: 32m",
     "6:5: error: web.memswap_limit: is less than mem_limit, but limits memory and swap together\n"},
    {"mem_limit: -64m", "5:5: error: web.mem_limit: \"-64m\" is not a size; write 64m, 1.5g or bytes\n"},
    {"mem_limit: 64m\n    x-shoal: {memory_high: 65m}",
     "6:15: error: web.x-shoal.memory_high: is more than mem_limit, which is reached before\n"},
    {"mem_limit: 64m\n    mem_reservation: 128m", "6:5: error: web.mem_reservation: is more than mem_limit\n"},
    {"cpus: 0.5", " cpus=500"},
    {"cpus: '1.5'", " cpus=1500"},
    {"cpus: 0.0", ""},
    {"cpus: -1", "5:5: error: web.cpus: \"-1\" is not a number of CPUs; write 0.5 or 2\n"},
    {"cpu_quota: 50000\n    cpu_period: '200000'", " quota=50000 period=200000"},
    {"cpu_quota: 0\n    cpu_period: 0", ""},
    {"cpu_quota: -1", " quota=-1"},
    {"cpu_period: 1000", " period=1000"},
    {"cpu_quota: 999", "5:5: error: web.cpu_quota: 999 is out of range; it goes from 1000 us to 17592186044415 us\n"},
    {"cpu_quota: -2", "5:5: error: web.cpu_quota: -2 is out of range; it goes from -1 to 17592186044415\n"},
    {"cpu_period: 1000001", "5:5: error: web.cpu_period: 1000001 is out of range; it goes from 0 to 1000000\n"},
    {"cpu_period: 10", "5:5: error: web.cpu_period: 10 is out of range; it goes from 1000 us to 1000000 us\n"},
    {"cpus: 1\n    cpu_quota: 50000\n    cpu_period: 100000",
     "6:5: error: web.cpu_quota: does not go with cpus, which sets quota and period itself\n"
     "7:5: error: web.cpu_period: does not go with cpus, which sets quota and period itself\n"},
    {"deploy: {resources: {limits: {cpus: '1'}}}\n    cpu_quota: 50000",
     "6:5: error: web.cpu_quota: does not go with deploy.resources.limits.cpus, which sets quota and period itself\n"},
    {"cpu_quota: 50000\n    x-shoal: {cpu_burst: 50ms}", " quota=50000 burst=50000(x-shoal.cpu_burst)"},
    {"cpu_quota: 50000\n    x-shoal: {cpu_burst: 51ms}",
     "6:15: error: web.x-shoal.cpu_burst: is more than the 50000 us that cpu_quota gives in a period\n"},
    {"cpus: 0.5\n    x-shoal: {cpu_burst: 51ms}",
     "6:15: error: web.x-shoal.cpu_burst: is more than the 50000 us that cpus gives in a period\n"},
    {"cpu_quota: -1\n    x-shoal: {cpu_burst: 1ms}",
     "6:15: error: web.x-shoal.cpu_burst: needs cpus or cpu_quota, from whose time it is saved\n"},
    {"cpu_percent: 50\n    cpu_count: 2\n    cpu_rt_runtime: 1000\n    isolation: hyperv",
     "5:5: error: web.cpu_percent: refused: only Windows has it; write cpus\n"
     "6:5: error: web.cpu_count: refused: only Windows has it; write cpus\n"
     "7:5: error: web.cpu_rt_runtime: refused: cgroup v2 has no real-time quota, only v1 had\n"
     "8:5: error: web.isolation: refused: only Windows has kinds of it\n"},
    {"isolation: default", ""},
    {"cpus: 0.001", "5:5: error: web.cpus: 0.001 CPUs is out of range; it goes from 0.01 to 8192\n"},
    {"cpus: two", "5:5: error: web.cpus: \"two\" is not a number\n"},
    {"cpu_shares: 512", " shares=512"},
    {"cpu_shares: -5", "5:5: error: web.cpu_shares: -5 is out of range; it goes from 0 to 262144\n"},
    {"cpu_shares: 300000", "5:5: error: web.cpu_shares: 300000 is out of range; it goes from 0 to 262144\n"},
    {"cpuset: 0-3,7", " cpuset=0-3,7"},
    {"cpuset: 3-1", "5:5: error: web.cpuset: \"3-1\" is not a list of CPUs; write 0-3,7\n"},
    {"pids_limit: 100", " pids=100"},
    {"pids_limit: 0", " pids=-1"},
    {"pids_limit: -2", "5:5: error: web.pids_limit: -2 is out of range; it goes from -1 to 4194304\n"},
    {"pids_limit: x", "5:5: error: web.pids_limit: \"x\" is not a whole number\n"},
    {"blkio_config: {device_read_bps: [{path: /dev/vda, rate: 1m}], device_write_iops: [{path: /dev/vda, rate: 10}]}",
     " io:/dev/vda=1048576,0,0,10"},
    {"blkio_config: {weight: 300, weight_device: [{path: /dev/vda, weight: 10}, {path: '8:0', weight: 1000}]}",
     " io_weight=300(blkio_config.weight) io:/dev/vda=0,0,0,0:10 io:8:0=0,0,0,0:1000"},
    {"blkio_config: {weight: 0, weight_device: [{path: /dev/vda, weight: 0}]}", ""},
    {"blkio_config: {weight: 9, weight_device: [{path: /dev/vda, weight: 1001}, {path: vda, weight: 20}]}",
     "5:20: error: web.blkio_config.weight: 9 is out of range; it goes from 10 to 1000\n"
     "5:64: error: web.blkio_config.weight_device.0.weight: 1001 is out of range; it goes from 0 to 1000\n"
     "5:80: error: web.blkio_config.weight_device.1.path: \"vda\" is not an absolute path; write /dev/vda or 8:16\n"},
    {"blkio_config: {weight_device: [{path: /dev/vda, weight: 10}, {path: /dev/vda, weight: 20}]}",
     "5:66: error: web.blkio_config.weight_device.1: /dev/vda has a weight already\n"},
    {"blkio_config: {device_read_bps: [{path: vda, rate: 1x}]}",
     "5:39: error: web.blkio_config.device_read_bps.0.path: \"vda\" is not an absolute path; write /dev/vda or 8:16\n"
     "5:50: error: web.blkio_config.device_read_bps.0.rate: \"1x\" is not a size; write 64m, 1.5g or bytes\n"},
    {"x-shoal: {hugetlb: {2MB: 64m, 1GB: 0}, rdma: {mlx5_0: {hca_handle: 2}}, misc: {sev: 3}}",
     " x-shoal.hugetlb.2MB=67108864,-1 x-shoal.hugetlb.1GB=0,-1 x-shoal.rdma.mlx5_0=2,-1 x-shoal.misc.sev=3,-1"},
    {"x-shoal: {hugetlb: {2M: 64m, 2MB: 3m, 1GB: -1}, rdma: {a: {}, b: {hca_objects: 1}, c: {hca_handle: 3000000000}}, "
     "misc: {sev: -1, 'a b': 1}}",
     "5:25: error: web.x-shoal.hugetlb.2M: \"2M\" is no size of huge pages; write 64KB, 2MB or 1GB\n"
     "5:34: error: web.x-shoal.hugetlb.2MB: 3m is no whole number of pages of 2MB\n"
     "5:43: error: web.x-shoal.hugetlb.1GB: \"-1\" is not a size; write 64m, 1.5g or bytes\n"
     "5:60: error: web.x-shoal.rdma.a: limits nothing; write hca_handle or hca_object\n"
     "5:71: error: web.x-shoal.rdma.b.hca_objects: unknown key; did you mean \"hca_object\"?\n"
     "5:92: error: web.x-shoal.rdma.c.hca_handle: 3000000000 is out of range; it goes from 0 to 2147483646\n"
     "5:125: error: web.x-shoal.misc.sev: -1 is out of range; it goes from 0 to 9223372036854775807\n"
     "5:134: error: web.x-shoal.misc.a b: \"a b\" is no name that a kernel has; they are 1 to 63 letters\n"},
    {"deploy: {replicas: 3, resources: {limits: {cpus: '0.5', memory: 64m, pids: 9}, reservations: {memory: 8m}}}",
     " replicas=3 memory=67108864(deploy.resources.limits.memory) "
     "reservation=8388608(deploy.resources.reservations.memory)"
     " cpus=500(deploy.resources.limits.cpus) pids=9(deploy.resources.limits.pids)"},
    {"deploy: {resources: {limits: {memory: 64m}}}\n    mem_limit: 32m",
     "6:5: error: web.mem_limit: can't set distinct values on 'mem_limit' and 'deploy.resources.limits.memory'\n"},
    {"mem_limit: 64m\n    deploy: {resources: {limits: {memory: 67108864}}}",
     "6:35: error: web.deploy.resources.limits.memory: 67108864 is a number, where a size belongs; put it in quotes\n"},
    {"deploy: {resources: {reservations: {cpus: 1, devices: []}}}",
     "5:41: error: web.deploy.resources.reservations.cpus: refused: nothing holds CPUs free on a single host; "
     "cpu_shares "
     "and cpuset share them out\n"},
    {"scale: 2\n    deploy: {replicas: 3}",
     "5:5: error: web.scale: can't set distinct values on 'scale' and 'deploy.replicas'\n"},
    {"scale: 0", " replicas=0"},
    {"scale: -1", "5:5: error: web.scale: -1 is negative\n"},
    {"deploy: {mode: global, placement: {}}",
     "5:14: error: web.deploy.mode: the mode \"global\" is not supported yet; replicated is\n"
     "5:28: error: web.deploy.placement: not carried out yet\n"},
    {"deploy: ", ""},
    {"restart: no", ""},
    {"restart: always", " restart=1:0:0"},
    {"restart: on-failure:3", " restart=2:3:0"},
    {"restart: unless-stopped", " restart=3:0:0"},
    {"restart: false", "5:5: error: web.restart: false is true or false, where text belongs; put it in quotes\n"},
    {"restart: always:3",
     "5:5: error: web.restart: \"always:3\" is not a restart policy; write \"no\", always, on-failure, "
     "on-failure:3 or unless-stopped\n"},
    {"deploy: {restart_policy: {}}", " restart=1:0:0"},
    {"deploy: {restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 1m}}",
     " restart=2:3:60000 backoff=5000,2000,60000,100,10000"},
    {"deploy: {restart_policy: {condition: any}}\n    restart: always", " restart=1:0:0"},
    {"deploy: {restart_policy: {condition: none}}\n    restart: always",
     "6:5: error: web.restart: can't set distinct values on 'restart' and 'deploy.restart_policy'\n"},
    {"deploy: {restart_policy: {delay: 2m}}", " restart=1:0:0 backoff=120000,2000,120000,100,10000"},
    {"deploy: {restart_policy: {delay: 5}}",
     "5:31: error: web.deploy.restart_policy.delay: 5 is a number, where a duration belongs; put it in quotes\n"},
    {"x-shoal: {restart: {backoff: 1s, factor: 1.5, max: 5s, jitter: 0, reset: 1m}}",
     " backoff=1000,1500,5000,0,60000"},
    {"x-shoal: {restart: {factor: 0.5, max: 10ms, jiter: 1}}",
     "3:3: error: web: the longest delay, 10 ms (x-shoal.restart.max), is shorter than the first, 100 ms\n"
     "5:25: error: web.x-shoal.restart.factor: \"0.5\" is not a number from 1 to 100\n"
     "5:49: error: web.x-shoal.restart.jiter: unknown key; did you mean \"jitter\"?\n"},
    {"stop_signal: SIGINT\n    stop_grace_period: 1m30s", " stop=2:90000"},
    {"stop_signal: 9", "5:5: error: web.stop_signal: 9 is a number, where text belongs; put it in quotes\n"},
    {"stop_signal: SIGNOPE", "5:5: error: web.stop_signal: \"SIGNOPE\" is not a signal; write SIGTERM, TERM or 15\n"},
    {"stop_grace_period: 10",
     "5:5: error: web.stop_grace_period: 10 is a number, where a duration belongs; put it in quotes\n"},
    {"depends_on: [db]", " after:db"},
    {"depends_on: {db: {condition: service_completed_successfully, required: false, restart: false}}",
     " after:db:completed:optional"},
    {"depends_on: {nope: {condition: service_started, required: false}}",
     "5:18: error: web.depends_on.nope: there is no service \"nope\"\n"},
    {"depends_on: [nope]", "5:18: error: web.depends_on.nope: there is no service \"nope\"\n"},
    {"depends_on: [db, db]", "5:22: error: web.depends_on.1: \"db\" is in the list already\n"},
    {"depends_on: {db: {condition: service_healthy, restart: true}}",
     "5:23: error: web.depends_on.db.condition: service_healthy is not supported yet; service_started and "
     "service_completed_successfully are\n"
     "5:51: error: web.depends_on.db.restart: not carried out yet\n"},
    {"depends_on: {db: {}}", "5:18: error: web.depends_on.db: the key \"condition\" is missing\n"},
    {"depends_on: [web]", "5:18: error: web.depends_on.web: services wait for each other: web -> web\n"},
    {"cap_add: [NET_ADMIN, cap_chown]\n    cap_drop: [ALL]", " caps=+1001-ffffffffffffffff"},
    {"devices: ['ttyS0']", "5:15: error: web.devices.0: the source \"ttyS0\" is not an absolute path of the host\n"},
    {"devices: ['/dev/a:r']",
     "5:15: error: web.devices.0: the target \"r\" is not an absolute path; permissions come third: /dev/a:/dev/a:r\n"},
    {"devices: ['/dev/a:b:r']", "5:15: error: web.devices.0: the target \"b\" is not an absolute path\n"},
    {"devices: ['/dev/a:/dev/a:x']", "5:15: error: web.devices.0: the permissions \"x\" are not made of r, w and m\n"},
    {"devices: ['/dev/a:/dev/a:rwx']",
     "5:15: error: web.devices.0: the permissions \"rwx\" are not made of r, w and m\n"},
    {"devices: [/dev/a, {source: /dev/b, target: /dev//a}]",
     "5:23: error: web.devices.1: /dev/a is a device already, on line 5\n"},
    {"devices: [/dev/a, '/dev/a:/data/a', '/dev/a:/database/a']\n    volumes: [/x:/data]",
     "5:23: error: web.devices: /data/a would be hidden by the mount on /data, line 6\n"},
    {"devices: [/dev/a]\n    tmpfs: [/dev]",
     "5:15: error: web.devices: /dev/a would be hidden by the mount on /dev, line 6\n"},
    {"device_cgroup_rules: ['c 10:200']",
     "5:27: error: web.device_cgroup_rules.0: \"c 10:200\" is not a rule for devices; write a, b or c, the numbers or "
     "*, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['d 10:200 r']",
     "5:27: error: web.device_cgroup_rules.0: \"d 10:200 r\" is not a rule for devices; write a, b or c, the numbers "
     "or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c 10:200 rx']",
     "5:27: error: web.device_cgroup_rules.0: \"c 10:200 rx\" is not a rule for devices; write a, b or c, the numbers "
     "or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c 4096:0 r']",
     "5:27: error: web.device_cgroup_rules.0: \"c 4096:0 r\" is not a rule for devices; write a, b or c, the numbers "
     "or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c 1:1048576 r']",
     "5:27: error: web.device_cgroup_rules.0: \"c 1:1048576 r\" is not a rule for devices; write a, b or c, the "
     "numbers or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c 99999999999999999999:1 r']",
     "5:27: error: web.device_cgroup_rules.0: \"c 99999999999999999999:1 r\" is not a rule for devices; write a, b or "
     "c, the numbers or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c 1 r']",
     "5:27: error: web.device_cgroup_rules.0: \"c 1 r\" is not a rule for devices; write a, b or c, the numbers or *, "
     "what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c  1:1 r']",
     "5:27: error: web.device_cgroup_rules.0: \"c  1:1 r\" is not a rule for devices; write a, b or c, the numbers or "
     "*, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c 1:1 ']",
     "5:27: error: web.device_cgroup_rules.0: \"c 1:1 \" is not a rule for devices; write a, b or c, the numbers or *, "
     "what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['*:* rwm']",
     "5:27: error: web.device_cgroup_rules.0: \"*:* rwm\" is not a rule for devices; write a, b or c, the numbers or "
     "*, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c 10:200 rwm ']",
     "5:27: error: web.device_cgroup_rules.0: \"c 10:200 rwm \" is not a rule for devices; write a, b or c, the "
     "numbers or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c -1:3 r']",
     "5:27: error: web.device_cgroup_rules.0: \"c -1:3 r\" is not a rule for devices; write a, b or c, the numbers or "
     "*, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['c']", "5:27: error: web.device_cgroup_rules.0: \"c\" is not a rule for devices; write a, "
                                   "b or c, the numbers or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"device_cgroup_rules: ['']", "5:27: error: web.device_cgroup_rules.0: \"\" is not a rule for devices; write a, b "
                                  "or c, the numbers or *, what is allowed: \"c 10:200 rwm\", \"b 8:* r\"\n"},
    {"cap_add: [NOPE]", "5:15: error: web.cap_add.0: \"NOPE\" is not a capability; write NET_ADMIN or CAP_NET_ADMIN\n"},
    {"security_opt: ['no-new-privileges:false', seccomp=unconfined]", " new-privileges seccomp-unconfined"},
    {"security_opt: [no-new-privileges]", ""},
    {"security_opt: ['apparmor=x']", "5:20: error: web.security_opt.0: \"apparmor=x\" is not supported yet; "
                                     "no-new-privileges[:false] and seccomp=unconfined are\n"},
    {"sysctls: {net.core.somaxconn: 1024, kernel.sem: 1 2 3 4}",
     " sysctl:net.core.somaxconn=1024 sysctl:kernel.sem=1 2 3 4"},
    {"sysctls: [fs.mqueue.msg_max=5]", " sysctl:fs.mqueue.msg_max=5"},
    {"sysctls: {vm.swappiness: 1}", "5:15: error: web.sysctls.vm.swappiness: refused: vm.swappiness is the whole "
                                    "host's; net.*, fs.mqueue.*, kernel.sem, "
                                    "kernel.msg* and kernel.shm* belong to a sandbox\n"},
    {"sysctls: {net/../x: 1}",
     "5:15: error: web.sysctls.net/../x: \"net/../x\" is not a sysctl; write net.core.somaxconn\n"},
    {"network_mode: host\n    sysctls: [net.a=1]",
     "6:15: error: web.sysctls: refused: net.a is the whole host's with network_mode host\n"},
    {"ulimits: {nofile: 1024, core: {soft: 0, hard: -1}}", " ulimit7=1024,1024 ulimit4=0,-1"},
    {"ulimits: {nofile: {soft: 2, hard: 1}}",
     "5:15: error: web.ulimits.nofile: the soft limit is above the hard limit\n"},
    {"ulimits: {nofile: {soft: 2}}", "5:15: error: web.ulimits.nofile: the key \"hard\" is missing\n"},
    {"ulimits: {nofiles: 2}",
     "5:15: error: web.ulimits.nofiles: is no resource limit; they are core cpu data fsize locks "
     "memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack\n"},
    {"shm_size: 1g", " shm=1073741824"},
    {"extra_hosts: ['a:10.0.0.1', 'b=::1', 'c:[fd00::1]']", " host:a=10.0.0.1 host:b=::1 host:c=fd00::1"},
    {"extra_hosts: {a: 10.0.0.1, b: [10.0.0.2, 10.0.0.3]}", " host:a=10.0.0.1 host:b=10.0.0.2 host:b=10.0.0.3"},
    {"extra_hosts: ['a:host-gateway']",
     "5:19: error: web.extra_hosts.0: host-gateway is not supported yet; write an address\n"},
    {"extra_hosts: ['a:x']", "5:19: error: web.extra_hosts.0: \"x\" is not an address; write a=10.0.0.1\n"},
    {"labels: {a: 1, b: , c: x}", " label:a=1 label:b= label:c=x"},
    {"labels: [a=b, c]", " label:a=b label:c="},
    {"container_name: one", " container=one"},
    {"container_name: one\n    scale: 2",
     "5:5: error: web.container_name: one name cannot be that of 2 containers (scale)\n"},
    {"container_name: taken",
     "8:5: error: services.db.container_name: the name \"taken\" is taken by another service, on line 5\n"},
    {"networks: [back, front]", " on:back:0 on:front:0"},
    {"networks: {back: {priority: 1}, front: {priority: 5, aliases: [w, x]}, default: }", " on:front:5:w:x on:back:1"},
    {"networks: [nope]", "5:16: error: web.networks.nope: the network \"nope\" is not defined under networks\n"},
    {"networks: [back, back]", "5:22: error: web.networks.1: \"back\" is in the list already\n"},
    {"networks: {back: {ipv4_address: 10.0.0.1}}",
     "5:23: error: web.networks.back.ipv4_address: not carried out yet\n"},
    {"network_mode: none", " network_mode=1"},
    {"network_mode: host", " network_mode=2"},
    {"network_mode: bridge",
     "5:5: error: web.network_mode: the mode \"bridge\" is not supported yet; none and host are\n"},
    {"network_mode: none\n    networks: [back]", "6:5: error: web.networks: cannot stand together with network_mode\n"},
    {"logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}", " log=0:10485760:3"},
    {"logging: {driver: none}", " log=1:0:1"},
    {"logging: {driver: syslog}",
     "5:15: error: web.logging.driver: the driver \"syslog\" is not supported yet; json-file and none are\n"},
    {"logging: {options: {max-file: 3}}", "5:5: error: web.logging: max-file needs max-size\n"},
    {"logging: {options: {max-sise: 3m}}",
     "5:25: error: web.logging.options.max-sise: unknown key; did you mean \"max-size\"?\n"},
    {"privileged: true",
     "5:5: error: web.privileged: refused: a sandbox is not privileged here; name what it needs with "
     "cap_add and security_opt\n"},
    {"privileged: false\n    tty: false\n    x-mine: [1, {a: b}]", ""},
    {"tty: true", "5:5: error: web.tty: not carried out yet\n"},
    {"healthcheck: {test: x}\n    ports: [80]", "5:5: error: web.healthcheck: not carried out yet\n"
                                                "6:5: error: web.ports: not carried out yet\n"},
    {"memlimit: 5m", "5:5: error: web.memlimit: unknown key; did you mean \"mem_limit\"?\n"},
    {"zzzzzzzzz: 5m", "5:5: error: web.zzzzzzzzz: unknown key\n"},
    {"working_dir: ${WORK:-/w}/$USER$$", " dir=/w/me$"},
    {"init: ${X:-true}\n    mem_limit: ${Y:-64}m\n    labels: {a: $DOTENV, b: $COMPOSE_PROJECT_NAME}",
     " init memory=67108864 label:a=from-dotenv label:b=demo"},
    {"user: u$NOPE", "5:5: warning: web.user: the variable NOPE is not set; an empty text takes its place\n user=u"},
    {"user: ${NOPE:?is needed}", "5:5: error: web.user: required variable NOPE is missing a value: is needed\n"},
};

/* "services.web." is written "web." in the rows, which are long enough. */
static char *shorten(const char *text)
{
    struct text out = {0};
    while (*text != '\0') {
        if (strncmp(text, "services.web", 12) == 0)
            text += strlen("services.");
        text_add(&out, text++, 1);
    }
    return text_take(&out);
}

static void service_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(service_rows); i++) {
        const struct row *row = &service_rows[i];
        const char *db = strstr(row->yaml, "taken") != NULL ? "    container_name: taken\n" : "";
        AUTO_FREE char *yaml = base_format(
            "name: demo\nservices:\n  web:\n    image: builtin:busybox\n    %s\n  db:\n    image: dir:/srv\n%s"
            "networks: {back: , front: }\nvolumes: {data: }\n",
            row->yaml, db);
        AUTO_FREE char *findings = NULL;
        shoal_spec_t *spec = load_text(yaml, &findings);
        AUTO_FREE char *said = shorten(findings);
        struct text out = {0};
        text_add_string(&out, said);
        if (spec != NULL)
            put_service(&out, spec, &spec->services[0]);
        if (strcmp(out.bytes, row->out) != 0)
            print_error("%s\n", row->yaml);
        assert_string_equal(out.bytes, row->out);
        text_free(&out);
        shoal_spec_free(spec);
    }
}

/* Whole files: what is said, "" being a spec without a word. */
static const struct row file_rows[] = {
    {"", "1:1: error: the file is empty\n"},
    {"# nothing\n", "1:1: error: the file is empty\n"},
    {"[]", "1:1: error: a fleet file is a mapping at its top, not a list\n"},
    {"name: x\n", "1:1: error: there is no service in it\n"},
    {"services: {}\n", "1:1: error: there is no service in it\n"},
    {"services: {a: }\n", "1:12: error: services.a: has no value; it takes a mapping\n"},
    {"version: '3'\nservices: {a: {image: builtin:busybox}}",
     "1:1: warning: version: is obsolete and ignored; remove it\n"},
    {"services: {a: {image: builtin:busybox}}\nx-any: [a, {b: $}]\n", ""},
    {"services: {a b: {image: builtin:busybox}}",
     "1:12: error: services.a b: \"a b\" is not a name; it takes a-z A-Z 0-9 . _ -\n"},
    {"services: {a: {image: builtin:alpine}}",
     "1:16: error: services.a.image: there is no builtin image \"alpine\"; builtin:busybox is the one\n"},
    {"services: {a: {image: builtin:busybox}}\nconfigs: {}\nsecrets: {}\ninclude: []\nnetwork: {}\n",
     "5:1: error: network: unknown key; did you mean \"networks\"?\n"},
    {"services: {a: {image: builtin:busybox}}\nx-shoal: {degrade: 3, starts_in_flight: 2000, shard: 1}",
     "2:11: error: x-shoal.degrade: \"3\" is neither true nor false\n"
     "2:23: error: x-shoal.starts_in_flight: 2000 is out of range; it goes from 1 to 1024\n"
     "2:47: error: x-shoal.shard: unknown key\n"},
    {"services: {a: {image: builtin:busybox}}\nx-shoal: {governor: {rate: 0, burst: x, lest: 1, pressure: {cpu: 101, "
     "net: "
     "1}}}",
     "2:22: error: x-shoal.governor.rate: 0 is out of range; it goes from 1 to 1000000\n"
     "2:31: error: x-shoal.governor.burst: \"x\" is not a whole number\n"
     "2:41: error: x-shoal.governor.lest: unknown key; did you mean \"least\"?\n"
     "2:61: error: x-shoal.governor.pressure.cpu: 101 is out of range; it goes from 1 to 100\n"
     "2:71: error: x-shoal.governor.pressure.net: unknown key\n"},
    {"services: {a: {image: builtin:busybox}}\nx-shoal: {governor: fast}",
     "2:11: error: x-shoal.governor: takes a mapping, or off\n"},
    {"services: {a: {image: builtin:busybox}}\nx-shoal: {governor: }",
     "2:11: error: x-shoal.governor: has no value; it takes a mapping\n"},
    {"services: {a: {image: builtin:busybox}}\nvolumes: {v: {external: true, driver: nfs}}\nnetworks: {n: {external: "
     "true}}",
     "2:15: error: volumes.v.external: external volumes are not supported yet; write name: and leave external away: a "
     "volume of that name is used if it is there\n"
     "2:31: error: volumes.v.driver: cannot stand together with external: true, which leaves all but the name to "
     "whoever made it\n"
     "2:31: error: volumes.v.driver: the driver \"nfs\" is not supported yet; local is\n"
     "3:16: error: networks.n.external: not carried out yet\n"},
    {"services: {a: {image: builtin:busybox}}\nnetworks:\n  a: {driver: overlay}\n  b: {ipam: {config: [{subnet: "
     "10.1.0.1/16}]}}\n"
     "  c: {ipam: {config: [{subnet: 'fd00::/64'}, {}]}}\n  d: {ipam: {config: [{gateway: 10.1.0.1}]}}\n"
     "  e: {ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.2.0.1}]}}\n  f: {ipam: {config: [{subnet: "
     "10.0.0.0/8}]}}\n"
     "  g: {x-shoal: {shard: 0}}\n",
     "3:7: error: networks.a.driver: the driver \"overlay\" is not supported yet; bridge is\n"
     "4:24: error: networks.b.ipam.config.0.subnet: \"10.1.0.1/16\" has bits beyond its prefix; write 10.1.0.0/16\n"
     "5:24: error: networks.c.ipam.config.0.subnet: \"fd00::/64\": IPv6 is not supported yet\n"
     "5:46: error: networks.c.ipam.config.1: a second subnet is not supported yet\n"
     "6:14: error: networks.d.ipam.config: a gateway needs a subnet\n"
     "7:3: error: networks.e: its subnet overlaps that of the network \"f\"\n"
     "7:14: error: networks.e.ipam.config: the gateway is no host address of the subnet\n"
     "9:17: error: networks.g.x-shoal.shard: 0 is out of range; it goes from 1 to 1000\n"},
    {"services: {a: {image: builtin:busybox, scale: 6, networks: [n]}}\n"
     "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/29}]}}}",
     "2:12: error: networks.n: its subnet has addresses for 5 containers, the fleet has 6 on it\n"},
    {"services:\n  a: {image: builtin:busybox, depends_on: [b]}\n  b: {image: builtin:busybox, depends_on: [c]}\n"
     "  c: {image: builtin:busybox, depends_on: [b]}\n",
     "4:44: error: services.c.depends_on.b: services wait for each other: b -> c -> b\n"},
    /* YAML itself */
    {"a: b: c\n", "1:5: error: mapping values are not allowed in this context\n"},
    {"a: [1\n", "2:1: error: did not find expected ',' or ']' while parsing a flow sequence\n"},
    {"a: 1\n---\nb: 2\n", "1:1: error: a: unknown key\n"
                          "3:1: error: b: unknown key\n"},
    {"a: *b\n", "1:4: error: the alias *b has no anchor &b before it\n"},
    {"a: &b [*b]\n", "1:8: error: the alias *b stands inside its own anchor\n"},
    {"a: \"x\\0y\"\nservices: {a: {image: builtin:busybox}}", "1:1: error: a: unknown key\n"
                                                              "1:4: error: the text holds a NUL, which no value can\n"},
    {"a: \x01\n", "1:4: error: the file holds a control character, which YAML does not allow\n"},
    {"a: \xc3\xa4\xff\n", "1:5: error: the byte 0xff is not UTF-8; the file must be\n"},
    {"a: \xed\xa0\x80\n", "1:4: error: the byte 0xed is not UTF-8; the file must be\n"},
    {"services: {a: {image: builtin:busybox, image: x}}",
     "1:40: error: the key \"image\" was given before, on line 1\n"},
    {"services: {a: {image: !!int x, init: !!bool true, hostname: !!str 12}}",
     "1:16: error: services.a.image: x is a number, where text belongs; put it in quotes\n"
     "1:23: error: \"x\" does not fit its tag !!int\n"},
    {"services: {a: {image: !mine x, command: !reset []}}",
     "1:16: error: services.a.image: \"x\": registries are not supported yet; write builtin:busybox or dir:/path\n"},
    {"services: {a: {<<: 3, image: builtin:busybox}}",
     "1:16: error: \"<<\" takes a mapping or a list of mappings, not a number\n"},
    {"? [a]\n: b\nservices: {a: {image: builtin:busybox}}", "1:3: error: a key cannot be a list\n"},
};

static void whole_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(file_rows); i++) {
        AUTO_FREE char *findings = NULL;
        shoal_spec_t *spec = load_text(file_rows[i].yaml, &findings);
        if (strcmp(findings, file_rows[i].out) != 0)
            print_error("%s\n", file_rows[i].yaml);
        assert_string_equal(findings, file_rows[i].out);
        shoal_spec_free(spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(service_keys), cmocka_unit_test(whole_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
