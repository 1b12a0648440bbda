// SPDX-License-Identifier: GPL-2.0-or-later
/* test_policy.c - the policy document: what is accepted, what is refused, and with which words. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sallyport/policy.h>

#include "model.h"

static struct sp_policy *parse(const char *text)
{
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;

	if (sp_policy_parse(text, strlen(text), "p.json", &policy, &err) < 0)
		fail_msg("%s", sp_error_text(err));
	assert_null(err);
	return policy;
}

static void accepts(const char *text)
{
	sp_policy_free(parse(text));
}

static void refuses_bytes(const char *text, size_t len, int code, const char *message)
{
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	int r = sp_policy_parse(text, len, "p.json", &policy, &err);
	char *said;

	assert_null(policy);
	said = sp_error_text(err);
	if (r != code || !err || err->code != code || strcmp(said, message) != 0)
		fail_msg("%.200s\n got %d: %s\nwant %d: %s", text, r, said, code, message);
	free(said);
	sp_error_free(err);
	/* the error is optional */
	assert_int_equal(sp_policy_parse(text, len, NULL, &policy, NULL), code);
}

/* `message` is the whole text, with file, line, column and path. */
static void refuses(const char *text, const char *message)
{
	refuses_bytes(text, strlen(text), -EINVAL, message);
}

#define RULES(rules) "{\"version\":1,\"rules\":[" rules "]}"
#define TARGET(target) RULES("{\"allow\":[\"" target "\"]}")
#define AT_TARGET "p.json:1:33: $.rules[0].allow[0]: "

static void defaults(void **unused)
{
	struct sp_policy *policy = parse("{\"version\":1}");

	(void)unused;
	assert_int_equal(policy->mode, SP_MODE_ENFORCE);
	assert_int_equal(policy->default_action, SP_ACTION_DENY);
	assert_int_equal(policy->precedence, SP_FIRST_MATCH);
	assert_int_equal(policy->rules_len, 0);
	assert_true(sp_policy_wants_system_resolvers(policy));
	assert_int_equal(policy->resolvers_len, 1);
	assert_int_equal(policy->min_ttl, 60);
	assert_int_equal(policy->max_ttl, 86400);
	assert_int_equal(policy->sni, SP_SNI_REQUIRE);
	assert_int_equal(policy->ech, SP_ECH_STRIP);
	assert_int_equal(policy->quic, SP_QUIC_DENY);
	assert_int_equal(policy->loopback, SP_LOOPBACK_OWN);
	assert_int_equal(policy->inbound, SP_INBOUND_ALLOW);
	assert_int_equal(policy->denied_answer, SP_ANSWER_NXDOMAIN);
	assert_true(policy->query_types[0] ==
		    (1ULL << 1 | 1ULL << 2 | 1ULL << 5 | 1ULL << 6 | 1ULL << 12 | 1ULL << 15 |
		     1ULL << 16 | 1ULL << 28 | 1ULL << 33));
	assert_true(policy->query_types[1] == 3);
	assert_true(policy->query_types_high == 2);
	assert_string_equal(sp_policy_name(policy), "");
	sp_policy_free(policy);
}

static void everything(void **unused)
{
	struct sp_policy *policy = parse(
		"{\"$schema\":\"x\",\"version\":1,\"name\":\"n\",\"description\":\"d\","
		"\"mode\":\"audit_only\",\"default\":\"prompt\",\"precedence\":\"deny_wins\","
		"\"rules\":["
		"{\"allow\":[\"a.com:22\",\"b.com\"],\"id\":\"one\",\"note\":\"why\",\"tls\":true,"
		"\"protocol\":\"tcp\"},"
		"{\"deny\":[\"10.0.0.0/8\"],\"ports\":[80,\"81-90\",443,\"100-200\"],"
		"\"protocol\":[\"tcp\",\"udp\"]},"
		"{\"decide\":[\"*.x\"],\"by\":{\"unix\":\"/run/"
		"d\"},\"timeout_ms\":10,\"cache\":false,"
		"\"context_messages\":5,\"context_metadata\":{\"a\":[1,{\"b\":null}]}},"
		"{\"decide\":[\"y\"],\"by\":{\"command\":[\"/bin/d\",\"-x\"]}},"
		"{\"decide\":[\"y\"],\"by\":{\"channel\":true}},"
		"{\"prompt\":[\"**\"]},"
		"{\"allow\":[\"h.com\"],\"methods\":[\"GET\"],\"path_glob\":\"/a/*\"}],"
		"\"dns\":{\"resolvers\":[\"system\",\"1.1.1.1\",\"2606:4700::1111\"],"
		"\"private_answers\":[\"10.0.0.0/8\",\"fd00::/8\"],"
		"\"static\":{\"Db.Local\":[\"10.1.1.1\",\"fd00::1\"]},\"denied_answer\":"
		"\"refused\","
		"\"query_types\":[\"A\",\"TYPE65\",\"CAA\",\"TYPE319\"],\"min_ttl\":1,\"max_ttl\":"
		"2},"
		"\"tls\":{\"sni\":\"off\",\"ech\":\"deny\"},\"quic\":\"inspect\","
		"\"loopback\":\"deny\",\"inbound\":\"deny\",\"approvals\":\"override\",\"limits\":{"
		"}}");
	struct sp_rule_view view;

	(void)unused;
	assert_string_equal(sp_policy_name(policy), "n");
	assert_int_equal(sp_policy_mode(policy), SP_MODE_AUDIT_ONLY);
	assert_int_equal(sp_policy_default(policy), SP_ACTION_ASK);
	assert_int_equal(sp_policy_rules_len(policy), 7);
	assert_int_equal(sp_policy_rule(policy, 0, &view), 0);
	assert_string_equal(view.id, "one");
	assert_string_equal(view.note, "why");
	assert_string_equal(view.kind, "allow");
	assert_string_equal(view.origin, "rule 0");
	assert_string_equal(view.target, "a.com:22");
	assert_int_equal(view.targets_len, 2);
	assert_int_equal(sp_policy_rule(policy, 7, &view), -ENOENT);
	assert_int_equal(sp_policy_rule(policy, SP_RULE_DEFAULT, &view), -ENOENT);
	assert_int_equal(policy->rules[0].targets[0].port, 22);
	assert_true(policy->rules[0].tls);
	assert_int_equal(policy->rules[0].protocols, SP_PROTOCOL_TCP);
	/* 80 and 81-90 are one range */
	assert_int_equal(policy->rules[1].ports_len, 3);
	assert_int_equal(policy->rules[1].ports[0].high, 90);
	assert_int_equal(policy->rules[1].protocols, SP_PROTOCOL_ANY);
	assert_int_equal(policy->rules[2].ask->by, SP_DECIDER_UNIX);
	assert_false(policy->rules[2].ask->cache);
	assert_int_equal(policy->rules[2].ask->timeout_ms, 10);
	assert_int_equal(policy->rules[2].ask->context_messages, 5);
	assert_string_equal(policy->rules[2].ask->context_metadata, "{\"a\":[1,{\"b\":null}]}");
	assert_string_equal(policy->rules[3].ask->command[1], "-x");
	assert_null(policy->rules[3].ask->command[2]);
	assert_int_equal(policy->rules[3].ask->timeout_ms, 5000);
	assert_true(policy->rules[3].ask->cache);
	assert_int_equal(policy->rules[4].ask->by, SP_DECIDER_CHANNEL);
	assert_int_equal(policy->rules[5].ask->timeout_ms, 60000);
	assert_string_equal(policy->rules[6].http->methods[0], "GET");
	assert_string_equal(policy->rules[6].http->path_glob, "/a/*");
	assert_int_equal(policy->resolvers_len, 3);
	assert_int_equal(policy->private_len, 2);
	assert_int_equal(policy->private_answers[0].prefix, 104);
	assert_int_equal(policy->private_answers[1].prefix, 8);
	assert_int_equal(policy->statics_len, 2);
	assert_string_equal(policy->statics[1].name, "db.local");
	assert_true(policy->query_types[0] == 1ULL << 1);
	assert_true(policy->query_types[1] == 1ULL << 1);
	assert_true(policy->query_types_high == (1ULL << 63 | 2));
	assert_int_equal(policy->approvals, SP_APPROVALS_OVERRIDE);
	sp_policy_free(policy);
}

