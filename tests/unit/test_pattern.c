// SPDX-License-Identifier: GPL-2.0-or-later
/* test_pattern.c - name patterns: the table of the manual, IDNA, bounds, and the answers they give.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model.h"

/* Kind of the pattern, or -1 if it is refused; *ret_match: does it match the name? */
static int try(const char *pattern, const char *name, bool *ret_match, const char *message)
{
	struct sp_arena arena = {0};
	struct sp_target target;
	struct sp_error *err = NULL;
	char ascii[SP_ASK_MAX];
	int kind = -1;

	if (sp_target_parse(&arena, pattern, &target, &err) == 0) {
		kind = target.kind;
		if (name && kind != SP_TARGET_ADDR) {
			assert_int_equal(sp_name_to_ascii(name, ascii), 0);
			*ret_match = sp_pattern_match(target.name, ascii);
		}
	} else if (message) {
		assert_string_equal(err->message, message);
	}
	sp_error_free(err);
	sp_arena_free(&arena);
	return kind;
}

static void check(const char *pattern, int kind, const char *name, bool match)
{
	bool matched = false;
	int got = try(pattern, name, &matched, NULL);

	if (got != kind || matched != match)
		fail_msg("%s and %s: kind %d, match %d", pattern, name, got, matched);
}

#define YES(pattern, kind, name) check(pattern, SP_TARGET_##kind, name, true)
#define NO(pattern, kind, name) check(pattern, SP_TARGET_##kind, name, false)

static void table(void **unused)
{
	(void)unused;
	YES("api.github.com", EXACT, "api.github.com");
	YES("api.github.com", EXACT, "API.GitHub.com.");
	YES("API.GitHub.com.", EXACT, "api.github.com");
	NO("api.github.com", EXACT, "xapi.github.com");
	NO("api.github.com", EXACT, "github.com");
	NO("api.github.com", EXACT, "api.github.com.evil");
	YES("*.openai.com", ONE, "api.openai.com");
	NO("*.openai.com", ONE, "openai.com");
	NO("*.openai.com", ONE, "a.b.openai.com");
	NO("*.openai.com", ONE, "xopenai.com");
	YES("**.googleapis.com", MANY, "a.googleapis.com");
	YES("**.googleapis.com", MANY, "a.b.googleapis.com");
	NO("**.googleapis.com", MANY, "googleapis.com");
	NO("**.googleapis.com", MANY, "xgoogleapis.com");
	YES(".example.com", MANY, "a.example.com");
	YES(".example.com", MANY, "a.b.c.example.com");
	NO(".example.com", MANY, "example.com");
	YES("api-*.example.com", GLOB, "api-1.example.com");
	YES("api-*.example.com", GLOB, "API-xyz.example.com");
	NO("api-*.example.com", GLOB, "api-.example.com");
	NO("api-*.example.com", GLOB, "api-1.x.example.com");
	YES("a.**.com", GLOB, "a.b.com");
	YES("a.**.com", GLOB, "a.b.c.com");
	NO("a.**.com", GLOB, "a.com");
	YES("*", ONE, "localhost");
	NO("*", ONE, "a.b");
	YES("**", MANY, "a");
	YES("**", MANY, "a.b.c");
	YES("*.*.com", GLOB, "a.b.com");
	NO("*.*.com", GLOB, "b.com");
	NO("*.*.com", GLOB, "a.b.c.com");
}

