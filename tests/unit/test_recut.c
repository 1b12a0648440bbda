// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_recut.c - however a stream is cut into segments, it gets the same verdict.
 *
 * The packet programs themselves (bpf/sallyport.bpf.c, by bpf_shim.h) on every vector: cut in two
 * at every byte, in three, into single bytes, at its records; in order, out of order, sent again
 * with more behind it. A segment that is dropped is sent again for as long as any goes out, as a
 * TCP does. Held against the verdict on the whole stream in one segment:
 *
 *   TLS, HTTP      the same verdict, for the same reason. Of a stream that is denied, the byte that
 *                  completes what is denied never leaves, nor one behind it
 *   DNS over TCP   the same if every segment is whole messages, otherwise denied; no message leaves
 *                  in pieces
 *   answers        teach the same addresses
 *
 * Every stream is cut at every byte. Of two cuts, and of other ways of sending long streams, there
 * is a sample; SP_RECUT=full takes more (all pairs of streams of up to 200 bytes; some minutes).
 * SP_SEED repeats a sample.
 */
#include "bpf_shim.h"

#include <time.h>

#include "bpf/tap.h"
#include "vectors.h"

#define LONG 3000 /* bytes of a stream that is cut everywhere, but not in every way */
#define STREAM_MAX (SP_STREAM_MAX + 1024)
#define SEGMENTS_MAX STREAM_MAX
#define ISN 0xfffffe00u /* sequence numbers wrap within longer streams */

static const uint64_t seed[2] = {VECTOR_SEED0, VECTOR_SEED1};
static const uint8_t server[16] = {[10] = 0xff, 0xff, 198, 18, 0, 2};
static const uint8_t resolver[16] = {[10] = 0xff, 0xff, 198, 18, 0, 53};

/* How much is tried: two cuts, and the bytes of a stream of which all pairs of them are. */
static struct {
	unsigned int pairs, all_pairs, step; /* step: of the other cuts of a long stream */
	bool brief;			     /* a long stream: only every step-th cut */
} effort = {30, 48, 64, false};

static bool full;
static uint8_t *packet;
static uint64_t random_state = 1;

static uint64_t next_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* ---- a connection --------------------------------------------------------------------------- */

/* What is sent, to whom. */
struct stream {
	const char *name;
	const uint8_t *bytes;
	uint32_t len;
	uint16_t port;
	const uint8_t *to;
};

struct segment {
	uint32_t off, len;
};

enum verdict { PASSED, DENIED, STUCK };

static const char *const verdicts[] = {"passed", "denied", "neither passed nor denied"};

struct outcome {
	enum verdict verdict;
	uint8_t reason;
	uint32_t out; /* behind the last byte that left */
};

static struct {
	uint8_t got[STREAM_MAX];
	uint32_t count, out;
	unsigned long runs, segments, by[3];
} net;

static uint32_t ack_off; /* added to what packets in acknowledge */

/* One packet through a hook: what the hook says. */
static int packet_run(int (*hook)(struct __sk_buff *), const struct stream *s, bool in,
		      uint32_t seq, uint8_t flags, const uint8_t *bytes, uint32_t len)
{
	struct __sk_buff skb = {.sk = &shim.sk, .data = (uintptr_t)packet};
	uint32_t total = 40 + len;

	memset(packet, 0, 40);
	packet[0] = 0x45;
	packet[2] = total >> 8;
	packet[3] = total;
	packet[8] = 64;
	packet[9] = IPPROTO_TCP;
	memcpy(packet + (in ? 12 : 16), s->to + 12, 4);
	packet[in ? 16 : 12] = 10;
	packet[20 + (in ? 2 : 0)] = 0xc0;
	packet[20 + (in ? 0 : 2)] = s->port >> 8;
	packet[20 + (in ? 1 : 3)] = s->port;
	packet[24] = seq >> 24;
	packet[25] = seq >> 16;
	packet[26] = seq >> 8;
	packet[27] = seq;
	if (in) { /* it acknowledges what TCP knows of as acknowledged */
		uint32_t ack = htonl(shim.tp.snd_una + ack_off);

		memcpy(packet + 28, &ack, 4);
	}
	packet[32] = 5 << 4;
	packet[33] = flags;
	if (len)
		memcpy(packet + 40, bytes, len);
	skb.len = total;
	skb.data_end = skb.data + total;
	return hook(&skb);
}

static struct sp_flow *flow(void)
{
	return bpf_sk_storage_get(&flows, &shim.sk, 0, 0);
}

static struct sp_sandbox *sandbox(void)
{
	return (struct sp_sandbox *)shim_map(&sandboxes)->data;
}

/*
 * A new socket, connected: its SYN is out. On its way in there was still a segment of an answer, of
 * an earlier connection: two bytes with which a hello could begin, and more are expected.
 */
