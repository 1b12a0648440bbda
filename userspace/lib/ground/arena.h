/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arena.h - many small strings with one lifetime. */
#ifndef SALLYPORT_GROUND_ARENA_H
#define SALLYPORT_GROUND_ARENA_H

#include <stddef.h>

struct sp_arena_chunk;

/* All zero is an empty one. */
struct sp_arena {
	struct sp_arena_chunk *head;
};

char *sp_arena_alloc(struct sp_arena *arena, size_t len); /* bytes, not aligned; NULL: no memory */
char *sp_arena_copy(struct sp_arena *arena, const char *text, size_t len); /* adds the NUL */
void sp_arena_free(struct sp_arena *arena);

#endif
