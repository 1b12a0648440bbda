// SPDX-License-Identifier: GPL-2.0-or-later
/* cgroup.c - see cgroup.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"

#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int sp_cgroup_populated(int dir)
{
	char text[512];
	const char *at;
	ssize_t len;
	int fd;

	fd = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	len = read(fd, text, sizeof(text) - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len < 0)
		return len == -ENODEV ? 0 : (int)len;
	text[len] = '\0';
	at = strstr(text, "populated ");
	return at ? at[strlen("populated ")] == '1' : -EIO;
}

/*
 * The name of the cgroup in `dir` that comes after the one with the inode `after` (0: of the
 * first). 1, 0 (there is none), or -errno.
 */
static int next_below(int dir, ino_t after, char ret_name[NAME_MAX + 1])
{
	bool wanted = after == 0;
	struct dirent *entry;
	int r = 0, fd;
	DIR *stream;

	fd = openat(dir, ".", OPEN_DIR); /* a place of its own */
	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (errno = 0, (entry = readdir(stream))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (wanted) {
			snprintf(ret_name, NAME_MAX + 1, "%s", entry->d_name);
			r = 1;
			break;
		}
		wanted = entry->d_ino == after;
	}
	if (!entry && errno)
		r = -errno;
	closedir(stream);
	return r;
}

/* Replaces *dir by what is opened in it. 0 or -errno; then *dir is as it was. */
static int step(int *dir, const char *name)
{
	int fd = openat(*dir, name, OPEN_DIR);

	if (fd < 0)
		return -errno;
	close(*dir);
	*dir = fd;
	return 0;
}

/*
 * Goes down by the first cgroup each time, and removes on the way up: what was just left is the
 * first again, and empty now. Found full a second time, it stays, and so does all above it.
 */
int sp_cgroup_remove(int parent, const char *name)
{
	char below[NAME_MAX + 1];
	unsigned int depth = 0;
	bool came_up = false;
	int dir, r;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != EBUSY)
		return -errno;
	dir = openat(parent, name, OPEN_DIR);
	if (dir < 0)
		return -errno;
	r = -EAGAIN;
	for (int i = 0; i < SP_CGROUP_STEPS; i++) {
		int found = next_below(dir, 0, below);

		if (found < 0) {
			r = found;
			break;
		}
		if (found == 0) {
			if (depth == 0) {
				r = 0;
				break;
			}
			r = step(&dir, "..");
			if (r < 0)
				break;
			r = -EAGAIN;
			depth--;
			came_up = true;
			continue;
		}
		if (unlinkat(dir, below, AT_REMOVEDIR) == 0 || errno == ENOENT) {
			came_up = false;
			continue;
		}
		r = errno != EBUSY || came_up ? -errno : step(&dir, below);
		if (r < 0)
			break;
		r = -EAGAIN;
		depth++;
	}
	close(dir);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

static unsigned int processes_in(int dir)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	unsigned int count = 0;
	char text[4096];
	ssize_t len;

	while (fd >= 0 && (len = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < len; i++)
			count += text[i] == '\n';
	if (fd >= 0)
		close(fd);
	return count;
}

unsigned int sp_cgroup_processes(int dir)
{
	char below[NAME_MAX + 1];
	unsigned int count, depth = 0;
	ino_t after = 0;
	int at;

	at = openat(dir, ".", OPEN_DIR);
	if (at < 0)
		return 0;
	count = processes_in(at);
	for (int i = 0; i < SP_CGROUP_STEPS; i++) {
		if (next_below(at, after, below) > 0 && step(&at, below) == 0) {
			count += processes_in(at);
			after = 0;
			depth++;
		} else {
			struct stat st;

			if (depth-- == 0 || fstat(at, &st) < 0 || step(&at, "..") < 0)
				break;
			after = st.st_ino;
		}
	}
	close(at);
	return count;
}
