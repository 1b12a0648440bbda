/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * name.h - one validator and one hash for every host name, wherever it comes from.
 *
 * DNS questions, CNAME targets, SNI, HTTP Host and the patterns of a policy all end up in a
 * struct sp_name: lower-case labels in wire form (RFC 1035 3.1), with the keyed hash of every
 * suffix. A name is valid when it has 1..SP_LABELS_MAX labels of 1..63 bytes of [A-Za-z0-9_-], at
 * most 255 bytes in all, and its last label is neither all digits nor starts with 0x (so that an
 * IPv4 literal in any form is never a name, RFC 1123 2.1). A dot, NUL or backslash inside a label
 * is refused, so nothing can be forged with one.
 *
 * The hash of a suffix is SipHash-1-3 over its labels from the root down. Each label is absorbed as
 * 8-byte words, zero-padded, its length byte first: the input is self-delimiting, and each label
 * extends the state of the labels to its right, so one pass gives the hash of all suffixes.
 */
#ifndef SP_PARSE_NAME_H
#define SP_PARSE_NAME_H

#include "parse.h"
#include "siphash.h"

#define SP_NAME_SLACK 72 /* a label may be read and written as eight whole words */

struct sp_name {
	__u64 seed[2]; /* set by the caller before sp_name_scan() */
	__u64 v[4];    /* SipHash state over the labels absorbed so far */
	__u32 len;     /* bytes of wire[] used, root byte included; set by the scan */
	__u32 labels;
	__u32 pos;		       /* cursor */
	__u32 digits;		       /* the label last absorbed is all digits */
	__u64 hash[SP_LABELS_MAX + 8]; /* hash[i]: of the suffix that starts at label i */
	__u8 start[SP_LABELS_MAX + 8]; /* start[i]: offset of label i in wire[] */
	__u8 wire[256 + SP_NAME_SLACK];
};

/* Bit 7 of each byte of the result: the byte of x (each < 128) is in [low, high]. */
#define SP_BYTES(b) (0x0101010101010101ULL * (__u64)(b))
#define SP_IN_RANGE(x, low, high)                                                                  \
	(((x) + SP_BYTES(0x80 - (low))) & ~((x) + SP_BYTES(0x7f - (high))) & SP_BYTES(0x80))

/* Takes the next label to the right: notes where it starts, moves past it. */
SP_STEP int sp_name_label(struct sp_name *n)
{
	__u32 pos, len, i;

	if (!n)
		return SP_BAD(NAME_BAD);
	pos = n->pos;
	i = n->labels;
	if (pos >= SP_NAME_MAX)
		return SP_BAD(NAME_LENGTH);
	len = n->wire[pos];
	if (len == 0) {
		n->len = pos + 1;
		return SP_DONE;
	}
	if (len >= 0xc0)
		return SP_BAD(DNS_POINTER);
	if (len > SP_LABEL_MAX)
		return SP_BAD(NAME_LENGTH);
	if (pos + 1 + len >= SP_NAME_MAX)
		return SP_BAD(NAME_LENGTH);
	if (i >= SP_LABELS_MAX)
		return SP_BAD(NAME_LABELS);
	n->start[i] = pos;
	n->labels = i + 1;
	n->pos = pos + 1 + len;
	return SP_MORE;
}

/* One word of a label: checks, lower-cases and absorbs its first `left` bytes (at most 8). */
SP_STEP int sp_name_word(struct sp_name *n, __u32 at, __u32 left, __u32 first)
{
	__u64 w, x, ok, digit, upper, mask;

	if (!n || at > SP_NAME_MAX || left == 0)
		return SP_BAD(NAME_BAD);
	mask = left >= 8 ? ~0ULL : (1ULL << (8 * (left & 7))) - 1;
	w = sp_load64(&n->wire[at]);
	/* bytes to judge: neither what lies behind the label nor its length byte (both made an 'a')
	 */
	if (first)
		x = (w & mask & ~0xffULL) | (SP_BYTES('a') & ~mask) | 'a';
	else
		x = (w & mask) | (SP_BYTES('a') & ~mask);
	upper = SP_IN_RANGE(x & ~SP_BYTES(0x80), 'A', 'Z');
	x |= upper >> 2;
	digit = SP_IN_RANGE(x & ~SP_BYTES(0x80), '0', '9');
	ok = SP_IN_RANGE(x & ~SP_BYTES(0x80), 'a', 'z') | digit |
	     SP_IN_RANGE(x & ~SP_BYTES(0x80), '-', '-') |
	     SP_IN_RANGE(x & ~SP_BYTES(0x80), '_', '_');
	if (ok != SP_BYTES(0x80) || (x & SP_BYTES(0x80)))
		return SP_BAD(NAME_BAD);
	if (first)
		digit |= 0x80;
	n->digits &= (digit | (SP_BYTES(0x80) & ~mask)) == SP_BYTES(0x80);
	w |= upper >> 2;
	sp_store64(&n->wire[at], w);
	w &= mask;
	sp_sip_word(n->v, w);
	return SP_MORE;
}

