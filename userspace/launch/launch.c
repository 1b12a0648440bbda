/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off: the table of stages is prose */
/*
 * launch.c - from a privileged parent to a command that can only use the network through sockets
 * that the kernel programs see.
 *
 * Theory of operation
 * -------------------
 * The cgroup programs see sockets of families INET and INET6 that were made inside the cgroup. So
 * the command must start inside (not be moved in later), must inherit no other socket, must not
 * make sockets of other families, must not leave the cgroup, must not undo the programs, and must
 * not have a helper outside do its networking. One stage shuts each of these ways. The child walks
 * through the stages in order; the first that fails is reported to the parent over a pipe (stage,
 * errno) and the child exits without exec: a sandbox starts whole or not at all.
 *
 *  pids          A PID namespace, with an init of ours, and the child beside that init (pids.c):
 *                for a root command, and for a user's where `landlock` below is not to be had.
 *                Whom the command cannot name it cannot go through: /proc/PID/root, cwd, fd, mem,
 *                pidfd_getfd and ptrace ask only whether one may trace the process, and root can
 *                take on the uid of any (setfsuid): from there a cgroup.procs can be written and
 *                the pins removed (B11). It must not change whose child the command is: status
 *                and job control are the kernel's. --share pids leaves it out.
 *  place         The child is born in the cgroup (CLONE_INTO_CGROUP), or is moved there by the
 *                parent and then told to go on. It looks for itself in cgroup.procs. It must not
 *                do anything of the caller's before that, and must not go on when the parent died
 *                first. There is no PR_SET_PDEATHSIG: once started, the command and its
 *                enforcement outlive the parent.
 *  descriptors   Everything from 3 up is closed but the report pipe, which closes on exec: a
 *                socket made before the join is attributed to the caller's cgroup for ever (B1).
 *                0, 1 and 2 are checked by the parent, sp_launch_check_standard().
 *  mounts        A private mount namespace, in which
 *                 - sockets that answer host names without DNS are covered, so look-ups use DNS,
 *                   where they can be decided and can teach (B5); and so are helpers
 *                   that start programs or open connections for others (B4, B12): hide.c. What
 *                   is made after the start, in a directory that did not exist, cannot be covered;
 *                 - every cgroup2 mount is read-only, so that a root sandbox, or one in a
 *                   delegated subtree, cannot write itself out (B3);
 *                 - every bpffs is covered: root owns the pins, and removing a pinned link opens
 *                   the sandbox;
 *                 - for a root sandbox, sys and sysrq-trigger of every /proc, and uevent_helper,
 *                   are read-only: core_pattern, modprobe and the like name programs that the
 *                   kernel starts outside, with no capability asked for; and configfs, debugfs,
 *                   tracefs, binfmt_misc and nfsd are covered.
 *                It must not change what the host sees: propagation is cut first. A nested user
 *                namespace cannot take these mounts off again; the kernel locks them.
 *                In a chroot the mounts outside are in no table that could be read, so
 * CAP_SYS_CHROOT, which leads out of one, is taken too. No user namespace can be made in one.
 *  bounding      Capabilities leave the bounding set. Before `user`: it takes CAP_SETPCAP.
 *  user          Groups, then group, then user; all three ids of each.
 *  capabilities  The listed capabilities leave effective, permitted, inheritable and (by kernel
 *                rule) ambient. Below uid 0 nothing is left to drop as a rule; root keeps what
 *                installing packages takes.
 *  privileges    no_new_privs: set-uid programs and file capabilities give nothing back.
 *  landlock      A domain of the command's own (landlock.c): no process outside may be traced, nor
 *                what asks the same question; none be signalled, none reached by an abstract UNIX
 *                socket. Only scopes, on ABI 6 (Linux 6.12): with any right on files handled,
 *                mount() would be refused, and bwrap, unshare -m and container engines with it.
 *                --landlock asks for that on ABI 1 to 5. After `privileges`, which it needs.
 *  filter        seccomp: socket families, io_uring, foreign system call ABIs, bpf(), clone3()
 *                (a child in another cgroup), and the two terminal ioctls that type into the
 *                caller's shell; before Linux 6.2 also sendfile(), splice(), vmsplice(), tee().
 *                Late, since it forbids what earlier stages may need.
 *  verify        Looks at the result as the kernel reports it, and refuses to go on if a stage did
 *                not do what its return value said.
 *  environment   HOME, USER, LOGNAME, SHELL of the new user. Signal mask, dispositions and limits
 *                as sallyport found them.
 *  exec          execvp, as the target user: what that user cannot execute is not found by root.
 *
 * Under audit_only nothing may be blocked: only place, mounts (only what DNS answers alike; a
 * failure is a warning), user, environment and exec are walked. No PID namespace and no domain
 * either: both refuse what the command would be let do.
 *
 * The child never changes its session or process group: the terminal stays the command's.
 *
 * Known limits, which SECURITY.md repeats: files that a process of the same user outside reads can
 * be written, and a root sandbox can write the host's files. `--user` with a user of its own shuts
 * both. Below Landlock ABI 6 abstract UNIX sockets stay in reach: they belong to the network
 * namespace.
 */
