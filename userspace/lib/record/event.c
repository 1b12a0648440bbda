// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * event.c - decoding and wording of ring-buffer records.
 *
 * What a record holds is the sandbox's own doing: names, server names and the comm of a process are
 * hostile bytes. Their lengths are checked here once (sp_event_decode()), and shown only through
 * the writers of buf.h. Names of the policy belong to the operator.
 *
 * A line ends with what would allow the thing that was denied, but only where that is true and
 * wise: see write_hint().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <sallyport/events.h>

#include "addr.h"
#include "buf.h"

#define NS_PER_S 1000000000ull

_Static_assert(offsetof(struct sp_event, name) == SP_EVENT_BARE, "BARE ends before the name");
_Static_assert(offsetof(struct sp_event, sni) == SP_EVENT_NAMED, "NAMED ends before the SNI");
_Static_assert(sizeof(struct sp_event) == SP_EVENT_FULL, "FULL is all of it");

/* Four bytes of text for each byte of a name, and a NUL. */
#define NAME_TEXT_SIZE (4 * 256 + 1)

static const struct {
	const char *token, *text;
} reasons[SP_REASON_COUNT] = {
#define X(code, token, text) [SP_REASON_##code] = {token, text},
	SP_REASONS(X)
#undef X
};

static const char *const kind_names[SP_EVENT_KINDS] = {
	[SP_EVENT_DNS] = "dns",		[SP_EVENT_ANSWER] = "answer",
	[SP_EVENT_CONNECT] = "connect", [SP_EVENT_HANDSHAKE] = "handshake",
	[SP_EVENT_SOCKET] = "socket",	[SP_EVENT_CLOSE] = "close",
	[SP_EVENT_PACKET] = "packet",
};

static const char *const verdict_names[] = {
	[SP_VERDICT_ALLOWED] = "allowed",
	[SP_VERDICT_DENIED] = "denied",
	[SP_VERDICT_WOULD_DENY] = "would_deny",
};

#define VERDICTS (sizeof(verdict_names) / sizeof(verdict_names[0]))

const char *sp_verdict_name(uint8_t verdict)
{
	return verdict < VERDICTS ? verdict_names[verdict] : "unknown";
}

const char *sp_event_kind_name(uint8_t kind)
{
	return kind < SP_EVENT_KINDS ? kind_names[kind] : "unknown";
}

const char *sp_reason_token(uint8_t reason)
{
	return reason < SP_REASON_COUNT ? reasons[reason].token : "unknown";
}

const char *sp_reason_text(uint8_t reason)
{
	return reason < SP_REASON_COUNT ? reasons[reason].text : "a reason not known here";
}

int sp_event_decode(const void *record, size_t len, struct sp_event *ret_event)
{
	struct sp_event event = {0};
	uint16_t head[2]; /* version, size */

	if (len < sizeof(head))
		return -EBADMSG;
	/* a ring's records are aligned to 8, a file's or a fuzzer's need not be */
	memcpy(head, record, sizeof(head));
	if (head[0] != SP_ABI_VERSION)
		return -EPROTO;
	if (head[1] != SP_EVENT_BARE && head[1] != SP_EVENT_NAMED && head[1] != SP_EVENT_FULL)
		return -EBADMSG;
	if (len < head[1])
		return -EBADMSG;
	memcpy(&event, record, head[1]);
	if (event.kind >= SP_EVENT_KINDS || event.verdict >= VERDICTS ||
	    event.reason >= SP_REASON_COUNT)
		return -EBADMSG;
	if (event.name_len > (event.size >= SP_EVENT_NAMED ? SP_NAME_MAX : 0))
		return -EBADMSG;
	if (event.sni_len > (event.size >= SP_EVENT_FULL ? sizeof(event.sni) - 1 : 0))
		return -EBADMSG;
	*ret_event = event;
	return 0;
}

/* ---- bytes to text -------------------------------------------------------------------------- */

