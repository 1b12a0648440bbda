// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_property.c - the compiled image answers as the reference does.
 *
 * Random policies over a small alphabet of labels, networks and ports, so that targets overlap,
 * nest and shadow one another all the time; for each, random queries. SP_SEED repeats a run,
 * SP_PAIRS sets how many (policy, query) pairs are compared.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include <sallyport/policy.h>

#include "buf.h"

#define PAIRS 1000000
#define QUERIES_PER_POLICY 200

static uint64_t state;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static unsigned int below(unsigned int n)
{
	return next_random() % n;
}

#define PICK(array) (array)[below(sizeof(array) / sizeof((array)[0]))]

static const char *const labels[] = {"a", "b", "c", "d1", "_x", "com"};
static const unsigned int ports[] = {1, 22, 79, 80, 81, 443, 444, 8000, 8999, 65535};
static const char *const networks[] = {
	"10.0.0.0/8",
	"10.1.0.0/16",
	"10.1.2.0/24",
	"10.1.2.3",
	"10.1.2.3/32",
	"0.0.0.0/0",
	"192.168.0.0/17",
	"10.1.2.2/31",
	"::/0",
	"2001:db8::/32",
	"2001:db8:1::/48",
	"2001:db8:1::5",
	"fd00::/8",
	"::ffff:10.1.0.0/112",
	"2001:db8::/127",
	"127.0.0.0/8",
	"127.0.0.1",
	"126.0.0.0/7",
	"::1",
	"::/127",
};
static const uint8_t addresses[][16] = {
	{[10] = 0xff, 0xff, 10, 1, 2, 3},
	{[10] = 0xff, 0xff, 10, 1, 2, 2},
	{[10] = 0xff, 0xff, 10, 1, 9, 9},
	{[10] = 0xff, 0xff, 10, 200, 0, 1},
	{[10] = 0xff, 0xff, 192, 168, 127, 255},
	{[10] = 0xff, 0xff, 192, 168, 128, 0},
	{[10] = 0xff, 0xff, 8, 8, 8, 8},
	{0x20, 1, 0x0d, 0xb8, 0, 1, [15] = 5},
	{0x20, 1, 0x0d, 0xb8, 0, 1, [15] = 6},
	{0x20, 1, 0x0d, 0xb8, [15] = 1},
	{0x20, 1, 0x0d, 0xb8, [15] = 2},
	{0xfd, [15] = 1},
	{[15] = 1},
	{[15] = 0},
	{[10] = 0xff, 0xff, 127, 0, 0, 1},
	{[10] = 0xff, 0xff, 127, 9, 9, 9},
	{[10] = 0xff, 0xff, 0, 0, 0, 0},
};

static void add_name(struct sp_buf *text, unsigned int most)
{
	unsigned int n = 1 + below(most);

	for (unsigned int i = 0; i < n; i++)
		sp_buf_printf(text, "%s%s", i ? "." : "", PICK(labels));
}

static void add_target(struct sp_buf *text, bool may_port)
{
	sp_buf_add(text, "\"");
	switch (below(12)) {
	case 0:
		sp_buf_add(text, "*.");
		add_name(text, 3);
		break;
	case 1:
		sp_buf_add(text, "**.");
		add_name(text, 3);
		break;
	case 2:
		sp_buf_add(text, ".");
		add_name(text, 2);
		break;
	case 3:
		sp_buf_add(text, below(2) ? "*" : "**");
		break;
	case 4:
	case 5:
	case 6:
		sp_buf_add(text, PICK(networks));
		may_port = false;
		break;
	default:
		add_name(text, 4);
	}
	if (may_port && below(4) == 0)
		sp_buf_printf(text, ":%u", PICK(ports));
	sp_buf_add(text, "\"");
}

static void add_ports(struct sp_buf *text)
{
	unsigned int n = 1 + below(3);

	sp_buf_add(text, ", \"ports\": [");
	for (unsigned int i = 0; i < n; i++) {
		unsigned int a = PICK(ports), b = PICK(ports);

		sp_buf_add(text, i ? ", " : "");
		if (below(8) == 0)
			sp_buf_add(text, "\"*\"");
		else if (below(8) == 0)
			sp_buf_add(text, "\"1-65535\"");
		else if (below(2))
			sp_buf_printf(text, "%u", a);
		else
			sp_buf_printf(text, "\"%u-%u\"", a < b ? a : b, a < b ? b : a);
	}
	sp_buf_add(text, "]");
}

static void random_policy(struct sp_buf *text)
{
	unsigned int rules = below(9);

	sp_buf_printf(text,
		      "{\"version\": 1, \"default\": \"%s\", \"precedence\": \"%s\", \"rules\": [",
		      below(2) ? "allow" : "deny", below(2) ? "first_match" : "deny_wins");
	for (unsigned int i = 0; i < rules; i++) {
		unsigned int targets = 1 + below(4);
		bool with_ports = below(3) == 0, allow = below(2), keep = allow && !below(4);

		sp_buf_printf(text, "%s{\"%s\": [", i ? ", " : "", allow ? "allow" : "deny");
		if (keep) /* which is about names */
			sp_buf_add(text, "\"kept.test\", ");
		for (unsigned int j = 0; j < targets; j++) {
			sp_buf_add(text, j ? ", " : "");
			add_target(text, !with_ports);
		}
		sp_buf_add(text, "]");
		if (with_ports)
			add_ports(text);
		if (below(4) == 0)
			sp_buf_printf(text, ", \"protocol\": \"%s\"", below(2) ? "tcp" : "udp");
		if (below(4) == 0)
			sp_buf_add(text, ", \"tls\": true");
		if (keep)
			sp_buf_add(text, ", \"keep_addresses\": true");
		sp_buf_add(text, "}");
	}
	sp_buf_add(text, "]}");
}

