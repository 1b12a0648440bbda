/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_selftest.c - `sallyport selftest`: tries to get out of a sandbox on this host, and says what
 * held.
 *
 * One process leads: it makes the lab (lab.c) and a sandbox as `run` does, and serves it.
 * Workers try each way out (attacks.c) one after the other, each first outside the
 * sandbox:
 *
 *   outside  root, with all that root has. What does not arrive from here proves nothing inside
 *   nobody   uid 65534, started in the sandbox as `run` starts a command
 *   root     the same as root
 *   joined   root, moved into the cgroup: the programs alone, without what the launcher takes away
 *
 * Whether something got out is what the far side of the lab saw, at any time until the end, and
 * never what a worker says; that only tells how it was stopped. Signals that end a program wait for
 * the try that is going on, and then everything is taken down as at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sallyport/engine.h>
#include <sallyport/events.h>
#include <sallyport/policy.h>

#include "cli.h"
#include "launch.h"
#include "selftest.h"

#define NOBODY "65534:65534"
#define REPLY_SECONDS 30 /* longer than a worker lets a try take */
#define GRACE_MS 250	 /* a first retransmission comes after 200 ms */
#define FENCE_MS 5000

enum who { OUTSIDE, AS_NOBODY, AS_ROOT, JOINED, WHOS };

static const char *const who_names[WHOS] = {"outside", "nobody", "root", "joined"};

enum verdict { HELD, PASSED, KNOWN, WORKS, FAILED, INCONCLUSIVE, NOT_APPLICABLE, VERDICTS };

static const struct {
	const char *token, *text, *colour;
} verdicts[VERDICTS] = {
	[HELD] = {"held", "held", "\033[32m"},
	[PASSED] = {"passed", "PASSED", "\033[1;31m"},
	[KNOWN] = {"known", "known", "\033[33m"},
	[WORKS] = {"works", "works", "\033[32m"},
	[FAILED] = {"failed", "FAILED", "\033[1;31m"},
	[INCONCLUSIVE] = {"inconclusive", "inconclusive", "\033[1;31m"},
	[NOT_APPLICABLE] = {"not_applicable", "not here", "\033[2m"},
};

/* One technique, tried by one worker. */
struct run {
	bool tried;
	uint64_t from, to; /* ns, CLOCK_MONOTONIC; 0: not yet */
	struct sp_said said;
	bool reasons[SP_REASON_COUNT]; /* of the sandbox's denials meanwhile */
};

struct outcome {
	struct run runs[WHOS];
	enum verdict verdict;
	char detail[400];
};

struct worker {
	pid_t pid; /* -1: none */
	struct sp_pids pids;
	int fd;
};

enum { TCP4, TCP6, UDP4, ABSTRACT, ASKER4, ASKER6, SERVICES };

struct selftest {
	bool json, audit;
	struct sp_engine *engine;
	struct sp_policy *policy;
	struct sp_box *box;
	struct sp_lab lab;
	struct sp_before before;
	struct worker workers[WHOS];
	int services[SERVICES];	       /* of somebody else, on loopback */
	uint32_t served[SP_TRIES_MAX]; /* markers that they got */
	int leaked;		       /* a datagram socket that stays open on exec */
	pid_t neighbour; /* a process outside of a user that has no rights; -1: none */
	int signals;
	int ended_by; /* a signal */
	struct outcome *outcomes;
	unsigned int counts[VERDICTS];
	double seconds;
};

static const char selftest_usage[] =
	"usage: sallyport selftest [--json]\n\n"
	"Tries to get out of a sandbox on this host in every way that is known and safe to try,\n"
	"first outside the sandbox, where it must work, then inside, and says what held.\n"
	"Packets stay in two network namespaces that are made for it. Needs root.\n\n"
	"  -j, --json       one JSON object on standard output\n"
	"  -l, --list       list the ways, and try none\n"
	"      --mode MODE  enforce, or audit_only: nothing is blocked, so everything must be\n"
	"                   seen to get out (to see that this test can fail)\n"
	"  -h, --help       this text\n\n"
	"exit status: 0 if all held and what is allowed worked, 1 if not, 2 bad usage,\n"
	"3 the host cannot run it; 128+N ended by signal N\n";

