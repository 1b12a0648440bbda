/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.c - the process that tries ways out, inside the sandbox or outside.
 *
 * Each try is a child of its own, so that it may change its namespaces, be killed by the system
 * call filter, or hang, and what it opened ends with it: before the try is reported, so that the
 * next one does not find an address in use.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.h"

#define TRY_SECONDS 20 /* a try that takes longer is killed */

/* Gets the next try, with the socket that may come along. */
static bool hear(int fd, struct sp_try *try)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec data = {.iov_base = try, .iov_len = sizeof(*try)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *head;
	ssize_t len;

	do {
		len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	if (len != (ssize_t)sizeof(*try) || try->technique >= sp_techniques_len)
		return false;
	head = CMSG_FIRSTHDR(&message);
	try->given = -1;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(&try->given, CMSG_DATA(head), sizeof(int));
	return true;
}

static void __attribute__((noreturn)) attempt(const struct sp_try *try, int report)
{
	struct sp_attack attack = {.technique = &sp_techniques[try->technique], .try = *try};
	struct sp_said said = {.id = try->id};
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm(TRY_SECONDS);
	r = attack.technique->attack(&attack);
	said.error = r == SP_TRY_NA || r == SP_TRY_BROKEN || r >= 0 ? r : -r;
	memcpy(said.note, attack.note, sizeof(said.note));
	_exit(write(report, &said, sizeof(said)) != (ssize_t)sizeof(said));
}

static void try_in_child(const struct sp_try *try, struct sp_said *ret_said)
{
	struct sp_said said = {.id = try->id, .error = SP_TRY_BROKEN};
	int fds[2], status = 0;
	pid_t pid;

	*ret_said = said;
	if (pipe2(fds, O_CLOEXEC)) {
		snprintf(ret_said->note, sizeof(ret_said->note), "pipe: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (!pid)
		attempt(try, fds[1]);
	if (pid < 0)
		snprintf(ret_said->note, sizeof(ret_said->note), "fork: %s", strerror(errno));
	close(fds[1]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status)) {
		ret_said->killed = WTERMSIG(status);
		ret_said->error = EINTR;
	} else if (pid > 0 && read(fds[0], &said, sizeof(said)) == (ssize_t)sizeof(said)) {
		*ret_said = said; /* less than a pipe takes, so it is all there */
	} else if (pid > 0) {
		snprintf(ret_said->note, sizeof(ret_said->note), "could not report");
	}
	close(fds[0]);
}

void sp_worker(int fd)
{
	struct sp_said said;
	struct sp_try try = {0};

	while (hear(fd, &try)) {
		try_in_child(&try, &said);
		if (try.given >= 0)
			close(try.given);
		if (send(fd, &said, sizeof(said), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}
