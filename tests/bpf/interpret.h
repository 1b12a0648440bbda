/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interpret.h - runs the instructions of a loaded BPF object in user space and counts them.
 *
 * What is run is what libbpf gives to the kernel, in memory of this process: maps are arrays, lists
 * and pointers here, and helpers do as much as the programs of this project notice. Nothing is
 * checked, since the verifier has done that. The counts say nothing of what a helper costs, so
 * calls are counted by helper as well. They are the same on every machine and under any load.
 */
#ifndef SP_TESTS_INTERPRET_H
#define SP_TESTS_INTERPRET_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/vectors.h"

#define INTERPRET_MAPS 64
#define INTERPRET_SLOTS 4096 /* entries of one map that can be in use */
#define INTERPRET_HELPERS 256
#define INTERPRET_FRAMES 8
#define INTERPRET_FUNCTIONS 256
#define INTERPRET_NOW 1000000000000ull /* ns: what the clock says, until it is moved */

struct imap {
	uint32_t type, key_size, value_size, entries;
	uint8_t *flat;		/* arrays: all values one after the other */
	struct imap *inner[16]; /* arrays of maps: what is in a slot */
	/* others: keys (a socket is its pointer) and values */
	uint8_t *keys[INTERPRET_SLOTS], *values[INTERPRET_SLOTS];
	uint32_t used;
};

struct interpreter {
	struct imap *maps[INTERPRET_MAPS];
	int fds[INTERPRET_MAPS];
	int maps_len;
	uint64_t now;
	/* what a program is run with */
	const uint8_t *packet;
	uint32_t packet_len;
	void *attached; /* struct sp_attach */
	struct bpf_tcp_sock tcp;
	uint64_t cookie, netns;
	/* said */
	uint64_t instructions;
	uint32_t calls[INTERPRET_HELPERS];
	uint64_t by_start[65536]; /* instructions of the function that starts there */
};

static struct imap *imap_new(uint32_t type, uint32_t key_size, uint32_t value_size,
			     uint32_t entries)
{
	struct imap *m = calloc(1, sizeof(*m));

	if (!m)
		vector_die("no memory");
	m->type = type;
	m->key_size = key_size;
	m->value_size = value_size;
	m->entries = entries;
	if (type == BPF_MAP_TYPE_ARRAY) {
		m->flat = calloc(entries ? entries : 1, value_size);
		if (!m->flat)
			vector_die("no memory");
	}
	return m;
}

/* A map of maps has maps as inner ones that have none. */
static void imap_free(struct imap *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < sizeof(m->inner) / sizeof(m->inner[0]); i++)
		imap_free(m->inner[i]);
	for (uint32_t i = 0; i < m->used; i++) {
		free(m->keys[i]);
		free(m->values[i]);
	}
	free(m->flat);
	free(m);
}

static inline struct imap *imap_find(struct interpreter *v, int fd)
{
	for (int i = 0; i < v->maps_len; i++)
		if (v->fds[i] == fd)
			return v->maps[i];
	vector_die("a program uses a map that is not known");
}

static int imap_slot(const struct imap *m, const void *key)
{
	for (uint32_t i = 0; i < m->used; i++)
		if (m->keys[i] && memcmp(m->keys[i], key, m->key_size) == 0)
			return i;
	return -1;
}

/* Of the longest prefix; entries of a trie are few. */
static int imap_prefix(const struct imap *m, const uint8_t *key)
{
	uint32_t best_bits = 0;
	int best = -1;

	for (uint32_t i = 0; i < m->used; i++) {
		uint32_t bits, n = 0;

		if (!m->keys[i])
			continue;
		memcpy(&bits, m->keys[i], 4);
		while (n < bits && !(((m->keys[i][4 + n / 8] ^ key[4 + n / 8]) >> (7 - n % 8)) & 1))
			n++;
		if (n == bits && (best < 0 || bits >= best_bits)) {
			best = i;
			best_bits = bits;
		}
	}
	return best;
}

static void *imap_lookup(struct imap *m, const void *key)
{
	uint32_t index;
	int slot;

	if (m->type == BPF_MAP_TYPE_ARRAY || m->type == BPF_MAP_TYPE_ARRAY_OF_MAPS) {
		memcpy(&index, key, 4);
		if (index >= m->entries)
			return NULL;
		if (m->type == BPF_MAP_TYPE_ARRAY)
			return m->flat + (size_t)index * m->value_size;
		return index < 16 ? m->inner[index] : NULL;
	}
	slot = m->type == BPF_MAP_TYPE_LPM_TRIE ? imap_prefix(m, key) : imap_slot(m, key);
	return slot < 0 ? NULL : m->values[slot];
}

