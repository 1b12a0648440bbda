// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * warn.c - what is allowed in a policy but seldom meant.
 *
 * A rule can never match when each of its targets is covered, with all its ports and protocols, by
 * one target of a rule that is asked earlier. Earlier targets are found by their text: a name is
 * covered by itself and by the wildcards of its ancestors, a network by the networks around it.
 * That finds no rule hidden by several others together; a warning that is given is always right.
 *
 * Whether a metadata service can be reached is what sp_policy_decide() says of its address.
 */
#include <errno.h>
#include <libpsl.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

#define WARNINGS_MAX 100
/* Targets of equal text that are looked at: the first ones hide the most. */
#define CHAIN_MAX 32

struct place {
	const struct sp_rule *rule;
	const struct sp_target *target;
	uint32_t rank;
	uint32_t next; /* index in places, 0: none */
	uint32_t last; /* of the first: end of the chain */
};

struct warner {
	const struct sp_policy *policy;
	struct sp_lines lines;
	size_t more;
	struct sp_arena keys; /* of networks */
	struct sp_strmap map; /* text -> first place */
	struct place *places;
	uint32_t places_len;
	bool prefixes[2][129]; /* lengths in use; [1]: IPv4 */
};

#define warn(w, ...)                                                                               \
	((w)->lines.len < WARNINGS_MAX ? sp_lines_add(&(w)->lines, __VA_ARGS__) : ((w)->more++, 0))

static int warn_public_suffix(struct warner *w, const struct sp_rule *rule,
			      const struct sp_target *target)
{
	const char *suffix;

	if (target->kind != SP_TARGET_ONE && target->kind != SP_TARGET_MANY)
		return 0;
	suffix = target->name + target->suffix;
	if (!*suffix && target->kind == SP_TARGET_ONE && rule->kind != SP_RULE_DENY)
		return warn(
			w,
			"%s (%s): \"*\" is every name of one label, such as localhost; \"**\" is "
			"every name",
			rule->origin, rule->id);
	/* without the star rule: "internal" is no public suffix though nobody listed it */
	if (!*suffix || !psl_builtin() ||
	    !psl_is_public_suffix2(psl_builtin(), suffix, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE))
		return 0;
	return warn(w, "%s (%s): %s covers the public suffix \"%s\" whole", rule->origin, rule->id,
		    sp_quote(target->text).text, suffix);
}

static bool rule_has_port(const struct sp_rule *rule, const struct sp_target *target, uint16_t port,
			  bool named)
{
	const struct sp_ports *ports;
	struct sp_ports one[2];
	size_t len = sp_rule_ports(rule, target, one, &ports);

	for (size_t i = 0; i < len; i++)
		if (ports[i].low <= port && ports[i].high >= port &&
		    (!named || ports[i].low == ports[i].high))
			return true;
	return false;
}

/* What a rule allows and `run` denies all the same. */
static int warn_not_enforced(struct warner *w, const struct sp_rule *rule,
			     const struct sp_target *target)
{
	int r = 0;

	if (rule->kind == SP_RULE_DENY)
		return 0;
	/* a rule on addresses covers all ports: nobody named this one */
	if (rule_has_port(rule, target, 53, true))
		r = warn(w,
			 "%s (%s): %s: port 53 is DNS, which goes to dns.resolvers only; a "
			 "resolver is allowed there (or by --resolver), not by a rule",
			 rule->origin, rule->id, sp_quote(target->text).text);
	if (r == 0 && rule->tls_off && target->kind != SP_TARGET_ADDR &&
	    (rule->protocols & SP_PROTOCOL_TCP) && w->policy->sni == SP_SNI_REQUIRE &&
	    rule_has_port(rule, target, 443, false))
		r = warn(w,
			 "%s (%s): %s: \"tls\": false does not hold on port 443, where a "
			 "connection to a name must start with a TLS handshake (tls.sni)",
			 rule->origin, rule->id, sp_quote(target->text).text);
	return r;
}

