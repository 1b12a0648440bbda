/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * siphash.h - SipHash-1-3 (Aumasson and Bernstein 2012: one round a word, three at the end), a
 * keyed hash whose collisions cannot be made by who does not know the key. Over 64-bit words; who
 * calls sees to it that no input is a prefix of another.
 */
#ifndef SP_PARSE_SIPHASH_H
#define SP_PARSE_SIPHASH_H

#include "parse.h"

#define SP_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

SP_INLINE void sp_sip_round(__u64 v[4])
{
	v[0] += v[1];
	v[1] = SP_ROTL(v[1], 13) ^ v[0];
	v[0] = SP_ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = SP_ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = SP_ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = SP_ROTL(v[1], 17) ^ v[2];
	v[2] = SP_ROTL(v[2], 32);
}

SP_INLINE void sp_sip_start(__u64 v[4], const __u64 seed[2])
{
	v[0] = seed[0] ^ 0x736f6d6570736575ULL;
	v[1] = seed[1] ^ 0x646f72616e646f6dULL;
	v[2] = seed[0] ^ 0x6c7967656e657261ULL;
	v[3] = seed[1] ^ 0x7465646279746573ULL;
}

SP_INLINE void sp_sip_word(__u64 v[4], __u64 word)
{
	v[3] ^= word;
	sp_sip_round(v);
	v[0] ^= word;
}

/* The hash of what was absorbed; `state` can go on absorbing. */
SP_INLINE __u64 sp_sip_end(const __u64 state[4])
{
	__u64 v[4] = {state[0], state[1], state[2] ^ 0xff, state[3]};

	sp_sip_round(v);
	sp_sip_round(v);
	sp_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
