// SPDX-License-Identifier: GPL-2.0-or-later
/* test_routes.c - the mirror of the routes: from netlink messages to prefixes and interfaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "routes.h"

static char buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));

static struct nlmsghdr *route(int family, const char *to, unsigned char bits, unsigned char type,
			      uint32_t table)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);
	struct rtmsg *rtm;
	uint8_t addr[16];

	m->nlmsg_type = RTM_NEWROUTE;
	rtm = mnl_nlmsg_put_extra_header(m, sizeof(*rtm));
	rtm->rtm_family = (unsigned char)family;
	rtm->rtm_dst_len = bits;
	rtm->rtm_type = type;
	rtm->rtm_table = table > 255 ? RT_TABLE_COMPAT : (unsigned char)table;
	mnl_attr_put_u32(m, RTA_TABLE, table);
	if (to) {
		assert_int_equal(inet_pton(family, to, addr), 1);
		mnl_attr_put(m, RTA_DST, family == AF_INET ? 4 : 16, addr);
	}
	return m;
}

static void add(struct sp_route_table *t, struct nlmsghdr *m, uint32_t ifindex)
{
	if (ifindex)
		mnl_attr_put_u32(m, RTA_OIF, ifindex);
	assert_int_equal(sp_route_table_add(t, m), 0);
}

static const struct sp_route *find(const struct sp_route_table *t, const char *to, uint32_t prefix)
{
	struct sp_route_key k = {.prefix = prefix};

	if (inet_pton(AF_INET6, to, k.addr) != 1)
		return NULL;
	for (size_t i = 0; i < t->len; i++)
		if (memcmp(&t->entries[i].key, &k, sizeof(k)) == 0)
			return &t->entries[i].route;
	return NULL;
}

static void test_routes(void **state)
{
	struct sp_route_table t = {0};
	const struct sp_route *r;

	(void)state;
	add(&t, route(AF_INET, NULL, 0, RTN_UNICAST, RT_TABLE_MAIN), 2);
	add(&t, route(AF_INET, NULL, 0, RTN_UNICAST, RT_TABLE_MAIN), 3); /* another metric */
	add(&t, route(AF_INET, NULL, 0, RTN_UNICAST, RT_TABLE_MAIN), 2);
	add(&t, route(AF_INET, "192.0.2.0", 24, RTN_UNICAST, RT_TABLE_MAIN), 4);
	add(&t, route(AF_INET, "192.0.2.128", 25, RTN_BLACKHOLE, RT_TABLE_MAIN), 0);
	add(&t, route(AF_INET, "192.0.2.1", 32, RTN_LOCAL, RT_TABLE_LOCAL), 1);
	add(&t, route(AF_INET, "198.51.100.0", 24, RTN_UNICAST, 1000), 9); /* no rule names it */
	add(&t, route(AF_INET6, NULL, 0, RTN_UNICAST, RT_TABLE_MAIN), 5);
	add(&t, route(AF_INET6, "2001:db8::", 32, RTN_UNICAST, RT_TABLE_MAIN), 6);
	add(&t, route(AF_INET, "203.0.113.0", 24, RTN_UNICAST, RT_TABLE_MAIN), 0); /* RTA_NH_ID */
	sp_route_table_finish(&t);
	assert_int_equal(t.any, 0);
	assert_int_equal(t.len, 6);
	r = find(&t, "::ffff:0:0", 96);
	assert_non_null(r);
	assert_int_equal(r->count, 2);
	assert_true(r->ifindex[0] + r->ifindex[1] == 5);
	r = find(&t, "::ffff:192.0.2.0", 120);
	assert_non_null(r);
	assert_true(r->count == 1 && r->ifindex[0] == 4);
	r = find(&t, "::ffff:192.0.2.128", 121);
	assert_non_null(r);
	assert_int_equal(r->count, 0);
	r = find(&t, "::", 0);
	assert_non_null(r);
	assert_true(r->count == 1 && r->ifindex[0] == 5);
	r = find(&t, "::ffff:203.0.113.0", 120);
	assert_non_null(r);
	assert_true(r->count > SP_ROUTE_IFS_MAX);
	free(t.entries);
}

