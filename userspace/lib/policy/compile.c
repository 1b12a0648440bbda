// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * compile.c - from the model of a policy to what the kernel maps are filled with.
 *
 * A *grant* is one rule (by evaluation order) as it applies to one kind of target with one port.
 *What applies to a set of names is a list of grants, sorted, so the first is asked first; lists,
 *the ACLs made of them and the nodes that point to ACLs are all interned, which is what keeps a
 *policy of a million names at one slot of 16 bytes a name.
 *
 * Wildcards are folded downwards. For a suffix S whose nearest ancestor with wildcards is A:
 *	many(S) = many(A) + the grants of `**.S`
 *	one(S)  = many(S) + the grants of `*.S`
 *	exact(S) = (A is one label above S ? one(A) : many(A)) + the grants of `S`
 * so that the longest suffix that is known answers alone (bpf/walk.h). Ancestors come first, and a
 * grant that is wholly hidden behind an earlier one is dropped at once: lists stay below SP_ACL_MAX
 * whatever the policy, or the policy is refused.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "model.h"
#include "walk.h"

/* Grants sort by evaluation order; a list never mixes names and addresses. */
#define GRANT(order, local, addr, port)                                                            \
	((uint64_t)(order) << 18 | (uint64_t) !(local) << 17 | (uint64_t)(addr) << 16 | (port))
#define GRANT_ORDER(grant) ((uint32_t)((grant) >> 18))
#define GRANT_LOCAL(grant) (!((grant) >> 17 & 1)) /* SP_ENTRY_LOCAL; those come first of a rule */
#define GRANT_ADDR(grant) ((grant) >> 16 & 1)
#define GRANT_PORT(grant) ((uint16_t)(grant))

/* Slots in use per bucket, on average, before the table is doubled: 60 % of SP_BUCKET_SLOTS. */
#define BUCKET_LOAD 2.4
#define KICKS_MAX 256

/* ---- interning ------------------------------------------------------------------------------ */

struct slice {
	uint32_t first, count;
};

/* Equal sequences of equal-sized elements get one id; id 0 is the empty sequence. */
struct intern {
	size_t element; /* bytes, a multiple of 8 */
	uint8_t *pool;
	size_t pool_len, pool_size; /* elements */
	struct slice *slices;
	uint32_t len, size;
	struct intern_slot {
		uint32_t id, hash;
	} * slots;
	size_t slots_len;
};

