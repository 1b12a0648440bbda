// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * document.c - from the text of a policy to its model. The only file that sees the JSON
 * library.
 *
 * The text is first scanned by json/scan.c (strict syntax, bounds), then made a tree by cJSON,
 * then read key by key: a key that no table here lists is an error. An error found in the tree is
 * placed by the number of its value in document order, in which tree and text agree.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "model.h"
#include "scan.h"

#define STRING_MAX 4096 /* bytes of a name, description or note */
#define ID_MAX 64
#define TIMEOUT_MAX_MS (24u * 3600 * 1000)
#define TTL_MAX 0x7fffffffu /* RFC 2181 8 */
#define CONTEXT_MESSAGES_MAX 1000
#define UNIX_PATH_MAX 107 /* sun_path without its NUL, unix(7) */

struct reader {
	const char *text;
	size_t len;
	const char *source;
	const cJSON *root;
	struct sp_policy *policy;
	struct sp_error **err;
	/* the rule at hand */
	struct sp_rule *rule;
	const cJSON *targets, *ports, *only_ask, *only_decide, *only_allow;
};

/* Where `item` stands among all values of the tree, in document order. */
static uint64_t number_of(const cJSON *root, const cJSON *wanted)
{
	const cJSON *stack[SP_POLICY_DEPTH_MAX + 1], *item = root;
	size_t depth = 0;
	uint64_t number = 0;

	for (;;) {
		if (item == wanted)
			return number;
		number++;
		if (item->child) {
			stack[depth++] = item;
			item = item->child;
			continue;
		}
		while (!item->next) {
			if (depth == 0)
				return UINT64_MAX;
			item = stack[--depth];
			if (depth == 0)
				return UINT64_MAX;
		}
		item = item->next;
	}
}

/* Adds the place of a value (or of its key) to the error that was just made; returns `code`. */
static int place(struct reader *rd, const cJSON *item, bool key, int code)
{
	if (rd->err && *rd->err)
		sp_scan_place(rd->text, rd->len, rd->source, number_of(rd->root, item), key,
			      *rd->err);
	return code;
}

#define fail(rd, item, ...) place(rd, item, false, sp_error_set((rd)->err, -EINVAL, __VA_ARGS__))
#define fail_key(rd, item, ...) place(rd, item, true, sp_error_set((rd)->err, -EINVAL, __VA_ARGS__))

static int no_memory(struct reader *rd)
{
	return sp_error_set(rd->err, -ENOMEM, "out of memory");
}

static const char *type_name(const cJSON *item)
{
	return cJSON_IsString(item)   ? "a string"
	       : cJSON_IsNumber(item) ? "a number"
	       : cJSON_IsObject(item) ? "an object"
	       : cJSON_IsArray(item)  ? "a list"
	       : cJSON_IsNull(item)   ? "null"
				      : "true or false";
}

static int wrong_type(struct reader *rd, const cJSON *item, const char *wanted)
{
	return fail(rd, item, "must be %s, not %s", wanted, type_name(item));
}

/* ---- values --------------------------------------------------------------------------------- */

static int read_string(struct reader *rd, const cJSON *item, size_t max, const char **ret)
{
	size_t len;

	if (!cJSON_IsString(item))
		return wrong_type(rd, item, "a string");
	len = strlen(item->valuestring);
	if (len > max)
		return fail(rd, item, "longer than %zu bytes", max);
	*ret = sp_arena_copy(&rd->policy->arena, item->valuestring, len);
	return *ret ? 0 : no_memory(rd);
}

static int read_word(struct reader *rd, const cJSON *item, const struct sp_word *words,
		     const char *what, int *ret)
{
	int r;

	if (!cJSON_IsString(item))
		return wrong_type(rd, item, "a string");
	r = sp_word_parse(words, what, item->valuestring, ret, rd->err);
	return r < 0 ? place(rd, item, false, r) : 0;
}

static int read_number(struct reader *rd, const cJSON *item, uint32_t min, uint32_t max,
		       uint32_t *ret)
{
	if (!cJSON_IsNumber(item))
		return wrong_type(rd, item, "a number");
	if (!(item->valuedouble >= min && item->valuedouble <= max))
		return fail(rd, item, "must be %u to %u", min, max);
	*ret = (uint32_t)item->valuedouble;
	if ((double)*ret != item->valuedouble)
		return fail(rd, item, "must be a whole number");
	return 0;
}

