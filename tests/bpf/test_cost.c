// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_cost.c - how many instructions the programs execute for one packet, query, answer, hello or
 * call, and which helpers they call; and what the compiler of policies takes for one name.
 *
 * The programs are interpreted (interpret.h) through the life of some sockets, so the numbers are
 * exact and the same on every machine; they are held against tests/bench/gates.tsv. More than
 * TOLERANCE above its number fails (with other compilers than those that the table names: more than
 * TOLERANCE_OTHER), and so does one call more of a helper that writes, whose cost is not in the
 * instructions. Less is no failure: --update writes the table anew. The policy compiler is counted
 * by callgrind, where there is valgrind.
 *
 *     test_cost                compares
 *     test_cost --update       writes the table
 *     test_cost --profile ROW  instructions of that row, by function
 */
#include <bpf/btf.h>
#include <netinet/in.h>
#include <sys/wait.h>

#include "interpret.h"
#include "messages.h"
#include "tap.h"
#include "unit/vectors.h"
#include "buf.h"
#include "sallyport.skel.h"

#include <sallyport/policy.h>

#define TOLERANCE 10 /* per cent */
#define TOLERANCE_OTHER 50
#ifndef SP_CLANG
#define SP_CLANG 0
#endif
#define ROWS_MAX 96
#define TABLE "tests/bench/gates.tsv"
#define CLIENT 0x010012c6u   /* 198.18.0.1, as on the wire */
#define RESOLVER 0x090012c6u /* 198.18.0.9 */
#define SERVER 0x017100cbu   /* 203.0.113.1: what message_answer() says */
#define BY_RULE 0x030012c6u  /* 198.18.0.3, allowed by an address rule */
#define NOBODY 0x420012c6u   /* 198.18.0.66 */
#define NAME "api.github.com"
#define SYN 0x02
#define SERVER_ISN 90000
#define ACK 0x10

/* What is not free: it takes locks or memory, or wakes somebody. */
static const uint32_t writers[] = {BPF_FUNC_map_update_elem, BPF_FUNC_map_delete_elem,
				   BPF_FUNC_ringbuf_reserve, BPF_FUNC_ringbuf_output,
				   BPF_FUNC_sk_storage_delete};

struct row {
	char name[64];
	unsigned long instructions, helpers, writes;
};

static struct row measured[ROWS_MAX], table[ROWS_MAX];
static int measured_len, table_len;
static unsigned long tolerance = TOLERANCE_OTHER;
static const char *profile;
static struct sallyport_bpf *skel;
static struct interpreter *v;
static struct sp_attach attached = {.generation = 1, .cgroup = 1, .netns = 7};
static uint8_t packet[8192], payload[4096];

/* ---- the table ------------------------------------------------------------------------------ */

