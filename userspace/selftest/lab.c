/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab.c - two network namespaces with a wire between them, and the oracle at its far end.
 *
 * The near namespace is that of the caller from sp_lab_open() on; sandboxes and attackers are
 * there. The far namespace belongs to one child, which plays every server: a resolver over UDP and
 * TCP, and listeners on 53, 80, 443, 853, 8443 and the port of each try. It answers connections no
 * further than its kernel does, but on 8080: what counts is what arrives on the wire, and a packet
 * socket shows all of that. The child notes what it saw in shared memory, by the marker or by the
 * port of a try, so nothing depends on when a packet comes; a retransmission counts as well.
 *
 * The wire is two veth devices. A packet is handed over in the order of sending, so a datagram of
 * the caller's that the far side has seen (a fence) is behind all that was sent before. A second
 * wire leads nowhere that a route says: what comes by it was sent there on purpose. Its near end,
 * and for loopback addresses that of the first, has neighbours that answer for every address.
 *
 * A way out may need a friend there: one who reads late, or forges segments (struct sp_ask).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "selftest.h"

#define WIRE "eth0"
#define SECOND "eth1"
#define FENCE_PORT 9999
#define CAPTURE_BYTES (16 << 20)
#define STREAMS 64	  /* connections that the far side serves at a time */
#define SETTLE_MS 5000	  /* until both ends of the wire are up, at most */
#define SETTLE_STEP_MS 10 /* a fence that is lost is sent again after that */
#define HOLD_MS 2000	  /* a friend reads late by no more */
#define DNS_MAX 1500

/* ---- addresses ------------------------------------------------------------------------------ */

/* To a place that may not be aligned. */
static void address4(enum sp_at at, void *ret)
{
	uint32_t address = htonl(at == SP_AT_PRIVATE ? 0x0a4d00a6 : 0xc6124d00 | (uint32_t)at);

	memcpy(ret, &address, sizeof(address));
}

/* The last group is written as the number reads: 2001:db8:77::66. */
static void address6(enum sp_at at, struct in6_addr *ret)
{
	char text[40];

	snprintf(text, sizeof(text), at == SP_AT_PRIVATE ? "fd00:77::%d" : "2001:db8:77::%d",
		 (int)at);
	inet_pton(AF_INET6, text, ret);
}

void sp_lab_address(int family, enum sp_at at, uint16_t port, struct sockaddr_storage *ret,
		    socklen_t *ret_len)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		address4(at, &v4->sin_addr);
		*ret_len = sizeof(*v4);
		return;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	if (family == SP_MAPPED) {
		v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
		address4(at, &v6->sin6_addr.s6_addr[12]);
	} else {
		address6(at, &v6->sin6_addr);
	}
	*ret_len = sizeof(*v6);
}

void sp_marker(const char *prefix, uint32_t id, char ret_marker[SP_MARKER_LEN + 1])
{
	snprintf(ret_marker, SP_MARKER_LEN + 1, "%.*s%04x", (int)SP_MARKER_PREFIX, prefix,
		 id & 0xffff);
}

void sp_marker_find(const char *prefix, const uint8_t *data, size_t len,
		    uint32_t markers[SP_TRIES_MAX])
{
	for (size_t at = 0; at + SP_MARKER_LEN <= len; at++) {
		char text[SP_MARKER_LEN + 1];
		unsigned long id;

		/* DNS names may come in upper case, and a marker has no byte that this would make
		 * of another */
		if ((data[at] | 0x20) != prefix[0])
			continue;
		for (size_t i = 0; i < SP_MARKER_LEN; i++)
			text[i] = (char)(data[at + i] | 0x20);
		text[SP_MARKER_LEN] = '\0';
		if (memcmp(text, prefix, SP_MARKER_PREFIX) != 0)
			continue;
		id = strtoul(text + SP_MARKER_PREFIX, NULL, 16);
		if (id < SP_TRIES_MAX)
			markers[id]++;
	}
}

/* ---- devices -------------------------------------------------------------------------------- */

static int ask(struct mnl_socket *netlink, struct nlmsghdr *request)
{
	char reply[MNL_SOCKET_BUFFER_SIZE];
	ssize_t len;

	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	request->nlmsg_seq = 1;
	if (mnl_socket_sendto(netlink, request, request->nlmsg_len) < 0)
		return -errno;
	len = mnl_socket_recvfrom(netlink, reply, sizeof(reply));
	if (len < 0 ||
	    mnl_cb_run(reply, (size_t)len, 1, mnl_socket_get_portid(netlink), NULL, NULL) < 0)
		return -errno;
	return 0;
}

