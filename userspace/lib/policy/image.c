// SPDX-License-Identifier: GPL-2.0-or-later
/* image.c - decisions from a compiled policy, by the walk that the BPF programs are built
 * of. */
#include <errno.h>
#include <string.h>

#include "model.h"
#include "walk.h"

/* The ACL of a name. 0 with SP_DONE or why it is no name (SP_BAD()) in *ret_bad, or -ENOMEM. */
static int name_acl(const struct sp_image *image, const uint64_t seed[2], const char *text,
		    uint32_t *ret_acl, int *ret_bad)
{
	struct sp_tables tables = {.image = image};
	struct sp_name name;
	char ascii[SP_ASK_MAX];
	size_t len;
	int r;

	r = sp_name_to_ascii(text, ascii);
	if (r == -ENOMEM)
		return r;
	len = r < 0 ? 0 : strlen(ascii);
	if (r == -ENAMETOOLONG || len > SP_NAME_MAX - 1) {
		*ret_bad = SP_BAD(NAME_LENGTH);
		return 0;
	}
	if (r < 0) {
		*ret_bad = SP_BAD(NAME_BAD);
		return 0;
	}
	memset(&name, 0, sizeof(name));
	name.seed[0] = seed[0];
	name.seed[1] = seed[1];
	memcpy(name.wire + 1, ascii, len);
	*ret_bad = sp_name_from_text(&name, len);
	if (*ret_bad >= 0)
		*ret_acl = sp_walk_name(&tables, &image->conf, &name);
	return 0;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

/* What the LPM trie of the kernel answers, by looking at every entry. */
static uint32_t addr_acl(const struct sp_image *image, const uint8_t addr[16])
{
	uint32_t acl = 0;
	int best = -1;

	if (sp_addr_is_v4(addr)) {
		for (uint32_t i = 0; i < image->cidr4_len; i++) {
			const struct sp_cidr4_entry *e = &image->cidr4[i];

			if ((int)e->key.prefix > best &&
			    bits_equal(e->key.addr, addr + 12, e->key.prefix)) {
				best = e->key.prefix;
				acl = e->acl;
			}
		}
		return acl;
	}
	for (uint32_t i = 0; i < image->cidr6_len; i++) {
		const struct sp_cidr6_entry *e = &image->cidr6[i];

		if ((int)e->key.prefix > best && bits_equal(e->key.addr, addr, e->key.prefix)) {
			best = e->key.prefix;
			acl = e->acl;
		}
	}
	return acl;
}

static void bad_name(struct sp_decision *decision, int reason)
{
	*decision = (struct sp_decision){SP_ACTION_DENY, SP_RULE_DEFAULT, -reason};
}

int sp_image_decide(const struct sp_image *image, const uint64_t seed[2],
		    const struct sp_query *query, struct sp_decision *ret_decision)
{
	struct sp_tables tables = {.image = image};
	struct sp_match match;
	uint32_t acl = 0;
	int bad, r;

	if ((!query->name && !query->has_addr) ||
	    (query->protocol != SP_PROTOCOL_TCP && query->protocol != SP_PROTOCOL_UDP))
		return -EINVAL;
	sp_match_default(&match, image->conf.default_action);
	if (query->name) {
		r = name_acl(image, seed, query->name, &acl, &bad);
		if (r < 0)
			return r;
		if (bad < 0) {
			bad_name(ret_decision, bad);
			return 0;
		}
		sp_walk_entries(&tables, acl, query->port, query->protocol, &match);
	}
	if (query->has_addr)
		sp_walk_entries(&tables, addr_acl(image, query->addr), query->port,
				query->protocol | (sp_addr_is_loopback(query->addr) ? SP_LOCAL : 0),
				&match);
	ret_decision->action = match.action;
	ret_decision->rule = match.rule;
	ret_decision->reason = match.rule == SP_RULE_DEFAULT ? SP_REASON_DEFAULT : SP_REASON_RULE;
	return 0;
}

int sp_image_decide_dns(const struct sp_image *image, const uint64_t seed[2], const char *name,
			struct sp_decision *ret_decision)
{
	uint32_t acl = 0;
	int bad, r;

	r = name_acl(image, seed, name, &acl, &bad);
	if (r < 0)
		return r;
	if (bad < 0) {
		bad_name(ret_decision, bad);
		return 0;
	}
	ret_decision->action = image->conf.default_action;
	ret_decision->rule = SP_RULE_DEFAULT;
	if (acl && acl < image->acls_len) {
		ret_decision->action = image->acls[acl].dns_action;
		ret_decision->rule = image->acls[acl].dns_rule;
	}
	ret_decision->reason =
		ret_decision->rule == SP_RULE_DEFAULT ? SP_REASON_DEFAULT : SP_REASON_RULE;
	return 0;
}
