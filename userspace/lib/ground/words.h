/* SPDX-License-Identifier: GPL-2.0-or-later */
/* words.h - the words of an enumeration, and foreign text in messages. */
#ifndef SALLYPORT_GROUND_WORDS_H
#define SALLYPORT_GROUND_WORDS_H

#include <sallyport/error.h>

/* The values of an enumeration as a document writes them; ends with a NULL name. */
struct sp_word {
	const char *name;
	int value;
};

/* 0, or -EINVAL with an error that says what `what` may be and which value is nearest. */
int sp_word_parse(const struct sp_word *words, const char *what, const char *text, int *ret_value,
		  struct sp_error **err);
const char *sp_word_name(const struct sp_word *words, int value);
/* The nearest word within reach of a typing error, or NULL. Lists end with NULL. */
const char *sp_word_nearest(const struct sp_word *words, const char *text);
const char *sp_nearest(const char *const *known, const char *text);

/* Foreign text for an error message: at most 80 bytes of it, escaped. */
struct sp_quoted {
	char text[360];
};
struct sp_quoted sp_quote(const char *text);

#endif
