/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_doctor.c - `sallyport doctor`: what this host can enforce, found out by trying it.
 *
 * Every check is a row of one table and answers for itself. What sends packets or changes a
 * namespace does so in a child, in a network namespace made for it; nothing leaves the host, and
 * nothing is left behind but the programs that a later `run` would load and pin just the same.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <linux/ipv6.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sallyport/engine.h>
#include <sallyport/policy.h>

#include "cli.h"
#include "hide.h"
#include "inject.h"
#include "landlock.h"
#include "launch.h"
#include "sockdiag.h"

#define PROBE_SECONDS 10 /* a probe that hangs is killed, and has failed */
#define AT_ONCE_MS 500	 /* a denial that takes longer is a time-out to a user */

enum result { RESULT_OK, RESULT_DEGRADED, RESULT_MISSING };

static const char *const result_names[] = {"ok", "degraded", "missing"};

struct finding {
	enum result result;
	bool family_refused; /* of the attach probe: the hook was seen to refuse one */
	char detail[512];
};

struct doctor {
	struct sp_engine *engine; /* NULL: could not be opened */
	bool family_refused;
};

struct check {
	const char *name;
	bool essential; /* without it, `run` does not start */
	void (*run)(struct doctor *doctor, struct finding *finding);
	const char *means; /* what it is for, or what is lost without it */
	const char *fix;
};

static void __attribute__((format(printf, 3, 4)))
found(struct finding *finding, enum result result, const char *format, ...)
{
	va_list args;

	finding->result = result;
	va_start(args, format);
	vsnprintf(finding->detail, sizeof(finding->detail), format, args);
	va_end(args);
}

/* Takes the error: its text becomes the finding. */
static void found_error(struct finding *finding, enum result result, int r, struct sp_error *err)
{
	char *text = err ? sp_error_text(err) : NULL;

	found(finding, result, "%s", text ? text : strerror(-r));
	free(text);
	sp_error_free(err);
}

/* ---- probes in a child ---------------------------------------------------------------------- */

static int loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		r = -errno;
	close(fd);
	return r;
}

/*
 * Runs a probe in a child, by wish in a fresh network namespace with lo up. The child has its own
 * descriptors and namespaces, so a probe may change what it likes.
 */
static void in_child(bool netns, void (*probe)(struct finding *finding), struct finding *finding)
{
	int fds[2], r = 0, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		found(finding, RESULT_MISSING, "pipe: %s", strerror(errno));
		return;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		found(finding, RESULT_MISSING, "fork: %s", strerror(errno));
		close(fds[0]);
		close(fds[1]);
		return;
	}
	if (!pid) {
		close(fds[0]);
		alarm(PROBE_SECONDS);
		if (netns)
			r = unshare(CLONE_NEWNET) ? -errno : loopback_up();
		if (r)
			found(finding, RESULT_MISSING, "cannot make a network namespace: %s",
			      strerror(-r));
		else
			probe(finding);
		_exit(write(fds[1], finding, sizeof(*finding)) != (ssize_t)sizeof(*finding));
	}
	close(fds[1]);
	if (read(fds[0], finding, sizeof(*finding)) != (ssize_t)sizeof(*finding))
		found(finding, RESULT_MISSING, "the probe died");
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* ---- kernel and rights ---------------------------------------------------------------------- */

static void check_kernel(struct doctor *doctor, struct finding *finding)
{
	struct utsname name;

	(void)doctor;
	if (uname(&name)) {
		found(finding, RESULT_MISSING, "%s", strerror(errno));
		return;
	}
	found(finding, RESULT_OK, "%s %s on %s", name.sysname, name.release, name.machine);
}

static void check_rights(struct doctor *doctor, struct finding *finding)
{
	static const struct {
		unsigned int cap;
		const char *name;
	} needed[] = {
		{CAP_SYS_ADMIN, "SYS_ADMIN"},
		{CAP_NET_ADMIN, "NET_ADMIN"},
		{CAP_NET_RAW, "NET_RAW"},
		{38, "PERFMON"},
		{39, "BPF"},
		{CAP_SETPCAP, "SETPCAP"},
		{CAP_SETUID, "SETUID"},
		{CAP_SETGID, "SETGID"},
	};
	unsigned long long effective = 0;
	FILE *status = fopen("/proc/self/status", "re");
	char line[256], missing[128] = "";

	(void)doctor;
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "CapEff:", 7))
			effective = strtoull(line + 7, NULL, 16);
	if (status)
		fclose(status);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!(effective >> needed[i].cap & 1))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 " CAP_%s", needed[i].name);
	if (*missing)
		found(finding, RESULT_MISSING, "uid %u without%s", geteuid(), missing);
	else
		found(finding, geteuid() ? RESULT_DEGRADED : RESULT_OK,
		      "uid %u, every capability "
		      "that is needed",
		      geteuid());
}

