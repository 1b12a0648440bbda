/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judge.h - the parsers as the programs call them (tls_judge() and tls_decide() of
 * bpf/inspect.bpf.h, http_decide(), dns_judge() and answer_learn() of bpf/learn.bpf.h), with what
 * they say written down.
 *
 * Compiled natively and into tests/bpf/parse.bpf.c, as the parsers are, so that a vector takes the
 * same way through both.
 */
#ifndef SP_TESTS_JUDGE_H
#define SP_TESTS_JUDGE_H

#include "parse/dns.h"
#include "parse/http.h"
#include "parse/name.h"
#include "parse/stream.h"
#include "parse/tls.h"

struct judged_learn {
	__u8 addr[16];
	__u32 ttl;
	__u32 zero;
};

/* All zero before a run. */
struct judged {
	__s32 verdict; /* SP_DONE, SP_MORE, or a negative reason */
	__u32 id, type;
	__u32 question; /* an answer whose header and question are right */
	__u32 name_len; /* bytes of name[]; 0: none */
	__u32 ech;
	__u32 learned;
	/* http: offsets in the stream */
	__u32 host, host_len; /* the Host field's value, with its port */
	__u32 host_ip;	      /* that is an address literal, unchecked */
	__u32 port;	      /* offset of the colon before the port; 0: none */
	__u32 port_value;
	__u32 head;
	__u32 has_length;
	__u32 upgrade;
	__u32 chunked;
	__u32 part; /* tls: the hello is not all there, but its name is */
	__u32 zero;
	__u64 body;
	__u64 hash; /* of the name */
	struct judged_learn learn[SP_RRS_MAX];
	__u8 name[256]; /* wire form */
};

struct judge_work {
	__u32 in_place; /* the stream is there already: nothing is loaded from the packet */
	__u32 zero;
	struct sp_name name; /* seed set by the caller */
	struct sp_dns dns;
	struct sp_tls tls;
	struct sp_http http;
	struct judged out;
	struct sp_stream stream;
	struct sp_stream joined;
};

SP_INLINE void judge_name(struct judge_work *w)
{
	__u32 i;

	w->out.name_len = w->name.len;
	w->out.hash = w->name.hash[0];
	for (i = 0; i < 256; i += 8)
		sp_store64(&w->out.name[i], sp_load64(&w->name.wire[i]));
}

SP_STEP int judge_query(struct judge_work *w)
{
	int r;

	if (!w)
		return 0;
	r = sp_dns_query(&w->stream, &w->dns, &w->name);
	w->out.verdict = r;
	if (r == SP_DONE) {
		w->out.id = w->dns.id;
		w->out.type = w->dns.type;
		judge_name(w);
	}
	return r;
}

/* What was taught before the section is gone through once more does not count. */
SP_STEP int judge_forget(struct judge_work *w)
{
	__u32 i;

	if (!w)
		return 0;
	for (i = 0; i < SP_RRS_MAX; i++) {
		if (i >= w->out.learned)
			break;
		sp_store64(&w->out.learn[i].addr[0], 0);
		sp_store64(&w->out.learn[i].addr[8], 0);
		w->out.learn[i].ttl = 0;
	}
	w->out.learned = 0;
	return 0;
}

/* One record: SP_MORE, SP_DONE, or a reason. */
SP_STEP int judge_record(struct judge_work *w)
{
	struct judged_learn *l;
	__u32 at, i;
	int r;

	if (!w)
		return SP_BAD(ANSWER_MALFORMED);
	r = sp_answer_next(&w->stream, &w->dns, &w->name);
	if (r == SP_RECORD_AGAIN) {
		judge_forget(w);
		return SP_MORE;
	}
	if (r != SP_RECORD_ADDRESS)
		return r;
	at = w->out.learned;
	SP_BARRIER(at);
	if (at >= SP_RRS_MAX)
		return SP_BAD(ANSWER_MALFORMED);
	l = &w->out.learn[at];
	for (i = 0; i < 16; i += 8)
		sp_store64(&l->addr[i], sp_load64(&w->dns.address[i]));
	l->ttl = w->dns.ttl;
	w->out.learned = at + 1;
	return SP_MORE;
}

