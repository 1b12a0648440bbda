/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http.h - the Host of a clear-text HTTP/1 request (RFC 9112 3, 5, 6; RFC 9110 7.2).
 *
 * A head is read line by line; lines are found eight bytes at a time. What two readers could
 * understand differently is refused rather than interpreted: bare LF, folded lines, white space
 * before a colon, two Host or Content-Length fields, a body whose end cannot be told from its head.
 *
 * Where a stream need not be HTTP, sp_http_begin() tells whether it is. It errs towards HTTP: what
 * some server reads as a request, however odd, must not pass unread.
 */
#ifndef SP_PARSE_HTTP_H
#define SP_PARSE_HTTP_H

#include "name.h"
#include "stream.h"
#include "tls.h"

#define SP_HTTP_METHOD_MAX 32u

struct sp_http {
	__u32 off;			      /* cursor: bytes looked at */
	__u32 line;			      /* offset of the line that is being looked for */
	__u32 spaces;			      /* in this line */
	__u32 first_space, last_space, colon; /* offsets in this line; 0: none */
	__u32 lines;			      /* complete ones so far */
	__u32 host, host_len;	  /* the authority in the Host field, with its port; host 0: none */
	__u32 name_len;		  /* of the host without port */
	__u32 port;		  /* offset of the colon before the port; 0: none */
	__u32 target, target_len; /* authority of an absolute-form target; target 0: origin form */
	__u32 head;		  /* bytes of the head, empty line included */
	__u64 body;		  /* Content-Length */
	__u8 has_length, has_connection, has_upgrade, host_ip;
	__u8 no_host;  /* the Host field is there and empty */
	__u8 bodyless; /* not POST, PUT, PATCH: servers may ignore a body, and read a head there */
	__u8 chunked;  /* the body is (RFC 9112 7.1) */
	__u8 near;     /* sp_http_begin(): SP_HTTP_NEAR_* */
	__u32 port_value;
	__u8 old;     /* HTTP/1.0 */
	__u8 connect; /* CONNECT: host is that of the target, and the Host field does not count */
	__u8 zero[6];
};

#define SP_HTTP_LINE 2 /* a whole line: h->line .. h->off - 2 */
#define SP_HTTP_WAIT 3 /* the head goes on in bytes that are not there yet */
/* sp_http_begin(): not HTTP; or a header of the PROXY protocol, of h->head bytes */
#define SP_HTTP_OTHER 5
#define SP_HTTP_PROXY 6

/*
 * Classes of bytes, one bit each (0..63 and 64..127), so that the verifier sees no branches:
 * tchar of RFC 9110 5.6.2, what ends an authority (RFC 3986 3.2), optional white space.
 */
enum sp_http_class {
	SP_HTTP_TOKEN,
	SP_HTTP_SPACE,
	SP_HTTP_PATH,
	SP_HTTP_BLANK,
	SP_HTTP_PRINT,
	SP_HTTP_UPPER
};

#define SP_HTTP_TOKEN_LOW 0x03ff6cfa00000000ULL	 /* ! # $ % & ' * + - . 0-9 */
#define SP_HTTP_TOKEN_HIGH 0x57ffffffc7fffffeULL /* A-Z ^ _ ` a-z | ~ */
#define SP_HTTP_SPACE_LOW 0x0000000100000200ULL	 /* SP HT */
#define SP_HTTP_PATH_LOW 0x8000800800000000ULL	 /* / ? # */
#define SP_HTTP_BLANK_LOW 0x00000001f0003e00ULL	 /* HT LF VT FF CR FS GS RS US SP */
#define SP_HTTP_PRINT_LOW 0xfffffffe00000000ULL	 /* ! to ? */
#define SP_HTTP_PRINT_HIGH 0x7fffffffffffffffULL /* @ to ~ */
#define SP_HTTP_UPPER_LOW 0x0000200000000000ULL	 /* - */
#define SP_HTTP_UPPER_HIGH 0x0000000087fffffeULL /* A-Z _ */

/* How many bytes from `from`, at most 64 and not beyond `end`, are (want 1) or are not of a class.
 */
SP_STEP int sp_http_span(const struct sp_stream *s, __u32 from, __u32 end, __u32 class, __u32 want)
{
	__u64 low = SP_HTTP_TOKEN_LOW, high = SP_HTTP_TOKEN_HIGH;
	__u32 i;

	SP_BARRIER(from);
	if (!s || from > SP_STREAM_MAX)
		return 0;
	if (class == SP_HTTP_SPACE)
		low = SP_HTTP_SPACE_LOW;
	if (class == SP_HTTP_PATH)
		low = SP_HTTP_PATH_LOW;
	if (class == SP_HTTP_BLANK)
		low = SP_HTTP_BLANK_LOW;
	if (class != SP_HTTP_TOKEN)
		high = 0;
	if (class == SP_HTTP_PRINT) {
		low = SP_HTTP_PRINT_LOW;
		high = SP_HTTP_PRINT_HIGH;
	}
	if (class == SP_HTTP_UPPER) {
		low = SP_HTTP_UPPER_LOW;
		high = SP_HTTP_UPPER_HIGH;
	}
	for (i = 0; i < 64; i++) {
		__u32 c, is;

		if (from + i >= end)
			break;
		c = s->data[from + i]; /* the slack is longer than a span */
		/* without a branch: bit 6 chooses the half, bit 7 says no */
		is = (low ^ ((low ^ high) & -(__u64)(c >> 6 & 1))) >> (c & 63) & ~(c >> 7) & 1;
		if (is != want)
			break;
	}
	return i;
}

/*
 * How many of the eight bytes at `off` come before the first control, DEL, byte for which the sum
 * with `space` says so, or byte of `mark`; 8: none does. Bytes behind the end of the stream count
 * like others.
 */
