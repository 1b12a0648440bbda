/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy.h - a policy document, its compiled image, and the reference evaluator.
 *
 * The life of a policy: text -> sp_policy_parse() -> struct sp_policy (the model: what the document
 * says) -> sp_policy_compile() -> struct sp_image (what the kernel maps are filled with). Both
 * steps are pure: no files, no kernel, no global state.
 *
 * sp_policy_decide() walks the model rule by rule, as the document reads; sp_image_decide() walks
 * the image with the very code that the BPF programs are built from. A property test holds one
 * against the other.
 */
#ifndef SALLYPORT_POLICY_H
#define SALLYPORT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sallyport/abi.h>
#include <sallyport/error.h>
#include <sallyport/reasons.h>

#define SP_POLICY_TEXT_MAX (64u << 20) /* bytes of a document; more is refused */
#define SP_POLICY_DEPTH_MAX 64	       /* nesting of a document; more is refused */

struct sp_policy; /* the model */

/*
 * Parses a whole document. `source` names it in errors (a file name or "--policy"). Unknown keys,
 * duplicate keys, comments, invalid UTF-8, bytes behind the document and values out of range are
 * errors, each with line, column and JSON path; an unknown key names the nearest known one.
 * Returns 0, -EINVAL (the document), -E2BIG (too large or too deep) or -ENOMEM.
 */
int sp_policy_parse(const char *text, size_t len, const char *source, struct sp_policy **ret_policy,
		    struct sp_error **err);

/* Reads and parses a file ("-": standard input). Also returns -errno of open and read. */
int sp_policy_load(const char *path, struct sp_policy **ret_policy, struct sp_error **err);

/* An empty policy with every key at its default: denies everything. 0 or -ENOMEM. */
int sp_policy_new(struct sp_policy **ret_policy, struct sp_error **err);

/* NULL is allowed. */
void sp_policy_free(struct sp_policy *policy);

/*
 * Puts one-target rules of the command line before the rules of the document: first the denies,
 * then the allows, each in the order given. `option` ("--allow", "--deny") names the place in
 * errors. 0, -EINVAL (a target, or an action that is neither) or -ENOMEM.
 */
int sp_policy_prepend(struct sp_policy *policy, enum sp_action action, const char *const *targets,
		      size_t targets_len, const char *option, struct sp_error **err);

/* Setters for what the command line can override; they check as the parser does: 0, -EINVAL,
 * -ENOMEM. */
int sp_policy_set_default(struct sp_policy *policy, const char *value, struct sp_error **err);
int sp_policy_set_mode(struct sp_policy *policy, const char *value, struct sp_error **err);
int sp_policy_set_resolvers(struct sp_policy *policy, const char *const *addresses,
			    size_t addresses_len, struct sp_error **err);

/*
 * Replaces the word "system" among the resolvers by these addresses (those of the resolv.conf that
 * the sandbox sees); without the word, does nothing. More than SP_RESOLVERS_MAX in all is an error.
 * May be called again, with what that file says later. 0, -EINVAL or -ENOMEM.
 */
int sp_policy_resolve_system(struct sp_policy *policy, const char *const *addresses,
			     size_t addresses_len, struct sp_error **err);

/* What a policy says of itself; strings belong to the policy. */
const char *sp_policy_name(const struct sp_policy *policy); /* "" if absent */
enum sp_mode sp_policy_mode(const struct sp_policy *policy);
enum sp_action sp_policy_default(const struct sp_policy *policy);
size_t sp_policy_rules_len(const struct sp_policy *policy);
bool sp_policy_wants_system_resolvers(const struct sp_policy *policy);
bool sp_policy_follows_system(const struct sp_policy *policy); /* the word was there */

/* A rule as people are told of it; strings belong to the policy. */
struct sp_rule_view {
	const char *id;	    /* stable id: the document's, or made from the content */
	const char *note;   /* or NULL */
	const char *kind;   /* "allow", "deny", "decide", "prompt" */
	const char *origin; /* "rule 3", "--allow", "--deny" */
	const char *target; /* text of the first target */
	size_t targets_len; /* how many there are */
};

/* Rule by index as events name it (SP_RULE_DEFAULT and out of range: -ENOENT). */
int sp_policy_rule(const struct sp_policy *policy, uint32_t rule, struct sp_rule_view *ret_view);

/* `dns.static`: calls back for each name and address; stops at and returns a non-zero result. */
int sp_policy_static(const struct sp_policy *policy,
		     int (*each)(const char *name, const uint8_t addr[16], void *data), void *data);

/*
 * Adds an address to `dns.static`, as a hosts file would (`addr`: IPv4 as v4-mapped). 0, -EINVAL:
 * not a name, -ENOMEM.
 */
int sp_policy_add_static(struct sp_policy *policy, const char *name, const uint8_t addr[16]);

/* Does a rule name this very name, not by a pattern? */
bool sp_policy_names(const struct sp_policy *policy, const char *name);

