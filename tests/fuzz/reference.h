/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reference.h - the rules of tests/vectors/README.md once more, as one would write them in user
 * space: byte by byte, names as text. The fuzzers hold the parsers of bpf/parse against it.
 */
#ifndef SP_FUZZ_REFERENCE_H
#define SP_FUZZ_REFERENCE_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name as text, lower case, without a trailing dot. */
struct ref_name {
	char text[256];
	size_t len;
	unsigned int labels;
};

static inline void ref_check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "differs: %s\n", what);
	abort();
}

/* Appends a label; its bytes are not judged. */
static inline void ref_label(struct ref_name *n, const uint8_t *p, size_t len)
{
	if (n->labels++)
		n->text[n->len++] = '.';
	for (size_t i = 0; i < len; i++)
		n->text[n->len++] = p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i];
	n->text[n->len] = '\0';
}

/* The bytes of a name that was put together by ref_label(), with dots within labels seen by it. */
static inline bool ref_name_bytes(const struct ref_name *n, size_t dots)
{
	const char *last = n->text;
	bool digits = true;
	size_t seen = 0;

	if (n->labels == 0)
		return false;
	for (size_t i = 0; i < n->len; i++) {
		uint8_t c = n->text[i];

		if (c == '.') {
			seen++;
			last = &n->text[i + 1];
		} else if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
			   c != '_') {
			return false;
		}
	}
	if (seen != dots)
		return false;
	if (last[0] == '0' && last[1] == 'x')
		return false;
	for (; *last; last++)
		digits &= *last >= '0' && *last <= '9';
	return !digits;
}

/* A text name: true with *n filled in, or false. */
static inline bool ref_text(const uint8_t *p, size_t len, struct ref_name *n)
{
	size_t from = 0;

	memset(n, 0, sizeof(*n));
	if (len && p[len - 1] == '.')
		len--;
	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && p[i] != '.')
			continue;
		if (i == from || i - from > 63 || n->labels == 40)
			return false;
		ref_label(n, p + from, i - from);
		from = i + 1;
	}
	return ref_name_bytes(n, n->labels - 1);
}

/* Does the name in wire form say the same? */
static inline bool ref_same(const struct judged *o, const struct ref_name *n)
{
	struct ref_name w = {0};
	size_t at = 0;

	while (at < 255 && o->name[at]) {
		ref_label(&w, &o->name[at + 1], o->name[at]);
		at += 1 + o->name[at];
	}
	return at + 1 == o->name_len && strcmp(w.text, n->text) == 0 && w.labels == n->labels;
}

static inline bool ref_is_name_reason(int r)
{
	return r == SP_BAD(NAME_BAD) || r == SP_BAD(NAME_LENGTH) || r == SP_BAD(NAME_LABELS);
}

static inline unsigned int ref16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/*
 * Memory for a run, which is `fill` wherever the input is not. Setting all of it for every run
 * would take longer than the run: what the last one can have written is set again, which is the
 * input's length and the slack in both streams, and that it was no more is looked at every
 * REF_AUDIT runs.
 */
struct ref_work {
	struct judge_work w;
	unsigned long runs;
	uint32_t used; /* bytes of the streams that are not `fill` */
};

#define REF_AUDIT 4096

static inline void ref_audit_stream(const struct sp_stream *s, size_t from, uint8_t fill)
{
	uint8_t differs = 0;

	for (size_t i = from; i < sizeof(s->data); i++)
		differs |= s->data[i] ^ fill;
	ref_check(!differs, "memory that nobody should have written");
}

/* Runs one of judge_*() on a stream with `fill`, always the same for this `m`, behind it. */
static inline void ref_run(struct ref_work *m, int (*judge)(struct judge_work *),
			   const uint8_t *data, size_t size, uint8_t fill)
{
	struct judge_work *w = &m->w;

	if (m->runs++ == 0) {
		memset(w, fill, sizeof(*w));
	} else {
		memset(w, fill, offsetof(struct judge_work, stream));
		memset(w->stream.data, fill, m->used);
		memset(&w->joined, fill, offsetof(struct sp_stream, data) + m->used);
	}
	if (m->runs % REF_AUDIT == 0) {
		ref_audit_stream(&w->stream, 0, fill);
		ref_audit_stream(&w->joined, 0, fill);
	}
	memset(&w->out, 0, sizeof(w->out));
	w->name.seed[0] = 1;
	w->name.seed[1] = 2;
	w->stream.len = size;
	if (size)
		memcpy(w->stream.data, data, size);
	m->used = size + SP_STREAM_SLACK;
	judge(w);
	if (w->out.name_len < sizeof(w->out.name))
		memset(w->out.name + w->out.name_len, 0, sizeof(w->out.name) - w->out.name_len);
}

/* The same again over other memory: what is said must not depend on it. */
static inline void ref_run_twice(struct ref_work *m, int (*judge)(struct judge_work *),
				 const uint8_t *data, size_t size)
{
	static struct ref_work again;

	ref_run(m, judge, data, size, 0);
	ref_run(&again, judge, data, size, 'a');
	ref_check(memcmp(&m->w.out, &again.w.out, sizeof(m->w.out)) == 0, "with what lies behind");
}

#ifndef REF_CUTS
#define REF_CUTS 3 /* of one input, by its bytes: every variant of it is cut elsewhere */
#endif

/* As bytes arrive, `more` may turn into the final verdict, and into nothing else. */
static inline void ref_run_cut(const struct ref_work *whole, int (*judge)(struct judge_work *),
			       const uint8_t *data, size_t size)
{
	static struct ref_work cut;
	uint32_t h = 0;

	if (size == 0)
		return;
	for (size_t i = 0; i < size; i++)
		h = h * 31 + data[i];
	for (int i = 0; i < REF_CUTS; i++) {
		h = h * 1664525 + 1013904223;
		ref_run(&cut, judge, data, (h >> 8) % size, 0xff);
		/* a name may be bad before what is worse in the whole is there */
		if (judge == judge_tls && cut.w.out.verdict < 0 && whole->w.out.verdict < 0)
			continue;
		ref_check(cut.w.out.verdict == SP_MORE ||
				  memcmp(&cut.w.out, &whole->w.out, sizeof(cut.w.out)) == 0,
			  "when it is cut");
	}
}

#endif
