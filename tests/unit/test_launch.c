/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_launch.c - what the launcher takes from a command, tried from inside.
 *
 * Links with launch.c, identity.c, resolv.c, output.c and message.c of the command line, and with
 * the library's error.c; needs no BPF. Tests that need root are skipped without it, and say so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "hide.h"
#include "hosts.h"
#include "landlock.h"
#include "launch.h"
#include "output.h"
#include "resolv.h"
#include "words.h"

/* Registers as a hostile program would fill them: the kernel takes the low half, as an int. */
static const uint64_t garbage[] = {0, 1ULL << 32, 0xffffffffULL << 32, 0x8000000000000000ULL,
				   0xdeadbeefULL << 32};
#define GARBAGE (sizeof(garbage) / sizeof(garbage[0]))

/* Runs a function in a child: its return value, or 1000 + the signal that killed it. */
static int in_child(int (*function)(void *data), void *data)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(function(data));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int filtered(bool families)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 1;
	return sp_launch_load_filter(families, true) ? 2 : 0;
}

/* Prints what was wrong (the return value is one byte) and counts. */
static int wrong(const char *call, uint64_t a, uint64_t b, uint64_t c, long got, int error)
{
	fprintf(stderr, "%s(%#llx, %#llx, %#llx) = %ld, errno %d\n", call, (unsigned long long)a,
		(unsigned long long)b, (unsigned long long)c, got, error);
	return 3;
}

