// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_events.c - decoding and wording of events.
 *
 * The policy is a stand-in that is defined here: what is tested is the wording, not the parser.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include <sallyport/events.h>

#include "buf.h"

/* ---- a policy ------------------------------------------------------------------------------- */

struct sp_policy {
	const char *name;
	struct sp_rule_view rules[3];
};

static const struct sp_policy coding_agent = {
	"coding-agent",
	{
		{.id = "a1",
		 .kind = "deny",
		 .origin = "--deny",
		 .target = "x.test",
		 .targets_len = 1},
		{.id = "b2",
		 .kind = "allow",
		 .origin = "rule 1",
		 .target = "a.test",
		 .targets_len = 3},
		{.id = "c\"3",
		 .kind = "deny",
		 .origin = "rule 2",
		 .target = "*.internal",
		 .targets_len = 1},
	},
};

const char *sp_policy_name(const struct sp_policy *policy)
{
	return policy->name;
}

int sp_policy_rule(const struct sp_policy *policy, uint32_t rule, struct sp_rule_view *ret_view)
{
	if (rule >= 3)
		return -ENOENT;
	*ret_view = policy->rules[rule];
	return 0;
}

/* ---- events --------------------------------------------------------------------------------- */

static struct sp_event event(uint8_t kind, uint8_t verdict, uint8_t reason)
{
	struct sp_event e = {.version = SP_ABI_VERSION, .size = SP_EVENT_FULL};

	e.kind = kind;
	e.verdict = verdict;
	e.reason = reason;
	e.rule = SP_RULE_DEFAULT;
	e.sandbox = 7;
	e.generation = 3;
	return e;
}

static void set_name(struct sp_event *e, const char *text)
{
	size_t pos = 0;

	for (;;) {
		size_t len = strcspn(text, ".");

		e->name[pos] = len;
		memcpy(e->name + pos + 1, text, len);
		pos += 1 + len;
		if (!text[len])
			break;
		text += len + 1;
	}
	e->name[pos] = 0;
	e->name_len = pos + 1;
}

static void set_addr(uint8_t addr[16], const char *text)
{
	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, addr), 1);
		return;
	}
	memset(addr, 0, 10);
	memset(addr + 10, 0xff, 2);
	assert_int_equal(inet_pton(AF_INET, text, addr + 12), 1);
}

static void set_dst(struct sp_event *e, uint8_t protocol, const char *addr, uint16_t port)
{
	e->protocol = protocol;
	set_addr(e->daddr, addr);
	e->dport = port;
}

static void set_process(struct sp_event *e, const char *comm, uint32_t pid)
{
	size_t len = strnlen(comm, sizeof(e->comm));

	memset(e->comm, 0, sizeof(e->comm));
	memcpy(e->comm, comm, len);
	e->pid = pid;
	e->uid = 1000;
}

static void set_sni(struct sp_event *e, const char *sni)
{
	e->sni_len = strlen(sni);
	memcpy(e->sni, sni, e->sni_len);
}

/* ---- decoding ------------------------------------------------------------------------------- */

static void test_decode(void **state)
{
	struct sp_event in = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_RULE), out;
	static const uint16_t sizes[] = {SP_EVENT_BARE, SP_EVENT_NAMED, SP_EVENT_FULL};
	uint8_t record[SP_EVENT_FULL + 8], zero[256] = {0};
	size_t i;

	(void)state;
	memset(in.name, 'n', sizeof(in.name));
	memset(in.sni, 's', sizeof(in.sni));
	for (i = 0; i < 3; i++) {
		in.size = sizes[i];
		memcpy(record, &in, sizeof(in));
		memset(&out, 0xee, sizeof(out));
		/* exactly its size, and not aligned */
		memmove(record + 1, record, in.size);
		assert_int_equal(sp_event_decode(record + 1, in.size, &out), 0);
		assert_memory_equal(&out, &in, in.size);
		assert_memory_equal(out.name, i >= 1 ? in.name : zero, 256);
		assert_memory_equal(out.sni, i >= 2 ? in.sni : zero, 256);
		assert_int_equal(sp_event_decode(record + 1, in.size + 5, &out), 0);
	}
}

