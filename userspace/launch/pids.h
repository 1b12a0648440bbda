/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pids.h - a PID namespace for the command, with an init of ours. See pids.c.
 */
#ifndef SALLYPORT_PIDS_H
#define SALLYPORT_PIDS_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct sp_pids {
	pid_t init; /* 0: no PID namespace */
	int tell;   /* to init: closed when the command has been reaped */
};

/* Forks into a cgroup, as launch.c does it; -1 with errno. `ret_placed`: it was born there. */
typedef pid_t sp_pids_fork(int cgroup_fd, bool *ret_placed);
typedef int sp_pids_place(int cgroup_fd, pid_t pid);

/*
 * Makes a PID namespace with its init, in the cgroup. From then on what the caller forks is in it,
 * until sp_pids_leave(). 0; -errno, and nothing is left; ret_what: what could not be done, empty if
 * it was to enter the cgroup.
 */
int sp_pids_start(int cgroup_fd, sp_pids_fork *fork_into, sp_pids_place *place,
		  struct sp_pids *ret_pids, char ret_what[100]);
int sp_pids_leave(void);

/*
 * The command has been reaped, or was never started. Waits up to `wait_ms` for init to say, by its
 * end, that nobody is left: true. False: others are left, or there is no PID namespace.
 */
bool sp_pids_ended(struct sp_pids *pids, int wait_ms);

/* In the command's process, which has a mount namespace of its own: a fresh /proc. 0 or -errno. */
int sp_pids_mount_proc(char at[PATH_MAX]);

/* Hides another mount of a process file system, at `point`; `root`: what of it is mounted there. */
int sp_pids_cover_proc(const char *root, const char *point);

#endif