/* The result of a socket call: 0 or errno. */
static int try_socket(uint64_t family, uint64_t type, uint64_t protocol)
{
	long fd = syscall(SYS_socket, family, type, protocol);

	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

static int sweep_families(void *data)
{
	int r = filtered(true);

	(void)data;
	for (uint64_t family = 0; family < 130 && !r; family++) {
		bool good = family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
			    family == AF_NETLINK;

		for (size_t i = 0; i < GARBAGE && !r; i++) {
			for (uint64_t type = 0; type < 11; type++) {
				uint64_t a = family | garbage[i];
				int error = try_socket(a, type, 0);
				int pair[2];
				long got;

				if (!good && error != EAFNOSUPPORT)
					r = wrong("socket", a, type, 0, -1, error);
				got = syscall(SYS_socketpair, a, type, 0, pair);
				if (!good && (got >= 0 || errno != EAFNOSUPPORT))
					r = wrong("socketpair", a, type, 0, got, errno);
				if (got >= 0) {
					close(pair[0]);
					close(pair[1]);
				}
			}
			/* Good ones must work, whatever the upper half holds. */
			if (good && family != AF_NETLINK &&
			    try_socket(family | garbage[i], SOCK_STREAM, 0))
				r = wrong("good socket", family | garbage[i], SOCK_STREAM, 0, -1,
					  errno);
		}
	}
	/* Negative families, and each single high bit of the int. */
	for (unsigned int bit = 5; bit < 32 && !r; bit++) {
		static const unsigned int low[] = {0, AF_INET, AF_UNIX, AF_NETLINK};

		for (size_t i = 0; i < 4 && !r; i++)
			for (size_t j = 0; j < GARBAGE && !r; j++) {
				uint64_t a = (1u << bit | low[i]) | garbage[j];
				int error = try_socket(a, SOCK_STREAM, 0);

				if (error != EAFNOSUPPORT)
					r = wrong("socket", a, SOCK_STREAM, 0, -1, error);
			}
	}
	return r;
}

static void test_families(void **state)
{
	(void)state;
	assert_int_equal(in_child(sweep_families, NULL), 0);
}

static int sweep_netlink(void *data)
{
	int r = filtered(true);

	(void)data;
	for (uint64_t protocol = 0; protocol < 40 && !r; protocol++) {
		for (size_t i = 0; i < GARBAGE && !r; i++) {
			int error = try_socket(AF_NETLINK | garbage[i], SOCK_RAW,
					       protocol | garbage[i]);

			if (error != (protocol == NETLINK_ROUTE ? 0 : EPROTONOSUPPORT))
				r = wrong("socket", AF_NETLINK | garbage[i], SOCK_RAW,
					  protocol | garbage[i], -1, error);
		}
	}
	for (unsigned int bit = 0; bit < 32 && !r; bit++) {
		int error = try_socket(AF_NETLINK, SOCK_DGRAM, 1u << bit);

		if (error != EPROTONOSUPPORT)
			r = wrong("socket", AF_NETLINK, SOCK_DGRAM, 1u << bit, -1, error);
	}
	return r;
}

static void test_netlink(void **state)
{
	(void)state;
	assert_int_equal(in_child(sweep_netlink, NULL), 0);
}

static int old_packet_spelling(void *data)
{
	static const uint64_t flags[] = {0, SOCK_CLOEXEC, SOCK_NONBLOCK,
					 SOCK_CLOEXEC | SOCK_NONBLOCK};
	int r = filtered(true);

	(void)data;
	for (size_t i = 0; i < GARBAGE && !r; i++)
		for (size_t j = 0; j < 4 && !r; j++) {
			uint64_t type = 10 | flags[j] | garbage[i];
			int error = try_socket(AF_INET, type, 0x0300);

			if (error != EAFNOSUPPORT)
				r = wrong("socket", AF_INET, type, 0x0300, -1, error);
			/* TCP and UDP stay. */
			if (try_socket(AF_INET, SOCK_DGRAM | flags[j] | garbage[i], 0) ||
			    try_socket(AF_INET6, SOCK_STREAM | flags[j] | garbage[i], IPPROTO_TCP))
				r = wrong("good socket", AF_INET, flags[j], 0, -1, errno);
		}
	return r;
}

static void test_old_packet_spelling(void **state)
{
	(void)state;
	assert_int_equal(in_child(old_packet_spelling, NULL), 0);
}

static int other_calls(void *data)
{
	static const unsigned int commands[] = {TIOCSTI, TIOCLINUX};
	int r = filtered(true);
	char params[256] = {0};

	(void)data;
	if (!r && (syscall(SYS_io_uring_setup, 1u, params) >= 0 || errno != ENOSYS))
		r = wrong("io_uring_setup", 1, 0, 0, -1, errno);
	if (!r && (syscall(SYS_io_uring_enter, -1, 0u, 0u, 0u, NULL, 0) >= 0 || errno != ENOSYS))
		r = wrong("io_uring_enter", 0, 0, 0, -1, errno);
	if (!r && (syscall(SYS_bpf, 0, params, sizeof(params)) >= 0 || errno != EPERM))
		r = wrong("bpf", 0, 0, 0, -1, errno);
	for (size_t i = 0; i < GARBAGE && !r; i++)
		for (size_t j = 0; j < 2 && !r; j++)
			/* Of a bad descriptor: unfiltered, it would be EBADF. */
			if (syscall(SYS_ioctl, -1, commands[j] | garbage[i], params) >= 0 ||
			    errno != EPERM)
				r = wrong("ioctl", commands[j] | garbage[i], 0, 0, -1, errno);
	if (!r && (ioctl(-1, TIOCGWINSZ, params) >= 0 || errno != EBADF))
		r = wrong("ioctl", TIOCGWINSZ, 0, 0, -1, errno);
	return r;
}

static void test_other_calls(void **state)
{
	(void)state;
	assert_int_equal(in_child(other_calls, NULL), 0);
}

static int families_kept(void *data)
{
	int before[64], r;

	(void)data;
	for (int family = 0; family < 64; family++)
		before[family] = try_socket((uint64_t)family, SOCK_DGRAM, 0);
	r = filtered(false);
	for (int family = 0; family < 64 && !r; family++)
		if (try_socket((uint64_t)family, SOCK_DGRAM, 0) != before[family])
			r = wrong("socket", (uint64_t)family, SOCK_DGRAM, 0, -1, errno);
	return r;
}

static void test_families_kept(void **state)
{
	(void)state;
	assert_int_equal(in_child(families_kept, NULL), 0);
}

#ifdef __x86_64__
static int int80(void *data)
{
	long r = 20; /* getpid of i386 */

	if (data && filtered(true))
		return 1;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r > 0 ? 7 : 8;
}

static int x32(void *data)
{
	if (data && filtered(true))
		return 1;
	return syscall(0x40000000 | SYS_getpid) > 0 ? 7 : errno == ENOSYS ? 8 : 9;
}

static void test_foreign_abis(void **state)
{
	int without = in_child(int80, NULL);

	(void)state;
	if (without != 7)
		print_message("this kernel has no 32-bit calls (%d): tried nevertheless\n",
			      without);
	assert_int_equal(in_child(int80, &without), without == 7 ? 1000 + SIGSYS : without);
	assert_int_equal(in_child(x32, &without), 1000 + SIGSYS);
}
#endif

/* ---- capabilities --------------------------------------------------------------------------- */

static int drops(void *data)
{
	unsigned long long sets[5] = {0};
	static const char *const names[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	char line[256];
	FILE *status;

	(void)data;
	if (sp_launch_drop_bounding() || sp_launch_drop_caps())
		return 1;
	status = fopen("/proc/self/status", "re");
	while (status && fgets(line, sizeof(line), status))
		for (int i = 0; i < 5; i++)
			if (!strncmp(line, names[i], 6))
				sets[i] = strtoull(line + 7, NULL, 16);
	if (!status)
		return 2;
	fclose(status);
	for (size_t i = 0; i < sp_dropped_caps_len; i++)
		for (int j = 0; j < 5; j++)
			if (sets[j] >> sp_dropped_caps[i].cap & 1) {
				fprintf(stderr, "%s still has %u\n", names[j],
					sp_dropped_caps[i].cap);
				return 3;
			}
	/* And nothing but these: CHOWN and NET_BIND_SERVICE stay root's. */
	return sets[2] & 1 && sets[2] >> 10 & 1 ? 0 : 4;
}

static void test_drops(void **state)
{
	(void)state;
	if (geteuid()) {
		print_message("skipped: needs root\n");
		skip();
	}
	assert_int_equal(in_child(drops, NULL), 0);
}

/* ---- starting ------------------------------------------------------------------------------- */

struct started {
	int result;
	enum sp_stage stage;
	int status; /* exit status, or 1000 + signal */
	bool alone; /* init ended: nobody was left */
	char output[4096];
};

/* What the next start() is given back. */
static bool share_pids, share_abstract, old_landlock;

static void start(char *const argv[], bool enforce, const char *user, struct started *ret)
{
	struct sp_identity identity = {0};
	struct sp_before before;
	struct sp_launched launched;
	struct sp_hide_list hide;
	struct sp_launch launch = {.argv = argv,
				   .cgroup_fd = -1,
				   .enforce = enforce,
				   .hide = &hide,
				   .share_pids = share_pids,
				   .share_abstract = share_abstract,
				   .landlock = old_landlock,
				   .identity = &identity,
				   .before = &before};
	struct sp_error *err = NULL;
	int fds[2], out, status;
	size_t len = 0;
	ssize_t more;

	memset(ret, 0, sizeof(*ret));
	sp_before_save(&before);
	assert_int_equal(sp_identity_find(user, &identity, &err), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fflush(NULL);
	out = dup(1);
	dup2(fds[1], 1);
	close(fds[1]);
	assert_int_equal(sp_hide_find(identity.change ? identity.uid : 0, 0, "/run/home", enforce,
				      NULL, &hide),
			 0);
	ret->result = sp_launch_start(&launch, &launched, &err);
	sp_hide_list_free(&hide);
	ret->stage = launched.stage;
	dup2(out, 1);
	close(out);
	while ((more = read(fds[0], ret->output + len, sizeof(ret->output) - 1 - len)) > 0)
		len += (size_t)more;
	close(fds[0]);
	if (ret->result) {
		assert_non_null(err);
		sp_error_free(err);
		assert_int_equal(launched.pid, -1);
	} else {
		assert_int_equal(waitpid(launched.pid, &status, 0), launched.pid);
		ret->status = WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
		ret->alone = sp_pids_ended(&launched.pids, 2000);
	}
	free(launched.warnings);
	sp_identity_free(&identity);
}

#define COMMAND(...) ((char *[]){__VA_ARGS__, NULL})

static void need_root(void)
{
	if (geteuid()) {
		print_message("skipped: needs root\n");
		skip();
	}
}

static void test_start(void **state)
{
	struct started s;

	(void)state;
	need_root();
	start(COMMAND("sh", "-c", "exit 7"), true, NULL, &s);
	assert_int_equal(s.result, 0);
	assert_int_equal(s.status, 7);
	start(COMMAND("sh", "-c", "kill -9 $$"), true, NULL, &s);
	assert_int_equal(s.status, 1009);
	start(COMMAND("no-such-command-here"), true, NULL, &s);
	assert_int_equal(s.result, -ENOENT);
	assert_int_equal(s.stage, SP_STAGE_EXEC);
	start(COMMAND("/etc/passwd"), true, NULL, &s);
	assert_int_equal(s.result, -EACCES);
	assert_int_equal(s.stage, SP_STAGE_EXEC);
	start(COMMAND("/etc/passwd/x"), true, NULL, &s);
	assert_int_equal(s.result, -ENOTDIR);
}

/* A cgroup that cannot be entered: nothing of the command may run. */
static void test_place(void **state)
{
	char *touch[] = {"touch", "/tmp/sp-test-launch-ran", NULL};
	int not_cgroup = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sp_identity identity = {0};
	struct sp_before before;
	struct sp_launched launched;
	struct sp_launch launch = {.argv = touch,
				   .cgroup_fd = not_cgroup,
				   .enforce = true,
				   .identity = &identity,
				   .before = &before};
	struct sp_error *err = NULL;

	(void)state;
	need_root();
	sp_before_save(&before);
	unlink(touch[1]);
	assert_int_equal(sp_launch_start(&launch, &launched, &err), -ENOENT);
	assert_int_equal(launched.stage, SP_STAGE_PLACE);
	assert_int_equal(launched.pid, -1);
	assert_non_null(err);
	sp_error_free(err);
	assert_int_equal(access(touch[1], F_OK), -1);
	close(not_cgroup);
}

static void test_not_found_for_other_user(void **state)
{
	struct started s;
	const char *old = getenv("PATH");
	char *path = strdup(old ? old : "/usr/bin:/bin");

	(void)state;
	need_root();
	setenv("PATH", "/root/bin:/usr/bin:/bin", 1);
	start(COMMAND("no-such-command-here"), true, "65534:65534", &s);
	assert_int_equal(s.result, -ENOENT);
	setenv("PATH", path, 1);
	free(path);
}

static void test_descriptors(void **state)
{
	struct started s;
	int fd = open("/dev/null", O_RDWR);
	int high = fcntl(fd, F_DUPFD, 900);

	(void)state;
	need_root();
	assert_true(fd >= 0 && high >= 900);
	start(COMMAND("sh", "-c", "echo /proc/$$/fd/*"), true, NULL, &s);
	assert_int_equal(s.status, 0);
	assert_null(strstr(s.output, "/900"));
	assert_non_null(strstr(s.output, "/fd/2"));
	assert_null(strstr(s.output, "/fd/4")); /* 3 is the shell's own, to list the directory */
	/* audit_only takes nothing away */
	start(COMMAND("sh", "-c", "echo /proc/$$/fd/*"), false, NULL, &s);
	assert_non_null(strstr(s.output, "/900"));
	close(fd);
	close(high);
}

static void test_state_of_child(void **state)
{
	struct started s;

	(void)state;
	need_root();
	start(COMMAND("grep", "-E",
		      "^(NoNewPrivs|Seccomp|Uid|Groups|SigBlk|SigIgn):", "/proc/self/status"),
	      true, "65534:65533", &s);
	assert_non_null(strstr(s.output, "NoNewPrivs:\t1"));
	assert_non_null(strstr(s.output, "Seccomp:\t2"));
	assert_non_null(strstr(s.output, "Uid:\t65534\t65534\t65534\t65534"));
	assert_non_null(strstr(s.output, "SigBlk:\t0000000000000000"));
	start(COMMAND("sh", "-c", "id -g; id -G; echo $HOME $USER"), true, "65534:65533", &s);
	assert_non_null(strstr(s.output, "65533\n"));
	assert_null(strstr(s.output, " 0"));
	start(COMMAND("grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"), false, NULL,
	      &s);
	assert_non_null(strstr(s.output, "NoNewPrivs:\t0"));
	assert_non_null(strstr(s.output, "Seccomp:\t0"));
}

static void test_sudo(void **state)
{
	struct started s;

	(void)state;
	need_root();
	setenv("SUDO_UID", "65534", 1);
	setenv("SUDO_GID", "65534", 1);
	setenv("SUDO_USER", "nobody", 1);
	start(COMMAND("sh", "-c", "id -u; echo [$SUDO_UID$SUDO_USER] $USER"), true, NULL, &s);
	assert_non_null(strstr(s.output, "65534\n[] nobody"));
	start(COMMAND("sh", "-c", "id -u; echo [$SUDO_UID]"), true, "root", &s);
	assert_non_null(strstr(s.output, "0\n[65534]"));
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	unsetenv("SUDO_USER");
}

static int make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		return -1;
	return fd;
}

/* A /run of our own in a namespace of our own, with the sockets of a busy host. */
static int hides(void *data)
{
	bool enforce = *(bool *)data;
	struct started s;
	FILE *file;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755"))
		return 1;
	if (mkdir("/run/nscd", 0755) || mkdir("/run/systemd", 0755) ||
	    mkdir("/run/systemd/resolve", 0755) || mkdir("/run/avahi-daemon", 0755) ||
	    make_socket("/run/nscd/socket") < 0 || make_socket("/run/docker.sock") < 0 ||
	    make_socket("/run/systemd/resolve/io.systemd.Resolve") < 0 ||
	    make_socket("/run/avahi-daemon/socket") < 0)
		return 2;
	file = fopen("/run/systemd/resolve/stub-resolv.conf", "we");
	if (!file || fputs("nameserver 127.0.0.53\n", file) < 0 || fclose(file))
		return 3;
	start(COMMAND("sh", "-c",
		      "for i in nscd/socket systemd/resolve/io.systemd.Resolve avahi-daemon/socket "
		      "docker.sock; do test -S /run/$i && echo \"[$i]\"; done; "
		      "cat /run/systemd/resolve/*.conf; touch /run/nscd/x 2>/dev/null && echo "
		      "wrote; "
		      "awk '$0 ~ / - cgroup2 / && $6 !~ /^ro/ {print \"writable\"}' "
		      "/proc/self/mountinfo; ls /sys/fs/bpf; "
		      "echo x > /proc/sys/kernel/core_pattern && echo pattern"),
	      enforce, NULL, &s);
	if (s.result || !strstr(s.output, "nameserver 127.0.0.53") ||
	    strstr(s.output, "[nscd/socket]") || strstr(s.output, "io.systemd.Resolve]"))
		return fprintf(stderr, "%s", s.output), 4;
	if (enforce != !strstr(s.output, "[docker.sock]") ||
	    enforce != !strstr(s.output, "[avahi-daemon/socket]"))
		return fprintf(stderr, "%s", s.output), 5;
	if (enforce && (strstr(s.output, "writable") || strstr(s.output, "wrote") ||
			strstr(s.output, "pattern") || strstr(s.output, "sallyport")))
		return fprintf(stderr, "%s", s.output), 6;
	/* From below a cover, there is no way to what it hides. */
	if (enforce && !chdir("/run/nscd")) {
		start(COMMAND("sh", "-c", "test -S socket && echo reachable"), true, NULL, &s);
		if (strstr(s.output, "reachable"))
			return 7;
	}
	return 0;
}

static void test_hides(void **state)
{
	bool enforce = true;

	(void)state;
	need_root();
	assert_int_equal(in_child(hides, &enforce), 0);
}

/* The names of `file` that are still sockets for a command, and what a shell there can do. */
static const char look[] =
	"for i in /run/docker.sock /run/dbus/bus /mnt/run/docker.sock /mnt/run/dbus/bus /mnt/one "
	"/mnt/dbus/bus /run/deep/er/linked /run/bus-linked /mnt/run/bus-linked "
	"/mnt/run/deep/er/linked "
	"/run/custom /mnt/run/custom /run/agent /run/forwarded /tmp/tmux-0/default /run/none; do "
	"test -S $i && echo \"[$i]\"; done; touch /tmp/tmux-0/own 2>/dev/null && echo [own]; "
	"stat -c [%u:%a] /tmp/tmux-0 /tmp/tmux-65534 2>/dev/null; test -d /mnt/run/deep/er && echo "
	"[rest]";

/* A socket that this process, under a name of another, listens on. */
static int serve_as(const char *comm, const char *path)
{
	int ready[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		return -1;
	if (!fork()) {
		(void)prctl(PR_SET_NAME, comm);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (make_socket(path) >= 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	return read(ready[0], &byte, 1) == 1 ? 0 : -1;
}

/* The same sockets by other paths: other mounts, parts of mounts, hard links, other places. */
static int hides_elsewhere(void *data)
{
	static const char *const mounts[][2] = {
		{"/run", "/mnt/run"}, {"/run/docker.sock", "/mnt/one"}, {"/run/dbus", "/mnt/dbus"}};
	struct started s;

	(void)data;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755") ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777") ||
	    mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755"))
		return 1;
	if (mkdir("/run/dbus", 0755) || mkdir("/run/deep", 0755) || mkdir("/run/deep/er", 0755) ||
	    mkdir("/tmp/tmux-0", 0700) || mkdir("/run/home", 0700) ||
	    chown("/run/home", 65534, 65534) || mkdir("/mnt/run", 0755) ||
	    mkdir("/mnt/dbus", 0755) || mknod("/mnt/one", S_IFREG | 0600, 0) ||
	    make_socket("/run/docker.sock") < 0 || make_socket("/run/dbus/bus") < 0 ||
	    make_socket("/tmp/tmux-0/default") < 0 ||
	    link("/run/docker.sock", "/run/deep/er/linked") ||
	    link("/run/dbus/bus", "/run/bus-linked"))
		return 2;
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
		if (mount(mounts[i][0], mounts[i][1], NULL, MS_BIND, NULL))
			return 3;
	if (serve_as("dockerd", "/run/custom") || serve_as("ssh-agent", "/run/agent") ||
	    serve_as("sshd-session", "/run/forwarded") || make_socket("/run/none") < 0)
		return 4; /* last: the others would hold it too */
	setenv("SSH_AUTH_SOCK", "/run/agent", 1);
	start(COMMAND("sh", "-c", (char *)look), true, NULL, &s);
	if (s.result ||
	    strcmp(s.output, "[/run/agent]\n[/run/none]\n[own]\n[0:700]\n[rest]\n") != 0)
		return fprintf(stderr, "%d: %s", s.result, s.output), 5;
	/* An agent of unknown origin is not left in reach, and is said. */
	setenv("SSH_AUTH_SOCK", "/run/none", 1);
	start(COMMAND("sh", "-c", (char *)look), true, "65534:65534", &s);
	if (s.result || strcmp(s.output, "[/run/agent]\n[0:700]\n[65534:700]\n[rest]\n") != 0)
		return fprintf(stderr, "%d: %s", s.result, s.output), 6;
	/* Outside all is as it was. */
	if (system("test -S /run/docker.sock && test -S /tmp/tmux-0/default && "
		   "test -S /mnt/dbus/bus && ! test -e /tmp/tmux-0/own"))
		return 7;
	return 0;
}

static void test_hides_elsewhere(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(hides_elsewhere, NULL), 0);
}

static int hides_for_audit(void *data)
{
	(void)data;
	/* core_pattern must not be written by this test: audit_only would let it. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) ||
	    mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		return 9;
	return hides(&(bool){false});
}

static void test_hides_for_audit(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(hides_for_audit, NULL), 0);
}

/* ---- processes outside ---------------------------------------------------------------------- */

/* A process outside, of a user, without capabilities if not root's. */
static pid_t outside(uid_t uid)
{
	char byte;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
			_exit(1);
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		if (!uid && (sp_launch_drop_bounding() || sp_launch_drop_caps()))
			_exit(1);
		(void)!write(fds[1], ".", 1);
		execlp("sleep", "sleep", "60", NULL);
		_exit(127);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(read(fds[0], &byte, 1), 0); /* executed */
	close(fds[0]);
	return pid;
}

static void no_more(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Prints the ways that lead to a process. */
#define REACH                                                                                      \
	"for i in root cwd exe fd/0 ns/mnt; do readlink /proc/%1$d/$i >/dev/null 2>&1 && echo "    \
	"[$i]; done; (: < /proc/%1$d/mem) 2>/dev/null && echo [mem]; "                             \
	"kill -0 %1$d 2>/dev/null && echo [kill]; true"

static void reach(pid_t pid, bool enforce, const char *user, struct started *ret)
{
	char script[512];

	snprintf(script, sizeof(script), REACH, (int)pid);
	start(COMMAND("sh", "-c", script), enforce, user, ret);
	assert_int_equal(ret->result, 0);
}

static void test_outside(void **state)
{
	static const char *const users[] = {NULL, "65534:65534"};

	(void)state;
	need_root();
	for (size_t i = 0; i < 2; i++) {
		pid_t pid = outside(i ? 65534 : 0);
		struct started s;

		/* audit_only takes nothing away: each way works */
		reach(pid, false, users[i], &s);
		assert_string_equal(s.output,
				    "[root]\n[cwd]\n[exe]\n[fd/0]\n[ns/mnt]\n[mem]\n[kill]\n");
		assert_false(s.alone);
		reach(pid, true, users[i], &s);
		assert_string_equal(s.output, "");
		if (sp_landlock_abi() >= SP_LANDLOCK_SCOPES) {
			/* one of the two is enough */
			share_pids = true;
			reach(pid, true, users[i], &s);
			share_pids = false;
			assert_string_equal(s.output, "[kill]\n");
		} else if (sp_landlock_abi()) {
			share_pids = old_landlock = true;
			reach(pid, true, users[i], &s);
			share_pids = old_landlock = false;
			assert_string_equal(s.output, "[kill]\n");
		}
		no_more(pid);
	}
}

/* Another mount of /proc, as for a chroot, and one of a part of it. */
static int other_proc(void *data)
{
	char directory[] = "/tmp/sp-test-proc-XXXXXX", path[64], part[64], script[512];
	pid_t pid = *(pid_t *)data;
	struct started s;
	int r = 0;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(directory) || mount("tmpfs", directory, "tmpfs", 0, NULL))
		return 1;
	snprintf(path, sizeof(path), "%s/proc", directory);
	snprintf(part, sizeof(part), "%s/part", directory);
	if (mkdir(path, 0755) || mkdir(part, 0755) || mount("proc", path, "proc", 0, NULL))
		return 2;
	snprintf(script, sizeof(script), "/proc/%d", (int)pid);
	if (mount(script, part, NULL, MS_BIND, NULL))
		return 3;
	snprintf(script, sizeof(script),
		 "test -e %1$s/%2$d/stat && echo [whole]; test -e %3$s/stat && echo [part]; "
		 "test -e %1$s/$$/stat && echo [own]; true",
		 path, (int)pid, part);
	start(COMMAND("sh", "-c", script), false, NULL, &s);
	if (strcmp(s.output, "[whole]\n[part]\n[own]\n") != 0)
		r = 4;
	start(COMMAND("sh", "-c", script), true, NULL, &s);
	if (strcmp(s.output, "[own]\n") != 0) {
		fprintf(stderr, "%d: %s", s.result, s.output);
		r = 5;
	}
	umount2(directory, MNT_DETACH);
	rmdir(directory);
	return r;
}

static void test_other_proc(void **state)
{
	pid_t pid;

	(void)state;
	need_root();
	pid = outside(0);
	assert_int_equal(in_child(other_proc, &pid), 0);
	no_more(pid);
}

static void test_init(void **state)
{
	struct started s;

	(void)state;
	need_root();
	/* It is not the command, cannot be ended, and leads nowhere. */
	start(COMMAND("sh", "-c",
		      "echo $$ $PPID; cat /proc/1/comm; kill -9 1; kill -STOP 1; kill -INT 1; "
		      "readlink /proc/1/root /proc/1/fd/0 /proc/1/exe; "
		      "grep -E '^(CapPrm|CapBnd|NoNewPrivs)' /proc/1/status; echo end"),
	      true, NULL, &s);
	assert_int_equal(s.status, 0);
	assert_string_equal(s.output, "2 0\nsallyport-init\nCapPrm:\t0000000000000000\n"
				      "CapBnd:\t0000000000000000\nNoNewPrivs:\t1\nend\n");
	assert_true(s.alone);
	/* What the command leaves goes on, and is reaped. */
	start(COMMAND("sh", "-c",
		      "(sh -c 'sh -c \"exit 3\" & exec sleep 0.2' & ) ; (sleep 0.5; "
		      "grep -lE '^[0-9]+ .* Z 1 ' /proc/[0-9]*/stat; echo late) & exit 5"),
	      true, NULL, &s);
	assert_int_equal(s.status, 5);
	assert_string_equal(s.output, "late\n");
	assert_true(s.alone);
	/* A signal ends the command, which is not PID 1, by its default. */
	start(COMMAND("sh", "-c", "kill -TERM $$; sleep 5"), true, NULL, &s);
	assert_int_equal(s.status, 1000 + SIGTERM);
}

/* Whether a socket with an abstract name outside is in reach: 0 or errno. */
static int abstract(void *data)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	bool *scoped = data;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), own;
	socklen_t len;

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "sp-test-%d", (int)getppid());
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			  strlen(address.sun_path + 1));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    sp_landlock_restrict(*scoped, true, false) < 0)
		return 99;
	if (connect(fd, (struct sockaddr *)&address, len))
		return errno;
	/* its own stay */
	own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sun_path[1] = 'x';
	return bind(own, (struct sockaddr *)&address, len) || listen(own, 1) ? 98 : 0;
}

