// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_http.c - the parser of HTTP/1 request heads against a second one. Seeds: tests/vectors/http.
 *
 * Address literals are compared as far as the parser reads them.
 */
#include <strings.h>

#include "reference.h"

static struct ref_work work, other;

struct head {
	const uint8_t *target; /* authority */
	size_t target_len;
	const uint8_t *host;
	size_t host_len, name_len;
	unsigned int port;
	bool literal, has_length, connection, upgrade, chunked, old, connect;
	uint64_t length;
	size_t head;
};

static bool token(uint8_t c)
{
	return isalnum(c) || (c && c < 128 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is(const uint8_t *p, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp((const char *)p, word, len) == 0;
}

static int request_line(const uint8_t *p, size_t len, struct head *h)
{
	const uint8_t *space = memchr(p, ' ', len), *end = p + len, *target, *version;
	size_t n = 0;

	version = space ? memchr(space + 1, ' ', end - space - 1) : NULL;
	if (!version || end - version != 9 ||
	    (memcmp(version, " HTTP/1.0", 9) != 0 && memcmp(version, " HTTP/1.1", 9) != 0))
		return SP_BAD(HTTP_MALFORMED);
	h->old = version[8] == '0';
	target = space + 1;
	if (target == version)
		return SP_BAD(HTTP_MALFORMED);
	if (space - p == 7 && memcmp(p, "CONNECT", 7) == 0) {
		h->connect = true;
		h->target = target;
		h->target_len = version - target;
		return SP_MORE;
	}
	if (*target == '/')
		return SP_MORE;
	if (*target == '*')
		return version == target + 1 && space - p == 7 && memcmp(p, "OPTIONS", 7) == 0
			       ? SP_MORE
			       : SP_BAD(HTTP_MALFORMED);
	if (version - target < 7 || !is(target, 7, "http://"))
		return SP_BAD(HTTP_MALFORMED);
	target += 7;
	while (target + n < version && !strchr("/?#", target[n]))
		n++;
	if (n == 0 || n > 261)
		return SP_BAD(HTTP_HOST);
	h->target = target;
	h->target_len = n;
	return SP_MORE;
}

static int host(const uint8_t *p, size_t len, struct head *h)
{
	const uint8_t *colon;

	if (h->host || len == 0 || len > 261)
		return SP_BAD(HTTP_HOST);
	h->host = p;
	h->host_len = h->name_len = len;
	h->literal = true;
	if (*p == '[')
		return SP_MORE;
	colon = memchr(p, ':', len);
	if (colon) {
		h->name_len = colon - p;
		for (const uint8_t *c = colon + 1; c < p + len; c++) {
			if (!isdigit(*c))
				return SP_BAD(HTTP_HOST);
			h->port = h->port * 10 + *c - '0';
			if (h->port > 65535)
				return SP_BAD(HTTP_HOST);
		}
	}
	for (size_t i = 0; i < h->name_len; i++)
		h->literal &= isdigit(p[i]) || p[i] == '.';
	return h->name_len ? SP_MORE : SP_BAD(HTTP_HOST);
}

static int content_length(const uint8_t *p, size_t len, struct head *h)
{
	if (h->has_length || h->chunked || len == 0 || len > 16)
		return SP_BAD(HTTP_FRAMING);
	for (size_t i = 0; i < len; i++) {
		if (!isdigit(p[i]))
			return SP_BAD(HTTP_FRAMING);
		h->length = h->length * 10 + p[i] - '0';
	}
	h->has_length = true;
	return h->length > 1ULL << 53 ? SP_BAD(HTTP_FRAMING) : SP_MORE;
}

static int field(const uint8_t *p, size_t len, struct head *h)
{
	const uint8_t *colon = memchr(p, ':', len), *value;
	size_t n, i;

	if (!colon)
		return SP_BAD(HTTP_MALFORMED);
	n = colon - p;
	for (i = 0; i < n; i++)
		if (!token(p[i]))
			return SP_BAD(HTTP_MALFORMED);
	if (n == 0 || n > 64)
		return SP_BAD(HTTP_MALFORMED);
	value = colon + 1;
	len -= n + 1;
	for (i = 0; i < 64 && len && (*value == ' ' || *value == '\t'); i++, value++)
		len--;
	for (i = 0; i < 16 && len && (value[len - 1] == ' ' || value[len - 1] == '\t'); i++)
		len--;
	if (is(p, n, "host"))
		return host(value, len, h);
	if (is(p, n, "content-length"))
		return content_length(value, len, h);
	if (is(p, n, "transfer-encoding")) {
		if (h->has_length || h->chunked || h->old || !is(value, len, "chunked"))
			return SP_BAD(HTTP_FRAMING);
		h->chunked = true;
	}
	h->connection |= is(p, n, "connection");
	h->upgrade |= is(p, n, "upgrade");
	return SP_MORE;
}

static int reference(const uint8_t *p, size_t size, struct head *h)
{
	size_t n = 0, line = 0, at;
	int r, lines = 0;

	memset(h, 0, sizeof(*h));
	while (n < size && n < 33 && token(p[n]))
		n++;
	if (n > 32)
		return SP_BAD(HTTP_NOT_HTTP);
	if (n == size)
		return SP_MORE;
	if (n == 0 || p[n] != ' ' || (n == 3 && memcmp(p, "PRI", 3) == 0))
		return SP_BAD(HTTP_NOT_HTTP);
	for (at = 0; at < size; at++) {
		uint8_t c = p[at];

		if (c == '\r'	? at + 1 < size && p[at + 1] != '\n'
		    : c == '\n' ? at == 0 || p[at - 1] != '\r'
				: (c < ' ' && c != '\t') || c == 0x7f)
			return SP_BAD(HTTP_MALFORMED);
		if (c != '\n')
			continue;
		n = at - 1 - line;
		if (lines == 0)
			r = request_line(p + line, n, h);
		else if (n == 0)
			break;
		else if (lines > 96)
			r = SP_BAD(HTTP_TOO_LONG);
		else
			r = field(p + line, n, h);
		if (r != SP_MORE)
			return r;
		lines++;
		line = at + 1;
	}
	if (at == size)
		return size == SP_STREAM_MAX ? SP_BAD(HTTP_TOO_LONG) : SP_MORE;
	h->head = at + 1;
	if (h->connect) {
		if (h->length || h->chunked)
			return SP_BAD(HTTP_FRAMING);
		h->host = NULL;
		h->port = 0;
		r = host(h->target, h->target_len, h);
		if (r != SP_MORE)
			return r;
		return h->literal || h->port ? SP_DONE : SP_BAD(HTTP_HOST);
	}
	if (!h->host)
		return SP_BAD(HTTP_NO_HOST);
	if (h->target &&
	    (h->target_len != h->host_len ||
	     strncasecmp((const char *)h->target, (const char *)h->host, h->host_len) != 0))
		return SP_BAD(HTTP_HOST);
	return SP_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ref_name name;
	struct head h;
	int r;

	if (size > SP_STREAM_MAX)
		return 0;
	ref_run_twice(&work, judge_http, data, size);
	ref_run_cut(&work, judge_http, data, size);
	r = reference(data, size, &h);
	if (r == SP_DONE && !h.literal && !ref_text(h.host, h.name_len, &name))
		r = SP_BAD(HTTP_HOST);
	ref_check(work.w.out.verdict == r, "the verdict");
	ref_run_twice(&other, judge_other, data, size);
	ref_run_cut(&other, judge_other, data, size);
	if (r == SP_DONE)
		ref_check(other.w.out.verdict == SP_DONE,
			  "a head that is taken for something else");
	if (r != SP_DONE)
		return 0;
	ref_check(work.w.out.host == (size_t)(h.host - data) && work.w.out.host_len == h.host_len &&
			  work.w.out.host_ip == h.literal && work.w.out.head == h.head,
		  "where things are");
	ref_check(work.w.out.chunked == h.chunked, "chunked");
	ref_check(work.w.out.has_length == h.has_length && work.w.out.body == h.length, "the body");
	ref_check(work.w.out.upgrade == (h.connection && h.upgrade), "upgrade");
	if (!h.literal)
		ref_check(ref_same(&work.w.out, &name) && work.w.out.port_value == h.port,
			  "host or port");
	return 0;
}
