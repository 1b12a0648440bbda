// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_dns.c - the parsers of DNS queries and answers against second ones: every input is read as
 * both. Seeds: tests/vectors/dns.
 */
#include "reference.h"

static struct ref_work work;

/* A name without pointers at *at: SP_DONE with *at behind it, or a reason. */
static int question(const uint8_t *p, size_t size, size_t *at, struct ref_name *n)
{
	size_t total = 0;

	memset(n, 0, sizeof(*n));
	for (;;) {
		size_t len;

		if (*at >= size)
			return SP_BAD(DNS_MALFORMED);
		len = p[*at];
		if (len == 0)
			break;
		if (len >= 0xc0)
			return SP_BAD(DNS_POINTER);
		total += 1 + len;
		if (len > 63 || total > 254)
			return SP_BAD(NAME_LENGTH);
		if (n->labels == 40)
			return SP_BAD(NAME_LABELS);
		if (*at + 1 + len > size)
			return SP_BAD(DNS_MALFORMED);
		ref_label(n, p + *at + 1, len);
		*at += 1 + len;
	}
	*at += 1;
	return ref_name_bytes(n, n->labels - 1) ? SP_DONE : SP_BAD(NAME_BAD);
}

static int query(const uint8_t *p, size_t size, struct ref_name *n, unsigned int *type)
{
	size_t at = 12;
	int r;

	if (size < 12)
		return SP_BAD(DNS_MALFORMED);
	if (p[2] & 0xf8)
		return SP_BAD(DNS_NOT_QUERY);
	if (ref16(p + 4) != 1 || ref16(p + 6) || ref16(p + 8) || ref16(p + 10) > 1)
		return SP_BAD(DNS_COUNTS);
	r = question(p, size, &at, n);
	if (r != SP_DONE)
		return r;
	if (at + 4 > size)
		return SP_BAD(DNS_MALFORMED);
	*type = ref16(p + at);
	if (ref16(p + at + 2) != 1)
		return SP_BAD(DNS_NOT_QUERY);
	at += 4;
	if (p[11]) {
		if (at + 11 > size)
			return SP_BAD(DNS_MALFORMED);
		if (p[at] != 0 || ref16(p + at + 1) != 41)
			return SP_BAD(DNS_COUNTS);
		if (at + 11 + ref16(p + at + 9) > size)
			return SP_BAD(DNS_MALFORMED);
		at += 11 + ref16(p + at + 9);
	}
	return at == size ? SP_DONE : SP_BAD(DNS_TRAILING);
}

/* A name with pointers, or false; *next is behind it, *start where its text stands. */
static bool unpack(const uint8_t *p, size_t size, size_t at, struct ref_name *n, size_t *next,
		   size_t *start)
{
	size_t low = at, total = 1;
	unsigned int hops = 0;

	memset(n, 0, sizeof(*n));
	*next = 0;
	*start = at;
	for (;;) {
		size_t len;

		if (at >= size)
			return false;
		len = p[at];
		if (len >= 0xc0) {
			size_t target;

			if (at + 2 > size)
				return false;
			target = ref16(p + at) & 0x3fff;
			if (!*next)
				*next = at + 2;
			if (target >= low || target < 12 || ++hops > 16)
				return false;
			if (n->labels == 0)
				*start = target;
			low = at = target;
			continue;
		}
		if (len == 0)
			break;
		total += 1 + len;
		if (len > 63 || total > 255 || n->labels == 40 || at + 1 + len > size)
			return false;
		ref_label(n, p + at + 1, len);
		at += 1 + len;
	}
	if (!*next)
		*next = at + 1;
	return ref_name_bytes(n, n->labels - 1);
}

struct answer {
	bool question;
	struct ref_name name;
	unsigned int type, learned, links;
	struct judged_learn learn[SP_RRS_MAX];
};

