/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c - what the ways out are built from: queries, connections, ClientHellos.
 *
 * Time limits here only end what hangs. What is meant to arrive does so in milliseconds, and
 * whether something that is not meant to has arrived is for the far side to say, whenever it comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "selftest.h"

#define CONNECT_MS 3000
#define ANSWER_MS 3000
#define RESET_MS 60 /* only what is said of a denial depends on it */

int sp_attack_na(struct sp_attack *attack, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(attack->note, sizeof(attack->note), format, args);
	va_end(args);
	return SP_TRY_NA;
}

int sp_attack_traced(struct sp_attack *attack, int r)
{
	return r < 0 && !attack->try.inside
		       ? sp_attack_na(attack, "refused outside too: %s", strerror(-r))
		       : r;
}

int sp_attack_broken(struct sp_attack *attack, const char *what, int r)
{
	snprintf(attack->note, sizeof(attack->note), "%s: %s", what, strerror(-r));
	return SP_TRY_BROKEN;
}

/* ---- DNS ------------------------------------------------------------------------------------ */

size_t sp_dns_question(uint8_t *buf, uint16_t id, const char *name, uint16_t type)
{
	static const uint8_t head[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	size_t at = sizeof(head);

	memcpy(buf, head, sizeof(head));
	buf[0] = (uint8_t)(id >> 8);
	buf[1] = (uint8_t)id;
	while (*name) {
		size_t len = strcspn(name, ".");

		buf[at++] = (uint8_t)len;
		memcpy(buf + at, name, len);
		at += len;
		name += len + (name[len] == '.');
	}
	buf[at++] = 0;
	buf[at++] = (uint8_t)(type >> 8);
	buf[at++] = (uint8_t)type;
	buf[at++] = 0;
	buf[at++] = 1;
	return at;
}

int sp_resolve_at(enum sp_at resolver, int family, const char *name, uint16_t type)
{
	struct sockaddr_storage to;
	struct pollfd readable = {.events = POLLIN};
	uint8_t query[300], reply[1500];
	socklen_t to_len;
	ssize_t len;
	int r = 0;

	sp_lab_address(family, resolver, 53, &to, &to_len);
	readable.fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (readable.fd < 0)
		return -errno;
	len = (ssize_t)sp_dns_question(query, (uint16_t)(0x4000 | (getpid() & 0x3fff)), name, type);
	if (sendto(readable.fd, query, (size_t)len, 0, (struct sockaddr *)&to, to_len) < 0) {
		r = -errno;
	} else if (poll(&readable, 1, ANSWER_MS) <= 0) {
		r = -ETIMEDOUT;
	} else {
		len = recv(readable.fd, reply, sizeof(reply), 0);
		if (len < 0)
			r = -errno;
		else if (len < 12 || (reply[3] & 15) || !(reply[6] | reply[7]))
			r = -ENOENT;
	}
	close(readable.fd);
	return r;
}

int sp_resolve(int family, const char *name)
{
	bool v6 = family == AF_INET6;

	return sp_resolve_at(SP_AT_RESOLVER, v6 ? AF_INET6 : AF_INET, name, v6 ? 28 : 1);
}

/* ---- connections ---------------------------------------------------------------------------- */

int sp_tcp_connect_fd(int fd, const struct sockaddr_storage *to, socklen_t len)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int error = 0, one = 1, flags;
	socklen_t error_len = sizeof(error);

	/* A segment that is still queued when the try ends is sent by the kernel, and seen later.
	 */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (connect(fd, (const struct sockaddr *)to, len) && errno != EINPROGRESS)
		return -errno;
	if (poll(&writable, 1, CONNECT_MS) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len))
		return -errno;
	fcntl(fd, F_SETFL, flags);
	return -error;
}

int sp_tcp_connect(int family, enum sp_at at, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len;
	int fd, r;

	sp_lab_address(family, at, port, &to, &len);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = sp_tcp_connect_fd(fd, &to, len);
	if (!r)
		return fd;
	close(fd);
	return r;
}