static void test_abstract(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool scoped = true;

	(void)state;
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "sp-test-%d", (int)getpid());
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					  strlen(address.sun_path + 1))),
			 0);
	assert_int_equal(listen(fd, 4), 0);
	if (sp_landlock_abi() < SP_LANDLOCK_SCOPES)
		print_message("no scopes here: abstract sockets stay in reach\n");
	assert_int_equal(in_child(abstract, &scoped),
			 sp_landlock_abi() >= SP_LANDLOCK_SCOPES ? EPERM : 0);
	scoped = false;
	assert_int_equal(in_child(abstract, &scoped), 0);
	close(fd);
}

/* A directory as a standard file leads to the caller's mounts, an O_PATH one too. */
static void test_standard(void **state)
{
	static const int flags[] = {O_RDONLY, O_PATH};
	int saved = dup(0);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sp_error *err = NULL;
		int fd = open("/", flags[i]);

		assert_int_equal(dup2(fd, 0), 0);
		close(fd);
		assert_int_equal(sp_launch_check_standard(&err), -EPERM);
		assert_non_null(err);
		sp_error_free(err);
	}
	dup2(saved, 0);
	close(saved);
}

/* Mounts go on under a domain that only has scopes. */
static void test_landlock_mounts(void **state)
{
	struct started s;

	(void)state;
	need_root();
	start(COMMAND("sh", "-c", "unshare -Urm mount -t tmpfs none /mnt && echo mounted"), true,
	      "65534:65534", &s);
	if (s.status && strstr(s.output, "mounted") == NULL &&
	    access("/proc/sys/kernel/unprivileged_userns_clone", F_OK) == 0)
		print_message("user namespaces may be off here\n");
	assert_string_equal(s.output, "mounted\n");
}

