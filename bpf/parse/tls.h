/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls.h - the server name of a ClientHello (RFC 8446 4.1.2 and 5.1, RFC 6066 3).
 *
 * The input is a client's TCP stream from the first byte of a handshake record. Usually the whole
 * hello is in one record and is read where it lies. A hello that is spread over records is first
 * joined: sp_tls_join() copies the payload of the records to a second buffer, without their
 * headers. Nothing is guessed: what is not there yet is SP_MORE, what does not fit is a negative
 * reason.
 *
 * Servers read over some of what may stand before a hello (tried: OpenSSL, GnuTLS, Go, JSSE):
 * alerts that only warn, whatever version a record says. So it is read over here.
 *
 * What routes by name in front of servers may not join records, nor wait for the last byte (tried:
 * HAProxy). So the name must lie in the first record, where all readers find the same, and is
 * judged as soon as it is there.
 */
#ifndef SP_PARSE_TLS_H
#define SP_PARSE_TLS_H

#include "name.h"
#include "stream.h"

#define SP_TLS_RECORD 5u /* bytes of a record header */
#define SP_TLS_RECORD_MAX 16384u
#define SP_TLS_FRONT_MAX 64u /* records before the hello that are read over */
#define SP_TLS_HANDSHAKE 22u
#define SP_TLS_CCS 20u
#define SP_TLS_ALERT 21u

struct sp_tls {
	__u32 off; /* cursor in the buffer that holds the handshake message */
	__u32 end; /* end of the hello in it */
	__u32 sni; /* offset of the name in it; 0: none seen */
	__u32 sni_len;
	__u8 ech;   /* an encrypted ClientHello extension is there */
	__u8 early; /* early data is announced (RFC 8446 4.2.10) */
	__u8 zero[2];
	__u32 behind; /* offset in the stream of what comes behind the hello */
	__u32 first;  /* offset of the record that the hello starts in */
	/* sp_tls_join() */
	__u32 src, dst, left;
	__u32 limit; /* end of what is there of the message */
	__u32 once;  /* end of the first record's part of the message; 0: there is no header yet */
};

/*
 * Header of the record at `at`. SP_DONE with *length set; SP_MORE; or a reason: `first` says
 * whether what is not a handshake record means "not TLS" or a malformed hello.
 */
SP_INLINE int sp_tls_record(const struct sp_stream *s, __u32 at, __u32 first, __u32 *length)
{
	__u32 n;

	if (at >= s->len)
		return SP_MORE;
	if (sp_get8(s, at) != SP_TLS_HANDSHAKE)
		return first ? SP_BAD(TLS_NOT_TLS) : SP_BAD(TLS_MALFORMED);
	if (!first && at + 1 < s->len && sp_get8(s, at + 1) != 3)
		return SP_BAD(TLS_MALFORMED);
	if (at + SP_TLS_RECORD > s->len)
		return SP_MORE;
	/* Go takes any version below 16.0, JSSE any at all */
	n = sp_get16(s, at + 3);
	if (n == 0 || n > SP_TLS_RECORD_MAX)
		return first && sp_get8(s, at + 1) > 15 ? SP_BAD(TLS_NOT_TLS)
							: SP_BAD(TLS_MALFORMED);
	*length = n;
	return SP_DONE;
}

/*
 * A record at t->first that servers may read over: SP_TLS_SKIP and t->first behind it; SP_DONE: it
 * is none of those; SP_MORE; or a reason.
 */
#define SP_TLS_SKIP 3
SP_STEP int sp_tls_front(const struct sp_stream *s, struct sp_tls *t)
{
	__u32 at, type, n;

	if (!s || !t)
		return SP_BAD(TLS_MALFORMED);
	at = t->first;
	if (at >= s->len)
		return SP_MORE;
	type = sp_get8(s, at);
	if (type != SP_TLS_ALERT && type != SP_TLS_CCS)
		return SP_DONE;
	if (at + SP_TLS_RECORD > s->len)
		return SP_MORE;
	n = sp_get16(s, at + 3);
	if (n > SP_TLS_RECORD_MAX || (sp_get8(s, at + 1) != 3 && n != 2))
		return SP_BAD(TLS_NOT_TLS);
	if (at + SP_TLS_RECORD + n >= SP_STREAM_MAX)
		return SP_BAD(TLS_TOO_LONG);
	t->first = at + SP_TLS_RECORD + n;
	return SP_TLS_SKIP;
}

