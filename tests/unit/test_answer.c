// SPDX-License-Identifier: GPL-2.0-or-later
/* test_answer.c - sp_answer_build(): what a denied client is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sallyport/events.h>

/* evil.test A IN, RD, with room for an OPT behind it. */
static const uint8_t plain[] = {
	0x12, 0x34, 0x01, 0x00, 0,   1,	  0,   0,   0, 0, 0, 0, 4, 'E',
	'v',  'i',  'l',  4,	't', 'e', 's', 't', 0, 0, 1, 0, 1,
};
#define PLAIN_END sizeof(plain)

static struct sp_request request(const uint8_t *query, size_t len, uint8_t answer)
{
	struct sp_request r = {.version = SP_ABI_VERSION, .kind = SP_REQUEST_ANSWER};

	r.answer = answer;
	r.query_len = len;
	memcpy(r.query, query, len);
	return r;
}

static void test_codes(void **state)
{
	static const struct {
		uint8_t answer, rcode;
	} codes[] = {{SP_ANSWER_NXDOMAIN, 3}, {SP_ANSWER_REFUSED, 5}, {SP_ANSWER_EMPTY, 0}};
	uint8_t out[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct sp_request r = request(plain, sizeof(plain), codes[i].answer);
		uint8_t want[sizeof(plain)];

		memcpy(want, plain, sizeof(plain));
		want[2] = 0x81;
		want[3] = 0x80 | codes[i].rcode;
		assert_int_equal(sp_answer_build(&r, "text", out, sizeof(out)), PLAIN_END);
		assert_memory_equal(out, want, sizeof(want));
	}
}

static void test_flags(void **state)
{
	struct sp_request r = request(plain, sizeof(plain), SP_ANSWER_NXDOMAIN);
	uint8_t out[512];

	(void)state;
	r.query[2] = 0x06; /* AA and TC of a query say nothing; no RD */
	r.query[3] = 0x70; /* Z, AD and CD: CD is copied */
	assert_int_equal(sp_answer_build(&r, NULL, out, sizeof(out)), PLAIN_END);
	assert_int_equal(out[2], 0x80);
	assert_int_equal(out[3], 0x80 | 0x10 | 3);
}

static void test_ede(void **state)
{
	static const char text[] = "denied by rule 2 of coding-agent";
	struct sp_request r = request(plain, sizeof(plain), SP_ANSWER_NXDOMAIN);
	const size_t text_len = sizeof(text) - 1;
	uint8_t want[17] = {0, 0,  41, 0x04,	     0xd0, 0, 0, 0, 0, 0, 6 + text_len,
			    0, 15, 0,  2 + text_len, 0,	   15};
	uint8_t out[512];

	(void)state;
	r.query[11] = 1;
	assert_int_equal(sp_answer_build(&r, text, out, sizeof(out)), PLAIN_END + 17 + text_len);
	assert_int_equal(out[11], 1);
	assert_memory_equal(out + PLAIN_END, want, sizeof(want));
	assert_memory_equal(out + PLAIN_END + 17, text, text_len);

	/* without a text the code alone */
	assert_int_equal(sp_answer_build(&r, NULL, out, sizeof(out)), PLAIN_END + 17);
	assert_int_equal(out[PLAIN_END + 10], 6);
	assert_int_equal(out[PLAIN_END + 14], 2);

	/* DO is copied where the OPT was handed over too */
	memcpy(r.query + PLAIN_END, "\0\0\x29\x10\0\0\0\x80\0\0\0", 11);
	r.query_len += 11;
	assert_int_equal(sp_answer_build(&r, NULL, out, sizeof(out)), PLAIN_END + 17);
	assert_int_equal(out[PLAIN_END + 7], 0x80);
}

