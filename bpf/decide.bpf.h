/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decide.bpf.h - what the policy of a sandbox says of a name, an address, and a name at an address.
 */
#ifndef SP_DECIDE_BPF_H
#define SP_DECIDE_BPF_H

#include "event.bpf.h"
#include "walk.h"

static __always_inline struct sp_policy_conf *policy_conf(__u32 policy)
{
	return bpf_map_lookup_elem(&policies, &policy);
}

/* ACL of a name whose suffix has this hash and `more` labels before it; ~0: no such suffix. */
#define SP_NO_SUFFIX 0xffffffffu
__noinline __u32 suffix_acl(__u32 policy, __u32 mask, __u64 hash, __u32 more)
{
	struct sp_tables t = {.policy = policy};
	__u32 node = sp_walk_suffix(&t, mask, hash);

	return node ? sp_walk_node(&t, node, more) : SP_NO_SUFFIX;
}

/* ACL of a scanned name (sp_walk_name() in steps); 0: the default answers. */
__noinline __u32 name_acl(const struct sp_name *n, __u32 policy)
{
	struct sp_policy_conf *conf = policy_conf(policy);
	struct sp_tables t = {.policy = policy};
	__u32 i, labels, first, mask, acl;

	if (!n || !conf)
		return 0;
	labels = n->labels;
	mask = conf->bucket_mask;
	first = labels > conf->max_depth ? labels - conf->max_depth : 0;
	for (i = 0; i < SP_LABELS_MAX; i++) {
		__u32 at = first + i;

		SP_BARRIER(at);
		if (at >= labels || at >= SP_LABELS_MAX)
			break;
		acl = suffix_acl(policy, mask, n->hash[at], at);
		if (acl != SP_NO_SUFFIX)
			return acl;
	}
	return conf->root ? sp_walk_node(&t, conf->root, labels) : 0;
}

/* `what`: the port, and the protocol above it: a word less for acl_match() to keep on its stack. */
__noinline int acl_entry(__u32 policy, __u32 index, __u32 what, struct sp_match *m)
{
	struct sp_tables t = {.policy = policy};

	if (!m)
		return SP_DONE;
	return sp_walk_entry(&t, index, what & 0xffff, what >> 16, m);
}

/* First entry of an ACL that covers (port, protocol): sets *m if that is of lower order than m's.
 */
__noinline int acl_match(__u32 policy, __u32 acl_id, __u32 port, __u32 protocol, struct sp_match *m)
{
	struct sp_tables t = {.policy = policy};
	const struct sp_acl *acl;
	__u32 i, first, count, what = (port & 0xffff) | protocol << 16;

	if (!m || !acl_id)
		return SP_MORE;
	acl = sp_tables_acl(&t, acl_id);
	if (!acl)
		return SP_MORE;
	first = acl->first;
	count = acl->count;
	for (i = 0; i < SP_ACL_MAX; i++) {
		if (i >= count)
			break;
		if (acl_entry(policy, first + i, what, m) == SP_DONE)
			return SP_DONE;
	}
	return SP_MORE;
}

/*
 * The IPv4 address that an IPv6 address embeds, as four bytes; 0: none. NAT64 (RFC 6052), 6to4
 * (RFC 3056), Teredo (RFC 4380; it is inverted there), v4-compatible (RFC 4291 2.5.5.1),
 * v4-translated (RFC 2765 2.1), local-use NAT64 (RFC 8215) if its prefix is one of 96 bits:
 * addr_local_use().
 */
static __always_inline __u32 addr_embedded(const __u8 *a)
{
	if (*(const __u32 *)a == bpf_htonl(0x0064ff9b) && *(const __u64 *)(a + 4) == 0)
		return *(const __u32 *)(a + 12);
	if (a[0] == 0x20 && a[1] == 0x02)
		return (__u32)a[2] | (__u32)a[3] << 8 | (__u32)a[4] << 16 | (__u32)a[5] << 24;
	if (*(const __u32 *)a == bpf_htonl(0x20010000))
		return ~*(const __u32 *)(a + 12);
	if (*(const __u64 *)a == SP_WORD(0, 0x64, 0xff, 0x9b, 0, 1, a[6], a[7]))
		return *(const __u32 *)(a + 12);
	if (addr_high(a) == 0 && *(const __u32 *)(a + 8) == bpf_htonl(0xffff0000))
		return *(const __u32 *)(a + 12);
	if (addr_high(a) == 0 && *(const __u32 *)(a + 8) == 0 && a[12]) /* not ::1 */
		return *(const __u32 *)(a + 12);
	return 0;
}

