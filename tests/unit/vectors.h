/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vectors.h - reads tests/vectors, runs a vector natively, and writes what was said of it as the
 * .expect file would (tests/vectors/README.md has the format). For tests: failures end the program.
 */
#ifndef SP_TESTS_VECTORS_H
#define SP_TESTS_VECTORS_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/judge.h"

enum vector_kind {
	VECTOR_QUERY,
	VECTOR_ANSWER,
	VECTOR_TLS,
	VECTOR_HTTP,
	VECTOR_OTHER,
	VECTOR_KINDS
};

static const char *const vector_kinds[VECTOR_KINDS] = {"query", "answer", "tls", "http", "other"};

struct vector {
	char name[80]; /* "tls/plain" */
	enum vector_kind kind;
	uint32_t len;
	uint8_t *bytes;
	char expect[32 * SP_RRS_MAX + 256];
};

struct vectors {
	struct vector *v;
	size_t len;
};

#define VECTOR_SEED0 0x0706050403020100ULL
#define VECTOR_SEED1 0x0f0e0d0c0b0a0908ULL

__attribute__((noreturn, format(printf, 1, 2), unused)) static void vector_die(const char *format,
									       ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static inline const char *vector_token(int reason)
{
	static const char *const tokens[] = {
#define X(code, token, text) token,
		SP_REASONS(X)
#undef X
	};

	return reason >= 0 && reason < SP_REASON_COUNT ? tokens[reason] : "?";
}

static inline size_t vector_read(const char *path, void *buf, size_t size)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		vector_die("cannot open %s: %s", path, strerror(errno));
	n = fread(buf, 1, size, f);
	if (ferror(f) || n == size)
		vector_die("cannot read %s, or it is too long", path);
	fclose(f);
	return n;
}

/*
 * A file of the source tree: below $SP_TOP, the working directory, or where the program was built
 * (build/unit/test_x).
 */
static inline void vector_path(char *path, size_t size, const char *name)
{
	char exe[PATH_MAX], *slash;
	ssize_t n;
	int i;

	if (getenv("SP_TOP")) {
		snprintf(path, size, "%s/%s", getenv("SP_TOP"), name);
		return;
	}
	snprintf(path, size, "%s", name);
	if (access(path, F_OK) == 0)
		return;
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n < 0)
		return;
	exe[n] = '\0';
	for (i = 0; i < 4; i++) {
		slash = strrchr(exe, '/');
		if (!slash)
			return;
		*slash = '\0';
		if (snprintf(path, size, "%s/%s", exe, name) < (int)size && access(path, F_OK) == 0)
			return;
	}
}

/*
 * An address that an AAAA record taught as ::ffff:a.b.c.d is the same 16 bytes as that of an A
 * record, and the parser does not say which it was: both are compared as the A record.
 */
static inline void vector_unmap(char *expect)
{
	static const char mapped[] = "learn: ::ffff:";
	char *p = expect;

	while ((p = strstr(p, mapped))) {
		char *rest = p + sizeof(mapped) - 1, *end = strchr(rest, ' ');
		char *dot = strchr(rest, '.');

		if (dot && dot < end)
			memmove(p + 7, rest, strlen(rest) + 1);
		p += 7;
	}
}

static inline int vector_compare(const void *a, const void *b)
{
	return strcmp(((const struct vector *)a)->name, ((const struct vector *)b)->name);
}

