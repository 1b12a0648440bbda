/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hide.c - hides the sockets of helpers from the command: part of the stage `mounts` of launch.c,
 * in the command's own mount namespace.
 *
 * A socket is its inode: connect() asks for that, and not by which path it was found. So each
 * target is looked for by every path by which it can be seen: where the tables say, at the same
 * place of every other mount of its file system (a bind mount of /run), at mounts of a part of it
 * (a bind mount of the socket itself), and under its other names, if it has any (hard links). What
 * is covered is what was opened and compared, not what a path leads to a moment later.
 *
 * Where a daemon has a directory of its own, the directory is covered: a mount on a socket goes
 * away when a restarting daemon unlinks it. A nested user namespace can neither take these mounts
 * off nor bind or overlay what is below them; the kernel locks them together.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hide.h"
#include "mounts.h"

#define LINKS_LOOKED_AT (1u << 20) /* directory entries, in search of other names */
#define DEPTH_MAX 64
#define MOVES_FOLLOWED 100

/* ---- mountinfo ------------------------------------------------------------------------------ */

static int add_mount(struct sp_hide_mounts *mounts, const struct sp_mount *from)
{
	struct sp_hide_mount *more, mount = {
					    .id = from->id,
					    .major = from->major,
					    .minor = from->minor,
					    .root = strdup(from->root),
					    .point = strdup(from->point),
				    };

	more = reallocarray(mounts->mounts, mounts->len + 1, sizeof(*more));
	if (more)
		mounts->mounts = more;
	if (!more || !mount.root || !mount.point) {
		free(mount.root);
		free(mount.point);
		return -ENOMEM;
	}
	mounts->mounts[mounts->len++] = mount;
	return 0;
}

int sp_hide_mounts_load(pid_t pid, struct sp_hide_mounts *ret_mounts)
{
	struct sp_hide_mounts mounts = {0};
	struct sp_mount_table table = {0};
	struct sp_mount mount;
	char path[64];
	int r, more;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	else
		snprintf(path, sizeof(path), "/proc/self/mountinfo");
	r = sp_mount_table_open(path, &table);
	if (r)
		return r;
	while (!r && (more = sp_mount_table_next(&table, &mount)) != 0)
		r = more < 0 ? more : add_mount(&mounts, &mount);
	sp_mount_table_close(&table);
	if (r)
		sp_hide_mounts_free(&mounts);
	else
		*ret_mounts = mounts;
	return r;
}

void sp_hide_mounts_free(struct sp_hide_mounts *mounts)
{
	for (size_t i = 0; i < mounts->len; i++) {
		free(mounts->mounts[i].root);
		free(mounts->mounts[i].point);
	}
	free(mounts->mounts);
	*mounts = (struct sp_hide_mounts){0};
}

int sp_hide_mount_id(int fd)
{
	char path[64], line[128];
	int id = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && id < 0 && fgets(line, sizeof(line), info))
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = -1;
	if (info)
		fclose(info);
	return id;
}

/* ---- covering ------------------------------------------------------------------------------- */

/* A tmpfs, not attached anywhere yet. */
static int make_tmpfs(uid_t uid, gid_t gid, mode_t mode)
{
	char mode_text[16], uid_text[16], gid_text[16];
	int fs, fd = -1;

	snprintf(mode_text, sizeof(mode_text), "%o", mode & 07777);
	snprintf(uid_text, sizeof(uid_text), "%u", uid);
	snprintf(gid_text, sizeof(gid_text), "%u", gid);
	fs = (int)syscall(SYS_fsopen, "tmpfs", 1u /* FSOPEN_CLOEXEC */);
	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, 1u /* SET_STRING */, "source", "sallyport", 0) ||
	    syscall(SYS_fsconfig, fs, 1u, "mode", mode_text, 0) ||
	    syscall(SYS_fsconfig, fs, 1u, "uid", uid_text, 0) ||
	    syscall(SYS_fsconfig, fs, 1u, "gid", gid_text, 0) ||
	    syscall(SYS_fsconfig, fs, 1u, "size", "4m", 0) ||
	    syscall(SYS_fsconfig, fs, 6u /* CMD_CREATE */, NULL, NULL, 0) ||
	    (fd = (int)syscall(SYS_fsmount, fs, 1u /* FSMOUNT_CLOEXEC */,
			       2u | 4u | 8u /* NOSUID, NODEV, NOEXEC */)) < 0)
		fd = -errno;
	close(fs);
	return fd;
}

/* Owned by root and not writable: what the command sees there, it did not put there. */
int sp_hide_tmpfs(void)
{
	return make_tmpfs(0, 0, 0755);
}

