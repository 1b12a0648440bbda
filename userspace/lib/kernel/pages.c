/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pages.c - does the kernel's mark of shared pages hold? Found out by trying, once for a host, in a
 * network namespace made for it: bytes that are copied and bytes that are handed over are sent by
 * turns through sockets of lo, faster than they are read, so that the kernel fills one packet up
 * from another, cuts them and puts them together; filters on the other end count (bpf/marks.bpf.c).
 * One packet with handed bytes and no mark is one too many: kernels lost it before (SECURITY.md).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

#ifndef SO_ATTACH_BPF
#define SO_ATTACH_BPF 50
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define COPIED 100000 /* bytes at a time: some packets of nothing else */
#define HANDED 8192   /* and then two pages */
#define ROUNDS 24
#define PATIENCE_MS 20000 /* for all; it takes some 20, on a busy host more */

struct trial {
	int pages; /* a file of nothing but SP_MARKS_HANDED */
	char *copied, *read;
	long end; /* ms */
};

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

static int raise_lo(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	r = ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;
	close(fd);
	return r;
}

/* Two connected sockets of that type, of which the second has the filter. 0 or -errno. */
static int pair(int type, int mss, int filter, int ret_fds[2])
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, type | SOCK_CLOEXEC, 0), from = -1, r = 0;
	socklen_t len = sizeof(to);

	from = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (listener < 0 || from < 0 ||
	    (mss && setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss))) ||
	    bind(listener, (struct sockaddr *)&to, sizeof(to)) ||
	    (type == SOCK_STREAM && listen(listener, 1)) ||
	    getsockname(listener, (struct sockaddr *)&to, &len) ||
	    connect(from, (struct sockaddr *)&to, sizeof(to)))
		r = -errno;
	if (!r && type == SOCK_STREAM) {
		int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		r = accepted < 0 ? -errno : 0;
		close(listener);
		listener = accepted;
	}
	if (!r && (setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)) ||
		   fcntl(from, F_SETFL, O_NONBLOCK) || fcntl(listener, F_SETFL, O_NONBLOCK)))
		r = -errno;
	ret_fds[0] = from;
	ret_fds[1] = listener;
	return r;
}

static void close_pair(const int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* As much as there is room for. Bytes that were sent, or -errno. */
static long fill(const struct trial *t, int fd, long *at)
{
	const long turn = COPIED + HANDED;
	long sent = 0;

	while (*at < ROUNDS * turn) {
		off_t in = *at % turn;
		ssize_t n;

		if (in < COPIED) {
			n = send(fd, t->copied + in, (size_t)(COPIED - in), MSG_NOSIGNAL);
		} else {
			in -= COPIED;
			n = sendfile(fd, t->pages, &in, (size_t)(HANDED - in));
		}
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*at += n;
		sent += n;
	}
	return sent;
}

static int try_tcp(const struct trial *t, int filter, int mss)
{
	int fds[2] = {-1, -1}, r = pair(SOCK_STREAM, mss, filter, fds);
	long at = 0, got = 0;

	while (!r && got < ROUNDS * (long)(COPIED + HANDED)) {
		struct pollfd ready[2] = {{.fd = fds[0], .events = POLLOUT},
					  {.fd = fds[1], .events = POLLIN}};
		long n = fill(t, fds[0], &at);
		ssize_t read;

		if (at == ROUNDS * (long)(COPIED + HANDED))
			ready[0].fd = -1;
		if (n < 0)
			r = (int)n;
		else if (poll(ready, 2, 100) < 0 && errno != EINTR)
			r = -errno;
		else if (now_ms() > t->end)
			r = -ETIMEDOUT;
		else if ((read = recv(fds[1], t->read, COPIED, 0)) > 0)
			got += read;
		else if (read == 0 || errno != EAGAIN)
			r = -EIO;
	}
	close_pair(fds);
	return r;
}

/* Batches. What the kernel refuses to hand over needs no mark. */
static int try_udp(const struct trial *t, int filter)
{
	int fds[2] = {-1, -1}, r = pair(SOCK_DGRAM, 0, filter, fds), size = 1000;

	if (!r && !setsockopt(fds[0], IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)))
		for (int i = 0; i < 4; i++) {
			off_t in = 0;

			(void)!sendfile(fds[0], t->pages, &in, HANDED);
		}
	close_pair(fds);
	return r;
}

static int try_all(int tcp_program, int udp_program)
{
	struct trial t = {.pages = memfd_create("sallyport-try", MFD_CLOEXEC),
			  .copied = malloc(COPIED),
			  .read = malloc(COPIED),
			  .end = now_ms() + PATIENCE_MS};
	int r = t.pages < 0 || !t.copied || !t.read ? -ENOMEM : 0;

	if (!r) {
		memset(t.copied, SP_MARKS_HANDED, HANDED);
		if (pwrite(t.pages, t.copied, HANDED, 0) != HANDED)
			r = -EIO;
		memset(t.copied, ' ', COPIED);
	}
	/* Where there can be no more of them, lo of the caller's will do. */
	if (!r && !unshare(CLONE_NEWNET))
		r = raise_lo();
	if (!r)
		r = try_tcp(&t, tcp_program, 0);
	if (!r)
		r = try_tcp(&t, tcp_program, 1400);
	if (!r)
		r = try_udp(&t, udp_program);
	free(t.copied);
	free(t.read);
	if (t.pages >= 0)
		close(t.pages);
	return r;
}

bool sp_pages_marked(int tcp_program, int udp_program, const volatile struct sp_marks *seen)
{
	int status = 1;
	pid_t pid;

	pid = fork();
	if (pid == 0)
		_exit(try_all(tcp_program, udp_program) ? 1 : 0);
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return pid > 0 && status == 0 && seen->marked > 0 && seen->unmarked == 0;
}
