// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * marks.bpf.c - does the kernel keep the mark of shared pages (shared.bpf.h)? Filters for the
 * receiving sockets of a trial over lo, where what is received is what was sent: they count the
 * packets that hold bytes which were handed over, with the mark and without. An object of its own,
 * gone when the trial is over (userspace/lib/kernel/pages.c).
 */
#include "shared.bpf.h"
#include <sallyport/abi.h>

char LICENSE[] SEC("license") = "GPL";

struct sp_marks seen;

#define LOOKS 140     /* at bytes of a packet, so many */
#define LOOK_EACH 512 /* bytes apart: less than what is handed over at a time */

/* A socket filter: how many bytes are kept. `at`: where the payload starts. */
static __always_inline int look(struct __sk_buff *skb, __u32 at)
{
	__u32 i, handed = 0, len = skb->len;
	__u8 byte = 0;

	if (len <= at)
		return -1;
	for (i = 0; i < LOOKS; i++) {
		if (at >= len || bpf_skb_load_bytes(skb, at, &byte, 1))
			break;
		handed |= byte == SP_MARKS_HANDED;
		at += LOOK_EACH;
	}
	if (!bpf_skb_load_bytes(skb, len - 1, &byte, 1))
		handed |= byte == SP_MARKS_HANDED;
	if (handed)
		__sync_fetch_and_add(packet_shared(skb) ? &seen.marked : &seen.unmarked, 1);
	return -1;
}

SEC("socket")
int sp_marks_tcp(struct __sk_buff *skb)
{
	__u8 head;

	if (bpf_skb_load_bytes(skb, 12, &head, 1))
		return -1;
	return look(skb, (head >> 4) * 4);
}

SEC("socket")
int sp_marks_udp(struct __sk_buff *skb)
{
	return look(skb, 8);
}