/* The private addresses are no part of it: names may lead there, but must not open them. */
static const char policy_text[] =
	"{\"version\":1,\"name\":\"selftest\",\"rules\":["
	"{\"allow\":[\"good.test\",\"one.test\",\"private.test\",\"mapped.test\",\"forged.test\","
	"\"extra.test\",\"hints.test\",\"alias.test\",\"*.wild.test\"]},"
	"{\"allow\":[\"good.test\",\"private.test\",\"mapped.test\",\"forged.test\",\"extra.test\","
	"\"hints.test\",\"alias.test\"],\"ports\":[\"10000-10999\"],\"protocol\":\"tcp\"},"
	"{\"allow\":[\"one.test\"],\"ports\":[8080,8443],\"protocol\":\"tcp\"},"
	"{\"allow\":[\"good.test\"],\"ports\":[9000],\"protocol\":\"udp\"}],"
	"\"dns\":{\"resolvers\":[\"198.18.77.53\",\"2001:db8:77::53\"]}}";

_Static_assert(SP_TRY_PORT == 10000 && SP_TRIES_MAX == 1000 && SP_UDP_PORT == 9000 &&
		       SP_OTHER_PORT == 8443 && SP_WEB_PORT == 8080,
	       "the policy names these ports");

/* ---- workers -------------------------------------------------------------------------------- */

static int socket_pair(int fds[2], struct sp_error **err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return sp_error_set(err, -errno, "cannot make a pair of sockets: %s",
				    strerror(errno));
	return 0;
}

/* A worker that was not started by the launcher: outside, or to be moved in. */
static int start_plain(struct selftest *s, enum who who, struct sp_error **err)
{
	int fds[2], r = socket_pair(fds, err);
	pid_t parent = getpid();

	if (r)
		return r;
	fflush(NULL);
	s->workers[who].pid = fork();
	if (s->workers[who].pid < 0) {
		r = sp_error_set(err, -errno, "cannot start a process: %s", strerror(errno));
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (!s->workers[who].pid) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		sigprocmask(SIG_SETMASK, &s->before.mask, NULL);
		for (int i = 0; i < WHOS; i++) /* so that each ends when the parent does */
			if (s->workers[i].fd >= 0)
				close(s->workers[i].fd);
		close(fds[0]);
		sp_worker(fds[1]);
	}
	close(fds[1]);
	s->workers[who].fd = fds[0];
	return who == JOINED ? sp_box_join(s->box, s->workers[who].pid, err) : 0;
}

/*
 * A worker in the sandbox is this program once more, executed as a command would be: the launcher
 * takes from it what it takes from every command. Its standard input is the way to talk to it.
 */
static int start_inside(struct selftest *s, enum who who, struct sp_error **err)
{
	char *argv[] = {(char[]){"/proc/self/exe"}, (char[]){"selftest"}, (char[]){"--worker"},
			NULL};
	struct sp_identity identity = {0};
	struct sp_hide_list hide = {0};
	struct sp_launch launch = {
		.argv = argv,
		.cgroup_fd = sp_box_cgroup_fd(s->box),
		.enforce = !s->audit,
		.refuse_pages = !sp_engine_knows_shared(s->engine),
		.hide = &hide,
		.identity = &identity,
		.before = &s->before,
	};
	struct sp_launched launched = {.pid = -1};
	int fds[2], saved, r;

	r = sp_identity_find(who == AS_NOBODY ? NOBODY : "0:0", &identity, err);
	if (r)
		return r;
	r = sp_hide_find(identity.uid, identity.gid, identity.home, !s->audit, NULL, &hide);
	if (r) {
		sp_error_set(err, r, "cannot look for helpers: %s", strerror(-r));
		goto out;
	}
	r = socket_pair(fds, err);
	if (r)
		goto out;
	saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	if (saved < 0 || dup2(fds[1], STDIN_FILENO) < 0)
		r = sp_error_set(err, -errno, "cannot pass a socket on: %s", strerror(errno));
	else
		r = sp_launch_start(&launch, &launched, err);
	free(launched.warnings);
	if (saved >= 0) {
		dup2(saved, STDIN_FILENO);
		close(saved);
	}
	close(fds[1]);
	if (r) {
		close(fds[0]);
		goto out;
	}
	s->workers[who].pid = launched.pid;
	s->workers[who].pids = launched.pids;
	s->workers[who].fd = fds[0];
out:
	sp_hide_list_free(&hide);
	sp_identity_free(&identity);
	return r;
}

/*
 * A process of a user without rights, which does nothing. Ways out may go through it, so it keeps
 * none of our descriptors but the socket that is there to be taken.
 */