/* Adds one byte of a name, or nothing if it does not fit whole. */
static bool put_name_byte(uint8_t c, char *text, size_t size, size_t *len)
{
	/* the case of a name says nothing (RFC 4343), and a name that is denied may be as it was
	 * sent */
	if (c >= 'A' && c <= 'Z')
		c |= 0x20;
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
		if (size - *len < 2)
			return false;
		text[(*len)++] = c;
		return true;
	}
	if (size - *len < 5)
		return false;
	text[(*len)++] = '\\';
	text[(*len)++] = '0' + c / 100;
	text[(*len)++] = '0' + c / 10 % 10;
	text[(*len)++] = '0' + c % 10;
	return true;
}

/*
 * Returns the length of the text, which always ends with a NUL (if there is room for one); what
 * does not fit is left out. \DDD is decimal (RFC 1035 5.1). Where the bytes stop being a name (a
 * length byte over 63 or a label that ends outside), all the rest is given as \DDD, so that a
 * broken name never reads like a good one.
 */
size_t sp_wire_to_text(const uint8_t *wire, size_t wire_len, char *text, size_t text_size)
{
	size_t pos = 0, len = 0;

	if (text_size == 0)
		return 0;
	if (wire_len > 0 && wire[0] == 0 && text_size > 1)
		text[len++] = '.';
	while (pos < wire_len && wire[pos] != 0) {
		size_t label = wire[pos], i;

		if (label > SP_LABEL_MAX || label > wire_len - pos - 1) {
			for (; pos < wire_len; pos++) {
				if (text_size - len < 5)
					break;
				text[len++] = '\\';
				text[len++] = '0' + wire[pos] / 100;
				text[len++] = '0' + wire[pos] / 10 % 10;
				text[len++] = '0' + wire[pos] % 10;
			}
			break;
		}
		if (pos > 0) {
			if (text_size - len < 2)
				break;
			text[len++] = '.';
		}
		for (i = 0; i < label; i++)
			if (!put_name_byte(wire[pos + 1 + i], text, text_size, &len))
				goto out;
		pos += 1 + label;
	}
out:
	text[len] = '\0';
	return len;
}

/* Text that does not fit becomes "". */
const char *sp_addr_to_text(const uint8_t addr[16], char *text, size_t text_size)
{
	const char *done;

	if (text_size == 0)
		return "";
	if (sp_addr_is_mapped(addr))
		done = inet_ntop(AF_INET, addr + 12, text, text_size);
	else
		done = inet_ntop(AF_INET6, addr, text, text_size);
	if (!done)
		text[0] = '\0';
	return text;
}

/* An address of all zeros says nothing: it was not known, or not chosen yet. */
static bool has_addr(const uint8_t addr[16])
{
	static const uint8_t none[16];

	return memcmp(addr, none, sizeof(none)) != 0;
}

static const char *query_type_name(uint32_t type)
{
	/* IANA, "Resource Record (RR) TYPEs" */
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {
		{1, "A"},      {2, "NS"},     {5, "CNAME"},   {6, "SOA"},	  {12, "PTR"},
		{13, "HINFO"}, {15, "MX"},    {16, "TXT"},    {17, "RP"},	  {28, "AAAA"},
		{29, "LOC"},   {33, "SRV"},   {35, "NAPTR"},  {39, "DNAME"},	  {41, "OPT"},
		{43, "DS"},    {44, "SSHFP"}, {46, "RRSIG"},  {47, "NSEC"},	  {48, "DNSKEY"},
		{50, "NSEC3"}, {52, "TLSA"},  {53, "SMIMEA"}, {61, "OPENPGPKEY"}, {64, "SVCB"},
		{65, "HTTPS"}, {99, "SPF"},   {249, "TKEY"},  {250, "TSIG"},	  {251, "IXFR"},
		{252, "AXFR"}, {255, "ANY"},  {256, "URI"},   {257, "CAA"},
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].type == type)
			return names[i].name;
	return NULL;
}