static struct row *row_find(struct row *rows, int len, const char *name)
{
	for (int i = 0; i < len; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static struct row *row_add(const char *name)
{
	struct row *row = &measured[measured_len];

	if (measured_len == ROWS_MAX || row_find(measured, measured_len, name))
		vector_die("too many rows, or two of \"%s\"", name);
	measured_len++;
	snprintf(row->name, sizeof(row->name), "%s", name);
	return row;
}

static void table_read(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");
	int clang, gcc;

	if (f && fscanf(f, "# clang %d, gcc %d ", &clang, &gcc) == 2 && clang == SP_CLANG &&
	    gcc == __GNUC__)
		tolerance = TOLERANCE;
	while (f && table_len < ROWS_MAX && fgets(line, sizeof(line), f)) {
		struct row *row = &table[table_len];

		if (sscanf(line, "%63[^\t]\t%lu\t%lu\t%lu", row->name, &row->instructions,
			   &row->helpers, &row->writes) == 4)
			table_len++;
	}
	if (f)
		fclose(f);
}

/* A row that was not measured now keeps its number. */
static void table_write(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		vector_die("cannot write %s: %s", path, strerror(errno));
	fprintf(f, "# clang %d, gcc %d\n", SP_CLANG, __GNUC__);
	fprintf(f, "what\tinstructions\thelpers\twrites\n");
	for (int i = 0; i < measured_len; i++)
		fprintf(f, "%s\t%lu\t%lu\t%lu\n", measured[i].name, measured[i].instructions,
			measured[i].helpers, measured[i].writes);
	for (int i = 0; i < table_len; i++)
		if (strncmp(table[i].name, "compile", 7) == 0 &&
		    !row_find(measured, measured_len, table[i].name))
			fprintf(f, "%s\t%lu\t%lu\t%lu\n", table[i].name, table[i].instructions,
				table[i].helpers, table[i].writes);
	if (fclose(f) != 0)
		vector_die("cannot write %s: %s", path, strerror(errno));
}

static void judge(const struct row *m)
{
	const struct row *t = row_find(table, table_len, m->name);
	unsigned long limit;

	if (!t) {
		tap_ok(false, "%s: %lu instructions, not in " TABLE ": run test_cost --update",
		       m->name, m->instructions);
		return;
	}
	limit = t->instructions + t->instructions * tolerance / 100;
	tap_ok(m->instructions <= limit && m->writes <= t->writes,
	       "%s: %lu instructions, at most %lu; %lu calls that write, at most %lu (%lu helpers "
	       "in all)",
	       m->name, m->instructions, limit, m->writes, t->writes, m->helpers);
}

/* ---- one run -------------------------------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
	uint64_t x = v->by_start[*(const uint32_t *)a], y = v->by_start[*(const uint32_t *)b];

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Names of the functions of a program: the kernel has them in the order of their instructions. */
static void profile_show(const struct row *row, const struct bpf_program *program)
{
	static struct bpf_func_info infos[INTERPRET_FUNCTIONS];
	struct bpf_prog_info info = {.nr_func_info = INTERPRET_FUNCTIONS,
				     .func_info_rec_size = sizeof(infos[0]),
				     .func_info = (uint64_t)infos};
	const struct bpf_insn *code = bpf_program__insns(program);
	uint32_t size = sizeof(info), starts[INTERPRET_FUNCTIONS], order[INTERPRET_FUNCTIONS];
	uint32_t starts_len = 1, n = bpf_program__insn_cnt(program);
	struct btf *btf = bpf_object__btf(skel->obj);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) < 0)
		vector_die("cannot ask the kernel: %s", strerror(errno));
	starts[0] = 0;
	for (uint32_t pc = 0; pc < n; pc++) {
		uint32_t target = pc + 1 + code[pc].imm, i;
		bool call = code[pc].code == (BPF_JMP | BPF_CALL) &&
			    code[pc].src_reg == BPF_PSEUDO_CALL;
		bool callback = code[pc].code == (BPF_LD | BPF_IMM | BPF_DW) &&
				code[pc].src_reg == BPF_PSEUDO_FUNC;

		if (!call && !callback)
			continue;
		for (i = starts_len; i > 0 && starts[i - 1] > target; i--)
			;
		if (i > 0 && starts[i - 1] == target)
			continue;
		if (starts_len == INTERPRET_FUNCTIONS)
			vector_die("too many functions");
		memmove(&starts[i + 1], &starts[i], (starts_len - i) * sizeof(starts[0]));
		starts[i] = target;
		starts_len++;
	}
	printf("# %s: %lu instructions in %s\n", row->name, row->instructions,
	       bpf_program__name(program));
	memcpy(order, starts, sizeof(order));
	qsort(order, starts_len, sizeof(order[0]), by_count);
	for (uint32_t i = 0; i < starts_len && v->by_start[order[i]]; i++) {
		const char *name = "?";

		for (uint32_t j = 0; j < starts_len && j < info.nr_func_info; j++)
			if (starts[j] == order[i])
				name = btf__name_by_offset(
					btf, btf__type_by_id(btf, infos[j].type_id)->name_off);
		printf("#   %8lu  %s\n", (unsigned long)v->by_start[order[i]], name);
	}
	for (uint32_t i = 0; i < INTERPRET_HELPERS; i++)
		if (v->calls[i])
			printf("#   %8u  bpf_%s()\n", v->calls[i], helper_name(i));
}

