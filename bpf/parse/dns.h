/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dns.h - DNS queries and answers (RFC 1035 section 4, RFC 6891 for OPT).
 *
 * A query is judged whole: header, exactly one question without compression, at most one OPT record
 * beside it, and not a byte more. Of an answer only the answer section is read, record by record
 * (sp_answer_next()), following the CNAME chain from the question: an address counts if its owner
 * is the name that the chain has led to. Everything else in an answer teaches nothing.
 */
#ifndef SP_PARSE_DNS_H
#define SP_PARSE_DNS_H

#include "name.h"
#include "stream.h"

#define SP_DNS_HEADER 12u
#define SP_DNS_QUERY_MAX                                                                           \
	1232u		   /* a longer query is no query: RFC 1035 names and one OPT fit in less */
#define SP_DNS_HOPS_MAX 16 /* compression pointers followed for one name */
#define SP_DNS_CNAMES_MAX 64 /* CNAMEs followed in one answer; resolvers follow some 10 to 20 */

enum {
	SP_TYPE_A = 1,
	SP_TYPE_CNAME = 5,
	SP_TYPE_PTR = 12,
	SP_TYPE_AAAA = 28,
	SP_TYPE_OPT = 41,
	SP_TYPE_SVCB = 64,
	SP_TYPE_HTTPS = 65
};

struct sp_dns {
	__u32 off; /* cursor */
	__u32 end; /* bytes of the message */
	__u16 id;
	__u16 type;  /* QTYPE */
	__u16 flags; /* second and third byte of the header */
	__u16 answers;
	__u8 has_opt;
	/* answers only */
	__u8 foreign; /* an address or a CNAME of another name was passed over, in this pass, ... */
	__u8 again;   /* ... and behind it the chain went on: it may be that name's */
	__u8 passes;
	__u8 links; /* CNAMEs followed, again ones too */
	__u8 zero[3];
	__u32 section; /* offset of the answer section */
	__u32 seen;    /* records of it that were read in this pass */
	__u32 aside; /* offset of the first address passed over in this pass that is what was asked
		      * for; 0: none */
	__u32 current; /* offset in the message of the name that the chain has led to */
	__u64 current_hash;
	__u32 ttl;	    /* of the record returned */
	__u32 unpack_next;  /* sp_dns_unpack(): offset behind the name as it stands in the record */
	__u32 unpack_start; /* offset of its first label (behind leading pointers) */
	__u32 unpack_low;   /* pointers must go before this offset */
	__u32 hops;	    /* pointers followed */
	__u8 address[16];   /* of the record returned */
};

/* Copies what may be a name (256 bytes from `off`) into n->wire[], zeros behind the message's end.
 */
SP_STEP int sp_dns_copy_name(const struct sp_stream *s, struct sp_name *n, __u32 off, __u32 end)
{
	__u32 i, have;

	if (!s || !n || off >= SP_STREAM_MAX || off > end)
		return SP_BAD(DNS_MALFORMED);
	have = end - off;
	for (i = 0; i < 256; i += 8)
		sp_store64(&n->wire[i], 0);
	for (i = 0; i < 256; i += 8) {
		SP_BARRIER(have); /* else the loop is taken for a memmove() */
		if (i >= have)
			break;
		sp_store64(&n->wire[i], sp_load64(&s->data[off + i]));
	}
	SP_BARRIER(have);
	if (have < 256)
		sp_store64(&n->wire[have], 0); /* the last word brought what lies behind */
	return SP_DONE;
}

