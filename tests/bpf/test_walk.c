// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_walk.c - the kernel answers as sp_image_decide() does.
 *
 * Random policies, compiled and put into the product's maps; random questions, answered by the
 * product's look-up as a BPF program (name_acl(), cidr_match(), acl_match() of bpf/decide.bpf.h)
 * and by the walk of the image in user space. SP_SEED repeats a run, SP_PAIRS says how many
 * questions.
 */
#include <time.h>

#include "tap.h"
#include "bpf/install.h"
#include "bpf/walk.h"
#include "unit/vectors.h"
#include "buf.h"
#include "walk.skel.h"

#define PAIRS 20000
#define PER_POLICY 200

static struct walk_work *work;
static uint64_t state;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static unsigned int below(unsigned int n)
{
	return next_random() % n;
}

#define PICK(array) (array)[below(sizeof(array) / sizeof((array)[0]))]

/* few of each, so that targets overlap, nest and shadow one another */
static const char *const labels[] = {"a", "b", "c", "d1", "_x", "com", "eightlet", "long-er-label"};
static const unsigned int ports[] = {1, 22, 80, 81, 443, 8000, 8999, 65535};
static const char *const prefixes[] = {"", "", "", "*.", "**.", "."};
static const char *const networks[] = {
	"10.0.0.0/8",  "10.1.0.0/16", "10.1.2.3",      "10.1.2.2/31",	"0.0.0.0/0",
	"::/0",	       "fd00::/8",    "2001:db8::/32", "2001:db8:1::5", "192.168.0.0/17",
	"127.0.0.0/8", "127.0.0.1",   "126.0.0.0/7",   "::1",
};
static const uint8_t addresses[][16] = {
	{[10] = 0xff, 0xff, 10, 1, 2, 3},
	{[10] = 0xff, 0xff, 10, 1, 2, 2},
	{[10] = 0xff, 0xff, 10, 9, 9, 9},
	{[10] = 0xff, 0xff, 192, 168, 1, 1},
	{[10] = 0xff, 0xff, 8, 8, 8, 8},
	{0x20, 1, 0x0d, 0xb8, 0, 1, [15] = 5},
	{0x20, 1, 0x0d, 0xb8, [15] = 1},
	{0xfd, [15] = 1},
	{0x26, [15] = 1},
	{[15] = 1},
	{[10] = 0xff, 0xff, 127, 0, 0, 1},
	{[10] = 0xff, 0xff, 127, 9, 9, 9},
	{[10] = 0xff, 0xff, 0, 0, 0, 0},
};

static void add_name(struct sp_buf *text, unsigned int most)
{
	unsigned int n = 1 + below(most);

	for (unsigned int i = 0; i < n; i++)
		sp_buf_printf(text, "%s%s", i ? "." : "", PICK(labels));
}

static void add_target(struct sp_buf *text)
{
	unsigned int what = below(10);

	sp_buf_add(text, "\"");
	if (what == 0) {
		sp_buf_add(text, below(2) ? "*" : "**");
	} else if (what < 4) {
		sp_buf_add(text, PICK(networks));
	} else {
		sp_buf_add(text, PICK(prefixes));
		add_name(text, 4);
	}
	sp_buf_add(text, "\"");
}

static void random_policy(struct sp_buf *text)
{
	unsigned int rules = below(12);

	sp_buf_printf(text,
		      "{\"version\": 1, \"default\": \"%s\", \"precedence\": \"%s\", \"rules\": [",
		      below(2) ? "allow" : "deny", below(2) ? "first_match" : "deny_wins");
	for (unsigned int i = 0; i < rules; i++) {
		unsigned int targets = 1 + below(4);

		sp_buf_printf(text, "%s{\"%s\": [", i ? ", " : "", below(2) ? "allow" : "deny");
		for (unsigned int j = 0; j < targets; j++) {
			sp_buf_add(text, j ? ", " : "");
			add_target(text);
		}
		sp_buf_add(text, "]");
		if (below(2)) {
			unsigned int a = PICK(ports), b = PICK(ports);

			sp_buf_printf(text, ", \"ports\": [\"%u-%u\", %u]", a < b ? a : b,
				      a < b ? b : a, PICK(ports));
		}
		if (below(3) == 0)
			sp_buf_printf(text, ", \"protocol\": \"%s\"", below(2) ? "tcp" : "udp");
		sp_buf_add(text, "}");
	}
	sp_buf_add(text, "]}");
}

static void random_query(struct sp_query *query, struct sp_buf *name)
{
	unsigned int what = below(4);

	memset(query, 0, sizeof(*query));
	if (what != 0) {
		if (below(40) == 0)
			for (int i = 0; i < 39; i++)
				sp_buf_add(name, "x."); /* deeper than any target */
		add_name(name, below(40) == 0 ? 3 : 5);
		query->name = name->data;
	}
	if (what <= 1) {
		query->has_addr = true;
		memcpy(query->addr, PICK(addresses), 16);
	}
	query->port = PICK(ports) + below(2);
	query->protocol = below(2) ? SP_PROTOCOL_TCP : SP_PROTOCOL_UDP;
}

