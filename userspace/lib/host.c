// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * host.c - finding cgroup v2 and bpffs through the mount table, never by a fixed path.
 *
 * `ip netns exec` gives its command a fresh /sys without either; then both are mounted again, which
 * for cgroup v2 shows the same one hierarchy. A bpffs mounted there is an instance of its own: what
 * is pinned in it lives as long as that mount namespace, so as long as the sandbox in it.
 *
 * A box is made below the caller's cgroup, so that limits and the caller's own clean-up go on to
 * hold. But a process may leave its cgroup if it can write to a common ancestor's cgroup.procs; so
 * where the caller's cgroup belongs to a user (systemd delegates user@.service), the nearest one
 * above it that belongs to root is taken instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

void sp_host_unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && is_octal(s[2]) &&
		    is_octal(s[3])) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/*
 * First mount of this type whose root is the whole file system and that can be written to.
 * Returns 1 (found), 0, or -errno.
 */
static int find_mount(const char *type, const char *prefer, char *ret, size_t size)
{
	char *line = NULL;
	size_t room = 0;
	int found = 0;
	FILE *f;

	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		char root[PATH_MAX], point[PATH_MAX], options[256], fstype[64];
		char *dash = strstr(line, " - ");

		if (!dash || sscanf(dash, " - %63s", fstype) != 1 || strcmp(fstype, type) != 0)
			continue;
		if (sscanf(line, "%*s %*s %*s %4095s %4095s %255s", root, point, options) != 3)
			continue;
		if (strcmp(root, "/") != 0 || strncmp(options, "ro", 2) == 0)
			continue;
		sp_host_unescape(point);
		if (found && (!prefer || strcmp(point, prefer) != 0))
			continue;
		if (snprintf(ret, size, "%s", point) >= (int)size)
			continue;
		found = 1;
	}
	/* cut off in the middle is no "not mounted": a second bpffs would hide the first */
	if (ferror(f))
		found = -EIO;
	free(line);
	fclose(f);
	return found;
}

static int find_bpffs(struct sp_host_paths *paths, struct sp_error **err)
{
	int r = find_mount("bpf", "/sys/fs/bpf", paths->bpffs, sizeof(paths->bpffs));

	if (r < 0)
		return sp_error_set(err, r, "cannot read /proc/self/mountinfo: %s", strerror(-r));
	if (r > 0)
		return 0;
	snprintf(paths->bpffs, sizeof(paths->bpffs), "/sys/fs/bpf");
	if (access(paths->bpffs, F_OK) < 0)
		return sp_error_set(err, -ENOENT,
				    "this kernel has no BPF file system (/sys/fs/bpf is missing; "
				    "CONFIG_BPF_SYSCALL)");
	if (mount("bpf", paths->bpffs, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0) {
		r = -errno;
		return sp_error_set(err, r,
				    "no bpffs is mounted and mounting one at %s failed: %s%s",
				    paths->bpffs, strerror(-r), r == -EPERM ? " (needs root)" : "");
	}
	return 0;
}

/* The cgroup v2 path of this process, as the kernel tells it: "/..." */
static int current_cgroup(char *ret, size_t size)
{
	char line[PATH_MAX + 8];
	int r = -ENOENT;
	FILE *f;

	f = fopen("/proc/self/cgroup", "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = 0;
		r = snprintf(ret, size, "%s", line + 3) < (int)size ? 0 : -ENAMETOOLONG;
		break;
	}
	fclose(f);
	return r;
}

/* May only root move processes in and out of this cgroup? */
static bool cgroup_is_roots(const char *path)
{
	char procs[PATH_MAX + 16];
	struct stat st;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	if (stat(procs, &st) < 0)
		/* the root cgroup of a hierarchy has the file too; anything else is not for us */
		return false;
	return st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int find_cgroup(struct sp_host_paths *paths, struct sp_error **err)
{
	char own[PATH_MAX / 2];
	int r;

	r = find_mount("cgroup2", NULL, paths->cgroup, sizeof(paths->cgroup) / 2);
	if (r < 0)
		return sp_error_set(err, r, "cannot read /proc/self/mountinfo: %s", strerror(-r));
	if (r == 0) {
		snprintf(paths->cgroup, sizeof(paths->cgroup), SP_RUN_DIR "/cgroup");
		if (mkdir(paths->cgroup, 0700) < 0 && errno != EEXIST)
			return sp_error_set(err, -errno, "cannot make %s: %s", paths->cgroup,
					    strerror(errno));
		if (mount("cgroup2", paths->cgroup, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  NULL) < 0) {
			r = -errno;
			return sp_error_set(
				err, r == -ENODEV ? -ENOENT : r,
				"cgroup v2 is not mounted and mounting it at %s failed: %s%s",
				paths->cgroup, strerror(-r),
				r == -EPERM ? " (needs root)"
					    : "; the kernel needs CONFIG_CGROUPS "
					      "and must not have cgroup v2 disabled");
		}
	}
	r = current_cgroup(own, sizeof(own));
	if (r < 0)
		return sp_error_set(err, r,
				    "this process has no cgroup v2 path (/proc/self/cgroup)");
	if (strncmp(own, "/..", 3) == 0)
		return sp_error_set(err, -ENOENT,
				    "this process's cgroup (%s) is outside its cgroup namespace",
				    own);
	snprintf(paths->current, sizeof(paths->current), "%s%s", paths->cgroup,
		 strcmp(own, "/") == 0 ? "" : own);
	while (!cgroup_is_roots(paths->current)) {
		char *slash = strrchr(paths->current, '/');

		if (!slash || strlen(paths->current) <= strlen(paths->cgroup))
			return sp_error_set(err, -EPERM,
					    "no cgroup above this process belongs to root alone");
		*slash = 0;
	}
	return 0;
}

int sp_host_find(struct sp_host_paths *ret_paths, struct sp_error **err)
{
	int r;

	if (mkdir(SP_RUN_DIR, 0700) < 0 && errno != EEXIST)
		return sp_error_set(err, -errno, "cannot make " SP_RUN_DIR ": %s%s",
				    strerror(errno),
				    geteuid() ? " (sallyport run needs root: use sudo)" : "");
	r = find_bpffs(ret_paths, err);
	if (r < 0)
		return r;
	return find_cgroup(ret_paths, err);
}