/* Runs a program; with a name, that is a row. */
static void step(const char *name, const struct bpf_program *program, void *ctx, bool is_skb,
		 uint64_t expect)
{
	struct row *row;
	uint64_t r;

	v->instructions = 0;
	memset(v->calls, 0, sizeof(v->calls));
	memset(v->by_start, 0, sizeof(v->by_start));
	r = interpret(v, program, ctx, is_skb);
	if (r != expect)
		vector_die("%s: %s returned %lu, not %lu", name ? name : "a step",
			   bpf_program__name(program), (unsigned long)r, (unsigned long)expect);
	if (!name)
		return;
	row = row_add(name);
	row->instructions = v->instructions;
	for (uint32_t i = 0; i < INTERPRET_HELPERS; i++)
		row->helpers += v->calls[i];
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
		row->writes += v->calls[writers[i]];
	if (profile && strcmp(profile, name) == 0)
		profile_show(row, program);
}

/* ---- sockets and packets -------------------------------------------------------------------- */

struct client {
	struct bpf_sock sk;
	uint32_t seq, base;
	uint16_t port;
};

/* A socket of the sandbox; what it is known by is its address here. */
static struct client *client_new(const char *name, int protocol)
{
	static struct client clients[64];
	static uint16_t port = 40000;
	struct client *c = &clients[port % 64];

	memset(c, 0, sizeof(*c));
	c->sk.family = AF_INET;
	c->sk.type = protocol == IPPROTO_TCP ? 1 : 2;
	c->sk.protocol = protocol;
	c->sk.state = BPF_TCP_ESTABLISHED;
	c->port = port++;
	c->base = c->seq = 1000;
	v->cookie = c->port;
	step(name, skel->progs.sp_sock_create, &c->sk, false, 1);
	return c;
}

static void client_address(const char *name, const struct bpf_program *program, struct client *c,
			   uint32_t to, uint16_t port, uint64_t expect)
{
	struct bpf_sock_addr ctx = {.user_family = AF_INET,
				    .user_ip4 = to,
				    .user_port = htons(port),
				    .family = AF_INET,
				    .type = c->sk.type,
				    .protocol = c->sk.protocol,
				    .sk = &c->sk};

	v->cookie = c->port;
	step(name, program, &ctx, false, expect);
}

