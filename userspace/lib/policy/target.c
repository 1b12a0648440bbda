// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * target.c - targets: name patterns, addresses and networks.
 *
 * A pattern is kept as normalised text: lower case, A-labels (IDNA 2008, RFC 5891, by libidn2), no
 * trailing dot, a leading dot written as `**`. Matching here is label by label on that text and is
 * what the compiled image is held against.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <idn2.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

#define TEXT_MAX 253 /* bytes of a name as text, without the trailing dot (RFC 1035 2.3.4) */

/* ---- addresses ------------------------------------------------------------------------------ */

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool sp_addr_is_v4(const uint8_t addr[16])
{
	return memcmp(addr, v4_mapped, sizeof(v4_mapped)) == 0;
}

void sp_addr_text(const uint8_t addr[16], char ret_text[64])
{
	if (sp_addr_is_v4(addr))
		inet_ntop(AF_INET, addr + 12, ret_text, 64);
	else
		inet_ntop(AF_INET6, addr, ret_text, 64);
}

bool sp_prefix_covers(const uint8_t addr[16], uint8_t prefix, const uint8_t other[16])
{
	unsigned int bytes = prefix / 8, bits = prefix % 8;

	/* ::/0 is every IPv6 address; an IPv4 address, though kept as v4-mapped, is none */
	if (sp_addr_is_v4(other) && prefix < 96)
		return false;
	if (memcmp(addr, other, bytes) != 0)
		return false;
	return bits == 0 || ((addr[bytes] ^ other[bytes]) >> (8 - bits)) == 0;
}

bool sp_addr_is_loopback(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	if (sp_addr_is_v4(addr))
		return addr[12] == 127 || memcmp(addr + 12, zero, 4) == 0;
	return memcmp(addr, zero, 15) == 0 && addr[15] <= 1;
}

bool sp_prefix_is_local(const uint8_t addr[16], uint8_t prefix)
{
	return prefix == 128 || (prefix >= 96 + 8 && sp_addr_is_v4(addr) && addr[12] == 127);
}

static int parse_addr(const char *text, size_t len, uint8_t ret_addr[16])
{
	char copy[INET6_ADDRSTRLEN + 1];

	if (len == 0 || len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET6, copy, ret_addr) == 1)
		return 0;
	memcpy(ret_addr, v4_mapped, sizeof(v4_mapped));
	return inet_pton(AF_INET, copy, ret_addr + 12) == 1 ? 0 : -EINVAL;
}

/* Decimal without sign, space or leading zero; false if it is none or above `max`. */
static bool parse_decimal(const char *text, size_t len, unsigned int max, unsigned int *ret)
{
	unsigned int value = 0;

	if (len == 0 || len > 6 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*ret = value;
	return value <= max;
}

int sp_prefix_parse(const char *text, bool whole, uint8_t ret_addr[16], uint8_t *ret_prefix,
		    struct sp_error **err)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned int bits = 0, offset;
	uint8_t addr[16], masked[16];
	bool v4_text;

	if (parse_addr(text, len, addr) < 0)
		return sp_error_set(err, -EINVAL, "%s is not an IP address%s", sp_quote(text).text,
				    whole ? "" : " or network");
	v4_text = !memchr(text, ':', len);
	if (!slash) {
		memcpy(ret_addr, addr, 16);
		*ret_prefix = 128;
		return 0;
	}
	if (whole)
		return sp_error_set(err, -EINVAL, "%s is a network, and an address is wanted here",
				    sp_quote(text).text);
	offset = v4_text ? 96 : 0;
	if (!parse_decimal(slash + 1, strlen(slash + 1), 128 - offset, &bits))
		return sp_error_set(err, -EINVAL, "%s: the prefix length must be 0 to %u",
				    sp_quote(text).text, 128 - offset);
	bits += offset;
	if (!v4_text && sp_addr_is_v4(addr) && bits < 96)
		return sp_error_set(err, -EINVAL,
				    "%s is a v4-mapped address with a prefix below 96; write the "
				    "IPv4 network",
				    sp_quote(text).text);
	for (unsigned int i = 0; i < 16; i++) {
		unsigned int keep = bits >= 8 * i + 8 ? 8 : bits > 8 * i ? bits - 8 * i : 0;

		masked[i] = addr[i] & (uint8_t)(0xff00 >> keep);
	}
	if (memcmp(masked, addr, 16) != 0) {
		char right[64];

		if (v4_text)
			inet_ntop(AF_INET, masked + 12, right, sizeof(right));
		else
			inet_ntop(AF_INET6, masked, right, sizeof(right));
		return sp_error_set(err, -EINVAL,
				    "%s has bits set behind the prefix; the network is "
				    "%s/%u",
				    sp_quote(text).text, right, bits - offset);
	}
	memcpy(ret_addr, addr, 16);
	*ret_prefix = bits;
	return 0;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Does the last label look like a number, as in the legacy forms of IPv4 (0x7f.1, 127.1)? */
static bool looks_numeric(const char *label, size_t len)
{
	size_t i;

	if (len >= 2 && label[0] == '0' && label[1] == 'x') {
		for (i = 2; i < len; i++)
			if (!strchr("0123456789abcdef", label[i]))
				return false;
		return true;
	}
	for (i = 0; i < len; i++)
		if (label[i] < '0' || label[i] > '9')
			return false;
	return true;
}

/* One U-label in A-label form; the result has room for SP_LABEL_MAX bytes and a NUL. */
static int label_to_ascii(const char *label, size_t len, char ret_label[SP_LABEL_MAX + 1],
			  const char **ret_why)
{
	uint8_t copy[SP_ASK_MAX], *out = NULL;
	int r;

	*ret_why = "too long";
	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, label, len);
	copy[len] = '\0';
	r = idn2_lookup_u8(copy, &out, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r != IDN2_OK) {
		*ret_why = idn2_strerror(r);
		return r == IDN2_MALLOC ? -ENOMEM : -EINVAL;
	}
	len = strlen((char *)out);
	/* a mapping may give a dot (U+3002) or nothing at all: then it was no label */
	if (len == 0 || len > SP_LABEL_MAX || strchr((char *)out, '.')) {
		*ret_why = "not one label";
		idn2_free(out);
		return -EINVAL;
	}
	memcpy(ret_label, out, len + 1);
	idn2_free(out);
	return 0;
}