static inline void vectors_read_dir(struct vectors *all, const char *dir)
{
	static uint8_t buf[SP_STREAM_MAX + 1];
	char name[64], base[PATH_MAX - 300], path[PATH_MAX];
	struct dirent *e;
	struct vector *v;
	size_t n;
	DIR *d;

	snprintf(name, sizeof(name), "tests/vectors/%s", dir);
	vector_path(base, sizeof(base), name);
	d = opendir(base);
	if (!d)
		vector_die("cannot open %s: %s", base, strerror(errno));
	while ((e = readdir(d))) {
		n = strlen(e->d_name);
		if (n < 5 || strcmp(e->d_name + n - 4, ".bin") != 0)
			continue;
		all->v = realloc(all->v, (all->len + 1) * sizeof(*all->v));
		if (!all->v)
			vector_die("out of memory");
		v = &all->v[all->len++];
		memset(v, 0, sizeof(*v));
		if (n - 4 + strlen(dir) + 1 >= sizeof(v->name))
			vector_die("%s: the name is too long", e->d_name);
		snprintf(v->name, sizeof(v->name), "%s/%.*s", dir, (int)(n - 4), e->d_name);
		if (strcmp(dir, "tls") == 0)
			v->kind = VECTOR_TLS;
		else if (strcmp(dir, "http") == 0)
			v->kind = VECTOR_HTTP;
		else if (strcmp(dir, "other") == 0)
			v->kind = VECTOR_OTHER;
		else if (strncmp(e->d_name, "query-", 6) == 0)
			v->kind = VECTOR_QUERY;
		else if (strncmp(e->d_name, "answer-", 7) == 0)
			v->kind = VECTOR_ANSWER;
		else
			vector_die("%s: neither query nor answer", v->name);
		snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
		v->len = vector_read(path, buf, sizeof(buf));
		v->bytes = malloc(v->len ? v->len : 1);
		if (!v->bytes)
			vector_die("out of memory");
		memcpy(v->bytes, buf, v->len);
		strcpy(path + strlen(path) - 4, ".expect");
		v->expect[vector_read(path, v->expect, sizeof(v->expect))] = '\0';
		vector_unmap(v->expect);
	}
	closedir(d);
}

static inline void vectors_read(struct vectors *all)
{
	memset(all, 0, sizeof(*all));
	vectors_read_dir(all, "dns");
	vectors_read_dir(all, "tls");
	vectors_read_dir(all, "http");
	vectors_read_dir(all, "other");
	if (all->len == 0)
		vector_die("no vectors");
	qsort(all->v, all->len, sizeof(*all->v), vector_compare);
}

static inline void vectors_free(struct vectors *all)
{
	for (size_t i = 0; i < all->len; i++)
		free(all->v[i].bytes);
	free(all->v);
}

/* Makes ready for a run: everything that a parser has no right to read is `fill`. */
static inline void vector_prepare(struct judge_work *w, const void *bytes, uint32_t len, int fill)
{
	memset(w, fill, sizeof(*w));
	memset(&w->out, 0, sizeof(w->out));
	w->name.seed[0] = VECTOR_SEED0;
	w->name.seed[1] = VECTOR_SEED1;
	w->in_place = 1;
	w->stream.len = len;
	if (len)
		memcpy(w->stream.data, bytes, len);
}

/* What stands behind a name in its buffer is nothing that was said. */
static inline void vector_settle(struct judged *o)
{
	if (o->name_len < sizeof(o->name))
		memset(o->name + o->name_len, 0, sizeof(o->name) - o->name_len);
}

static inline void vector_judge(struct judge_work *w, enum vector_kind kind)
{
	switch (kind) {
	case VECTOR_QUERY:
		judge_query(w);
		break;
	case VECTOR_ANSWER:
		judge_answer(w);
		break;
	case VECTOR_TLS:
		judge_tls(w);
		break;
	case VECTOR_HTTP:
		judge_http(w);
		break;
	default:
		judge_other(w);
	}
	vector_settle(&w->out);
}

__attribute__((format(printf, 3, 4))) static inline void vector_add(char *text, size_t size,
								    const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

/* Wire form as text. What a parser accepted needs no escapes; if it does, that is an error seen. */
static inline void vector_name(char *text, size_t size, const char *key, const struct judged *o)
{
	uint32_t at = 0;

	vector_add(text, size, "%s: ", key);
	while (at < 255 && o->name[at]) {
		uint32_t end = at + 1 + o->name[at];

		if (at)
			vector_add(text, size, ".");
		for (at++; at < end && at < 256; at++) {
			if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", o->name[at]) &&
			    o->name[at])
				vector_add(text, size, "%c", o->name[at]);
			else
				vector_add(text, size, "\\%03u", o->name[at]);
		}
	}
	vector_add(text, size, at + 1 == o->name_len ? "\n" : " (length is wrong)\n");
}

static inline bool vector_port(const char *s, uint32_t *ret_port)
{
	uint32_t v = 0;

	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (*s - '0');
		if (v > 65535)
			return false;
	}
	*ret_port = v;
	return true;
}