static void refuse(const struct sp_event *e, size_t len, int error)
{
	uint8_t *record = malloc(len ? len : 1); /* exactly so long, for the sanitizer */
	struct sp_event out, untouched;

	memset(&out, 0xee, sizeof(out));
	untouched = out;
	memcpy(record, e, len);
	assert_int_equal(sp_event_decode(record, len, &out), error);
	assert_memory_equal(&out, &untouched, sizeof(out));
	free(record);
}

static void test_decode_refuses(void **state)
{
	struct sp_event good = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_RULE), e;
	size_t len;

	(void)state;
	for (len = 0; len < SP_EVENT_FULL; len++)
		refuse(&good, len, -EBADMSG);
	e = good;
	e.version++;
	refuse(&e, SP_EVENT_FULL, -EPROTO);
	for (len = 0; len < 65536; len++) {
		if (len == SP_EVENT_BARE || len == SP_EVENT_NAMED || len == SP_EVENT_FULL)
			continue;
		e = good;
		e.size = len;
		refuse(&e, SP_EVENT_FULL, -EBADMSG);
	}
#define REFUSE(field, value)                                                                       \
	do {                                                                                       \
		e = good;                                                                          \
		e.field = value;                                                                   \
		refuse(&e, SP_EVENT_FULL, -EBADMSG);                                               \
	} while (0)
	REFUSE(kind, SP_EVENT_KINDS);
	REFUSE(verdict, 3);
	REFUSE(reason, SP_REASON_COUNT);
	REFUSE(name_len, 256);
	REFUSE(sni_len, 256);
	e = good;
	e.size = SP_EVENT_BARE;
	e.name_len = 1;
	refuse(&e, SP_EVENT_FULL, -EBADMSG);
	e = good;
	e.size = SP_EVENT_NAMED;
	e.sni_len = 1;
	refuse(&e, SP_EVENT_FULL, -EBADMSG);
}

static void test_tables(void **state)
{
	int i, j;

	(void)state;
	for (i = 0; i < 256; i++) {
		assert_non_null(sp_reason_token(i));
		assert_non_null(sp_reason_text(i));
		assert_non_null(sp_verdict_name(i));
		assert_non_null(sp_event_kind_name(i));
	}
	for (i = 0; i < SP_REASON_COUNT; i++) {
		const char *token = sp_reason_token(i);

		/* stable words for programs: no two alike, and nothing to escape */
		assert_true(*token &&
			    strspn(token, "abcdefghijklmnopqrstuvwxyz_") == strlen(token));
		assert_null(strpbrk(sp_reason_text(i), "\"\\[]\n"));
		for (j = 0; j < i; j++)
			assert_string_not_equal(token, sp_reason_token(j));
	}
	assert_string_equal(sp_verdict_name(SP_VERDICT_WOULD_DENY), "would_deny");
	assert_string_equal(sp_event_kind_name(SP_EVENT_PACKET), "packet");
	assert_string_equal(sp_reason_token(SP_REASON_SNI_ADDRESS), "sni_address");
}

/* ---- text ----------------------------------------------------------------------------------- */

static void test_wire_to_text(void **state)
{
#define W(s) (const uint8_t *)(s), sizeof(s) - 1
	static const struct {
		const uint8_t *wire;
		size_t len;
		const char *text;
	} names[] = {
		{W("\3api\6github\3com\0"), "api.github.com"},
		{W("\3api\6github\3com"), "api.github.com"},
		{W("\3API\1_\0"), "api._"},
		{W("\0"), "."},
		{W(""), ""},
		{W("\5a.b\\c\0"), "a\\046b\\092c"},
		{W("\4\0\x1b\xff \0"), "\\000\\027\\255\\032"},
		{W("\1a\5evil"), "a\\005\\101\\118\\105\\108"},
		{W("\1a\xc0\x0c"), "a\\192\\012"},
		{W("\1a\0\3com\0"), "a"},
	};
	char text[1100];
	size_t i, size;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i].text);

		assert_int_equal(sp_wire_to_text(names[i].wire, names[i].len, text, sizeof(text)),
				 len);
		assert_string_equal(text, names[i].text);
		/* whatever fits, and not a byte more */
		for (size = 0; size <= len; size++) {
			char *exact = malloc(size ? size : 1);

			assert_true(sp_wire_to_text(names[i].wire, names[i].len, exact, size) <=
				    size);
			if (size > 0)
				assert_memory_equal(exact, names[i].text, strlen(exact));
			free(exact);
		}
	}
}