SP_INLINE __u32 sp_http_stop(const struct sp_stream *s, __u32 off, __u64 space, __u64 mark)
{
	__u64 w, seven, stop;

	SP_BARRIER(off);
	if (off >= SP_STREAM_MAX)
		return 0;
	w = sp_load64(&s->data[off]);
	seven = w & ~SP_BYTES(0x80);
	/* each sum stays within its byte: bit 7 is set where the byte is not what is looked for */
	stop = (seven + space) & ((seven ^ mark) + SP_BYTES(0x7f)) &
	       ((seven ^ SP_BYTES(0x7f)) + SP_BYTES(0x7f));
	stop = ~(stop | w) & SP_BYTES(0x80); /* 0x80 and above are plain */
	if (!stop)
		return 8;
	/* the bytes below the lowest bit of `stop`, counted: one bit in each, summed up in the top
	 * byte */
	return ((((stop & -stop) >> 7) - 1) & SP_BYTES(0x01)) * SP_BYTES(0x01) >> 56;
}

/* Before what sp_http_run() must see: controls, DEL, and what the line is split at, which is in the
 * request line its spaces, in a field line its first colon. */
SP_INLINE __u32 sp_http_plain(const struct sp_stream *s, const struct sp_http *h, __u32 off)
{
	return sp_http_stop(s, off, SP_BYTES(h->lines ? 0x80 - ' ' : 0x7f - ' '),
			    SP_BYTES(h->lines && !h->colon ? ':' : 0x7f));
}

/*
 * Plain bytes of the head, and the byte behind them that is not: SP_MORE, SP_HTTP_LINE at the end
 * of a line, or a reason.
 */
SP_STEP int sp_http_run(const struct sp_stream *s, struct sp_http *h)
{
	__u32 c, off, i, plain = 8;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	off = h->off;
	for (i = 0; i < 4; i++) {
		plain = sp_http_plain(s, h, off);
		off += plain;
		if (plain != 8)
			break;
	}
	h->off = off;
	if (plain == 8 || off >= s->len)
		return SP_MORE;
	c = sp_get8(s, off);
	h->off = off + 1;
	if (c == ' ') {
		if (!h->spaces)
			h->first_space = off;
		h->last_space = off;
		h->spaces++;
		return SP_MORE;
	}
	if (c == ':') {
		h->colon = off;
		return SP_MORE;
	}
	if (c == '\r') {
		if (off + 1 >= s->len)
			return SP_MORE;
		if (sp_get8(s, off + 1) != '\n')
			return SP_BAD(HTTP_MALFORMED);
		h->off = off + 2;
		return SP_HTTP_LINE;
	}
	return c == '\t' ? SP_MORE : SP_BAD(HTTP_MALFORMED);
}

/* Up to 64 runs. */
SP_STEP int sp_http_scan(const struct sp_stream *s, struct sp_http *h)
{
	__u32 i;
	int r = SP_MORE;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	for (i = 0; i < 64; i++) {
		if (h->off >= s->len)
			return SP_DONE; /* all there is */
		r = sp_http_run(s, h);
		if (r != SP_MORE)
			break;
	}
	return r;
}

/* Lower-cased eight bytes at off, for comparing field names. */
SP_INLINE __u64 sp_http_word(const struct sp_stream *s, __u32 off)
{
	__u64 w;

	SP_BARRIER(off);
	if (off >= SP_STREAM_MAX)
		return 0;
	w = sp_load64(&s->data[off]);
	return w | (SP_IN_RANGE(w & ~SP_BYTES(0x80), 'A', 'Z') & ~w) >> 2;
}

#define SP_WORD(a, b, c, d, e, f, g, h)                                                            \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

/* The method at the start of the stream, as soon as it can be told: SP_DONE, SP_MORE or a reason.
 */
SP_STEP int sp_http_method(const struct sp_stream *s)
{
	__u32 n;
	__u64 w;

	if (!s)
		return SP_BAD(HTTP_MALFORMED);
	n = sp_http_span(s, 0, s->len, SP_HTTP_TOKEN, 1);
	if (n > SP_HTTP_METHOD_MAX)
		return SP_BAD(HTTP_NOT_HTTP);
	if (n >= s->len)
		return SP_MORE;
	if (n == 0 || sp_get8(s, n) != ' ')
		return SP_BAD(HTTP_NOT_HTTP);
	w = sp_load64(&s->data[0]);
	if (n == 3 && (w & 0xffffffff) == SP_WORD('P', 'R', 'I', ' ', 0, 0, 0, 0))
		return SP_BAD(HTTP_NOT_HTTP);
	return SP_DONE;
}

/* ---- is it HTTP? ---------------------------------------------------------------------------- */

/*
 * Servers read more than RFC 9112 has (tried: nginx, Node, Go, Python): any token for a method,
 * white space of all kinds, empty lines and white space before it, http/1.1, NUL in the path. What
 * they have in common is the request line's last word. There is more that some read a Host from: a
 * line without version (HTTP/0.9: Python, nginx), RTSP/1.0 and ICE/1.0 (Node). Those are near: they
 * may pass if they have none.
 */
#define SP_HTTP_NEAR_LETTER 1u	/* the first word starts with a letter */
#define SP_HTTP_NEAR_VERSION 2u /* RTSP/ or ICE/ in the first line */
#define SP_HTTP_NEAR_URL 4u	/* :// in it */
#define SP_HTTP_NEAR_ODD 16u	/* the first word is no token */
#define SP_HTTP_NEAR_LINES 8u	/* the first line is near; its fields are looked at */