/* clang-format on */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hide.h"
#include "landlock.h"
#include "launch.h"
#include "mounts.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL /* Linux 5.7 */
#endif
#ifndef CAP_PERFMON
#define CAP_PERFMON 38 /* Linux 5.8 */
#define CAP_BPF 39
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40 /* Linux 5.9 */
#endif
#ifndef SOCK_PACKET
#define SOCK_PACKET 10
#endif

static const char *const stage_names[SP_STAGES] = {
	[SP_STAGE_START] = "start a process",
	[SP_STAGE_PIDS] = "make a PID namespace",
	[SP_STAGE_PLACE] = "enter the cgroup",
	[SP_STAGE_DESCRIPTORS] = "close descriptors",
	[SP_STAGE_MOUNTS] = "hide files",
	[SP_STAGE_BOUNDING] = "limit capabilities",
	[SP_STAGE_USER] = "change the user",
	[SP_STAGE_CAPS] = "drop capabilities",
	[SP_STAGE_PRIVILEGES] = "set no_new_privs",
	[SP_STAGE_LANDLOCK] = "enter a Landlock domain",
	[SP_STAGE_FILTER] = "load the system call filter",
	[SP_STAGE_VERIFY] = "verify the sandbox",
	[SP_STAGE_ENVIRONMENT] = "prepare the environment",
	[SP_STAGE_EXEC] = "execute",
};

/* What the child tells its parent. Less than PIPE_BUF, so it arrives whole. */
struct report {
	int stage;
	int error;   /* errno */
	int warning; /* 1: the child went on */
	char what[200];
};

/* ---- tables --------------------------------------------------------------------------------- */

const struct sp_dropped_cap sp_dropped_caps[] = {
	{CAP_NET_RAW, "packet sockets pass no cgroup hook"},
	{CAP_NET_ADMIN, "TUN devices, marks, transparent proxying, routes"},
	{CAP_SYS_ADMIN, "setns, mount, and detaching programs"},
	{CAP_BPF, "reads and writes the maps that hold the policy"},
	{CAP_PERFMON, "tracing programs read other processes' memory"},
	{CAP_SYS_PTRACE, "takes over, or takes sockets from, processes outside"},
	{CAP_SYS_MODULE, "kernel code"},
	{CAP_SYS_RAWIO, "physical memory and ports"},
	{CAP_SYS_BOOT, "kexec"},
	{CAP_MKNOD, "device nodes of memory and disks"},
	{CAP_DAC_READ_SEARCH, "open_by_handle_at walks around the mount namespace"},
	{CAP_MAC_ADMIN, "changes the host's security modules"},
	{CAP_MAC_OVERRIDE, "ignores the host's security modules"},
	{CAP_CHECKPOINT_RESTORE, "clone3 set_tid, and other processes' memory maps"},
	{CAP_SYSLOG, "kernel addresses"},
	{CAP_AUDIT_CONTROL, "silences the host's audit"},
	{CAP_SYS_TIME, "moves the clock that certificates and audit lines rest on"},
};

const size_t sp_dropped_caps_len = sizeof(sp_dropped_caps) / sizeof(sp_dropped_caps[0]);

/*
 * Socket families that the sandbox may have. NETLINK only with NETLINK_ROUTE: getifaddrs() and
 * getaddrinfo() need it.
 */
static const unsigned int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* ---- stage: place --------------------------------------------------------------------------- */

/* Looks for the calling process in cgroup.procs: 0, or -ESRCH. */
static int in_cgroup(int cgroup_fd)
{
	int fd = openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *procs = fd < 0 ? NULL : fdopen(fd, "r");
	int r = -ESRCH;
	long pid;

	if (!procs)
		return -errno;
	while (r && fscanf(procs, "%ld", &pid) == 1)
		if (pid == (long)getpid())
			r = 0;
	fclose(procs);
	return r;
}

static int child_place(const struct sp_launch *launch, int go)
{
	ssize_t len;
	char byte;

	do {
		len = read(go, &byte, 1);
	} while (len < 0 && errno == EINTR);
	if (len != 1)
		_exit(125); /* the parent is gone: nobody is there to hear of it */
	return launch->cgroup_fd < 0 ? 0 : in_cgroup(launch->cgroup_fd);
}

/* ---- stage: descriptors --------------------------------------------------------------------- */

static int child_descriptors(int report)
{
	if (report > 3 && syscall(SYS_close_range, 3u, (unsigned int)report - 1, 0u))
		return -errno;
	if (syscall(SYS_close_range, (unsigned int)report + 1, ~0u, 0u))
		return -errno;
	return 0;
}

int sp_launch_check_standard(struct sp_error **err)
{
	static const char *const names[] = {"standard input", "standard output", "standard error"};

	for (int fd = 0; fd <= 2; fd++) {
		int family = AF_UNIX;
		socklen_t len = sizeof(family);
		struct stat st;

		if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) && family != AF_UNIX)
			return sp_error_set(err, -EPERM,
					    "%s is a network socket made outside the "
					    "sandbox, which no hook would see; put a pipe between "
					    "(cat | sallyport ... | cat)",
					    names[fd]);
		/* From there the caller's mounts are reached, where nothing is covered or
		 * read-only. */
		if (!fstat(fd, &st) && S_ISDIR(st.st_mode))
			return sp_error_set(err, -EPERM,
					    "%s is a directory, which leads around what is hidden "
					    "from the command; give it a file or /dev/null",
					    names[fd]);
	}
	return 0;
}