static void write_query_type(struct sp_buf *buf, uint32_t type)
{
	const char *name = query_type_name(type);

	if (name)
		sp_buf_add(buf, name);
	else
		sp_buf_printf(buf, "TYPE%u", type); /* RFC 3597 5 */
}

static void write_protocol(struct sp_buf *buf, uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		sp_buf_add(buf, "tcp");
		break;
	case IPPROTO_UDP:
		sp_buf_add(buf, "udp");
		break;
	case IPPROTO_ICMP:
		sp_buf_add(buf, "icmp");
		break;
	case IPPROTO_ICMPV6:
		sp_buf_add(buf, "icmpv6");
		break;
	case IPPROTO_SCTP:
		sp_buf_add(buf, "sctp");
		break;
	default:
		sp_buf_printf(buf, "%u", protocol);
	}
}

static size_t comm_len(const struct sp_event *event)
{
	return strnlen(event->comm, sizeof(event->comm));
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static uint64_t now(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The clock that the kernel stamps with has no date; what the two say now gives one. */
static void json_time(struct sp_buf *buf, uint64_t monotonic)
{
	uint64_t mono_now = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME);
	struct tm tm;
	time_t seconds;
	char text[32];

	if (monotonic <= mono_now)
		real -= mono_now - monotonic < real ? mono_now - monotonic : real;
	/* else: from a later moment, which a clock that was read twice can say; now is near enough
	 */
	seconds = real / NS_PER_S;
	if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return;
	sp_buf_printf(buf, "\"time\":\"%s.%09lluZ\",", text, (unsigned long long)(real % NS_PER_S));
}

static void json_rule(struct sp_buf *buf, const struct sp_event *event,
		      const struct sp_policy *policy)
{
	struct sp_rule_view view = {0};

	if (event->rule == SP_RULE_DEFAULT) {
		sp_buf_add(buf, ",\"rule\":null");
		return;
	}
	sp_buf_printf(buf, ",\"rule\":{\"index\":%u", event->rule);
	if (policy && sp_policy_rule(policy, event->rule, &view) == 0) {
		const struct {
			const char *key, *value;
		} fields[] = {{"id", view.id}, {"kind", view.kind}, {"target", view.target}};
		size_t i;

		for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
			if (!fields[i].value)
				continue;
			sp_buf_printf(buf, ",\"%s\":", fields[i].key);
			sp_buf_json(buf, fields[i].value, strlen(fields[i].value));
		}
	}
	sp_buf_add(buf, "}");
}

static void json_end(struct sp_buf *buf, const char *key, const uint8_t addr[16], uint16_t port)
{
	char text[INET6_ADDRSTRLEN];

	if (!has_addr(addr) && port == 0)
		return;
	sp_buf_printf(buf, ",\"%s\":{", key);
	if (has_addr(addr))
		sp_buf_printf(buf, "\"addr\":\"%s\"%s", sp_addr_to_text(addr, text, sizeof(text)),
			      port ? "," : "");
	if (port)
		sp_buf_printf(buf, "\"port\":%u", port);
	sp_buf_add(buf, "}");
}

static void json_detail(struct sp_buf *buf, const struct sp_event *event)
{
	switch (event->kind) {
	case SP_EVENT_DNS:
		/* a message that could not be parsed asked for no type */
		if (event->detail == 0)
			break;
		sp_buf_add(buf, ",\"query_type\":\"");
		write_query_type(buf, event->detail);
		sp_buf_add(buf, "\"");
		break;
	case SP_EVENT_ANSWER:
		if (event->reason == SP_REASON_ANSWER_LEARNED)
			sp_buf_printf(buf, ",\"addresses\":%u", event->detail);
		break;
	case SP_EVENT_SOCKET:
		if (event->reason == SP_REASON_SOCKET_OPTION)
			sp_buf_printf(buf, ",\"option\":%u", event->detail);
		else if (event->reason == SP_REASON_SOCKET_FAMILY)
			sp_buf_printf(buf, ",\"family\":%u", event->detail);
		else if (event->reason == SP_REASON_SOCKET_TYPE)
			sp_buf_printf(buf, ",\"type\":%u", event->detail);
		break;
	case SP_EVENT_CLOSE:
		sp_buf_printf(buf, ",\"bytes_out\":%llu,\"bytes_in\":%llu",
			      (unsigned long long)event->bytes_out,
			      (unsigned long long)event->bytes_in);
		break;
	default:
		break;
	}
}