static void *imap_update(struct imap *m, const void *key, const void *value)
{
	int slot;

	if (m->type == BPF_MAP_TYPE_ARRAY)
		return memcpy(imap_lookup(m, key), value, m->value_size);
	slot = imap_slot(m, key);
	for (uint32_t i = 0; slot < 0 && i < m->used; i++)
		if (!m->keys[i])
			slot = i;
	if (slot < 0) {
		if (m->used == INTERPRET_SLOTS)
			vector_die("a map is full");
		slot = m->used++;
	}
	if (!m->keys[slot]) {
		m->keys[slot] = malloc(m->key_size);
		m->values[slot] = calloc(1, m->value_size);
		if (!m->keys[slot] || !m->values[slot])
			vector_die("no memory");
		memcpy(m->keys[slot], key, m->key_size);
	}
	if (value)
		memcpy(m->values[slot], value, m->value_size);
	return m->values[slot];
}

static int imap_delete(struct imap *m, const void *key)
{
	int slot = imap_slot(m, key);

	if (slot < 0)
		return -ENOENT;
	free(m->keys[slot]);
	free(m->values[slot]);
	m->keys[slot] = m->values[slot] = NULL;
	return 0;
}

/* The maps of a loaded object. Inner maps are put in by whoever runs the programs. */
static struct interpreter *interpreter_new(struct bpf_object *obj)
{
	struct interpreter *v = calloc(1, sizeof(*v));
	struct bpf_map *map = NULL;

	if (!v)
		vector_die("no memory");
	v->now = INTERPRET_NOW;
	while ((map = bpf_object__next_map(obj, map))) {
		struct imap *m;
		size_t size;
		const void *data;

		if (v->maps_len == INTERPRET_MAPS)
			vector_die("too many maps");
		m = imap_new(bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
			     bpf_map__max_entries(map));
		if (m->type == BPF_MAP_TYPE_SK_STORAGE)
			m->key_size = sizeof(void *);
		data = bpf_map__initial_value(map, &size);
		if (data && m->flat)
			memcpy(m->flat, data, size);
		v->fds[v->maps_len] = bpf_map__fd(map);
		v->maps[v->maps_len++] = m;
	}
	return v;
}

static void interpreter_free(struct interpreter *v)
{
	if (!v)
		return;
	for (int i = 0; i < v->maps_len; i++)
		imap_free(v->maps[i]);
	free(v);
}

static const char *helper_name(uint32_t id)
{
	switch (id) {
#define NAME(x)                                                                                    \
	case BPF_FUNC_##x:                                                                         \
		return #x
		NAME(map_lookup_elem);
		NAME(map_update_elem);
		NAME(sk_lookup_tcp);
		NAME(sk_lookup_udp);
		NAME(map_delete_elem);
		NAME(get_local_storage);
		NAME(sk_storage_get);
		NAME(sk_storage_delete);
		NAME(skb_load_bytes);
		NAME(get_socket_cookie);
		NAME(get_netns_cookie);
		NAME(ringbuf_reserve);
		NAME(ringbuf_submit);
		NAME(ringbuf_discard);
		NAME(ringbuf_output);
		NAME(ringbuf_query);
		NAME(ktime_get_ns);
		NAME(ktime_get_coarse_ns);
		NAME(jiffies64);
		NAME(get_current_pid_tgid);
		NAME(get_current_uid_gid);
		NAME(get_current_comm);
		NAME(get_smp_processor_id);
		NAME(sk_fullsock);
		NAME(tcp_sock);
		NAME(set_retval);
		NAME(sock_ops_cb_flags_set);
#undef NAME
	}
	return "?";
}

