// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_inject.c - answers in somebody else's name, and the end of other people's sockets.
 *
 * Needs root: it runs in a network and a mount namespace of its own, with a veth pair whose far end
 * is where "the internet" would be. Nothing answers there, so what a client gets is what was
 * injected. Without root every test is skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include <sallyport/events.h>

#include "inject.h"
#include "sockdiag.h"

#define OWN4 "10.77.0.2"
#define OWN6 "fd00:77::2"
#define OWN_LINK "fe80::77:2"
#define REMOTE4 "192.0.2.53"
#define REMOTE6 "2001:db8::53"

static const char *skip_reason;

static void skip_without_root(void)
{
	if (skip_reason) {
		print_message("skipped: %s\n", skip_reason);
		skip();
	}
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static int run(const char *command)
{
	int r = system(command);

	if (r)
		print_message("failed: %s\n", command);
	return r;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = -EIO;
	close(fd);
	return r;
}

static int setup(void **state)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip link add sp0 type veth peer name sp1",
		"ip link set sp0 up && ip link set sp1 up",
		"ip addr add " OWN4 "/24 dev sp0",
		"ip addr add " OWN6 "/64 dev sp0 nodad",
		"ip addr add " OWN_LINK "/64 dev sp0 nodad",
		"ip neigh add 10.77.0.1 lladdr 02:00:00:00:00:01 nud permanent dev sp0",
		"ip neigh add fd00:77::1 lladdr 02:00:00:00:00:01 nud permanent dev sp0",
		"ip route add default via 10.77.0.1",
		"ip -6 route add default via fd00:77::1",
	};
	size_t i;

	(void)state;
	if (geteuid() != 0) {
		skip_reason = "not root";
		return 0;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
		if (errno != EPERM)
			return -1;
		skip_reason = "no right to make a network namespace";
		return 0;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (run(commands[i]))
			return -1;
	/* the strictest there is: what was injected must not depend on it */
	if (write_file("/proc/sys/net/ipv4/conf/all/rp_filter", "1") < 0 ||
	    write_file("/proc/sys/net/ipv4/conf/lo/rp_filter", "1") < 0 ||
	    write_file("/proc/sys/net/ipv4/conf/sp0/rp_filter", "1") < 0)
		return -1;
	return 0;
}

/* ---- addresses ------------------------------------------------------------------------------ */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Text to a socket address of this family; IPv4 text for AF_INET6 becomes v4-mapped. */
static union address address(int family, const char *text, uint16_t port)
{
	union address a = {.any.sa_family = family};
	char mapped[64];

	if (family == AF_INET) {
		a.v4.sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &a.v4.sin_addr), 1);
	} else {
		snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
		a.v6.sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, mapped, &a.v6.sin6_addr), 1);
		if (IN6_IS_ADDR_LINKLOCAL(&a.v6.sin6_addr))
			a.v6.sin6_scope_id = if_nametoindex("sp0");
	}
	return a;
}

static socklen_t length(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static uint16_t port_of(const union address *a)
{
	return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

static void bytes_of(const union address *a, uint8_t bytes[16])
{
	if (a->any.sa_family == AF_INET6) {
		memcpy(bytes, &a->v6.sin6_addr, 16);
		return;
	}
	memset(bytes, 0, 10);
	memset(bytes + 10, 0xff, 2);
	memcpy(bytes + 12, &a->v4.sin_addr, 4);
}

static union address local_of(int fd)
{
	union address a;
	socklen_t len = sizeof(a);

	memset(&a, 0, sizeof(a));
	assert_int_equal(getsockname(fd, &a.any, &len), 0);
	return a;
}

static void wait_at_most_a_second(int fd)
{
	struct timeval second = {.tv_sec = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)), 0);
}

static void bind_to_device(int fd)
{
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "sp0", 4), 0);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

/* ---- injection ------------------------------------------------------------------------------ */