/* A packet of a client's socket to `to`, or from there. */
static void client_packet(const char *name, struct client *c, bool out, uint32_t to, uint16_t port,
			  uint8_t flags, uint32_t len, uint64_t expect)
{
	uint32_t l4 = c->sk.family == AF_INET ? 20 : 40;
	uint32_t head = l4 + (c->sk.protocol == IPPROTO_TCP ? 20 : 8);
	struct __sk_buff skb = {.sk = &c->sk, .family = c->sk.family};
	uint32_t client = CLIENT, seq = htonl(c->seq), ack = seq;
	uint16_t near = htons(c->port), far = htons(port);

	if (head + len > sizeof(packet))
		vector_die("too long");
	memset(packet, 0, head);
	if (c->sk.family == AF_INET) {
		packet[0] = 0x45;
		message_put16(packet + 2, head + len);
		packet[8] = 64;
		packet[9] = c->sk.protocol;
		memcpy(packet + (out ? 12 : 16), &client, 4);
		memcpy(packet + (out ? 16 : 12), &to, 4);
	} else {
		packet[0] = 0x60;
		message_put16(packet + 4, head + len - 40);
		packet[6] = c->sk.protocol;
		packet[7] = 64;
		memcpy(packet + (out ? 24 : 8), "\x20\x01\x0d\xb8", 4);
		packet[(out ? 24 : 8) + 15] = 1;
		packet[(out ? 8 : 24) + 15] = 9;
	}
	memcpy(packet + l4 + (out ? 0 : 2), &near, 2);
	memcpy(packet + l4 + (out ? 2 : 0), &far, 2);
	if (c->sk.protocol == IPPROTO_TCP) {
		if (!out)
			seq = htonl(flags & SYN ? SERVER_ISN : SERVER_ISN + 1);
		memcpy(packet + l4 + 4, &seq, 4);
		if (!out)
			memcpy(packet + l4 + 8, &ack, 4);
		packet[l4 + 12] = 5 << 4;
		packet[l4 + 13] = flags;
		if (out)
			c->seq += len + !!(flags & SYN);
	} else {
		message_put16(packet + l4 + 4, 8 + len);
	}
	memcpy(packet + head, payload, len);
	skb.len = head + len;
	v->packet = packet;
	v->packet_len = head + len;
	v->cookie = c->port;
	step(name, out ? skel->progs.sp_egress : skel->progs.sp_ingress, &skb, true, expect);
}

static void client_sockops(const char *name, struct client *c, uint32_t op, uint32_t state,
			   uint16_t port)
{
	struct bpf_sock_ops ops = {.op = op,
				   .args = {0, state},
				   .sk = &c->sk,
				   .family = AF_INET,
				   .local_port = c->port,
				   .rcv_nxt = SERVER_ISN + 1,
				   .remote_port = htonl(port)};

	v->cookie = c->port;
	step(name, skel->progs.sp_sockops, &ops, false, 1);
}

/* How many queries, destinations and handshakes have been allowed so far. */
static uint64_t allowed(void)
{
	uint32_t zero = 0;
	struct sp_sandbox *b = imap_lookup(imap_find(v, bpf_map__fd(skel->maps.sandboxes)), &zero);

	return b->decisions[SP_VERDICT_ALLOWED];
}

/* So that no row is the cost of something else than its name says. */
static void allowed_more(uint64_t before, uint64_t more, const char *what)
{
	if (allowed() != before + more)
		vector_die("%s: %lu were allowed, not %lu", what,
			   (unsigned long)(allowed() - before), (unsigned long)more);
}

/* ---- the lives of sockets ------------------------------------------------------------------- */

static void live_dns(void)
{
	struct client *c = client_new("udp: socket", IPPROTO_UDP);
	uint64_t before = allowed();
	uint32_t len;

	client_address("udp: connect to the resolver", skel->progs.sp_connect4, c, RESOLVER, 53, 1);
	len = message_query(payload, NAME);
	client_packet("dns: query", c, true, RESOLVER, 53, 0, len, 1);
	len = message_answer(payload, NAME, 1);
	client_packet("dns: answer, new address", c, false, RESOLVER, 53, 0, len, 1);
	len = message_query(payload, NAME);
	client_packet("dns: query again, same socket", c, true, RESOLVER, 53, 0, len, 1);
	len = message_answer(payload, NAME, 1);
	client_packet("dns: answer, known address", c, false, RESOLVER, 53, 0, len, 1);
	len = message_query(payload, NAME);
	client_packet(NULL, c, true, RESOLVER, 53, 0, len, 1);
	len = message_answer(payload, NAME, 4);
	client_packet("dns: answer, one known and three new addresses", c, false, RESOLVER, 53, 0,
		      len, 1);
	allowed_more(before, 3, "queries");
	len = message_query(payload, "www.example.org");
	client_packet("dns: query, denied", c, true, RESOLVER, 53, 0, len, 0);
}

static struct client *live_connect(const char *kind, uint32_t to, uint16_t port)
{
	struct client *c = client_new(kind ? "tcp: socket" : NULL, IPPROTO_TCP);

