// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * uring.c - sends over sockets by io_uring, whose operations no system call filter sees.
 *
 * Usage: uring HOW HOST PORT TEXT     HOW: send, sendto, sendmsg, connect, send_zc, socket
 *        uring families               prints socket families that IORING_OP_SOCKET opens
 *
 * Exit: 0 done, 77 this kernel has no such operation (or no io_uring), 1 refused, with the error on
 * standard output.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <linux/io_uring.h> of Debian 12 has these up to Linux 6.1 */
#define OP_SOCKET 45
#define OP_SEND_ZC 47

static struct {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring;

static int refused(const char *what, int error)
{
	printf("%s: %s\n", what, strerror(error));
	return 1;
}

static int ring_open(void)
{
	struct io_uring_params p = {};
	uint8_t *sq, *cq;

	ring.fd = (int)syscall(__NR_io_uring_setup, 4, &p);
	if (ring.fd < 0)
		return -errno;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned int),
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_CQ_RING);
	ring.sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || ring.sqes == MAP_FAILED)
		return -errno;
	ring.sq_tail = (unsigned int *)(sq + p.sq_off.tail);
	ring.sq_mask = (unsigned int *)(sq + p.sq_off.ring_mask);
	ring.sq_array = (unsigned int *)(sq + p.sq_off.array);
	ring.cq_head = (unsigned int *)(cq + p.cq_off.head);
	ring.cq_tail = (unsigned int *)(cq + p.cq_off.tail);
	ring.cq_mask = (unsigned int *)(cq + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return 0;
}

/* Submits one operation and waits for its result. */
static int ring_do(const struct io_uring_sqe *sqe)
{
	unsigned int tail = *ring.sq_tail, index = tail & *ring.sq_mask;
	struct io_uring_cqe *cqe;
	int result;

	ring.sqes[index] = *sqe;
	ring.sq_array[index] = index;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	if (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == *ring.cq_head)
		return -EAGAIN;
	cqe = &ring.cqes[*ring.cq_head & *ring.cq_mask];
	result = cqe->res;
	__atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

static int ring_socket(int family, int type, int protocol)
{
	struct io_uring_sqe sqe = {.opcode = OP_SOCKET, .fd = family, .off = (uint64_t)type};

	sqe.len = (unsigned int)protocol;
	return ring_do(&sqe);
}

static int ring_send(int fd, uint8_t opcode, const char *text)
{
	struct io_uring_sqe sqe = {.opcode = opcode, .fd = fd, .addr = (uintptr_t)text};

	sqe.len = (unsigned int)strlen(text);
	return ring_do(&sqe);
}

static int families(void)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
	int fd = ring_socket(AF_INET, SOCK_DGRAM, 0);

	if (fd == -EINVAL)
		return 77;
	for (int family = 0; family < 64; family++) {
		if (family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
		    family == AF_NETLINK)
			continue;
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			fd = ring_socket(family, types[i], family == AF_PACKET ? htons(0x800) : 0);
			if (fd < 0)
				continue;
			printf("%d ", family);
			close(fd);
			break;
		}
	}
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct io_uring_sqe sqe = {};
	const char *how = argv[1], *text;
	int fd, r;

	if (argc != 5 && (argc != 2 || strcmp(argv[1], "families") != 0))
		return 2;
	r = ring_open();
	if (r < 0) {
		refused("io_uring_setup", -r);
		return r == -ENOSYS || r == -EPERM ? 77 : 1;
	}
	if (argc == 2)
		return families();
	text = argv[4];
	inet_pton(AF_INET, argv[2], &to.sin_addr);
	to.sin_port = htons((uint16_t)atoi(argv[3]));
	if (!strcmp(how, "socket"))
		fd = ring_socket(AF_INET, SOCK_DGRAM, 0);
	else
		fd = socket(AF_INET, !strcmp(how, "connect") ? SOCK_STREAM : SOCK_DGRAM, 0);
	if (fd < 0)
		return fd == -EINVAL ? 77 : refused("socket", fd == -1 ? errno : -fd);
	if (!strcmp(how, "sendmsg")) {
		struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
		struct msghdr msg = {&to, sizeof(to), &iov, 1, NULL, 0, 0};

		sqe.opcode = IORING_OP_SENDMSG;
		sqe.fd = fd;
		sqe.addr = (uintptr_t)&msg;
		sqe.len = 1;
		r = ring_do(&sqe);
	} else if (!strcmp(how, "sendto")) {
		/* an address beside IORING_OP_SEND, since Linux 6.0 */
		sqe.opcode = OP_SEND_ZC;
		sqe.fd = fd;
		sqe.addr = (uintptr_t)text;
		sqe.len = (unsigned int)strlen(text);
		sqe.addr2 = (uintptr_t)&to;
		sqe.addr_len = sizeof(to);
		r = ring_do(&sqe);
	} else {
		sqe.opcode = IORING_OP_CONNECT;
		sqe.fd = fd;
		sqe.addr = (uintptr_t)&to;
		sqe.off = sizeof(to);
		r = ring_do(&sqe);
		if (r < 0)
			return refused("connect", -r);
		r = ring_send(fd, !strcmp(how, "send_zc") ? OP_SEND_ZC : IORING_OP_SEND, text);
	}
	if (r == -EINVAL)
		return 77;
	return r < 0 ? refused(how, -r) : 0;
}