static const struct delivery {
	const char *what;
	int client; /* family of the client's socket */
	int packet; /* family of the packet */
	const char *resolver, *own;
	bool bound; /* to sp0 */
} deliveries[] = {
	{"v4, remote", AF_INET, AF_INET, REMOTE4, OWN4, false},
	{"v4, on the link", AF_INET, AF_INET, "10.77.0.1", OWN4, false},
	{"v4, 127.0.0.53", AF_INET, AF_INET, "127.0.0.53", "127.0.0.1", false},
	{"v4, 127.0.0.11", AF_INET, AF_INET, "127.0.0.11", "127.0.0.1", false},
	{"v4, loopback from the own address", AF_INET, AF_INET, "127.0.0.53", OWN4, false},
	{"v4, own address", AF_INET, AF_INET, OWN4, OWN4, false},
	{"v4 by a dual-stack socket, remote", AF_INET6, AF_INET, REMOTE4, OWN4, false},
	{"v4 by a dual-stack socket, loopback", AF_INET6, AF_INET, "127.0.0.53", "127.0.0.1",
	 false},
	{"v6, remote", AF_INET6, AF_INET6, REMOTE6, OWN6, false},
	{"v6, ::1", AF_INET6, AF_INET6, "::1", "::1", false},
	{"v6, own address", AF_INET6, AF_INET6, OWN6, OWN6, false},
	{"v6, link-local", AF_INET6, AF_INET6, "fe80::1", OWN_LINK, false},
	{"v4, bound, remote", AF_INET, AF_INET, REMOTE4, OWN4, true},
	{"v4, bound, own address", AF_INET, AF_INET, OWN4, OWN4, true},
	{"v4 by a dual-stack socket, bound", AF_INET6, AF_INET, REMOTE4, OWN4, true},
	{"v6, bound, remote", AF_INET6, AF_INET6, REMOTE6, OWN6, true},
	{"v6, bound, link-local", AF_INET6, AF_INET6, "fe80::1", OWN_LINK, true},
};

/*
 * One client and one resolver; returns microseconds from the injection to its arrival. The client
 * is connected, or bound to no address and willing to hear from anybody. Nothing is sent first: on
 * loopback an ICMP error would come back, which it does not when the query is dropped on egress.
 */
static double deliver(struct sp_injector *injector, const struct delivery *d, bool connected,
		      size_t len)
{
	union address resolver = address(d->client, d->resolver, 53), from;
	union address own = address(d->client, d->own, 0), local;
	uint8_t resolver_bytes[16], own_bytes[16], sent[SP_INJECT_MAX], got[SP_INJECT_MAX + 1];
	socklen_t from_len = sizeof(from);
	double start, end;
	ssize_t n;
	size_t i;
	int fd;

	fd = socket(d->client, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	wait_at_most_a_second(fd);
	if (d->bound)
		bind_to_device(fd);
	if (connected) {
		assert_int_equal(bind(fd, &own.any, length(&own)), 0);
		assert_int_equal(connect(fd, &resolver.any, length(&resolver)), 0);
	} else {
		union address nobody =
			address(d->client, d->client == AF_INET ? "0.0.0.0" : "::", 0);

		if (d->client == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&resolver.v6.sin6_addr))
			nobody.v6.sin6_scope_id = 0;
		assert_int_equal(bind(fd, &nobody.any, length(&nobody)), 0);
	}
	local = local_of(fd);
	bytes_of(&resolver, resolver_bytes);
	bytes_of(&own, own_bytes);
	for (i = 0; i < len; i++)
		sent[i] = i * 7 + len;

	start = now_us();
	assert_int_equal(sp_inject_udp(injector, d->packet, resolver_bytes, 53, own_bytes,
				       port_of(&local), d->bound ? if_nametoindex("sp0") : 0, sent,
				       len),
			 0);
	n = recvfrom(fd, got, sizeof(got), 0, &from.any, &from_len);
	end = now_us();
	if (n != (ssize_t)len)
		print_message("%s, %s, %zu bytes: %s\n", d->what,
			      connected ? "connected" : "unconnected", len,
			      n < 0 ? strerror(errno) : "another length");
	assert_int_equal(n, len);
	assert_memory_equal(got, sent, len);
	/* it comes from the resolver, and from nobody else */
	assert_int_equal(port_of(&from), 53);
	bytes_of(&from, got);
	assert_memory_equal(got, resolver_bytes, 16);
	close(fd);
	return end - start;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void test_delivery(void **state)
{
	struct sp_injector *injector = NULL;
	size_t i, len;
	int round;

	(void)state;
	skip_without_root();
	assert_int_equal(sp_injector_open(&injector), 0);
	for (i = 0; i < sizeof(deliveries) / sizeof(deliveries[0]); i++) {
		double took[101];

		/* odd and even lengths, none at all, and the longest */
		for (len = 0; len < 20; len++)
			deliver(injector, &deliveries[i], len & 2, len);
		deliver(injector, &deliveries[i], true, SP_INJECT_MAX);
		deliver(injector, &deliveries[i], false, SP_INJECT_MAX);
		for (round = 0; round < 101; round++)
			took[round] = deliver(injector, &deliveries[i], round & 1, 100);
		qsort(took, 101, sizeof(took[0]), by_value);
		print_message("%-36s median %5.1f us, worst %6.1f us\n", deliveries[i].what,
			      took[50], took[100]);
	}
	sp_injector_close(injector);
}

/* Every checksum there can be, so also the one that would be written as zero. */
static void test_all_checksums(void **state)
{
	struct sp_injector *injector = NULL;
	const struct delivery *ends[2] = {&deliveries[0], &deliveries[8]};
	int family, value;

	(void)state;
	skip_without_root();
	assert_int_equal(sp_injector_open(&injector), 0);
	for (family = 0; family < 2; family++) {
		const struct delivery *d = ends[family];
		union address resolver = address(d->client, d->resolver, 53);
		uint8_t src[16], dst[16], payload[2], got[2];
		union address local;
		int fd = socket(d->client, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		wait_at_most_a_second(fd);
		assert_int_equal(connect(fd, &resolver.any, length(&resolver)), 0);
		local = local_of(fd);
		bytes_of(&resolver, src);
		bytes_of(&local, dst);
		for (value = 0; value < 65536; value++) {
			payload[0] = value >> 8;
			payload[1] = value;
			assert_int_equal(sp_inject_udp(injector, d->packet, src, 53, dst,
						       port_of(&local), 0, payload, 2),
					 0);
			assert_int_equal(recv(fd, got, sizeof(got), 0), 2);
			assert_memory_equal(got, payload, 2);
		}
		close(fd);
	}
	sp_injector_close(injector);
}

static void test_injection_refused(void **state)
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1};
	static const uint8_t v6[16] = {[15] = 1};
	struct sp_injector *injector = NULL;
	char bytes[SP_INJECT_MAX + 1] = "";

	(void)state;
	skip_without_root();
	assert_int_equal(sp_injector_open(&injector), 0);
	assert_int_equal(sp_inject_udp(injector, AF_UNIX, v4, 53, v4, 9, 0, "x", 1), -EINVAL);
	assert_int_equal(sp_inject_udp(injector, AF_INET, v4, 53, v6, 9, 0, "x", 1), -EINVAL);
	assert_int_equal(sp_inject_udp(injector, AF_INET, v6, 53, v4, 9, 0, "x", 1), -EINVAL);
	assert_int_equal(sp_inject_udp(injector, AF_INET6, v4, 53, v6, 9, 0, "x", 1), -EINVAL);
	assert_int_equal(sp_inject_udp(injector, AF_INET, v4, 53, v4, 9, 0, bytes, sizeof(bytes)),
			 -EMSGSIZE);
	assert_int_equal(sp_inject_udp(injector, AF_INET, v4, 53, v4, 9, 0, "x", 1), 0);
	sp_injector_close(injector);
	sp_injector_close(NULL);
}