static void flow_open(const struct stream *s)
{
	struct bpf_sock_ops established = {
		.op = BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, .rcv_nxt = ISN + 1, .sk = &shim.sk};
	struct sp_stream *late;

	for (unsigned int i = 0; i < SHIM_STORAGES; i++)
		shim.storage[i].there = false;
	sandbox()->streams = 0;
	shim_pending->entries = 0;
	shim_denied = 0;
	shim.sk = (struct bpf_sock){.family = AF_INET,
				    .type = SOCK_STREAM,
				    .protocol = IPPROTO_TCP,
				    .state = BPF_TCP_SYN_SENT};
	shim.tp = (struct bpf_tcp_sock){.snd_una = ISN + 1};
	if (sp_sock_create(&shim.sk) != 1 ||
	    packet_run(sp_egress, s, false, ISN, SP_TCP_SYN, NULL, 0) != EGRESS_PASS)
		shim_die("the connection is refused");
	shim.sk.state = BPF_TCP_ESTABLISHED;
	sp_sockops(&established);
	late = bpf_sk_storage_get(&answers, &shim.sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	late->of = flow()->base + 1;
	late->len = 2;
	memcpy(late->data, "\x16\x03", 2);
	memset(net.got, 0, s->len);
	net.count = net.out = 0;
	net.runs++;
}

/* Sends a segment, whose bytes are at `bytes`; does it leave? */
static bool segment_send(const struct stream *s, struct segment g, const uint8_t *bytes)
{
	net.segments++;
	if (packet_run(sp_egress, s, false, ISN + 1 + g.off, SP_TCP_ACK, bytes, g.len) !=
	    EGRESS_PASS)
		return false;
	for (; g.len && g.off < net.out; g.off++, g.len--) {
		net.count += !net.got[g.off];
		net.got[g.off] = 1;
	}
	if (g.len) {
		memset(net.got + g.off, 1, g.len);
		net.count += g.len;
		net.out = g.off + g.len;
	}
	return true;
}

static struct outcome outcome(const struct stream *s)
{
	struct outcome o = {STUCK, shim_denied, net.out};
	bool kept = shim_storage(&streams)->there;

	if (flow()->state == SP_FLOW_DENIED) {
		o.verdict = DENIED;
		/* whatever is tried then */
		if (segment_send(s, (struct segment){0, s->len}, s->bytes) ||
		    segment_send(s, (struct segment){s->len - 1, 1}, s->bytes + s->len - 1))
			o.verdict = STUCK;
	} else if (net.count == s->len) {
		o.verdict = PASSED;
	}
	if (sandbox()->streams != kept) {
		printf("# %s: buffers in use %llu, there %d\n", s->name,
		       (unsigned long long)sandbox()->streams, kept);
		o.verdict = STUCK;
	}
	net.by[o.verdict]++;
	return o;
}

enum { ACKED = 1 /* the server acknowledges what it has, after every segment */ };

/* Sends segments in the order given, again and again until all are out or nothing goes any more. */
static struct outcome send_all(const struct stream *s, const struct segment *g, uint32_t n, int how)
{
	static bool sent[SEGMENTS_MAX];
	bool progress;

	flow_open(s);
	memset(sent, 0, n);
	do {
		progress = false;
		for (uint32_t i = 0; i < n; i++) {
			if (sent[i] || !segment_send(s, g[i], s->bytes + g[i].off))
				continue;
			sent[i] = progress = true;
			if ((how & ACKED) && net.count == net.out)
				shim.tp.snd_una = ISN + 1 + net.out;
		}
	} while (progress && net.count < s->len);
	return outcome(s);
}

static struct outcome send_whole(const struct stream *s, uint32_t len)
{
	struct stream part = *s;
	struct segment g = {0, len};

	part.len = len;
	return send_all(&part, &g, 1, 0);
}

/* ---- what is expected ----------------------------------------------------------------------- */

struct expected {
	struct outcome whole;
	uint32_t least; /* bytes that may leave at most: one less than it takes to be denied */
	uint32_t early; /* why that many and one are: a name may be denied before the rest is bad */
};

static unsigned int wrong;

static void complain(const struct stream *s, const char *how, uint32_t a, uint32_t b,
		     const struct expected *e, const struct outcome *o)
{
	if (wrong++ < 20)
		printf("# %s to port %u, %s %u %u: %s (%s) with %u bytes out; whole: %s (%s), most "
		       "%u\n",
		       s->name, s->port, how, a, b, verdicts[o->verdict], vector_token(o->reason),
		       o->out, verdicts[e->whole.verdict], vector_token(e->whole.reason), e->least);
}

/* The verdict on the whole, and how much of it is denied already (a longer prefix then is too). */
static struct expected expect(const struct stream *s)
{
	struct expected e = {.whole = send_whole(s, s->len), .least = s->len};
	uint32_t low = 0, high = s->len; /* low passes, high is denied */

	if (e.whole.verdict == STUCK || e.whole.out != (e.whole.verdict == PASSED ? s->len : 0))
		complain(s, "whole", 0, 0, &e, &e.whole);
	e.early = e.whole.reason;
	if (e.whole.verdict != DENIED)
		return e;
	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (send_whole(s, mid).verdict == DENIED)
			high = mid;
		else
			low = mid;
	}
	e.least = low;
	e.early = send_whole(s, high).reason;
	return e;
}

static void same(const struct stream *s, const struct expected *e, const struct segment *g,
		 uint32_t n, int how, const char *what, uint32_t a, uint32_t b)
{
	struct outcome o = send_all(s, g, n, how);

	/* what looks like a hello behind the hello is judged as one if the server has it all */
	if ((how & ACKED) && (flow()->flags & SP_FLOW_SECOND) && e->whole.verdict == PASSED &&
	    o.verdict == DENIED && o.out == a)
		return;
	if (o.verdict != e->whole.verdict || o.out > e->least ||
	    (o.reason != e->whole.reason && o.reason != e->early))
		complain(s, what, a, b, e, &o);
}

#define SAME(s, e, how, what, a, b, ...)                                                           \
	do {                                                                                       \
		const struct segment g_[] = {__VA_ARGS__};                                         \
		same(s, e, g_, sizeof(g_) / sizeof(g_[0]), how, what, a, b);                       \
	} while (0)

/* ---- ways to cut ---------------------------------------------------------------------------- */

static void cut_once(const struct stream *s, const struct expected *e, uint32_t c)
{
	const uint32_t n = s->len;

	bool middle = n > LONG && c > 300 && c + 300 < n && c % effort.step;

	if (middle && effort.brief)
		return;
	SAME(s, e, 0, "cut at", c, 0, {0, c}, {c, n - c});
	if (middle)
		return;
	SAME(s, e, ACKED, "cut, acknowledged, at", c, 0, {0, c}, {c, n - c});
	SAME(s, e, 0, "out of order at", c, 0, {c, n - c}, {0, c});
	SAME(s, e, 0, "again with more from", c, 0, {0, c}, {0, n});
	SAME(s, e, 0, "again with more, half of", c, 0, {0, c}, {c / 2, n - c / 2});
	SAME(s, e, 0, "early, then whole", c, 0, {c, n - c}, {0, n});
	SAME(s, e, 0, "everything twice", c, 0, {0, c}, {0, c}, {c, n - c}, {0, n}, {c, n - c});
}