/* ---- stage: mounts -------------------------------------------------------------------------- */

static unsigned long mount_flags(char *options)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = {
		{"nosuid", MS_NOSUID},	 {"nodev", MS_NODEV},		{"noexec", MS_NOEXEC},
		{"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME}, {"relatime", MS_RELATIME},
	};
	unsigned long flags = 0;
	char *save = NULL;

	for (char *o = strtok_r(options, ",", &save); o; o = strtok_r(NULL, ",", &save))
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (!strcmp(o, known[i].name))
				flags |= known[i].flag;
	return flags;
}

/*
 * What a root command could write to have a program started outside, with no capability asked for:
 * core_pattern, modprobe and more in sys; uevent_helper, where the kernel has it. `root` is what of
 * the file system is mounted at `point`: all of it, or a part.
 */
static int guard_helpers(const char *type, const char *root, const char *point, unsigned long flags)
{
	static const struct {
		const char *type, *path;
	} paths[] = {
		{"proc", "/sys"},
		{"proc", "/sysrq-trigger"},
		{"sysfs", "/kernel/uevent_helper"},
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char path[PATH_MAX];
		int r;

		if (strcmp(type, paths[i].type) != 0)
			continue;
		if (strcmp(root, "/") != 0) {
			/* a part: of sys, or the whole way to one of these */
			if (strncmp(root, paths[i].path, strlen(paths[i].path)) != 0)
				continue;
			r = sp_hide_remount_read_only(point, flags);
			if (r)
				return r;
			continue;
		}
		snprintf(path, sizeof(path), "%s%s", point, paths[i].path);
		if (mount(path, path, NULL, MS_BIND, NULL)) {
			if (errno == ENOENT)
				continue;
			return -errno;
		}
		r = sp_hide_remount_read_only(path, MS_NOSUID | MS_NODEV | MS_NOEXEC);
		if (r)
			return r;
	}
	return 0;
}

/*
 * File systems by which root moves the kernel itself, with no capability asked for: configfs makes
 * it send (netconsole: what is written to /dev/kmsg, to any address), serve (NVMe, iSCSI) and more;
 * debugfs has whatever drivers put there; tracefs reads all memory (kprobe_events,
 * uprobe_events); binfmt_misc starts a program of one's choice in place of others', outside;
 * nfsd serves files. Nothing in them is for what runs in a sandbox.
 */
static bool moves_kernel(const char *type)
{
	static const char *const types[] = {"configfs", "debugfs", "tracefs", "binfmt_misc",
					    "nfsd"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

/* If it is to be seen there, a directory or a file of it: with what is empty. */
static int cover_kernel(const struct sp_mount *m)
{
	struct stat st;

	if (stat(m->point, &st) || st.st_dev != makedev(m->major, m->minor))
		return 0;
	if (S_ISDIR(st.st_mode))
		return sp_hide_directory(m->point, false);
	return mount("/dev/null", m->point, NULL, MS_BIND, NULL) ? -errno : 0;
}

/*
 * cgroup2: read-only. bpf: covered. For a root command, proc, sysfs and the like as above, wherever
 * they are mounted. proc(5) has the fields of mountinfo.
 */
static int guard_kernel_mounts(bool helpers, bool pids, char at[PATH_MAX])
{
	struct sp_mount_table table = {0};
	struct sp_mount mount;
	int r, more;

	r = sp_mount_table_open("/proc/self/mountinfo", &table);
	while (!r && (more = sp_mount_table_next(&table, &mount)) != 0) {
		const char *root = mount.root, *point = mount.point, *type = mount.type;
		struct statfs fs;
		bool moves;

		if (more < 0) {
			r = more;
			break;
		}
		moves = helpers && moves_kernel(type);
		if (!moves && strcmp(type, "cgroup2") != 0 && strcmp(type, "bpf") != 0 &&
		    strcmp(type, "proc") != 0 && strcmp(type, "sysfs") != 0)
			continue;
		snprintf(at, PATH_MAX, "%s", point);
		/* Another file system on top (or an unreachable place): nobody gets there by path.
		 */
		if (statfs(point, &fs))
			continue;
		if (!strcmp(type, "cgroup2") && fs.f_type == CGROUP2_SUPER_MAGIC)
			r = sp_hide_remount_read_only(point, mount_flags(mount.options));
		else if (!strcmp(type, "bpf") && fs.f_type == BPF_FS_MAGIC)
			r = sp_hide_directory(point, false);
		else if (pids && !strcmp(type, "proc") && fs.f_type == PROC_SUPER_MAGIC)
			r = sp_pids_cover_proc(root, point);
		else if (moves)
			r = cover_kernel(&mount);
		if (!r && helpers && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC))
			r = guard_helpers(type, root, point, mount_flags(mount.options));
	}
	sp_mount_table_close(&table);
	/*
	 * Where sallyport says whose box is whose: a lock held there would stop every other start,
	 * and what is written there is read by them.
	 */
	if (!r) {
		snprintf(at, PATH_MAX, "/run/sallyport");
		r = sp_hide_directory(at, false);
	}
	return r;
}

/* An empty directory without a path: what a working directory that was removed looks like. */
static int enter_nowhere(void)
{
	int fd = sp_hide_tmpfs(), r;

	if (fd < 0)
		return fd;
	r = fchdir(fd) ? -errno : 0;
	close(fd);
	return r;
}

/*
 * A working directory in a covered place would still lead to what is below the cover, and so does
 * one that was removed, by "..". Where no path leads to it, the command is put where there is
 * nothing: in "/", what it does to "./" would be done there.
 */
static int leave_covered(void)
{
	char path[PATH_MAX];
	struct stat by_path, now;

	if (!getcwd(path, sizeof(path)) || *path != '/' || stat(".", &now))
		return enter_nowhere();
	if (stat(path, &by_path))
		/* Not allowed to look, as on a network file system: then nothing was covered. */
		return errno == ENOENT ? enter_nowhere() : 0;
	if (by_path.st_dev == now.st_dev && by_path.st_ino == now.st_ino)
		return 0;
	return chdir(path) ? -errno : 0;
}

/* Is it the same directory, of the same mount? 1, 0, or -errno. */
static int same_directory(int a, int b)
{
	struct statx x, y;

	if (statx(a, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &x) ||
	    statx(b, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &y))
		return -errno;
	if (!(x.stx_mask & y.stx_mask & STATX_MNT_ID)) /* Linux 5.8 */
		return -EOPNOTSUPP;
	return x.stx_mnt_id == y.stx_mnt_id && x.stx_ino == y.stx_ino &&
	       x.stx_dev_major == y.stx_dev_major && x.stx_dev_minor == y.stx_dev_minor;
}

/*
 * Is the root directory another than the mount namespace's? The table of mounts ends at it, so what
 * lies outside is not covered. Entering the very namespace leads to its root; and back.
 */
static int in_chroot(bool *ret_chroot)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int whole = -1, r = 0;

	/* without /proc it cannot be seen */
	*ret_chroot = true;
	if (root < 0 || cwd < 0) {
		r = -errno;
	} else if (own >= 0 && !setns(own, CLONE_NEWNS)) {
		whole = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = whole < 0 ? -errno : same_directory(root, whole);
		*ret_chroot = r != 1;
		r = r < 0 ? r : 0;
		if (!r && (fchdir(root) || chroot(".") || fchdir(cwd)))
			r = -errno;
	}
	for (size_t i = 0; i < 4; i++) {
		int fd = (int[]){root, cwd, own, whole}[i];

		if (fd >= 0)
			close(fd);
	}
	return r;
}

