/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pids.c - a PID namespace for the command: who is not in it cannot be named.
 *
 * Through /proc/PID/root, fd and mem, and by pidfd_getfd() and ptrace, a process outside of a uid
 * that the command can take on leads out of the sandbox. Root can take on any uid. Landlock
 * (landlock.c) refuses it; where the kernel has no scopes for that, the command must not see
 * anybody: a PID namespace and a /proc of it.
 *
 * Init, PID 1, is a fork of sallyport's: it reaps, ignores what a terminal sends, and ends, as the
 * kernel demands, last. The command is not its child but sallyport's, forked into the namespace
 * beside it: status, stop and continue reach sallyport from the kernel, not by a report. Its PID in
 * there is not 1, so it gets every signal; getppid() is 0. What the command leaves becomes init's.
 *
 * init must not be a way out either. It is not dumpable and has no capability, so that nobody
 * inside may trace it; its root is an empty directory, it has no descriptor but the one to
 * sallyport, a session of its own (an orphan of a shell's job would otherwise count as that
 * shell's), and the sandbox's cgroup, so that what ends the sandbox ends it.
 *
 * sallyport tells init by the end of a socket that the command was reaped, or that sallyport is
 * gone. From then on init looks whether it is alone, and ends. The kernel makes it wait for a
 * zombie that nobody reaps even then, but out of the cgroup, which is empty and can go.
 */
#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hide.h"
#include "mounts.h"
#include "pids.h"

#define COMMAND_PID 2 /* the first that is forked beside init */
#define ALONE_MS 1000 /* how often init looks at most, while it has no child that would tell it */
#define SOON_MS 10    /* and at first, each time twice as long */

/* What init says when it is ready. Less than a page, so it arrives whole. */
struct ready {
	int error; /* errno, or 0 */
	char what[100];
};

/* ---- init ----------------------------------------------------------------------------------- */

/* An empty directory that is mounted nowhere. */
static int enter_nothing(void)
{
	int fd = sp_hide_tmpfs(), r = 0;

	if (fd < 0)
		return fd;
	if (fchdir(fd) || chroot("."))
		r = -errno;
	close(fd);
	return r;
}

static int drop_everything(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_ALL))
		return -EPERM;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

static int prepare_init(int tell, int *ret_signals, const char **ret_what)
{
	sigset_t all, child;
	int r;

	*ret_what = "session";
	if (setsid() < 0)
		return -errno;
	*ret_what = "signals";
	sigfillset(&all);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &all, NULL))
		return -errno;
	/* Numbers 0 to 2 were the caller's: kept open, a pipe to a reader would not end. */
	*ret_what = "descriptors";
	if ((tell > 0 && syscall(SYS_close_range, 0u, (unsigned int)tell - 1, 0u)) ||
	    syscall(SYS_close_range, (unsigned int)tell + 1, ~0u, 0u))
		return -errno;
	*ret_signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	if (*ret_signals < 0)
		return -errno;
	*ret_what = "root directory";
	r = enter_nothing();
	if (r)
		return r;
	*ret_what = "capabilities";
	return drop_everything();
}

/* Reaps what is there; are there children left? */
static bool reap_all(void)
{
	pid_t pid;

	do {
		pid = waitpid(-1, NULL, WNOHANG);
	} while (pid > 0);
	return pid == 0;
}

static bool alone(void)
{
	return kill(-1, 0) && errno == ESRCH;
}