/* A network of so many addresses that somebody's server of any kind is in it. */
static int warn_wide(struct warner *w, const struct sp_rule *rule, const struct sp_target *target)
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = target->kind == SP_TARGET_ADDR && !memcmp(target->addr, v4_mapped, 12);

	/* up to 0.0.0.0/7 and 2000::/3, which is all there is of public IPv6; fc00::/7 is private
	 */
	if (target->kind != SP_TARGET_ADDR || rule->kind == SP_RULE_DENY ||
	    target->prefix >= (v4 ? 96 + 8 : 7))
		return 0;
	return warn(w,
		    "%s (%s): %s: a rule on addresses holds no name, and this one opens %s to "
		    "whoever listens there, under any name",
		    rule->origin, rule->id, sp_quote(target->text).text,
		    target->prefix == (v4 ? 96 : 0) ? "every address" : "a large part of the net");
}

/* Where clouds keep what lets who asks act as this machine. */
static const struct {
	const char *text;
	uint8_t addr[16];
} metadata[] = {
#define V4(a, b, c, d)                                                                             \
	{                                                                                          \
		[10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b), [14] = (c), [15] = (d)           \
	}
	{"169.254.169.254", V4(169, 254, 169, 254)},
	{"fd00:ec2::254", {0xfd, 0, 0x0e, 0xc2, [14] = 2, [15] = 0x54}},
	{"168.63.129.16", V4(168, 63, 129, 16)},
	{"192.0.0.192", V4(192, 0, 0, 192)},
	{"100.100.100.200", V4(100, 100, 100, 200)},
#undef V4
};

#define METADATA_LEN (sizeof(metadata) / sizeof(metadata[0]))
#define CLOSED (SP_RULE_DEFAULT - 1) /* no policy has so many rules */

/* Who opens which of them: each rule once, with all that it opens. */
static int warn_metadata_of(struct warner *w, const uint32_t by[METADATA_LEN], size_t first)
{
	const struct sp_policy *policy = w->policy;
	const struct sp_rule *rule =
		by[first] == SP_RULE_DEFAULT ? NULL : &policy->rules[by[first]];
	char list[METADATA_LEN * 24] = "";

	for (size_t i = 0; i < first; i++)
		if (by[i] == by[first])
			return 0; /* said */
	for (size_t i = first; i < METADATA_LEN; i++)
		if (by[i] == by[first])
			sprintf(list + strlen(list), "%s%s", i == first ? "" : ", ",
				metadata[i].text);
	if (!rule)
		return warn(w,
			    "\"default\" opens %s: there clouds give this machine's credentials to "
			    "whoever asks; a rule that denies it closes it",
			    list);
	return warn(w,
		    "%s (%s) opens %s: there clouds give this machine's credentials to whoever "
		    "asks; a rule before it that denies it closes it",
		    rule->origin, rule->id, list);
}

static int warn_metadata(struct warner *w)
{
	const struct sp_policy *policy = w->policy;
	uint32_t by[METADATA_LEN];
	int r = 0;

	for (size_t i = 0; i < METADATA_LEN; i++) {
		struct sp_query query = {.has_addr = true, .port = 80, .protocol = SP_PROTOCOL_TCP};
		struct sp_decision decision;

		memcpy(query.addr, metadata[i].addr, 16);
		by[i] = sp_policy_decide(policy, &query, &decision) == 0 &&
					decision.action != SP_ACTION_DENY
				? decision.rule
				: CLOSED;
	}
	for (size_t i = 0; i < METADATA_LEN && !r; i++)
		if (by[i] != CLOSED)
			r = warn_metadata_of(w, by, i);
	for (size_t i = 0; i < policy->private_len && !r; i++)
		for (size_t j = 0; j < METADATA_LEN; j++) {
			if (!sp_prefix_covers(policy->private_answers[i].addr,
					      policy->private_answers[i].prefix, metadata[j].addr))
				continue;
			r = warn(
				w,
				"dns.private_answers[%zu] covers %s: an allowed name that resolves "
				"to it reaches a cloud's metadata service",
				i, metadata[j].text);
			break;
		}
	return r;
}

#define KEY_MAX 40

