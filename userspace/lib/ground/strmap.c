// SPDX-License-Identifier: GPL-2.0-or-later
/* strmap.c - strings to numbers: open addressing, at most half full. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "strmap.h"

uint64_t sp_fnv1a(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ULL;
	return hash;
}

static uint32_t hash_string(const char *key)
{
	uint64_t hash = sp_fnv1a(SP_FNV1A_START, key, strlen(key));

	/* FNV is weak in its high bits */
	hash ^= hash >> 29;
	hash *= 0xbf58476d1ce4e5b9ULL;
	return hash >> 32;
}

static struct sp_strmap_slot *strmap_slot(const struct sp_strmap *map, const char *key,
					  uint32_t hash)
{
	size_t i = hash & (map->size - 1);

	while (map->slots[i].key &&
	       (map->slots[i].hash != hash || strcmp(map->slots[i].key, key) != 0))
		i = (i + 1) & (map->size - 1);
	return &map->slots[i];
}

static int strmap_grow(struct sp_strmap *map)
{
	struct sp_strmap bigger = {.size = map->size ? map->size * 2 : 16, .used = map->used};

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->size; i++) {
		if (!map->slots[i].key)
			continue;
		*strmap_slot(&bigger, map->slots[i].key, map->slots[i].hash) = map->slots[i];
	}
	free(map->slots);
	*map = bigger;
	return 0;
}

uint32_t *sp_strmap_get(struct sp_strmap *map, const char *key)
{
	uint32_t hash = hash_string(key);
	struct sp_strmap_slot *slot;

	if (map->used + 1 > map->size / 2 && strmap_grow(map) < 0)
		return NULL;
	slot = strmap_slot(map, key, hash);
	if (!slot->key) {
		slot->key = key;
		slot->hash = hash;
		slot->value = 0;
		map->used++;
	}
	return &slot->value;
}

uint32_t *sp_strmap_find(const struct sp_strmap *map, const char *key)
{
	struct sp_strmap_slot *slot;

	if (!map->size)
		return NULL;
	slot = strmap_slot(map, key, hash_string(key));
	return slot->key ? &slot->value : NULL;
}

void sp_strmap_free(struct sp_strmap *map)
{
	free(map->slots);
	memset(map, 0, sizeof(*map));
}