/* The first mount of a type, and how many there are. */
static int find_mount(const char *type, char *ret_path, size_t size)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char *line = NULL;
	size_t line_size = 0;
	int count = 0;

	while (mounts && getline(&line, &line_size, mounts) > 0) {
		char *save = NULL, *path, *this;

		strtok_r(line, " ", &save);
		path = strtok_r(NULL, " ", &save);
		this = strtok_r(NULL, " ", &save);
		if (path && this && !strcmp(this, type) && !count++)
			snprintf(ret_path, size, "%s", path);
	}
	free(line);
	if (mounts)
		fclose(mounts);
	return count;
}

static void check_cgroup(struct doctor *doctor, struct finding *finding)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char path[PATH_MAX] = "", line[PATH_MAX], own[PATH_MAX] = "";

	(void)doctor;
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "0::", 3))
			snprintf(own, sizeof(own), "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
	if (file)
		fclose(file);
	if (!find_mount("cgroup2", path, sizeof(path)))
		found(finding, RESULT_MISSING, "%s",
		      *own ? "in the kernel, but not mounted" : "this kernel has no cgroup v2");
	else if (!*own)
		found(finding, RESULT_MISSING,
		      "mounted on %.200s, but /proc/self/cgroup does not say "
		      "where this process is",
		      path);
	else
		found(finding, RESULT_OK, "mounted on %.200s, this process is in %.200s", path,
		      own);
}

/* After the programs, since opening the engine finds or mounts one. */
static void check_bpffs(struct doctor *doctor, struct finding *finding)
{
	const char *path, *refused;
	bool private;

	if (!doctor->engine) {
		char mounted[PATH_MAX] = "";

		if (find_mount("bpf", mounted, sizeof(mounted)))
			found(finding, RESULT_OK, "mounted on %.200s", mounted);
		else
			found(finding, RESULT_MISSING, "not mounted");
		return;
	}
	path = sp_engine_bpffs(doctor->engine, &private, &refused);
	if (private)
		found(finding, RESULT_DEGRADED,
		      "%.150s is private: not the first process's, so it goes with this mount "
		      "namespace. Sandboxes stay enforced without it; later starts load the "
		      "programs again, and leave empty cgroups of sandboxes that outlived "
		      "sallyport%s%.150s",
		      path, *refused ? "; passed over: " : "", refused);
	else
		found(finding, *refused ? RESULT_DEGRADED : RESULT_OK, "pins are in %.150s%s%.200s",
		      path, *refused ? "; passed over: " : "", refused);
}

static void check_btf(struct doctor *doctor, struct finding *finding)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";
	unsigned char magic[2] = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, magic, sizeof(magic));
	bool good = len == 2 && ((magic[0] == 0x9f && magic[1] == 0xeb) ||
				 (magic[0] == 0xeb && magic[1] == 0x9f));

	(void)doctor;
	if (good)
		found(finding, RESULT_OK, "%s", path);
	else
		found(finding, RESULT_MISSING, "%s: %s", path,
		      fd < 0 || len < 0 ? strerror(errno) : "not BTF");
	if (fd >= 0)
		close(fd);
}

/* ---- programs ------------------------------------------------------------------------------- */

static void check_programs(struct doctor *doctor, struct finding *finding)
{
	struct timespec before, after;
	struct sp_error *err = NULL;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &before);
	r = sp_engine_open(&doctor->engine, &err);
	clock_gettime(CLOCK_MONOTONIC, &after);
	if (r) {
		doctor->engine = NULL;
		found_error(finding, RESULT_MISSING, r, err);
		return;
	}
	found(finding, RESULT_OK, "accepted by the kernel (%ld ms)",
	      (long)(after.tv_sec - before.tv_sec) * 1000 +
		      (after.tv_nsec - before.tv_nsec) / 1000000);
}

/*
 * The attach probe. A child in a network namespace of its own, which has the documentation
 * addresses 192.0.2.1 and 2001:db8::1 on lo, first does each thing outside a sandbox, where it must
 * work (or the test would prove nothing), then joins a sandbox that allows nothing, where each must
 * fail at once.
 */
struct attempt {
	const char *name;
	int family, type;
	const char *address;
	int port; /* -1: of the listener; 0: bind instead of send, to port 53 */
};

static const struct attempt attempts[] = {
	{"UDP over IPv4", AF_INET, SOCK_DGRAM, "192.0.2.1", 9},
	{"TCP over IPv4", AF_INET, SOCK_STREAM, "127.0.0.1", -1},
	{"TCP over IPv4", AF_INET, SOCK_STREAM, "192.0.2.1", -1},
	{"UDP over IPv6", AF_INET6, SOCK_DGRAM, "2001:db8::1", 9},
	{"TCP over IPv6", AF_INET6, SOCK_STREAM, "::1", -1},
	{"a raw socket", AF_INET, SOCK_RAW, NULL, 0},
	{"binding to port 53", AF_INET, SOCK_DGRAM, "127.0.0.1", 0},
};