static const char *const odd_names[] = {
	"",
	".",
	"a..b",
	"a b",
	"1.2.3.4",
	"a.b.",
	"A.Com",
	"10",
	"a.9",
	"x\\.com",
	"*.com",
	/* 42 labels */
	"a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c.a.b.c",
};

static void random_query(struct sp_query *query, struct sp_buf *name)
{
	unsigned int what = below(4);

	memset(query, 0, sizeof(*query));
	if (what != 0) {
		if (below(32) == 0)
			sp_buf_add(name, PICK(odd_names));
		else
			add_name(name, 5);
		query->name = name->data;
		if (!query->name)
			query->name = "";
	}
	if (what == 0 || what == 1) {
		query->has_addr = true;
		memcpy(query->addr, PICK(addresses), 16);
	}
	query->port = PICK(ports) + below(2);
	query->protocol = below(2) ? SP_PROTOCOL_TCP : SP_PROTOCOL_UDP;
}

static bool same(const struct sp_decision *a, const struct sp_decision *b)
{
	return a->action == b->action && a->rule == b->rule && a->reason == b->reason;
}

static void differ(const char *what, const char *policy, const struct sp_query *query,
		   const struct sp_decision *reference, const struct sp_decision *image)
{
	fail_msg("%s: name \"%s\" address %s port %u protocol %u\nreference: action %d rule %d "
		 "reason "
		 "%d\nimage: action %d rule %d reason %d\npolicy: %s",
		 what, query->name ? query->name : "-", query->has_addr ? "yes" : "no", query->port,
		 query->protocol, reference->action, (int)reference->rule, reference->reason,
		 image->action, (int)image->rule, image->reason, policy);
}

/*
 * SP_ACL_TLS and _KEEP are on an ACL exactly if one of its entries has the flag; counts and slices
 * are sound.
 */
static void check_image(const struct sp_image *image)
{
	assert_int_equal(image->conf.bucket_mask, image->buckets_len - 1);
	for (uint32_t i = 1; i < image->acls_len; i++) {
		const struct sp_acl *acl = &image->acls[i];
		bool tls = false, keep = false;

		assert_in_range(acl->count, 1, SP_ACL_MAX);
		assert_true(acl->first + acl->count <= image->entries_len);
		for (uint32_t j = acl->first; j < acl->first + acl->count; j++) {
			tls |= image->entries[j].flags & SP_ENTRY_TLS;
			keep |= image->entries[j].flags & SP_ENTRY_KEEP;
			if (j > acl->first)
				assert_true(image->entries[j - 1].order <= image->entries[j].order);
		}
		assert_int_equal(tls, acl->flags & SP_ACL_TLS);
		assert_int_equal(keep, !!(acl->flags & SP_ACL_KEEP));
	}
	for (uint32_t i = 0; i < image->nodes_len; i++) {
		assert_true(image->nodes[i].exact < image->acls_len);
		assert_true(image->nodes[i].one < image->acls_len);
		assert_true(image->nodes[i].many < image->acls_len);
	}
}

static void compare(const struct sp_policy *policy, const struct sp_image *image,
		    const uint64_t seed[2], const char *text, unsigned long *matched)
{
	struct sp_decision reference, walked;
	struct sp_buf name = {0};
	struct sp_query query;

	random_query(&query, &name);
	assert_int_equal(sp_policy_decide(policy, &query, &reference), 0);
	assert_int_equal(sp_image_decide(image, seed, &query, &walked), 0);
	if (!same(&reference, &walked))
		differ("decide", text, &query, &reference, &walked);
	*matched += reference.reason == SP_REASON_RULE;
	if (query.name && below(4) == 0) {
		assert_int_equal(sp_policy_decide_dns(policy, query.name, &reference), 0);
		assert_int_equal(sp_image_decide_dns(image, seed, query.name, &walked), 0);
		if (!same(&reference, &walked))
			differ("decide_dns", text, &query, &reference, &walked);
	}
	sp_buf_free(&name);
}

static void image_answers_as_the_reference(void **unused)
{
	const char *text_seed = getenv("SP_SEED"), *text_pairs = getenv("SP_PAIRS");
	unsigned long pairs = text_pairs ? strtoul(text_pairs, NULL, 0) : PAIRS;
	unsigned long done = 0, matched = 0;
	struct timespec now;

	(void)unused;
	clock_gettime(CLOCK_REALTIME, &now);
	state = text_seed ? strtoull(text_seed, NULL, 0)
			  : (uint64_t)now.tv_sec * 1000000007 + now.tv_nsec;
	printf("SP_SEED=%" PRIu64 "\n", state);
	while (done < pairs) {
		uint64_t seed[2] = {next_random(), next_random()};
		struct sp_policy *policy = NULL;
		struct sp_image *image = NULL;
		struct sp_error *err = NULL;
		struct sp_buf text = {0};

		random_policy(&text);
		if (sp_policy_parse(text.data, text.len, "random", &policy, &err) < 0)
			fail_msg("%s: %s", sp_error_text(err), text.data);
		if (sp_policy_compile(policy, seed, &image, &err) < 0)
			fail_msg("%s: %s", sp_error_text(err), text.data);
		check_image(image);
		for (unsigned int i = 0; i < QUERIES_PER_POLICY; i++, done++)
			compare(policy, image, seed, text.data, &matched);
		sp_image_free(image);
		sp_policy_free(policy);
		sp_buf_free(&text);
	}
	printf("%lu pairs, %lu by a rule\n", done, matched);
	/* a test in which nothing matches would pass for the wrong reason */
	assert_true(matched > done / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_answers_as_the_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