static void test_addr_to_text(void **state)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	(void)state;
	set_addr(addr, "203.0.113.66");
	assert_string_equal(sp_addr_to_text(addr, text, sizeof(text)), "203.0.113.66");
	assert_string_equal(sp_addr_to_text(addr, text, 5), "");
	assert_string_equal(sp_addr_to_text(addr, text, 0), "");
	set_addr(addr, "2001:db8::1");
	assert_string_equal(sp_addr_to_text(addr, text, sizeof(text)), "2001:db8::1");
}

static void check_json_string(const char *bytes, size_t len, const char *want)
{
	struct sp_buf buf = {0};
	char *text = NULL;

	sp_buf_json(&buf, bytes, len);
	assert_int_equal(sp_buf_take(&buf, &text), 0);
	assert_string_equal(text, want);
	free(text);
}

static void check_word(const char *bytes, size_t len, const char *want)
{
	struct sp_buf buf = {0};
	char *text = NULL;

	sp_buf_word(&buf, bytes, len);
	assert_int_equal(sp_buf_take(&buf, &text), 0);
	assert_string_equal(text, want);
	free(text);
}

#define S(s) (s), sizeof(s) - 1

static void test_escapes(void **state)
{
	(void)state;
	check_json_string(S(""), "\"\"");
	check_json_string(S("a\"\\/b"), "\"a\\\"\\\\/b\"");
	check_json_string(S("\0\n\x1b\x7f"), "\"\\u0000\\u000a\\u001b\\u007f\"");
	check_json_string(S("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
			  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	/* C1, right-to-left override, line separator, a tag outside the BMP */
	check_json_string(S("\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xf3\xa0\x81\x81"),
			  "\"\\u009b\\u202e\\u2028\\udb40\\udc41\"");
	/* alone, overlong, surrogate, above U+10FFFF, cut */
	check_json_string(S("\x80"), "\"\\ufffd\"");
	check_json_string(S("\xc0\xaf"), "\"\\ufffd\\ufffd\"");
	check_json_string(S("\xe0\x80\xaf"), "\"\\ufffd\\ufffd\\ufffd\"");
	check_json_string(S("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
	check_json_string(S("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	check_json_string(S("a\xe2\x82"), "\"a\\ufffd\\ufffd\"");

	check_word(S("curl"), "curl");
	check_word(S("api.github.com:443"), "api.github.com:443");
	check_word(S(""), "\"\"");
	check_word(S("a b"), "\"a b\"");
	check_word(S("a\"\\\x1b[0m\xc3\n\0"), "\"a\\\"\\\\\\x1b[0m\\xc3\\x0a\\x00\"");
}

/* ---- lines ---------------------------------------------------------------------------------- */

static void check_line(const struct sp_event *e, const struct sp_policy *policy, const char *want)
{
	char *line = NULL;

	assert_int_equal(sp_event_line(e, policy, &line), 0);
	assert_string_equal(line, want);
	free(line);
}

static void test_lines_dns(void **state)
{
	struct sp_event e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_DEFAULT);

	(void)state;
	set_name(&e, "evil.test");
	e.detail = 1;
	check_line(&e, NULL,
		   "sallyport: denied evil.test (A): no rule matches, and the default decides "
		   "[default]; allow with --allow evil.test");
	e.verdict = SP_VERDICT_WOULD_DENY;
	check_line(&e, NULL,
		   "sallyport: would deny evil.test (A): no rule matches, and the default "
		   "decides [default]; allow with --allow evil.test");
	e.verdict = SP_VERDICT_ALLOWED;
	check_line(&e, NULL,
		   "sallyport: allowed evil.test (A): no rule matches, and the default decides "
		   "[default]");

	e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_RULE);
	set_name(&e, "svc.internal");
	e.detail = 28;
	e.rule = 2;
	check_line(&e, &coding_agent,
		   "sallyport: denied svc.internal (AAAA): rule 2 (deny *.internal) of "
		   "policy coding-agent [rule]");
	check_line(&e, NULL, "sallyport: denied svc.internal (AAAA): rule at index 2 [rule]");
	e.rule = 0;
	check_line(&e, &coding_agent,
		   "sallyport: denied svc.internal (AAAA): --deny (deny x.test) of "
		   "policy coding-agent [rule]");
	e.rule = 1;
	e.verdict = SP_VERDICT_ALLOWED;
	check_line(&e, &coding_agent,
		   "sallyport: allowed svc.internal (AAAA): rule 1 (allow a.test and 2 "
		   "more) of policy coding-agent [rule]");
	e.rule = 9;
	check_line(&e, &coding_agent,
		   "sallyport: allowed svc.internal (AAAA): rule at index 9 [rule]");

	e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_DNS_TYPE);
	set_name(&e, "a.test");
	e.detail = 4711;
	check_line(&e, NULL,
		   "sallyport: denied a.test (TYPE4711): this query type is not allowed "
		   "[dns_type]"); /* no policy takes it */
	e.detail = 255;
	check_line(&e, NULL,
		   "sallyport: denied a.test (ANY): this query type is not allowed "
		   "[dns_type]; if it is needed, put TYPE255 into dns.query_types");
	/* nothing for a command line that the sandbox chose the bytes of */
	e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_DEFAULT);
	set_name(&e, "$(reboot).test");
	check_line(&e, NULL,
		   "sallyport: denied \\036\\040reboot\\041.test: no rule matches, and the "
		   "default decides [default]");
	set_name(&e, "-rf.test");
	check_line(&e, NULL,
		   "sallyport: denied -rf.test: no rule matches, and the default decides "
		   "[default]");
	e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_DNS_MALFORMED);
	check_line(&e, NULL,
		   "sallyport: denied a DNS query: not a well-formed DNS message "
		   "[dns_malformed]");
	e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_UNTRUSTED_RESOLVER);
	set_name(&e, "a.test");
	set_dst(&e, IPPROTO_UDP, "2001:db8::8", 53);
	check_line(&e, NULL,
		   "sallyport: denied a.test to [2001:db8::8]:53: DNS goes to trusted resolvers "
		   "only [untrusted_resolver]; if it is to be trusted, put it into "
		   "dns.resolvers of the policy, or start again if /etc/resolv.conf has it only "
		   "since");
}