	client_address(kind ? "tcp: connect" : NULL, skel->progs.sp_connect4, c, to, port, 1);
	client_sockops(kind ? "tcp: connect, sockops" : NULL, c, BPF_SOCK_OPS_TCP_CONNECT_CB, 0,
		       port);
	client_packet(kind ? "tcp: SYN" : NULL, c, true, to, port, SYN, 0, 1);
	client_packet(kind ? "tcp: SYN-ACK in" : NULL, c, false, to, port, SYN | ACK, 0, 1);
	v->tcp.snd_una = c->seq;
	client_sockops(kind ? "tcp: established, sockops" : NULL, c,
		       BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, 0, port);
	client_packet(kind ? "tcp: ACK" : NULL, c, true, to, port, ACK, 0, 1);
	return c;
}

static void live_tls(void)
{
	uint64_t before = allowed();
	struct client *c = live_connect("tls", SERVER, 443);
	uint32_t len = message_hello(payload, NAME, 517);

	client_packet("tls: ClientHello of 517 bytes", c, true, SERVER, 443, ACK, len, 1);
	memset(payload, 23, sizeof(payload));
	client_packet(NULL, c, false, SERVER, 443, ACK, 1400, 1);
	v->tcp.snd_una = c->seq;
	client_packet("tls: first data behind the hello", c, true, SERVER, 443, ACK, 80, 1);
	client_packet("tcp: data, established", c, true, SERVER, 443, ACK, 1400, 1);
	client_packet("tcp: ACK, established", c, true, SERVER, 443, ACK, 0, 1);
	client_packet("tcp: data in, established", c, false, SERVER, 443, ACK, 1400, 1);
	allowed_more(before, 1, "hellos");
	client_sockops("tcp: close, sockops", c, BPF_SOCK_OPS_STATE_CB, BPF_TCP_CLOSE, 443);
	c = live_connect(NULL, SERVER, 443);
	len = message_hello(payload, NAME, 1800);
	client_packet("tls: ClientHello of 1800 bytes", c, true, SERVER, 443, ACK, len, 1);
	c = live_connect(NULL, SERVER, 443);
	message_hello(payload, NAME, 1800);
	client_packet("tls: ClientHello of 1800 bytes, first 1400", c, true, SERVER, 443, ACK, 1400,
		      1);
	message_hello(payload, NAME, 1800);
	memmove(payload, payload + 1400, 400);
	client_packet("tls: ClientHello of 1800 bytes, last 400", c, true, SERVER, 443, ACK, 400,
		      1);
	allowed_more(before, 3, "hellos");
	c = live_connect(NULL, SERVER, 443);
	len = message_hello(payload, "www.example.org", 517);
	client_packet("tls: ClientHello, denied", c, true, SERVER, 443, ACK, len, 0);
}

static void live_http(void)
{
	uint64_t before = allowed();
	struct client *c = live_connect(NULL, SERVER, 80);
	uint32_t len = sizeof(message_head) - 1;

	for (int i = 0; i < 2; i++) {
		memcpy(payload, message_head, len);
		client_packet(i ? NULL : "http: request of 270 bytes", c, true, SERVER, 80, ACK,
			      len, 1);
	}
	allowed_more(before, 2, "heads");
	client_packet("http: data in", c, false, SERVER, 80, ACK, 1400, 1);
}

static void live_udp(void)
{
	struct client *c = client_new(NULL, IPPROTO_UDP);

	client_address("udp: connect", skel->progs.sp_connect4, c, SERVER, 7001, 1);
	client_packet("udp: first datagram, connected", c, true, SERVER, 7001, 0, 64, 1);
	client_packet("udp: datagram, connected", c, true, SERVER, 7001, 0, 64, 1);
	client_packet("udp: datagram in", c, false, SERVER, 7001, 0, 64, 1);
	c = client_new(NULL, IPPROTO_UDP);
	client_address("udp: sendto, first", skel->progs.sp_sendmsg4, c, SERVER, 7001, 1);
	client_packet(NULL, c, true, SERVER, 7001, 0, 64, 1);
	client_address("udp: sendto, again", skel->progs.sp_sendmsg4, c, SERVER, 7001, 1);
	client_packet("udp: datagram, not connected", c, true, SERVER, 7001, 0, 64, 1);
}