/* The Host is an address literal: the parser does not read it, so that is done here. */
static inline bool vector_literal(const struct judged *o, const uint8_t *bytes, char *host,
				  size_t size, char *port, size_t port_size)
{
	char value[INET6_ADDRSTRLEN + 16], *p;
	struct in6_addr a6;
	struct in_addr a4;
	uint32_t number;

	if (o->host_len >= sizeof(value))
		return false;
	memcpy(value, bytes + o->host, o->host_len);
	value[o->host_len] = '\0';
	if (strlen(value) != o->host_len)
		return false;
	port[0] = '\0';
	if (value[0] == '[') {
		p = strchr(value, ']');
		if (!p || (p[1] && p[1] != ':'))
			return false;
		*p++ = '\0';
		if (inet_pton(AF_INET6, value + 1, &a6) != 1)
			return false;
		inet_ntop(AF_INET6, &a6, host, size);
	} else {
		p = strchr(value, ':');
		if (p)
			*p = '\0';
		if (inet_pton(AF_INET, value, &a4) != 1)
			return false;
		inet_ntop(AF_INET, &a4, host, size);
		if (p)
			*p = ':';
	}
	if (!p || !*p || !p[1])
		return true;
	if (!vector_port(p + 1, &number))
		return false;
	snprintf(port, port_size, "%u", number);
	return true;
}

static inline void vector_say_http(const struct judged *o, const uint8_t *bytes, char *text,
				   size_t size)
{
	char literal[INET6_ADDRSTRLEN], port[16];

	if (o->host_ip) {
		if (!vector_literal(o, bytes, literal, sizeof(literal), port, sizeof(port))) {
			vector_add(text, size, "verdict: bad\nreason: http_host\n");
			return;
		}
		vector_add(text, size, "verdict: ok\nhost_ip: %s\n", literal);
		if (port[0])
			vector_add(text, size, "port: %s\n", port);
	} else {
		vector_add(text, size, "verdict: ok\n");
		vector_name(text, size, "host", o);
		if (o->port && o->port + 1 < o->host + o->host_len)
			vector_add(text, size, "port: %u\n", o->port_value);
	}
	vector_add(text, size, "head: %u\n", o->head);
	if (o->has_length)
		vector_add(text, size, "body: %" PRIu64 "\n", (uint64_t)o->body);
	else
		vector_add(text, size, "body: %s\n", o->chunked ? "chunked" : "none");
	if (o->upgrade)
		vector_add(text, size, "upgrade: yes\n");
}

static inline void vector_say_answer(const struct judged *o, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN];
	struct in6_addr a6;

	if (o->question) {
		vector_name(text, size, "question", o);
		vector_add(text, size, "type: %u\n", o->type);
	}
	for (uint32_t i = 0; i < o->learned && i < SP_RRS_MAX; i++) {
		memcpy(&a6, o->learn[i].addr, 16);
		if (IN6_IS_ADDR_V4MAPPED(&a6))
			inet_ntop(AF_INET, o->learn[i].addr + 12, addr, sizeof(addr));
		else
			inet_ntop(AF_INET6, &a6, addr, sizeof(addr));
		vector_add(text, size, "learn: %s ttl=%u\n", addr, o->learn[i].ttl);
	}
	vector_add(text, size, "verdict: %s\n", o->verdict == SP_DONE ? "ok" : "bad");
}

/* What was said, in the form of .expect. `bytes` are those of the vector. */
static inline void vector_say(enum vector_kind kind, const struct judged *o, const uint8_t *bytes,
			      char *text, size_t size)
{
	text[0] = '\0';
	if (kind == VECTOR_ANSWER) {
		vector_say_answer(o, text, size);
		return;
	}
	if (o->verdict < 0) {
		vector_add(text, size, "verdict: bad\nreason: %s\n", vector_token(-o->verdict));
		return;
	}
	if (o->verdict == SP_MORE) {
		vector_add(text, size, "verdict: more\n");
		return;
	}
	if (kind == VECTOR_OTHER) {
		vector_add(text, size, "verdict: %s\n",
			   o->verdict == SP_DONE	 ? "http"
			   : o->verdict == JUDGE_TLS	 ? "tls"
			   : o->verdict == SP_HTTP_PROXY ? "proxy"
							 : "other");
		if (o->verdict == SP_HTTP_PROXY)
			vector_add(text, size, "head: %u\n", o->head);
		return;
	}
	if (kind == VECTOR_HTTP) {
		vector_say_http(o, bytes, text, size);
		return;
	}
	vector_add(text, size, "verdict: ok\n");
	vector_name(text, size, kind == VECTOR_TLS ? "sni" : "name", o);
	if (kind == VECTOR_TLS && o->ech)
		vector_add(text, size, "ech: yes\n");
	if (kind == VECTOR_QUERY)
		vector_add(text, size, "type: %u\nid: 0x%04x\n", o->type, o->id);
}

#endif
