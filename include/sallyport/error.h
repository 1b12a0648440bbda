/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.h - errors that a person must fix.
 *
 * Functions that can fail return 0 or -errno and take a `struct sp_error **err` last (which may be
 * NULL). On failure *err is a new object that the caller frees with sp_error_free(); on success it
 * is left alone. An error is made where it happens and wrapped on the way up.
 */
#ifndef SALLYPORT_ERROR_H
#define SALLYPORT_ERROR_H

#include <stdarg.h>

/* What is wrong, and where, if it is in a document. */
struct sp_error {
	int code;      /* -errno */
	char *message; /* one line, no trailing newline, no trailing full stop */
	char *file;    /* or NULL */
	int line;      /* 1.., or 0 if not known */
	int column;    /* 1.. in bytes, or 0 */
	char *path;    /* JSON path such as $.rules[2].ports[0], or NULL */
};

/* Makes an error; returns code, so that `return sp_error_set(err, -EINVAL, "...")` works. */
int sp_error_set(struct sp_error **err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message of *err (no effect if err or *err is NULL); returns its code.
 */
int sp_error_wrap(struct sp_error **err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "file:line:column: path: message" in a malloc'ed string (parts that are not known left out),
 * or NULL (out of memory). */
char *sp_error_text(const struct sp_error *err);

/* NULL is allowed. */
void sp_error_free(struct sp_error *err);

#endif
