/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learn.bpf.h - from an allowed query to the addresses that its answer teaches.
 *
 * dns_judge() decides a query and remembers it (socket, id, question, resolver). answer_learn()
 * takes an answer only if it matches such a query, and learns an address only if it stands at the
 * end of the CNAME chain from the question and is not in a special range. What is learned is
 * (address, name) pairs with an expiry; a full map is swept of what has expired, at most once a
 * second, and if that does not help nothing more is learned, so that a full map denies.
 */
#ifndef SP_LEARN_BPF_H
#define SP_LEARN_BPF_H

#include "decide.bpf.h"

#define SP_SECOND_NS 1000000000ULL
#define SP_FOR_EVER (SP_STATIC - 1)	  /* for a place at its address dns.static goes before it */
#define SP_PENDING_NS (20 * SP_SECOND_NS) /* a query is waited for this long */

/* ---- sweeping ------------------------------------------------------------------------------- */

/* All four values that can expire start with, or are scanned for, their expiry. */
static long sweep_addr(void *map, const void *key, struct sp_learned *v, void *unused)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 i;

	(void)unused;
	for (i = 0; i < SP_LEARNED_PER_ADDR; i++)
		if (v->names[i].expires >= now)
			return 0;
	bpf_map_delete_elem(map, key);
	return 0;
}

/* the kernel says what a callback takes: NOLINTNEXTLINE(readability-non-const-parameter) */
static long sweep_first(void *map, const void *key, __u64 *v, void *unused)
{
	(void)unused;
	if (*v < bpf_ktime_get_ns())
		bpf_map_delete_elem(map, key);
	return 0;
}

/* Removes what has expired from the maps of a sandbox. Returns 1 if it did, 0 if it is too soon. */
__noinline int sweep_sandbox(__u32 slot, __u64 now)
{
	struct sp_sandbox *b = bpf_map_lookup_elem(&sandboxes, &slot);
	void *inner;

	if (!b || now - b->last_sweep_ns < SP_SECOND_NS)
		return 0;
	b->last_sweep_ns = now;
	inner = bpf_map_lookup_elem(&learned_addrs, &slot);
	if (inner)
		bpf_for_each_map_elem(inner, sweep_addr, NULL, 0);
	inner = bpf_map_lookup_elem(&learned_pairs, &slot);
	if (inner)
		bpf_for_each_map_elem(inner, sweep_first, NULL, 0);
	inner = bpf_map_lookup_elem(&learned_names, &slot);
	if (inner)
		bpf_for_each_map_elem(inner, sweep_first, NULL, 0);
	inner = bpf_map_lookup_elem(&pending, &slot);
	if (inner)
		bpf_for_each_map_elem(inner, sweep_first, NULL, 0);
	return 1;
}

/* ---- queries -------------------------------------------------------------------------------- */

/*
 * A query as one word in the flow of its socket, which threads take from each other as a whole: 39
 * bits of a keyed hash of all that its answer is held against, and 24 of the time. What the name
 * may do is looked up again when the answer is there.
 */
#define SP_WAITING_TIME 0xffffffULL
#define SP_WAITING_UNIT 30 /* of the time, as a power of two of ns: 1.07 s */

__noinline __u64 waiting_word(const struct sp_ctx *c, const struct sp_scratch *s,
			      const struct sp_addr *resolver)
{
	__u64 v[4], high, x;

	if (!c || !s || !resolver)
		return 0;
	/* from where the hash of the whole name ends: two words more, whatever the name */
	v[0] = s->name.v[0];
	v[1] = s->name.v[1];
	v[2] = s->name.v[2];
	v[3] = s->name.v[3];
	high = addr_high(resolver->addr);
	/* not every pair of addresses differs in this, but any two that an operator trusts */
	sp_sip_word(v, addr_low(resolver->addr) ^ SP_ROTL(high, 32));
	/* an answer comes in by the interface that its query left by */
	sp_sip_word(v, (__u64)(c->generation ^ c->ifindex) << 32 | (__u32)s->dns.id << 16 |
			       s->dns.type);
	x = sp_sip_end(v) | (SP_WAITING_TIME + 1); /* never 0 */
	return (x & ~SP_WAITING_TIME) | (c->now >> SP_WAITING_UNIT & SP_WAITING_TIME);
}