static void test_lines_connect(void **state)
{
	struct sp_event e = event(SP_EVENT_CONNECT, SP_VERDICT_DENIED, SP_REASON_NOT_LEARNED);

	(void)state;
	set_dst(&e, IPPROTO_TCP, "203.0.113.66", 443);
	set_process(&e, "curl", 123);
	check_line(&e, NULL,
		   "sallyport: denied tcp 203.0.113.66:443 (curl, pid 123): no allowed name "
		   "resolved to this address in this sandbox [not_learned]; allow with --allow "
		   "203.0.113.66:443");
	set_dst(&e, IPPROTO_TCP, "2001:db8::1", 22);
	set_process(&e, "Web Content), pid", 123);
	check_line(&e, NULL,
		   "sallyport: denied tcp [2001:db8::1]:22 (\"Web Content), pi\", pid 123): no "
		   "allowed name resolved to this address in this sandbox [not_learned]; allow "
		   "with --allow [2001:db8::1]:22");
	memset(e.comm, 0, sizeof(e.comm));
	e.pid = 0;
	set_dst(&e, IPPROTO_TCP, "203.0.113.66", 5432);
	set_name(&e, "db.test");
	check_line(&e, NULL,
		   "sallyport: denied tcp db.test at 203.0.113.66:5432: no allowed name resolved "
		   "to this address in this sandbox [not_learned]; allow with --allow "
		   "db.test:5432");
	e.dport = 80;
	e.reason = SP_REASON_DEFAULT;
	check_line(&e, NULL,
		   "sallyport: denied tcp db.test at 203.0.113.66:80: no rule matches, and the "
		   "default decides [default]; allow with --allow db.test");

	e = event(SP_EVENT_CONNECT, SP_VERDICT_DENIED, SP_REASON_QUIC);
	set_dst(&e, IPPROTO_UDP, "203.0.113.66", 443);
	set_name(&e, "a.test");
	set_process(&e, "curl", 0);
	check_line(&e, NULL,
		   "sallyport: denied udp a.test at 203.0.113.66:443 (curl): QUIC is denied; "
		   "clients fall back to TCP [quic]");
	e = event(SP_EVENT_CONNECT, SP_VERDICT_DENIED, SP_REASON_LOOPBACK_FOREIGN);
	set_dst(&e, IPPROTO_TCP, "127.0.0.1", 8080);
	check_line(&e, NULL,
		   "sallyport: denied tcp 127.0.0.1:8080: the loopback listener is not of this "
		   "sandbox [loopback_foreign]; see loopback in the policy");
}

