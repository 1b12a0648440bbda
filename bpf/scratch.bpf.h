/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scratch.bpf.h - claiming working memory, and the context of one decision. */
#ifndef SP_SCRATCH_BPF_H
#define SP_SCRATCH_BPF_H

#include "maps.bpf.h"

/*
 * A free piece of this CPU's for the sandbox in `slot`: its key, taken, or -1. A sandbox's own
 * pieces come first, then those for all. Where the kernel is preemptible, threads of low priority
 * can be made to hold a piece for long: so many that they take all of their sandbox's and all that
 * are shared, but not those of its neighbours.
 */
__noinline int scratch_find(__u32 slot)
{
	__u32 base = bpf_get_smp_processor_id() * SP_SCRATCH_PER_CPU, i;

	for (i = 0; i < SP_SCRATCH_OWN + SP_SCRATCH_SHARED; i++) {
		__u32 key = base + SP_SCRATCH_GROUPS * SP_SCRATCH_OWN + i - SP_SCRATCH_OWN;
		struct sp_scratch *s;

		if (i < SP_SCRATCH_OWN)
			key = base + slot % SP_SCRATCH_GROUPS * SP_SCRATCH_OWN + i;
		s = bpf_map_lookup_elem(&scratch, &key);
		if (s && !__sync_lock_test_and_set(&s->busy, 1)) {
			s->index = key;
			return (int)key;
		}
	}
	return -1;
}

static __always_inline struct sp_scratch *scratch_claim(__u32 slot)
{
	struct sp_scratch *s;
	__u32 key, zero = 0;
	struct sp_host *h = bpf_map_lookup_elem(&host, &zero);

	if (!h)
		return NULL;
	key = scratch_find(slot);
	s = bpf_map_lookup_elem(&scratch, &key);
	if (!s)
		return NULL;
	s->name.seed[0] = h->seed[0];
	s->name.seed[1] = h->seed[1];
	return s;
}

/*
 * The claimed scratch as a map value: Linux 6.1 takes keys and values of maps from the stack and
 * from map values, but not from memory that a global function was given.
 */
static __always_inline struct sp_scratch *scratch_value(const struct sp_scratch *s)
{
	__u32 key = s->index;

	return bpf_map_lookup_elem(&scratch, &key);
}

static __always_inline void scratch_release(struct sp_scratch *s)
{
	__sync_lock_test_and_set(&s->busy, 0);
}

/* Copies a multiple of 8 bytes by whole words; memcpy() of byte arrays is done byte by byte. */
static __always_inline void copy_words(void *to, const void *from, __u32 bytes)
{
	const __u8 *source = from;
	__u8 *target = to;
	__u32 i;

	for (i = 0; i < bytes; i += 8)
		sp_store64(target + i, sp_load64(source + i));
}

/* How the destination came to be allowed. */
enum sp_via { SP_VIA_DEFAULT = 0, SP_VIA_NAME, SP_VIA_CIDR, SP_VIA_RESOLVER, SP_VIA_LOOPBACK };

/*
 * One decision: whose, about what, and what came of it. Lives on the stack of the program and is
 * handed to every step. Ports in host order.
 */
struct sp_ctx {
	__u32 sandbox, policy, generation;
	__u8 mode, family, protocol, tcp_flags;
	__u64 now;
	__u64 cookie;
	__u64 name; /* hash */
	__u8 saddr[16], daddr[16];
	__u16 sport, dport;
	__u32 payload, payload_len; /* offset in the packet, bytes */
	__u32 seq;
	__u32 rule, order, acl;
	__u32 detail;
	__u32 bound_if;
	__u16 name_len, sni_len; /* for the event: of scratch->name, scratch->stream */
	__u32 sni_off;
	__u8 kind, reason, via, entry_flags;
	__u8 ttl, action, answer, malformed;
	__u32 ifindex; /* that the packet leaves by; 0 in the hooks before it, which do not know */
};

/* That of lo in every network namespace: LOOPBACK_IFINDEX of <net/net_namespace.h> */
#define SP_IFINDEX_LO 1

static __always_inline __u64 addr_high(const __u8 *a)
{
	return *(const __u64 *)a;
}

static __always_inline __u64 addr_low(const __u8 *a)
{
	return *(const __u64 *)(a + 8);
}

static __always_inline int addr_equal(const __u8 *a, const __u8 *b)
{
	return addr_high(a) == addr_high(b) && addr_low(a) == addr_low(b);
}

static __always_inline void addr_copy(__u8 *to, const __u8 *from)
{
	*(__u64 *)to = addr_high(from);
	*(__u64 *)(to + 8) = addr_low(from);
}

/* The mapped form of four bytes as they are on the wire */
static __always_inline void addr_from_v4(__u8 *to, __u32 v)
{
	*(__u64 *)to = 0;
	*(__u32 *)(to + 8) = bpf_htonl(0xffff);
	*(__u32 *)(to + 12) = v;
}

static __always_inline int addr_is_v4(const __u8 *a)
{
	return addr_high(a) == 0 && *(const __u32 *)(a + 8) == bpf_htonl(0xffff);
}

/* 127/8, ::1, and the two "any" addresses, which connect to this host */
static __always_inline int addr_is_loopback(const __u8 *a)
{
	if (addr_is_v4(a))
		return a[12] == 127 || *(const __u32 *)(a + 12) == 0;
	return addr_high(a) == 0 && (addr_low(a) == bpf_cpu_to_be64(1) || addr_low(a) == 0);
}

/* Does the packet stay on this host, as far as is known: by its address, or by its interface? */
static __always_inline int stays_here(const struct sp_ctx *c)
{
	return c->ifindex == SP_IFINDEX_LO || addr_is_loopback(c->daddr);
}

/*
 * 224/4, ff00::/8, the limited broadcast and that of loopback. Other broadcasts the kernel refuses
 * by itself, on sockets without SO_BROADCAST.
 */
static __always_inline int addr_is_group(const __u8 *a)
{
	if (addr_is_v4(a))
		return a[12] >> 4 == 14 || *(const __u32 *)(a + 12) == 0xffffffff ||
		       *(const __u32 *)(a + 12) == bpf_htonl(0x7fffffff);
	return a[0] == 0xff;
}

#endif
