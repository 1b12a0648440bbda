// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * host.c - finding bpffs and cgroup v2 through the mount table, never by a fixed path.
 *
 * Where the pins are. Every start must find those of the others, and they must outlive each
 * sandbox, so they belong into a bpffs that the first process (of this PID namespace) has mounted:
 * nothing outlives that. It is told by its device number, which is in that process's mount table.
 * `ip netns exec` gives its command a fresh /sys without a bpffs; then the first process's is
 * entered by /proc/1/root, and if it has none, one is mounted for it. Any other bpffs is *private*:
 * it goes with some mount namespace. It is used where there is nothing better (another container's
 * PID namespace; no rights over the first process), and nothing rests on it: programs are attached
 * to the cgroup itself (box.c), and only the next start does not find them.
 *
 * A bpffs that others can write to is passed over: they could be there first, under our name.
 *
 * cgroup v2 is one hierarchy, whoever mounts it. Where it is not mounted, it is for us alone.
 *
 * A box is made below the caller's cgroup, so that limits and the caller's own clean-up go on to
 * hold. But a process may leave its cgroup if it can write to a common ancestor's cgroup.procs; so
 * where the caller's cgroup belongs to a user (systemd delegates user@.service), the nearest one
 * above it that belongs to root is taken instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine.h"
#include "mounts.h"

#define FIRST_ROOT "/proc/1/root"
#define FS_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* ---- mount tables --------------------------------------------------------------------------- */

/* Does `use` take a mount of this type, whole, of this table? 1, 0, or -errno. */
static int find_mount(const char *path, const char *type,
		      bool (*use)(const struct sp_mount *mount, void *data), void *data)
{
	struct sp_mount_table table = {0};
	struct sp_mount mount;
	int r;

	r = sp_mount_table_open(path, &table);
	if (r < 0)
		return r;
	do
		r = sp_mount_table_next(&table, &mount);
	while (r > 0 && (strcmp(mount.type, type) != 0 || strcmp(mount.root, "/") != 0 ||
			 !use(&mount, data)));
	sp_mount_table_close(&table);
	return r;
}

/* ---- bpffs ---------------------------------------------------------------------------------- */

#define DEVICES 32

struct search {
	struct sp_host_paths *paths;
	const char *prefix;
	dev_t devices[DEVICES]; /* of the first process's bpffs */
	unsigned int devices_len;
	bool same;
	bool first_only; /* only what the first process has too */
};

static bool is_ours_alone(const struct stat *st)
{
	return S_ISDIR(st->st_mode) && st->st_uid == 0 && !(st->st_mode & 077);
}

/*
 * May pins lie in the bpffs at this path? Nobody else may make, or have made, our directory in it.
 * If not, why is in the paths, for `doctor`.
 */
static bool suitable(struct sp_host_paths *paths, const char *path)
{
	const char *why = NULL;
	struct statfs fs;
	struct stat st;
	int fd;

	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != BPF_FS_MAGIC || fstat(fd, &st) < 0) {
		close(fd); /* covered by another mount */
		return false;
	}
	if (fs.f_flags & ST_RDONLY)
		why = "is read-only";
	else if (st.st_uid != 0 || (st.st_mode & 022 && !(st.st_mode & S_ISVTX)))
		why = "can be changed by others than root";
	else if (fstatat(fd, "sallyport", &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_ours_alone(&st))
		why = "has a directory \"sallyport\" that is not root's alone";
	close(fd);
	if (why)
		snprintf(paths->refused, sizeof(paths->refused), "%.200s %s", path, why);
	return !why;
}

static bool note_device(const struct sp_mount *mount, void *data)
{
	struct search *s = data;

	if (s->devices_len < DEVICES)
		s->devices[s->devices_len++] = makedev(mount->major, mount->minor);
	return false;
}

/* The usual place is taken before any other. */
static bool take_bpffs(const struct sp_mount *mount, void *data)
{
	static const char usual[] = "/sys/fs/bpf";
	struct search *s = data;
	bool known = !s->first_only;
	char path[PATH_MAX];

	for (unsigned int i = 0; i < s->devices_len && !known; i++)
		known = makedev(mount->major, mount->minor) == s->devices[i];
	if (!known ||
	    snprintf(path, sizeof(path), "%s%s", s->prefix, mount->point) >= (int)sizeof(path) ||
	    !suitable(s->paths, path))
		return false;
	if (!s->paths->bpffs[0] || strcmp(mount->point, usual) == 0)
		snprintf(s->paths->bpffs, sizeof(s->paths->bpffs), "%s", path);
	return strcmp(mount->point, usual) == 0;
}

/* 1, 0, or -errno. */
static int look_for_bpffs(struct search *s, const char *table, const char *prefix, bool first_only)
{
	int r;

	s->prefix = prefix;
	s->first_only = first_only;
	s->paths->bpffs[0] = '\0';
	r = find_mount(table, "bpf", take_bpffs, s);
	return r < 0 ? r : s->paths->bpffs[0] != '\0';
}