/* Copies regular files of at most 1 MiB; anything else, sockets above all, stays behind. */
static int copy_files(int from_dir, int to_dir)
{
	int dup = fcntl(from_dir, F_DUPFD_CLOEXEC, 3);
	DIR *dir = dup < 0 ? NULL : fdopendir(dup);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (dup >= 0)
			close(dup);
		return r;
	}
	while (!r && (entry = readdir(dir))) {
		struct stat st;
		int from, to;
		off_t done = 0;

		if (fstatat(from_dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode) || st.st_size > 1 << 20)
			continue;
		from = openat(from_dir, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (from < 0)
			continue;
		to = openat(to_dir, entry->d_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    st.st_mode & 0755);
		if (to < 0 || fchmod(to, st.st_mode & 0755) || fchown(to, st.st_uid, st.st_gid)) {
			r = -errno;
		} else {
			char buf[4096];
			ssize_t len;

			while (!r && done < 1 << 20 && (len = read(from, buf, sizeof(buf))) > 0) {
				if (write(to, buf, (size_t)len) != len)
					r = -EIO;
				done += len;
			}
		}
		if (to >= 0)
			close(to);
		close(from);
	}
	closedir(dir);
	return r;
}

int sp_hide_remount_read_only(const char *path, unsigned long flags)
{
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL))
		return -errno;
	return 0;
}

/* Onto what was opened, whatever its path leads to by now. */
static int attach(int mount_fd, int target)
{
	if (syscall(SYS_move_mount, mount_fd, "", target, "", 0x44u /* both EMPTY_PATH */))
		return -errno;
	return 0;
}

static int cover_directory(int target, const struct stat *st, enum sp_hide_how how)
{
	bool own = how == SP_HIDE_OWN || how == SP_HIDE_OWN_MADE;
	/* Not its own: root's and not writable. What the command sees there, it did not put there.
	 */
	int tmpfs = own ? make_tmpfs(st->st_uid, st->st_gid, st->st_mode) : make_tmpfs(0, 0, 0755);
	int files = -1, r = 0;

	if (tmpfs < 0)
		return tmpfs;
	if (how == SP_HIDE_BUT_FILES) {
		files = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = files < 0 ? -errno : copy_files(files, tmpfs);
	}
	if (!r && !own) {
		struct {
			uint64_t set, clear, propagation, userns_fd;
		} read_only = {.set = 1 /* MOUNT_ATTR_RDONLY */};

		/* Linux 5.12 */
		if (syscall(442 /* mount_setattr */, tmpfs, "", AT_EMPTY_PATH, &read_only,
			    sizeof(read_only)))
			r = -errno;
	}
	if (!r)
		r = attach(tmpfs, target);
	if (files >= 0)
		close(files);
	close(tmpfs);
	return r;
}

static int cover_socket(int target)
{
	int null = (int)syscall(SYS_open_tree, AT_FDCWD, "/dev/null",
				1u /* OPEN_TREE_CLONE */ | O_CLOEXEC);
	int r = null < 0 ? -errno : attach(null, target);

	if (null >= 0)
		close(null);
	return r;
}

int sp_hide_directory(const char *path, bool keep_files)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), r;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	r = fstat(fd, &st)
		    ? -errno
		    : cover_directory(fd, &st, keep_files ? SP_HIDE_BUT_FILES : SP_HIDE_DIRECTORY);
	close(fd);
	return r;
}

/* ---- by every path -------------------------------------------------------------------------- */

static unsigned int covers; /* made by this process, of whatever target */

static int cover_open(const struct sp_hide_target *target, int fd, const struct stat *st)
{
	covers++;
	if (!S_ISDIR(st->st_mode))
		return cover_socket(fd);
	return cover_directory(fd, st, target->how);
}

/* Covers `path` if it is the target; 0 also if it is not. */
static int cover_if(const struct sp_hide_target *target, const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0) /* not there, or not for root: a file system of a user's own */
		return 0;
	if (!fstat(fd, &st) && st.st_dev == target->dev && st.st_ino == target->ino)
		r = cover_open(target, fd, &st);
	close(fd);
	return r;
}

/* A mount that shows a part of a directory that is hidden: that part, whatever it is. */
static int cover_part(const struct sp_hide_target *target, const struct sp_hide_mount *mount)
{
	int fd = open(mount->point, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0)
		return 0;
	/* Its id: is it this mount, or one on top of it? */
	if (!fstat(fd, &st) && sp_hide_mount_id(fd) == mount->id &&
	    (S_ISDIR(st.st_mode) || S_ISSOCK(st.st_mode)))
		r = cover_open(target, fd, &st);
	close(fd);
	return r;
}