/* The word before a slash at `off`: is it `HTTP`, of a version? SP_DONE, SP_MORE (no), or WAIT. */
SP_STEP int sp_http_version(const struct sp_stream *s, struct sp_http *h, __u32 off)
{
	__u64 w;
	__u32 n, c;

	if (!s || !h || off < h->line + 5)
		return SP_MORE;
	if (sp_get8(s, off - 1) == ':' && sp_get8(s, off + 1) == '/')
		h->near |= SP_HTTP_NEAR_URL;
	w = sp_http_word(s, off - 4) & 0xffffffff;
	if ((w >> 8) == SP_WORD('i', 'c', 'e', 0, 0, 0, 0, 0) ||
	    w == SP_WORD('r', 't', 's', 'p', 0, 0, 0, 0))
		h->near |= SP_HTTP_NEAR_VERSION;
	if (w != SP_WORD('h', 't', 't', 'p', 0, 0, 0, 0) ||
	    sp_http_span(s, off - 5, off - 4, SP_HTTP_TOKEN, 1))
		return SP_MORE;
	n = sp_http_span(s, off + 1, s->len, SP_HTTP_TOKEN, 1);
	if (off + 1 + n >= s->len)
		return SP_HTTP_WAIT;
	/* a quote, say, ends no version: the line is one of a log */
	c = sp_get8(s, off + 1 + n);
	return c > ' ' && c < 0x7f ? SP_MORE : SP_DONE;
}

/* The first line has ended at `end` and has no version: is it near? SP_MORE, OTHER, PROXY, reason.
 */
SP_STEP int sp_http_near(const struct sp_stream *s, struct sp_http *h, __u32 end)
{
	__u32 n, c, word, i;
	__u64 w;

	if (!s || !h || h->line >= SP_STREAM_MAX)
		return SP_BAD(HTTP_MALFORMED);
	w = sp_load64(&s->data[h->line]);
	if ((w & 0xffffffffffffULL) == SP_WORD('P', 'R', 'O', 'X', 'Y', ' ', 0, 0) &&
	    h->line == 0) {
		/* of any length to nginx, which does not take LF alone for its end */
		h->head = end;
		return sp_get8(s, end - 2) == '\r' ? SP_HTTP_PROXY : SP_BAD(HTTP_MALFORMED);
	}
	n = sp_http_span(s, h->line, end, SP_HTTP_UPPER, 1);
	word = h->line + n;
	word += sp_http_span(s, word, end, SP_HTTP_BLANK, 1);
	h->near |= SP_HTTP_NEAR_LINES;
	if (h->near & SP_HTTP_NEAR_VERSION)
		return SP_MORE;
	/* to Python the space may be one of Latin-1; a name in the line is all that nginx needs */
	c = w >> 24 & 0xff;
	if (n == 3 && (w & 0xffffff) == SP_WORD('G', 'E', 'T', 0, 0, 0, 0, 0) &&
	    (c <= ' ' || c > 0x7e))
		return h->near & SP_HTTP_NEAR_URL ? SP_BAD(HTTP_MALFORMED) : SP_MORE;
	if (n == 0 || n >= 64 || word == h->line + n || word >= end)
		return SP_HTTP_OTHER;
	c = sp_get8(s, word);
	if (c != '/' && c != '*' && !(h->near & SP_HTTP_NEAR_URL))
		return SP_HTTP_OTHER;
	/* a third word would have to be a version */
	for (i = 0; i < 4; i++) {
		n = sp_http_span(s, word, end, SP_HTTP_BLANK, 0);
		word += n;
		if (n < 64)
			break;
	}
	word += sp_http_span(s, word, end, SP_HTTP_BLANK, 1);
	return word < end ? SP_HTTP_OTHER : SP_MORE;
}

/* A line that ends at `end`: SP_MORE, SP_HTTP_OTHER, SP_HTTP_PROXY, or a reason. */
SP_INLINE int sp_http_near_line(const struct sp_stream *s, struct sp_http *h, __u32 end)
{
	__u64 w;
	int r = SP_MORE;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	if (!(h->near & SP_HTTP_NEAR_LINES)) {
		r = sp_http_near(s, h, end);
	} else if (end - h->line <= 1 || (end - h->line == 2 && sp_get8(s, h->line) == '\r')) {
		return SP_HTTP_OTHER; /* the head ends, and names nobody */
	} else {
		w = sp_http_word(s, h->line);
		/* nor may what comes behind it name one */
		if ((w & 0xffffffff) == SP_WORD('h', 'o', 's', 't', 0, 0, 0, 0) ||
		    w == SP_WORD('c', 'o', 'n', 'n', 'e', 'c', 't', 'i'))
			return SP_BAD(HTTP_MALFORMED);
	}
	h->line = end;
	return r;
}

/* Up to 32 bytes, and the byte behind them if it says something. */
SP_STEP int sp_http_begin_run(const struct sp_stream *s, struct sp_http *h)
{
	__u32 c, off, i, plain = 8;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	off = h->off;
	for (i = 0; i < 4; i++) {
		plain = sp_http_stop(s, off, SP_BYTES(0x80 - ' '), SP_BYTES('/'));
		off += plain;
		if (plain != 8)
			break;
	}
	h->off = off;
	if (plain == 8 || off >= s->len)
		return SP_MORE;
	c = sp_get8(s, off);
	h->off = off + 1;
	if (c == '\n')
		return sp_http_near_line(s, h, off + 1);
	if (h->near & SP_HTTP_NEAR_LINES)
		return SP_MORE;
	if (c == '/')
		return off + 2 > s->len ? SP_HTTP_WAIT : sp_http_version(s, h, off);
	/* only to what starts with a letter are servers so lenient */
	if (!(h->near & SP_HTTP_NEAR_LETTER) && !sp_http_span(s, off, off + 1, SP_HTTP_BLANK, 1))
		return SP_HTTP_OTHER;
	return SP_MORE;
}

