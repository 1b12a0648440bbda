// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * answer.c - the DNS answer to a denied query.
 *
 * The kernel dropped the query and handed over its header and question; the answer is sent back as
 * if it came from the resolver, so that the client fails at once and with a reason instead of after
 * a time-out. It carries no records: negative answers have an SOA for caches (RFC 2308 3), and one
 * without "SHOULD NOT be cached" (RFC 2308 5). That is what is wanted here: the next look-up asks
 * again, and a policy that was changed in between is what answers it.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sallyport/events.h>

#include "buf.h"

/* RFC 1035 4.1.1, offsets in the header and bits of its third and fourth byte. */
#define HEADER_LEN 12
#define HEADER_FLAGS 2
#define HEADER_RCODE 3
#define HEADER_QDCOUNT 4
#define HEADER_ANCOUNT 6
#define HEADER_NSCOUNT 8
#define HEADER_ARCOUNT 10
#define FLAG_QR 0x80
#define FLAG_OPCODE 0x78
#define FLAG_RD 0x01
#define FLAG_RA 0x80
#define FLAG_CD 0x10

#define RCODE_NOERROR 0
#define RCODE_NXDOMAIN 3
#define RCODE_REFUSED 5

#define UDP_ANSWER_MAX 512 /* RFC 1035 4.2.1: what every client takes, with or without an OPT */

#define OPT_LEN 11 /* of an OPT record without options (RFC 6891 6.1.2) */
#define OPT_TYPE 41
#define OPT_UDP_SIZE 1232
#define OPT_DO 0x80 /* of the third byte of its TTL field (RFC 6891 6.1.4) */
#define EDE_LEN 6   /* code, length and INFO-CODE (RFC 8914 2) */
#define EDE_OPTION 15
#define EDE_BLOCKED 15 /* RFC 8914 4.16 */

static unsigned int get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned int value)
{
	p[0] = value >> 8;
	p[1] = value;
}

/* Offset behind the one question (RFC 1035 4.1.2), or 0: labels only, nothing to follow there. */
static size_t question_end(const uint8_t *query, size_t len)
{
	size_t pos = HEADER_LEN;

	while (pos < len && query[pos] != 0) {
		if (query[pos] > SP_LABEL_MAX)
			return 0;
		pos += 1 + query[pos];
		if (pos - HEADER_LEN >= SP_NAME_MAX)
			return 0;
	}
	/* the root byte, QTYPE and QCLASS */
	if (pos >= len || len - pos < 1 + 2 + 2)
		return 0;
	return pos + 1 + 2 + 2;
}

/*
 * Writes as much of the text as fits, in whole characters and without control characters (RFC 8914
 * 2: EXTRA-TEXT is UTF-8 and for people). Returns its length.
 */
static size_t put_extra_text(uint8_t *to, size_t room, const char *text)
{
	const uint8_t *from = (const uint8_t *)text;
	size_t len = text ? strlen(text) : 0, used = 0, i = 0;

	while (i < len) {
		uint32_t c = 0;
		size_t n = sp_utf8_char(from + i, len - i, &c);
		bool safe = n && !sp_utf8_unsafe(c);

		if (!n)
			n = 1;
		if (used + (safe ? n : 1) > room)
			break;
		if (safe)
			memcpy(to + used, from + i, n);
		else
			to[used] = '?';
		used += safe ? n : 1;
		i += n;
	}
	return used;
}

int sp_answer_build(const struct sp_request *request, const char *text, uint8_t *message,
		    size_t size)
{
	const uint8_t *query = request->query;
	size_t query_len = request->query_len;
	size_t end, text_len;
	uint8_t rcode, dnssec_ok = 0;
	uint8_t *opt;

	if (query_len < HEADER_LEN || query_len > sizeof(request->query))
		return -EBADMSG;
	if (query[HEADER_FLAGS] & (FLAG_QR | FLAG_OPCODE))
		return -EBADMSG;
	/* the kernel hands over nothing else: one question, at most one record beside it */
	if (get16(query + HEADER_QDCOUNT) != 1 || get16(query + HEADER_ANCOUNT) != 0 ||
	    get16(query + HEADER_NSCOUNT) != 0 || get16(query + HEADER_ARCOUNT) > 1)
		return -EBADMSG;
	end = question_end(query, query_len);
	if (end == 0)
		return -EBADMSG;
	switch (request->answer) {
	case SP_ANSWER_NXDOMAIN:
		rcode = RCODE_NXDOMAIN;
		break;
	case SP_ANSWER_REFUSED:
		rcode = RCODE_REFUSED;
		break;
	case SP_ANSWER_EMPTY:
		rcode = RCODE_NOERROR;
		break;
	default:
		return -EBADMSG;
	}

	if (size > UDP_ANSWER_MAX)
		size = UDP_ANSWER_MAX;
	if (size < end)
		return -EBADMSG;
	memcpy(message, query, end);
	message[HEADER_FLAGS] = FLAG_QR | (query[HEADER_FLAGS] & FLAG_RD);
	/* RFC 4035 3.2.2: CD is copied; AD stays clear, nothing here was verified */
	message[HEADER_RCODE] = FLAG_RA | (query[HEADER_RCODE] & FLAG_CD) | rcode;
	put16(message + HEADER_ARCOUNT, 0);
	/*
	 * RFC 6891 7: an OPT only to those who sent one. The query's own is usually not handed
	 * over; ARCOUNT says that it was there.
	 */
	if (get16(query + HEADER_ARCOUNT) == 0 || size - end < OPT_LEN)
		return end;
	/* RFC 3225 3: DO is copied, where it can be seen */
	if (query_len - end >= OPT_LEN && query[end] == 0 && get16(query + end + 1) == OPT_TYPE)
		dnssec_ok = query[end + 7] & OPT_DO;

	opt = message + end;
	memset(opt, 0, OPT_LEN);
	put16(opt + 1, OPT_TYPE);
	put16(opt + 3, OPT_UDP_SIZE);
	opt[7] = dnssec_ok;
	put16(message + HEADER_ARCOUNT, 1);
	end += OPT_LEN;
	if (size - end < EDE_LEN)
		return end;
	text_len = put_extra_text(message + end + EDE_LEN, size - end - EDE_LEN, text);
	put16(opt + 9, EDE_LEN + text_len);
	put16(message + end, EDE_OPTION);
	put16(message + end + 2, 2 + text_len);
	put16(message + end + 4, EDE_BLOCKED);
	return end + EDE_LEN + text_len;
}
