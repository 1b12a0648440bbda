/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off: a table */
/*
 * pages.bpf.h - is what a packet carries what will leave?
 *
 * sendfile(), splice() and MSG_ZEROCOPY hand pages over and not bytes: a page of a file, of a pipe
 * or of the sender's own memory hangs on the packet until the network card, or the receiver's
 * read(), has copied it. Whoever can write to the page changes what was judged, before it is sent
 * for the first time. So what is judged must lie where nobody can write any more:
 *
 *   DNS over UDP   in the linear part, which is always a copy. Only what is corked from several
 *                  sends, spliced or sent in batches is elsewhere
 *   UDP to a name  the first bytes, which say whether it is QUIC, likewise; of batches, which are
 * in fragments whoever made them, the mark below is asked TCP            the payload is never in
 * the linear part. The kernel marks packets that hold a page of somebody else's (SKBFL_SHARED_FRAG,
 * for user memory the zerocopy flags; include/linux/skbuff.h), and keeps the mark when it cuts one.
 * Kernels from 6.10 lost it when they filled one packet up from another (tcp_grow_skb()) until that
 *                  was mended in 2026: SECURITY.md. Read by bpf_rdonly_cast(), since Linux 6.2
 *
 * Before 6.2 `shared_known` is 0: user space has tried, and whoever starts commands refuses them
 * the calls (launch.c). Of open flows nothing is asked.
 */
/* clang-format on */
#ifndef SP_PAGES_BPF_H
#define SP_PAGES_BPF_H

#include <bpf/bpf_core_read.h>

#include "scratch.bpf.h"

const volatile __u32 shared_known = 0; /* set before loading, if the kernel has the two below */

extern void *bpf_cast_to_kern_ctx(void *) __ksym __weak;
extern void *bpf_rdonly_cast(void *, __u32)
__ksym __weak;

/* What is read of the kernel's structures. */
struct sk_buff {
	unsigned char *head;
	unsigned int end; /* 64-bit kernels: an offset from head (NET_SKBUFF_DATA_USES_OFFSET) */
} __attribute__((preserve_access_index));

struct skb_shared_info {
	__u8 flags;
} __attribute__((preserve_access_index));

/* SKBFL_ZEROCOPY_ENABLE, _SHARED_FRAG, _PURE_ZEROCOPY, _MANAGED_FRAG_REFS */
#define SP_SKB_SHARED (1u << 0 | 1u << 1 | 1u << 2 | 1u << 4)

/* Can somebody still write to pages of this packet? 1 or 0; 0 also where that cannot be told. */
__noinline int packet_shared(struct __sk_buff *skb)
{
	struct skb_shared_info *info;
	struct sk_buff *kernel;

	if (!shared_known)
		return 0;
	kernel = bpf_cast_to_kern_ctx(skb);
	info = bpf_rdonly_cast(kernel->head + kernel->end,
			       bpf_core_type_id_kernel(struct skb_shared_info));
	return (info->flags & SP_SKB_SHARED) ? 1 : 0;
}

/* Is the whole packet in its linear part, which only the kernel writes to? */
static __always_inline int packet_linear(const struct __sk_buff *skb)
{
	return (long)skb->data_end - (long)skb->data >= skb->len;
}

/*
 * Does the verdict on this segment stand on its bytes? Not behind a hello that the server has
 * answered with one of its own, nor behind the second, nor where no hello was read: tls_after()
 * opens these flows whatever comes. Of HTTP only the heads count: http_step() asks.
 */
static __always_inline int bytes_matter(const struct sp_flow *f, const struct sp_ctx *c)
{
	if (f->state == SP_FLOW_HTTP)
		return 0;
	if (f->state != SP_FLOW_TLS_DONE || c->seq - f->base < f->hello_end)
		return 1;
	return !(f->flags & SP_FLOW_SECOND) && (f->hello & SP_HELLO_READ) &&
	       f->answer != SP_ANSWER_HELLO;
}

#endif