static void live_by_rule(void)
{
	struct client *c = client_new(NULL, IPPROTO_TCP);

	client_address("tcp: connect, address rule", skel->progs.sp_connect4, c, BY_RULE, 443, 1);
	client_packet("tcp: SYN, address rule", c, true, BY_RULE, 443, SYN, 0, 1);
	client_packet("tcp: data, address rule", c, true, BY_RULE, 443, ACK, 1400, 1);
	c = client_new(NULL, IPPROTO_TCP);
	c->sk.family = AF_INET6;
	client_packet("tcp: SYN, IPv6 address rule", c, true, 0, 443, SYN, 0, 1);
	client_packet("tcp: data, IPv6", c, true, 0, 443, ACK, 1400, 1);
}

static void live_denied(void)
{
	struct client *c = client_new(NULL, IPPROTO_TCP);

	client_address("denied: connect", skel->progs.sp_connect4, c, NOBODY, 443, 0);
	c = client_new(NULL, IPPROTO_UDP);
	client_address("denied: sendto", skel->progs.sp_sendmsg4, c, NOBODY, 7001, 0);
}

/* ---- a policy in the interpreter's maps ----------------------------------------------------- */

static struct sp_policy *policy_of(uint32_t names)
{
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	struct sp_buf text = {0};

	sp_buf_add(&text,
		   "{\"version\": 1, \"rules\": [{\"allow\": [\"" NAME "\"], \"ports\": [80, 443, "
		   "7001]}, {\"allow\": [\"198.18.0.3\", \"2001:db8::/64\"]}");
	if (names)
		sp_buf_add(&text, ", {\"allow\": [");
	for (uint32_t i = 0; i < names; i++)
		sp_buf_printf(&text, "%s\"%shost%u.region%u.example.net\"", i ? "," : "",
			      i % 8 == 1 ? "*." : "", i, i % 97);
	if (names)
		sp_buf_add(&text, "]}");
	sp_buf_add(&text, "], \"dns\": {\"resolvers\": [\"198.18.0.9\"]}}");
	if (sp_policy_parse(text.data, text.len, "test", &policy, &err) < 0)
		vector_die("%s", sp_error_text(err));
	sp_buf_free(&text);
	return policy;
}

static void put_array(int outer, const void *data, uint32_t entries, uint32_t size)
{
	struct imap *m = imap_new(BPF_MAP_TYPE_ARRAY, 4, size, entries);

	memcpy(m->flat, data, (size_t)entries * size);
	imap_find(v, outer)->inner[0] = m;
}

static void put_trie(int outer, const void *data, uint32_t entries, uint32_t key_size,
		     uint32_t entry_size)
{
	struct imap *m = imap_new(BPF_MAP_TYPE_LPM_TRIE, key_size, sizeof(uint32_t), entries);

	for (uint32_t i = 0; i < entries; i++) {
		const uint8_t *p = (const uint8_t *)data + (size_t)i * entry_size;

		imap_update(m, p, p + key_size);
	}
	imap_find(v, outer)->inner[0] = m;
}

static void put_hash(int outer, uint32_t key_size, uint32_t value_size)
{
	imap_find(v, outer)->inner[0] = imap_new(BPF_MAP_TYPE_HASH, key_size, value_size, 0);
}

