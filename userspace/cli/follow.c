// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * follow.c - "system" resolvers follow /etc/resolv.conf while the command runs.
 *
 * A VPN, or a new lease, gives the host other resolvers. What the file says then is trusted as what
 * it said at the start was, so it may be followed only where the command cannot have written it:
 * every directory and link on the way, and the file, must be out of its user's reach. A command of
 * root can write any file, so for it nothing is followed. A child that has become the user looks,
 * and reads: root follows nothing of that user's hand.
 *
 * A file that cannot be read, is no regular file, is too long or names no server (half written, or
 * removed for a moment) changes nothing. What it named before is trusted for FOLLOW_OLD_S more:
 * answers are under way, and programs read the file again at their leisure.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "follow.h"
#include "strmap.h"

#define LINKS_MAX 40		/* on the way to the file: as many as the kernel follows */
#define FOLLOW_HOPS 16		/* directories that are watched */
#define FOLLOW_BYTES (64 << 10) /* a longer file is none */
#define FOLLOW_OLD_S 20		/* as long as an answer is waited for (SP_PENDING_NS) */
#define RESOLVED "/run/systemd/resolve/"
#define LOOKS_MAX 20	    /* after one change; a file system may give another number each time */
#define SETTLE_NS 100000000 /* a file that is being written is left alone for so long */

#define WATCHED                                                                                    \
	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE_SELF |   \
	 IN_MOVE_SELF | IN_ATTRIB)

/* What the child that has become the user found. */
struct found {
	int result; /* 0: read; -EPERM: the user can change it; -errno */
	struct sp_nameservers servers;
	size_t hops_len;
	/* what lies on the way: entries of directories, and with no entry the file itself */
	struct {
		char path[PATH_MAX], entry[NAME_MAX + 1];
		dev_t dev; /* with `ino`: what is watched, whatever has its path later */
		ino_t ino;
		int watch;
	} hops[FOLLOW_HOPS];
};

struct sp_follow {
	const char *path;
	const struct sp_identity *identity;
	struct sp_policy *policy;
	struct sp_box *box;
	struct found *found; /* shared with the child */
	struct sp_nameservers now;
	uint64_t watched; /* the way that the watches are for (way_of()) */
	int last;	  /* what the last look came to: 0 or -errno */
	int looks;	  /* since a change was told of */
	bool settling;	  /* that timer runs: more changes do not put it off */
	int epoll, inotify, settle, old;
};

/* ---- as the user ---------------------------------------------------------------------------- */

/* Could the user put something else in the place of this entry of the directory? */
static bool may_replace(const char *dir, const struct stat *entry)
{
	struct stat st;

	if (stat(dir, &st) || st.st_uid == getuid() || entry->st_uid == getuid())
		return true;
	return !access(dir, W_OK) && !(st.st_mode & S_ISVTX);
}

static void add_hop(struct found *found, const char *path, const char *entry)
{
	struct stat st = {0};

	if (found->hops_len == FOLLOW_HOPS)
		return;
	(void)stat(path[0] ? path : "/", &st); /* what is not there is nothing */
	found->hops[found->hops_len].dev = st.st_dev;
	found->hops[found->hops_len].ino = st.st_ino;
	snprintf(found->hops[found->hops_len].path, PATH_MAX, "%s", path[0] ? path : "/");
	snprintf(found->hops[found->hops_len++].entry, NAME_MAX + 1, "%s", entry);
}

/*
 * Goes the way to `path` step by step. 0, with where it ends in `at`, or -EPERM if the user could
 * have it end elsewhere, or -errno.
 */
static int go(const char *path, struct found *found, char at[PATH_MAX])
{
	char rest[PATH_MAX], next[PATH_MAX], link[PATH_MAX], after[PATH_MAX];
	unsigned int links = 0;
	struct stat st;

	if (snprintf(rest, sizeof(rest), "%s", path) >= (int)sizeof(rest))
		return -ENAMETOOLONG;
	at[0] = '\0';
	for (;;) {
		char *step = rest + strspn(rest, "/");
		size_t len = strcspn(step, "/");
		ssize_t n;

		if (!len)
			return at[0] ? 0 : -EISDIR;
		snprintf(after, sizeof(after), "%s", step + len);
		step[len] = '\0';
		if (strcmp(step, "..") == 0 && strrchr(at, '/'))
			*strrchr(at, '/') = '\0';
		if (strcmp(step, "..") != 0 && strcmp(step, ".") != 0) {
			if (len > NAME_MAX || strlen(at) > PATH_MAX - NAME_MAX - 2)
				return -ENAMETOOLONG;
			snprintf(next, sizeof(next), "%.*s/%.*s", PATH_MAX - NAME_MAX - 2, at,
				 NAME_MAX, step);
			if (lstat(next, &st)) {
				int r = -errno;

				add_hop(found, at, step); /* it may come back */
				return r;
			}
			if (may_replace(at[0] ? at : "/", &st))
				return -EPERM;
			if (S_ISLNK(st.st_mode)) {
				add_hop(found, at, step);
				n = readlink(next, link, sizeof(link) - 1);
				if (n < 0)
					return -errno;
				link[n] = '\0';
				if (++links > LINKS_MAX)
					return -ELOOP;
				if (snprintf(rest, sizeof(rest), "%s%s", link, after) >=
				    (int)sizeof(rest))
					return -ENAMETOOLONG;
				if (link[0] == '/')
					at[0] = '\0';
				continue;
			}
			memcpy(at, next, strlen(next) + 1);
		}
		memmove(rest, after, strlen(after) + 1);
	}
}

