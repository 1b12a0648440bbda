// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * go_probe.c - the system calls with which Go 1.23 and later (golang/go#67264) sort addresses: a
 * datagram socket is connected to port 53 of each, nothing is sent, its own address is read. Then
 * Go connects by TCP in that order. Usage: go_probe ADDRESS...
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int probe(const char *text)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(53)};
	int is_v6 = inet_pton(AF_INET6, text, &v6.sin6_addr) == 1, r;
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (!is_v6 && inet_pton(AF_INET, text, &v4.sin_addr) != 1)
		return 2;
	r = is_v6 ? connect(fd, (void *)&v6, sizeof(v6)) : connect(fd, (void *)&v4, sizeof(v4));
	if (r < 0 || getsockname(fd, (void *)&own, &len) < 0) {
		perror(text);
		return 1;
	}
	printf("%s can be reached\n", text);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	int worst = 0;

	for (int i = 1; i < argc; i++)
		worst |= probe(argv[i]);
	return worst;
}
