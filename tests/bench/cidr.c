// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cidr.c - attaches cidr.bpf.c to a cgroup, with a list of IPv4 addresses.
 *
 *     cidr CGROUP ADDRESS...
 *
 * Says "ready", and ends when standard input does; the links go with it.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cidr.skel.h"

int main(int argc, char **argv)
{
	struct bpf_link *out = NULL, *in = NULL;
	struct cidr_bpf *skel;
	int fd, status = 1;
	char byte;

	if (argc < 3) {
		fprintf(stderr, "usage: cidr CGROUP ADDRESS...\n");
		return 2;
	}
	skel = cidr_bpf__open_and_load();
	fd = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (!skel || fd < 0) {
		fprintf(stderr, "cidr: cannot load, or no cgroup %s\n", argv[1]);
		goto out;
	}
	for (int i = 2; i < argc; i++) {
		struct {
			uint32_t prefix;
			uint8_t addr[16];
		} key = {.prefix = 128, .addr = {[10] = 0xff, [11] = 0xff}};
		uint64_t one = 1;

		if (inet_pton(AF_INET, argv[i], key.addr + 12) != 1 ||
		    bpf_map_update_elem(bpf_map__fd(skel->maps.cidr_allow), &key, &one, 0) < 0) {
			fprintf(stderr, "cidr: bad address %s\n", argv[i]);
			goto out;
		}
	}
	out = bpf_program__attach_cgroup(skel->progs.cidr_egress, fd);
	in = bpf_program__attach_cgroup(skel->progs.cidr_ingress, fd);
	if (!out || !in) {
		fprintf(stderr, "cidr: cannot attach\n");
		goto out;
	}
	printf("ready\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	status = 0;
out:
	bpf_link__destroy(out);
	bpf_link__destroy(in);
	if (fd >= 0)
		close(fd);
	cidr_bpf__destroy(skel);
	return status;
}
