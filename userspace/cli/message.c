/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * message.c - what the commands say on stderr, as text or as JSON.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static bool json;

void sp_cli_json(bool on)
{
	json = on;
}

bool sp_cli_is_json(void)
{
	return json;
}

bool sp_cli_colour(int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

/* Bytes of the UTF-8 sequence at `s` (RFC 3629), or 0 if it is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80   ? 1
		     : s[0] < 0xc2 ? 0
		     : s[0] < 0xe0 ? 2
		     : s[0] < 0xf0 ? 3
		     : s[0] < 0xf5 ? 4
				   : 0;
	uint32_t value = len < 2 ? s[0] : s[0] & (0x7f >> len);

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3f);
	}
	if (len > 1 && (value < lowest[len] || value > 0x10ffff || (value & 0x1ff800) == 0xd800))
		return 0;
	return len;
}

char *sp_cli_json_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	char *ret = malloc(6 * strlen(text) + 3); /* \u00XX is the longest a byte becomes */
	char *to = ret;
	size_t len;

	if (!ret)
		return NULL;
	*to++ = '"';
	while (*s) {
		len = utf8_len(s);
		if (!len) {
			to = stpcpy(to, "\\ufffd");
			s++;
		} else if (*s == '"' || *s == '\\') {
			*to++ = '\\';
			*to++ = *s++;
		} else if (*s < 0x20 || *s == 0x7f) {
			to += sprintf(to, "\\u%04x", *s++);
		} else {
			to = mempcpy(to, s, len);
			s += len;
		}
	}
	*to++ = '"';
	*to = '\0';
	return ret;
}

/* Text that came from outside must not drive the terminal. */
static void plain(char *text)
{
	for (unsigned char *s = (unsigned char *)text; *s; s++)
		if ((*s < 0x20 && *s != '\t') || *s == 0x7f)
			*s = '?';
}

static void say(const char *kind, const char *format, va_list args)
{
	char *text = NULL, *quoted = NULL;

	if (vasprintf(&text, format, args) < 0) {
		dprintf(STDERR_FILENO, "sallyport: %s\n", strerror(ENOMEM));
		return;
	}
	if (json)
		quoted = sp_cli_json_string(text);
	plain(text);
	if (quoted)
		dprintf(STDERR_FILENO, "{\"%s\":%s}\n", kind, quoted);
	else if (!strcmp(kind, "warning"))
		dprintf(STDERR_FILENO, "sallyport: warning: %s\n", text);
	else
		dprintf(STDERR_FILENO, "sallyport: %s\n", text);
	free(quoted);
	free(text);
}

#define SAY(kind)                                                                                  \
	do {                                                                                       \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		say(kind, format, args);                                                           \
		va_end(args);                                                                      \
	} while (0)

void sp_cli_error(const char *format, ...)
{
	SAY("error");
}

void sp_cli_warn(const char *format, ...)
{
	SAY("warning");
}

void sp_cli_note(const char *format, ...)
{
	SAY("note");
}

void sp_cli_error_object(struct sp_error *err)
{
	char *text = err ? sp_error_text(err) : NULL;

	sp_cli_error("%s", text ? text : "unknown error");
	free(text);
	sp_error_free(err);
}