/* Another's port, or another resolver for a connected client: not for this one. */
static void test_connected_hears_only_its_resolver(void **state)
{
	union address resolver = address(AF_INET, REMOTE4, 53),
		      other = address(AF_INET, "192.0.2.54", 53);
	struct sp_injector *injector = NULL;
	uint8_t src[16], dst[16];
	union address local;
	char byte;
	int fd;

	(void)state;
	skip_without_root();
	assert_int_equal(sp_injector_open(&injector), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, &resolver.any, length(&resolver)), 0);
	local = local_of(fd);
	bytes_of(&local, dst);
	bytes_of(&other, src);
	assert_int_equal(sp_inject_udp(injector, AF_INET, src, 53, dst, port_of(&local), 0, "x", 1),
			 0);
	bytes_of(&resolver, src);
	assert_int_equal(sp_inject_udp(injector, AF_INET, src, 54, dst, port_of(&local), 0, "x", 1),
			 0);
	assert_int_equal(
		sp_inject_udp(injector, AF_INET, src, 53, dst, port_of(&local) ^ 1, 0, "x", 1), 0);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
	sp_injector_close(injector);
}

/* ---- what resolvers make of the answers ----------------------------------------------------- */

/* A program for static musl: exit status 0 (resolved), or 1 and the error on standard output. */
static const char lookup_source[] =
	"#include <netdb.h>\n#include <stdio.h>\n"
	"int main(int argc, char **argv)\n{\n"
	"struct addrinfo *r; int e = argc > 1 ? getaddrinfo(argv[1], 0, 0, &r) : 1;\n"
	"if (e) printf(\"%d\", e);\nreturn !!e;\n}\n";