static int read_bool(struct reader *rd, const cJSON *item, bool *ret)
{
	if (!cJSON_IsBool(item))
		return wrong_type(rd, item, "true or false");
	*ret = cJSON_IsTrue(item);
	return 0;
}

static int want_list(struct reader *rd, const cJSON *item, bool filled)
{
	if (!cJSON_IsArray(item))
		return wrong_type(rd, item, "a list");
	if (filled && !item->child)
		return fail(rd, item, "an empty list");
	return 0;
}

static size_t count(const cJSON *item)
{
	size_t n = 0;

	for (const cJSON *child = item->child; child; child = child->next)
		n++;
	return n;
}

/* A list of strings as a malloc'ed, NULL-terminated array of copies. */
static int read_strings(struct reader *rd, const cJSON *item, size_t max, const char ***ret)
{
	const char **strings;
	size_t n = 0;
	int r;

	r = want_list(rd, item, true);
	if (r < 0)
		return r;
	strings = calloc(count(item) + 1, sizeof(*strings));
	if (!strings)
		return no_memory(rd);
	for (const cJSON *child = item->child; child; child = child->next) {
		r = read_string(rd, child, max, &strings[n++]);
		if (r < 0) {
			free(strings);
			return r;
		}
	}
	*ret = strings;
	return 0;
}

/* ---- objects -------------------------------------------------------------------------------- */

/* One key of an object; tables end with a NULL name. */
struct key {
	const char *name;
	int (*read)(struct reader *rd, const cJSON *item);
};

static int unknown_key(struct reader *rd, const cJSON *item, const struct key *keys)
{
	const char *known[32] = {0}, *nearest;

	for (size_t i = 0; i < 31 && keys[i].name; i++)
		known[i] = keys[i].name;
	nearest = sp_nearest(known, item->string);
	if (nearest)
		return fail_key(rd, item, "unknown key %s; did you mean \"%s\"?",
				sp_quote(item->string).text, nearest);
	return fail_key(rd, item, "unknown key %s", sp_quote(item->string).text);
}