static void test_multipath(void **state)
{
	struct sp_route_table t = {0};
	struct nlmsghdr *m;
	struct nlattr *nest;
	const struct sp_route *r;

	(void)state;
	m = route(AF_INET, "198.51.100.0", 24, RTN_UNICAST, RT_TABLE_MAIN);
	nest = mnl_attr_nest_start(m, RTA_MULTIPATH);
	for (int i = 0; i < 3; i++) {
		struct rtnexthop hop = {.rtnh_len = sizeof(hop), .rtnh_ifindex = 7 + i};

		memcpy((char *)m + m->nlmsg_len, &hop, sizeof(hop));
		m->nlmsg_len += sizeof(hop);
	}
	mnl_attr_nest_end(m, nest);
	add(&t, m, 0);
	for (uint32_t i = 0; i < SP_ROUTE_IFS_MAX + 1; i++)
		add(&t, route(AF_INET6, "2001:db8:1::", 48, RTN_UNICAST, RT_TABLE_MAIN), 20 + i);
	sp_route_table_finish(&t);
	r = find(&t, "::ffff:198.51.100.0", 120);
	assert_non_null(r);
	assert_true(r->count == 3 && r->ifindex[0] == 7 && r->ifindex[2] == 9);
	r = find(&t, "2001:db8:1::", 48);
	assert_non_null(r);
	assert_true(r->count > SP_ROUTE_IFS_MAX);
	free(t.entries);
}

static struct nlmsghdr *rule(int family, uint32_t priority, uint32_t table)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);
	struct fib_rule_hdr *h;

	m->nlmsg_type = RTM_NEWRULE;
	h = mnl_nlmsg_put_extra_header(m, sizeof(*h));
	h->family = (unsigned char)family;
	h->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(m, FRA_TABLE, table);
	if (priority)
		mnl_attr_put_u32(m, FRA_PRIORITY, priority);
	return m;
}

/* The rules that every namespace has say nothing; each other one, that routes say too little. */
static void test_rules(void **state)
{
	struct sp_route_table t = {0};

	(void)state;
	add(&t, rule(AF_INET, 0, RT_TABLE_LOCAL), 0);
	add(&t, rule(AF_INET, 32766, RT_TABLE_MAIN), 0);
	add(&t, rule(AF_INET, 32767, RT_TABLE_DEFAULT), 0);
	add(&t, rule(AF_INET6, 32766, RT_TABLE_MAIN), 0);
	assert_int_equal(t.any, 0);
	assert_int_equal(sp_route_table_add(&t, rule(AF_INET6, 100, RT_TABLE_MAIN)), 0);
	assert_int_equal(t.any, SP_ANY_INTERFACE_V6);
	t.any = 0;
	assert_int_equal(sp_route_table_add(&t, rule(AF_INET, 32766, 51820)), 0);
	assert_int_equal(t.any, SP_ANY_INTERFACE_V4);
	t.any = 0;
	add(&t, route(AF_INET, NULL, 0, RTN_UNICAST, RT_TABLE_DEFAULT), 2);
	assert_int_equal(t.any, SP_ANY_INTERFACE_V4);
	t.any = 0;
	add(&t, route(AF_INET6, NULL, 0, RTN_THROW, RT_TABLE_MAIN), 0);
	assert_int_equal(t.any, SP_ANY_INTERFACE_V6);
	free(t.entries);
}

static void test_torn(void **state)
{
	struct sp_route_table t = {0};
	struct nlmsghdr *m = route(AF_INET, NULL, 200, RTN_UNICAST, RT_TABLE_MAIN);

	(void)state;
	assert_int_equal(sp_route_table_add(&t, m), -EBADMSG);
	m = mnl_nlmsg_put_header(buffer);
	m->nlmsg_type = RTM_NEWROUTE;
	assert_int_equal(sp_route_table_add(&t, m), -EBADMSG);
	m->nlmsg_type = RTM_NEWRULE;
	assert_int_equal(sp_route_table_add(&t, m), -EBADMSG);
	free(t.entries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_multipath),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