/*
 * In 64:ff9b:1::/48 a site has prefixes of its own, of 48, 56 or 64 bits too (RFC 6052 2.2), and
 * nobody tells of which. The address as the prefix of 48 + 8 * i bits embeds it, or 0.
 */
static __always_inline __u32 addr_local_use(const __u8 *a, __u32 i)
{
	if (*(const __u64 *)a != SP_WORD(0, 0x64, 0xff, 0x9b, 0, 1, a[6], a[7]))
		return 0;
	if (i == 0)
		return (__u32)a[6] | (__u32)a[7] << 8 | (__u32)a[9] << 16 | (__u32)a[10] << 24;
	if (i == 1)
		return (__u32)a[7] | (__u32)a[9] << 8 | (__u32)a[10] << 16 | (__u32)a[11] << 24;
	return (__u32)a[9] | (__u32)a[10] << 8 | (__u32)a[11] << 16 | (__u32)a[12] << 24;
}

__noinline __u32 cidr_acl4(__u32 policy, __u32 v4)
{
	struct sp_cidr4 k = {.prefix = 32};
	void *inner = bpf_map_lookup_elem(&policy_cidr4, &policy);
	__u32 *acl;

	*(__u32 *)k.addr = v4;
	acl = inner ? bpf_map_lookup_elem(inner, &k) : NULL;
	return acl ? *acl : 0;
}

__noinline __u32 cidr_acl6(__u32 policy, const struct sp_ctx *c)
{
	struct sp_cidr6 k = {.prefix = 128};
	void *inner = bpf_map_lookup_elem(&policy_cidr6, &policy);
	__u32 *acl;

	if (!c)
		return 0;
	__builtin_memcpy(k.addr, c->daddr, 16);
	acl = inner ? bpf_map_lookup_elem(inner, &k) : NULL;
	return acl ? *acl : 0;
}

/* A rule that denies an IPv4 network denies its translated forms; none is allowed so. */
__noinline int cidr_embedded(const struct sp_ctx *c, __u32 v4, __u32 protocol, struct sp_match *m)
{
	struct sp_match e;
	__u32 acl;

	if (!c || !m || !v4)
		return 0;
	e = *m;
	acl = cidr_acl4(c->policy, v4);
	if (acl_match(c->policy, acl, c->dport, protocol, &e) == SP_DONE &&
	    e.action == SP_ACTION_DENY)
		*m = e;
	return 0;
}

/* What the address rules say of c->daddr. Leaves *m at the default if none matches. */
static __always_inline void cidr_match(struct sp_ctx *c, const struct sp_policy_conf *conf,
				       __u8 protocol, struct sp_match *m)
{
	__u32 acl;

	if (stays_here(c))
		protocol |= SP_LOCAL;
	if (addr_is_v4(c->daddr)) {
		if (!conf->has_cidr4)
			return;
		acl = cidr_acl4(c->policy, *(__u32 *)(c->daddr + 12));
		acl_match(c->policy, acl, c->dport, protocol, m);
		return;
	}
	if (conf->has_cidr6) {
		acl = cidr_acl6(c->policy, c);
		acl_match(c->policy, acl, c->dport, protocol, m);
	}
	if (!conf->has_cidr4)
		return;
	cidr_embedded(c, addr_embedded(c->daddr), protocol, m);
	cidr_embedded(c, addr_local_use(c->daddr, 0), protocol, m);
	cidr_embedded(c, addr_local_use(c->daddr, 1), protocol, m);
	cidr_embedded(c, addr_local_use(c->daddr, 2), protocol, m);
}

static __always_inline __u8 protocol_bit(__u8 protocol)
{
	return protocol == IPPROTO_TCP ? SP_PROTOCOL_TCP : SP_PROTOCOL_UDP;
}

/* What decide_address() has found so far. */
struct address_state {
	struct sp_match cidr; /* what the address rules say */
	struct sp_match best;
	__u32 seen, live; /* some name was learned here; and its answer has not expired */
};

/* One name that was learned for the address. SP_DONE: it allows the destination. */
__noinline int decide_learned(struct sp_ctx *c, const struct sp_learned_name *n,
			      struct address_state *d)
{
	struct sp_match m;

	if (!c || !n || !d)
		return SP_MORE;
	if (!n->expires || n->generation != c->generation)
		return SP_MORE;
	d->seen = 1;
	if (n->expires < c->now)
		return SP_MORE;
	d->live = 1;
	if (!c->name)
		c->name = n->name;
	m = d->cidr;
	acl_match(c->policy, n->acl, c->dport, protocol_bit(c->protocol), &m);
	/* without a match of its own the name says what the address says */
	if (m.order == d->cidr.order)
		return SP_MORE;
	if (m.action == SP_ACTION_ALLOW) {
		d->best = m;
		c->via = SP_VIA_NAME;
		c->name = n->name;
		c->acl = n->acl;
		return SP_DONE;
	}
	if (m.order < d->best.order)
		d->best = m;
	return SP_MORE;
}