/* Something mounted on top of the root directory: paths start below it, and "/.." is above. */
static int check_root(void)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int above = open("/..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = root < 0 || above < 0 ? -errno : same_directory(root, above);

	if (root >= 0)
		close(root);
	if (above >= 0)
		close(above);
	return r == 0 ? -ELOOP : r < 0 ? r : 0;
}

/* From a chroot root gets out by another one, to where nothing is covered. */
static int keep_in_chroot(void)
{
	bool jailed;
	int r = in_chroot(&jailed);

	if (r || !jailed)
		return r;
	if (prctl(PR_CAPBSET_DROP, CAP_SYS_CHROOT, 0, 0, 0))
		return -errno;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_get_caps_process() ||
	    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE,
			 CAP_SYS_CHROOT) ||
	    capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return 0;
}

static int child_mounts(const struct sp_launch *launch, uid_t uid, bool pids, char at[PATH_MAX])
{
	int r;

	snprintf(at, PATH_MAX, "mount namespace");
	if (unshare(CLONE_NEWNS))
		return -errno;
	/* Private, not slave: nothing that is mounted outside later may uncover what is covered. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	r = launch->hide ? sp_hide_cover(launch->hide, at) : 0;
	if (!r && pids)
		r = sp_pids_mount_proc(at);
	if (!r && launch->enforce)
		r = guard_kernel_mounts(uid == 0 && !launch->keep_caps, pids, at);
	if (!r && launch->enforce) {
		snprintf(at, PATH_MAX, "working directory");
		r = leave_covered();
	}
	if (!r && launch->enforce) {
		snprintf(at, PATH_MAX, "root directory");
		r = check_root();
	}
	if (!r && launch->enforce && !launch->keep_caps)
		r = keep_in_chroot();
	return r;
}

/* ---- stages: bounding, user, capabilities, privileges --------------------------------------- */

int sp_launch_drop_bounding(void)
{
	for (size_t i = 0; i < sp_dropped_caps_len; i++) {
		unsigned int cap = sp_dropped_caps[i].cap;

		/* EINVAL: a capability that this kernel does not have is nobody's. */
		if (prctl(PR_CAPBSET_READ, cap) <= 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return -errno;
	}
	return 0;
}

int sp_launch_drop_caps(void)
{
	unsigned int last = CAP_LAST_CAP;

	capng_clear(CAPNG_SELECT_ALL);
	if (capng_get_caps_process())
		return -EIO;
	for (size_t i = 0; i < sp_dropped_caps_len; i++) {
		if (sp_dropped_caps[i].cap > last)
			continue;
		if (capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE,
				 sp_dropped_caps[i].cap))
			return -EIO;
	}
	/* The bounding set went before, while CAP_SETPCAP was there for it; ambient follows these.
	 */
	if (capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return 0;
}

static int child_user(const struct sp_identity *identity)
{
	uid_t uids[3];
	gid_t gids[3];
	int r;

	if (!identity->change)
		return 0;
	r = sp_identity_become(identity);
	if (r)
		return r;
	if (getresgid(&gids[0], &gids[1], &gids[2]) || getresuid(&uids[0], &uids[1], &uids[2]))
		return -errno;
	for (int i = 0; i < 3; i++)
		if (uids[i] != identity->uid || gids[i] != identity->gid)
			return -EPERM;
	return 0;
}

/* ---- stage: filter -------------------------------------------------------------------------- */
/*
 * seccomp sees 64-bit registers; the kernel takes an int from them, and the ABI leaves the upper
 * half undefined. A comparison of all 64 bits is wrong both ways: 0x100000028 would slip past a
 * deny-list of exact values and arrive as AF_VSOCK, and 0x100000002 is a legitimate AF_INET. So all
 * comparisons are masked to 32 bits. libseccomp has no "masked not in": the complement of the
 * allow-list is spelled out as 28 values below 32, and one rule for each of the bits 5 to 31.
 */
#define LOW32 0xffffffffULL

static int deny(scmp_filter_ctx filter, int error, int call, unsigned int len,
		const struct scmp_arg_cmp *args)
{
	return seccomp_rule_add_exact_array(filter, SCMP_ACT_ERRNO((unsigned int)error), call, len,
					    args);
}

static bool family_allowed(unsigned int family)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (families[i] == family)
			return true;
	return false;
}

static int filter_families(scmp_filter_ctx filter, int call)
{
	struct scmp_arg_cmp arg;
	int r = 0;

	_Static_assert(AF_UNIX < 32 && AF_INET < 32 && AF_INET6 < 32 && AF_NETLINK < 32,
		       "every family from 32 up is refused by its high bits");
	for (unsigned int family = 0; family < 32 && !r; family++) {
		if (family_allowed(family))
			continue;
		arg = SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, (scmp_datum_t)family);
		r = deny(filter, EAFNOSUPPORT, call, 1, &arg);
	}
	for (unsigned int bit = 5; bit < 32 && !r; bit++) {
		arg = SCMP_A0_64(SCMP_CMP_MASKED_EQ, 1ULL << bit, 1ULL << bit);
		r = deny(filter, EAFNOSUPPORT, call, 1, &arg);
	}
	return r;
}