/* Until sallyport says that the command was reaped, or is gone. */
static void wait_for_end(int tell, int signals)
{
	struct pollfd fds[2] = {{.fd = tell, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo info[8];
	char byte;

	for (;;) {
		(void)reap_all();
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents && read(signals, info, sizeof(info)) < 0 && errno != EAGAIN)
			return;
		if (fds[0].revents && read(tell, &byte, 1) <= 0)
			return;
	}
}

static void wait_for_others(int signals)
{
	/* When sallyport was killed the command still runs, and is somebody else's child. */
	int command = (int)syscall(SYS_pidfd_open, COMMAND_PID, 0u);
	struct pollfd fds[2] = {{.fd = signals, .events = POLLIN},
				{.fd = command, .events = POLLIN}};
	struct signalfd_siginfo info[8];
	bool unreaped = false;
	int wait = SOON_MS;

	for (;;) {
		bool children = reap_all();

		/*
		 * The command may stay a zombie for ever: when sallyport was killed it is the child
		 * of an outer PID 1, and that of a container may reap nobody. Whom it had started
		 * is a child of ours then, or of one, so without children there is nobody else.
		 */
		if (alone() || (unreaped && !children))
			return;
		poll(fds, 2, children && fds[1].fd < 0 ? -1 : wait);
		wait = wait < ALONE_MS / 2 ? wait * 2 : ALONE_MS;
		if (fds[0].revents && read(signals, info, sizeof(info)) < 0 && errno != EAGAIN)
			return;
		if (fds[1].revents) {
			struct timespec pause = {.tv_nsec = 10 * 1000L * 1000};

			/* a zombie until its parent has seen it */
			for (int i = 0; i < 20 && !kill(COMMAND_PID, 0); i++)
				nanosleep(&pause, NULL);
			unreaped = !kill(COMMAND_PID, 0);
			close(fds[1].fd);
			fds[1].fd = -1;
			wait = SOON_MS;
		}
	}
}

static void __attribute__((noreturn)) init(int tell)
{
	struct ready ready = {0};
	const char *what = "";
	int signals = -1;

	/* First: until then it is a fork of sallyport's with all its rights. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		ready.error = errno;
	} else {
		(void)prctl(PR_SET_NAME, "sallyport-init", 0, 0, 0);
		ready.error = -prepare_init(tell, &signals, &what);
	}
	snprintf(ready.what, sizeof(ready.what), "%s", what);
	if (send(tell, &ready, sizeof(ready), MSG_NOSIGNAL) < 0 || ready.error)
		_exit(125);
	wait_for_end(tell, signals);
	wait_for_others(signals);
	_exit(0);
}

/* ---- in sallyport --------------------------------------------------------------------------- */

static int hear_ready(int tell, char ret_what[100])
{
	struct ready ready;
	ssize_t len;

	do {
		len = recv(tell, &ready, sizeof(ready), 0);
	} while (len < 0 && errno == EINTR);
	if (len != (ssize_t)sizeof(ready))
		return -ECHILD;
	if (ready.error) {
		ready.what[sizeof(ready.what) - 1] = '\0';
		snprintf(ret_what, 100, "init: %s", ready.what);
	}
	return -ready.error;
}

int sp_pids_start(int cgroup_fd, sp_pids_fork *fork_into, sp_pids_place *place,
		  struct sp_pids *ret_pids, char ret_what[100])
{
	struct sp_pids pids = {.tell = -1};
	int fds[2] = {-1, -1}, r = 0;
	bool placed;

	snprintf(ret_what, 100, "PID namespace");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	if (unshare(CLONE_NEWPID)) {
		r = -errno;
		goto out;
	}
	snprintf(ret_what, 100, "init");
	pids.init = fork_into(cgroup_fd, &placed);
	if (pids.init < 0 && errno == ENOMEM) {
		/* A namespace whose first process could not be born there is spent: once more, to
		 * be moved. */
		r = sp_pids_leave();
		if (!r && unshare(CLONE_NEWPID))
			r = -errno;
		if (r)
			goto out;
		pids.init = fork_into(-1, &placed);
		placed = cgroup_fd < 0;
	}
	if (pids.init < 0) {
		r = -errno;
		pids.init = 0;
		(void)sp_pids_leave();
		goto out;
	}
	if (pids.init == 0)
		init(fds[1]);
	pids.tell = fds[0];
	fds[0] = -1;
	close(fds[1]);
	fds[1] = -1;
	if (!placed) {
		r = place(cgroup_fd, pids.init);
		if (r)
			ret_what[0] = '\0';
	}
	if (!r)
		r = hear_ready(pids.tell, ret_what);
	if (r) {
		(void)sp_pids_leave();
		(void)sp_pids_ended(&pids, -1);
	} else {
		*ret_pids = pids;
	}
out:
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return r;
}

int sp_pids_leave(void)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0u), r = 0;

	if (self < 0)
		return -errno;
	if (setns(self, CLONE_NEWPID))
		r = -errno;
	close(self);
	return r;
}