static void fill_address(const struct attempt *attempt, int port, struct sockaddr_storage *ret,
			 socklen_t *ret_len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (attempt->family == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, attempt->address, &v4->sin_addr);
		*ret_len = sizeof(*v4);
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, attempt->address, &v6->sin6_addr);
		*ret_len = sizeof(*v6);
	}
}

/* 0 or errno, and how long it took. */
static int attempt_once(const struct attempt *attempt, int listener_port, long *ret_ms)
{
	struct timespec before, after;
	struct sockaddr_storage address;
	socklen_t len;
	int fd, error = 0;

	clock_gettime(CLOCK_MONOTONIC, &before);
	fd = socket(attempt->family, attempt->type | SOCK_CLOEXEC,
		    attempt->type == SOCK_RAW ? IPPROTO_ICMP : 0);
	if (fd < 0) {
		error = errno;
	} else if (attempt->address) {
		fill_address(attempt,
			     attempt->port < 0 ? listener_port
			     : attempt->port   ? attempt->port
					       : 53,
			     &address, &len);
		if (!attempt->port)
			error = bind(fd, (struct sockaddr *)&address, len) ? errno : 0;
		else if (attempt->type == SOCK_DGRAM)
			error = sendto(fd, "x", 1, 0, (struct sockaddr *)&address, len) < 0 ? errno
											    : 0;
		else
			error = connect(fd, (struct sockaddr *)&address, len) ? errno : 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	*ret_ms =
		(after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	if (fd >= 0)
		close(fd);
	return error;
}

static int add_addresses(void)
{
	struct ifreq v4 = {.ifr_name = "lo:1"};
	struct in6_ifreq v6 = {.ifr6_prefixlen = 128};
	struct sockaddr_in *address = (struct sockaddr_in *)&v4.ifr_addr;
	struct ifreq index = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	address->sin_family = AF_INET;
	inet_pton(AF_INET, "192.0.2.1", &address->sin_addr);
	if (ioctl(fd, SIOCSIFADDR, &v4) || ioctl(fd, SIOCGIFINDEX, &index))
		r = -errno;
	close(fd);
	if (r)
		return r;
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) { /* without IPv6 its attempts are left out */
		v6.ifr6_ifindex = index.ifr_ifindex;
		inet_pton(AF_INET6, "2001:db8::1", &v6.ifr6_addr);
		(void)!ioctl(fd, SIOCSIFADDR, &v6);
		close(fd);
	}
	return 0;
}

static int make_listener(int family)
{
	struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any,
		 family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) ||
	    listen(fd, 64)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&address, &len))
		return 0;
	/* getsockname() filled it in: NOLINTNEXTLINE(clang-analyzer-core.*) */
	return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
						  : ((struct sockaddr_in6 *)&address)->sin6_port);
}

/* A family that every kernel has, and that no other hook or filter of this process refuses. */
static bool family_is_refused(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	bool refused = fd < 0 && errno == EAFNOSUPPORT;

	if (fd >= 0)
		close(fd);
	return refused;
}

static void attach_child(int ready, int go, struct finding *finding)
{
	enum { ATTEMPTS = sizeof(attempts) / sizeof(attempts[0]) };
	bool left_out[ATTEMPTS] = {false};
	int listeners[2], ports[2], r;
	unsigned int tried = 0;
	long ms, longest = 0;
	bool ipv6 = false;
	char byte = 0;

	r = unshare(CLONE_NEWNET) ? -errno : loopback_up();
	if (!r)
		r = add_addresses();
	if (r) {
		found(finding, RESULT_MISSING, "cannot make a network namespace: %s", strerror(-r));
		return;
	}
	listeners[0] = make_listener(AF_INET);
	listeners[1] = make_listener(AF_INET6);
	for (int i = 0; i < 2; i++)
		ports[i] = port_of(listeners[i]);
	for (size_t i = 0; i < ATTEMPTS; i++) {
		const struct attempt *a = &attempts[i];

		r = attempt_once(a, ports[a->family == AF_INET6], &ms);
		left_out[i] = r && a->family == AF_INET6;
		if (r && !left_out[i]) {
			found(finding, RESULT_MISSING,
			      "%s does not work outside a sandbox either "
			      "(%s): nothing was learned",
			      a->name, strerror(r));
			return;
		}
	}
	if (write(ready, "r", 1) != 1 || read(go, &byte, 1) != 1 || byte != 'g') {
		found(finding, RESULT_MISSING, "could not join the sandbox");
		return;
	}
	for (size_t i = 0; i < ATTEMPTS; i++) {
		const struct attempt *a = &attempts[i];

		if (left_out[i])
			continue;
		r = attempt_once(a, ports[a->family == AF_INET6], &ms);
		if (!r) {
			found(finding, RESULT_MISSING,
			      "%s%s%s was NOT denied in a sandbox that allows "
			      "nothing",
			      a->name, a->address ? " to " : "", a->address ? a->address : "");
			return;
		}
		if (ms > AT_ONCE_MS) {
			found(finding, RESULT_MISSING, "%s was denied after %ld ms only (%s)",
			      a->name, ms, strerror(r));
			return;
		}
		longest = ms > longest ? ms : longest;
		tried++;
		ipv6 = ipv6 || a->family == AF_INET6;
	}
	finding->family_refused = family_is_refused();
	found(finding, RESULT_OK,
	      "%u ways out tried in a sandbox that allows nothing, each denied "
	      "within %ld ms%s",
	      tried, longest + 1, ipv6 ? "" : " (IPv4 only: there is no IPv6)");
}

