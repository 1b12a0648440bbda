/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tables.bpf.h - where walk.h finds a compiled policy in the kernel: the inner maps of its slot. */
#ifndef SP_TABLES_BPF_H
#define SP_TABLES_BPF_H

#include "maps.bpf.h"

struct sp_tables {
	__u32 policy; /* slot */
};

#define SP_TABLE_LOOKUP(outer, t, i)                                                               \
	({                                                                                         \
		__u32 slot_ = (t)->policy, key_ = (i);                                             \
		void *inner_ = bpf_map_lookup_elem(&(outer), &slot_);                              \
		inner_ ? bpf_map_lookup_elem(inner_, &key_) : (void *)0;                           \
	})

SP_INLINE const struct sp_bucket *sp_tables_bucket(const struct sp_tables *t, __u32 i)
{
	return SP_TABLE_LOOKUP(policy_buckets, t, i);
}

SP_INLINE const struct sp_node *sp_tables_node(const struct sp_tables *t, __u32 i)
{
	return SP_TABLE_LOOKUP(policy_nodes, t, i);
}

SP_INLINE const struct sp_acl *sp_tables_acl(const struct sp_tables *t, __u32 i)
{
	return SP_TABLE_LOOKUP(policy_acls, t, i);
}

SP_INLINE const struct sp_acl_entry *sp_tables_entry(const struct sp_tables *t, __u32 i)
{
	return SP_TABLE_LOOKUP(policy_entries, t, i);
}

#endif
