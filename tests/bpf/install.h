/* SPDX-License-Identifier: GPL-2.0-or-later */
/* install.h - a compiled policy into inner maps, as userspace/lib/kernel/box.c does it. For tests.
 */
#ifndef SP_TESTS_INSTALL_H
#define SP_TESTS_INSTALL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sallyport/policy.h>

/* The outer maps, and what is in the slot after test_install(). */
struct test_maps {
	int policies, buckets, nodes, acls, entries, cidr4, cidr6;
};

static inline int test_put(int outer, uint32_t slot, int fd)
{
	int r = bpf_map_update_elem(outer, &slot, &fd, BPF_ANY);

	close(fd);
	return r;
}

static inline int test_array(int outer, uint32_t slot, const void *data, uint32_t entries,
			     uint32_t size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	size_t bytes = (size_t)entries * size;
	void *mapped;
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, sizeof(uint32_t), size, entries ? entries : 1,
			    &opts);
	if (fd < 0)
		return -errno;
	if (bytes) {
		mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (mapped == MAP_FAILED) {
			close(fd);
			return -errno;
		}
		memcpy(mapped, data, bytes);
		munmap(mapped, bytes);
	}
	if (bpf_map_freeze(fd) < 0) {
		close(fd);
		return -errno;
	}
	return test_put(outer, slot, fd);
}

static inline int test_trie(int outer, uint32_t slot, const void *data, uint32_t entries,
			    uint32_t key_size, uint32_t entry_size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	const uint8_t *p = data;
	int fd, r;

	fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, NULL, key_size, sizeof(uint32_t),
			    entries ? entries : 1, &opts);
	if (fd < 0)
		return -errno;
	for (uint32_t i = 0; i < entries; i++, p += entry_size) {
		r = bpf_map_update_elem(fd, p, p + key_size, BPF_ANY);
		if (r < 0) {
			close(fd);
			return r;
		}
	}
	return test_put(outer, slot, fd);
}

/* 0 or -errno */
static inline int test_install(const struct test_maps *m, uint32_t slot,
			       const struct sp_image *image)
{
	int r;

	r = test_array(m->buckets, slot, image->buckets, image->buckets_len,
		       sizeof(*image->buckets));
	if (r == 0)
		r = test_array(m->nodes, slot, image->nodes, image->nodes_len,
			       sizeof(*image->nodes));
	if (r == 0)
		r = test_array(m->acls, slot, image->acls, image->acls_len, sizeof(*image->acls));
	if (r == 0)
		r = test_array(m->entries, slot, image->entries, image->entries_len,
			       sizeof(*image->entries));
	if (r == 0)
		r = test_trie(m->cidr4, slot, image->cidr4, image->cidr4_len,
			      sizeof(struct sp_cidr4), sizeof(*image->cidr4));
	if (r == 0)
		r = test_trie(m->cidr6, slot, image->cidr6, image->cidr6_len,
			      sizeof(struct sp_cidr6), sizeof(*image->cidr6));
	if (r == 0)
		r = bpf_map_update_elem(m->policies, &slot, &image->conf, BPF_ANY);
	return r;
}

/* The outer maps of a skeleton that was built with bpf/maps.bpf.h. */
#define TEST_MAPS(skel)                                                                            \
	{                                                                                          \
		.policies = bpf_map__fd((skel)->maps.policies),                                    \
		.buckets = bpf_map__fd((skel)->maps.policy_buckets),                               \
		.nodes = bpf_map__fd((skel)->maps.policy_nodes),                                   \
		.acls = bpf_map__fd((skel)->maps.policy_acls),                                     \
		.entries = bpf_map__fd((skel)->maps.policy_entries),                               \
		.cidr4 = bpf_map__fd((skel)->maps.policy_cidr4),                                   \
		.cidr6 = bpf_map__fd((skel)->maps.policy_cidr6),                                   \
	}

/* A name as text in wire form: bytes written (the root byte among them), 0 if it does not fit. */
static inline size_t test_wire(const char *text, uint8_t *wire, size_t size)
{
	size_t n = 0, len;

	while (*text) {
		len = strcspn(text, ".");
		if (n + 1 + len + 1 > size || len > 255)
			return 0;
		wire[n++] = len;
		memcpy(wire + n, text, len);
		n += len;
		text += len;
		if (*text == '.')
			text++;
	}
	wire[n++] = 0;
	return n;
}

#endif
