/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf_shim.h - bpf/sallyport.bpf.c as a part of a test program: its source, with helpers and maps
 * in user space instead of the kernel's, and one socket of one sandbox to run it on.
 *
 * It stands for <bpf/bpf_helpers.h>. What is here does what the kernel does, as far as the packet
 * path notices, and no more: a helper that the tests do not come by ends the program instead of
 * answering. What the verifier proves (bounds, types) the sanitizers watch.
 */
#ifndef SP_TESTS_BPF_SHIM_H
#define SP_TESTS_BPF_SHIM_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <linux/bpf.h>

#include <sallyport/policy.h>

/* helpers have the kernel's parameters, whether they matter here or not */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define __BPF_HELPERS__ /* the header is not read: this is it */
#define __bpf__		/* and the sources take the branches that are meant for the kernel */

#define __BPF_CORE_READ_H__   /* nor this one */
#define preserve_access_index /* as an attribute: none */
#define bpf_core_type_id_kernel(type) 0
#define __ksym
#define __weak __attribute__((weak))

#define SEC(name)
/* declarators, which take no parentheses */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]
/* NOLINTEND(bugprone-macro-parentheses) */
#define __noinline __attribute__((noinline))
#define barrier() __asm__ __volatile__("" ::: "memory")
#define barrier_var(x) __asm__ __volatile__("" : "+r"(x))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline, unused))

__attribute__((noreturn)) static void shim_die(const char *what)
{
	printf("Bail out! shim: %s\n", what);
	exit(1);
}

/* ---- maps ----------------------------------------------------------------------------------- */

#define SHIM_HASH_MAX 256 /* entries */
#define SHIM_SLOTS 2	  /* of policies and sandboxes */

struct shim_map {
	const void *handle; /* what the program calls it by */
	enum { SHIM_ARRAY, SHIM_HASH, SHIM_OUTER } kind;
	uint32_t key_size, value_size, entries;
	uint8_t *data;		       /* HASH: key and value behind one another */
	const void *inner[SHIM_SLOTS]; /* OUTER */
};

static struct shim_map shim_maps[64];
static unsigned int shim_maps_len;

static struct shim_map *shim_map(const void *handle)
{
	for (unsigned int i = 0; i < shim_maps_len; i++)
		if (shim_maps[i].handle == handle)
			return &shim_maps[i];
	shim_die("a map that is not there");
}

/* An array, or a hash map, which is empty. Without a handle it is its own: an inner map. */
static struct shim_map *shim_map_add(const void *handle, int kind, uint32_t key_size,
				     uint32_t value_size, uint32_t entries)
{
	struct shim_map *m = &shim_maps[shim_maps_len++];

	if (shim_maps_len == sizeof(shim_maps) / sizeof(shim_maps[0]))
		shim_die("too many maps");
	*m = (struct shim_map){.handle = handle ? handle : m,
			       .kind = kind,
			       .key_size = key_size,
			       .value_size = value_size,
			       .entries = kind == SHIM_HASH ? 0 : entries};
	/* values begin at a multiple of 8 in the kernel too */
	m->data = calloc(kind == SHIM_HASH ? SHIM_HASH_MAX
			 : entries	   ? entries
					   : 1,
			 (kind == SHIM_HASH ? (key_size + 7) / 8 * 8 : 0) + value_size);
	if (!m->data)
		shim_die("out of memory");
	return m;
}

static void shim_outer_set(const void *outer, uint32_t slot, const struct shim_map *inner)
{
	for (unsigned int i = 0; i < shim_maps_len; i++)
		if (shim_maps[i].handle == outer)
			return (void)(shim_maps[i].inner[slot] = inner);
	shim_map_add(outer, SHIM_OUTER, 4, 0, SHIM_SLOTS)->inner[slot] = inner;
}

static uint8_t *shim_hash_entry(struct shim_map *m, uint32_t i)
{
	return m->data + (size_t)i * (((size_t)m->key_size + 7) / 8 * 8 + m->value_size);
}

