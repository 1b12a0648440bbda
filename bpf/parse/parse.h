/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse.h - what every parser here stands on.
 *
 * The parsers in this folder read hostile bytes from memory and are compiled twice: into the BPF
 * programs, and natively for unit tests, fuzzers and user space. They are written as one *step* per
 * global function over a small cursor, with loops that only dispatch, because the verifier checks a
 * global function once instead of once per path (measured: about 2,000 instructions per parser on
 * every kernel from 5.15 to 6.18, where inlined loops swing between 7,000 and 236,000).
 *
 * Rules: a step returns SP_MORE, SP_DONE, or a negative sp_reason (see SP_BAD). An exhausted bound
 * is a negative reason, never SP_DONE. Steps check their pointer arguments for NULL because the
 * verifier asks for it.
 */
#ifndef SP_PARSE_H
#define SP_PARSE_H

#include <sallyport/abi.h>
#include <sallyport/reasons.h>

#ifdef __bpf__
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#define SP_STEP __noinline
#define SP_INLINE static __always_inline
#define SP_BARRIER(x) barrier_var(x)
#else
#include <endian.h>
#include <string.h>
#define SP_STEP static inline __attribute__((unused))
#define SP_INLINE static inline __attribute__((unused))
#define SP_BARRIER(x) ((void)0)
#endif

#define SP_MORE 0
#define SP_DONE 1
#define SP_BAD(code) (-(int)SP_REASON_##code)

/*
 * Unaligned 64-bit loads and stores; byte 0 is the least significant on both sides. In BPF the
 * plain access is used, because clang splits a packed one into bytes; the verifier accepts it on
 * every architecture with efficient unaligned access (x86-64 and arm64 among them).
 */
#ifdef __bpf__
SP_INLINE __u64 sp_load64(const void *p)
{
	return *(const __u64 *)p;
}

SP_INLINE void sp_store64(void *p, __u64 v)
{
	*(__u64 *)p = v;
}
#else
SP_INLINE __u64 sp_load64(const void *p)
{
	__u64 v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

SP_INLINE void sp_store64(void *p, __u64 v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}
#endif

#endif
