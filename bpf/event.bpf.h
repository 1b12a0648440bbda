/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event.bpf.h - telling user space: records of the events ring, and requests for what the kernel
 * cannot do itself. A record that does not fit is counted by kind, never lost silently; requests
 * have a ring of their own, so that telemetry cannot crowd them out. What is allowed makes a record
 * only where user space asked for it; it is counted all the same.
 */
#ifndef SP_EVENT_BPF_H
#define SP_EVENT_BPF_H

#include "scratch.bpf.h"

static __always_inline void event_fill(struct sp_event *e, const struct sp_ctx *c,
				       const struct sp_flow *f, __u32 size, __u8 verdict)
{
	e->version = SP_ABI_VERSION;
	e->size = size;
	e->kind = c->kind;
	e->verdict = verdict;
	e->reason = c->reason;
	e->protocol = c->protocol;
	e->sandbox = c->sandbox;
	e->generation = c->generation;
	e->rule = c->rule;
	e->detail = c->detail;
	e->cookie = c->cookie;
	addr_copy(e->saddr, c->saddr);
	addr_copy(e->daddr, c->daddr);
	e->sport = c->sport;
	e->dport = c->dport;
	e->name_len = 0;
	e->sni_len = 0;
	e->policy = c->policy;
	e->zero = 0;
	if (f) {
		e->pid = f->pid;
		e->uid = f->uid;
		e->bytes_out = f->bytes_out;
		e->bytes_in = f->bytes_in;
		copy_words(e->comm, f->comm, sizeof(e->comm));
	} else {
		e->pid = 0;
		e->uid = 0;
		e->bytes_out = 0;
		e->bytes_in = 0;
		__builtin_memset(e->comm, 0, sizeof(e->comm));
	}
}

/* The wire form of a learned name, if it is known: names the destination of a connect or close. */
static __always_inline struct sp_name_text *learned_text(const struct sp_ctx *c)
{
	__u32 slot = c->sandbox;
	__u64 hash = c->name;
	void *inner;

	if (!hash)
		return NULL;
	inner = bpf_map_lookup_elem(&learned_names, &slot);
	return inner ? bpf_map_lookup_elem(inner, &hash) : NULL;
}

/*
 * Counts a decision and writes its record. c->name_len says that s->name is its name, c->sni_len
 * that s->stream holds the text at c->sni_off; both need s.
 */
__noinline int event_emit(const struct sp_ctx *c, const struct sp_flow *f, struct sp_scratch *s,
			  __u32 verdict)
{
	struct sp_name_text *text;
	struct sp_sandbox *b;
	struct sp_event *e;
	__u32 slot, kind, off;
	void *ring;

	if (!c)
		return 0;
	slot = c->sandbox;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (!b)
		return 0;
	kind = c->kind;
	if (kind >= SP_EVENT_KINDS)
		return 0;
	SP_BARRIER(verdict);
	if (verdict > SP_VERDICT_WOULD_DENY)
		return 0;
	if (kind != SP_EVENT_CLOSE && kind != SP_EVENT_ANSWER)
		__sync_fetch_and_add(&b->decisions[verdict], 1);
	if (verdict == SP_VERDICT_ALLOWED && !b->allowed_events)
		return 0;
	ring = bpf_map_lookup_elem(&events, &slot);
	if (!ring)
		return 0;
	text = c->name_len ? NULL : learned_text(c);
	if (s && c->sni_len) {
		e = bpf_ringbuf_reserve(ring, SP_EVENT_FULL, 0);
		if (!e)
			goto lost;
		event_fill(e, c, f, SP_EVENT_FULL, verdict);
		copy_words(e->name, s->name.wire, sizeof(e->name));
		e->name_len = c->name_len;
		off = c->sni_off;
		SP_BARRIER(off);
		if (off < SP_STREAM_MAX) {
			copy_words(e->sni, &s->stream.data[off], sizeof(e->sni));
			e->sni_len = c->sni_len > 255 ? 255 : c->sni_len;
		}
	} else if (s && c->name_len) {
		e = bpf_ringbuf_reserve(ring, SP_EVENT_NAMED, 0);
		if (!e)
			goto lost;
		event_fill(e, c, f, SP_EVENT_NAMED, verdict);
		copy_words(e->name, s->name.wire, sizeof(e->name));
		e->name_len = c->name_len;
	} else if (text) {
		e = bpf_ringbuf_reserve(ring, SP_EVENT_NAMED, 0);
		if (!e)
			goto lost;
		event_fill(e, c, f, SP_EVENT_NAMED, verdict);
		copy_words(e->name, text->wire, sizeof(e->name));
		e->name_len = text->len;
	} else {
		e = bpf_ringbuf_reserve(ring, SP_EVENT_BARE, 0);
		if (!e)
			goto lost;
		event_fill(e, c, f, SP_EVENT_BARE, verdict);
	}
	/* c->now is some ms behind. Last, or Linux 6.1 verifies twice what follows */
	e->time = bpf_ktime_get_ns();
	bpf_ringbuf_submit(e, 0);
	__sync_fetch_and_add(&b->events[kind], 1);
	return 0;
lost:
	__sync_fetch_and_add(&b->dropped[kind], 1);
	return 0;
}