static bool ask_kernel(int program, const struct sp_query *query, const uint64_t seed[2])
{
	uint8_t packet[64] = {[12] = 0x08, [14] = 0x45};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	memset(work, 0xa5, sizeof(*work));
	work->policy = 0;
	work->has_name = query->name != NULL;
	work->has_addr = query->has_addr;
	work->port = query->port;
	work->protocol = query->protocol;
	memcpy(work->addr, query->addr, 16);
	work->name.seed[0] = seed[0];
	work->name.seed[1] = seed[1];
	if (query->name && !test_wire(query->name, work->name.wire, 256))
		return false;
	return bpf_prog_test_run_opts(program, &opts) == 0 && opts.retval == 1;
}

static void differ(const char *what, const char *policy, const struct sp_query *query,
		   const struct sp_decision *image, uint32_t action, uint32_t rule)
{
	printf("# %s: name %s address %s port %u protocol %u: image action %d rule %d, kernel "
	       "action %u rule %d, verdict %d\n# policy: %s\n",
	       what, query->name ? query->name : "-", query->has_addr ? "yes" : "no", query->port,
	       query->protocol, image->action, (int)image->rule, action, (int)rule, work->verdict,
	       policy);
}

/* One question: 0 if both say the same. */
static int compare(int program, const struct sp_image *image, const uint64_t seed[2],
		   const char *policy, unsigned long *matched)
{
	struct sp_decision walked;
	struct sp_buf name = {0};
	struct sp_query query;
	int wrong = 0;

	random_query(&query, &name);
	sp_image_decide(image, seed, &query, &walked);
	if (!ask_kernel(program, &query, seed)) {
		printf("# the program did not run\n");
		wrong = 1;
	} else if (work->verdict != SP_DONE) {
		/* too many labels: both must find so */
		wrong = walked.reason != (enum sp_reason)(-work->verdict);
		if (wrong)
			differ("name", policy, &query, &walked, 0, 0);
	} else {
		if (walked.action != work->action || walked.rule != work->rule) {
			differ("decide", policy, &query, &walked, work->action, work->rule);
			wrong = 1;
		}
		*matched += walked.reason == SP_REASON_RULE;
		if (query.name) {
			sp_image_decide_dns(image, seed, query.name, &walked);
			if (walked.action != work->dns_action || walked.rule != work->dns_rule) {
				differ("dns", policy, &query, &walked, work->dns_action,
				       work->dns_rule);
				wrong = 1;
			}
		}
	}
	sp_buf_free(&name);
	return wrong;
}

static bool one_policy(const struct test_maps *maps, int program, unsigned long *wrong,
		       unsigned long *matched)
{
	uint64_t seed[2] = {next_random(), next_random()};
	struct sp_policy *policy = NULL;
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;
	struct sp_buf text = {0};
	int r;

	random_policy(&text);
	r = sp_policy_parse(text.data, text.len, "random", &policy, &err);
	if (r == 0)
		r = sp_policy_compile(policy, seed, &image, &err);
	if (r < 0)
		printf("# %s: %s\n", sp_error_text(err), text.data);
	if (r == 0)
		r = test_install(maps, 0, image);
	for (int i = 0; r == 0 && i < PER_POLICY; i++)
		*wrong += compare(program, image, seed, text.data, matched);
	sp_image_free(image);
	sp_policy_free(policy);
	sp_buf_free(&text);
	return r == 0;
}

int main(void)
{
	const char *text_seed = getenv("SP_SEED"), *text_pairs = getenv("SP_PAIRS");
	unsigned long pairs = text_pairs ? strtoul(text_pairs, NULL, 0) : PAIRS;
	unsigned long done, wrong = 0, matched = 0;
	struct walk_bpf *skel;
	struct timespec now;
	bool ok = true;

	libbpf_set_print(tap_libbpf);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	if (geteuid() != 0) {
		tap_skip("policies in the kernel", "loading programs needs root");
		return tap_end();
	}
	clock_gettime(CLOCK_REALTIME, &now);
	state = text_seed ? strtoull(text_seed, NULL, 0)
			  : (uint64_t)now.tv_sec * 1000000007 + now.tv_nsec;
	printf("# SP_SEED=%" PRIu64 "\n", state);
	skel = walk_bpf__open_and_load();
	if (!tap_ok(skel != NULL, "the look-up loads"))
		return tap_end();
	work = mmap(NULL, sizeof(*work), PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(skel->maps.work), 0);
	if (work == MAP_FAILED)
		vector_die("cannot map the work map: %s", strerror(errno));
	{
		const struct test_maps maps = TEST_MAPS(skel);
		int program = bpf_program__fd(skel->progs.walk_name);

		for (done = 0; ok && done < pairs && wrong < 10; done += PER_POLICY)
			ok = one_policy(&maps, program, &wrong, &matched);
	}
	/* a test in which nothing matches would pass for the wrong reason */
	tap_ok(ok && !wrong && matched > done / 4,
	       "%lu questions, %lu answered by a rule: %lu answered otherwise by the kernel", done,
	       matched, wrong);
	walk_bpf__destroy(skel);
	return tap_end();
}
