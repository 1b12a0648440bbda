// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_faults.c - memory runs out at every place of the library where memory is asked for.
 *
 * A scenario does something whole and writes down what came of it. It runs once to be measured;
 * then again and again with allocation number 1, 2, 3, ... failing, alone or with all that follow,
 * until it makes no more than that. Whatever fails: no crash, nothing is lost (live blocks are
 * counted), and the outcome is either what it is with memory, or an error that says so. Never
 * another success.
 *
 * The allocator is glibc's, entered through functions of the same names in this program, so the
 * libraries that the library uses (cJSON, libidn2, libpsl, libmnl) run out of memory too. ASan has
 * an allocator of its own: there the calls of the library are wrapped by the linker, cJSON's come
 * by its hooks, and LSan looks for leaks.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include <sallyport/events.h>
#include <sallyport/policy.h>

#include "sockdiag.h"

/* ---- the allocator -------------------------------------------------------------------------- */

static bool armed;
static bool on_and_on; /* all that follow fail too */
static unsigned long asked, fail_at, failed;
static long live;

static bool fails(void)
{
	if (!armed)
		return false;
	asked++;
	if (fail_at && (asked == fail_at || (on_and_on && asked > fail_at))) {
		failed++;
		errno = ENOMEM;
		return true;
	}
	return false;
}

#ifdef __SANITIZE_ADDRESS__
#define ENTRY(name) __wrap_##name
#define REAL(name) __real_##name
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *format, va_list args);
int __wrap_asprintf(char **ret, const char *format, ...);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

int __wrap_vasprintf(char **ret, const char *format, va_list args)
{
	return fails() ? -1 : __real_vasprintf(ret, format, args);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = __wrap_vasprintf(ret, format, args);
	va_end(args);
	return r;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_realloc(p, n * size);
}
#else
#define ENTRY(name) name
#define REAL(name) __libc_##name
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

void *aligned_alloc(size_t alignment, size_t size)
{
	void *p = fails() ? NULL : __libc_memalign(alignment, size);

	if (armed && p)
		live++;
	return p;
}

void free(void *p)
{
	if (armed && p)
		live--;
	__libc_free(p);
}
#endif

void *ENTRY(malloc)(size_t size)
{
	void *p = fails() ? NULL : REAL(malloc)(size);

	if (armed && p)
		live++;
	return p;
}

void *ENTRY(calloc)(size_t n, size_t size)
{
	void *p = fails() ? NULL : REAL(calloc)(n, size);

	if (armed && p)
		live++;
	return p;
}

void *ENTRY(realloc)(void *p, size_t size)
{
	void *q = fails() ? NULL : REAL(realloc)(p, size);

	if (armed && q && !p)
		live++;
	return q;
}

static void *hook_malloc(size_t size)
{
	return ENTRY(malloc)(size);
}

static void hook_free(void *p)
{
	free(p);
}

/* ---- what came of it ------------------------------------------------------------------------ */

static char outcome[65536];
static size_t outcome_len;
static int result; /* first error of the scenario, or 0 */

static void __attribute__((format(printf, 1, 2))) note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	outcome_len += (size_t)vsnprintf(outcome + outcome_len, sizeof(outcome) - outcome_len,
					 format, args);
	va_end(args);
	if (outcome_len >= sizeof(outcome))
		abort();
}

/* Notes an error, which must say something; takes it. True: there was one. */
static bool error(int r, struct sp_error *err)
{
	if (r >= 0 && err)
		abort(); /* a success with an error */
	if (r < 0 && err && (err->code != r || !err->message || !err->message[0]))
		if (!failed)
			abort();
	if (r < 0) {
		/* Without an error object there was no memory for that one either. */
		if (!err && !failed)
			abort();
		note("error %d %s at %d:%d\n", r, err && err->message ? err->message : "-",
		     err ? err->line : 0, err ? err->column : 0);
		if (!result)
			result = r;
	}
	sp_error_free(err);
	return r < 0;
}

/*
 * How often a scenario can run out of memory; `refused` is what it says with memory (0: success).
 * A lone failure must be told as -ENOMEM, with words.
 */