static __always_inline int waiting_over(__u64 word, __u64 now)
{
	return (((now >> SP_WAITING_UNIT) - word) & SP_WAITING_TIME) > SP_PENDING_NS >>
	       SP_WAITING_UNIT;
}

static __always_inline int waiting_same(__u64 a, __u64 b)
{
	return !((a ^ b) & ~SP_WAITING_TIME);
}

/* Puts a query in a place of the flow that is free, or holds itself, or is waited for no more. */
__noinline int waiting_put(struct sp_flow *f, __u64 word, __u64 now)
{
	__u32 i;

	if (!f)
		return 0;
	for (i = 0; i < SP_WAITING_MAX; i++) {
		__u64 old = *(volatile __u64 *)&f->waiting[i];

		if (old && !waiting_same(old, word) && !waiting_over(old, now))
			continue;
		if (__sync_val_compare_and_swap(&f->waiting[i], old, word) == old)
			return 1;
	}
	return 0;
}

/* Takes a query out of the flow: 1, or 0 if it is not there. */
__noinline int waiting_take(struct sp_flow *f, __u64 word, __u64 now)
{
	__u32 i;

	if (!f)
		return 0;
	for (i = 0; i < SP_WAITING_MAX; i++) {
		__u64 old = *(volatile __u64 *)&f->waiting[i];

		if (!old || !waiting_same(old, word) || waiting_over(old, now))
			continue;
		if (__sync_val_compare_and_swap(&f->waiting[i], old, 0) == old)
			return 1;
	}
	return 0;
}

/*
 * Remembers that the question in s->name was let out: in the flow, or, if that waits for others
 * already, in the map of the sandbox, which costs an allocation. Returns 1, or 0 if there is no
 * room.
 */
__noinline int pending_add(const struct sp_ctx *c, const struct sp_scratch *s, struct sp_flow *f)
{
	struct sp_pending_key k = {};
	struct sp_pending v = {};
	__u32 slot;
	void *inner;
	int r;

	if (!c || !s || !f)
		return 0;
	slot = c->sandbox;
	k.cookie = c->cookie;
	k.name = s->name.hash[0];
	k.id = s->dns.id;
	k.type = s->dns.type;
	v.expires = c->now + SP_PENDING_NS;
	if (f->asked_port == 53)
		addr_copy(v.resolver, f->asked);
	else
		addr_copy(v.resolver, c->daddr);
	v.acl = c->acl;
	v.rule = c->rule;
	v.generation = c->generation;
	v.ifindex = c->ifindex;
	if (waiting_put(f, waiting_word(c, s, (struct sp_addr *)v.resolver), c->now))
		return 1;
	inner = bpf_map_lookup_elem(&pending, &slot);
	if (!inner)
		return 0;
	r = bpf_map_update_elem(inner, &k, &v, BPF_ANY);
	if (r && sweep_sandbox(slot, c->now)) {
		inner = bpf_map_lookup_elem(&pending, &slot);
		if (!inner)
			return 0;
		r = bpf_map_update_elem(inner, &k, &v, BPF_ANY);
	}
	return r == 0;
}

/* One label of a reverse name as a number 0..255 (base 10) or 0..15 (one hex digit); -1: neither.
 */