/*
 * May this sandbox send to (daddr, dport)? By an address rule; or because a name that was resolved
 * to it may be reached on this port; or by default. Sets action, via, rule, order, reason, name,
 * flags.
 */
__noinline int decide_address(struct sp_ctx *c)
{
	struct sp_policy_conf *conf;
	struct sp_learned *learned;
	struct address_state d = {};
	struct sp_addr a;
	__u32 slot, i;
	void *inner;

	if (!c)
		return 0;
	conf = policy_conf(c->policy);
	if (!conf)
		return 0;
	sp_match_default(&d.cidr, conf->default_action);
	cidr_match(c, conf, protocol_bit(c->protocol), &d.cidr);
	d.best = d.cidr;
	c->via = d.cidr.order == SP_ORDER_LAST ? SP_VIA_DEFAULT : SP_VIA_CIDR;
	c->name = 0;
	if (d.cidr.order == SP_ORDER_LAST || d.cidr.action != SP_ACTION_ALLOW) {
		slot = c->sandbox;
		inner = bpf_map_lookup_elem(&learned_addrs, &slot);
		addr_copy(a.addr, c->daddr);
		learned = inner ? bpf_map_lookup_elem(inner, &a) : NULL;
		for (i = 0; learned && i < SP_LEARNED_PER_ADDR; i++)
			if (decide_learned(c, &learned->names[i], &d) == SP_DONE)
				break;
	}
	c->action = d.best.action;
	c->rule = d.best.rule;
	c->order = d.best.order;
	c->entry_flags = d.best.flags;
	if (d.best.order != SP_ORDER_LAST)
		c->reason = SP_REASON_RULE;
	else if (d.best.action == SP_ACTION_ALLOW || d.live)
		c->reason = SP_REASON_DEFAULT;
	else
		c->reason = d.seen ? SP_REASON_EXPIRED : SP_REASON_NOT_LEARNED;
	return c->action == SP_ACTION_ALLOW;
}

/* Is address covered by prefix i of dns.private_answers? */
__noinline int private_covers(__u32 policy, const struct sp_addr *a, __u32 i)
{
	struct sp_policy_conf *conf = policy_conf(policy);
	__u64 ah, al, ph, pl, mh, ml;
	__u32 bits;

	if (!conf || !a || i >= SP_PRIVATE_MAX || i >= conf->private_len)
		return 0;
	ah = bpf_be64_to_cpu(addr_high(a->addr));
	al = bpf_be64_to_cpu(addr_low(a->addr));
	ph = bpf_be64_to_cpu(addr_high(conf->private_answers[i].addr));
	pl = bpf_be64_to_cpu(addr_low(conf->private_answers[i].addr));
	bits = conf->private_answers[i].prefix;
	if (bits > 128)
		return 0;
	mh = bits >= 64 ? ~0ULL : bits ? ~0ULL << ((64 - bits) & 63) : 0;
	ml = bits >= 128 ? ~0ULL : bits > 64 ? ~0ULL << ((128 - bits) & 63) : 0;
	return ((ah ^ ph) & mh) == 0 && ((al ^ pl) & ml) == 0;
}

__noinline int addr_private_ok(__u32 policy, const struct sp_addr *a)
{
	__u32 i;

	for (i = 0; i < SP_PRIVATE_MAX; i++)
		if (private_covers(policy, a, i))
			return 1;
	return 0;
}

#define SP_STATIC (~0ULL) /* expiry of what dns.static teaches (userspace/lib/kernel/box.c) */

/*
 * The destination stays on this host, and a name allowed it: does the policy mean that? It does if
 * it has the address itself, in dns.static or dns.private_answers. A name that was resolved to what
 * became an address of this host's later, or is one that nobody listed, opens no service here. (Of
 * an address at which nobody here listens the caller says nothing: it may be a transparent
 * proxy's.)
 */
__noinline int decide_name_here(const struct sp_ctx *c)
{
	struct sp_pair_value *v;
	struct sp_pair k;
	__u32 slot;
	void *inner;

	if (!c)
		return 0;
	slot = c->sandbox;
	inner = bpf_map_lookup_elem(&learned_pairs, &slot);
	addr_copy(k.addr, c->daddr);
	k.name = c->name;
	v = inner ? bpf_map_lookup_elem(inner, &k) : NULL;
	if (v && v->generation == c->generation && v->expires == SP_STATIC)
		return 1;
	return addr_private_ok(c->policy, (const struct sp_addr *)c->daddr);
}