static void cut_twice(const struct stream *s, const struct expected *e, uint32_t a, uint32_t b)
{
	const struct segment g[3] = {{0, a}, {a, b - a}, {b, s->len - b}};

	SAME(s, e, 0, "in three", a, b, g[0], g[1], g[2]);
	SAME(s, e, 0, "in three, 132", a, b, g[0], g[2], g[1]);
	SAME(s, e, 0, "in three, 213", a, b, g[1], g[0], g[2]);
	SAME(s, e, 0, "in three, 231", a, b, g[1], g[2], g[0]);
	SAME(s, e, 0, "in three, 312", a, b, g[2], g[0], g[1]);
	SAME(s, e, 0, "in three, 321", a, b, g[2], g[1], g[0]);
	SAME(s, e, 0, "in three, overlapping", a, b, {0, a}, {a / 2, b - a / 2}, {a, s->len - a});
	SAME(s, e, 0, "in three, later with earlier", a, b, {0, b}, {a, s->len - a}, {0, s->len});
}

/* Segments of `step` bytes, first to last and, of short streams, last to first. */
static void cut_even(const struct stream *s, const struct expected *e, uint32_t step)
{
	static struct segment g[SEGMENTS_MAX];
	uint32_t n = 0;

	/* every segment has all that was collected parsed again */
	if (s->len / step > LONG / 3)
		return;
	for (uint32_t off = 0; off < s->len; off += step)
		g[n++] = (struct segment){off, off + step > s->len ? s->len - off : step};
	same(s, e, g, n, 0, "in even pieces of", step, 0);
	if (n > (full ? 300 : 48))
		return;
	for (uint32_t i = 0; i < n / 2; i++) {
		struct segment t = g[i];

		g[i] = g[n - 1 - i];
		g[n - 1 - i] = t;
	}
	same(s, e, g, n, 0, "backwards in even pieces of", step, 0);
}

/* At every record boundary. */
static void cut_records(const struct stream *s, const struct expected *e)
{
	static struct segment g[SEGMENTS_MAX];
	uint32_t n = 0, off = 0, len;

	while (off + 5 <= s->len && n < 400) {
		len = 5 + (s->bytes[off + 3] << 8 | s->bytes[off + 4]);
		if (len > s->len - off)
			break;
		g[n++] = (struct segment){off, len};
		off += len;
	}
	if (off < s->len)
		g[n++] = (struct segment){off, s->len - off};
	same(s, e, g, n, 0, "at its records", n, 0);
}

static void cut_all(const struct stream *s)
{
	struct expected e = expect(s);

	if (s->len < 2)
		return;
	for (uint32_t c = 1; c < s->len; c++)
		cut_once(s, &e, c);
	if (s->len <= effort.all_pairs) {
		for (uint32_t a = 1; a < s->len; a++)
			for (uint32_t b = a + 1; b < s->len; b++)
				cut_twice(s, &e, a, b);
	} else {
		for (unsigned int i = 0; i < effort.pairs; i++) {
			uint32_t a = 1 + next_random() % (s->len - 2);

			cut_twice(s, &e, a, a + 1 + next_random() % (s->len - a - 1));
		}
	}
	cut_even(s, &e, 1);
	cut_even(s, &e, 7);
	cut_even(s, &e, 1400);
	if (s->bytes[0] == SP_TLS_HANDSHAKE)
		cut_records(s, &e);
}

/* Where messages end, in a stream of whole ones. */
static bool at_message(const struct stream *s, uint32_t c)
{
	uint32_t off = 0;

	while (off < c && off + 2 <= s->len)
		off += 2 + (s->bytes[off] << 8 | s->bytes[off + 1]);
	return off == c;
}

/* Or behind a length that may go ahead of its message? */
static bool at_length(const struct stream *s, uint32_t at)
{
	uint32_t len;

	if (at < 2 || !at_message(s, at - 2))
		return false;
	len = s->bytes[at - 2] << 8 | s->bytes[at - 1];
	return len && len <= SP_DNS_QUERY_MAX;
}

/* ---- retransmissions with other bytes ------------------------------------------------------- */

static unsigned long changed_seen, changed_unseen;

/* Is a hello of which bytes are changed, once they were judged or are kept, denied? */
static void change_tls(const struct stream *s, const struct expected *e)
{
	static uint8_t other[STREAM_MAX];

	memcpy(other, s->bytes, s->len);
	for (uint32_t c = 1; c <= s->len; c += s->len > LONG ? 97 : 1) {
		uint32_t at = next_random() % c, from = next_random() % (at + 1);
		struct outcome o;

		/* only what was let out can be sent again; the bytes behind may be judged, or new
		 */
		if (c > e->least)
			break;
		other[at] ^= 1 << next_random() % 8;
		flow_open(s);
		segment_send(s, (struct segment){0, c}, s->bytes);
		if (flow()->state != SP_FLOW_TLS && flow()->state != SP_FLOW_TLS_DONE)
			return; /* neither promised nor begun: not a hello */
		segment_send(s, (struct segment){from, s->len - from}, other + from);
		o = outcome(s);
		if (flow()->hello_end && at >= flow()->hello_end)
			o.verdict = DENIED; /* behind the hello: not looked at */
		if (o.verdict != DENIED || o.out > c)
			complain(s, "changed", c, at, e, &o);
		changed_seen++;
		other[at] = s->bytes[at];
	}
}

/*
 * What SECURITY.md says of HTTP and DNS over TCP: what was judged is not compared with what is sent
 * again. The verdict is that on the bytes that were sent first, and so is what the rest is read
 * with.
 */