/* ---- identity, resolv.conf, paths, output --------------------------------------------------- */

static void test_identity(void **state)
{
	static const char *const bad[] = {
		"",    ":",    "1:",	":1",		"4294967295:1", "4294967296:1",
		"1:x", "-1:1", "1:1:1", "no such user", "root:0"};
	struct sp_identity identity;
	struct sp_error *err = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int r = sp_identity_find(bad[i], &identity, &err);

		if (!r)
			print_message("\"%s\" was taken\n", bad[i]);
		assert_true(r < 0);
		assert_non_null(err);
		sp_error_free(err);
		err = NULL;
	}
	assert_int_equal(sp_identity_find("4294967294:7", &identity, &err), 0);
	assert_int_equal(identity.uid, 4294967294u);
	assert_int_equal(identity.gid, 7);
	assert_int_equal(identity.groups_len, 0);
	sp_identity_free(&identity);
	if (!geteuid()) {
		setenv("SUDO_UID", "12x", 1);
		assert_int_equal(sp_identity_find(NULL, &identity, &err), -EINVAL);
		sp_error_free(err);
		setenv("SUDO_UID", "0", 1);
		assert_int_equal(sp_identity_find(NULL, &identity, &err), 0);
		assert_false(identity.change);
		sp_identity_free(&identity);
		unsetenv("SUDO_UID");
	}
}