/* A sandbox with that many names in its policy, that has learned nothing. */
static void sandbox_make(uint32_t names)
{
	const uint64_t seed[2] = {VECTOR_SEED0, VECTOR_SEED1};
	struct sp_policy *policy = policy_of(names);
	struct sp_error *err = NULL;
	struct sp_image *image = NULL;
	struct sp_host h = {.abi = SP_ABI_VERSION, .cpus = 1, .seed = {seed[0], seed[1]}};
	uint32_t zero = 0;

	if (sp_policy_compile(policy, seed, &image, &err) < 0)
		vector_die("%s", sp_error_text(err));
	interpreter_free(v);
	v = interpreter_new(skel->obj);
	v->attached = &attached;
	v->netns = attached.netns;
	image->conf.generation = attached.generation;
	imap_update(imap_find(v, bpf_map__fd(skel->maps.host)), &zero, &h);
	imap_update(imap_find(v, bpf_map__fd(skel->maps.policies)), &zero, &image->conf);
	put_array(bpf_map__fd(skel->maps.policy_buckets), image->buckets, image->buckets_len,
		  sizeof(*image->buckets));
	put_array(bpf_map__fd(skel->maps.policy_nodes), image->nodes, image->nodes_len,
		  sizeof(*image->nodes));
	put_array(bpf_map__fd(skel->maps.policy_acls), image->acls, image->acls_len,
		  sizeof(*image->acls));
	put_array(bpf_map__fd(skel->maps.policy_entries), image->entries, image->entries_len,
		  sizeof(*image->entries));
	put_trie(bpf_map__fd(skel->maps.policy_cidr4), image->cidr4, image->cidr4_len,
		 sizeof(struct sp_cidr4), sizeof(*image->cidr4));
	put_trie(bpf_map__fd(skel->maps.policy_cidr6), image->cidr6, image->cidr6_len,
		 sizeof(struct sp_cidr6), sizeof(*image->cidr6));
	put_hash(bpf_map__fd(skel->maps.learned_addrs), sizeof(struct sp_addr),
		 sizeof(struct sp_learned));
	put_hash(bpf_map__fd(skel->maps.learned_pairs), sizeof(struct sp_pair),
		 sizeof(struct sp_pair_value));
	put_hash(bpf_map__fd(skel->maps.learned_names), sizeof(uint64_t),
		 sizeof(struct sp_name_text));
	put_hash(bpf_map__fd(skel->maps.pending), sizeof(struct sp_pending_key),
		 sizeof(struct sp_pending));
	imap_find(v, bpf_map__fd(skel->maps.events))->inner[0] =
		imap_new(BPF_MAP_TYPE_RINGBUF, 0, 0, 0);
	imap_find(v, bpf_map__fd(skel->maps.requests))->inner[0] =
		imap_new(BPF_MAP_TYPE_RINGBUF, 0, 0, 0);
	sp_image_free(image);
	sp_policy_free(policy);
}

static unsigned long row_of(const char *name)
{
	const struct row *row = row_find(measured, measured_len, name);

	if (!row)
		vector_die("no row \"%s\"", name);
	return row->instructions;
}

/* A packet must cost the same, and a query nearly, however long the policy is. */
static void judge_length(void)
{
	static const char *const same[] = {"tcp: data, established", "udp: datagram, connected",
					   "udp: datagram, not connected"};
	unsigned long before[3], query = row_of("dns: query"), now;

	for (int i = 0; i < 3; i++)
		before[i] = row_of(same[i]);
	measured_len = 0;
	sandbox_make(100000);
	live_dns();
	live_tls();
	live_udp();
	for (int i = 0; i < 3; i++)
		tap_ok(row_of(same[i]) == before[i], "%s: the same under 100,000 names", same[i]);
	now = row_of("dns: query");
	tap_ok(now < query + 300, "dns: query: %lu instructions under 100,000 names, %lu under few",
	       now, query);
}

/* ---- the compiler, by callgrind ------------------------------------------------------------- */