/* Serves the box until the child has said what it found. */
static void serve(struct sp_box *box, int result, struct finding *finding)
{
	struct pollfd fds[2] = {{.fd = result, .events = POLLIN},
				{.fd = sp_box_fd(box), .events = POLLIN}};

	for (;;) {
		int r = poll(fds, 2, PROBE_SECONDS * 1000);

		if (r < 0 && errno == EINTR)
			continue;
		if (r > 0 && fds[1].revents && sp_box_dispatch(box, NULL, NULL) < 0)
			fds[1].fd = -1;
		if (r <= 0 || fds[0].revents)
			break;
	}
	if (read(result, finding, sizeof(*finding)) != (ssize_t)sizeof(*finding))
		found(finding, RESULT_MISSING, "the probe died");
}

static void attach_probe(struct sp_box *box, struct finding *finding)
{
	int up[2] = {-1, -1}, down[2] = {-1, -1}, status, r;
	struct sp_error *err = NULL;
	pid_t pid = -1;
	char byte;

	if (pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC)) {
		found(finding, RESULT_MISSING, "pipe: %s", strerror(errno));
		goto out;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		found(finding, RESULT_MISSING, "fork: %s", strerror(errno));
		goto out;
	}
	if (!pid) {
		alarm(PROBE_SECONDS);
		close(up[0]);
		close(down[1]);
		attach_child(up[1], down[0], finding);
		_exit(write(up[1], finding, sizeof(*finding)) != (ssize_t)sizeof(*finding));
	}
	close(up[1]);
	close(down[0]);
	up[1] = down[0] = -1;
	/* 'r', or the first byte of a finding: a result is a small number, so never 'r'. */
	if (read(up[0], &byte, 1) != 1) {
		found(finding, RESULT_MISSING, "the probe died");
		goto out;
	}
	if (byte != 'r') {
		char *rest = (char *)finding;

		rest[0] = byte;
		if (read(up[0], rest + 1, sizeof(*finding) - 1) != (ssize_t)sizeof(*finding) - 1)
			found(finding, RESULT_MISSING, "the probe died");
		goto out;
	}
	r = sp_box_join(box, pid, &err);
	if (r) {
		found_error(finding, RESULT_MISSING, r, err);
		goto out;
	}
	if (write(down[1], "g", 1) == 1)
		serve(box, up[0], finding);
	else
		found(finding, RESULT_MISSING, "the probe died");