static int filter_sockets(scmp_filter_ctx filter)
{
	static const int uring[] = {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
				    SCMP_SYS(io_uring_register)};
	static const int keys[] = {SCMP_SYS(request_key), SCMP_SYS(add_key), SCMP_SYS(keyctl)};
	struct scmp_arg_cmp args[2];
	int r;

	r = filter_families(filter, SCMP_SYS(socket));
	if (!r)
		r = filter_families(filter, SCMP_SYS(socketpair));
	/* NETLINK of another protocol than ROUTE, which is 0: any bit set. */
	args[0] = SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, (scmp_datum_t)AF_NETLINK);
	for (unsigned int bit = 0; bit < 32 && !r; bit++) {
		args[1] = SCMP_A2_64(SCMP_CMP_MASKED_EQ, 1ULL << bit, 1ULL << bit);
		r = deny(filter, EPROTONOSUPPORT, SCMP_SYS(socket), 2, args);
	}
	/*
	 * socket(AF_INET, SOCK_PACKET) is an old spelling of AF_PACKET, which __sock_create() still
	 * understands (net/socket.c, "uglymoron"). Only the low four bits are the type.
	 */
	if (!r) {
		args[0] = SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xfULL, (scmp_datum_t)SOCK_PACKET);
		r = deny(filter, EAFNOSUPPORT, SCMP_SYS(socket), 1, args);
	}
	/* A key of type dns_resolver makes a helper of root's ask DNS, outside the sandbox
	 * (keyutils). */
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !r; i++)
		r = deny(filter, ENOSYS, keys[i], 0, NULL);
	/* IORING_OP_SOCKET makes sockets that no filter sees; without it programs fall back. */
	for (size_t i = 0; i < sizeof(uring) / sizeof(uring[0]) && !r; i++)
		r = deny(filter, ENOSYS, uring[i], 0, NULL);
	return r;
}

int sp_launch_load_filter(bool sockets, bool bpf)
{
	/*
	 * A packet written to a TUN device passes no hook, and a device that exists and has no
	 * owner can be attached to without any capability.
	 *
	 * TIOCSTI types into the terminal that sallyport was started from, TIOCLINUX pastes into a
	 * console: what is typed there runs outside, as soon as the shell reads it. The command is
	 * an unsigned int (CVE-2019-7303 in a peer was a 64-bit comparison here).
	 */
	static const unsigned int ioctls[] = {TIOCSTI, TIOCLINUX, TUNSETIFF};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		return -ENOMEM;
	/*
	 * Foreign ABIs (i386, x32; AArch32): socketcall() hides its arguments in memory, so such a
	 * process is killed. An errno instead would make a 32-bit program run on with every call
	 * failing; SIGSYS is clear, and `run` says what it means.
	 */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/*
	 * CLONE_INTO_CGROUP asks for write permission on the other cgroup's files, which root has,
	 * and not whether their mount is writable. What clone3() is asked for is in memory, where
	 * no filter looks; without it libraries use clone().
	 */
	if (!r)
		r = deny(filter, ENOSYS, SCMP_SYS(clone3), 0, NULL);
	/* Before Linux 5.16 a filter also turned a speculation mitigation on, at a cost. */
	if (!r)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (!r && sockets)
		r = filter_sockets(filter);
	if (!r && bpf)
		r = deny(filter, EPERM, SCMP_SYS(bpf), 0, NULL);
	for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]) && !r; i++) {
		struct scmp_arg_cmp arg =
			SCMP_A1_64(SCMP_CMP_MASKED_EQ, LOW32, (scmp_datum_t)ioctls[i]);

		if (ioctls[i] == TUNSETIFF && !bpf)
			continue; /* --keep-caps */
		r = deny(filter, EPERM, SCMP_SYS(ioctl), 1, &arg);
	}
	if (!r)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/*
 * Where the packet hook cannot tell pages that may still change from bytes that were copied
 * (bpf/pages.bpf.h), nothing hands pages to a socket. EINVAL is what sendfile() says of a file that
 * cannot be mapped: programs go on with read() and write(), but for nginx. A filter of its own:
 * io_uring, which has splice too, is refused by the other one.
 */
