/* Id ranges are the host's, not one run directory's: blocks of them are leased through files in one fixed place. A lease is
 * the file's lock while its supervisor lives; after a crash, whose sandboxes may go on, it is the owner's name in the file,
 * until that owner comes back or its state directory is gone. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "image/image.h"
#include "supervisor/inside.h"

/* Ids from 2^28: above what /etc/subuid gives out (from 100000), inside the range that systemd's UIDS-GIDS.md leaves to
 * containers (524288 to 1879048191). */
enum { FIRST_ID = 1 << 28, BLOCK_RANGES = 256, BLOCK_COUNT = 95 };
static const char lease_dir[] = "/run/shoal/ids";

struct block {
    int fd; /* its lease */
    unsigned number;
    uint64_t taken[BLOCK_RANGES / 64];
};

struct idranges {
    char *owner; /* owned */
    size_t block_count;
    struct block blocks[BLOCK_COUNT];
    uint32_t next; /* where the next search begins, so that a range rests before it is used again */
};

static uint32_t block_first(unsigned number)
{
    return (uint32_t)FIRST_ID + number * (uint32_t)BLOCK_RANGES * CONTAINER_IDS;
}

/* Whether /etc/subuid or /etc/subgid gives ids of this block to somebody. */
static bool is_given_away(const char *file, unsigned number)
{
    FILE *stream = fopen(file, "re");
    if (stream == NULL)
        return false;
    uint64_t first = block_first(number), end = first + (uint64_t)BLOCK_RANGES * CONTAINER_IDS;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof line, stream) != NULL) {
        unsigned long long from, count;
        found = sscanf(line, "%*[^:]:%llu:%llu", &from, &count) == 2 && from < end && from + count > first;
    }
    (void)fclose(stream);
    return found;
}

static bool is_owned_by_other(int fd, const char *owner)
{
    char text[4096];
    ssize_t count = pread(fd, text, sizeof text - 1, 0);
    if (count <= 0)
        return false;
    text[count] = '\0';
    struct stat about;
    return strcmp(text, owner) != 0 && stat(text, &about) == 0;
}

/* Returns 1 leased, 0 somebody else has it, or a negative errno. */
static int lease_block(struct idranges *ranges, unsigned number, shoal_error_t *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%u", lease_dir, number);
    AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return shoal_fail(err, -errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? 0 : shoal_fail(err, -errno, "lock %s", path);
    struct stat open_file, named_file; /* its last owner may have removed the name between our open and our lock */
    if (fstat(fd, &open_file) < 0 || stat(path, &named_file) < 0 || open_file.st_ino != named_file.st_ino)
        return 0;
    if (is_owned_by_other(fd, ranges->owner))
        return 0;
    size_t length = strlen(ranges->owner);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, ranges->owner, length, 0) != (ssize_t)length)
        return shoal_fail(err, -errno, "write %s", path);
    ranges->blocks[ranges->block_count++] = (struct block){.fd = take_fd(&fd), .number = number};
    return 1;
}

int idranges_open(struct idranges **out, const char *owner_dir, size_t count, shoal_error_t *err)
{
    struct idranges *ranges = calloc(1, sizeof *ranges);
    if (ranges == NULL)
        return shoal_fail(err, -ENOMEM, "id ranges");
    ranges->owner = base_format("%s", owner_dir);
    int code = ranges->owner == NULL ? shoal_fail(err, -ENOMEM, "id ranges")
                                     : image_make_directories(lease_dir, 0755, err);
    size_t wanted = (count + BLOCK_RANGES - 1) / BLOCK_RANGES;
    for (unsigned number = 0; number < BLOCK_COUNT && code >= 0 && ranges->block_count < wanted; number++) {
        if (is_given_away("/etc/subuid", number) || is_given_away("/etc/subgid", number))
            continue;
        code = lease_block(ranges, number, err);
    }
    if (code >= 0 && ranges->block_count < wanted)
        code = shoal_refuse(err, -ENOSPC,
                            "id ranges: %zu sandboxes need %zu blocks of %d ranges, the host has %zu left (%s)", count,
                            wanted, BLOCK_RANGES, ranges->block_count, lease_dir);
    if (code < 0) {
        idranges_close(ranges);
        return code;
    }
    *out = ranges;
    return 0;
}

uint64_t idranges_read_limit(void)
{
    uint64_t limit = 0;
    for (unsigned number = 0; number < BLOCK_COUNT; number++)
        if (!is_given_away("/etc/subuid", number) && !is_given_away("/etc/subgid", number))
            limit += BLOCK_RANGES;
    return limit;
}

uint64_t idranges_read_leased(const char *except_owner)
{
    uint64_t leased = 0;
    for (unsigned number = 0; number < BLOCK_COUNT; number++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/%u", lease_dir, number);
        AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && is_owned_by_other(fd, except_owner))
            leased += BLOCK_RANGES;
    }
    return leased;
}

int idranges_take(struct idranges *ranges, uint32_t *out_first)
{
    uint32_t total = (uint32_t)ranges->block_count * BLOCK_RANGES;
    for (uint32_t i = 0; i < total; i++) {
        uint32_t at = (ranges->next + i) % total;
        struct block *block = &ranges->blocks[at / BLOCK_RANGES];
        uint32_t bit = at % BLOCK_RANGES;
        if (block->taken[bit / 64] >> bit % 64 & 1)
            continue;
        block->taken[bit / 64] |= UINT64_C(1) << bit % 64;
        ranges->next = at + 1;
        *out_first = block_first(block->number) + bit * CONTAINER_IDS;
        return 0;
    }
    return -ENOSPC;
}

void idranges_give(struct idranges *ranges, uint32_t first)
{
    for (size_t i = 0; i < ranges->block_count; i++) {
        struct block *block = &ranges->blocks[i];
        uint32_t bit = (first - block_first(block->number)) / CONTAINER_IDS;
        if (first >= block_first(block->number) && bit < BLOCK_RANGES)
            block->taken[bit / 64] &= ~(UINT64_C(1) << bit % 64);
    }
}

void idranges_close(struct idranges *ranges)
{
    if (ranges == NULL)
        return;
    for (size_t i = 0; i < ranges->block_count; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/%u", lease_dir, ranges->blocks[i].number);
        (void)unlink(path); /* under its lock, which ends with the descriptor */
        base_close_fd(&ranges->blocks[i].fd);
    }
    free(ranges->owner);
    free(ranges);
}
