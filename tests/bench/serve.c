// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * serve.c - the servers of the benchmark: as little as will do, so that what is measured is not
 * them.
 *
 *     serve DNS-ADDRESS ADDRESS
 *
 * On DNS-ADDRESS, port 53: every A query of whatever name is answered with ADDRESS, others with
 * nothing. On ADDRESS: TCP 7000 accepts and closes at once; UDP 7001 is read now and then, and "?"
 * answered; TCP 7002 reads and throws away. A process each; they end when standard input does.
 *
 * DNS is served on processor 0, where the client is: a query and its answer are then one chain of
 * work without a pause, which shows microseconds; between processors it is mostly the time that it
 * takes to wake the other one. The others are on processor 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 256
#define BLOCK (256u << 10)

static int socket_at(const char *address, unsigned int port, int type)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, type, 0);

	if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 4096) < 0)) {
		fprintf(stderr, "serve: %s port %u: %s\n", address, port, strerror(errno));
		exit(1);
	}
	return fd;
}

static void processor(int number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(number, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		perror("serve: sched_setaffinity");
}

/* The length of the header and the one question, 0 if it is not that. */
static size_t question_end(const uint8_t *p, size_t len)
{
	size_t n = 12;

	if (len < 17 || p[5] != 1)
		return 0;
	while (n < len && p[n])
		n += p[n] + 1;
	return n + 5 <= len ? n + 5 : 0;
}

static void serve_dns(int fd, const char *address)
{
	uint8_t p[2048];
	struct sockaddr_in from;
	struct in_addr a;

	inet_pton(AF_INET, address, &a);
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t len = recvfrom(fd, p, 512, 0, (struct sockaddr *)&from, &from_len);
		size_t n = len > 0 ? question_end(p, len) : 0;

		if (!n)
			continue;
		p[2] = 0x81;
		p[3] = 0x80;
		memset(p + 6, 0, 6);
		if (p[n - 3] == 1 && p[n - 4] == 0) {
			p[7] = 1;
			memcpy(p + n, "\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04", 12);
			memcpy(p + n + 12, &a, 4);
			n += 16;
		}
		sendto(fd, p, n, 0, (struct sockaddr *)&from, from_len);
	}
}

static void serve_close(int fd)
{
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c >= 0)
			close(c);
	}
}

/*
 * Datagrams are left to fall out of a short queue: reading them would be half of what is measured,
 * and being woken for each the other half. "?" is sent back.
 */
static void serve_datagrams(int fd)
{
	struct sockaddr_in from;
	int size = 4096;
	char bytes[64];

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (;;) {
		socklen_t from_len = sizeof(from);

		usleep(2000);
		while (recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from,
				&from_len) == 1)
			sendto(fd, bytes, 1, 0, (struct sockaddr *)&from, from_len);
	}
}

static void serve_sink(int fd)
{
	static char block[BLOCK];
	struct pollfd p[SOCKETS_MAX] = {{.fd = fd, .events = POLLIN}};
	int len = 1;

	for (;;) {
		if (poll(p, len, -1) <= 0)
			continue;
		for (int i = len - 1; i > 0; i--) {
			if (!p[i].revents || read(p[i].fd, block, sizeof(block)) > 0)
				continue;
			close(p[i].fd);
			p[i] = p[--len];
		}
		if (p[0].revents && len < SOCKETS_MAX) {
			p[len].fd = accept(fd, NULL, NULL);
			p[len].events = POLLIN;
			p[len].revents = 0;
			if (p[len].fd >= 0)
				len++;
		}
	}
}

enum { SERVE_DNS, SERVE_CLOSE, SERVE_SINK, SERVE_DATAGRAMS, SERVERS };

int main(int argc, char **argv)
{
	int fds[SERVERS];
	char byte;

	if (argc != 3) {
		fprintf(stderr, "usage: serve DNS-ADDRESS ADDRESS\n");
		return 2;
	}
	fds[SERVE_DNS] = socket_at(argv[1], 53, SOCK_DGRAM);
	fds[SERVE_CLOSE] = socket_at(argv[2], 7000, SOCK_STREAM);
	fds[SERVE_SINK] = socket_at(argv[2], 7002, SOCK_STREAM);
	fds[SERVE_DATAGRAMS] = socket_at(argv[2], 7001, SOCK_DGRAM);
	for (int i = 0; i < SERVERS; i++) {
		pid_t child = fork();

		if (child < 0) {
			perror("serve: fork");
			return 1;
		}
		if (child)
			continue;
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			exit(1);
		processor(i == SERVE_DNS ? 0 : 1);
		if (i == SERVE_DNS)
			serve_dns(fds[i], argv[2]);
		else if (i == SERVE_CLOSE)
			serve_close(fds[i]);
		else if (i == SERVE_DATAGRAMS)
			serve_datagrams(fds[i]);
		else
			serve_sink(fds[i]);
	}
	printf("ready\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