__noinline int ptr_label(const struct sp_name *n, __u32 i, __u32 hex)
{
	__u32 pos, len, j, v = 0;

	if (!n || i >= SP_LABELS_MAX)
		return -1;
	pos = n->start[i];
	len = n->wire[pos & 0xff];
	if (len < 1 || len > 3 || (hex && len != 1))
		return -1;
	if (len > 1 && n->wire[(pos + 1) & 0xff] == '0')
		return -1; /* one address, one name: zeros in front would choose among several */
	for (j = 0; j < 3; j++) {
		__u32 ch;

		if (j >= len)
			break;
		ch = n->wire[(pos + 1 + j) & 0xff];
		if (ch >= '0' && ch <= '9')
			v = v * (hex ? 16 : 10) + (ch - '0');
		else if (hex && ch >= 'a' && ch <= 'f')
			v = v * 16 + (ch - 'a' + 10);
		else
			return -1;
	}
	return v > 255 ? -1 : (int)v;
}

/*
 * The zone under which the labels stand: "in-addr.arpa" or "ip6.arpa", as wire words at
 * n->start[i]; of the second word only the bytes of `mask` count, the root byte the last of them.
 */
static __always_inline int ptr_zone(const struct sp_name *n, __u32 i, __u64 first, __u64 second,
				    __u64 mask)
{
	__u32 pos;

	if (i >= SP_LABELS_MAX)
		return 0;
	pos = n->start[i];
	return sp_load64(&n->wire[pos & 0xff]) == first &&
	       (sp_load64(&n->wire[(pos + 8) & 0xff]) & mask) == second;
}

/* May the reverse name in s->name be asked for: is it that of an address this sandbox has learned?
 */
__noinline int ptr_allowed(const struct sp_ctx *c, const struct sp_scratch *s)
{
	struct sp_addr a = {};
	__u32 slot, i;
	void *inner;
	int v, w;

	if (!c || !s)
		return 0;
	slot = c->sandbox;
	if (s->name.labels == 6 &&
	    ptr_zone(&s->name, 4, SP_WORD(7, 'i', 'n', '-', 'a', 'd', 'd', 'r'),
		     SP_WORD(4, 'a', 'r', 'p', 'a', 0, 0, 0), 0xffffffffffffULL)) {
		a.addr[10] = 0xff;
		a.addr[11] = 0xff;
		for (i = 0; i < 4; i++) {
			v = ptr_label(&s->name, i, 0);
			if (v < 0)
				return 0;
			a.addr[15 - i] = v;
		}
	} else if (s->name.labels == 34 &&
		   ptr_zone(&s->name, 32, SP_WORD(3, 'i', 'p', '6', 4, 'a', 'r', 'p'),
			    SP_WORD('a', 0, 0, 0, 0, 0, 0, 0), 0xffffULL)) {
		for (i = 0; i < 16; i++) {
			v = ptr_label(&s->name, 2 * i, 1);
			w = ptr_label(&s->name, 2 * i + 1, 1);
			if (v < 0 || w < 0)
				return 0;
			a.addr[15 - i] = v | w << 4;
		}
	} else {
		return 0;
	}
	inner = bpf_map_lookup_elem(&learned_addrs, &slot);
	return inner && bpf_map_lookup_elem(inner, &a) ? 1 : 0;
}

static __always_inline int query_type_allowed(const struct sp_policy_conf *conf, __u32 type)
{
	if (type < 256)
		return conf->query_types[(type >> 6) & 3] >> (type & 63) & 1;
	if (type < 320)
		return conf->query_types_high >> (type & 63) & 1;
	return 0;
}

/*
 * Decides the DNS query in s->stream. Returns 1 if it may go out. Otherwise reason, rule and the
 * answer it should get are in c; c->malformed says that it is no query that one could answer.
 */
