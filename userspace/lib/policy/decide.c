// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * decide.c - the reference: what the document says, read rule by rule.
 *
 * Deliberately naive and without any of the compiler's ideas (no hashes, no folding, no lists): the
 * compiled image is tested against this, so what is shared could hide a mistake. It is also what
 * `sallyport explain` shows.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

/* SP_REASON_NONE, or why this text is no name. */
static enum sp_reason check_name(const char *name)
{
	size_t len = strlen(name), labels = 0;

	if (len && name[len - 1] == '.')
		len--;
	if (len == 0)
		return SP_REASON_NAME_BAD;
	if (len > 253)
		return SP_REASON_NAME_LENGTH;
	for (size_t at = 0; at <= len;) {
		size_t end = at;
		bool digits = true;

		for (; end < len && name[end] != '.'; end++) {
			char c = name[end];

			if (c < '0' || c > '9')
				digits = false;
			if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
			    !(c >= 'A' && c <= 'Z') && c != '-' && c != '_')
				return SP_REASON_NAME_BAD;
		}
		if (end == at)
			return SP_REASON_NAME_BAD;
		if (end - at > SP_LABEL_MAX)
			return SP_REASON_NAME_LENGTH;
		if (++labels > SP_LABELS_MAX)
			return SP_REASON_NAME_LABELS;
		if (end == len && digits)
			return SP_REASON_NAME_BAD;
		at = end + 1;
	}
	return SP_REASON_NONE;
}

/* 0 with the reason why it is no name (NONE: it is one), or -ENOMEM: then nothing is known of it.
 */
static int prepare_name(const char *name, char ret_name[SP_ASK_MAX], enum sp_reason *ret_bad)
{
	int r = sp_name_to_ascii(name, ret_name);

	if (r == -ENOMEM)
		return r;
	if (r == -ENAMETOOLONG)
		*ret_bad = SP_REASON_NAME_LENGTH;
	else
		*ret_bad = r < 0 ? SP_REASON_NAME_BAD : check_name(ret_name);
	return 0;
}

static bool in_ports(const struct sp_rule *rule, const struct sp_target *target, uint16_t port)
{
	const struct sp_ports *ports;
	struct sp_ports one[2];
	size_t len = sp_rule_ports(rule, target, one, &ports);

	for (size_t i = 0; i < len; i++)
		if (port >= ports[i].low && port <= ports[i].high)
			return true;
	return false;
}

static bool target_matches(const struct sp_rule *rule, const struct sp_target *target,
			   const struct sp_query *query)
{
	if (target->kind == SP_TARGET_ADDR) {
		if (!query->has_addr ||
		    !sp_prefix_covers(target->addr, target->prefix, query->addr))
			return false;
		/* 0.0.0.0/0 does not open the services of the host itself */
		return rule->kind == SP_RULE_DENY || !sp_addr_is_loopback(query->addr) ||
		       sp_prefix_is_local(target->addr, target->prefix);
	}
	return query->name && sp_pattern_match(target->name, query->name);
}

/* How near a rule came to a match. */
enum nearness { NEAR_NONE = 0, NEAR_TARGET, NEAR_PROTOCOL, NEAR_MATCH };

/* `ret_target` is the target that came nearest, if any did. */
static enum nearness rule_matches(const struct sp_rule *rule, const struct sp_query *query,
				  const struct sp_target **ret_target)
{
	enum nearness best = NEAR_NONE;

	for (size_t i = 0; i < rule->targets_len; i++) {
		const struct sp_target *target = &rule->targets[i];
		enum nearness near = NEAR_TARGET;

		if (!target_matches(rule, target, query))
			continue;
		if (in_ports(rule, target, query->port))
			near = (rule->protocols & query->protocol) ? NEAR_MATCH : NEAR_PROTOCOL;
		if (near > best) {
			best = near;
			*ret_target = target;
		}
		if (best == NEAR_MATCH)
			break;
	}
	return best;
}