/* Takes one query off the wire at the far end of the veth pair; false when there was none. */
static bool sniff(int fd, struct sp_request *request)
{
	uint8_t packet[2048], *udp;
	ssize_t len = recv(fd, packet, sizeof(packet), 0);
	size_t ip_len, query_len;

	if (len < 1)
		return false;
	memset(request, 0, sizeof(*request));
	request->version = SP_ABI_VERSION;
	request->kind = SP_REQUEST_ANSWER;
	if (packet[0] >> 4 == 4) {
		ip_len = 4ul * (packet[0] & 15);
		if (len < (ssize_t)ip_len + 8 || packet[9] != IPPROTO_UDP)
			return false;
		request->family = AF_INET;
		memset(request->saddr + 10, 0xff, 2);
		memset(request->daddr + 10, 0xff, 2);
		memcpy(request->saddr + 12, packet + 12, 4);
		memcpy(request->daddr + 12, packet + 16, 4);
	} else {
		ip_len = 40;
		if (len < 48 || packet[6] != IPPROTO_UDP)
			return false;
		request->family = AF_INET6;
		memcpy(request->saddr, packet + 8, 16);
		memcpy(request->daddr, packet + 24, 16);
	}
	udp = packet + ip_len;
	request->sport = udp[0] << 8 | udp[1];
	request->dport = udp[2] << 8 | udp[3];
	if (request->dport != 53)
		return false;
	/* as the kernel side does it: the header and the question, not the OPT behind them */
	query_len = len - ip_len - 8;
	if (query_len > 12) {
		size_t pos = 12;

		while (pos < query_len && udp[8 + pos])
			pos += 1 + udp[8 + pos];
		if (pos + 5 < query_len)
			query_len = pos + 5;
	}
	if (query_len > sizeof(request->query))
		return false;
	request->query_len = query_len;
	memcpy(request->query, udp + 8, query_len);
	return true;
}

/*
 * Runs `argv` while every query that leaves is answered with `answer`. Returns its exit status;
 * what it printed goes to output, how long it took to ret_ms, how many queries it sent to
 * ret_queries.
 */