/* One record at *at. False if it is malformed. */
static bool record(const uint8_t *p, size_t size, size_t *at, struct ref_name *current,
		   size_t *stands, struct answer *a, bool *passed, bool *again)
{
	struct ref_name owner;
	size_t off, start, len, next;
	unsigned int type;
	bool mine;

	if (*at + 2 > size)
		return false;
	if (p[*at] >= 0xc0 && (ref16(p + *at) & 0x3fff) == *stands) {
		mine = true; /* however many pointers lead from there */
		off = *at + 2;
	} else {
		if (!unpack(p, size, *at, &owner, &off, &start))
			return false;
		mine = strcmp(owner.text, current->text) == 0;
	}
	if (off + 10 > size)
		return false;
	type = ref16(p + off);
	len = ref16(p + off + 8);
	if (off + 10 + len > size)
		return false;
	*at = off + 10 + len;
	if (ref16(p + off + 2) != 1)
		return true;
	if (!mine) {
		*passed |= type == 1 || type == 5 || type == 28;
		return true;
	}
	if (type == 5) {
		*again |= *passed;
		if (++a->links > 64)
			return false;
		if (!unpack(p, size, off + 10, current, &next, stands))
			return false;
		return next == *at;
	}
	if (type == 1 || type == 28) {
		struct judged_learn *l = &a->learn[a->learned++];
		uint32_t ttl = (uint32_t)ref16(p + off + 4) << 16 | ref16(p + off + 6);

		l->ttl = ttl >> 31 ? 0 : ttl;
		if (len != (type == 1 ? 4 : 16)) {
			a->learned--;
			memset(l, 0, sizeof(*l));
			return false;
		}
		if (type == 1)
			memset(l->addr + 10, 0xff, 2);
		memcpy(l->addr + 16 - len, p + off + 10, len);
	}
	return true;
}

static bool answer(const uint8_t *p, size_t size, struct answer *a)
{
	struct ref_name current;
	size_t at = 12, stands = 12, section;
	unsigned int read = 0;

	memset(a, 0, sizeof(*a));
	if (size < 12 || (p[2] & 0xf8) != 0x80 || ref16(p + 4) != 1)
		return false;
	if (question(p, size, &at, &a->name) != SP_DONE || at + 4 > size || ref16(p + at + 2) != 1)
		return false;
	a->question = true;
	a->type = ref16(p + at);
	at += 4;
	current = a->name;
	if (p[3] & 15)
		return true;
	section = at;
	for (unsigned int pass = 0; pass < 8; pass++) {
		bool passed = false, again = false;

		if (pass) {
			at = section;
			if (read++ == SP_RRS_MAX)
				return true;
			memset(a->learn, 0, sizeof(a->learn));
			a->learned = 0;
		}
		for (unsigned int i = 0; i < ref16(p + 6); i++) {
			if (read++ == SP_RRS_MAX)
				return true;
			if (!record(p, size, &at, &current, &stands, a, &passed, &again))
				return false;
		}
		if (!again)
			break;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int type = 0;
	struct ref_name name;
	struct answer a;
	bool ok;
	int r;

	if (size > SP_STREAM_MAX)
		return 0;
	ref_run_twice(&work, judge_query, data, size);
	r = query(data, size, &name, &type);
	ref_check(work.w.out.verdict == r, "verdict of a query");
	if (r == SP_DONE)
		ref_check(ref_same(&work.w.out, &name) && work.w.out.type == type &&
				  work.w.out.id == ref16(data),
			  "what a query asks");
	ref_run_twice(&work, judge_answer, data, size);
	ok = answer(data, size, &a);
	ref_check((work.w.out.verdict == SP_DONE) == ok, "verdict of an answer");
	ref_check(work.w.out.question == a.question, "question of an answer");
	if (a.question)
		ref_check(ref_same(&work.w.out, &a.name) && work.w.out.type == a.type,
			  "what an answer answers");
	ref_check(work.w.out.learned == a.learned &&
			  memcmp(work.w.out.learn, a.learn, sizeof(a.learn)) == 0,
		  "what an answer teaches");
	return 0;
}
