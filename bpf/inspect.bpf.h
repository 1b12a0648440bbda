/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inspect.bpf.h - the first bytes of a TCP flow: ClientHello, HTTP/1 request heads, DNS messages.
 *
 * A flow gets here after its address was allowed. Stream offsets count from f->base (the first byte
 * behind the SYN). A handshake that is whole in one packet is judged where it lies; one that comes
 * in pieces is collected in socket storage, and the pieces go out until the one that completes it,
 * which is dropped if the verdict is a denial. Decided bytes are kept until the peer has
 * acknowledged them, so that a retransmission with other bytes is seen.
 */
#ifndef SP_INSPECT_BPF_H
#define SP_INSPECT_BPF_H

#include "learn.bpf.h"
#include "packet.bpf.h"
#include "pages.bpf.h"
#include "route.bpf.h"

/* What a step says of the packet; negative: a reason to deny the flow. */
enum { SP_PASS = 1, SP_DROP = 2 /* this packet only: it will come again */ };

static __always_inline struct bpf_sock *packet_sock(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_fullsock(sk) : NULL;
}

/* ---- collecting pieces ---------------------------------------------------------------------- */

/* The buffer of `map` (streams, answers), made if there is none and the sandbox has not too many.
 */
static __always_inline struct sp_stream *buffer_make(void *map, struct bpf_sock *sk, __u32 slot)
{
	struct sp_stream *st = bpf_sk_storage_get(map, sk, 0, 0);
	struct sp_sandbox *b;

	if (st)
		return st;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (!b || b->streams >= SP_STREAMS_MAX)
		return NULL;
	st = bpf_sk_storage_get(map, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (st)
		__sync_fetch_and_add(&b->streams, 1);
	return st;
}

static __always_inline void buffer_drop(void *map, struct bpf_sock *sk, __u32 slot)
{
	struct sp_sandbox *b;

	if (bpf_sk_storage_delete(map, sk))
		return;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (b)
		__sync_fetch_and_add(&b->streams, -1);
}

/* The flow's collecting buffer for bytes out, or NULL */
static __always_inline struct sp_stream *stream_get(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&streams, sk, 0, 0);
}

static __always_inline struct sp_stream *stream_make(struct bpf_sock *sk, struct sp_flow *f,
						     __u32 slot)
{
	f->kept = 1;
	return buffer_make(&streams, sk, slot);
}

static __always_inline void stream_drop(struct bpf_sock *sk, __u32 slot)
{
	buffer_drop(&streams, sk, slot);
}

/* What is kept of a flow's bytes out goes. */
static __always_inline void flow_forget(struct bpf_sock *sk, struct sp_flow *f, __u32 slot)
{
	if (!f->kept)
		return;
	f->kept = 0;
	bpf_sk_storage_delete(&retained, sk);
	stream_drop(sk, slot);
}

/* A piece of what was kept. */
struct sp_piece {
	__u8 b[64];
};

/* Are `left` (at most 64) bytes of the packet at `off` those of the piece? */
__noinline int same_piece(struct __sk_buff *skb, const struct sp_piece *kept, __u32 off, __u32 left)
{
	__u8 w[64] = {};
	__u32 i;

	if (!kept)
		return 0;
	if (left > 64)
		left = 64;
	left -= 1;
	SP_BARRIER(left);
	if (left > 63)
		return 0;
	left += 1;
	if (bpf_skb_load_bytes(skb, off, w, left))
		return 0;
	for (i = 0; i < 64; i++) {
		if (i >= left)
			break;
		if (w[i] != kept->b[i])
			return 0;
	}
	return 1;
}

static __always_inline int same_retained(struct __sk_buff *skb, const struct sp_retained *t,
					 __u32 off, __u32 at, __u32 left)
{
	SP_BARRIER(at);
	return at <= SP_RETAIN_MAX ? same_piece(skb, (const void *)&t->data[at], off, left) : 0;
}

static __always_inline int same_stream(struct __sk_buff *skb, const struct sp_stream *t, __u32 off,
				       __u32 at, __u32 left)
{
	SP_BARRIER(at);
	return at <= SP_STREAM_MAX ? same_piece(skb, (const void *)&t->data[at], off, left) : 0;
}

/* Up to 1,024 bytes: keeps the loop of overlap_stream() short for the verifier. */
__noinline int same_kilobyte(struct __sk_buff *skb, const struct sp_stream *t, __u32 off, __u32 at,
			     __u32 left)
{
	__u32 i;

	if (!t)
		return 0;
	for (i = 0; i < 1024; i += 64) {
		if (i >= left)
			break;
		if (!same_stream(skb, t, off + i, at + i, left - i))
			return 0;
	}
	return 1;
}

#define SP_OVERLAP_GONE 2 /* the bytes are not kept any more */

/* Do `n` bytes of the packet's payload agree with the collected stream at offset `at`? */
__noinline int overlap_stream(struct __sk_buff *skb, const struct sp_ctx *c,
			      const struct sp_stream *t, __u32 at, __u32 n)
{
	__u32 i;

	if (!c || !t || at + n > t->len)
		return SP_OVERLAP_GONE;
	for (i = 0; i < SP_STREAM_MAX; i += 1024) {
		if (i >= n)
			break;
		if (!same_kilobyte(skb, t, c->payload + i, at + i, n - i))
			return 0;
	}
	return 1;
}