static uint32_t first_match(const struct sp_policy *policy, const struct sp_query *query)
{
	const struct sp_target *target;

	if (policy->precedence == SP_DENY_WINS)
		for (size_t i = 0; i < policy->rules_len; i++)
			if (policy->rules[i].kind == SP_RULE_DENY &&
			    rule_matches(&policy->rules[i], query, &target) == NEAR_MATCH)
				return i;
	for (size_t i = 0; i < policy->rules_len; i++)
		if (rule_matches(&policy->rules[i], query, &target) == NEAR_MATCH)
			return i;
	return SP_RULE_DEFAULT;
}

static void by_rule(const struct sp_policy *policy, uint32_t rule, struct sp_decision *decision)
{
	decision->rule = rule;
	if (rule == SP_RULE_DEFAULT) {
		decision->action = policy->default_action;
		decision->reason = SP_REASON_DEFAULT;
	} else {
		decision->action = sp_rule_action(&policy->rules[rule]);
		decision->reason = SP_REASON_RULE;
	}
}

static int check_query(const struct sp_query *query)
{
	if (!query->name && !query->has_addr)
		return -EINVAL;
	if (query->protocol != SP_PROTOCOL_TCP && query->protocol != SP_PROTOCOL_UDP)
		return -EINVAL;
	return 0;
}

int sp_policy_decide(const struct sp_policy *policy, const struct sp_query *query,
		     struct sp_decision *ret_decision)
{
	struct sp_query asked = *query;
	char name[SP_ASK_MAX];
	int r;

	r = check_query(query);
	if (r < 0)
		return r;
	if (query->name) {
		enum sp_reason bad;

		r = prepare_name(query->name, name, &bad);
		if (r < 0)
			return r;
		if (bad != SP_REASON_NONE) {
			*ret_decision = (struct sp_decision){SP_ACTION_DENY, SP_RULE_DEFAULT, bad};
			return 0;
		}
		asked.name = name;
	}
	by_rule(policy, first_match(policy, &asked), ret_decision);
	return 0;
}

/* ---- DNS ------------------------------------------------------------------------------------ */

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Every port at which the answer for this name may change, as a sorted set. */
static int edges(const struct sp_policy *policy, const struct sp_query *query, uint32_t **ret_edges,
		 size_t *ret_len)
{
	size_t len = 0, size = 64, kept = 0;
	uint32_t *list = calloc(size, sizeof(*list));

	if (!list)
		return -ENOMEM;
	list[len++] = 1;
	for (size_t i = 0; i < policy->rules_len; i++) {
		const struct sp_rule *rule = &policy->rules[i];

		for (size_t j = 0; j < rule->targets_len; j++) {
			const struct sp_ports *ports;
			struct sp_ports one[2];
			size_t n;

			if (!target_matches(rule, &rule->targets[j], query))
				continue;
			n = sp_rule_ports(rule, &rule->targets[j], one, &ports);
			if (len + 2 * n > size) {
				uint32_t *bigger;

				size = 2 * (len + 2 * n);
				bigger = reallocarray(list, size, sizeof(*list));
				if (!bigger) {
					free(list);
					return -ENOMEM;
				}
				list = bigger;
			}
			for (size_t k = 0; k < n; k++) {
				list[len++] = ports[k].low;
				list[len++] = (uint32_t)ports[k].high + 1;
			}
		}
	}
	qsort(list, len, sizeof(*list), compare_u32);
	for (size_t i = 0; i < len; i++)
		if (list[i] >= 1 && list[i] <= 65535 && (!kept || list[kept - 1] != list[i]))
			list[kept++] = list[i];
	*ret_edges = list;
	*ret_len = kept;
	return 0;
}

/* Where a rule stands in the order of evaluation, good for comparison only. */
static uint64_t standing(const struct sp_policy *policy, uint32_t rule)
{
	if (rule == SP_RULE_DEFAULT)
		return UINT64_MAX;
	if (policy->precedence == SP_DENY_WINS && policy->rules[rule].kind != SP_RULE_DENY)
		return rule + (1ULL << 32);
	return rule;
}

/* The first deny rule that speaks of this name, on whatever port. */
static uint32_t first_deny(const struct sp_policy *policy, const struct sp_query *query)
{
	const struct sp_target *target;

	for (size_t i = 0; i < policy->rules_len; i++)
		if (policy->rules[i].kind == SP_RULE_DENY &&
		    rule_matches(&policy->rules[i], query, &target) != NEAR_NONE)
			return i;
	return SP_RULE_DEFAULT;
}