__noinline int dns_judge(struct sp_ctx *c, struct sp_scratch *s)
{
	struct sp_tables t;
	struct sp_policy_conf *conf;
	const struct sp_acl *acl;
	int r, typed;

	if (!c || !s)
		return 0;
	t.policy = c->policy;
	c->kind = SP_EVENT_DNS;
	c->action = SP_ACTION_DENY;
	c->rule = SP_RULE_DEFAULT;
	c->malformed = 1;
	c->acl = 0;
	c->name_len = 0;
	c->sni_len = 0;
	conf = policy_conf(c->policy);
	if (!conf)
		return 0;
	if (s->stream.len > SP_DNS_QUERY_MAX) {
		c->reason = SP_REASON_DNS_TRAILING;
		return 0;
	}
	r = sp_dns_query(&s->stream, &s->dns, &s->name);
	if (r != SP_DONE) {
		c->reason = -r;
		return 0;
	}
	c->malformed = 0;
	c->name_len = s->name.len;
	c->detail = s->dns.type;
	c->answer = conf->denied_answer;
	typed = query_type_allowed(conf, s->dns.type);
	if (typed && s->dns.type == SP_TYPE_PTR && ptr_allowed(c, s)) {
		c->action = SP_ACTION_ALLOW;
		c->reason = SP_REASON_DNS_PTR;
		return 1;
	}
	c->acl = name_acl(&s->name, c->policy);
	acl = c->acl ? sp_tables_acl(&t, c->acl) : NULL;
	if (acl) {
		c->action = acl->dns_action;
		c->rule = acl->dns_rule;
	} else {
		c->action = conf->default_action;
	}
	c->reason = c->rule == SP_RULE_DEFAULT ? SP_REASON_DEFAULT : SP_REASON_RULE;
	if (c->action != SP_ACTION_ALLOW) {
		if (s->dns.type == SP_TYPE_PTR && c->rule == SP_RULE_DEFAULT)
			c->reason = SP_REASON_DNS_PTR;
		return 0;
	}
	/* the name exists, and has nothing of this type: of an NXDOMAIN clients think that it is
	 * not */
	if (!typed || (conf->ech != SP_ECH_OUTER &&
		       (s->dns.type == SP_TYPE_HTTPS || s->dns.type == SP_TYPE_SVCB))) {
		c->answer = SP_ANSWER_EMPTY;
		c->action = SP_ACTION_DENY;
		c->reason = !typed			? SP_REASON_DNS_TYPE
			    : conf->ech == SP_ECH_STRIP ? SP_REASON_DNS_STRIPPED
							: SP_REASON_TLS_ECH;
		c->rule = SP_RULE_DEFAULT;
		return 0;
	}
	return 1;
}

/* ---- answers -------------------------------------------------------------------------------- */

static __always_inline int v4_special(__u32 v4)
{
	__u32 a = bpf_ntohl(v4);

	return a >> 24 == 0 || a >> 24 == 10 || a >> 24 == 127 || a >> 29 == 7 ||
	       a >> 22 == (100u << 2 | 1) || a >> 16 == (169u << 8 | 254) ||
	       a >> 20 == (172u << 4 | 1) || a >> 16 == (192u << 8 | 168) ||
	       /* protocol assignments (RFC 6890), one cloud's metadata among them; another's */
	       a >> 8 == (192u << 16) || a == (168u << 24 | 63u << 16 | 129u << 8 | 16);
}

/* Is the address one of this host's own? */
__noinline int addr_own(const struct sp_policy_conf *conf, const struct sp_dns *d)
{
	__u32 i;

	if (!conf || !d)
		return 1;
	for (i = 0; i < SP_OWN_MAX; i++) {
		if (i >= conf->own_len)
			break;
		if (addr_equal(conf->own[i].addr, d->address))
			return 1;
	}
	return 0;
}

/* Is this an address that a name must not resolve to (rebinding), private_answers aside? */
__noinline int addr_special(const struct sp_dns *d)
{
	const __u8 *a;
	__u32 v4;

	if (!d)
		return 1;
	a = d->address;
	if (addr_is_v4(a))
		return v4_special(*(const __u32 *)(a + 12));
	if (addr_high(a) == 0)
		return 1; /* ::/64: unspecified, loopback, v4-compatible, v4-translated (RFC 2765)
			   */
	if ((a[0] & 0xfe) == 0xfc || a[0] == 0xff)
		return 1; /* unique local, multicast */
	if (a[0] == 0xfe && a[1] & 0x80)
		return 1; /* link-local, and site-local of old */
	if (*(const __u32 *)a == bpf_htonl(0x20010000))
		return 1; /* Teredo (RFC 4380) */
	if (*(const __u32 *)a == bpf_htonl(0x0064ff9b) && *(const __u64 *)(a + 4))
		return 1; /* local-use translation prefix (RFC 8215) */
	v4 = addr_embedded(a);
	if (v4 || (a[0] == 0x20 && a[1] == 0x02))
		return v4_special(v4);
	return 0;
}