static void test_lines_handshake(void **state)
{
	struct sp_event e = event(SP_EVENT_HANDSHAKE, SP_VERDICT_DENIED, SP_REASON_SNI_ADDRESS);

	(void)state;
	set_dst(&e, IPPROTO_TCP, "203.0.113.2", 443);
	set_process(&e, "curl", 5);
	set_sni(&e, "evil.test");
	check_line(&e, NULL,
		   "sallyport: denied curl -> 203.0.113.2:443: the server name evil.test was not "
		   "resolved to this address here [sni_address]");
	set_sni(&e, "x\x1b]0;owned\a; allow with --allow evil.test");
	check_line(&e, NULL,
		   "sallyport: denied curl -> 203.0.113.2:443: the server name \"x\\x1b]0;owned"
		   "\\x07; allow with --allow evil.test\" was not resolved to this address here "
		   "[sni_address]");
	e.reason = SP_REASON_DEFAULT;
	check_line(&e, NULL,
		   "sallyport: denied curl -> 203.0.113.2:443 as \"x\\x1b]0;owned\\x07; allow "
		   "with --allow evil.test\": no rule matches, and the default decides "
		   "[default]");
	set_sni(&e, "evil.test");
	memset(e.comm, 0, sizeof(e.comm));
	e.dport = 8443;
	check_line(&e, NULL,
		   "sallyport: denied tcp -> 203.0.113.2:8443 as evil.test: no rule matches, and "
		   "the default decides [default]; allow with --allow evil.test:8443");
	set_sni(&e, "203.0.113.2");
	check_line(&e, NULL,
		   "sallyport: denied tcp -> 203.0.113.2:8443 as 203.0.113.2: no rule matches, "
		   "and the default decides [default]");
	e = event(SP_EVENT_HANDSHAKE, SP_VERDICT_DENIED, SP_REASON_HOST_ADDRESS);
	set_dst(&e, IPPROTO_TCP, "203.0.113.2", 80);
	set_sni(&e, "evil.test");
	check_line(&e, NULL,
		   "sallyport: denied tcp -> 203.0.113.2:80: the Host evil.test was not resolved "
		   "to this address here [host_address]");
}