static void syntax(void **unused)
{
	(void)unused;
	refuses("", "p.json:1:1: $: the document is empty");
	refuses(" \n ", "p.json:1:1: $: the document is empty");
	refuses("{\"version\":1",
		"p.json:1:13: $.version: the document ends where ',' or '}' is missing");
	refuses("{\"version\":",
		"p.json:1:12: $.version: the document ends where a value is missing");
	refuses("{\"ver", "p.json:1:2: $: a string without its closing quote");
	refuses("{\"version\":1}\n}",
		"p.json:2:1: $: '}' where the end of the document is missing");
	refuses("{\"version\":1} {}",
		"p.json:1:15: $: '{' where the end of the document is missing");
	refuses("{\n// no\n\"version\":1}",
		"p.json:2:1: $: comments are not JSON; a rule's \"note\" is the place for words");
	refuses("{\"version\":1 /* no */}", "p.json:1:14: $.version: comments are not JSON; a "
					    "rule's \"note\" is the place for words");
	refuses("# no\n{\"version\":1}",
		"p.json:1:1: $: comments are not JSON; a rule's \"note\" is the place for words");
	refuses("{\"version\":1,}", "p.json:1:14: $.version: a comma before the closing '}'");
	refuses("{\"version\":01}", "p.json:1:12: $.version: a number does not start with 0");
	refuses("{\"version\":1.}", "p.json:1:14: $.version: '}' where a digit is missing");
	refuses("{\"version\":+1}", "p.json:1:12: $.version: '+' where a value is missing");
	refuses("{\"version\":NaN}", "p.json:1:12: $.version: 'N' where a value is missing");
	refuses("{'version':1}", "p.json:1:2: $: JSON strings stand in double quotes, not in '");
	refuses("{\"name\":\"a\nb\"}",
		"p.json:1:11: $.name: a string without its closing quote on this line");
	refuses("{\"name\":\"a\tb\"}", "p.json:1:11: $.name: a control character within a string");
	refuses("{\"name\":\"\\x\"}", "p.json:1:10: $.name: no such escape in JSON");
	refuses("{\"name\":\"\\ud800\"}",
		"p.json:1:10: $.name: the first half of a surrogate pair without the second");
	refuses("{\"name\":\"\\udc00\"}",
		"p.json:1:10: $.name: the second half of a surrogate pair without the first");
	refuses("{\"name\":\"\\u0000\"}", "p.json:1:10: $.name: a NUL character within a string");
	refuses("\xef\xbb\xbf{\"version\":1}",
		"p.json:1:1: $: a byte order mark; JSON is UTF-8 without one");
	refuses("{\"name\":\"\xff\"}", "p.json:1:10: $.name: invalid UTF-8 (byte 0xff)");
	refuses("{\"name\":\"\xc0\x80\"}", "p.json:1:10: $.name: invalid UTF-8 (byte 0xc0)");
	refuses("{\"name\":\"\xed\xa0\x80\"}", "p.json:1:10: $.name: invalid UTF-8 (byte 0xed)");
	refuses_bytes("{\"version\":1}\0", 14, -EINVAL, "p.json:1:14: $: a NUL byte");
	refuses_bytes("{\"name\":\"a\0b\"}", 14, -EINVAL, "p.json:1:11: $.name: a NUL byte");
	refuses("{\"a\":11111111111111111111111111111111111111111}",
		"p.json:1:6: $.a: a number of more than 40 characters");
	accepts(" {\r\n\t\"version\" : 1 , \"name\" : \"\\u00fc\\ud83d\\ude00\xc3\xbc\\n\" } \n");
	accepts("{\"version\":1.0}");
}

