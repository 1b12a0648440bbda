// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * prog_run.c - ns per packet of parsers and look-up, by BPF_PROG_RUN; and what a policy of a
 * million names costs to compile, to load, and to keep.
 *
 * The programs are those of tests/bpf: the product's headers without its sockets. A number is the
 * median of RUNS runs of `repeat` packets each; `empty` is what the loop around a program that only
 * loads the packet costs, and is contained in all others. The packet is the same every time, so the
 * caches are warm but for the look-up `spread`, which asks for another name each time.
 *
 *     prog_run [--json FILE] [--names N]...
 */
#include <time.h>

#include "bpf/install.h"
#include "bpf/walk.h"
#include "bpf/messages.h"
#include "unit/vectors.h"
#include "buf.h"
#include "parse.skel.h"
#include "walk.skel.h"

#define RUNS 5
#define SPREAD 20000
#define PACKET_MAX 3700

static struct sp_buf json;
static struct judge_work *parse_work;
static struct walk_work *walk_work;

/* Seconds of the clock on the wall, and of processor time, which other work on the host spares. */
struct clocks {
	double wall, cpu;
};

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct clocks now(void)
{
	return (struct clocks){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static void say(const char *what, double value, const char *unit)
{
	printf("%-56s %10.1f %s\n", what, value, unit);
	fflush(stdout);
	sp_buf_printf(&json, "%s\n\t\"%s\": {\"value\": %.1f, \"unit\": \"%s\"}",
		      json.len > 1 ? "," : "", what, value, unit);
}

static void say_time(const char *what, struct clocks since)
{
	struct clocks t = now();
	char text[96];

	snprintf(text, sizeof(text), "%s, wall", what);
	say(text, (t.wall - since.wall) * 1000, "ms");
	snprintf(text, sizeof(text), "%s, processor", what);
	say(text, (t.cpu - since.cpu) * 1000, "ms");
}

/* Ethernet, IPv4, UDP or TCP, and the payload. */
static uint32_t packet_build(uint8_t *p, bool tcp, const void *payload, uint32_t len)
{
	uint32_t headers = tcp ? 40 : 28;

	memset(p, 0, 14 + headers);
	p[12] = 0x08;
	p[14] = 0x45;
	p[16] = (headers + len) >> 8;
	p[17] = headers + len;
	p[22] = 64;
	p[23] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	p[37] = tcp ? 80 : 53;
	if (tcp)
		p[46] = 5 << 4;
	memcpy(p + 14 + headers, payload, len);
	return 14 + headers + len;
}

static double run_once(int program, const uint8_t *packet, uint32_t len, uint32_t repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = len,
		    .repeat = repeat);

	if (bpf_prog_test_run_opts(program, &opts) < 0 || opts.retval != 1)
		vector_die("a run failed: %s, the program returned %u", strerror(errno),
			   opts.retval);
	return opts.duration;
}

static double run_median(int program, const uint8_t *packet, uint32_t len, uint32_t repeat)
{
	double ns[RUNS];

	run_once(program, packet, len, repeat / 10 + 1);
	for (int i = 0; i < RUNS; i++)
		ns[i] = run_once(program, packet, len, repeat);
	return median(ns, RUNS);
}

static void bench_parsers(struct parse_bpf *skel)
{
	static uint8_t payload[4096], packet[8192];
	char text[64];
	uint32_t len;

	len = message_answer(payload, "api.github.com", 4);
	len = packet_build(packet, false, payload, len);
	say("DNS answer, 4 A records, parse",
	    run_median(bpf_program__fd(skel->progs.parse_answer), packet, len, 200000), "ns");
	for (int i = 0; i < 2; i++) {
		len = message_hello(payload, "api.github.com", i ? 1800 : 517);
		snprintf(text, sizeof(text), "ClientHello of %u bytes, parse", len);
		len = packet_build(packet, true, payload, len);
		say(text, run_median(bpf_program__fd(skel->progs.parse_tls), packet, len, 200000),
		    "ns");
		if (parse_work->out.verdict != SP_DONE)
			vector_die("the hello is not right: %d", parse_work->out.verdict);
	}
	len = packet_build(packet, true, message_head, sizeof(message_head) - 1);
	snprintf(text, sizeof(text), "HTTP head of %zu bytes, parse", sizeof(message_head) - 1);
	say(text, run_median(bpf_program__fd(skel->progs.parse_http), packet, len, 50000), "ns");
	if (parse_work->out.verdict != SP_DONE)
		vector_die("the head is not right: %d", parse_work->out.verdict);
}

/* ---- policies ------------------------------------------------------------------------------- */

static double meminfo_kb(const char *key)
{
	char line[128];
	double kb = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			kb = strtod(line + strlen(key) + 1, NULL);
	if (f)
		fclose(f);
	return kb;
}

/* memlock of the inner map in a slot, in bytes, from fdinfo. */
static double inner_memlock(int outer)
{
	char path[64], line[128];
	uint32_t slot = 0, id = 0;
	double bytes = 0;
	FILE *f;
	int fd;

	if (bpf_map_lookup_elem(outer, &slot, &id) < 0)
		return 0;
	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "memlock:", 8) == 0)
			bytes = strtod(line + 8, NULL);
	if (f)
		fclose(f);
	close(fd);
	return bytes;
}

/* Name i: most of them below a few domains, as lists of hosts are, some with a label more. */
static void name_of(uint32_t i, char *name, size_t size)
{
	if (i % 4 == 3)
		snprintf(name, size, "cdn-%u.assets.host%u.example.com", i % 7, i);
	else
		snprintf(name, size, "host%u.region%u.example.net", i, i % 97);
}

