// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * parse.bpf.c - test programs: the parsers on one packet, or on a stream that user space has put in
 * the map (packets of BPF_PROG_RUN are limited to about a page before Linux 6.18).
 *
 * Return 1 if the parser was run; its words are then in work->out.
 */
#include <linux/bpf.h>

#include "packet.bpf.h"
#include "judge.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct judge_work);
} work SEC(".maps");

static __always_inline struct judge_work *start(struct __sk_buff *skb)
{
	struct sp_ctx c = {};
	struct judge_work *w;
	__u32 zero = 0;

	w = bpf_map_lookup_elem(&work, &zero);
	if (!w || w->in_place)
		return w;
	if (packet_parse(skb, &c) != SP_DONE || c.payload_len > SP_STREAM_MAX)
		return NULL;
	if (c.payload_len == 0) {
		w->stream.len = 0;
		return w;
	}
	return stream_load(skb, &w->stream, c.payload, c.payload_len) == SP_DONE ? w : NULL;
}

#define PROGRAM(kind)                                                                              \
	SEC("cgroup_skb/egress")                                                                   \
	int parse_##kind(struct __sk_buff *skb)                                                    \
	{                                                                                          \
		struct judge_work *w = start(skb);                                                 \
                                                                                                   \
		if (!w)                                                                            \
			return 0;                                                                  \
		judge_##kind(w);                                                                   \
		return 1;                                                                          \
	}

PROGRAM(query)
PROGRAM(answer)
PROGRAM(tls)
PROGRAM(http)
PROGRAM(other)
