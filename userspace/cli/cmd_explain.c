// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd_explain.c - `sallyport explain`: what a policy says of one destination, rule by rule, without
 * any traffic.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport/policy.h>

#include "buf.h"
#include "cli.h"
#include "resolv.h"

static void usage(FILE *to)
{
	fprintf(to,
		"usage: sallyport explain [OPTION]... HOST[:PORT]\n\n"
		"Walks through the rules for one destination and says what is decided, and why.\n"
		"HOST is a name, an IPv4 address, or an IPv6 address (in brackets before a port).\n"
		"The port is 443 unless given.\n\n"
		"options:\n"
		"  -p, --policy FILE      the policy (\"-\": standard input); without it, only "
		"the\n"
		"                         rules given here\n"
		"  -a, --allow TARGET     allow, before the rules of the policy (repeatable)\n"
		"  -d, --deny TARGET      deny, before everything else (repeatable)\n"
		"      --default ANSWER   deny, allow or prompt, instead of what the policy says\n"
		"      --protocol WORD    tcp (default) or udp\n"
		"  -j, --json             one JSON object on standard output\n"
		"  -h, --help             this text\n\n"
		"exit status: 0 allowed, 1 denied (or somebody has to be asked), 2 bad usage or "
		"policy\n");
}

struct explain {
	const char *policy;
	const char **allows, **denies;
	size_t allows_len, denies_len;
	const char *fallback;
	bool json;
	char *host; /* from the command line, without the port */
	struct sp_query query;
};

static int parse_port(const char *text, uint16_t *ret_port)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	port = strtoul(text, &end, 10);
	if (errno || *end || port < 1 || port > 65535)
		return -EINVAL;
	*ret_port = port;
	return 0;
}

static bool parse_addr(const char *text, uint8_t addr[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

	if (inet_pton(AF_INET6, text, addr) == 1)
		return true;
	memcpy(addr, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, addr + 12) == 1;
}

/* Splits HOST[:PORT]; `e->host` is the caller's to free. */
static int parse_destination(struct explain *e, const char *text)
{
	const char *port = NULL;
	const char *colon = strchr(text, ':');
	bool brackets = text[0] == '[';
	size_t len = strlen(text);

	if (strchr(text, '/')) {
		sp_cli_error("%.80s: a HOST has no scheme and no path", text);
		return -EINVAL;
	}
	if (brackets) {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':')) {
			sp_cli_error("%.80s: an IPv6 address and a port are written [ADDRESS]:PORT",
				     text);
			return -EINVAL;
		}
		port = end[1] ? end + 2 : NULL;
		text++;
		len = end - text;
	} else if (colon && !strchr(colon + 1, ':')) {
		port = colon + 1;
		len = colon - text;
	}
	if (port && parse_port(port, &e->query.port) < 0) {
		sp_cli_error("%.80s: a port is a number from 1 to 65535", port);
		return -EINVAL;
	}
	e->host = strndup(text, len);
	if (!e->host) {
		sp_cli_error("out of memory");
		return -ENOMEM;
	}
	e->query.has_addr = parse_addr(e->host, e->query.addr);
	if (brackets && !strchr(e->host, ':'))
		e->query.has_addr = false;
	if (!e->query.has_addr) {
		if (brackets || strchr(e->host, ':')) {
			sp_cli_error("%.80s is not an IPv6 address", e->host);
			return -EINVAL;
		}
		e->query.name = e->host;
	}
	return 0;
}

static int make_policy(const struct explain *e, struct sp_policy **ret_policy,
		       struct sp_error **err)
{
	struct sp_policy *policy = NULL;
	int r;

	if (e->policy)
		r = sp_policy_load(e->policy, &policy, err);
	else
		r = sp_policy_new(&policy, err);
	if (r == 0)
		r = sp_policy_prepend(policy, SP_ACTION_DENY, e->denies, e->denies_len, "--deny",
				      err);
	if (r == 0)
		r = sp_policy_prepend(policy, SP_ACTION_ALLOW, e->allows, e->allows_len, "--allow",
				      err);
	if (r == 0 && e->fallback)
		r = sp_policy_set_default(policy, e->fallback, err);
	if (r < 0) {
		sp_policy_free(policy);
		return r;
	}
	*ret_policy = policy;
	return 0;
}

static const char *verdict(const struct sp_decision *decision)
{
	return decision->action == SP_ACTION_ALLOW  ? "allowed"
	       : decision->action == SP_ACTION_DENY ? "denied"
						    : "ask";
}

static const char *reason_text(enum sp_reason reason, bool token)
{
	static const char *const tokens[][2] = {
#define X(code, token, text) {token, text},
		SP_REASONS(X)
#undef X
	};

	return tokens[reason][token ? 0 : 1];
}

