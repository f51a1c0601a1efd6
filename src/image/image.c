#include "image/image.h"

#include <errno.h>
#include <fcntl.h>

#include "image/builtin.h"
#include "image/layer.h"

static int open_layer(const char *path, shoal_error_t *err)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? shoal_fail(err, -errno, "%s", path) : fd;
}

/* The directory of layer index: as written, or where the builtin image was made. */
static int find_layer(const shoal_image_t *wanted, size_t index, const char *root_dir, char **out_path,
                      shoal_error_t *err)
{
    switch (wanted->kind) {
    case SHOAL_IMAGE_BUILTIN:
        return builtin_make(wanted->layers.items[index], root_dir, out_path, err);
    case SHOAL_IMAGE_DIRECTORY:
        *out_path = base_format("%s", wanted->layers.items[index]);
        return *out_path == NULL ? shoal_fail(err, -ENOMEM, "layers") : 0;
    }
    return shoal_fail(err, -EINVAL, "kind %d", (int)wanted->kind);
}

int image_open(struct image **out, const shoal_image_t *wanted, const char *root_dir, shoal_error_t *err)
{
    const char *name = wanted->text ? wanted->text : "without a name";
    size_t count = wanted->layers.count;
    if (count == 0)
        return shoal_refuse(err, -EINVAL, "image %s: it has no layers", name);
    struct image *image = calloc(1, sizeof *image + count * sizeof image->layer_fds[0]);
    if (image == NULL)
        return shoal_fail(err, -ENOMEM, "image %s", name);

    int code = 0;
    while (code >= 0 && image->layer_count < count) {
        AUTO_FREE char *path = NULL;
        code = find_layer(wanted, image->layer_count, root_dir, &path, err);
        if (code == 0)
            code = open_layer(path, err);
        if (code >= 0)
            image->layer_fds[image->layer_count++] = code;
    }
    if (code < 0) {
        (void)shoal_within(err, "image %s", name);
        image_free(image);
        return code;
    }
    *out = image;
    return 0;
}

void image_free(struct image *image)
{
    if (image == NULL)
        return;
    for (size_t i = 0; i < image->layer_count; i++)
        (void)close(image->layer_fds[i]);
    free(image);
}

size_t image_layer_count(const struct image *image)
{
    return image->layer_count;
}

int image_layer_fd(const struct image *image, size_t index)
{
    return image->layer_fds[index];
}