/*
 * A handshake's record carries the server name as it was sent only where the kernel had it at hand;
 * otherwise its checked form stands in for it.
 */
static void fill_sni(struct sp_event *event)
{
	if (event->kind != SP_EVENT_HANDSHAKE || event->sni_len || !event->name_len)
		return;
	event->sni_len = sp_wire_to_text(event->name, event->name_len, (char *)event->sni,
					 sizeof(event->sni));
}

int sp_event_json(const struct sp_event *record, const struct sp_policy *policy, char **ret_json)
{
	struct sp_event whole = *record, *event = &whole;
	struct sp_buf buf = {0};
	char name[NAME_TEXT_SIZE];
	size_t len;

	fill_sni(event);
	sp_buf_add(&buf, "{");
	json_time(&buf, event->time);
	sp_buf_printf(&buf, "\"sandbox\":%u,\"generation\":%u", event->sandbox, event->generation);
	if (policy && sp_policy_name(policy)[0]) {
		sp_buf_add(&buf, ",\"policy\":");
		sp_buf_json(&buf, sp_policy_name(policy), strlen(sp_policy_name(policy)));
	}
	sp_buf_printf(&buf, ",\"kind\":\"%s\",\"verdict\":\"%s\",\"reason\":\"%s\"",
		      sp_event_kind_name(event->kind), sp_verdict_name(event->verdict),
		      sp_reason_token(event->reason));
	sp_buf_printf(&buf, ",\"reason_text\":\"%s\"", sp_reason_text(event->reason));
	json_rule(&buf, event, policy);
	/* uid 0 is somebody; without a process it is nobody's */
	if (event->pid)
		sp_buf_printf(&buf, ",\"pid\":%u", event->pid);
	if (comm_len(event)) {
		sp_buf_add(&buf, ",\"comm\":");
		sp_buf_json(&buf, event->comm, comm_len(event));
	}
	if (event->pid)
		sp_buf_printf(&buf, ",\"uid\":%u", event->uid);
	if (event->protocol) {
		sp_buf_add(&buf, ",\"protocol\":\"");
		write_protocol(&buf, event->protocol);
		sp_buf_add(&buf, "\"");
	}
	json_end(&buf, "src", event->saddr, event->sport);
	json_end(&buf, "dst", event->daddr, event->dport);
	if (event->name_len) {
		len = sp_wire_to_text(event->name, event->name_len, name, sizeof(name));
		sp_buf_add(&buf, ",\"name\":");
		sp_buf_json(&buf, name, len);
	}
	if (event->sni_len) {
		/* of an answer: whose the addresses are */
		sp_buf_add(&buf, event->kind == SP_EVENT_ANSWER ? ",\"owner\":" : ",\"sni\":");
		sp_buf_json(&buf, event->sni, event->sni_len);
	}
	json_detail(&buf, event);
	sp_buf_add(&buf, "}");
	return sp_buf_take(&buf, ret_json);
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* What a line needs again and again, as text. */
struct words {
	char name[NAME_TEXT_SIZE];	 /* "" if there is none */
	char dst[INET6_ADDRSTRLEN + 10]; /* [addr]:port as an option takes it; "" likewise */
	bool name_usable;		 /* the name could stand in an option */
	bool sni_usable;
};

/* A host name that a policy can name: letters, digits, - _ and dots, and no address. */
static bool usable_name(const char *text, size_t len)
{
	size_t label = 0, i;
	bool digits = true;

	if (len == 0 || len > SP_NAME_MAX - 2)
		return false;
	for (i = 0; i < len; i++) {
		char c = text[i];
		bool digit = c >= '0' && c <= '9';

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			digits = true;
			continue;
		}
		if (!digit && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-' &&
		    c != '_')
			return false;
		digits = digits && digit;
		if (++label > SP_LABEL_MAX)
			return false;
	}
	/* a name that starts like an option would be taken for one by a shell's user */
	return label > 0 && !digits && text[0] != '-';
}

