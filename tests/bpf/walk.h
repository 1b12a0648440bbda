/* SPDX-License-Identifier: GPL-2.0-or-later */
/* walk.h (tests) - what is asked of tests/bpf/walk.bpf.c, and what it says. */
#ifndef SP_TESTS_WALK_H
#define SP_TESTS_WALK_H

#include "parse/dns.h"
#include "parse/name.h"

struct walk_work {
	/* asked */
	__u32 policy; /* slot */
	__u32 has_name, has_addr;
	__u32 port, protocol; /* SP_PROTOCOL_* */
	__u32 zero;
	__u8 addr[16];
	/* said */
	__s32 verdict; /* of the name */
	__u32 acl;
	__u32 action, rule;
	__u32 dns_action, dns_rule;
	/* working memory; wire form and seed of the name are asked */
	struct sp_name name;
	struct sp_dns dns;
	struct sp_stream stream;
};

#endif