static struct sp_image *policy_image(uint32_t names, const uint64_t seed[2])
{
	struct sp_policy *policy = NULL;
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;
	struct sp_buf text = {0};
	struct clocks t;
	char name[128];
	int r;

	sp_buf_add(&text, "{\"version\": 1, \"rules\": [{\"allow\": [");
	for (uint32_t i = 0; i < names; i++) {
		name_of(i, name, sizeof(name));
		sp_buf_printf(&text, "%s\"%s%s\"", i ? "," : "", i % 8 == 1 ? "*." : "", name);
	}
	sp_buf_add(&text, "]}]}");
	t = now();
	r = sp_policy_parse(text.data, text.len, "bench", &policy, &err);
	if (r < 0)
		vector_die("%s", sp_error_text(err));
	if (names >= 1000000)
		say_time("policy of 1,000,000 names, parse", t);
	sp_buf_free(&text);
	t = now();
	r = sp_policy_compile(policy, seed, &image, &err);
	if (r < 0)
		vector_die("%s", sp_error_text(err));
	if (names >= 1000000)
		say_time("policy of 1,000,000 names, compile", t);
	sp_policy_free(policy);
	return image;
}

/* Names one after the other, so that each look-up finds cold lines: ns of the program alone. */
static double run_spread(int query, uint32_t names)
{
	uint8_t packet[512], payload[300];
	double total = 0;
	char text[128];
	uint32_t len;

	for (uint32_t i = 0; i < SPREAD; i++) {
		name_of((uint64_t)i * 2654435761u % names, text, sizeof(text));
		len = message_query(payload, text);
		len = packet_build(packet, false, payload, len);
		total += run_once(query, packet, len, 1);
	}
	return total / SPREAD;
}

static void bench_policy(struct walk_bpf *skel, uint32_t names)
{
	const struct test_maps maps = TEST_MAPS(skel);
	const uint64_t seed[2] = {VECTOR_SEED0, VECTOR_SEED1};
	int query = bpf_program__fd(skel->progs.walk_query);
	uint8_t packet[512], payload[300];
	struct sp_image *image;
	char text[128], hit[128];
	struct clocks t;
	double before;
	uint32_t len;

	image = policy_image(names, seed);
	/* a policy that is there already is given back first */
	sleep(1);
	before = meminfo_kb("MemAvailable");
	t = now();
	if (test_install(&maps, 0, image) < 0)
		vector_die("cannot install the policy: %s", strerror(errno));
	if (names >= 1000000) {
		say_time("policy of 1,000,000 names, into maps", t);
		say("policy of 1,000,000 names, MemAvailable less",
		    (before - meminfo_kb("MemAvailable")) / 1024, "MiB");
		say("policy of 1,000,000 names, memlock of its maps",
		    (inner_memlock(maps.buckets) + inner_memlock(maps.nodes) +
		     inner_memlock(maps.acls) + inner_memlock(maps.entries)) /
			    1048576,
		    "MiB");
	}
	walk_work->name.seed[0] = seed[0];
	walk_work->name.seed[1] = seed[1];
	walk_work->policy = 0;
	name_of(names / 2, hit, sizeof(hit));
	for (int i = 0; i < 2; i++) {
		len = message_query(payload, i ? "www.somewhere.else.org" : hit);
		len = packet_build(packet, false, payload, len);
		snprintf(text, sizeof(text), "DNS query, parse and look-up, %u names, %s", names,
			 i ? "miss" : "hit");
		say(text, run_median(query, packet, len, 200000), "ns");
		if (walk_work->dns_action != (i ? SP_ACTION_DENY : SP_ACTION_ALLOW))
			vector_die("%s: action %u", hit, walk_work->dns_action);
	}
	snprintf(text, sizeof(text), "DNS query, parse and look-up, %u names, spread", names);
	say(text, run_spread(query, names), "ns");
	sp_image_free(image);
}

int main(int argc, char **argv)
{
	uint32_t sizes[16] = {10, 1000, 140000, 1000000}, sizes_len = 4, given = 0;
	const char *file = NULL;
	struct parse_bpf *parse;
	struct walk_bpf *walk;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--json") == 0)
			file = argv[i + 1];
		else if (strcmp(argv[i], "--names") == 0 && given < 16)
			sizes[given++] = strtoul(argv[i + 1], NULL, 10);
	}
	if (given)
		sizes_len = given;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	parse = parse_bpf__open_and_load();
	walk = parse ? walk_bpf__open_and_load() : NULL;
	if (!walk)
		vector_die("cannot load the test programs (root?)");
	parse_work = mmap(NULL, sizeof(*parse_work), PROT_READ | PROT_WRITE, MAP_SHARED,
			  bpf_map__fd(parse->maps.work), 0);
	walk_work = mmap(NULL, sizeof(*walk_work), PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(walk->maps.work), 0);
	if (parse_work == MAP_FAILED || walk_work == MAP_FAILED)
		vector_die("cannot map the work maps");
	sp_buf_add(&json, "{");
	{
		static uint8_t packet[128];
		uint32_t len = packet_build(packet, false, "", 0);

		say("empty: a packet without payload, refused by the parser",
		    run_median(bpf_program__fd(parse->progs.parse_query), packet, len, 200000),
		    "ns");
	}
	bench_parsers(parse);
	for (uint32_t i = 0; i < sizes_len; i++)
		bench_policy(walk, sizes[i]);
	sp_buf_add(&json, "\n}\n");
	if (file) {
		FILE *f = fopen(file, "w");

		if (!f || fwrite(json.data, 1, json.len, f) != json.len || fclose(f) != 0)
			vector_die("cannot write %s", file);
	} else {
		fputs(json.data, stdout);
	}
	sp_buf_free(&json);
	walk_bpf__destroy(walk);
	parse_bpf__destroy(parse);
	return 0;
}
