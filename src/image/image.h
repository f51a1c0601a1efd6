/* image: root file systems. It knows directories as layers, the images we build in, what a user name means in an image,
 * how a container's directory on disk is laid out, and how it is bounded. It knows nothing of containers, cgroups or networks,
 * hands out descriptors and makes directories, and mounts nothing but the bounded writable layer (disk.c). It owns
 * ROOT/images, ROOT/containers/ID, ROOT/volumes.
 * Every function here may block on a disk: call it before the loop runs, or from a worker thread. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "shoal/error.h"
#include "shoal/spec.h"

/* The layers of one image, opened. Immutable once open, so any thread may read it. */
struct image;

/* Open every layer (O_PATH | O_DIRECTORY); a builtin image is made under root_dir/images first where it is missing or was
 * made from another busybox (atomically: built aside, then renamed).
 * Returns 0, -ENOENT ("image dir:/srv/web: /srv/web: No such file or directory"), -ENOTDIR, -ENOMEM, ... */
int image_open(struct image **out, const shoal_image_t *wanted, const char *root_dir, shoal_error_t *err);
void image_free(struct image *image);
size_t image_layer_count(const struct image *image);
int image_layer_fd(const struct image *image, size_t index); /* borrowed; 0 is the lowest */

/* Who a process is inside: ids as the sandbox sees them. */
struct image_user {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[64]; /* supplementary */
    char home[256];   /* "/" where the image does not say */
};

/* Resolve user ("", "name", "uid", "name:group", "uid:gid"; NULL is root) and extra groups (names or numbers) against
 * /etc/passwd and /etc/group of the topmost layer that has them, as docker run --user does: a number need not be listed, a
 * name must be. Symbolic links are followed inside the layer only.
 * Returns 0, -ENOENT ("user 'joe' is not in the image's /etc/passwd"), -EINVAL out of 0..65535, -E2BIG too many groups. */
int image_find_user(const struct image *image, const char *user, const shoal_strings_t *extra_groups,
                    struct image_user *out, shoal_error_t *err);

/* Text that is put into the root file system's writable layer before the first start. */
struct image_file {
    const char *path; /* relative: "etc/hostname" */
    const char *text;
};

/* How much a container's writable layer holds, and what sees to it: a value that is copied. */
struct image_disk {
    shoal_disk_via_t via; /* not AUTO */
    uint64_t bytes;
    uint64_t inodes;  /* 0: no limit of its own */
    uint32_t project; /* quota: once it is made */
};
struct image_disk_use {
    uint64_t bytes, bytes_max, inodes, inodes_max; /* inodes_max: UINT64_MAX without limit */
};
#define IMAGE_DISK_MOUNT "disk" /* below a container's place, where image_disk_is_mounted(): upper and work are in it */

/* What of the ways can be gone in the file system of dir. AUTO is quota, or else loop.
 * Returns 0, or a negative errno and the reason in err. */
int image_disk_choose(const char *dir, shoal_disk_via_t wanted, shoal_disk_via_t *out, shoal_error_t *err);
bool image_disk_is_mounted(const struct image_disk *disk);
const char *image_disk_word(shoal_disk_via_t via);

/* Of a container's place that image_make_rootfs() has made: let disk's limits be in force (loop: -ENOTSUP), read what is used. */
int image_disk_change(const struct image_disk *disk, const char *dir, shoal_error_t *err);
int image_disk_read(const struct image_disk *disk, const char *dir, struct image_disk_use *out, shoal_error_t *err);
/* Lift its bounds, before its tree is removed; it says itself what they are. Missing is fine. The second: of each place in path. */
int image_disk_end(const char *dir, shoal_error_t *err);
int image_disk_end_all(const char *path, shoal_error_t *err);

/* Make dir (absolute; its parents exist) as a container's place on disk, owned by base_id, mode 0711:
 *   l0 .. lN  empty, one per layer: where the child attaches the lower layers (0 is the lowest)
 *   upper, work  for overlayfs, owned by base_id; upper's own mode and the times of a merged "etc" follow the top layer
 *   root      where the overlay is mounted
 * and write files into upper, owned by base_id, 0644, making missing parents as the layers have them.
 * disk: NULL, or the bounds of upper and work, whose project is filled in.
 * A leftover dir of that name is removed first. On failure nothing stays. */
int image_make_rootfs(const struct image *image, const char *dir, uid_t base_id, struct image_disk *disk,
                      const struct image_file *files, size_t file_count, shoal_error_t *err);

/* Remove a tree, never leaving the file system it is on and never following a link. Missing is fine. */
int image_remove_tree(const char *path, shoal_error_t *err);

/* Make root_dir/volumes/FULL_NAME/_data if it is missing, owned by root: the ids on disk are the sandbox's own (the mount
 * is idmapped). out_path: owned by the caller. */
int image_make_volume(const char *root_dir, const char *full_name, char **out_path, shoal_error_t *err);

/* mkdir -p, mode 0755 (0711 for directories a sandbox's child walks through is the caller's business). */
int image_make_directories(const char *path, mode_t mode, shoal_error_t *err);

#endif
