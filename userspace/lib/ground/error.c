// SPDX-License-Identifier: GPL-2.0-or-later
/* error.c - see sallyport/error.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport/error.h>

#include "buf.h"

int sp_error_set(struct sp_error **err, int code, const char *format, ...)
{
	struct sp_error *e;
	va_list args;

	if (!err)
		return code;
	*err = NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return code;
	e->code = code;
	va_start(args, format);
	if (vasprintf(&e->message, format, args) < 0)
		e->message = NULL;
	va_end(args);
	*err = e;
	return code;
}

int sp_error_wrap(struct sp_error **err, int code, const char *format, ...)
{
	char *prefix = NULL, *message = NULL;
	va_list args;

	if (!err || !*err)
		return code;
	va_start(args, format);
	if (vasprintf(&prefix, format, args) < 0)
		prefix = NULL;
	va_end(args);
	/* without memory the inner message alone still says what went wrong */
	if (prefix && asprintf(&message, "%s: %s", prefix,
			       (*err)->message ? (*err)->message : "out of memory") >= 0) {
		free((*err)->message);
		(*err)->message = message;
	}
	free(prefix);
	(*err)->code = code;
	return code;
}

char *sp_error_text(const struct sp_error *err)
{
	struct sp_buf buf = {0};
	char *text = NULL;

	if (!err)
		return strdup("out of memory");
	if (err->file) {
		sp_buf_add(&buf, err->file);
		sp_buf_add(&buf, ":");
		if (err->line > 0)
			sp_buf_printf(&buf, "%d:", err->line);
		if (err->line > 0 && err->column > 0)
			sp_buf_printf(&buf, "%d:", err->column);
		sp_buf_add(&buf, " ");
	}
	if (err->path)
		sp_buf_printf(&buf, "%s: ", err->path);
	sp_buf_add(&buf, err->message ? err->message : "out of memory");
	if (sp_buf_take(&buf, &text) < 0)
		return NULL;
	return text;
}

void sp_error_free(struct sp_error *err)
{
	if (!err)
		return;
	free(err->message);
	free(err->file);
	free(err->path);
	free(err);
}