/* Header, question and end of a query in s->data[0..s->len-1]. SP_DONE or a negative reason. */
SP_STEP int sp_dns_query(const struct sp_stream *s, struct sp_dns *d, struct sp_name *n)
{
	__u32 off, end, additional, rdlength;
	int r;

	if (!s || !d || !n)
		return SP_BAD(DNS_MALFORMED);
	end = s->len;
	if (end < SP_DNS_HEADER || end > SP_STREAM_MAX)
		return SP_BAD(DNS_MALFORMED);
	d->end = end;
	d->id = sp_get16(s, 0);
	d->flags = sp_get16(s, 2);
	d->has_opt = 0;
	if (d->flags & 0xf800) /* QR and opcode */
		return SP_BAD(DNS_NOT_QUERY);
	additional = sp_get16(s, 10);
	if (sp_get16(s, 4) != 1 || sp_get32(s, 6) != 0 || additional > 1)
		return SP_BAD(DNS_COUNTS);
	r = sp_dns_copy_name(s, n, SP_DNS_HEADER, end);
	if (r < 0)
		return r;
	r = sp_name_labels(n);
	if (r < 0)
		return r;
	off = SP_DNS_HEADER + n->len;
	if (off > end)
		return SP_BAD(DNS_MALFORMED);
	r = sp_name_hash(n);
	if (r < 0)
		return r;
	if (off + 4 > end)
		return SP_BAD(DNS_MALFORMED);
	d->type = sp_get16(s, off);
	if (sp_get16(s, off + 2) != 1) /* class IN */
		return SP_BAD(DNS_NOT_QUERY);
	off += 4;
	if (additional) {
		if (off + 11 > end)
			return SP_BAD(DNS_MALFORMED);
		if (sp_get8(s, off) != 0 || sp_get16(s, off + 1) != SP_TYPE_OPT)
			return SP_BAD(DNS_COUNTS);
		rdlength = sp_get16(s, off + 9);
		if (off + 11 + rdlength > end)
			return SP_BAD(DNS_MALFORMED);
		d->has_opt = 1;
		off += 11 + rdlength;
	}
	if (off != end)
		return SP_BAD(DNS_TRAILING);
	return SP_DONE;
}

/* One label of a possibly compressed name, or one pointer. Cursor: n->pos in wire[], d->off. */
SP_STEP int sp_dns_unpack_step(const struct sp_stream *s, struct sp_dns *d, struct sp_name *n)
{
	__u32 off, len, pos, i;

	if (!s || !d || !n)
		return SP_BAD(ANSWER_MALFORMED);
	off = d->off;
	pos = n->pos;
	if (off >= d->end || off >= SP_STREAM_MAX || pos >= SP_NAME_MAX)
		return SP_BAD(ANSWER_MALFORMED);
	len = s->data[off];
	if (len >= 0xc0) {
		__u32 target = (len & 0x3f) << 8 | s->data[off + 1];

		if (off + 2 > d->end)
			return SP_BAD(ANSWER_MALFORMED);
		if (!d->unpack_next)
			d->unpack_next = off + 2;
		/* strictly backwards, before all that was read of this name, so that it ends */
		if (target >= d->unpack_low || target < SP_DNS_HEADER)
			return SP_BAD(ANSWER_MALFORMED);
		if (++d->hops > SP_DNS_HOPS_MAX)
			return SP_BAD(ANSWER_MALFORMED);
		d->unpack_low = target;
		/* only a pointer before the first label says where the whole name stands */
		if (pos == 0)
			d->unpack_start = target;
		d->off = target;
		return SP_MORE;
	}
	if (len > SP_LABEL_MAX)
		return SP_BAD(ANSWER_MALFORMED);
	if (off + 1 + len > d->end || pos + 1 + len > SP_NAME_MAX)
		return SP_BAD(ANSWER_MALFORMED);
	for (i = 0; i < 64; i += 8)
		sp_store64(&n->wire[pos + i], sp_load64(&s->data[off + i]));
	n->pos = pos + 1 + len;
	d->off = off + 1 + len;
	if (len)
		return SP_MORE;
	if (!d->unpack_next)
		d->unpack_next = off + 1;
	return SP_DONE;
}