static int run_denied(char *const argv[], uint8_t answer, char *output, size_t size, double *ret_ms,
		      unsigned int *ret_queries)
{
	struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct sp_injector *injector = NULL;
	size_t used = 0;
	int out[2], fd, status = -1;
	double start;
	ssize_t n;
	pid_t pid;

	assert_int_equal(sp_injector_open(&injector), 0);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	link.sll_ifindex = if_nametoindex("sp1");
	assert_int_equal(bind(fd, (struct sockaddr *)&link, sizeof(link)), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	*ret_queries = 0;

	start = now_us();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	for (;;) {
		struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
					{.fd = out[0], .events = POLLIN}};
		struct sp_request request;
		uint8_t message[512];
		int len;

		/* nothing to say for so long is a time-out in the resolver: the test has failed */
		if (poll(fds, 2, 20000) <= 0)
			break;
		if (fds[0].revents && sniff(fd, &request)) {
			request.answer = answer;
			(*ret_queries)++;
			len = sp_answer_build(&request, "denied by policy test: default", message,
					      sizeof(message));
			assert_true(len > 0);
			assert_int_equal(sp_inject_udp(injector, request.family, request.daddr,
						       request.dport, request.saddr, request.sport,
						       0, message, len),
					 0);
		}
		if (fds[1].revents) {
			n = read(out[0], output + used, size - 1 - used);
			if (n <= 0)
				break;
			used += n;
			output[used] = '\0';
		}
	}
	*ret_ms = (now_us() - start) / 1000;
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(out[0]);
	close(fd);
	sp_injector_close(injector);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_resolvers_accept(void **state)
{
	static const char *const confs[] = {
		"nameserver " REMOTE4 "\n",
		"nameserver " REMOTE4 "\noptions edns0 trust-ad\n",
		"nameserver " REMOTE6 "\n",
	};
	static const char *const answers[] = {"NXDOMAIN", "REFUSED", "EMPTY"};
	char dir[] = "/tmp/sallyport-test-XXXXXX", path[128], command[512], output[512];
	bool have_gcc, have_musl;
	size_t conf, answer, client;

	(void)state;
	skip_without_root();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/lookup.c", dir);
	assert_int_equal(write_file(path, lookup_source), 0);
	snprintf(command, sizeof(command), "cc -o %s/glibc %s/lookup.c 2>/dev/null", dir, dir);
	have_gcc = system(command) == 0;
	snprintf(command, sizeof(command), "musl-gcc -static -o %s/musl %s/lookup.c 2>/dev/null",
		 dir, dir);
	have_musl = system(command) == 0;
	snprintf(path, sizeof(path), "%s/nsswitch.conf", dir);
	assert_int_equal(write_file(path, "hosts: files dns\n"), 0);
	assert_int_equal(mount(path, "/etc/nsswitch.conf", NULL, MS_BIND, NULL), 0);

	for (conf = 0; conf < sizeof(confs) / sizeof(confs[0]); conf++) {
		snprintf(path, sizeof(path), "%s/resolv.conf", dir);
		assert_int_equal(write_file(path, confs[conf]), 0);
		assert_int_equal(mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL), 0);
		for (client = 0; client < 3; client++) {
			char program[128];
			char *argv[] = {program, "evil.test", NULL, NULL};

			if (client == 0) {
				strcpy(program, "getent");
				argv[1] = "hosts";
				argv[2] = "evil.test";
			} else {
				if (!(client == 1 ? have_gcc : have_musl))
					continue;
				snprintf(program, sizeof(program), "%s/%s", dir,
					 client == 1 ? "glibc" : "musl");
			}
			for (answer = 0; answer < 3; answer++) {
				unsigned int queries = 0;
				double ms = 0;
				int status;

				/* five seconds that say the same every time: see below */
				if (client == 2 && answer == SP_ANSWER_REFUSED && conf > 0)
					continue;
				output[0] = '\0';
				status = run_denied(argv, answer, output, sizeof(output), &ms,
						    &queries);
				print_message(
					"%-6s %-8s resolv.conf %zu: status %d %-4s %u queries, "
					"%6.1f ms\n",
					client == 0   ? "getent"
					: client == 1 ? "glibc"
						      : "musl",
					answers[answer], conf, status, output, queries, ms);
				assert_int_equal(status, client == 0 ? 2 : 1);
				assert_true(queries >= 1);
				/*
				 * musl takes no notice of REFUSED and waits for better until it
				 * times out (res_msend.c: "ignore all other codes such as
				 * refusal").
				 */
				if (client == 2 && answer == SP_ANSWER_REFUSED)
					continue;
				/* the shortest time-out of both libraries is several times that */
				assert_true(ms < 1000);
				if (client > 0 && answer == SP_ANSWER_NXDOMAIN)
					assert_int_equal(atoi(output), EAI_NONAME);
			}
		}
		assert_int_equal(umount("/etc/resolv.conf"), 0);
	}
	assert_int_equal(umount("/etc/nsswitch.conf"), 0);
	if (!have_musl)
		print_message("no musl-gcc: musl was not tried\n");
	snprintf(command, sizeof(command), "rm -r %s", dir);
	run(command);
}

/* The reason reaches a person: an EDE with its text, in an OPT to those who sent one. */
static void test_dig_shows_why(void **state)
{
	char *argv[] = {"dig", "+tries=1", "+edns", ("@" REMOTE4), "Evil.test", NULL};
	char output[4096] = "";
	unsigned int queries;
	double ms;
	int status;

	(void)state;
	skip_without_root();
	status = run_denied(argv, SP_ANSWER_NXDOMAIN, output, sizeof(output), &ms, &queries);
	if (status == 127) {
		print_message("skipped: no dig\n");
		skip();
	}
	assert_int_equal(status, 0);
	assert_int_equal(queries, 1);
	assert_non_null(strstr(output, "status: NXDOMAIN"));
	assert_non_null(strstr(output, "EDE: 15 (Blocked): (denied by policy test: default)"));
	/* as it was asked, with its case (0x20) */
	assert_non_null(strstr(output, ";Evil.test."));
	assert_null(strstr(output, "WARNING"));
	assert_null(strstr(output, "malformed"));
}

/*
 * Docker's resolver: 127.0.0.11:53 is another port behind a DNAT. The kernel side sees the packet
 * behind it, the client hears the address before it.
 */