static void test_lines_others(void **state)
{
	struct sp_event e = event(SP_EVENT_CLOSE, SP_VERDICT_ALLOWED, SP_REASON_CLOSED);

	(void)state;
	set_dst(&e, IPPROTO_TCP, "203.0.113.2", 443);
	e.bytes_out = 5;
	e.bytes_in = UINT64_MAX;
	check_line(&e, NULL,
		   "sallyport: closed tcp 203.0.113.2:443: 5 bytes out, 18446744073709551615 in; "
		   "the connection ended [closed]");
	e = event(SP_EVENT_ANSWER, SP_VERDICT_ALLOWED, SP_REASON_ANSWER_LEARNED);
	set_name(&e, "a.test");
	e.detail = 2;
	check_line(&e, NULL,
		   "sallyport: allowed the answer for a.test (2 addresses): the answer taught "
		   "addresses [learned]");
	e = event(SP_EVENT_ANSWER, SP_VERDICT_DENIED, SP_REASON_REBINDING);
	set_name(&e, "a.test");
	check_line(&e, NULL,
		   "sallyport: denied the answer for a.test: the answer points into a special "
		   "address range [rebinding]; if that is meant, put the range into "
		   "dns.private_answers");
	e = event(SP_EVENT_SOCKET, SP_VERDICT_DENIED, SP_REASON_SOCKET_PROTOCOL);
	e.protocol = 132;
	set_process(&e, "ping", 4);
	check_line(&e, NULL,
		   "sallyport: denied socket of protocol sctp (ping, pid 4): only TCP and UDP "
		   "sockets are allowed [socket_protocol]");
	e = event(SP_EVENT_PACKET, SP_VERDICT_DENIED, SP_REASON_IP_FRAGMENT);
	set_dst(&e, 200, "203.0.113.2", 0);
	check_line(&e, NULL,
		   "sallyport: denied packet 200 to 203.0.113.2: IP fragment [ip_fragment]");
}

/* ---- JSON ----------------------------------------------------------------------------------- */

/* Takes the time off the front, and looks at it: it changes. */
static void check_json(const struct sp_event *e, const struct sp_policy *policy, const char *want)
{
	const char *form = "{\"time\":\"0000-00-00T00:00:00.000000000Z\",", *p;
	char *json = NULL;
	size_t i;

	assert_int_equal(sp_event_json(e, policy, &json), 0);
	for (i = 0; form[i]; i++) {
		if (form[i] == '0')
			assert_true(json[i] >= '0' && json[i] <= '9');
		else
			assert_int_equal(json[i], form[i]);
	}
	assert_string_equal(json + i, want);
	for (p = json; *p; p++)
		assert_true((uint8_t)*p >= 0x20);
	free(json);
}

static void test_json(void **state)
{
	struct sp_event e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_RULE);

	(void)state;
	check_json(&e, NULL,
		   "\"sandbox\":7,\"generation\":3,\"kind\":\"dns\",\"verdict\":\"denied\","
		   "\"reason\":\"rule\",\"reason_text\":\"a rule of the policy says so\","
		   "\"rule\":null}");
	e.rule = 2;
	set_name(&e, "svc.internal");
	set_process(&e, "a\x1b\"\xff", 12);
	set_dst(&e, IPPROTO_UDP, "127.0.0.53", 53);
	set_addr(e.saddr, "2001:db8::1");
	e.sport = 4000;
	e.detail = 65;
	check_json(&e, &coding_agent,
		   "\"sandbox\":7,\"generation\":3,\"policy\":\"coding-agent\",\"kind\":\"dns\","
		   "\"verdict\":\"denied\",\"reason\":\"rule\","
		   "\"reason_text\":\"a rule of the policy says so\","
		   "\"rule\":{\"index\":2,\"id\":\"c\\\"3\",\"kind\":\"deny\",\"target\":\"*."
		   "internal\"},"
		   "\"pid\":12,\"comm\":\"a\\u001b\\\"\\ufffd\",\"uid\":1000,\"protocol\":\"udp\","
		   "\"src\":{\"addr\":\"2001:db8::1\",\"port\":4000},"
		   "\"dst\":{\"addr\":\"127.0.0.53\",\"port\":53},\"name\":\"svc.internal\","
		   "\"query_type\":\"HTTPS\"}");
	e = event(SP_EVENT_CLOSE, SP_VERDICT_ALLOWED, SP_REASON_CLOSED);
	e.rule = 9;
	e.bytes_in = 10;
	e.sport = 9;
	set_sni(&e, "a\nb");
	check_json(&e, &coding_agent,
		   "\"sandbox\":7,\"generation\":3,\"policy\":\"coding-agent\",\"kind\":\"close\","
		   "\"verdict\":\"allowed\",\"reason\":\"closed\","
		   "\"reason_text\":\"the connection ended\",\"rule\":{\"index\":9},"
		   "\"src\":{\"port\":9},\"sni\":\"a\\u000ab\",\"bytes_out\":0,\"bytes_in\":10}");
}