/* Up to 64 runs. */
SP_STEP int sp_http_begin_runs(const struct sp_stream *s, struct sp_http *h)
{
	__u32 i;
	int r = SP_MORE;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	for (i = 0; i < 64; i++) {
		if (h->off >= s->len)
			return SP_HTTP_WAIT;
		r = sp_http_begin_run(s, h);
		if (r != SP_MORE)
			break;
	}
	return r;
}

/* What may be white space to a server and is no part of the first word. */
SP_INLINE int sp_http_ends_word(__u32 c)
{
	return c == 0x85 || c == 0xa0 || (c <= ' ' && (SP_HTTP_BLANK_LOW >> (c & 63) & 1)) ||
	       c == ' ';
}

/* The header of version 2 of the PROXY protocol: SP_MORE, SP_HTTP_PROXY, SP_DONE (it is none). */
SP_STEP int sp_http_proxy2(const struct sp_stream *s, struct sp_http *h)
{
	__u64 a, b;
	__u32 n;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	a = sp_load64(&s->data[0]) ^ SP_WORD('\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q');
	b = (sp_load64(&s->data[8]) ^ SP_WORD('U', 'I', 'T', '\n', 0, 0, 0, 0)) & 0xffffffff;
	n = s->len;
	if (n < 8) {
		a &= (1ULL << (8 * (n & 7))) - 1;
		b = 0;
	} else if (n < 12) {
		b &= (1ULL << (8 * (n & 3))) - 1;
	}
	if (a || b)
		return SP_DONE;
	if (n < 16)
		return SP_MORE;
	h->head = 16 + sp_get16(s, 14);
	if (h->head > SP_STREAM_MAX)
		return SP_BAD(HTTP_TOO_LONG);
	return n < h->head ? SP_MORE : SP_HTTP_PROXY;
}

/* What comes before the first word's end: SP_DONE, SP_HTTP_WAIT, SP_HTTP_OTHER, SP_HTTP_PROXY,
 * reason.
 */
SP_STEP int sp_http_word_first(const struct sp_stream *s, struct sp_http *h)
{
	__u32 off = 0, n, c, i;
	int r;

	if (!s || !h || s->len == 0)
		return SP_HTTP_WAIT;
	if (sp_get8(s, 0) == '\r') {
		r = sp_http_proxy2(s, h);
		if (r != SP_DONE)
			return r == SP_MORE ? SP_HTTP_WAIT : r;
	}
	for (i = 0; i < 4; i++) {
		n = sp_http_span(s, off, s->len, SP_HTTP_BLANK, 1);
		off += n;
		if (n < 64)
			break;
	}
	if (off >= s->len)
		return SP_HTTP_WAIT;
	if (off >= 256)
		return SP_BAD(HTTP_TOO_LONG);
	h->line = off;
	h->off = off;
	c = sp_get8(s, off);
	if (c >= 0x80) { /* no token, but Apache can be told to take it, and others do */
		h->near = SP_HTTP_NEAR_ODD;
		return SP_DONE;
	}
	if (!sp_http_span(s, off, off + 1, SP_HTTP_TOKEN, 1))
		return SP_HTTP_OTHER;
	c |= 0x20;
	if (c >= 'a' && c <= 'z')
		h->near = SP_HTTP_NEAR_LETTER;
	for (i = 0; i < 4; i++) {
		n = sp_http_span(s, off, s->len, SP_HTTP_PRINT, 1);
		if ((__u32)sp_http_span(s, off, off + n, SP_HTTP_TOKEN, 1) != n)
			h->near |= SP_HTTP_NEAR_ODD;
		off += n;
		if (n < 64)
			break;
		if (h->near & SP_HTTP_NEAR_ODD)
			return SP_HTTP_OTHER;
	}
	if (off >= s->len)
		return SP_DONE;
	c = sp_get8(s, off);
	if (c >= 0x80)
		h->near |= SP_HTTP_NEAR_ODD;
	return n == 64 || c >= 0x80 || sp_http_ends_word(c) ? SP_DONE : SP_HTTP_OTHER;
}

/* The preface of HTTP/2 (RFC 9113 3.4), which is not read: SP_HTTP_OTHER, SP_MORE, SP_DONE (it is
 * none).
 */
SP_STEP int sp_http_preface(const struct sp_stream *s)
{
	__u64 a, b, c;
	__u32 n;

	if (!s)
		return SP_MORE;
	n = s->len;
	a = sp_load64(&s->data[0]) ^ SP_WORD('P', 'R', 'I', ' ', '*', ' ', 'H', 'T');
	b = sp_load64(&s->data[8]) ^ SP_WORD('T', 'P', '/', '2', '.', '0', '\r', '\n');
	c = sp_load64(&s->data[16]) ^ SP_WORD('\r', '\n', 'S', 'M', '\r', '\n', '\r', '\n');
	if (n < 8) {
		a &= (1ULL << (8 * (n & 7))) - 1;
		b = 0;
	} else if (n < 16) {
		b &= (1ULL << (8 * (n & 7))) - 1;
	}
	if (n < 16)
		c = 0;
	else if (n < 24)
		c &= (1ULL << (8 * (n & 7))) - 1;
	if (a || b || c)
		return SP_DONE;
	return n < 24 ? SP_MORE : SP_HTTP_OTHER;
}

/*
 * On a port where it need not be: is this the start of an HTTP/1 request? SP_DONE: yes,
 * sp_http_head() reads it; SP_MORE; SP_HTTP_OTHER: no; SP_HTTP_PROXY: h->head bytes are a header in
 * front of what is to be asked about; or a reason. With SP_MORE, h->near and h->line say how far it
 * was read.
 */