static void json_decision(struct sp_buf *out, const struct sp_policy *policy,
			  const struct sp_decision *decision)
{
	struct sp_rule_view view;

	sp_buf_json_member(out, "verdict", verdict(decision));
	sp_buf_add(out, ",");
	sp_buf_json_member(out, "reason", reason_text(decision->reason, true));
	sp_buf_add(out, ",\"rule\":");
	if (sp_policy_rule(policy, decision->rule, &view) < 0) {
		sp_buf_add(out, "null");
		return;
	}
	sp_buf_printf(out, "{\"index\":%u,", decision->rule);
	sp_buf_json_member(out, "id", view.id);
	sp_buf_add(out, ",");
	sp_buf_json_member(out, "kind", view.kind);
	sp_buf_add(out, ",");
	sp_buf_json_member(out, "origin", view.origin);
	sp_buf_add(out, ",");
	sp_buf_json_member(out, "note", view.note);
	sp_buf_add(out, "}");
}

static int print_json(const struct explain *e, const struct sp_policy *policy, char **lines,
		      const struct sp_decision *decision, const struct sp_decision *dns)
{
	struct sp_buf out = {0};
	char *text = NULL;

	sp_buf_add(&out, "{");
	sp_buf_json_member(&out, "host", e->host);
	sp_buf_printf(&out, ",\"port\":%u,\"protocol\":\"%s\",", e->query.port,
		      e->query.protocol == SP_PROTOCOL_TCP ? "tcp" : "udp");
	sp_buf_json_member(&out, "policy", sp_policy_name(policy));
	sp_buf_printf(&out, ",\"mode\":\"%s\",",
		      sp_policy_mode(policy) == SP_MODE_ENFORCE ? "enforce" : "audit_only");
	json_decision(&out, policy, decision);
	sp_buf_add(&out, ",\"dns\":");
	if (e->query.name) {
		sp_buf_add(&out, "{");
		json_decision(&out, policy, dns);
		sp_buf_add(&out, "}");
	} else {
		sp_buf_add(&out, "null");
	}
	sp_buf_add(&out, ",\"walk\":[");
	for (size_t i = 0; lines[i]; i++) {
		sp_buf_add(&out, i ? "," : "");
		sp_buf_json(&out, lines[i], strlen(lines[i]));
	}
	sp_buf_add(&out, "]}");
	if (sp_buf_take(&out, &text) < 0)
		return -ENOMEM;
	puts(text);
	free(text);
	return 0;
}

static void say_rule(const struct sp_policy *policy, const struct sp_decision *decision)
{
	struct sp_rule_view view;

	if (sp_policy_rule(policy, decision->rule, &view) == 0)
		printf("%s (%s)", view.origin, view.id);
	else if (decision->reason == SP_REASON_DEFAULT)
		printf("the default");
	else
		printf("its form: %s", reason_text(decision->reason, false));
}

static void print_text(const struct explain *e, const struct sp_policy *policy, char **lines,
		       const struct sp_decision *decision, const struct sp_decision *dns,
		       const char *why)
{
	struct sp_buf host = {0};

	for (size_t i = 0; lines[i]; i++)
		printf("  %s\n", lines[i]);
	sp_buf_word(&host, e->host, strlen(e->host));
	if (e->query.name) {
		printf("DNS query: %s by ", verdict(dns));
		say_rule(policy, dns);
		printf("\n");
	}
	printf("%s port %u/%s: %s by ", host.data ? host.data : "", e->query.port,
	       e->query.protocol == SP_PROTOCOL_TCP ? "tcp" : "udp", verdict(decision));
	if (why)
		printf("what comes before the rules: %s", why);
	else
		say_rule(policy, decision);
	printf("\n");
	if (!e->query.name && decision->action != SP_ACTION_ALLOW &&
	    decision->reason == SP_REASON_DEFAULT)
		printf("(an address that DNS gave for an allowed name can be reached for that "
		       "name)\n");
	if (sp_policy_mode(policy) == SP_MODE_AUDIT_ONLY && decision->action != SP_ACTION_ALLOW)
		printf("(audit_only: this would be reported, not blocked)\n");
	sp_buf_free(&host);
}

/* "system" among the resolvers is what `run` would make of it here. */
static int resolve_system(struct sp_policy *policy, struct sp_error **err)
{
	const char *addresses[SP_RESOLVERS_MAX];
	struct sp_nameservers servers;

	/* a resolv.conf that cannot be read has no resolvers: nothing of the answer hangs on it */
	if (!sp_policy_wants_system_resolvers(policy) ||
	    sp_resolv_load("/etc/resolv.conf", &servers) < 0)
		return 0;
	for (size_t i = 0; i < servers.len; i++)
		addresses[i] = servers.text[i];
	return sp_policy_resolve_system(policy, addresses, servers.len, err);
}

/*
 * The answer comes from the compiled policy and the walk that the BPF programs are built from,
 * where `run` could use it; the lines of the walk through the document are those of the reference.
 */