static int read_object(struct reader *rd, const cJSON *object, const struct key *keys)
{
	if (!cJSON_IsObject(object))
		return wrong_type(rd, object, "an object");
	for (const cJSON *item = object->child; item; item = item->next) {
		const struct key *key = keys;
		int r;

		while (key->name && strcmp(key->name, item->string) != 0)
			key++;
		if (!key->name)
			return unknown_key(rd, item, keys);
		r = key->read(rd, item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int duplicate_key(struct reader *rd, const cJSON *item)
{
	return fail_key(rd, item, "key %s stands here twice", sp_quote(item->string).text);
}

static int check_object(struct reader *rd, const cJSON *object)
{
	struct sp_strmap map = {0};
	size_t n = 0;
	int r = 0;

	for (const cJSON *item = object->child; item && n <= 16; item = item->next, n++)
		for (const cJSON *before = object->child; before != item; before = before->next)
			if (strcmp(before->string, item->string) == 0)
				return duplicate_key(rd, item);
	if (n <= 16)
		return 0;
	for (const cJSON *item = object->child; item; item = item->next) {
		uint32_t *seen = sp_strmap_get(&map, item->string);

		if (!seen)
			r = no_memory(rd);
		else if ((*seen)++)
			r = duplicate_key(rd, item);
		if (r < 0)
			break;
	}
	sp_strmap_free(&map);
	return r;
}

/* Duplicate keys anywhere in the tree: cJSON keeps both, and most readers would see the first. */
static int check_duplicates(struct reader *rd)
{
	const cJSON *stack[SP_POLICY_DEPTH_MAX + 1], *item = rd->root;
	size_t depth = 0;

	for (;;) {
		if (item->child) {
			if (cJSON_IsObject(item)) {
				int r = check_object(rd, item);

				if (r < 0)
					return r;
			}
			stack[depth++] = item;
			item = item->child;
			continue;
		}
		while (!item->next) {
			if (depth == 0)
				return 0;
			item = stack[--depth];
			if (depth == 0)
				return 0;
		}
		item = item->next;
	}
}

/* ---- rules ---------------------------------------------------------------------------------- */

static int read_kind(struct reader *rd, const cJSON *item)
{
	int kind = SP_RULE_ALLOW;

	if (rd->targets)
		return fail_key(rd, item,
				"a rule is one of allow, deny, decide and prompt; this one "
				"is \"%s\" already",
				rd->targets->string);
	while (strcmp(sp_words_kind[kind].name, item->string) != 0)
		kind++;
	rd->targets = item;
	rd->rule->kind = sp_words_kind[kind].value;
	return 0;
}

static int read_port(struct reader *rd, const cJSON *item, struct sp_ports *ret)
{
	unsigned int low = 0, high = 0;
	uint32_t port = 0;
	char rest;
	int r;

	if (cJSON_IsNumber(item)) {
		r = read_number(rd, item, 1, 65535, &port);
		*ret = (struct sp_ports){port, port};
		return r;
	}
	if (!cJSON_IsString(item))
		return wrong_type(rd, item, "a port, \"a-b\" or \"*\"");
	if (strcmp(item->valuestring, "*") == 0) {
		*ret = (struct sp_ports){0, 65535};
		return 0;
	}
	if (strlen(item->valuestring) > 11 ||
	    strspn(item->valuestring, "0123456789-") != strlen(item->valuestring) ||
	    item->valuestring[0] == '-' || strstr(item->valuestring, "--") ||
	    sscanf(item->valuestring, "%u-%u%c", &low, &high, &rest) != 2)
		return fail(rd, item, "%s is no range of ports; write a number, \"a-b\" or \"*\"",
			    sp_quote(item->valuestring).text);
	if (low < 1 || low > 65535 || high < 1 || high > 65535)
		return fail(rd, item, "%s: ports are 1 to 65535", sp_quote(item->valuestring).text);
	if (low > high)
		return fail(rd, item, "%s: the range runs backwards",
			    sp_quote(item->valuestring).text);
	*ret = (struct sp_ports){low, high};
	return 0;
}

static int read_ports(struct reader *rd, const cJSON *item)
{
	struct sp_rule *rule = rd->rule;
	int r;

	r = want_list(rd, item, true);
	if (r < 0)
		return r;
	rule->ports = calloc(count(item), sizeof(*rule->ports));
	if (!rule->ports)
		return no_memory(rd);
	rd->ports = item;
	for (const cJSON *child = item->child; child; child = child->next) {
		r = read_port(rd, child, &rule->ports[rule->ports_len++]);
		if (r < 0)
			return r;
	}
	rule->ports_len = sp_ports_merge(rule->ports, rule->ports_len);
	return 0;
}

static int read_protocol(struct reader *rd, const cJSON *item)
{
	int value = 0, r;

	rd->rule->protocols = 0;
	if (!cJSON_IsArray(item)) {
		r = read_word(rd, item, sp_words_protocol, "protocol", &value);
		rd->rule->protocols = value;
		return r;
	}
	r = want_list(rd, item, true);
	for (const cJSON *child = item->child; r == 0 && child; child = child->next) {
		r = read_word(rd, child, sp_words_protocol, "protocol", &value);
		rd->rule->protocols |= value;
	}
	return r;
}

static int rule_http(struct reader *rd)
{
	if (!rd->rule->http)
		rd->rule->http = calloc(1, sizeof(*rd->rule->http));
	return rd->rule->http ? 0 : no_memory(rd);
}

static int read_methods(struct reader *rd, const cJSON *item)
{
	int r = rule_http(rd);

	if (r < 0)
		return r;
	r = read_strings(rd, item, 32, &rd->rule->http->methods);
	if (r < 0)
		return r;
	for (const cJSON *child = item->child; child; child = child->next) {
		const char *method = child->valuestring;

		/* methods are case-sensitive (RFC 9110 9.1), and all that exist are upper case */
		if (!*method || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != strlen(method))
			return fail(rd, child, "%s is no HTTP method (they are upper case)",
				    sp_quote(method).text);
	}
	return 0;
}

static int read_path_glob(struct reader *rd, const cJSON *item)
{
	int r = rule_http(rd);

	if (r == 0)
		r = read_string(rd, item, STRING_MAX, &rd->rule->http->path_glob);
	/* read_string() sets it when it returns 0:
	 * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (r == 0 && *rd->rule->http->path_glob != '/' && *rd->rule->http->path_glob != '*')
		return fail(rd, item, "a path starts with '/'");
	return r;
}

static int read_id(struct reader *rd, const cJSON *item)
{
	uint32_t *used;
	int r;

	r = read_string(rd, item, ID_MAX, &rd->rule->id);
	if (r < 0)
		return r;
	if (!*rd->rule->id ||
	    strspn(rd->rule->id,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-") !=
		    strlen(rd->rule->id))
		return fail(rd, item, "an id is made of letters, digits and _ . : -");
	used = sp_strmap_get(&rd->policy->ids, rd->rule->id);
	if (!used)
		return no_memory(rd);
	if ((*used)++)
		return fail(rd, item, "another rule has the id %s", sp_quote(rd->rule->id).text);
	rd->rule->has_id = true;
	return 0;
}

static int read_note(struct reader *rd, const cJSON *item)
{
	return read_string(rd, item, STRING_MAX, &rd->rule->note);
}

static int read_tls_ports(struct reader *rd, const cJSON *item)
{
	int r = read_bool(rd, item, &rd->rule->tls);

	rd->rule->tls_off = r == 0 && !rd->rule->tls;
	return r;
}

static int read_keep(struct reader *rd, const cJSON *item)
{
	rd->only_allow = item;
	return read_bool(rd, item, &rd->rule->keep);
}

static int rule_ask(struct reader *rd)
{
	if (rd->rule->ask)
		return 0;
	rd->rule->ask = calloc(1, sizeof(*rd->rule->ask));
	if (!rd->rule->ask)
		return no_memory(rd);
	rd->rule->ask->cache = true;
	return 0;
}

static int rule_decide(struct reader *rd, const cJSON *item)
{
	if (!rd->only_decide)
		rd->only_decide = item;
	return rule_ask(rd);
}

static int one_decider(struct reader *rd, const cJSON *item, enum sp_decider by)
{
	if (rd->rule->ask->by != SP_DECIDER_NONE)
		return fail_key(rd, item, "\"by\" is one of unix, command and channel");
	rd->rule->ask->by = by;
	return 0;
}

static int read_unix(struct reader *rd, const cJSON *item)
{
	int r = one_decider(rd, item, SP_DECIDER_UNIX);

	if (r == 0)
		r = read_string(rd, item, UNIX_PATH_MAX, &rd->rule->ask->unix_path);
	if (r == 0 && rd->rule->ask->unix_path[0] != '/')
		return fail(rd, item, "the path of a socket starts with '/'");
	return r;
}

static int read_command(struct reader *rd, const cJSON *item)
{
	int r = one_decider(rd, item, SP_DECIDER_COMMAND);

	if (r == 0)
		r = read_strings(rd, item, STRING_MAX, &rd->rule->ask->command);
	/* the list is not empty: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (r == 0 && !rd->rule->ask->command[0][0])
		return fail(rd, item, "the command has no name");
	return r;
}

static int read_channel(struct reader *rd, const cJSON *item)
{
	bool channel = false;
	int r = one_decider(rd, item, SP_DECIDER_CHANNEL);

	if (r == 0)
		r = read_bool(rd, item, &channel);
	if (r == 0 && !channel)
		return fail(rd, item, "\"channel\" can only be true");
	return r;
}

static int read_by(struct reader *rd, const cJSON *item)
{
	static const struct key keys[] = {
		{"unix", read_unix},
		{"command", read_command},
		{"channel", read_channel},
		{NULL, NULL},
	};
	int r = rule_decide(rd, item);

	if (r == 0)
		r = read_object(rd, item, keys);
	if (r == 0 && rd->rule->ask->by == SP_DECIDER_NONE)
		return fail(rd, item, "\"by\" is one of unix, command and channel");
	return r;
}

static int read_timeout(struct reader *rd, const cJSON *item)
{
	int r = rule_ask(rd);

	rd->only_ask = item;
	return r < 0 ? r : read_number(rd, item, 1, TIMEOUT_MAX_MS, &rd->rule->ask->timeout_ms);
}

static int read_cache(struct reader *rd, const cJSON *item)
{
	int r = rule_decide(rd, item);

	return r < 0 ? r : read_bool(rd, item, &rd->rule->ask->cache);
}

static int read_context_messages(struct reader *rd, const cJSON *item)
{
	int r = rule_decide(rd, item);

	return r < 0 ? r
		     : read_number(rd, item, 0, CONTEXT_MESSAGES_MAX,
				   &rd->rule->ask->context_messages);
}

static int read_context_metadata(struct reader *rd, const cJSON *item)
{
	char *text;
	int r = rule_decide(rd, item);

	if (r < 0)
		return r;
	if (!cJSON_IsObject(item))
		return wrong_type(rd, item, "an object");
	text = cJSON_PrintUnformatted(item);
	if (!text)
		return no_memory(rd);
	rd->rule->ask->context_metadata = sp_arena_copy(&rd->policy->arena, text, strlen(text));
	cJSON_free(text);
	return rd->rule->ask->context_metadata ? 0 : no_memory(rd);
}

static int read_targets(struct reader *rd)
{
	struct sp_rule *rule = rd->rule;
	int r;

	r = want_list(rd, rd->targets, true);
	if (r < 0)
		return r;
	/* want_list() saw one: NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI) */
	rule->targets = calloc(count(rd->targets), sizeof(*rule->targets));
	if (!rule->targets)
		return no_memory(rd);
	for (const cJSON *item = rd->targets->child; item; item = item->next) {
		struct sp_target *target = &rule->targets[rule->targets_len];

		if (!cJSON_IsString(item))
			return wrong_type(rd, item, "a string");
		r = sp_target_parse(&rd->policy->arena, item->valuestring, target, rd->err);
		if (r < 0)
			return place(rd, item, false, r);
		rule->targets_len++;
		if (target->port && rd->ports)
			return fail(rd, item, "%s names a port, and the rule has \"ports\" too",
				    sp_quote(item->valuestring).text);
	}
	if (rule->keep) {
		bool names = false;

		for (size_t i = 0; i < rule->targets_len; i++)
			names |= rule->targets[i].kind != SP_TARGET_ADDR;
		if (!names)
			return fail_key(rd, rd->only_allow,
					"\"keep_addresses\" is about names, and the rule has none");
	}
	return sp_rule_add_localhost(rule) < 0 ? no_memory(rd) : 0;
}

static int read_rule(struct reader *rd, const cJSON *item)
{
	static const struct key keys[] = {
		{"allow", read_kind},
		{"deny", read_kind},
		{"decide", read_kind},
		{"prompt", read_kind},
		{"ports", read_ports},
		{"protocol", read_protocol},
		{"methods", read_methods},
		{"path_glob", read_path_glob},
		{"id", read_id},
		{"note", read_note},
		{"tls", read_tls_ports},
		{"keep_addresses", read_keep},
		{"by", read_by},
		{"timeout_ms", read_timeout},
		{"cache", read_cache},
		{"context_messages", read_context_messages},
		{"context_metadata", read_context_metadata},
		{NULL, NULL},
	};
	struct sp_rule *rule = rd->rule;
	int r;

	rd->targets = rd->ports = rd->only_ask = rd->only_decide = rd->only_allow = NULL;
	rule->protocols = SP_PROTOCOL_ANY;
	r = read_object(rd, item, keys);
	if (r < 0)
		return r;
	if (!rd->targets)
		return fail(rd, item, "a rule needs one of allow, deny, decide and prompt");
	if (rd->only_allow && rule->kind != SP_RULE_ALLOW)
		return fail_key(rd, rd->only_allow, "\"%s\" is for allow rules",
				rd->only_allow->string);
	if (rd->only_decide && rule->kind != SP_RULE_DECIDE)
		return fail_key(rd, rd->only_decide, "\"%s\" is for decide rules",
				rd->only_decide->string);
	if (rd->only_ask && rule->kind != SP_RULE_DECIDE && rule->kind != SP_RULE_PROMPT)
		return fail_key(rd, rd->only_ask, "\"%s\" is for decide and prompt rules",
				rd->only_ask->string);
	if (rule->kind == SP_RULE_DECIDE && (!rule->ask || rule->ask->by == SP_DECIDER_NONE))
		return fail(rd, item, "a decide rule needs \"by\": who decides");
	if (rule->kind == SP_RULE_DECIDE || rule->kind == SP_RULE_PROMPT) {
		r = rule_ask(rd);
		if (r < 0)
			return r;
		if (!rule->ask->timeout_ms)
			rule->ask->timeout_ms = rule->kind == SP_RULE_DECIDE ? 5000 : 60000;
	}
	return read_targets(rd);
}

static int read_rules(struct reader *rd, const cJSON *list)
{
	int r;

	r = want_list(rd, list, false);
	if (r < 0)
		return r;
	for (const cJSON *item = list->child; item; item = item->next) {
		char origin[32];
		int n;

		rd->rule = sp_policy_add_rule(rd->policy);
		if (!rd->rule)
			return no_memory(rd);
		rd->rule->from_document = true;
		rd->rule->index = rd->policy->rules_len - 1;
		n = snprintf(origin, sizeof(origin), "rule %u", rd->rule->index);
		rd->rule->origin = sp_arena_copy(&rd->policy->arena, origin, n);
		if (!rd->rule->origin)
			return no_memory(rd);
		r = read_rule(rd, item);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- dns ------------------------------------------------------------------------------------ */

static int read_resolvers(struct reader *rd, const cJSON *list)
{
	int r;

	r = want_list(rd, list, false);
	if (r < 0)
		return r;
	rd->policy->resolvers_len = 0;
	for (const cJSON *item = list->child; item; item = item->next) {
		if (!cJSON_IsString(item))
			return wrong_type(rd, item, "a string");
		r = sp_policy_add_resolver(rd->policy, item->valuestring, rd->err);
		if (r < 0)
			return place(rd, item, false, r);
	}
	return 0;
}

static int read_private(struct reader *rd, const cJSON *list)
{
	struct sp_policy *policy = rd->policy;
	int r;

	r = want_list(rd, list, false);
	if (r < 0)
		return r;
	for (const cJSON *item = list->child; item; item = item->next) {
		struct sp_prefix *prefix = &policy->private_answers[policy->private_len];
		uint8_t bits = 0;

		if (!cJSON_IsString(item))
			return wrong_type(rd, item, "a string");
		if (policy->private_len == SP_PRIVATE_MAX)
			return fail(rd, item, "more than %d networks", SP_PRIVATE_MAX);
		r = sp_prefix_parse(item->valuestring, false, prefix->addr, &bits, rd->err);
		if (r < 0)
			return place(rd, item, false, r);
		prefix->prefix = bits;
		policy->private_len++;
	}
	return 0;
}

static int read_static(struct reader *rd, const cJSON *object)
{
	struct sp_policy *policy = rd->policy;
	size_t size = 0;
	int r;

	if (!cJSON_IsObject(object))
		return wrong_type(rd, object, "an object");
	for (const cJSON *item = object->child; item; item = item->next) {
		const char *name = NULL;

		r = sp_hostname_parse(&policy->arena, item->string, &name, rd->err);
		if (r < 0)
			return place(rd, item, true, r);
		r = want_list(rd, item, true);
		if (r < 0)
			return r;
		for (const cJSON *child = item->child; child; child = child->next) {
			struct sp_static *one;
			uint8_t bits;

			if (policy->statics_len == size) {
				size = size ? size * 2 : 16;
				one = reallocarray(policy->statics, size, sizeof(*one));
				if (!one)
					return no_memory(rd);
				policy->statics = one;
			}
			one = &policy->statics[policy->statics_len];
			one->name = name;
			if (!cJSON_IsString(child))
				return wrong_type(rd, child, "a string");
			r = sp_prefix_parse(child->valuestring, true, one->addr, &bits, rd->err);
			if (r < 0)
				return place(rd, child, false, r);
			policy->statics_len++;
		}
	}
	return 0;
}

static int read_denied_answer(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_denied_answer, "denied_answer", &v);

	rd->policy->denied_answer = v;
	return r;
}

static int read_query_type(struct reader *rd, const cJSON *item)
{
	static const struct sp_word types[] = {
		{"A", 1},    {"AAAA", 28}, {"CNAME", 5}, {"HTTPS", 65}, {"SVCB", 64},
		{"SRV", 33}, {"MX", 15},   {"TXT", 16},	 {"PTR", 12},	{"SOA", 6},
		{"NS", 2},   {"CAA", 257}, {NULL, 0},
	};
	unsigned int number = 0;
	int type = -1;
	char rest;

	if (!cJSON_IsString(item))
		return wrong_type(rd, item, "a string");
	for (const struct sp_word *word = types; word->name; word++)
		if (strcmp(word->name, item->valuestring) == 0)
			type = word->value;
	/* RFC 3597 5 */
	if (type < 0 && strlen(item->valuestring) <= 9 &&
	    strncmp(item->valuestring, "TYPE", 4) == 0 && item->valuestring[4] >= '0' &&
	    item->valuestring[4] <= '9' &&
	    sscanf(item->valuestring + 4, "%u%c", &number, &rest) == 1)
		type = number;
	if (type < 0)
		return fail(rd, item,
			    "%s is no query type known here; they are A, AAAA, CNAME, HTTPS, "
			    "SVCB, SRV, MX, TXT, PTR, SOA, NS, CAA and TYPEn",
			    sp_quote(item->valuestring).text);
	if (type < 1 || type >= 256 + 64)
		return fail(rd, item, "%s: only types 1 to 319 can be allowed",
			    sp_quote(item->valuestring).text);
	if (type < 256)
		rd->policy->query_types[type / 64] |= 1ULL << type % 64;
	else
		rd->policy->query_types_high |= 1ULL << (type - 256);
	return 0;
}

static int read_query_types(struct reader *rd, const cJSON *list)
{
	int r = want_list(rd, list, false);

	memset(rd->policy->query_types, 0, sizeof(rd->policy->query_types));
	rd->policy->query_types_high = 0;
	for (const cJSON *item = list->child; r == 0 && item; item = item->next)
		r = read_query_type(rd, item);
	return r;
}

static int read_min_ttl(struct reader *rd, const cJSON *item)
{
	return read_number(rd, item, 0, TTL_MAX, &rd->policy->min_ttl);
}

static int read_max_ttl(struct reader *rd, const cJSON *item)
{
	return read_number(rd, item, 0, TTL_MAX, &rd->policy->max_ttl);
}

static int read_dns(struct reader *rd, const cJSON *item)
{
	static const struct key keys[] = {
		{"resolvers", read_resolvers},	   {"private_answers", read_private},
		{"static", read_static},	   {"denied_answer", read_denied_answer},
		{"query_types", read_query_types}, {"min_ttl", read_min_ttl},
		{"max_ttl", read_max_ttl},	   {NULL, NULL},
	};
	int r = read_object(rd, item, keys);

	if (r == 0 && rd->policy->min_ttl > rd->policy->max_ttl)
		return fail(rd, item, "min_ttl (%u) is above max_ttl (%u)", rd->policy->min_ttl,
			    rd->policy->max_ttl);
	return r;
}

/* ---- top level ------------------------------------------------------------------------------ */

static int read_sni(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_sni, "sni", &v);

	rd->policy->sni = v;
	return r;
}

static int read_ech(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_ech, "ech", &v);

	rd->policy->ech = v;
	return r;
}

static int read_tls(struct reader *rd, const cJSON *item)
{
	static const struct key keys[] = {
		{"sni", read_sni},
		{"ech", read_ech},
		{NULL, NULL},
	};

	return read_object(rd, item, keys);
}

static int read_schema(struct reader *rd, const cJSON *item)
{
	return cJSON_IsString(item) ? 0 : wrong_type(rd, item, "a string");
}

static int read_version(struct reader *rd, const cJSON *item)
{
	if (!cJSON_IsNumber(item))
		return wrong_type(rd, item, "a number");
	if (item->valuedouble != 1)
		return fail(rd, item, "this program reads version 1 of the policy document");
	return 0;
}

static int read_name(struct reader *rd, const cJSON *item)
{
	return read_string(rd, item, 128, &rd->policy->name);
}

static int read_description(struct reader *rd, const cJSON *item)
{
	return read_string(rd, item, STRING_MAX, &rd->policy->description);
}

static int read_mode(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_mode, "mode", &v);

	rd->policy->mode = v;
	return r;
}

static int read_default(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_default, "default", &v);

	rd->policy->default_action = v;
	return r;
}

