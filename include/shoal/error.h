/* Errors: a negative errno for the program, a sentence for the person. */
#ifndef SHOAL_ERROR_H
#define SHOAL_ERROR_H

#if defined(__GNUC__)
#define SHOAL_API __attribute__((visibility("default")))
#define SHOAL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SHOAL_API
#define SHOAL_PRINTF(fmt, args)
#endif

/** One failure. Lives on the caller's stack, so that it survives ENOMEM.
 *  code: negative errno; text: one line without a newline, cut with "..." where it does not fit. */
typedef struct shoal_error {
    int code;
    char text[400];
} shoal_error_t;

typedef enum shoal_severity { SHOAL_ERROR, SHOAL_WARNING } shoal_severity_t;

/** Fill err with a sentence; where code is a negative errno the errno's text is added behind a colon.
 *  err: may be NULL. Returns code. Any thread. */
SHOAL_API int shoal_fail(shoal_error_t *err, int code, const char *fmt, ...) SHOAL_PRINTF(3, 4);

/** Fill err with a sentence that needs no errno text behind it. Returns code. Any thread. */
SHOAL_API int shoal_refuse(shoal_error_t *err, int code, const char *fmt, ...) SHOAL_PRINTF(3, 4);

/** Put outer context and a colon in front of err's sentence; keeps and returns err's code.
 *  err: may be NULL (returns 0). Any thread. */
SHOAL_API int shoal_within(shoal_error_t *err, const char *fmt, ...) SHOAL_PRINTF(2, 3);

#endif