static int decide_as_kernel(const struct sp_policy *policy, const struct sp_query *query,
			    struct sp_decision *decision, struct sp_decision *dns,
			    struct sp_error **err)
{
	uint64_t seed[2] = {0x53616c6c79706f72, 0x74};
	struct sp_decision kernel = {0}, kernel_dns = {0};
	struct sp_error *why = NULL;
	struct sp_image *image = NULL;
	int r;

	r = sp_policy_kernel_only(policy, &why);
	sp_error_free(why);
	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		return r;
	for (int i = 0; i < 4; i++, seed[1]++) {
		sp_error_free(*err);
		*err = NULL;
		r = sp_policy_compile(policy, seed, &image, err);
		if (r != -EAGAIN) /* two names met under this seed */
			break;
	}
	if (r == 0)
		r = sp_image_decide(image, seed, query, &kernel);
	if (r == 0 && query->name)
		r = sp_image_decide_dns(image, seed, query->name, &kernel_dns);
	sp_image_free(image);
	if (r < 0)
		return r;
	if (kernel.action != decision->action || kernel.rule != decision->rule ||
	    (query->name && kernel_dns.action != dns->action))
		return sp_error_set(err, -EPROTO,
				    "the policy and its compiled form disagree: this is a fault "
				    "of sallyport, please report it");
	*decision = kernel;
	return 0;
}

static int explain(const struct explain *e)
{
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	struct sp_decision decision, dns = {0};
	const char *why = NULL;
	char **lines = NULL;
	int r, status = SP_EXIT_USAGE;

	r = make_policy(e, &policy, &err);
	if (r == 0)
		r = resolve_system(policy, &err);
	if (r == 0)
		r = sp_policy_explain(policy, &e->query, &lines, &decision, &err);
	if (r == 0 && e->query.name)
		r = sp_policy_decide_dns(policy, e->query.name, &dns);
	if (r == 0)
		r = decide_as_kernel(policy, &e->query, &decision, &dns, &err);
	if (r == 0)
		sp_policy_decide_beyond(policy, &e->query, &decision, &why);
	if (r == 0 && e->json)
		r = print_json(e, policy, lines, &decision, &dns);
	else if (r == 0)
		print_text(e, policy, lines, &decision, &dns, why);
	if (r == 0) {
		status = decision.action == SP_ACTION_ALLOW ? SP_EXIT_OK : SP_EXIT_HOST;
		if (fflush(stdout) != 0)
			status = SP_EXIT_USAGE;
	} else if (err) {
		sp_cli_error_object(err);
	} else {
		sp_cli_error("%s", strerror(-r));
	}
	sp_strings_free(lines);
	sp_policy_free(policy);
	return status;
}

/* 0 to go on, 1 for help, negative for bad usage. */
static int parse_options(struct explain *e, int argc, char **argv)
{
	static const struct option options[] = {
		{"policy", required_argument, NULL, 'p'},
		{"allow", required_argument, NULL, 'a'},
		{"deny", required_argument, NULL, 'd'},
		{"default", required_argument, NULL, 'D'},
		{"protocol", required_argument, NULL, 'P'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	optind = 0; /* main() may have read its own options */
	while ((option = getopt_long(argc, argv, "p:a:d:jh", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			if (e->policy) {
				sp_cli_error("explain: --policy stands here twice");
				return -EINVAL;
			}
			e->policy = optarg;
			break;
		case 'a':
			e->allows[e->allows_len++] = optarg;
			break;
		case 'd':
			e->denies[e->denies_len++] = optarg;
			break;
		case 'D':
			e->fallback = optarg;
			break;
		case 'P':
			/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): it has one */
			if (strcmp(optarg, "tcp") != 0 && strcmp(optarg, "udp") != 0) {
				sp_cli_error("--protocol is tcp or udp, not %.40s", optarg);
				return -EINVAL;
			}
			e->query.protocol = *optarg == 't' ? SP_PROTOCOL_TCP : SP_PROTOCOL_UDP;
			break;
		case 'j':
			e->json = true;
			sp_cli_json(true);
			break;
		case 'h':
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (optind + 1 != argc) {
		sp_cli_error("one HOST[:PORT] is wanted; see sallyport explain --help");
		return -EINVAL;
	}
	return parse_destination(e, argv[optind]);
}

int cmd_explain(int argc, char **argv)
{
	struct explain e = {.query = {.port = 443, .protocol = SP_PROTOCOL_TCP}};
	int status = SP_EXIT_USAGE, r;

	e.allows = calloc(argc + 1, sizeof(*e.allows));
	e.denies = calloc(argc + 1, sizeof(*e.denies));
	if (!e.allows || !e.denies) {
		sp_cli_error("out of memory");
	} else {
		r = parse_options(&e, argc, argv);
		if (r == 1) {
			usage(stdout);
			status = SP_EXIT_OK;
		} else if (r == 0) {
			status = explain(&e);
		}
	}
	free(e.allows);
	free(e.denies);
	free(e.host);
	return status;
}