static void *bpf_map_lookup_elem(const void *map, const void *key)
{
	struct shim_map *m = shim_map(map);
	uint32_t i;

	if (m->kind == SHIM_HASH) {
		for (i = 0; i < m->entries; i++)
			if (memcmp(shim_hash_entry(m, i), key, m->key_size) == 0)
				return shim_hash_entry(m, i) + ((size_t)m->key_size + 7) / 8 * 8;
		return NULL;
	}
	memcpy(&i, key, sizeof(i));
	if (m->kind == SHIM_OUTER)
		return i < SHIM_SLOTS ? (void *)m->inner[i] : NULL;
	return i < m->entries ? m->data + (size_t)i * m->value_size : NULL;
}

static long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	struct shim_map *m = shim_map(map);
	void *v = bpf_map_lookup_elem(map, key);

	if (m->kind != SHIM_HASH || flags != BPF_ANY)
		shim_die("an update that is not foreseen");
	if (!v) {
		if (m->entries == SHIM_HASH_MAX)
			return -E2BIG;
		memcpy(shim_hash_entry(m, m->entries), key, m->key_size);
		v = shim_hash_entry(m, m->entries++) + ((size_t)m->key_size + 7) / 8 * 8;
	}
	memcpy(v, value, m->value_size);
	return 0;
}

static long bpf_map_delete_elem(void *map, const void *key)
{
	struct shim_map *m = shim_map(map);

	for (uint32_t i = 0; i < m->entries; i++) {
		if (memcmp(shim_hash_entry(m, i), key, m->key_size) != 0)
			continue;
		m->entries--;
		memmove(shim_hash_entry(m, i), shim_hash_entry(m, i + 1),
			shim_hash_entry(m, m->entries) - shim_hash_entry(m, i));
		return 0;
	}
	return -ENOENT;
}

