// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sockdiag.c - finding and destroying sockets of other processes.
 *
 * How a socket is found. The kernel looks up the ends of a SOCK_DESTROY request as it would look up
 * the receiver of a packet (inet_diag_find_one_icsk(), udp_diag_destroy()). From that follow three
 * things.
 *
 * - An AF_INET look-up walks the same hash of IPv4 ends in which dual-stack sockets stand that talk
 *   to ::ffff:a.b.c.d, and an AF_INET6 request with two mapped addresses is turned into the former.
 *   So one request, of the family of the packets, is enough for them.
 * - If there is no such connection, the look-up goes on to a listener on src:sport (TCP), or an
 *   unconnected socket there (UDP). The cookie keeps the wrong socket from being destroyed. Without
 *   one, the socket is first asked for, must have just these ends, and is then destroyed by its own
 *   cookie.
 * - A socket that is bound to an interface is found only by a request that names the interface
 *   (inet_bound_dev_eq()). SO_BINDTODEVICE needs no privilege since Linux 5.7, so the caller has to
 *   know.
 *
 * SOCK_DESTROY is Linux 4.5 (64be0aed59ad, c1e64e298b8c), for UDP 4.9 (5d77dca82839).
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "addr.h"
#include "sockdiag.h"

#define REPLY_SIZE 8192
#define REPLY_TIMEOUT_MS                                                                           \
	1000 /* netlink answers at once; a kernel that does not must not hang us                   \
	      */

struct sp_sockdiag {
	struct mnl_socket *socket;
	unsigned int sequence;
};

int sp_sockdiag_open(struct sp_sockdiag **ret_diag)
{
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_MS / 1000,
				  .tv_usec = REPLY_TIMEOUT_MS % 1000 * 1000L};
	struct sp_sockdiag *diag;
	int r;

	diag = calloc(1, sizeof(*diag));
	if (!diag)
		return -ENOMEM;
	diag->socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!diag->socket) {
		r = -errno;
		goto fail;
	}
	if (mnl_socket_bind(diag->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(diag->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)) < 0) {
		r = -errno;
		goto fail;
	}
	*ret_diag = diag;
	return 0;
fail:
	sp_sockdiag_close(diag);
	return r;
}

void sp_sockdiag_close(struct sp_sockdiag *diag)
{
	if (!diag)
		return;
	if (diag->socket)
		mnl_socket_close(diag->socket);
	free(diag);
}

static int keep_socket(const struct nlmsghdr *header, void *data)
{
	struct inet_diag_msg *found = data;

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*found)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	memcpy(found, mnl_nlmsg_get_payload(header), sizeof(*found));
	return MNL_CB_STOP;
}

/*
 * Sends one request and reads its answers, each given to heard(), until that or the kernel ends
 * them: a socket, all sockets of a dump, an acknowledgement or an error.
 */
static int converse(struct sp_sockdiag *diag, uint16_t type, uint16_t flags,
		    const struct inet_diag_req_v2 *request, mnl_cb_t heard, void *data)
{
	char buffer[REPLY_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	/* sp_sockdiag_open() returned 0: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	unsigned int sequence = ++diag->sequence;
	struct nlmsghdr *header;
	ssize_t len;
	int r;

	header = mnl_nlmsg_put_header(buffer);
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	header->nlmsg_seq = sequence;
	memcpy(mnl_nlmsg_put_extra_header(header, sizeof(*request)), request, sizeof(*request));
	while (mnl_socket_sendto(diag->socket, header, header->nlmsg_len) < 0)
		if (errno != EINTR)
			return -errno;
	for (;;) {
		len = mnl_socket_recvfrom(diag->socket, buffer, sizeof(buffer));
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		/* the answer to an earlier request that was given up on */
		if ((size_t)len >= sizeof(*header) &&
		    ((struct nlmsghdr *)buffer)->nlmsg_seq != sequence)
			continue;
		r = mnl_cb_run(buffer, len, sequence, mnl_socket_get_portid(diag->socket), heard,
			       data);
		if (r < 0)
			return -errno;
		if (r == MNL_CB_STOP)
			return 0;
	}
}

/* A request with one answer. */
static int ask(struct sp_sockdiag *diag, uint16_t type, uint16_t flags,
	       const struct inet_diag_req_v2 *request, struct inet_diag_msg *found)
{
	return converse(diag, type, flags, request, keep_socket, found);
}