static void change_others(const struct stream *s, const struct expected *e)
{
	static uint8_t other[STREAM_MAX];

	memcpy(other, s->bytes, s->len);
	for (uint32_t c = 1; c < s->len && c <= e->least; c += s->len > LONG ? 97 : 1) {
		uint32_t at = next_random() % c;
		struct outcome o;

		memcpy(other, s->bytes, s->len);
		other[at] ^= 0x20;
		flow_open(s);
		segment_send(s, (struct segment){0, c}, s->bytes);
		if (flow()->state != SP_FLOW_HTTP && !(s->port == 53 && at_message(s, c)))
			continue;
		segment_send(s, (struct segment){0, s->len}, other);
		o = outcome(s);
		if (o.verdict != e->whole.verdict || o.reason != e->whole.reason)
			complain(s, "changed, and not compared", c, at, e, &o);
		changed_unseen += o.verdict == PASSED;
	}
}

/* ---- records -------------------------------------------------------------------------------- */

/* The first handshake message of a stream, without its records: bytes, or 0 if it is not whole. */
static uint32_t message_of(const struct stream *s, uint8_t *to)
{
	uint32_t off = 0, have = 0;

	while (off + 5 <= s->len) {
		uint32_t len = s->bytes[off + 3] << 8 | s->bytes[off + 4];

		if (s->bytes[off] != 22 || s->bytes[off + 1] != 3 || len == 0 || len > 16384)
			return 0;
		off += 5;
		if (len > s->len - off)
			len = s->len - off;
		memcpy(to + have, s->bytes + off, len);
		have += len;
		off += len;
		if (have >= 4) {
			uint32_t need = 4 + (to[1] << 16 | to[2] << 8 | to[3]);

			if (have >= need)
				return need;
		}
	}
	return 0;
}

static uint32_t put_record(uint8_t *to, const uint8_t *bytes, uint32_t len)
{
	to[0] = 22;
	to[1] = 3;
	to[2] = 1;
	to[3] = len >> 8;
	to[4] = len;
	memcpy(to + 5, bytes, len);
	return 5 + len;
}

static unsigned long refragmented;

/* How much of a message the first record must hold: a hello up to its server name, or all of it. */
static uint32_t name_end(const uint8_t *m, uint32_t n)
{
	uint32_t off = 38;

	if (m[0] != 1)
		return 0;
	for (int i = 0; i < 3 && off + 2 < n; i++)
		off += i == 1 ? 2 + (m[off] << 8 | m[off + 1]) : 1 + m[off];
	for (off += 2; off + 4 <= n; off += 4 + (m[off + 2] << 8 | m[off + 3]))
		if (m[off] == 0 && m[off + 1] == 0)
			return off + 4 + (m[off + 2] << 8 | m[off + 3]);
	return n;
}

/* As the whole was judged; or, where the name is not in the first record, denied for that. */
static bool same_or_late(const struct outcome *o, const struct expected *e, bool late)
{
	if (late && o->verdict == DENIED && o->reason == SP_REASON_TLS_SNI_MALFORMED)
		return true;
	return (!late || o->verdict == DENIED) && o->verdict == e->whole.verdict &&
	       o->reason == e->whole.reason;
}

/* The message of a hello in other records: two of every size, and as many as there are bytes. */
static void cut_into_records(const struct stream *s, const struct expected *e)
{
	static uint8_t message[STREAM_MAX], again[STREAM_MAX + 16];
	struct expected alone = {0};
	struct stream t = *s;
	uint32_t n = message_of(s, message);

	/* another message with other lengths would be judged; a record has its bounds */
	uint32_t end = name_end(message, n);

	if (n < 2 || n > 16384 || n + 10 > SP_STREAM_MAX || e->whole.verdict == STUCK)
		return;
	t.bytes = again;
	/* only the message is cut: what stood behind it is not there, nor its own records */
	if (e->whole.reason == SP_REASON_TLS_SECOND ||
	    e->whole.reason == SP_REASON_TLS_SNI_MALFORMED) {
		t.len = put_record(again, message, n);
		alone = expect(&t);
		e = &alone;
	}
	for (uint32_t k = 1; k<n; k += n> LONG ? 31 : 1) {
		uint32_t first = put_record(again, message, k);
		struct expected last = *e;
		struct outcome o;

		t.len = first + put_record(again + first, message + k, n - k);
		o = send_whole(&t, t.len);
		refragmented++;
		if (!same_or_late(&o, e, k < end))
			complain(&t, "records cut at", k, 0, e, &o);
		last.whole = o;
		last.early = e->early;
		last.least = t.len - (o.verdict == DENIED);
		if (n > LONG)
			continue;
		SAME(&t, &last, 0, "records and segments cut at", k, 0, {0, first},
		     {first, t.len - first});
		SAME(&t, &last, 0, "records and segments out of order at", k, 0,
		     {first, t.len - first}, {0, first});
	}
	if (6 * n > SP_STREAM_MAX)
		return;
	t.len = 0;
	for (uint32_t k = 0; k < n; k++)
		t.len += put_record(again + t.len, message + k, 1);
	struct expected f = expect(&t);

	refragmented++;
	if (!same_or_late(&f.whole, e, 1 < end))
		complain(&t, "one-byte records", 0, 0, e, &f.whole);
	cut_even(&t, &f, 1400);
	if (effort.brief)
		return;
	cut_even(&t, &f, 6);
	if (full)
		cut_even(&t, &f, 1);
}

/* ---- vectors -------------------------------------------------------------------------------- */

static void learn(const uint8_t *addr, uint64_t name, uint32_t acl)
{
	struct sp_learned l = {.names[0] = {name, ~0ULL, acl, 1}};
	struct sp_pair k = {.name = name};
	struct sp_pair_value v = {.expires = ~0ULL, .acl = acl, .generation = 1};

	shim_addrs->entries = shim_pairs->entries = 0;
	memcpy(k.addr, addr, 16);
	if (bpf_map_update_elem((void *)shim_addrs, addr, &l, BPF_ANY) ||
	    bpf_map_update_elem((void *)shim_pairs, &k, &v, BPF_ANY))
		shim_die("learning");
}