out:
	for (int i = 0; i < 2; i++) {
		if (up[i] >= 0)
			close(up[i]);
		if (down[i] >= 0)
			close(down[i]);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

static void check_attach(struct doctor *doctor, struct finding *finding)
{
	static const char *const resolver[] = {"192.0.2.53"};
	struct sp_policy *policy = NULL;
	struct sp_box *box = NULL;
	struct sp_error *err = NULL;
	int r;

	if (!doctor->engine) {
		found(finding, RESULT_MISSING, "not tried: no programs");
		return;
	}
	r = sp_policy_new(&policy, &err);
	if (!r)
		r = sp_policy_set_resolvers(policy, resolver, 1, &err);
	if (!r)
		r = sp_box_create(doctor->engine, policy, &box, &err);
	if (r)
		found_error(finding, RESULT_MISSING, r, err);
	else
		attach_probe(box, finding);
	doctor->family_refused = finding->family_refused;
	if (box)
		sp_box_close(box, true);
	sp_policy_free(policy);
}

/* Is this one of the words of a list with commas? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (!strncmp(at, word, len) && (at[len] == ',' || !at[len]))
			return true;
	return false;
}

static void check_lsm(struct doctor *doctor, struct finding *finding)
{
	FILE *file = fopen("/sys/kernel/security/lsm", "re");
	char list[200] = "";

	if (file && fgets(list, sizeof(list), file))
		list[strcspn(list, "\n")] = '\0';
	if (file)
		fclose(file);
	if (!doctor->engine)
		found(finding, RESULT_DEGRADED, "not tried: no programs");
	else if (doctor->family_refused)
		found(finding, RESULT_OK, "attached, and seen to refuse a family");
	else if (sp_engine_has_lsm(doctor->engine))
		found(finding, RESULT_DEGRADED, "attached, but it did not refuse a family");
	else if (*list && !has_word(list, "bpf"))
		found(finding, RESULT_DEGRADED,
		      "not in force: `bpf` is not among the active LSMs (%s), so nothing calls it",
		      list);
	else
		found(finding, RESULT_DEGRADED, "not in force: it was not seen to refuse%s%s",
		      *list ? "; active: " : "", list);
}

static void check_pages(struct doctor *doctor, struct finding *finding)
{
	if (!doctor->engine)
		found(finding, RESULT_DEGRADED, "not tried: no programs");
	else if (sp_engine_knows_shared(doctor->engine))
		found(finding, RESULT_OK, "told from bytes that were copied, and seen to be");
	else
		found(finding, RESULT_DEGRADED,
		      "not told from bytes that were copied, or not always: run refuses "
		      "sendfile and splice");
}

/* ---- what a denial needs to be instant ------------------------------------------------------ */

static void map_v4(const char *text, uint8_t ret_addr[16])
{
	memset(ret_addr, 0, 10);
	ret_addr[10] = ret_addr[11] = 0xff;
	inet_pton(AF_INET, text, ret_addr + 12);
}

static void probe_answers(struct finding *finding)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval patience = {.tv_sec = 1};
	struct sp_injector *injector = NULL;
	struct sp_sockdiag *diag = NULL;
	struct sockaddr_in from = {0};
	socklen_t len = sizeof(own), from_len = sizeof(from);
	uint8_t src[16], dst[16];
	char got[8];
	int fd, r;

	r = sp_sockdiag_open(&diag);
	if (r == 0)
		r = sp_sockdiag_probe_udp(diag);
	sp_sockdiag_close(diag);
	if (r) {
		found(finding, RESULT_DEGRADED, "UDP sockets cannot be looked up (udp_diag): %s",
		      strerror(-r));
		return;
	}
	r = sp_injector_open(&injector);
	if (r) {
		found(finding, RESULT_DEGRADED, "raw socket: %s", strerror(-r));
		return;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, len) ||
	    getsockname(fd, (struct sockaddr *)&own, &len) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience))) {
		found(finding, RESULT_DEGRADED, "UDP on loopback: %s", strerror(errno));
		goto out;
	}
	map_v4("127.0.0.53", src);
	map_v4("127.0.0.1", dst);
	r = sp_inject_udp(injector, AF_INET, src, 53, dst, ntohs(own.sin_port), 0, "answer", 6);
	if (r)
		found(finding, RESULT_DEGRADED, "cannot send: %s", strerror(-r));
	else if (recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_len) != 6)
		found(finding, RESULT_DEGRADED, "an answer did not arrive");
	else if (from.sin_port != htons(53))
		found(finding, RESULT_DEGRADED, "an answer came from another port");
	else
		found(finding, RESULT_OK, "an answer in a resolver's name arrived");
out:
	if (fd >= 0)
		close(fd);
	sp_injector_close(injector);
}

static void check_answers(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	in_child(true, probe_answers, finding);
}

static void probe_reset(struct finding *finding)
{
	int r = sp_sockdiag_probe();

	if (r)
		found(finding, RESULT_DEGRADED, "SOCK_DESTROY: %s", strerror(-r));
	else
		found(finding, RESULT_OK, "SOCK_DESTROY killed a connection");
}

static void check_reset(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	in_child(true, probe_reset, finding);
}

/* ---- the launcher's part -------------------------------------------------------------------- */

static void probe_seccomp(struct finding *finding)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		found(finding, RESULT_MISSING, "no_new_privs: %s", strerror(errno));
		return;
	}
	r = sp_launch_load_filter(true, true);
	if (r)
		found(finding, RESULT_MISSING, "%s", strerror(-r));
	else if (syscall(SYS_socket, AF_VSOCK, SOCK_STREAM, 0) >= 0 || errno != EAFNOSUPPORT)
		found(finding, RESULT_MISSING,
		      "the filter was loaded, but AF_VSOCK is not refused");
	else
		found(finding, RESULT_OK, "the filter was loaded, and refuses AF_VSOCK");
}

static void check_seccomp(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	in_child(false, probe_seccomp, finding);
}

static void probe_mounts(struct finding *finding)
{
	int fs;

	if (unshare(CLONE_NEWNS)) {
		found(finding, RESULT_MISSING, "mount namespace: %s", strerror(errno));
		return;
	}
	fs = (int)syscall(SYS_fsopen, "tmpfs", 0u);
	if (fs < 0)
		found(finding, RESULT_MISSING, "fsopen (Linux 5.2): %s", strerror(errno));
	else if (syscall(SYS_close_range, ~0u, ~0u, 0u))
		found(finding, RESULT_MISSING, "close_range (Linux 5.9): %s", strerror(errno));
	else
		found(finding, RESULT_OK, "mount namespaces, fsopen and close_range");
}

static void check_mounts(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	in_child(false, probe_mounts, finding);
}

static void check_ipv6(struct doctor *doctor, struct finding *finding)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)doctor;
	if (fd < 0)
		found(finding, RESULT_DEGRADED, "%s", strerror(errno));
	else
		found(finding, RESULT_OK, "available");
	if (fd >= 0)
		close(fd);
}

