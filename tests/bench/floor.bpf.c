// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * floor.bpf.c - programs that do nothing, at the hooks of a cgroup that Sallyport uses on every
 * packet, connection and socket: what the kernel takes for calling them.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define NOTHING(section, name)                                                                     \
	SEC(section)                                                                               \
	int name(void *ctx)                                                                        \
	{                                                                                          \
		(void)ctx;                                                                         \
		return 1;                                                                          \
	}

NOTHING("cgroup/sock_create", floor_sock_create)
NOTHING("cgroup/setsockopt", floor_setsockopt)
NOTHING("cgroup/connect4", floor_connect4)
NOTHING("cgroup/connect6", floor_connect6)
NOTHING("cgroup/sendmsg4", floor_sendmsg4)
NOTHING("cgroup/sendmsg6", floor_sendmsg6)
NOTHING("cgroup_skb/egress", floor_egress)
NOTHING("cgroup_skb/ingress", floor_ingress)
NOTHING("sockops", floor_sockops)
