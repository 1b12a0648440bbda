/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * buf.h - text that grows, and the only two ways in which foreign bytes get into it.
 *
 * A failure to allocate is remembered and every later call does nothing, so that a writer of many
 * fields checks once, in sp_buf_take().
 */
#ifndef SALLYPORT_LIB_BUF_H
#define SALLYPORT_LIB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. */
struct sp_buf {
	char *data; /* ends with a NUL when not NULL */
	size_t len; /* without the NUL */
	size_t size;
	int error; /* 0 or -ENOMEM */
};

/* Text of our own. */
void sp_buf_add(struct sp_buf *buf, const char *text);
void sp_buf_printf(struct sp_buf *buf, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * A JSON string with its quotation marks (RFC 8259 7). The output is valid UTF-8 whatever the
 * input: a byte that is not part of well-formed UTF-8 (RFC 3629 4) becomes \ufffd; control
 * characters (C0, DEL, C1), line separators and the characters that turn the writing direction
 * become \uXXXX, so that a terminal showing the JSON cannot be driven by it either.
 */
void sp_buf_json(struct sp_buf *buf, const void *bytes, size_t len);

/* "key": and the text as a JSON string, or null. `key` needs no escaping. */
void sp_buf_json_member(struct sp_buf *buf, const char *key, const char *text);

/*
 * A word for a line that a person reads: as it is if it consists of [A-Za-z0-9_.:/@+*-] only,
 * otherwise in quotation marks with \\, \" and \xNN for every byte that is not printable ASCII. So
 * a hostile word can neither drive a terminal nor look like another part of the line.
 */
void sp_buf_word(struct sp_buf *buf, const void *bytes, size_t len);

/* Text of the policy: its UTF-8 is kept, what sp_buf_json() would escape becomes \xNN per byte. */
void sp_buf_text(struct sp_buf *buf, const char *text);

/* Hands the text over; 0, or -ENOMEM, and then *ret is untouched and nothing is kept. */
int sp_buf_take(struct sp_buf *buf, char **ret);
void sp_buf_free(struct sp_buf *buf);

/*
 * Bytes of the character that stands at bytes[0], and which it is; 0 if that is not well-formed
 * UTF-8 (RFC 3629 4: no overlong forms, no surrogates, nothing above U+10FFFF). `len` is not 0.
 */
size_t sp_utf8_char(const uint8_t *bytes, size_t len, uint32_t *ret_char);

/* A character that must not be shown as it is: a control, a separator, a change of direction. */
bool sp_utf8_unsafe(uint32_t c);

#endif
