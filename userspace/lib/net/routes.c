// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * routes.c - which interfaces lead where, for the packet hook, which cannot look up a route.
 *
 * The map holds, for each prefix of table main, every interface that some route to it names,
 * whatever its metric: a route that is only used when another fails is there before it is needed.
 * More specific prefixes hide others, as in the kernel; a prefix that leads nowhere (blackhole,
 * unreachable, prohibit) has no interface. What it cannot say, it says so: the whole family may
 * then leave by any interface (SP_ANY_INTERFACE_*):
 *
 *   policy routing    a rule beside the three that every namespace has; a route in table default;
 *                     a route of type throw
 *   too much          more than SP_ROUTES_MAX prefixes
 *
 * and for a prefix with more than SP_ROUTE_IFS_MAX interfaces, or with nexthop objects that the
 * kernel does not spell out, any.
 *
 * Kept current: the kernel does not tell of each IPv4 route that goes with its interface, so any
 * message about routes, rules, links or addresses makes all be read again, at once if it is the
 * first for a while, and at most every PAUSE_NS. New entries are written before old ones go. When
 * the owner dies the map stays as it is: what it does not name stays denied.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "routes.h"

#define PAUSE_NS 100000000LL
#define REPLY_SECONDS 5
#define BUFFER_SIZE 32768
#define RULE_LOCAL 0
#define RULE_MAIN 32766
#define RULE_DEFAULT 32767

struct sp_routes {
	int map;
	uint32_t *any;
	struct mnl_socket *changes;
	int epoll, timer;
	bool waiting; /* the timer runs */
	int64_t read_ns;
	struct sp_route_table table; /* what is in the map */
};

/* ---- a table -------------------------------------------------------------------------------- */

static uint32_t family_bit(int family)
{
	return family == AF_INET ? SP_ANY_INTERFACE_V4 : SP_ANY_INTERFACE_V6;
}

static void route_name(struct sp_route *route, uint32_t ifindex)
{
	if (!ifindex || route->count > SP_ROUTE_IFS_MAX)
		return;
	for (uint32_t i = 0; i < route->count; i++)
		if (route->ifindex[i] == ifindex)
			return;
	if (route->count < SP_ROUTE_IFS_MAX)
		route->ifindex[route->count] = ifindex;
	route->count++;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sp_route_key));
}

/* An entry for the prefix, added in any case: what is there twice is united at the end. */
static struct sp_route_entry *entry_new(struct sp_route_table *t)
{
	if (t->len == t->size) {
		size_t size = t->size ? 2 * t->size : 64;
		void *more = reallocarray(t->entries, size, sizeof(*t->entries));

		if (!more)
			return NULL;
		t->entries = more;
		t->size = size;
	}
	memset(&t->entries[t->len], 0, sizeof(*t->entries));
	return &t->entries[t->len++];
}

static int keep_attribute(const struct nlattr *attribute, void *data)
{
	const struct nlattr **found = data;
	int type = mnl_attr_get_type(attribute);

	if (type <= RTA_MAX)
		found[type] = attribute;
	return MNL_CB_OK;
}