static __always_inline struct sp_request *request_reserve(const struct sp_ctx *c,
							  struct sp_sandbox *b, __u8 kind)
{
	struct sp_request *q;
	__u32 slot = c->sandbox;
	void *ring = bpf_map_lookup_elem(&requests, &slot);

	if (!ring)
		return NULL;
	q = bpf_ringbuf_reserve(ring, sizeof(*q), 0);
	if (!q) {
		__sync_fetch_and_add(&b->requests_dropped, 1);
		return NULL;
	}
	q->version = SP_ABI_VERSION;
	q->kind = kind;
	q->family = c->family;
	q->sandbox = c->sandbox;
	q->time = bpf_ktime_get_ns();
	q->cookie = c->cookie;
	addr_copy(q->saddr, c->saddr);
	addr_copy(q->daddr, c->daddr);
	q->sport = c->sport;
	q->dport = c->dport;
	q->answer = c->answer;
	q->reason = c->reason;
	q->query_len = 0;
	q->rule = c->rule;
	q->bound_if = c->bound_if;
	addr_copy(q->peer, c->daddr);
	q->peer_port = c->dport;
	q->shared = 1;
	__builtin_memset(q->zero, 0, sizeof(q->zero));
	return q;
}

/* Asks user space to destroy a TCP socket whose connection was denied after it was made. */
__noinline int request_reset(const struct sp_ctx *c)
{
	struct sp_sandbox *b;
	struct sp_request *q;
	__u32 slot, i;

	if (!c)
		return 0;
	slot = c->sandbox;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (!b || !(b->serving & SP_SERVES_RESETS))
		return 0;
	q = request_reserve(c, b, SP_REQUEST_RESET);
	if (!q)
		return 0;
	for (i = 0; i < sizeof(q->query); i += 8)
		sp_store64(&q->query[i], 0);
	bpf_ringbuf_submit(q, 0);
	return 1;
}

/*
 * Asks user space to answer the denied query in s->stream. Returns 1 if somebody will: the send is
 * then reported as a success. Nobody serving, or the last question left without an answer for
 * 100 ms (a stopped or hanging process): 0, and the send fails at once instead.
 */
#define SP_ANSWER_PATIENCE_NS 100000000ULL

__noinline int request_answer(const struct sp_ctx *c, const struct sp_scratch *s,
			      const struct sp_flow *f, __u32 query_len)
{
	struct sp_sandbox *b;
	struct sp_request *q;
	__u32 slot;
	__u64 open;

	if (!c || !s || !f)
		return 0;
	slot = c->sandbox;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (!b || !(b->serving & SP_SERVES_ANSWERS))
		return 0;
	open = b->answers_asked - b->answers_given;
	if (open && c->now - b->answers_asked_ns > SP_ANSWER_PATIENCE_NS)
		return 0;
	if (query_len > sizeof(q->query))
		return 0;
	q = request_reserve(c, b, SP_REQUEST_ANSWER);
	if (!q)
		return 0;
	copy_words(q->query, s->stream.data, sizeof(q->query));
	q->query_len = query_len;
	q->shared = f->shared;
	if (f->asked_port) {
		addr_copy(q->peer, f->asked);
		q->peer_port = f->asked_port;
	}
	if (!open)
		b->answers_asked_ns = c->now;
	__sync_fetch_and_add(&b->answers_asked, 1);
	bpf_ringbuf_submit(q, 0);
	return 1;
}

#endif