int sp_launch_refuse_pages(void)
{
	static const int calls[] = {SCMP_SYS(sendfile), SCMP_SYS(splice), SCMP_SYS(vmsplice),
				    SCMP_SYS(tee)};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!r)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && !r; i++)
		r = deny(filter, EINVAL, calls[i], 0, NULL);
	if (!r)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/* ---- stage: verify -------------------------------------------------------------------------- */

/*
 * In the PID namespace: /proc is of it, there is nobody above, and init leads nowhere. Whoever
 * keeps all capabilities may look at init, and finds an empty directory.
 */
static int verify_pids(bool keep_caps)
{
	struct statfs fs;
	char self[32] = "", root[PATH_MAX];

	if (getppid() != 0)
		return -EPERM;
	if (statfs("/proc", &fs) || fs.f_type != PROC_SUPER_MAGIC)
		return 0;
	if (readlink("/proc/self", self, sizeof(self) - 1) < 0 || atol(self) != (long)getpid())
		return -EPERM;
	return !keep_caps && readlink("/proc/1/root", root, sizeof(root)) >= 0 ? -EPERM : 0;
}

static int child_verify(const struct sp_launch *launch, bool pids, const char **ret_what)
{
	*ret_what = "PID namespace";
	if (pids && verify_pids(launch->keep_caps))
		return -EPERM;
	*ret_what = "no_new_privs";
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return -EPERM;
	*ret_what = "seccomp";
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
		return -EPERM;
	*ret_what = "socket families";
	if (!launch->keep_families &&
	    (syscall(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0) >= 0 || errno != EAFNOSUPPORT))
		return -EPERM;
	*ret_what = "sendfile";
	if (launch->refuse_pages &&
	    (syscall(SYS_sendfile, -1, -1, NULL, 1) >= 0 || errno != EINVAL))
		return -EPERM; /* unfiltered: EBADF */
	*ret_what = "capabilities";
	if (launch->keep_caps)
		return 0;
	if (capng_get_caps_process())
		return -EIO;
	for (size_t i = 0; i < sp_dropped_caps_len; i++) {
		unsigned int cap = sp_dropped_caps[i].cap;

		if (prctl(PR_CAPBSET_READ, cap) == 1 ||
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			return -EPERM;
		if (cap <= CAP_LAST_CAP && (capng_have_capability(CAPNG_EFFECTIVE, cap) ||
					    capng_have_capability(CAPNG_PERMITTED, cap) ||
					    capng_have_capability(CAPNG_INHERITABLE, cap)))
			return -EPERM;
	}
	return 0;
}

/* ---- stage: environment --------------------------------------------------------------------- */

void sp_before_save(struct sp_before *ret_before)
{
	memset(ret_before, 0, sizeof(*ret_before));
	sigprocmask(SIG_SETMASK, NULL, &ret_before->mask);
	sigaction(SIGPIPE, NULL, &ret_before->sigpipe);
	sigaction(SIGCHLD, NULL, &ret_before->sigchld);
	sigaction(SIGXFSZ, NULL, &ret_before->sigxfsz);
	/* libbpf raises what it needs for its maps. */
	ret_before->rlimits = !getrlimit(RLIMIT_MEMLOCK, &ret_before->memlock) &&
			      !getrlimit(RLIMIT_NOFILE, &ret_before->nofile);
}

static int child_restore(const struct sp_before *before)
{
	if (before->rlimits && (setrlimit(RLIMIT_MEMLOCK, &before->memlock) ||
				setrlimit(RLIMIT_NOFILE, &before->nofile)))
		return -errno;
	if (sigaction(SIGPIPE, &before->sigpipe, NULL) ||
	    sigaction(SIGCHLD, &before->sigchld, NULL) ||
	    sigaction(SIGXFSZ, &before->sigxfsz, NULL))
		return -errno;
	return 0;
}

static int child_environment(const struct sp_identity *identity)
{
	static const char *const sudo[] = {"SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND"};
	char number[16];

	if (!identity->change)
		return 0;
	snprintf(number, sizeof(number), "%u", identity->uid);
	if (setenv("HOME", identity->home ? identity->home : "/", 1) ||
	    setenv("USER", identity->name ? identity->name : number, 1) ||
	    setenv("LOGNAME", identity->name ? identity->name : number, 1) ||
	    setenv("SHELL", identity->shell ? identity->shell : "/bin/sh", 1))
		return -errno;
	/* They say "this is root on behalf of": no longer so, and programs act on them. */
	for (size_t i = 0; i < sizeof(sudo) / sizeof(sudo[0]) && identity->from_sudo; i++)
		unsetenv(sudo[i]);
	return 0;
}

/* ---- the child ------------------------------------------------------------------------------ */

static void tell(int report, int stage, int error, bool warning, const char *what)
{
	struct report record = {.stage = stage, .error = error, .warning = warning};
	ssize_t len;

	snprintf(record.what, sizeof(record.what), "%s", what ? what : "");
	do {
		len = write(report, &record, sizeof(record));
	} while (len < 0 && errno == EINTR);
}

static void __attribute__((noreturn)) fail(int report, enum sp_stage stage, int r, const char *what)
{
	tell(report, stage, -r, false, what);
	_exit(125);
}

/*
 * execvp says EACCES for a command that is nowhere, if PATH has a directory that may not be
 * searched (root's, as another user). Shells say "not found", and so does this.
 */
static bool in_path(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	if (strchr(name, '/') || !path)
		return true;
	for (;;) {
		int len = (int)strcspn(path, ":");

		snprintf(file, sizeof(file), "%.*s/%s", len ? len : 1, len ? path : ".", name);
		if (!access(file, F_OK))
			return true;
		if (!path[len])
			return false;
		path += len + 1;
	}
}

static int child_landlock(const struct sp_launch *launch)
{
	int r = sp_landlock_restrict(!launch->share_abstract, !launch->share_pids,
				     launch->landlock);

	/* Asked for by name: then it may not be missing. */
	return r == 0 && launch->landlock && !sp_landlock_abi() ? -EOPNOTSUPP : r < 0 ? r : 0;
}

bool sp_launch_wants_pids(const struct sp_launch *launch)
{
	const struct sp_identity *identity = launch->identity;
	uid_t uid = identity->change ? identity->uid : getuid();

	if (!launch->enforce || launch->share_pids)
		return false;
	return uid == 0 || sp_landlock_abi() < SP_LANDLOCK_SCOPES;
}

static void __attribute__((noreturn))
child(const struct sp_launch *launch, bool pids, int go, int report)
{
	const struct sp_identity *identity = launch->identity;
	uid_t uid = identity->change ? identity->uid : getuid();
	const char *what = NULL;
	char at[PATH_MAX] = "";
	int r;

	r = child_place(launch, go);
	if (r)
		fail(report, SP_STAGE_PLACE, r, NULL);
	/* Until exec (which sets it again) no process of the target user may trace this one. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		fail(report, SP_STAGE_PLACE, -errno, NULL);
	/* While root: limits may have been raised above what the target user may set. */
	r = child_restore(launch->before);
	if (r)
		fail(report, SP_STAGE_ENVIRONMENT, r, "limits and signals");
	if (launch->enforce) {
		r = child_descriptors(report);
		if (r)
			fail(report, SP_STAGE_DESCRIPTORS, r, NULL);
	}
	r = child_mounts(launch, uid, pids, at);
	if (r && launch->enforce)
		fail(report, SP_STAGE_MOUNTS, r, at);
	else if (r)
		tell(report, SP_STAGE_MOUNTS, -r, true, at);
	if (launch->enforce && !launch->keep_caps) {
		r = sp_launch_drop_bounding();
		if (r)
			fail(report, SP_STAGE_BOUNDING, r, NULL);
	}
	r = child_user(identity);
	if (r)
		fail(report, SP_STAGE_USER, r, NULL);
	if (launch->enforce && !launch->keep_caps) {
		r = sp_launch_drop_caps();
		if (r)
			fail(report, SP_STAGE_CAPS, r, NULL);
	}
	if (launch->enforce) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			fail(report, SP_STAGE_PRIVILEGES, -errno, NULL);
		r = child_landlock(launch);
		if (r)
			fail(report, SP_STAGE_LANDLOCK, r, NULL);
		r = launch->refuse_pages ? sp_launch_refuse_pages() : 0;
		if (r)
			fail(report, SP_STAGE_FILTER, r, "sendfile");
		r = sp_launch_load_filter(!launch->keep_families, !launch->keep_caps);
		if (r)
			fail(report, SP_STAGE_FILTER, r, NULL);
		r = child_verify(launch, pids, &what);
		if (r)
			fail(report, SP_STAGE_VERIFY, r, what);
	}
	r = child_environment(identity);
	if (r)
		fail(report, SP_STAGE_ENVIRONMENT, r, NULL);
	if (sigprocmask(SIG_SETMASK, &launch->before->mask, NULL))
		fail(report, SP_STAGE_ENVIRONMENT, -errno, "signal mask");
	execvp(launch->argv[0], launch->argv);
	r = -errno;
	if (r == -EACCES && !in_path(launch->argv[0]))
		r = -ENOENT;
	fail(report, SP_STAGE_EXEC, r, launch->argv[0]);
}

