// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lsm.c - does the socket family hook refuse? Found out by trying, once for a host: a child is put
 * into a cgroup made for it, with the program attached, and asks for a family that works outside.
 * That it loads and attaches says nothing: without `bpf` among the active LSMs nothing calls it.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"

#define TRIAL "sallyport-try-"

/* Every kernel with networking has it, and the hook refuses it: 0 or errno. */
static int ask_for_family(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* The child: waits until it is in the cgroup, and says what it was told. */
static void __attribute__((noreturn)) ask(int in, int out)
{
	char byte;
	int error;

	if (read(in, &byte, 1) != 1)
		_exit(1);
	error = ask_for_family();
	_exit(write(out, &error, sizeof(error)) != (ssize_t)sizeof(error));
}

static bool child_is_refused(int cgroup)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, procs = -1, error = 0, status;
	bool refused = false;
	pid_t pid = -1;

	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0) {
		close(in[1]);
		ask(in[0], out[1]);
	}
	for (int i = 0; i < 2; i++) {
		int *end = i ? &out[1] : &in[0];

		if (*end >= 0)
			close(*end);
		*end = -1;
	}
	if (pid > 0) {
		procs = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
		refused = procs >= 0 && dprintf(procs, "%d", (int)pid) > 0 &&
			  write(in[1], "g", 1) == 1 &&
			  read(out[0], &error, sizeof(error)) == (ssize_t)sizeof(error) &&
			  error == EAFNOSUPPORT;
	}
	if (procs >= 0)
		close(procs);
	if (in[1] >= 0)
		close(in[1]); /* a child that still waits ends now */
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (out[0] >= 0)
		close(out[0]);
	return refused;
}

/* Of trials that were killed. */
static void remove_trials(int parent)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd >= 0 && !dir)
		close(fd);
	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, TRIAL, strlen(TRIAL)) == 0)
			unlinkat(parent, entry->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
}

bool sp_lsm_refuses(const struct sp_host_paths *paths, int program)
{
	char name[32], below[sizeof(paths->current) + 2];
	int parent, cgroup;
	bool refuses = false;

	if (ask_for_family() != 0)
		return false; /* refused anyway: nothing could be seen */
	snprintf(below, sizeof(below), ".%s", paths->current);
	snprintf(name, sizeof(name), TRIAL "%d", (int)getpid());
	parent = openat(paths->cgroup_fd, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return false;
	remove_trials(parent);
	if (mkdirat(parent, name, 0755) == 0) {
		cgroup = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (cgroup >= 0 &&
		    bpf_prog_attach(program, cgroup, BPF_LSM_CGROUP, BPF_F_ALLOW_MULTI) == 0)
			refuses = child_is_refused(cgroup);
		if (cgroup >= 0)
			close(cgroup);
		unlinkat(parent, name, AT_REMOVEDIR); /* and with it the program */
	}
	close(parent);
	return refuses;
}