static void test_behind_dnat(void **state)
{
	union address resolver = address(AF_INET, "127.0.0.11", 53), from;
	union address real = address(AF_INET, "127.0.0.11", 35353), local;
	struct sp_injector *injector = NULL;
	socklen_t from_len;
	uint8_t src[16], dst[16];
	int sink, fd, connected;
	char bytes[8];

	(void)state;
	skip_without_root();
	if (system("{ nft add table ip test && "
		   "nft 'add chain ip test out { type nat hook output priority -100; }' && "
		   "nft add rule ip test out ip daddr 127.0.0.11 udp dport 53 "
		   "dnat to 127.0.0.11:35353; } >/dev/null 2>&1")) {
		print_message("skipped: no nft, or no NAT in this kernel\n");
		skip();
	}
	assert_int_equal(sp_injector_open(&injector), 0);
	/* takes the query, which is dropped in reality, so that no ICMP error comes of it */
	sink = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	wait_at_most_a_second(sink);
	assert_int_equal(bind(sink, &real.any, length(&real)), 0);
	for (connected = 0; connected < 2; connected++) {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		wait_at_most_a_second(fd);
		if (connected)
			assert_int_equal(connect(fd, &resolver.any, length(&resolver)), 0);
		assert_int_equal(sendto(fd, "query", 5, 0, connected ? NULL : &resolver.any,
					connected ? 0 : length(&resolver)),
				 5);
		from_len = sizeof(local);
		assert_int_equal(recvfrom(sink, bytes, sizeof(bytes), 0, &local.any, &from_len), 5);
		bytes_of(&real, src);
		bytes_of(&local, dst);
		assert_int_equal(sp_inject_udp(injector, AF_INET, src, 35353, dst, port_of(&local),
					       0, "answer", 6),
				 0);
		from_len = sizeof(from);
		assert_int_equal(recvfrom(fd, bytes, sizeof(bytes), 0, &from.any, &from_len), 6);
		assert_memory_equal(bytes, "answer", 6);
		assert_int_equal(port_of(&from), 53);
		close(fd);
	}
	close(sink);
	sp_injector_close(injector);
	run("nft delete table ip test");
}

/* ---- destroying ----------------------------------------------------------------------------- */

static const struct connection {
	const char *what;
	int socket, family, protocol;
	const char *addr; /* both ends */
	uint64_t any;	  /* SP_COOKIE_ANY, or 0 for the socket's own */
	bool bound;	  /* to sp0 */
} connections[] = {
	{"tcp v4", AF_INET, AF_INET, IPPROTO_TCP, "127.0.0.1", 0, false},
	{"tcp v4, any cookie", AF_INET, AF_INET, IPPROTO_TCP, OWN4, SP_COOKIE_ANY, false},
	{"tcp v6", AF_INET6, AF_INET6, IPPROTO_TCP, "::1", 0, false},
	{"tcp v6, any cookie", AF_INET6, AF_INET6, IPPROTO_TCP, OWN6, SP_COOKIE_ANY, false},
	{"tcp v6, link-local", AF_INET6, AF_INET6, IPPROTO_TCP, OWN_LINK, 0, true},
	{"tcp dual-stack", AF_INET6, AF_INET, IPPROTO_TCP, OWN4, 0, false},
	{"tcp dual-stack, any cookie", AF_INET6, AF_INET, IPPROTO_TCP, "127.0.0.1", SP_COOKIE_ANY,
	 false},
	{"udp v4", AF_INET, AF_INET, IPPROTO_UDP, OWN4, 0, false},
	{"udp v4, any cookie", AF_INET, AF_INET, IPPROTO_UDP, "127.0.0.1", SP_COOKIE_ANY, false},
	{"udp v6", AF_INET6, AF_INET6, IPPROTO_UDP, "::1", 0, false},
	{"udp v6, any cookie", AF_INET6, AF_INET6, IPPROTO_UDP, OWN6, SP_COOKIE_ANY, false},
	{"udp dual-stack", AF_INET6, AF_INET, IPPROTO_UDP, OWN4, 0, false},
	{"udp dual-stack, any cookie", AF_INET6, AF_INET, IPPROTO_UDP, OWN4, SP_COOKIE_ANY, false},
	{"tcp v4, bound", AF_INET, AF_INET, IPPROTO_TCP, OWN4, 0, true},
	{"tcp dual-stack, bound", AF_INET6, AF_INET, IPPROTO_TCP, OWN4, SP_COOKIE_ANY, true},
	{"udp v6, bound", AF_INET6, AF_INET6, IPPROTO_UDP, OWN6, 0, true},
};

static int destroy(struct sp_sockdiag *diag, const struct connection *c, const union address *src,
		   const union address *dst, uint64_t cookie)
{
	uint8_t s[16], d[16];

	bytes_of(src, s);
	bytes_of(dst, d);
	return sp_sockdiag_destroy(diag, c->family, c->protocol, s, port_of(src), d, port_of(dst),
				   c->bound ? if_nametoindex("sp0") : 0, cookie);
}