/* Checks, lower-cases and absorbs label i; labels must be taken from the last to the first. */
SP_STEP int sp_name_absorb(struct sp_name *n, __u32 i)
{
	__u32 pos, len, j;

	if (!n || i >= SP_LABELS_MAX)
		return SP_BAD(NAME_BAD);
	pos = n->start[i];
	if (pos >= SP_NAME_MAX)
		return SP_BAD(NAME_BAD);
	len = n->wire[pos] + 1; /* with its length byte */
	n->digits = 1;
	for (j = 0; j < 64; j += 8) {
		int r;

		if (j >= len)
			break;
		r = sp_name_word(n, pos + j, len - j, j == 0);
		if (r < 0)
			return r;
	}
	n->hash[i] = sp_sip_end(n->v);
	return SP_MORE;
}

/*
 * Finds the labels of the name in n->wire[] (wire form, uncompressed): sets len, labels and
 * start[]. Returns SP_DONE or a negative reason; says nothing about the bytes within the labels.
 */
SP_STEP int sp_name_labels(struct sp_name *n)
{
	__u32 i;
	int r = SP_MORE;

	if (!n)
		return SP_BAD(NAME_BAD);
	n->pos = 0;
	n->labels = 0;
	for (i = 0; i < SP_LABELS_MAX + 1; i++) {
		r = sp_name_label(n);
		if (r != SP_MORE)
			break;
	}
	if (r == SP_MORE)
		return SP_BAD(NAME_LABELS);
	return r;
}

/* Does label i start with "0x"? inet_aton() and browsers would read such a name as an IPv4 address.
 */
SP_STEP int sp_name_hex_end(const struct sp_name *n, __u32 i)
{
	__u32 pos;

	if (!n || i >= SP_LABELS_MAX)
		return 1;
	pos = n->start[i];
	return n->wire[pos] >= 2 && n->wire[pos + 1] == '0' && n->wire[pos + 2] == 'x';
}

/* Checks the bytes of the labels found, makes them lower case, and sets hash[]. The root: NAME_BAD.
 */
SP_STEP int sp_name_hash(struct sp_name *n)
{
	__u32 i, labels;
	int r;

	if (!n)
		return SP_BAD(NAME_BAD);
	labels = n->labels;
	if (labels == 0)
		return SP_BAD(NAME_BAD);
	sp_sip_start(n->v, n->seed);
	for (i = 0; i < SP_LABELS_MAX; i++) {
		if (i >= labels)
			break;
		r = sp_name_absorb(n, labels - 1 - i);
		if (r < 0)
			return r;
		if (i == 0 && (n->digits || sp_name_hex_end(n, labels - 1)))
			return SP_BAD(NAME_BAD);
	}
	return SP_DONE;
}

/* Both of the above: a whole check of a name in wire form. SP_DONE or a negative reason. */
SP_INLINE int sp_name_scan(struct sp_name *n)
{
	int r = sp_name_labels(n);

	return r == SP_DONE ? sp_name_hash(n) : r;
}

/* One label of a text name, from its end: turns the dot before it into its length. */
SP_STEP int sp_name_dot(struct sp_name *n)
{
	__u32 end, i;

	if (!n)
		return SP_BAD(NAME_BAD);
	end = n->pos; /* offset in wire[] of the last byte of the label */
	if (end > SP_NAME_MAX)
		return SP_BAD(NAME_BAD);
	for (i = 0; i < SP_LABEL_MAX + 1; i++) {
		__u32 at = (end - i) & 0xff;

		if (at == 0 || n->wire[at] == '.')
			break;
	}
	if (i == 0)
		return SP_BAD(NAME_BAD); /* empty label */
	if (i > SP_LABEL_MAX)
		return SP_BAD(NAME_LENGTH);
	end -= i;
	SP_BARRIER(end);
	if (end > SP_NAME_MAX)
		return SP_BAD(NAME_BAD);
	n->wire[end] = i;
	if (end == 0)
		return SP_DONE;
	n->pos = end - 1;
	if (end == 1)
		return SP_BAD(NAME_BAD); /* a dot at the very start */
	return SP_MORE;
}

/*
 * Turns a text name (RFC 1123: labels joined by dots, one trailing dot allowed) into a scanned
 * name. The caller has put its `len` bytes at n->wire + 1. Returns as sp_name_scan().
 */
SP_INLINE int sp_name_from_text(struct sp_name *n, __u32 len)
{
	__u32 i;
	int r = SP_MORE;

	if (!n || len == 0)
		return SP_BAD(NAME_BAD);
	if (len > SP_NAME_MAX - 1)
		return SP_BAD(NAME_LENGTH);
	if (n->wire[len] == '.')
		len -= 1;
	if (len == 0)
		return SP_BAD(NAME_BAD);
	if (len > SP_NAME_MAX - 2)
		return SP_BAD(NAME_LENGTH);
	n->wire[len + 1] = 0;
	n->pos = len;
	for (i = 0; i < SP_LABELS_MAX + 1; i++) {
		r = sp_name_dot(n);
		if (r != SP_MORE)
			break;
	}
	if (r != SP_DONE)
		return r < 0 ? r : SP_BAD(NAME_LABELS);
	return sp_name_scan(n);
}

#endif