static bool is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

int sp_name_to_ascii(const char *name, char ret_name[SP_ASK_MAX])
{
	size_t len = strlen(name), at = 0;

	if (is_ascii(name, len)) {
		if (len >= SP_ASK_MAX)
			return -ENAMETOOLONG;
		memcpy(ret_name, name, len + 1);
		return 0;
	}
	while (*name) {
		size_t n = strcspn(name, ".");
		char label[SP_LABEL_MAX + 1];
		const char *why;

		if (n > 0 && !is_ascii(name, n)) {
			int r = label_to_ascii(name, n, label, &why);

			if (r < 0)
				return r;
		} else if (n > SP_LABEL_MAX) {
			return -ENAMETOOLONG;
		} else {
			memcpy(label, name, n);
			label[n] = '\0';
		}
		if (at + strlen(label) + 2 > SP_ASK_MAX)
			return -ENAMETOOLONG;
		at += sprintf(ret_name + at, "%s", label);
		name += n;
		if (*name) {
			ret_name[at++] = *name++;
			ret_name[at] = '\0';
		}
	}
	return 0;
}

/* What a byte may be in a pattern. A table: of long policies every byte is looked up twice. */
enum byte_class { BYTE_BAD, BYTE_LITERAL, BYTE_STAR, BYTE_DOT, BYTE_NOT_ASCII };

static const uint8_t byte_classes[256] = {
	['a' ... 'z'] = BYTE_LITERAL,
	['A' ... 'Z'] = BYTE_LITERAL,
	['0' ... '9'] = BYTE_LITERAL,
	['-'] = BYTE_LITERAL,
	['_'] = BYTE_LITERAL,
	['*'] = BYTE_STAR,
	['.'] = BYTE_DOT,
	[0x80 ... 0xff] = BYTE_NOT_ASCII,
};

static enum byte_class byte_class(char c)
{
	return byte_classes[(unsigned char)c];
}

static int bad_byte(const char *text, unsigned char c, struct sp_error **err)
{
	if (c == ' ' || (c >= '\t' && c <= '\r'))
		return sp_error_set(err, -EINVAL, "%s has white space", sp_quote(text).text);
	if (c > 0x20 && c < 0x7f)
		return sp_error_set(err, -EINVAL, "%s: '%c' cannot stand in a name",
				    sp_quote(text).text, c);
	return sp_error_set(err, -EINVAL, "%s: byte 0x%02x cannot stand in a name",
			    sp_quote(text).text, c);
}

