/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * routes.h - the routes of the caller's network namespace, mirrored into a map for the packet hook
 * (bpf/route.bpf.h).
 */
#ifndef SALLYPORT_ROUTES_H
#define SALLYPORT_ROUTES_H

#include <stddef.h>
#include <stdint.h>

#include <sallyport/abi.h>

struct sp_routes;

/*
 * Reads the routes into `map` (an LPM trie of struct sp_route_key to struct sp_route, which the
 * mirror takes over, on failure too), says in *any_interface which families it cannot say anything
 * of, and begins to listen for changes. 0 or -errno; on failure the map denies.
 */
int sp_routes_open(int map, uint32_t *any_interface, struct sp_routes **ret_routes);
void sp_routes_close(struct sp_routes *routes);

/* Readable when something has changed; then sp_routes_dispatch() brings the map up to date. */
int sp_routes_fd(const struct sp_routes *routes);
int sp_routes_dispatch(struct sp_routes *routes);

/* ---- for tests ------------------------------------------------------------------------------ */

/* One prefix of the mirror. */
struct sp_route_entry {
	struct sp_route_key key;
	struct sp_route route;
};

struct sp_route_table {
	struct sp_route_entry *entries; /* in the order of their keys, each once */
	size_t len, size;
	uint32_t any; /* SP_ANY_INTERFACE_* */
};

/* Adds the message (RTM_NEWROUTE, RTM_NEWRULE) to a table. 0 or -errno. */
struct nlmsghdr;
int sp_route_table_add(struct sp_route_table *table, const struct nlmsghdr *message);
/* Sorts and unites what was added: after the last message. */
void sp_route_table_finish(struct sp_route_table *table);

#endif