static int dumpable(void *data)
{
	(void)data;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

/* The sysctl is the whole host's: held by a lock, for some milliseconds. */
static void test_identity_dumpable(void **state)
{
	struct sp_identity nobody = {.change = true, .uid = 65534, .gid = 65534};
	int fd = open("/proc/sys/fs/suid_dumpable", O_RDWR | O_CLOEXEC), r = -1;
	char before;

	(void)state;
	if (geteuid() || fd < 0) {
		if (fd >= 0)
			close(fd);
		skip();
	}
	if (!flock(fd, LOCK_EX) && pread(fd, &before, 1, 0) == 1) {
		if (pwrite(fd, "1", 1, 0) == 1)
			r = sp_identity_do(&nobody, dumpable, NULL);
		assert_int_equal(pwrite(fd, &before, 1, 0), 1);
	}
	close(fd);
	assert_int_equal(r, 0); /* 1: that user could take what sallyport has open */
}

static void parse(const char *text, struct sp_nameservers *servers)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	assert_non_null(file);
	assert_int_equal(sp_resolv_parse(file, servers), 0);
	fclose(file);
}

static void test_resolv(void **state)
{
	struct sp_nameservers servers;

	(void)state;
	parse("# nothing\n", &servers);
	assert_int_equal(servers.len, 1);
	assert_string_equal(servers.text[0], "127.0.0.1");
	parse("nameserver 10.0.0.1\nnameserver\t2001:DB8::1 # x\n nameserver 9.9.9.9\n"
	      "nameserverx 1.1.1.1\n;nameserver 2.2.2.2\nnameserver fe80::1%eth0\nnameserver "
	      "fe80::2\n"
	      "nameserver 10.0.0.1\nnameserver evil.example\nnameserver 127.1\nnameserver",
	      &servers);
	assert_int_equal(servers.len, 4);
	assert_string_equal(servers.text[0], "10.0.0.1");
	assert_string_equal(servers.text[1], "2001:db8::1");
	assert_string_equal(servers.text[2], "fe80::1%eth0");
	assert_string_equal(servers.text[3], "127.0.0.1");
	parse("nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n"
	      "nameserver 1.0.0.5\nnameserver 1.0.0.6\nnameserver 1.0.0.7\nnameserver 1.0.0.8\n"
	      "nameserver 1.0.0.9\n",
	      &servers);
	assert_int_equal(servers.len, 8);
}

