/* What the writable layer may hold: x-shoal.disk and, in Compose's word, storage_opt. */
#include <errno.h>
#include <string.h>

#include "compose/keys.h"
#include "compose/values.h"

enum { BYTES_LEAST = 1 << 20, INODES_LEAST = 64 }; /* room for what a sandbox has in it at its first start */
#define BYTES_MOST (UINT64_C(1) << 44)             /* the longest file of an ext4 */
#define INODES_MOST UINT64_C(4294967295)

static bool take_bytes(struct load *load, const struct place *at, const struct node *value, uint64_t *out)
{
    uint64_t bytes;
    if (!take_size(load, at, value, &bytes))
        return false;
    if (bytes < BYTES_LEAST || bytes > BYTES_MOST) {
        load_error(load, at, "%.60s is out of range; it goes from 1m to 16t", value->text);
        return false;
    }
    *out = bytes;
    return true;
}

/* bytes 0: those that were not written, which was said. */
static void put_bytes(struct load *load, const struct place *at, const char *key, shoal_disk_t *disk, uint64_t bytes)
{
    if (disk->set && disk->bytes != bytes && disk->bytes > 0 && bytes > 0)
        load_error(load, at, "is not the size that %s says; leave one out", disk->key);
    disk->set = true;
    disk->bytes = bytes;
    disk->key = key;
    disk->at = place_position(load, at);
}

static void read_disk_size(struct load *load, const struct place *at, const struct key *key, struct node *value,
                           void *object)
{
    (void)key;
    (void)take_bytes(load, at, value, &((shoal_disk_t *)object)->bytes);
}

static void read_disk_inodes(struct load *load, const struct place *at, const struct key *key, struct node *value,
                             void *object)
{
    (void)key;
    const char *text;
    uint64_t count;
    if (!take_scalar(load, at, value, &text))
        return;
    int code = value_count(text, &count);
    if (code == -EINVAL)
        load_error(load, at, "\"%.60s\" is not a number of inodes; write 50000, 100k or 1.5m", text);
    else if (code < 0 || count < INODES_LEAST || count > INODES_MOST)
        load_error(load, at, "%.60s is out of range; it goes from %d to %llu", text, INODES_LEAST,
                   (unsigned long long)INODES_MOST);
    else
        ((shoal_disk_t *)object)->inodes = count;
}

static void read_disk_via(struct load *load, const struct place *at, const struct key *key, struct node *value,
                          void *object)
{
    (void)key;
    static const struct {
        const char *word;
        shoal_disk_via_t via;
    } ways[] = {{"quota", SHOAL_DISK_QUOTA}, {"loop", SHOAL_DISK_LOOP}, {"tmpfs", SHOAL_DISK_TMPFS}};
    const char *text;
    if (!take_text(load, at, value, &text))
        return;
    for (size_t i = 0; i < COUNT(ways); i++)
        if (strcmp(ways[i].word, text) == 0) {
            ((shoal_disk_t *)object)->via = ways[i].via;
            return;
        }
    load_error(load, at, "\"%.60s\" is not known; write quota, loop or tmpfs", text);
}

static const struct key disk_keys[] = {
    {"size", .reload = RELOAD_LIVE, .read = read_disk_size, .needed = true, .form = "size",
     .doc =
         "From 1m to 16t. A write beyond it fails, inside alone: with ENOSPC, or EDQUOT by a project quota of ext4."},
    {"inodes", .reload = RELOAD_LIVE, .read = read_disk_inodes, .form = "number or 100k",
     .doc = "Files, directories and links, in steps of 1000: 50000, 100k, 1.5m. Default: of a tmpfs one for each 4 KiB "
            "of _size_, else as many as the file system has."},
    {"via", .read = read_disk_via, .form = "text",
     .doc = "*quota*: a project quota of the file system of the root directory (ext4 or xfs, mounted with prjquota). "
            "*loop*: an ext4 of its own in a sparse file, which takes a part of _size_ for itself and keeps its size "
            "while the fleet runs. *tmpfs*: memory, which counts as the sandbox's own. Default: *quota* where the file "
            "system has it, else *loop*."},
};
const struct section disk_section = SECTION("services.NAME.x-shoal.disk",
                                            "The writable layer of each container: all that it writes outside of "
                                            "volumes and tmpfs. A size alone says _size_.",
                                            disk_keys, false);

void read_disk(struct load *load, const struct place *at, const struct key *key, struct node *value, void *object)
{
    shoal_service_t *service = object;
    shoal_disk_t disk = {0};
    if (value->kind == NODE_LIST) {
        load_error(load, at, "takes a size, or a mapping with size");
        return;
    }
    if (value->kind == NODE_SCALAR) {
        if (!take_bytes(load, at, value, &disk.bytes))
            return;
    } else if (!read_section(load, at, key->section, value, &disk)) {
        return;
    } else if (node_is_null(node_get(value, "size"))) {
        load_error(load, at, "needs a size");
        return;
    }
    service->disk.inodes = disk.inodes;
    service->disk.via = disk.via;
    put_bytes(load, at, "x-shoal.disk", &service->disk, disk.bytes);
}

void read_storage_opt(struct load *load, const struct place *at, const struct key *key, struct node *value,
                      void *object)
{
    (void)key;
    shoal_service_t *service = object;
    if (!take_kind(load, at, value, NODE_MAP))
        return;
    for (size_t i = 0; i < value->count; i++) {
        struct place inner = place_key(at, &value->entries[i]);
        uint64_t bytes;
        if (strcmp(inner.word, "size") != 0)
            load_unsupported(load, &inner, "is not carried out; size is");
        else if (take_bytes(load, &inner, value->entries[i].value, &bytes))
            put_bytes(load, &inner, "storage_opt.size", &service->disk, bytes);
    }
}