static void fill_words(const struct sp_event *event, struct words *words)
{
	char addr[INET6_ADDRSTRLEN];
	struct sp_buf buf = {0};
	size_t len;

	memset(words, 0, sizeof(*words));
	if (event->name_len) {
		len = sp_wire_to_text(event->name, event->name_len, words->name,
				      sizeof(words->name));
		words->name_usable = usable_name(words->name, len);
	}
	words->sni_usable = usable_name((const char *)event->sni, event->sni_len);
	if (!has_addr(event->daddr))
		return;
	sp_addr_to_text(event->daddr, addr, sizeof(addr));
	sp_buf_printf(&buf,
		      sp_addr_is_mapped(event->daddr) ? "%s"
		      : event->dport		      ? "[%s]"
						      : "%s",
		      addr);
	if (event->dport)
		sp_buf_printf(&buf, ":%u", event->dport);
	if (!buf.error && buf.len < sizeof(words->dst))
		memcpy(words->dst, buf.data, buf.len + 1);
	sp_buf_free(&buf);
}

/* " (curl, pid 123)", with what is known of it. */
static void write_process(struct sp_buf *buf, const struct sp_event *event)
{
	if (!comm_len(event) && !event->pid)
		return;
	sp_buf_add(buf, " (");
	if (comm_len(event))
		sp_buf_word(buf, event->comm, comm_len(event));
	if (event->pid)
		sp_buf_printf(buf, "%spid %u", comm_len(event) ? ", " : "", event->pid);
	sp_buf_add(buf, ")");
}

/* What it was about: the part of the line behind the verdict. */
static void write_subject(struct sp_buf *buf, const struct sp_event *event,
			  const struct words *words)
{
	const char *dst = words->dst[0] ? words->dst : "an unknown address";

	switch (event->kind) {
	case SP_EVENT_DNS:
		sp_buf_add(buf, words->name[0] ? words->name : "a DNS query");
		if (event->detail) {
			sp_buf_add(buf, " (");
			write_query_type(buf, event->detail);
			sp_buf_add(buf, ")");
		}
		/* whom it went to matters only where that is what was wrong with it */
		if (event->reason == SP_REASON_UNTRUSTED_RESOLVER && words->dst[0])
			sp_buf_printf(buf, " to %s", words->dst);
		break;
	case SP_EVENT_ANSWER:
		sp_buf_printf(buf, "the answer for %s", words->name[0] ? words->name : "a query");
		if (event->reason == SP_REASON_ANSWER_LEARNED)
			sp_buf_printf(buf, " (%u address%s)", event->detail,
				      event->detail == 1 ? "" : "es");
		break;
	case SP_EVENT_HANDSHAKE:
		if (comm_len(event))
			sp_buf_word(buf, event->comm, comm_len(event));
		else
			write_protocol(buf, event->protocol ? event->protocol : IPPROTO_TCP);
		sp_buf_printf(buf, " -> %s", dst);
		/* where the reason is about the server name, it says it */
		if (event->sni_len && event->reason != SP_REASON_SNI_ADDRESS &&
		    event->reason != SP_REASON_HOST_ADDRESS) {
			sp_buf_add(buf, " as ");
			sp_buf_word(buf, event->sni, event->sni_len);
		}
		break;
	case SP_EVENT_SOCKET:
		sp_buf_add(buf, event->reason == SP_REASON_BIND_DNS ? "bind to port 53" : "socket");
		if (event->protocol && event->reason == SP_REASON_SOCKET_PROTOCOL) {
			sp_buf_add(buf, " of protocol ");
			write_protocol(buf, event->protocol);
		}
		if (event->reason == SP_REASON_SOCKET_OPTION)
			sp_buf_printf(buf, " option %u of level %u", event->detail & 0xffff,
				      event->detail >> 16);
		if (event->reason == SP_REASON_SOCKET_FAMILY)
			sp_buf_printf(buf, " of family %u", event->detail);
		write_process(buf, event);
		break;
	default:
		if (event->kind == SP_EVENT_PACKET)
			sp_buf_add(buf, "packet ");
		if (event->protocol) {
			write_protocol(buf, event->protocol);
			sp_buf_add(buf, " ");
		}
		if (event->kind == SP_EVENT_PACKET)
			sp_buf_add(buf, "to ");
		if (words->name[0])
			sp_buf_printf(buf, "%s at ", words->name);
		sp_buf_add(buf, dst);
		write_process(buf, event);
	}
}