/* The interfaces of RTA_MULTIPATH: struct rtnexthop, each with attributes of its own behind it. */
static void name_multipath(struct sp_route *route, const struct nlattr *attribute)
{
	const uint8_t *p = mnl_attr_get_payload(attribute);
	size_t left = mnl_attr_get_payload_len(attribute);
	struct rtnexthop hop;

	while (left >= sizeof(hop)) {
		size_t len;

		memcpy(&hop, p, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
			break;
		route_name(route, (uint32_t)hop.rtnh_ifindex);
		len = RTNH_ALIGN((size_t)hop.rtnh_len) < left ? RTNH_ALIGN((size_t)hop.rtnh_len)
							      : left;
		p += len;
		left -= len;
	}
}

static int add_route(struct sp_route_table *t, const struct nlmsghdr *message)
{
	const struct nlattr *found[RTA_MAX + 1] = {NULL};
	const struct rtmsg *rtm;
	struct sp_route_entry *entry;
	uint32_t table;
	size_t bytes;
	bool v4;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*rtm))
		return -EBADMSG;
	rtm = mnl_nlmsg_get_payload(message);
	v4 = rtm->rtm_family == AF_INET;
	if ((!v4 && rtm->rtm_family != AF_INET6) || (rtm->rtm_flags & RTM_F_CLONED))
		return 0;
	mnl_attr_parse(message, sizeof(*rtm), keep_attribute, found);
	table = found[RTA_TABLE] ? mnl_attr_get_u32(found[RTA_TABLE]) : rtm->rtm_table;
	if (table == RT_TABLE_DEFAULT || (table == RT_TABLE_MAIN && rtm->rtm_type == RTN_THROW)) {
		t->any |= family_bit(rtm->rtm_family);
		return 0;
	}
	if (table != RT_TABLE_MAIN)
		return 0;
	entry = entry_new(t);
	if (!entry)
		return -ENOMEM;
	entry->key.prefix = rtm->rtm_dst_len + (v4 ? 96 : 0);
	bytes = found[RTA_DST] ? mnl_attr_get_payload_len(found[RTA_DST]) : 0;
	if (entry->key.prefix > 128 || bytes > (v4 ? 4 : 16))
		return -EBADMSG;
	if (v4)
		memset(entry->key.addr + 10, 0xff, 2);
	if (bytes)
		memcpy(entry->key.addr + (v4 ? 12 : 0), mnl_attr_get_payload(found[RTA_DST]),
		       bytes);
	if (rtm->rtm_type != RTN_UNICAST)
		return 0; /* leads nowhere, or to everybody */
	if (found[RTA_OIF])
		route_name(&entry->route, mnl_attr_get_u32(found[RTA_OIF]));
	if (found[RTA_MULTIPATH])
		name_multipath(&entry->route, found[RTA_MULTIPATH]);
	if (!entry->route.count)
		entry->route.count = SP_ROUTE_IFS_MAX + 1; /* a nexthop object, not spelt out */
	return 0;
}

static int add_rule(struct sp_route_table *t, const struct nlmsghdr *message)
{
	const struct nlattr *found[RTA_MAX + 1] = {NULL};
	const struct fib_rule_hdr *rule;
	uint32_t priority = 0, table;

	_Static_assert(FRA_MAX <= RTA_MAX, "both fit the same array");
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*rule))
		return -EBADMSG;
	rule = mnl_nlmsg_get_payload(message);
	if (rule->family != AF_INET && rule->family != AF_INET6)
		return 0; /* multicast routing has rules too */
	mnl_attr_parse(message, sizeof(*rule), keep_attribute, found);
	table = found[FRA_TABLE] ? mnl_attr_get_u32(found[FRA_TABLE]) : rule->table;
	if (found[FRA_PRIORITY])
		priority = mnl_attr_get_u32(found[FRA_PRIORITY]);
	if (rule->action == FR_ACT_TO_TBL && !rule->src_len && !rule->dst_len && !rule->tos &&
	    !found[FRA_FWMARK] && !found[FRA_IIFNAME] && !found[FRA_OIFNAME] &&
	    !(rule->flags & FIB_RULE_INVERT) &&
	    ((priority == RULE_LOCAL && table == RT_TABLE_LOCAL) ||
	     (priority == RULE_MAIN && table == RT_TABLE_MAIN) ||
	     (priority == RULE_DEFAULT && table == RT_TABLE_DEFAULT)))
		return 0;
	t->any |= family_bit(rule->family);
	return 0;
}

int sp_route_table_add(struct sp_route_table *table, const struct nlmsghdr *message)
{
	if (message->nlmsg_type == RTM_NEWROUTE)
		return add_route(table, message);
	if (message->nlmsg_type == RTM_NEWRULE)
		return add_rule(table, message);
	return 0;
}

static void unite(struct sp_route *into, const struct sp_route *from)
{
	if (from->count > SP_ROUTE_IFS_MAX)
		into->count = from->count;
	for (uint32_t i = 0; i < from->count && i < SP_ROUTE_IFS_MAX; i++)
		route_name(into, from->ifindex[i]);
}