/* The message at `at`, of which `length` bytes are in the first record; its header is there. */
SP_INLINE void sp_tls_here(const struct sp_stream *s, struct sp_tls *t, __u32 at, __u32 length)
{
	t->off = at;
	t->end = at + 4 + (sp_get32(s, at) & 0xffffff);
	t->once = at + length;
	t->limit = s->len;
}

/*
 * Can the hello be read where it lies? SP_DONE: t->off is at its first byte and all of it is there,
 * in one record. SP_MORE: not yet. SP_TLS_JOIN: it goes on in another record. Or a reason.
 */
#define SP_TLS_JOIN 2
SP_STEP int sp_tls_start(const struct sp_stream *s, struct sp_tls *t)
{
	__u32 length = 0, hello, at, i;
	int r = SP_TLS_SKIP;

	if (!s || !t)
		return SP_BAD(TLS_MALFORMED);
	t->first = 0;
	t->once = 0;
	for (i = 0; i < SP_TLS_FRONT_MAX; i++) {
		r = sp_tls_front(s, t);
		if (r != SP_TLS_SKIP)
			break;
	}
	if (r != SP_DONE)
		return r == SP_TLS_SKIP ? SP_BAD(TLS_TOO_LONG) : r;
	at = t->first;
	r = sp_tls_record(s, at, 1, &length);
	if (r != SP_DONE)
		return r;
	at += SP_TLS_RECORD;
	if (s->len < at + 1)
		return SP_MORE;
	if (sp_get8(s, at) != 1)
		return SP_BAD(TLS_NOT_TLS);
	if (length < 4)
		return SP_TLS_JOIN;
	if (s->len < at + 4)
		return SP_MORE;
	hello = sp_get32(s, at) & 0xffffff;
	if (at + 4 + hello > SP_STREAM_MAX)
		return SP_BAD(TLS_TOO_LONG);
	if (4 + hello > length)
		return SP_TLS_JOIN;
	sp_tls_here(s, t, at, length);
	if (t->end > s->len)
		return SP_MORE;
	t->behind = t->end;
	return SP_DONE;
}

/* Takes a record header if one is due, and moves up to 64 bytes of the record's payload. */
SP_STEP int sp_tls_join_step(const struct sp_stream *s, struct sp_stream *out, struct sp_tls *t)
{
	__u32 src, dst, n, i, length = 0;
	int r;

	if (!s || !out || !t)
		return SP_BAD(TLS_MALFORMED);
	if (t->left == 0) {
		r = sp_tls_record(s, t->src, t->src == t->first, &length);
		if (r != SP_DONE)
			return r;
		if (t->src == t->first)
			t->once = length;
		t->src += SP_TLS_RECORD;
		t->left = length;
	}
	src = t->src;
	dst = t->dst;
	if (src >= s->len)
		return SP_MORE;
	if (src >= SP_STREAM_MAX || dst >= SP_STREAM_MAX)
		return SP_BAD(TLS_TOO_LONG);
	n = t->left > 64 ? 64 : t->left;
	if (n > s->len - src)
		n = s->len - src;
	/* whole words are moved; what is too much is overwritten by the next step */
	for (i = 0; i < 64; i += 8)
		sp_store64(&out->data[dst + i], sp_load64(&s->data[src + i]));
	t->src = src + n;
	t->dst = dst + n;
	t->left -= n;
	if (t->dst >= 1 && sp_get8(out, 0) != 1)
		return SP_BAD(TLS_NOT_TLS);
	if (t->end == 0 && t->dst >= 4) {
		__u32 hello = sp_get32(out, 0) & 0xffffff;

		if (t->first + SP_TLS_RECORD + 4 + hello > SP_STREAM_MAX)
			return SP_BAD(TLS_TOO_LONG);
		t->end = 4 + hello;
	}
	if (t->end && t->dst >= t->end)
		return SP_DONE;
	return SP_TLS_JOIN;
}

