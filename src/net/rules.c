/* One nftables table for each supervisor, made by an `nft -f -` child while the bridges are made, and removed as a whole. It is
 * never touched while sandboxes come and go: the rules know bridges and subnets only. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "net/inside.h"

static int start_nft(const char *script, struct rules_child *out, shoal_error_t *err)
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
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return shoal_fail(err, -ENOMEM, "nft");
    }
    (void)posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    int code = posix_spawnp(&out->pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (code != 0) {
        (void)close(ends[0]);
        return shoal_fail(err, -code, "run nft (package nftables)");
    }
    out->said = ends[0];
    return 0;
}

int rules_finish(struct rules_child *child, shoal_error_t *err)
{
    AUTO_FD said = take_fd(&child->said);
    char text[256] = "";
    size_t used = 0;
    for (ssize_t more; used < sizeof text - 1 && (more = read(said, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)more;
    text[strcspn(text, "\n")] = '\0';
    int status;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
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

int rules_begin(const struct net *net, struct rules_child *out, shoal_error_t *err)
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
    int code = script.failed ? shoal_fail(err, -ENOMEM, "nftables script") : start_nft(script.bytes, out, err);
    text_free(&script);
    return code;
}

/* One message says it: no need of nft. A change comes in a batch, linux/netfilter/nfnetlink.h. */
void rules_remove(const char *tag)
{
    enum { DELETE = 1 };
    struct {
        struct nlmsghdr begin_header;
        struct nfgenmsg begin;
        struct nlmsghdr header;
        struct nfgenmsg about;
        struct nlattr attribute;
        char name[16];
        struct nlmsghdr end_header;
        struct nfgenmsg end;
    } batch = {
        .begin_header = {.nlmsg_len = NLMSG_LENGTH(sizeof batch.begin),
                         .nlmsg_type = NFNL_MSG_BATCH_BEGIN,
                         .nlmsg_flags = NLM_F_REQUEST},
        .begin = {.res_id = htons(NFNL_SUBSYS_NFTABLES)},
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof batch.about) + NLA_HDRLEN + sizeof batch.name,
                   .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                   .nlmsg_seq = DELETE},
        .about = {.nfgen_family = NFPROTO_INET},
        .attribute = {.nla_len = NLA_HDRLEN + sizeof batch.name, .nla_type = NFTA_TABLE_NAME},
        .end_header = {.nlmsg_len = NLMSG_LENGTH(sizeof batch.end),
                       .nlmsg_type = NFNL_MSG_BATCH_END,
                       .nlmsg_flags = NLM_F_REQUEST},
        .end = {.res_id = htons(NFNL_SUBSYS_NFTABLES)},
    };
    (void)snprintf(batch.name, sizeof batch.name, "shoal_%s", tag);
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    _Alignas(struct nlmsghdr) char answer[1024];
    if (fd >= 0 && send(fd, &batch, sizeof batch, 0) == sizeof batch)
        (void)recv(fd, answer, sizeof answer, 0); /* carried out, or there was none, or the kernel has no nftables */
}