static uint32_t acl_of(const struct sp_name *n)
{
	uint32_t acl = name_acl(n, 0);

	if (!acl)
		shim_die("the name has no rule");
	return acl;
}

static struct judge_work work;

/* The hash and ACL of a host that no vector names. */
static void nobody(struct sp_name *n)
{
	static struct sp_stream in;
	static const char name[] = "nobody.sallyport.test";

	memset(n, 0, sizeof(*n));
	n->seed[0] = seed[0];
	n->seed[1] = seed[1];
	in.len = sizeof(name) - 1;
	memcpy(in.data, name, in.len);
	if (sp_text_name(&in, n, 0, in.len) != SP_DONE)
		shim_die("a name");
}

/* Said at the end of each kind: what was done, so that none of it can become nothing unseen. */
static void report(const char *kind, unsigned int vectors, unsigned long least)
{
	tap_ok(!wrong && net.runs > least && net.by[PASSED] && net.by[DENIED],
	       "%s: %u vectors, %lu streams in %lu segments: %lu passed, %lu denied, %u wrong",
	       kind, vectors, net.runs, net.segments, net.by[PASSED], net.by[DENIED], wrong);
	wrong = 0;
	memset(&net, 0, sizeof(net));
}

static void vector_stream(const struct vector *v, uint16_t port)
{
	struct stream s = {v->name, v->bytes, v->len, port, server};
	struct expected e;

	cut_all(&s);
	e = expect(&s);
	if (v->len < 2)
		return;
	if (v->kind == VECTOR_HTTP || v->kind == VECTOR_OTHER) {
		change_others(&s, &e);
	} else {
		change_tls(&s, &e);
		cut_into_records(&s, &e);
	}
}

/*
 * Each vector on the port that promises its protocol and on one that promises none; to a host that
 * the address was learned for, and to one it was not.
 */
static void check_streams(const struct vectors *all, enum vector_kind kind, uint16_t port)
{
	unsigned int seen = 0;
	struct sp_name other;

	nobody(&other);
	for (size_t i = 0; i < all->len; i++) {
		const struct vector *v = &all->v[i];
		bool named;

		if (v->kind != kind || v->len == 0)
			continue;
		seen++;
		vector_prepare(&work, v->bytes, v->len, 0);
		vector_judge(&work, kind);
		named = work.out.verdict == SP_DONE && work.out.name_len;
		learn(server, named ? work.out.hash : other.hash[0], acl_of(&other));
		effort.brief = false;
		vector_stream(v, port);
		effort.brief = effort.step > 16;
		vector_stream(v, 8443);
		if (!named)
			continue;
		learn(server, other.hash[0], acl_of(&other));
		vector_stream(v, port);
	}
	report(vector_kinds[kind], seen, 10000);
}

/* ---- bodies --------------------------------------------------------------------------------- */

#define POST_CHUNKED "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
#define GET_CHUNKED "GET /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
#define GET_BODY(n) "GET /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: " #n "\r\n\r\n"
#define AGAIN "GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define EVIL "GET /3 HTTP/1.1\r\nHost: evil.test\r\n\r\n"

