/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.h - bytes that a parser looks at, and how they are read.
 *
 * A parser gets a struct sp_stream: bytes 0..len-1 of a message or of one direction of a TCP flow.
 * The slack behind the buffer lets a whole word be read at any valid offset; what is read there is
 * not part of the message, and every length is checked against `len` before it is believed.
 */
#ifndef SP_PARSE_STREAM_H
#define SP_PARSE_STREAM_H

#include "parse.h"

#define SP_STREAM_SLACK 272

struct sp_stream {
	__u32 len;
	__u32 of; /* of an answer over TCP: sp_flow.base of its connection */
	__u8 data[SP_STREAM_MAX + SP_STREAM_SLACK];
};

SP_INLINE __u32 sp_get8(const struct sp_stream *s, __u32 off)
{
	SP_BARRIER(off); /* the register that is checked must be the one that is used */
	return off < SP_STREAM_MAX ? s->data[off] : 0;
}

SP_INLINE __u32 sp_get16(const struct sp_stream *s, __u32 off)
{
	SP_BARRIER(off);
	if (off >= SP_STREAM_MAX)
		return 0;
	return (__u32)s->data[off] << 8 | s->data[off + 1];
}

SP_INLINE __u32 sp_get32(const struct sp_stream *s, __u32 off)
{
	SP_BARRIER(off);
	if (off >= SP_STREAM_MAX)
		return 0;
	return (__u32)s->data[off] << 24 | (__u32)s->data[off + 1] << 16 |
	       (__u32)s->data[off + 2] << 8 | s->data[off + 3];
}

#endif
