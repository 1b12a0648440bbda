// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cidr.bpf.c - an address filter for a cgroup, in the manner of systemd's IPAddressAllow= and
 * IPAddressDeny=any: every packet's peer is looked up in a trie of networks, in both directions.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct cidr_key {
	__u32 prefix;
	__u8 addr[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct cidr_key);
	__type(value, __u64);
} cidr_allow SEC(".maps");

static __always_inline int judge(struct __sk_buff *skb, int out)
{
	struct cidr_key key = {.prefix = 128};

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		__u32 offset = out ? offsetof(struct iphdr, daddr) : offsetof(struct iphdr, saddr);

		key.addr[10] = key.addr[11] = 0xff;
		if (bpf_skb_load_bytes(skb, offset, key.addr + 12, 4))
			return 0;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		__u32 offset =
			out ? offsetof(struct ipv6hdr, daddr) : offsetof(struct ipv6hdr, saddr);

		if (bpf_skb_load_bytes(skb, offset, key.addr, 16))
			return 0;
	} else {
		return 1;
	}
	return bpf_map_lookup_elem(&cidr_allow, &key) ? 1 : 0;
}

SEC("cgroup_skb/egress")
int cidr_egress(struct __sk_buff *skb)
{
	return judge(skb, 1);
}

SEC("cgroup_skb/ingress")
int cidr_ingress(struct __sk_buff *skb)
{
	return judge(skb, 0);
}