static void run_out(const char *name, void (*scenario)(void), int refused)
{
	static char expected[sizeof(outcome)];
	unsigned long whole;

	/* Once, so that what is kept for good (locales, tables) is there; then to measure. */
	for (int i = 0; i < 2; i++) {
		outcome_len = result = 0;
		asked = failed = fail_at = 0;
		live = 0;
		armed = true;
		scenario();
		armed = false;
	}
	assert_int_equal(result, refused);
#ifndef __SANITIZE_ADDRESS__
	if (live)
		fail_msg("%s loses %ld blocks even with memory", name, live);
#endif
	whole = asked;
	assert_true(whole > 0);
	memcpy(expected, outcome, outcome_len + 1);
	for (int all = 0; all < 2; all++) {
		for (unsigned long n = 1; n <= whole; n++) {
			outcome_len = result = 0;
			outcome[0] = 0;
			asked = failed = 0;
			live = 0;
			fail_at = n;
			on_and_on = all;
			armed = true;
			scenario();
			armed = false;
			if (!failed)
				fail_msg("%s: allocation %lu is not made again", name, n);
#ifndef __SANITIZE_ADDRESS__
			if (live)
				fail_msg("%s: %ld blocks lost after allocation %lu failed", name,
					 live, n);
#endif
			if (result == 0 && strcmp(outcome, expected) != 0)
				fail_msg("%s: another success after allocation %lu failed:\n%s"
					 "instead of\n%s",
					 name, n, outcome, expected);
			if (result != 0 && result != -ENOMEM && result != refused)
				fail_msg("%s: after allocation %lu failed: %s", name, n, outcome);
			if (refused && result == 0)
				fail_msg("%s: accepted after allocation %lu failed", name, n);
			if (result == -ENOMEM && !all && strstr(outcome, "error -12 - "))
				fail_msg("%s: no words after allocation %lu failed", name, n);
		}
	}
	print_message("# %s: each of %lu allocations failed, alone and with all that follow\n",
		      name, whole);
}

/* ---- scenarios ------------------------------------------------------------------------------ */

static const char document[] =
	"{ \"version\": 1, \"name\": \"faults\", \"description\": \"d\", \"precedence\": "
	"\"deny_wins\",\n"
	"  \"rules\": [\n"
	"    { \"deny\": [\"**.internal.test\", \"10.0.0.0/8\"], \"note\": \"never\", \"id\": "
	"\"one\" },\n"
	"    { \"allow\": [\"a.test\", \"*.b.test\", \"**.c.test\", \"b\xc3\xbc"
	"cher.test\", \"**.com\"] },\n"
	"    { \"allow\": [\"d.test:22\", \"192.0.2.1\", \"2001:db8::/32\", \"a.test\"], "
	"\"protocol\": \"tcp\" },\n"
	"    { \"allow\": [\"e.test\"], \"ports\": [1, \"5-9\", 443], \"tls\": true } ],\n"
	"  \"dns\": { \"resolvers\": [\"system\", \"192.0.2.53\"], \"private_answers\": "
	"[\"10.1.0.0/16\"],\n"
	"    \"static\": { \"s.test\": [\"192.0.2.7\", \"2001:db8::7\"] }, \"query_types\": "
	"[\"A\", \"AAAA\"] } }\n";

static const char document_asks[] =
	"{ \"version\": 1, \"rules\": [\n"
	"  { \"decide\": [\"**.x.test\"], \"by\": { \"command\": [\"/bin/decide\", \"-x\"] },\n"
	"    \"timeout_ms\": 500, \"context_metadata\": { \"tenant\": \"acme\" } },\n"
	"  { \"decide\": [\"y.test\"], \"by\": { \"unix\": \"/run/d.sock\" } },\n"
	"  { \"allow\": [\"g.test\"], \"methods\": [\"GET\"], \"path_glob\": \"/a/**\" },\n"
	"  { \"prompt\": [\"api-*.test\"] } ] }\n";

