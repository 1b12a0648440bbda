// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cmd_check.c - `sallyport check`: is a policy sound, what is odd about it, and can `run` enforce
 * it?
 *
 * Errors and warnings are written as compilers write them, FILE:LINE:COLUMN first, so that editors
 * can jump there.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport/policy.h>

#include "buf.h"
#include "cli.h"

static void usage(FILE *to)
{
	fprintf(to, "usage: sallyport check [--json] FILE...\n\n"
		    "Reads policy files (\"-\": standard input), says whether they are sound and "
		    "whether\n"
		    "`sallyport run` can enforce them, and warns of what is seldom meant.\n\n"
		    "options:\n"
		    "  -j, --json  one JSON object per file on standard output\n"
		    "  -h, --help  this text\n\n"
		    "exit status: 0 sound, 2 a policy is not, 1 a file could not be read\n");
}

struct checked {
	const char *file;
	struct sp_policy *policy;
	struct sp_error *error;	    /* why it is not sound, or could not be read */
	struct sp_error *run_error; /* why `run` cannot enforce it */
	char **warnings;
	size_t rules, targets;
};

static void checked_free(struct checked *c)
{
	sp_policy_free(c->policy);
	sp_error_free(c->error);
	sp_error_free(c->run_error);
	sp_strings_free(c->warnings);
}

static void json_error(struct sp_buf *out, const struct sp_error *e)
{
	sp_buf_add(out, "{");
	sp_buf_json_member(out, "message", e->message ? e->message : "out of memory");
	sp_buf_printf(out, ",\"line\":%d,\"column\":%d,", e->line, e->column);
	sp_buf_json_member(out, "path", e->path);
	sp_buf_add(out, "}");
}

static void print_json(const struct checked *c)
{
	struct sp_buf out = {0};
	char *text = NULL;

	sp_buf_add(&out, "{");
	sp_buf_json_member(&out, "file", c->file);
	if (!c->policy || c->error) {
		sp_buf_add(&out, ",\"ok\":false,\"error\":");
		json_error(&out, c->error);
	} else {
		sp_buf_add(&out, ",\"ok\":true,");
		sp_buf_json_member(&out, "name", sp_policy_name(c->policy));
		sp_buf_printf(&out,
			      ",\"rules\":%zu,\"targets\":%zu,\"run\":%s,\"run_needs\":", c->rules,
			      c->targets, c->run_error ? "false" : "true");
		if (c->run_error)
			json_error(&out, c->run_error);
		else
			sp_buf_add(&out, "null");
		sp_buf_add(&out, ",\"warnings\":[");
		for (size_t i = 0; c->warnings && c->warnings[i]; i++) {
			sp_buf_add(&out, i ? "," : "");
			sp_buf_json(&out, c->warnings[i], strlen(c->warnings[i]));
		}
		sp_buf_add(&out, "]");
	}
	sp_buf_add(&out, "}");
	if (sp_buf_take(&out, &text) < 0) {
		sp_cli_error("out of memory");
		return;
	}
	puts(text);
	free(text);
}

static void print_text(const struct checked *c)
{
	if (c->error) {
		char *text = sp_error_text(c->error);

		fprintf(stderr, "%s\n", text ? text : c->file);
		free(text);
		return;
	}
	for (size_t i = 0; c->warnings && c->warnings[i]; i++)
		fprintf(stderr, "%s: warning: %s\n", c->file, c->warnings[i]);
	printf("%s: ok, %zu rule%s, %zu target%s; ", c->file, c->rules, c->rules == 1 ? "" : "s",
	       c->targets, c->targets == 1 ? "" : "s");
	if (c->run_error) {
		if (c->run_error->line)
			printf("`sallyport run` cannot enforce it: line %d: %s\n",
			       c->run_error->line, c->run_error->message);
		else
			printf("`sallyport run` cannot enforce it: %s\n", c->run_error->message);
	} else {
		puts("`sallyport run` can enforce it");
	}
}

/* The bounds of the compiled form are part of what a policy may be. */
static int try_compile(struct checked *c)
{
	uint64_t seed[2] = {0x53616c6c79706f72, 0x74};
	struct sp_image *image = NULL;
	int r;

	r = sp_policy_kernel_only(c->policy, &c->run_error);
	if (r < 0)
		return r == -EOPNOTSUPP ? 0 : r;
	for (int i = 0; i < 4; i++, seed[1]++) {
		r = sp_policy_compile(c->policy, seed, &image, &c->error);
		if (r != -EAGAIN)
			break;
		/* two names met under this seed */
		sp_error_free(c->error);
		c->error = NULL;
	}
	sp_image_free(image);
	return r;
}

static int check(struct checked *c)
{
	struct sp_rule_view view;
	int r;

	r = sp_policy_load(c->file, &c->policy, &c->error);
	if (r < 0)
		return r;
	c->rules = sp_policy_rules_len(c->policy);
	for (size_t i = 0; i < c->rules; i++)
		if (sp_policy_rule(c->policy, i, &view) == 0)
			c->targets += view.targets_len;
	r = try_compile(c);
	if (r < 0)
		return r;
	return sp_policy_warnings(c->policy, &c->warnings, &c->error);
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int status = SP_EXIT_OK, option;
	bool json = false;

	optind = 0; /* main() may have read its own options */
	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			usage(stdout);
			return SP_EXIT_OK;
		default:
			usage(stderr);
			return SP_EXIT_USAGE;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return SP_EXIT_USAGE;
	}
	for (; optind < argc; optind++) {
		struct checked c = {.file = argv[optind]};
		int r = check(&c);

		if (r < 0 && !c.error)
			sp_error_set(&c.error, r, "%s", strerror(-r));
		if (r == -EINVAL || r == -E2BIG)
			status = SP_EXIT_USAGE;
		else if (r < 0 && status == SP_EXIT_OK)
			status = SP_EXIT_HOST;
		if (r < 0 && !c.error) /* not even the memory for an error */
			sp_cli_error("%s: out of memory", c.file);
		else if (json)
			print_json(&c);
		else
			print_text(&c);
		checked_free(&c);
	}
	if (fflush(stdout) != 0 && status == SP_EXIT_OK)
		status = SP_EXIT_HOST;
	return status;
}