/* Is this namespace the first process's? Mounts have a number of their own, the host over. */
static int compare_namespaces(struct search *s)
{
	struct sp_mount_table own = {0}, first = {0};
	struct sp_mount mount = {0};
	int r, id;

	r = sp_mount_table_open("/proc/self/mountinfo", &own);
	if (r == 0)
		r = sp_mount_table_next(&own, &mount);
	id = mount.id;
	/* without it, nothing is the first process's */
	if (r > 0 && sp_mount_table_open("/proc/1/mountinfo", &first) == 0) {
		while (!s->same && (r = sp_mount_table_next(&first, &mount)) > 0)
			s->same = mount.id == id;
	}
	sp_mount_table_close(&own);
	sp_mount_table_close(&first);
	return r < 0 ? r : 0;
}

/* Mounts a bpffs in the mount namespace of the calling thread, where nobody but root has to do. */
static int mount_bpffs(void)
{
	static const char usual[] = "/sys/fs/bpf", own[] = SP_RUN_DIR "/bpf";
	struct statfs fs;

	if (statfs(usual, &fs) == 0 && fs.f_type != BPF_FS_MAGIC &&
	    mount("bpf", usual, "bpf", FS_FLAGS, "mode=0700") == 0)
		return 0;
	if ((mkdir(SP_RUN_DIR, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(own, 0700) < 0 && errno != EEXIST))
		return -errno;
	return mount("bpf", own, "bpf", FS_FLAGS, "mode=0700") < 0 ? -errno : 0;
}

/* A thread may be in a mount namespace of its own, once it shares no directory with the others. */
static void *mount_for_first(void *data)
{
	int *result = data, fd;

	fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || unshare(CLONE_FS) < 0 || setns(fd, CLONE_NEWNS) < 0)
		*result = -errno;
	else
		*result = mount_bpffs();
	if (fd >= 0)
		close(fd);
	return NULL;
}

/*
 * Makes a file system that no mount namespace has: it is there as long as the descriptor is.
 * `mode`: of its root, or NULL.
 */
static int mount_detached(const char *type, const char *mode)
{
	int fs, fd = -1, r;

	fs = (int)syscall(SYS_fsopen, type, 1u /* FSOPEN_CLOEXEC */);
	if (fs < 0)
		return -errno;
	r = mode ? (int)syscall(SYS_fsconfig, fs, 1u /* FSCONFIG_SET_STRING */, "mode", mode, 0)
		 : 0;
	if (r == 0)
		r = (int)syscall(SYS_fsconfig, fs, 6u /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0);
	if (r == 0)
		fd = (int)syscall(SYS_fsmount, fs, 1u /* FSMOUNT_CLOEXEC */,
				  0xeu /* MOUNT_ATTR_NOSUID, _NODEV, _NOEXEC */);
	if (r < 0 || fd < 0)
		fd = -errno;
	close(fs);
	return fd;
}

/* To be said of EPERM. A root that is not enough is most often that of a sandbox, or a container's.
 */
static const char *who_may(void)
{
	return geteuid() ? " (needs root)"
			 : " (needs CAP_SYS_ADMIN, which root in a sandbox or container lacks; "
			   "sandboxes do not nest)";
}

/* Whatever bpffs there is, or one for this process: what is pinned in it is not for long. */
static int find_private_bpffs(struct search *s, struct sp_error **err)
{
	struct sp_host_paths *paths = s->paths;
	int r;

	paths->bpffs_private = true;
	r = look_for_bpffs(s, "/proc/self/mountinfo", "", false);
	if (r > 0)
		return 0;
	paths->bpffs_fd = mount_detached("bpf", "0700");
	if (paths->bpffs_fd < 0)
		return sp_error_set(err, paths->bpffs_fd,
				    "there is no bpffs that can be used, and mounting one failed: "
				    "%s%s%s%s",
				    strerror(-paths->bpffs_fd),
				    paths->bpffs_fd == -EPERM ? who_may() : "",
				    paths->refused[0] ? "; " : "", paths->refused);
	snprintf(paths->bpffs, sizeof(paths->bpffs), "/proc/self/fd/%d", paths->bpffs_fd);
	return 0;
}