/* What is left of `path` behind `root`, or NULL: not below it. */
static const char *below(const char *path, const char *root)
{
	size_t len = strlen(root);

	if (!strcmp(root, "/"))
		return path;
	if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

static bool same_file_system(const struct sp_hide_target *target, const struct sp_hide_mount *mount)
{
	return mount->major == target->major && mount->minor == target->minor;
}

static int cover_in_mounts(const struct sp_hide_target *target, const struct sp_hide_mounts *mounts,
			   char at[PATH_MAX])
{
	int r = 0;

	for (size_t i = 0; i < mounts->len && !r; i++) {
		const struct sp_hide_mount *mount = &mounts->mounts[i];
		const char *rest;

		if (!same_file_system(target, mount))
			continue;
		rest = below(target->place, mount->root);
		if (rest) {
			const char *point = strcmp(mount->point, "/") ? mount->point : "";

			if (snprintf(at, PATH_MAX, "%s%s", point, rest) < PATH_MAX)
				r = cover_if(target, at);
		} else if (S_ISDIR(target->mode) && below(mount->root, target->place)) {
			snprintf(at, PATH_MAX, "%s", mount->point);
			r = cover_part(target, mount);
		}
	}
	return r;
}

/* Looks through one mount for other names of a socket. */
/* NOLINTNEXTLINE(misc-no-recursion): to DEPTH_MAX */
static int cover_links(const struct sp_hide_target *target, int dir_fd, const char *path,
		       unsigned int *left, unsigned int depth, char at[PATH_MAX])
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		close(dir_fd);
		return -ENOMEM;
	}
	while (!r && (entry = readdir(dir))) {
		char *name = NULL;
		struct stat st;
		int fd;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!(*left)--) {
			*left = 0;
			r = -E2BIG;
			break;
		}
		if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN &&
		    entry->d_ino != target->ino)
			continue;
		if (asprintf(&name, "%s/%s", path, entry->d_name) < 0) {
			r = -ENOMEM;
			break;
		}
		fd = openat(dirfd(dir), entry->d_name,
			    entry->d_ino == target->ino
				    ? O_PATH | O_NOFOLLOW | O_CLOEXEC
				    : O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && !fstat(fd, &st) && st.st_dev == target->dev) {
			if (st.st_ino == target->ino) {
				snprintf(at, PATH_MAX, "%s", name);
				r = cover_open(target, fd, &st);
			} else if (S_ISDIR(st.st_mode) && depth) {
				r = cover_links(target, fd, name, left, depth - 1, at);
				fd = -1;
			} else if (S_ISDIR(st.st_mode)) {
				r = -E2BIG;
			}
		}
		if (fd >= 0)
			close(fd);
		free(name);
	}
	closedir(dir);
	return r;
}

static int cover_other_names(const struct sp_hide_target *target,
			     const struct sp_hide_mounts *mounts, char at[PATH_MAX])
{
	unsigned int left = LINKS_LOOKED_AT;
	int r = 0;

	for (size_t i = 0; i < mounts->len && !r; i++) {
		const struct sp_hide_mount *mount = &mounts->mounts[i];
		int fd;

		if (!same_file_system(target, mount))
			continue;
		snprintf(at, PATH_MAX, "%s", mount->point);
		fd = open(mount->point, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) { /* a mount of one file: looked at above by its place only */
			r = cover_if(target, mount->point);
			continue;
		}
		r = cover_links(target, fd, strcmp(mount->point, "/") ? mount->point : "", &left,
				DEPTH_MAX, at);
	}
	return r;
}

/*
 * What was not found under any path: it is gone, or not in sight, or somebody moves a directory
 * above it to and fro just now. sallyport has it open, which tells where it is. Whoever moves it
 * has to win each of these times.
 */
static int cover_moving(const struct sp_hide_list *list, const struct sp_hide_target *target,
			char at[PATH_MAX])
{
	unsigned int before = covers;
	char link[64];
	int r = 0;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", list->owner, target->fd);
	for (int i = 0; i < MOVES_FOLLOWED && covers == before && !r; i++) {
		ssize_t len = readlink(link, at, PATH_MAX - 1);

		if (len <= 0)
			break;
		at[len] = '\0';
		r = cover_if(target, at);
	}
	return r;
}

int sp_hide_cover(const struct sp_hide_list *list, char at[PATH_MAX])
{
	struct sp_hide_mounts mounts = {0};
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < list->len; i++)
		any = any || list->targets[i].hidden;
	if (!any)
		return 0;
	snprintf(at, PATH_MAX, "/proc/self/mountinfo");
	r = sp_hide_mounts_load(0, &mounts);
	for (size_t i = 0; i < list->len && !r; i++) {
		const struct sp_hide_target *target = &list->targets[i];
		unsigned int before = covers;

		if (!target->hidden)
			continue;
		snprintf(at, PATH_MAX, "%s", target->path);
		r = cover_if(target, target->path);
		if (!r && target->place)
			r = cover_in_mounts(target, &mounts, at);
		if (!r && !S_ISDIR(target->mode) && target->nlink > 1)
			r = cover_other_names(target, &mounts, at);
		if (!r && covers == before && target->fd)
			r = cover_moving(list, target, at);
	}
	sp_hide_mounts_free(&mounts);
	return r;
}