static void test_text_is_cut_and_cleaned(void **state)
{
	struct sp_request r = request(plain, sizeof(plain), SP_ANSWER_REFUSED);
	char text[600];
	uint8_t out[1024];
	int len;

	(void)state;
	r.query[11] = 1;
	/* three-byte characters: 512 - 27 - 17 = 468 = 156 * 3, and one byte less is 155 */
	for (len = 0; len + 3 < (int)sizeof(text); len += 3)
		memcpy(text + len, "\xe2\x82\xac", 3);
	text[len] = '\0';
	assert_int_equal(sp_answer_build(&r, text, out, sizeof(out)), 512);
	assert_int_equal(sp_answer_build(&r, text, out, 511), 509);
	assert_int_equal(out[PLAIN_END + 13] << 8 | out[PLAIN_END + 14], 2 + 155 * 3);

	len = sp_answer_build(&r, "a\x1b[31m\xff\xc3\xa9\n", out, sizeof(out));
	assert_int_equal(len, PLAIN_END + 17 + 10);
	assert_memory_equal(out + PLAIN_END + 17, "a?[31m?\xc3\xa9?", 10);

	/* no room for the option, then none for the record */
	assert_int_equal(sp_answer_build(&r, "x", out, PLAIN_END + 12), PLAIN_END + 11);
	assert_int_equal(out[11], 1);
	assert_int_equal(sp_answer_build(&r, "x", out, PLAIN_END + 10), PLAIN_END);
	assert_int_equal(out[11], 0);
	assert_int_equal(sp_answer_build(&r, "x", out, PLAIN_END - 1), -EBADMSG);
}

static void test_malformed(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = {
		{2, 0x81},  /* a response */
		{2, 0x09},  /* opcode 1 */
		{4, 1},	    /* 257 questions */
		{5, 0},	    /* none */
		{5, 2},	    /* two */
		{7, 1},	    /* an answer */
		{9, 1},	    /* an authority */
		{11, 2},    /* two additional records */
		{12, 0xc0}, /* a pointer */
		{12, 64},   /* a long label */
		{12, 63},   /* a label that ends outside */
		{22, 5},    /* no root byte */
	};
	struct sp_request good = request(plain, sizeof(plain), SP_ANSWER_NXDOMAIN), r;
	uint8_t out[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		r = good;
		r.query[changes[i].at] = changes[i].value;
		assert_int_equal(sp_answer_build(&r, "x", out, sizeof(out)), -EBADMSG);
	}
	r = good;
	r.answer = 3;
	assert_int_equal(sp_answer_build(&r, "x", out, sizeof(out)), -EBADMSG);
	r = good;
	r.query_len = sizeof(r.query) + 1;
	assert_int_equal(sp_answer_build(&r, "x", out, sizeof(out)), -EBADMSG);
	for (i = 0; i < sizeof(plain); i++) {
		r = good;
		r.query_len = i;
		assert_int_equal(sp_answer_build(&r, "x", out, sizeof(out)), -EBADMSG);
	}
}

/* 255 bytes is the longest name there is, and still fits; 256 is not a name. */
static void test_longest_name(void **state)
{
	struct sp_request r = request(plain, 12, SP_ANSWER_NXDOMAIN);
	uint8_t out[512];
	size_t pos = 12;
	int i;

	(void)state;
	r.query[11] = 1;
	for (i = 0; i < 3; i++, pos += 64) {
		r.query[pos] = 63;
		memset(r.query + pos + 1, 'a', 63);
	}
	r.query[pos] = 61;
	memset(r.query + pos + 1, 'b', 62);
	memset(r.query + pos + 62, 0, 5);
	r.query_len = pos + 62 + 5;
	assert_int_equal(r.query_len, 12 + 255 + 4);
	assert_int_equal(sp_answer_build(&r, NULL, out, sizeof(out)), r.query_len + 17);

	r.query[pos] = 62;
	r.query[pos + 62] = 'b';
	r.query_len++;
	assert_int_equal(sp_answer_build(&r, NULL, out, sizeof(out)), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),	  cmocka_unit_test(test_flags),
		cmocka_unit_test(test_ede),	  cmocka_unit_test(test_text_is_cut_and_cleaned),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_longest_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
