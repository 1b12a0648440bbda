// SPDX-License-Identifier: GPL-2.0-or-later
/* model.c - the model: its lists of lines and words, what it says of itself, and changes by the
 * command line. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "model.h"

/* ---- lines ---------------------------------------------------------------------------------- */

int sp_lines_add(struct sp_lines *lines, const char *format, ...)
{
	va_list args;
	char *line = NULL;
	int r;

	if (lines->len + 2 > lines->size) {
		size_t size = lines->size ? lines->size * 2 : 16;
		char **bigger = realloc(lines->lines, size * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		lines->lines = bigger;
		lines->size = size;
		lines->lines[lines->len] = NULL;
	}
	if (!format) /* only makes sure that there is a list */
		return 0;
	va_start(args, format);
	r = vasprintf(&line, format, args);
	va_end(args);
	if (r < 0)
		return -ENOMEM;
	lines->lines[lines->len++] = line;
	lines->lines[lines->len] = NULL;
	return 0;
}

void sp_strings_free(char **strings)
{
	if (!strings)
		return;
	for (size_t i = 0; strings[i]; i++)
		free(strings[i]);
	free(strings);
}

/* ---- words ---------------------------------------------------------------------------------- */

const struct sp_word sp_words_mode[] = {
	{"enforce", SP_MODE_ENFORCE},
	{"audit_only", SP_MODE_AUDIT_ONLY},
	{NULL, 0},
};
const struct sp_word sp_words_default[] = {
	{"deny", SP_ACTION_DENY},
	{"allow", SP_ACTION_ALLOW},
	{"prompt", SP_ACTION_ASK},
	{NULL, 0},
};
const struct sp_word sp_words_precedence[] = {
	{"first_match", SP_FIRST_MATCH},
	{"deny_wins", SP_DENY_WINS},
	{NULL, 0},
};
const struct sp_word sp_words_sni[] = {
	{"require", SP_SNI_REQUIRE},
	{"verify", SP_SNI_VERIFY},
	{"off", SP_SNI_OFF},
	{NULL, 0},
};
const struct sp_word sp_words_ech[] = {
	{"strip", SP_ECH_STRIP},
	{"outer", SP_ECH_OUTER},
	{"deny", SP_ECH_DENY},
	{NULL, 0},
};
const struct sp_word sp_words_quic[] = {
	{"deny", SP_QUIC_DENY},
	{"inspect", SP_QUIC_INSPECT},
	{NULL, 0},
};
const struct sp_word sp_words_loopback[] = {
	{"own", SP_LOOPBACK_OWN},
	{"allow", SP_LOOPBACK_ALLOW},
	{"deny", SP_LOOPBACK_DENY},
	{NULL, 0},
};
const struct sp_word sp_words_inbound[] = {
	{"allow", SP_INBOUND_ALLOW},
	{"deny", SP_INBOUND_DENY},
	{NULL, 0},
};
const struct sp_word sp_words_denied_answer[] = {
	{"nxdomain", SP_ANSWER_NXDOMAIN},
	{"refused", SP_ANSWER_REFUSED},
	{NULL, 0},
};
const struct sp_word sp_words_approvals[] = {
	{"below_deny", SP_APPROVALS_BELOW_DENY},
	{"override", SP_APPROVALS_OVERRIDE},
	{NULL, 0},
};
const struct sp_word sp_words_protocol[] = {
	{"tcp", SP_PROTOCOL_TCP},
	{"udp", SP_PROTOCOL_UDP},
	{NULL, 0},
};
const struct sp_word sp_words_kind[] = {
	{"allow", SP_RULE_ALLOW},
	{"deny", SP_RULE_DENY},
	{"decide", SP_RULE_DECIDE},
	{"prompt", SP_RULE_PROMPT},
	{NULL, 0},
};

/* ---- rules ---------------------------------------------------------------------------------- */

void sp_rule_clear(struct sp_rule *rule)
{
	free(rule->targets);
	free(rule->ports);
	if (rule->ask)
		free(rule->ask->command);
	free(rule->ask);
	if (rule->http)
		free(rule->http->methods);
	free(rule->http);
	memset(rule, 0, sizeof(*rule));
}

enum sp_action sp_rule_action(const struct sp_rule *rule)
{
	return rule->kind == SP_RULE_ALLOW  ? SP_ACTION_ALLOW
	       : rule->kind == SP_RULE_DENY ? SP_ACTION_DENY
					    : SP_ACTION_ASK;
}

size_t sp_rule_ports(const struct sp_rule *rule, const struct sp_target *target,
		     struct sp_ports one[2], const struct sp_ports **ret_ports)
{
	*ret_ports = one;
	if (target->port) {
		one[0] = (struct sp_ports){target->port, target->port};
		return 1;
	}
	if (rule->ports) {
		*ret_ports = rule->ports;
		return rule->ports_len;
	}
	if (rule->kind == SP_RULE_DENY || target->kind == SP_TARGET_ADDR) {
		one[0] = (struct sp_ports){0, 65535};
		return 1;
	}
	one[0] = (struct sp_ports){80, 80};
	one[1] = (struct sp_ports){443, 443};
	return 2;
}

int sp_rule_add_localhost(struct sp_rule *rule)
{
	static const uint8_t loopback[2][16] = {
		{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
		{[15] = 1},
	};
	size_t len = rule->targets_len;

	for (size_t i = 0; i < len; i++) {
		const struct sp_target named = rule->targets[i];
		/* what a name covers that says no port; an address would cover all */
		uint16_t ports[2] = {80, 443};
		size_t ports_len = 2;
		struct sp_target *targets;

		if (named.kind != SP_TARGET_EXACT || strcmp(named.name, "localhost") != 0)
			continue;
		if (named.port || rule->ports || rule->kind == SP_RULE_DENY) {
			ports[0] = named.port;
			ports_len = 1;
		}
		targets = reallocarray(rule->targets, rule->targets_len + 2 * ports_len,
				       sizeof(*targets));
		if (!targets)
			return -ENOMEM;
		rule->targets = targets;
		for (size_t j = 0; j < 2 * ports_len; j++) {
			struct sp_target *target = &targets[rule->targets_len++];

			*target = (struct sp_target){
				.text = named.text,
				.kind = SP_TARGET_ADDR,
				.prefix = 128,
				.port = ports[j / 2],
			};
			memcpy(target->addr, loopback[j % 2], sizeof(target->addr));
		}
	}
	return 0;
}

static int compare_ports(const void *a, const void *b)
{
	const struct sp_ports *x = a, *y = b;

	return x->low != y->low ? x->low - y->low : x->high - y->high;
}

size_t sp_ports_merge(struct sp_ports *ports, size_t len)
{
	size_t kept = 0;

	if (len == 0)
		return 0;
	qsort(ports, len, sizeof(*ports), compare_ports);
	for (size_t i = 1; i < len; i++) {
		if (ports[i].low <= (uint32_t)ports[kept].high + 1) {
			if (ports[i].high > ports[kept].high)
				ports[kept].high = ports[i].high;
		} else {
			ports[++kept] = ports[i];
		}
	}
	return kept + 1;
}

struct sp_rule *sp_policy_add_rule(struct sp_policy *policy)
{
	struct sp_rule *rule;

	if (policy->rules_len == policy->rules_size) {
		size_t size = policy->rules_size ? policy->rules_size * 2 : 8;
		struct sp_rule *bigger = reallocarray(policy->rules, size, sizeof(*bigger));

		if (!bigger)
			return NULL;
		policy->rules = bigger;
		policy->rules_size = size;
	}
	rule = &policy->rules[policy->rules_len++];
	memset(rule, 0, sizeof(*rule));
	return rule;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	/* with its NUL, so that "ab","c" is not "a","bc" */
	return text ? sp_fnv1a(hash, text, strlen(text) + 1) : sp_fnv1a(hash, "", 1);
}

int sp_rule_make_id(struct sp_policy *policy, struct sp_rule *rule)
{
	uint64_t hash = SP_FNV1A_START;
	char id[32], number[48];
	uint32_t *count;
	char *stem;

	hash = hash_text(hash, sp_word_name(sp_words_kind, rule->kind));
	for (size_t i = 0; i < rule->targets_len; i++) {
		const struct sp_target *target = &rule->targets[i];

		if (target->kind == SP_TARGET_ADDR) {
			hash = sp_fnv1a(hash, target->addr, sizeof(target->addr));
			snprintf(number, sizeof(number), "/%u:%u", target->prefix, target->port);
		} else {
			hash = hash_text(hash, target->name);
			if (!target->port) { /* nearly all of a million */
				hash = hash_text(hash, ":0");
				continue;
			}
			snprintf(number, sizeof(number), ":%u", target->port);
		}
		hash = hash_text(hash, number);
	}
	for (size_t i = 0; i < rule->ports_len; i++) {
		snprintf(number, sizeof(number), "%u-%u", rule->ports[i].low, rule->ports[i].high);
		hash = hash_text(hash, number);
	}
	hash = hash_text(hash, rule->protocols == SP_PROTOCOL_ANY   ? "any"
			       : rule->protocols == SP_PROTOCOL_TCP ? "tcp"
								    : "udp");
	if (rule->http) {
		for (size_t i = 0; rule->http->methods && rule->http->methods[i]; i++)
			hash = hash_text(hash, rule->http->methods[i]);
		hash = hash_text(hash, rule->http->path_glob);
	}
	snprintf(id, sizeof(id), "r-%08x", (uint32_t)(hash ^ hash >> 32));
	stem = sp_arena_copy(&policy->arena, id, strlen(id));
	if (!stem)
		return -ENOMEM;
	count = sp_strmap_get(&policy->ids, stem);
	if (!count)
		return -ENOMEM;
	rule->id = stem;
	/* the value counts the rules that have this stem: taken names are tried once each */
	while (++*count > 1) {
		uint32_t n = *count;

		snprintf(id, sizeof(id), "%s-%u", stem, n);
		if (sp_strmap_find(&policy->ids, id))
			continue;
		rule->id = sp_arena_copy(&policy->arena, id, strlen(id));
		if (!rule->id || !(count = sp_strmap_get(&policy->ids, rule->id)))
			return -ENOMEM;
		*count = 1;
		break;
	}
	return 0;
}

int sp_policy_order(const struct sp_policy *policy, uint32_t **ret_order)
{
	uint32_t *order = calloc(policy->rules_len + 1, sizeof(*order));
	size_t at = 0;

	if (!order)
		return -ENOMEM;
	if (policy->precedence == SP_DENY_WINS)
		for (size_t i = 0; i < policy->rules_len; i++)
			if (policy->rules[i].kind == SP_RULE_DENY)
				order[at++] = i;
	for (size_t i = 0; i < policy->rules_len; i++)
		if (policy->precedence != SP_DENY_WINS || policy->rules[i].kind != SP_RULE_DENY)
			order[at++] = i;
	*ret_order = order;
	return 0;
}

/* ---- the policy ----------------------------------------------------------------------------- */

int sp_policy_new(struct sp_policy **ret_policy, struct sp_error **err)
{
	static const uint16_t types[] = {1, 28, 5, 65, 64, 33, 15, 16, 12, 6, 2};
	struct sp_policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return sp_error_set(err, -ENOMEM, "out of memory");
	policy->name = "";
	policy->description = "";
	policy->default_action = SP_ACTION_DENY;
	policy->resolvers[0].system = true;
	policy->resolvers_len = 1;
	policy->min_ttl = 60;
	policy->ech = SP_ECH_STRIP;
	policy->max_ttl = 86400;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		policy->query_types[types[i] / 64] |= 1ULL << types[i] % 64;
	policy->query_types_high = 1ULL << (257 - 256); /* CAA */
	*ret_policy = policy;
	return 0;
}

void sp_policy_free(struct sp_policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->rules_len; i++)
		sp_rule_clear(&policy->rules[i]);
	free(policy->rules);
	free(policy->statics);
	sp_strmap_free(&policy->ids);
	sp_arena_free(&policy->arena);
	free(policy);
}

static int add_option_rule(struct sp_policy *policy, enum sp_action action, const char *text,
			   const char *option, struct sp_error **err)
{
	struct sp_rule rule = {
		.kind = action == SP_ACTION_DENY ? SP_RULE_DENY : SP_RULE_ALLOW,
		.protocols = SP_PROTOCOL_ANY,
		.targets_len = 1,
	};
	size_t at;
	int r = -ENOMEM;

	rule.targets = calloc(1, sizeof(*rule.targets));
	rule.origin = sp_arena_copy(&policy->arena, option, strlen(option));
	if (!rule.targets || !rule.origin)
		goto fail;
	r = sp_target_parse(&policy->arena, text, &rule.targets[0], err);
	if (r < 0) {
		sp_error_wrap(err, r, "%s", option);
		sp_rule_clear(&rule);
		return r;
	}
	r = sp_rule_add_localhost(&rule);
	if (r == 0)
		r = sp_rule_make_id(policy, &rule);
	if (r < 0)
		goto fail;
	if (!sp_policy_add_rule(policy)) {
		r = -ENOMEM;
		goto fail;
	}
	at = policy->option_denies;
	if (action == SP_ACTION_DENY)
		policy->option_denies++;
	else
		at += policy->option_allows++;
	memmove(&policy->rules[at + 1], &policy->rules[at],
		(policy->rules_len - 1 - at) * sizeof(*policy->rules));
	policy->rules[at] = rule;
	return 0;
fail:
	sp_rule_clear(&rule);
	return sp_error_set(err, r, "out of memory");
}

int sp_policy_prepend(struct sp_policy *policy, enum sp_action action, const char *const *targets,
		      size_t targets_len, const char *option, struct sp_error **err)
{
	if (action != SP_ACTION_ALLOW && action != SP_ACTION_DENY)
		return sp_error_set(err, -EINVAL, "%s: only allow and deny rules can be given",
				    option);
	for (size_t i = 0; i < targets_len; i++) {
		int r = add_option_rule(policy, action, targets[i], option, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int sp_policy_set_default(struct sp_policy *policy, const char *value, struct sp_error **err)
{
	int v = 0, r = sp_word_parse(sp_words_default, "default", value, &v, err);

	if (r == 0)
		policy->default_action = v;
	return r;
}

int sp_policy_set_mode(struct sp_policy *policy, const char *value, struct sp_error **err)
{
	int v = 0, r = sp_word_parse(sp_words_mode, "mode", value, &v, err);

	if (r == 0)
		policy->mode = v;
	return r;
}

int sp_policy_add_resolver(struct sp_policy *policy, const char *text, struct sp_error **err)
{
	struct sp_resolver resolver = {.system = strcmp(text, "system") == 0};
	const char *scope = strchr(text, '%');
	char address[64] = "";
	bool link_local;
	uint8_t prefix;
	int r;

	if (!resolver.system) {
		snprintf(address, sizeof(address), "%.*s",
			 scope ? (int)(scope - text) : (int)sizeof(address) - 1, text);
		r = sp_prefix_parse(scope ? address : text, true, resolver.addr, &prefix, err);
		if (r < 0)
			return sp_error_wrap(err, r, "a resolver is an IP address or \"system\"");
		link_local = resolver.addr[0] == 0xfe && (resolver.addr[1] & 0xc0) == 0x80;
		if (link_local != !!scope ||
		    (scope && (!scope[1] || strlen(scope + 1) >= sizeof(resolver.interface))))
			return sp_error_set(err, -EINVAL,
					    "a link-local resolver, and no other, has an "
					    "interface: fe80::53%%eth0");
		if (scope)
			snprintf(resolver.interface, sizeof(resolver.interface), "%s", scope + 1);
	}
	for (size_t i = 0; i < policy->resolvers_len; i++)
		if (policy->resolvers[i].system == resolver.system &&
		    memcmp(policy->resolvers[i].addr, resolver.addr, 16) == 0 &&
		    strcmp(policy->resolvers[i].interface, resolver.interface) == 0)
			return 0;
	if (policy->resolvers_len == SP_RESOLVERS_MAX)
		return sp_error_set(err, -EINVAL, "more than %d resolvers", SP_RESOLVERS_MAX);
	policy->resolvers[policy->resolvers_len++] = resolver;
	return 0;
}

int sp_policy_set_resolvers(struct sp_policy *policy, const char *const *addresses,
			    size_t addresses_len, struct sp_error **err)
{
	struct sp_resolver old[SP_RESOLVERS_MAX];
	size_t old_len = policy->resolvers_len;
	int r = 0;

	memcpy(old, policy->resolvers, sizeof(old));
	policy->resolvers_len = 0;
	policy->unresolved_len = 0;
	for (size_t i = 0; r == 0 && i < addresses_len; i++)
		r = sp_policy_add_resolver(policy, addresses[i], err);
	if (r < 0) {
		memcpy(policy->resolvers, old, sizeof(old));
		policy->resolvers_len = old_len;
	}
	return r;
}

int sp_policy_resolve_system(struct sp_policy *policy, const char *const *addresses,
			     size_t addresses_len, struct sp_error **err)
{
	struct sp_resolver old[SP_RESOLVERS_MAX];
	size_t old_len = policy->resolvers_len;
	int r = 0;

	if (sp_policy_wants_system_resolvers(policy)) {
		memcpy(policy->unresolved, policy->resolvers, sizeof(policy->unresolved));
		policy->unresolved_len = policy->resolvers_len;
	}
	if (!policy->unresolved_len)
		return 0;
	memcpy(old, policy->resolvers, sizeof(old));
	policy->resolvers_len = 0;
	for (size_t i = 0; r == 0 && i < policy->unresolved_len; i++) {
		if (policy->unresolved[i].system) {
			for (size_t j = 0; r == 0 && j < addresses_len; j++)
				r = strcmp(addresses[j], "system") == 0
					    ? sp_error_set(err, -EINVAL,
							   "\"system\" is not an address")
					    : sp_policy_add_resolver(policy, addresses[j], err);
			continue;
		}
		if (policy->resolvers_len == SP_RESOLVERS_MAX) {
			r = sp_error_set(err, -EINVAL, "more than %d resolvers", SP_RESOLVERS_MAX);
			break;
		}
		policy->resolvers[policy->resolvers_len++] = policy->unresolved[i];
	}
	if (r < 0) {
		memcpy(policy->resolvers, old, sizeof(old));
		policy->resolvers_len = old_len;
	}
	return r;
}

bool sp_policy_follows_system(const struct sp_policy *policy)
{
	return policy->unresolved_len != 0;
}

const char *sp_policy_name(const struct sp_policy *policy)
{
	return policy->name;
}

enum sp_mode sp_policy_mode(const struct sp_policy *policy)
{
	return policy->mode;
}

enum sp_action sp_policy_default(const struct sp_policy *policy)
{
	return policy->default_action;
}

size_t sp_policy_rules_len(const struct sp_policy *policy)
{
	return policy->rules_len;
}

bool sp_policy_wants_system_resolvers(const struct sp_policy *policy)
{
	for (size_t i = 0; i < policy->resolvers_len; i++)
		if (policy->resolvers[i].system)
			return true;
	return false;
}

int sp_policy_rule(const struct sp_policy *policy, uint32_t rule, struct sp_rule_view *ret_view)
{
	const struct sp_rule *r;

	if (rule >= policy->rules_len)
		return -ENOENT;
	r = &policy->rules[rule];
	*ret_view = (struct sp_rule_view){
		.id = r->id,
		.note = r->note,
		.kind = sp_word_name(sp_words_kind, r->kind),
		.origin = r->origin,
		.target = r->targets[0].text,
		.targets_len = r->targets_len,
	};
	return 0;
}

int sp_policy_add_static(struct sp_policy *policy, const char *name, const uint8_t addr[16])
{
	struct sp_static *statics;
	const char *kept = NULL;
	int r = sp_hostname_parse(&policy->arena, name, &kept, NULL);

	if (r < 0)
		return r;
	for (size_t i = 0; i < policy->statics_len; i++)
		if (!strcmp(policy->statics[i].name, kept) &&
		    !memcmp(policy->statics[i].addr, addr, 16))
			return 0;
	statics = reallocarray(policy->statics, policy->statics_len + 1, sizeof(*statics));
	if (!statics)
		return -ENOMEM;
	policy->statics = statics;
	statics[policy->statics_len].name = kept;
	memcpy(statics[policy->statics_len++].addr, addr, 16);
	return 0;
}

bool sp_policy_names(const struct sp_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->rules_len; i++)
		for (size_t j = 0; j < policy->rules[i].targets_len; j++)
			if (policy->rules[i].targets[j].kind == SP_TARGET_EXACT &&
			    !strcasecmp(policy->rules[i].targets[j].name, name))
				return true;
	return false;
}

int sp_policy_static(const struct sp_policy *policy,
		     int (*each)(const char *name, const uint8_t addr[16], void *data), void *data)
{
	for (size_t i = 0; i < policy->statics_len; i++) {
		int r = each(policy->statics[i].name, policy->statics[i].addr, data);

		if (r)
			return r;
	}
	return 0;
}

/* ---- what the kernel path alone can do ------------------------------------------------------ */

#define NEEDS_HOLD "needs sallyportd's hold path, which `sallyport run` does not have"
#define NEEDS_HTTP "needs the HTTP gateway, which `sallyport run` does not have"

static int refuse(const struct sp_policy *policy, const struct sp_rule *rule, const char *key,
		  size_t target, const char *what, const char *needs, struct sp_error **err)
{
	bool from_option = rule && !rule->from_document;

	sp_error_set(err, -EOPNOTSUPP, "%s%s%s %s", from_option ? rule->origin : "",
		     from_option ? ": " : "", what, needs);
	if (!err || !*err || from_option)
		return -EOPNOTSUPP;
	if (policy->source)
		(*err)->file = strdup(policy->source);
	if (rule) {
		char index[32] = "";

		(*err)->line = rule->line;
		(*err)->column = rule->column;
		if (target != SIZE_MAX)
			snprintf(index, sizeof(index), "[%zu]", target);
		if (asprintf(&(*err)->path, "$.rules[%u].%s%s", rule->index, key, index) < 0)
			(*err)->path = NULL;
	} else if (asprintf(&(*err)->path, "$.%s", key) < 0) {
		(*err)->path = NULL;
	}
	return -EOPNOTSUPP;
}

int sp_policy_kernel_only(const struct sp_policy *policy, struct sp_error **err)
{
	char what[512];

	if (policy->default_action == SP_ACTION_ASK)
		return refuse(policy, NULL, "default", SIZE_MAX, "default \"prompt\"", NEEDS_HOLD,
			      err);
	if (policy->quic == SP_QUIC_INSPECT)
		return refuse(policy, NULL, "quic", SIZE_MAX, "quic \"inspect\"", NEEDS_HOLD, err);
	for (size_t i = 0; i < policy->rules_len; i++) {
		const struct sp_rule *rule = &policy->rules[i];
		const char *kind = sp_word_name(sp_words_kind, rule->kind);

		if (rule->kind == SP_RULE_DECIDE || rule->kind == SP_RULE_PROMPT) {
			snprintf(what, sizeof(what), "a %s rule", kind);
			return refuse(policy, rule, kind, SIZE_MAX, what, NEEDS_HOLD, err);
		}
		if (rule->http)
			return refuse(policy, rule, rule->http->methods ? "methods" : "path_glob",
				      SIZE_MAX, "a rule on HTTP methods or paths", NEEDS_HTTP, err);
		for (size_t j = 0; j < rule->targets_len; j++) {
			if (rule->targets[j].kind != SP_TARGET_GLOB)
				continue;
			snprintf(what, sizeof(what), "the pattern %s",
				 sp_quote(rule->targets[j].text).text);
			return refuse(policy, rule, kind, j, what, NEEDS_HOLD, err);
		}
	}
	return 0;
}