SP_STEP int judge_answer(struct judge_work *w)
{
	__u32 i;
	int r;

	if (!w)
		return 0;
	r = sp_dns_answer(&w->stream, &w->dns, &w->name);
	w->out.verdict = r;
	if (r < 0)
		return r;
	w->out.question = 1;
	w->out.id = w->dns.id;
	w->out.type = w->dns.type;
	judge_name(w);
	w->out.verdict = SP_DONE;
	if (r == SP_MORE)
		return SP_DONE; /* an error code */
	for (i = 0; i < SP_RRS_MAX; i++) {
		r = judge_record(w);
		if (r < 0)
			w->out.verdict = r;
		if (r != SP_MORE)
			break;
	}
	return r;
}

SP_INLINE int judge_hello(struct judge_work *w, const struct sp_stream *in)
{
	int r = sp_tls_hello(in, &w->tls);

	if (r != SP_DONE)
		return r;
	w->out.ech = w->tls.ech;
	return sp_text_name(in, &w->name, w->tls.sni, w->tls.sni_len);
}

/* As tls_judge() of a hello that is not all there: a reason, or SP_MORE, whether it has the name.
 */
SP_INLINE int judge_part(struct judge_work *w)
{
	const struct sp_stream *in = w->tls.off ? &w->stream : &w->joined;
	int r;

	if (!w->tls.once)
		return SP_MORE;
	r = sp_tls_part(in, &w->tls);
	if (r == SP_DONE) {
		r = sp_text_name(in, &w->name, w->tls.sni, w->tls.sni_len);
		w->out.part = r == SP_DONE;
	}
	if (r < 0)
		return r;
	if (w->out.part)
		judge_name(w);
	return SP_MORE;
}

SP_STEP int judge_tls(struct judge_work *w)
{
	int r;

	if (!w)
		return 0;
	r = sp_tls_start(&w->stream, &w->tls);
	if (r == SP_DONE) {
		r = judge_hello(w, &w->stream);
	} else if (r == SP_TLS_JOIN) {
		r = sp_tls_join(&w->stream, &w->joined, &w->tls);
		if (r == SP_DONE)
			r = judge_hello(w, &w->joined);
	}
	if (r == SP_MORE)
		r = judge_part(w);
	w->out.verdict = r;
	if (r == SP_DONE)
		judge_name(w);
	return r;
}

SP_STEP int judge_http(struct judge_work *w)
{
	int r;

	if (!w)
		return 0;
	r = sp_http_head(&w->stream, &w->http);
	w->out.verdict = r;
	if (r != SP_DONE)
		return r;
	w->out.host = w->http.host;
	w->out.host_len = w->http.host_len;
	w->out.host_ip = w->http.host_ip;
	w->out.port = w->http.port;
	w->out.port_value = w->http.port_value;
	w->out.head = w->http.head;
	w->out.body = w->http.body;
	w->out.has_length = w->http.has_length;
	w->out.chunked = w->http.chunked;
	w->out.upgrade = w->http.has_upgrade && w->http.has_connection;
	if (w->http.host_ip)
		return r;
	if (sp_text_name(&w->stream, &w->name, w->http.host, w->http.name_len) == SP_DONE)
		judge_name(w);
	else
		w->out.verdict = SP_BAD(HTTP_HOST);
	return w->out.verdict;
}

/* As sniff_segment() and http_read() do it on a port that promises nothing. */
#define JUDGE_TLS 7 /* beside SP_HTTP_OTHER and SP_HTTP_PROXY */
SP_STEP int judge_other(struct judge_work *w)
{
	__u32 first;
	int r;

	if (!w)
		return 0;
	first = w->stream.len ? sp_get8(&w->stream, 0) : 0;
	if (first >= SP_TLS_CCS && first <= SP_TLS_HANDSHAKE) {
		r = sp_tls_start(&w->stream, &w->tls);
		if (r == SP_BAD(TLS_NOT_TLS))
			r = SP_HTTP_OTHER;
		else if (r != SP_MORE)
			r = JUDGE_TLS;
		w->out.verdict = r;
		return r;
	}
	w->out.verdict = sp_http_begin(&w->stream, &w->http);
	if (w->out.verdict == SP_HTTP_PROXY)
		w->out.head = w->http.head;
	return w->out.verdict;
}

#endif
