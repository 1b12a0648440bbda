// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_answer.c - requests of the requests ring: the answer to a denied query, and the packet that
 * takes it to the client.
 *
 * The input is a struct sp_request, cut or padded, with the text that goes with the answer behind
 * it. What is sent is caught here: sendmsg() of this program is not the C library's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sallyport/events.h>

#include "inject.h"

#ifdef __clang__ /* what checks is not what is to be covered */
#define UNCOUNTED __attribute__((no_sanitize("coverage")))
#else
#define UNCOUNTED
#endif

#define FD4 1000
#define FD6 1001
#define FD_PACKET 1002
#define LOOPBACK 1 /* ifindex of lo */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	int fd;
	uint8_t packet[2048];
	size_t len;
	uint8_t to[16];
	size_t to_len;
	uint32_t bound_if;
} sent;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "wrong: %s\n", what);
	abort();
}

/* Raw sockets that need no privilege and reach nothing. */
int socket(int domain, int type, int protocol)
{
	if (domain == AF_PACKET) {
		check((type & SOCK_DGRAM) && protocol == 0, "a packet socket that hears nothing");
		return FD_PACKET;
	}
	check((type & SOCK_RAW) == SOCK_RAW && protocol == IPPROTO_RAW, "a raw socket");
	return domain == AF_INET ? FD4 : FD6;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	(void)level;
	(void)name;
	(void)value;
	check((fd == FD4 || fd == FD6) && len == sizeof(int), "an option of a raw socket");
	return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	check(m->msg_iovlen == 1 && m->msg_iov->iov_len <= sizeof(sent.packet), "one packet");
	check(flags == MSG_DONTROUTE, "what is sent is not routed");
	memset(&sent, 0, sizeof(sent));
	sent.fd = fd;
	sent.len = m->msg_iov->iov_len;
	memcpy(sent.packet, m->msg_iov->iov_base, sent.len);
	if (fd == FD4) {
		const struct sockaddr_in *to = m->msg_name;

		check(m->msg_namelen == sizeof(*to) && to->sin_family == AF_INET, "to IPv4");
		memcpy(sent.to, &to->sin_addr, 4);
		if (c) {
			struct in_pktinfo info;

			check(c->cmsg_len == CMSG_LEN(sizeof(info)), "by which interface");
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			sent.bound_if = info.ipi_ifindex;
		}
	} else {
		const struct sockaddr_in6 *to = m->msg_name;

		check(m->msg_namelen == sizeof(*to) && to->sin6_family == AF_INET6 &&
			      to->sin6_port == 0,
		      "to IPv6");
		memcpy(sent.to, &to->sin6_addr, 16);
		if (c) {
			struct in6_pktinfo info;

			check(c->cmsg_len == CMSG_LEN(sizeof(info)), "by which interface");
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			sent.bound_if = info.ipi6_ifindex;
		}
	}
	return sent.len;
}

ssize_t sendto(int fd, const void *packet, size_t len, int flags, const struct sockaddr *to,
	       socklen_t to_len)
{
	const struct sockaddr_ll *link = (const struct sockaddr_ll *)to;

	check(fd == FD_PACKET && flags == 0 && to_len == sizeof(*link), "a frame");
	check(link->sll_family == AF_PACKET && link->sll_protocol == htons(ETH_P_IPV6) &&
		      link->sll_ifindex == LOOPBACK,
	      "IPv6 on lo");
	memset(&sent, 0, sizeof(sent));
	check(len <= sizeof(sent.packet), "one packet");
	sent.fd = fd;
	sent.len = len;
	memcpy(sent.packet, packet, len);
	return len;
}

UNCOUNTED static unsigned int get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* RFC 1071: what a receiver adds up to, folded. */
UNCOUNTED static uint32_t add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The message against the request: RFC 1035 4.1, RFC 6891 6.1, RFC 8914 2. */
UNCOUNTED static void check_message(const struct sp_request *q, const uint8_t *m, size_t len)
{
	size_t at = 12, n;

	check(len >= 12 + 5 && len <= 512, "length of an answer");
	check(memcmp(m, q->query, 2) == 0, "its id");
	check(m[2] == (0x80 | (q->query[2] & 1)), "QR and RD, nothing else");
	check((m[3] & 15) == (q->answer == SP_ANSWER_NXDOMAIN  ? 3
			      : q->answer == SP_ANSWER_REFUSED ? 5
							       : 0),
	      "its code");
	check((m[3] & 0xf0) == (0x80 | (q->query[3] & 0x10)), "RA and CD, nothing else");
	check(get16(m + 4) == 1 && get16(m + 6) == 0 && get16(m + 8) == 0 && get16(m + 10) <= 1,
	      "its counts");
	check(get16(m + 10) <= get16(q->query + 10), "an OPT that nobody sent");
	while (m[at]) {
		check(m[at] < 64, "a label");
		at += 1 + m[at];
		check(at < len, "a name");
	}
	at += 5;
	check(at <= len && at <= q->query_len && memcmp(m + 12, q->query + 12, at - 12) == 0,
	      "the question, byte for byte");
	if (get16(m + 10)) {
		check(at + 11 <= len && m[at] == 0 && get16(m + at + 1) == 41 &&
			      get16(m + at + 3) == 1232,
		      "an OPT record");
		check(m[at + 5] == 0 && m[at + 6] == 0 && (m[at + 7] & 0x7f) == 0 && m[at + 8] == 0,
		      "its flags");
		n = get16(m + at + 9);
		at += 11;
		check(at + n == len, "its length");
		if (n) {
			check(n >= 6 && get16(m + at) == 15 && get16(m + at + 2) == n - 4 &&
				      get16(m + at + 4) == 15,
			      "extended error 15");
			for (size_t i = 6; i < n; i++)
				check(m[at + i] >= 0x20 && m[at + i] != 0x7f, "its text");
		}
		at += n;
	}
	check(at == len, "nothing behind it");
}