/* A key that no name can be: starts with '='. */
static void network_key(const uint8_t addr[16], unsigned int prefix, char key[KEY_MAX])
{
	static const char hex[] = "0123456789abcdef";

	*key++ = '=';
	for (unsigned int i = 0; i < 16; i++) {
		unsigned int keep = prefix >= 8 * i + 8 ? 8 : prefix > 8 * i ? prefix - 8 * i : 0;
		uint8_t byte = addr[i] & (uint8_t)(0xff00 >> keep);

		*key++ = hex[byte >> 4];
		*key++ = hex[byte & 15];
	}
	sprintf(key, "/%u", prefix);
}

/* Enters a target; warns if its rule has it already. */
static int enter(struct warner *w, const struct sp_rule *rule, const struct sp_target *target,
		 uint32_t rank)
{
	struct place *place = &w->places[w->places_len];
	const char *text = target->name;
	uint32_t *first, at;
	char key[KEY_MAX];

	if (target->kind == SP_TARGET_ADDR) {
		network_key(target->addr, target->prefix, key);
		text = sp_arena_copy(&w->keys, key, strlen(key));
		if (!text)
			return -ENOMEM;
		w->prefixes[sp_addr_is_v4(target->addr)][target->prefix] = true;
	}
	first = sp_strmap_get(&w->map, text);
	if (!first)
		return -ENOMEM;
	*place = (struct place){.rule = rule, .target = target, .rank = rank};
	if (*first) {
		at = *first;
		for (int i = 0; at && i < CHAIN_MAX; i++, at = w->places[at].next)
			if (w->places[at].rule == rule &&
			    w->places[at].target->port == target->port)
				return warn(w, "%s (%s): %s is listed twice", rule->origin,
					    rule->id, sp_quote(target->text).text);
		w->places[w->places[*first].last].next = w->places_len;
		w->places[*first].last = w->places_len;
	} else {
		*first = w->places_len;
		place->last = w->places_len;
	}
	w->places_len++;
	return 0;
}

static bool ports_cover(const struct place *place, const struct sp_rule *rule,
			const struct sp_target *target)
{
	const struct sp_ports *outer, *inner;
	struct sp_ports outer_one[2], inner_one[2];
	size_t outer_len = sp_rule_ports(place->rule, place->target, outer_one, &outer);
	size_t inner_len = sp_rule_ports(rule, target, inner_one, &inner);

	for (size_t i = 0; i < inner_len; i++) {
		bool covered = false;

		for (size_t j = 0; !covered && j < outer_len; j++)
			covered = outer[j].low <= inner[i].low && outer[j].high >= inner[i].high;
		if (!covered)
			return false;
	}
	return true;
}

/* A rule before `rank` that answers for all of `target`, among those entered as `key`. */
static const struct sp_rule *cover(const struct warner *w, const char *key,
				   const struct sp_rule *rule, const struct sp_target *target,
				   uint32_t rank)
{
	const uint32_t *first = sp_strmap_find(&w->map, key);
	uint32_t at = first ? *first : 0;

	for (int i = 0; at && i < CHAIN_MAX; i++, at = w->places[at].next) {
		const struct place *place = &w->places[at];

		if (place->rank >= rank)
			break;
		if (!place->rule->http &&
		    (place->rule->protocols & rule->protocols) == rule->protocols &&
		    ports_cover(place, rule, target))
			return place->rule;
	}
	return NULL;
}

static const struct sp_rule *cover_network(const struct warner *w, const struct sp_rule *rule,
					   const struct sp_target *target, uint32_t rank)
{
	const bool *prefixes = w->prefixes[sp_addr_is_v4(target->addr)];

	for (unsigned int prefix = 0; prefix <= target->prefix; prefix++) {
		const struct sp_rule *by;
		char key[KEY_MAX];

		if (!prefixes[prefix])
			continue;
		network_key(target->addr, prefix, key);
		by = cover(w, key, rule, target, rank);
		if (by)
			return by;
	}
	return NULL;
}

