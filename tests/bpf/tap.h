/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap.h - results as scripts/run-tests counts them, one line for a test, and why one was skipped
 * (which cmocka does not say).
 */
#ifndef SP_TESTS_TAP_H
#define SP_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <bpf/libbpf.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3), unused)) static bool tap_ok(bool ok, const char *format, ...)
{
	va_list args;

	tap_failed += !ok;
	printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return ok;
}

__attribute__((format(printf, 2, 3), unused)) static void tap_skip(const char *test,
								   const char *format, ...)
{
	va_list args;

	printf("ok %d # SKIP %s: ", ++tap_count, test);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

__attribute__((unused)) static int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

/* libbpf's warnings as comments. */
__attribute__((unused)) static int tap_libbpf(enum libbpf_print_level level, const char *format,
					      va_list args)
{
	if (level == LIBBPF_WARN) {
		printf("# ");
		vprintf(format, args);
	}
	return 0;
}

#endif