static void test_json_time(void **state)
{
	struct sp_event e = event(SP_EVENT_DNS, SP_VERDICT_DENIED, SP_REASON_RULE);
	struct timespec mono, real;
	char want[40], *json = NULL;
	struct tm tm;
	time_t then;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	/* one and a half seconds ago; the test may itself be slow, by less than half a second */
	e.time = mono.tv_sec * 1000000000ull + mono.tv_nsec - 1500000000ull;
	then = (real.tv_sec * 1000000000ull + real.tv_nsec - 1500000000ull) / 1000000000ull;
	gmtime_r(&then, &tm);
	strftime(want, sizeof(want), "{\"time\":\"%Y-%m-%dT%H:%M:%S.", &tm);
	assert_int_equal(sp_event_json(&e, NULL, &json), 0);
	if (strncmp(json, want, strlen(want)) != 0) {
		/* over the edge of a second between the two readings */
		then++;
		gmtime_r(&then, &tm);
		strftime(want, sizeof(want), "{\"time\":\"%Y-%m-%dT%H:%M:%S.", &tm);
	}
	assert_memory_equal(json, want, strlen(want));
	free(json);
	/* from the future: now, not the year 2500 */
	e.time = UINT64_MAX;
	assert_int_equal(sp_event_json(&e, NULL, &json), 0);
	then = real.tv_sec;
	gmtime_r(&then, &tm);
	strftime(want, sizeof(want), "{\"time\":\"%Y-", &tm);
	assert_memory_equal(json, want, strlen(want));
	free(json);
}

/* No combination of kind, verdict and reason that decodes may produce a raw byte, or none at all.
 */
static void test_all_combinations(void **state)
{
	int kind, verdict, reason, i;
	struct sp_event e;

	(void)state;
	for (kind = 0; kind < SP_EVENT_KINDS; kind++) {
		for (verdict = 0; verdict < 3; verdict++) {
			for (reason = 0; reason < SP_REASON_COUNT; reason++) {
				char *text[2] = {NULL, NULL};
				const char *p;

				e = event(kind, verdict, reason);
				memset(e.comm, 0x9b, sizeof(e.comm));
				memset(e.sni, '\n', sizeof(e.sni));
				e.sni_len = 255;
				memset(e.name, 0x1b, sizeof(e.name));
				e.name_len = 255;
				e.detail = reason;
				set_dst(&e, IPPROTO_TCP, "192.0.2.1", 8443);
				assert_int_equal(sp_event_line(&e, NULL, &text[0]), 0);
				assert_int_equal(sp_event_json(&e, NULL, &text[1]), 0);
				assert_non_null(strstr(text[0], sp_reason_token(reason)));
				for (i = 0; i < 2; i++) {
					for (p = text[i]; *p; p++)
						assert_true(*p >= 0x20 && *p < 0x7f);
					free(text[i]);
				}
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_decode_refuses),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_wire_to_text),
		cmocka_unit_test(test_addr_to_text),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_lines_dns),
		cmocka_unit_test(test_lines_connect),
		cmocka_unit_test(test_lines_handshake),
		cmocka_unit_test(test_lines_others),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_time),
		cmocka_unit_test(test_all_combinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