int sp_send_all(int fd, const void *data, size_t len)
{
	ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

	return sent < 0 ? -errno : (size_t)sent == len ? 0 : -EIO;
}

int sp_reset_wait(const struct sp_attack *attack, int fd)
{
	/* an end of the stream is none: the far side never closes first */
	struct pollfd fds = {.fd = fd, .events = POLLIN};
	socklen_t len = sizeof(int);
	int error = 0;

	if (!attack->try.inside || !attack->try.enforcing ||
	    attack->technique->kind == SP_MUST_ARRIVE || poll(&fds, 1, RESET_MS) <= 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

/* ---- TLS ------------------------------------------------------------------------------------ */

static size_t put8(uint8_t *buf, size_t at, unsigned int value)
{
	buf[at] = (uint8_t)value;
	return at + 1;
}

static size_t put16(uint8_t *buf, size_t at, unsigned int value)
{
	return put8(buf, put8(buf, at, value >> 8), value);
}

static size_t put_bytes(uint8_t *buf, size_t at, const void *data, size_t len)
{
	memcpy(buf + at, data, len);
	return at + len;
}

/* Writes a length of two bytes at `at`, of all that came behind it up to `end`. */
static void set_length(uint8_t *buf, size_t at, size_t end)
{
	put16(buf, at, (unsigned int)(end - at - 2));
}

static size_t put_names(const struct sp_hello *hello, size_t from, size_t to, uint8_t *buf,
			size_t at, size_t *ret_cut)
{
	size_t extension, list;

	at = put16(buf, at, 0); /* server_name (RFC 6066 3) */
	extension = at;
	list = at += 2;
	at += 2;
	for (size_t i = from; i < to; i++) {
		const char *name = hello->names[i];
		size_t len = !i && hello->name_len ? hello->name_len : strlen(name);

		at = put8(buf, at, 0);
		at = put16(buf, at, (unsigned int)len);
		at = put_bytes(buf, at, name, len);
		*ret_cut = at - len / 2;
	}
	set_length(buf, list, at);
	set_length(buf, extension, at);
	return at;
}

size_t sp_hello_build(const struct sp_hello *hello, const char *marker, uint8_t buf[1024],
		      size_t *ret_cut)
{
	static const uint8_t versions[] = {0, 43, 0, 3, 2, 3, 4};
	size_t at = 4, extensions, names = hello->names[0] ? (hello->names[1] ? 2 : 1) : 0;

	*ret_cut = 40;
	at = put16(buf, at, 0x0303);
	memset(buf + at, 0x5a, 32); /* random */
	at = put8(buf, at + 32, 0); /* no session */
	at = put16(buf, at, 2);
	at = put16(buf, at, 0x1301);
	at = put16(buf, at, 0x0100); /* compression: none */
	extensions = at;
	at += 2;
	if (names && hello->twice) {
		at = put_names(hello, 0, 1, buf, at, ret_cut);
		at = put_names(hello, 1, names, buf, at, ret_cut);
	} else if (names) {
		at = put_names(hello, 0, names, buf, at, ret_cut);
	}
	at = put_bytes(buf, at, versions, sizeof(versions));
	at = put16(buf, at, 0x5a5a); /* reserved to be ignored (RFC 8701) */
	at = put16(buf, at, SP_MARKER_LEN);
	at = put_bytes(buf, at, marker, SP_MARKER_LEN);
	set_length(buf, extensions, at);
	buf[0] = 1; /* client_hello */
	buf[1] = 0;
	set_length(buf, 2, at);
	return at;
}

size_t sp_record_build(const uint8_t *message, size_t len, size_t cut, uint8_t *buf)
{
	size_t at = 0, from = 0;

	while (from < len) {
		size_t part = cut && from < cut ? cut - from : len - from;

		at = put8(buf, at, 22);
		at = put16(buf, at, 0x0301);
		at = put16(buf, at, (unsigned int)part);
		at = put_bytes(buf, at, message + from, part);
		from += part;
	}
	return at;
}
