// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * judge.c - what the parsers say of streams to a port that promises nothing. Reads the length of a
 * stream as four bytes, low first, and its bytes, until there are no more; prints a line for each:
 * `other`, `more`, `begun` (the same, and it may not end there: http_cut() of bpf/inspect.bpf.h),
 * `bad REASON`, or `name NAME`.
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
static int begun;

static int judge(void)
{
	int r = judge_other(&work), i;
	__u32 v4;

	for (i = 0; r == SP_HTTP_PROXY && i < 16; i++) {
		work.stream.len -= work.out.head;
		memmove(work.stream.data, work.stream.data + work.out.head, work.stream.len);
		r = judge_other(&work);
	}
	begun = 0;
	if (r == SP_DONE) {
		begun = 1;
		r = judge_http(&work);
		/* http_decide(): an address is for proxies only */
		if (r == SP_DONE && work.out.host_ip && (!work.http.connect && !work.http.target))
			return SP_BAD(HTTP_HOST);
		if (r == SP_DONE && work.out.host_ip)
			return sp_http_v4(&work.stream, &work.http, &v4) == SP_DONE ? r
										    : SP_BAD(PROXY);
		return r;
	}
	if (r == SP_MORE)
		begun = (work.http.near & SP_HTTP_NEAR_LINES) && work.http.line < work.stream.len;
	if (r == SP_MORE && work.stream.len && work.stream.data[0] >= SP_TLS_CCS &&
	    work.stream.data[0] <= SP_TLS_HANDSHAKE)
		r = JUDGE_TLS; /* what is there of a name is judged, as tls_judge() does */
	return r == JUDGE_TLS ? judge_tls(&work) : r;
}

static void print_name(void)
{
	__u32 at = 0;

	printf("name ");
	while (!work.out.host_ip && at < 255 && work.out.name[at]) {
		printf("%.*s.", work.out.name[at], &work.out.name[at + 1]);
		at += 1 + work.out.name[at];
	}
	printf("\n");
}

int main(void)
{
	unsigned char head[4];

	while (fread(head, 1, 4, stdin) == 4) {
		__u32 len = head[0] | head[1] << 8 | head[2] << 16 | (__u32)head[3] << 24;
		int r;

		memset(&work, 0, sizeof(work));
		if (len > SP_STREAM_MAX || fread(work.stream.data, 1, len, stdin) != len)
			return 1;
		work.stream.len = len;
		r = judge();
		if (r == SP_DONE || (r == SP_MORE && work.out.part))
			print_name();
		else if (r == SP_MORE)
			printf(begun ? "begun\n" : "more\n");
		else if (r < 0)
			printf("bad %s\n", -r < SP_REASON_COUNT ? tokens[-r] : "?");
		else
			printf("other\n");
		fflush(stdout);
	}
	return 0;
}
