// SPDX-License-Identifier: GPL-2.0-or-later
/* scan.c - see scan.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport/policy.h>

#include "buf.h"
#include "scan.h"

/* A number longer than this has digits that no reader keeps; the JSON library stops at 63. */
#define NUMBER_MAX 40
#define PATH_KEY_MAX 64

struct frame {
	bool object;
	uint32_t index;	     /* of the element or member at hand */
	size_t key, key_len; /* bytes between the quotes of the member's key */
};

struct scanner {
	const char *text;
	size_t len, pos;
	const char *source;
	struct sp_scan_rules *rules;
	struct sp_error **err;
	uint64_t values; /* started so far */
	unsigned int depth;
	struct frame frames[SP_POLICY_DEPTH_MAX];
	/* a value to be found */
	bool find, find_key;
	uint64_t want;
	struct sp_error *found;
};

void sp_scan_advance(const char *text, size_t offset, struct sp_scan_line *at)
{
	while (at->offset < offset) {
		if (text[at->offset++] == '\n') {
			at->line++;
			at->column = 1;
		} else {
			at->column++;
		}
	}
}

static char *path_text(const struct scanner *s)
{
	struct sp_buf buf = {0};
	char *path = NULL;

	sp_buf_add(&buf, "$");
	for (unsigned int i = 0; i < s->depth; i++) {
		const struct frame *frame = &s->frames[i];
		char key[PATH_KEY_MAX + 4];
		size_t n = frame->key_len < PATH_KEY_MAX ? frame->key_len : PATH_KEY_MAX;
		bool plain = frame->key_len > 0 && frame->key_len <= PATH_KEY_MAX;

		if (!frame->object) {
			sp_buf_printf(&buf, "[%u]", frame->index);
			continue;
		}
		if (!frame->key) /* before the first key */
			break;
		for (size_t j = 0; plain && j < n; j++) {
			char c = s->text[frame->key + j];

			plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
				c == '$' || (j > 0 && c >= '0' && c <= '9');
		}
		memcpy(key, s->text + frame->key, n);
		snprintf(key + n, sizeof(key) - n, "%s", n < frame->key_len ? "..." : "");
		sp_buf_add(&buf, plain ? "." : "[\"");
		sp_buf_text(&buf, key);
		sp_buf_add(&buf, plain ? "" : "\"]");
	}
	return sp_buf_take(&buf, &path) < 0 ? NULL : path;
}

static void set_place(const struct scanner *s, size_t offset, struct sp_error *e)
{
	struct sp_scan_line at = {0, 1, 1};

	sp_scan_advance(s->text, offset, &at);
	e->line = at.line;
	e->column = at.column;
	free(e->file);
	e->file = s->source ? strdup(s->source) : NULL;
	free(e->path);
	e->path = path_text(s);
}

static int fail(struct scanner *s, size_t offset, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct scanner *s, size_t offset, int code, const char *format, ...)
{
	char message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	sp_error_set(s->err, code, "%s", message);
	if (s->err && *s->err)
		set_place(s, offset < s->len ? offset : s->len, *s->err);
	return code;
}

static void skip_space(struct scanner *s)
{
	while (s->pos < s->len) {
		char c = s->text[s->pos];

		if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
			break;
		s->pos++;
	}
}

/* Something else than what was wanted stands at pos. */
static int unexpected(struct scanner *s, const char *wanted)
{
	unsigned char c;

	if (s->pos >= s->len)
		return fail(s, s->len, -EINVAL, "the document ends where %s is missing", wanted);
	c = s->text[s->pos];
	if (c == '#' || (c == '/' && s->pos + 1 < s->len &&
			 (s->text[s->pos + 1] == '/' || s->text[s->pos + 1] == '*')))
		return fail(s, s->pos, -EINVAL,
			    "comments are not JSON; a rule's \"note\" is the place for words");
	if (c == 0)
		return fail(s, s->pos, -EINVAL, "a NUL byte");
	if (c == '\'')
		return fail(s, s->pos, -EINVAL, "JSON strings stand in double quotes, not in '");
	if (c > 0x20 && c < 0x7f)
		return fail(s, s->pos, -EINVAL, "'%c' where %s is missing", c, wanted);
	return fail(s, s->pos, -EINVAL, "byte 0x%02x where %s is missing", c, wanted);
}

static int hex4(const struct scanner *s, size_t at, uint32_t *ret)
{
	uint32_t value = 0;

	if (s->len - at < 4)
		return -EINVAL;
	for (size_t i = 0; i < 4; i++) {
		unsigned char c = s->text[at + i];

		value <<= 4;
		if (c >= '0' && c <= '9')
			value |= c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value |= (c | 0x20) - 'a' + 10;
		else
			return -EINVAL;
	}
	*ret = value;
	return 0;
}

