/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolv.c - the name servers of a resolv.conf, as the C libraries read it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sallyport/abi.h>

#include "resolv.h"

_Static_assert(sizeof(((struct sp_nameservers *)0)->text) / (INET6_ADDRSTRLEN + 17) ==
		       SP_RESOLVERS_MAX,
	       "as many as a policy can trust");

static void add(struct sp_nameservers *servers, const char *text)
{
	for (size_t i = 0; i < servers->len; i++)
		if (!strcmp(servers->text[i], text))
			return;
	if (servers->len < SP_RESOLVERS_MAX)
		snprintf(servers->text[servers->len++], sizeof(servers->text[0]), "%s", text);
}

static void parse_address(struct sp_nameservers *servers, char *word)
{
	char text[INET6_ADDRSTRLEN], scoped[INET6_ADDRSTRLEN + 17], *scope;
	struct in_addr v4;
	struct in6_addr v6;

	/* inet_aton and not inet_pton: glibc takes 127.1 and 0x7f000001 too, and asks that server.
	 */
	if (inet_aton(word, &v4)) {
		/* 0.0.0.0 as a destination is this host. */
		if (v4.s_addr == INADDR_ANY)
			v4.s_addr = htonl(INADDR_LOOPBACK);
		add(servers, inet_ntop(AF_INET, &v4, text, sizeof(text)));
		return;
	}
	scope = strchr(word, '%'); /* fe80::1%eth0; without it no C library can ask that server */
	if (scope)
		*scope++ = '\0';
	if (inet_pton(AF_INET6, word, &v6) != 1 || !inet_ntop(AF_INET6, &v6, text, sizeof(text)))
		return;
	if (!IN6_IS_ADDR_LINKLOCAL(&v6)) {
		add(servers, text);
		return;
	}
	if (!scope || !*scope || strlen(scope) > 15)
		return;
	snprintf(scoped, sizeof(scoped), "%s%%%s", text, scope);
	add(servers, scoped);
}

int sp_resolv_parse(FILE *file, struct sp_nameservers *ret_servers)
{
	struct sp_nameservers servers = {0};
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (getline(&line, &size, file) >= 0) {
		char *save = NULL, *word;

		/* The keyword must start the line (res_init.c, MATCH). */
		if (strncmp(line, "nameserver", 10) != 0 || (line[10] != ' ' && line[10] != '\t'))
			continue;
		word = strtok_r(line + 10, " \t\r\n#;", &save);
		if (word)
			parse_address(&servers, word);
	}
	if (ferror(file))
		r = -EIO;
	free(line);
	if (r)
		return r;
	servers.none = !servers.len;
	if (servers.none)
		add(&servers, "127.0.0.1");
	*ret_servers = servers;
	return 0;
}

int sp_resolv_load(const char *path, struct sp_nameservers *ret_servers)
{
	FILE *file = fopen(path, "re");
	int r;

	if (!file && errno != ENOENT)
		return -errno;
	if (!file) {
		memset(ret_servers, 0, sizeof(*ret_servers));
		add(ret_servers, "127.0.0.1");
		return 0;
	}
	r = sp_resolv_parse(file, ret_servers);
	fclose(file);
	return r;
}
