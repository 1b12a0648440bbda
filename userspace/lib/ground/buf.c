// SPDX-License-Identifier: GPL-2.0-or-later
/* buf.c - see buf.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

static const char hex[] = "0123456789abcdef";

/* Room for `more` bytes and a NUL. */
static bool reserve(struct sp_buf *buf, size_t more)
{
	size_t need, size;
	char *data;

	if (buf->error)
		return false;
	if (more >= SIZE_MAX / 2 - buf->len) {
		buf->error = -ENOMEM;
		return false;
	}
	need = buf->len + more + 1;
	if (need <= buf->size)
		return true;
	size = buf->size ? buf->size : 256;
	while (size < need)
		size *= 2;
	data = realloc(buf->data, size);
	if (!data) {
		buf->error = -ENOMEM;
		return false;
	}
	buf->data = data;
	buf->size = size;
	return true;
}

static void add_bytes(struct sp_buf *buf, const void *bytes, size_t len)
{
	if (!reserve(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	/* reserve() has made it: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	buf->data[buf->len] = '\0';
}

void sp_buf_add(struct sp_buf *buf, const char *text)
{
	add_bytes(buf, text, strlen(text));
}

void sp_buf_printf(struct sp_buf *buf, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0) {
		buf->error = -ENOMEM;
		return;
	}
	if (!reserve(buf, len))
		return;
	va_start(args, format);
	vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
	va_end(args);
	buf->len += len;
}

size_t sp_utf8_char(const uint8_t *bytes, size_t len, uint32_t *ret_char)
{
	static const uint32_t lowest[5] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t first = bytes[0];
	size_t need, i;
	uint32_t c;

	if (first < 0x80) {
		*ret_char = first;
		return 1;
	}
	if (first >= 0xc2 && first <= 0xdf) {
		need = 2;
		c = first & 0x1f;
	} else if (first >= 0xe0 && first <= 0xef) {
		need = 3;
		c = first & 0x0f;
	} else if (first >= 0xf0 && first <= 0xf4) {
		need = 4;
		c = first & 0x07;
	} else {
		return 0;
	}
	if (len < need)
		return 0;
	for (i = 1; i < need; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (bytes[i] & 0x3f);
	}
	if (c < lowest[need] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret_char = c;
	return need;
}

bool sp_utf8_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x061c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe0fff);
}

static void add_json_escape(struct sp_buf *buf, uint32_t c)
{
	/* RFC 8259 7: characters outside the BMP are a surrogate pair */
	if (c >= 0x10000)
		sp_buf_printf(buf, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
	else
		sp_buf_printf(buf, "\\u%04x", c);
}

void sp_buf_json(struct sp_buf *buf, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t i = 0;

	add_bytes(buf, "\"", 1);
	while (i < len) {
		uint32_t c = 0;
		size_t n = sp_utf8_char(p + i, len - i, &c);

		if (n == 0) {
			sp_buf_add(buf, "\\ufffd");
			n = 1;
		} else if (c == '"' || c == '\\') {
			add_bytes(buf, "\\", 1);
			add_bytes(buf, p + i, 1);
		} else if (sp_utf8_unsafe(c)) {
			add_json_escape(buf, c);
		} else {
			add_bytes(buf, p + i, n);
		}
		i += n;
	}
	add_bytes(buf, "\"", 1);
}

void sp_buf_json_member(struct sp_buf *buf, const char *key, const char *text)
{
	sp_buf_printf(buf, "\"%s\":", key);
	if (text)
		sp_buf_json(buf, text, strlen(text));
	else
		sp_buf_add(buf, "null");
}

static void add_hex(struct sp_buf *buf, uint8_t byte)
{
	char text[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};

	add_bytes(buf, text, sizeof(text));
}

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_.:/@+*-", c));
}

void sp_buf_word(struct sp_buf *buf, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	bool plain = len > 0;
	size_t i;

	for (i = 0; i < len; i++)
		plain = plain && is_plain(p[i]);
	if (plain) {
		add_bytes(buf, p, len);
		return;
	}
	add_bytes(buf, "\"", 1);
	for (i = 0; i < len; i++) {
		if (p[i] == '"' || p[i] == '\\') {
			add_bytes(buf, "\\", 1);
			add_bytes(buf, p + i, 1);
		} else if (p[i] < 0x20 || p[i] > 0x7e) {
			add_hex(buf, p[i]);
		} else {
			add_bytes(buf, p + i, 1);
		}
	}
	add_bytes(buf, "\"", 1);
}

void sp_buf_text(struct sp_buf *buf, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len = strlen(text), i = 0;

	while (i < len) {
		uint32_t c = 0;
		size_t n = sp_utf8_char(p + i, len - i, &c);

		if (n && !sp_utf8_unsafe(c)) {
			add_bytes(buf, p + i, n);
			i += n;
			continue;
		}
		for (n = n ? n : 1; n; n--)
			add_hex(buf, p[i++]);
	}
}

int sp_buf_take(struct sp_buf *buf, char **ret)
{
	/* an empty text is a text too */
	if (!buf->data)
		add_bytes(buf, "", 0);
	if (buf->error) {
		int error = buf->error;

		sp_buf_free(buf);
		return error;
	}
	*ret = buf->data;
	*buf = (struct sp_buf){0};
	return 0;
}

void sp_buf_free(struct sp_buf *buf)
{
	free(buf->data);
	*buf = (struct sp_buf){0};
}