static void sizes(void **unused)
{
	size_t len = 100000000, deep = 100000;
	char *text = malloc(len);
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;

	(void)unused;
	assert_non_null(text);
	memset(text, ' ', len);
	refuses_bytes(text, len, -E2BIG, "p.json: the document is larger than 64 MiB");
	memset(text, '[', deep);
	assert_int_equal(sp_policy_parse(text, deep, "p.json", &policy, &err), -E2BIG);
	assert_int_equal(err->column, SP_POLICY_DEPTH_MAX + 1);
	assert_string_equal(err->message, "nested more than 64 deep");
	sp_error_free(err);
	for (size_t i = 0; i < deep; i++)
		memcpy(text + 5 * i, "{\"a\":", 5);
	err = NULL;
	assert_int_equal(sp_policy_parse(text, 5 * deep, "p.json", &policy, &err), -E2BIG);
	sp_error_free(err);
	free(text);
}

static void keys(void **unused)
{
	(void)unused;
	refuses("{\"version\":1,\n  \"ruels\":[]}",
		"p.json:2:3: $.ruels: unknown key \"ruels\"; did you mean \"rules\"?");
	refuses("{\"version\":1,\"Rules\":[]}",
		"p.json:1:14: $.Rules: unknown key \"Rules\"; did you mean \"rules\"?");
	refuses("{\"version\":1,\"zzzzzzzz\":[]}",
		"p.json:1:14: $.zzzzzzzz: unknown key \"zzzzzzzz\"");
	refuses("{\"version\":1,\"a b\":[]}", "p.json:1:14: $[\"a b\"]: unknown key \"a b\"");
	refuses(RULES("{\"allow\":[\"a\"],\"port\":[1]}"),
		"p.json:1:38: $.rules[0].port: unknown key \"port\"; did you mean \"ports\"?");
	refuses("{\"version\":1,\"dns\":{\"resolver\":[]}}",
		"p.json:1:21: $.dns.resolver: unknown key \"resolver\"; did you mean "
		"\"resolvers\"?");
	refuses("{\"version\":1,\"name\":\"a\",\n\"name\":\"b\"}",
		"p.json:2:1: $.name: key \"name\" stands here twice");
	refuses(RULES("{\"allow\":[\"a\"],\"\\u0061llow\":[\"b\"]}"),
		"p.json:1:38: $.rules[0][\"\\u0061llow\"]: key \"allow\" stands here twice");
	refuses("{\"version\":1,\"dns\":{\"static\":{\"a1\":[],\"a2\":[],\"a3\":[],\"a4\":[],"
		"\"a5\":[],"
		"\"a6\":[],\"a7\":[],\"a8\":[],\"a9\":[],\"b1\":[],\"b2\":[],\"b3\":[],\"b4\":[],"
		"\"b5\":[],"
		"\"b6\":[],\"b7\":[],\"b8\":[],\"b9\":[],\n\"a4\":[]}}}",
		"p.json:2:1: $.dns.static.a4: key \"a4\" stands here twice");
	refuses("{\"version\":1,\"mode\":\"audit\"}",
		"p.json:1:21: $.mode: mode cannot be \"audit\"; did you mean \"audit_only\"?");
	refuses("{\"version\":1,\"default\":\"xyzzy\"}",
		"p.json:1:24: $.default: default cannot be \"xyzzy\"; it is \"deny\", \"allow\" or "
		"\"prompt\"");
	refuses(RULES("{\"allow\":[\"a.b\"],\"keep_addresses\":1}"),
		"p.json:1:57: $.rules[0].keep_addresses: must be true or false, not a number");
	refuses(RULES("{\"deny\":[\"a.b\"],\"keep_addresses\":true}"),
		"p.json:1:39: $.rules[0].keep_addresses: \"keep_addresses\" is for allow rules");
	refuses(RULES("{\"allow\":[\"10.0.0.0/8\"],\"keep_addresses\":true}"),
		"p.json:1:47: $.rules[0].keep_addresses: \"keep_addresses\" is about names, and "
		"the "
		"rule has none");
	refuses("{\"version\":1,\"tls\":{\"sni\":\"required\"}}",
		"p.json:1:27: $.tls.sni: sni cannot be \"required\"; did you mean \"require\"?");
	refuses("{}", "p.json:1:1: $: \"version\": 1 is missing");
	refuses("[]", "p.json:1:1: $: must be an object, not a list");
	refuses("null", "p.json:1:1: $: must be an object, not null");
	refuses("{\"version\":2}",
		"p.json:1:12: $.version: this program reads version 1 of the policy document");
	refuses("{\"version\":\"1\"}", "p.json:1:12: $.version: must be a number, not a string");
	refuses("{\"version\":1,\"limits\":{\"mbps\":1}}",
		"p.json:1:24: $.limits.mbps: there are no quotas yet: \"limits\" must be empty");
}