static const struct sp_rule *cover_name(const struct warner *w, const struct sp_rule *rule,
					const struct sp_target *target, uint32_t rank)
{
	const char *suffix = target->name + target->suffix, *parent;
	const struct sp_rule *by;
	char key[SP_NAME_MAX + 8];

	by = cover(w, target->name, rule, target, rank);
	if (!by)
		by = cover(w, "**", rule, target, rank);
	if (by || target->kind == SP_TARGET_GLOB)
		return by;
	if (target->kind == SP_TARGET_EXACT) {
		parent = strchr(suffix, '.');
		if (parent)
			snprintf(key, sizeof(key), "*%s", parent);
		else
			strcpy(key, "*");
		by = cover(w, key, rule, target, rank);
	} else if (target->kind == SP_TARGET_ONE && *suffix) {
		snprintf(key, sizeof(key), "**.%s", suffix);
		by = cover(w, key, rule, target, rank);
	}
	for (parent = strchr(suffix, '.'); !by && parent; parent = strchr(parent + 1, '.')) {
		snprintf(key, sizeof(key), "**%s", parent);
		by = cover(w, key, rule, target, rank);
	}
	return by;
}

static int warn_hidden(struct warner *w, const struct sp_rule *rule, uint32_t rank)
{
	const struct sp_rule *by = NULL;

	for (size_t i = 0; i < rule->targets_len; i++) {
		const struct sp_target *target = &rule->targets[i];

		by = target->kind == SP_TARGET_ADDR ? cover_network(w, rule, target, rank)
						    : cover_name(w, rule, target, rank);
		if (!by)
			return 0;
	}
	/* a rule has a target: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	return warn(w, "%s (%s) can never match: %s (%s) answers first", rule->origin, rule->id,
		    by->origin, by->id);
}

int sp_policy_warnings(const struct sp_policy *policy, char ***ret_warnings, struct sp_error **err)
{
	SP_CLEANUP(sp_cleanup_free) uint32_t *order = NULL;
	struct warner w = {.policy = policy, .places_len = 1};
	size_t targets = 0;
	int r;

	for (size_t i = 0; i < policy->rules_len; i++)
		targets += policy->rules[i].targets_len;
	w.places = calloc(targets + 1, sizeof(*w.places));
	r = w.places ? sp_policy_order(policy, &order) : -ENOMEM;
	for (size_t i = 0; r == 0 && i < policy->rules_len; i++) {
		const struct sp_rule *rule = &policy->rules[order[i]];

		for (size_t j = 0; r == 0 && j < rule->targets_len; j++) {
			r = warn_public_suffix(&w, rule, &rule->targets[j]);
			if (r == 0)
				r = warn_not_enforced(&w, rule, &rule->targets[j]);
			if (r == 0)
				r = warn_wide(&w, rule, &rule->targets[j]);
			if (r == 0)
				r = enter(&w, rule, &rule->targets[j], i);
		}
		if (r == 0 && i > 0)
			r = warn_hidden(&w, rule, i);
	}
	if (r == 0 && policy->default_action == SP_ACTION_ALLOW)
		r = warn(&w,
			 "\"default\": \"allow\" opens all that no rule names; a host that a "
			 "rule denies by name is still reached by its address, or by a handshake "
			 "that hides the name");
	if (r == 0)
		r = warn_metadata(&w);
	/* measured: musl takes REFUSED for a passing fault and asks again until its time-out of 5 s
	 */
	if (r == 0 && policy->denied_answer == SP_ANSWER_REFUSED)
		r = warn(&w,
			 "dns.denied_answer: musl's resolver does not heed REFUSED, and programs "
			 "built with it wait 5 seconds for each denied name");
	if (r == 0 && w.more)
		r = sp_lines_add(&w.lines, "and %zu warnings more", w.more);
	if (r == 0)
		r = sp_lines_add(&w.lines, NULL);
	free(w.places);
	sp_strmap_free(&w.map);
	sp_arena_free(&w.keys);
	if (r < 0) {
		sp_strings_free(w.lines.lines);
		return sp_error_set(err, r, "out of memory");
	}
	*ret_warnings = w.lines.lines;
	return 0;
}