/* ---- ways around, on this host -------------------------------------------------------------- */

/* Some socket in a directory, or one or two directories down (/run/docker/containerd/...). */
static bool has_socket(const char *path, int depth) /* NOLINT(misc-no-recursion): to depth */
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool has = false;

	while (!has && dir && (entry = readdir(dir))) {
		char *below = NULL;

		if (entry->d_type == DT_SOCK)
			has = true;
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || !depth ||
		    asprintf(&below, "%s/%s", path, entry->d_name) < 0)
			continue;
		has = has_socket(below, depth - 1);
		free(below);
	}
	if (dir)
		closedir(dir);
	return has;
}

/* Whom `run` would start a command as. */
static void find_helpers(struct sp_hide_list *ret_list)
{
	struct sp_identity identity = {0};
	struct sp_error *err = NULL;
	uid_t uid = getuid();

	if (sp_identity_find(NULL, &identity, &err))
		sp_error_free(err);
	if (identity.change)
		uid = identity.uid;
	if (sp_hide_find(uid, identity.change ? identity.gid : getgid(),
			 identity.change ? identity.home : getenv("HOME"), false, NULL, ret_list))
		*ret_list = (struct sp_hide_list){0};
	sp_identity_free(&identity);
}

/* Those of one kind: "docker (/run/docker.sock, /run/docker), tmux (...)". */
static unsigned int list_helpers(const struct sp_hide_list *list, enum sp_hide_when when,
				 char *text, size_t size)
{
	unsigned int count = 0;

	*text = '\0';
	for (const struct sp_helper *helper = sp_helpers; helper->name; helper++) {
		unsigned int places = 0;

		for (size_t i = 0; i < list->len && helper->when == when; i++) {
			const struct sp_hide_target *target = &list->targets[i];

			if (target->helper != helper ||
			    (S_ISDIR(target->mode) && !has_socket(target->path, 2)))
				continue;
			if (!places++)
				snprintf(text + strlen(text), size - strlen(text), "%s%s (%s",
					 count++ ? ", " : "", helper->name, target->path);
			else if (places == 2)
				snprintf(text + strlen(text), size - strlen(text), " ...");
		}
		if (places)
			snprintf(text + strlen(text), size - strlen(text), ")");
	}
	return count;
}

static void found_helpers(enum sp_hide_when when, const char *what, struct finding *finding)
{
	struct sp_hide_list list;
	char text[400];

	find_helpers(&list);
	if (list_helpers(&list, when, text, sizeof(text)))
		found(finding, RESULT_OK, "%s: %s", what, text);
	else
		found(finding, RESULT_OK, "none found");
	sp_hide_list_free(&list);
}

static void check_resolvers(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	found_helpers(SP_HIDE_ALWAYS, "hidden by run", finding);
}

static void check_helpers(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	found_helpers(SP_HIDE_ENFORCED, "hidden by run", finding);
}

static void check_signers(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	found_helpers(SP_HIDE_NEVER, "in reach of a command", finding);
}

/* Is it in the list, or below a directory of it? */
static bool is_listed(const struct sp_hide_list *list, const char *path)
{
	for (size_t i = 0; i < list->len; i++) {
		size_t len = strlen(list->targets[i].path);

		if (!strncmp(path, list->targets[i].path, len) &&
		    (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

/*
 * What listens in the file system, is in no table, and can be connected to by whom `run` starts: a
 * database, a service of one's own. Whether it acts for others, only its owner knows.
 */
static void check_others(struct doctor *doctor, struct finding *finding)
{
	FILE *file = fopen("/proc/net/unix", "re");
	char *line = NULL, text[400] = "";
	struct sp_hide_list list;
	unsigned int count = 0, abstract = 0;
	size_t size = 0;

	(void)doctor;
	find_helpers(&list);
	while (file && getline(&line, &size, file) > 0) {
		unsigned long flags = 0;
		struct stat st;
		int at = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*s %*s %*s %lx %*s %*s %*s %n", &flags, &at) != 1 || !at ||
		    !(flags & 0x10000) /* SO_ACCEPTCON: it listens */)
			continue;
		abstract += line[at] == '@';
		if (line[at] != '/' || stat(line + at, &st) || is_listed(&list, line + at))
			continue;
		if (count++ < 6)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 count > 1 ? ", " : "", line + at);
	}
	if (count || abstract)
		found(finding, RESULT_OK, "%u in files%s%s%s, %u abstract", count,
		      count ? ": " : "", text, count > 6 ? " ..." : "", abstract);
	else
		found(finding, RESULT_OK, "none found");
	sp_hide_list_free(&list);
	free(line);
	if (file)
		fclose(file);
}

static void check_delegation(struct doctor *doctor, struct finding *finding)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char mount[PATH_MAX / 4] = "", line[PATH_MAX / 4], path[PATH_MAX] = "";
	struct stat st;

	(void)doctor;
	find_mount("cgroup2", mount, sizeof(mount));
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "0::", 3))
			snprintf(path, sizeof(path), "%s%.*s/cgroup.procs", mount,
				 (int)strcspn(line + 3, "\n"), line + 3);
	if (file)
		fclose(file);
	/* The root cgroup is root's, and so is a cgroup that nobody can look at from here. */
	if (*path && !stat(path, &st) && st.st_uid)
		found(finding, RESULT_DEGRADED, "%.300s belongs to user %u", path, st.st_uid);
	else
		found(finding, RESULT_OK, "the cgroup above sandboxes is root's");
}

