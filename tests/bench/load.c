// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * load.c - the clients of the benchmark. Each measures one thing for some time and prints one line
 * of JSON.
 *
 *     load udp HOST PORT SECONDS send|sendto     datagrams of 64 bytes, to be thrown away
 *     load connect HOST PORT SECONDS THREADS     connect, wait for the end, close
 *     load bulk HOST PORT SECONDS STREAMS        bytes, to be thrown away
 *     load dns SERVER NAME SECONDS socket|one|window
 *     load https HOST PORT SECONDS new|keep THREADS CA
 *
 * HOST is looked up first, so that a sandbox learns its address. With PROXY=ADDRESS:PORT in the
 * environment, connect, bulk and https go through a proxy, by CONNECT. `dns`: a socket for every
 * query as libraries do it, one socket for all, or one socket with 32 queries under way.
 *
 * `rate` is a second on the clock, `cpu_ns` processor time of this process for one operation, which
 * other work on the machine disturbs less (on one processor it includes what the kernel did for
 * this process in the bottom half, the peer's side of a veth among it).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX (4u << 20)
#define WINDOW 32
#define NAMES 64 /* different names that dns asks for */
#define STREAMS_MAX 64
#define THREADS_MAX 64
#define BLOCK (128u << 10)

static uint64_t start_ns, end_ns;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "load: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static double cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static double cpu_before;

static void clock_start(double seconds)
{
	cpu_before = cpu_ns();
	start_ns = now_ns();
	end_ns = start_ns + (uint64_t)(seconds * 1e9);
}

/* ---- samples -------------------------------------------------------------------------------- */

struct samples {
	uint32_t *ns;
	uint32_t len;
};

static void samples_add(struct samples *s, uint64_t ns)
{
	if (!s->ns) {
		s->ns = malloc(SAMPLES_MAX * sizeof(*s->ns));
		if (!s->ns)
			die("no memory");
	}
	if (s->len < SAMPLES_MAX)
		s->ns[s->len++] = ns < UINT32_MAX ? ns : UINT32_MAX;
}

static void samples_join(struct samples *to, const struct samples *from)
{
	for (uint32_t i = 0; i < from->len; i++)
		samples_add(to, from->ns[i]);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The line of a result; `samples` may be empty. */
static void report(double operations, uint64_t failed, struct samples *s)
{
	double seconds = (now_ns() - start_ns) / 1e9;
	double cpu = cpu_ns() - cpu_before;

	printf("{\"rate\": %.1f, \"operations\": %.0f, \"seconds\": %.4f, \"failed\": %llu, "
	       "\"cpu_ns\": %.1f",
	       operations / seconds, operations, seconds, (unsigned long long)failed,
	       operations > 0 ? cpu / operations : 0);
	if (s && s->len) {
		qsort(s->ns, s->len, sizeof(*s->ns), by_value);
		printf(", \"p50\": %u, \"p90\": %u, \"p99\": %u, \"p999\": %u", s->ns[s->len / 2],
		       s->ns[(uint64_t)s->len * 9 / 10], s->ns[(uint64_t)s->len * 99 / 100],
		       s->ns[(uint64_t)s->len * 999 / 1000]);
	}
	printf("}\n");
}

/* ---- addresses, proxies --------------------------------------------------------------------- */

static void address_of(const char *host, const char *port, struct sockaddr_in *ret)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
	int r = getaddrinfo(host, port, &hints, &list);

	if (r)
		die("%s: %s", host, gai_strerror(r));
	memcpy(ret, list->ai_addr, sizeof(*ret));
	freeaddrinfo(list);
}

struct target {
	struct sockaddr_in to;
	char connect[256]; /* what the proxy is told; empty: no proxy */
};

static void target_find(struct target *t, const char *host, const char *port)
{
	const char *proxy = getenv("PROXY");
	char address[64], *colon;

	memset(t, 0, sizeof(*t));
	if (!proxy || !*proxy) {
		address_of(host, port, &t->to);
		return;
	}
	snprintf(address, sizeof(address), "%s", proxy);
	colon = strrchr(address, ':');
	if (!colon)
		die("PROXY is not ADDRESS:PORT");
	*colon = '\0';
	address_of(address, colon + 1, &t->to);
	snprintf(t->connect, sizeof(t->connect), "CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n\r\n",
		 host, port, host, port);
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* A connected socket, or -1. */
static int target_connect(const struct target *t)
{
	size_t len = strlen(t->connect), n = 0;
	char head[1024];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t r;

	if (fd < 0)
		die("no socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&t->to, sizeof(t->to)) < 0)
		goto bad;
	if (!len)
		return fd;
	no_delay(fd);
	if (write(fd, t->connect, len) != (ssize_t)len)
		goto bad;
	/* byte by byte: what follows belongs to the other end */
	while (n < sizeof(head) - 1) {
		r = read(fd, head + n, 1);
		if (r <= 0)
			goto bad;
		n += r;
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	head[n] = '\0';
	if (strncmp(head, "HTTP/1.", 7) != 0 || strncmp(head + 8, " 200", 4) != 0)
		goto bad;
	return fd;
bad:
	close(fd);
	return -1;
}

/* ---- the measures --------------------------------------------------------------------------- */

/*
 * One datagram there and back, as a conversation begins: to connection tracking, what nobody ever
 * answered is new with every datagram. Where it cannot be sent there is nothing to wait for.
 */
static void hello(int fd, const struct sockaddr_in *to)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte = '?';

	for (int i = 0; i < 50; i++) {
		if (sendto(fd, &byte, 1, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
			return;
		if (poll(&p, 1, 10) > 0 && recv(fd, &byte, 1, 0) == 1)
			return;
	}
}

static void load_udp(const char *host, const char *port, double seconds, bool connected)
{
	struct sockaddr_in to;
	uint64_t sent = 0, failed = 0;
	char bytes[64] = "64 bytes";
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	ssize_t r;

	address_of(host, port, &to);
	hello(fd, &to);
	if (connected && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect: %s", strerror(errno));
	clock_start(seconds);
	do {
		for (int i = 0; i < 64; i++) {
			if (connected)
				r = send(fd, bytes, sizeof(bytes), 0);
			else
				r = sendto(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&to,
					   sizeof(to));
			if (r < 0)
				failed++;
			else
				sent++;
		}
	} while (now_ns() < end_ns);
	/* where all of it is denied, what is counted is the denials */
	report(sent ? sent : failed, failed, NULL);
}

struct connector {
	pthread_t thread;
	const struct target *target;
	struct samples samples;
	uint64_t failed;
};

static void *connect_run(void *data)
{
	struct connector *c = data;
	char byte;

	do {
		uint64_t begin = now_ns();
		int fd = target_connect(c->target);

		if (fd >= 0 && read(fd, &byte, 1) == 0)
			samples_add(&c->samples, now_ns() - begin);
		else
			c->failed++;
		if (fd >= 0)
			close(fd);
	} while (now_ns() < end_ns);
	return NULL;
}

static void load_connect(const char *host, const char *port, double seconds, int threads)
{
	struct connector c[THREADS_MAX] = {0};
	struct samples all = {0};
	uint64_t failed = 0;
	struct target t;

	if (threads < 1 || threads > THREADS_MAX)
		die("1 to %d threads", THREADS_MAX);
	target_find(&t, host, port);
	clock_start(seconds);
	for (int i = 0; i < threads; i++) {
		c[i].target = &t;
		if (pthread_create(&c[i].thread, NULL, connect_run, &c[i]))
			die("no thread");
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(c[i].thread, NULL);
		failed += c[i].failed;
		samples_join(&all, &c[i].samples);
	}
	report(all.len, failed, &all);
}

static void load_bulk(const char *host, const char *port, double seconds, int streams)
{
	static char block[BLOCK];
	struct pollfd p[STREAMS_MAX];
	struct target t;
	double bytes = 0;
	ssize_t r;

	if (streams < 1 || streams > STREAMS_MAX)
		die("1 to %d streams", STREAMS_MAX);
	target_find(&t, host, port);
	for (int i = 0; i < streams; i++) {
		p[i].fd = target_connect(&t);
		p[i].events = POLLOUT;
		if (p[i].fd < 0)
			die("cannot connect: %s", strerror(errno));
		fcntl(p[i].fd, F_SETFL, O_NONBLOCK);
	}
	clock_start(seconds);
	do {
		if (poll(p, streams, 1000) < 0)
			die("poll: %s", strerror(errno));
		for (int i = 0; i < streams; i++) {
			if (!(p[i].revents & (POLLOUT | POLLERR | POLLHUP)))
				continue;
			r = write(p[i].fd, block, sizeof(block));
			if (r > 0)
				bytes += r;
			else if (errno != EAGAIN)
				die("write: %s", strerror(errno));
		}
	} while (now_ns() < end_ns);
	/* an operation is a bit on its way, so rate is bit/s; cpu_ns is for a kilobyte */
	bytes *= 8;
	{
		double seconds_gone = (now_ns() - start_ns) / 1e9;

		printf("{\"rate\": %.0f, \"operations\": %.0f, \"seconds\": %.4f, \"failed\": 0, "
		       "\"cpu_ns\": %.3f}\n",
		       bytes / seconds_gone, bytes, seconds_gone,
		       (cpu_ns() - cpu_before) / (bytes / 8192));
	}
}

/* ---- DNS ------------------------------------------------------------------------------------ */

static size_t dns_query(uint8_t *p, uint16_t id, const char *name, uint32_t number)
{
	char text[256];
	size_t n = 12, len;
	char *label = text;

	snprintf(text, sizeof(text), "n%u.%s", number % NAMES, name);
	memset(p, 0, 12);
	p[0] = id >> 8;
	p[1] = id;
	p[2] = 1;
	p[5] = 1;
	p[11] = 1;
	while (*label) {
		len = strcspn(label, ".");
		p[n++] = len;
		memcpy(p + n, label, len);
		n += len;
		label += len + (label[len] == '.');
	}
	p[n++] = 0;
	memcpy(p + n, "\0\1\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0", 15);
	return n + 15;
}

static int dns_socket(const struct sockaddr_in *to)
{
	struct timeval timeout = {.tv_sec = 1};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return fd;
}

static void load_dns(const char *server, const char *name, double seconds, const char *how)
{
	bool each = strcmp(how, "socket") == 0, window = strcmp(how, "window") == 0;
	uint64_t begin[WINDOW] = {0}, failed = 0;
	struct sockaddr_in to;
	struct samples s = {0};
	uint8_t query[512], answer[1500];
	uint32_t number = 0;
	size_t len;
	int fd = -1;

	address_of(server, "53", &to);
	if (!each)
		fd = dns_socket(&to);
	clock_start(seconds);
	do {
		uint32_t slot;

		if (each)
			fd = dns_socket(&to);
		do {
			slot = number % WINDOW;
			len = dns_query(query, number & 0xffff, name, number);
			begin[slot] = now_ns();
			if (send(fd, query, len, 0) < 0)
				failed++;
			number++;
		} while (window && number < WINDOW);
		if (recv(fd, answer, sizeof(answer), 0) < 12 || (answer[3] & 15) ||
		    !(answer[6] | answer[7])) {
			failed++;
		} else {
			/* the slot of the one that was answered, which in a window is any */
			slot = (answer[0] << 8 | answer[1]) % WINDOW;
			samples_add(&s, now_ns() - begin[slot]);
		}
		if (each)
			close(fd);
	} while (now_ns() < end_ns);
	report(s.len, failed, &s);
}

/* ---- HTTPS ---------------------------------------------------------------------------------- */

struct https {
	pthread_t thread;
	SSL_CTX *ctx;
	const struct target *target;
	const char *host;
	bool keep;
	struct samples samples;
	uint64_t failed;
};

static SSL *https_open(struct https *h)
{
	int fd = target_connect(h->target);
	SSL *ssl;

	if (fd < 0)
		return NULL;
	no_delay(fd);
	ssl = SSL_new(h->ctx);
	if (!ssl || !SSL_set_tlsext_host_name(ssl, h->host) || !SSL_set1_host(ssl, h->host) ||
	    !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1) {
		SSL_free(ssl);
		close(fd);
		return NULL;
	}
	return ssl;
}

static void https_close(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_free(ssl);
	close(fd);
}

static bool https_get(SSL *ssl, const struct https *h)
{
	char text[2048];
	int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", h->host,
			 h->keep ? "" : "Connection: close\r\n");

	if (SSL_write(ssl, text, n) != n)
		return false;
	n = SSL_read(ssl, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* the server's answer is short and comes in one record */
	return strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "\r\n\r\nok");
}

static void *https_run(void *data)
{
	struct https *h = data;
	SSL *ssl = NULL;

	do {
		uint64_t begin = now_ns();
		bool ok;

		if (!ssl)
			ssl = https_open(h);
		ok = ssl && https_get(ssl, h);
		if (ok)
			samples_add(&h->samples, now_ns() - begin);
		else
			h->failed++;
		if (ssl && (!h->keep || !ok)) {
			https_close(ssl);
			ssl = NULL;
		}
		ERR_clear_error();
	} while (now_ns() < end_ns);
	if (ssl)
		https_close(ssl);
	return NULL;
}

static void load_https(const char *host, const char *port, double seconds, bool keep, int threads,
		       const char *ca)
{
	struct https h[THREADS_MAX] = {0};
	struct samples all = {0};
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	uint64_t failed = 0;
	struct target t;

	if (threads < 1 || threads > THREADS_MAX)
		die("1 to %d threads", THREADS_MAX);
	target_find(&t, host, port);
	if (!ctx || SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		die("cannot read %s", ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	clock_start(seconds);
	for (int i = 0; i < threads; i++) {
		h[i] = (struct https){.ctx = ctx, .target = &t, .host = host, .keep = keep};
		if (pthread_create(&h[i].thread, NULL, https_run, &h[i]))
			die("no thread");
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(h[i].thread, NULL);
		failed += h[i].failed;
		samples_join(&all, &h[i].samples);
	}
	report(all.len, failed, &all);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "udp") == 0 && argc == 6)
		load_udp(argv[2], argv[3], atof(argv[4]), strcmp(argv[5], "send") == 0);
	else if (strcmp(what, "connect") == 0 && argc == 6)
		load_connect(argv[2], argv[3], atof(argv[4]), atoi(argv[5]));
	else if (strcmp(what, "bulk") == 0 && argc == 6)
		load_bulk(argv[2], argv[3], atof(argv[4]), atoi(argv[5]));
	else if (strcmp(what, "dns") == 0 && argc == 6)
		load_dns(argv[2], argv[3], atof(argv[4]), argv[5]);
	else if (strcmp(what, "https") == 0 && argc == 8)
		load_https(argv[2], argv[3], atof(argv[4]), strcmp(argv[5], "keep") == 0,
			   atoi(argv[6]), argv[7]);
	else
		die("see the head of tests/bench/load.c");
	return 0;
}