static int read_precedence(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_precedence, "precedence", &v);

	rd->policy->precedence = v;
	return r;
}

static int read_quic(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_quic, "quic", &v);

	rd->policy->quic = v;
	return r;
}

static int read_loopback(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_loopback, "loopback", &v);

	rd->policy->loopback = v;
	return r;
}

static int read_inbound(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_inbound, "inbound", &v);

	rd->policy->inbound = v;
	return r;
}

static int read_approvals(struct reader *rd, const cJSON *item)
{
	int v = 0, r = read_word(rd, item, sp_words_approvals, "approvals", &v);

	rd->policy->approvals = v;
	return r;
}

static int read_limits(struct reader *rd, const cJSON *item)
{
	if (!cJSON_IsObject(item))
		return wrong_type(rd, item, "an object");
	if (item->child)
		return fail_key(rd, item->child,
				"there are no quotas yet: \"limits\" must be empty");
	return 0;
}

static int read_document(struct reader *rd)
{
	static const struct key keys[] = {
		{"version", read_version},
		{"name", read_name},
		{"description", read_description},
		{"mode", read_mode},
		{"default", read_default},
		{"precedence", read_precedence},
		{"rules", read_rules},
		{"dns", read_dns},
		{"tls", read_tls},
		{"quic", read_quic},
		{"loopback", read_loopback},
		{"inbound", read_inbound},
		{"approvals", read_approvals},
		{"limits", read_limits},
		{"$schema", read_schema},
		{NULL, NULL},
	};
	bool version = false;
	int r;

	r = check_duplicates(rd);
	if (r == 0)
		r = read_object(rd, rd->root, keys);
	if (r < 0)
		return r;
	for (const cJSON *item = rd->root->child; item; item = item->next)
		version |= strcmp(item->string, "version") == 0;
	if (!version)
		return fail(rd, rd->root, "\"version\": 1 is missing");
	for (size_t i = 0; i < rd->policy->rules_len; i++)
		if (!rd->policy->rules[i].has_id &&
		    sp_rule_make_id(rd->policy, &rd->policy->rules[i]) < 0)
			return no_memory(rd);
	return 0;
}