/* Normalises text[0..len) into out (TEXT_MAX + 1 bytes); `whole` is the target it is part of. */
static int normalize(const char *whole, const char *text, size_t len, bool wildcards,
		     struct sp_target *target, char *out, size_t *ret_len, struct sp_error **err)
{
	size_t at = 0, pos = 0, labels = 0, last = 0;
	bool glob = false, star_first = false, stars_first = false;

	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0)
		return sp_error_set(err, -EINVAL, "%s is no name", sp_quote(whole).text);
	target->suffix = 0;
	if (text[0] == '.' && wildcards) {
		memcpy(out, "**", 2);
		at = 2;
		labels = 1;
		stars_first = true;
		pos = 1;
		if (len == 1)
			return sp_error_set(err, -EINVAL, "%s has an empty label",
					    sp_quote(whole).text);
	}
	do {
		size_t end = pos, stars = 0, n;
		bool ascii = true;
		const char *label = text + pos;
		char converted[SP_LABEL_MAX + 1];

		for (; end < len && text[end] != '.'; end++) {
			enum byte_class class = byte_class(text[end]);

			if (class == BYTE_BAD)
				return bad_byte(whole, text[end], err);
			stars += class == BYTE_STAR;
			ascii &= class != BYTE_NOT_ASCII;
		}
		n = end - pos;
		if (n == 0)
			return sp_error_set(err, -EINVAL, "%s has an empty label",
					    sp_quote(whole).text);
		if (stars && !wildcards)
			return sp_error_set(err, -EINVAL,
					    "%s: a pattern cannot stand here, only a name",
					    sp_quote(whole).text);
		if (!ascii) {
			const char *why = "";
			int r;

			if (stars)
				return sp_error_set(err, -EINVAL,
						    "%s: a label with a `*` in it must be ASCII",
						    sp_quote(whole).text);
			r = label_to_ascii(label, n, converted, &why);
			if (r < 0)
				return sp_error_set(err, r, "%s has no IDNA form: %s",
						    sp_quote(whole).text, why);
			label = converted;
			n = strlen(converted);
		}
		if (n > SP_LABEL_MAX)
			return sp_error_set(err, -EINVAL, "%s has a label of more than %d bytes",
					    sp_quote(whole).text, SP_LABEL_MAX);
		if (stars > 1 && !(stars == 2 && n == 2))
			for (size_t i = 1; i < n; i++)
				if (label[i] == '*' && label[i - 1] == '*')
					return sp_error_set(err, -EINVAL,
							    "%s: `**` must be a whole label",
							    sp_quote(whole).text);
		if (labels == SP_LABELS_MAX)
			return sp_error_set(err, -EINVAL, "%s has more than %d labels",
					    sp_quote(whole).text, SP_LABELS_MAX);
		if (at + (at > 0) + n > TEXT_MAX)
			return sp_error_set(err, -EINVAL, "%s is longer than %d bytes",
					    sp_quote(whole).text, TEXT_MAX);
		if (at > 0)
			out[at++] = '.';
		if (stars) {
			if (labels == 0 && n == 1)
				star_first = true;
			else if (labels == 0 && n == 2 && stars == 2)
				stars_first = true;
			else
				glob = true;
		}
		last = at;
		for (size_t i = 0; i < n; i++, at++) {
			char c = label[i];
			enum byte_class class = byte_class(c);

			if (class != BYTE_LITERAL && class != BYTE_STAR)
				return bad_byte(whole, c, err); /* what IDNA made of a label */
			out[at] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
		}
		labels++;
		pos = end + 1;
	} while (pos <= len);
	out[at] = '\0';
	if (looks_numeric(out + last, at - last))
		return sp_error_set(err, -EINVAL,
				    "%s is neither a name (its last label is a number) nor an IP "
				    "address in its usual form",
				    sp_quote(whole).text);
	*ret_len = at;
	if (glob) {
		target->kind = SP_TARGET_GLOB;
	} else if (star_first) {
		target->kind = SP_TARGET_ONE;
		target->suffix = labels == 1 ? 1 : 2;
	} else if (stars_first) {
		target->kind = SP_TARGET_MANY;
		target->suffix = labels == 1 ? 2 : 3;
	} else {
		target->kind = SP_TARGET_EXACT;
	}
	return 0;
}

int sp_hostname_parse(struct sp_arena *arena, const char *text, const char **ret_name,
		      struct sp_error **err)
{
	char out[TEXT_MAX + 1];
	struct sp_target target;
	const char *name;
	size_t len = 0;
	int r;

	r = normalize(text, text, strlen(text), false, &target, out, &len, err);
	if (r < 0)
		return r;
	name = sp_arena_copy(arena, out, len);
	if (!name)
		return sp_error_set(err, -ENOMEM, "out of memory");
	*ret_name = name;
	return 0;
}

static int parse_port(const char *whole, const char *text, uint16_t *ret_port,
		      struct sp_error **err)
{
	unsigned int port = 0;

	if (!parse_decimal(text, strlen(text), 65535, &port) || port == 0)
		return sp_error_set(err, -EINVAL, "%s: a port is a number from 1 to 65535",
				    sp_quote(whole).text);
	*ret_port = port;
	return 0;
}

