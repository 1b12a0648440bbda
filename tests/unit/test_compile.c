// SPDX-License-Identifier: GPL-2.0-or-later
/* test_compile.c - the compiled image: what is in it, its bounds, and a million names. */
#include <errno.h>
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

static const uint64_t seed[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static struct sp_policy *parse(const char *text, size_t len)
{
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;

	if (sp_policy_parse(text, len, "p.json", &policy, &err) < 0)
		fail_msg("%s: %.200s", sp_error_text(err), text);
	return policy;
}

static struct sp_image *compile(const char *text)
{
	struct sp_policy *policy = parse(text, strlen(text));
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;

	if (sp_policy_compile(policy, seed, &image, &err) < 0)
		fail_msg("%s: %s", sp_error_text(err), text);
	sp_policy_free(policy);
	return image;
}

#define RULES(rules) "{\"version\":1,\"rules\":[" rules "]}"

static void empty(void **unused)
{
	struct sp_image *image = compile("{\"version\":1}");
	struct sp_query query = {.name = "a.b", .port = 443, .protocol = SP_PROTOCOL_TCP};
	struct sp_decision decision;

	(void)unused;
	assert_int_equal(image->buckets_len, 1);
	assert_int_equal(image->nodes_len, 1);
	assert_int_equal(image->acls_len, 1);
	assert_non_null(image->nodes);
	assert_non_null(image->acls);
	assert_non_null(image->entries);
	assert_int_equal(image->conf.root, 0);
	assert_int_equal(image->conf.max_depth, 0);
	assert_int_equal(image->conf.generation, 0);
	assert_int_equal(image->conf.default_action, SP_ACTION_DENY);
	assert_int_equal(sp_image_decide(image, seed, &query, &decision), 0);
	assert_int_equal(decision.action, SP_ACTION_DENY);
	query.protocol = SP_PROTOCOL_ANY;
	assert_int_equal(sp_image_decide(image, seed, &query, &decision), -EINVAL);
	sp_image_free(image);
	sp_image_free(NULL);
}

static void conf(void **unused)
{
	struct sp_image *image = compile(
		"{\"version\":1,\"mode\":\"audit_only\",\"default\":\"allow\","
		"\"dns\":{\"resolvers\":[\"1.1.1.1\",\"system\",\"::1\"],\"denied_answer\":"
		"\"refused\","
		"\"private_answers\":[\"10.0.0.0/8\"],\"min_ttl\":5,\"max_ttl\":6,"
		"\"query_types\":[\"A\",\"CAA\"]},\"tls\":{\"sni\":\"verify\",\"ech\":\"deny\"},"
		"\"loopback\":\"allow\",\"inbound\":\"deny\","
		"\"rules\":[{\"deny\":[\"a.b.c\",\"10.0.0.0/8\",\"::/0\",\"**\"]}]}");
	const struct sp_policy_conf *c = &image->conf;

	(void)unused;
	assert_int_equal(c->mode, SP_MODE_AUDIT_ONLY);
	assert_int_equal(c->default_action, SP_ACTION_ALLOW);
	assert_int_equal(c->resolvers_len, 2); /* the word is for the caller to replace */
	assert_int_equal(c->resolvers[0].addr[15], 1);
	assert_int_equal(c->resolvers[0].addr[10], 0xff);
	assert_int_equal(c->denied_answer, SP_ANSWER_REFUSED);
	assert_int_equal(c->private_len, 1);
	assert_int_equal(c->private_answers[0].prefix, 104);
	assert_int_equal(c->min_ttl, 5);
	assert_int_equal(c->max_ttl, 6);
	assert_true(c->query_types[0] == 2 && c->query_types_high == 2);
	assert_int_equal(c->sni, SP_SNI_VERIFY);
	assert_int_equal(c->ech, SP_ECH_DENY);
	assert_int_equal(c->loopback, SP_LOOPBACK_ALLOW);
	assert_int_equal(c->inbound, SP_INBOUND_DENY);
	assert_int_equal(c->has_cidr4, 1);
	assert_int_equal(c->has_cidr6, 1);
	assert_int_equal(c->has_name_deny, 1);
	assert_int_equal(c->max_depth, 3);
	assert_int_not_equal(c->root, 0);
	sp_image_free(image);
}

/* The entries of an ACL as text. */
static char *acl_text(const struct sp_image *image, uint32_t acl)
{
	struct sp_buf buf = {0};
	char *text = NULL;

	assert_true(acl && acl < image->acls_len);
	for (uint32_t i = 0; i < image->acls[acl].count; i++) {
		const struct sp_acl_entry *e = &image->entries[image->acls[acl].first + i];

		sp_buf_printf(&buf, "%s%u:%s %u-%u/%u%s%s", i ? ", " : "", e->rule,
			      e->action == SP_ACTION_ALLOW ? "allow" : "deny", e->port_low,
			      e->port_high, e->protocols, e->flags & SP_ENTRY_TLS ? " tls" : "",
			      e->flags & SP_ENTRY_LOCAL ? " local" : "");
	}
	assert_int_equal(sp_buf_take(&buf, &text), 0);
	return text;
}

static void only_acl(const char *policy, const char *expected, int dns_action, uint32_t dns_rule)
{
	struct sp_image *image = compile(policy);
	char *text = acl_text(image, 1);

	assert_int_equal(image->acls_len, 2);
	assert_string_equal(text, expected);
	assert_int_equal(image->acls[1].dns_action, dns_action);
	assert_int_equal(image->acls[1].dns_rule, dns_rule);
	free(text);
	sp_image_free(image);
}

static void acls(void **unused)
{
	struct sp_image *image;

	(void)unused;
	only_acl(RULES("{\"allow\":[\"a\"]}"), "0:allow 80-80/3, 0:allow 443-443/3",
		 SP_ACTION_ALLOW, 0);
	only_acl(RULES("{\"deny\":[\"a\"]}"), "0:deny 0-65535/3", SP_ACTION_DENY, 0);
	only_acl(RULES("{\"allow\":[\"1.1.1.1\"]}"), "0:allow 0-65535/3 local", SP_ACTION_ALLOW, 0);
	/* touching ranges of one rule are joined, across its targets too */
	only_acl(RULES("{\"allow\":[\"a:81\",\"a:79\",\"a\"]}"),
		 "0:allow 79-81/3, 0:allow 443-443/3", SP_ACTION_ALLOW, 0);
	/* what an earlier entry hides is left out */
	only_acl(RULES("{\"deny\":[\"a\"],\"ports\":[\"1-100\"]},{\"allow\":[\"a\"]},{\"deny\":["
		       "\"a:443\"]}"),
		 "0:deny 1-100/3, 1:allow 443-443/3", SP_ACTION_ALLOW, 1);
	only_acl(RULES("{\"deny\":[\"a\"],\"protocol\":\"udp\"},{\"allow\":[\"a\"],\"tls\":true}"),
		 "0:deny 0-65535/2, 1:allow 80-80/3 tls, 1:allow 443-443/3 tls", SP_ACTION_ALLOW,
		 1);
	only_acl("{\"version\":1,\"precedence\":\"deny_wins\",\"rules\":[{\"allow\":[\"a\"]},"
		 "{\"deny\":[\"a\"]}]}",
		 "1:deny 0-65535/3", SP_ACTION_DENY, 1);
	/* two denies that together leave nothing of the allow */
	only_acl(RULES("{\"deny\":[\"a\"],\"ports\":[\"1-80\"]},{\"deny\":[\"a\"],\"ports\":[\"81-"
		       "90\"]},"
		       "{\"allow\":[\"a\"],\"ports\":[\"70-90\"]}"),
		 "0:deny 1-80/3, 1:deny 81-90/3, 2:allow 70-90/3", SP_ACTION_DENY, 0);
	/* default allow, and something is left */
	only_acl("{\"version\":1,\"default\":\"allow\",\"rules\":[{\"deny\":[\"a:22\"]}]}",
		 "0:deny 22-22/3", SP_ACTION_ALLOW, SP_RULE_DEFAULT);
	only_acl("{\"version\":1,\"default\":\"allow\",\"rules\":[{\"deny\":[\"a\"],"
		 "\"ports\":[\"1-65535\"]}]}",
		 "0:deny 1-65535/3", SP_ACTION_DENY, 0);
	/* equal lists are one */
	image = compile(RULES("{\"allow\":[\"a\",\"b\",\"c.d\",\"*.e\",\"x:80\",\"x:443\"]}"));
	assert_int_equal(image->acls_len, 2);
	assert_int_equal(image->nodes_len, 3); /* exact, and *.e; 0 is unused */
	sp_image_free(image);
}

static void networks(void **unused)
{
	struct sp_image *image =
		compile(RULES("{\"deny\":[\"10.1.0.0/16\"],\"ports\":[80]},{\"allow\":[\"10.0.0.0/"
			      "8\",\"::ffff:9.9.9.9\"]},"
			      "{\"allow\":[\"2001:db8::/32\"]},{\"deny\":[\"2001:db8::1\"]}"));
	char *text;

	(void)unused;
	assert_int_equal(image->cidr4_len, 3);
	assert_int_equal(image->cidr6_len, 2);
	assert_int_equal(image->cidr4[2].key.prefix, 16);
	text = acl_text(image, image->cidr4[2].acl);
	assert_string_equal(text, "0:deny 80-80/3, 1:allow 0-65535/3");
	free(text);
	assert_int_equal(image->cidr4[0].key.prefix, 32);
	/* one address holds also where the packet stays on this host */
	text = acl_text(image, image->cidr4[0].acl);
	assert_string_equal(text, "1:allow 0-65535/3 local");
	free(text);
	text = acl_text(image, image->cidr4[1].acl);
	assert_string_equal(text, "1:allow 0-65535/3");
	free(text);
	/* the wider allow comes first, and hides the deny only where the packet does not stay here
	 */
	assert_int_equal(image->cidr6[1].key.prefix, 128);
	text = acl_text(image, image->cidr6[1].acl);
	assert_string_equal(text, "2:allow 0-65535/3, 3:deny 0-65535/3 local");
	free(text);
	sp_image_free(image);

	/* the same target twice in a rule, the wide one first: the narrow one is not lost */
	image = compile(RULES("{\"allow\":[\"0.0.0.0/0\",\"127.0.0.1:80\"]},"
			      "{\"allow\":[\"127.0.0.1:81\"]},{\"allow\":[\"127.0.0.1:80\"]}"));
	assert_int_equal(image->cidr4_len, 2);
	text = acl_text(image, image->cidr4[1].acl);
	assert_string_equal(text,
			    "0:allow 80-80/3 local, 0:allow 0-65535/3, 1:allow 81-81/3 local");
	free(text);
	sp_image_free(image);
}

static void too_big(const char *target, const char *message)
{
	struct sp_buf text = {0};
	struct sp_policy *policy;
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;

	/* odd ports, one rule each: nothing to join */
	sp_buf_add(&text, "{\"version\":1,\"rules\":[");
	for (int i = 0; i < SP_ACL_MAX + 1; i++)
		sp_buf_printf(&text, "%s{\"%s\":[\"%s:%d\"]}", i ? ",\n" : "",
			      i % 2 ? "allow" : "deny", target, 2 * i + 1);
	sp_buf_add(&text, "]}");
	policy = parse(text.data, text.len);
	assert_int_equal(sp_policy_compile(policy, seed, &image, &err), -E2BIG);
	assert_null(image);
	assert_string_equal(err->message, message);
	assert_string_equal(err->path, "$.rules[64]");
	assert_int_equal(err->line, 65);
	sp_error_free(err);
	sp_policy_free(policy);
	sp_buf_free(&text);
}

static void bounds(void **unused)
{
	(void)unused;
	too_big("*.a.b", "more than 64 entries (rules and port ranges) can apply to \"*.a.b:1\"");
	too_big("10.0.0.1",
		"more than 64 entries (rules and port ranges) can apply to \"10.0.0.1:1\"");
}

static void repeatable(void **unused)
{
	static const char text[] =
		RULES("{\"allow\":[\"a.b\",\"*.c\",\"**\",\"1.2.3.4\"]},{\"deny\":[\"x.c\"]}");
	struct sp_image *one = compile(text), *two = compile(text);

	(void)unused;
	assert_memory_equal(&one->conf, &two->conf, sizeof(one->conf));
	assert_int_equal(one->buckets_len, two->buckets_len);
	assert_memory_equal(one->buckets, two->buckets, one->buckets_len * sizeof(*one->buckets));
	assert_int_equal(one->entries_len, two->entries_len);
	assert_memory_equal(one->entries, two->entries, one->entries_len * sizeof(*one->entries));
	sp_image_free(one);
	sp_image_free(two);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* A large policy answers right for each of its names, and for their neighbours. */
static void many(size_t names, const char *prefix)
{
	struct sp_buf text = {0};
	struct sp_policy *policy;
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;
	double start, parsed, compiled;
	size_t bytes, used = 0;

	sp_buf_add(
		&text,
		"{\"version\":1,\"rules\":[{\"deny\":[\"host7.zone7.example7.com\"]},{\"allow\":[");
	for (size_t i = 0; i < names; i++)
		sp_buf_printf(&text, "%s\"%shost%zu.zone%zu.example%zu.com\"\n", i ? "," : "",
			      prefix, i, i % 1000, i % 77);
	sp_buf_add(&text, "]}]}");
	start = now_ms();
	policy = parse(text.data, text.len);
	parsed = now_ms();
	if (sp_policy_compile(policy, seed, &image, &err) < 0)
		fail_msg("%s", sp_error_text(err));
	compiled = now_ms();
	bytes = image->buckets_len * sizeof(*image->buckets) +
		image->nodes_len * sizeof(*image->nodes);
	for (uint32_t i = 0; i < image->buckets_len; i++)
		for (size_t j = 0; j < SP_BUCKET_SLOTS; j++)
			used += image->buckets[i].slot[j].node != 0;
	printf("%zu names: parse %.0f ms, compile %.0f ms, %zu bytes, load %.2f\n", names,
	       parsed - start, compiled - parsed, bytes,
	       (double)used / (image->buckets_len * SP_BUCKET_SLOTS));
	assert_true(image->nodes_len < 16);
	for (size_t i = 0; i < names; i++) {
		char name[128];
		struct sp_query query = {.name = name, .port = 443, .protocol = SP_PROTOCOL_TCP};
		struct sp_decision decision;

		snprintf(name, sizeof(name), "%shost%zu.zone%zu.example%zu.com",
			 *prefix ? "q." : "", i, i % 1000, i % 77);
		sp_image_decide(image, seed, &query, &decision);
		assert_int_equal(decision.action,
				 i == 7 && !*prefix ? SP_ACTION_DENY : SP_ACTION_ALLOW);
		if (i % 16)
			continue;
		snprintf(name, sizeof(name), "host%zu.zone%zu.example%zu.com", i, (i + 1) % 1000,
			 i % 77);
		sp_image_decide(image, seed, &query, &decision);
		assert_int_equal(decision.action, SP_ACTION_DENY);
	}
	sp_image_free(image);
	sp_policy_free(policy);
	sp_buf_free(&text);
}

static void million(void **unused)
{
	const char *names = getenv("SP_NAMES");
	size_t n = names ? strtoul(names, NULL, 0) : 1000000;

	(void)unused;
	many(n, "");
	many(78643, ""); /* as full as a table gets before it is doubled */
	many(n / 10, "*.");
	many(n / 10, "**.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),    cmocka_unit_test(conf),   cmocka_unit_test(acls),
		cmocka_unit_test(networks), cmocka_unit_test(bounds), cmocka_unit_test(repeatable),
		cmocka_unit_test(million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