__noinline int overlap_retained(struct __sk_buff *skb, const struct sp_ctx *c,
				const struct sp_retained *t, __u32 at, __u32 n)
{
	__u32 i;

	if (!c || !t || at + n > t->len)
		return SP_OVERLAP_GONE;
	for (i = 0; i < SP_RETAIN_MAX; i += 64) {
		if (i >= n)
			break;
		if (!same_retained(skb, t, c->payload + i, at + i, n - i))
			return 0;
	}
	return 1;
}

/* Do `n` bytes of the packet's payload agree with what was kept from stream offset `at`? 1, 0, GONE
 */
static __always_inline int overlap_agrees(struct __sk_buff *skb, struct bpf_sock *sk,
					  const struct sp_ctx *c, __u32 at, __u32 n)
{
	struct sp_retained *small = bpf_sk_storage_get(&retained, sk, 0, 0);
	struct sp_stream *large;

	if (small)
		return overlap_retained(skb, c, small, at, n);
	large = stream_get(sk);
	if (large)
		return overlap_stream(skb, c, large, at, n);
	return SP_OVERLAP_GONE;
}

/* Keeps the first `len` bytes of the packet's payload for comparing. Failing keeps nothing. */
__noinline int retain(struct __sk_buff *skb, const struct sp_ctx *c, struct sp_flow *f, __u32 len)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct sp_retained *small;
	struct sp_stream *large;

	if (!sk || !c || !f || len == 0)
		return 0;
	if (len > SP_RETAIN_MAX) {
		large = stream_make(sk, f, c->sandbox);
		return large ? stream_load(skb, large, c->payload, len) == SP_DONE : 0;
	}
	f->kept = 1;
	small = bpf_sk_storage_get(&retained, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!small)
		return 0;
	len -= 1;
	SP_BARRIER(len);
	if (len > SP_RETAIN_MAX - 1)
		return 0;
	len += 1;
	if (bpf_skb_load_bytes(skb, c->payload, small->data, len))
		return 0;
	small->len = len;
	return 1;
}

/* ---- TLS ------------------------------------------------------------------------------------ */

/*
 * A hello was read to the end with result r (SP_DONE or a reason); its bytes are in `in`, which is
 * s->stream or a collected stream. SP_PASS, or a reason to deny the flow.
 */
__noinline int tls_decide(struct sp_ctx *c, struct sp_flow *f, struct sp_scratch *s,
			  const struct sp_stream *in, int r)
{
	struct sp_policy_conf *conf;
	__u64 expected;

	if (!c || !f || !s || !in)
		return SP_BAD(NO_MEMORY);
	conf = policy_conf(c->policy);
	if (!conf)
		return SP_BAD(NOT_READY);
	c->kind = SP_EVENT_HANDSHAKE;
	c->detail = s->tls.ech;
	expected = f->name;
	if (r != SP_DONE) {
		if (f->flags & SP_FLOW_DENY_ONLY)
			return SP_PASS;
		if (r == SP_BAD(TLS_NOT_TLS) && (f->flags & (SP_FLOW_LENIENT | SP_FLOW_SECOND)) &&
		    f->answer != SP_ANSWER_RETRY)
			return SP_PASS;
		if (r == SP_BAD(TLS_NO_SNI) && (f->flags & SP_FLOW_LENIENT)) {
			f->hello |= SP_HELLO_READ | (s->tls.early ? SP_HELLO_EARLY : 0);
			return SP_PASS;
		}
		return r;
	}
	if (conf->ech == SP_ECH_DENY && s->tls.ech)
		return SP_BAD(TLS_ECH);
	r = sp_text_name(in, &s->name, s->tls.sni, s->tls.sni_len);
	if (r != SP_DONE) {
		if (f->flags & SP_FLOW_DENY_ONLY)
			return SP_PASS;
		c->sni_off = s->tls.sni;
		c->sni_len = in == &s->stream ? s->tls.sni_len : 0;
		return r;
	}
	c->name_len = s->name.len;
	if (in == &s->stream) {
		c->sni_off = s->tls.sni;
		c->sni_len = s->tls.sni_len;
	}
	if (f->flags & SP_FLOW_DENY_ONLY)
		return decide_not_denied(c, s, f->order) ? SP_PASS : -(int)c->reason;
	if (!decide_name(c, s, f->name, SP_REASON_SNI_ADDRESS))
		return -(int)c->reason;
	if ((f->flags & SP_FLOW_SECOND) && s->name.hash[0] != expected)
		return SP_BAD(TLS_SECOND);
	f->name = s->name.hash[0];
	f->hello |= SP_HELLO_READ | (s->tls.early ? SP_HELLO_EARLY : 0);
	return SP_PASS;
}

/* The collected stream may hold a whole hello now: SP_MORE, SP_PASS, or a reason to deny. */
__noinline int tls_judge(struct sp_ctx *c, struct sp_flow *f, struct sp_scratch *s,
			 const struct sp_stream *in)
{
	int r;

	if (!c || !f || !s || !in)
		return SP_BAD(NO_MEMORY);
	r = sp_tls_start(in, &s->tls);
	if (r == SP_DONE)
		return tls_decide(c, f, s, in, sp_tls_hello(in, &s->tls));
	if (r == SP_TLS_JOIN) {
		r = sp_tls_join(in, &s->stream, &s->tls);
		if (r == SP_DONE)
			return tls_decide(c, f, s, &s->stream, sp_tls_hello(&s->stream, &s->tls));
	}
	if (r != SP_MORE)
		return tls_decide(c, f, s, in, r);
	/* the pieces go out, and there are readers that do not wait for the last */
	if (!s->tls.once)
		return SP_MORE;
	if (s->tls.off == 0)
		in = &s->stream; /* joined as far as it is there */
	r = sp_tls_part(in, &s->tls);
	if (r != SP_MORE)
		r = tls_decide(c, f, s, in, r);
	s->tls.behind = ~0u;
	if (r < 0)
		return r;
	c->name_len = 0; /* the event is made when it is whole */
	return SP_MORE;
}