static int make_wire(struct mnl_socket *netlink, const char *name, pid_t far)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct nlattr *info, *data, *peer;

	request->nlmsg_type = RTM_NEWLINK;
	request->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	mnl_attr_put_u32(request, IFLA_NET_NS_PID, (uint32_t)far);
	mnl_attr_nest_end(request, peer);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	return ask(netlink, request);
}

static int set_up(struct mnl_socket *netlink, const char *name)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *link;

	request->nlmsg_type = RTM_NEWLINK;
	link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
	link->ifi_index = (int)if_nametoindex(name);
	link->ifi_flags = link->ifi_change = IFF_UP;
	return ask(netlink, request);
}

static int add_address(struct mnl_socket *netlink, int family, enum sp_at at, bool near)
{
	static const uint8_t near4[] = {10, 77, 0, 1};
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *address;
	struct in6_addr v6;
	struct in_addr v4;

	request->nlmsg_type = RTM_NEWADDR;
	request->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	address = mnl_nlmsg_put_extra_header(request, sizeof(*address));
	address->ifa_family = (unsigned char)family;
	address->ifa_prefixlen = family == AF_INET ? 24 : 64;
	address->ifa_index = if_nametoindex(WIRE);
	if (family == AF_INET) {
		address4(at, &v4);
		if (at == SP_AT_PRIVATE && near)
			memcpy(&v4, near4, 4);
		mnl_attr_put(request, IFA_LOCAL, sizeof(v4), &v4);
		mnl_attr_put(request, IFA_ADDRESS, sizeof(v4), &v4);
	} else {
		/* duplicate address detection would take a second */
		address->ifa_flags = IFA_F_NODAD;
		address6(at, &v6);
		if (at == SP_AT_PRIVATE && near)
			inet_pton(AF_INET6, "fd00:77::1", &v6);
		mnl_attr_put(request, IFA_ADDRESS, sizeof(v6), &v6);
	}
	return ask(netlink, request);
}

/* Somebody at that link who takes what is for an address. `address` is in network order. */
static int add_neighbour(struct mnl_socket *netlink, const char *link, int family,
			 const void *address)
{
	static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct ndmsg *neighbour;

	request->nlmsg_type = RTM_NEWNEIGH;
	request->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	neighbour = mnl_nlmsg_put_extra_header(request, sizeof(*neighbour));
	neighbour->ndm_family = (uint8_t)family;
	neighbour->ndm_ifindex = (int)if_nametoindex(link);
	neighbour->ndm_state = NUD_PERMANENT;
	mnl_attr_put(request, NDA_DST, family == AF_INET ? 4 : 16, address);
	mnl_attr_put(request, NDA_LLADDR, sizeof(everybody), everybody);
	return ask(netlink, request);
}

/* Whatever has no route of its own may leave by that link, if it is told to: IPv6 only. */
static int add_default6(struct mnl_socket *netlink, const char *link, uint32_t metric)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct rtmsg *route;

	request->nlmsg_type = RTM_NEWROUTE;
	request->nlmsg_flags = NLM_F_CREATE;
	route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
	route->rtm_family = AF_INET6;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(request, RTA_OIF, if_nametoindex(link));
	mnl_attr_put_u32(request, RTA_PRIORITY, metric);
	return ask(netlink, request);
}

static int add_neighbours(struct mnl_socket *netlink, bool ipv6)
{
	static const enum sp_at hosts[] = {SP_AT_GOOD, SP_AT_RESOLVER};
	const struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
	const uint32_t loopback4 = htonl(INADDR_LOOPBACK);
	struct in6_addr v6;
	uint32_t v4;
	int r;

	r = add_neighbour(netlink, WIRE, AF_INET, &loopback4);
	if (!r && ipv6)
		r = add_neighbour(netlink, WIRE, AF_INET6, &loopback6);
	if (!r && ipv6)
		r = add_default6(netlink, WIRE, 1024);
	if (!r && ipv6)
		r = add_default6(netlink, SECOND, 2048);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]) && !r; i++) {
		address4(hosts[i], &v4);
		address6(hosts[i], &v6);
		r = add_neighbour(netlink, SECOND, AF_INET, &v4);
		if (!r && ipv6)
			r = add_neighbour(netlink, SECOND, AF_INET6, &v6);
	}
	return r;
}

