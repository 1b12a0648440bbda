/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hide_find.c - where the helpers of helpers.c are on this host.
 *
 * By the places and variables of the table first, then by process: the sockets in the file system
 * that are held by a process with one of the names. Each is kept as what it is (device and inode)
 * and as its place in its file system, by which hide.c finds it in other mounts. A socket that is
 * found twice is the helper's that comes first; but a place says less than the process that holds
 * the socket where it would be left in reach: sshd puts forwarded agents where agents are, and the
 * command of an earlier run can have put a link to another's socket there.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hide.h"

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89e0 /* Linux 4.12, linux/un.h */
#endif

struct find {
	uid_t uid;
	gid_t gid;
	const char *home;
	bool enforce;
	const struct sp_shares *shares;
	struct sp_hide_list *list;
	struct sp_hide_mounts own; /* of this process */
};

/* ---- targets -------------------------------------------------------------------------------- */

/* The place of an open file in its file system: the root of its mount, and its path below that. */
static char *place_of(int fd, const struct sp_hide_mounts *mounts, struct sp_hide_target *target)
{
	char link[64], path[PATH_MAX], *place = NULL;
	int id = sp_hide_mount_id(fd);
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (id < 0 || len <= 0 || *path != '/')
		return NULL;
	path[len] = '\0';
	for (size_t i = 0; i < mounts->len; i++) {
		const struct sp_hide_mount *mount = &mounts->mounts[i];
		size_t point = strcmp(mount->point, "/") ? strlen(mount->point) : 0;

		if (mount->id != id)
			continue;
		if (strncmp(path, mount->point, point) != 0)
			return NULL;
		target->major = mount->major;
		target->minor = mount->minor;
		if (asprintf(&place, "%s%s", strcmp(mount->root, "/") ? mount->root : "",
			     path + point) < 0)
			return NULL;
		if (!*place) { /* the root of its file system */
			free(place);
			place = strdup("/");
		}
		return place;
	}
	return NULL;
}

static bool is_hidden(const struct find *find, const struct sp_helper *helper)
{
	return !sp_shared(find->shares, helper) &&
	       (helper->when == SP_HIDE_ALWAYS ||
		(helper->when == SP_HIDE_ENFORCED && find->enforce));
}

static struct sp_hide_target *known(const struct find *find, const struct stat *st)
{
	for (size_t i = 0; i < find->list->len; i++)
		if (find->list->targets[i].dev == st->st_dev &&
		    find->list->targets[i].ino == st->st_ino)
			return &find->list->targets[i];
	return NULL;
}

static bool is_left(const struct sp_helper *helper)
{
	return helper->when == SP_HIDE_NEVER;
}

/*
 * What is to be hidden stays open until it is: whoever may rename a directory above could do so
 * between here and there. Only what this mount namespace has, and while there is room.
 */
static int keep_open(const struct find *find, int fd)
{
	int id = sp_hide_mount_id(fd), kept = -1;
	struct rlimit limit;

	for (size_t i = 0; i < find->own.len && kept < 0; i++)
		if (find->own.mounts[i].id == id)
			kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (kept >= 0 && (getrlimit(RLIMIT_NOFILE, &limit) || (rlim_t)kept > limit.rlim_cur / 2)) {
		close(kept);
		kept = -1;
	}
	return kept < 0 ? 0 : kept;
}

/* Left in reach for what it seemed to be, and somebody else's. */
static void found_again(const struct find *find, struct sp_hide_target *target,
			const struct sp_helper *helper, int fd)
{
	if (!is_left(target->helper) || is_left(helper))
		return;
	target->helper = helper;
	target->hidden = is_hidden(find, helper);
	if (target->hidden && !target->fd)
		target->fd = keep_open(find, fd);
}

/* Takes an open file into the list, if it is what can be hidden in this way. */
static int add_target(struct find *find, const struct sp_helper *helper, enum sp_hide_how how,
		      const char *path, int fd, const struct sp_hide_mounts *mounts)
{
	struct sp_hide_target *more, *before, target = {.helper = helper, .how = how};
	struct stat st;

	if (fstat(fd, &st))
		return 0;
	before = known(find, &st);
	if (before) {
		found_again(find, before, helper, fd);
		return 0;
	}
	if (how == SP_HIDE_SOCKET ? !S_ISSOCK(st.st_mode) && !S_ISFIFO(st.st_mode)
				  : !S_ISDIR(st.st_mode))
		return 0;
	target.hidden = is_hidden(find, helper);
	target.dev = st.st_dev;
	target.ino = st.st_ino;
	target.nlink = st.st_nlink;
	target.uid = st.st_uid;
	target.gid = st.st_gid;
	target.mode = st.st_mode;
	target.path = strdup(path);
	more = target.path ? reallocarray(find->list->targets, find->list->len + 1, sizeof(*more))
			   : NULL;
	if (!more) {
		free(target.path);
		return -ENOMEM;
	}
	target.place = place_of(fd, mounts, &target);
	if (target.hidden)
		target.fd = keep_open(find, fd);
	find->list->targets = more;
	find->list->targets[find->list->len++] = target;
	return 0;
}

