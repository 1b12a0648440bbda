// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_events.c - records of the rings, as bytes: decoding and wording of an event, and the answer
 * to a denied query.
 *
 * The first byte chooses: even, the rest is a record of the events ring as it is (strict decoding),
 * and then once more with its head made good, so that the wording sees all of it; odd, the rest is
 * a struct sp_request, cut or padded, with a text behind it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport/events.h>

#include "buf.h"

static void check(int condition)
{
	if (!condition)
		abort();
}

/* One line of well-formed UTF-8 without a control character. */
static void check_text(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len = strlen(text), i = 0;

	while (i < len) {
		uint32_t c = 0;
		size_t n = sp_utf8_char(p + i, len - i, &c);

		/* the first is said again here: the second is what is under test */
		check(n > 0 && c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa0));
		check(!sp_utf8_unsafe(c));
		i += n;
	}
}

/* Strings end, braces pair: as much of JSON as can be told without a parser. */
static void check_json(const char *text)
{
	int depth = 0, in_string = 0;

	for (; *text; text++) {
		if (in_string) {
			if (*text == '\\')
				check(*++text != '\0');
			else if (*text == '"')
				in_string = 0;
			continue;
		}
		if (*text == '"')
			in_string = 1;
		depth += (*text == '{') - (*text == '}');
		check(depth > 0 || text[1] == '\0');
	}
	check(depth == 0 && !in_string);
}

static void word(const struct sp_event *event)
{
	char *json = NULL, *line = NULL;

	check(sp_event_json(event, NULL, &json) == 0);
	check(sp_event_line(event, NULL, &line) == 0);
	check_text(json);
	check_json(json);
	check_text(line);
	free(json);
	free(line);
}

static void fuzz_event(const uint8_t *data, size_t size)
{
	struct sp_event raw = {0}, event;

	if (sp_event_decode(data, size, &event) == 0)
		word(&event);
	memcpy(&raw, data, size < sizeof(raw) ? size : sizeof(raw));
	raw.version = SP_ABI_VERSION;
	raw.size = SP_EVENT_FULL;
	raw.kind %= SP_EVENT_KINDS;
	raw.verdict %= 3;
	raw.reason %= SP_REASON_COUNT;
	raw.name_len %= 256;
	raw.sni_len %= 256;
	check(sp_event_decode(&raw, sizeof(raw), &event) == 0);
	word(&event);
}

static void fuzz_answer(const uint8_t *data, size_t size)
{
	struct sp_request request = {0};
	size_t room = size ? data[size - 1] * 3u : 512, text_len = 0;
	uint8_t *message = malloc(room ? room : 1); /* exactly, for the sanitizer */
	char *text = NULL;
	int len;

	check(message != NULL);
	memcpy(&request, data, size < sizeof(request) ? size : sizeof(request));
	if (size > sizeof(request))
		text_len = size - sizeof(request);
	text = malloc(text_len + 1);
	check(text != NULL);
	memcpy(text, data + size - text_len, text_len);
	text[text_len] = '\0';
	len = sp_answer_build(&request, text, message, room);
	if (len >= 0) {
		check(len >= 12 + 5 && (size_t)len <= room && len <= 512);
		/* nothing is echoed that was not handed over */
		check(message[11] == 1 || len <= request.query_len);
		check(memcmp(message, request.query, 2) == 0 && (message[2] & 0x80));
		check(message[4] == 0 && message[5] == 1 && message[7] == 0 && message[9] == 0);
	}
	free(message);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		fuzz_answer(data + 1, size - 1);
	else
		fuzz_event(data + 1, size - 1);
	return 0;
}