/*
 * Reads the name at `at` into n, following pointers; sets n's hash, d->unpack_next (offset behind
 * it in the record) and d->unpack_start (offset of its labels). SP_DONE or a negative reason.
 */
SP_STEP int sp_dns_unpack(const struct sp_stream *s, struct sp_dns *d, struct sp_name *n, __u32 at)
{
	__u32 i;
	int r = SP_MORE;

	if (!s || !d || !n)
		return SP_BAD(ANSWER_MALFORMED);
	d->off = at;
	d->unpack_next = 0;
	d->unpack_start = at;
	d->unpack_low = at;
	d->hops = 0;
	n->pos = 0;
	for (i = 0; i < SP_LABELS_MAX + SP_DNS_HOPS_MAX + 1; i++) {
		r = sp_dns_unpack_step(s, d, n);
		if (r != SP_MORE)
			break;
	}
	if (r != SP_DONE)
		return SP_BAD(ANSWER_MALFORMED);
	/*
	 * A wildcard as a CNAME's target, and as the owner of the address behind it: some proxies
	 * answer so, and clients do not look. As the one label it is read as another that no host
	 * has; a question never comes here.
	 */
	if (n->wire[0] == 1 && n->wire[1] == '*')
		n->wire[1] = '_';
	if (sp_name_scan(n) != SP_DONE)
		return SP_BAD(ANSWER_MALFORMED);
	return SP_DONE;
}

/* From the front of the answer section. */
SP_INLINE void sp_answer_pass(struct sp_dns *d)
{
	d->off = d->section;
	d->seen = 0;
	d->foreign = 0;
	d->again = 0;
	d->aside = 0;
}

/*
 * Header and question of an answer; leaves the cursor at the answer section and the question in n.
 * SP_DONE; SP_MORE if there is nothing to learn (an error code); or a negative reason.
 */
SP_STEP int sp_dns_answer(const struct sp_stream *s, struct sp_dns *d, struct sp_name *n)
{
	__u32 end, off;
	int r;

	if (!s || !d || !n)
		return SP_BAD(ANSWER_MALFORMED);
	end = s->len;
	if (end < SP_DNS_HEADER || end > SP_STREAM_MAX)
		return SP_BAD(ANSWER_MALFORMED);
	d->end = end;
	d->id = sp_get16(s, 0);
	d->flags = sp_get16(s, 2);
	if ((d->flags & 0xf800) != 0x8000) /* a response, opcode QUERY */
		return SP_BAD(ANSWER_MALFORMED);
	if (sp_get16(s, 4) != 1)
		return SP_BAD(ANSWER_MALFORMED);
	d->answers = sp_get16(s, 6);
	r = sp_dns_copy_name(s, n, SP_DNS_HEADER, end);
	if (r < 0)
		return r;
	r = sp_name_scan(n);
	if (r < 0)
		return SP_BAD(ANSWER_MALFORMED);
	off = SP_DNS_HEADER + n->len;
	if (off + 4 > end)
		return SP_BAD(ANSWER_MALFORMED);
	d->type = sp_get16(s, off);
	if (sp_get16(s, off + 2) != 1)
		return SP_BAD(ANSWER_MALFORMED);
	d->off = off + 4;
	d->section = off + 4;
	d->current = SP_DNS_HEADER;
	d->current_hash = n->hash[0];
	d->passes = 0;
	d->links = 0;
	sp_answer_pass(d);
	return d->flags & 0x000f ? SP_MORE : SP_DONE;
}

#define SP_RECORD_ADDRESS 2 /* d->address and d->ttl are set */

/* The record at d->off: SP_RECORD_ADDRESS, SP_MORE (nothing to learn from it, a CNAME followed
 * included), or a negative reason.
 */