/* A run of steps: keeps the loop of sp_tls_join() short for the verifier. */
SP_STEP int sp_tls_join_steps(const struct sp_stream *s, struct sp_stream *out, struct sp_tls *t)
{
	__u32 i;
	int r = SP_TLS_JOIN;

	for (i = 0; i < 64; i++) {
		r = sp_tls_join_step(s, out, t);
		if (r != SP_TLS_JOIN)
			break;
	}
	return r;
}

/* Joins the records of `s` in `out`. SP_DONE: the whole hello is in out at t->off. SP_MORE; reason.
 */
SP_STEP int sp_tls_join(const struct sp_stream *s, struct sp_stream *out, struct sp_tls *t)
{
	__u32 i;
	int r = SP_TLS_JOIN;

	if (!s || !out || !t)
		return SP_BAD(TLS_MALFORMED);
	t->src = t->first; /* of sp_tls_start() */
	t->dst = 0;
	t->left = 0;
	t->end = 0;
	t->once = 0;
	t->off = 0;
	out->len = 0;
	/* a record costs at least six bytes of the stream, a step moves a record or 64 bytes of one
	 */
	for (i = 0; i < (SP_STREAM_MAX / 6 + SP_STREAM_MAX / 64) / 64 + 1; i++) {
		r = sp_tls_join_steps(s, out, t);
		if (r != SP_TLS_JOIN)
			break;
	}
	if (r == SP_TLS_JOIN)
		return SP_BAD(TLS_TOO_LONG);
	t->limit = t->dst;
	if (r == SP_DONE) {
		out->len = t->dst;
		t->behind = t->src - (t->dst - t->end);
	} else if (r == SP_MORE && s->len >= SP_STREAM_MAX) {
		return SP_BAD(TLS_TOO_LONG);
	}
	return r;
}

/* Is the message there up to `to`? SP_DONE; SP_TLS_WAIT: not yet; or a reason. */
#define SP_TLS_WAIT 4
SP_INLINE int sp_tls_to(const struct sp_tls *t, __u32 to)
{
	if (to > t->end)
		return SP_BAD(TLS_MALFORMED);
	if (!t->sni && to > t->once && t->limit > t->once)
		return SP_BAD(TLS_SNI_MALFORMED); /* it is not in the first record */
	return to > t->limit ? SP_TLS_WAIT : SP_DONE;
}

/* From the handshake header to the extensions: SP_MORE with t->off at the first; WAIT; a reason. */
SP_STEP int sp_tls_body(const struct sp_stream *s, struct sp_tls *t)
{
	__u32 off, n;
	int r;

	if (!s || !t)
		return SP_BAD(TLS_MALFORMED);
	t->sni = 0;
	t->sni_len = 0;
	t->ech = 0;
	t->early = 0;
	off = t->off + 4 + 2 + 32; /* header, version, random */
	r = sp_tls_to(t, off + 1);
	if (r != SP_DONE)
		return r;
	n = sp_get8(s, off);
	if (n > 32)
		return SP_BAD(TLS_MALFORMED);
	off += 1 + n;
	r = sp_tls_to(t, off + 2);
	if (r != SP_DONE)
		return r;
	n = sp_get16(s, off);
	if (n < 2 || (n & 1))
		return SP_BAD(TLS_MALFORMED);
	off += 2 + n;
	r = sp_tls_to(t, off + 1);
	if (r != SP_DONE)
		return r;
	n = sp_get8(s, off);
	if (n < 1)
		return SP_BAD(TLS_MALFORMED);
	off += 1 + n;
	if (off == t->end)
		return SP_BAD(TLS_NO_SNI); /* no extensions at all */
	r = sp_tls_to(t, off + 2);
	if (r != SP_DONE)
		return r;
	n = sp_get16(s, off);
	off += 2;
	if (off + n != t->end)
		return SP_BAD(TLS_MALFORMED);
	t->off = off;
	return SP_MORE;
}

