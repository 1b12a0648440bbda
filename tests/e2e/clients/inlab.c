/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inlab - what `scripts/lab exec` does, with one program instead of five: a guest takes half a
 * second for those. Usage: inlab NETNS RESOLV_CONF COMMAND...
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[200];
	int fd;

	if (argc < 4)
		return 2;
	snprintf(path, sizeof(path), "/run/netns/%s", argv[1]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(argv[2], "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0) {
		perror(path);
		return 1;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return errno == ENOENT ? 127 : 126;
}