static void check_landlock(struct doctor *doctor, struct finding *finding)
{
	int abi = sp_landlock_abi();

	(void)doctor;
	if (abi >= SP_LANDLOCK_SCOPES)
		found(finding, RESULT_OK, "ABI %d: scopes of tracing, signals, abstract sockets",
		      abi);
	else if (abi)
		found(finding, RESULT_DEGRADED,
		      "ABI %d has no scopes: every command gets a PID namespace instead; abstract "
		      "sockets stay in reach",
		      abi);
	else
		found(finding, RESULT_DEGRADED,
		      "not active: every command gets a PID namespace instead; abstract sockets "
		      "stay "
		      "in reach");
}

static void probe_pids(struct finding *finding)
{
	int status = 0;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS)) {
		found(finding, RESULT_MISSING, "%s", strerror(errno));
		return;
	}
	pid = fork();
	if (pid < 0) {
		found(finding, RESULT_MISSING, "its first process: %s", strerror(errno));
		return;
	}
	if (!pid)
		_exit(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
				      mount("proc", "/proc", "proc", 0, NULL)
			      ? errno
			      : 0);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		found(finding, RESULT_MISSING, "a /proc of it: %s",
		      strerror(WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD));
	else
		found(finding, RESULT_OK, "with a /proc of its own");
}

static void check_pids(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	in_child(false, probe_pids, finding);
}

static void probe_userns(struct finding *finding)
{
	if (!geteuid() && (setgid(65534) || setuid(65534))) {
		found(finding, RESULT_OK, "not tried: cannot become another user");
		return;
	}
	if (unshare(CLONE_NEWUSER))
		found(finding, RESULT_OK, "not for ordinary users (%s)", strerror(errno));
	else
		found(finding, RESULT_OK, "for everybody; the programs follow sockets into them");
}