#define SHIM_UNUSED(type, name, ...)                                                               \
	static type name(__VA_ARGS__)                                                              \
	{                                                                                          \
		shim_die(#name);                                                                   \
	}

SHIM_UNUSED(long, bpf_for_each_map_elem, void *m, void *f, void *c, __u64 flags)
SHIM_UNUSED(struct bpf_sock *, bpf_sk_lookup_tcp, void *c, struct bpf_sock_tuple *t, __u32 n,
	    __u64 ns, __u64 flags)
SHIM_UNUSED(struct bpf_sock *, bpf_sk_lookup_udp, void *c, struct bpf_sock_tuple *t, __u32 n,
	    __u64 ns, __u64 flags)
SHIM_UNUSED(__u64, bpf_sk_ancestor_cgroup_id, void *sk, int level)
SHIM_UNUSED(long, bpf_setsockopt, void *c, int level, int name, void *value, int len)
SHIM_UNUSED(long, bpf_sk_release, void *sk)
SHIM_UNUSED(long, bpf_set_retval, int r)
SHIM_UNUSED(long, bpf_sock_ops_cb_flags_set, struct bpf_sock_ops *o, int flags)

/* ---- the socket ----------------------------------------------------------------------------- */

#define SHIM_STORAGES 4

struct shim_storage {
	const void *map;
	bool there;
	uint32_t size;
	void *data;
};

static struct {
	struct bpf_sock sk;
	struct bpf_tcp_sock tp;
	struct shim_storage storage[SHIM_STORAGES];
	struct sp_attach attach;
	__u64 now;
} shim;

static struct shim_storage *shim_storage(const void *map)
{
	for (unsigned int i = 0; i < SHIM_STORAGES; i++)
		if (shim.storage[i].map == map)
			return &shim.storage[i];
	shim_die("storage that is not there");
}

static void shim_storage_add(unsigned int i, const void *map, uint32_t size)
{
	shim.storage[i] = (struct shim_storage){.map = map, .size = size, .data = malloc(size)};
	if (!shim.storage[i].data)
		shim_die("out of memory");
}

static void *bpf_sk_storage_get(void *map, void *sk, void *value, __u64 flags)
{
	struct shim_storage *s = shim_storage(map);

	if (sk != &shim.sk || value)
		shim_die("another socket");
	if (!s->there && !(flags & BPF_SK_STORAGE_GET_F_CREATE))
		return NULL;
	if (!s->there)
		memset(s->data, 0, s->size);
	s->there = true;
	return s->data;
}

static long bpf_sk_storage_delete(void *map, void *sk)
{
	struct shim_storage *s = shim_storage(map);

	if (!s->there)
		return -ENOENT;
	s->there = false;
	memset(s->data, 0xdb, s->size); /* who still looks shall not find it */
	return 0;
}

static struct bpf_sock *bpf_sk_fullsock(struct bpf_sock *sk)
{
	return sk;
}

static struct bpf_tcp_sock *bpf_tcp_sock(struct bpf_sock *sk)
{
	return &shim.tp;
}

static __u64 bpf_get_socket_cookie(void *ctx)
{
	return 7;
}

static __u64 bpf_get_netns_cookie(void *ctx)
{
	return shim.attach.netns;
}

static void *bpf_get_local_storage(void *map, __u64 flags)
{
	return &shim.attach;
}

static long bpf_skb_load_bytes(const void *ctx, __u32 off, void *to, __u32 len)
{
	const struct __sk_buff *skb = ctx;

	if (off > skb->len || len > skb->len - off) {
		memset(to, 0, len);
		return -EFAULT;
	}
	memcpy(to, (const uint8_t *)(uintptr_t)skb->data + off, len);
	return 0;
}

static __u64 bpf_ktime_get_ns(void)
{
	return shim.now;
}

static __u64 bpf_ktime_get_coarse_ns(void)
{
	return shim.now;
}

static __u64 bpf_jiffies64(void)
{
	return shim.now / 4000000; /* HZ is 250 */
}

static __u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

static __u64 bpf_get_current_pid_tgid(void)
{
	return 1;
}

static __u64 bpf_get_current_uid_gid(void)
{
	return 1;
}

static long bpf_get_current_comm(void *to, __u32 size)
{
	memset(to, 0, size);
	return 0;
}

/* ---- rings: the last denial is kept --------------------------------------------------------- */

static union {
	struct sp_event event;
	struct sp_request request;
} shim_record;
static uint8_t shim_denied; /* reason of the last denial; 0: none */

static void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags)
{
	memset(&shim_record, 0xdb, sizeof(shim_record));
	return &shim_record;
}

static void bpf_ringbuf_submit(void *record, __u64 flags)
{
	if (shim_record.event.version != SP_ABI_VERSION)
		shim_die("a record of another version");
	/* a request is told by its kind standing where an event's size is */
	if (shim_record.event.size == SP_EVENT_BARE || shim_record.event.size == SP_EVENT_NAMED ||
	    shim_record.event.size == SP_EVENT_FULL) {
		if (shim_record.event.verdict == SP_VERDICT_DENIED)
			shim_denied = shim_record.event.reason;
	}
}

/* the program has numbers of its own for these */
#undef AF_INET
#undef AF_INET6
#undef SOCK_STREAM
#undef SOCK_DGRAM
#include "../../bpf/sallyport.bpf.c" /* NOLINT(bugprone-suspicious-include): what is tested */

/* ---- putting it together -------------------------------------------------------------------- */

static struct shim_map *shim_array(const void *data, uint32_t entries, uint32_t size)
{
	struct shim_map *m = shim_map_add(NULL, SHIM_ARRAY, 4, size, entries);

	if (entries)
		memcpy(m->data, data, (size_t)entries * size);
	return m;
}