static void globs(void **unused)
{
	(void)unused;
	YES("a*b*c.x", GLOB, "a1b1b2c.x");
	NO("a*b*c.x", GLOB, "abc.x");
	NO("a*b*c.x", GLOB, "a1bc.x");
	YES("*a.x", GLOB, "aa.x");
	YES("*a.x", GLOB, "aaaa.x");
	NO("*a.x", GLOB, "a.x");
	YES("**.a.**.b", GLOB, "x.a.y.b");
	YES("**.a.**.b", GLOB, "a.a.a.b");
	YES("**.a.**.b", GLOB, "x.a.b.a.y.b");
	NO("**.a.**.b", GLOB, "a.y.b");
	NO("**.a.**.b", GLOB, "x.a.b");
	YES("a.**", GLOB, "a.b.c");
	NO("a.**", GLOB, "a");
	YES(".*.com", GLOB, "a.b.com");
	YES("**.*.com", GLOB, "a.b.c.com");
	NO("**.*.com", GLOB, "b.com");
	YES("a.*", GLOB, "a.b");
	YES("_*.x", GLOB, "_acme.x");
	/* a bad matcher would need longer than the universe has */
	NO("**.a.**.a.**.a.**.a.**.a.**.a.**.b", GLOB,
	   "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a");
	NO("*a*a*a*a*a*a*a*a*a*a*b.x", GLOB,
	   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x");
}

static void idna(void **unused)
{
	(void)unused;
	YES("b\xc3\xbc"
	    "cher.example",
	    EXACT, "xn--bcher-kva.example");
	YES("B\xc3\x9c"
	    "CHER.example",
	    EXACT,
	    "b\xc3\xbc"
	    "cher.EXAMPLE.");
	YES("XN--BCHER-KVA.example", EXACT,
	    "b\xc3\xbc"
	    "cher.example");
	YES("*.b\xc3\xbc"
	    "cher.example",
	    ONE, "x.xn--bcher-kva.example");
	/* u + combining diaeresis is the same name */
	YES("bu\xcc\x88"
	    "cher.example",
	    EXACT, "xn--bcher-kva.example");
	/* IDNA 2008: sharp s stays (non-transitional) */
	YES("fa\xc3\x9f.de", EXACT, "xn--fa-hia.de");
	NO("fa\xc3\x9f.de", EXACT, "fass.de");
	YES("_x.b\xc3\xbc"
	    "cher.example",
	    EXACT, "_x.xn--bcher-kva.example");
	assert_int_equal(try("b\xc3\xbc*.x", NULL, NULL,
			     "\"b\\xc3\\xbc*.x\": a label with a `*` in it must be ASCII"),
			 -1);
	/* the ideographic full stop would make two labels of one */
	assert_int_equal(try("a\xe3\x80\x82"
			     "b.x",
			     NULL, NULL, NULL),
			 -1);
	/* a slash by compatibility mapping */
	assert_int_equal(try("a\xef\xbc\x8f"
			     "b.x",
			     NULL, NULL, NULL),
			 -1);
	/* fullwidth digits make a number of the last label */
	assert_int_equal(try("1.2.3.\xef\xbc\x94", NULL, NULL, NULL), -1);
}

static void repeat(char *to, const char *what, size_t times, const char *tail)
{
	*to = '\0';
	while (times--)
		to = stpcpy(to, what);
	strcpy(to, tail);
}

static void bounds(void **unused)
{
	char text[1024];

	(void)unused;
	repeat(text, "a", 63, ".com");
	assert_int_equal(try(text, NULL, NULL, NULL), SP_TARGET_EXACT);
	repeat(text, "a", 64, "");
	assert_int_equal(
		try(text, NULL, NULL,
		    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" has "
		    "a label of more than 63 bytes"),
		-1);
	repeat(text, "a.", 39, "a");
	assert_int_equal(try(text, NULL, NULL, NULL), SP_TARGET_EXACT);
	repeat(text, "a.", 40, "a");
	assert_int_equal(try(text, NULL, NULL, NULL), -1);
	repeat(text, "a.", 40, "");
	assert_int_equal(try(text, NULL, NULL, NULL), SP_TARGET_EXACT);
	repeat(text, "aaaaaaaaaaaaaaaaaaaaaaa.", 10, "aaaaaaaaaaaaa"); /* 240 + 13 */
	assert_int_equal(try(text, NULL, NULL, NULL), SP_TARGET_EXACT);
	repeat(text, "aaaaaaaaaaaaaaaaaaaaaaa.", 10, "aaaaaaaaaaaaa.");
	assert_int_equal(try(text, NULL, NULL, NULL), SP_TARGET_EXACT);
	repeat(text, "aaaaaaaaaaaaaaaaaaaaaaa.", 10, "aaaaaaaaaaaaaa");
	assert_int_equal(try(text, NULL, NULL, NULL), -1);
	repeat(text, "b", 1000, "");
	assert_int_equal(try(text, NULL, NULL, NULL), -1);
}

static void refused(void **unused)
{
	static const char *const bad[] = {
		"",	      ".",
		"..",	      "a..b",
		"a..",	      ".a..b",
		"..a",	      "a b",
		"a\tb",	      "a\nb",
		"a/b",	      "a\\b",
		"a@b",	      "a,b",
		"a%b",	      "(a)",
		"a**b",	      "***",
		"a**",	      "**a.b",
		"1",	      "1.2",
		"127.1",      "0x7f.1",
		"0x7f000001", "0X7F000001",
		"0177.0.0.1", "1.2.3.4.5",
		"256.1.1.1",  "1.2.3.",
		"a.1",	      "*.1",
		"a.0x",	      "2130706433",
		"01.2.3.4",   "1.2.3.4.",
		"\x7f",	      "a.b.0xdeadbeef",
		"1.2.3.4:",   "*:0",
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (try(bad[i], NULL, NULL, NULL) != -1)
			fail_msg("%s is accepted", bad[i]);
	assert_int_equal(try("a..b", NULL, NULL, "\"a..b\" has an empty label"), -1);
	assert_int_equal(try("a\\b", NULL, NULL, "\"a\\\\b\": '\\' cannot stand in a name"), -1);
	assert_int_equal(try("a\x7f", NULL, NULL, "\"a\\x7f\": byte 0x7f cannot stand in a name"),
			 -1);
	assert_int_equal(try("a**b.c", NULL, NULL, "\"a**b.c\": `**` must be a whole label"), -1);
	assert_int_equal(try("0x7f.1", NULL, NULL,
			     "\"0x7f.1\" is neither a name (its last label is a "
			     "number) nor an IP address in its usual form"),
			 -1);
	/* no numbers, though they have digits */
	assert_int_equal(try("1.a", NULL, NULL, NULL), SP_TARGET_EXACT);
	assert_int_equal(try("0xg", NULL, NULL, NULL), SP_TARGET_EXACT);
	assert_int_equal(try("4.3.2.1.in-addr.arpa", NULL, NULL, NULL), SP_TARGET_EXACT);
	assert_int_equal(try("-a-._b", NULL, NULL, NULL), SP_TARGET_EXACT);
}

static void addresses(void **unused)
{
	static const struct {
		const char *text, *addr;
		uint8_t prefix;
		uint16_t port;
	} good[] = {
		{"1.2.3.4", "1.2.3.4", 128, 0},
		{"1.2.3.4:80", "1.2.3.4", 128, 80},
		{"1.2.3.0/24", "1.2.3.0", 120, 0},
		{"0.0.0.0/0", "0.0.0.0", 96, 0},
		{"::/0", "::", 0, 0},
		{"2001:DB8::1", "2001:db8::1", 128, 0},
		{"[2001:db8::1]", "2001:db8::1", 128, 0},
		{"[2001:db8::1]:443", "2001:db8::1", 128, 443},
		{"2001:db8::/32", "2001:db8::", 32, 0},
		/* one and the same address */
		{"::ffff:1.2.3.4", "1.2.3.4", 128, 0},
		{"[::ffff:102:304]:9", "1.2.3.4", 128, 9},
		{"::ffff:10.0.0.0/104", "10.0.0.0", 104, 0},
		{"1.2.3.4/32", "1.2.3.4", 128, 0},
	};
	struct sp_arena arena = {0};
	struct sp_error *err = NULL;
	struct sp_target target;
	char text[64];

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(sp_target_parse(&arena, good[i].text, &target, &err), 0);
		assert_int_equal(target.kind, SP_TARGET_ADDR);
		sp_addr_text(target.addr, text);
		assert_string_equal(text, good[i].addr);
		assert_int_equal(target.prefix, good[i].prefix);
		assert_int_equal(target.port, good[i].port);
	}
	sp_arena_free(&arena);
}

/* A decision by a policy of one line each. */
static void decides(const char *rules, const char *extra, const char *name, uint16_t port,
		    enum sp_action action, uint32_t rule, enum sp_reason reason)
{
	struct sp_query query = {.name = name, .port = port, .protocol = SP_PROTOCOL_TCP};
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	struct sp_decision decision;
	char text[1024];
	int len = snprintf(text, sizeof(text), "{\"version\":1%s,\"rules\":[%s]}", extra, rules);

	if (sp_policy_parse(text, len, NULL, &policy, &err) < 0)
		fail_msg("%s: %s", text, sp_error_text(err));
	assert_int_equal(sp_policy_decide(policy, &query, &decision), 0);
	if (decision.action != action || decision.rule != rule || decision.reason != reason)
		fail_msg("%s, %s: action %d rule %d reason %d", text, name, decision.action,
			 (int)decision.rule, decision.reason);
	sp_policy_free(policy);
}

#define DENY_WINS ",\"precedence\":\"deny_wins\""
#define BY_DEFAULT SP_RULE_DEFAULT, SP_REASON_DEFAULT
#define BY(rule) rule, SP_REASON_RULE
#define BAD(reason) SP_RULE_DEFAULT, SP_REASON_##reason

static void decisions(void **unused)
{
	(void)unused;
	decides("{\"allow\":[\"api.github.com\"]}", "", "evil.com", 443, SP_ACTION_DENY,
		BY_DEFAULT);
	decides("{\"deny\":[\"*.internal\"]},{\"allow\":[\"**\"]}", "", "svc.internal", 443,
		SP_ACTION_DENY, BY(0));
	decides("{\"deny\":[\"x\"]},{\"allow\":[\"x\"]}", "", "x", 443, SP_ACTION_DENY, BY(0));
	decides("{\"allow\":[\"x\"]},{\"deny\":[\"x\"]}", "", "x", 443, SP_ACTION_ALLOW, BY(0));
	decides("{\"allow\":[\"x\"]},{\"deny\":[\"x\"]}", "", "x", 22, SP_ACTION_DENY, BY(1));
	decides("{\"allow\":[\"api.github.com\"]},{\"decide\":[\"**\"],\"by\":{\"channel\":true}}",
		"", "evil.com", 443, SP_ACTION_ASK, BY(1));
	decides("", "", "x", 443, SP_ACTION_DENY, BY_DEFAULT);
	decides("", ",\"default\":\"allow\"", "x", 443, SP_ACTION_ALLOW, BY_DEFAULT);
	decides("", ",\"default\":\"prompt\"", "x", 443, SP_ACTION_ASK, BY_DEFAULT);
	decides("{\"allow\":[\"x\"]},{\"deny\":[\"x\"]}", DENY_WINS, "x", 443, SP_ACTION_DENY,
		BY(1));
	decides("{\"allow\":[\"api.example.com\"]},{\"deny\":[\".example.com\"]}",
		DENY_WINS ",\"default\":\"allow\"", "api.example.com", 443, SP_ACTION_DENY, BY(1));
	decides("{\"allow\":[\".example.com\"]}", DENY_WINS, "a.b.example.com", 443,
		SP_ACTION_ALLOW, BY(0));
	decides("{\"allow\":[\".example.com\"]}", DENY_WINS, "example.com", 443, SP_ACTION_DENY,
		BY_DEFAULT);
	decides("{\"allow\":[\"API.DeepSeek.com\"]}", "", "api.deepseek.com.", 443, SP_ACTION_ALLOW,
		BY(0));
	/* ports that are not said */
	decides("{\"allow\":[\"x\"]}", "", "x", 80, SP_ACTION_ALLOW, BY(0));
	decides("{\"allow\":[\"x\"]}", "", "x", 8080, SP_ACTION_DENY, BY_DEFAULT);
	decides("{\"allow\":[\"x:22\"]}", "", "x", 22, SP_ACTION_ALLOW, BY(0));
	decides("{\"allow\":[\"x:22\"]}", "", "x", 443, SP_ACTION_DENY, BY_DEFAULT);
	decides("{\"allow\":[\"x\"],\"protocol\":\"udp\"}", "", "x", 443, SP_ACTION_DENY,
		BY_DEFAULT);
	/* a name is never an address, and no bad name gets the default */
	decides("{\"allow\":[\"**\"]}", ",\"default\":\"allow\"", "10.0.0.1", 443, SP_ACTION_DENY,
		BAD(NAME_BAD));
	decides("", ",\"default\":\"allow\"", "", 443, SP_ACTION_DENY, BAD(NAME_BAD));
	decides("", ",\"default\":\"allow\"", "a..b", 443, SP_ACTION_DENY, BAD(NAME_BAD));
	decides("", ",\"default\":\"allow\"", "a b", 443, SP_ACTION_DENY, BAD(NAME_BAD));
	decides("", ",\"default\":\"allow\"",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 443,
		SP_ACTION_DENY, BAD(NAME_LENGTH));
	/* general globs, in the reference only */
	decides("{\"allow\":[\"api-*.x\"]}", "", "api-7.x", 443, SP_ACTION_ALLOW, BY(0));
	decides("{\"allow\":[\"api-*.x\"]}", "", "api-.x", 443, SP_ACTION_DENY, BY_DEFAULT);
}

static void explanation(void **unused)
{
	static const char text[] = "{\"version\":1,\"precedence\":\"deny_wins\",\"rules\":["
				   "{\"allow\":[\"a.com\",\"b.com\"],\"id\":\"A\"},{\"deny\":[\"b."
				   "com\"],\"id\":\"B\",\"ports\":[22]},"
				   "{\"deny\":[\"b.com\"],\"id\":\"C\",\"protocol\":\"udp\"},{"
				   "\"deny\":[\"q\"],\"id\":\"D\"}]}";
	static const char *const expected[] = {
		"rule 1 (B): deny \"b.com\": matches, but not on port 443",
		"rule 2 (C): deny \"b.com\": matches, but not over TCP",
		"rule 3 (D): deny \"q\": no match",
		"rule 0 (A): allow \"b.com\": MATCHES: allowed",
		"default: deny: not reached",
	};
	struct sp_query query = {.name = "B.com.", .port = 443, .protocol = SP_PROTOCOL_TCP};
	struct sp_policy *policy = NULL;
	struct sp_decision decision;
	struct sp_error *err = NULL;
	char **lines = NULL;

	(void)unused;
	assert_int_equal(sp_policy_parse(text, strlen(text), NULL, &policy, &err), 0);
	assert_int_equal(sp_policy_explain(policy, &query, &lines, &decision, &err), 0);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(lines[i], expected[i]);
	assert_null(lines[5]);
	assert_int_equal(decision.action, SP_ACTION_ALLOW);
	assert_int_equal(decision.rule, 0);
	sp_strings_free(lines);
	query.name = "1.2.3.4";
	assert_int_equal(sp_policy_explain(policy, &query, &lines, &decision, &err), 0);
	assert_string_equal(lines[0], "\"1.2.3.4\": not a valid host name: denied");
	assert_null(lines[1]);
	sp_strings_free(lines);
	query.name = NULL;
	assert_int_equal(sp_policy_explain(policy, &query, &lines, &decision, &err), -EINVAL);
	sp_error_free(err);
	sp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),     cmocka_unit_test(globs),
		cmocka_unit_test(idna),	     cmocka_unit_test(bounds),
		cmocka_unit_test(refused),   cmocka_unit_test(addresses),
		cmocka_unit_test(decisions), cmocka_unit_test(explanation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