static void rules(void **unused)
{
	(void)unused;
	refuses(RULES("{}"),
		"p.json:1:23: $.rules[0]: a rule needs one of allow, deny, decide and prompt");
	refuses(RULES("{\"allow\":[\"a\"],\"deny\":[\"b\"]}"),
		"p.json:1:38: $.rules[0].deny: a rule is one of allow, deny, decide and prompt; "
		"this one "
		"is \"allow\" already");
	refuses(RULES("{\"allow\":[]}"), "p.json:1:32: $.rules[0].allow: an empty list");
	refuses(RULES("{\"allow\":\"a\"}"),
		"p.json:1:32: $.rules[0].allow: must be a list, not a string");
	refuses(RULES("{\"allow\":[1]}"),
		"p.json:1:33: $.rules[0].allow[0]: must be a string, not a number");
	refuses(RULES("{\"allow\":[\"a\"]},7"),
		"p.json:1:39: $.rules[1]: must be an object, not a number");
	refuses(RULES("{\"allow\":[\"a\"],\"id\":\"x\"},{\"allow\":[\"b\"],\"id\":\"x\"}"),
		"p.json:1:68: $.rules[1].id: another rule has the id \"x\"");
	refuses(RULES("{\"allow\":[\"a\"],\"id\":\"a b\"}"),
		"p.json:1:43: $.rules[0].id: an id is made of letters, digits and _ . : -");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[65536]}"),
		"p.json:1:47: $.rules[0].ports[0]: must be 1 to 65535");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[80,0]}"),
		"p.json:1:50: $.rules[0].ports[1]: must be 1 to 65535");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[-1]}"),
		"p.json:1:47: $.rules[0].ports[0]: must be 1 to 65535");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[80.5]}"),
		"p.json:1:47: $.rules[0].ports[0]: must be a whole number");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[1e999]}"),
		"p.json:1:47: $.rules[0].ports[0]: must be 1 to 65535");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[\"90-80\"]}"),
		"p.json:1:47: $.rules[0].ports[0]: \"90-80\": the range runs backwards");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[\"80-65536\"]}"),
		"p.json:1:47: $.rules[0].ports[0]: \"80-65536\": ports are 1 to 65535");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[\"0-1\"]}"),
		"p.json:1:47: $.rules[0].ports[0]: \"0-1\": ports are 1 to 65535");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[\"80 -90\"]}"),
		"p.json:1:47: $.rules[0].ports[0]: \"80 -90\" is no range of ports; write a "
		"number, "
		"\"a-b\" or \"*\"");
	refuses(RULES("{\"allow\":[\"a\"],\"ports\":[]}"),
		"p.json:1:46: $.rules[0].ports: an empty list");
	refuses(RULES("{\"allow\":[\"a:1\"],\"ports\":[1]}"),
		AT_TARGET "\"a:1\" names a port, and the rule has \"ports\" too");
	refuses(RULES("{\"ports\":[1],\"allow\":[\"b\",\"a:1\"]}"),
		"p.json:1:49: $.rules[0].allow[1]: \"a:1\" names a port, and the rule has "
		"\"ports\" too");
	refuses(RULES("{\"allow\":[\"a\"],\"protocol\":\"icmp\"}"),
		"p.json:1:49: $.rules[0].protocol: protocol cannot be \"icmp\"; did you mean "
		"\"tcp\"?");
	refuses(RULES("{\"allow\":[\"a\"],\"cache\":true}"),
		"p.json:1:38: $.rules[0].cache: \"cache\" is for decide rules");
	refuses(RULES("{\"allow\":[\"a\"],\"timeout_ms\":1}"),
		"p.json:1:38: $.rules[0].timeout_ms: \"timeout_ms\" is for decide and prompt "
		"rules");
	refuses(RULES("{\"decide\":[\"a\"]}"),
		"p.json:1:23: $.rules[0]: a decide rule needs \"by\": who decides");
	refuses(RULES("{\"decide\":[\"a\"],\"by\":{\"channel\":true,\"unix\":\"/a\"}}"),
		"p.json:1:60: $.rules[0].by.unix: \"by\" is one of unix, command and channel");
	refuses(RULES("{\"decide\":[\"a\"],\"by\":{\"unix\":\"a\"}}"),
		"p.json:1:52: $.rules[0].by.unix: the path of a socket starts with '/'");
	refuses(RULES("{\"allow\":[\"a\"],\"methods\":[\"get\"]}"),
		"p.json:1:49: $.rules[0].methods[0]: \"get\" is no HTTP method (they are upper "
		"case)");
	accepts(RULES("{\"deny\":[\"**\"],\"ports\":[\"*\",80,\"1-65535\",8e1]}"));
}

static void targets(void **unused)
{
	(void)unused;
	refuses(TARGET(""), AT_TARGET "an empty target");
	refuses(TARGET("10.1.2.3/8"), AT_TARGET
		"\"10.1.2.3/8\" has bits set behind the prefix; the network is 10.0.0.0/8");
	refuses(TARGET("2001:db8::1/32"),
		AT_TARGET "\"2001:db8::1/32\" has bits set behind the prefix; "
			  "the network is 2001:db8::/32");
	refuses(TARGET("10.0.0.0/33"),
		AT_TARGET "\"10.0.0.0/33\": the prefix length must be 0 to 32");
	refuses(TARGET("10.0.0.0/08"),
		AT_TARGET "\"10.0.0.0/08\": the prefix length must be 0 to 32");
	refuses(TARGET("::/129"), AT_TARGET "\"::/129\": the prefix length must be 0 to 128");
	refuses(TARGET("::ffff:0:0/90"), AT_TARGET
		"\"::ffff:0:0/90\" is a v4-mapped address with a prefix below 96; write the "
		"IPv4 network");
	refuses(TARGET("a.com/8"),
		AT_TARGET "\"a.com/8\" is not a network, and a host name has no path");
	refuses(TARGET("a.com/"),
		AT_TARGET "\"a.com/\" is not a network, and a host name has no path");
	refuses(TARGET("fe80::1%eth0"),
		AT_TARGET "\"fe80::1%eth0\" is not an IP address or network");
	refuses(TARGET("a.com:65536"),
		AT_TARGET "\"a.com:65536\": a port is a number from 1 to 65535");
	refuses(TARGET("a.com:0"), AT_TARGET "\"a.com:0\": a port is a number from 1 to 65535");
	refuses(TARGET("a.com:"), AT_TARGET "\"a.com:\": a port is a number from 1 to 65535");
	refuses(TARGET("a.com:http"),
		AT_TARGET "\"a.com:http\": a port is a number from 1 to 65535");
	refuses(TARGET("[::1"), AT_TARGET "\"[::1\": between brackets stands an IPv6 address");
	refuses(TARGET("[1.2.3.4]:80"),
		AT_TARGET "\"[1.2.3.4]:80\": between brackets stands an IPv6 address");
	refuses(TARGET("[::1]80"),
		AT_TARGET "\"[::1]80\": after the brackets comes :PORT or nothing");
	refuses(TARGET("https://a.com"),
		AT_TARGET "\"https://a.com\" is a URL; a target is a host name or an address");
	refuses(TARGET("a b"), AT_TARGET "\"a b\" has white space");
	refuses(TARGET(" a"), AT_TARGET "\" a\" has white space");
	accepts(RULES("{\"allow\":[\"a\",\"a:1\",\"1.2.3.4\",\"1.2.3.4:5\",\"1.2.3.0/24\",\"::1\","
		      "\"[::1]\",\"[::1]:5\",\"::/0\",\"0.0.0.0/0\",\"::ffff:1.2.3.4\"]}"));
}