/*
 * The hello may pass; but a client that announces no early data says nothing more before the server
 * has answered: what is behind it could only be another hello. SP_PASS or a reason.
 */
static __always_inline int tls_done(struct sp_flow *f, const struct sp_scratch *s)
{
	if (f->hello == SP_HELLO_READ && f->end > s->tls.behind)
		return SP_BAD(TLS_SECOND);
	f->state = SP_FLOW_TLS_DONE;
	/* what is behind the bytes that can be kept is not part of any hello */
	f->hello_end = f->end > SP_STREAM_MAX ? SP_STREAM_MAX : f->end;
	return SP_PASS;
}

/* A segment with payload of a flow whose hello is due. */
__noinline int tls_segment(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			   struct sp_scratch *s)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct sp_stream *st;
	__u32 off, old = 0;
	int r;

	if (!sk || !c || !f || !s)
		return SP_BAD(NO_MEMORY);
	off = c->seq - f->base;
	if (off > f->end)
		return off & 0x80000000 ? SP_BAD(OVERLAP) : SP_DROP;
	s->tls.behind = ~0u; /* until a hello was found */
	st = stream_get(sk);
	if (!st) {
		if (off != 0)
			return SP_BAD(NO_MEMORY);
		/* the usual case: the first segment, and all of the hello in it */
		r = stream_load(skb, &s->stream, c->payload, c->payload_len);
		if (r != SP_DONE)
			return r;
		r = sp_tls_start(&s->stream, &s->tls);
		if (r != SP_MORE && r != SP_TLS_JOIN) {
			r = tls_decide(c, f, s, &s->stream,
				       r == SP_DONE ? sp_tls_hello(&s->stream, &s->tls) : r);
			if (r != SP_PASS)
				return r;
			f->end = c->payload_len;
			/* without a copy a retransmission could not be compared, and would not pass
			 */
			if (!retain(skb, c, f, c->payload_len))
				return SP_BAD(STREAMS_FULL);
			return tls_done(f, s);
		}
		st = stream_make(sk, f, c->sandbox);
		if (!st)
			return SP_BAD(STREAMS_FULL);
		st->len = 0;
	}
	if (off < f->end) {
		old = f->end - off;
		if (old > c->payload_len)
			old = c->payload_len;
		if (overlap_agrees(skb, sk, c, off, old) != 1)
			return SP_BAD(OVERLAP);
	}
	if (old == c->payload_len)
		return SP_PASS; /* a plain retransmission */
	if (f->end >= SP_STREAM_MAX)
		return SP_BAD(TLS_TOO_LONG);
	r = stream_append(skb, st, c->payload + old, c->payload_len - old);
	if (r != SP_DONE)
		return r;
	r = tls_judge(c, f, s, st);
	if (r < 0)
		return r;
	f->end = off + c->payload_len;
	return r == SP_PASS ? tls_done(f, s) : SP_PASS;
}

/*
 * What a client says after the server's answer, if that asks for a second hello (RFC 8446 4.1.4) or
 * cannot be told: the hello, perhaps behind a ChangeCipherSpec; or an alert, alone. SP_MORE with
 * *skip: a hello is there; SP_PASS; SP_TLS_OVER: something else; or a reason.
 */
#define SP_TLS_OVER 3
__noinline int tls_again(struct __sk_buff *skb, const struct sp_ctx *c, const struct sp_flow *f,
			 __u32 *skip)
{
	__u32 n;
	__u8 h[6] = {};

	if (!c || !f || !skip)
		return SP_BAD(NO_MEMORY);
	n = c->payload_len;
	if (bpf_skb_load_bytes(skb, c->payload, h, 6) && bpf_skb_load_bytes(skb, c->payload, h, 1))
		return SP_BAD(NO_MEMORY);
	if (h[0] == SP_TLS_CCS || h[0] == SP_TLS_ALERT) {
		/* cut or crowded, the hello that follows would not be found */
		if (n < 6 || h[3] != 0 || h[4] != (h[0] == SP_TLS_CCS ? 1 : 2))
			return SP_BAD(TLS_SECOND);
		if (h[0] == SP_TLS_ALERT)
			return n == 7 ? SP_PASS : SP_BAD(TLS_SECOND);
		if (n == 6)
			return SP_PASS; /* alone in its segment: what follows is looked at */
		*skip = 6;
		n -= 6;
		if (bpf_skb_load_bytes(skb, c->payload + 6, h, 6) &&
		    bpf_skb_load_bytes(skb, c->payload + 6, h, 1))
			return SP_BAD(NO_MEMORY);
		if (h[0] == SP_TLS_CCS || h[0] == SP_TLS_ALERT)
			return SP_BAD(TLS_SECOND);
	}
	if (h[0] == SP_TLS_HANDSHAKE && (n < 6 || h[5] == 1 || f->answer == SP_ANSWER_RETRY))
		return SP_MORE;
	return f->answer == SP_ANSWER_RETRY ? SP_BAD(TLS_SECOND) : SP_TLS_OVER;
}

