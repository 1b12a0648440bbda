// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * walk.bpf.c - test programs: the policy look-up of bpf/decide.bpf.h, over the product's own maps.
 *
 * walk_name answers a question that lies in the map; walk_query takes a DNS query from the packet,
 * parses it and looks it up, as dns_judge() does, for the benchmark.
 */
#include <linux/bpf.h>

#include "decide.bpf.h"
#include "packet.bpf.h"
#include "bpf/walk.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk_work);
} work SEC(".maps");

/* As dns_judge(): may the name be asked for? */
static __always_inline void decide_dns(struct walk_work *w, const struct sp_policy_conf *conf)
{
	struct sp_tables t = {.policy = w->policy};
	const struct sp_acl *acl = w->acl ? sp_tables_acl(&t, w->acl) : NULL;

	w->dns_action = acl ? acl->dns_action : conf->default_action;
	w->dns_rule = acl ? acl->dns_rule : SP_RULE_DEFAULT;
}

/* Global, as decide_name() is: address words are read unaligned, which the stack forbids. */
__noinline int walk_addr(struct sp_ctx *c, struct sp_match *m, __u32 protocol)
{
	struct sp_policy_conf *conf;

	if (!c || !m)
		return 0;
	conf = policy_conf(c->policy);
	if (conf)
		cidr_match(c, conf, protocol, m);
	return 1;
}

SEC("cgroup_skb/egress")
int walk_name(struct __sk_buff *skb)
{
	struct sp_policy_conf *conf;
	struct walk_work *w;
	struct sp_ctx c = {};
	struct sp_match m;
	__u32 zero = 0;

	w = bpf_map_lookup_elem(&work, &zero);
	conf = w ? policy_conf(w->policy) : NULL;
	if (!conf)
		return 0;
	w->acl = 0;
	w->verdict = SP_DONE;
	if (w->has_name) {
		w->verdict = sp_name_scan(&w->name);
		if (w->verdict != SP_DONE)
			return 1;
		w->acl = name_acl(&w->name, w->policy);
		decide_dns(w, conf);
	}
	c.policy = w->policy;
	c.dport = w->port;
	addr_copy(c.daddr, w->addr);
	/* as decide_name() */
	sp_match_default(&m, conf->default_action);
	if (w->has_addr)
		walk_addr(&c, &m, w->protocol);
	acl_match(w->policy, w->acl, w->port, w->protocol, &m);
	w->action = m.action;
	w->rule = m.rule;
	return 1;
}

SEC("cgroup_skb/egress")
int walk_query(struct __sk_buff *skb)
{
	struct sp_policy_conf *conf;
	struct walk_work *w;
	struct sp_ctx c = {};
	__u32 zero = 0;

	w = bpf_map_lookup_elem(&work, &zero);
	conf = w ? policy_conf(w->policy) : NULL;
	if (!conf || packet_parse(skb, &c) != SP_DONE ||
	    stream_load(skb, &w->stream, c.payload, c.payload_len) != SP_DONE)
		return 0;
	w->verdict = sp_dns_query(&w->stream, &w->dns, &w->name);
	if (w->verdict != SP_DONE)
		return 0;
	w->acl = name_acl(&w->name, w->policy);
	decide_dns(w, conf);
	return 1;
}
