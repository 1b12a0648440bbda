// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_vectors.c - every vector, and the fuzzers' corpus, through the parsers as BPF programs, by
 * BPF_PROG_RUN.
 *
 * Each runs twice: as the payload of a packet, where the kernel takes packets of that size
 * (before Linux 6.18 less than a page), and on a stream that lies in the map, which takes any. Both
 * must say what the .expect file says, and exactly what the native build says. An input of the
 * corpus has no .expect file: what must be said of it is what the native build says, which the
 * fuzzers hold against the second parsers (tests/fuzz/reference.h) on the same files.
 * SP_CORPUS=DIRECTORY is one more corpus, with a folder for each of dns, tls and http.
 */
#include <bpf/bpf.h>
#include <sys/mman.h>

#include "tap.h"
#include "unit/vectors.h"
#include "parse.skel.h"

#define ETH_LEN 14
#define UDP_HEADERS 28 /* IPv4 and UDP */
#define TCP_HEADERS 40 /* IPv4 and TCP */

static struct judge_work *work; /* the map's */
static struct judge_work native;
static int programs[VECTOR_KINDS];

static int run(enum vector_kind kind, const void *data, uint32_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = len);
	int r = bpf_prog_test_run_opts(programs[kind], &opts);

	return r < 0 ? r : (int)opts.retval;
}

static uint32_t packet_build(const struct vector *v, uint8_t *p)
{
	bool tcp = v->kind >= VECTOR_TLS;
	uint32_t headers = tcp ? TCP_HEADERS : UDP_HEADERS, len = headers + v->len;
	uint8_t *ip = p + ETH_LEN, *l4 = ip + 20;

	memset(p, 0, ETH_LEN + headers);
	p[12] = 0x08; /* IPv4 */
	ip[0] = 0x45;
	ip[2] = len >> 8;
	ip[3] = len;
	ip[8] = 64;
	ip[9] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	ip[12] = ip[16] = 192;
	ip[14] = ip[18] = 2;
	ip[15] = 1;
	ip[19] = 2;
	l4[0] = 0xc0;
	l4[3] = tcp ? 80 : 53;
	if (tcp)
		l4[12] = 5 << 4;
	if (v->len)
		memcpy(l4 + headers - 20, v->bytes, v->len);
	return ETH_LEN + len;
}

/* The longest packet that this kernel runs a program on, at most that of the longest vector. */
static uint32_t packet_max(void)
{
	static uint8_t packet[ETH_LEN + TCP_HEADERS + SP_STREAM_MAX];
	static uint8_t bytes[SP_STREAM_MAX];
	struct vector v = {.kind = VECTOR_HTTP, .bytes = bytes};
	uint32_t low = 0, high = SP_STREAM_MAX;

	while (low < high) {
		v.len = (low + high + 1) / 2;
		vector_prepare(work, NULL, 0, 0);
		work->in_place = 0;
		if (run(VECTOR_HTTP, packet, packet_build(&v, packet)) == 1 &&
		    work->stream.len == v.len)
			low = v.len;
		else
			high = v.len - 1;
	}
	return low + TCP_HEADERS + ETH_LEN;
}

static bool agrees(const struct vector *v, const char *how)
{
	char text[sizeof(v->expect)];

	vector_settle(&work->out);
	vector_say(v->kind, &work->out, v->bytes, text, sizeof(text));
	if (v->expect[0] && strcmp(text, v->expect) != 0) {
		printf("# %s, %s: expected\n%sgot\n%s\n", v->name, how, v->expect, text);
		return false;
	}
	if (memcmp(&work->out, &native.out, sizeof(native.out)) != 0) {
		printf("# %s, %s: native and BPF differ\n", v->name, how);
		return false;
	}
	return true;
}

static bool check_in_place(const struct vector *v)
{
	uint8_t packet[ETH_LEN + TCP_HEADERS];
	struct vector empty = {.kind = v->kind};
	int r;

	vector_prepare(work, v->bytes, v->len, 0xa5);
	r = run(v->kind, packet, packet_build(&empty, packet));
	if (r != 1) {
		printf("# %s, in place: run says %d\n", v->name, r);
		return false;
	}
	return agrees(v, "in place");
}

static bool check_packet(const struct vector *v)
{
	static uint8_t packet[ETH_LEN + TCP_HEADERS + SP_STREAM_MAX];
	uint32_t len = packet_build(v, packet);
	int r;

	vector_prepare(work, NULL, 0, 0xa5);
	work->in_place = 0;
	r = run(v->kind, packet, len);
	if (r != 1) {
		printf("# %s, in a packet of %u: run says %d\n", v->name, len, r);
		return false;
	}
	return agrees(v, "in a packet");
}