int sp_target_parse(struct sp_arena *arena, const char *text, struct sp_target *ret_target,
		    struct sp_error **err)
{
	struct sp_target target = {0};
	size_t len = strlen(text), name_len = 0, host_len;
	const char *colon = memchr(text, ':', len), *slash = memchr(text, '/', len);
	char out[TEXT_MAX + 1];
	int r;

	if (len == 0)
		return sp_error_set(err, -EINVAL, "an empty target");
	if (strpbrk(text, " \t\r\n\v\f"))
		return sp_error_set(err, -EINVAL, "%s has white space", sp_quote(text).text);
	if (slash && strstr(text, "://"))
		return sp_error_set(err, -EINVAL,
				    "%s is a URL; a target is a host name or an address",
				    sp_quote(text).text);
	if (slash && strspn(text, "0123456789abcdefABCDEF.:[]") < (size_t)(slash - text))
		return sp_error_set(err, -EINVAL,
				    "%s is not a network, and a host name has no path",
				    sp_quote(text).text);
	target.kind = SP_TARGET_ADDR;
	if (text[0] == '[') {
		const char *end = strchr(text, ']');
		size_t n = end ? (size_t)(end - text - 1) : 0;

		if (!end || !memchr(text + 1, ':', n) || parse_addr(text + 1, n, target.addr) < 0)
			return sp_error_set(err, -EINVAL,
					    "%s: between brackets stands an IPv6 address",
					    sp_quote(text).text);
		target.prefix = 128;
		if (end[1] == ':') {
			r = parse_port(text, end + 2, &target.port, err);
			if (r < 0)
				return r;
		} else if (end[1]) {
			return sp_error_set(err, -EINVAL,
					    "%s: after the brackets comes :PORT or nothing",
					    sp_quote(text).text);
		}
	} else if (slash || (colon && strchr(colon + 1, ':'))) {
		r = sp_prefix_parse(text, false, target.addr, &target.prefix, err);
		if (r < 0)
			return r;
	} else {
		host_len = colon ? (size_t)(colon - text) : len;
		if (colon) {
			r = parse_port(text, colon + 1, &target.port, err);
			if (r < 0)
				return r;
		}
		/* only with what an IPv4 address is written with */
		if (strspn(text, "0123456789.") >= host_len &&
		    parse_addr(text, host_len, target.addr) == 0) {
			target.prefix = 128;
		} else {
			r = normalize(text, text, host_len, true, &target, out, &name_len, err);
			if (r < 0)
				return r;
		}
	}
	target.text = sp_arena_copy(arena, text, len);
	if (target.text && target.kind != SP_TARGET_ADDR) {
		/* most are written in normal form: one copy serves both */
		if (name_len == len && memcmp(text, out, len) == 0)
			target.name = target.text;
		else
			target.name = sp_arena_copy(arena, out, name_len);
		if (!target.name)
			target.text = NULL;
	}
	if (!target.text)
		return sp_error_set(err, -ENOMEM, "out of memory");
	*ret_target = target;
	return 0;
}

/* ---- matching ------------------------------------------------------------------------------- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* One label against one label of a pattern, where `*` is one or more characters. */
static bool label_match(const char *pattern, size_t pattern_len, const char *label, size_t len)
{
	size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;

	while (i < len) {
		if (p < pattern_len && pattern[p] == '*') {
			/* takes one character now; may take more if the rest does not fit */
			star = p++;
			mark = ++i;
		} else if (p < pattern_len && pattern[p] == lower(label[i])) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	return p == pattern_len;
}

struct labels {
	const char *start[SP_LABELS_MAX + 1];
	size_t len[SP_LABELS_MAX + 1];
	size_t count;
};

static bool split(const char *name, struct labels *ret)
{
	ret->count = 0;
	while (*name) {
		size_t n = strcspn(name, ".");

		if (ret->count == SP_LABELS_MAX)
			return false;
		ret->start[ret->count] = name;
		ret->len[ret->count++] = n;
		name += n;
		name += *name == '.';
	}
	return true;
}

/* The same walk as in label_match(), with labels for characters and `**` for the star. */
bool sp_pattern_match(const char *pattern, const char *name)
{
	struct labels a, b;
	size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;

	if (!split(pattern, &a) || !split(name, &b) || b.count == 0)
		return false;
	while (i < b.count) {
		if (p < a.count && a.len[p] == 2 && memcmp(a.start[p], "**", 2) == 0) {
			star = p++;
			mark = ++i;
		} else if (p < a.count && label_match(a.start[p], a.len[p], b.start[i], b.len[i])) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	return p == a.count;
}
