// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * boxes.c - many sandboxes at once, with nobody in them, and what they take.
 *
 *     boxes NUMBER POLICY
 *
 * Makes NUMBER sandboxes of that policy in this cgroup and network namespace, prints a line of
 * JSON, and holds them until standard input ends. A sandbox is made as `sallyport run` makes it,
 * with the engine open already.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sallyport/engine.h>

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static double available_kib(void)
{
	double kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lf", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct rlimit files = {1 << 20, 1 << 20};
	struct sp_engine *engine = NULL;
	struct sp_policy *policy = NULL;
	struct sp_error *err = NULL;
	struct sp_box **boxes;
	double *ms, begin, open_ms, before, close_ms;
	int number = argc == 3 ? atoi(argv[1]) : 0, made = 0;
	char byte;

	if (number < 1) {
		fprintf(stderr, "usage: boxes NUMBER POLICY\n");
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	boxes = calloc(number, sizeof(*boxes)); /* NOLINT(bugprone-sizeof-expression): pointers */
	ms = calloc(number, sizeof(*ms));
	if (!boxes || !ms)
		return 1;
	begin = now_ms();
	if (sp_policy_load(argv[2], &policy, &err) < 0 || sp_engine_open(&engine, &err) < 0)
		goto out;
	open_ms = now_ms() - begin;
	before = available_kib();
	for (; made < number; made++) {
		begin = now_ms();
		if (sp_box_create(engine, policy, &boxes[made], &err) < 0)
			goto out;
		ms[made] = now_ms() - begin;
	}
	/* what the kernel hands out in batches is given back before it is counted */
	sleep(1);
	before -= available_kib();
	qsort(ms, made, sizeof(*ms), by_value);
	printf("{\"boxes\": %d, \"open_ms\": %.1f, \"create_ms\": %.2f, \"create_ms_p99\": %.2f, "
	       "\"create_ms_max\": %.2f, \"kib_each\": %.1f}\n",
	       made, open_ms, ms[made / 2], ms[(made - 1) * 99 / 100], ms[made - 1], before / made);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
out:
	if (err)
		fprintf(stderr, "boxes: %s\n", sp_error_text(err));
	begin = now_ms();
	for (int i = 0; i < made; i++)
		sp_box_close(boxes[i], false);
	close_ms = now_ms() - begin;
	if (made)
		printf("{\"close_ms\": %.2f}\n", close_ms / made);
	sp_engine_close(engine);
	sp_policy_free(policy);
	free(boxes);
	free(ms);
	return err != NULL;
}