/*
 * A segment behind an allowed hello: retransmissions of it must agree, and nothing else is said
 * before the server's answer, but for early data that was announced. If the answer asks for a
 * second hello, that must come next, and name the same host. Then the flow is open.
 * SP_MORE: it is a second hello, to be inspected.
 */
__noinline int tls_after(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct bpf_tcp_sock *tp = sk ? bpf_tcp_sock(sk) : NULL;
	__u32 off, n, skip = 0;
	int r;

	if (!tp || !c || !f)
		return SP_BAD(NO_MEMORY);
	off = c->seq - f->base;
	if (off < f->hello_end) {
		n = f->hello_end - off;
		if (n > c->payload_len)
			n = c->payload_len;
		r = overlap_agrees(skb, sk, c, off, n);
		if (r != 1)
			return r == 0 ? SP_BAD(OVERLAP) : SP_DROP;
		if (n == c->payload_len)
			return SP_PASS;
		/* sent again together with what comes behind */
		c->payload += n;
		c->payload_len -= n;
		c->seq += n;
	}
	if (f->answer == SP_ANSWER_NONE && tp->bytes_received)
		f->answer =
			SP_ANSWER_UNKNOWN; /* TCP took it, and it was not seen here as the first */
	if ((f->hello & SP_HELLO_READ) && f->answer == SP_ANSWER_NONE)
		return f->hello & SP_HELLO_EARLY ? SP_PASS : SP_BAD(TLS_SECOND);
	/* early data, then a hello: where the one ends and the other starts is not known */
	if ((f->hello & SP_HELLO_EARLY) && f->answer != SP_ANSWER_HELLO)
		return SP_BAD(TLS_SECOND);
	if (f->answer != SP_ANSWER_RETRY && (__s32)(tp->snd_una - (f->base + f->hello_end)) < 0)
		return SP_PASS; /* the hello may have to be sent again */
	flow_forget(sk, f, c->sandbox);
	if (f->flags & SP_FLOW_SECOND) {
		f->state = SP_FLOW_OPEN;
		return SP_PASS;
	}
	r = SP_TLS_OVER;
	if ((f->hello & SP_HELLO_READ) && f->answer != SP_ANSWER_HELLO)
		r = tls_again(skb, c, f, &skip);
	if (r == SP_TLS_OVER) {
		f->state = SP_FLOW_OPEN;
		return SP_PASS;
	}
	if (r != SP_MORE)
		return r;
	f->base = c->seq + skip;
	f->end = 0;
	f->hello_end = 0;
	f->flags |= SP_FLOW_SECOND;
	f->state = SP_FLOW_TLS;
	c->payload += skip;
	c->payload_len -= skip;
	c->seq += skip;
	return SP_MORE;
}

/*
 * An incoming segment with payload, before TCP has looked at it: whoever can send in the peer's
 * name made it, perhaps. Would TCP take it as part of the stream? Its bytes must reach to or beyond
 * f->rx_next, which TCP itself gave (sp_sockops()), and it must acknowledge about what was sent:
 * 54 bits that a stranger does not know. What is behind a hole comes again, in order.
 */
enum {
	SP_SEGMENT_NEXT = 0,
	SP_SEGMENT_EARLY, /* the SYN-ACK waits for the socket's lock: it comes again */
	SP_SEGMENT_AHEAD,
	SP_SEGMENT_OLD,
	SP_SEGMENT_STRANGE
};
#define SP_ACK_BEHIND (1u << 20)
#define SP_ACK_WINDOW (1u << 22)

__noinline int segment_place(struct __sk_buff *skb, const struct sp_ctx *c, const struct sp_flow *f)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct bpf_tcp_sock *tp = sk ? bpf_tcp_sock(sk) : NULL;
	__u32 ack = 0;
	int ahead;

	if (!tp || !c || !f || (c->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK)) != SP_TCP_ACK)
		return SP_SEGMENT_STRANGE;
	if (sk->state == BPF_TCP_SYN_SENT)
		return SP_SEGMENT_EARLY;
	if (bpf_skb_load_bytes(skb, (c->family == 2 ? 20 : 40) + 8, &ack, 4))
		return SP_SEGMENT_STRANGE;
	if (bpf_ntohl(ack) - tp->snd_una + SP_ACK_BEHIND > SP_ACK_WINDOW)
		return SP_SEGMENT_STRANGE;
	ahead = (int)(c->seq - f->rx_next);
	if (ahead > 0)
		return SP_SEGMENT_AHEAD;
	return (int)(c->seq + c->payload_len - f->rx_next) > 0 ? SP_SEGMENT_NEXT : SP_SEGMENT_OLD;
}

/* Is it the first one that the peer says anything in? 1, 0, or -1: it comes too early. */
static __always_inline int segment_first(struct __sk_buff *skb, const struct sp_ctx *c,
					 const struct sp_flow *f)
{
	int place = segment_place(skb, c, f);

	if (place == SP_SEGMENT_EARLY)
		return -1;
	return place == SP_SEGMENT_NEXT && c->seq == f->rx_next;
}

/*
 * An incoming segment of a flow with an inspector: notes what the server says first. A
 * HelloRetryRequest is a ServerHello with a random of its own (RFC 8446 4.1.3), and has a segment's
 * start to itself. SP_DROP: it comes before the connection is known to be established.
 */
