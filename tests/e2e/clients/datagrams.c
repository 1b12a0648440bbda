// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * datagrams - the calls that runtimes and QUIC stacks make on datagram sockets.
 *
 *   datagrams control ADDRESS PORT    an echo, connected and not, with nothing beside the data,
 * with the traffic class (quic-go, ngtcp2, quinn: ECN), and with the interface datagrams go
 * ADDRESS...           what Go 1.23 and later do after a look-up (net/addrselect.go): connect to
 * port 53 of each address, and read the source address; prints them datagrams broadcast ADDRESS
 * PORT  what Go (setDefaultSockopts) and Java (NetMulticastSocket, DatagramSocket) do at each
 * datagram socket: SO_BROADCAST; then an echo
 *
 * Exit 0: all of it worked.
 */
#include <arpa/inet.h>
#include <err.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static socklen_t address(struct sockaddr_storage *to, const char *text, int port)
{
	struct sockaddr_in *v4 = (void *)to;
	struct sockaddr_in6 *v6 = (void *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		errx(2, "%s: no address", text);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static int datagram_socket(int family)
{
	struct timeval wait = {.tv_sec = 5};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(2, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)))
		err(2, "SO_RCVTIMEO");
	return fd;
}

enum beside { NOTHING, CLASS, INTERFACE };

/* One datagram and its echo. 1, or 0 with words. */
static int echo(int fd, const struct sockaddr_storage *to, socklen_t len, int v4, enum beside what,
		const char *as)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {0};
	char data[] = "ping", got[16];
	struct iovec iov = {data, sizeof(data)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int class = 2; /* ECT(0) */

	if (to) {
		m.msg_name = (void *)to;
		m.msg_namelen = len;
	}
	if (what != NOTHING) {
		m.msg_control = &control;
		control.head.cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
		if (what == CLASS) {
			control.head.cmsg_type = v4 ? IP_TOS : IPV6_TCLASS;
			control.head.cmsg_len = CMSG_LEN(sizeof(class));
			memcpy(CMSG_DATA(&control.head), &class, sizeof(class));
		} else if (v4) {
			struct in_pktinfo info = {.ipi_ifindex = (int)if_nametoindex("eth0")};

			control.head.cmsg_type = IP_PKTINFO;
			control.head.cmsg_len = CMSG_LEN(sizeof(info));
			memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
		} else {
			struct in6_pktinfo info = {.ipi6_ifindex = if_nametoindex("eth0")};

			control.head.cmsg_type = IPV6_PKTINFO;
			control.head.cmsg_len = CMSG_LEN(sizeof(info));
			memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
		}
		m.msg_controllen = control.head.cmsg_len;
	}
	if (sendmsg(fd, &m, 0) != sizeof(data)) {
		warn("%s, beside it %d: send", as, what);
		return 0;
	}
	if (recv(fd, got, sizeof(got), 0) != sizeof(data) || memcmp(got, data, sizeof(data)) != 0) {
		warn("%s, beside it %d: no echo", as, what);
		return 0;
	}
	return 1;
}

static int control(const char *text, int port)
{
	struct sockaddr_storage to;
	socklen_t len = address(&to, text, port);
	int v4 = to.ss_family == AF_INET || !strncmp(text, "::ffff:", 7), ok = 1;

	for (enum beside what = NOTHING; what <= INTERFACE; what++) {
		int fd = datagram_socket(to.ss_family);

		ok &= echo(fd, &to, len, v4, what, "addressed");
		close(fd);
		fd = datagram_socket(to.ss_family);
		if (connect(fd, (struct sockaddr *)&to, len))
			err(2, "connect");
		ok &= echo(fd, NULL, 0, v4, what, "connected");
		ok &= echo(fd, NULL, 0, v4, what, "connected, again");
		close(fd);
	}
	return ok;
}

static int go(const char *text)
{
	struct sockaddr_storage to, from;
	socklen_t len = address(&to, text, 53);
	int fd = datagram_socket(to.ss_family), yes = 1;
	char source[INET6_ADDRSTRLEN] = "";

	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)))
		err(2, "SO_BROADCAST");
	if (connect(fd, (struct sockaddr *)&to, len)) {
		warn("%s", text);
		return 0;
	}
	len = sizeof(from);
	if (getsockname(fd, (struct sockaddr *)&from, &len))
		err(2, "getsockname");
	inet_ntop(from.ss_family,
		  from.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&from)->sin_addr
					    : (void *)&((struct sockaddr_in6 *)&from)->sin6_addr,
		  source, sizeof(source));
	printf("%s from %s\n", text, source);
	close(fd);
	return 1;
}

static int broadcast(const char *text, int port)
{
	struct sockaddr_storage to;
	socklen_t len = address(&to, text, port);
	int fd = datagram_socket(to.ss_family), yes = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)))
		err(2, "SO_BROADCAST");
	return echo(fd, &to, len, to.ss_family == AF_INET, NOTHING, "with SO_BROADCAST");
}

int main(int argc, char **argv)
{
	int ok = 1;

	if (argc == 4 && !strcmp(argv[1], "control"))
		return !control(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "broadcast"))
		return !broadcast(argv[2], atoi(argv[3]));
	if (argc < 3 || strcmp(argv[1], "go") != 0)
		errx(2, "see the head of datagrams.c");
	for (int i = 2; i < argc; i++)
		ok &= go(argv[i]);
	return !ok;
}
