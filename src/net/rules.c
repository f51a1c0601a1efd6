/* One nftables table for each supervisor, made and removed as a whole by an `nft -f -` child. It is never touched while
 * sandboxes come and go: the rules know bridges and subnets only. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "net/inside.h"

/* Feed script to nft and gather what it says. */
static int run_nft(const char *script, shoal_error_t *err)
{
    char path[] = "/tmp/shoal-nft-XXXXXX"; /* a file needs nobody who reads while we write */
    AUTO_FD fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return shoal_fail(err, -errno, "make %s", path);
    (void)unlink(path);
    size_t count = strlen(script);
    if (write(fd, script, count) != (ssize_t)count || lseek(fd, 0, SEEK_SET) < 0)
        return shoal_fail(err, -EIO, "write the nftables script");
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return shoal_fail(err, -errno, "pipe");
    AUTO_FD said = ends[0];
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        (void)close(ends[1]);
        return shoal_fail(err, -ENOMEM, "nft");
    }
    (void)posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    pid_t pid;
    int code = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (code != 0)
        return shoal_fail(err, -code, "run nft (package nftables)");
    char text[256] = "";
    size_t used = 0;
    for (ssize_t more; used < sizeof text - 1 && (more = read(said, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)more;
    text[strcspn(text, "\n")] = '\0';
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return shoal_refuse(err, -EIO, "nft: %s", text[0] != '\0' ? text : "failed");
}

static void add_bridge_list(struct text *script, const struct net *net)
{
    for (size_t i = 0; i < net->network_count; i++)
        text_add_format(script, "%s\"%s\"", i > 0 ? ", " : "", net->networks[i].shards[0].name);
}

int rules_install(const struct net *net, shoal_error_t *err)
{
    struct text script = {0};
    /* Named by prefix: "shl" begins the name of every bridge of every supervisor. */
    text_add_format(&script, "add table inet shoal_%s\ndelete table inet shoal_%s\ntable inet shoal_%s {\n", net->tag,
                    net->tag, net->tag);
    text_add_string(&script, "  set bridges {\n    type ifname\n    elements = { ");
    add_bridge_list(&script, net);
    text_add_string(&script, " }\n  }\n  set same {\n    type ifname . ifname\n    elements = { ");
    for (size_t i = 0; i < net->network_count; i++)
        text_add_format(&script, "%s\"%s\" . \"%s\"", i > 0 ? ", " : "", net->networks[i].shards[0].name,
                        net->networks[i].shards[0].name);
    text_add_string(&script, " }\n  }\n"
                             "  chain forward {\n"
                             "    type filter hook forward priority filter; policy accept;\n"
                             "    iifname . oifname @same accept\n"
                             "    iifname @bridges oifname \"shl*\" drop\n"
                             "    oifname @bridges ct state established,related accept\n"
                             "    oifname @bridges drop\n"
                             "  }\n"
                             "  chain postrouting {\n"
                             "    type nat hook postrouting priority srcnat; policy accept;\n");
    for (size_t i = 0; i < net->network_count; i++)
        text_add_format(&script, "    ip saddr %s oifname != \"shl*\" masquerade\n",
                        subnet_format(net->networks[i].subnet, net->networks[i].prefix).text);
    text_add_string(&script, "  }\n}\n");
    int code = script.failed ? shoal_fail(err, -ENOMEM, "nftables script") : run_nft(script.bytes, err);
    text_free(&script);
    return code;
}

int rules_remove(const char *tag, shoal_error_t *err)
{
    char script[128]; /* added first, so that it can be deleted whether it was there or not */
    (void)snprintf(script, sizeof script, "add table inet shoal_%s\ndelete table inet shoal_%s\n", tag, tag);
    return run_nft(script, err);
}