/* What callgrind runs. */
static int compile_names(uint32_t names)
{
	const uint64_t seed[2] = {VECTOR_SEED0, VECTOR_SEED1};
	struct sp_policy *policy = policy_of(names);
	struct sp_error *err = NULL;
	struct sp_image *image = NULL;
	int r = sp_policy_compile(policy, seed, &image, &err);

	sp_image_free(image);
	sp_policy_free(policy);
	return r < 0;
}

#ifdef __SANITIZE_ADDRESS__
#define COUNTABLE false /* valgrind and ASan do not go together */
#else
#define COUNTABLE true
#endif

/* Instructions of `test_cost --compile NAMES`, 0 if they cannot be had. */
static unsigned long callgrind(const char *self, const char *names)
{
	char file[] = "/tmp/test_cost.XXXXXX", option[64], line[256];
	unsigned long total = 0;
	int status, fd = mkstemp(file);
	pid_t child;
	FILE *f;

	if (fd < 0)
		return 0;
	close(fd);
	snprintf(option, sizeof(option), "--callgrind-out-file=%s", file);
	child = fork();
	if (child == 0) {
		if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(1);
		execlp("valgrind", "valgrind", "--tool=callgrind", option, self, "--compile", names,
		       (char *)NULL);
		_exit(127);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0) {
		f = fopen(file, "r");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "summary: %lu", &total) == 1 ||
			    sscanf(line, "totals: %lu", &total) == 1)
				break;
		if (f)
			fclose(f);
	}
	unlink(file);
	return total;
}

static bool measure_compiler(const char *self)
{
	unsigned long few, many;
	struct row *row;

	few = callgrind(self, "1000");
	many = few ? callgrind(self, "6000") : 0;
	if (many <= few)
		return false;
	row = row_add("compile: a name, parsed and compiled (callgrind)");
	row->instructions = (many - few) / 5000;
	return true;
}

/* ---- all ------------------------------------------------------------------------------------ */

static bool slow_machine(void)
{
	const char *slow = getenv("SP_SLOW");

	return slow && atoi(slow) > 1;
}

int main(int argc, char **argv)
{
	bool update = argc > 1 && strcmp(argv[1], "--update") == 0;
	char path[PATH_MAX];

	if (argc == 3 && strcmp(argv[1], "--compile") == 0)
		return compile_names(strtoul(argv[2], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "--profile") == 0)
		profile = argv[2];
	libbpf_set_print(tap_libbpf);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	if (geteuid() != 0) {
		tap_skip("executed instructions", "loading programs needs root");
		return tap_end();
	}
	vector_path(path, sizeof(path), TABLE);
	table_read(path);
	skel = sallyport_bpf__open();
	if (!skel || bpf_map__set_max_entries(skel->maps.scratch, SP_SCRATCH_PER_CPU) < 0 ||
	    sallyport_bpf__load(skel) < 0)
		vector_die("cannot load the programs");
	sandbox_make(0);
	live_dns();
	live_tls();
	live_http();
	live_udp();
	live_by_rule();
	live_denied();
	if (profile) {
		if (!row_find(measured, measured_len, profile))
			vector_die("no row \"%s\"", profile);
		return 0;
	}
	if (slow_machine())
		tap_skip("the compiler", "counted where SP_SLOW is not set");
	else if (!COUNTABLE || !measure_compiler(argv[0]))
		tap_skip("the compiler", "no valgrind, or built with sanitizers");
	for (int i = 0; i < measured_len && !update; i++)
		judge(&measured[i]);
	for (int i = 0; i < table_len && !update; i++)
		if (!row_find(measured, measured_len, table[i].name) &&
		    strncmp(table[i].name, "compile", 7) != 0 && strcmp(table[i].name, "what") != 0)
			tap_ok(false, "%s is in the table, and was not measured", table[i].name);
	if (update)
		table_write(path);
	else
		judge_length();
	interpreter_free(v);
	sallyport_bpf__destroy(skel);
	return tap_end();
}