__noinline int tls_answer(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f)
{
	__u64 w[2];
	__u8 h[6];
	int r;

	if (!c || !f || packet_parse(skb, c) != SP_DONE || c->protocol != IPPROTO_TCP)
		return SP_PASS;
	if (c->payload_len == 0)
		return SP_PASS;
	r = segment_first(skb, c, f);
	if (r != 1)
		return r < 0 ? SP_DROP : SP_PASS;
	if (bpf_skb_load_bytes(skb, c->payload, h, 6) ||
	    bpf_skb_load_bytes(skb, c->payload + 11, w, 16) || h[0] != SP_TLS_HANDSHAKE ||
	    h[5] != 2)
		f->answer = SP_ANSWER_UNKNOWN;
	else if (w[0] == SP_WORD(0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11) &&
		 w[1] == SP_WORD(0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91))
		f->answer = SP_ANSWER_RETRY;
	else
		f->answer = SP_ANSWER_HELLO;
	return SP_PASS;
}

/* ---- HTTP ----------------------------------------------------------------------------------- */

/* A whole head is in `in`: its Host decides. SP_PASS or a reason to deny. */
static __always_inline int http_decide(struct sp_ctx *c, struct sp_flow *f, struct sp_scratch *s,
				       const struct sp_stream *in)
{
	__u32 port, v4 = 0;
	int r, proxied;

	if (!c || !f || !s || !in)
		return SP_BAD(NO_MEMORY);
	port = s->http.port_value ? s->http.port_value : 80;
	c->kind = SP_EVENT_HANDSHAKE;
	c->detail = 0;
	/* a proxy has a port of its own; on port 80 a request is for the host that it goes to */
	proxied = (s->http.connect || s->http.target || (f->heads & SP_HEADS_TUNNEL)) &&
		  (f->flags & SP_FLOW_LENIENT);
	if (s->http.connect && !proxied)
		return SP_BAD(HTTP_NOT_HTTP);
	if (s->http.host_ip) {
		if (f->flags & SP_FLOW_DENY_ONLY)
			return SP_PASS;
		if (!proxied)
			return SP_BAD(HTTP_HOST);
		c->sni_off = s->http.host;
		c->sni_len = in == &s->stream ? s->http.host_len : 0;
		return sp_http_v4(in, &s->http, &v4) == SP_DONE && v4 &&
				       decide_proxied(c, s, v4, port)
			       ? SP_PASS
			       : SP_BAD(PROXY);
	}
	r = sp_text_name(in, &s->name, s->http.host, s->http.name_len);
	if (r != SP_DONE) {
		if (f->flags & SP_FLOW_DENY_ONLY)
			return SP_PASS;
		c->sni_off = s->http.host;
		c->sni_len = in == &s->stream ? s->http.host_len : 0;
		return SP_BAD(HTTP_HOST);
	}
	c->name_len = s->name.len;
	if (f->flags & SP_FLOW_DENY_ONLY)
		return decide_not_denied(c, s, f->order) ? SP_PASS : -(int)c->reason;
	if (!s->http.connect &&
	    decide_name(c, s, f->heads & SP_HEADS_SEEN ? f->name : 0, SP_REASON_HOST_ADDRESS)) {
		f->name = s->name.hash[0];
		return SP_PASS;
	}
	if (!proxied)
		return -(int)c->reason;
	c->sni_off = s->http.host;
	c->sni_len = in == &s->stream ? s->http.name_len : 0;
	if (!decide_proxied(c, s, 0, port))
		return -(int)c->reason;
	return SP_PASS;
}

/*
 * The body of what is no POST, PUT or PATCH: a server that does not expect one reads the next
 * request there. So it may not begin as a request line does, with a word and what is white space to
 * somebody (to Python, some of Latin-1). Takes the word's bytes. SP_PASS or a reason.
 */
#define SP_GUARD_PIECES_MAX 16
__noinline int http_guard(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			  struct sp_scratch *s)
{
	__u32 n, len, i;

	if (!c || !f || !s)
		return SP_BAD(NO_MEMORY);
	for (i = 0; i < SP_GUARD_PIECES_MAX; i++) {
		if (!f->skip || !c->payload_len)
			break;
		len = c->payload_len > 64 ? 64 : c->payload_len;
		if (len > f->skip)
			len = f->skip;
		if (stream_load(skb, &s->stream, c->payload, len) != SP_DONE)
			return SP_BAD(NO_MEMORY);
		n = sp_http_span(&s->stream, 0, len, SP_HTTP_TOKEN, 1);
		if (n < len) {
			f->heads &= ~SP_HEADS_GUARD;
			return sp_http_ends_word(sp_get8(&s->stream, n)) ? SP_BAD(HTTP_FRAMING)
									 : SP_PASS;
		}
		f->skip -= n;
		c->payload += n;
		c->payload_len -= n;
	}
	if (!f->skip)
		f->heads &= ~SP_HEADS_GUARD; /* one word, and the body is over */
	else if (c->payload_len)
		return SP_BAD(HTTP_FRAMING);
	return SP_PASS;
}

