// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fetch.c - looks a name up, connects to its addresses in turn, asks by HTTP, prints the answer.
 * With another C library it is another resolver: glibc's, musl's. Usage: fetch HOST PORT
 */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *ai;
	char text[4096];
	ssize_t len;
	int fd = -1, r;

	if (argc != 3)
		return 2;
	r = getaddrinfo(argv[1], argv[2], &hints, &list);
	if (r != 0) {
		fprintf(stderr, "%s: %s\n", argv[1], gai_strerror(r));
		return 1;
	}
	for (ai = list; ai; ai = ai->ai_next) {
		fd = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol);
		if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
			break;
		perror("connect");
		close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd < 0)
		return 1;
	len = snprintf(text, sizeof(text),
		       "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[1]);
	if (write(fd, text, len) != len)
		return 1;
	while ((len = read(fd, text, sizeof(text))) > 0)
		if (fwrite(text, 1, len, stdout) != (size_t)len)
			return 1;
	return len < 0;
}