/*
 * Sockets in a directory that is hidden which have another name somewhere: hidden by themselves
 * too, and first, since the directory's cover would be on top.
 */
/* NOLINTNEXTLINE(misc-no-recursion): to depth */
static int add_linked(struct find *find, const struct sp_helper *helper, int dir_fd,
		      const char *path, unsigned int depth)
{
	int again = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;

	if (!dir) {
		if (again >= 0)
			close(again);
		return 0; /* not to be read: a user's own file system */
	}
	while (!r && (entry = readdir(dir))) {
		char *name = NULL;
		struct stat st;
		int fd;

		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_SOCK && entry->d_type != DT_DIR))
			continue;
		fd = openat(again, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st)) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
			r = -ENOMEM;
		else if (S_ISSOCK(st.st_mode) && st.st_nlink > 1)
			r = add_target(find, helper, SP_HIDE_SOCKET, name, fd, &find->own);
		else if (S_ISDIR(st.st_mode) && depth)
			r = add_linked(find, helper, fd, name, depth - 1);
		free(name);
		close(fd);
	}
	closedir(dir);
	return r;
}

static int add_path(struct find *find, const struct sp_helper *helper, enum sp_hide_how how,
		    const char *path)
{
	/* A link to it makes nothing an agent. */
	int fd = open(path, O_PATH | O_CLOEXEC | (is_left(helper) ? O_NOFOLLOW : 0)), r = 0;
	struct stat st;

	if (fd < 0) /* not there, or not for root */
		return 0;
	if (is_left(helper) && (fstat(fd, &st) || st.st_nlink > 1)) {
		close(fd);
		return 0;
	}
	if (how != SP_HIDE_SOCKET)
		r = add_linked(find, helper, fd, path, 2);
	if (!r)
		r = add_target(find, helper, how, path, fd, &find->own);
	close(fd);
	return r;
}

/* ---- places --------------------------------------------------------------------------------- */

/*
 * Paths that match, a component at a time: `done` is a path, `rest` a pattern behind it. Names that
 * were found are not patterns, whatever is in them. Not by glob(): that of glibc 2.36 frees twice
 * when memory runs out below a directory with a wildcard.
 */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as a pattern of the table has wildcards */
static int add_matches(struct find *find, const struct sp_helper *helper, enum sp_hide_how how,
		       const char *done, const char *rest)
{
	const char *wild = strpbrk(rest, "*?["), *start = wild, *end;
	char path[PATH_MAX], name[NAME_MAX + 1];
	struct dirent *d;
	int r = 0, len;
	DIR *dir;

	if (!wild) {
		if (snprintf(path, sizeof(path), "%s%s", done, rest) >= (int)sizeof(path))
			return 0;
		return add_path(find, helper, how, path);
	}
	while (start > rest && start[-1] != '/')
		start--;
	end = strchrnul(wild, '/');
	len = snprintf(path, sizeof(path), "%s%.*s", done, (int)(start - rest), rest);
	if (len >= (int)sizeof(path) || end - start > NAME_MAX)
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(end - start), start);
	dir = opendir(path);
	if (!dir)
		return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : 0;
	while (!r && (d = readdir(dir))) {
		if (fnmatch(name, d->d_name, FNM_PERIOD) != 0 ||
		    snprintf(path + len, sizeof(path) - len, "%s", d->d_name) >=
			    (int)sizeof(path) - len)
			continue;
		r = add_matches(find, helper, how, path, end);
	}
	closedir(dir);
	return r;
}

/*
 * A directory that a program makes when it first needs it, made now, as that program would: for a
 * user that may come to need it, one with a home.
 */