static int set_addresses(bool near, bool *ret_ipv6, const char **ret_what)
{
	static const enum sp_at far_hosts[] = {SP_AT_GOOD,	SP_AT_SHARED, SP_AT_RESOLVER,
					       SP_AT_RESOLVER2, SP_AT_EVIL,   SP_AT_PRIVATE};
	static const enum sp_at near_hosts[] = {SP_AT_NEAR, SP_AT_PRIVATE};
	const enum sp_at *hosts = near ? near_hosts : far_hosts;
	size_t len = near ? 2 : sizeof(far_hosts) / sizeof(far_hosts[0]);
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r = 0;

	*ret_what = "netlink";
	if (!netlink || mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0)
		r = -errno;
	*ret_what = "set a device up";
	if (!r)
		r = set_up(netlink, "lo");
	if (!r)
		r = set_up(netlink, WIRE);
	if (!r)
		r = set_up(netlink, SECOND);
	*ret_what = "add an address";
	for (size_t i = 0; i < len && !r; i++)
		r = add_address(netlink, AF_INET, hosts[i], near);
	*ret_ipv6 = true;
	for (size_t i = 0; i < len && *ret_ipv6; i++)
		*ret_ipv6 = !add_address(netlink, AF_INET6, hosts[i], near);
	if (near && !r) {
		*ret_what = "add a neighbour";
		r = add_neighbours(netlink, *ret_ipv6);
	}
	if (netlink)
		mnl_socket_close(netlink);
	return r;
}

/* ---- the far side: DNS ---------------------------------------------------------------------- */

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, TYPE_HTTPS = 65 };

/* What is special about a name, besides where it points. */
enum odd { ODD_NO, ODD_CNAME, ODD_MAPPED, ODD_FORGED, ODD_EXTRA, ODD_HINTS };

static const struct {
	const char *name; /* wire form */
	enum sp_at at;
	enum odd odd;
} zone[] = {
	{"\4good\4test", SP_AT_GOOD, ODD_NO},	    {"\3one\4test", SP_AT_SHARED, ODD_NO},
	{"\3two\4test", SP_AT_SHARED, ODD_NO},	    {"\4evil\4test", SP_AT_EVIL, ODD_NO},
	{"\7private\4test", SP_AT_PRIVATE, ODD_NO}, {"\6mapped\4test", SP_AT_PRIVATE, ODD_MAPPED},
	{"\5alias\4test", SP_AT_SHARED, ODD_CNAME}, {"\6forged\4test", SP_AT_EVIL, ODD_FORGED},
	{"\5extra\4test", SP_AT_GOOD, ODD_EXTRA},   {"\5hints\4test", SP_AT_GOOD, ODD_HINTS},
};

static size_t put(uint8_t *to, size_t at, const void *data, size_t len)
{
	memcpy(to + at, data, len);
	return at + len;
}