int sp_policy_decide_dns(const struct sp_policy *policy, const char *text,
			 struct sp_decision *ret_decision)
{
	SP_CLEANUP(sp_cleanup_free) uint32_t *ports = NULL;
	struct sp_query query = {0};
	uint32_t best = SP_RULE_DEFAULT;
	char name[SP_ASK_MAX];
	enum sp_reason bad;
	bool found = false;
	size_t len = 0;
	int r;

	r = prepare_name(text, name, &bad);
	if (r < 0)
		return r;
	if (bad != SP_REASON_NONE) {
		*ret_decision = (struct sp_decision){SP_ACTION_DENY, SP_RULE_DEFAULT, bad};
		return 0;
	}
	query.name = name;
	r = edges(policy, &query, &ports, &len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i++) {
		query.port = ports[i];
		for (query.protocol = SP_PROTOCOL_TCP; query.protocol <= SP_PROTOCOL_UDP;
		     query.protocol <<= 1) {
			uint32_t rule = first_match(policy, &query);
			struct sp_decision decision;

			by_rule(policy, rule, &decision);
			if (decision.action == SP_ACTION_DENY)
				continue;
			if (!found || standing(policy, rule) < standing(policy, best))
				best = rule;
			found = true;
		}
	}
	if (found) {
		by_rule(policy, best, ret_decision);
		return 0;
	}
	by_rule(policy, first_deny(policy, &query), ret_decision);
	ret_decision->action = SP_ACTION_DENY;
	return 0;
}

/* ---- what comes before the rules ------------------------------------------------------------- */

static bool is_group(const uint8_t addr[16])
{
	static const uint8_t limited[4] = {255, 255, 255, 255}, loopback[4] = {127, 255, 255, 255};

	if (!sp_addr_is_v4(addr))
		return addr[0] == 0xff;
	return addr[12] >> 4 == 14 || !memcmp(addr + 12, limited, 4) ||
	       !memcmp(addr + 12, loopback, 4);
}

static bool is_loopback(const uint8_t addr[16])
{
	static const uint8_t one[16] = {[15] = 1};

	return sp_addr_is_v4(addr) ? addr[12] == 127 : !memcmp(addr, one, sizeof(one));
}

/* Does a target of this rule that matches lie within loopback, so that it means loopback? */
static bool means_loopback(const struct sp_policy *policy, uint32_t rule,
			   const struct sp_query *query)
{
	const struct sp_target *target = NULL;

	if (rule == SP_RULE_DEFAULT)
		return false;
	return rule_matches(&policy->rules[rule], query, &target) == NEAR_MATCH &&
	       target->kind == SP_TARGET_ADDR && is_loopback(target->addr) &&
	       target->prefix >= (sp_addr_is_v4(target->addr) ? 96 + 8 : 128);
}

void sp_policy_decide_beyond(const struct sp_policy *policy, const struct sp_query *query,
			     struct sp_decision *decision, const char **ret_why)
{
	struct sp_decision before = {SP_ACTION_DENY, SP_RULE_DEFAULT, SP_REASON_NONE};

	*ret_why = NULL;
	if (query->has_addr && is_group(query->addr)) {
		before.reason = SP_REASON_MULTICAST;
		*ret_why = "broadcast and multicast reach whoever listens, whatever rules say";
	} else if (query->port == 53) {
		before.reason = SP_REASON_UNTRUSTED_RESOLVER;
		*ret_why = "DNS goes to dns.resolvers only, whatever rules say";
		for (size_t i = 0; query->has_addr && i < policy->resolvers_len; i++) {
			if (policy->resolvers[i].system ||
			    memcmp(policy->resolvers[i].addr, query->addr, 16) != 0)
				continue;
			before.action = SP_ACTION_ALLOW;
			before.reason = SP_REASON_RESOLVER;
			*ret_why = "it is one of dns.resolvers, where each query is judged";
		}
	} else if (query->has_addr && is_loopback(query->addr) &&
		   !means_loopback(policy, decision->rule, query)) {
		if (policy->loopback == SP_LOOPBACK_ALLOW) {
			before.action = SP_ACTION_ALLOW;
			before.reason = SP_REASON_RULE;
			*ret_why = "loopback is allowed";
		} else if (policy->loopback == SP_LOOPBACK_DENY) {
			before.reason = SP_REASON_LOOPBACK_DENIED;
			*ret_why = "loopback is denied";
		} else {
			before.reason = SP_REASON_LOOPBACK_FOREIGN;
			*ret_why = "loopback reaches the sandbox's own listeners only";
		}
	} else {
		return;
	}
	*decision = before;
}