static void test_destroy(void **state)
{
	struct sp_sockdiag *diag = NULL;
	size_t i;

	(void)state;
	skip_without_root();
	assert_int_equal(sp_sockdiag_open(&diag), 0);
	for (i = 0; i < sizeof(connections) / sizeof(connections[0]); i++) {
		const struct connection *c = &connections[i];
		int type = c->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
		union address server = address(c->socket, c->addr, 0), client;
		int listener, fd, again;
		uint64_t cookie;
		double start, took;
		char byte;

		listener = socket(c->socket, type | SOCK_CLOEXEC, 0);
		assert_true(listener >= 0);
		if (c->bound)
			bind_to_device(listener);
		assert_int_equal(bind(listener, &server.any, length(&server)), 0);
		if (c->protocol == IPPROTO_TCP)
			assert_int_equal(listen(listener, 4), 0);
		server = local_of(listener);
		fd = socket(c->socket, type | SOCK_CLOEXEC, 0);
		assert_true(fd >= 0);
		if (c->bound)
			bind_to_device(fd);
		wait_at_most_a_second(fd);
		assert_int_equal(connect(fd, &server.any, length(&server)), 0);
		client = local_of(fd);
		cookie = cookie_of(fd);

		/* somebody else's by now */
		assert_int_equal(destroy(diag, c, &client, &server, cookie + 1000000), -ENOENT);
		assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, EAGAIN);

		start = now_us();
		assert_int_equal(destroy(diag, c, &client, &server, c->any ? c->any : cookie), 0);
		took = now_us() - start;
		assert_int_equal(recv(fd, &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNABORTED);
		print_message("%-28s destroyed in %6.1f us\n", c->what, took);
		/* gone; and the listener or bound socket at the other end is not taken for it */
		assert_int_equal(destroy(diag, c, &client, &server, cookie), -ENOENT);
		assert_int_equal(destroy(diag, c, &client, &server, SP_COOKIE_ANY), -ENOENT);
		client.v4.sin_port ^= htons(1); /* of either family: they have it in one place */
		assert_int_equal(destroy(diag, c, &server, &client, SP_COOKIE_ANY), -ENOENT);
		again = socket(c->socket, type | SOCK_CLOEXEC, 0);
		if (c->bound)
			bind_to_device(again);
		assert_int_equal(connect(again, &server.any, length(&server)), 0);
		if (c->protocol == IPPROTO_UDP) {
			assert_int_equal(send(again, "x", 1, 0), 1);
			assert_int_equal(recv(listener, &byte, 1, 0), 1);
		}
		close(again);
		close(fd);
		close(listener);
	}
	sp_sockdiag_close(diag);
	sp_sockdiag_close(NULL);
}

/* A connection that is still being made, to where nobody answers. */
static void test_destroy_connecting(void **state)
{
	union address server = address(AF_INET, REMOTE4, 443), client;
	struct connection c = {.family = AF_INET, .protocol = IPPROTO_TCP};
	struct sp_sockdiag *diag = NULL;
	int fd, error = 0;
	socklen_t len = sizeof(error);

	(void)state;
	skip_without_root();
	assert_int_equal(sp_sockdiag_open(&diag), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, &server.any, length(&server)), -1);
	assert_int_equal(errno, EINPROGRESS);
	client = local_of(fd);
	assert_int_equal(destroy(diag, &c, &client, &server, cookie_of(fd)), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, ECONNABORTED);
	close(fd);
	sp_sockdiag_close(diag);
}

static void test_destroy_refused(void **state)
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1};
	static const uint8_t v6[16] = {[15] = 1};
	struct sp_sockdiag *diag = NULL;

	(void)state;
	skip_without_root();
	assert_int_equal(sp_sockdiag_open(&diag), 0);
	assert_int_equal(sp_sockdiag_destroy(diag, AF_UNIX, IPPROTO_TCP, v4, 1, v4, 2, 0, 3),
			 -EINVAL);
	assert_int_equal(sp_sockdiag_destroy(diag, AF_INET, IPPROTO_SCTP, v4, 1, v4, 2, 0, 3),
			 -EINVAL);
	assert_int_equal(sp_sockdiag_destroy(diag, AF_INET, IPPROTO_TCP, v4, 1, v6, 2, 0, 3),
			 -EINVAL);
	assert_int_equal(sp_sockdiag_destroy(diag, AF_INET6, IPPROTO_TCP, v4, 1, v4, 2, 0, 3),
			 -EINVAL);
	sp_sockdiag_close(diag);
}

static void test_probe(void **state)
{
	double start;

	(void)state;
	skip_without_root();
	start = now_us();
	assert_int_equal(sp_sockdiag_probe(), 0);
	print_message("probe: %.1f us\n", now_us() - start);
}