/* How gladly place i of an address is given up for `name`: 0 is its own, 1 is free, else its
 * expiry. */
__noinline __u64 learned_rank(const struct sp_learned *l, __u32 i, __u64 name, __u32 generation,
			      __u64 now)
{
	if (!l || i >= SP_LEARNED_PER_ADDR)
		return ~0ULL;
	if (l->names[i].name == name)
		return 0;
	if (l->names[i].generation != generation || l->names[i].expires < now)
		return 1;
	return l->names[i].expires;
}

/* The place to put c->name in, or SP_LEARNED_PER_ADDR if all are taken for ever. */
__noinline __u32 learned_place(const struct sp_learned *l, const struct sp_ctx *c)
{
	__u32 i, at = SP_LEARNED_PER_ADDR;
	__u64 soonest = ~0ULL;

	if (!l || !c)
		return SP_LEARNED_PER_ADDR;
	for (i = 0; i < SP_LEARNED_PER_ADDR; i++) {
		__u64 rank = learned_rank(l, i, c->name, c->generation, c->now);

		if (rank < soonest) {
			soonest = rank;
			at = i;
		}
		if (!rank)
			break;
	}
	return at;
}

/*
 * Until when an answer holds. SP_FOR_EVER, for the life of the sandbox, where the rule says so; of
 * so many pairs only, since such never make room for others.
 */
__noinline __u64 learned_until(const struct sp_ctx *c, __u32 ttl)
{
	struct sp_policy_conf *conf = c ? policy_conf(c->policy) : NULL;
	struct sp_tables t = {};
	const struct sp_acl *acl;
	struct sp_sandbox *b;
	__u32 slot;

	if (!conf)
		return 0;
	if (ttl < conf->min_ttl)
		ttl = conf->min_ttl;
	if (ttl > conf->max_ttl)
		ttl = conf->max_ttl;
	t.policy = c->policy;
	acl = c->acl ? sp_tables_acl(&t, c->acl) : NULL;
	slot = c->sandbox;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (acl && b && (acl->flags & SP_ACL_KEEP) && b->kept < SP_KEPT_MAX)
		return SP_FOR_EVER;
	return c->now + ttl * SP_SECOND_NS;
}

/* Counts a pair that has become one for ever. */
__noinline int learned_kept(const struct sp_ctx *c)
{
	struct sp_sandbox *b;
	__u32 slot;

	if (!c)
		return 0;
	slot = c->sandbox;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (b)
		__sync_fetch_and_add(&b->kept, 1);
	return 0;
}

/*
 * Learns that s->dns.address belongs to the name c->name (ACL c->acl) until `expires`. Returns 1,
 * or 0 if there is no room. Of more than SP_LEARNED_PER_ADDR names of one address, the one that
 * expires soonest no longer counts for connections without a handshake; its pair stays.
 */
