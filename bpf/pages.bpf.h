/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pages.bpf.h - is what a packet carries what will leave?
 *
 * sendfile(), splice() and MSG_ZEROCOPY hand pages over and not bytes: a page of a file, of a pipe
 * or of the sender's own memory hangs on the packet until the network card, or the receiver's
 * read(), has copied it. Whoever can write to the page changes what was judged, before it is sent
 * for the first time. So what is judged must lie where nobody can write any more:
 *
 * DNS over UDP: in the linear part, which is always a copy. Only what is corked from several sends,
 * spliced or sent in batches is elsewhere.
 *
 * UDP to a name: the first bytes, which say whether it is QUIC, likewise. Batches are in fragments
 * whoever made them: of these the mark below is asked.
 *
 * TCP: the payload is never in the linear part. The kernel marks packets that hold a page of
 * somebody else's (shared.bpf.h), and keeps the mark when it cuts one. Kernels from 6.10 on lost it
 * when they filled one packet up from another (tcp_grow_skb()) until that was mended in 2026.
 *
 * `shared_known` is 0 before 6.2, and where a trial saw the mark get lost (marks.bpf.c): whoever
 * starts commands refuses them the calls then (launch.c). Of open flows nothing is asked.
 */
#ifndef SP_PAGES_BPF_H
#define SP_PAGES_BPF_H

#include "scratch.bpf.h"
#include "shared.bpf.h"

/* Is the whole packet in its linear part, which only the kernel writes to? */
static __always_inline int packet_linear(const struct __sk_buff *skb)
{
	return (long)skb->data_end - (long)skb->data >= skb->len;
}

/*
 * Does the verdict on this segment stand on its bytes? Not behind a hello that the server has
 * answered with one of its own, nor behind the second, nor where no hello was read: tls_after()
 * opens these flows whatever comes. Of HTTP only the heads count: http_step() asks.
 */
static __always_inline int bytes_matter(const struct sp_flow *f, const struct sp_ctx *c)
{
	if (f->state == SP_FLOW_HTTP)
		return 0;
	if (f->state != SP_FLOW_TLS_DONE || c->seq - f->base < f->hello_end)
		return 1;
	return !(f->flags & SP_FLOW_SECOND) && (f->hello & SP_HELLO_READ) &&
	       f->answer != SP_ANSWER_HELLO;
}

#endif