SP_STEP int sp_http_begin(const struct sp_stream *s, struct sp_http *h)
{
	__u32 i;
	int r;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	h->off = 0;
	h->line = 0;
	h->near = 0;
	h->head = 0;
	r = sp_http_preface(s);
	if (r != SP_DONE)
		return r;
	r = sp_http_word_first(s, h);
	if (r == SP_HTTP_WAIT && s->len < SP_STREAM_MAX)
		return SP_MORE;
	if (r != SP_DONE)
		return r == SP_HTTP_WAIT ? SP_BAD(HTTP_TOO_LONG) : r;
	/* a run is 32 bytes, or ends at a byte that counts */
	for (i = 0; i < SP_STREAM_MAX / 64 + 1; i++) {
		r = sp_http_begin_runs(s, h);
		if (r != SP_MORE)
			break;
	}
	if (r == SP_HTTP_WAIT && s->len < SP_STREAM_MAX)
		return SP_MORE;
	if (r != SP_HTTP_WAIT && r != SP_MORE)
		return r;
	return h->near & SP_HTTP_NEAR_ODD ? SP_HTTP_OTHER : SP_BAD(HTTP_TOO_LONG);
}

/* ---- a head ---------------------------------------------------------------------------------- */

/* Finds the end of the authority in an absolute-form target: SP_DONE or a reason. */
SP_STEP int sp_http_authority(const struct sp_stream *s, struct sp_http *h, __u32 end)
{
	__u32 i, n = 0;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	for (i = 0; i < 5; i++) {
		__u32 more = sp_http_span(s, h->target + n, end, SP_HTTP_PATH, 0);

		n += more;
		if (more < 64)
			break;
	}
	if (n == 0 || n > SP_NAME_MAX + 6)
		return SP_BAD(HTTP_HOST);
	h->target_len = n;
	return SP_DONE;
}

/* METHOD SP target SP HTTP/1.x: the line is h->line .. h->off - 2. SP_MORE or a reason. */
SP_STEP int sp_http_request_line(const struct sp_stream *s, struct sp_http *h)
{
	__u32 end, target, c;
	__u64 w;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	end = h->off - 2;
	if (h->spaces != 2 || h->last_space + 9 != end)
		return SP_BAD(HTTP_MALFORMED);
	if (h->last_space + 1 >= SP_STREAM_MAX)
		return SP_BAD(HTTP_MALFORMED);
	w = sp_load64(&s->data[h->last_space + 1]);
	if (w != SP_WORD('H', 'T', 'T', 'P', '/', '1', '.', '0') &&
	    w != SP_WORD('H', 'T', 'T', 'P', '/', '1', '.', '1'))
		return SP_BAD(HTTP_MALFORMED);
	h->old = w == SP_WORD('H', 'T', 'T', 'P', '/', '1', '.', '0');
	target = h->first_space + 1;
	if (target >= h->last_space)
		return SP_BAD(HTTP_MALFORMED);
	if (h->line < SP_STREAM_MAX &&
	    sp_load64(&s->data[h->line]) == SP_WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' ')) {
		h->connect = 1;
		h->target = target;
		h->target_len = h->last_space - target;
		return SP_MORE;
	}
	c = sp_get8(s, target);
	if (c == '/')
		return SP_MORE;
	if (c == '*') {
		/* OPTIONS * only (RFC 9112 3.2.4) */
		if (h->last_space != target + 1 || h->first_space != h->line + 7 ||
		    h->line >= SP_STREAM_MAX ||
		    sp_load64(&s->data[h->line]) != SP_WORD('O', 'P', 'T', 'I', 'O', 'N', 'S', ' '))
			return SP_BAD(HTTP_MALFORMED);
		return SP_MORE;
	}
	w = sp_http_word(s, target) & 0x00ffffffffffffffULL;
	if (w != SP_WORD('h', 't', 't', 'p', ':', '/', '/', 0))
		return SP_BAD(HTTP_MALFORMED);
	h->target = target + 7;
	c = sp_http_authority(s, h, h->last_space);
	return (int)c == SP_DONE ? SP_MORE : (int)c;
}

/* Trims white space (at most 64 bytes before, 16 behind): sets *range to end << 32 | start of the
 * value. */
SP_INLINE int sp_http_value(const struct sp_stream *s, const struct sp_http *h, __u64 *range)
{
	__u32 from, to, i;

	if (!s || !h || !range)
		return SP_BAD(HTTP_MALFORMED);
	from = h->colon + 1;
	to = h->off - 2;
	from += sp_http_span(s, from, to, SP_HTTP_SPACE, 1);
	for (i = 0; i < 16; i++) {
		if (from >= to || !sp_http_span(s, to - 1, to, SP_HTTP_SPACE, 1))
			break;
		to--;
	}
	*range = (__u64)to << 32 | from;
	return SP_DONE;
}

/* One byte of the Host field: SP_MORE or a reason. */
SP_STEP int sp_http_host_byte(const struct sp_stream *s, struct sp_http *h, __u32 at)
{
	__u32 c, digit;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	c = sp_get8(s, at);
	digit = c >= '0' && c <= '9';
	if (c == ':') {
		if (h->port)
			return SP_BAD(HTTP_HOST);
		h->port = at;
		return SP_MORE;
	}
	if (h->port) {
		h->port_value = h->port_value * 10 + (c - '0');
		return digit && h->port_value <= 65535 ? SP_MORE : SP_BAD(HTTP_HOST);
	}
	if (c != '.' && !digit)
		h->host_ip = 0;
	return SP_MORE;
}

/* Up to 32 bytes of the Host field. */
SP_STEP int sp_http_host_bytes(const struct sp_stream *s, struct sp_http *h, __u32 from, __u32 to)
{
	__u32 i;

	for (i = 0; i < 32; i++) {
		if (from + i >= to)
			break;
		if (sp_http_host_byte(s, h, from + i) < 0)
			return SP_BAD(HTTP_HOST);
	}
	return SP_MORE;
}