struct hosts {
	char text[512];
};

static int note_host(const char *name, const uint8_t addr[16], void *data)
{
	struct hosts *hosts = data;
	size_t len = strlen(hosts->text);

	snprintf(hosts->text + len, sizeof(hosts->text) - len, "%s=%u.%u ", name, addr[12],
		 addr[15]);
	return 0;
}

/* What a policy takes of a hosts file; returns what sp_hosts_parse() does. */
static int hosts_of(const char *allow, const char *text, struct hosts *ret_hosts)
{
	struct sp_policy *policy = NULL;
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	int r;

	assert_non_null(file);
	assert_int_equal(sp_policy_new(&policy, NULL), 0);
	assert_int_equal(sp_policy_prepend(policy, SP_ACTION_ALLOW, &allow, 1, "--allow", NULL), 0);
	r = sp_hosts_parse(file, policy);
	memset(ret_hosts, 0, sizeof(*ret_hosts));
	assert_int_equal(sp_policy_static(policy, note_host, ret_hosts), 0);
	sp_policy_free(policy);
	fclose(file);
	return r;
}

static void test_hosts(void **state)
{
	static const char text[] = "# 10.0.0.9 a.test\n"
				   "10.0.0.1\ta.test b.test A.TEST # c.test\n"
				   "10.0.0.2 a.test. -bad..name. a.test\n"
				   "  10.0.0.3 x.a.test\n"
				   "fe80::1%lo a.test\nnonsense a.test\n10.0.0.4\n"
				   "0.0.0.0 a.test\n:: a.test\n"
				   "127.0.0.7 a.test x.a.test\n::1 a.test";
	struct hosts hosts;
	char path[] = "/tmp/sp-hosts-XXXXXX";
	struct sp_policy *policy = NULL;
	char *many;
	size_t len = 0;
	int fd;

	(void)state;
	assert_int_equal(hosts_of("a.test:5432", text, &hosts), 0);
	assert_string_equal(hosts.text, "a.test=10.1 a.test=10.2 a.test=127.7 a.test=0.1 ");
	assert_int_equal(hosts_of("*.a.test", text, &hosts), 0);
	assert_string_equal(hosts.text, "x.a.test=10.3 ");
	assert_int_equal(hosts_of("c.test", text, &hosts), 0);
	assert_string_equal(hosts.text, "");
	/* one more than is taken */
	many = calloc(SP_HOSTS_MAX + 1, 32);
	assert_non_null(many);
	for (int i = 0; i <= SP_HOSTS_MAX; i++)
		len += sprintf(many + len, "10.1.%d.%d a.test\n", i / 256, i % 256);
	assert_int_equal(hosts_of("a.test", many, &hosts), 1);
	free(many);
	/* of root's, and of nobody else's */
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(sp_policy_new(&policy, NULL), 0);
	if (geteuid() == 0) {
		assert_int_equal(sp_hosts_load(path, policy), 0);
		assert_int_equal(fchown(fd, 65534, -1), 0);
		assert_int_equal(sp_hosts_load(path, policy), -EPERM);
		assert_int_equal(fchown(fd, 0, -1), 0);
	}
	assert_int_equal(fchmod(fd, 0622), 0);
	assert_int_equal(sp_hosts_load(path, policy), -EPERM);
	unlink(path);
	assert_int_equal(sp_hosts_load(path, policy), 0);
	assert_int_equal(sp_hosts_load("/dev/null", policy), -EPERM);
	close(fd);
	sp_policy_free(policy);
}