/* ---- the parent ----------------------------------------------------------------------------- */

/* Moves a process that waits for its go into the cgroup. */
static int place(int cgroup_fd, pid_t pid)
{
	int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%ld\n", (long)pid) < 0)
		r = -errno;
	close(fd);
	return r;
}

/*
 * Forks into the cgroup. Where clone3 is missing (before Linux 5.7, or filtered away by a
 * container's seccomp profile), or the cgroup refuses for a reason of its own, a plain fork is
 * moved there, and that write has the last word.
 */
static pid_t fork_into(int cgroup_fd, bool *ret_placed)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (__u64)cgroup_fd,
	};
	long pid;

	*ret_placed = true;
	if (cgroup_fd < 0)
		return fork();
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid >= 0)
		return (pid_t)pid;
	*ret_placed = false;
	return fork();
}

/* Reads reports until exec (or the end of the child) closes the pipe. */
static int hear(int report, struct sp_launched *launched, struct sp_error **err)
{
	struct report record;
	int result = 0;

	for (;;) {
		ssize_t len = read(report, &record, sizeof(record));
		char *more = NULL;

		if (len < 0 && errno == EINTR)
			continue;
		if (len != (ssize_t)sizeof(record))
			return result;
		record.what[sizeof(record.what) - 1] = '\0';
		if (record.stage < 0 || record.stage >= SP_STAGES)
			record.stage = SP_STAGE_START;
		if (record.warning) {
			if (asprintf(&more, "%scannot %s: %s: %s\n",
				     launched->warnings ? launched->warnings : "",
				     stage_names[record.stage], record.what,
				     strerror(record.error)) >= 0) {
				free(launched->warnings);
				launched->warnings = more;
			}
			continue;
		}
		launched->stage = (enum sp_stage)record.stage;
		result = record.error > 0 ? -record.error : -EIO;
		if (record.stage == SP_STAGE_EXEC && record.error == ENOENT)
			sp_error_set(err, result, "%s: command not found", record.what);
		else if (record.stage == SP_STAGE_EXEC)
			/* what execve() says where a file's capabilities are not to be had */
			sp_error_set(err, result, "%s: cannot execute: %s%s", record.what,
				     strerror(record.error),
				     record.error == EPERM
					     ? ": a file with capabilities (see getcap) that no "
					       "command here may have, as ping's for raw sockets"
					     : "");
		else
			sp_error_set(err, result, "cannot %s%s%s: %s", stage_names[record.stage],
				     record.what[0] ? ": " : "", record.what,
				     strerror(record.error));
	}
}