static void check_kind(const struct vectors *all, enum vector_kind kind, uint32_t max)
{
	unsigned int seen = 0, packets = 0, wrong = 0;

	for (size_t i = 0; i < all->len; i++) {
		const struct vector *v = &all->v[i];

		if (v->kind != kind)
			continue;
		seen++;
		vector_prepare(&native, v->bytes, v->len, 0xff);
		vector_judge(&native, v->kind);
		wrong += !check_in_place(v);
		if (ETH_LEN + TCP_HEADERS + v->len <= max) {
			packets++;
			wrong += !check_packet(v);
		}
	}
	tap_ok(!wrong && seen > 50 && packets > 50,
	       "%s: %u vectors, %u of them in packets too: %u runs wrong", vector_kinds[kind], seen,
	       packets, wrong);
}

static unsigned int corpus_runs, corpus_wrong;

static void check_input(struct vector *v, enum vector_kind kind, uint32_t max)
{
	v->kind = kind;
	vector_prepare(&native, v->bytes, v->len, 0xff);
	vector_judge(&native, v->kind);
	corpus_runs++;
	corpus_wrong += !check_in_place(v);
	if (v->len && ETH_LEN + TCP_HEADERS + v->len <= max)
		corpus_wrong += !check_packet(v);
}

/* Inputs of a folder; those of dns are read as both, as the fuzzer does. */
static void check_corpus(const char *dir, const char *name, uint32_t max)
{
	static uint8_t bytes[SP_STREAM_MAX + 1];
	struct vector v = {.bytes = bytes};
	char base[PATH_MAX - 300], path[PATH_MAX];
	struct dirent *e;
	FILE *f;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	vector_path(base, sizeof(base), path);
	d = opendir(base);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
		snprintf(v.name, sizeof(v.name), "%s/%.60s", name, e->d_name);
		f = fopen(path, "rb");
		if (!f)
			vector_die("cannot open %s: %s", path, strerror(errno));
		v.len = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
		if (v.len > SP_STREAM_MAX)
			continue;
		if (strcmp(name, "dns") == 0) {
			check_input(&v, VECTOR_QUERY, max);
			check_input(&v, VECTOR_ANSWER, max);
		} else {
			check_input(&v, strcmp(name, "tls") == 0 ? VECTOR_TLS : VECTOR_HTTP, max);
			check_input(&v, VECTOR_OTHER, max);
		}
	}
	if (d)
		closedir(d);
}

int main(void)
{
	static const char *const names[] = {"dns", "tls", "http"};
	const char *more = getenv("SP_CORPUS");
	struct parse_bpf *skel;
	struct vectors all;
	uint32_t max;

	libbpf_set_print(tap_libbpf);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	if (geteuid() != 0) {
		tap_skip("vectors", "loading programs needs root");
		return tap_end();
	}
	skel = parse_bpf__open_and_load();
	if (!tap_ok(skel != NULL, "the parsers load"))
		return tap_end();
	programs[VECTOR_QUERY] = bpf_program__fd(skel->progs.parse_query);
	programs[VECTOR_ANSWER] = bpf_program__fd(skel->progs.parse_answer);
	programs[VECTOR_TLS] = bpf_program__fd(skel->progs.parse_tls);
	programs[VECTOR_HTTP] = bpf_program__fd(skel->progs.parse_http);
	programs[VECTOR_OTHER] = bpf_program__fd(skel->progs.parse_other);
	work = mmap(NULL, sizeof(*work), PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(skel->maps.work), 0);
	if (work == MAP_FAILED) {
		tap_ok(false, "the map can be mapped: %s", strerror(errno));
		return tap_end();
	}
	vectors_read(&all);
	max = packet_max();
	printf("# packets of up to %u bytes\n", max);
	for (int kind = 0; kind < VECTOR_KINDS; kind++)
		check_kind(&all, kind, max);
	vectors_free(&all);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		check_corpus("tests/fuzz/corpus", names[i], max);
		if (more)
			check_corpus(more, names[i], max);
	}
	tap_ok(!corpus_wrong && corpus_runs > 30, "corpus: %u inputs: %u runs wrong", corpus_runs,
	       corpus_wrong);
	munmap(work, sizeof(*work));
	parse_bpf__destroy(skel);
	return tap_end();
}
