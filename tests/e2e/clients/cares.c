/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cares - the same as gai with c-ares. Usage: cares NAME. Exit: 0, 1 not found, 3 another error */
#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

static int result = -1;

static void done(void *data, int status, int timeouts, struct hostent *host)
{
	char text[128];

	(void)data;
	(void)timeouts;
	result = status;
	if (status != ARES_SUCCESS) {
		printf("%s (%d)\n", ares_strerror(status), status);
		return;
	}
	for (char **addr = host->h_addr_list; *addr; addr++)
		puts(inet_ntop(host->h_addrtype, *addr, text, sizeof(text)));
}

int main(int argc, char **argv)
{
	ares_channel channel;

	if (argc != 2 || ares_library_init(ARES_LIB_INIT_ALL) || ares_init(&channel))
		return 2;
	ares_gethostbyname(channel, argv[1], AF_INET, done, NULL);
	while (result < 0) {
		fd_set reads, writes;
		struct timeval limit, *next;
		int count;

		FD_ZERO(&reads);
		FD_ZERO(&writes);
		count = ares_fds(channel, &reads, &writes);
		if (!count)
			break;
		next = ares_timeout(channel, NULL, &limit);
		select(count, &reads, &writes, NULL, next);
		ares_process(channel, &reads, &writes);
	}
	ares_destroy(channel);
	if (result == ARES_SUCCESS)
		return 0;
	return result == ARES_ENOTFOUND || result == ARES_ENODATA ? 1 : 3;
}
