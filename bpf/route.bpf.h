/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * route.bpf.h - does a packet leave by an interface that the routes name for its destination?
 *
 * Addresses alone do not say where a packet goes. With IP_PKTINFO beside the data, or a link-local
 * source, the sender chooses the interface, and whoever on that link answers for an allowed address
 * gets what is sent to it; a "resolver" there teaches what it likes. No program at these hooks can
 * look up a route, so user space mirrors those of the home network namespace (routes.c): for each
 * prefix the interfaces that it may be reached by, whatever the metric.
 *
 * Asked once for a connection, at its SYN: what interface a TCP socket uses is fixed by then. Of
 * datagrams each says anew; those that leave by the interface that the socket's first one left by,
 * to the destination that is settled, take the short way.
 */
#ifndef SP_ROUTE_BPF_H
#define SP_ROUTE_BPF_H

#include "scratch.bpf.h"

struct inner_routes {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SP_ROUTES_MAX);
	__uint(key_size, sizeof(struct sp_route_key));
	__uint(value_size, sizeof(struct sp_route));
};

SP_OUTER(routes, inner_routes);

/* 1 or 0. Only for packets of sockets born in the home network namespace. */
__noinline int route_names(const struct sp_ctx *c)
{
	struct sp_route_key k = {.prefix = 128};
	struct sp_sandbox *b;
	struct sp_route *r;
	__u32 slot, i;
	void *inner;

	if (!c)
		return 0;
	slot = c->sandbox;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (!b)
		return 0;
	if (b->any_interface & (addr_is_v4(c->daddr) ? SP_ANY_INTERFACE_V4 : SP_ANY_INTERFACE_V6))
		return 1;
	inner = bpf_map_lookup_elem(&routes, &slot);
	if (!inner)
		return 0;
	__builtin_memcpy(k.addr, c->daddr, 16);
	r = bpf_map_lookup_elem(inner, &k);
	if (!r)
		return 0;
	if (r->count > SP_ROUTE_IFS_MAX)
		return 1;
	for (i = 0; i < SP_ROUTE_IFS_MAX; i++)
		if (i < r->count && r->ifindex[i] == c->ifindex)
			return 1;
	return 0;
}

/*
 * Is this the interface of the socket's first datagram? Only of such is anything settled: what is
 * settled is one word, and has no room for an interface.
 */
static __always_inline int flow_interface(struct sp_flow *f, __u32 ifindex)
{
	if (!f->ifindex)
		__sync_val_compare_and_swap(&f->ifindex, 0, ifindex);
	return f->ifindex == ifindex;
}

#endif