static uint64_t interpret_helper(struct interpreter *v, uint32_t id, const uint64_t *r)
{
	void *p1 = (void *)r[1], *p2 = (void *)r[2], *p3 = (void *)r[3];
	void *found;

	if (id < INTERPRET_HELPERS)
		v->calls[id]++;
	switch (id) {
	case BPF_FUNC_map_lookup_elem:
		return (uint64_t)imap_lookup(p1, p2);
	case BPF_FUNC_map_update_elem:
		imap_update(p1, p2, p3);
		return 0;
	case BPF_FUNC_map_delete_elem:
		return imap_delete(p1, p2);
	case BPF_FUNC_get_local_storage:
		return (uint64_t)v->attached;
	case BPF_FUNC_sk_storage_get:
		found = imap_lookup(p1, &r[2]);
		if (!found && (r[4] & BPF_SK_STORAGE_GET_F_CREATE))
			found = imap_update(p1, &r[2], p3);
		return (uint64_t)found;
	case BPF_FUNC_sk_storage_delete:
		return imap_delete(p1, &r[2]);
	case BPF_FUNC_skb_load_bytes:
		if ((uint32_t)r[2] > v->packet_len ||
		    v->packet_len - (uint32_t)r[2] < (uint32_t)r[4]) {
			memset(p3, 0, (uint32_t)r[4]);
			return -EFAULT;
		}
		memcpy(p3, v->packet + (uint32_t)r[2], (uint32_t)r[4]);
		return 0;
	case BPF_FUNC_get_socket_cookie:
		return v->cookie;
	case BPF_FUNC_get_netns_cookie:
		return v->netns;
	case BPF_FUNC_ringbuf_reserve:
		return (uint64_t)calloc(1, r[2]);
	case BPF_FUNC_ringbuf_submit:
	case BPF_FUNC_ringbuf_discard:
		free(p1);
		return 0;
	case BPF_FUNC_ringbuf_output:
	case BPF_FUNC_ringbuf_query: /* an empty ring */
		return 0;
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_ktime_get_coarse_ns:
		return v->now;
	case BPF_FUNC_jiffies64:
		return v->now / 4000000; /* HZ is 250 */
	case BPF_FUNC_get_current_pid_tgid:
		return 1000ull << 32 | 1000;
	case BPF_FUNC_get_current_uid_gid:
		return 0;
	case BPF_FUNC_get_current_comm:
		snprintf(p1, (uint32_t)r[2], "client");
		return 0;
	case BPF_FUNC_get_smp_processor_id:
		return 0;
	case BPF_FUNC_sk_fullsock:
		return r[1];
	case BPF_FUNC_tcp_sock:
		return (uint64_t)&v->tcp;
	case BPF_FUNC_sk_lookup_tcp: /* nobody listens */
	case BPF_FUNC_sk_lookup_udp:
	case BPF_FUNC_set_retval:
	case BPF_FUNC_sock_ops_cb_flags_set:
		return 0;
	}
	vector_die("helper %u is not known to tests/bpf/interpret.h: add it", id);
}

static uint64_t interpret_load(const void *p, uint8_t size)
{
	uint64_t x = 0;

	memcpy(&x, p, size); /* little-endian hosts only, as the vectors */
	return x;
}

static uint8_t interpret_size(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	}
	return 8;
}

static bool interpret_jump(uint8_t op, uint64_t a, uint64_t b, bool wide)
{
	int64_t sa = wide ? (int64_t)a : (int32_t)a, sb = wide ? (int64_t)b : (int32_t)b;

	if (!wide) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	switch (op) {
	case BPF_JA:
		return true;
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSET:
		return a & b;
	case BPF_JSGT:
		return sa > sb;
	case BPF_JSGE:
		return sa >= sb;
	case BPF_JSLT:
		return sa < sb;
	case BPF_JSLE:
		return sa <= sb;
	}
	vector_die("a jump that is not known: %#x", op);
}

static uint64_t interpret_alu(uint8_t op, uint64_t a, uint64_t b, bool wide)
{
	uint32_t bits = wide ? 64 : 32;

	if (!wide) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	switch (op) {
	case BPF_ADD:
		a += b;
		break;
	case BPF_SUB:
		a -= b;
		break;
	case BPF_MUL:
		a *= b;
		break;
	case BPF_DIV:
		a = b ? a / b : 0;
		break;
	case BPF_MOD:
		a = b ? a % b : a;
		break;
	case BPF_OR:
		a |= b;
		break;
	case BPF_AND:
		a &= b;
		break;
	case BPF_XOR:
		a ^= b;
		break;
	case BPF_LSH:
		a <<= b & (bits - 1);
		break;
	case BPF_RSH:
		a >>= b & (bits - 1);
		break;
	case BPF_ARSH:
		a = wide ? (uint64_t)((int64_t)a >> (b & 63))
			 : (uint64_t)(uint32_t)((int32_t)a >> (b & 31));
		break;
	case BPF_NEG:
		a = -a;
		break;
	case BPF_MOV:
		a = b;
		break;
	default:
		vector_die("an operation that is not known: %#x", op);
	}
	return wide ? a : (uint32_t)a;
}

static uint64_t interpret_swap(const struct bpf_insn *i, uint64_t a)
{
	bool big = BPF_SRC(i->code) == BPF_TO_BE;

	switch (i->imm) {
	case 16:
		return big ? htobe16(a) : (uint16_t)a;
	case 32:
		return big ? htobe32(a) : (uint32_t)a;
	}
	return big ? htobe64(a) : a;
}