static void close_pipe(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int sp_launch_start(const struct sp_launch *launch, struct sp_launched *ret_launched,
		    struct sp_error **err)
{
	int go[2] = {-1, -1}, report[2] = {-1, -1}, r = 0, status;
	struct sp_launched launched = {.pid = -1, .stage = SP_STAGE_START};
	bool placed, pids = sp_launch_wants_pids(launch);
	char what[100];

	if (pipe2(go, O_CLOEXEC) || pipe2(report, O_CLOEXEC)) {
		r = sp_error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
		goto out;
	}
	if (pids) {
		launched.stage = SP_STAGE_PIDS;
		r = sp_pids_start(launch->cgroup_fd, fork_into, place, &launched.pids, what);
		if (r) {
			if (!what[0])
				launched.stage = SP_STAGE_PLACE;
			sp_error_set(err, r, "cannot %s%s%s: %s", stage_names[launched.stage],
				     what[0] ? ": " : "", what, strerror(-r));
			goto out;
		}
		launched.stage = SP_STAGE_START;
	}
	launched.pid = fork_into(launch->cgroup_fd, &placed);
	if (launched.pid < 0) {
		r = sp_error_set(err, -errno, "cannot start a process: %s", strerror(errno));
		if (pids)
			(void)sp_pids_leave();
		goto out;
	}
	if (launched.pid == 0) {
		close(go[1]);
		close(report[0]);
		if (pids)
			close(launched.pids.tell); /* it says that sallyport is there */
		child(launch, pids, go[0], report[1]);
	}
	/* What sallyport forks from here on is its own again. */
	if (pids && (r = sp_pids_leave()))
		sp_error_set(err, r, "cannot leave the PID namespace: %s", strerror(-r));
	close(go[0]);
	close(report[1]);
	go[0] = report[1] = -1;
	if (!r && !placed) {
		launched.stage = SP_STAGE_PLACE;
		r = place(launch->cgroup_fd, launched.pid);
		if (r)
			sp_error_set(err, r, "cannot move a process into the cgroup: %s",
				     strerror(-r));
	}
	/* A child that is not told to go on sees the pipe close, and exits. */
	if (!r && write(go[1], "", 1) != 1)
		r = errno == EPIPE
			    ? sp_error_set(err, -EPIPE, "the child died before it could start")
			    : sp_error_set(err, -errno, "cannot tell the child to go on: %s",
					   strerror(errno));
	close(go[1]);
	go[1] = -1;
	if (!r) {
		launched.stage = SP_STAGE_EXEC;
		r = hear(report[0], &launched, err);
	}
	if (r) {
		while (waitpid(launched.pid, &status, 0) < 0 && errno == EINTR)
			;
		launched.pid = -1;
	}
out:
	close_pipe(go);
	close_pipe(report);
	if (r)
		(void)sp_pids_ended(&launched.pids, -1);
	*ret_launched = launched;
	return r;
}