/* Takes up to 32 pieces of a chunked body from the front of the payload. As sp_chunk_byte(). */
__noinline int http_chunk_run(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			      struct sp_scratch *s)
{
	__u32 i, used;
	int r = SP_MORE;

	if (!c || !f || !s)
		return SP_BAD(NO_MEMORY);
	for (i = 0; i < 32; i++) {
		if (c->payload_len == 0)
			break;
		if ((f->chunk & 0xff) == SP_CHUNK_DATA) {
			used = f->skip > c->payload_len ? c->payload_len : f->skip;
			f->skip -= used;
			if (!f->skip)
				f->chunk = SP_CHUNK_DATA_CR;
		} else {
			used = c->payload_len > SP_CHUNK_PIECE ? SP_CHUNK_PIECE : c->payload_len;
			r = stream_load(skb, &s->stream, c->payload, used);
			if (r != SP_DONE)
				return r;
			r = sp_chunk_piece(&s->stream, &f->skip, &f->chunk, &used);
			if (used > c->payload_len)
				return SP_BAD(HTTP_FRAMING);
		}
		c->payload += used;
		c->payload_len -= used;
		if (r != SP_MORE)
			return r;
	}
	return SP_MORE;
}

/* The same for all of the payload. SP_MORE: there is more behind the body; SP_PASS; or a reason. */
#define SP_CHUNK_RUNS_MAX 32
__noinline int http_chunks(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			   struct sp_scratch *s)
{
	__u32 i;
	int r = SP_MORE;

	if (!c || !f || !s)
		return SP_BAD(NO_MEMORY);
	for (i = 0; i < SP_CHUNK_RUNS_MAX; i++) {
		r = http_chunk_run(skb, c, f, s);
		if (r != SP_MORE || c->payload_len == 0)
			break;
	}
	if (r < 0)
		return r;
	if (r == SP_DONE) {
		f->chunk = SP_CHUNK_NONE;
		f->skip = 0;
		return c->payload_len ? SP_MORE : SP_PASS;
	}
	return c->payload_len ? SP_BAD(HTTP_TOO_LONG) : SP_PASS;
}

/*
 * Reads the head in `in`. On a port where it need not be HTTP, first: is it? As sp_http_head(), or
 * SP_HTTP_OTHER, SP_HTTP_PROXY.
 */
static __always_inline int http_read(const struct sp_stream *in, struct sp_flow *f,
				     struct sp_scratch *s)
{
	int r;

	if ((f->flags & SP_FLOW_LENIENT) && !(f->heads & (SP_HEADS_SEEN | SP_HEADS_BEGUN))) {
		r = sp_http_begin(in, &s->http);
		if (r == SP_MORE)
			/* a line of what is nearly HTTP has begun, and could be its Host */
			f->heads = (f->heads & SP_HEADS_STAY) |
				   ((s->http.near & SP_HTTP_NEAR_LINES) && s->http.line < in->len
					    ? SP_HEADS_CUT
					    : 0);
		if (r != SP_DONE)
			return r;
		f->heads = (f->heads & SP_HEADS_STAY) | SP_HEADS_BEGUN;
	}
	return sp_http_head(in, &s->http);
}

/*
 * Takes one head, or body bytes, from the front of the packet's payload; moves c->payload on.
 * SP_MORE: there is more in the packet; SP_PASS: the packet may go; or a reason to deny.
 */