static const char *const wrong_documents[] = {
	"",
	"{",
	"{ \"version\": 1, \"rulez\": [] }",
	"{ \"version\": 1, \"rules\": [ { \"allow\": [\"a..test\"] } ] }",
	"{ \"version\": 1, \"rules\": [ { \"allow\": [\"a.test\"], \"ports\": [\"9-5\"] } ] }",
	"{ \"version\": 1, \"rules\": [ { \"allow\": [\"x\xc3\xbc..test\"] } ] }",
	"{ \"version\": 1, \"dns\": { \"resolvers\": [\"nowhere\"] } }",
	"{ \"version\": 1, \"mode\": \"enforced\" }",
	"{ \"version\": 1, \"rules\": [ { \"id\": \"a\", \"allow\": [\"a\"] }, { \"id\": \"a\", "
	"\"deny\": [\"b\"] } ] }",
	"{ \"version\": 1, \"version\": 1 }",
};

static const uint64_t seed[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static uint32_t sum(uint32_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static void note_image(const struct sp_image *i)
{
	uint32_t h = 2166136261u;

	h = sum(h, &i->conf, sizeof(i->conf));
	h = sum(h, i->buckets, i->buckets_len * sizeof(*i->buckets));
	h = sum(h, i->nodes, i->nodes_len * sizeof(*i->nodes));
	h = sum(h, i->acls, i->acls_len * sizeof(*i->acls));
	h = sum(h, i->entries, i->entries_len * sizeof(*i->entries));
	h = sum(h, i->cidr4, i->cidr4_len * sizeof(*i->cidr4));
	h = sum(h, i->cidr6, i->cidr6_len * sizeof(*i->cidr6));
	note("image %u %u %u %u %u %u: %08x\n", i->buckets_len, i->nodes_len, i->acls_len,
	     i->entries_len, i->cidr4_len, i->cidr6_len, h);
}

static int note_static(const char *name, const uint8_t addr[16], void *data)
{
	(void)data;
	note("static %s %u\n", name, addr[15]);
	return 0;
}

static void note_strings(char **strings)
{
	for (char **s = strings; s && *s; s++)
		note("  %s\n", *s);
	sp_strings_free(strings);
}

static void decide_all(const struct sp_policy *policy, const struct sp_image *image)
{
	static const char *const names[] = {"a.test",
					    "x.b.test",
					    "y.x.b.test",
					    "v.internal.test",
					    "b\xc3\xbc"
					    "cher.test",
					    "d.test",
					    "other",
					    "e.test"};
	struct sp_decision d;
	int r;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sp_query q = {.name = names[i], .port = 443, .protocol = SP_PROTOCOL_TCP};
		struct sp_error *err = NULL;
		char **lines = NULL;

		r = sp_policy_decide(policy, &q, &d);
		if (!r)
			note("%s: %d %u %d\n", names[i], d.action, d.rule, d.reason);
		else
			note("%s: error %d no memory to decide\n", names[i], r);
		if (r && !result)
			result = r;
		r = sp_policy_decide_dns(policy, names[i], &d);
		if (!r)
			note("dns %d %u\n", d.action, d.rule);
		if (r && !result)
			result = r;
		if (image) {
			r = sp_image_decide(image, seed, &q, &d);
			if (!r)
				note("image %d %u\n", d.action, d.rule);
			if (r && !result)
				result = r;
			r = sp_image_decide_dns(image, seed, names[i], &d);
			if (!r)
				note("image dns %d %u\n", d.action, d.rule);
			if (r && !result)
				result = r;
		}
		r = sp_policy_explain(policy, &q, &lines, &d, &err);
		if (!error(r, err)) {
			note("explained %d %u\n", d.action, d.rule);
			note_strings(lines);
		}
	}
}

static void whole_life(void)
{
	static const char *const systems[] = {"192.0.2.1", "2001:db8::53"};
	static const char *const allows[] = {"z.test", "192.0.2.0/24", "\xc3\xbc.test"};
	static const char *const denies[] = {"y.z.test"};
	struct sp_policy *policy = NULL;
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;
	struct sp_rule_view view;
	char **warnings = NULL;
	int r;

	r = sp_policy_parse(document, sizeof(document) - 1, "faults.json", &policy, &err);
	if (error(r, err))
		return;
	err = NULL;
	r = sp_policy_prepend(policy, SP_ACTION_ALLOW, allows, 3, "--allow", &err);
	if (error(r, err))
		goto out;
	err = NULL;
	r = sp_policy_prepend(policy, SP_ACTION_DENY, denies, 1, "--deny", &err);
	if (error(r, err))
		goto out;
	err = NULL;
	r = sp_policy_resolve_system(policy, systems, 2, &err);
	if (error(r, err))
		goto out;
	err = NULL;
	r = sp_policy_kernel_only(policy, &err);
	if (error(r, err))
		goto out;
	err = NULL;
	r = sp_policy_warnings(policy, &warnings, &err);
	if (error(r, err))
		goto out;
	note_strings(warnings);
	for (uint32_t i = 0; sp_policy_rule(policy, i, &view) == 0; i++)
		note("rule %s %s %s %s %zu\n", view.id, view.kind, view.origin, view.target,
		     view.targets_len);
	sp_policy_static(policy, note_static, NULL);
	err = NULL;
	r = sp_policy_compile(policy, seed, &image, &err);
	if (error(r, err))
		goto out;
	note_image(image);
	decide_all(policy, image);
	sp_image_free(image);
out:
	sp_policy_free(policy);
}

static void held_policy(void)
{
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	char **warnings = NULL;
	int r;

	r = sp_policy_parse(document_asks, sizeof(document_asks) - 1, "asks.json", &policy, &err);
	if (error(r, err))
		return;
	err = NULL;
	r = sp_policy_kernel_only(policy, &err);
	/* not for the kernel alone; it must say so */
	if (r == 0)
		abort();
	if (r != -EOPNOTSUPP && !result)
		result = r;
	note("%d %s\n", r, err && err->message ? err->message : "out of memory");
	if (result == 0 && (!err || !err->message))
		result = -ENOMEM;
	sp_error_free(err);
	err = NULL;
	r = sp_policy_warnings(policy, &warnings, &err);
	if (!error(r, err))
		note_strings(warnings);
	decide_all(policy, NULL);
	sp_policy_free(policy);
}

static size_t wrong_at;

static void wrong_document(void)
{
	const char *text = wrong_documents[wrong_at];
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	int r = sp_policy_parse(text, strlen(text), "wrong.json", &policy, &err);

	if (r == 0 || policy)
		abort();
	if (err) {
		char *whole = sp_error_text(err);

		note("%s\n", whole ? whole : "-");
		free(whole);
	}
	error(r, err);
}

static void options_only(void)
{
	static const char *const targets[] = {"a.test:22", "**.b.test", "198.51.100.0/24"};
	static const char *const wrong[] = {"a..b"};
	static const char *const resolvers[] = {"192.0.2.53"};
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	int r;

	r = sp_policy_new(&policy, &err);
	if (error(r, err))
		return;
	err = NULL;
	r = sp_policy_prepend(policy, SP_ACTION_ALLOW, targets, 3, "--allow", &err);
	if (error(r, err))
		goto out;
	err = NULL;
	r = sp_policy_set_resolvers(policy, resolvers, 1, &err);
	if (error(r, err))
		goto out;
	err = NULL;
	r = sp_policy_set_mode(policy, "audit", &err);
	if (r == 0)
		abort();
	sp_error_wrap(&err, r, "--mode");
	if (!error(r, err))
		goto out;
	err = NULL;
	r = sp_policy_prepend(policy, SP_ACTION_ALLOW, wrong, 1, "--allow", &err);
	if (r == 0)
		abort();
	error(r, err);
	note("%zu rules\n", sp_policy_rules_len(policy));
out:
	sp_policy_free(policy);
}

static const char *file_name;

static void from_file(void)
{
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	int r = sp_policy_load(file_name, &policy, &err);

	if (!error(r, err))
		note("%s %zu\n", sp_policy_name(policy), sp_policy_rules_len(policy));
	sp_policy_free(policy);
}

static void all_events(void)
{
	/* Made outside the window: here the policy is only read. */
	static struct sp_policy *policy;
	static const uint8_t name[] = "\4evil\4test";

	if (!policy) {
		bool was = armed;

		armed = false;
		if (sp_policy_parse(document, sizeof(document) - 1, NULL, &policy, NULL))
			abort();
		armed = was;
	}
	for (unsigned int kind = 0; kind < SP_EVENT_KINDS; kind++) {
		for (unsigned int reason = 0; reason < SP_REASON_COUNT; reason++) {
			struct sp_event event = {
				.version = SP_ABI_VERSION,
				.size = SP_EVENT_FULL,
				.kind = kind,
				.verdict = reason & 1 ? SP_VERDICT_DENIED : SP_VERDICT_ALLOWED,
				.reason = reason,
				.rule = reason % 5 ? reason % 5 - 1u : SP_RULE_DEFAULT,
				.name_len = sizeof(name),
				.sni_len = 9};
			struct sp_event decoded;
			char *text = NULL;
			int r;

			memcpy(event.name, name, sizeof(name));
			memcpy(event.sni, "evil\"\n\xff\x01\x02", 9);
			r = sp_event_decode(&event, sizeof(event), &decoded);
			if (r)
				abort();
			r = sp_event_line(&decoded, policy, &text);
			if (r) {
				note("error %d no line\n", r);
				result = result ? result : r;
			} else {
				note("%u\n", sum(2166136261u, text, strlen(text)));
			}
			free(text);
			text = NULL;
			r = sp_event_json(&decoded, policy, &text);
			if (r) {
				note("error %d no JSON\n", r);
				result = result ? result : r;
			} else if (text[0] != '{' || text[strlen(text) - 1] != '}') {
				abort(); /* half an object is no object */
			}
			free(text);
			if (reason > 4)
				reason += 6; /* all kinds, and every seventh reason */
		}
	}
}

static void errors_themselves(void)
{
	struct sp_error *err = NULL;
	char *text;

	sp_error_set(&err, -ENOENT, "inner %d", 1);
	sp_error_wrap(&err, -ENOENT, "outer");
	text = sp_error_text(err);
	note("%s\n", text ? text : "-");
	if (!text)
		result = -ENOMEM;
	if (text && failed && !strstr(text, "inner 1") && !strstr(text, "out of memory"))
		abort();
	if (failed) {
		result = -ENOMEM;
		note("error -12 said\n");
	}
	free(text);
	sp_error_free(err);
}

static void socket_diag(void)
{
	struct sp_sockdiag *diag = NULL;
	int r = sp_sockdiag_open(&diag);

	if (r) {
		note("error %d cannot open\n", r);
		result = r;
		return;
	}
	note("open\n");
	sp_sockdiag_close(diag);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_whole_life(void **state)
{
	(void)state;
	run_out("parse, warn, compile, decide, explain", whole_life, 0);
}

static void test_held_policy(void **state)
{
	(void)state;
	run_out("a policy with deciders", held_policy, 0);
}

static void test_wrong_documents(void **state)
{
	(void)state;
	for (wrong_at = 0; wrong_at < sizeof(wrong_documents) / sizeof(wrong_documents[0]);
	     wrong_at++)
		run_out(wrong_documents[wrong_at], wrong_document, -EINVAL);
}

static void test_options_only(void **state)
{
	(void)state;
	run_out("options and setters", options_only, -EINVAL);
}

static void test_from_file(void **state)
{
	char path[] = "/tmp/sallyport-faults-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, document, sizeof(document) - 1), sizeof(document) - 1);
	close(fd);
	file_name = path;
	run_out("a file", from_file, 0);
	unlink(path);
}

static void test_events(void **state)
{
	(void)state;
	run_out("wording of events", all_events, 0);
}

static void test_errors(void **state)
{
	(void)state;
	run_out("errors", errors_themselves, 0);
}

static void test_sockdiag(void **state)
{
	(void)state;
	run_out("sock_diag", socket_diag, 0);
}

int main(void)
{
	cJSON_Hooks hooks = {.malloc_fn = hook_malloc, .free_fn = hook_free};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_life),	cmocka_unit_test(test_held_policy),
		cmocka_unit_test(test_wrong_documents), cmocka_unit_test(test_options_only),
		cmocka_unit_test(test_from_file),	cmocka_unit_test(test_events),
		cmocka_unit_test(test_errors),		cmocka_unit_test(test_sockdiag),
	};

#ifdef __SANITIZE_ADDRESS__
	cJSON_InitHooks(&hooks);
#else
	(void)hooks;
	(void)hook_malloc;
	(void)hook_free;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