static void intern_free(struct intern *t)
{
	free(t->pool);
	free(t->slices);
	free(t->slots);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

static uint32_t hash_elements(const void *elements, size_t bytes)
{
	uint64_t hash = bytes;

	for (size_t i = 0; i < bytes; i += 8) {
		uint64_t word;

		memcpy(&word, (const uint8_t *)elements + i, 8);
		hash = mix(hash ^ word) + 0x9e3779b97f4a7c15ULL;
	}
	return mix(hash);
}

static int intern_grow_slots(struct intern *t)
{
	size_t slots_len = t->slots_len ? t->slots_len * 2 : 64;
	struct intern_slot *slots = calloc(slots_len, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->slots_len; i++) {
		size_t at = t->slots[i].hash & (slots_len - 1);

		if (!t->slots[i].id)
			continue;
		while (slots[at].id)
			at = (at + 1) & (slots_len - 1);
		slots[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->slots_len = slots_len;
	return 0;
}

/* `reserved` elements stand unused at the start of the pool. */
static int intern_init(struct intern *t, size_t element, size_t reserved)
{
	t->element = element;
	t->pool_size = 64;
	t->size = 64;
	t->pool = calloc(t->pool_size, element);
	t->slices = calloc(t->size, sizeof(*t->slices));
	if (!t->pool || !t->slices)
		return -ENOMEM;
	t->pool_len = reserved;
	t->len = 1;
	return intern_grow_slots(t);
}

static int intern_add(struct intern *t, const void *elements, uint32_t count, uint32_t *ret_id)
{
	size_t bytes = count * t->element, at;
	uint32_t hash = hash_elements(elements, bytes);

	if (count == 0) {
		*ret_id = 0;
		return 0;
	}
	if (t->len >= t->slots_len / 2 && intern_grow_slots(t) < 0)
		return -ENOMEM;
	for (at = hash & (t->slots_len - 1); t->slots[at].id; at = (at + 1) & (t->slots_len - 1)) {
		const struct slice *slice = &t->slices[t->slots[at].id];

		if (t->slots[at].hash == hash && slice->count == count &&
		    memcmp(t->pool + slice->first * t->element, elements, bytes) == 0) {
			*ret_id = t->slots[at].id;
			return 0;
		}
	}
	if (t->len == t->size) {
		struct slice *slices =
			reallocarray(t->slices, (size_t)t->size * 2, sizeof(*slices));

		if (!slices)
			return -ENOMEM;
		t->slices = slices;
		t->size *= 2;
	}
	while (t->pool_len + count > t->pool_size) {
		uint8_t *pool = reallocarray(t->pool, t->pool_size * 2, t->element);

		if (!pool)
			return -ENOMEM;
		t->pool = pool;
		t->pool_size *= 2;
	}
	memcpy(t->pool + t->pool_len * t->element, elements, bytes);
	t->slices[t->len] = (struct slice){t->pool_len, count};
	t->pool_len += count;
	t->slots[at] = (struct intern_slot){t->len, hash};
	*ret_id = t->len++;
	return 0;
}

/* ---- the compiler's state ------------------------------------------------------------------- */

/* One name pattern of one rule. */
struct item {
	uint64_t hash; /* of its suffix */
	uint64_t grant;
	const struct sp_target *target;
	uint32_t ancestor; /* nearest wild suffix above; 0: none */
	uint8_t type;	   /* SP_TARGET_EXACT, _ONE or _MANY */
	uint8_t labels;	   /* of the suffix */
	bool parent;	   /* the ancestor is one label above */
};

/* A suffix that has wildcards. */
struct wild {
	uint64_t hash;
	const struct sp_target *target;
	const struct item *items; /* all patterns of this suffix, sorted by type */
	size_t items_len;
	uint32_t ancestor;
	uint32_t many, one; /* lists */
	uint8_t labels;
	bool parent;
};

struct network {
	uint8_t addr[16];
	uint64_t grant;
	const struct sp_target *target;
	uint8_t prefix;
};

struct compiler {
	const struct sp_policy *policy;
	struct sp_error **err;
	uint32_t *order; /* evaluation order -> rule */
	uint32_t *rank;	 /* rule -> evaluation order */
	struct item *items, *sorted, *roots;
	size_t items_len, roots_len;
	struct wild *wilds; /* 0 unused */
	size_t wilds_len;
	uint32_t *wild_slots, *wild_order;
	size_t wild_slots_len;
	uint32_t root_wild;
	struct network *networks;
	size_t networks_len;
	struct intern lists, acls, nodes;
	uint32_t *list_acl; /* list -> ACL */
	struct sp_acl *acl;
	uint32_t list_acl_size, acl_size;
	uint64_t *grants; /* scratch */
	size_t grants_len, grants_size;
	struct sp_ports *ports; /* scratch */
	size_t ports_size;
	/* the last list made by adding one grant: most names of a large policy repeat it */
	uint64_t memo_grant;
	uint32_t memo_base, memo_list;
	struct sp_name name;
	struct sp_image *image;
};

static int no_memory(struct compiler *c)
{
	return sp_error_set(c->err, -ENOMEM, "out of memory");
}

/* ---- ACLs ----------------------------------------------------------------------------------- */

/* Is some port of [low, high] left for `protocol` after the denies among entries[0..count)? */
static bool reachable(const struct sp_acl_entry *entries, uint32_t count, uint32_t low,
		      uint32_t high, uint8_t protocol)
{
	uint32_t port = low ? low : 1; /* nothing listens on port 0 */

	while (port <= high) {
		uint32_t next = port;

		for (uint32_t i = 0; i < count; i++)
			if (entries[i].action == SP_ACTION_DENY &&
			    (entries[i].protocols & protocol) && entries[i].port_low <= port &&
			    entries[i].port_high >= next)
				next = (uint32_t)entries[i].port_high + 1;
		if (next == port)
			return true;
		port = next;
	}
	return false;
}

static void decide_dns(const struct compiler *c, const struct sp_acl_entry *entries, uint32_t count,
		       struct sp_acl *acl)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct sp_acl_entry *e = &entries[i];

		if (e->action == SP_ACTION_DENY)
			continue;
		for (uint8_t protocol = SP_PROTOCOL_TCP; protocol <= SP_PROTOCOL_UDP;
		     protocol <<= 1) {
			if (!(e->protocols & protocol) ||
			    !reachable(entries, i, e->port_low, e->port_high, protocol))
				continue;
			acl->dns_action = e->action;
			acl->dns_rule = e->rule;
			return;
		}
	}
	acl->dns_rule = SP_RULE_DEFAULT;
	acl->dns_action = c->policy->default_action;
	if (c->policy->default_action != SP_ACTION_DENY &&
	    (reachable(entries, count, 1, 65535, SP_PROTOCOL_TCP) ||
	     reachable(entries, count, 1, 65535, SP_PROTOCOL_UDP)))
		return;
	acl->dns_action = SP_ACTION_DENY;
	for (uint32_t i = 0; i < count; i++) {
		if (entries[i].action == SP_ACTION_DENY) {
			acl->dns_rule = entries[i].rule;
			return;
		}
	}
}

static int acl_add(struct compiler *c, const struct sp_acl_entry *entries, uint32_t count,
		   uint32_t *ret_acl)
{
	uint32_t known = c->acls.len;
	struct sp_acl *acl;

	if (intern_add(&c->acls, entries, count, ret_acl) < 0)
		return no_memory(c);
	if (c->acls.len == known)
		return 0;
	if (c->acls.len > c->acl_size) {
		uint32_t size = c->acl_size ? c->acl_size * 2 : 64;

		acl = reallocarray(c->acl, size, sizeof(*acl));
		if (!acl)
			return no_memory(c);
		if (!c->acl)
			memset(acl, 0, sizeof(*acl));
		c->acl = acl;
		c->acl_size = size;
	}
	acl = &c->acl[known];
	memset(acl, 0, sizeof(*acl));
	acl->first = c->acls.slices[known].first;
	acl->count = count;
	for (uint32_t i = 0; i < count; i++) {
		if (entries[i].flags & SP_ENTRY_TLS)
			acl->flags |= SP_ACL_TLS;
		if (entries[i].flags & SP_ENTRY_KEEP)
			acl->flags |= SP_ACL_KEEP;
	}
	decide_dns(c, entries, count, acl);
	return 0;
}

/* Does the entry hold of what stays on this host (SP_LOCAL)? */
static bool holds_here(const struct sp_acl_entry *e)
{
	return e->action == SP_ACTION_DENY || (e->flags & SP_ENTRY_LOCAL);
}

/* Does no look-up ever come to an entry behind these? `addresses`: of an address list. */
static bool hidden(const struct sp_acl_entry *entries, uint32_t count, const struct sp_acl_entry *e,
		   bool addresses)
{
	for (uint32_t i = 0; i < count; i++)
		if ((entries[i].protocols & e->protocols) == e->protocols &&
		    entries[i].port_low <= e->port_low && entries[i].port_high >= e->port_high &&
		    (!addresses || holds_here(&entries[i]) || !holds_here(e)))
			return true;
	return false;
}

static int too_many(struct compiler *c, const struct sp_rule *rule, const struct sp_target *target)
{
	sp_error_set(c->err, -E2BIG, "more than %d entries (rules and port ranges) can apply to %s",
		     SP_ACL_MAX, sp_quote(target->text).text);
	if (c->err && *c->err && rule->from_document) {
		struct sp_error *e = *c->err;

		e->file = c->policy->source ? strdup(c->policy->source) : NULL;
		e->line = rule->line;
		e->column = rule->column;
		if (asprintf(&e->path, "$.rules[%u]", rule->index) < 0)
			e->path = NULL;
	}
	return -E2BIG;
}

/* Port ranges of the grants [from, to), all of one rule, joined; into c->ports. */
static int rule_ranges(struct compiler *c, const struct sp_rule *rule, size_t from, size_t to,
		       size_t *ret_len)
{
	size_t len = 0;

	for (size_t i = from; i < to; i++) {
		const struct sp_target as = {
			.kind = GRANT_ADDR(c->grants[i]) ? SP_TARGET_ADDR : SP_TARGET_EXACT,
			.port = GRANT_PORT(c->grants[i]),
		};
		const struct sp_ports *ranges;
		struct sp_ports one[2];
		size_t n = sp_rule_ports(rule, &as, one, &ranges);

		if (len + n > c->ports_size) {
			size_t size = (len + n) * 2;
			struct sp_ports *ports = reallocarray(c->ports, size, sizeof(*ports));

			if (!ports)
				return no_memory(c);
			c->ports = ports;
			c->ports_size = size;
		}
		memcpy(c->ports + len, ranges, n * sizeof(*ranges));
		len += n;
	}
	*ret_len = sp_ports_merge(c->ports, len);
	return 0;
}

static int compare_grants(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Makes a list of c->grants (any order) and the ACL that goes with it. */
static int list_make(struct compiler *c, const struct sp_target *target, uint32_t *ret_list)
{
	struct sp_acl_entry entries[SP_ACL_MAX];
	uint32_t count = 0, acl = 0, known = c->lists.len;
	size_t kept = 0, len = 0, from, to;
	int r;

	qsort(c->grants, c->grants_len, sizeof(*c->grants), compare_grants);
	for (size_t i = 0; i < c->grants_len; i++)
		if (i == 0 || c->grants[i] != c->grants[i - 1])
			c->grants[len++] = c->grants[i];
	for (from = 0; from < len; from = to) {
		uint32_t order = GRANT_ORDER(c->grants[from]), before = count;
		const struct sp_rule *rule = &c->policy->rules[c->order[order]];
		size_t ranges = 0;

		for (to = from; to < len && GRANT_ORDER(c->grants[to]) == order &&
				GRANT_LOCAL(c->grants[to]) == GRANT_LOCAL(c->grants[from]);
		     to++)
			;
		r = rule_ranges(c, rule, from, to, &ranges);
		if (r < 0)
			return r;
		for (size_t i = 0; i < ranges; i++) {
			struct sp_acl_entry e = {
				.order = order,
				.rule = c->order[order],
				.port_low = c->ports[i].low,
				.port_high = c->ports[i].high,
				.protocols = rule->protocols,
				.action = sp_rule_action(rule),
				.flags = (rule->tls ? SP_ENTRY_TLS : 0) |
					 (rule->keep ? SP_ENTRY_KEEP : 0) |
					 (rule->protocols == SP_PROTOCOL_UDP ? SP_ENTRY_DATAGRAMS
									     : 0) |
					 (GRANT_LOCAL(c->grants[from]) ? SP_ENTRY_LOCAL : 0),
			};

			/* ranges of one rule lie apart: only earlier rules can hide one */
			if (hidden(entries, before, &e, GRANT_ADDR(c->grants[from])))
				continue;
			if (count == SP_ACL_MAX)
				return too_many(c, rule, target);
			entries[count++] = e;
		}
		if (count == before)
			continue;
		memmove(c->grants + kept, c->grants + from, (to - from) * sizeof(*c->grants));
		kept += to - from;
	}
	r = acl_add(c, entries, count, &acl);
	if (r < 0)
		return r;
	if (intern_add(&c->lists, c->grants, kept, ret_list) < 0)
		return no_memory(c);
	if (c->lists.len == known)
		return 0;
	if (c->lists.len > c->list_acl_size) {
		uint32_t size = c->list_acl_size ? c->list_acl_size * 2 : 64;
		uint32_t *list_acl = reallocarray(c->list_acl, size, sizeof(*list_acl));

		if (!list_acl)
			return no_memory(c);
		list_acl[0] = 0;
		c->list_acl = list_acl;
		c->list_acl_size = size;
	}
	c->list_acl[known] = acl;
	return 0;
}

static int grants_add(struct compiler *c, uint64_t grant)
{
	if (c->grants_len == c->grants_size) {
		size_t size = c->grants_size ? c->grants_size * 2 : 256;
		uint64_t *grants = reallocarray(c->grants, size, sizeof(*grants));

		if (!grants)
			return no_memory(c);
		c->grants = grants;
		c->grants_size = size;
	}
	c->grants[c->grants_len++] = grant;
	return 0;
}

static int grants_start(struct compiler *c, uint32_t base)
{
	const uint64_t *pool = (const uint64_t *)c->lists.pool;
	const struct slice *slice = &c->lists.slices[base];

	c->grants_len = 0;
	for (uint32_t i = 0; base && i < slice->count; i++) {
		int r = grants_add(c, pool[slice->first + i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The list `base` with the grants of those of items[0..len) that are of `type`. */
static int fold(struct compiler *c, uint32_t base, const struct item *items, size_t len,
		uint8_t type, uint32_t *ret_list)
{
	const struct item *first = NULL;
	size_t own = 0;
	int r;

	for (size_t i = 0; i < len; i++) {
		if (items[i].type != type)
			continue;
		if (!first)
			first = &items[i];
		own++;
	}
	if (own == 0) {
		*ret_list = base;
		return 0;
	}
	if (own == 1 && c->memo_list && c->memo_base == base && c->memo_grant == first->grant) {
		*ret_list = c->memo_list;
		return 0;
	}
	r = grants_start(c, base);
	for (size_t i = 0; r == 0 && i < len; i++)
		if (items[i].type == type)
			r = grants_add(c, items[i].grant);
	if (r == 0)
		r = list_make(c, first->target, ret_list);
	if (r == 0 && own == 1) {
		c->memo_base = base;
		c->memo_grant = first->grant;
		c->memo_list = *ret_list;
	}
	return r;
}

/* ---- names ---------------------------------------------------------------------------------- */

static const char *suffix(const struct sp_target *target)
{
	/* every slot has one: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	return target->name + target->suffix;
}

static int scan_name(struct compiler *c, const char *text)
{
	size_t len = strlen(text);

	if (len > SP_NAME_MAX - 2)
		return sp_error_set(c->err, -EINVAL, "%s is too long", sp_quote(text).text);
	memcpy(c->name.wire + 1, text, len);
	if (sp_name_from_text(&c->name, len) != SP_DONE)
		return sp_error_set(c->err, -EINVAL, "%s is not a valid name", sp_quote(text).text);
	return 0;
}

/* Two suffixes, one hash: about once in 2^25 compilations of a million names. */
static int collision(struct compiler *c, const struct sp_target *a, const struct sp_target *b)
{
	if (strcmp(suffix(a), suffix(b)) == 0)
		return 0;
	return sp_error_set(c->err, -EAGAIN, "the hashes of %s and %s collide under this seed",
			    sp_quote(a->text).text, sp_quote(b->text).text);
}

static uint32_t *wild_slot(const struct compiler *c, uint64_t hash)
{
	size_t at = hash & (c->wild_slots_len - 1);

	while (c->wild_slots[at] && c->wilds[c->wild_slots[at]].hash != hash)
		at = (at + 1) & (c->wild_slots_len - 1);
	return &c->wild_slots[at];
}

/* All suffixes that have wildcards, so that names can look for the nearest one above them. */
static int collect_wilds(struct compiler *c, size_t wildcards)
{
	c->wild_slots_len = 16;
	while (c->wild_slots_len < 2 * wildcards)
		c->wild_slots_len *= 2;
	c->wilds = calloc(wildcards + 2, sizeof(*c->wilds));
	c->wild_slots = calloc(c->wild_slots_len, sizeof(*c->wild_slots));
	if (!c->wilds || !c->wild_slots)
		return no_memory(c);
	c->wilds_len = 1;
	for (size_t i = 0; wildcards && i < c->policy->rules_len; i++) {
		const struct sp_rule *rule = &c->policy->rules[i];

		for (size_t j = 0; j < rule->targets_len; j++) {
			const struct sp_target *target = &rule->targets[j];
			uint32_t *slot;
			int r;

			if (target->kind != SP_TARGET_ONE && target->kind != SP_TARGET_MANY)
				continue;
			if (!*suffix(target)) {
				slot = &c->root_wild;
				c->name.labels = 0;
				c->name.hash[0] = 0;
			} else {
				r = scan_name(c, suffix(target));
				if (r < 0)
					return r;
				slot = wild_slot(c, c->name.hash[0]);
			}
			if (*slot) {
				r = collision(c, c->wilds[*slot].target, target);
				if (r < 0)
					return r;
				continue;
			}
			*slot = c->wilds_len++;
			c->wilds[*slot].hash = c->name.hash[0];
			c->wilds[*slot].labels = c->name.labels;
			c->wilds[*slot].target = target;
		}
	}
	return 0;
}

/* The nearest suffix with wildcards above the name in c->name. */
static uint32_t nearest_wild(const struct compiler *c, bool *ret_parent)
{
	for (uint32_t i = 1; c->wilds_len > 1 && i < c->name.labels; i++) {
		uint32_t wild = *wild_slot(c, c->name.hash[i]);

		if (wild) {
			*ret_parent = i == 1;
			return wild;
		}
	}
	*ret_parent = c->root_wild && c->name.labels == 1;
	return c->root_wild;
}

static int add_item(struct compiler *c, uint32_t rank, const struct sp_target *target)
{
	struct item item = {
		.grant = GRANT(rank, 0, 0, target->port),
		.target = target,
		.type = target->kind,
	};
	int r;

	if (!*suffix(target)) {
		c->roots[c->roots_len++] = item;
		return 0;
	}
	r = scan_name(c, suffix(target));
	if (r < 0)
		return r;
	item.hash = c->name.hash[0];
	item.labels = c->name.labels;
	item.ancestor = nearest_wild(c, &item.parent);
	c->items[c->items_len++] = item;
	return 0;
}

static int collect(struct compiler *c)
{
	size_t names = 0, networks = 0, wildcards = 0, roots = 0;
	int r;

	for (size_t i = 0; i < c->policy->rules_len; i++) {
		const struct sp_rule *rule = &c->policy->rules[i];

		for (size_t j = 0; j < rule->targets_len; j++) {
			const struct sp_target *target = &rule->targets[j];

			if (target->kind == SP_TARGET_ADDR) {
				networks++;
				continue;
			}
			names++;
			wildcards += target->kind != SP_TARGET_EXACT;
			roots += !*suffix(target);
		}
	}
	c->items = calloc(names + 1, sizeof(*c->items));
	c->sorted = calloc(names + 1, sizeof(*c->sorted));
	c->roots = calloc(roots + 1, sizeof(*c->roots));
	c->networks = calloc(networks + 1, sizeof(*c->networks));
	if (!c->items || !c->sorted || !c->roots || !c->networks)
		return no_memory(c);
	r = collect_wilds(c, wildcards);
	for (size_t i = 0; r == 0 && i < c->policy->rules_len; i++) {
		const struct sp_rule *rule = &c->policy->rules[i];

		for (size_t j = 0; r == 0 && j < rule->targets_len; j++) {
			const struct sp_target *target = &rule->targets[j];
			struct network *network;

			if (target->kind != SP_TARGET_ADDR) {
				r = add_item(c, c->rank[i], target);
				if (rule->kind == SP_RULE_DENY)
					c->image->conf.has_name_deny = 1;
				continue;
			}
			network = &c->networks[c->networks_len++];
			memcpy(network->addr, target->addr, 16);
			network->prefix = target->prefix;
			network->grant =
				GRANT(c->rank[i], sp_prefix_is_local(target->addr, target->prefix),
				      1, target->port);
			network->target = target;
		}
	}
	return r;
}

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->type != y->type)
		return x->type - y->type;
	return x->grant < y->grant ? -1 : x->grant > y->grant;
}

/*
 * Sorts c->items into c->sorted by hash. The hashes are keyed and so spread evenly: one pass puts
 * each item within a few places of where it belongs.
 */
static int sort_items(struct compiler *c)
{
	SP_CLEANUP(sp_cleanup_free) uint32_t *starts = NULL;
	size_t buckets;
	unsigned int bits = 1;

	while (bits < 20 && ((size_t)4 << bits) < c->items_len)
		bits++;
	buckets = (size_t)1 << bits;
	starts = calloc(buckets + 1, sizeof(*starts));
	if (!starts)
		return no_memory(c);
	for (size_t i = 0; i < c->items_len; i++)
		starts[(c->items[i].hash >> (64 - bits)) + 1]++;
	for (size_t i = 0; i < buckets; i++)
		starts[i + 1] += starts[i];
	for (size_t i = 0; i < c->items_len; i++)
		c->sorted[starts[c->items[i].hash >> (64 - bits)]++] = c->items[i];
	/* starts[i] is now where bucket i ends */
	for (size_t i = 0, from = 0; i < buckets; from = starts[i++]) {
		struct item *items = c->sorted + from;
		size_t len = starts[i] - from;

		if (len > 24) { /* the same name many times */
			qsort(items, len, sizeof(*items), compare_items);
			continue;
		}
		for (size_t j = 1; j < len; j++) {
			struct item item = items[j];
			size_t at = j;

			for (; at > 0 && compare_items(&items[at - 1], &item) > 0; at--)
				items[at] = items[at - 1];
			items[at] = item;
		}
	}
	return 0;
}

/* The patterns of one suffix: how many items from `from` on. */
static size_t group_len(const struct compiler *c, size_t from)
{
	size_t to = from + 1;

	while (to < c->items_len && c->sorted[to].hash == c->sorted[from].hash)
		to++;
	return to - from;
}

static int fold_wilds(struct compiler *c)
{
	uint32_t starts[SP_LABELS_MAX + 2] = {0};

	c->wild_order = calloc(c->wilds_len, sizeof(*c->wild_order));
	if (!c->wild_order)
		return no_memory(c);
	for (size_t i = 1; i < c->wilds_len; i++)
		starts[c->wilds[i].labels + 1]++;
	for (size_t i = 0; i <= SP_LABELS_MAX; i++)
		starts[i + 1] += starts[i];
	for (size_t i = 1; i < c->wilds_len; i++)
		c->wild_order[starts[c->wilds[i].labels]++] = i;
	for (size_t i = 0; i + 1 < c->wilds_len; i++) {
		struct wild *wild = &c->wilds[c->wild_order[i]];
		int r;

		r = fold(c, c->wilds[wild->ancestor].many, wild->items, wild->items_len,
			 SP_TARGET_MANY, &wild->many);
		if (r == 0)
			r = fold(c, wild->many, wild->items, wild->items_len, SP_TARGET_ONE,
				 &wild->one);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_node(struct compiler *c, uint32_t exact, uint32_t one, uint32_t many,
		    uint32_t *ret_node)
{
	struct sp_node node = {
		.exact = exact ? c->list_acl[exact] : 0,
		.one = one ? c->list_acl[one] : 0,
		.many = many ? c->list_acl[many] : 0,
	};

	return intern_add(&c->nodes, &node, 1, ret_node) < 0 ? no_memory(c) : 0;
}

static bool bucket_put(struct sp_bucket *bucket, const struct sp_slot *slot)
{
	for (size_t i = 0; i < SP_BUCKET_SLOTS; i++) {
		if (bucket->slot[i].node)
			continue;
		bucket->slot[i] = *slot;
		return true;
	}
	return false;
}

static size_t bucket_used(const struct sp_bucket *bucket)
{
	size_t used = 0;

	for (size_t i = 0; i < SP_BUCKET_SLOTS; i++)
		used += bucket->slot[i].node != 0;
	return used;
}

/* Puts a slot into the emptier of its buckets, moving others over if both are full. */
static bool place_slot(struct sp_bucket *buckets, uint32_t mask, struct sp_slot slot)
{
	uint32_t first = sp_bucket_first(slot.hash, mask);
	uint32_t second = sp_bucket_second(slot.hash, mask), at;

	at = bucket_used(&buckets[second]) < bucket_used(&buckets[first]) ? second : first;
	for (unsigned int kick = 0; kick < KICKS_MAX; kick++) {
		struct sp_slot *victim, moved;

		if (bucket_put(&buckets[at], &slot))
			return true;
		victim = &buckets[at].slot[kick % SP_BUCKET_SLOTS];
		moved = *victim;
		*victim = slot;
		slot = moved;
		first = sp_bucket_first(slot.hash, mask);
		second = sp_bucket_second(slot.hash, mask);
		at = at == first ? second : first;
	}
	return false;
}

/* `slots` are the suffixes with their nodes. */
static int fill_buckets(struct compiler *c, const struct sp_slot *slots, size_t len)
{
	uint32_t buckets_len = 1;

	while (buckets_len * BUCKET_LOAD < len)
		buckets_len *= 2;
	for (;; buckets_len *= 2) {
		struct sp_bucket *buckets =
			aligned_alloc(sizeof(*buckets), buckets_len * sizeof(*buckets));
		size_t i;

		if (!buckets)
			return no_memory(c);
		memset(buckets, 0, buckets_len * sizeof(*buckets));
		for (i = 0; i < len; i++)
			if (!place_slot(buckets, buckets_len - 1, slots[i]))
				break;
		if (i == len) {
			c->image->buckets = buckets;
			c->image->buckets_len = buckets_len;
			c->image->conf.bucket_mask = buckets_len - 1;
			return 0;
		}
		free(buckets);
		if (buckets_len >= 1u << 28)
			return sp_error_set(c->err, -E2BIG, "the names do not fit into a table");
	}
}

static int compile_names(struct compiler *c)
{
	SP_CLEANUP(sp_cleanup_free) struct sp_slot *slots = NULL;
	size_t slots_len = 0, n;
	int r;

	r = sort_items(c);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->items_len; i += n) {
		const struct item *first = &c->sorted[i];
		struct wild *wild;

		n = group_len(c, i);
		for (size_t j = 1; r == 0 && j < n; j++)
			r = collision(c, first->target, first[j].target);
		if (r < 0)
			return r;
		if (first[n - 1].type == SP_TARGET_EXACT)
			continue;
		wild = &c->wilds[*wild_slot(c, first->hash)];
		wild->items = first;
		wild->items_len = n;
		wild->ancestor = first->ancestor;
		wild->parent = first->parent;
	}
	if (c->root_wild) {
		c->wilds[c->root_wild].items = c->roots;
		c->wilds[c->root_wild].items_len = c->roots_len;
	}
	r = fold_wilds(c);
	if (r < 0)
		return r;
	slots = calloc(c->items_len + 1, sizeof(*slots));
	if (!slots)
		return no_memory(c);
	for (size_t i = 0; i < c->items_len; i += n) {
		const struct item *first = &c->sorted[i];
		const struct wild *above = &c->wilds[first->ancestor], *self = NULL;
		uint32_t exact = 0;

		n = group_len(c, i);
		if (first[n - 1].type != SP_TARGET_EXACT)
			self = &c->wilds[*wild_slot(c, first->hash)];
		/* wilds[0] has no lists */
		r = fold(c, first->parent ? above->one : above->many, first, n, SP_TARGET_EXACT,
			 &exact);
		if (r == 0)
			r = add_node(c, exact, self ? self->one : above->many,
				     self ? self->many : above->many, &slots[slots_len].node);
		if (r < 0)
			return r;
		slots[slots_len++].hash = first->hash;
		if (first->labels > c->image->conf.max_depth)
			c->image->conf.max_depth = first->labels;
	}
	if (c->root_wild) {
		const struct wild *root = &c->wilds[c->root_wild];

		r = add_node(c, 0, root->one, root->many, &c->image->conf.root);
		if (r < 0)
			return r;
	}
	return fill_buckets(c, slots, slots_len);
}

/* ---- networks ------------------------------------------------------------------------------- */

static int compare_networks(const void *a, const void *b)
{
	const struct network *x = a, *y = b;
	int family = sp_addr_is_v4(y->addr) - sp_addr_is_v4(x->addr);
	int r = family ? family : memcmp(x->addr, y->addr, 16);

	if (r == 0)
		r = x->prefix - y->prefix;
	return r ? r : x->grant < y->grant ? -1 : x->grant > y->grant;
}

static void add_network(struct sp_image *image, const struct network *network, uint32_t acl)
{
	if (sp_addr_is_v4(network->addr)) {
		struct sp_cidr4_entry *entry = &image->cidr4[image->cidr4_len++];

		entry->key.prefix = network->prefix - 96;
		memcpy(entry->key.addr, network->addr + 12, 4);
		entry->acl = acl;
	} else {
		struct sp_cidr6_entry *entry = &image->cidr6[image->cidr6_len++];

		entry->key.prefix = network->prefix;
		memcpy(entry->key.addr, network->addr, 16);
		entry->acl = acl;
	}
}

static int compile_networks(struct compiler *c)
{
	/* the networks that cover the one at hand, from the widest on, with their lists */
	struct {
		const struct network *network;
		uint32_t list;
	} stack[129];
	size_t depth = 0, to;

	c->image->cidr4 = calloc(c->networks_len + 1, sizeof(*c->image->cidr4));
	c->image->cidr6 = calloc(c->networks_len + 1, sizeof(*c->image->cidr6));
	if (!c->image->cidr4 || !c->image->cidr6)
		return no_memory(c);
	qsort(c->networks, c->networks_len, sizeof(*c->networks), compare_networks);
	for (size_t from = 0; from < c->networks_len; from = to) {
		const struct network *network = &c->networks[from];
		uint32_t list = 0;
		int r;

		while (depth && !sp_prefix_covers(stack[depth - 1].network->addr,
						  stack[depth - 1].network->prefix, network->addr))
			depth--;
		r = grants_start(c, depth ? stack[depth - 1].list : 0);
		for (to = from; r == 0 && to < c->networks_len; to++) {
			if (c->networks[to].prefix != network->prefix ||
			    memcmp(c->networks[to].addr, network->addr, 16) != 0)
				break;
			r = grants_add(c, c->networks[to].grant);
		}
		if (r == 0)
			r = list_make(c, network->target, &list);
		if (r < 0)
			return r;
		stack[depth].network = network;
		stack[depth++].list = list;
		add_network(c->image, network, c->list_acl[list]);
	}
	c->image->conf.has_cidr4 = c->image->cidr4_len > 0;
	c->image->conf.has_cidr6 = c->image->cidr6_len > 0;
	return 0;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void fill_conf(const struct sp_policy *policy, struct sp_policy_conf *conf)
{
	conf->default_action = policy->default_action;
	conf->mode = policy->mode;
	conf->sni = policy->sni;
	conf->ech = policy->ech;
	conf->quic = policy->quic;
	conf->loopback = policy->loopback;
	conf->inbound = policy->inbound;
	conf->denied_answer = policy->denied_answer;
	conf->min_ttl = policy->min_ttl;
	conf->max_ttl = policy->max_ttl;
	memcpy(conf->query_types, policy->query_types, sizeof(conf->query_types));
	conf->query_types_high = policy->query_types_high;
	sp_policy_conf_resolvers(policy, conf);
	conf->private_len = policy->private_len;
	memcpy(conf->private_answers, policy->private_answers, sizeof(conf->private_answers));
}

void sp_policy_conf_resolvers(const struct sp_policy *policy, struct sp_policy_conf *conf)
{
	for (size_t i = 0; i < policy->resolvers_len; i++) {
		const struct sp_resolver *resolver = &policy->resolvers[i];

		if (resolver->system)
			continue;
		if (resolver->interface[0]) {
			unsigned int index = if_nametoindex(resolver->interface);

			/* one that is not there is no packet's */
			conf->resolver_ifs[conf->resolvers_len] = index ? index : UINT32_MAX;
		}
		memcpy(conf->resolvers[conf->resolvers_len++].addr, resolver->addr, 16);
	}
}

static void compiler_free(struct compiler **p)
{
	struct compiler *c = *p;

	if (!c)
		return;
	free(c->order);
	free(c->rank);
	free(c->items);
	free(c->sorted);
	free(c->roots);
	free(c->wilds);
	free(c->wild_slots);
	free(c->wild_order);
	free(c->networks);
	intern_free(&c->lists);
	intern_free(&c->acls);
	intern_free(&c->nodes);
	free(c->list_acl);
	free(c->acl);
	free(c->grants);
	free(c->ports);
	sp_image_free(c->image);
	free(c);
}

/* The interned tables become the image's. */
static int hand_over(struct compiler *c)
{
	struct sp_image *image = c->image;

	if (!c->acl) {
		c->acl = calloc(1, sizeof(*c->acl));
		if (!c->acl)
			return no_memory(c);
	}
	image->acls = c->acl;
	c->acl = NULL;
	image->acls_len = c->acls.len;
	image->entries = (struct sp_acl_entry *)c->acls.pool;
	c->acls.pool = NULL;
	image->entries_len = c->acls.pool_len;
	/* one element each, after a reserved one: ids are indexes */
	image->nodes = (struct sp_node *)c->nodes.pool;
	c->nodes.pool = NULL;
	image->nodes_len = c->nodes.pool_len;
	return 0;
}

int sp_policy_compile(const struct sp_policy *policy, const uint64_t seed[2],
		      struct sp_image **ret_image, struct sp_error **err)
{
	SP_CLEANUP(compiler_free) struct compiler *c = NULL;
	int r;

	r = sp_policy_kernel_only(policy, err);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return sp_error_set(err, -ENOMEM, "out of memory");
	c->policy = policy;
	c->err = err;
	c->name.seed[0] = seed[0];
	c->name.seed[1] = seed[1];
	c->image = calloc(1, sizeof(*c->image));
	c->rank = calloc(policy->rules_len + 1, sizeof(*c->rank));
	if (!c->image || !c->rank || sp_policy_order(policy, &c->order) < 0 ||
	    intern_init(&c->lists, sizeof(uint64_t), 0) < 0 ||
	    intern_init(&c->acls, sizeof(struct sp_acl_entry), 0) < 0 ||
	    intern_init(&c->nodes, sizeof(struct sp_node), 1) < 0)
		return no_memory(c);
	for (size_t i = 0; i < policy->rules_len; i++)
		c->rank[c->order[i]] = i;
	fill_conf(policy, &c->image->conf);
	r = collect(c);
	if (r == 0)
		r = compile_names(c);
	if (r == 0)
		r = compile_networks(c);
	if (r == 0)
		r = hand_over(c);
	if (r < 0)
		return r;
	*ret_image = c->image;
	c->image = NULL;
	return 0;
}

void sp_image_free(struct sp_image *image)
{
	if (!image)
		return;
	free(image->buckets);
	free(image->nodes);
	free(image->acls);
	free(image->entries);
	free(image->cidr4);
	free(image->cidr6);
	free(image);
}
