/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk.h - from a name or an address to what the policy says of it.
 *
 * This is the policy look-up of the BPF programs, compiled natively too: user space walks the same
 * compiled image with the same code (sp_image_decide()), so a property test of one is a test of
 * both. What differs is only where the tables are: sp_tables_*() index arrays here, maps there
 * (bpf/tables.bpf.h).
 *
 * A destination is judged by up to two ACLs: that of the name it was learned for, and that of the
 * longest CIDR prefix that covers it. In each the first entry that covers port and protocol
 * answers; of the two answers the one of lower evaluation order stands. Nothing matched: the
 * default.
 */
#ifndef SP_WALK_H
#define SP_WALK_H

#include "parse/name.h"

struct sp_match {
	__u32 order; /* SP_ORDER_LAST: nothing matched */
	__u32 rule;
	__u8 action;
	__u8 flags; /* SP_ENTRY_* of the entry */
	__u16 zero;
};

#ifdef __bpf__
#include "tables.bpf.h"
#else
#include <sallyport/policy.h>

struct sp_tables {
	const struct sp_image *image;
};

SP_INLINE const struct sp_bucket *sp_tables_bucket(const struct sp_tables *t, __u32 i)
{
	return i < t->image->buckets_len ? &t->image->buckets[i] : NULL;
}

SP_INLINE const struct sp_node *sp_tables_node(const struct sp_tables *t, __u32 i)
{
	return i < t->image->nodes_len ? &t->image->nodes[i] : NULL;
}

SP_INLINE const struct sp_acl *sp_tables_acl(const struct sp_tables *t, __u32 i)
{
	return i < t->image->acls_len ? &t->image->acls[i] : NULL;
}

SP_INLINE const struct sp_acl_entry *sp_tables_entry(const struct sp_tables *t, __u32 i)
{
	return i < t->image->entries_len ? &t->image->entries[i] : NULL;
}
#endif

SP_INLINE __u32 sp_bucket_first(__u64 hash, __u32 mask)
{
	return (__u32)hash & mask;
}

SP_INLINE __u32 sp_bucket_second(__u64 hash, __u32 mask)
{
	return (__u32)(hash >> 32) & mask;
}

/* Node of a suffix hash in one bucket; 0: not there. */
SP_INLINE __u32 sp_walk_bucket(const struct sp_tables *t, __u32 index, __u64 hash)
{
	const struct sp_bucket *b = sp_tables_bucket(t, index);
	__u32 i;

	if (!b)
		return 0;
	for (i = 0; i < SP_BUCKET_SLOTS; i++)
		if (b->slot[i].hash == hash && b->slot[i].node)
			return b->slot[i].node;
	return 0;
}

SP_INLINE __u32 sp_walk_suffix(const struct sp_tables *t, __u32 mask, __u64 hash)
{
	__u32 node = sp_walk_bucket(t, sp_bucket_first(hash, mask), hash);

	return node ? node : sp_walk_bucket(t, sp_bucket_second(hash, mask), hash);
}

/* ACL of a node for a name with `more` labels before the node's own. */
SP_INLINE __u32 sp_walk_node(const struct sp_tables *t, __u32 node, __u32 more)
{
	const struct sp_node *n = sp_tables_node(t, node);

	if (!n)
		return 0;
	return more == 0 ? n->exact : more == 1 ? n->one : n->many;
}

/*
 * Looks at one entry: SP_DONE if it covers (port, protocol), with *m set if its order is lower than
 * m's; SP_MORE if it does not.
 */
SP_INLINE int sp_walk_entry(const struct sp_tables *t, __u32 index, __u16 port, __u8 protocol,
			    struct sp_match *m)
{
	const struct sp_acl_entry *e = sp_tables_entry(t, index);

	if (!e)
		return SP_DONE;
	if (!(e->protocols & protocol) || port < e->port_low || port > e->port_high)
		return SP_MORE;
	if ((protocol & SP_LOCAL) && e->action != SP_ACTION_DENY && !(e->flags & SP_ENTRY_LOCAL))
		return SP_MORE;
	if (e->order < m->order) {
		m->order = e->order;
		m->rule = e->rule;
		m->action = e->action;
		m->flags = e->flags;
	}
	return SP_DONE;
}

#ifndef __bpf__
/*
 * First entry of an ACL that covers (port, protocol): sets *m if that is of lower order than m's.
 * bpf/decide.bpf.h has the same loop with the entry as a step.
 */
SP_INLINE void sp_walk_entries(const struct sp_tables *t, __u32 acl_id, __u16 port, __u8 protocol,
			       struct sp_match *m)
{
	const struct sp_acl *acl = acl_id ? sp_tables_acl(t, acl_id) : NULL;
	__u32 i;

	for (i = 0; acl && i < acl->count && i < SP_ACL_MAX; i++)
		if (sp_walk_entry(t, acl->first + i, port, protocol, m) == SP_DONE)
			break;
}
#endif

SP_INLINE void sp_match_default(struct sp_match *m, __u8 action)
{
	m->order = SP_ORDER_LAST;
	m->rule = SP_RULE_DEFAULT;
	m->action = action;
	m->flags = 0;
	m->zero = 0;
}

#ifndef __bpf__
/* ACL id of a scanned name; 0: the default answers. bpf/decide.bpf.h has the same loop as steps. */
SP_INLINE __u32 sp_walk_name(const struct sp_tables *t, const struct sp_policy_conf *conf,
			     const struct sp_name *name)
{
	__u32 i;

	for (i = 0; i < name->labels; i++) {
		__u32 node;

		if (name->labels - i > conf->max_depth)
			continue;
		node = sp_walk_suffix(t, conf->bucket_mask, name->hash[i]);
		if (node)
			return sp_walk_node(t, node, i);
	}
	return conf->root ? sp_walk_node(t, conf->root, name->labels) : 0;
}
#endif

#endif