SP_INLINE int sp_answer_record(const struct sp_stream *s, struct sp_dns *d, struct sp_name *n)
{
	__u32 at, off, type, class, ttl, rdlength, i;
	int mine;

	if (!s || !d || !n)
		return SP_BAD(ANSWER_MALFORMED);
	at = d->off;
	if (at + 2 > d->end)
		return SP_BAD(ANSWER_MALFORMED);
	if (d->current < 0x4000 && sp_get16(s, at) == (0xc000 | d->current)) {
		mine = 1; /* the usual case: a pointer (of 14 bits) to the very name */
		off = at + 2;
	} else {
		if (sp_dns_unpack(s, d, n, at) != SP_DONE)
			return SP_BAD(ANSWER_MALFORMED);
		mine = n->hash[0] == d->current_hash;
		off = d->unpack_next;
	}
	if (off + 10 > d->end)
		return SP_BAD(ANSWER_MALFORMED);
	type = sp_get16(s, off);
	class = sp_get16(s, off + 2);
	ttl = sp_get32(s, off + 4);
	rdlength = sp_get16(s, off + 8);
	off += 10;
	if (off + rdlength > d->end)
		return SP_BAD(ANSWER_MALFORMED);
	d->off = off + rdlength;
	if (class != 1)
		return SP_MORE;
	if (!mine) {
		if (type == d->type && !d->aside)
			d->aside = at;
		if (type == SP_TYPE_CNAME || type == SP_TYPE_A || type == SP_TYPE_AAAA)
			d->foreign = 1;
		return SP_MORE;
	}
	/* RFC 2181 8: a TTL with the top bit set is zero */
	d->ttl = ttl & 0x80000000 ? 0 : ttl;
	if (type == SP_TYPE_CNAME) {
		if (++d->links > SP_DNS_CNAMES_MAX)
			return SP_BAD(ANSWER_MALFORMED);
		if (sp_dns_unpack(s, d, n, off) != SP_DONE || d->unpack_next != off + rdlength)
			return SP_BAD(ANSWER_MALFORMED);
		d->off = off + rdlength;
		d->current = d->unpack_start;
		d->current_hash = n->hash[0];
		d->again |= d->foreign;
		return SP_MORE;
	}
	if (type == SP_TYPE_A) {
		if (rdlength != 4 || off >= SP_STREAM_MAX)
			return SP_BAD(ANSWER_MALFORMED);
		for (i = 0; i < 12; i++)
			d->address[i] = i < 10 ? 0 : 0xff;
		for (i = 0; i < 4; i++)
			d->address[12 + i] = s->data[off + i];
		return SP_RECORD_ADDRESS;
	}
	if (type == SP_TYPE_AAAA) {
		if (rdlength != 16 || off >= SP_STREAM_MAX)
			return SP_BAD(ANSWER_MALFORMED);
		for (i = 0; i < 16; i++)
			d->address[i] = s->data[off + i];
		return SP_RECORD_ADDRESS;
	}
	return SP_MORE;
}

#define SP_ANSWER_PASSES 8
#define SP_RECORD_AGAIN 3 /* from the front once more: what was taken is met again */

/*
 * The next record of the answer section: SP_RECORD_ADDRESS, SP_RECORD_AGAIN, SP_MORE (nothing to
 * learn from it), SP_DONE at the end, or a negative reason. n is scratch space. The caller bounds
 * how often it asks.
 *
 * Records are in no order (RFC 1034 3.6.2), and there are resolvers that put an address before the
 * CNAME that leads to it. So where the chain went on behind what was passed over, the section is
 * gone through once more, from where the chain has come to.
 */
SP_INLINE int sp_answer_next(const struct sp_stream *s, struct sp_dns *d, struct sp_name *n)
{
	if (!s || !d || !n)
		return SP_BAD(ANSWER_MALFORMED);
	if (d->seen < d->answers) {
		d->seen++;
		return sp_answer_record(s, d, n);
	}
	if (!d->again || ++d->passes >= SP_ANSWER_PASSES)
		return SP_DONE;
	sp_answer_pass(d);
	return SP_RECORD_AGAIN;
}

#endif