__noinline int http_step(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			 struct sp_scratch *s)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct sp_stream *st;
	__u32 had = 0, used, later, switches;
	int r;

	if (!sk || !c || !f || !s)
		return SP_BAD(NO_MEMORY);
	if (c->payload_len == 0 || f->state == SP_FLOW_OPEN)
		return SP_PASS;
	if (f->chunk) {
		if (((f->chunk & 0xff) != SP_CHUNK_DATA || f->skip < c->payload_len) &&
		    packet_shared(skb))
			return SP_BAD(SHARED_PAGES);
		return http_chunks(skb, c, f, s);
	}
	if (f->heads & SP_HEADS_GUARD) {
		if (packet_shared(skb))
			return SP_BAD(SHARED_PAGES);
		r = http_guard(skb, c, f, s);
		if (r != SP_PASS || c->payload_len == 0)
			return r;
		if (!f->skip)
			return SP_MORE;
	}
	if (f->skip) {
		used = f->skip > c->payload_len ? c->payload_len : f->skip;
		f->skip -= used;
		c->payload += used;
		c->payload_len -= used;
		return c->payload_len ? SP_MORE : SP_PASS;
	}
	if (packet_shared(skb))
		return SP_BAD(SHARED_PAGES);
	st = stream_get(sk);
	/*
	 * Behind a CONNECT: a proxy that agrees has a tunnel there; one that does not, or a server
	 * that is none and answers all the same, the next request. What the answer means is not
	 * asked, but told as at the start of a connection: what is HTTP is judged, host by host.
	 */
	if ((f->heads & SP_HEADS_FRESH) && !(f->flags & SP_FLOW_UPGRADE))
		f->heads &= ~(SP_HEADS_SEEN | SP_HEADS_FRESH);
	later = f->heads & (SP_HEADS_SEEN | SP_HEADS_TUNNEL);
	if (st) {
		had = st->len;
		r = stream_append(skb, st, c->payload, c->payload_len);
		if (r == SP_DONE)
			r = http_read(st, f, s);
	} else {
		r = stream_load(skb, &s->stream, c->payload, c->payload_len);
		if (r == SP_DONE)
			r = http_read(&s->stream, f, s);
	}
	c->kind = SP_EVENT_HANDSHAKE;
	if (r == SP_MORE) {
		if (!st) {
			st = stream_make(sk, f, c->sandbox);
			if (!st)
				return SP_BAD(STREAMS_FULL);
			st->len = 0;
			r = stream_append(skb, st, c->payload, c->payload_len);
			if (r != SP_DONE)
				return r;
		}
		return SP_PASS;
	}
	if (r == SP_DONE) {
		r = st ? http_decide(c, f, s, st) : http_decide(c, f, s, &s->stream);
	} else if (r == SP_BAD(HTTP_NO_HOST) && (f->flags & SP_FLOW_DENY_ONLY)) {
		r = SP_PASS; /* it names nobody, but the next may */
	} else if (r == SP_HTTP_OTHER || (r < 0 && (f->flags & SP_FLOW_DENY_ONLY)) ||
		   (r == SP_HTTP_PROXY && (f->heads & SP_HEADS_TUNNEL))) {
		f->state = SP_FLOW_OPEN;
		r = SP_PASS;
	}
	if (r != SP_PASS && r != SP_HTTP_PROXY)
		return r;
	if (st)
		stream_drop(sk, c->sandbox);
	if (f->state == SP_FLOW_OPEN)
		return SP_PASS;
	used = s->http.head - had;
	if (s->http.head < had || used > c->payload_len)
		return SP_BAD(HTTP_MALFORMED);
	c->payload += used;
	c->payload_len -= used;
	if (r == SP_HTTP_PROXY) {
		/* the stream starts anew behind it */
		f->base += s->http.head;
		f->end = 0;
		f->heads = SP_HEADS_PROXIED;
		f->state = SP_FLOW_SNIFF;
		c->seq = f->base;
		return SP_HTTP_PROXY;
	}
	f->heads = (f->heads & SP_HEADS_STAY) | SP_HEADS_SEEN;
	switches = s->http.has_upgrade && s->http.has_connection;
	if (!later && (s->http.connect || switches))
		f->flags |= SP_FLOW_UPGRADE; /* until the server has answered (ingress) */
	if (s->http.connect)
		f->heads |= SP_HEADS_TUNNEL;
	if (s->http.connect || (switches && (f->heads & SP_HEADS_TUNNEL)))
		f->heads |= SP_HEADS_FRESH;
	f->skip = s->http.body;
	if (s->http.chunked)
		f->chunk = SP_CHUNK_SIZE;
	else if (s->http.bodyless && s->http.body && !(f->flags & SP_FLOW_DENY_ONLY))
		f->heads |= SP_HEADS_GUARD;
	return c->payload_len ? SP_MORE : SP_PASS;
}

/*
 * Would the connection end within a request head? There are servers that take the end of the stream
 * for the end of the head, and answer it. What is no request yet, on a port where it need not be
 * one, may end.
 */
__noinline int http_cut(struct __sk_buff *skb, const struct sp_flow *f)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct sp_stream *st;

	if (!sk || !f || f->state != SP_FLOW_HTTP || (f->flags & SP_FLOW_DENY_ONLY))
		return 0;
	st = stream_get(sk);
	if (!st || !st->len)
		return 0;
	return !(f->flags & SP_FLOW_LENIENT) || (f->heads & ~SP_HEADS_STAY);
}

#define SP_HEADS_MAX 128 /* request heads and bodies in one packet */

__noinline int http_segment(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			    struct sp_scratch *s)
{
	__u32 off, old, i;
	int r = SP_PASS;

	if (!c || !f || !s)
		return SP_BAD(NO_MEMORY);
	off = c->seq - f->base;
	if (off != f->end) {
		/* a retransmission (perhaps with new bytes behind it), or bytes before earlier ones
		 */
		if (off - f->end < 0x80000000)
			return SP_DROP;
		old = f->end - off;
		if (old >= c->payload_len)
			return SP_PASS;
		c->payload += old;
		c->payload_len -= old;
	}
	old = f->end + c->payload_len;
	for (i = 0; i < SP_HEADS_MAX; i++) {
		r = http_step(skb, c, f, s);
		if (r != SP_MORE)
			break;
	}
	if (r == SP_MORE)
		return SP_BAD(HTTP_TOO_LONG);
	if (r == SP_PASS)
		f->end = old;
	return r;
}

/*
 * The first payload of a flow on a port that promises nothing: which inspector? What a TLS record
 * may start with is for the one; whether the rest is HTTP, the other finds out.
 */
__noinline int sniff_segment(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f)
{
	__u8 h[2] = {};

	if (!c || !f)
		return SP_BAD(NO_MEMORY);
	if (c->payload_len == 0)
		return SP_PASS;
	if (c->seq != f->base)
		return SP_DROP; /* the first bytes were dropped: they come again */
	if (bpf_skb_load_bytes(skb, c->payload, h, 2) && bpf_skb_load_bytes(skb, c->payload, h, 1))
		return SP_BAD(NO_MEMORY);
	f->state = h[0] >= SP_TLS_CCS && h[0] <= SP_TLS_HANDSHAKE ? SP_FLOW_TLS : SP_FLOW_HTTP;
	return SP_PASS;
}

/*
 * Bytes before the start of the stream, behind a header of the PROXY protocol, were judged; they
 * are cut off. SP_MORE: some are left.
 */