static void put_addr(uint32_t to[4], int family, const uint8_t addr[16])
{
	if (family == AF_INET)
		memcpy(to, addr + 12, 4);
	else
		memcpy(to, addr, 16);
}

static void put_cookie(struct inet_diag_req_v2 *request, uint64_t cookie)
{
	request->id.idiag_cookie[0] = cookie;
	request->id.idiag_cookie[1] = cookie >> 32;
}

/* The ends are compared as packets have them: a dual-stack socket reports mapped addresses. */
static bool same_addr(const struct inet_diag_msg *found, const uint32_t addr[4],
		      const uint8_t wanted[16])
{
	uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

	if (found->idiag_family != AF_INET)
		return memcmp(addr, wanted, 16) == 0;
	memcpy(mapped + 12, addr, 4);
	return memcmp(mapped, wanted, 16) == 0;
}

/* A request about the socket with these ends; they must be of the family. 0 or -EINVAL. */
static int make_request(int family, int protocol, const uint8_t src[16], uint16_t sport,
			const uint8_t dst[16], uint16_t dport, uint32_t bound_if,
			struct inet_diag_req_v2 *ret_request)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = family,
		.sdiag_protocol = protocol,
		.idiag_states = ~0u,
		.id.idiag_sport = htons(sport),
		.id.idiag_dport = htons(dport),
		.id.idiag_if = bound_if,
		.id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
	};

	if (family != AF_INET && family != AF_INET6)
		return -EINVAL;
	if (sp_addr_is_mapped(src) != (family == AF_INET) ||
	    sp_addr_is_mapped(dst) != (family == AF_INET))
		return -EINVAL;
	put_addr(request.id.idiag_src, family, src);
	put_addr(request.id.idiag_dst, family, dst);
	*ret_request = request;
	return 0;
}

int sp_sockdiag_destroy(struct sp_sockdiag *diag, int family, int protocol, const uint8_t src[16],
			uint16_t sport, const uint8_t dst[16], uint16_t dport, uint32_t bound_if,
			uint64_t cookie)
{
	struct inet_diag_req_v2 request, lookup;
	struct inet_diag_msg found = {0};
	int r;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return -EINVAL;
	r = make_request(family, protocol, src, sport, dst, dport, bound_if, &request);
	if (r < 0)
		return r;
	put_cookie(&request, cookie);

	if (cookie == SP_COOKIE_ANY) {
		lookup = request;
		/* udp_dump_one() takes the ends the other way round, "for historical reasons" */
		if (protocol == IPPROTO_UDP) {
			memcpy(lookup.id.idiag_src, request.id.idiag_dst, 16);
			memcpy(lookup.id.idiag_dst, request.id.idiag_src, 16);
			lookup.id.idiag_sport = request.id.idiag_dport;
			lookup.id.idiag_dport = request.id.idiag_sport;
		}
		r = ask(diag, SOCK_DIAG_BY_FAMILY, 0, &lookup, &found);
		if (r < 0)
			return r;
		if (found.id.idiag_sport != request.id.idiag_sport ||
		    found.id.idiag_dport != request.id.idiag_dport ||
		    !same_addr(&found, found.id.idiag_src, src) ||
		    !same_addr(&found, found.id.idiag_dst, dst))
			return -ENOENT;
		memcpy(request.id.idiag_cookie, found.id.idiag_cookie,
		       sizeof(request.id.idiag_cookie));
	}
	r = ask(diag, SOCK_DESTROY, NLM_F_ACK, &request, &found);
	/* the ends are there, the cookie is another's (sock_diag_check_cookie()) */
	return r == -ESTALE ? -ENOENT : r;
}

int sp_sockdiag_receives(struct sp_sockdiag *diag, int family, const uint8_t src[16],
			 uint16_t sport, const uint8_t dst[16], uint16_t dport, uint32_t bound_if,
			 uint64_t cookie)
{
	struct inet_diag_req_v2 request;
	struct inet_diag_msg found = {0};
	int r;

	/* udp_dump_one() takes the ends as a packet to the socket has them */
	r = make_request(family, IPPROTO_UDP, src, sport, dst, dport, bound_if, &request);
	if (r < 0)
		return r;
	put_cookie(&request, cookie);
	r = ask(diag, SOCK_DIAG_BY_FAMILY, 0, &request, &found);
	return r == -ESTALE ? -ENOENT : r;
}