/* One extension: SP_MORE, SP_DONE behind the last, SP_TLS_WAIT, or a reason. */
SP_STEP int sp_tls_extension(const struct sp_stream *s, struct sp_tls *t)
{
	__u32 off, type, len;
	int r;

	if (!s || !t)
		return SP_BAD(TLS_MALFORMED);
	off = t->off;
	if (off == t->end)
		return SP_DONE;
	r = sp_tls_to(t, off + 4);
	if (r != SP_DONE)
		return r;
	type = sp_get16(s, off);
	len = sp_get16(s, off + 2);
	r = sp_tls_to(t, off + 4 + len);
	if (r != SP_DONE)
		return r;
	if (type == 0) {
		/* one list with one entry of type host_name; RFC 6066 allows no second of a type */
		if (t->sni || len < 6)
			return SP_BAD(TLS_SNI_MALFORMED);
		if (sp_get16(s, off + 4) != len - 2 || sp_get8(s, off + 6) != 0 ||
		    sp_get16(s, off + 7) != len - 5)
			return SP_BAD(TLS_SNI_MALFORMED);
		t->sni = off + 9;
		t->sni_len = len - 5;
	} else if (type == 0xfe0d) {
		t->ech = 1;
	} else if (type == 42) {
		t->early = 1;
	}
	t->off = off + 4 + len;
	return SP_MORE;
}

/*
 * The hello at t->off .. t->end: finds the server name. SP_DONE or a reason (TLS_NO_SNI among
 * them). Of one that is not all there: SP_TLS_WAIT, t->sni then says whether the name was found.
 */
SP_STEP int sp_tls_hello(const struct sp_stream *s, struct sp_tls *t)
{
	__u32 i;
	int r;

	if (!s || !t)
		return SP_BAD(TLS_MALFORMED);
	r = sp_tls_body(s, t);
	for (i = 0; i < SP_EXTENSIONS_MAX + 1; i++) {
		if (r != SP_MORE)
			break;
		r = sp_tls_extension(s, t);
	}
	if (r == SP_MORE)
		return SP_BAD(TLS_TOO_LONG);
	if (r == SP_DONE)
		r = t->sni ? SP_DONE : SP_BAD(TLS_NO_SNI);
	/* who does not join records could read a name across their headers */
	return r == SP_BAD(TLS_NO_SNI) && t->end > t->once ? SP_BAD(TLS_SNI_MALFORMED) : r;
}

/*
 * What was said of a hello that is not all there: SP_DONE: its name is; SP_MORE: it is not; or a
 * reason, which what follows cannot mend.
 */
SP_STEP int sp_tls_part(const struct sp_stream *s, struct sp_tls *t)
{
	int r;

	if (!s || !t)
		return SP_BAD(TLS_MALFORMED);
	t->sni = 0;
	if (!t->once || t->limit < t->off + 4)
		return SP_MORE;
	r = sp_tls_hello(s, t);
	if (r < 0)
		return r;
	return t->sni ? SP_DONE : SP_MORE;
}

/* Copies text of at most 254 bytes from the stream and checks it as a host name: SP_DONE or reason.
 */
SP_STEP int sp_text_name(const struct sp_stream *s, struct sp_name *n, __u32 off, __u32 len)
{
	__u32 i;

	if (!s || !n || off >= SP_STREAM_MAX)
		return SP_BAD(NAME_BAD);
	if (len > SP_NAME_MAX - 1)
		return SP_BAD(NAME_LENGTH);
	for (i = 0; i < 256; i += 8)
		sp_store64(&n->wire[1 + i], sp_load64(&s->data[off + i]));
	return sp_name_from_text(n, len);
}

#endif