static void dns(void **unused)
{
	(void)unused;
	refuses("{\"version\":1,\"dns\":{\"resolvers\":[\"one.one\"]}}",
		"p.json:1:34: $.dns.resolvers[0]: a resolver is an IP address or \"system\": "
		"\"one.one\" is "
		"not an IP address");
	refuses("{\"version\":1,\"dns\":{\"resolvers\":[\"1.1.1.0/24\"]}}",
		"p.json:1:34: $.dns.resolvers[0]: a resolver is an IP address or \"system\": "
		"\"1.1.1.0/24\" is a network, and an address is wanted here");
	refuses("{\"version\":1,\"dns\":{\"resolvers\":[\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1."
		"1.4\","
		"\"1.1.1.5\",\"1.1.1.6\",\"1.1.1.7\",\"1.1.1.8\",\"1.1.1.9\"]}}",
		"p.json:1:114: $.dns.resolvers[8]: more than 8 resolvers");
	refuses("{\"version\":1,\"dns\":{\"private_answers\":[\"10.0.0.1/8\"]}}",
		"p.json:1:40: $.dns.private_answers[0]: \"10.0.0.1/8\" has bits set behind the "
		"prefix; the "
		"network is 10.0.0.0/8");
	refuses("{\"version\":1,\"dns\":{\"static\":{\"*.a\":[\"1.1.1.1\"]}}}",
		"p.json:1:31: $.dns.static[\"*.a\"]: \"*.a\": a pattern cannot stand here, only a "
		"name");
	refuses("{\"version\":1,\"dns\":{\"static\":{\"a\":[\"b\"]}}}",
		"p.json:1:36: $.dns.static.a[0]: \"b\" is not an IP address");
	refuses("{\"version\":1,\"dns\":{\"query_types\":[\"TYPE320\"]}}",
		"p.json:1:36: $.dns.query_types[0]: \"TYPE320\": only types 1 to 319 can be "
		"allowed");
	refuses("{\"version\":1,\"dns\":{\"query_types\":[\"TYPE0\"]}}",
		"p.json:1:36: $.dns.query_types[0]: \"TYPE0\": only types 1 to 319 can be allowed");
	refuses("{\"version\":1,\"dns\":{\"query_types\":[\"ANY\"]}}",
		"p.json:1:36: $.dns.query_types[0]: \"ANY\" is no query type known here; they are "
		"A, AAAA, "
		"CNAME, HTTPS, SVCB, SRV, MX, TXT, PTR, SOA, NS, CAA and TYPEn");
	refuses("{\"version\":1,\"dns\":{\"min_ttl\":61,\"max_ttl\":60}}",
		"p.json:1:20: $.dns: min_ttl (61) is above max_ttl (60)");
	refuses("{\"version\":1,\"dns\":{\"min_ttl\":4294967296}}",
		"p.json:1:31: $.dns.min_ttl: must be 0 to 2147483647");
}

static void ids(void **unused)
{
	struct sp_policy *policy =
		parse(RULES("{\"allow\":[\"a\"]},{\"allow\":[\"A.\"]},{\"deny\":[\"a\"]},"
			    "{\"allow\":[\"a\"],\"ports\":[1]},{\"allow\":[\"a\"]}"));
	struct sp_policy *other =
		parse(RULES("{\"deny\":[\"a\"],\"note\":\"words change nothing\"}"));
	struct sp_rule_view view;
	char second[64];

	(void)unused;
	assert_int_equal(strlen(policy->rules[0].id), 10);
	assert_memory_equal(policy->rules[0].id, "r-", 2);
	/* the same content gets the same stem, and a number */
	snprintf(second, sizeof(second), "%s-2", policy->rules[0].id);
	assert_string_equal(policy->rules[1].id, second);
	snprintf(second, sizeof(second), "%s-3", policy->rules[0].id);
	assert_string_equal(policy->rules[4].id, second);
	assert_string_not_equal(policy->rules[3].id, policy->rules[0].id);
	/* stable across edits elsewhere */
	assert_string_equal(policy->rules[2].id, other->rules[0].id);
	assert_int_equal(sp_policy_rule(policy, 2, &view), 0);
	sp_policy_free(other);
	sp_policy_free(policy);
}