/* name[:port], [v6][:port], or an IPv4 literal, at from..to. SP_MORE or a reason. */
SP_STEP int sp_http_host_at(const struct sp_stream *s, struct sp_http *h, __u32 from, __u32 to)
{
	__u32 i;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	if (from >= to || to - from > SP_NAME_MAX + 6) {
		h->no_host = 1;
		return SP_BAD(HTTP_HOST);
	}
	h->host = from;
	h->host_len = to - from;
	h->name_len = h->host_len;
	h->host_ip = 1;
	if (sp_get8(s, from) == '[')
		return SP_MORE;
	for (i = 0; i < SP_NAME_MAX + 7; i += 32) {
		if (from + i >= to)
			break;
		if (sp_http_host_bytes(s, h, from + i, to) < 0)
			return SP_BAD(HTTP_HOST);
	}
	if (h->port)
		h->name_len = h->port - from;
	return h->name_len ? SP_MORE : SP_BAD(HTTP_HOST);
}

/* The Host field: SP_MORE or a reason. */
SP_INLINE int sp_http_host(const struct sp_stream *s, struct sp_http *h)
{
	__u64 range = 0;
	int r;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	if (h->host || h->no_host)
		return SP_BAD(HTTP_HOST); /* a second one, even an equal one */
	r = sp_http_value(s, h, &range);
	if (r != SP_DONE)
		return r;
	return sp_http_host_at(s, h, (__u32)range, range >> 32);
}

/* CONNECT: the host is that of the target, with a port. SP_DONE or a reason. */
SP_STEP int sp_http_tunnel(const struct sp_stream *s, struct sp_http *h)
{
	int r;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	h->port = 0;
	h->port_value = 0;
	r = sp_http_host_at(s, h, h->target, h->target + h->target_len);
	if (r < 0)
		return r;
	return h->host_ip || h->port_value ? SP_DONE : SP_BAD(HTTP_HOST);
}

/* The host is an IPv4 literal: *addr is it, as its bytes are on the wire. SP_DONE or a reason. */
SP_STEP int sp_http_v4(const struct sp_stream *s, const struct sp_http *h, __u32 *addr)
{
	__u32 i, c, octet = 0, digits = 0, octets = 0, v = 0;

	if (!s || !h || !addr || h->name_len > 15)
		return SP_BAD(HTTP_HOST);
	for (i = 0; i < 16; i++) {
		c = i < h->name_len ? sp_get8(s, h->host + i) : '.';
		if (c == '.') {
			if (!digits || octet > 255 || octets > 3)
				return SP_BAD(HTTP_HOST);
			v |= octet << (8 * (octets & 3));
			octets++;
			octet = 0;
			digits = 0;
		} else {
			if (c < '0' || c > '9' || (digits && !octet) || ++digits > 3)
				return SP_BAD(HTTP_HOST);
			octet = octet * 10 + (c - '0');
		}
		if (i >= h->name_len)
			break;
	}
	*addr = v;
	return octets == 4 ? SP_DONE : SP_BAD(HTTP_HOST);
}

/* Transfer-Encoding: chunked, once, alone (RFC 9112 6.1). SP_MORE or a reason. */
SP_STEP int sp_http_transfer(const struct sp_stream *s, struct sp_http *h)
{
	__u64 range = 0;
	__u32 from;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	/* the older version has no such thing, and servers differ */
	if (h->chunked || h->has_length || h->old || sp_http_value(s, h, &range) != SP_DONE)
		return SP_BAD(HTTP_FRAMING);
	from = (__u32)range;
	if ((range >> 32) - from != 7 || (sp_http_word(s, from) & 0xffffffffffffffULL) !=
						 SP_WORD('c', 'h', 'u', 'n', 'k', 'e', 'd', 0))
		return SP_BAD(HTTP_FRAMING);
	h->chunked = 1;
	return SP_MORE;
}

/* Content-Length: digits only, once, at most 2^53 (RFC 9112 6.2). SP_MORE or a reason. */
SP_STEP int sp_http_length(const struct sp_stream *s, struct sp_http *h)
{
	__u32 from, to, i, c;
	__u64 range = 0, n = 0;
	int r;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	if (h->has_length || h->chunked)
		return SP_BAD(HTTP_FRAMING);
	r = sp_http_value(s, h, &range);
	if (r != SP_DONE)
		return r;
	from = (__u32)range;
	to = range >> 32;
	if (from >= to || to - from > 16)
		return SP_BAD(HTTP_FRAMING);
	for (i = 0; i < 16; i++) {
		if (from + i >= to)
			break;
		c = sp_get8(s, from + i);
		if (c < '0' || c > '9')
			return SP_BAD(HTTP_FRAMING);
		n = n * 10 + (c - '0');
	}
	if (n > 1ULL << 53)
		return SP_BAD(HTTP_FRAMING);
	h->body = n;
	h->has_length = 1;
	return SP_MORE;
}

/* A field name is a token of at most 64 bytes, right up to its colon. */
SP_STEP int sp_http_field_name(const struct sp_stream *s, const struct sp_http *h)
{
	__u32 n;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	n = sp_http_span(s, h->line, h->colon, SP_HTTP_TOKEN, 1);
	return n == 0 || h->line + n != h->colon ? SP_BAD(HTTP_MALFORMED) : SP_MORE;
}