/* A name at handshake time is believed a little longer than its answer lives: it was checked at
 * SYN. A connection that was judged for this very name goes on with it. */
#define SP_HANDSHAKE_GRACE_NS 60000000000ULL

/*
 * May the name in s->name be reached at (daddr, dport) over TCP? It must have been resolved to this
 * address here, and its rules must allow the port. `judged` is the name that the connection stands
 * on (0: none yet), `mismatch` the reason if it was not resolved.
 */
__noinline int decide_name(struct sp_ctx *c, const struct sp_scratch *s, __u64 judged,
			   __u32 mismatch)
{
	struct sp_policy_conf *conf;
	struct sp_pair_value *v;
	struct sp_match m;
	struct sp_pair k;
	__u32 slot, acl, known;
	void *inner;

	if (!c || !s)
		return 0;
	conf = policy_conf(c->policy);
	if (!conf)
		return 0;
	slot = c->sandbox;
	inner = bpf_map_lookup_elem(&learned_pairs, &slot);
	addr_copy(k.addr, c->daddr);
	k.name = s->name.hash[0];
	v = inner ? bpf_map_lookup_elem(inner, &k) : NULL;
	known = judged && judged == k.name;
	if (v && v->generation != c->generation)
		v = NULL;
	if (v && v->expires < c->now && c->now - v->expires > SP_HANDSHAKE_GRACE_NS && !known) {
		v = NULL;
		mismatch = SP_REASON_EXPIRED;
	}
	acl = v ? v->acl : name_acl(&s->name, c->policy);
	sp_match_default(&m, conf->default_action);
	cidr_match(c, conf, SP_PROTOCOL_TCP, &m);
	acl_match(c->policy, acl, c->dport, SP_PROTOCOL_TCP, &m);
	c->action = m.action;
	c->rule = m.rule;
	c->order = m.order;
	c->name = k.name;
	c->reason = m.order == SP_ORDER_LAST ? SP_REASON_DEFAULT : SP_REASON_RULE;
	if (m.action == SP_ACTION_ALLOW && !v && !known) {
		c->action = SP_ACTION_DENY;
		c->reason = mismatch;
		c->rule = SP_RULE_DEFAULT;
	}
	return c->action == SP_ACTION_ALLOW;
}

/*
 * A flow that an address rule or the default allowed names a host: is that host denied by a rule of
 * lower order than `order`? Returns 1 if it may go on.
 */
__noinline int decide_not_denied(struct sp_ctx *c, const struct sp_scratch *s, __u32 order)
{
	struct sp_match m;

	if (!c || !s)
		return 0;
	sp_match_default(&m, SP_ACTION_ALLOW);
	m.order = order;
	acl_match(c->policy, name_acl(&s->name, c->policy), c->dport, SP_PROTOCOL_TCP, &m);
	c->name = s->name.hash[0];
	if (m.action == SP_ACTION_ALLOW)
		return 1;
	c->rule = m.rule;
	c->reason = SP_REASON_RULE;
	return 0;
}

/*
 * A request that is for a proxy to carry on names the host in s->name, or an address (v4, not 0):
 * may that be reached on `port`? By a rule for it: what a name resolves to is the proxy's affair.
 */
__noinline int decide_proxied(struct sp_ctx *c, const struct sp_scratch *s, __u32 v4, __u32 port)
{
	struct sp_policy_conf *conf;
	struct sp_match m;

	if (!c || !s)
		return 0;
	conf = policy_conf(c->policy);
	if (!conf)
		return 0;
	sp_match_default(&m, conf->default_action);
	if (v4) {
		acl_match(c->policy, cidr_acl4(c->policy, v4), port, SP_PROTOCOL_TCP, &m);
	} else {
		acl_match(c->policy, name_acl(&s->name, c->policy), port, SP_PROTOCOL_TCP, &m);
		c->name = s->name.hash[0];
	}
	c->rule = m.rule;
	c->reason = m.action == SP_ACTION_ALLOW ? SP_REASON_RULE : SP_REASON_PROXY;
	return m.action == SP_ACTION_ALLOW;
}

/* `ifindex` is 0 where the interface is not known yet. */
static __always_inline int is_resolver(const struct sp_policy_conf *conf, const __u8 *addr,
				       __u32 ifindex)
{
	__u32 i;

	for (i = 0; i < SP_RESOLVERS_MAX; i++) {
		if (i >= conf->resolvers_len)
			break;
		if (addr_equal(conf->resolvers[i].addr, addr) &&
		    (!conf->resolver_ifs[i] || !ifindex || conf->resolver_ifs[i] == ifindex))
			return 1;
	}
	return 0;
}

#endif