/* Who is looked for among the sockets of a port, and whether others would hear the same. */
struct hearers {
	const uint8_t *src, *dst;
	uint16_t sport;
	uint64_t cookie;
	bool others;
};

static bool any_addr(const struct inet_diag_msg *found, const uint32_t addr[4])
{
	static const uint32_t any[4];

	return memcmp(addr, any, found->idiag_family == AF_INET ? 4 : 16) == 0;
}

static int hear(const struct nlmsghdr *header, void *data)
{
	struct hearers *h = data;
	const struct inet_diag_msg *found = mnl_nlmsg_get_payload(header);

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*found)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	/* as __udp_is_mcast_sock() asks, but for interfaces and IPV6_V6ONLY: rather one too many */
	if (((uint64_t)found->id.idiag_cookie[1] << 32 | found->id.idiag_cookie[0]) != h->cookie &&
	    (any_addr(found, found->id.idiag_src) ||
	     same_addr(found, found->id.idiag_src, h->dst)) &&
	    (any_addr(found, found->id.idiag_dst) ||
	     (same_addr(found, found->id.idiag_dst, h->src) &&
	      found->id.idiag_dport == htons(h->sport))))
		h->others = true;
	return MNL_CB_OK;
}

/* All UDP sockets of a family with this port of their own. */
static int ask_port(struct sp_sockdiag *diag, int family, uint16_t port, struct hearers *h)
{
	struct inet_diag_req_v2 request = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_UDP,
		.idiag_states = ~0u,
		.id.idiag_sport = htons(port),
	};

	return converse(diag, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, hear, h);
}

int sp_sockdiag_alone(struct sp_sockdiag *diag, int family, const uint8_t src[16], uint16_t sport,
		      const uint8_t dst[16], uint16_t dport, uint64_t cookie)
{
	struct hearers h = {.src = src, .dst = dst, .sport = sport, .cookie = cookie};
	int r = 0;

	if (family != AF_INET && family != AF_INET6)
		return -EINVAL;
	if (family == AF_INET)
		r = ask_port(diag, AF_INET, dport, &h);
	/* dual-stack sockets hear IPv4 too; a kernel without IPv6 has none */
	if (r == 0 && !h.others)
		r = ask_port(diag, AF_INET6, dport, &h);
	if (r == -ENOENT && family == AF_INET)
		r = 0;
	return r == 0 && h.others ? -ENOTUNIQ : r;
}

int sp_sockdiag_probe_udp(struct sp_sockdiag *diag)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	uint8_t lo[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
	socklen_t len = sizeof(own), cookie_len = sizeof(uint64_t);
	uint64_t cookie = 0;
	int fd, r;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_len) < 0)
		r = -errno;
	else
		r = sp_sockdiag_receives(diag, AF_INET, lo, 53, lo, ntohs(own.sin_port), 0, cookie);
	if (fd >= 0)
		close(fd);
	return r;
}

int sp_sockdiag_probe(void)
{
	struct sockaddr_in listen_addr = {.sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in client_addr = {0};
	uint8_t lo[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
	/* for a firewall that eats packets on lo */
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_MS / 1000};
	struct sp_sockdiag *diag = NULL;
	int listener = -1, client = -1, r;
	socklen_t len = sizeof(listen_addr);
	char byte;

	r = sp_sockdiag_open(&diag);
	if (r < 0)
		return r;
	/* nothing is accepted: a connection in the backlog is a connection */
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 ||
	    bind(listener, (struct sockaddr *)&listen_addr, sizeof(listen_addr)) < 0 ||
	    listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&listen_addr, &len) < 0)
		goto fail_errno;
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	len = sizeof(client_addr);
	if (client < 0 ||
	    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(client, (struct sockaddr *)&listen_addr, sizeof(listen_addr)) < 0 ||
	    getsockname(client, (struct sockaddr *)&client_addr, &len) < 0)
		goto fail_errno;
	r = sp_sockdiag_destroy(diag, AF_INET, IPPROTO_TCP, lo, ntohs(client_addr.sin_port), lo,
				ntohs(listen_addr.sin_port), 0, SP_COOKIE_ANY);
	if (r < 0)
		goto out;
	r = recv(client, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNABORTED ? 0 : -EIO;
	goto out;

fail_errno:
	r = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
out:
	if (client >= 0)
		close(client);
	if (listener >= 0)
		close(listener);
	sp_sockdiag_close(diag);
	return r;
}
