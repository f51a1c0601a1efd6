/* rtnetlink(7): a socket with a thread that asks for the loop, and a blocking one for set-up and worker threads. Messages are built with
 * libnl; nlmsgerr is read here, so that no detail of an errno is lost. */
#ifndef KERNEL_NETLINK_H
#define KERNEL_NETLINK_H

#include <netlink/msg.h>
#include <uv.h>

#include "shoal/error.h"

struct netlink;

/* One message that waits for its answer. Embedded by whoever asks; lives until done was called or it was cancelled. */
struct netlink_request {
    struct netlink_batch *batch; /* NULL: not under way */
    /* A message in answer, before done. May be NULL. */
    void (*on_reply)(struct netlink_request *request, const struct nlmsghdr *reply);
    /* Once, from the loop: 0 or a negative errno. -ENOBUFS: answers were lost, it may have been carried out. */
    void (*done)(struct netlink_request *request, int status);
};

/* Returns 0, -EPERM, -EMFILE, -EAGAIN no thread, -ENOMEM. */
int netlink_open(struct netlink **out, uv_loop_t *loop, shoal_error_t *err);
/* Nothing is under way any more. cb: once, from the loop. */
void netlink_close(struct netlink *netlink, void (*cb)(void *data), void *data);

/* Have messages (NLM_F_REQUEST | NLM_F_ACK are added; a dump, NLM_F_DUMP, has an end instead) carried out by the thread, one
 * behind the other, in the order of the calls. Messages are copied.
 * fd: another socket than netlink's own, which stays open and unused until the last is done; -1.
 * keep_fd: a descriptor that the messages name; taken, closed when they are carried out, or when the call fails; -1.
 * Returns 0, or a negative errno: then none is under way. */
int netlink_send(struct netlink *netlink, struct nl_msg *const *messages, struct netlink_request *const *requests,
                 size_t count, int fd, int keep_fd, shoal_error_t *err);
/* done is not called. What the thread has not begun with and nobody waits for is not carried out. */
void netlink_cancel(struct netlink *netlink, struct netlink_request *request);

/* Blocking. fd: from netlink_open_blocking(). Returns 0 or what the kernel answered. */
int netlink_open_blocking(shoal_error_t *err);
int netlink_ask(int fd, struct nl_msg *message);
/* The same for a question: on_reply for each message before the ACK. */
int netlink_ask_reply(int fd, struct nl_msg *message, void (*on_reply)(void *data, const struct nlmsghdr *reply),
                      void *data);
/* A dump: on_reply for each message. */
int netlink_dump(int fd, struct nl_msg *message, void (*on_reply)(void *data, const struct nlmsghdr *reply),
                 void *data);

#endif