static void options(void **unused)
{
	static const char *const denies[] = {"d1.com", "d2.com"}, *const allows[] = {"a1.com:22"};
	static const char *const bad[] = {"a b"};
	static const char *const origins[] = {"--deny", "--deny", "--deny", "--allow", "rule 0"};
	struct sp_policy *policy = parse(RULES("{\"allow\":[\"x\"]}"));
	struct sp_error *err = NULL;
	struct sp_rule_view view;

	(void)unused;
	/* allows first: denies still go before them */
	assert_int_equal(sp_policy_prepend(policy, SP_ACTION_ALLOW, allows, 1, "--allow", &err), 0);
	assert_int_equal(sp_policy_prepend(policy, SP_ACTION_DENY, denies, 2, "--deny", &err), 0);
	assert_int_equal(sp_policy_prepend(policy, SP_ACTION_DENY, denies, 1, "--deny", &err), 0);
	assert_int_equal(sp_policy_rules_len(policy), 5);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(sp_policy_rule(policy, i, &view), 0);
		assert_string_equal(view.origin, origins[i]);
	}
	assert_string_equal(policy->rules[0].targets[0].text, "d1.com");
	assert_string_equal(policy->rules[3].targets[0].text, "a1.com:22");
	assert_int_equal(sp_policy_prepend(policy, SP_ACTION_DENY, bad, 1, "--deny", &err),
			 -EINVAL);
	assert_string_equal(err->message, "--deny: \"a b\" has white space");
	sp_error_free(err);
	err = NULL;
	assert_int_equal(sp_policy_rules_len(policy), 5);
	assert_int_equal(sp_policy_set_default(policy, "alow", &err), -EINVAL);
	assert_string_equal(err->message, "default cannot be \"alow\"; did you mean \"allow\"?");
	sp_error_free(err);
	err = NULL;
	assert_int_equal(sp_policy_set_default(policy, "allow", &err), 0);
	assert_int_equal(sp_policy_default(policy), SP_ACTION_ALLOW);
	assert_int_equal(sp_policy_set_mode(policy, "audit_only", &err), 0);
	assert_int_equal(sp_policy_mode(policy), SP_MODE_AUDIT_ONLY);
	sp_policy_free(policy);
}

static void resolvers(void **unused)
{
	static const char *const given[] = {"9.9.9.9", "system", "9.9.9.9"};
	static const char *const found[] = {"127.0.0.53", "9.9.9.9"};
	static const char *const bad[] = {"nine"};
	static const char *const many[] = {"1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.4",
					   "1.0.0.5", "1.0.0.6", "1.0.0.7", "1.0.0.8"};
	struct sp_policy *policy = parse("{\"version\":1}");
	struct sp_error *err = NULL;

	(void)unused;
	assert_int_equal(sp_policy_set_resolvers(policy, bad, 1, &err), -EINVAL);
	sp_error_free(err);
	err = NULL;
	assert_true(sp_policy_wants_system_resolvers(policy));
	assert_int_equal(sp_policy_set_resolvers(policy, given, 3, &err), 0);
	assert_int_equal(policy->resolvers_len, 2);
	assert_int_equal(sp_policy_resolve_system(policy, many, 8, &err), -EINVAL);
	assert_string_equal(err->message, "more than 8 resolvers");
	sp_error_free(err);
	err = NULL;
	assert_true(sp_policy_wants_system_resolvers(policy));
	assert_int_equal(sp_policy_resolve_system(policy, found, 2, &err), 0);
	assert_false(sp_policy_wants_system_resolvers(policy));
	assert_int_equal(policy->resolvers_len, 2);
	assert_int_equal(policy->resolvers[1].addr[12], 127);
	assert_true(sp_policy_follows_system(policy));
	/* what the word means later */
	assert_int_equal(sp_policy_resolve_system(policy, many, 7, &err), 0);
	assert_int_equal(policy->resolvers_len, 8);
	assert_int_equal(sp_policy_resolve_system(policy, many, 8, &err), -EINVAL);
	sp_error_free(err);
	err = NULL;
	assert_int_equal(policy->resolvers_len, 8);
	assert_int_equal(sp_policy_resolve_system(policy, found, 1, &err), 0);
	assert_int_equal(policy->resolvers_len, 2);
	assert_int_equal(policy->resolvers[1].addr[12], 127);
	/* without the word nothing follows */
	assert_int_equal(sp_policy_set_resolvers(policy, found, 2, &err), 0);
	assert_false(sp_policy_follows_system(policy));
	assert_int_equal(sp_policy_resolve_system(policy, many, 8, &err), 0);
	assert_int_equal(policy->resolvers_len, 2);
	sp_policy_free(policy);
}

static int count_static(const char *name, const uint8_t addr[16], void *data)
{
	assert_string_equal(name, "db.local");
	(void)addr;
	return ++*(int *)data == 2 ? 7 : 0;
}

static void statics(void **unused)
{
	struct sp_policy *policy =
		parse("{\"version\":1,\"dns\":{\"static\":{\"DB.local.\":[\"10.0.0.1\","
		      "\"10.0.0.2\",\"10.0.0.3\"]}}}");
	int seen = 0;

	(void)unused;
	assert_int_equal(sp_policy_static(policy, count_static, &seen), 7);
	assert_int_equal(seen, 2);
	sp_policy_free(policy);
}

static void needs(const char *text, const char *message)
{
	struct sp_policy *policy = parse(text);
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;
	uint64_t seed[2] = {1, 2};
	char *said;

	assert_int_equal(sp_policy_compile(policy, seed, &image, NULL), -EOPNOTSUPP);
	assert_null(image);
	assert_int_equal(sp_policy_kernel_only(policy, &err), -EOPNOTSUPP);
	said = sp_error_text(err);
	assert_string_equal(said, message);
	free(said);
	sp_error_free(err);
	sp_policy_free(policy);
}

#define HOLD " needs sallyportd's hold path, which `sallyport run` does not have"

