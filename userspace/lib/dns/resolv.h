/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolv.h - the name servers of a resolv.conf.
 */
#ifndef SALLYPORT_RESOLV_H
#define SALLYPORT_RESOLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <arpa/inet.h>

struct sp_nameservers {
	size_t len;
	bool none; /* no line named one */
	/* addresses, each once; a link-local one with its interface, and none without */
	char text[8][INET6_ADDRSTRLEN + 17];
};

/*
 * As resolv.conf(5): `nameserver ADDRESS` lines; without any, 127.0.0.1. At most 8 (what a policy
 * can trust); glibc and musl ask the first three. A file that is not there has no lines.
 * 0 or -errno.
 */
int sp_resolv_load(const char *path, struct sp_nameservers *ret_servers);
int sp_resolv_parse(FILE *file, struct sp_nameservers *ret_servers);

#endif
