/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hide.h - helpers outside the sandbox, and how they are hidden from the command.
 */
#ifndef SALLYPORT_HIDE_H
#define SALLYPORT_HIDE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum sp_hide {
	SP_HIDE_SOCKET,	   /* one file: /dev/null is bound over it */
	SP_HIDE_DIRECTORY, /* an empty directory is mounted over it: outlives a daemon's restart */
	SP_HIDE_BUT_FILES, /* the same, with copies of its regular files (resolv.conf) */
};

enum sp_hide_when {
	SP_HIDE_ALWAYS,	  /* DNS answers the same: audit_only hides it too, or it would see no names
			   */
	SP_HIDE_ENFORCED, /* answers what DNS does not */
	SP_HIDE_OPTION,	  /* --hide-sockets */
};

struct sp_hidden {
	const char *path; /* "%r/" at its start: the run-time directory of the target user */
	enum sp_hide how;
	enum sp_hide_when when;
	const char *why;
};

extern const struct sp_hidden sp_hidden_paths[]; /* ended by a NULL path */

/* The path of an entry for a user, in `path`; false if there is none. */
bool sp_hidden_path(const struct sp_hidden *hidden, uid_t uid, char path[PATH_MAX]);

/*
 * Hides what the table says, in the caller's mount namespace. `option`: also what --hide-sockets
 * asks for. 0, or -errno with the place in `at`.
 */
int sp_hide_paths(bool enforce, bool option, uid_t uid, char at[PATH_MAX]);

/*
 * Mounts an empty read-only directory over `path`, by wish with copies of its regular files. 0 also
 * where there is nothing to cover; -errno.
 */
int sp_hide_directory(const char *path, bool keep_files);

/* An empty tmpfs that is mounted nowhere: a descriptor of its root, or -errno. */
int sp_hide_tmpfs(void);

/* Makes the mount at `path` read-only; `flags`: what else the mount has. 0 or -errno. */
int sp_hide_remount_read_only(const char *path, unsigned long flags);

#endif