void sp_route_table_finish(struct sp_route_table *t)
{
	size_t len = 0;

	if (t->len)
		qsort(t->entries, t->len, sizeof(*t->entries), compare);
	for (size_t i = 0; i < t->len; i++) {
		if (len && compare(&t->entries[len - 1], &t->entries[i]) == 0)
			unite(&t->entries[len - 1].route, &t->entries[i].route);
		else
			t->entries[len++] = t->entries[i];
	}
	t->len = len;
}

/* ---- reading -------------------------------------------------------------------------------- */

static int on_message(const struct nlmsghdr *message, void *data)
{
	int r = sp_route_table_add(data, message);

	if (r < 0) {
		errno = -r;
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

/* One dump of routes or rules of a family. -EAGAIN: it changed meanwhile. */
static int dump(struct mnl_socket *socket, uint16_t type, int family, struct sp_route_table *t)
{
	char buffer[BUFFER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	unsigned int sequence = (unsigned int)type << 8 | (unsigned int)family;
	struct rtmsg *rtm;
	bool torn = false;
	int r;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = sequence;
	rtm = mnl_nlmsg_put_extra_header(header, sizeof(*rtm)); /* struct fib_rule_hdr is as long */
	rtm->rtm_family = (unsigned char)family;
	while (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		if (errno != EINTR)
			return -errno;
	do {
		ssize_t len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (len < 0 && errno == EINTR) {
			r = MNL_CB_OK;
			continue;
		}
		if (len < 0)
			return -errno;
		torn |= ((struct nlmsghdr *)buffer)->nlmsg_flags & NLM_F_DUMP_INTR;
		r = mnl_cb_run(buffer, (size_t)len, sequence, mnl_socket_get_portid(socket),
			       on_message, t);
		if (r < 0)
			return errno == EINTR ? -EAGAIN : -errno;
	} while (r > MNL_CB_STOP);
	return torn ? -EAGAIN : 0;
}

static int table_read(struct sp_route_table *t)
{
	static const int families[] = {AF_INET, AF_INET6};
	/* Without a route an IPv4 address must not be looked for among those of IPv6. */
	static const struct sp_route_entry all_v4 = {
		.key = {.prefix = 96, .addr = {[10] = 0xff, 0xff}}};
	struct timeval timeout = {.tv_sec = REPLY_SECONDS};
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct sp_route_entry *entry;
	int r = 0;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)) < 0)
		r = -errno;
	for (int i = 0; r == 0 && i < 2; i++) {
		r = dump(socket, RTM_GETROUTE, families[i], t);
		if (r == 0)
			r = dump(socket, RTM_GETRULE, families[i], t);
		if (r == -EOPNOTSUPP || r == -EAFNOSUPPORT) {
			/* a kernel without policy routing, or without the family */
			r = 0;
		}
	}
	if (socket)
		mnl_socket_close(socket);
	if (r)
		return r;
	entry = entry_new(t);
	if (!entry)
		return -ENOMEM;
	*entry = all_v4;
	sp_route_table_finish(t);
	if (t->len > SP_ROUTES_MAX)
		t->any |= SP_ANY_INTERFACE_V4 | SP_ANY_INTERFACE_V6;
	return 0;
}

/* ---- the map -------------------------------------------------------------------------------- */

/* Writes what is new, and removes what went. Both tables are in order. */
static int map_update(int map, const struct sp_route_table *old, const struct sp_route_table *new)
{
	size_t i = 0, j = 0;

	for (j = 0; j < new->len; j++) {
		int order = -1;

		while (i < old->len && (order = compare(&old->entries[i], &new->entries[j])) < 0)
			i++;
		if (i < old->len && order == 0 &&
		    memcmp(&old->entries[i].route, &new->entries[j].route,
			   sizeof(struct sp_route)) == 0)
			continue;
		if (bpf_map_update_elem(map, &new->entries[j].key, &new->entries[j].route,
					BPF_ANY) < 0)
			return -errno;
	}
	for (i = 0, j = 0; i < old->len; i++) {
		while (j < new->len && compare(&new->entries[j], &old->entries[i]) < 0)
			j++;
		if (j < new->len && compare(&new->entries[j], &old->entries[i]) == 0)
			continue;
		bpf_map_delete_elem(map, &old->entries[i].key);
	}
	return 0;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int refresh(struct sp_routes *s)
{
	struct sp_route_table t = {0};
	int r = -EAGAIN;

	for (int i = 0; i < 5 && r == -EAGAIN; i++) {
		t.len = 0;
		t.any = 0;
		r = table_read(&t);
	}
	s->read_ns = now_ns();
	if (r) {
		free(t.entries);
		return r;
	}
	if (t.len > SP_ROUTES_MAX)
		t.len = 0; /* not asked for: any interface */
	/* wider before anything is taken away, narrower only when all is there */
	__atomic_or_fetch(s->any, t.any, __ATOMIC_RELEASE);
	r = map_update(s->map, &s->table, &t);
	if (r) {
		/* in part: what the map holds now is not known, but that it names no more than the
		 * two */
		free(t.entries);
		return r;
	}
	__atomic_store_n(s->any, t.any, __ATOMIC_RELEASE);
	free(s->table.entries);
	s->table = t;
	return 0;
}

/* ---- listening ------------------------------------------------------------------------------ */

static int listen_for_changes(struct sp_routes *s)
{
	static const int groups[] = {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,
				     RTNLGRP_IPV6_RULE,	 RTNLGRP_LINK,	     RTNLGRP_IPV4_IFADDR,
				     RTNLGRP_IPV6_IFADDR};
	struct epoll_event event = {.events = EPOLLIN};

	s->changes = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!s->changes || mnl_socket_bind(s->changes, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (setsockopt(mnl_socket_get_fd(s->changes), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			       &groups[i], sizeof(groups[i])) < 0)
			return -errno;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (s->epoll < 0 || s->timer < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, mnl_socket_get_fd(s->changes), &event) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &event) < 0)
		return -errno;
	return 0;
}

/* Takes all messages there are; what they say is read anew. true: there were any, or some lost. */
static bool drain(struct sp_routes *s)
{
	char buffer[BUFFER_SIZE];
	bool any = false;

	for (;;) {
		ssize_t len = recv(mnl_socket_get_fd(s->changes), buffer, sizeof(buffer), 0);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno != ENOBUFS)
			return any;
		any = true;
		if (len == 0)
			return any;
	}
}

