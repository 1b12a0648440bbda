/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.h - the model of a policy: what the document says, checked and normalised.
 *
 * Private to this room. Strings live in the policy's arena and end with it; arrays are
 * malloc'ed and belong to the policy.
 */
#ifndef SALLYPORT_LIB_POLICY_MODEL_H
#define SALLYPORT_LIB_POLICY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sallyport/policy.h>

#include "arena.h"
#include "cleanup.h"
#include "strmap.h"
#include "words.h"

/* ---- words ---------------------------------------------------------------------------------- */

extern const struct sp_word sp_words_mode[], sp_words_default[], sp_words_precedence[],
	sp_words_sni[], sp_words_ech[], sp_words_quic[], sp_words_loopback[], sp_words_inbound[],
	sp_words_denied_answer[], sp_words_approvals[], sp_words_protocol[], sp_words_kind[];

/* ---- targets -------------------------------------------------------------------------------- */

enum sp_target_kind {
	SP_TARGET_EXACT = 0, /* a.b */
	SP_TARGET_ONE,	     /* *.a.b, * */
	SP_TARGET_MANY,	     /* **.a.b, .a.b, ** */
	SP_TARGET_GLOB,	     /* any other pattern */
	SP_TARGET_ADDR,	     /* an address or a CIDR */
};

struct sp_target {
	const char *text; /* as the document has it */
	union {
		const char *name; /* normalised pattern: lower case, A-labels, no trailing dot */
		uint8_t addr[16]; /* masked; IPv4 as v4-mapped */
	};
	uint16_t port;	/* 0: as the rule says */
	uint8_t kind;	/* enum sp_target_kind */
	uint8_t prefix; /* ADDR: bits of the 128 */
	uint8_t suffix; /* EXACT, ONE, MANY: where in name the literal labels start */
};

/* Errors carry a message only; who knows the place adds it. */
int sp_target_parse(struct sp_arena *arena, const char *text, struct sp_target *ret_target,
		    struct sp_error **err);
/* A host name without wildcards, normalised. */
int sp_hostname_parse(struct sp_arena *arena, const char *text, const char **ret_name,
		      struct sp_error **err);
/* An address or a CIDR; `whole`: only an address. */
int sp_prefix_parse(const char *text, bool whole, uint8_t ret_addr[16], uint8_t *ret_prefix,
		    struct sp_error **err);
void sp_addr_text(const uint8_t addr[16], char ret_text[64]);
bool sp_addr_is_v4(const uint8_t addr[16]);
bool sp_prefix_covers(const uint8_t addr[16], uint8_t prefix, const uint8_t other[16]);
/* 127/8, ::1 and the two "any" addresses, as addr_is_loopback() of bpf/scratch.bpf.h */
bool sp_addr_is_loopback(const uint8_t addr[16]);
/* A target that opens what stays on this host: one address, or a network within loopback. */
bool sp_prefix_is_local(const uint8_t addr[16], uint8_t prefix);

/*
 * A name as it is asked for in A-labels: copied as it is when it is ASCII (valid or not), otherwise
 * by IDNA. 0, -EINVAL (no A-labels for it) or -ENAMETOOLONG.
 */
#define SP_ASK_MAX 320
int sp_name_to_ascii(const char *name, char ret_name[SP_ASK_MAX]);

/* Does a normalised pattern match a name (text, any case, one trailing dot ignored)? */
bool sp_pattern_match(const char *pattern, const char *name);

/* ---- rules ---------------------------------------------------------------------------------- */

enum sp_rule_kind {
	SP_RULE_ALLOW = 0,
	SP_RULE_DENY,
	SP_RULE_DECIDE,
	SP_RULE_PROMPT,
};

struct sp_ports {
	uint16_t low, high; /* inclusive */
};

enum sp_decider { SP_DECIDER_NONE = 0, SP_DECIDER_UNIX, SP_DECIDER_COMMAND, SP_DECIDER_CHANNEL };

/* What decide and prompt rules say besides. */
struct sp_rule_ask {
	enum sp_decider by;
	const char *unix_path;
	const char **command; /* NULL-terminated */
	uint32_t timeout_ms;
	bool cache;
	uint32_t context_messages;
	const char *context_metadata; /* JSON text, or NULL */
};

struct sp_rule_http {
	const char **methods; /* NULL-terminated, or NULL: all */
	const char *path_glob;
};