static int look(struct sp_follow *f)
{
	struct found *found = f->found;
	char at[PATH_MAX], dir[PATH_MAX], *name;
	FILE *file = NULL;
	struct stat st;
	int fd, r;

	found->hops_len = 0;
	r = go(f->path, found, at);
	if (r)
		return r;
	/* the command has a copy of the start there (launch/hide.c), and asks those servers */
	if (!strncmp(at, RESOLVED, strlen(RESOLVED)))
		return -EPERM;
	snprintf(dir, sizeof(dir), "%s", at);
	name = strrchr(dir, '/');
	*name++ = '\0';
	add_hop(found, dir, name);
	add_hop(found, at, "");
	/* a FIFO must not hold anything up */
	fd = open(at, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else if (st.st_size > FOLLOW_BYTES)
		r = -EFBIG;
	else if (st.st_uid == getuid() || !access(at, W_OK))
		r = -EPERM;
	else
		file = fdopen(fd, "r");
	if (!file) {
		r = r ? r : -errno;
		close(fd);
		return r;
	}
	r = sp_resolv_parse(file, &found->servers);
	fclose(file);
	return r;
}

static int look_as_user(void *data)
{
	struct sp_follow *f = data;

	f->found->result = look(f);
	return 0;
}

/* ---- the map -------------------------------------------------------------------------------- */

static int trust(struct sp_follow *f, const struct sp_nameservers *servers, bool old)
{
	const char *addresses[SP_RESOLVERS_MAX];
	int r;

	for (size_t i = 0; i < servers->len; i++)
		addresses[i] = servers->text[i];
	r = sp_policy_resolve_system(f->policy, addresses, servers->len, NULL);
	return r < 0 ? r : sp_box_resolvers(f->box, old);
}

static void start_timer(int timer, time_t seconds, long ns)
{
	struct itimerspec at = {.it_value = {.tv_sec = seconds, .tv_nsec = ns}};

	timerfd_settime(timer, 0, &at, NULL);
}

static uint64_t way_of(const struct found *found)
{
	uint64_t hash = SP_FNV1A_START;

	for (size_t i = 0; i < found->hops_len; i++) {
		hash = sp_fnv1a(hash, found->hops[i].path, strlen(found->hops[i].path) + 1);
		hash = sp_fnv1a(hash, found->hops[i].entry, strlen(found->hops[i].entry) + 1);
		hash = sp_fnv1a(hash, &found->hops[i].dev, sizeof(found->hops[i].dev));
		hash = sp_fnv1a(hash, &found->hops[i].ino, sizeof(found->hops[i].ino));
	}
	return hash;
}

/* All watches anew: links may lead elsewhere. A new descriptor, so that no old event is left. */
static int watch_hops(struct sp_follow *f)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < f->found->hops_len; i++)
		/* what is gone meanwhile is told of by the directory above it */
		f->found->hops[i].watch = inotify_add_watch(fd, f->found->hops[i].path, WATCHED);
	event.data.fd = fd;
	if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event)) {
		int r = -errno;

		close(fd);
		return r;
	}
	if (f->inotify >= 0)
		close(f->inotify);
	f->inotify = fd;
	f->watched = way_of(f->found);
	return 0;
}

/* Is one of what has changed on the way? Takes all that the descriptor has. */
static bool changed(struct sp_follow *f)
{
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *e;
	bool is = false;
	ssize_t len;

	while ((len = read(f->inotify, bytes, sizeof(bytes))) > 0)
		for (char *at = bytes; at < bytes + len; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)at;
			/* what was watched is gone; another may have its number */
			if (e->mask &
			    (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
				f->watched = 0;
				is = true;
			}
			for (size_t i = 0; i < f->found->hops_len; i++)
				is |= f->found->hops[i].watch == e->wd &&
				      !strcmp(f->found->hops[i].entry, e->len ? e->name : "");
		}
	return is;
}

static bool same(const struct sp_nameservers *a, const struct sp_nameservers *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (strcmp(a->text[i], b->text[i]) != 0)
			return false;
	return true;
}

