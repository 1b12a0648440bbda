// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nomem - preloaded into a program: its allocation number SP_NOMEM fails (0: none). At the end the
 * number that it made is written to the file SP_NOMEM_COUNT.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_ulong asked;
static unsigned long fail_at;

static int fails(void)
{
	if (++asked != fail_at || !fail_at)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	return fails() ? NULL : __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

static void __attribute__((constructor)) begin(void)
{
	const char *at = getenv("SP_NOMEM");

	fail_at = at ? strtoul(at, NULL, 10) : 0;
	asked = 0;
}

static void __attribute__((destructor)) end(void)
{
	const char *path = getenv("SP_NOMEM_COUNT");
	char text[32];
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;

	if (fd < 0)
		return;
	if (write(fd, text, (size_t)snprintf(text, sizeof(text), "%lu\n", (unsigned long)asked)) <
	    0)
		_exit(1);
	close(fd);
}
