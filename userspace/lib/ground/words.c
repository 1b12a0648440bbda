// SPDX-License-Identifier: GPL-2.0-or-later
/* words.c - the words of an enumeration: parsed, named, and what was meant by a wrong one. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "words.h"

#define WORD_MAX 40

/* Letters in either case are one, and so are '-' and '_'. */
static bool same_letter(char a, char b)
{
	a = a >= 'A' && a <= 'Z' ? a | 0x20 : a == '-' ? '_' : a;
	b = b >= 'A' && b <= 'Z' ? b | 0x20 : b == '-' ? '_' : b;
	return a == b;
}

/*
 * Edits (insert, delete, replace, swap of neighbours) from a to b, both at most WORD_MAX long:
 * optimal string alignment.
 */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], a_len = strlen(a), b_len = strlen(b);
	size_t *two = rows[0], *one = rows[1], *now = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		two[j] = one[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *turn = two;

		now[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t best = one[j - 1] + !same_letter(a[i - 1], b[j - 1]);

			if (one[j] + 1 < best)
				best = one[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
			    same_letter(a[i - 2], b[j - 1]) && two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			now[j] = best;
		}
		two = one;
		one = now;
		now = turn;
	}
	return one[b_len];
}

/* What was found so far, and how far away it is. */
struct nearest {
	const char *word;
	size_t away;
};

static void consider(struct nearest *nearest, const char *text, const char *word)
{
	size_t len = strlen(text), longer = strlen(word) > len ? strlen(word) : len;
	size_t away;

	if (len == 0 || longer > WORD_MAX)
		return;
	away = distance(text, word);
	/* more than half of the letters wrong is another word */
	if (away * 2 > longer || (nearest->word && away >= nearest->away))
		return;
	nearest->word = word;
	nearest->away = away;
}

const char *sp_nearest(const char *const *known, const char *text)
{
	struct nearest nearest = {0};

	for (; *known; known++)
		consider(&nearest, text, *known);
	return nearest.word;
}

const char *sp_word_nearest(const struct sp_word *words, const char *text)
{
	struct nearest nearest = {0};

	for (; words->name; words++)
		consider(&nearest, text, words->name);
	return nearest.word;
}

int sp_word_parse(const struct sp_word *words, const char *what, const char *text, int *ret_value,
		  struct sp_error **err)
{
	struct sp_buf buf = {0};
	SP_CLEANUP(sp_cleanup_free) char *list = NULL;
	const char *nearest;

	for (const struct sp_word *word = words; word->name; word++) {
		if (strcmp(word->name, text) == 0) {
			*ret_value = word->value;
			return 0;
		}
	}
	nearest = sp_word_nearest(words, text);
	if (nearest)
		return sp_error_set(err, -EINVAL, "%s cannot be %s; did you mean \"%s\"?", what,
				    sp_quote(text).text, nearest);
	for (const struct sp_word *word = words; word->name; word++)
		sp_buf_printf(&buf, "%s\"%s\"",
			      word == words  ? ""
			      : word[1].name ? ", "
					     : " or ",
			      word->name);
	if (sp_buf_take(&buf, &list) < 0)
		return sp_error_set(err, -ENOMEM, "out of memory");
	return sp_error_set(err, -EINVAL, "%s cannot be %s; it is %s", what, sp_quote(text).text,
			    list);
}

const char *sp_word_name(const struct sp_word *words, int value)
{
	for (; words->name; words++)
		if (words->value == value)
			return words->name;
	return "?";
}

struct sp_quoted sp_quote(const char *text)
{
	struct sp_quoted quoted;
	size_t len = strlen(text), at = 0, i;

	quoted.text[at++] = '"';
	for (i = 0; i < len && i < 80; i++) {
		unsigned char c = text[i];

		if (c == '"' || c == '\\') {
			quoted.text[at++] = '\\';
			quoted.text[at++] = c;
		} else if (c < 0x20 || c >= 0x7f) {
			at += sprintf(quoted.text + at, "\\x%02x", c);
		} else {
			quoted.text[at++] = c;
		}
	}
	snprintf(quoted.text + at, sizeof(quoted.text) - at, "%s", i < len ? "\"..." : "\"");
	return quoted;
}