__noinline int learn_pair(const struct sp_ctx *c, struct sp_scratch *s, __u64 expires)
{
	struct sp_scratch *value;
	struct sp_pair_value v = {}, *old;
	struct sp_learned_name *n;
	struct sp_learned *l;
	struct sp_pair k;
	__u32 slot, at, fresh;
	void *inner;

	if (!c || !s)
		return 0;
	slot = c->sandbox;
	addr_copy(k.addr, s->dns.address);
	k.name = c->name;
	v.expires = expires;
	v.acl = c->acl;
	v.generation = c->generation;
	inner = bpf_map_lookup_elem(&learned_pairs, &slot);
	if (!inner)
		return 0;
	/* an answer does not cut short what is known for longer: an earlier answer, dns.static */
	old = bpf_map_lookup_elem(inner, &k);
	fresh = expires == SP_FOR_EVER &&
		!(old && old->generation == c->generation && old->expires >= SP_FOR_EVER);
	if (old && old->generation == c->generation && old->expires > expires) {
		expires = old->expires;
		v.expires = expires;
	}
	/*
	 * Of what is known only the expiry changes, in place: an update would allocate it anew. Not
	 * of what a sweep may be removing just now, whose memory would be another pair's.
	 */
	if (old && old->generation == c->generation && old->acl == c->acl &&
	    old->expires > c->now + SP_SECOND_NS)
		*(volatile __u64 *)&old->expires = expires;
	else if (bpf_map_update_elem(inner, &k, &v, BPF_ANY))
		return 0;
	if (fresh)
		learned_kept(c);
	inner = bpf_map_lookup_elem(&learned_addrs, &slot);
	if (!inner)
		return 0;
	/* the address is the first part of the pair */
	l = bpf_map_lookup_elem(inner, k.addr);
	if (!l) {
		value = scratch_value(s);
		if (!value)
			return 0;
		n = &value->fresh.names[0]; /* the other places stay zero */
		n->name = c->name;
		n->expires = expires;
		n->acl = c->acl;
		n->generation = c->generation;
		return bpf_map_update_elem(inner, k.addr, &value->fresh, BPF_ANY) == 0;
	}
	at = learned_place(l, c);
	if (at >= SP_LEARNED_PER_ADDR)
		return 1; /* eight names of dns.static: the pair alone has to do */
	n = &l->names[at & (SP_LEARNED_PER_ADDR - 1)];
	/* no reader may see the new name with the old ACL: an expiry of 0 is a free place */
	n->expires = 0;
	barrier();
	n->name = c->name;
	n->acl = c->acl;
	n->generation = c->generation;
	barrier();
	n->expires = expires;
	return 1;
}

/* Removes what earlier names have left behind the one in s->text. */
__noinline int text_clean(struct sp_scratch *s)
{
	__u32 i, end;

	if (!s)
		return 0;
	end = (s->text.len + 7) & ~7u;
	for (i = 0; i < 256; i += 8) {
		__u32 at = end + i;

		SP_BARRIER(at);
		if (at > 248)
			break;
		sp_store64(&s->text.wire[at], 0);
	}
	return 0;
}

/* Remembers the text of the name, for events. Failing is no harm: events then lack the name. */
__noinline int learn_text(const struct sp_ctx *c, const struct sp_scratch *s, __u64 expires)
{
	struct sp_scratch *value;
	struct sp_name_text *t;
	__u32 slot;
	__u64 hash;
	void *inner;

	if (!c || !s)
		return 0;
	value = scratch_value(s);
	if (!value)
		return 0;
	slot = c->sandbox;
	hash = c->name;
	inner = bpf_map_lookup_elem(&learned_names, &slot);
	if (!inner)
		return 0;
	t = bpf_map_lookup_elem(inner, &hash);
	if (t) {
		if (t->expires < expires)
			t->expires = expires;
		return 1;
	}
	text_clean(value);
	return bpf_map_update_elem(inner, &hash, &value->text, BPF_ANY) == 0;
}

/*
 * The next record of the answer: learns the address in it, if it is one. SP_MORE, or SP_DONE at the
 * end, or if the rest cannot be read or has no room; c->reason says why not, c->detail counts
 * addresses taught.
 */