/* ---- explain -------------------------------------------------------------------------------- */

static const char *action_text(enum sp_action action)
{
	return action == SP_ACTION_ALLOW  ? "allowed"
	       : action == SP_ACTION_DENY ? "denied"
					  : "asked about";
}

static int explain_rule(struct sp_lines *lines, const struct sp_policy *policy, uint32_t index,
			const struct sp_query *query, bool over, bool *ret_match)
{
	const struct sp_rule *rule = &policy->rules[index];
	const struct sp_target *target = &rule->targets[0];
	enum nearness near;
	char what[512], more[48] = "", why[128];

	near = over ? NEAR_NONE : rule_matches(rule, query, &target);
	if (near == NEAR_NONE && rule->targets_len > 1)
		snprintf(more, sizeof(more), " and %zu more", rule->targets_len - 1);
	snprintf(what, sizeof(what), "%s (%s): %s %s%s", rule->origin, rule->id,
		 sp_word_name(sp_words_kind, rule->kind), sp_quote(target->text).text, more);
	if (over)
		snprintf(why, sizeof(why), "not reached");
	else if (near == NEAR_NONE)
		snprintf(why, sizeof(why), "no match");
	else if (near == NEAR_TARGET)
		snprintf(why, sizeof(why), "matches, but not on port %u", query->port);
	else if (near == NEAR_PROTOCOL)
		snprintf(why, sizeof(why), "matches, but not over %s",
			 query->protocol == SP_PROTOCOL_TCP ? "TCP" : "UDP");
	else
		snprintf(why, sizeof(why), "MATCHES: %s", action_text(sp_rule_action(rule)));
	*ret_match = near == NEAR_MATCH;
	return sp_lines_add(lines, "%s: %s", what, why);
}

int sp_policy_explain(const struct sp_policy *policy, const struct sp_query *query,
		      char ***ret_lines, struct sp_decision *ret_decision, struct sp_error **err)
{
	SP_CLEANUP(sp_cleanup_free) uint32_t *order = NULL;
	static const char *const sentences[] = {
#define X(code, token, text) text,
		SP_REASONS(X)
#undef X
	};
	struct sp_query asked = *query;
	struct sp_lines lines = {0};
	struct sp_decision decision;
	char name[SP_ASK_MAX];
	enum sp_reason bad;
	bool over = false;
	int r;

	r = sp_policy_decide(policy, query, &decision);
	if (r == -ENOMEM)
		goto fail;
	if (r < 0)
		return sp_error_set(err, r, "a name or an address, and tcp or udp, are needed");
	r = sp_policy_order(policy, &order);
	if (r < 0)
		goto fail;
	if (decision.reason != SP_REASON_RULE && decision.reason != SP_REASON_DEFAULT) {
		r = sp_lines_add(&lines, "%s: %s: denied", sp_quote(query->name).text,
				 sentences[decision.reason]);
		if (r < 0)
			goto fail;
		goto out;
	}
	if (query->name) {
		r = prepare_name(query->name, name, &bad);
		if (r < 0)
			goto fail;
		asked.name = name;
	}
	for (size_t i = 0; i < policy->rules_len; i++) {
		bool match = false;

		r = explain_rule(&lines, policy, order[i], &asked, over, &match);
		if (r < 0)
			goto fail;
		over |= match;
	}
	r = sp_lines_add(&lines, "default: %s%s",
			 sp_word_name(sp_words_default, policy->default_action),
			 over ? ": not reached" : "");
	if (r < 0)
		goto fail;
out:
	*ret_lines = lines.lines;
	*ret_decision = decision;
	return 0;
fail:
	sp_strings_free(lines.lines);
	return sp_error_set(err, r, "out of memory");
}
