/* What a user name means, from the text of /etc/passwd and /etc/group alone: passwd(5), group(5), docker run --user. */
#ifndef IMAGE_USER_H
#define IMAGE_USER_H

#include "image/image.h"

/* As image_find_user. passwd, group: the files' text, NULL where the image has none. */
int user_resolve(const char *passwd, const char *group, const char *user, const shoal_strings_t *extra_groups,
                 struct image_user *out, shoal_error_t *err);

#endif