static void one_address(const char *value, const char *expected)
{
	const char *rest = value;
	char path[PATH_MAX];

	assert_int_equal(sp_hide_address(&rest, path), expected != NULL);
	if (expected)
		assert_string_equal(path, expected);
}

static void test_addresses(void **state)
{
	const char *rest = "tcp:host=h;unix:path=/a,guid=1;unix:abstract=/b;unix:path=/c%2fd%zz";
	char path[PATH_MAX], longest[PATH_MAX + 10];

	(void)state;
	one_address(NULL, NULL);
	one_address("", NULL);
	one_address("tcp://1.2.3.4:2375", NULL);
	one_address("unix:///run/x.sock", "/run/x.sock");
	one_address("unix:/run/x", "/run/x");
	one_address("unix:path=/run/user/1/bus,guid=0", "/run/user/1/bus");
	one_address("unix:abstract=/tmp/x", NULL);
	one_address("unix:path=/a%00b", NULL);
	one_address("{id}unix:/run/pulse", "/run/pulse");
	one_address("/tmp/tmux-0/default,12,0", "/tmp/tmux-0/default");
	assert_true(sp_hide_address(&rest, path));
	assert_string_equal(path, "/a");
	assert_true(sp_hide_address(&rest, path));
	assert_string_equal(path, "/c/d%zz");
	assert_false(sp_hide_address(&rest, path));
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	one_address(longest, NULL);
}