__noinline int answer_step(struct sp_ctx *c, struct sp_scratch *s, const struct sp_stream *in)
{
	struct sp_policy_conf *conf;
	__u64 expires;
	int r;

	if (!c || !s || !in)
		return SP_DONE;
	conf = policy_conf(c->policy);
	if (!conf)
		return SP_DONE;
	r = sp_answer_next(in, &s->dns, &s->name);
	if (r < 0) {
		c->reason = -r;
		return SP_DONE;
	}
	if (r == SP_RECORD_AGAIN)
		c->detail = 0;
	if (r != SP_RECORD_ADDRESS)
		return r == SP_DONE ? SP_DONE : SP_MORE;
	if ((addr_special(&s->dns) || addr_own(conf, &s->dns)) &&
	    !addr_private_ok(c->policy, (const struct sp_addr *)s->dns.address)) {
		c->reason = SP_REASON_REBINDING;
		return SP_MORE;
	}
	expires = learned_until(c, s->dns.ttl);
	r = learn_pair(c, s, expires);
	if (!r && sweep_sandbox(c->sandbox, c->now))
		r = learn_pair(c, s, expires);
	if (!r) {
		c->reason = SP_REASON_LEARNED_FULL;
		return SP_DONE;
	}
	if (!c->detail) {
		s->text.expires = expires;
		learn_text(c, s, expires);
	}
	c->detail++;
	return SP_MORE;
}

/*
 * Does the answer whose question is in s->name match a query of this socket? Takes the query off
 * the list and its ACL and rule into c.
 */
__noinline int answer_asked(struct sp_ctx *c, const struct sp_scratch *s)
{
	struct sp_pending_key k = {};
	struct sp_pending *p;
	__u32 slot;
	void *inner;

	if (!c || !s)
		return 0;
	slot = c->sandbox;
	inner = bpf_map_lookup_elem(&pending, &slot);
	if (!inner)
		return 0;
	k.cookie = c->cookie;
	k.name = s->name.hash[0];
	k.id = s->dns.id;
	k.type = s->dns.type;
	p = bpf_map_lookup_elem(inner, &k);
	if (!p || !addr_equal(p->resolver, c->daddr) || p->generation != c->generation ||
	    p->ifindex != c->ifindex || p->expires < c->now)
		return 0;
	c->acl = p->acl;
	c->rule = p->rule;
	bpf_map_delete_elem(inner, &k);
	return 1;
}

/* Is it a resolver that the answer came from? A call: the verifier goes through a loop in it once.
 */
__noinline int answer_trusted(const struct sp_ctx *c)
{
	struct sp_policy_conf *conf = c ? policy_conf(c->policy) : NULL;

	return conf && is_resolver(conf, c->daddr, c->ifindex);
}

/* answer_asked() of a query that waits in the flow: the policy says once more what its name may. */
__noinline int answer_waited(struct sp_ctx *c, const struct sp_scratch *s, struct sp_flow *f)
{
	struct sp_tables t;
	const struct sp_acl *acl;

	if (!c || !s || !f ||
	    !waiting_take(f, waiting_word(c, s, (const struct sp_addr *)c->daddr), c->now))
		return 0;
	t.policy = c->policy;
	c->acl = name_acl(&s->name, c->policy);
	acl = c->acl ? sp_tables_acl(&t, c->acl) : NULL;
	if (acl)
		c->rule = acl->dns_rule;
	return 1;
}

/* A name in wire form by whole words; what lies behind it in the last of them comes along. */
static __always_inline void name_copy(__u8 *to, const __u8 *from, __u32 len)
{
	__u32 i;

	for (i = 0; i < SP_NAME_MAX + 1; i += 8) {
		SP_BARRIER(len); /* else the loop is taken for a memmove() */
		if (i >= len)
			break;
		sp_store64(to + i, sp_load64(from + i));
	}
}

/* Moves the question's name out of the way of the parser, or back. */
__noinline int question_keep(struct sp_scratch *s)
{
	if (!s)
		return 0;
	name_copy(s->text.wire, s->name.wire, s->name.len);
	s->text.len = s->name.len;
	s->text.zero = 0;
	return 0;
}

__noinline int question_restore(struct sp_scratch *s)
{
	if (!s)
		return 0;
	name_copy(s->name.wire, s->text.wire, s->text.len);
	s->name.len = s->text.len;
	return 0;
}

