// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * judge.c - what the parsers say of streams to a port that promises nothing. Reads the length of a
 * stream as four bytes, low first, and its bytes, until there are no more; prints a line for each:
 * `other`, `more`, `bad REASON`, or `name NAME`.
 */
#include <stdio.h>
#include <string.h>

#include "bpf/judge.h"

static const char *const tokens[] = {
#define X(code, token, text) token,
	SP_REASONS(X)
#undef X
};

static struct judge_work work;

static int judge(void)
{
	int r = judge_other(&work);

	if (r == SP_HTTP_PROXY) {
		work.stream.len -= work.out.head;
		memmove(work.stream.data, work.stream.data + work.out.head, work.stream.len);
		r = judge_other(&work);
	}
	if (r == SP_DONE)
		return judge_http(&work);
	return r == JUDGE_TLS ? judge_tls(&work) : r;
}

int main(void)
{
	unsigned char head[4];

	while (fread(head, 1, 4, stdin) == 4) {
		__u32 len = head[0] | head[1] << 8 | head[2] << 16 | (__u32)head[3] << 24, at = 0;
		int r;

		memset(&work, 0, sizeof(work));
		if (len > SP_STREAM_MAX || fread(work.stream.data, 1, len, stdin) != len)
			return 1;
		work.stream.len = len;
		r = judge();
		if (r == SP_MORE) {
			printf("more\n");
		} else if (r < 0) {
			printf("bad %s\n", -r < SP_REASON_COUNT ? tokens[-r] : "?");
		} else if (r != SP_DONE) {
			printf("other\n");
		} else {
			printf("name ");
			while (!work.out.host_ip && at < 255 && work.out.name[at]) {
				printf("%.*s.", work.out.name[at], &work.out.name[at + 1]);
				at += 1 + work.out.name[at];
			}
			printf("\n");
		}
		fflush(stdout);
	}
	return 0;
}