static int too_large(const char *source, struct sp_error **err)
{
	sp_error_set(err, -E2BIG, "the document is larger than %u MiB", SP_POLICY_TEXT_MAX >> 20);
	if (err && *err && source)
		(*err)->file = strdup(source);
	return -E2BIG;
}

int sp_policy_parse(const char *text, size_t len, const char *source, struct sp_policy **ret_policy,
		    struct sp_error **err)
{
	struct reader rd = {.text = text, .len = len, .source = source, .err = err};
	struct sp_scan_rules rules = {0};
	struct sp_scan_line at = {0, 1, 1};
	cJSON *root = NULL;
	int r;

	if (len > SP_POLICY_TEXT_MAX)
		return too_large(source, err);
	r = sp_scan(text, len, source, &rules, err);
	if (r < 0)
		return r;
	r = sp_policy_new(&rd.policy, err);
	if (r < 0)
		goto out;
	if (source) {
		rd.policy->source = sp_arena_copy(&rd.policy->arena, source, strlen(source));
		if (!rd.policy->source) {
			r = no_memory(&rd);
			goto out;
		}
	}
	root = cJSON_ParseWithLength(text, len);
	if (!root) { /* the scan has accepted the text: what is left to go wrong is memory */
		r = no_memory(&rd);
		goto out;
	}
	rd.root = root;
	r = read_document(&rd);
	if (r < 0)
		goto out;
	for (size_t i = 0; i < rules.len && i < rd.policy->rules_len; i++) {
		sp_scan_advance(text, rules.offsets[i], &at);
		rd.policy->rules[i].line = at.line;
		rd.policy->rules[i].column = at.column;
	}
	*ret_policy = rd.policy;
	rd.policy = NULL;
out:
	cJSON_Delete(root);
	sp_policy_free(rd.policy);
	free(rules.offsets);
	return r;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Standard input is not ours to close. */
static void cleanup_file(const int *fd)
{
	if (*fd > STDIN_FILENO)
		close(*fd);
}

static int file_error(const char *source, int code, const char *what, struct sp_error **err)
{
	sp_error_set(err, code, "%s: %s", what, strerror(-code));
	if (err && *err)
		(*err)->file = strdup(source);
	return code;
}

int sp_policy_load(const char *path, struct sp_policy **ret_policy, struct sp_error **err)
{
	bool standard = strcmp(path, "-") == 0;
	const char *source = standard ? "<stdin>" : path;
	SP_CLEANUP(sp_cleanup_free) char *text = NULL;
	SP_CLEANUP(cleanup_file) int fd = -1;
	size_t len = 0, size = 64u << 10;
	struct stat st;

	fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return file_error(source, -errno, "cannot open the policy", err);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		if (st.st_size > (off_t)SP_POLICY_TEXT_MAX)
			return too_large(source, err);
		size = (size_t)st.st_size + 1;
	}
	for (;;) {
		ssize_t n;

		if (!text || len == size) {
			char *bigger;

			if (text)
				size *= 2;
			if (size > SP_POLICY_TEXT_MAX + 1)
				size = SP_POLICY_TEXT_MAX + 1;
			bigger = realloc(text, size);
			if (!bigger)
				return file_error(source, -ENOMEM, "cannot read the policy", err);
			text = bigger;
		}
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(source, -errno, "cannot read the policy", err);
		if (n == 0)
			break;
		len += n;
		if (len > SP_POLICY_TEXT_MAX)
			return too_large(source, err);
	}
	return sp_policy_parse(text, len, source, ret_policy, err);
}