static size_t put_record(uint8_t *to, size_t at, const char *owner, uint16_t type, const void *data,
			 size_t len)
{
	const uint8_t head[] = {(uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 0, 60, 0,
				(uint8_t)len};

	/* NULL: the name of the question, by a pointer */
	at = owner ? put(to, at, owner, strlen(owner) + 1) : put(to, at, "\xc0\x0c", 2);
	at = put(to, at, head, sizeof(head));
	return put(to, at, data, len);
}

static size_t put_address(uint8_t *to, size_t at, const char *owner, uint16_t type, enum sp_at host)
{
	struct in6_addr v6;
	struct in_addr v4;

	address4(host, &v4);
	address6(host, &v6);
	return type == TYPE_A ? put_record(to, at, owner, type, &v4, 4)
			      : put_record(to, at, owner, type, &v6, 16);
}

/* The answer to a query, at most DNS_MAX bytes; 0: none. */
static size_t answer(const uint8_t *query, size_t len, uint8_t reply[DNS_MAX])
{
	char name[256] = "";
	/* flags and counts: a response, one question */
	static const uint8_t head[] = {0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0};
	size_t at = 12, end = 12, found = sizeof(zone) / sizeof(zone[0]), answers = 0;
	uint16_t type;

	while (end < len && query[end] && query[end] < 64 && end - 12 < 250)
		end += query[end] + 1u;
	if (len < 17 || end + 5 > len || query[end] || (query[2] & 0x80))
		return 0;
	for (size_t i = 12; i < end; i++)
		name[i - 12] =
			(char)(query[i] >= 'A' && query[i] <= 'Z' ? query[i] | 0x20 : query[i]);
	type = (uint16_t)(query[end + 1] << 8 | query[end + 2]);
	at = put(reply, 0, query, end + 5);
	memcpy(reply + 2, head, sizeof(head));
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++)
		if (!strcmp(zone[i].name, name))
			found = i;
	if (found == sizeof(zone) / sizeof(zone[0])) {
		reply[3] |= 3; /* NXDOMAIN */
		return at;
	}
	if (zone[found].odd == ODD_FORGED)
		reply[1] ^= 0xff; /* not the number that was asked with */
	if (zone[found].odd == ODD_HINTS && type == TYPE_HTTPS) {
		/* priority 1, no target, ipv4hint (RFC 9460 7.3) */
		uint8_t data[11] = {0, 1, 0, 0, 4, 0, 4};

		address4(SP_AT_EVIL, data + 7);
		at = put_record(reply, at, NULL, type, data, sizeof(data));
		answers = 1;
	} else if (zone[found].odd == ODD_MAPPED && type == TYPE_AAAA) {
		uint8_t data[16] = {[10] = 0xff, [11] = 0xff};

		address4(zone[found].at, data + 12);
		at = put_record(reply, at, NULL, type, data, sizeof(data));
		answers = 1;
	} else if (type == TYPE_A || type == TYPE_AAAA) {
		const char *owner = NULL;

		if (zone[found].odd == ODD_CNAME) {
			owner = "\6target\4test";
			at = put_record(reply, at, NULL, TYPE_CNAME, owner, strlen(owner) + 1);
			answers++;
		}
		at = put_address(reply, at, owner, type, zone[found].at);
		answers++;
		if (zone[found].odd == ODD_EXTRA) {
			/* a record of a name that nobody asked for, as answer and as addition */
			at = put_address(reply, at, "\4evil\4test", type, SP_AT_EVIL);
			at = put_address(reply, at, "\4evil\4test", type, SP_AT_EVIL);
			answers++;
			reply[11] = 1;
		}
	}
	reply[7] = (uint8_t)answers;
	return at;
}

struct stream {
	int fd;	   /* -1: free */
	bool http; /* not DNS: it agrees to whatever it is told, as a server that is no proxy may */
	size_t len;
	uint8_t data[4096];
};

static void stream_close(struct stream *stream)
{
	close(stream->fd);
	stream->fd = -1;
	stream->len = 0;
}