static void kernel_only(void **unused)
{
	struct sp_policy *policy =
		parse(RULES("{\"allow\":[\"a\",\"*.a\",\"**.a\",\".a\",\"*\",\"**\"]}"));

	(void)unused;
	assert_int_equal(sp_policy_kernel_only(policy, NULL), 0);
	sp_policy_free(policy);
	needs("{\"version\":1,\"default\":\"prompt\"}",
	      "p.json: $.default: default \"prompt\"" HOLD);
	needs("{\"version\":1,\"quic\":\"inspect\"}", "p.json: $.quic: quic \"inspect\"" HOLD);
	needs(RULES("{\"allow\":[\"a\"]},\n{\"prompt\":[\"b\"]}"),
	      "p.json:2:1: $.rules[1].prompt: a prompt rule" HOLD);
	needs(RULES("{\"decide\":[\"b\"],\"by\":{\"channel\":true}}"),
	      "p.json:1:23: $.rules[0].decide: a decide rule" HOLD);
	needs(RULES("{\"deny\":[\"b\",\"api-*.b\"]}"),
	      "p.json:1:23: $.rules[0].deny[1]: the pattern \"api-*.b\"" HOLD);
	needs(RULES("{\"allow\":[\"b\"],\"methods\":[\"GET\"]}"),
	      "p.json:1:23: $.rules[0].methods: a rule on HTTP methods or paths needs the HTTP "
	      "gateway, "
	      "which `sallyport run` does not have");
	needs(RULES("{\"allow\":[\"a.**.b\"]}"),
	      "p.json:1:23: $.rules[0].allow[0]: the pattern \"a.**.b\"" HOLD);
	needs(RULES("{\"allow\":[\"*.*.b\"]}"),
	      "p.json:1:23: $.rules[0].allow[0]: the pattern \"*.*.b\"" HOLD);
}

static void warns(const char *text, const char *const *messages)
{
	struct sp_policy *policy = parse(text);
	struct sp_error *err = NULL;
	char **warnings = NULL;
	size_t i;

	assert_int_equal(sp_policy_warnings(policy, &warnings, &err), 0);
	for (i = 0; messages[i]; i++) {
		assert_non_null(warnings[i]);
		assert_string_equal(warnings[i], messages[i]);
	}
	assert_null(warnings[i]);
	sp_strings_free(warnings);
	sp_policy_free(policy);
}

#define WARNS(text, ...) warns(text, (const char *const[]){__VA_ARGS__, NULL})
#define QUIET(text) warns(text, (const char *const[]){NULL})
#define ID(n) "\"id\":\"" n "\""

#define WIDE(what)                                                                                 \
	": a rule on addresses holds no name, and this one opens " what                            \
	" to whoever listens there, under any name"
#define META ": there clouds give this machine's credentials to whoever asks; "

static void warnings(void **unused)
{
	(void)unused;
	WARNS(RULES("{\"allow\":[\"*.com\"]," ID("x") "}"),
	      "rule 0 (x): \"*.com\" covers the public suffix \"com\" whole");
	WARNS(RULES("{\"allow\":[\"**.co.uk\",\".github.io\",\"*.example.com\",\"*.corp\",\"co."
		    "uk\"]," ID("x") "}"),
	      "rule 0 (x): \"**.co.uk\" covers the public suffix \"co.uk\" whole",
	      "rule 0 (x): \".github.io\" covers the public suffix \"github.io\" whole");
	WARNS(RULES("{\"allow\":[\"a.b\",\"A.b.\",\"a.b:1\"]," ID("x") "}"),
	      "rule 0 (x): \"A.b.\" is listed twice");
	WARNS(RULES("{\"deny\":[\"**.a.b\"]," ID(
		      "x") "},{\"allow\":[\"x.a.b\",\"*.a.b\",\"**.y.a.b\"]," ID("y") "}"),
	      "rule 1 (y) can never match: rule 0 (x) answers first");
	WARNS(RULES("{\"allow\":[\"10.0.0.0/8\"]," ID("x") "},{\"deny\":[\"10.1.2.3:80\"]," ID(
		      "y") "}"),
	      "rule 1 (y) can never match: rule 0 (x) answers first");
	WARNS(RULES("{\"allow\":[\"*\",\"**\"]," ID("x") "},{\"deny\":[\"*\"]," ID("y") "}"),
	      "rule 0 (x): \"*\" is every name of one label, such as localhost; \"**\" is every "
	      "name");
	/* deny_wins asks the deny first */
	WARNS("{\"version\":1,\"precedence\":\"deny_wins\",\"rules\":[{\"allow\":[\"q\"]," ID(
		      "x") "},"
			   "{\"deny\":[\"*\"]," ID("y") "}]}",
	      "rule 0 (x) can never match: rule 1 (y) answers first");
	WARNS(RULES("{\"allow\":[\"192.0.2.1:53\"]," ID("x") "}"),
	      "rule 0 (x): \"192.0.2.1:53\": port 53 is DNS, which goes to dns.resolvers only; a "
	      "resolver is allowed there (or by --resolver), not by a rule");
	WARNS(RULES("{\"allow\":[\"a.b\"],\"tls\":false," ID("x") "}"),
	      "rule 0 (x): \"a.b\": \"tls\": false does not hold on port 443, where a connection "
	      "to "
	      "a name must start with a TLS handshake (tls.sni)");
	/* everything, and what everything opens */
	WARNS(RULES("{\"allow\":[\"0.0.0.0/0\"]," ID("x") "}"),
	      "rule 0 (x): \"0.0.0.0/0\"" WIDE("every address"),
	      "rule 0 (x) opens 169.254.169.254, 168.63.129.16, 192.0.0.192, 100.100.100.200" META
	      "a rule before it that denies it closes it");
	WARNS(RULES("{\"allow\":[\"::/0\",\"2000::/3\"]," ID("x") "}"),
	      "rule 0 (x): \"::/0\"" WIDE("every address"),
	      "rule 0 (x): \"2000::/3\"" WIDE("a large part of the net"),
	      "rule 0 (x) opens fd00:ec2::254" META "a rule before it that denies it closes it");
	WARNS(RULES("{\"allow\":[\"128.0.0.0/1\"],\"ports\":[443]," ID("x") "}"),
	      "rule 0 (x): \"128.0.0.0/1\"" WIDE("a large part of the net"));
	WARNS(RULES("{\"allow\":[\"169.254.169.254\"]," ID(
		      "x") "},{\"allow\":[\"[fd00:ec2::254]:80\"]," ID("y") "}"),
	      "rule 0 (x) opens 169.254.169.254" META "a rule before it that denies it closes it",
	      "rule 1 (y) opens fd00:ec2::254" META "a rule before it that denies it closes it");
	WARNS("{\"version\":1,\"default\":\"allow\"}",
	      "\"default\": \"allow\" opens all that no rule names; a host that a rule denies by "
	      "name is still reached by its address, or by a handshake that hides the name",
	      "\"default\" opens 169.254.169.254, fd00:ec2::254, 168.63.129.16, 192.0.0.192, "
	      "100.100.100.200" META "a rule that denies it closes it");
	WARNS("{\"version\":1,\"dns\":{\"private_answers\":[\"10.0.0.0/8\",\"169.254.0.0/16\"]}}",
	      "dns.private_answers[1] covers 169.254.169.254: an allowed name that resolves to it "
	      "reaches a cloud's metadata service");
	QUIET(RULES("{\"deny\":[\"0.0.0.0/0\",\"::/0\"]}"));
	QUIET(RULES("{\"allow\":[\"10.0.0.0/8\",\"fc00::/16\",\"2001:db8::/32\"]}"));
	QUIET(RULES("{\"allow\":[\"169.254.169.254:123\"]}")); /* its clock */
	QUIET(RULES("{\"allow\":[\"192.0.2.1\"]},{\"deny\":[\"a.b:53\"]}"));
	QUIET(RULES("{\"allow\":[\"a.b:80\"],\"tls\":false}"));
	QUIET("{\"version\":1,\"tls\":{\"sni\":\"off\"},\"rules\":[{\"allow\":[\"a.b\"],\"tls\":"
	      "false}"
	      "]}");
	QUIET(RULES("{\"allow\":[\"localhost\",\"localhost:3000\"]}"));
	QUIET(RULES("{\"allow\":[\"a.b\"]},{\"deny\":[\"a.b\"]}")); /* the deny covers all ports */
	QUIET(RULES("{\"allow\":[\"*.a.b\"]},{\"allow\":[\"x.y.a.b\"]}"));
	QUIET(RULES("{\"allow\":[\"**.a.b\"]},{\"allow\":[\"a.b\"]}"));
	QUIET(RULES("{\"deny\":[\"a.b\"],\"protocol\":\"udp\"},{\"allow\":[\"a.b\"]}"));
	QUIET(RULES("{\"deny\":[\"::/0\"]},{\"allow\":[\"10.0.0.0/8\"]}"));
}