/* fe80::/10 (RFC 4291 2.5.6) */
UNCOUNTED static bool link_local(const uint8_t *a)
{
	return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}

UNCOUNTED static void check_packet(const struct sp_request *q, const uint8_t *m, size_t len)
{
	const uint8_t *p = sent.packet, *udp;
	uint32_t sum;
	const uint8_t broadcast[4] = {0xff, 0xff, 0xff, 0xff};
	bool quiet = !q->bound_if && !link_local(q->saddr) && !link_local(q->daddr);
	size_t head;

	if (q->family == AF_INET) {
		head = 20;
		check(sent.fd == FD4 && sent.len == head + 8 + len, "length of a packet");
		check(p[0] == 0x45 && get16(p + 2) == sent.len && p[9] == 17, "IPv4");
		check(add(0, p, 20) == 0xffff, "checksum of the header");
		check(memcmp(p + 12, q->daddr + 12, 4) == 0 &&
			      memcmp(p + 16, q->saddr + 12, 4) == 0,
		      "from whom, to whom");
		/* routed as a broadcast on lo, unless the client is bound to an interface */
		check(memcmp(sent.to, q->bound_if ? q->saddr + 12 : broadcast, 4) == 0,
		      "routed whereto");
		check(sent.bound_if == (q->bound_if ? q->bound_if : LOOPBACK), "the interface");
		sum = add(17 + 8 + len, p + 12, 8);
	} else {
		head = 40;
		check(sent.fd == (quiet ? FD_PACKET : FD6) && sent.len == head + 8 + len,
		      "length of a packet");
		check(p[0] == 0x60 && get16(p + 4) == 8 + len && p[6] == 17, "IPv6");
		check(memcmp(p + 8, q->daddr, 16) == 0 && memcmp(p + 24, q->saddr, 16) == 0,
		      "from whom, to whom");
		check(quiet || memcmp(sent.to, q->saddr, 16) == 0, "routed whereto");
		check(quiet || sent.bound_if == q->bound_if, "the interface");
		sum = add(17 + 8 + len, p + 8, 32);
	}
	udp = p + head;
	check(get16(udp) == q->dport && get16(udp + 2) == q->sport && get16(udp + 4) == 8 + len,
	      "UDP");
	check(get16(udp + 6) && add(sum, udp, 8 + len) == 0xffff, "checksum of the datagram");
	check(memcmp(udp + 8, m, len) == 0, "payload");
}

static bool mapped(const uint8_t *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a, prefix, 12) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sp_injector *injector;
	struct sp_request request = {0};
	size_t room = size ? data[size - 1] * 3u : 512, text_len = 0;
	uint8_t *message = malloc(room ? room : 1); /* exactly, for the sanitizer */
	char *text;
	int len, r;

	check(message != NULL, "memory");
	if (!injector)
		check(sp_injector_open(&injector) == 0, "an injector");
	memcpy(&request, data, size < sizeof(request) ? size : sizeof(request));
	if (size > sizeof(request))
		text_len = size - sizeof(request);
	text = malloc(text_len + 1);
	check(text != NULL, "memory");
	memcpy(text, data + size - text_len, text_len);
	text[text_len] = '\0';
	len = sp_answer_build(&request, text, message, room);
	if (len >= 0) {
		check((size_t)len <= room, "an answer fits");
		check_message(&request, message, len);
		if (request.family == AF_INET || request.family == AF_INET6) {
			bool four = request.family == AF_INET;

			r = sp_inject_udp(injector, request.family, request.daddr, request.dport,
					  request.saddr, request.sport, request.bound_if, message,
					  len);
			if (mapped(request.saddr) == four && mapped(request.daddr) == four) {
				check(r == 0, "it is sent");
				check_packet(&request, message, len);
			} else {
				check(r == -EINVAL, "an address of the other family");
			}
		}
	}
	free(message);
	free(text);
	return 0;
}
