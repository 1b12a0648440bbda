// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_events.c - records of the events ring: what is taken, and what is said of it.
 *
 * Behind the first byte stands a record as it lies in the ring. It is decoded as it is, and whether
 * it is taken is said here a second time. Then once more with its head made good (the first byte
 * says which of the three sizes), so that the wording sees all of it, with and without a policy.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport/events.h>

#ifdef __clang__ /* what checks is not what is to be covered */
#define UNCOUNTED __attribute__((no_sanitize("coverage")))
#else
#define UNCOUNTED
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *looked_at; /* by check(), for its last words */

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "wrong: %s\n%s\n", what, looked_at ? looked_at : "");
	abort();
}

/* ---- text ----------------------------------------------------------------------------------- */

/* Length of the character at p (RFC 3629 4), which must be one that a terminal may be shown. */
UNCOUNTED static size_t character(const uint8_t *p)
{
	uint32_t c = p[0];
	size_t n = 1;

	if (c < 0x80) {
		check(c >= 0x20 && c != 0x7f, "a control character");
		return 1;
	}
	check(c >= 0xc2 && c <= 0xf4, "UTF-8: first byte");
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	c &= 0x7f >> n;
	for (size_t i = 1; i < n; i++) {
		check((p[i] & 0xc0) == 0x80, "UTF-8: a byte behind the first");
		c = c << 6 | (p[i] & 0x3f);
	}
	check(c >= (n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000) && c <= 0x10ffff, "UTF-8: overlong");
	check(!(c >= 0xd800 && c <= 0xdfff), "UTF-8: surrogate");
	check(!(c >= 0x80 && c < 0xa0), "a C1 control");
	check(c != 0x2028 && c != 0x2029, "a line separator");
	check(!(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) && c != 0x200e &&
		      c != 0x200f && c != 0x61c,
	      "a change of direction");
	return n;
}

UNCOUNTED static void check_line(const char *text)
{
	looked_at = text;
	for (const uint8_t *p = (const uint8_t *)text; *p;)
		p += character(p);
}

/* ---- JSON (RFC 8259), as this writes it: no white space -------------------------------------- */

#define KEYS_MAX 32