/*
 * Warnings that `sallyport check` prints and `run` shows once: patterns that cover a public suffix
 * whole, rules that can never match, targets listed twice, "default": "allow", networks that are
 * nearly everything, a cloud's metadata service in reach. Returns a NULL-terminated array, freed
 * with sp_strings_free().
 */
int sp_policy_warnings(const struct sp_policy *policy, char ***ret_warnings, struct sp_error **err);
void sp_strings_free(char **strings);

/*
 * Says whether the kernel path alone can enforce this policy, which is what `sallyport run` needs:
 * 0, or -EOPNOTSUPP with an error that names the key and what it needs (decide and prompt rules and
 * a prompt default need sallyportd's hold path; general globs and quic: inspect too; methods and
 * path_glob need the HTTP gateway).
 */
int sp_policy_kernel_only(const struct sp_policy *policy, struct sp_error **err);

/* ---- the compiled image --------------------------------------------------------------------- */

/* One entry of the IPv4 trie: a network and its ACL id. */
struct sp_cidr4_entry {
	struct sp_cidr4 key;
	__u32 acl;
};

/* The same for IPv6. */
struct sp_cidr6_entry {
	struct sp_cidr6 key;
	__u32 acl;
};

/* Map contents; index 0 of nodes and acls is unused and zero. All arrays belong to the image. */
struct sp_image {
	struct sp_policy_conf
		conf; /* generation is left 0: whoever installs the image numbers it */
	struct sp_bucket *buckets;
	uint32_t buckets_len; /* a power of two, conf.bucket_mask + 1 */
	struct sp_node *nodes;
	uint32_t nodes_len;
	struct sp_acl *acls;
	uint32_t acls_len;
	struct sp_acl_entry *entries;
	uint32_t entries_len;
	struct sp_cidr4_entry *cidr4;
	uint32_t cidr4_len;
	struct sp_cidr6_entry *cidr6;
	uint32_t cidr6_len;
};

/*
 * Compiles a policy that sp_policy_kernel_only() accepts (others: -EOPNOTSUPP). `seed` is the
 * secret of the name hash (struct sp_host). The result depends on nothing but policy and seed.
 * -E2BIG: more than SP_ACL_MAX entries can apply to one name or prefix; the error names it.
 */
int sp_policy_compile(const struct sp_policy *policy, const uint64_t seed[2],
		      struct sp_image **ret_image, struct sp_error **err);

/* Puts the resolvers of a policy behind those that conf has, whose room must be enough. */
void sp_policy_conf_resolvers(const struct sp_policy *policy, struct sp_policy_conf *conf);

/* NULL is allowed. */
void sp_image_free(struct sp_image *image);

/* ---- decisions without traffic -------------------------------------------------------------- */

/* What is asked. A name, an address, or both (an address that was learned for the name). */
struct sp_query {
	const char *name; /* text, or NULL */
	bool has_addr;
	uint8_t addr[16]; /* IPv4 as v4-mapped */
	uint16_t port;	  /* host order */
	uint8_t protocol; /* SP_PROTOCOL_TCP or SP_PROTOCOL_UDP */
};

/* What is decided, by which rule, and why. */
struct sp_decision {
	enum sp_action action; /* ALLOW, DENY or ASK; never NONE */
	uint32_t rule;	       /* index, or SP_RULE_DEFAULT */
	enum sp_reason reason; /* RULE, DEFAULT, or why the query is no name */
};

/*
 * The reference: rules in order, targets in order, labels compared one by one. A name that is none
 * is denied, with the reason. 0, or -EINVAL: neither name nor address, or no such protocol.
 */
int sp_policy_decide(const struct sp_policy *policy, const struct sp_query *query,
		     struct sp_decision *ret_decision);

/* May this name be asked for in DNS at all, that is: can any port of it be reached? 0 or -ENOMEM.
 */
int sp_policy_decide_dns(const struct sp_policy *policy, const char *text,
			 struct sp_decision *ret_decision);

/* The same two through the image and the walk of the BPF programs. `seed` as in compile; 0,
 * -EINVAL. */
int sp_image_decide(const struct sp_image *image, const uint64_t seed[2],
		    const struct sp_query *query, struct sp_decision *ret_decision);
int sp_image_decide_dns(const struct sp_image *image, const uint64_t seed[2], const char *name,
			struct sp_decision *ret_decision);

/*
 * What the kernel says before it asks the rules, as destination() of the BPF programs does: DNS
 * goes to resolvers only, nothing to groups, loopback is a matter of its own. Changes `decision`,
 * which is that of the rules, and says why in `ret_why` (NULL: the rules decide).
 */
void sp_policy_decide_beyond(const struct sp_policy *policy, const struct sp_query *query,
			     struct sp_decision *decision, const char **ret_why);

/*
 * One line per rule of how sp_policy_decide() came to its answer, for `sallyport explain`; freed
 * with sp_strings_free(). 0, -EINVAL (as there) or -ENOMEM.
 */
int sp_policy_explain(const struct sp_policy *policy, const struct sp_query *query,
		      char ***ret_lines, struct sp_decision *ret_decision, struct sp_error **err);

#endif