/* A line of the head that is not the first: SP_MORE; SP_DONE for the empty one; or a reason. */
SP_INLINE int sp_http_field(const struct sp_stream *s, struct sp_http *h)
{
	__u32 line, n;
	__u64 a, b, c;
	int r;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	line = h->line;
	if (h->off == line + 2)
		return SP_DONE;
	if (!h->colon)
		return SP_BAD(HTTP_MALFORMED);
	r = sp_http_field_name(s, h);
	if (r < 0)
		return r;
	n = h->colon - line;
	a = sp_http_word(s, line);
	b = sp_http_word(s, line + 8);
	if (n == 4 && (a & 0xffffffff) == SP_WORD('h', 'o', 's', 't', 0, 0, 0, 0))
		return sp_http_host(s, h);
	if (n == 14 && a == SP_WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-') &&
	    (b & 0xffffffffffffULL) == SP_WORD('l', 'e', 'n', 'g', 't', 'h', 0, 0))
		return sp_http_length(s, h);
	if (n == 17 && a == SP_WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r') &&
	    b == SP_WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n')) {
		c = sp_http_word(s, line + 16);
		if ((c & 0xff) == 'g')
			return sp_http_transfer(s, h);
	}
	if (n == 10 && a == SP_WORD('c', 'o', 'n', 'n', 'e', 'c', 't', 'i') &&
	    (b & 0xffff) == SP_WORD('o', 'n', 0, 0, 0, 0, 0, 0))
		h->has_connection = 1;
	if (n == 7 && (a & 0xffffffffffffffULL) == SP_WORD('u', 'p', 'g', 'r', 'a', 'd', 'e', 0))
		h->has_upgrade = 1;
	return SP_MORE;
}

/* Do eight bytes of target and Host agree, case aside? `left` of them count. */
SP_STEP int sp_http_same_word(const struct sp_stream *s, const struct sp_http *h, __u32 i,
			      __u32 left)
{
	__u64 x;

	if (!s || !h)
		return SP_BAD(HTTP_HOST);
	x = sp_http_word(s, h->target + i) ^ sp_http_word(s, h->host + i);
	if (left < 8)
		x &= (1ULL << (8 * (left & 7))) - 1;
	return x ? SP_BAD(HTTP_HOST) : SP_MORE;
}

/* The authority of an absolute-form target must be the Host, byte for byte but for case. */
SP_STEP int sp_http_same_authority(const struct sp_stream *s, const struct sp_http *h)
{
	__u32 i;

	if (!s || !h)
		return SP_BAD(HTTP_HOST);
	if (!h->target)
		return SP_DONE;
	if (h->target_len != h->host_len)
		return SP_BAD(HTTP_HOST);
	for (i = 0; i < 256 + 8; i += 8) {
		if (i >= h->host_len)
			break;
		if (sp_http_same_word(s, h, i, h->host_len - i) < 0)
			return SP_BAD(HTTP_HOST);
	}
	return SP_DONE;
}

/* A line has ended: judges it and makes ready for the next. SP_MORE, SP_DONE (head ends), reason.
 */
SP_INLINE int sp_http_line(const struct sp_stream *s, struct sp_http *h)
{
	int r;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	if (h->lines > SP_HEADERS_MAX + 1)
		return SP_BAD(HTTP_TOO_LONG);
	if (h->lines == 0)
		r = sp_http_request_line(s, h);
	else
		r = sp_http_field(s, h);
	if (h->lines == SP_HEADERS_MAX + 1 && r != SP_DONE)
		return SP_BAD(HTTP_TOO_LONG);
	h->lines++;
	h->line = h->off;
	h->spaces = 0;
	h->first_space = 0;
	h->last_space = 0;
	h->colon = 0;
	return r;
}

/* A run of lines and pieces of lines: keeps the loop of sp_http_head() short for the verifier. */
SP_STEP int sp_http_lines(const struct sp_stream *s, struct sp_http *h)
{
	__u32 i;
	int r = SP_MORE;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	for (i = 0; i < 8; i++) {
		r = sp_http_scan(s, h);
		if (r == SP_HTTP_LINE)
			r = sp_http_line(s, h);
		else if (r == SP_DONE)
			return s->len >= SP_STREAM_MAX ? SP_BAD(HTTP_TOO_LONG) : SP_HTTP_WAIT;
		if (r != SP_MORE)
			break;
	}
	return r;
}

/*
 * The request head at the start of s: SP_DONE with h filled in; SP_MORE; or a reason. The host name
 * itself is checked by the caller (sp_text_name() on h->host, h->name_len) unless h->host_ip.
 */
SP_STEP int sp_http_head(const struct sp_stream *s, struct sp_http *h)
{
	__u32 i;
	__u64 w;
	int r;

	if (!s || !h)
		return SP_BAD(HTTP_MALFORMED);
	h->off = 0;
	h->line = 0;
	h->spaces = 0;
	h->first_space = 0;
	h->last_space = 0;
	h->colon = 0;
	h->lines = 0;
	h->host = 0;
	h->host_len = 0;
	h->name_len = 0;
	h->port = 0;
	h->port_value = 0;
	h->bodyless = 0;
	h->chunked = 0;
	h->old = 0;
	h->connect = 0;
	h->target = 0;
	h->target_len = 0;
	h->head = 0;
	h->body = 0;
	h->has_length = 0;
	h->has_connection = 0;
	h->has_upgrade = 0;
	h->host_ip = 0;
	h->no_host = 0;
	r = sp_http_method(s);
	if (r != SP_DONE)
		return r;
	w = sp_load64(&s->data[0]);
	h->bodyless = (w & 0xffffffff) != SP_WORD('P', 'U', 'T', ' ', 0, 0, 0, 0) &&
		      (w & 0xffffffffff) != SP_WORD('P', 'O', 'S', 'T', ' ', 0, 0, 0) &&
		      (w & 0xffffffffffff) != SP_WORD('P', 'A', 'T', 'C', 'H', ' ', 0, 0);
	for (i = 0; i < (SP_STREAM_MAX / 64 + SP_HEADERS_MAX + 8) / 8 + 1; i++) {
		r = sp_http_lines(s, h);
		if (r != SP_MORE)
			break;
	}
	if (r == SP_HTTP_WAIT)
		return SP_MORE;
	if (r != SP_DONE)
		return r < 0 ? r : SP_BAD(HTTP_TOO_LONG);
	h->head = h->off;
	if (h->connect) /* it has no body (RFC 9110 9.3.6): to many, what is there is the next head
			 */
		return h->body || h->chunked ? SP_BAD(HTTP_FRAMING) : sp_http_tunnel(s, h);
	if (!h->host)
		return SP_BAD(HTTP_NO_HOST);
	return sp_http_same_authority(s, h);
}

