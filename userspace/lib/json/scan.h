/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan.h - a strict look at JSON text before a library makes a tree of it.
 *
 * The JSON library is lax (it takes a BOM, cuts strings at \u0000, follows nesting with the stack)
 * and forgets where a value stood. The scan accepts exactly RFC 8259 within the policy's bounds, in
 * one pass over the bytes with a fixed stack, so the library only ever sees what both read the same
 * way. Positions are not kept: a value is found again by its number in document order, which only
 * happens when there is an error to report.
 */
#ifndef SALLYPORT_LIB_POLICY_SCAN_H
#define SALLYPORT_LIB_POLICY_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sallyport/error.h>

/* Where the rules are: offsets of the values in the top level's "rules" list, in order. */
struct sp_scan_rules {
	uint32_t *offsets; /* malloc'ed */
	size_t len, size;
};

/* 0, -EINVAL, -E2BIG or -ENOMEM. `rules` may be NULL; on failure it is empty. */
int sp_scan(const char *text, size_t len, const char *source, struct sp_scan_rules *rules,
	    struct sp_error **err);

/*
 * Gives an error its place: file, and line, column and path of the value that is number `index` in
 * document order (0: the document), or of its key. `text` must have passed sp_scan().
 */
void sp_scan_place(const char *text, size_t len, const char *source, uint64_t index, bool key,
		   struct sp_error *err);

/* Line and column of an offset, going on from an earlier one (start: offset 0, line 1, column 1).
 */
struct sp_scan_line {
	size_t offset;
	int line, column;
};
void sp_scan_advance(const char *text, size_t offset, struct sp_scan_line *at);

#endif