/* A UDP socket bound to (text, port), shared with others; 0: a port of the kernel's choice. */
static int bound_udp(int family, const char *text, uint16_t port)
{
	union address a = address(family, text, port);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, &a.any, length(&a)), 0);
	return fd;
}

/* An answer is for the socket that asked: who would hear it is told by cookie, and who else. */
static void test_receiver(void **state)
{
	static const struct sharing {
		int asker, other;
		const char *asker_addr, *other_addr, *resolver;
		bool asker_receives, alone;
	} cases[] = {
		{AF_INET, AF_INET, OWN4, "0.0.0.0", REMOTE4, true, false},
		{AF_INET, AF_INET, "0.0.0.0", OWN4, REMOTE4, false, false},
		{AF_INET, AF_INET6, OWN4, "::", REMOTE4, true, false},
		{AF_INET6, AF_INET, "::", OWN4, REMOTE4, false, false},
		{AF_INET, AF_INET, OWN4, "127.0.0.1", REMOTE4, true, true},
		{AF_INET6, AF_INET6, OWN6, "::", REMOTE6, true, false},
		{AF_INET6, AF_INET6, "::", OWN6, REMOTE6, false, false},
		{AF_INET6, AF_INET6, OWN6, "::1", REMOTE6, true, true},
	};
	struct sp_sockdiag *diag = NULL;

	(void)state;
	skip_without_root();
	assert_int_equal(sp_sockdiag_open(&diag), 0);
	assert_int_equal(sp_sockdiag_probe_udp(diag), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct sharing *s = &cases[i];
		int family = strchr(s->resolver, ':') ? AF_INET6 : AF_INET, alone;
		union address resolver = address(family, s->resolver, 53), own;
		uint8_t src[16], dst[16];
		int asker = bound_udp(s->asker, s->asker_addr, 0), other;
		uint16_t port;

		own = local_of(asker);
		port = port_of(&own);
		own = address(family, family == AF_INET ? OWN4 : OWN6, port);
		bytes_of(&resolver, src);
		bytes_of(&own, dst);
		assert_int_equal(
			sp_sockdiag_receives(diag, family, src, 53, dst, port, 0, cookie_of(asker)),
			0);
		assert_int_equal(
			sp_sockdiag_alone(diag, family, src, 53, dst, port, cookie_of(asker)), 0);
		other = bound_udp(s->other, s->other_addr, port);
		if ((sp_sockdiag_receives(diag, family, src, 53, dst, port, 0, cookie_of(asker)) ==
		     0) != s->asker_receives)
			fail_msg("case %zu: the wrong receiver", i);
		alone = sp_sockdiag_alone(diag, family, src, 53, dst, port, cookie_of(asker));
		if (alone != (s->alone ? 0 : -ENOTUNIQ))
			fail_msg("case %zu: %d", i, alone);
		/* what is connected elsewhere does not hear */
		own = address(s->other, family == AF_INET ? REMOTE4 : REMOTE6, 54);
		if (!strcmp(s->other_addr, "::"))
			own = address(s->other, REMOTE6, 54);
		if (strcmp(s->other_addr, "127.0.0.1") != 0 && strcmp(s->other_addr, "::1") != 0) {
			assert_int_equal(connect(other, &own.any, length(&own)), 0);
			assert_int_equal(sp_sockdiag_alone(diag, family, src, 53, dst, port,
							   cookie_of(asker)),
					 0);
		}
		close(asker);
		assert_int_equal(sp_sockdiag_receives(diag, family, src, 53, dst, port, 0, 1),
				 -ENOENT);
		close(other);
	}
	sp_sockdiag_close(diag);
}

/* Without the right, the kernel says so instead of doing nothing. */
static void test_unprivileged(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	skip_without_root();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sp_injector *injector = NULL;

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(10);
		if (sp_injector_open(&injector) != -EPERM)
			_exit(11);
		_exit(sp_sockdiag_probe() == -EPERM ? 0 : 12);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivery),
		cmocka_unit_test(test_all_checksums),
		cmocka_unit_test(test_injection_refused),
		cmocka_unit_test(test_connected_hears_only_its_resolver),
		cmocka_unit_test(test_resolvers_accept),
		cmocka_unit_test(test_dig_shows_why),
		cmocka_unit_test(test_behind_dnat),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_destroy_connecting),
		cmocka_unit_test(test_destroy_refused),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_receiver),
		cmocka_unit_test(test_unprivileged),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