static int start_neighbour(struct selftest *s, struct sp_error **err)
{
	pid_t parent = getpid();

	fflush(NULL);
	s->neighbour = fork();
	if (s->neighbour < 0)
		return sp_error_set(err, -errno, "cannot start a process: %s", strerror(errno));
	if (s->neighbour)
		return 0;
	sigprocmask(SIG_SETMASK, &s->before.mask, NULL);
	/* Ctrl-C is for the parent, which ends this process. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	if ((s->leaked > 3 && close_range(3, (unsigned int)s->leaked - 1, 0)) ||
	    close_range((unsigned int)s->leaked + 1, ~0u, 0) || setgroups(0, NULL) ||
	    setresgid(SP_NEIGHBOUR, SP_NEIGHBOUR, SP_NEIGHBOUR) ||
	    setresuid(SP_NEIGHBOUR, SP_NEIGHBOUR, SP_NEIGHBOUR))
		_exit(1);
	/* a change of user has taken both away */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_DUMPABLE, 1);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static void stop_neighbour(struct selftest *s)
{
	int status;

	if (s->neighbour <= 0)
		return;
	kill(s->neighbour, SIGKILL);
	while (waitpid(s->neighbour, &status, 0) < 0 && errno == EINTR)
		;
	s->neighbour = -1;
}

static void stop_workers(struct selftest *s)
{
	int status;

	for (int i = 0; i < WHOS; i++) {
		if (s->workers[i].fd >= 0)
			close(s->workers[i].fd);
		if (s->workers[i].pid > 0) {
			kill(s->workers[i].pid, SIGKILL);
			while (waitpid(s->workers[i].pid, &status, 0) < 0 && errno == EINTR)
				;
		}
		(void)sp_pids_ended(&s->workers[i].pids, 1000);
		s->workers[i] = (struct worker){.pid = -1, .fd = -1};
	}
}

/* ---- services of somebody else -------------------------------------------------------------- */

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 address = {0}; /* the port is at the same place in both */
	socklen_t len = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &len) ? 0 : ntohs(address.sin6_port);
}

/* A look-up of somebody else's under way: a socket that is connected to the resolver. */
static int open_asker(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	struct sockaddr_storage address;
	socklen_t len;

	sp_lab_address(family, SP_AT_NEAR, 0, &address, &len);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, len))
		return -1;
	sp_lab_address(family, SP_AT_RESOLVER, 53, &address, &len);
	return connect(fd, (struct sockaddr *)&address, len) ? -1 : fd;
}

static int open_services(struct selftest *s, struct sp_try *try, struct sp_error **err)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_un abstract = {.sun_family = AF_UNIX};
	int *fds = s->services;

	fds[TCP4] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fds[UDP4] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fds[ABSTRACT] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(try->abstract, sizeof(try->abstract), "sallyport-%s", s->lab.prefix);
	memcpy(abstract.sun_path + 1, try->abstract, strlen(try->abstract));
	if (bind(fds[TCP4], (struct sockaddr *)&v4, sizeof(v4)) || listen(fds[TCP4], 16) ||
	    bind(fds[UDP4], (struct sockaddr *)&v4, sizeof(v4)) ||
	    bind(fds[ABSTRACT], (struct sockaddr *)&abstract,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(try->abstract))))
		return sp_error_set(err, -errno, "cannot listen on loopback: %s", strerror(errno));
	try->tcp4 = port_of(fds[TCP4]);
	try->udp4 = port_of(fds[UDP4]);
	fds[ASKER4] = open_asker(AF_INET);
	if (fds[ASKER4] < 0)
		return sp_error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	try->asker4 = port_of(fds[ASKER4]);
	if (!s->lab.ipv6)
		return 0;
	fds[TCP6] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fds[TCP6], (struct sockaddr *)&v6, sizeof(v6)) || listen(fds[TCP6], 16))
		return sp_error_set(err, -errno, "cannot listen on loopback: %s", strerror(errno));
	try->tcp6 = port_of(fds[TCP6]);
	fds[ASKER6] = open_asker(AF_INET6);
	if (fds[ASKER6] < 0)
		return sp_error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	try->asker6 = port_of(fds[ASKER6]);
	return 0;
}

