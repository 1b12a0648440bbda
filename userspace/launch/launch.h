/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * launch.h - starts a command inside a sandbox's cgroup, with everything taken from it that would
 * lead around the packet hooks. See launch.c for the stages.
 */
#ifndef SALLYPORT_LAUNCH_H
#define SALLYPORT_LAUNCH_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <sallyport/error.h>

#include "hide.h"
#include "pids.h"

/* ---- who the command runs as (identity.c) --------------------------------------------------- */

struct sp_identity {
	bool change;	/* false: whoever started sallyport */
	bool from_sudo; /* the user that called sudo: SUDO_* no longer say anything true */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int groups_len;
	char *name, *home, *shell; /* NULL where there is no such user in the database */
};

/*
 * `user` is a name, a number, or UID:GID; NULL: the user that called sudo, else no change.
 * -ENOENT: no such user; -EINVAL: not a user, or SUDO_UID is not a number.
 */
int sp_identity_find(const char *user, struct sp_identity *ret_identity, struct sp_error **err);
void sp_identity_free(struct sp_identity *identity);
/*
 * Makes the calling process that user's, though not to be traced by that user, also where
 * fs.suid_dumpable says otherwise. 0 or -errno.
 */
int sp_identity_become(const struct sp_identity *identity);
/* Calls `act` in a child that is that user: what it returned (0 to 127), or -errno. */
int sp_identity_do(const struct sp_identity *identity, int (*act)(void *data), void *data);

/* ---- what is taken from the command --------------------------------------------------------- */

struct sp_dropped_cap {
	unsigned int cap;
	const char *why;
};

extern const struct sp_dropped_cap sp_dropped_caps[];
extern const size_t sp_dropped_caps_len;

/*
 * Drops them from every set, the bounding set included, and looks whether they are gone.
 * Needs CAP_SETPCAP for the bounding set. 0 or -errno.
 */
int sp_launch_drop_bounding(void);
int sp_launch_drop_caps(void);

/*
 * Loads the system call filter into the caller, who must have no_new_privs set. `families`: also
 * refuse socket families and io_uring. `bpf`: also refuse bpf(). 0 or -errno.
 */
int sp_launch_load_filter(bool sockets, bool bpf);

/* The same for sendfile(), splice(), vmsplice() and tee(), which then say EINVAL. 0 or -errno. */
int sp_launch_refuse_pages(void);

/* ---- starting ------------------------------------------------------------------------------- */

enum sp_stage {
	SP_STAGE_START = 0,
	SP_STAGE_PIDS,
	SP_STAGE_PLACE,
	SP_STAGE_DESCRIPTORS,
	SP_STAGE_MOUNTS,
	SP_STAGE_BOUNDING,
	SP_STAGE_USER,
	SP_STAGE_CAPS,
	SP_STAGE_PRIVILEGES,
	SP_STAGE_LANDLOCK,
	SP_STAGE_FILTER,
	SP_STAGE_VERIFY,
	SP_STAGE_ENVIRONMENT,
	SP_STAGE_EXEC,
	SP_STAGES,
};

/* What sallyport changed in itself, and the command must find as it was. */
struct sp_before {
	sigset_t mask;
	struct sigaction sigpipe, sigchld, sigxfsz;
	struct rlimit memlock, nofile;
	bool rlimits;
};

void sp_before_save(struct sp_before *ret_before);

struct sp_launch {
	char *const *argv; /* the command; argv[0] is looked up in PATH as the target user */
	int cgroup_fd;	   /* directory of the sandbox's cgroup; -1: none (tests) */
	bool enforce;	   /* false: audit_only, nothing is taken away */
	bool keep_caps;
	bool keep_families;
	bool share_pids;     /* no PID namespace, no scope of signals */
	bool share_abstract; /* no scope of abstract UNIX sockets */
	bool landlock;	     /* --landlock: also where it costs mount() */
	bool refuse_pages;   /* the packet hook cannot tell pages that may still change */
	const struct sp_hide_list *hide; /* what is hidden from it; NULL: nothing (tests) */
	const struct sp_identity *identity;
	const struct sp_before *before;
};

/* What keeps the command from processes outside, on this kernel: for `run` and `doctor`. */
bool sp_launch_wants_pids(const struct sp_launch *launch);

struct sp_launched {
	pid_t pid;
	enum sp_stage stage; /* of the failure; SP_STAGE_EXEC with -ENOENT: no such command */
	struct sp_pids pids;
	char *warnings; /* lines, or NULL: what audit_only could not do and went on without */
};

/*
 * Starts the command and returns when it has been exec'ed (0), or when a stage failed: -errno, an
 * error that names the stage, and no child is left. ret_launched->stage is set in both cases. When
 * the command has been reaped, sp_pids_ended(&launched->pids) is called.
 */
int sp_launch_start(const struct sp_launch *launch, struct sp_launched *ret_launched,
		    struct sp_error **err);

/*
 * -EPERM with an error if standard input, output or error is a socket of another family than UNIX:
 * it was made outside the sandbox, so no hook would ever see what is sent on it. Also if it is a
 * directory: openat() from there walks the caller's mounts.
 */
int sp_launch_check_standard(struct sp_error **err);

#endif