static void files(void **unused)
{
	char path[] = "/tmp/test_policy.XXXXXX";
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	int fd = mkstemp(path);

	(void)unused;
	assert_true(fd >= 0);
	assert_int_equal(sp_policy_load(path, &policy, &err), -EINVAL);
	assert_string_equal(err->message, "the document is empty");
	assert_string_equal(err->file, path);
	sp_error_free(err);
	err = NULL;
	assert_int_equal(write(fd, "{\"version\":1}\n", 14), 14);
	assert_int_equal(sp_policy_load(path, &policy, &err), 0);
	sp_policy_free(policy);
	policy = NULL;
	assert_int_equal(ftruncate(fd, 100000000), 0);
	assert_int_equal(sp_policy_load(path, &policy, &err), -E2BIG);
	sp_error_free(err);
	err = NULL;
	close(fd);
	unlink(path);
	assert_int_equal(sp_policy_load(path, &policy, &err), -ENOENT);
	sp_error_free(err);
	err = NULL;
	assert_int_equal(sp_policy_load("/", &policy, &err), -EISDIR);
	sp_error_free(err);
	err = NULL;
	/* endless, and no regular file */
	assert_int_equal(sp_policy_load("/dev/zero", &policy, &err), -E2BIG);
	sp_error_free(err);
	assert_null(policy);
}

static void errors(void **unused)
{
	struct sp_error *err = NULL;
	char *text;

	(void)unused;
	assert_int_equal(sp_error_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(sp_error_wrap(NULL, -EIO, "x"), -EIO);
	assert_int_equal(sp_error_wrap(&err, -EIO, "x"), -EIO);
	assert_null(err);
	assert_int_equal(sp_error_set(&err, -EIO, "a %d", 1), -EIO);
	assert_int_equal(sp_error_wrap(&err, -EPERM, "b %d", 2), -EPERM);
	assert_int_equal(err->code, -EPERM);
	text = sp_error_text(err);
	assert_string_equal(text, "b 2: a 1");
	free(text);
	err->line = 3;
	err->column = 4;
	err->path = strdup("$.x");
	err->file = strdup("f");
	text = sp_error_text(err);
	assert_string_equal(text, "f:3:4: $.x: b 2: a 1");
	free(text);
	sp_error_free(err);
	sp_error_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),    cmocka_unit_test(everything),
		cmocka_unit_test(syntax),      cmocka_unit_test(sizes),
		cmocka_unit_test(keys),	       cmocka_unit_test(rules),
		cmocka_unit_test(targets),     cmocka_unit_test(dns),
		cmocka_unit_test(ids),	       cmocka_unit_test(options),
		cmocka_unit_test(resolvers),   cmocka_unit_test(statics),
		cmocka_unit_test(kernel_only), cmocka_unit_test(warnings),
		cmocka_unit_test(files),       cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