int sp_routes_dispatch(struct sp_routes *s)
{
	struct itimerspec wait = {0};
	uint64_t expired;
	int64_t left;
	bool due = false;

	if (read(s->timer, &expired, sizeof(expired)) == sizeof(expired)) {
		s->waiting = false;
		due = true;
	}
	due |= drain(s);
	if (!due || s->waiting)
		return 0;
	left = s->read_ns + PAUSE_NS - now_ns();
	if (left <= 0)
		return refresh(s);
	wait.it_value.tv_nsec = left;
	s->waiting = timerfd_settime(s->timer, 0, &wait, NULL) == 0;
	return s->waiting ? 0 : refresh(s);
}

int sp_routes_fd(const struct sp_routes *s)
{
	return s->epoll;
}

int sp_routes_open(int map, uint32_t *any_interface, struct sp_routes **ret_routes)
{
	struct sp_routes *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close(map);
		return -ENOMEM;
	}
	s->map = map;
	s->any = any_interface;
	s->epoll = s->timer = -1;
	/* first listen, then read: what changes in between is read again */
	r = listen_for_changes(s);
	if (r == 0)
		r = refresh(s);
	if (r < 0) {
		sp_routes_close(s);
		return r;
	}
	s->read_ns = 0;
	*ret_routes = s;
	return 0;
}

void sp_routes_close(struct sp_routes *s)
{
	if (!s)
		return;
	if (s->changes)
		mnl_socket_close(s->changes);
	if (s->epoll >= 0)
		close(s->epoll);
	if (s->timer >= 0)
		close(s->timer);
	close(s->map);
	free(s->table.entries);
	free(s);
}
