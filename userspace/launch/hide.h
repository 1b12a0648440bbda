/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hide.h - helpers outside the sandbox that would act for the command: which there are (helpers.c),
 * where they are on this host (hide_find.c), and how they are hidden (hide.c).
 */
#ifndef SALLYPORT_HIDE_H
#define SALLYPORT_HIDE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <sallyport/error.h>

/* ---- which there are (helpers.c) ------------------------------------------------------------ */

enum sp_hide_when {
	SP_HIDE_ALWAYS,	  /* DNS answers the same: hidden under audit_only too, which would see no
			     names otherwise */
	SP_HIDE_ENFORCED, /* hidden unless it is shared; not under audit_only */
	SP_HIDE_NEVER,	  /* left in reach, and named by doctor */
};

enum sp_hide_how {
	SP_HIDE_SOCKET,	   /* one socket or FIFO: /dev/null is bound over it */
	SP_HIDE_DIRECTORY, /* an empty directory is mounted over it: outlives a daemon's restart */
	SP_HIDE_BUT_FILES, /* the same, with copies of its regular files (resolv.conf) */
	SP_HIDE_OWN, /* the same, with its owner and mode: the command may start one of its own */
	SP_HIDE_OWN_MADE, /* the same, and made first where it is missing: what comes later */
};

/* What --share and doctor call it. */
struct sp_helper {
	const char *name;
	enum sp_hide_when when;
	bool abstract; /* it may have an abstract socket, which no mount can hide */
	const char *does;
};

extern const struct sp_helper sp_helpers[]; /* ended by a NULL name */

/*
 * Where a helper is found. "%r/" at the start: the run-time directories of the target user, "%h/"
 * the home directory, "%u" the user's number ("*" and all of them for root); "$NAME" the path or
 * address in a variable. Else a path, which may be a glob(7) pattern.
 */
struct sp_helper_place {
	const char *helper, *path;
	enum sp_hide_how how;
};

extern const struct sp_helper_place sp_helper_places[]; /* ended by a NULL helper */

/* Whose sockets are a helper's, wherever they are: comm, "*" at the end for any rest. */
struct sp_helper_process {
	const char *helper, *comm;
};

extern const struct sp_helper_process sp_helper_processes[]; /* ended by a NULL helper */

#define SP_HELPERS_MAX 64

/* What --share gives back to the command. */
struct sp_shares {
	bool helpers[SP_HELPERS_MAX];
	bool pids;     /* the host's processes: no PID namespace */
	bool abstract; /* all abstract UNIX sockets */
};

const struct sp_helper *sp_helper_find(const char *name);
/* -EINVAL with an error that names the nearest. */
int sp_share_add(struct sp_shares *shares, const char *name, struct sp_error **err);
bool sp_shared(const struct sp_shares *shares, const struct sp_helper *helper);
/* Was something given back that may have an abstract socket? */
bool sp_shares_abstract(const struct sp_shares *shares);

/* ---- where they are (hide_find.c) ----------------------------------------------------------- */

struct sp_hide_target {
	const struct sp_helper *helper;
	enum sp_hide_how how;
	bool hidden; /* by run, under the shares and mode that were asked for */
	char *path;
	dev_t dev; /* with `ino`: what it is, by whatever path */
	ino_t ino;
	nlink_t nlink;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	unsigned int major, minor; /* of its file system, as mountinfo has them */
	char *place;		   /* its path in the file system; NULL: not known */
	int fd;			   /* itself, open in sallyport: wherever it is moved; 0: no */
};

struct sp_hide_list {
	struct sp_hide_target *targets;
	size_t len;
	pid_t owner; /* of their descriptors */
	char *agent; /* SSH_AUTH_SOCK, where it was taken for forwarded and hidden; else NULL */
};

/*
 * Finds what the tables say for a user. It looks at processes outside, so it is for the parent.
 * 0 or -errno.
 */
int sp_hide_find(uid_t uid, gid_t gid, const char *home, bool enforce,
		 const struct sp_shares *shares, struct sp_hide_list *ret_list);
void sp_hide_list_free(struct sp_hide_list *list);

/*
 * The next path in "unix:///run/x", "unix:path=/run/x,guid=...;unix:path=/run/y", "/run/x" or
 * "/run/x,1,2"; NULL if there is none. `*rest` is where to go on.
 */
bool sp_hide_address(const char **rest, char path[PATH_MAX]);

/* ---- how they are hidden (hide.c) ----------------------------------------------------------- */

/*
 * Covers them in the caller's mount namespace, by every path by which they can be seen there. 0, or
 * -errno with the place in `at`.
 */
int sp_hide_cover(const struct sp_hide_list *list, char at[PATH_MAX]);

/*
 * Mounts an empty read-only directory over `path`, by wish with copies of its regular files. 0 also
 * where there is nothing to cover; -errno.
 */
int sp_hide_directory(const char *path, bool keep_files);

/* An empty tmpfs that is mounted nowhere: a descriptor of its root, or -errno. */
int sp_hide_tmpfs(void);

/* Makes the mount at `path` read-only; `flags`: what else the mount has. 0 or -errno. */
int sp_hide_remount_read_only(const char *path, unsigned long flags);

/* ---- mountinfo (hide.c) --------------------------------------------------------------------- */

struct sp_hide_mount {
	int id;
	unsigned int major, minor;
	char *root, *point;
};

struct sp_hide_mounts {
	struct sp_hide_mount *mounts;
	size_t len;
};

/* Of a process; 0: the caller. 0 or -errno. */
int sp_hide_mounts_load(pid_t pid, struct sp_hide_mounts *ret_mounts);
void sp_hide_mounts_free(struct sp_hide_mounts *mounts);
/* The mount that an open file is in, by its id; -1 if that cannot be told. */
int sp_hide_mount_id(int fd);

#endif