/* At a backslash (pos); moves past the escape. */
static int scan_escape(struct scanner *s)
{
	uint32_t c = 0, low = 0;
	size_t at = s->pos;

	if (at + 1 >= s->len)
		return fail(s, s->len, -EINVAL, "the document ends within a string");
	if (s->text[at + 1] != 'u') {
		if (!s->text[at + 1] || !strchr("\"\\/bfnrt", s->text[at + 1]))
			return fail(s, at, -EINVAL, "no such escape in JSON");
		s->pos += 2;
		return 0;
	}
	if (hex4(s, at + 2, &c) < 0)
		return fail(s, at, -EINVAL, "\\u needs four hexadecimal digits");
	s->pos += 6;
	if (c == 0)
		return fail(s, at, -EINVAL, "a NUL character within a string");
	if (c >= 0xdc00 && c <= 0xdfff)
		return fail(s, at, -EINVAL,
			    "the second half of a surrogate pair without the first");
	if (c < 0xd800 || c > 0xdbff)
		return 0;
	if (s->len - s->pos < 6 || s->text[s->pos] != '\\' || s->text[s->pos + 1] != 'u' ||
	    hex4(s, s->pos + 2, &low) < 0 || low < 0xdc00 || low > 0xdfff)
		return fail(s, at, -EINVAL,
			    "the first half of a surrogate pair without the second");
	s->pos += 6;
	return 0;
}

/* At an opening quote; moves past the closing one. */
static int scan_string(struct scanner *s)
{
	size_t start = s->pos++;

	for (;;) {
		unsigned char c;

		if (s->pos >= s->len)
			return fail(s, start, -EINVAL, "a string without its closing quote");
		c = s->text[s->pos];
		if (c == '"')
			break;
		if (c == '\\') {
			int r = scan_escape(s);

			if (r < 0)
				return r;
		} else if (c >= 0x80) {
			uint32_t character;
			size_t n = sp_utf8_char((const uint8_t *)s->text + s->pos, s->len - s->pos,
						&character);

			if (n == 0)
				return fail(s, s->pos, -EINVAL, "invalid UTF-8 (byte 0x%02x)", c);
			s->pos += n;
		} else if (c == 0) {
			return fail(s, s->pos, -EINVAL, "a NUL byte");
		} else if (c < 0x20) {
			return fail(s, s->pos, -EINVAL,
				    c == '\n' ? "a string without its closing quote on this line"
					      : "a control character within a string");
		} else {
			s->pos++;
		}
	}
	s->pos++;
	return 0;
}

static size_t scan_digits(struct scanner *s)
{
	size_t start = s->pos;

	while (s->pos < s->len && s->text[s->pos] >= '0' && s->text[s->pos] <= '9')
		s->pos++;
	return s->pos - start;
}

static int scan_number(struct scanner *s)
{
	size_t start = s->pos, digits;

	if (s->text[s->pos] == '-')
		s->pos++;
	digits = s->pos;
	if (scan_digits(s) == 0)
		return unexpected(s, "a digit");
	if (s->text[digits] == '0' && s->pos - digits > 1)
		return fail(s, start, -EINVAL, "a number does not start with 0");
	if (s->pos < s->len && s->text[s->pos] == '.') {
		s->pos++;
		if (scan_digits(s) == 0)
			return unexpected(s, "a digit");
	}
	if (s->pos < s->len && (s->text[s->pos] | 0x20) == 'e') {
		s->pos++;
		if (s->pos < s->len && (s->text[s->pos] == '+' || s->text[s->pos] == '-'))
			s->pos++;
		if (scan_digits(s) == 0)
			return unexpected(s, "a digit");
	}
	if (s->pos - start > NUMBER_MAX)
		return fail(s, start, -EINVAL, "a number of more than %d characters", NUMBER_MAX);
	return 0;
}

static int scan_word(struct scanner *s)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if (s->len - s->pos >= n && memcmp(s->text + s->pos, words[i], n) == 0) {
			s->pos += n;
			return 0;
		}
	}
	return unexpected(s, "a value");
}

static int note_rule(struct scanner *s)
{
	struct sp_scan_rules *rules = s->rules;

	if (rules->len == rules->size) {
		size_t size = rules->size ? rules->size * 2 : 64;
		uint32_t *bigger = realloc(rules->offsets, size * sizeof(*bigger));

		if (!bigger)
			return fail(s, s->pos, -ENOMEM, "out of memory");
		rules->offsets = bigger;
		rules->size = size;
	}
	rules->offsets[rules->len++] = s->pos;
	return 0;
}

