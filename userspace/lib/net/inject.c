// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inject.c - UDP datagrams to a local socket as if they came from somebody else.
 *
 * How it works. A raw socket with the header included (raw(7)) sends a packet whose source is the
 * resolver and whose destination is the client, an address of this namespace. Output routing finds
 * a local route for it, so the packet goes through the loopback device and is delivered with the
 * route that it was sent by: input routing, and with it the reverse path filter and the martian
 * checks (127/8 as the source of a packet to another address), is not asked again. So a resolver
 * that is remote, on loopback or an address of this host is all the same, whatever rp_filter says.
 *
 * The sender is not the sandbox: the packet passes this process's cgroup on the way out, and the
 * client's ingress hook on the way in. Conntrack sees it in both directions, so a query that was
 * sent through a DNAT (Docker's 127.0.0.11) is answered from the address behind the NAT, and the
 * reply is translated back.
 *
 * What must not happen: that a packet leaves the host. The destination is taken from a packet that
 * the kernel saw the sandbox send, and sandboxes have neither raw sockets nor IP_TRANSPARENT;
 * should the address have been removed since, IPv4 goes to lo all the same, IPv6 is routed.
 *
 * Nor may an ICMP error leave: "port unreachable", which the kernel sends to the resolver when the
 * client has closed its socket meanwhile, or connected it elsewhere, quotes the answer, and with it
 * the very name that was denied. For IPv4 the packet is therefore routed as what the kernel never
 * answers with an error (RFC 1122 3.2.2), a broadcast on lo: the route of a raw packet is looked up
 * by the address of sendmsg(), which need not be that of the header. The receivers are then all
 * sockets that have this port and address (__udp4_lib_mcast_deliver()), or none.
 *
 * A client that is bound to an interface (SO_BINDTODEVICE, which needs no privilege) hears only
 * what comes in by that one, not by lo. With an output interface given, the local route is taken
 * all the same, and the packet counts as having come in by the interface that was asked for.
 *
 * IPv6 has no broadcast to route by, but the kernel does not answer what came as a broadcast of the
 * link either (icmp6_send(): pkt_type). So the packet is put onto lo by a packet socket, with that
 * address in front, and is routed as input; there is no reverse path filter. Not so between
 * link-local addresses, which lo has none of, and for a client bound to an interface.
 *
 * Link-local (fe80::/10) destinations are ambiguous without a scope. A client that is connected to
 * one is bound to its interface by that. Without bound_if the kernel takes the interface that has
 * the address, or the first one if several have the same; a client bound to another one does not
 * get its answer and times out (RFC 4007 6).
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "inject.h"

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36 /* linux/in6.h, where the C library has none */
#endif

#define LOOPBACK 1   /* the index of lo in every network namespace (LOOPBACK_IFINDEX, net/flow.h) */
#define HOP_LIMIT 64 /* RFC 1700; never used up, the packet makes no hop */

struct sp_injector {
	int fd4, fd6; /* -1: the kernel has no such family */
	int packet6;  /* packet socket for IPv6; -1: none */
};

int sp_injector_open(struct sp_injector **ret_injector)
{
	struct sp_injector *injector;
	int on = 1, r;

	injector = malloc(sizeof(*injector));
	if (!injector)
		return -ENOMEM;
	injector->fd4 = -1;
	injector->fd6 = -1;
	injector->packet6 = -1;

	injector->fd4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (injector->fd4 < 0) {
		r = -errno;
		goto fail;
	}
	/* IPPROTO_RAW implies it; said for who reads a trace */
	if (setsockopt(injector->fd4, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)) < 0 ||
	    setsockopt(injector->fd4, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0) {
		r = -errno;
		goto fail;
	}
	injector->fd6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (injector->fd6 < 0) {
		if (errno != EAFNOSUPPORT) {
			r = -errno;
			goto fail;
		}
	} else if (setsockopt(injector->fd6, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof(on)) < 0 &&
		   errno != ENOPROTOOPT) {
		/* older kernels have no such option for IPv6, and do it for IPPROTO_RAW anyway */
		r = -errno;
		goto fail;
	}
	/* protocol 0: it hears nothing */
	injector->packet6 = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	*ret_injector = injector;
	return 0;
fail:
	sp_injector_close(injector);
	return r;
}

void sp_injector_close(struct sp_injector *injector)
{
	if (!injector)
		return;
	if (injector->fd4 >= 0)
		close(injector->fd4);
	if (injector->fd6 >= 0)
		close(injector->fd6);
	if (injector->packet6 >= 0)
		close(injector->packet6);
	free(injector);
}

/* One's complement sum of big-endian words (RFC 1071), an odd last byte padded with zero. */
static uint32_t sum_words(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t i;

	for (i = 0; i + 1 < len; i += 2) /* bit fields of struct iphdr confuse the analyzer */
		sum += (uint32_t)p[i] << 8 | p[i + 1]; /* NOLINT(clang-analyzer-core.*) */
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	return sum;
}

static uint16_t sum_finish(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

/*
 * Over the pseudo-header and the datagram (RFC 768; RFC 8200 8.1, where it is mandatory). The
 * addresses are the last `addr_len` bytes of their 16. The two pseudo-headers differ in their
 * layout and in nothing that a sum would notice.
 */
static uint16_t udp_checksum(const uint8_t *src, const uint8_t *dst, size_t addr_len,
			     const struct udphdr *udp, size_t udp_len)
{
	uint32_t sum = IPPROTO_UDP + udp_len;
	uint16_t check;

	sum = sum_words(sum, src + 16 - addr_len, addr_len);
	sum = sum_words(sum, dst + 16 - addr_len, addr_len);
	sum = sum_words(sum, udp, udp_len);
	check = sum_finish(sum);
	return check ? check : 0xffff; /* zero would say "no checksum" */
}

static bool is_link_local(const uint8_t addr[16])
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* An IPv6 packet onto lo, as a broadcast of the link. */
static int send_broadcast6(int fd, const void *packet, size_t len)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IPV6),
		.sll_ifindex = LOOPBACK,
		.sll_halen = ETH_ALEN,
	};

	memset(to.sll_addr, 0xff, ETH_ALEN);
	while (sendto(fd, packet, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* The packet, by the interface that `info` (IP_PKTINFO, IPV6_PKTINFO) says, if it is not NULL. */
static int send_packet(int fd, const void *packet, size_t len, void *to, socklen_t to_len,
		       int level, int type, const void *info, size_t info_len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)packet, .iov_len = len};
	struct msghdr message = {
		.msg_name = to, .msg_namelen = to_len, .msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (info) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(info_len);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = level;
		header->cmsg_type = type;
		header->cmsg_len = CMSG_LEN(info_len);
		memcpy(CMSG_DATA(header), info, info_len);
	}
	/* IPv6 has no such flag and ignores it */
	while (sendmsg(fd, &message, MSG_DONTROUTE) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Can it be sent so that the kernel keeps quiet if nobody hears it? */
static bool is_quiet(const struct sp_injector *injector, int family, const uint8_t src[16],
		     const uint8_t dst[16], uint32_t bound_if)
{
	if (bound_if)
		return false;
	return family == AF_INET ||
	       (injector->packet6 >= 0 && !is_link_local(src) && !is_link_local(dst));
}

int sp_inject_udp(struct sp_injector *injector, int family, const uint8_t src[16], uint16_t sport,
		  const uint8_t dst[16], uint16_t dport, uint32_t bound_if, const void *payload,
		  size_t len)
{
	union {
		struct {
			struct iphdr ip;
			struct udphdr udp;
			uint8_t payload[SP_INJECT_MAX];
		} v4;
		struct {
			struct ip6_hdr ip;
			struct udphdr udp;
			uint8_t payload[SP_INJECT_MAX];
		} v6;
	} packet;
	struct udphdr udp = {.source = htons(sport), .dest = htons(dport)};
	size_t udp_len = sizeof(udp) + len;

	if (family != AF_INET && family != AF_INET6)
		return -EINVAL;
	if (sp_addr_is_mapped(src) != (family == AF_INET) ||
	    sp_addr_is_mapped(dst) != (family == AF_INET))
		return -EINVAL;
	if (len > SP_INJECT_MAX)
		return -EMSGSIZE;
	udp.len = htons(udp_len);

	if (family == AF_INET) {
		struct in_pktinfo info = {.ipi_ifindex = bound_if ? bound_if : LOOPBACK};
		struct sockaddr_in to = {.sin_family = AF_INET};
		struct iphdr ip = {
			.version = 4,
			.ihl = sizeof(ip) / 4,
			.tot_len = htons(sizeof(ip) + udp_len),
			.frag_off = htons(IP_DF),
			.ttl = HOP_LIMIT,
			.protocol = IPPROTO_UDP,
		};

		memcpy(&ip.saddr, src + 12, sizeof(ip.saddr));
		memcpy(&ip.daddr, dst + 12, sizeof(ip.daddr));
		ip.check = sum_finish(sum_words(0, &ip, sizeof(ip)));
		/* an interface that was asked for is not lo: there a broadcast would leave */
		to.sin_addr.s_addr = bound_if ? ip.daddr : htonl(INADDR_BROADCAST);
		packet.v4.ip = ip;
		packet.v4.udp = udp;
		if (len)
			memcpy(packet.v4.payload, payload, len);
		packet.v4.udp.check = udp_checksum(src, dst, 4, &packet.v4.udp, udp_len);
		return send_packet(injector->fd4, &packet.v4, sizeof(ip) + udp_len, &to, sizeof(to),
				   IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		/* the port of a raw IPv6 address is a protocol: zero, for that of the socket */
		struct sockaddr_in6 to = {.sin6_family = AF_INET6};
		struct in6_pktinfo info = {.ipi6_ifindex = bound_if};
		struct ip6_hdr ip = {0};

		if (injector->fd6 < 0)
			return -EAFNOSUPPORT;
		ip.ip6_flow = htonl(6u << 28);
		ip.ip6_plen = htons(udp_len);
		ip.ip6_nxt = IPPROTO_UDP;
		ip.ip6_hlim = HOP_LIMIT;
		memcpy(&ip.ip6_src, src, sizeof(ip.ip6_src));
		memcpy(&ip.ip6_dst, dst, sizeof(ip.ip6_dst));
		to.sin6_addr = ip.ip6_dst;
		packet.v6.ip = ip;
		packet.v6.udp = udp;
		if (len)
			memcpy(packet.v6.payload, payload, len);
		packet.v6.udp.check = udp_checksum(src, dst, 16, &packet.v6.udp, udp_len);
		if (is_quiet(injector, family, src, dst, bound_if))
			return send_broadcast6(injector->packet6, &packet.v6, sizeof(ip) + udp_len);
		return send_packet(injector->fd6, &packet.v6, sizeof(ip) + udp_len, &to, sizeof(to),
				   IPPROTO_IPV6, IPV6_PKTINFO, bound_if ? &info : NULL,
				   sizeof(info));
	}
}
