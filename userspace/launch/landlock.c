/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * landlock.c - a Landlock domain that takes no file from the command, only processes outside.
 *
 * A domain restricts more than what its rules say. Whatever asks the kernel "may I trace this
 * process?" - ptrace, /proc/PID/root, cwd, fd, mem, pidfd_getfd, process_vm_writev - is refused for
 * processes outside, by any uid and with any capability (security/landlock/task.c). ABI 6 has
 * scopes, so a ruleset can be made that handles no file at all. Below it a ruleset must handle a
 * right on files, and a domain that does so refuses every mount(), of bwrap and of unshare -m too
 * (security/landlock/fs.c, hook_sb_mount): by wish only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "landlock.h"

/* linux/landlock.h of Linux 6.12; that of the oldest distribution built on has ABI 2. */
#define CREATE_RULESET_VERSION 1U
#define RULE_PATH_BENEATH 1
#define ACCESS_FS_MAKE_BLOCK (1ULL << 11)
#define ACCESS_FS_REFER (1ULL << 13)	/* ABI 2 */
#define SCOPE_ABSTRACT_UNIX (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)

struct ruleset {
	uint64_t fs;
	uint64_t net;	/* ABI 4 */
	uint64_t scope; /* ABI 6 */
};

struct path_beneath {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

int sp_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

/* Handles rights that are then allowed everywhere: what is wanted is the domain. */
static int allow_root(int ruleset, uint64_t access)
{
	struct path_beneath rule = {.access = access};
	int r = 0;

	rule.parent = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0))
		r = -errno;
	close(rule.parent);
	return r;
}

int sp_landlock_restrict(bool abstract, bool signals, bool old)
{
	int abi = sp_landlock_abi(), fd, r = 0;
	struct ruleset attr = {0};
	/* A kernel takes a longer structure only if what it does not know is 0. */
	size_t size = sizeof(attr);

	/* A domain needs a scope, or there is none: with both given back signals stay scoped. */
	if (abi >= SP_LANDLOCK_SCOPES)
		attr.scope = (abstract ? SCOPE_ABSTRACT_UNIX : 0) |
			     (signals || !abstract ? SCOPE_SIGNAL : 0);
	else if (abi && old)
		attr.fs = ACCESS_FS_MAKE_BLOCK | (abi >= 2 ? ACCESS_FS_REFER : 0);
	if (!attr.scope && !attr.fs)
		return 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0U);
	if (fd < 0)
		return -errno;
	if (attr.fs)
		r = allow_root(fd, attr.fs);
	if (!r && syscall(SYS_landlock_restrict_self, fd, 0U))
		r = -errno;
	close(fd);
	return r ? r : 1;
}