static void make_as_user(const struct find *find, const char *directory, const char *pattern)
{
	char path[PATH_MAX];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct stat st;

	if (!find->enforce || !find->home || stat(find->home, &st) || st.st_uid != find->uid)
		return;
	if (strpbrk(pattern, "*?[") ||
	    snprintf(path, sizeof(path), "%s%s", directory, pattern) >= PATH_MAX ||
	    !lstat(path, &st))
		return;
	setfsgid(find->gid);
	setfsuid(find->uid);
	(void)!mkdir(path, 0700);
	setfsuid(uid);
	setfsgid(gid);
}

/*
 * With "%u" in it, for one run-time directory, home or none before it: which is a path, and no
 * pattern whatever is in it.
 */
static int add_pattern(struct find *find, const struct sp_helper_place *place,
		       const char *directory, const char *pattern)
{
	const struct sp_helper *helper = sp_helper_find(place->helper);
	const char *user = strstr(pattern, "%u");
	char path[PATH_MAX], number[16];
	int r = 0;

	if (!user) {
		r = add_matches(find, helper, place->how, directory, pattern);
		/* where /var/run is no link to /run */
		if (!r && !*directory && !strncmp(pattern, "/run/", 5))
			r = add_matches(find, helper, place->how, "/var", pattern);
		return r;
	}
	snprintf(number, sizeof(number), "%u", find->uid);
	for (int all = 0; all < 2 && !r; all++) {
		if (all && find->uid) /* root reaches everybody's */
			break;
		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)(user - pattern), pattern,
			     all ? "*" : number, user + 2) >= PATH_MAX)
			break;
		if (place->how == SP_HIDE_OWN_MADE && is_hidden(find, helper))
			make_as_user(find, directory, path);
		r = add_matches(find, helper, place->how, directory, path);
	}
	return r;
}

static int add_runtime(struct find *find, const struct sp_helper_place *place)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *rest = place->path + 2;
	char logind[64], all[PATH_MAX];
	int r = 0;

	/* Both: under sudo the variable is gone, or another user's. */
	snprintf(logind, sizeof(logind), "/run/user/%u", find->uid);
	if (find->uid)
		r = add_pattern(find, place, logind, rest);
	else if (snprintf(all, sizeof(all), "/run/user/*%s", rest) < PATH_MAX)
		r = add_pattern(find, place, "", all);
	if (!r && runtime && *runtime == '/')
		r = add_pattern(find, place, runtime, rest);
	return r;
}

/* 16: it is no digit. */
static unsigned int hex(char c)
{
	if (isdigit((unsigned char)c))
		return (unsigned int)(c - '0');
	return isxdigit((unsigned char)c) ? (unsigned int)(tolower((unsigned char)c) - 'a') + 10
					  : 16;
}

bool sp_hide_address(const char **rest, char path[PATH_MAX])
{
	const char *from = *rest, *address;
	size_t len = 0;
	bool raw;

	while (from && *from) {
		const char *end = from + strcspn(from, ";");

		address = strstr(from, "unix:");
		raw = *from == '/';
		if (!raw && (!address || address >= end)) {
			from = *end ? end + 1 : end;
			continue;
		}
		if (!raw)
			from = address + 5;
		if (!strncmp(from, "path=", 5))
			from += 5;
		while (from[0] == '/' && from[1] == '/')
			from++;
		for (; *from && !strchr(",;", *from) && len < PATH_MAX - 1; from++) {
			if (!raw && *from == '%' && hex(from[1]) < 16 && hex(from[2]) < 16) {
				path[len++] = (char)(hex(from[1]) << 4 | hex(from[2]));
				from += 2;
			} else {
				path[len++] = *from;
			}
		}
		path[len] = '\0';
		*rest = *end ? end + 1 : end;
		if (*path == '/' && strlen(path) == len && len < PATH_MAX - 1)
			return true;
		from = *rest;
		len = 0;
	}
	*rest = from;
	return false;
}

static int add_variable(struct find *find, const struct sp_helper_place *place)
{
	const struct sp_helper *helper = sp_helper_find(place->helper);
	const char *value = getenv(place->path + 1), *rest = value;
	struct sp_helper_place relative = *place;
	char path[PATH_MAX];
	int r = 0;

	if (!value || !*value)
		return 0;
	if (!strcmp(place->path, "$WAYLAND_DISPLAY") && !strchr(value, '/')) {
		if (snprintf(path, sizeof(path), "%%r/%s", value) >= PATH_MAX ||
		    strpbrk(value, "*?[%"))
			return 0;
		relative.path = path;
		return add_runtime(find, &relative);
	}
	if (*value == '/') /* whole, if there is a comma in it */
		r = add_path(find, helper, place->how, value);
	while (!r && sp_hide_address(&rest, path))
		r = add_path(find, helper, place->how, path);
	return r;
}