static void read_again(struct sp_follow *f, char *text, size_t text_size)
{
	int r = sp_identity_do(f->identity, look_as_user, f);
	size_t len = 0;
	bool told;

	if (r == 0)
		r = f->found->result;
	/*
	 * The way as far as it goes: what is missing now may come back. Between the look and the
	 * watches it may have changed, and nobody would tell: so there is another look, until one
	 * finds what is watched already.
	 */
	if (way_of(f->found) != f->watched && watch_hops(f) == 0 && ++f->looks < LOOKS_MAX) {
		f->settling = true;
		start_timer(f->settle, 0, SETTLE_NS);
	}
	if (r == 0 && f->found->servers.none)
		r = -ENODATA;
	if (r == 0 && same(&f->found->servers, &f->now)) {
		f->last = 0;
		return;
	}
	if (r == 0)
		r = trust(f, &f->found->servers, true);
	told = r == f->last;
	f->last = r;
	if (r < 0) {
		if (r != -ENOENT && r != -ENODATA && !told)
			snprintf(text, text_size,
				 "%s has changed, and is not followed: %s; the resolvers of before "
				 "stay",
				 f->path,
				 r == -EPERM ? "the command's user can change it, or sees another"
					     : strerror(-r));
		return;
	}
	f->now = f->found->servers;
	start_timer(f->old, FOLLOW_OLD_S, 0);
	len = snprintf(text, text_size, "%s has changed: the resolvers are now", f->path);
	for (size_t i = 0; i < f->now.len && len < text_size; i++)
		len += snprintf(text + len, text_size - len, "%s %s", i ? "," : "", f->now.text[i]);
}

/* ---- the outside ---------------------------------------------------------------------------- */

int sp_follow_fd(const struct sp_follow *follow)
{
	return follow ? follow->epoll : -1;
}

void sp_follow_dispatch(struct sp_follow *f, char *text, size_t text_size)
{
	struct epoll_event events[4];
	uint64_t times;
	int len;

	text[0] = '\0';
	len = epoll_wait(f->epoll, events, 4, 0);
	for (int i = 0; i < len; i++) {
		int fd = events[i].data.fd;

		if (fd == f->inotify) {
			if (!changed(f) || f->settling)
				continue;
			f->looks = 0;
			f->settling = true;
			start_timer(f->settle, 0, SETTLE_NS);
		} else if (read(fd, &times, sizeof(times)) != sizeof(times)) {
			continue;
		} else if (fd == f->settle) {
			f->settling = false;
			read_again(f, text, text_size);
			break; /* the descriptors may be others now */
		} else if (fd == f->old) {
			sp_box_resolvers(f->box, false);
		}
	}
}

void sp_follow_close(struct sp_follow *f)
{
	if (!f)
		return;
	if (f->inotify >= 0)
		close(f->inotify);
	if (f->settle >= 0)
		close(f->settle);
	if (f->old >= 0)
		close(f->old);
	if (f->epoll >= 0)
		close(f->epoll);
	if (f->found)
		munmap(f->found, sizeof(*f->found));
	free(f);
}

int sp_follow_open(const char *path, const struct sp_identity *identity, struct sp_policy *policy,
		   struct sp_box *box, const struct sp_nameservers *read,
		   struct sp_follow **ret_follow)
{
	struct epoll_event settle = {.events = EPOLLIN}, old = {.events = EPOLLIN};
	struct sp_follow *f;
	int r;

	*ret_follow = NULL;
	if (!sp_policy_follows_system(policy) || !identity->change || !identity->uid)
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->path = path;
	f->identity = identity;
	f->policy = policy;
	f->box = box;
	f->inotify = -1;
	f->found = mmap(NULL, sizeof(*f->found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (f->found == MAP_FAILED)
		f->found = NULL;
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	f->settle = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	f->old = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	settle.data.fd = f->settle;
	old.data.fd = f->old;
	r = !f->found ? -ENOMEM
	    : f->epoll < 0 || f->settle < 0 || f->old < 0 ||
			    epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->settle, &settle) ||
			    epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->old, &old)
		    ? -errno
		    : sp_identity_do(identity, look_as_user, f);
	if (r == 0 && f->found->result && f->found->result != -EPERM && f->found->result != -ENOENT)
		r = f->found->result;
	if (r == 0 && f->found->result != -EPERM) {
		f->now = *read;
		r = watch_hops(f);
		/* it may have changed since the policy was made */
		f->settling = r == 0;
		if (r == 0)
			start_timer(f->settle, 0, SETTLE_NS);
	} else if (r == 0) {
		sp_follow_close(f);
		return 0;
	}
	if (r < 0) {
		sp_follow_close(f);
		return r;
	}
	*ret_follow = f;
	return 1;
}