struct sp_rule {
	const char *id;
	const char *note;   /* or NULL */
	const char *origin; /* "rule 3", "--allow" */
	struct sp_target *targets;
	size_t targets_len;
	struct sp_ports *ports; /* sorted, apart; NULL: as the kind of target says */
	size_t ports_len;
	struct sp_rule_ask *ask;
	struct sp_rule_http *http;
	int line, column; /* 0: not from a document */
	uint32_t index;	  /* in the document */
	uint8_t kind;	  /* enum sp_rule_kind */
	uint8_t protocols;
	bool from_document;
	bool has_id; /* the document gives it */
	bool tls;
	bool keep;    /* addresses of its names outlive their TTL */
	bool tls_off; /* the document says that it is not TLS, which 443 always is */
};

void sp_rule_clear(struct sp_rule *rule);
/*
 * "localhost" is no name that DNS has to know: a rule that names it means 127.0.0.1 and ::1 too, on
 * the same ports. They become targets of the rule, behind those that the document has. 0, -ENOMEM.
 */
int sp_rule_add_localhost(struct sp_rule *rule);
enum sp_action sp_rule_action(const struct sp_rule *rule);
/* Port ranges that a target of a rule covers; `one` holds the answer if it is not in the rule. */
size_t sp_rule_ports(const struct sp_rule *rule, const struct sp_target *target,
		     struct sp_ports one[2], const struct sp_ports **ret_ports);
/* Sorts ranges and joins those that touch or overlap; returns how many are left. */
size_t sp_ports_merge(struct sp_ports *ports, size_t len);

/* ---- the policy ----------------------------------------------------------------------------- */

enum sp_precedence { SP_FIRST_MATCH = 0, SP_DENY_WINS = 1 };
enum sp_approvals { SP_APPROVALS_BELOW_DENY = 0, SP_APPROVALS_OVERRIDE = 1 };

struct sp_resolver {
	bool system; /* the word, not yet replaced */
	uint8_t addr[16];
	char interface[16]; /* of a link-local address, which says nothing without; else empty */
};

struct sp_static {
	const char *name;
	uint8_t addr[16];
};

struct sp_policy {
	struct sp_arena arena;
	const char *source; /* or NULL */
	const char *name;
	const char *description;
	enum sp_mode mode;
	enum sp_action default_action;
	enum sp_precedence precedence;
	struct sp_rule *rules;
	size_t rules_len, rules_size;
	size_t option_denies, option_allows; /* rules at the front that come from options */
	struct sp_resolver resolvers[SP_RESOLVERS_MAX];
	size_t resolvers_len;
	struct sp_prefix private_answers[SP_PRIVATE_MAX];
	size_t private_len;
	struct sp_static *statics;
	size_t statics_len;
	enum sp_denied_answer denied_answer;
	uint64_t query_types[4], query_types_high;
	struct sp_resolver unresolved[SP_RESOLVERS_MAX]; /* with the word "system" in it */
	size_t unresolved_len;
	uint32_t min_ttl, max_ttl;
	enum sp_sni sni;
	enum sp_ech ech;
	enum sp_quic quic;
	enum sp_loopback loopback;
	enum sp_inbound inbound;
	enum sp_approvals approvals;
	struct sp_strmap ids; /* every id in use; the value counts those made from that stem */
};

/* Room for one more rule at the end, all zero; NULL: no memory. */
struct sp_rule *sp_policy_add_rule(struct sp_policy *policy);
/* Gives a rule its id made from its content (explicit ids are in policy->ids already). */
int sp_rule_make_id(struct sp_policy *policy, struct sp_rule *rule);
/* One resolver by address or the word "system". */
int sp_policy_add_resolver(struct sp_policy *policy, const char *text, struct sp_error **err);

/*
 * Evaluation order: ret_order[i] is the index of the rule that is asked as number i. first_match:
 * as written; deny_wins: every deny first. malloc'ed; never NULL on success.
 */
int sp_policy_order(const struct sp_policy *policy, uint32_t **ret_order);

/* Adds a line to a NULL-terminated list. */
struct sp_lines {
	char **lines;
	size_t len, size;
};
int sp_lines_add(struct sp_lines *lines, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline void sp_cleanup_strings(char ***strings)
{
	sp_strings_free(*strings);
}

#endif