static int add_places(struct find *find)
{
	int r = 0;

	for (const struct sp_helper_place *place = sp_helper_places; place->helper && !r; place++) {
		if (place->path[0] == '$')
			r = add_variable(find, place);
		else if (!strncmp(place->path, "%r/", 3))
			r = add_runtime(find, place);
		else if (strncmp(place->path, "%h/", 3) != 0)
			r = add_pattern(find, place, "", place->path);
		else if (find->home && *find->home == '/' && find->home[1])
			r = add_pattern(find, place, find->home, place->path + 2);
	}
	return r;
}

/* ---- processes ------------------------------------------------------------------------------ */

struct held {
	unsigned long inode; /* of the socket, not of its file */
	const struct sp_helper *helper;
	pid_t pid;
	int number; /* its descriptor there */
};

/* A network namespace, through a process that is in it: /proc/PID/net/unix has the sockets of one.
 */
struct seen_netns {
	ino_t ino;
	pid_t pid; /* 0: this one */
};

struct held_list {
	struct held *held;
	size_t len;
	struct seen_netns *netns;
	size_t netns_len;
};

static bool comm_is(const char *comm, const char *pattern)
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : 0, len = strlen(comm), after;

	if (!star)
		return !strcmp(comm, pattern);
	after = strlen(star + 1);
	return len >= before + after && !strncmp(comm, pattern, before) &&
	       !strcmp(comm + len - after, star + 1);
}

