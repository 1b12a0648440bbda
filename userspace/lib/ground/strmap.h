/* SPDX-License-Identifier: GPL-2.0-or-later */
/* strmap.h - strings to numbers. */
#ifndef SALLYPORT_GROUND_STRMAP_H
#define SALLYPORT_GROUND_STRMAP_H

#include <stddef.h>
#include <stdint.h>

/* Keys are not copied. All zero is an empty one. */
struct sp_strmap {
	struct sp_strmap_slot {
		const char *key; /* NULL: free */
		uint32_t hash;
		uint32_t value;
	} * slots;
	size_t size, used;
};

/* The value of `key`, made 0 first if it is new; NULL: no memory. Valid until the next call. */
uint32_t *sp_strmap_get(struct sp_strmap *map, const char *key);
/* As above, but NULL if there is none. */
uint32_t *sp_strmap_find(const struct sp_strmap *map, const char *key);
void sp_strmap_free(struct sp_strmap *map);

uint64_t sp_fnv1a(uint64_t hash, const void *bytes, size_t len);
#define SP_FNV1A_START 0xcbf29ce484222325ULL

#endif
