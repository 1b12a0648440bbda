/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shared.bpf.h - the kernel's mark of packets that hold a page of somebody else's
 * (SKBFL_SHARED_FRAG, for user memory the zerocopy flags; include/linux/skbuff.h), read by
 * bpf_rdonly_cast(), since Linux 6.2.
 */
#ifndef SP_SHARED_BPF_H
#define SP_SHARED_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

const volatile __u32 shared_known = 0; /* set before loading, if the mark can be read and holds */

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

#endif