UNCOUNTED static const char *json_string(const char *p)
{
	check(*p++ == '"', "JSON: a string");
	while (*p != '"') {
		if (*p != '\\') {
			p += character((const uint8_t *)p);
			continue;
		}
		p++;
		if (*p == 'u') {
			for (int i = 0; i < 4; i++) {
				p++;
				check((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f'),
				      "JSON: \\u");
			}
		} else {
			check(*p && strchr("\"\\/bfnrt", *p), "JSON: an escape");
		}
		p++;
	}
	return p + 1;
}

UNCOUNTED static const char *json_value(const char *p, int depth)
{
	const char *keys[KEYS_MAX];
	size_t lens[KEYS_MAX], n = 0;

	check(depth < 3, "JSON: depth");
	if (*p == '"')
		return json_string(p);
	if (strncmp(p, "null", 4) == 0)
		return p + 4;
	if (*p != '{') {
		check(*p >= '0' && *p <= '9', "JSON: a value");
		check(*p != '0' || !(p[1] >= '0' && p[1] <= '9'), "JSON: a leading zero");
		while (*p >= '0' && *p <= '9')
			p++;
		return p;
	}
	p++;
	if (*p == '}')
		return p + 1;
	for (;;) {
		const char *key = p;

		p = json_string(p);
		check(n < KEYS_MAX, "JSON: keys");
		for (size_t i = 0; i < n; i++)
			check(lens[i] != (size_t)(p - key) || memcmp(keys[i], key, lens[i]) != 0,
			      "JSON: a key twice");
		keys[n] = key;
		lens[n++] = p - key;
		check(*p++ == ':', "JSON: a colon");
		p = json_value(p, depth + 1);
		if (*p == '}')
			return p + 1;
		check(*p++ == ',', "JSON: a comma");
	}
}

/* `"key":` with this value in the object? */
static bool json_has(const char *json, const char *key, const char *value)
{
	char text[64];

	snprintf(text, sizeof(text), ",\"%s\":\"%s\",", key, value);
	return strstr(json, text) != NULL;
}

/* ---- records -------------------------------------------------------------------------------- */

static void word(const struct sp_event *event, const struct sp_policy *policy)
{
	char *json = NULL, *line = NULL;

	check(sp_event_json(event, policy, &json) == 0, "JSON is made");
	looked_at = json;
	check(*json == '{' && !*json_value(json, 0), "JSON: one object");
	check(json_has(json, "kind", sp_event_kind_name(event->kind)), "JSON: kind");
	check(json_has(json, "verdict", sp_verdict_name(event->verdict)), "JSON: verdict");
	check(json_has(json, "reason", sp_reason_token(event->reason)), "JSON: reason");
	check(sp_event_line(event, policy, &line) == 0, "a line is made");
	check_line(line);
	check(strncmp(line, "sallyport: ", 11) == 0, "who says it");
	looked_at = NULL;
	free(json);
	free(line);
}

/* Is this record to be taken? */
static int reference(const uint8_t *p, size_t len)
{
	struct sp_event e = {0};

	if (len < 4)
		return -EBADMSG;
	memcpy(&e, p, len < sizeof(e) ? len : sizeof(e));
	if (e.version != SP_ABI_VERSION)
		return -EPROTO;
	if ((e.size != 128 && e.size != 384 && e.size != 640) || len < e.size || e.kind > 6 ||
	    e.verdict > 2 || e.reason >= SP_REASON_COUNT || e.name_len > 255 || e.sni_len > 255 ||
	    (e.size == 128 && e.name_len) || (e.size != 640 && e.sni_len))
		return -EBADMSG;
	return 0;
}

/* Rules at 0 and 1, with text that must be escaped. */
static struct sp_policy *policy_make(void)
{
	static const char text[] =
		"{\"version\": 1, \"name\": \"a\\u0007b\\u2028 \\\"c\", \"rules\": "
		"[{\"deny\": [\"a.test\", \"b.test\"]}, {\"allow\": [\"**\"]}]}";
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;

	check(sp_policy_parse(text, sizeof(text) - 1, "fuzz \x1b[31m", &policy, &err) == 0,
	      err ? err->message : "a policy");
	return policy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t sizes[4] = {SP_EVENT_BARE, SP_EVENT_NAMED, SP_EVENT_FULL,
					  SP_EVENT_FULL};
	static struct sp_policy *policy;
	struct sp_event raw = {0}, event;
	uint8_t *exact;
	int r;

	if (!policy)
		policy = policy_make();
	if (size == 0)
		return 0;
	r = sp_event_decode(data + 1, size - 1, &event);
	check(r == reference(data + 1, size - 1), "whether a record is taken");
	if (r == 0) {
		check(memcmp(&event, data + 1, event.size) == 0, "what a record holds");
		word(&event, NULL);
	}
	memcpy(&raw, data + 1, size - 1 < sizeof(raw) ? size - 1 : sizeof(raw));
	raw.version = SP_ABI_VERSION;
	raw.size = sizes[data[0] & 3];
	raw.kind %= SP_EVENT_KINDS;
	raw.verdict %= 3;
	raw.reason %= SP_REASON_COUNT;
	raw.name_len = raw.size == SP_EVENT_BARE ? 0 : raw.name_len % 256;
	raw.sni_len = raw.size == SP_EVENT_FULL ? raw.sni_len % 256 : 0;
	/* a block of that very size, for the sanitizer */
	exact = malloc(raw.size);
	if (!exact)
		return 0;
	memcpy(exact, &raw, raw.size);
	check(sp_event_decode(exact, raw.size, &event) == 0, "a good record is taken");
	free(exact);
	word(&event, data[0] & 4 ? policy : NULL);
	return 0;
}