static __always_inline int sniff_behind(struct sp_ctx *c, const struct sp_flow *f)
{
	__u32 old = f->base - c->seq;

	if (!(f->heads & SP_HEADS_PROXIED) || old == 0 || old & 0x80000000)
		return SP_MORE;
	if (old >= c->payload_len)
		return SP_PASS;
	c->payload += old;
	c->payload_len -= old;
	c->seq += old;
	return SP_MORE;
}

/* ---- DNS over TCP --------------------------------------------------------------------------- */

/* One message from the front of the payload. SP_MORE, SP_PASS, or a reason to deny. */
__noinline int dns_tcp_message(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			       struct sp_scratch *s)
{
	__u8 h[2];
	__u32 len, head = 0;

	if (!c || !f || !s)
		return SP_BAD(NO_MEMORY);
	len = f->skip;
	if (!len) {
		if (c->payload_len < 2 || bpf_skb_load_bytes(skb, c->payload, h, 2))
			return SP_BAD(DNS_SEGMENT);
		head = 2;
		len = (__u32)h[0] << 8 | h[1];
		if (c->payload_len == 2 && len && len <= SP_DNS_QUERY_MAX) {
			/*
			 * There are clients that write the length by itself (RFC 7766 8 advises
			 * against it). It may go, it says nothing; the message must come whole.
			 */
			f->skip = len;
			return SP_PASS;
		}
	}
	if (len == 0 || len > c->payload_len - head)
		return SP_BAD(DNS_SEGMENT);
	if (stream_load(skb, &s->stream, c->payload + head, len) != SP_DONE || s->stream.len != len)
		return SP_BAD(DNS_SEGMENT);
	f->skip = 0;
	if (!dns_judge(c, s))
		return -(int)c->reason;
	if (f->flags & SP_FLOW_HOME) {
		if (!pending_add(c, s, f))
			return SP_BAD(PENDING_FULL);
		f->flags |= SP_FLOW_ASKED;
	}
	event_emit(c, f, s, SP_VERDICT_ALLOWED);
	c->payload += head + len;
	c->payload_len -= head + len;
	return c->payload_len ? SP_MORE : SP_PASS;
}

#define SP_DNS_MESSAGES_MAX 128 /* in one segment */

__noinline int dns_segment(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
			   struct sp_scratch *s)
{
	__u32 off, end, i;
	int r = SP_PASS;

	if (!c || !f || !s)
		return SP_BAD(NO_MEMORY);
	off = c->seq - f->base;
	end = off + c->payload_len;
	if (off != f->end) {
		if (off - f->end < 0x80000000)
			return SP_DROP;
		if (f->end - off >= c->payload_len)
			return SP_PASS;
		c->payload += f->end - off;
		c->payload_len -= f->end - off;
	}
	for (i = 0; i < SP_DNS_MESSAGES_MAX; i++) {
		r = dns_tcp_message(skb, c, f, s);
		if (r != SP_MORE)
			break;
	}
	if (r == SP_MORE)
		return SP_BAD(DNS_SEGMENT);
	if (r == SP_PASS)
		f->end = end;
	return r;
}

/* ---- answers over TCP ----------------------------------------------------------------------- */

/*
 * Takes one answer, or a piece of one, from the front of the payload of an incoming segment, which
 * is in order (the caller sees to that). SP_PASS: nothing to read (yet); SP_ANSWER_HERE: an answer
 * is in s->stream; SP_ANSWER_COLLECTED: in the flow's buffer for answers, which the caller drops.
 * `base` is that of the flow before anything else of it was read.
 */
enum { SP_ANSWER_HERE = 3, SP_ANSWER_COLLECTED = 4 };

__noinline int answer_tcp_message(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
				  struct sp_scratch *s, __u32 base)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct sp_stream *st;
	__u8 h[2];
	__u32 n;

	if (!sk || !c || !f || !s)
		return SP_PASS;
	if (c->payload_len == 0 || (f->flags & SP_FLOW_RX_LOST))
		return SP_PASS;
	if (f->rx_need) {
		st = bpf_sk_storage_get(&answers, sk, 0, 0);
		if (!st || st->of != base || st->len > f->rx_need)
			goto lost;
		n = f->rx_need - st->len;
		if (n > c->payload_len)
			n = c->payload_len;
		if (stream_append(skb, st, c->payload, n) != SP_DONE)
			goto lost;
		c->payload += n;
		c->payload_len -= n;
		if (st->len < f->rx_need)
			return SP_PASS;
		f->rx_need = 0;
		return SP_ANSWER_COLLECTED;
	}
	if (c->payload_len < 2 || bpf_skb_load_bytes(skb, c->payload, h, 2))
		goto lost;
	n = (__u32)h[0] << 8 | h[1];
	if (n > SP_STREAM_MAX)
		answer_too_long(c, f, s);
	if (n == 0 || n > SP_STREAM_MAX)
		goto lost;
	c->payload += 2;
	c->payload_len -= 2;
	if (n > c->payload_len) {
		st = buffer_make(&answers, sk, c->sandbox);
		if (!st)
			goto lost;
		st->of = base;
		st->len = 0;
		f->rx_need = n;
		if (c->payload_len)
			stream_append(skb, st, c->payload, c->payload_len);
		return SP_PASS;
	}
	if (stream_load(skb, &s->stream, c->payload, n) != SP_DONE)
		goto lost;
	c->payload += n;
	c->payload_len -= n;
	return SP_ANSWER_HERE;
lost:
	f->flags |= SP_FLOW_RX_LOST;
	return SP_PASS;
}

#endif