bool sp_pids_ended(struct sp_pids *pids, int wait_ms)
{
	int pidfd;
	bool gone;

	if (pids->init <= 0)
		return false;
	if (pids->tell >= 0)
		close(pids->tell);
	pids->tell = -1;
	pidfd = (int)syscall(SYS_pidfd_open, pids->init, 0u);
	if (pidfd >= 0) {
		struct pollfd fd = {.fd = pidfd, .events = POLLIN};
		int r;

		do {
			r = poll(&fd, 1, wait_ms);
		} while (r < 0 && errno == EINTR);
		close(pidfd);
	}
	gone = waitpid(pids->init, NULL, WNOHANG) == pids->init;
	if (gone)
		pids->init = 0;
	return gone;
}

/* ---- /proc ---------------------------------------------------------------------------------- */

struct kept {
	char *point;
	int fd;
};

/*
 * What is mounted below /proc, in the order of mountinfo: binfmt_misc, and what a container engine
 * covers. A new /proc gets it again. A part of /proc itself (read-only /proc/sys) too, but not one
 * of a process.
 */
static int keep_below(struct kept **ret_kept, size_t *ret_len)
{
	struct sp_mount_table table = {0};
	struct sp_mount mount;
	struct kept *kept = NULL;
	size_t len = 0;
	int r, next;

	r = sp_mount_table_open("/proc/self/mountinfo", &table);
	while (!r && (next = sp_mount_table_next(&table, &mount)) != 0) {
		const char *point = mount.point;
		struct kept *more;
		int fd;

		if (next < 0) {
			r = next;
			break;
		}
		if (strncmp(point, "/proc/", 6) != 0 || (point[6] >= '0' && point[6] <= '9'))
			continue;
		fd = (int)syscall(SYS_open_tree, AT_FDCWD, point,
				  1u /* OPEN_TREE_CLONE */ | (unsigned int)O_CLOEXEC |
					  (unsigned int)AT_NO_AUTOMOUNT);
		if (fd < 0) /* covered itself, or an autofs that nobody serves */
			continue;
		more = reallocarray(kept, len + 1, sizeof(*kept));
		if (!more) {
			close(fd);
			r = -ENOMEM;
			break;
		}
		kept = more;
		kept[len] = (struct kept){.point = strdup(point), .fd = fd};
		if (!kept[len++].point)
			r = -ENOMEM;
	}
	sp_mount_table_close(&table);
	*ret_kept = kept;
	*ret_len = len;
	return r;
}

int sp_pids_mount_proc(char at[PATH_MAX])
{
	struct kept *kept = NULL;
	struct statfs fs;
	size_t len = 0;
	int r;

	snprintf(at, PATH_MAX, "/proc");
	if (statfs("/proc", &fs))
		return errno == ENOENT ? 0 : -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return 0; /* then no process is to be seen there */
	r = keep_below(&kept, &len);
	/* What cannot be taken off, since another user namespace mounted it, is covered by the
	 * next. */
	if (!r)
		(void)umount2("/proc", MNT_DETACH);
	if (!r && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		r = -errno;
	for (size_t i = 0; i < len; i++) {
		if (!r && kept[i].point &&
		    syscall(SYS_move_mount, kept[i].fd, "", AT_FDCWD, kept[i].point,
			    4u /* MOVE_MOUNT_F_EMPTY_PATH */) &&
		    errno != ENOENT) {
			r = -errno;
			snprintf(at, PATH_MAX, "%s", kept[i].point);
		}
		close(kept[i].fd);
		free(kept[i].point);
	}
	free(kept);
	return r;
}

int sp_pids_cover_proc(const char *root, const char *point)
{
	struct stat st, ours;

	if (stat(point, &st) || stat("/proc", &ours))
		return -errno;
	if (st.st_dev == ours.st_dev)
		return 0;
	if (!strcmp(root, "/"))
		return mount("/proc", point, NULL, MS_BIND | MS_REC, NULL) ? -errno : 0;
	/* a part that is the same for everybody: sys, sysrq-trigger */
	if (root[1] < '0' || root[1] > '9')
		return 0;
	if (S_ISDIR(st.st_mode))
		return sp_hide_directory(point, false);
	return mount("/dev/null", point, NULL, MS_BIND, NULL) ? -errno : 0;
}