/* What of it is a body, and what is read as a head. */
static const struct {
	const char *bytes;
	bool passes;
} bodies[] = {
	{POST_CHUNKED "0\r\n\r\n", true},
	{POST_CHUNKED "5\r\nhello\r\n0\r\n\r\n" AGAIN AGAIN, true},
	{POST_CHUNKED "00005\r\nhello\r\nA\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n" AGAIN,
	 true},
	{POST_CHUNKED "1;a=b;c=\"d\"\r\nx\r\n0;e\r\n\r\n" AGAIN, true},
	{POST_CHUNKED "3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: a\tb \r\n\r\n" AGAIN, true},
	{POST_CHUNKED "24\r\n" EVIL "\r\n0\r\n\r\n" AGAIN, true},
	{POST_CHUNKED "1\r\nx\r\n1\r\ny\r\n1\r\nz\r\n0\r\n\r\n" POST_CHUNKED "0\r\n\r\n" AGAIN,
	 true},
	{POST_CHUNKED "5\r\nhel", true},
	{GET_CHUNKED "2\r\n{}\r\n0\r\n\r\n" AGAIN, true},
	{GET_BODY(2) "{}" AGAIN, true},
	{GET_BODY(7) "{\"a\":1}" AGAIN, true},
	{GET_BODY(5) "hello" AGAIN, true},
	{GET_BODY(7) "a=b&c=d" AGAIN, true},
	{POST_CHUNKED "0\r\n\r\n" EVIL, false},
	{POST_CHUNKED "5\r\nhello\r\n0\r\n\r\n" EVIL, false},
	{POST_CHUNKED "0\r\nX: y\r\n\r\n" EVIL, false},
	{POST_CHUNKED "5\nhello\r\n0\r\n\r\n", false},
	{POST_CHUNKED "5\r\nhello\n0\r\n\r\n", false},
	{POST_CHUNKED "5\rhello\r\n0\r\n\r\n", false},
	{POST_CHUNKED "5\r\nhellox\r\n0\r\n\r\n", false},
	{POST_CHUNKED "5 \r\nhello\r\n0\r\n\r\n", false},
	{POST_CHUNKED " 5\r\nhello\r\n0\r\n\r\n", false},
	{POST_CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", false},
	{POST_CHUNKED "+5\r\nhello\r\n0\r\n\r\n", false},
	{POST_CHUNKED "\r\n", false},
	{POST_CHUNKED "g\r\n", false},
	{POST_CHUNKED "5;a b\r\nhello\r\n", false},
	{POST_CHUNKED "5;a\n\r\nhello\r\n", false},
	{POST_CHUNKED "5;a\rb\r\nhello\r\n", false},
	{POST_CHUNKED "00000000000000005\r\nhello\r\n", false},
	{POST_CHUNKED "fffffffffffffff0\r\n", false},
	{POST_CHUNKED "0\r\n" EVIL, false},
	{POST_CHUNKED "0\r\n X: y\r\n\r\n", false},
	{POST_CHUNKED "0\r\nX : y\r\n\r\n", false},
	{POST_CHUNKED "0\r\nX: y\n\r\n", false},
	{POST_CHUNKED "0\r\nX\r\n\r\n", false},
	{POST_CHUNKED "0\r\n\n" AGAIN, false},
	{POST_CHUNKED "0\r\n\r" EVIL, false},
	{GET_CHUNKED "0\r\n\r\n" EVIL, false},
	{GET_BODY(36) EVIL AGAIN, false},
	{GET_BODY(38) "\r\n" EVIL AGAIN, false},
	{GET_BODY(9) "GET / HTT" AGAIN, false},
	{GET_BODY(2) "{}" EVIL, false},
	{GET_BODY(5) "hello" EVIL, false},
};

static const char *body_of(const char *bytes, size_t i)
{
	static char name[40];

	snprintf(name, sizeof(name), "body %zu", i);
	(void)bytes;
	return name;
}

static void check_bodies(void)
{
	struct sp_name other;
	unsigned int n = sizeof(bodies) / sizeof(bodies[0]);

	/* a.test is what the address was learned for, and evil.test is not */
	vector_prepare(&work, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 32, 0);
	vector_judge(&work, VECTOR_HTTP);
	nobody(&other);
	learn(server, work.out.hash, acl_of(&other));
	effort.brief = false;
	for (size_t i = 0; i < n; i++) {
		struct stream s = {body_of(bodies[i].bytes, i), (const uint8_t *)bodies[i].bytes,
				   strlen(bodies[i].bytes), 80, server};

		for (s.port = 80; s.port <= 8080; s.port += 8000) {
			struct expected e = expect(&s);

			if (e.whole.verdict != (bodies[i].passes ? PASSED : DENIED))
				complain(&s, "a body that", i, 0, &e, &e.whole);
			cut_all(&s);
		}
	}
	report("bodies", n, 10000);
}

/* As many chunks of a byte as a packet has place for. */
static void check_chunks_many(void)
{
	static uint8_t bytes[STREAM_MAX];
	struct stream s = {"chunks", bytes, sizeof(POST_CHUNKED) - 1, 80, server};
	struct expected e;

	memcpy(bytes, POST_CHUNKED, s.len);
	while (s.len + 12 < STREAM_MAX) {
		memcpy(bytes + s.len, "1\r\nx\r\n", 6);
		s.len += 6;
	}
	memcpy(bytes + s.len, "0\r\n\r\n", 5);
	s.len += 5;
	e = expect(&s);
	tap_ok(e.whole.verdict == PASSED, "%u bytes of chunks of one byte pass", s.len);
}

/* ---- DNS over TCP --------------------------------------------------------------------------- */

static void dns_same(const struct stream *s, const struct expected *e, const struct segment *g,
		     uint32_t n, bool whole_messages, const char *what, uint32_t a)
{
	struct outcome o = send_all(s, g, n, 0);
	bool ok = whole_messages ? o.verdict == e->whole.verdict && o.reason == e->whole.reason
				 : o.verdict == DENIED;

	/* whole messages only, and none behind or at the one that is denied but its length */
	if (!ok || !(at_message(s, o.out) || at_length(s, o.out)) ||
	    (o.verdict == DENIED && o.out == s->len))
		complain(s, what, a, 0, e, &o);
}

#define DNS_SAME(s, e, whole, what, a, ...)                                                        \
	do {                                                                                       \
		const struct segment g_[] = {__VA_ARGS__};                                         \
		dns_same(s, e, g_, sizeof(g_) / sizeof(g_[0]), whole, what, a);                    \
	} while (0)

static void cut_dns(const struct stream *s)
{
	struct expected e = {.whole = send_whole(s, s->len), .least = s->len};
	uint32_t n = s->len;

	for (uint32_t c = 1; c < n; c++) {
		bool whole = at_message(s, c) || at_length(s, c);

		DNS_SAME(s, &e, whole, "cut at", c, {0, c}, {c, n - c});
		DNS_SAME(s, &e, whole, "out of order at", c, {c, n - c}, {0, c});
		DNS_SAME(s, &e, whole, "again with more from", c, {0, c}, {0, n});
		DNS_SAME(s, &e, whole, "early, then whole", c, {0, c}, {c / 2, n - c / 2});
		DNS_SAME(s, &e, whole, "everything twice", c, {0, c}, {0, c}, {c, n - c}, {0, n});
		for (unsigned int i = 0; c > 1 && i < 4; i++) {
			uint32_t a = 1 + next_random() % (c - 1);

			DNS_SAME(s, &e, whole && (at_message(s, a) || at_length(s, a)), "in three",
				 a, {0, a}, {a, c - a}, {c, n - c});
		}
	}
	if (e.whole.verdict == PASSED)
		change_others(s, &e);
}

static uint32_t put_message(uint8_t *to, const uint8_t *bytes, uint32_t len)
{
	to[0] = len >> 8;
	to[1] = len;
	memcpy(to + 2, bytes, len);
	return 2 + len;
}

/* A query for good.test, which both policies allow. */
static const uint8_t good[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
			      "\x04good\x04test\x00\x00\x01\x00\x01";

static void check_queries(const struct vectors *all)
{
	static uint8_t bytes[STREAM_MAX];
	unsigned int seen = 0;

	for (size_t i = 0; i < all->len; i++) {
		const struct vector *v = &all->v[i];
		struct stream s = {v->name, bytes, 0, 53, resolver};

		if (v->kind != VECTOR_QUERY || v->len == 0)
			continue;
		seen++;
		/* a policy that allows every name, and one that allows only the good one */
		for (uint32_t policy = 0; policy < 2; policy++) {
			shim.attach.policy = policy;
			s.len = put_message(bytes, v->bytes, v->len);
			cut_dns(&s);
			s.len = put_message(bytes, good, sizeof(good) - 1);
			s.len += put_message(bytes + s.len, v->bytes, v->len);
			s.len += put_message(bytes + s.len, good, sizeof(good) - 1);
			cut_dns(&s);
		}
		shim.attach.policy = 0;
	}
	report("query", seen, 10000);
}

/* ---- answers over TCP ----------------------------------------------------------------------- */

/* What a run of incoming segments has taught: pairs in the order they were learned. */
struct taught {
	uint32_t len;
	uint8_t pairs[SHIM_HASH_MAX * 40];
};

/* The answer to a query for nobody(), which comes behind every vector. */
static const uint8_t behind[] = "\x43\x21\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
				"\x06nobody\x09sallyport\x04test\x00\x00\x01\x00\x01"
				"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x12\x00\x09";

/* The query of message `m`, which is its answer: waits in the flow, or in the map if that has no
 * place. */
static void asked(const uint8_t *m, uint32_t len, bool in_map)
{
	struct sp_pending p = {.expires = ~0ULL, .acl = 1, .generation = 1};
	struct sp_ctx c = {.generation = 1, .now = shim.now};
	struct sp_pending_key k = {.cookie = 7};
	static struct sp_scratch s;

	memset(&s, 0, sizeof(s));
	memcpy(s.name.seed, seed, sizeof(s.name.seed));
	s.stream.len = len;
	memcpy(s.stream.data, m, len);
	sp_dns_answer(&s.stream, &s.dns, &s.name);
	k.name = s.name.hash[0];
	k.id = s.dns.id;
	k.type = s.dns.type;
	memcpy(p.resolver, resolver, 16);
	if (in_map)
		bpf_map_update_elem((void *)shim_pending, &k, &p, BPF_ANY);
	else if (!waiting_put(flow(), waiting_word(&c, &s, (const struct sp_addr *)resolver),
			      shim.now))
		shim_die("the flow has no place for a query");
}

static void receive(const struct stream *s, const struct segment *g, uint32_t n, struct taught *t)
{
	bool in_map = n % 2;
	static bool done[SEGMENTS_MAX];
	bool progress;

	flow_open(s);
	shim_addrs->entries = shim_pairs->entries = 0;
	flow()->flags |= SP_FLOW_ASKED;
	asked(s->bytes + 2, s->bytes[0] << 8 | s->bytes[1], in_map);
	asked(behind, sizeof(behind) - 1, !in_map);
	memset(done, 0, n);
	do {
		progress = false;
		for (uint32_t i = 0; i < n; i++) {
			if (done[i] || packet_run(sp_ingress, s, true, ISN + 1 + g[i].off,
						  SP_TCP_ACK, s->bytes + g[i].off, g[i].len) != 1)
				continue;
			done[i] = progress = true;
			net.segments++;
		}
	} while (progress);
	memset(t, 0, sizeof(*t));
	t->len = shim_pairs->entries;
	for (uint32_t i = 0; i < t->len; i++) {
		memcpy(t->pairs + i * 40UL, shim_hash_entry(shim_pairs, i), 40);
	}
}

/* What a query waits as differs with every bit of what its answer is held against. */
static void check_waiting(void)
{
	static struct sp_scratch s;
	static struct {
		struct sp_ctx c;
		struct sp_name name;
		struct sp_dns dns;
		struct sp_addr resolver;
	} is, was;
	const struct {
		void *at;
		unsigned int bits;
	} parts[] = {{&is.resolver, 128},
		     {&is.dns.id, 16},
		     {&is.dns.type, 16},
		     {&is.c.generation, 32},
		     {is.name.v, 256}};
	unsigned int same = 0, tried = 0;
	__u64 word;

	for (unsigned int turn = 0; turn < 50; turn++) {
		for (unsigned int i = 0; i < sizeof(was); i++)
			((uint8_t *)&was)[i] = next_random();
		s.name = was.name;
		s.dns = was.dns;
		word = waiting_word(&was.c, &s, &was.resolver);
		for (unsigned int p = 0; p < sizeof(parts) / sizeof(*parts); p++) {
			for (unsigned int bit = 0; bit < parts[p].bits; bit++) {
				is = was;
				((uint8_t *)parts[p].at)[bit / 8] ^= 1 << bit % 8;
				s.name = is.name;
				s.dns = is.dns;
				same += waiting_same(word, waiting_word(&is.c, &s, &is.resolver));
				tried++;
			}
		}
	}
	tap_ok(!same && tried == 50 * 448, "a query that waits: %u others, %u taken for it", tried,
	       same);
}

/* A connection on which an answer is awaited that an earlier one left: it is read no further. */
static void check_late(void)
{
	static uint8_t bytes[64];
	struct stream s = {"late", bytes, sizeof(bytes), 53, resolver};

	flow_open(&s);
	flow()->rx_need = 40;
	packet_run(sp_ingress, &s, true, ISN + 1, SP_TCP_ACK, bytes, 38);
	tap_ok(flow()->flags & SP_FLOW_RX_LOST,
	       "an answer begun on an earlier connection is left alone");
}

/* Segments in the peer's name that TCP would not take move nothing, whatever they say. */
static void check_spoofed(void)
{
	static const uint8_t retry[] = {0x16, 3,    3,	  0,	90,   2,    0,	  0,	86,
					3,    3,    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61,
					0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91};
	static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
	static uint8_t bytes[64];
	struct stream s = {"spoofed", bytes, sizeof(bytes), 53, resolver};
	const struct {
		uint32_t seq, ack;
		uint8_t flags;
		bool taken;
	} ways[] = {
		{0x11111111, 0, SP_TCP_SYN, false},
		{0x11111111, 0, SP_TCP_SYN | SP_TCP_ACK, false},
		{ISN + 1, 0, SP_TCP_SYN | SP_TCP_ACK, false},
		{ISN + 1, 0, 0, false},
		{ISN + 2, 0, SP_TCP_ACK, false},
		{ISN, 0, SP_TCP_ACK, false},
		{0x11111112, 0, SP_TCP_ACK, false},
		{ISN + 1, 0x1000000, SP_TCP_ACK, false},
		{ISN + 1, -0x1000000, SP_TCP_ACK, false},
		{ISN + 1, 0, SP_TCP_ACK, true},
	};
	unsigned int failed = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		ack_off = ways[i].ack;
		flow_open(&s);
		flow()->state = SP_FLOW_TLS_DONE;
		packet_run(sp_ingress, &s, true, ways[i].seq, ways[i].flags, retry, sizeof(retry));
		failed += flow()->answer != (ways[i].taken ? SP_ANSWER_RETRY : SP_ANSWER_NONE);
		flow()->state = SP_FLOW_HTTP;
		flow()->flags |= SP_FLOW_UPGRADE;
		packet_run(sp_ingress, &s, true, ways[i].seq, ways[i].flags,
			   (const uint8_t *)upgrade, sizeof(upgrade) - 1);
		failed += (flow()->state == SP_FLOW_OPEN) != ways[i].taken;
		failed += flow()->rx_next != ISN + 1;
	}
	ack_off = 0;
	tap_ok(!failed, "spoofed segments: %u failed", failed);
}

static void check_answers(const struct vectors *all)
{
	static uint8_t bytes[STREAM_MAX];
	static struct taught whole, cut;
	unsigned int seen = 0;
	unsigned long runs = 0, teaching = 0, none = 0;

	for (size_t i = 0; i < all->len; i++) {
		const struct vector *v = &all->v[i];
		struct stream s = {v->name, bytes, 0, 53, resolver};
		uint32_t step, second;

		if (v->kind != VECTOR_ANSWER || v->len == 0)
			continue;
		vector_prepare(&work, v->bytes, v->len, 0);
		vector_judge(&work, VECTOR_ANSWER);
		/* more than the maps here hold, with what comes behind */
		if (work.out.learned > SHIM_HASH_MAX - 2)
			continue;
		seen++;
		s.len = put_message(bytes, v->bytes, v->len);
		second = s.len;
		s.len += put_message(bytes + s.len, behind, sizeof(behind) - 1);
		receive(&s, &(struct segment){0, s.len}, 1, &whole);
		teaching += whole.len > 1;
		none += whole.len == 0;
		step = s.len > LONG ? 61 : 1;
		/* a length that is cut in two is not read, and teaches nothing: from the third byte
		 */
		for (uint32_t c = 2; c < s.len; c += step) {
			const struct segment order[] = {{0, c}, {c, s.len - c}};
			const struct segment early[] = {{c, s.len - c}, {0, c}};
			const struct segment again[] = {{0, c}, {0, c}, {c, s.len - c}, {0, s.len}};
			const struct segment over[] = {{0, c}, {c / 2, s.len - c / 2}};

			const struct {
				const struct segment *g;
				uint32_t n;
			} ways[] = {{order, 2}, {early, 2}, {again, 4}, {over, 2}};

			if (c == second + 1)
				continue; /* so is the length of the second one */
			for (unsigned int how = 0; how < 4; how++) {
				receive(&s, ways[how].g, ways[how].n, &cut);
				runs++;
				if (memcmp(&whole, &cut, sizeof(whole)) != 0 && wrong++ < 20)
					printf("# %s, answer cut at %u (%u): teaches %u, whole: "
					       "%u\n",
					       v->name, c, how, cut.len, whole.len);
			}
		}
	}
	tap_ok(!wrong && runs > 10000 && teaching > 20 && none == 0,
	       "answer: %u vectors, %lu of them teach, %lu streams in %lu segments, %u wrong", seen,
	       teaching, runs, net.segments, wrong);
}

int main(void)
{
	const char *text = getenv("SP_RECUT");
	struct vectors all;

	if (getenv("SP_SEED"))
		random_state = strtoull(getenv("SP_SEED"), NULL, 0);
	full = text && strcmp(text, "full") == 0;
	if (full) {
		effort.pairs = 1000;
		effort.all_pairs = 200;
		effort.step = 16;
	}
	packet = shim_packet_memory(STREAM_MAX + 64);
	shim_start(seed);
	shim_policy(0,
		    "{\"version\": 1, \"dns\": {\"resolvers\": [\"198.18.0.53\"]}, \"rules\": "
		    "[{\"allow\": [\"**\"], \"ports\": [\"1-65535\"]}]}",
		    seed);
	shim_policy(1,
		    "{\"version\": 1, \"dns\": {\"resolvers\": [\"198.18.0.53\"]}, \"rules\": "
		    "[{\"allow\": [\"good.test\"], \"ports\": [\"1-65535\"]}]}",
		    seed);
	vectors_read(&all);
	check_streams(&all, VECTOR_TLS, 443);
	tap_ok(refragmented > 10000, "tls: %lu hellos in other records among them", refragmented);
	check_streams(&all, VECTOR_HTTP, 80);
	check_streams(&all, VECTOR_OTHER, 22);
	check_bodies();
	check_chunks_many();
	check_queries(&all);
	check_answers(&all);
	check_waiting();
	check_late();
	check_spoofed();
	tap_ok(changed_seen > 10000 && changed_unseen > 10000,
	       "sent again with other bytes: %lu hellos denied; %lu heads and messages let out, "
	       "the "
	       "first bytes having been judged",
	       changed_seen, changed_unseen);
	vectors_free(&all);
	return tap_end();
}
