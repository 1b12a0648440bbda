// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_vectors.c - every vector through the native build of the parsers.
 *
 * What is said must be the .expect file to the byte, whatever lies behind the message in memory.
 * A TLS or HTTP stream must also be judged the same however it is cut: as bytes arrive the verdict
 * may go from `more` to the final one, once, and never elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "unit/vectors.h"

static struct vectors all;
static struct judge_work work, other;

static unsigned int check_vector(const struct vector *v)
{
	/* nothing, what looks like a name, what looks like labels */
	static const int fills[] = {0, 'a', 1};
	char text[sizeof(v->expect)];

	vector_prepare(&work, v->bytes, v->len, 0xff);
	vector_judge(&work, v->kind);
	vector_say(v->kind, &work.out, v->bytes, text, sizeof(text));
	if (strcmp(text, v->expect) != 0) {
		print_error("%s: expected\n%sgot\n%s\n", v->name, v->expect, text);
		return 1;
	}
	for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
		vector_prepare(&other, v->bytes, v->len, fills[i]);
		vector_judge(&other, v->kind);
		if (memcmp(&work.out, &other.out, sizeof(work.out)) != 0) {
			print_error("%s: what lies behind the message matters\n", v->name);
			return 1;
		}
	}
	return 0;
}

static void check_kind(enum vector_kind kind)
{
	unsigned int wrong = 0, seen = 0;

	for (size_t i = 0; i < all.len; i++) {
		if (all.v[i].kind != kind)
			continue;
		seen++;
		wrong += check_vector(&all.v[i]);
	}
	print_message("%s: %u vectors, %u wrong\n", vector_kinds[kind], seen, wrong);
	assert_true(seen > 50);
	assert_int_equal(wrong, 0);
}

static void queries(void **unused)
{
	(void)unused;
	check_kind(VECTOR_QUERY);
}

static void answers(void **unused)
{
	(void)unused;
	check_kind(VECTOR_ANSWER);
}

static void hellos(void **unused)
{
	(void)unused;
	check_kind(VECTOR_TLS);
}

static void heads(void **unused)
{
	(void)unused;
	check_kind(VECTOR_HTTP);
}

static void others(void **unused)
{
	(void)unused;
	check_kind(VECTOR_OTHER);
}

/* What the whole stream says, for comparing: a literal that is no address is a bad Host. */
static int final_verdict(enum vector_kind kind, const struct judged *o, const uint8_t *bytes)
{
	char text[1024];

	if (kind != VECTOR_HTTP || !o->host_ip || o->verdict != SP_DONE)
		return o->verdict;
	vector_say(kind, o, bytes, text, sizeof(text));
	return strncmp(text, "verdict: ok", 11) == 0 ? SP_DONE : SP_BAD(HTTP_HOST);
}

static unsigned int check_prefixes(const struct vector *v, unsigned long *runs)
{
	char text[sizeof(v->expect)], early[sizeof(v->expect)];
	int last, verdict;
	bool done = false;

	vector_prepare(&work, v->bytes, v->len, 0);
	vector_judge(&work, v->kind);
	last = final_verdict(v->kind, &work.out, v->bytes);
	vector_say(v->kind, &work.out, v->bytes, text, sizeof(text));
	vector_prepare(&other, v->bytes, 0, 0x16);
	for (uint32_t len = 0; len < v->len; len++) {
		if (len)
			other.stream.data[len - 1] = v->bytes[len - 1];
		other.stream.len = len;
		memset(&other.out, 0, sizeof(other.out));
		vector_judge(&other, v->kind);
		++*runs;
		verdict = final_verdict(v->kind, &other.out, v->bytes);
		if (verdict == SP_MORE && !done)
			continue;
		done = true;
		vector_say(v->kind, &other.out, v->bytes, early, sizeof(early));
		if (verdict == last && strcmp(text, early) == 0)
			continue;
		print_error("%s: after %u of %u bytes\n%sand at the end\n%s\n", v->name, len,
			    v->len, early, text);
		return 1;
	}
	return 0;
}

static void check_cuts(enum vector_kind kind)
{
	unsigned int wrong = 0;
	unsigned long runs = 0;

	for (size_t i = 0; i < all.len; i++)
		if (all.v[i].kind == kind)
			wrong += check_prefixes(&all.v[i], &runs);
	print_message("%s: %lu prefixes, %u vectors wrong\n", vector_kinds[kind], runs, wrong);
	assert_int_equal(wrong, 0);
}

static void hellos_cut_anywhere(void **unused)
{
	(void)unused;
	check_cuts(VECTOR_TLS);
}

static void heads_cut_anywhere(void **unused)
{
	(void)unused;
	check_cuts(VECTOR_HTTP);
}

static void others_cut_anywhere(void **unused)
{
	(void)unused;
	check_cuts(VECTOR_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries),
		cmocka_unit_test(answers),
		cmocka_unit_test(hellos),
		cmocka_unit_test(heads),
		cmocka_unit_test(others),
		cmocka_unit_test(hellos_cut_anywhere),
		cmocka_unit_test(heads_cut_anywhere),
		cmocka_unit_test(others_cut_anywhere),
	};
	int r;

	vectors_read(&all);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	vectors_free(&all);
	return r;
}