static void check_userns(struct doctor *doctor, struct finding *finding)
{
	(void)doctor;
	in_child(false, probe_userns, finding);
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct check checks[] = {
	{"kernel", false, check_kernel, "what all else rests on", "Linux 6.1 or newer"},
	{"rights", true, check_rights, "load programs, make sandboxes, change the user",
	 "run as root: sudo sallyport doctor"},
	{"cgroup v2", true, check_cgroup, "a sandbox is a cgroup",
	 "mount -t cgroup2 none /sys/fs/cgroup/unified, or boot with "
	 "systemd.unified_cgroup_hierarchy=1"},
	{"BTF", true, check_btf, "programs fit themselves to this kernel",
	 "a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian and Ubuntu kernels have it)"},
	{"programs", true, check_programs, "the decisions themselves",
	 "a kernel with CONFIG_CGROUP_BPF=y and CONFIG_BPF_SYSCALL=y; the message names what it "
	 "refused"},
	{"bpffs", true, check_bpffs, "starts find the programs and sandboxes of those before them",
	 "mount -t bpf -o mode=0700 bpf /sys/fs/bpf, in the mount namespace of process 1"},
	{"attach", true, check_attach, "a sandbox that allows nothing lets nothing out",
	 "the message says what got through or could not be attached"},
	{"answers", false, check_answers, "denied DNS names are answered at once",
	 "CAP_NET_RAW and udp_diag; without them a denied look-up fails instead of being answered"},
	{"reset", false, check_reset, "connections denied at the handshake are reset at once",
	 "a kernel with CONFIG_INET_DIAG_DESTROY=y, or: modprobe tcp_diag"},
	{"seccomp", true, check_seccomp, "socket families that no hook sees are refused",
	 "a kernel with CONFIG_SECCOMP_FILTER=y"},
	{"mounts", true, check_mounts, "resolver sockets, cgroups and bpffs are hidden",
	 "Linux 5.9 or newer, and CAP_SYS_ADMIN"},
	{"family hook", false, check_lsm,
	 "families are refused in every process of the cgroup, also one that was moved into it",
	 "boot with lsm=...,bpf (CONFIG_BPF_LSM=y, Linux 6.0); run uses seccomp meanwhile, for "
	 "what it starts"},
	{"shared pages", false, check_pages,
	 "what sendfile or splice sends can change after it was judged",
	 "Linux 6.2, and its fixes of 2026; run refuses sendfile and splice meanwhile, but not in "
	 "processes put in by hand"},
	{"IPv6", false, check_ipv6, "without it there is nothing to enforce there", "not needed"},
	{"resolvers", false, check_resolvers, "sockets that answer names without DNS",
	 "run hides them"},
	{"helpers", false, check_helpers,
	 "daemons that start programs or open connections for others",
	 "run hides them; --share NAME gives one back"},
	{"signers", false, check_signers, "agents that sign with the user's keys",
	 "not hidden, since git needs them; unset SSH_AUTH_SOCK, or run --user"},
	{"other sockets", false, check_others,
	 "what listens there may act for others; run knows nothing of it",
	 "file permissions, or run --user"},
	{"delegation", false, check_delegation,
	 "the owner of a cgroup can move processes out of it",
	 "start from a root-owned cgroup (systemd-run --scope), or run --user with another user"},
	{"Landlock", false, check_landlock,
	 "processes outside cannot be traced or signalled, nor reached by abstract sockets",
	 "Linux 6.12 with landlock in lsm=; a network namespace of its own against abstract "
	 "sockets"},
	{"PID namespace", true, check_pids, "processes outside cannot be named by a root command",
	 "a kernel with CONFIG_PID_NS=y, and a container that may mount /proc; or run --share "
	 "pids"},
	{"user namespaces", false, check_userns,
	 "give full capabilities in namespaces of one's own", "nothing to do"},
};

#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static void print_text(const struct check *check, const struct finding *finding, bool colour)
{
	static const char *const colours[] = {"\033[32m", "\033[33m", "\033[1;31m"};

	printf("%s%-9s%s %-16s %s\n", colour ? colours[finding->result] : "",
	       result_names[finding->result], colour ? "\033[0m" : "", check->name,
	       finding->detail);
	if (finding->result == RESULT_OK)
		return;
	printf("%-26s for: %s%s\n", "", check->means, check->essential ? " (essential)" : "");
	printf("%-26s get: %s\n", "", check->fix);
}

static void print_json(const struct check *check, const struct finding *finding, bool first)
{
	char *texts[] = {sp_cli_json_string(check->name), sp_cli_json_string(finding->detail),
			 sp_cli_json_string(check->means), sp_cli_json_string(check->fix)};

	if (texts[0] && texts[1] && texts[2] && texts[3])
		printf("%s{\"check\":%s,\"result\":\"%s\",\"essential\":%s,\"detail\":%s,"
		       "\"means\":%s,\"fix\":%s}",
		       first ? "" : ",\n", texts[0], result_names[finding->result],
		       check->essential ? "true" : "false", texts[1], texts[2], texts[3]);
	for (size_t i = 0; i < 4; i++)
		free(texts[i]);
}

static int examine(bool json)
{
	bool colour = sp_cli_colour(STDOUT_FILENO);
	unsigned int missing = 0, degraded = 0;
	struct doctor doctor = {0};

	if (json)
		printf("{\"version\":\"%s\",\"checks\":[", SP_VERSION);
	for (size_t i = 0; i < CHECKS; i++) {
		struct finding finding;

		memset(&finding, 0, sizeof(finding));
		found(&finding, RESULT_MISSING, "not tried");
		checks[i].run(&doctor, &finding);
		missing += checks[i].essential && finding.result == RESULT_MISSING;
		degraded += finding.result != RESULT_OK;
		if (json)
			print_json(&checks[i], &finding, i == 0);
		else
			print_text(&checks[i], &finding, colour);
		fflush(stdout);
	}
	if (doctor.engine)
		sp_engine_close(doctor.engine);
	if (json)
		printf("],\"missing\":%u,\"ok\":%s}\n", missing, missing ? "false" : "true");
	else if (missing && geteuid())
		printf("\nUid %u cannot enforce; what this host can, only root finds out: sudo "
		       "sallyport doctor\n",
		       geteuid());
	else if (missing)
		printf("\nThis host cannot enforce: %u essential check%s failed.\n", missing,
		       missing == 1 ? "" : "s");
	else
		printf("\nThis host can enforce%s.\n",
		       degraded ? "; see what is degraded above" : "");
	return missing ? SP_EXIT_HOST : SP_EXIT_OK;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool json = false;
	int option;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, "+jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs("usage: sallyport doctor [--json]\n\n"
			      "Tries what this host can enforce. Packets stay in network "
			      "namespaces that\n"
			      "are made for it. Needs root to try everything.\n\n"
			      "  -j, --json  one JSON object on standard output\n"
			      "  -h, --help  this text\n\n"
			      "exit status: 0 if everything essential works, 1 if not, 2 bad "
			      "usage\n",
			      stdout);
			return SP_EXIT_OK;
		default:
			sp_cli_error("doctor: unknown option %.40s; see sallyport doctor --help",
				     argv[optind - 1]);
			return SP_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		sp_cli_error("doctor takes no argument, not \"%.40s\"", argv[optind]);
		return SP_EXIT_USAGE;
	}
	return examine(json);
}