/* A policy into its slot. Address rules are not foreseen. */
static void shim_policy(uint32_t slot, const char *text, const uint64_t seed[2])
{
	struct sp_policy *policy = NULL;
	struct sp_policy_conf *conf;
	struct sp_image *image = NULL;
	struct sp_error *err = NULL;

	if (sp_policy_parse(text, strlen(text), "test", &policy, &err) < 0 ||
	    sp_policy_compile(policy, seed, &image, &err) < 0 || image->conf.has_cidr4 ||
	    image->conf.has_cidr6)
		shim_die(err ? err->message : "a policy with addresses");
	conf = (struct sp_policy_conf *)shim_map(&policies)->data + slot;
	*conf = image->conf;
	conf->generation = 1;
	shim_outer_set(&policy_buckets, slot,
		       shim_array(image->buckets, image->buckets_len, sizeof(*image->buckets)));
	shim_outer_set(&policy_nodes, slot,
		       shim_array(image->nodes, image->nodes_len, sizeof(*image->nodes)));
	shim_outer_set(&policy_acls, slot,
		       shim_array(image->acls, image->acls_len, sizeof(*image->acls)));
	shim_outer_set(&policy_entries, slot,
		       shim_array(image->entries, image->entries_len, sizeof(*image->entries)));
	sp_image_free(image);
	sp_policy_free(policy);
}

static struct shim_map *shim_addrs, *shim_pairs, *shim_pending;

static void shim_start(const uint64_t seed[2])
{
	struct sp_host *h;

	shim_map_add(&host, SHIM_ARRAY, 4, sizeof(struct sp_host), 1);
	h = (struct sp_host *)shim_map(&host)->data;
	h->seed[0] = seed[0];
	h->seed[1] = seed[1];
	shim_map_add(&scratch, SHIM_ARRAY, 4, sizeof(struct sp_scratch), SP_SCRATCH_PER_CPU);
	shim_map_add(&policies, SHIM_ARRAY, 4, sizeof(struct sp_policy_conf), SHIM_SLOTS);
	shim_map_add(&sandboxes, SHIM_ARRAY, 4, sizeof(struct sp_sandbox), SHIM_SLOTS);
	shim_addrs =
		shim_map_add(NULL, SHIM_HASH, sizeof(struct sp_addr), sizeof(struct sp_learned), 0);
	shim_pairs = shim_map_add(NULL, SHIM_HASH, sizeof(struct sp_pair),
				  sizeof(struct sp_pair_value), 0);
	shim_pending = shim_map_add(NULL, SHIM_HASH, sizeof(struct sp_pending_key),
				    sizeof(struct sp_pending), 0);
	shim_outer_set(&learned_addrs, 0, shim_addrs);
	shim_outer_set(&learned_pairs, 0, shim_pairs);
	shim_outer_set(&learned_names, 0,
		       shim_map_add(NULL, SHIM_HASH, 8, sizeof(struct sp_name_text), 0));
	shim_outer_set(&pending, 0, shim_pending);
	shim_outer_set(&policy_cidr4, 0, NULL); /* no rule on an address */
	shim_outer_set(&events, 0, shim_array(NULL, 0, 1));
	shim_outer_set(&requests, 0, shim_array(NULL, 0, 1));
	shim_storage_add(0, &flows, sizeof(struct sp_flow));
	shim_storage_add(1, &streams, sizeof(struct sp_stream));
	shim_storage_add(2, &retained, sizeof(struct sp_retained));
	shim_storage_add(3, &answers, sizeof(struct sp_stream));
	shim.now = 1000000000000ULL;
	shim.attach = (struct sp_attach){.generation = 1, .cgroup = 1, .netns = 1};
}

/*
 * Memory for a packet, below 4 GB: a program reads skb->data as 32 bits, which the verifier makes
 * pointers of.
 */
static uint8_t *shim_packet_memory(size_t size)
{
	void *p = mmap((void *)0x20000000, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED || (uintptr_t)p >> 32)
		shim_die("no memory below 4 GB");
	return p;
}

#endif
