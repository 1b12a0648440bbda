// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_policy.c - hostile policy documents: parse, warn, compile, and hold the image against the
 * reference for a few names. Seeds: any policy document.
 */
#include <stdint.h>
#include <stdlib.h>

#include <sallyport/policy.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"a", "a.b", "x.a.b", "localhost", "api.github.com", "a..b"};

static void compare(const struct sp_policy *policy, const struct sp_image *image,
		    const uint64_t seed[2], const char *name)
{
	struct sp_query query = {.name = name, .port = 443, .protocol = SP_PROTOCOL_TCP};
	struct sp_decision reference, walked;

	if (sp_policy_decide(policy, &query, &reference) < 0 ||
	    sp_image_decide(image, seed, &query, &walked) < 0 ||
	    reference.action != walked.action || reference.rule != walked.rule)
		abort();
	if (sp_policy_decide_dns(policy, name, &reference) < 0 ||
	    sp_image_decide_dns(image, seed, name, &walked) < 0 ||
	    reference.action != walked.action || reference.rule != walked.rule)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t seed[2] = {1, 2};
	struct sp_policy *policy = NULL;
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;
	char **warnings = NULL;

	if (sp_policy_parse((const char *)data, size, "fuzz", &policy, &err) < 0) {
		/* every refusal says why, and where */
		if (!err || !err->message || (err->code == -22 && (!err->line || !err->path)))
			abort();
		sp_error_free(err);
		return 0;
	}
	if (sp_policy_warnings(policy, &warnings, NULL) == 0)
		sp_strings_free(warnings);
	if (sp_policy_compile(policy, seed, &image, &err) < 0) {
		sp_error_free(err);
	} else {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			compare(policy, image, seed, names[i]);
		sp_image_free(image);
	}
	sp_policy_free(policy);
	return 0;
}
