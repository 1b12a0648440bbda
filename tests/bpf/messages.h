/* SPDX-License-Identifier: GPL-2.0-or-later */
/* messages.h - the messages that clients send most: for benchmarks and their gates. */
#ifndef SP_TESTS_MESSAGES_H
#define SP_TESTS_MESSAGES_H

#include <stdint.h>
#include <string.h>

#include "install.h"

static inline uint32_t message_put16(uint8_t *p, unsigned int v)
{
	p[0] = v >> 8;
	p[1] = v;
	return 2;
}

/* A query for a name; with an OPT, as resolvers and libraries send it. */
static inline uint32_t message_query(uint8_t *p, const char *name)
{
	uint32_t n = 12;

	memset(p, 0, 12);
	message_put16(p, 0x1234);
	p[2] = 1;
	p[5] = 1;
	p[11] = 1;
	n += test_wire(name, p + n, 255);
	n += message_put16(p + n, 1);
	n += message_put16(p + n, 1);
	memcpy(p + n, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
	return n + 11;
}

static inline uint32_t message_answer(uint8_t *p, const char *name, unsigned int records)
{
	uint32_t n = message_query(p, name) - 11;

	p[2] = 0x81;
	p[3] = 0x80;
	p[7] = records;
	p[11] = 0;
	for (unsigned int i = 0; i < records; i++) {
		memcpy(p + n, "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71", 15);
		p[n + 15] = i + 1;
		n += 16;
	}
	return n;
}

/* A ClientHello of `size` bytes of stream in one record: some extensions, the name, padding. */
static inline uint32_t message_hello(uint8_t *p, const char *name, uint32_t size)
{
	static const unsigned int others[] = {23, 0xff01, 10, 11, 35, 16, 5,
					      13, 18,	  51, 45, 43, 27};
	size_t len = strlen(name);
	uint32_t n, extensions;

	memset(p, 0, size);
	p[0] = 22;
	p[1] = 3;
	p[2] = 1;
	message_put16(p + 3, size - 5);
	p[5] = 1;
	message_put16(p + 7, size - 9);
	message_put16(p + 9, 0x0303);
	n = 9 + 2 + 32;
	p[n] = 32;
	n += 33;
	n += message_put16(p + n, 32) + 32; /* suites */
	p[n++] = 1;
	p[n++] = 0;
	extensions = n;
	n += 2;
	n += message_put16(p + n, 0);
	n += message_put16(p + n, len + 5);
	n += message_put16(p + n, len + 3);
	p[n++] = 0;
	n += message_put16(p + n, len);
	memcpy(p + n, name, len);
	n += len;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		n += message_put16(p + n, others[i]);
		n += message_put16(p + n, 8) + 8;
	}
	n += message_put16(p + n, 21);
	message_put16(p + n, size - n - 2);
	message_put16(p + extensions, size - extensions - 2);
	return size;
}

/* A request as libraries send it. */
static const char message_head[] =
	"GET /v1/some/path?query=1 HTTP/1.1\r\nHost: api.github.com\r\n"
	"User-Agent: curl/7.88.1\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
	"Authorization: Bearer 0123456789abcdef0123456789abcdef01234567\r\n"
	"X-Request-Id: 7b1c3f0e-53c3-4b0e-8a6e-0f1c2d3e4f50\r\nConnection: keep-alive\r\n\r\n";

#endif