/* A value starts at pos. Returns 1 if it is the one that is looked for. */
static int value_starts(struct scanner *s)
{
	const struct frame *top = &s->frames[0];

	if (s->find && s->values == s->want) {
		const struct frame *in = s->depth ? &s->frames[s->depth - 1] : NULL;

		set_place(s, s->find_key && in && in->object ? in->key - 1 : s->pos, s->found);
		return 1;
	}
	s->values++;
	if (s->rules && s->depth == 2 && top->object && top->key_len == 5 &&
	    memcmp(s->text + top->key, "rules", 5) == 0 && !s->frames[1].object)
		return note_rule(s);
	return 0;
}

static int scan_key(struct scanner *s)
{
	struct frame *frame = &s->frames[s->depth - 1];
	size_t start = s->pos;
	int r;

	if (s->pos >= s->len || s->text[s->pos] != '"')
		return unexpected(s, "a key in double quotes");
	r = scan_string(s);
	if (r < 0)
		return r;
	frame->key = start + 1;
	frame->key_len = s->pos - start - 2;
	skip_space(s);
	if (s->pos >= s->len || s->text[s->pos] != ':')
		return unexpected(s, "the ':' after a key");
	s->pos++;
	skip_space(s);
	return 0;
}

/* After a value: closes what ends here and moves to the next value; 1: the document is over. */
static int after_value(struct scanner *s)
{
	for (;;) {
		struct frame *frame;
		char c;

		skip_space(s);
		if (s->depth == 0)
			return 1;
		frame = &s->frames[s->depth - 1];
		c = s->pos < s->len ? s->text[s->pos] : 0;
		if (c == ',') {
			s->pos++;
			skip_space(s);
			if (s->pos < s->len && s->text[s->pos] == (frame->object ? '}' : ']'))
				return fail(s, s->pos, -EINVAL, "a comma before the closing '%c'",
					    s->text[s->pos]);
			frame->index++;
			return frame->object ? scan_key(s) : 0;
		}
		if (c != (frame->object ? '}' : ']'))
			return unexpected(s, frame->object ? "',' or '}'" : "',' or ']'");
		s->pos++;
		s->depth--;
	}
}

static int open_frame(struct scanner *s, bool object)
{
	if (s->depth == SP_POLICY_DEPTH_MAX)
		return fail(s, s->pos, -E2BIG, "nested more than %d deep", SP_POLICY_DEPTH_MAX);
	s->frames[s->depth++] = (struct frame){.object = object};
	s->pos++;
	skip_space(s);
	if (s->pos < s->len && s->text[s->pos] == (object ? '}' : ']')) {
		s->pos++;
		s->depth--;
		return 1; /* empty: the value is over */
	}
	return object ? scan_key(s) : 0;
}

static int scan_document(struct scanner *s)
{
	int r;

	skip_space(s);
	if (s->pos == s->len)
		return fail(s, 0, -EINVAL, "the document is empty");
	if (s->len >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0)
		return fail(s, 0, -EINVAL, "a byte order mark; JSON is UTF-8 without one");
	for (;;) {
		char c = s->pos < s->len ? s->text[s->pos] : 0;

		/* pos is where a value has to be */
		r = value_starts(s);
		if (r)
			return r;
		if (c == '{' || c == '[') {
			r = open_frame(s, c == '{');
			if (r == 0)
				continue;
		} else if (c == '"') {
			r = scan_string(s);
		} else if (c == '-' || (c >= '0' && c <= '9')) {
			r = scan_number(s);
		} else {
			r = scan_word(s);
		}
		if (r < 0)
			return r;
		r = after_value(s);
		if (r < 0)
			return r;
		if (r == 1)
			break;
	}
	if (s->pos < s->len)
		return unexpected(s, "the end of the document");
	return 0;
}

int sp_scan(const char *text, size_t len, const char *source, struct sp_scan_rules *rules,
	    struct sp_error **err)
{
	struct scanner s = {
		.text = text,
		.len = len,
		.source = source,
		.rules = rules,
		.err = err,
	};
	int r = scan_document(&s);

	if (r < 0 && rules) {
		free(rules->offsets);
		memset(rules, 0, sizeof(*rules));
	}
	return r;
}

void sp_scan_place(const char *text, size_t len, const char *source, uint64_t index, bool key,
		   struct sp_error *err)
{
	struct scanner s = {
		.text = text,
		.len = len,
		.source = source,
		.find = true,
		.find_key = key,
		.want = index,
		.found = err,
	};

	if (!err)
		return;
	if (scan_document(&s) != 1 && !err->file && source)
		err->file = strdup(source);
}