/* ---- a chunked body ------------------------------------------------------------------------- */

/*
 * RFC 9112 7.1, a byte at a time, whatever segments it comes in. Strict, as heads are: CR LF,
 * digits right at the start, no white space outside trailers, whose lines are fields. `state` is
 * where in a chunk it is, with the bytes of what has a bound above it; `left` counts the bytes of a
 * chunk.
 */
enum sp_chunk {
	SP_CHUNK_NONE,
	SP_CHUNK_DATA,
	SP_CHUNK_SIZE,
	SP_CHUNK_DIGITS,
	SP_CHUNK_EXTENSION,
	SP_CHUNK_SIZE_LF,
	SP_CHUNK_DATA_CR,
	SP_CHUNK_DATA_LF,
	SP_CHUNK_TRAILER,
	SP_CHUNK_NAME,
	SP_CHUNK_VALUE,
	SP_CHUNK_VALUE_LF,
	SP_CHUNK_END_LF,
};

#define SP_CHUNK_DIGITS_MAX 16u	    /* of a chunk's size */
#define SP_CHUNK_EXTENSION_MAX 256u /* bytes of extensions of a chunk */
#define SP_CHUNK_TRAILERS_MAX 4096u /* bytes of trailers of a body */

SP_INLINE int sp_http_is_token(__u32 c)
{
	__u64 low = SP_HTTP_TOKEN_LOW, high = SP_HTTP_TOKEN_HIGH;

	return c < 0x80 && ((c & 0x40 ? high : low) >> (c & 63) & 1);
}

/* SP_MORE; SP_DONE: the body ends with this byte; or a reason. */
SP_STEP int sp_chunk_byte(__u64 *left, __u32 *state, __u32 c)
{
	__u32 st, n, next, digit;

	if (!left || !state)
		return SP_BAD(HTTP_FRAMING);
	st = *state & 0xff;
	n = (*state >> 8) + 1;
	next = 0;
	digit = c >= '0' && c <= '9'
			? c - '0'
			: ((c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 16);
	switch (st) {
	case SP_CHUNK_DATA:
		*left -= 1;
		next = *left ? SP_CHUNK_DATA : SP_CHUNK_DATA_CR;
		n = 0;
		break;
	case SP_CHUNK_SIZE:
		n = 1;
		if (digit < 16)
			next = SP_CHUNK_DIGITS;
		*left = digit;
		break;
	case SP_CHUNK_DIGITS:
		if (digit < 16 && n <= SP_CHUNK_DIGITS_MAX && *left < 1ULL << 49) {
			*left = *left << 4 | digit;
			next = SP_CHUNK_DIGITS;
		} else if (c == ';') {
			next = SP_CHUNK_EXTENSION;
			n = 0;
		} else if (c == '\r') {
			next = SP_CHUNK_SIZE_LF;
		}
		break;
	case SP_CHUNK_EXTENSION:
		if (c == '\r')
			next = SP_CHUNK_SIZE_LF;
		else if (c > ' ' && c < 0x7f && n <= SP_CHUNK_EXTENSION_MAX)
			next = SP_CHUNK_EXTENSION;
		break;
	case SP_CHUNK_SIZE_LF:
		n = 0;
		if (c == '\n')
			next = *left ? SP_CHUNK_DATA : SP_CHUNK_TRAILER;
		break;
	case SP_CHUNK_DATA_CR:
		if (c == '\r')
			next = SP_CHUNK_DATA_LF;
		break;
	case SP_CHUNK_DATA_LF:
		n = 0;
		if (c == '\n')
			next = SP_CHUNK_SIZE;
		break;
	case SP_CHUNK_TRAILER:
		if (c == '\r')
			next = SP_CHUNK_END_LF;
		else if (sp_http_is_token(c))
			next = SP_CHUNK_NAME;
		break;
	case SP_CHUNK_NAME:
		if (c == ':')
			next = SP_CHUNK_VALUE;
		else if (sp_http_is_token(c))
			next = SP_CHUNK_NAME;
		break;
	case SP_CHUNK_VALUE:
		if (c == '\r')
			next = SP_CHUNK_VALUE_LF;
		else if ((c >= ' ' || c == '\t') && c != 0x7f)
			next = SP_CHUNK_VALUE;
		break;
	case SP_CHUNK_VALUE_LF:
		if (c == '\n')
			next = SP_CHUNK_TRAILER;
		break;
	case SP_CHUNK_END_LF:
		if (c != '\n')
			return SP_BAD(HTTP_FRAMING);
		*state = SP_CHUNK_NONE;
		return SP_DONE;
	}
	if (!next || n > SP_CHUNK_TRAILERS_MAX)
		return SP_BAD(HTTP_FRAMING);
	*state = n << 8 | next;
	return SP_MORE;
}

#define SP_CHUNK_PIECE 256
/* Up to that many bytes from the start of s. *used: those that belong to the body. As
 * sp_chunk_byte(). */
SP_STEP int sp_chunk_piece(const struct sp_stream *s, __u64 *left, __u32 *state, __u32 *used)
{
	__u32 i;
	int r = SP_MORE;

	if (!s || !left || !state || !used)
		return SP_BAD(HTTP_FRAMING);
	for (i = 0; i < SP_CHUNK_PIECE; i++) {
		if (i >= s->len)
			break;
		r = sp_chunk_byte(left, state, s->data[i]);
		if (r != SP_MORE) {
			i++;
			break;
		}
	}
	*used = i;
	return r;
}

#endif