static void stream_read(struct stream *stream)
{
	uint8_t reply[DNS_MAX + 2];
	ssize_t got = recv(stream->fd, stream->data + stream->len,
			   sizeof(stream->data) - stream->len, MSG_DONTWAIT);

	if (got <= 0) {
		if (!got || errno != EAGAIN)
			stream_close(stream);
		return;
	}
	if (stream->http) {
		static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

		(void)!send(stream->fd, ok, sizeof(ok) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	}
	stream->len += (size_t)got;
	while (stream->len >= 2) {
		size_t whole = 2u + (size_t)(stream->data[0] << 8 | stream->data[1]), len;

		if (stream->len < whole)
			break;
		len = whole - 2 > DNS_MAX - 200 ? 0
						: answer(stream->data + 2, whole - 2, reply + 2);
		reply[0] = (uint8_t)(len >> 8);
		reply[1] = (uint8_t)len;
		if (len)
			(void)!send(stream->fd, reply, len + 2, MSG_NOSIGNAL | MSG_DONTWAIT);
		memmove(stream->data, stream->data + whole, stream->len - whole);
		stream->len -= whole;
	}
	if (stream->len == sizeof(stream->data))
		stream_close(stream);
}

static void answer_datagram(int fd)
{
	uint8_t query[DNS_MAX - 200], reply[DNS_MAX];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t got = recvfrom(fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from,
			       &from_len);
	size_t len = got > 0 ? answer(query, (size_t)got, reply) : 0;

	if (len)
		(void)!sendto(fd, reply, len, MSG_DONTWAIT, (struct sockaddr *)&from, from_len);
}

/* ---- the far side: a friend ----------------------------------------------------------------- */

/* What a server would have to say, from Linux's or anybody's point of view well-formed. */
static const char agreed[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
			     "Upgrade: websocket\r\n\r\n";
/* A ServerHello (RFC 8446 4.1.3), of which the inspector reads no more than this. */
static const uint8_t hello[95] = {22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3, 'r', 'a', 'n', 'd', 'o', 'm'};

static uint32_t sum16(uint32_t sum, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(data[i] << 8) + (i + 1 < len ? data[i + 1] : 0u);
	return sum;
}

/* An IP packet with a segment to the near side in the server's name, of any sequence number. */
static size_t forge(const struct sp_ask *asked, uint8_t flags, uint32_t number, const void *data,
		    size_t len, uint8_t packet[600])
{
	size_t head = asked->family == AF_INET6 ? 40 : 20, addresses = head == 40 ? 32 : 8, all;
	uint8_t *tcp = packet + head, *from = packet + head - addresses;
	uint32_t sum;

	memset(packet, 0, head + 20);
	all = 20 + len;
	if (head == 40) {
		packet[0] = 0x60;
		packet[5] = (uint8_t)all;
		packet[4] = (uint8_t)(all >> 8);
		packet[6] = IPPROTO_TCP;
		packet[7] = 64;
		address6(SP_AT_SHARED, (struct in6_addr *)from);
		address6(SP_AT_NEAR, (struct in6_addr *)(from + 16));
	} else {
		packet[0] = 0x45; /* length and checksum are the kernel's to fill in */
		packet[8] = 64;
		packet[9] = IPPROTO_TCP;
		address4(SP_AT_SHARED, from);
		address4(SP_AT_NEAR, from + 4);
	}
	put(tcp, 0, &asked->server_port, 2);
	put(tcp, 2, &asked->client_port, 2);
	number = htonl(number);
	put(tcp, 4, &number, 4);
	tcp[11] = 1; /* acknowledges something that never was */
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	tcp[14] = 16;
	memcpy(tcp + 20, data, len);
	sum = sum16(sum16(IPPROTO_TCP + (uint32_t)all, from, addresses), tcp, all);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum;
	tcp[16] = (uint8_t)(sum >> 8);
	tcp[17] = (uint8_t)sum;
	return head + all;
}

/* SYN and then data, as a client and as a server would begin: TCP on the near side takes neither.
 */
static void spoof(const struct sp_ask *asked, int raw)
{
	const void *data = asked->what == SP_ASK_HELLO ? (const void *)hello : agreed;
	size_t len = asked->what == SP_ASK_HELLO ? sizeof(hello) : sizeof(agreed) - 1;
	static const uint8_t flags[] = {0x02, 0x12};
	struct sockaddr_storage to;
	socklen_t to_len;
	uint8_t packet[600];

	sp_lab_address(asked->family, SP_AT_NEAR, 0, &to, &to_len);
	for (size_t i = 0; i < sizeof(flags); i++) {
		size_t size = forge(asked, flags[i], 0x11111111, "", 0, packet);

		(void)!sendto(raw, packet, size, 0, (struct sockaddr *)&to, to_len);
		size = forge(asked, 0x18, 0x11111112, data, len, packet);
		(void)!sendto(raw, packet, size, 0, (struct sockaddr *)&to, to_len);
	}
}

/* What an attacker asks of a friend. `raw`: raw sockets of IPv4 and IPv6. */
static void befriend(int fd, const int raw[2])
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	struct sp_ask asked;

	if (recvfrom(fd, &asked, sizeof(asked), MSG_DONTWAIT, (struct sockaddr *)&from,
		     &from_len) != (ssize_t)sizeof(asked) ||
	    asked.magic != SP_ASK_MAGIC)
		return; /* a datagram of one who only passes by */
	if (asked.what == SP_ASK_AGREED || asked.what == SP_ASK_HELLO)
		spoof(&asked, raw[asked.family == AF_INET6]);
	(void)!sendto(fd, &asked, sizeof(asked), MSG_DONTWAIT, (struct sockaddr *)&from, from_len);
	/* Reads nothing, the capture least of all, until told to go on. */
	if (asked.what == SP_ASK_HOLD)
		(void)poll(&readable, 1, HOLD_MS);
}

/* ---- the far side: the oracle --------------------------------------------------------------- */

struct far {
	struct sp_sight *sight;
	const char *prefix;
	int capture, reply;
	int datagrams[2], listeners[2]; /* of the resolver, IPv4 and IPv6; -1: none */
	int web;			/* listener that agrees to everything */
	int friend, raw[2];		/* what attackers ask there; to forge by */
	struct stream streams[STREAMS];
};

/* The destination port of a frame, or 0. */
static unsigned int port_of(const uint8_t *frame, size_t len)
{
	unsigned int type = len < ETH_HLEN ? 0u : (unsigned int)(frame[12] << 8 | frame[13]);
	size_t at = ETH_HLEN;
	uint8_t protocol;

	if (type == ETH_P_IP && at + 20 <= len) {
		if ((frame[at + 6] & 0x1f) || frame[at + 7])
			return 0; /* not the first fragment */
		protocol = frame[at + 9];
		at += (size_t)(frame[at] & 15) * 4;
	} else if (type == ETH_P_IPV6 && at + 40 <= len) {
		protocol = frame[at + 6];
		at += 40;
		while ((protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
			protocol == IPPROTO_DSTOPTS) &&
		       at + 8 <= len) {
			protocol = frame[at];
			at += ((size_t)frame[at + 1] + 1) * 8;
		}
	} else {
		return 0;
	}
	if (at + 4 > len ||
	    (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_UDPLITE &&
	     protocol != IPPROTO_SCTP && protocol != IPPROTO_DCCP))
		return 0;
	return (unsigned int)(frame[at + 2] << 8 | frame[at + 3]);
}

static void look(struct far *far)
{
	static uint8_t frame[70000];
	struct tpacket_stats stats;
	socklen_t stats_len = sizeof(stats);

	for (;;) {
		struct sockaddr_ll from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t len = recvfrom(far->capture, frame, sizeof(frame), MSG_DONTWAIT,
				       (struct sockaddr *)&from, &from_len);
		unsigned int port;

		if (len < 0)
			break;
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		port = port_of(frame, (size_t)len);
		if (port == FENCE_PORT && len >= 4) {
			uint32_t number;

			memcpy(&number, frame + len - 4, 4);
			__atomic_store_n(&far->sight->fence, number, __ATOMIC_RELEASE);
			(void)!write(far->reply, "", 1);
		} else if (port >= SP_TRY_PORT && port < SP_TRY_PORT + SP_TRIES_MAX) {
			far->sight->ports[port - SP_TRY_PORT]++;
		}
		sp_marker_find(far->prefix, frame, (size_t)len, far->sight->markers);
	}
	if (!getsockopt(far->capture, SOL_PACKET, PACKET_STATISTICS, &stats, &stats_len))
		far->sight->lost += stats.tp_drops;
}

static int open_socket(int family, int type, enum sp_at at, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t len;
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -1;
	sp_lab_address(family, at, port, &address, &len);
	if (!at && family == AF_INET)
		((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_ANY);
	else if (!at)
		((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_any;
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, len) ||
	    (type == SOCK_STREAM && listen(fd, 1024))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Listeners whose connections nobody takes: the kernel's handshake is enough. */
static void listen_everywhere(bool ipv6)
{
	static const uint16_t ports[] = {80, 443, 853, SP_OTHER_PORT};
	struct rlimit files = {.rlim_cur = 2 * SP_TRIES_MAX + 200,
			       .rlim_max = 2 * SP_TRIES_MAX + 200};

	setrlimit(RLIMIT_NOFILE, &files);
	for (int family = 0; family < (ipv6 ? 2 : 1); family++) {
		for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
			open_socket(family ? AF_INET6 : AF_INET, SOCK_STREAM, 0, ports[i]);
		for (uint16_t i = 0; i < SP_TRIES_MAX; i++)
			open_socket(family ? AF_INET6 : AF_INET, SOCK_STREAM, 0,
				    (uint16_t)(SP_TRY_PORT + i));
	}
}

static void far_accept(struct far *far, int listener, bool http)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (int i = 0; i < STREAMS && fd >= 0; i++)
		if (far->streams[i].fd < 0) {
			far->streams[i].fd = fd;
			far->streams[i].http = http;
			fd = -1;
		}
	if (fd >= 0)
		close(fd);
}

static void __attribute__((noreturn)) far_serve(struct far *far)
{
	struct pollfd fds[7 + STREAMS];

	for (;;) {
		fds[0] = (struct pollfd){.fd = far->capture, .events = POLLIN};
		for (int i = 0; i < 2; i++) {
			fds[1 + i] = (struct pollfd){.fd = far->datagrams[i], .events = POLLIN};
			fds[3 + i] = (struct pollfd){.fd = far->listeners[i], .events = POLLIN};
		}
		fds[5] = (struct pollfd){.fd = far->web, .events = POLLIN};
		fds[6] = (struct pollfd){.fd = far->friend, .events = POLLIN};
		for (int i = 0; i < STREAMS; i++)
			fds[7 + i] = (struct pollfd){.fd = far->streams[i].fd, .events = POLLIN};
		if (poll(fds, 7 + STREAMS, -1) < 0 && errno != EINTR)
			_exit(1);
		if (fds[0].revents)
			look(far);
		for (int i = 0; i < 2; i++)
			if (fds[1 + i].revents)
				answer_datagram(far->datagrams[i]);
		for (int i = 0; i < STREAMS; i++)
			if (fds[7 + i].revents)
				stream_read(&far->streams[i]);
		for (int i = 0; i < 2; i++)
			if (fds[3 + i].revents)
				far_accept(far, far->listeners[i], false);
		if (fds[5].revents)
			far_accept(far, far->web, true);
		if (fds[6].revents)
			befriend(far->friend, far->raw);
	}
}

/* What the far side says before it serves. */
struct ready {
	int error;
	bool ipv6;
	char what[32];
};

static void __attribute__((noreturn))
far_main(struct sp_lab *lab, int tell, int wired, int reply, pid_t parent)
{
	/* of either wire: nothing runs on lo here */
	struct sockaddr_ll wires = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct far *far = calloc(1, sizeof(*far));
	struct ready ready = {0};
	int room = CAPTURE_BYTES, r = 0;
	const char *what = "make a network namespace";
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* Ctrl-C is for the parent, which ends this process. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	if (!far || unshare(CLONE_NEWNET))
		r = -errno;
	if (write(tell, r ? "e" : "n", 1) != 1 || read(wired, &byte, 1) != 1)
		_exit(1);
	if (!r)
		r = set_addresses(false, &ready.ipv6, &what);
	if (!r) {
		what = "open a packet socket";
		far->capture = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		setsockopt(far->capture, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
		if (far->capture < 0 ||
		    bind(far->capture, (struct sockaddr *)&wires, sizeof(wires)))
			r = -errno;
	}
	if (!r) {
		what = "listen";
		listen_everywhere(ready.ipv6);
		far->datagrams[0] = open_socket(AF_INET, SOCK_DGRAM, SP_AT_RESOLVER, 53);
		far->listeners[0] = open_socket(AF_INET, SOCK_STREAM, SP_AT_RESOLVER, 53);
		far->web = open_socket(AF_INET, SOCK_STREAM, SP_AT_SHARED, SP_WEB_PORT);
		far->friend = open_socket(AF_INET, SOCK_DGRAM, SP_AT_GOOD, SP_UDP_PORT);
		far->raw[0] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
		far->raw[1] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
		if (far->datagrams[0] < 0 || far->listeners[0] < 0 || far->web < 0 ||
		    far->friend < 0 || far->raw[0] < 0)
			r = -errno;
		far->datagrams[1] = far->listeners[1] = -1;
		if (ready.ipv6) {
			far->datagrams[1] = open_socket(AF_INET6, SOCK_DGRAM, SP_AT_RESOLVER, 53);
			far->listeners[1] = open_socket(AF_INET6, SOCK_STREAM, SP_AT_RESOLVER, 53);
		}
		open_socket(AF_INET, SOCK_STREAM, SP_AT_RESOLVER2, 53);
		for (int i = 0; i < STREAMS; i++)
			far->streams[i].fd = -1;
		far->sight = lab->sight;
		far->prefix = lab->prefix;
		far->reply = reply;
	}
	ready.error = -r;
	snprintf(ready.what, sizeof(ready.what), "%s", what);
	if (write(tell, &ready, sizeof(ready)) != (ssize_t)sizeof(ready) || r)
		_exit(1);
	far_serve(far);
}

/* ---- the near side -------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fence_by(struct sp_lab *lab, int family, int ms)
{
	int64_t until = now_ms() + ms;
	struct sockaddr_storage to;
	uint32_t number = ++lab->fence;
	socklen_t len;
	char bytes[64];

	sp_lab_address(family ? AF_INET6 : AF_INET, SP_AT_GOOD, FENCE_PORT, &to, &len);
	for (;;) {
		struct pollfd reply = {.fd = lab->reply, .events = POLLIN};

		if (sendto(lab->fences[family], &number, sizeof(number), 0, (struct sockaddr *)&to,
			   len) < 0 &&
		    errno != ENETUNREACH && errno != EHOSTUNREACH && errno != EADDRNOTAVAIL &&
		    errno != ENETDOWN)
			return -errno;
		if (poll(&reply, 1, SETTLE_STEP_MS) > 0) {
			if (read(lab->reply, bytes, sizeof(bytes)) <= 0)
				return -EPIPE;
		}
		if (__atomic_load_n(&lab->sight->fence, __ATOMIC_ACQUIRE) == number)
			return 0;
		if (now_ms() >= until)
			return -ETIMEDOUT;
	}
}

int sp_lab_fence(struct sp_lab *lab, int ms)
{
	int r = fence_by(lab, 0, ms);

	return !r && lab->ipv6 ? fence_by(lab, 1, ms) : r;
}

static int draw_prefix(char prefix[SP_MARKER_PREFIX + 1])
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -errno;
	/* begins with a letter that no hexadecimal number has */
	snprintf(prefix, SP_MARKER_PREFIX + 1, "spst%08x", number);
	return 0;
}

/*
 * What some distributions allow everybody, so that it is not the kernel's own rule that stops it:
 * ping sockets, and binding to low ports. The files are those of the caller's network namespace.
 */
static void allow(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, value, strlen(value));
	close(fd);
}

static void close_all(int *fds, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int sp_lab_open(struct sp_lab *ret_lab, struct sp_error **err)
{
	struct sp_lab lab = {.far = -1, .reply = -1, .fences = {-1, -1}};
	int fds[] = {-1, -1, -1, -1, -1, -1}, r; /* three pipes: tell, wired, reply */
	struct mnl_socket *netlink = NULL;
	const char *what = "make a pipe";
	struct ready ready = {0};
	pid_t parent = getpid();
	bool ipv6 = false;
	char byte;

	lab.sight = mmap(NULL, sizeof(*lab.sight), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (lab.sight == MAP_FAILED) {
		lab.sight = NULL;
		r = -errno;
		goto out;
	}
	r = draw_prefix(lab.prefix);
	if (r || pipe2(fds, O_CLOEXEC) || pipe2(fds + 2, O_CLOEXEC) ||
	    pipe2(fds + 4, O_CLOEXEC | O_NONBLOCK)) {
		r = r ? r : -errno;
		goto out;
	}
	what = "make a network namespace";
	if (unshare(CLONE_NEWNET)) {
		r = -errno;
		goto out;
	}
	fflush(NULL);
	lab.far = fork();
	if (lab.far < 0) {
		r = -errno;
		goto out;
	}
	if (!lab.far) {
		close(fds[0]);
		close(fds[3]);
		close(fds[4]);
		far_main(&lab, fds[1], fds[2], fds[5], parent);
	}
	close(fds[1]);
	close(fds[2]);
	close(fds[5]);
	fds[1] = fds[2] = fds[5] = -1;
	if (read(fds[0], &byte, 1) != 1 || byte != 'n') {
		r = -EIO;
		goto out;
	}
	what = "make a pair of veth devices (CONFIG_VETH)";
	netlink = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!netlink || mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0)
		r = -errno;
	else
		r = make_wire(netlink, WIRE, lab.far);
	if (!r)
		r = make_wire(netlink, SECOND, lab.far);
	if (!r)
		r = set_addresses(true, &ipv6, &what);
	if (!r) {
		what = "start the far side";
		if (write(fds[3], "", 1) != 1 ||
		    read(fds[0], &ready, sizeof(ready)) != (ssize_t)sizeof(ready))
			r = -EIO;
		else if (ready.error) {
			r = -ready.error;
			what = ready.what;
		}
	}
	if (r)
		goto out;
	allow("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
	allow("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	lab.reply = fds[4];
	fds[4] = -1;
	lab.fences[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	lab.fences[1] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	what = "reach the far side";
	r = fence_by(&lab, 0, SETTLE_MS);
	if (!r)
		lab.ipv6 =
			ipv6 && ready.ipv6 && lab.fences[1] >= 0 && !fence_by(&lab, 1, SETTLE_MS);
out:
	if (netlink)
		mnl_socket_close(netlink);
	close_all(fds, sizeof(fds) / sizeof(fds[0]));
	if (r) {
		sp_error_set(err, r, "cannot make a lab of network namespaces: cannot %s: %s", what,
			     strerror(-r));
		sp_lab_close(&lab);
		return r;
	}
	*ret_lab = lab;
	return 0;
}

void sp_lab_close(struct sp_lab *lab)
{
	int status;

	if (lab->far > 0) {
		kill(lab->far, SIGKILL);
		while (waitpid(lab->far, &status, 0) < 0 && errno == EINTR)
			;
	}
	close_all(lab->fences, 2);
	close_all(&lab->reply, 1);
	if (lab->sight)
		munmap(lab->sight, sizeof(*lab->sight));
	*lab = (struct sp_lab){.far = -1, .reply = -1, .fences = {-1, -1}};
}