static const struct sp_helper *helper_of(pid_t pid)
{
	char path[64], comm[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	if (!fgets(comm, sizeof(comm), file))
		*comm = '\0';
	fclose(file);
	comm[strcspn(comm, "\n")] = '\0';
	for (const struct sp_helper_process *known = sp_helper_processes; known->helper; known++)
		if (comm_is(comm, known->comm))
			return sp_helper_find(known->helper);
	return NULL;
}

static int see_netns(struct held_list *list, pid_t pid)
{
	struct seen_netns *more;
	char path[64];
	struct stat st;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	else
		snprintf(path, sizeof(path), "/proc/self/ns/net");
	if (stat(path, &st))
		return 0; /* it has ended */
	for (size_t i = 0; i < list->netns_len; i++)
		if (list->netns[i].ino == st.st_ino)
			return 0;
	more = reallocarray(list->netns, list->netns_len + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->netns = more;
	list->netns[list->netns_len++] = (struct seen_netns){.ino = st.st_ino, .pid = pid};
	return 0;
}

static int add_held(struct held_list *list, pid_t pid, const struct sp_helper *helper)
{
	char path[64], target[64];
	struct dirent *entry;
	int r = see_netns(list, pid);
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (!r && dir && (entry = readdir(dir))) {
		struct held held = {.helper = helper, .pid = pid}, *more;
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len <= 0)
			continue;
		target[len] = '\0';
		if (sscanf(target, "socket:[%lu]", &held.inode) != 1)
			continue;
		held.number = (int)strtol(entry->d_name, NULL, 10);
		more = reallocarray(list->held, list->len + 1, sizeof(*more));
		if (!more)
			r = -ENOMEM;
		else
			(list->held = more)[list->len++] = held;
	}
	if (dir)
		closedir(dir);
	return r;
}

static int by_inode(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/*
 * Is this in a directory that was given back? Its sockets go with it, whoever holds them: the
 * system's dbus-daemon has the name of the session's, and compositors hold X11's.
 */
static bool in_shared(const struct find *find, int fd, const struct sp_hide_mounts *mounts)
{
	struct sp_hide_target socket = {0};
	char *place = place_of(fd, mounts, &socket);
	bool shared = false;

	for (size_t i = 0; place && i < find->list->len && !shared; i++) {
		const struct sp_hide_target *target = &find->list->targets[i];
		size_t len = target->place ? strlen(target->place) : 0;

		shared = len && S_ISDIR(target->mode) && sp_shared(find->shares, target->helper) &&
			 target->major == socket.major && target->minor == socket.minor &&
			 !strncmp(place, target->place, len) && place[len] == '/';
	}
	free(place);
	return shared;
}

/*
 * A path as the process that bound it has it: in its root, or from where it is. ssh binds a name of
 * its own, NAME.XXXXXXXXXXXXXXXX, links that to NAME and unlinks it.
 */
static int open_bound(const struct held *held, const char *bound)
{
	char path[PATH_MAX], *slash, *dot;
	int fd;

	if (snprintf(path, sizeof(path), "/proc/%d/%s/%s", held->pid,
		     *bound == '/' ? "root" : "cwd", bound) >= PATH_MAX)
		return -1;
	fd = open(path, O_PATH | O_CLOEXEC);
	slash = strrchr(path, '/');
	dot = strrchr(slash, '.');
	if (fd >= 0 || !dot || dot == slash + 1)
		return fd;
	*dot = '\0';
	return open(path, O_PATH | O_CLOEXEC);
}

static int add_bound(struct find *find, const struct held *held, const char *bound)
{
	struct sp_hide_mounts mounts = {0};
	int fd = open_bound(held, bound), r;

	if (fd < 0)
		return 0; /* unlinked, or the process has ended */
	r = sp_hide_mounts_load(held->pid, &mounts);
	if (r != -ENOMEM && in_shared(find, fd, &mounts))
		r = 0;
	else if (r != -ENOMEM)
		r = add_target(find, held->helper, SP_HIDE_SOCKET, bound, fd, &mounts);
	sp_hide_mounts_free(&mounts);
	close(fd);
	return r;
}

/*
 * The held sockets of one network namespace. Whose it is does not matter: a socket may have been
 * made in another than its holder is in.
 */
static int add_netns(struct find *find, const struct held_list *list, pid_t pid)
{
	char path[64], *line = NULL;
	size_t size = 0;
	FILE *file;
	int r = 0;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/net/unix", pid);
	else
		snprintf(path, sizeof(path), "/proc/self/net/unix");
	file = fopen(path, "re");
	while (!r && file && getline(&line, &size, file) > 0) {
		struct held key = {0}, *holder;
		int at = 0;

		/* Num: RefCount Protocol Flags Type St Inode Path */
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %n", &key.inode, &at) != 1 || !at ||
		    !line[at] || line[at] == '@')
			continue;
		line[strcspn(line, "\n")] = '\0';
		holder = bsearch(&key, list->held, list->len, sizeof(key), by_inode);
		while (holder && holder > list->held && holder[-1].inode == key.inode)
			holder--;
		for (; !r && line[at] && holder && holder < list->held + list->len &&
		       holder->inode == key.inode;
		     holder++)
			r = add_bound(find, holder, line + at);
	}
	free(line);
	if (file)
		fclose(file);
	return r;
}

/*
 * The file that a held socket is bound to, as the kernel has it: wherever its directory was moved
 * since. -1: not bound to any, or not to be had.
 */
static int open_socket_file(const struct held *held)
{
	int pidfd = (int)syscall(SYS_pidfd_open, held->pid, 0u), domain = 0, file = -1;
	int sock = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, held->number, 0u);
	socklen_t len = sizeof(domain);

	if (sock >= 0 && !getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &len) &&
	    domain == AF_UNIX)
		file = ioctl(sock, SIOCUNIXFILE);
	if (sock >= 0)
		close(sock);
	if (pidfd >= 0)
		close(pidfd);
	return file;
}

/* Another name of a file, in this directory: open, or -1. */
static int open_in(const char *directory, const struct stat *wanted)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int fd = -1;

	while (dir && fd < 0 && (entry = readdir(dir))) {
		struct stat st;

		if (entry->d_ino != wanted->st_ino)
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && (fstat(fd, &st) || st.st_dev != wanted->st_dev ||
				st.st_ino != wanted->st_ino)) {
			close(fd);
			fd = -1;
		}
	}
	if (dir)
		closedir(dir);
	return fd;
}

static int add_file(struct find *find, const struct held *held, int file, const char *path)
{
	struct sp_hide_mounts mounts = {0}, *own = &find->own;
	int id = sp_hide_mount_id(file), r = 0;
	bool ours = false;

	for (size_t i = 0; i < own->len; i++)
		ours = ours || own->mounts[i].id == id;
	if (!ours)
		r = sp_hide_mounts_load(held->pid, &mounts);
	if (r != -ENOMEM && in_shared(find, file, ours ? own : &mounts))
		r = 0;
	else if (r != -ENOMEM)
		r = add_target(find, held->helper, SP_HIDE_SOCKET, path, file,
			       ours ? own : &mounts);
	sp_hide_mounts_free(&mounts);
	return r;
}

