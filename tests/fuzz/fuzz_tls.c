// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_tls.c - the ClientHello parser against a second one. Seeds: tests/vectors/tls. */
#include "reference.h"

static struct ref_work work;

/* A hello of `size` bytes, header included, `have` of them there and `once` in the first record. */
struct message {
	const uint8_t *p;
	size_t size, have, once;
	const uint8_t *sni;
	size_t len;
	bool ech;
};

/* SP_DONE: it is there up to `to`; SP_MORE: not yet; or a reason. */
static int there(const struct message *m, size_t to)
{
	if (to > m->size)
		return SP_BAD(TLS_MALFORMED);
	if (!m->sni && to > m->once && m->have > m->once)
		return SP_BAD(TLS_SNI_MALFORMED);
	return to <= m->have ? SP_DONE : SP_MORE;
}

#define NEED(to)                                                                                   \
	do {                                                                                       \
		int r_ = there(m, to);                                                             \
		if (r_ != SP_DONE)                                                                 \
			return r_;                                                                 \
	} while (0)

/* SP_DONE with m->sni, len and ech; SP_MORE; or a reason. */
static int hello(struct message *m)
{
	const uint8_t *p = m->p;
	size_t at = 4 + 2 + 32, n, count = 0;

	m->sni = NULL;
	NEED(at + 1);
	if (p[at] > 32)
		return SP_BAD(TLS_MALFORMED);
	at += 1 + p[at];
	NEED(at + 2);
	n = ref16(p + at);
	if (n == 0 || n % 2)
		return SP_BAD(TLS_MALFORMED);
	at += 2 + n;
	NEED(at + 1);
	if (p[at] == 0)
		return SP_BAD(TLS_MALFORMED);
	at += 1 + p[at];
	if (at == m->size)
		return m->size > m->once ? SP_BAD(TLS_SNI_MALFORMED) : SP_BAD(TLS_NO_SNI);
	NEED(at + 2);
	if (at + 2 + ref16(p + at) != m->size)
		return SP_BAD(TLS_MALFORMED);
	for (at += 2; at < m->size; at += 4 + n) {
		NEED(at + 4);
		n = ref16(p + at + 2);
		NEED(at + 4 + n);
		if (ref16(p + at) == 0) {
			const uint8_t *e = p + at + 4;

			if (m->sni || n < 6 || ref16(e) + 2 != n || e[2] != 0 ||
			    ref16(e + 3) + 5 != n)
				return SP_BAD(TLS_SNI_MALFORMED);
			m->sni = e + 5;
			m->len = n - 5;
		}
		if (ref16(p + at) == 0xfe0d)
			m->ech = true;
		if (++count > 96)
			return SP_BAD(TLS_TOO_LONG);
	}
	if (m->sni)
		return SP_DONE;
	return m->size > m->once ? SP_BAD(TLS_SNI_MALFORMED) : SP_BAD(TLS_NO_SNI);
}

static int reference(const uint8_t *p, size_t size, struct ref_name *name, bool *ech)
{
	static uint8_t joined[SP_STREAM_MAX];
	size_t at = 0, n, take, first, front = 0, have = 0;
	struct message m = {.p = joined};
	int r;

	/* alerts and ChangeCipherSpec before the hello are read over */
	while (at < size && (p[at] == 21 || p[at] == 20)) {
		if (at + 5 > size)
			return SP_MORE;
		n = ref16(p + at + 3);
		if (n > 16384 || (p[at + 1] != 3 && n != 2))
			return SP_BAD(TLS_NOT_TLS);
		at += 5 + n;
		if (at >= SP_STREAM_MAX || ++front == 64)
			return SP_BAD(TLS_TOO_LONG);
	}
	first = at;
	while (at < size) {
		int other = at != first ? SP_BAD(TLS_MALFORMED) : SP_BAD(TLS_NOT_TLS);

		if (p[at] != 22 || (at != first && at + 1 < size && p[at + 1] != 3))
			return other;
		if (at + 5 > size)
			break;
		n = ref16(p + at + 3);
		if (n == 0 || n > 16384)
			return at == first && p[at + 1] > 15 ? other : SP_BAD(TLS_MALFORMED);
		if (at == first)
			m.once = n;
		at += 5;
		take = n < size - at ? n : size - at;
		memcpy(joined + have, p + at, take);
		have += take;
		at += take;
		if (have && joined[0] != 1)
			return SP_BAD(TLS_NOT_TLS);
		if (have >= 4) {
			m.size = 4 + (joined[1] << 16) + ref16(joined + 2);
			if (first + m.size + 5 > SP_STREAM_MAX)
				return SP_BAD(TLS_TOO_LONG);
			if (have >= m.size)
				break;
		}
		/* cppcheck-suppress knownConditionTrueFalse ; true when the record is cut */
		if (take < n)
			break;
	}
	m.have = have;
	if ((!m.size || have < m.size) && size == SP_STREAM_MAX)
		return SP_BAD(TLS_TOO_LONG);
	if (!m.size)
		return SP_MORE;
	/* what there is of the name is judged before the rest is there */
	r = hello(&m);
	*ech = m.ech;
	if (r < 0 || !m.sni)
		return r;
	return ref_text(m.sni, m.len, name) ? r : SP_BAD(NAME_BAD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ref_name name;
	bool ech = false;
	int r;

	if (size > SP_STREAM_MAX)
		return 0;
	ref_run_twice(&work, judge_tls, data, size);
	ref_run_cut(&work, judge_tls, data, size);
	r = reference(data, size, &name, &ech);
	if (r == SP_BAD(NAME_BAD)) {
		ref_check(ref_is_name_reason(work.w.out.verdict), "a bad name");
		return 0;
	}
	ref_check(work.w.out.verdict == r, "the verdict");
	if (r == SP_DONE)
		ref_check(ref_same(&work.w.out, &name) && work.w.out.ech == ech, "name or ECH");
	return 0;
}