static int find_bpffs(struct sp_host_paths *paths, struct sp_error **err)
{
	struct search s = {.paths = paths};
	const char *prefix;
	pthread_t thread;
	int r, mounted;

	r = compare_namespaces(&s);
	if (r < 0)
		return sp_error_set(err, r, "cannot read /proc/self/mountinfo: %s%s", strerror(-r),
				    r == -ENOENT ? " (is /proc mounted?)" : "");
	/* without it, nothing is the first process's */
	find_mount("/proc/1/mountinfo", "bpf", note_device, &s);
	r = look_for_bpffs(&s, "/proc/self/mountinfo", "", true);
	if (r < 0)
		return sp_error_set(err, r, "cannot read /proc/self/mountinfo: %s", strerror(-r));
	if (r > 0)
		return 0;
	prefix = s.same ? "" : FIRST_ROOT;
	if (!s.same && look_for_bpffs(&s, "/proc/1/mountinfo", prefix, false) > 0)
		return 0;
	if (s.same)
		mounted = mount_bpffs();
	else if (pthread_create(&thread, NULL, mount_for_first, &mounted) == 0)
		pthread_join(thread, NULL);
	else
		mounted = -EAGAIN;
	if (mounted == 0 && look_for_bpffs(&s, "/proc/1/mountinfo", prefix, false) > 0)
		return 0;
	return find_private_bpffs(&s, err);
}

/* ---- cgroup v2 ------------------------------------------------------------------------------ */

/* The cgroup v2 path of this process, as the kernel tells it: "/..." */
static int current_cgroup(char *ret, size_t size)
{
	char *line = NULL;
	size_t room = 0;
	int r = -ENOENT;
	FILE *f;

	f = fopen("/proc/self/cgroup", "re");
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = 0;
		r = snprintf(ret, size, "%s", line + 3) < (int)size ? 0 : -ENAMETOOLONG;
		break;
	}
	free(line);
	fclose(f);
	return r;
}

/* May only root move processes in and out of this cgroup? */
static bool cgroup_is_roots(const struct sp_host_paths *paths)
{
	char procs[sizeof(paths->current) + 16];
	struct stat st;

	snprintf(procs, sizeof(procs), "./%s/cgroup.procs", paths->current);
	if (fstatat(paths->cgroup_fd, procs, &st, 0) < 0)
		/* the root cgroup of a hierarchy has the file too; anything else is not for us */
		return false;
	return st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* One that is mounted, and can be written to. */
static bool take_cgroup(const struct sp_mount *mount, void *data)
{
	struct sp_host_paths *paths = data;
	struct statfs fs;
	int fd;

	if (strncmp(mount->options, "ro", 2) == 0)
		return false;
	fd = open(mount->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC ||
	    strlen(mount->point) >= sizeof(paths->cgroup)) {
		close(fd);
		return false;
	}
	paths->cgroup_fd = fd;
	snprintf(paths->cgroup, sizeof(paths->cgroup), "%s",
		 strcmp(mount->point, "/") == 0 ? "" : mount->point);
	return true;
}

static int find_cgroup(struct sp_host_paths *paths, struct sp_error **err)
{
	int r;

	r = find_mount("/proc/self/mountinfo", "cgroup2", take_cgroup, paths);
	if (r < 0)
		return sp_error_set(err, r, "cannot read /proc/self/mountinfo: %s", strerror(-r));
	if (r == 0) {
		paths->cgroup_fd = r = mount_detached("cgroup2", NULL);
		if (r < 0)
			return sp_error_set(err, r == -ENODEV ? -ENOENT : r,
					    "cgroup v2 is not mounted and mounting it failed: %s%s",
					    strerror(-r),
					    r == -EPERM ? who_may()
							: "; the kernel needs CONFIG_CGROUPS "
							  "and must not have cgroup v2 disabled");
	}
	r = current_cgroup(paths->current, sizeof(paths->current));
	if (r == -ENAMETOOLONG)
		return sp_error_set(err, r, "the path of this process's cgroup is too long");
	if (r < 0)
		return sp_error_set(err, r,
				    "this process has no cgroup v2 path (/proc/self/cgroup)");
	if (strncmp(paths->current, "/..", 3) == 0)
		return sp_error_set(err, -ENOENT,
				    "this process's cgroup (%s) is outside its cgroup namespace",
				    paths->current);
	if (strcmp(paths->current, "/") == 0)
		paths->current[0] = '\0';
	while (!cgroup_is_roots(paths)) {
		char *slash = strrchr(paths->current, '/');

		if (!slash)
			return sp_error_set(err, -EPERM,
					    "no cgroup above this process belongs to root alone");
		*slash = 0;
	}
	return 0;
}

int sp_host_find(struct sp_host_paths *ret_paths, struct sp_error **err)
{
	int r;

	ret_paths->bpffs_fd = ret_paths->cgroup_fd = -1;
	r = find_bpffs(ret_paths, err);
	if (r < 0)
		return r;
	return find_cgroup(ret_paths, err);
}

void sp_host_forget(struct sp_host_paths *paths)
{
	if (paths->bpffs_fd >= 0)
		close(paths->bpffs_fd);
	if (paths->cgroup_fd >= 0)
		close(paths->cgroup_fd);
	paths->bpffs_fd = paths->cgroup_fd = -1;
}
