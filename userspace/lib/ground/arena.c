// SPDX-License-Identifier: GPL-2.0-or-later
/* arena.c - many small strings with one lifetime. */
#include <stdlib.h>
#include <string.h>

#include "arena.h"

#define CHUNK_SIZE (256u << 10)

struct sp_arena_chunk {
	struct sp_arena_chunk *next;
	size_t size, used;
	char bytes[];
};

char *sp_arena_alloc(struct sp_arena *arena, size_t len)
{
	struct sp_arena_chunk *chunk = arena->head;
	size_t size;

	if (!chunk || chunk->size - chunk->used < len) {
		/* the first chunk is small: most policies are */
		size = chunk ? CHUNK_SIZE : 4096;
		if (size < len)
			size = len;
		chunk = malloc(sizeof(*chunk) + size);
		if (!chunk)
			return NULL;
		chunk->size = size;
		chunk->used = 0;
		chunk->next = arena->head;
		arena->head = chunk;
	}
	chunk->used += len;
	return chunk->bytes + chunk->used - len;
}

char *sp_arena_copy(struct sp_arena *arena, const char *text, size_t len)
{
	char *copy = sp_arena_alloc(arena, len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

void sp_arena_free(struct sp_arena *arena)
{
	while (arena->head) {
		struct sp_arena_chunk *chunk = arena->head;

		arena->head = chunk->next;
		free(chunk);
	}
}
