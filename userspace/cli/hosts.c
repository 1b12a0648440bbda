// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hosts.c - the names of a hosts file that a policy allows, as dns.static.
 *
 * What stands there is taken as the word of the host's administrator, so only from a file that
 * nobody else can write: a command that could would choose the addresses of the next one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hosts.h"

static bool parse_addr(const char *text, uint8_t addr[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET6, text, addr) == 1)
		return true;
	memcpy(addr, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, addr + 12) == 1;
}

static bool is_loopback(const uint8_t addr[16])
{
	static const uint8_t v4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
	static const uint8_t v6[16] = {[15] = 1};

	return !memcmp(addr, v4, sizeof(v4)) || !memcmp(addr, v6, sizeof(v6));
}

/* 0.0.0.0 and :: stand in block lists: nobody means to reach what they mean to connect(). */
static bool is_unspecified(const uint8_t addr[16])
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff}, v6[16];

	return !memcmp(addr, v4, sizeof(v4)) || !memcmp(addr, v6, sizeof(v6));
}

static int take(struct sp_policy *policy, const char *name, const uint8_t addr[16], size_t *taken)
{
	struct sp_decision decision;
	int r = sp_policy_decide_dns(policy, name, &decision);

	if (r < 0)
		return r;
	if (decision.action != SP_ACTION_ALLOW || is_unspecified(addr) ||
	    (is_loopback(addr) && !sp_policy_names(policy, name)))
		return 0;
	if (*taken == SP_HOSTS_MAX)
		return 1;
	r = sp_policy_add_static(policy, name, addr);
	if (r == 0)
		++*taken;
	return r == -EINVAL ? 0 : r;
}

int sp_hosts_parse(FILE *file, struct sp_policy *policy)
{
	char *line = NULL;
	size_t size = 0, taken = 0, bytes = 0;
	ssize_t len;
	int r = 0;

	while (r == 0 && (len = getline(&line, &size, file)) >= 0) {
		char *save = NULL, *word;
		uint8_t addr[16];

		bytes += len;
		if (bytes > SP_HOSTS_BYTES) {
			r = 1;
			break;
		}
		line[strcspn(line, "#\n")] = '\0';
		word = strtok_r(line, " \t\r", &save);
		if (!word || !parse_addr(word, addr)) /* also fe80::1%lo0 */
			continue;
		while (r == 0 && (word = strtok_r(NULL, " \t\r", &save)))
			r = take(policy, word, addr, &taken);
	}
	if (r == 0 && ferror(file))
		r = -EIO;
	free(line);
	return r;
}

int sp_hosts_load(const char *path, struct sp_policy *policy)
{
	/* a FIFO must not hold the start up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;
	struct stat st;
	FILE *file;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		r = -EPERM;
	else
		r = 0;
	file = r == 0 ? fdopen(fd, "r") : NULL;
	if (!file) {
		r = r ? r : -errno;
		close(fd);
		return r;
	}
	r = sp_hosts_parse(file, policy);
	fclose(file);
	return r;
}