/* A held socket that was not found by the name under which it was bound. */
static int add_moved(struct find *find, const struct held *held)
{
	static const char deleted[] = " (deleted)";
	int file = open_socket_file(held), other = -1, r = 0;
	char link[64], path[PATH_MAX], *end;
	struct stat st;
	ssize_t len;
	size_t before = find->list->len;

	if (file < 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	len = readlink(link, path, sizeof(path) - 1);
	if (fstat(file, &st) || !st.st_nlink || known(find, &st) || len <= 0)
		goto out;
	path[len] = '\0';
	end = len > (ssize_t)sizeof(deleted) ? path + len - (sizeof(deleted) - 1) : NULL;
	if (!end || strcmp(end, deleted) != 0) {
		r = add_file(find, held, file, path);
		goto out;
	}
	/* This name is gone, and it has another: most likely beside it. */
	end = strrchr(path, '/');
	end[end == path] = '\0';
	other = open_in(path, &st);
	if (other >= 0) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", other);
		len = readlink(link, path, sizeof(path) - 1);
		path[len < 0 ? 0 : len] = '\0';
	}
	r = add_file(find, held, other < 0 ? file : other, path);
	/* Else it is looked for in the whole file system. */
	if (!r && other < 0 && find->list->len > before)
		find->list->targets[before].nlink = 2;
out:
	if (other >= 0)
		close(other);
	close(file);
	return r;
}

static int add_processes(struct find *find)
{
	struct held_list list = {0};
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int r = 0;

	while (!r && proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		const struct sp_helper *helper = pid > 0 ? helper_of(pid) : NULL;

		if (helper)
			r = add_held(&list, pid, helper);
	}
	if (proc)
		closedir(proc);
	if (!r && list.len) {
		qsort(list.held, list.len, sizeof(*list.held), by_inode);
		r = see_netns(&list, 0);
		for (size_t i = 0; i < list.netns_len && !r; i++)
			r = add_netns(find, &list, list.netns[i].pid);
		for (size_t i = 0; i < list.len && !r; i++)
			r = add_moved(find, &list.held[i]);
	}
	free(list.netns);
	free(list.held);
	return r;
}

/* ---- the ssh agent -------------------------------------------------------------------------- */

/*
 * What SSH_AUTH_SOCK names is an agent of this host if it is in one of the agents' places, or if
 * one of the known agents holds it. Else its other end may be anywhere: sshd forwards agents, and
 * so do editors and container runtimes, whose process is not even in sight.
 */
static int check_agent(struct find *find)
{
	const char *value = getenv("SSH_AUTH_SOCK");
	struct sp_hide_target *target = NULL;
	struct stat st;

	if (!value || *value != '/' || stat(value, &st) || !S_ISSOCK(st.st_mode))
		return 0;
	for (size_t i = 0; i < find->list->len && !target; i++)
		if (find->list->targets[i].dev == st.st_dev &&
		    find->list->targets[i].ino == st.st_ino)
			target = &find->list->targets[i];
	if (!target) {
		size_t before = find->list->len;
		int r = add_path(find, sp_helper_find("forwarded-agent"), SP_HIDE_SOCKET, value);

		if (r || find->list->len == before)
			return r;
		target = &find->list->targets[find->list->len - 1];
	}
	if (target->hidden) {
		find->list->agent = strdup(value);
		if (!find->list->agent)
			return -ENOMEM;
	}
	return 0;
}

/* ---- */

int sp_hide_find(uid_t uid, gid_t gid, const char *home, bool enforce,
		 const struct sp_shares *shares, struct sp_hide_list *ret_list)
{
	struct sp_hide_list list = {.owner = getpid()};
	struct find find = {.uid = uid,
			    .gid = gid,
			    .home = home,
			    .enforce = enforce,
			    .shares = shares,
			    .list = &list};
	int r;

	r = sp_hide_mounts_load(0, &find.own);
	if (!r)
		r = add_places(&find);
	if (!r)
		r = add_processes(&find);
	if (!r)
		r = check_agent(&find);
	sp_hide_mounts_free(&find.own);
	if (r)
		sp_hide_list_free(&list);
	else
		*ret_list = list;
	return r;
}

void sp_hide_list_free(struct sp_hide_list *list)
{
	for (size_t i = 0; i < list->len; i++) {
		free(list->targets[i].path);
		free(list->targets[i].place);
		if (list->targets[i].fd)
			close(list->targets[i].fd);
	}
	free(list->targets);
	free(list->agent);
	*list = (struct sp_hide_list){0};
}
