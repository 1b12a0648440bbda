/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hosts.h - the names of a hosts file that a policy allows.
 */
#ifndef SALLYPORT_HOSTS_H
#define SALLYPORT_HOSTS_H

#include <stdio.h>

#include <sallyport/policy.h>

#define SP_HOSTS_MAX 1024	 /* addresses taken from a hosts file; the rest is said */
#define SP_HOSTS_BYTES (1 << 20) /* bytes of one that is read */

/*
 * Programs ask the hosts file before DNS, so no answer teaches the addresses in it. Those of names
 * that the policy allows become `dns.static`; loopback only for a name that a rule names itself,
 * not by a pattern. A file that is not there has no names. 0, 1: there are more than are taken,
 * -EPERM: somebody else than root can write the file, or -errno.
 */
int sp_hosts_load(const char *path, struct sp_policy *policy);
int sp_hosts_parse(FILE *file, struct sp_policy *policy);

#endif