/*
 * Puts the owner of the address that was passed over where the event finds it, as text: the one
 * that answer_learn() tells of if it can say nothing better.
 */
__noinline int answer_owner(struct sp_ctx *c, struct sp_scratch *s, const struct sp_stream *in)
{
	__u32 i, at;

	if (!c || !s || !in)
		return 0;
	if (sp_dns_unpack(in, &s->dns, &s->name, s->dns.aside) != SP_DONE || s->name.len < 2)
		return 0;
	for (i = 1; i < SP_LABELS_MAX; i++) {
		if (i >= s->name.labels)
			break;
		at = s->name.start[i];
		s->name.wire[at] = '.';
	}
	copy_words(s->stream.data, s->name.wire + 1, 256);
	c->sni_off = 0;
	c->sni_len = s->name.len - 2;
	return 0;
}

/*
 * Reads the answer in `in`. c->daddr is the resolver it came from. c->detail is then how many
 * addresses it taught; c->reason is NONE if there is nothing to tell.
 */
__noinline int answer_learn(struct sp_ctx *c, struct sp_scratch *s, const struct sp_stream *in,
			    struct sp_flow *f)
{
	__u32 i;
	int r;

	if (!c || !s || !in || !f)
		return 0;
	c->kind = SP_EVENT_ANSWER;
	c->rule = SP_RULE_DEFAULT;
	c->name = 0;
	c->name_len = 0;
	c->sni_len = 0;
	c->detail = 0;
	c->reason = SP_REASON_ANSWER_MALFORMED;
	r = sp_dns_answer(in, &s->dns, &s->name);
	if (r < 0)
		return 0;
	c->reason = SP_REASON_ANSWER_UNASKED;
	c->name_len = s->name.len;
	if (!answer_trusted(c))
		return 0;
	if (!answer_waited(c, s, f) && !answer_asked(c, s))
		return 0;
	c->name = s->name.hash[0];
	c->reason = SP_REASON_NONE;
	if (r == SP_MORE)
		return 0; /* an error code: nothing to learn */
	question_keep(s);
	for (i = 0; i < SP_RRS_MAX; i++)
		if (answer_step(c, s, in) != SP_MORE)
			break;
	if (c->reason == SP_REASON_NONE && i == SP_RRS_MAX &&
	    (s->dns.again || s->dns.seen < s->dns.answers)) {
		c->reason = SP_REASON_ANSWER_LONG;
	} else if (c->reason == SP_REASON_NONE && !c->detail && s->dns.aside) {
		c->reason = SP_REASON_ANSWER_OWNER;
		answer_owner(c, s, in);
	}
	question_restore(s); /* for the event */
	c->name_len = s->name.len;
	if (c->detail && c->reason == SP_REASON_NONE)
		c->reason = SP_REASON_ANSWER_LEARNED;
	return 1;
}

/* Tells of an answer that was read: that it taught something, or why it did not. */
__noinline int answer_emit(const struct sp_ctx *c, const struct sp_flow *f, struct sp_scratch *s)
{
	if (!c || c->reason == SP_REASON_NONE)
		return 0;
	return event_emit(c, f, s,
			  c->reason == SP_REASON_ANSWER_LEARNED ? SP_VERDICT_ALLOWED
			  : c->mode == SP_MODE_AUDIT_ONLY	? SP_VERDICT_WOULD_DENY
								: SP_VERDICT_DENIED);
}

/* Tells of an answer that is not read at all, for its length. */
__noinline int answer_too_long(struct sp_ctx *c, const struct sp_flow *f, struct sp_scratch *s)
{
	if (!c)
		return 0;
	c->kind = SP_EVENT_ANSWER;
	c->reason = SP_REASON_ANSWER_LONG;
	c->rule = SP_RULE_DEFAULT;
	c->name = 0;
	c->name_len = 0;
	c->sni_len = 0;
	c->detail = 0;
	return answer_emit(c, f, s);
}

#endif
