// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * floor.c - runs a command under programs that do nothing (floor.bpf.c) and a seccomp filter that
 * allows everything: the least that any enforcer at these hooks can cost.
 *
 *     floor CGROUP COMMAND [ARGUMENT]...
 *
 * The programs stay attached until the cgroup is removed.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "floor.skel.h"

static int attach(int cgroup)
{
	struct floor_bpf *skel = floor_bpf__open_and_load();
	struct bpf_program *program;

	if (!skel)
		return -1;
	bpf_object__for_each_program (program, skel->obj) {
		if (bpf_prog_attach(bpf_program__fd(program), cgroup,
				    bpf_program__expected_attach_type(program), 0) < 0) {
			floor_bpf__destroy(skel);
			return -1;
		}
	}
	floor_bpf__destroy(skel);
	return 0;
}

int main(int argc, char **argv)
{
	struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog filter = {.len = 1, .filter = all};
	int cgroup, procs;

	if (argc < 3) {
		fprintf(stderr, "usage: floor CGROUP COMMAND [ARGUMENT]...\n");
		return 2;
	}
	cgroup = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	procs = cgroup < 0 ? -1 : openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0 || attach(cgroup) < 0 || write(procs, "0", 1) != 1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) {
		perror("floor");
		return 1;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