static void write_reason(struct sp_buf *buf, const struct sp_event *event,
			 const struct sp_policy *policy)
{
	struct sp_rule_view view = {0};
	bool host = event->reason == SP_REASON_HOST_ADDRESS;

	if (event->reason == SP_REASON_RULE && event->rule != SP_RULE_DEFAULT) {
		if (!policy || sp_policy_rule(policy, event->rule, &view) < 0) {
			sp_buf_printf(buf, "rule at index %u", event->rule);
		} else {
			sp_buf_text(buf, view.origin);
			sp_buf_printf(buf, " (%s ", view.kind);
			sp_buf_text(buf, view.target);
			if (view.targets_len > 1)
				sp_buf_printf(buf, " and %zu more", view.targets_len - 1);
			sp_buf_add(buf, ")");
			if (sp_policy_name(policy)[0]) {
				sp_buf_add(buf, " of policy ");
				sp_buf_text(buf, sp_policy_name(policy));
			}
		}
	} else if (event->sni_len && (event->reason == SP_REASON_SNI_ADDRESS || host)) {
		sp_buf_add(buf, host ? "the Host " : "the server name ");
		sp_buf_word(buf, event->sni, event->sni_len);
		sp_buf_add(buf, " was not resolved to this address here");
	} else if (event->sni_len && event->reason == SP_REASON_ANSWER_OWNER) {
		sp_buf_add(buf, "it has addresses of ");
		sp_buf_word(buf, event->sni, event->sni_len);
		sp_buf_add(buf, ", to which no CNAME leads");
	} else {
		sp_buf_add(buf, sp_reason_text(event->reason));
	}
	sp_buf_printf(buf, " [%s]", sp_reason_token(event->reason));
}

/*
 * The option or key that would let it through, where there is one that does just that.
 *
 * None for a rule's denial: somebody meant it. None for a handshake that names what was not looked
 * up, for what is malformed, and for what a policy cannot allow: an operator who is shown an option
 * will use it, and these are what an attack looks like. A name is suggested before an address, and
 * only if it is a host name: bytes of the sandbox's choosing are not put on a command line.
 */
