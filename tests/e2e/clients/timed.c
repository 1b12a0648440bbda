/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timed - runs a command, writes how long it took in ms to a file, and passes its end on.
 * Usage: timed FILE COMMAND...
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec from, to;
	int status = 0;
	FILE *file;
	pid_t pid;

	if (argc < 3)
		return 2;
	file = fopen(argv[1], "we");
	if (!file)
		perror(argv[1]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(errno == ENOENT ? 127 : 126);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (file) {
		fprintf(file, "%lld\n",
			(to.tv_sec - from.tv_sec) * 1000LL + (to.tv_nsec - from.tv_nsec) / 1000000);
		fclose(file);
	}
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
