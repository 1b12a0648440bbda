// SPDX-License-Identifier: GPL-2.0-or-later
/* fuzz_tls.c - the ClientHello parser against a second one. Seeds: tests/vectors/tls. */
#include "reference.h"

static struct ref_work work;

/* The hello's body, header included: SP_DONE with *sni, *len and *ech, or a reason. */
static int hello(const uint8_t *p, size_t size, const uint8_t **sni, size_t *len, bool *ech)
{
	size_t at = 4 + 2 + 32, n, count = 0;

	*sni = NULL;
	if (at >= size || p[at] > 32)
		return SP_BAD(TLS_MALFORMED);
	at += 1 + p[at];
	if (at + 2 > size)
		return SP_BAD(TLS_MALFORMED);
	n = ref16(p + at);
	if (n == 0 || n % 2)
		return SP_BAD(TLS_MALFORMED);
	at += 2 + n;
	if (at >= size || p[at] == 0)
		return SP_BAD(TLS_MALFORMED);
	at += 1 + p[at];
	if (at == size)
		return SP_BAD(TLS_NO_SNI);
	if (at + 2 > size || at + 2 + ref16(p + at) != size)
		return SP_BAD(TLS_MALFORMED);
	for (at += 2; at < size; at += 4 + n) {
		if (at + 4 > size)
			return SP_BAD(TLS_MALFORMED);
		n = ref16(p + at + 2);
		if (at + 4 + n > size)
			return SP_BAD(TLS_MALFORMED);
		if (ref16(p + at) == 0) {
			const uint8_t *e = p + at + 4;

			if (*sni || n < 6 || ref16(e) + 2 != n || e[2] != 0 ||
			    ref16(e + 3) + 5 != n)
				return SP_BAD(TLS_SNI_MALFORMED);
			*sni = e + 5;
			*len = n - 5;
		}
		if (ref16(p + at) == 0xfe0d)
			*ech = true;
		if (++count > 96)
			return SP_BAD(TLS_TOO_LONG);
	}
	return *sni ? SP_DONE : SP_BAD(TLS_NO_SNI);
}

static int reference(const uint8_t *p, size_t size, struct ref_name *name, bool *ech)
{
	static uint8_t joined[SP_STREAM_MAX];
	size_t at = 0, have = 0, n, take, len = 0, first, front = 0;
	const uint8_t *sni;
	int r;

	/* alerts and ChangeCipherSpec before the hello are read over */
	while (at < size && (p[at] == 21 || p[at] == 20)) {
		if (at + 1 < size && p[at + 1] > 15)
			return SP_BAD(TLS_NOT_TLS);
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

		if (p[at] != 22 ||
		    (at + 1 < size && (at == first ? p[at + 1] > 15 : p[at + 1] != 3)))
			return other;
		if (at + 5 > size)
			break;
		n = ref16(p + at + 3);
		if (n == 0 || n > 16384)
			return SP_BAD(TLS_MALFORMED);
		at += 5;
		take = n < size - at ? n : size - at;
		memcpy(joined + have, p + at, take);
		have += take;
		at += take;
		if (have && joined[0] != 1)
			return SP_BAD(TLS_NOT_TLS);
		if (have >= 4) {
			size_t need = 4 + (joined[1] << 16) + ref16(joined + 2);

			if (first + need + 5 > SP_STREAM_MAX)
				return SP_BAD(TLS_TOO_LONG);
			if (have >= need) {
				r = hello(joined, need, &sni, &len, ech);
				if (r != SP_DONE)
					return r;
				return ref_text(sni, len, name) ? SP_DONE : SP_BAD(NAME_BAD);
			}
		}
		/* cppcheck-suppress knownConditionTrueFalse ; true when the record is cut */
		if (take < n)
			break;
	}
	return size == SP_STREAM_MAX ? SP_BAD(TLS_TOO_LONG) : SP_MORE;
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