static void write_hint(struct sp_buf *buf, const struct sp_event *event, const struct words *words)
{
	const char *target = NULL;
	bool with_port = false;

	switch (event->reason) {
	case SP_REASON_DEFAULT:
	case SP_REASON_NOT_LEARNED:
		if (event->kind == SP_EVENT_HANDSHAKE) {
			/* an option takes a name of text; SNI is not terminated */
			if (!words->sni_usable)
				return;
			sp_buf_printf(buf, "; allow with --allow %.*s", (int)event->sni_len,
				      (const char *)event->sni);
			/* a rule on a name covers 80 and 443 */
			if (event->dport && event->dport != 80 && event->dport != 443)
				sp_buf_printf(buf, ":%u", event->dport);
			return;
		}
		if (event->kind == SP_EVENT_DNS) {
			if (!words->name_usable)
				return;
			target = words->name;
		} else if (event->kind == SP_EVENT_CONNECT || event->kind == SP_EVENT_PACKET) {
			if (words->name_usable) {
				target = words->name;
				with_port = event->dport != 80 && event->dport != 443;
			} else if (words->dst[0] && event->dport) {
				target = words->dst;
			}
		}
		if (!target)
			return;
		sp_buf_printf(buf, "; allow with --allow %s", target);
		if (with_port && event->dport)
			sp_buf_printf(buf, ":%u", event->dport);
		return;
	case SP_REASON_EXPIRED:
		sp_buf_add(buf, "; it must be looked up again, or its rule say keep_addresses, or "
				"dns.min_ttl be larger");
		return;
	case SP_REASON_UNTRUSTED_RESOLVER:
		sp_buf_add(buf,
			   "; if it is to be trusted, put it into dns.resolvers of the policy, or "
			   "start again if /etc/resolv.conf has it only since");
		return;
	case SP_REASON_REBINDING:
		sp_buf_add(buf, "; if that is meant, put the range into dns.private_answers");
		return;
	case SP_REASON_DNS_TYPE:
		/* by number, as a policy takes every type that it takes: ANY and DS by no other */
		if (event->kind != SP_EVENT_DNS || event->detail == 0 || event->detail > 319)
			return;
		sp_buf_printf(buf, "; if it is needed, put TYPE%u into dns.query_types",
			      event->detail);
		return;
	case SP_REASON_LOOPBACK_FOREIGN:
	case SP_REASON_LOOPBACK_DENIED:
		sp_buf_add(buf, "; see loopback in the policy");
		return;
	case SP_REASON_INBOUND_DENIED:
		sp_buf_add(buf, "; see inbound in the policy");
		return;
	case SP_REASON_PROXY:
		/* the port that the proxy is asked for is not in the record; mostly it is one of
		 * these */
		if (words->sni_usable)
			sp_buf_printf(buf, "; on port 80 or 443 allow with --allow %.*s",
				      (int)event->sni_len, (const char *)event->sni);
		return;
	case SP_REASON_TLS_ECH:
	case SP_REASON_DNS_STRIPPED:
		sp_buf_add(buf, "; see tls.ech in the policy");
		return;
	default:
		return;
	}
}

int sp_event_line(const struct sp_event *record, const struct sp_policy *policy, char **ret_line)
{
	struct sp_event whole = *record, *event = &whole;
	struct sp_buf buf = {0};
	struct words words;

	fill_sni(event);
	fill_words(event, &words);
	sp_buf_add(&buf, "sallyport: ");
	if (event->kind == SP_EVENT_CLOSE && event->reason == SP_REASON_CLOSED)
		sp_buf_add(&buf, "closed");
	else if (event->verdict == SP_VERDICT_WOULD_DENY)
		sp_buf_add(&buf, "would deny");
	else
		sp_buf_add(&buf, sp_verdict_name(event->verdict));
	sp_buf_add(&buf, " ");
	write_subject(&buf, event, &words);
	sp_buf_add(&buf, ": ");
	if (event->kind == SP_EVENT_CLOSE)
		sp_buf_printf(&buf, "%llu bytes out, %llu in; ",
			      (unsigned long long)event->bytes_out,
			      (unsigned long long)event->bytes_in);
	write_reason(&buf, event, policy);
	if (event->verdict != SP_VERDICT_ALLOWED)
		write_hint(&buf, event, &words);
	return sp_buf_take(&buf, ret_line);
}