static void test_shares(void **state)
{
	struct sp_shares shares = {0};
	struct sp_error *err = NULL;

	(void)state;
	assert_int_equal(sp_share_add(&shares, "docker", &err), 0);
	assert_true(sp_shared(&shares, sp_helper_find("docker")));
	assert_false(sp_shared(&shares, sp_helper_find("podman")));
	assert_false(sp_shared(NULL, sp_helper_find("docker")));
	assert_false(sp_shares_abstract(&shares));
	assert_int_equal(sp_share_add(&shares, "x11", &err), 0);
	assert_true(sp_shares_abstract(&shares));
	assert_false(shares.pids);
	assert_int_equal(sp_share_add(&shares, "pids", &err), 0);
	assert_true(shares.pids);
	assert_int_equal(sp_share_add(&shares, "dokcer", &err), -EINVAL);
	assert_non_null(strstr(err->message, "did you mean docker?"));
	sp_error_free(err);
	err = NULL;
	assert_int_equal(sp_share_add(&shares, "", &err), -EINVAL);
	sp_error_free(err);
	/* Every place and process is of a helper that there is. */
	for (const struct sp_helper_place *p = sp_helper_places; p->helper; p++)
		assert_non_null(sp_helper_find(p->helper));
	for (const struct sp_helper_process *p = sp_helper_processes; p->helper; p++) {
		assert_non_null(sp_helper_find(p->helper));
		assert_true(strlen(p->comm) < 17); /* TASK_COMM_LEN, and a star */
	}
}

static void test_output_never_waits(void **state)
{
	struct sp_output output;
	char line[1000];
	int fds[2];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(sp_output_wrap(fds[1], &output), 0);
	/* 64 KiB of pipe, 1 MiB of buffer, and nobody reads. */
	for (int i = 0; i < 3000; i++)
		sp_output_line(&output, line);
	assert_true(output.lost > 1500 && output.lost < 2000);
	assert_true(sp_output_flush(&output));
	/* The descriptor that others share is as it was. */
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_false(sp_output_flush(&output));
	assert_int_equal(output.error, EPIPE);
	sp_output_close(&output, 0);
	signal(SIGPIPE, SIG_DFL);
	close(fds[1]);
}

static void test_words(void **state)
{
	static const char *const known[] = {"run", "check", "explain", "doctor", NULL};
	char *json;

	(void)state;
	assert_string_equal(sp_nearest(known, "rnu"), "run");
	assert_string_equal(sp_nearest(known, "explian"), "explain");
	assert_string_equal(sp_nearest(known, "doctr"), "doctor");
	assert_null(sp_nearest(known, "policy"));
	assert_null(sp_nearest(known, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	json = sp_cli_json_string("a\"\\\n\xc3\xa9\xff\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80");
	assert_string_equal(json, "\"a\\\"\\\\\\u000a\xc3\xa9\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"
				  "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_netlink),
		cmocka_unit_test(test_old_packet_spelling),
		cmocka_unit_test(test_other_calls),
		cmocka_unit_test(test_families_kept),
#ifdef __x86_64__
		cmocka_unit_test(test_foreign_abis),
#endif
		cmocka_unit_test(test_drops),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_not_found_for_other_user),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_state_of_child),
		cmocka_unit_test(test_sudo),
		cmocka_unit_test(test_hides),
		cmocka_unit_test(test_hides_elsewhere),
		cmocka_unit_test(test_hides_for_audit),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_other_proc),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_landlock_mounts),
		cmocka_unit_test(test_standard),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_identity_dumpable),
		cmocka_unit_test(test_resolv),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_output_never_waits),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