static void read_service(struct selftest *s, int fd)
{
	uint8_t data[512];
	ssize_t len;

	while ((len = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		sp_marker_find(s->lab.prefix, data, (size_t)len, s->served);
}

static void read_services(struct selftest *s)
{
	for (int i = 0; i < SERVICES; i++) {
		int fd;

		if (s->services[i] < 0)
			continue;
		if (i != TCP4 && i != TCP6) {
			read_service(s, s->services[i]);
			continue;
		}
		while ((fd = accept4(s->services[i], NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			read_service(s, fd);
			close(fd);
		}
	}
}

/* ---- trying --------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Events may come late. Their time says which try they are of: one is over before the next. */
static struct run *run_at(struct selftest *s, uint64_t ns)
{
	for (size_t i = 0; i < sp_techniques_len; i++)
		for (int who = AS_NOBODY; who < WHOS; who++) {
			struct run *run = &s->outcomes[i].runs[who];

			if (run->from && run->from <= ns && (!run->to || ns <= run->to))
				return run;
		}
	return NULL;
}

static void each_event(const struct sp_event *event, void *data)
{
	struct run *run = run_at(data, event->time);

	if (run && event->verdict == SP_VERDICT_DENIED && event->kind != SP_EVENT_CLOSE)
		run->reasons[event->reason] = true;
	/* an answer that taught nothing is no denial, and says why the next step is one */
	if (run && event->kind == SP_EVENT_ANSWER && event->reason == SP_REASON_REBINDING)
		run->reasons[event->reason] = true;
}

static void serve(struct selftest *s)
{
	/* bounded: nobody makes events for ever here */
	for (int i = 0; i < 1000 && sp_box_dispatch(s->box, each_event, s) > 0; i++)
		;
}

static bool ended(struct selftest *s)
{
	struct signalfd_siginfo info;

	if (!s->ended_by && read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->ended_by = (int)info.ssi_signo;
	return s->ended_by;
}

static int64_t now_ms(void)
{
	return (int64_t)(now_ns() / 1000000);
}

/* Serves the sandbox until the worker has said something (or `fd` is -1), or the time is over. */
static bool serve_until(struct selftest *s, int fd, int ms)
{
	int64_t until = now_ms() + ms, left;

	while ((left = until - now_ms()) > 0) {
		struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
				       {.fd = s->signals, .events = POLLIN},
				       {.fd = sp_box_fd(s->box), .events = POLLIN}};

		if (poll(fds, 3, (int)left) < 0 && errno != EINTR)
			return false;
		if (fds[2].revents)
			serve(s);
		if (fds[1].revents && ended(s))
			return false;
		if (fds[0].revents)
			return true;
	}
	return false;
}

static bool send_try(int fd, const struct sp_try *try, int given)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec data = {.iov_base = (void *)(uintptr_t)try, .iov_len = sizeof(*try)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	struct cmsghdr *head;

	if (given >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &given, sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(*try);
}

static uint32_t try_id(size_t technique, enum who who)
{
	return (uint32_t)(technique * WHOS + who);
}

static void try_once(struct selftest *s, size_t technique, enum who who, const struct sp_try *base)
{
	struct run *run = &s->outcomes[technique].runs[who];
	struct worker *worker = &s->workers[who];
	struct sp_try try = *base;

	try.id = try_id(technique, who);
	try.technique = (uint32_t)technique;
	try.inside = who != OUTSIDE;
	sp_marker(s->lab.prefix, try.id, try.marker);
	run->said.error = SP_TRY_BROKEN;
	run->from = now_ns();
	if (worker->fd < 0 ||
	    !send_try(worker->fd, &try,
		      sp_techniques[technique].flags & SP_TECHNIQUE_GIVEN ? s->leaked : -1)) {
		snprintf(run->said.note, sizeof(run->said.note), "the process that tries is gone");
		run->to = run->from;
		return;
	}
	for (;;) {
		struct sp_said said;
		ssize_t len;

		if (!serve_until(s, worker->fd, REPLY_SECONDS * 1000)) {
			snprintf(run->said.note, sizeof(run->said.note), "no end in %d s",
				 REPLY_SECONDS);
			break;
		}
		len = recv(worker->fd, &said, sizeof(said), 0);
		if (len != (ssize_t)sizeof(said)) {
			snprintf(run->said.note, sizeof(run->said.note),
				 "the process that tries died");
			close(worker->fd);
			worker->fd = -1;
			break;
		}
		if (said.id != try.id)
			continue;
		said.note[sizeof(said.note) - 1] = '\0';
		run->said = said;
		run->tried = true;
		break;
	}
	run->to = now_ns();
	serve(s);
}

static bool applies(const struct sp_technique *technique, enum who who)
{
	if (who == OUTSIDE)
		return true;
	return (who == JOINED) == !!(technique->flags & SP_TECHNIQUE_JOINED);
}

static void try_all(struct selftest *s, const struct sp_try *base)
{
	for (size_t i = 0; i < sp_techniques_len && !ended(s); i++) {
		struct outcome *outcome = &s->outcomes[i];

		if ((sp_techniques[i].flags & SP_TECHNIQUE_IPV6) && !s->lab.ipv6) {
			outcome->runs[OUTSIDE].said.error = SP_TRY_NA;
			snprintf(outcome->runs[OUTSIDE].said.note,
				 sizeof(outcome->runs[OUTSIDE].said.note), "no IPv6 here");
			continue;
		}
		for (enum who who = OUTSIDE; who < WHOS && !ended(s); who++) {
			if (applies(&sp_techniques[i], who))
				try_once(s, i, who, base);
			if (outcome->runs[OUTSIDE].said.error == SP_TRY_NA)
				break;
		}
	}
}

/* ---- judging -------------------------------------------------------------------------------- */

static bool reached(const struct selftest *s, size_t technique, enum who who)
{
	const struct run *run = &s->outcomes[technique].runs[who];
	uint32_t id = try_id(technique, who);

	if (sp_techniques[technique].kind == SP_MUST_FAIL ||
	    sp_techniques[technique].kind == SP_MUST_WORK)
		return run->tried && !run->said.error && !run->said.killed;
	if (who == OUTSIDE && (sp_techniques[technique].flags & SP_TECHNIQUE_ASTRAY))
		return s->served[id];
	return s->lab.sight->markers[id] || s->lab.sight->ports[id] || s->served[id];
}

/* Not tried in earnest: it did not come to the attempt, or failed of something that is no denial.
 */
static bool is_broken(const struct run *run)
{
	static const int mundane[] = {EADDRINUSE, EMFILE, ENFILE, ENOMEM, EAGAIN};

	if (!run->tried || run->said.error == SP_TRY_BROKEN || run->said.error == SP_TRY_NA)
		return true;
	for (size_t i = 0; i < sizeof(mundane) / sizeof(mundane[0]); i++)
		if (run->said.error == mundane[i])
			return true;
	return false;
}

/* How a run ended: "EPERM [not_learned]". */
static void say_run(const struct run *run, char *text, size_t size)
{
	const char *name = NULL, *before = " [";
	size_t len;

	if (run->said.error == SP_TRY_BROKEN || run->said.error == SP_TRY_NA)
		name = run->said.note;
	else if (run->said.killed)
		name = sigabbrev_np(run->said.killed);
	else if (run->said.error)
		name = strerrorname_np(run->said.error);
	else
		name = "not sent";
	snprintf(text, size, "%s%s", run->said.killed ? "SIG" : "", name ? name : "refused");
	if (run->said.error != SP_TRY_BROKEN && run->said.error != SP_TRY_NA && run->said.note[0]) {
		len = strlen(text);
		snprintf(text + len, size - len, " (%s)", run->said.note);
	}
	for (int i = 0; i < SP_REASON_COUNT; i++) {
		if (!run->reasons[i])
			continue;
		len = strlen(text);
		snprintf(text + len, size - len, "%s%s", before, sp_reason_token((uint8_t)i));
		before = ", ";
	}
	len = strlen(text);
	if (*before == ',')
		snprintf(text + len, size - len, "]");
}

/* What the runs inside have in common, or each by its name. */
static void say_inside(const struct selftest *s, size_t technique, char *text, size_t size)
{
	const struct run *runs = s->outcomes[technique].runs;
	char one[160], other[160];

	if (applies(&sp_techniques[technique], JOINED)) {
		say_run(&runs[JOINED], text, size);
		return;
	}
	say_run(&runs[AS_NOBODY], one, sizeof(one));
	say_run(&runs[AS_ROOT], other, sizeof(other));
	if (strcmp(one, other) != 0)
		snprintf(text, size, "%s; root: %s", one, other);
	else
		snprintf(text, size, "%s", one);
}

static enum verdict judge(const struct selftest *s, size_t technique, char *detail, size_t size)
{
	const struct sp_technique *t = &sp_techniques[technique];
	const struct run *runs = s->outcomes[technique].runs;
	bool allow = t->kind == SP_MUST_ARRIVE || t->kind == SP_MUST_WORK;
	char text[200];

	if (runs[OUTSIDE].said.error == SP_TRY_NA) {
		snprintf(detail, size, "%s", runs[OUTSIDE].said.note);
		return NOT_APPLICABLE;
	}
	if (!reached(s, technique, OUTSIDE)) {
		say_run(&runs[OUTSIDE], text, sizeof(text));
		snprintf(detail, size, "does not work outside either: %s", text);
		return INCONCLUSIVE;
	}
	for (enum who who = AS_NOBODY; who < WHOS; who++) {
		if (!applies(t, who))
			continue;
		if (!allow && reached(s, technique, who)) {
			bool lsm = t->flags & SP_TECHNIQUE_LSM && !sp_engine_has_lsm(s->engine);

			snprintf(detail, size, "%s%s",
				 t->kind == SP_MUST_FAIL ? "it worked as " : "it arrived from ",
				 who_names[who]);
			if (lsm)
				snprintf(detail, size, "no BPF LSM on this host; see doctor");
			else if (t->flags & SP_TECHNIQUE_KNOWN)
				snprintf(detail, size, "no hook sees it; see SECURITY.md");
			return lsm || t->flags & SP_TECHNIQUE_KNOWN ? KNOWN : PASSED;
		}
		if (allow && !reached(s, technique, who)) {
			say_run(&runs[who], text, sizeof(text));
			snprintf(detail, size, "not from %s: %s", who_names[who], text);
			return FAILED;
		}
	}
	for (enum who who = AS_NOBODY; who < WHOS; who++) {
		if (!applies(t, who) || allow)
			continue;
		if (is_broken(&runs[who])) {
			say_run(&runs[who], text, sizeof(text));
			snprintf(detail, size, "not tried as %s: %s", who_names[who], text);
			return INCONCLUSIVE;
		}
	}
	if (allow)
		snprintf(detail, size, "%s", "");
	else
		say_inside(s, technique, detail, size);
	return allow ? WORKS : HELD;
}

static void judge_all(struct selftest *s, int blind)
{
	for (size_t i = 0; i < sp_techniques_len; i++) {
		struct outcome *outcome = &s->outcomes[i];

		outcome->verdict = judge(s, i, outcome->detail, sizeof(outcome->detail));
		/* With an oracle that may have missed something, nothing has held. */
		if (outcome->verdict == HELD && (blind || s->lab.sight->lost)) {
			outcome->verdict = INCONCLUSIVE;
			if (blind)
				snprintf(outcome->detail, sizeof(outcome->detail),
					 "the far side did not keep up: %s", strerror(-blind));
			else
				snprintf(outcome->detail, sizeof(outcome->detail),
					 "the capture lost %u packets", s->lab.sight->lost);
		}
		s->counts[outcome->verdict]++;
	}
}

/* ---- output --------------------------------------------------------------------------------- */

static bool good(const struct selftest *s)
{
	return !s->counts[PASSED] && !s->counts[FAILED] && !s->counts[INCONCLUSIVE];
}

static void print_text(const struct selftest *s)
{
	const char *no_color = getenv("NO_COLOR");
	bool colour = isatty(STDOUT_FILENO) && !(no_color && *no_color);
	unsigned int ways = s->counts[HELD] + s->counts[PASSED] + s->counts[KNOWN];

	for (size_t i = 0; i < sp_techniques_len; i++) {
		const struct sp_technique *t = &sp_techniques[i];
		const struct outcome *outcome = &s->outcomes[i];

		if (t->group)
			printf("%s%s:\n", i ? "\n" : "", t->group);
		printf("  %s%-12s%s %-4s %-16s %-52s %s\n",
		       colour ? verdicts[outcome->verdict].colour : "",
		       verdicts[outcome->verdict].text, colour ? "\033[0m" : "", t->row, t->name,
		       t->what, outcome->detail);
	}
	printf("\n%u ways out of a sandbox were tried on this host: %u held, %u got out", ways,
	       s->counts[HELD], s->counts[PASSED]);
	if (s->counts[KNOWN])
		printf(", %u got out as SECURITY.md says", s->counts[KNOWN]);
	printf(".\n");
	if (s->counts[INCONCLUSIVE])
		printf("%u could not be judged.\n", s->counts[INCONCLUSIVE]);
	if (s->counts[NOT_APPLICABLE])
		printf("%u cannot be tried here.\n", s->counts[NOT_APPLICABLE]);
	printf("%u of %u things that the policy allows worked. %.1f s\n", s->counts[WORKS],
	       s->counts[WORKS] + s->counts[FAILED], s->seconds);
	if (s->audit)
		printf("This was audit_only, which blocks nothing.\n");
}

static void print_string(const char *key, const char *value)
{
	char *text = sp_cli_json_string(value);

	printf("\"%s\":%s", key, text ? text : "null");
	free(text);
}

static void print_run(const struct selftest *s, size_t technique, enum who who)
{
	const struct run *run = &s->outcomes[technique].runs[who];
	const char *comma = "";

	printf("{\"as\":\"%s\",\"tried\":%s,\"reached\":%s,", who_names[who],
	       run->tried ? "true" : "false", reached(s, technique, who) ? "true" : "false");
	print_string("errno", run->tried && run->said.error > 0 && !run->said.killed &&
					      strerrorname_np(run->said.error)
				      ? strerrorname_np(run->said.error)
				      : "");
	printf(",\"signal\":%d,\"ms\":%.1f,", run->said.killed,
	       (double)(run->to - run->from) / 1e6);
	print_string("note", run->said.note);
	printf(",\"reasons\":[");
	for (int i = 0; i < SP_REASON_COUNT; i++)
		if (run->reasons[i]) {
			printf("%s\"%s\"", comma, sp_reason_token((uint8_t)i));
			comma = ",";
		}
	printf("]}");
}

static void print_json(const struct selftest *s)
{
	static const char *const kinds[] = {"deny", "deny", "allow", "allow"};
	struct utsname kernel = {0};

	uname(&kernel);
	printf("{\"version\":\"%s\",", SP_VERSION);
	print_string("kernel", kernel.release);
	printf(",\"machine\":\"%s\",\"mode\":\"%s\",\"ipv6\":%s,\"lsm\":%s,\"seconds\":%.3f,"
	       "\"ok\":%s,\"counts\":{",
	       kernel.machine, s->audit ? "audit_only" : "enforce", s->lab.ipv6 ? "true" : "false",
	       sp_engine_has_lsm(s->engine) ? "true" : "false", s->seconds,
	       good(s) ? "true" : "false");
	for (int i = 0; i < VERDICTS; i++)
		printf("%s\"%s\":%u", i ? "," : "", verdicts[i].token, s->counts[i]);
	printf("},\"techniques\":[");
	for (size_t i = 0; i < sp_techniques_len; i++) {
		const struct sp_technique *t = &sp_techniques[i];
		const char *comma = "";

		printf("%s{\"name\":\"%s\",\"row\":\"%s\",\"kind\":\"%s\",\"result\":\"%s\",",
		       i ? ",\n" : "\n", t->name, t->row, kinds[t->kind],
		       verdicts[s->outcomes[i].verdict].token);
		print_string("what", t->what);
		printf(",");
		print_string("detail", s->outcomes[i].detail);
		printf(",\"runs\":[");
		for (enum who who = OUTSIDE; who < WHOS; who++) {
			if (!applies(t, who))
				continue;
			printf("%s", comma);
			print_run(s, i, who);
			comma = ",";
		}
		printf("]}");
	}
	printf("]}\n");
}

static void print_list(void)
{
	for (size_t i = 0; i < sp_techniques_len; i++) {
		const struct sp_technique *t = &sp_techniques[i];

		if (t->group)
			printf("%s%s:\n", i ? "\n" : "", t->group);
		printf("  %-4s %-16s %s\n", t->row, t->name, t->what);
	}
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int wait_for_signals(struct selftest *s, struct sp_error **err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signals < 0 ? sp_error_set(err, -errno, "signalfd: %s", strerror(errno)) : 0;
}

static int prepare(struct selftest *s, struct sp_try *base, struct sp_error **err)
{
	static const char secret[] = "what a process outside keeps in its memory";
	unsigned int removed;
	int r;

	r = wait_for_signals(s, err);
	if (!r)
		r = sp_policy_parse(policy_text, sizeof(policy_text) - 1, "selftest", &s->policy,
				    err);
	if (!r && s->audit)
		r = sp_policy_set_mode(s->policy, "audit_only", err);
	/* First, since what it says of a host that cannot enforce is clearest. */
	if (!r)
		r = sp_engine_open(&s->engine, err);
	if (!r && sp_engine_collect(s->engine, &removed, err)) { /* of others */
		sp_error_free(*err);
		*err = NULL;
	}
	if (!r)
		r = sp_lab_open(&s->lab, err);
	if (!r)
		r = sp_box_create(s->engine, s->policy, &s->box, err);
	if (r)
		return r;
	r = open_services(s, base, err);
	if (r)
		return r;
	s->leaked = socket(AF_INET, SOCK_DGRAM, 0);
	if (s->leaked < 0)
		return sp_error_set(err, -errno, "socket: %s", strerror(errno));
	base->enforcing = !s->audit;
	base->outsider = getpid();
	base->socket = s->leaked;
	r = start_neighbour(s, err);
	if (r)
		return r;
	base->neighbour = s->neighbour;
	base->memory = (uintptr_t)secret;
	snprintf(base->procs, sizeof(base->procs), "%.*s/../cgroup.procs",
		 (int)sizeof(base->procs) - 20, sp_box_cgroup_path(s->box));
	r = start_plain(s, OUTSIDE, err);
	if (!r)
		r = start_plain(s, JOINED, err);
	if (!r)
		r = start_inside(s, AS_NOBODY, err);
	if (!r)
		r = start_inside(s, AS_ROOT, err);
	return r;
}

static void take_down(struct selftest *s)
{
	stop_workers(s);
	stop_neighbour(s);
	for (int i = 0; i < SERVICES; i++)
		if (s->services[i] >= 0)
			close(s->services[i]);
	if (s->leaked >= 0)
		close(s->leaked);
	if (s->box)
		sp_box_close(s->box, true);
	sp_lab_close(&s->lab);
	if (s->engine)
		sp_engine_close(s->engine);
	sp_policy_free(s->policy);
	if (s->signals >= 0)
		close(s->signals);
	free(s->outcomes);
}

static int selftest(bool json, bool audit)
{
	struct selftest s = {.json = json,
			     .audit = audit,
			     .lab = {.far = -1, .reply = -1, .fences = {-1, -1}},
			     .services = {-1, -1, -1, -1, -1, -1},
			     .neighbour = -1,
			     .leaked = -1,
			     .signals = -1};
	struct sp_try base = {.given = -1};
	struct sp_error *err = NULL;
	int64_t from = now_ms();
	int status, blind;

	for (int i = 0; i < WHOS; i++)
		s.workers[i] = (struct worker){.pid = -1, .fd = -1};
	sp_before_save(&s.before);
	signal(SIGPIPE, SIG_IGN);
	s.outcomes = calloc(sp_techniques_len, sizeof(*s.outcomes));
	if (!s.outcomes || try_id(sp_techniques_len, OUTSIDE) > SP_TRIES_MAX) {
		sp_cli_error("%s", strerror(s.outcomes ? E2BIG : ENOMEM));
		free(s.outcomes);
		return SP_EXIT_NOT_TRIED;
	}
	status = SP_EXIT_NOT_TRIED;
	if (prepare(&s, &base, &err)) {
		if (!ended(&s))
			sp_cli_error_object(err);
		else
			sp_error_free(err);
		goto out;
	}
	try_all(&s, &base);
	serve_until(&s, -1, GRACE_MS);
	if (s.ended_by)
		goto out;
	blind = sp_lab_fence(&s.lab, FENCE_MS);
	read_services(&s);
	judge_all(&s, blind);
	s.seconds = (double)(now_ms() - from) / 1000;
	if (json)
		print_json(&s);
	else
		print_text(&s);
	status = good(&s) ? SP_EXIT_OK : SP_EXIT_HOST;
out:
	if (s.ended_by)
		status = SP_EXIT_SIGNAL + s.ended_by;
	take_down(&s);
	return status;
}

int cmd_selftest(int argc, char **argv)
{
	enum { OPTION_MODE = 256, OPTION_WORKER };
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"list", no_argument, NULL, 'l'},
		{"mode", required_argument, NULL, OPTION_MODE},
		{"worker", no_argument, NULL, OPTION_WORKER},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool json = false, audit = false;
	int option;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, "+jlh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			sp_cli_json(true);
			break;
		case 'l':
			print_list();
			return SP_EXIT_OK;
		case OPTION_MODE:
			audit = !strcmp(optarg, "audit_only");
			if (audit || !strcmp(optarg, "enforce"))
				break;
			sp_cli_error("selftest: --mode is enforce or audit_only, not \"%.40s\"",
				     optarg);
			return SP_EXIT_USAGE;
		case OPTION_WORKER: /* not for people: see start_inside() */
			sp_worker(STDIN_FILENO);
		case 'h':
			fputs(selftest_usage, stdout);
			return SP_EXIT_OK;
		default:
			sp_cli_error("selftest: bad option %.40s; see sallyport selftest --help",
				     argv[optind - 1]);
			return SP_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		sp_cli_error("selftest takes no argument, not \"%.40s\"", argv[optind]);
		return SP_EXIT_USAGE;
	}
	return selftest(json, audit);
}
