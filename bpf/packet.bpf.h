/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet.bpf.h - addresses, ports and payload of a packet at the cgroup hooks.
 *
 * At cgroup_skb the packet starts at its network header, is not yet fragmented, and may be a GSO
 * packet of up to 64 KB. What cannot be told from the first headers is refused: IPv4 options,
 * fragments, and every IPv6 extension header but the jumbogram option that the kernel itself puts
 * in front of very large GSO packets (RFC 2675; Linux "BIG TCP", 5.19).
 */
#ifndef SP_PACKET_BPF_H
#define SP_PACKET_BPF_H

#include "scratch.bpf.h"

#define SP_TCP_FIN 0x01u
#define SP_TCP_SYN 0x02u
#define SP_TCP_RST 0x04u
#define SP_TCP_ACK 0x10u
#define SP_TCP_URG 0x20u

/*
 * Loads n bytes, a constant multiple of 4, from `off`: 0 or an error, as bpf_skb_load_bytes(),
 * which is only called for what is not in the linear part.
 */
static __always_inline int packet_load(struct __sk_buff *skb, __u32 off, void *to, __u32 n)
{
	__u8 *d = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 i;

	if (d + off + n > end)
		return (int)bpf_skb_load_bytes(skb, off, to, n);
	for (i = 0; i < n; i += 4)
		*(__u32 *)((__u8 *)to + i) = *(__u32 *)(d + off + i);
	return 0;
}

/* The IP header: SP_DONE with the offset of the next header in *l4, or a negative reason. */
static __always_inline int packet_ip(struct __sk_buff *skb, struct sp_ctx *c, __u32 *l4)
{
	__u8 h[40];
	__u32 next;

	if (packet_load(skb, 0, h, 20))
		return SP_BAD(IP_MALFORMED);
	if (h[0] >> 4 == 4) {
		c->family = 2; /* AF_INET */
		c->protocol = h[9];
		c->ttl = h[8];
		addr_from_v4(c->saddr, *(__u32 *)(h + 12));
		addr_from_v4(c->daddr, *(__u32 *)(h + 16));
		if (h[0] != 0x45)
			return SP_BAD(IP_OPTIONS);
		if ((h[6] & 0x3f) || h[7]) /* more fragments, or an offset */
			return SP_BAD(IP_FRAGMENT);
		*l4 = 20;
		return SP_DONE;
	}
	if (h[0] >> 4 != 6 || packet_load(skb, 20, h + 20, 20))
		return SP_BAD(IP_MALFORMED);
	c->family = 10; /* AF_INET6 */
	c->ttl = h[7];
	addr_copy(c->saddr, h + 8);
	addr_copy(c->daddr, h + 24);
	next = h[6];
	*l4 = 40;
	if (next == 0) {
		/* hop-by-hop: only the eight bytes of a jumbo payload option */
		if (bpf_skb_load_bytes(skb, 40, h, 8))
			return SP_BAD(IP_MALFORMED);
		if (h[1] != 0 || h[2] != 0xc2 || h[3] != 4)
			return SP_BAD(IP_EXTENSION);
		next = h[0];
		*l4 = 48;
	}
	c->protocol = next;
	if (next == IPPROTO_FRAGMENT)
		return SP_BAD(IP_FRAGMENT);
	if (next == IPPROTO_ROUTING || next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS ||
	    next == IPPROTO_AH || next == IPPROTO_ESP || next == IPPROTO_NONE)
		return SP_BAD(IP_EXTENSION);
	return SP_DONE;
}

/* All of c that the packet says. SP_DONE or a negative reason. A call, to keep its buffers off the
 * callers' stacks: Linux 6.1 adds up 512 bytes over a chain of calls. */
__noinline int packet_parse(struct __sk_buff *skb, struct sp_ctx *c)
{
	__u32 l4 = 0, len = skb->len, doff;
	__u8 h[20] = {};
	int r;

	if (!c)
		return SP_BAD(NO_MEMORY);
	r = packet_ip(skb, c, &l4);
	if (r != SP_DONE)
		return r;
	if (c->protocol == IPPROTO_TCP) {
		if (packet_load(skb, l4, h, 20))
			return SP_BAD(IP_MALFORMED);
		doff = (h[12] >> 4) * 4;
		if (doff < 20 || l4 + doff > len)
			return SP_BAD(IP_MALFORMED);
		c->seq = bpf_ntohl(*(__u32 *)(h + 4));
		c->tcp_flags = h[13];
		c->payload = l4 + doff;
	} else if (c->protocol == IPPROTO_UDP) {
		if (packet_load(skb, l4, h, 8))
			return SP_BAD(IP_MALFORMED);
		c->payload = l4 + 8;
	} else {
		return SP_BAD(IP_PROTOCOL);
	}
	c->sport = (__u32)h[0] << 8 | h[1];
	c->dport = (__u32)h[2] << 8 | h[3];
	c->payload_len = len - c->payload;
	return SP_DONE;
}

/* Loads up to SP_STREAM_MAX bytes of the packet from `off` to the start of a stream. */
__noinline int stream_load(struct __sk_buff *skb, struct sp_stream *s, __u32 off, __u32 len)
{
	if (!s || len == 0)
		return SP_BAD(NO_MEMORY);
	if (len > SP_STREAM_MAX)
		len = SP_STREAM_MAX;
	len -= 1;
	SP_BARRIER(len);
	if (len > SP_STREAM_MAX - 1)
		return SP_BAD(NO_MEMORY);
	len += 1;
	if (bpf_skb_load_bytes(skb, off, s->data, len))
		return SP_BAD(NO_MEMORY);
	s->len = len;
	return SP_DONE;
}

/* Loads at most 256 bytes of the packet to s->data[at]. 1 or 0. */
__noinline int stream_piece(struct __sk_buff *skb, struct sp_stream *s, __u32 off, __u32 at,
			    __u32 len)
{
	SP_BARRIER(at);
	if (!s || at >= SP_STREAM_MAX)
		return 0;
	if (len > 256)
		len = 256;
	len -= 1;
	SP_BARRIER(len);
	if (len > 255)
		return 0;
	len += 1;
	return bpf_skb_load_bytes(skb, off, &s->data[at], len) == 0;
}

/* Appends to a stream what fits: s->len grows by what was taken. */
__noinline int stream_append(struct __sk_buff *skb, struct sp_stream *s, __u32 off, __u32 len)
{
	__u32 at, i;

	if (!s)
		return SP_BAD(NO_MEMORY);
	at = s->len;
	if (at >= SP_STREAM_MAX)
		return SP_DONE;
	if (len > SP_STREAM_MAX - at)
		len = SP_STREAM_MAX - at;
	/* in pieces, so that offset and length have bounds of their own; the slack takes the last
	 */
	for (i = 0; i < SP_STREAM_MAX; i += 256) {
		if (i >= len)
			break;
		if (!stream_piece(skb, s, off + i, at + i, len - i))
			return SP_BAD(NO_MEMORY);
	}
	s->len = at + len;
	return SP_DONE;
}

#endif