static void interpret_atomic(const struct bpf_insn *i, uint64_t *r)
{
	uint8_t size = interpret_size(i->code);
	void *p = (uint8_t *)r[i->dst_reg] + i->off;
	uint64_t old = interpret_load(p, size), fresh = old, operand = r[i->src_reg];

	switch (i->imm & ~BPF_FETCH) {
	case BPF_ADD:
		fresh = old + operand;
		break;
	case BPF_OR:
		fresh = old | operand;
		break;
	case BPF_AND:
		fresh = old & operand;
		break;
	case BPF_XCHG & ~BPF_FETCH:
		fresh = operand;
		break;
	case BPF_CMPXCHG & ~BPF_FETCH:
		fresh = old == r[0] ? operand : old;
		break;
	default:
		vector_die("an atomic operation that is not known: %#x", i->imm);
	}
	memcpy(p, &fresh, size);
	if ((i->imm & ~BPF_FETCH) == (BPF_CMPXCHG & ~BPF_FETCH))
		r[0] = old;
	else if (i->imm & BPF_FETCH)
		r[i->src_reg] = old;
}

/*
 * Runs a program on a context; counts go up. For a __sk_buff, `data` and `data_end` are pointers to
 * the packet, which the kernel too makes of fields that are too short for them.
 */
static uint64_t interpret(struct interpreter *v, const struct bpf_program *program, void *ctx,
			  bool is_skb)
{
	static uint8_t stacks[INTERPRET_FRAMES][512] __attribute__((aligned(8)));
	const struct bpf_insn *code = bpf_program__insns(program);
	struct {
		uint64_t saved[4];
		uint32_t back, start;
	} frames[INTERPRET_FRAMES];
	uint64_t r[11] = {0};
	uint32_t pc = 0, start = 0;
	int frame = 0;

	r[1] = (uint64_t)ctx;
	r[10] = (uint64_t)(stacks[0] + 512);
	for (;;) {
		const struct bpf_insn *i = &code[pc++];
		uint64_t *dst = &r[i->dst_reg], operand;
		uint8_t op = BPF_OP(i->code);

		v->instructions++;
		v->by_start[start & 65535]++;
		operand = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;
		switch (BPF_CLASS(i->code)) {
		case BPF_ALU:
		case BPF_ALU64:
			if (op == BPF_END)
				*dst = interpret_swap(i, *dst);
			else
				*dst = interpret_alu(op, *dst, operand,
						     BPF_CLASS(i->code) == BPF_ALU64);
			break;
		case BPF_LDX:
			if (is_skb && i->src_reg != 10 && (void *)r[i->src_reg] == ctx &&
			    i->off == offsetof(struct __sk_buff, data))
				*dst = (uint64_t)v->packet;
			else if (is_skb && (void *)r[i->src_reg] == ctx &&
				 i->off == offsetof(struct __sk_buff, data_end))
				*dst = (uint64_t)(v->packet + v->packet_len);
			else
				*dst = interpret_load((uint8_t *)r[i->src_reg] + i->off,
						      interpret_size(i->code));
			break;
		case BPF_ST:
			operand = (uint64_t)(int64_t)i->imm;
			memcpy((uint8_t *)*dst + i->off, &operand, interpret_size(i->code));
			break;
		case BPF_STX:
			if (BPF_MODE(i->code) == BPF_ATOMIC)
				interpret_atomic(i, r);
			else
				memcpy((uint8_t *)*dst + i->off, &r[i->src_reg],
				       interpret_size(i->code));
			break;
		case BPF_LD:
			if (i->code != (BPF_LD | BPF_IMM | BPF_DW))
				vector_die("a load that is not known: %#x", i->code);
			*dst = (uint32_t)i->imm | (uint64_t)(uint32_t)code[pc].imm << 32;
			if (i->src_reg == BPF_PSEUDO_MAP_FD)
				*dst = (uint64_t)imap_find(v, i->imm);
			else if (i->src_reg == BPF_PSEUDO_MAP_VALUE)
				*dst = (uint64_t)imap_find(v, i->imm)->flat +
				       (uint32_t)code[pc].imm;
			pc++;
			break;
		case BPF_JMP:
		case BPF_JMP32:
			if (op == BPF_CALL && i->src_reg == BPF_PSEUDO_CALL) {
				if (frame + 1 == INTERPRET_FRAMES)
					vector_die("too many frames");
				memcpy(frames[frame].saved, &r[6], sizeof(frames[frame].saved));
				frames[frame].back = pc;
				frames[frame].start = start;
				frame++;
				pc += i->imm;
				start = pc;
				r[10] = (uint64_t)(stacks[frame] + 512);
			} else if (op == BPF_CALL) {
				r[0] = interpret_helper(v, i->imm, r);
			} else if (op == BPF_EXIT) {
				if (frame == 0)
					return r[0];
				frame--;
				memcpy(&r[6], frames[frame].saved, sizeof(frames[frame].saved));
				pc = frames[frame].back;
				start = frames[frame].start;
				r[10] = (uint64_t)(stacks[frame] + 512);
			} else if (interpret_jump(op, *dst, operand,
						  BPF_CLASS(i->code) == BPF_JMP)) {
				pc += i->off;
			}
			break;
		}
	}
}

#endif
