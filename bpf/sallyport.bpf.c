// SPDX-License-Identifier: GPL-2.0-or-later
/* clang-format off: a table */
/*
 * sallyport.bpf.c - the programs, one per hook.
 *
 * What each hook sees, and what is left to it:
 *
 *   sock_create   every INET socket of the sandbox is born here and gets its struct sp_flow; raw
 *                 and ping sockets, and protocols other than TCP and UDP, are refused
 *   post_bind     nobody in a sandbox serves DNS
 *   setsockopt    options that make what is sent differ from what is inspected are refused
 *   connect,      the instant error for what the packet hook would drop; notes the destination as
 *   sendmsg       it is before any NAT. Never trusted: raw sockets skip these hooks
 *   egress        the authority. Judges the packet's own addresses, DNS queries, ClientHellos and
 *                 HTTP heads
 *   ingress       reads the answers of trusted resolvers, counts
 *   sockops       marks accepted connections, tells of closed ones
 *
 * A program finds its sandbox in cgroup storage. Storage that is not filled in yet denies.
 *
 * Return values at egress: 1 passes; 0 drops and tells the sender (EPERM); 2 drops and, unless the
 * socket has asked for extended errors, tells nobody (include/linux/bpf-cgroup.h,
 * BPF_PROG_CGROUP_INET_EGRESS_RUN_ARRAY).
 */
/* clang-format on */
#include "inspect.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define ERR_PERM 1
#define ERR_CONNREFUSED 111
#define ERR_HOSTUNREACH 113

enum { EGRESS_DROP = 0, EGRESS_PASS = 1, EGRESS_SILENT = 2 };

/* ---- common --------------------------------------------------------------------------------- */

static __always_inline void ctx_start(struct sp_ctx *c, const struct sp_attach *a)
{
	c->sandbox = a->sandbox;
	c->policy = a->policy;
	c->generation = a->generation;
	c->mode = a->mode;
	c->rule = SP_RULE_DEFAULT;
	c->order = SP_ORDER_LAST;
}

/* The same, with the time: that of the last tick, some ms behind, for a third of the price. */
static __always_inline void ctx_start_now(struct sp_ctx *c, const struct sp_attach *a)
{
	ctx_start(c, a);
	c->now = bpf_ktime_get_coarse_ns();
}

/* Who is at it: the process that makes, connects or sends. */
static __always_inline void flow_process(struct sp_flow *f)
{
	f->pid = bpf_get_current_pid_tgid() >> 32;
	f->uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(f->comm, sizeof(f->comm));
}

/*
 * A denial in a hook that can say no: emits, and returns 0 to refuse; in audit_only says what would
 * have been, and returns 1.
 */
static __always_inline int refuse(struct sp_ctx *c, const struct sp_flow *f)
{
	int audit = c->mode == SP_MODE_AUDIT_ONLY;

	if (!c->generation)
		return 0; /* not filled in yet: c->sandbox is nobody's */
	event_emit(c, f, NULL, audit ? SP_VERDICT_WOULD_DENY : SP_VERDICT_DENIED);
	return audit;
}

/* ---- sockets -------------------------------------------------------------------------------- */

/* A socket that may not be, or not be used so. 1: it may all the same (audit_only). */
static __always_inline int socket_refuse(const struct sp_attach *a, struct bpf_sock *sk,
					 const struct sp_flow *f, __u32 reason, __u32 detail,
					 __u16 sport)
{
	struct sp_ctx c = {};

	ctx_start(&c, a);
	c.kind = SP_EVENT_SOCKET;
	c.reason = reason;
	c.detail = detail;
	c.sport = sport;
	if (sk)
		c.protocol = sk->protocol;
	return refuse(&c, f) ? 1 : 0;
}

SEC("cgroup/sock_create")
int sp_sock_create(struct bpf_sock *sk)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct sp_flow *f;

	if (!a->generation)
		return 0;
	f = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!f)
		return socket_refuse(a, sk, NULL, SP_REASON_NO_MEMORY, 0, 0);
	f->cgroup = a->cgroup;
	if (bpf_get_netns_cookie(sk) == a->netns)
		f->flags |= SP_FLOW_HOME;
	flow_process(f);
	if (sk->type != SOCK_STREAM && sk->type != SOCK_DGRAM)
		return socket_refuse(a, sk, f, SP_REASON_SOCKET_TYPE, sk->type, 0);
	/*
	 * SOCK_DGRAM with IPPROTO_ICMP is a ping socket, which needs no privilege. MPTCP spreads a
	 * handshake over subflows, each of which is a TCP flow here; programs that ask for it fall
	 * back to TCP.
	 */
	if (sk->protocol == IPPROTO_ICMP || sk->protocol == IPPROTO_ICMPV6)
		return socket_refuse(a, sk, f, SP_REASON_SOCKET_TYPE, sk->protocol, 0);
	if (sk->protocol != (sk->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
		return socket_refuse(a, sk, f, SP_REASON_SOCKET_PROTOCOL, sk->protocol, 0);
	return 1;
}

static __always_inline int post_bind(struct bpf_sock *sk)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);

	if (sk->src_port != 53)
		return 1;
	return socket_refuse(a, sk, bpf_sk_storage_get(&flows, sk, 0, 0), SP_REASON_BIND_DNS, 0,
			     53);
}

SEC("cgroup/post_bind4")
int sp_post_bind4(struct bpf_sock *sk)
{
	return post_bind(sk);
}

SEC("cgroup/post_bind6")
int sp_post_bind6(struct bpf_sock *sk)
{
	return post_bind(sk);
}

/* Numbers of <linux/in.h>, <linux/in6.h>, <asm-generic/socket.h>, <linux/udp.h>. */
enum {
	L_SOCKET = 1,
	L_IP = 0,
	L_IPV6 = 41,
	L_TCP = 6,
	L_UDP = 17,
	O_SO_REUSEADDR = 2,
	O_SO_BROADCAST = 6,
	O_SO_REUSEPORT = 15,
	O_SO_BINDTODEVICE = 25,
	O_SO_MARK = 36,
	O_SO_ZEROCOPY = 60,
	O_SO_BINDTOIFINDEX = 62,
	O_IP_TTL = 2,
	O_IP_OPTIONS = 4,
	O_IP_RECVERR = 11,
	O_IP_FREEBIND = 15,
	O_IP_TRANSPARENT = 19,
	O_IP_ADD_MEMBERSHIP = 35,
	O_IP_UNBLOCK_SOURCE = 37,
	O_IP_BLOCK_SOURCE = 38,
	O_IP_ADD_SOURCE_MEMBERSHIP = 39,
	O_IP_MSFILTER = 41,
	O_MCAST_JOIN_GROUP = 42, /* of either level, and so on up to */
	O_MCAST_MSFILTER = 48,
	O_IP_UNICAST_IF = 50,
	O_IPV6_2292PKTOPTIONS = 6,
	O_IPV6_UNICAST_HOPS = 16,
	O_IPV6_JOIN_GROUP = 20,
	O_IPV6_RECVERR = 25,
	O_IPV6_JOIN_ANYCAST = 27,
	O_IPV6_HOPOPTS = 54,
	O_IPV6_RTHDRDSTOPTS = 55,
	O_IPV6_RTHDR = 57,
	O_IPV6_DSTOPTS = 59,
	O_IPV6_TRANSPARENT = 75,
	O_IPV6_UNICAST_IF = 76,
	O_IPV6_FREEBIND = 78,
	O_UDP_SEGMENT = 103,
	O_TCP_ULP = 31,
};

static __always_inline int option_int(struct bpf_sockopt *ctx, int *value)
{
	int *v = ctx->optval;

	if ((void *)(v + 1) > ctx->optval_end) {
		__u8 *b = ctx->optval;

		if ((void *)(b + 1) > ctx->optval_end)
			return 0;
		*value = *b; /* the kernel takes one byte too (ip_sockglue.c) */
		return 1;
	}
	*value = *v;
	return 1;
}

/*
 * The kernel reports multicast groups and wanted sources to the link (IGMP, MLD), on no socket of
 * the sandbox's: 12 bytes and more of an address of one's choosing, at each join.
 */
static __always_inline int option_reports(const struct bpf_sockopt *ctx)
{
	int o = ctx->optname;

	if (o >= O_MCAST_JOIN_GROUP && o <= O_MCAST_MSFILTER)
		return 1;
	if (ctx->level == L_IPV6)
		return o == O_IPV6_JOIN_GROUP || o == O_IPV6_JOIN_ANYCAST;
	return o == O_IP_ADD_MEMBERSHIP || o == O_IP_UNBLOCK_SOURCE || o == O_IP_BLOCK_SOURCE ||
	       o == O_IP_ADD_SOURCE_MEMBERSHIP || o == O_IP_MSFILTER;
}

/*
 * TCP_ULP gives the calls of a socket to another protocol: kTLS, whose records pass the packet hook
 * as TCP's, is known here; SMC moves what is sent to shared memory or RDMA, which no hook sees.
 */
static __always_inline int option_tls(const struct bpf_sockopt *ctx)
{
	__u8 *v = ctx->optval;

	if ((void *)(v + 3) > ctx->optval_end || v[0] != 't' || v[1] != 'l' || v[2] != 's')
		return 0;
	return (void *)(v + 4) > ctx->optval_end || !v[3];
}

/*
 * Of an option larger than a page the kernel reads the value again, from memory that another thread
 * may have written to since: what is judged by its value must not be that long.
 */
static __always_inline int option_changes(const struct bpf_sockopt *ctx)
{
	return ctx->optlen > 4096;
}

static __always_inline int option_hops(struct bpf_sockopt *ctx)
{
	int v = -1;

	return option_changes(ctx) || (option_int(ctx, &v) && v >= 0 && v < SP_TTL_MIN);
}

static __always_inline int option_denied(struct bpf_sockopt *ctx)
{

	switch (ctx->level) {
	case L_SOCKET:
		/* an interface of one's choosing is another way to another "resolver" */
		return ctx->optname == O_SO_MARK || ctx->optname == O_SO_ZEROCOPY ||
		       ctx->optname == O_SO_BINDTODEVICE || ctx->optname == O_SO_BINDTOIFINDEX;
	case L_IP:
		if (ctx->optname == O_IP_TTL)
			return option_hops(ctx);
		/* FREEBIND: a source address that is not ours, to which answers would be sent */
		return ctx->optname == O_IP_OPTIONS || ctx->optname == O_IP_TRANSPARENT ||
		       ctx->optname == O_IP_FREEBIND || ctx->optname == O_IP_UNICAST_IF ||
		       option_reports(ctx);
	case L_IPV6:
		if (ctx->optname == O_IPV6_UNICAST_HOPS)
			return option_hops(ctx);
		return ctx->optname == O_IPV6_2292PKTOPTIONS || ctx->optname == O_IPV6_HOPOPTS ||
		       ctx->optname == O_IPV6_RTHDRDSTOPTS || ctx->optname == O_IPV6_RTHDR ||
		       ctx->optname == O_IPV6_DSTOPTS || ctx->optname == O_IPV6_TRANSPARENT ||
		       ctx->optname == O_IPV6_FREEBIND || ctx->optname == O_IPV6_UNICAST_IF ||
		       option_reports(ctx);
	case L_UDP:
		return ctx->optname == O_UDP_SEGMENT;
	case L_TCP:
		return ctx->optname == O_TCP_ULP && (option_changes(ctx) || !option_tls(ctx));
	}
	return 0;
}

/*
 * Options that are accepted and not done, in enforce: programs set them as a matter of course, and
 * take a refusal for fatal.
 */
static __always_inline int option_ignored(const struct bpf_sockopt *ctx, const struct bpf_sock *sk)
{
	if (!sk || sk->type != SOCK_DGRAM)
		return 0;
	switch (ctx->level) {
	case L_SOCKET:
		/*
		 * Go and Java set it on every datagram socket. The copy of a broadcast that this
		 * host gets itself passes no packet hook; without the option the kernel refuses
		 * every route to a broadcast address, which no program here could recognise.
		 */
		return ctx->optname == O_SO_BROADCAST;
	/*
	 * With extended errors on, a query that is dropped in order to be answered by us would fail
	 * with ENOBUFS, and glibc's resolver, which sets this option, would not wait for the
	 * answer. Connected sockets get hard errors all the same (ip(7)).
	 */
	case L_IP:
		return ctx->optname == O_IP_RECVERR;
	case L_IPV6:
		return ctx->optname == O_IPV6_RECVERR;
	}
	return 0;
}

/*
 * SO_REUSEADDR of UDP lets sockets of any user have the same port: a datagram to a listener of this
 * sandbox's could then be delivered to a service outside, the moment that the first is closed. It
 * is not needed to bind anew, as it is for TCP. So where own listeners are told from others it is
 * accepted and not done, as long as nobody needs it: a server that connects its socket to a client,
 * and binds another one to the same port for the next (socat's UDP-LISTEN with fork, iperf3), gets
 * it for the two at the connect (reuse_connected()). Both are then no listeners for the sandbox
 * itself. 1: done.
 */
static __always_inline int option_reuse(struct sp_flow *f, const struct sp_attach *a)
{
	struct sp_policy_conf *conf = policy_conf(a->policy);
	struct sp_sandbox *b;
	__u32 slot = a->sandbox;

	if (!f || !conf)
		return 0;
	if (conf->loopback != SP_LOOPBACK_OWN)
		return 1;
	f->reuse = 1;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	return b && b->reuse_pid && b->reuse_pid == bpf_get_current_pid_tgid() >> 32;
}

SEC("cgroup/setsockopt")
int sp_setsockopt(struct bpf_sockopt *ctx)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct bpf_sock *sk = ctx->sk;
	struct sp_flow *f = sk ? bpf_sk_storage_get(&flows, sk, 0, 0) : NULL;
	int r = 1;

	if (option_denied(ctx)) {
		r = socket_refuse(a, sk, f, SP_REASON_SOCKET_OPTION,
				  (__u32)ctx->level << 16 | (ctx->optname & 0xffff), 0);
	} else if (a->mode == SP_MODE_ENFORCE && option_ignored(ctx, sk)) {
		ctx->optlen = -1;
		return 1;
	} else if (sk && ctx->level == L_SOCKET &&
		   (ctx->optname == O_SO_REUSEADDR || ctx->optname == O_SO_REUSEPORT)) {
		if (a->mode == SP_MODE_ENFORCE && sk->type == SOCK_DGRAM &&
		    ctx->optname == O_SO_REUSEADDR && !option_reuse(f, a)) {
			ctx->optlen = -1;
			return 1;
		}
		/* SO_REUSEPORT is among sockets of one user, and servers of many threads need it */
		if (f)
			f->shared = 1; /* whatever the value: it could be set, bound, and unset */
	}
	/* an option larger than a page is not copied in whole: let the kernel take it from user
	 * space */
	if (ctx->optlen > 4096)
		ctx->optlen = 0;
	return r ? 1 : 0;
}

/* ---- connect, sendmsg ----------------------------------------------------------------------- */

/* Whose a socket on this host is, that a packet would come to. */
enum owner {
	OWNER_NONE = -1,
	OWNER_FOREIGN,
	OWNER_SHARED,	/* this sandbox's, UDP; sockets outside may have the same port */
	OWNER_LISTENER, /* this sandbox's, and it listens */
	OWNER_OWN,
};

/* The tuple of c, as the receiver would look for it: its size. */
static __always_inline __u32 owner_tuple(struct bpf_sock_tuple *t, const struct sp_ctx *c)
{
	if (addr_is_v4(c->daddr)) {
		t->ipv4.daddr = *(__u32 *)(c->daddr + 12);
		if (!t->ipv4.daddr)
			t->ipv4.daddr = bpf_htonl(0x7f000001);
		t->ipv4.saddr = *(__u32 *)(c->saddr + 12);
		if (!t->ipv4.saddr)
			t->ipv4.saddr = t->ipv4.daddr;
		t->ipv4.dport = bpf_htons(c->dport);
		t->ipv4.sport = bpf_htons(c->sport);
		return sizeof(t->ipv4);
	}
	__builtin_memcpy(t->ipv6.daddr, c->daddr, 16);
	if (addr_high(c->daddr) == 0 && addr_low(c->daddr) == 0)
		t->ipv6.daddr[3] = bpf_htonl(1);
	__builtin_memcpy(t->ipv6.saddr, c->saddr, 16);
	if (addr_high(c->saddr) == 0 && addr_low(c->saddr) == 0)
		__builtin_memcpy(t->ipv6.saddr, t->ipv6.daddr, 16);
	t->ipv6.dport = bpf_htons(c->dport);
	t->ipv6.sport = bpf_htons(c->sport);
	return sizeof(t->ipv6);
}

static __always_inline int owner_of(struct bpf_sock *sk, __u64 cgroup)
{
	struct sp_flow *f = bpf_sk_storage_get(&flows, sk, 0, 0);

	if (!f || f->cgroup != cgroup)
		return OWNER_FOREIGN;
	if (f->shared && sk->protocol == IPPROTO_UDP)
		return OWNER_SHARED;
	return sk->state == BPF_TCP_LISTEN ? OWNER_LISTENER : OWNER_OWN;
}

/*
 * Who would get what is sent to (daddr, dport) of this host? A call, since its tuple would not fit
 * on the stack of sp_egress().
 */
static __noinline int loopback_owner(void *ctx, const struct sp_ctx *c)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 size;
	int r;

	/* of a link-local address the receiver asks with another interface than is known here */
	if (c->daddr[0] == 0xfe && (c->daddr[1] & 0xc0) == 0x80)
		return OWNER_FOREIGN;
	size = owner_tuple(&t, c);
	if (c->protocol == IPPROTO_TCP)
		sk = bpf_sk_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk && c->protocol == IPPROTO_TCP && c->sport) {
		/*
		 * An earlier connection of these ports may still be in TIME_WAIT, which the helper
		 * does not give. A SYN ends that, and is for the listener (tcp_v4_rcv()).
		 */
		if (size == sizeof(t.ipv4))
			t.ipv4.sport = 0;
		else
			t.ipv6.sport = 0;
		sk = bpf_sk_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return OWNER_NONE;
	r = owner_of(sk, a->cgroup);
	bpf_sk_release(sk);
	return r;
}

/*
 * Is the socket of this cgroup, or one below? On which level of the hierarchy the cgroup is nobody
 * says; one that is deeper than the bound has no sockets.
 */
#define SP_CGROUP_LEVELS_MAX 32
static __always_inline int socket_within(struct bpf_sock *sk, __u64 cgroup)
{
	__u64 id;
	int i;

	for (i = 1; i <= SP_CGROUP_LEVELS_MAX; i++) {
		id = bpf_sk_ancestor_cgroup_id(sk, i);
		if (id == cgroup)
			return 1;
		if (!id)
			break;
	}
	return 0;
}

/*
 * The same for a segment that is no SYN: who has the other end of its connection? Before the
 * handshake's last segment that is the request, for which the helper gives the listener it is of.
 */
static __noinline int loopback_peer(struct __sk_buff *skb, const struct sp_ctx *c)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 size = owner_tuple(&t, c);
	int r;

	sk = bpf_sk_lookup_tcp(skb, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return OWNER_NONE;
	r = owner_of(sk, a->cgroup);
	/* just made from a request, on another CPU, and has no state of ours yet */
	if (r == OWNER_FOREIGN && sk->state == BPF_TCP_SYN_RECV && socket_within(sk, a->cgroup))
		r = OWNER_LISTENER;
	bpf_sk_release(sk);
	return r;
}

/*
 * May a hook leave a denial to the packet hook once more in this second? What the packet hook drops
 * has an entry in conntrack already, of which a host has not so many.
 */
static __always_inline int probe(const struct sp_ctx *c)
{
	__u32 slot = c->sandbox;
	struct sp_sandbox *b = bpf_map_lookup_elem(&sandboxes, &slot);
	__u64 second = c->now >> 30 << 32;

	if (!b)
		return 0;
	if (((b->probes ^ second) >> 32) == 0)
		return (__u32)__sync_fetch_and_add(&b->probes, 1) < SP_PROBES_MAX;
	b->probes = second | 1;
	return 1;
}

/*
 * Decides the destination in c: resolver, loopback, address rules, learned names. Sets action, via,
 * reason, rule. Used by the hooks before the packet and by the packet hook alike.
 */
static __always_inline int destination(void *ctx, struct sp_ctx *c, const struct sp_flow *f)
{
	struct sp_policy_conf *conf = policy_conf(c->policy);
	int owner;

	c->kind = SP_EVENT_CONNECT;
	c->action = SP_ACTION_DENY;
	c->rule = SP_RULE_DEFAULT;
	c->order = SP_ORDER_LAST;
	c->name = 0;
	c->entry_flags = 0;
	if (!conf) {
		c->reason = SP_REASON_NOT_READY;
		return 0;
	}
	if (addr_is_group(c->daddr)) {
		c->reason = SP_REASON_MULTICAST;
		return 0;
	}
	/*
	 * Loopback is what leaves by lo. IP_PKTINFO and its like put a packet to 127.0.0.1 on any
	 * wire, where who answers for that address reads it.
	 */
	if (c->ifindex && c->ifindex != SP_IFINDEX_LO && addr_is_loopback(c->daddr)) {
		c->reason = SP_REASON_LOOPBACK_WIRE;
		return 0;
	}
	/* only the packet hook has f, and knows the interface */
	if (f && c->ifindex && c->ifindex != SP_IFINDEX_LO && (f->flags & SP_FLOW_HOME) &&
	    !route_names(c)) {
		c->reason = SP_REASON_INTERFACE;
		return 0;
	}
	if (c->dport == 53 && is_resolver(conf, c->daddr, c->ifindex)) {
		c->action = SP_ACTION_ALLOW;
		c->via = SP_VIA_RESOLVER;
		c->reason = SP_REASON_RESOLVER;
		return 1;
	}
	/*
	 * A resolver behind a NAT: the packet goes elsewhere than the sender said. Only for the
	 * packet hook (f is NULL before): the datagram is judged as a query all the same, and every
	 * destination that this socket was given was allowed, or it would be tainted.
	 */
	if (f && f->asked_port == 53 && !f->tainted && is_resolver(conf, f->asked, c->ifindex)) {
		c->action = SP_ACTION_ALLOW;
		c->via = SP_VIA_RESOLVER;
		c->reason = SP_REASON_RESOLVER;
		return 1;
	}
	if (c->dport == 53) {
		c->reason = SP_REASON_UNTRUSTED_RESOLVER;
		return 0;
	}
	decide_address(c);
	if (stays_here(c) && c->via != SP_VIA_CIDR &&
	    (c->via != SP_VIA_NAME ||
	     (!decide_name_here(c) && loopback_owner(ctx, c) != OWNER_NONE))) {
		c->via = SP_VIA_LOOPBACK;
		c->action = SP_ACTION_DENY;
		c->rule = SP_RULE_DEFAULT;
		if (conf->loopback == SP_LOOPBACK_ALLOW) {
			c->action = SP_ACTION_ALLOW;
			c->reason = SP_REASON_RULE;
			return 1;
		}
		if (conf->loopback == SP_LOOPBACK_DENY) {
			c->reason = SP_REASON_LOOPBACK_DENIED;
			return 0;
		}
		owner = loopback_owner(ctx, c);
		if (owner >= OWNER_LISTENER) {
			c->action = SP_ACTION_ALLOW;
			c->reason = SP_REASON_LOOPBACK_OWN;
			return 1;
		}
		c->reason = owner == OWNER_NONE	    ? SP_REASON_NO_LISTENER
			    : owner == OWNER_SHARED ? SP_REASON_LOOPBACK_SHARED
						    : SP_REASON_LOOPBACK_FOREIGN;
		return 0;
	}
	return c->action == SP_ACTION_ALLOW;
}

/*
 * Is a destination that is denied perhaps an address of this host's own, with a listener of this
 * sandbox? Whether it stays here only the packet says.
 */
static __always_inline int perhaps_here(void *ctx, const struct sp_ctx *c)
{
	struct sp_policy_conf *conf = policy_conf(c->policy);
	int owner;

	if (!conf || conf->loopback == SP_LOOPBACK_DENY || addr_is_loopback(c->daddr) ||
	    addr_is_group(c->daddr) || c->dport == 53 || c->rule != SP_RULE_DEFAULT)
		return 0;
	owner = loopback_owner(ctx, c);
	if (conf->loopback == SP_LOOPBACK_OWN && owner < OWNER_LISTENER)
		return 0;
	return owner != OWNER_NONE && probe(c);
}

static __always_inline int flow_settled(const struct sp_flow *f, const struct sp_ctx *c)
{
	return f->generation == c->generation && c->generation && f->dport == c->dport &&
	       addr_equal(f->daddr, c->daddr);
}

/*
 * A datagram socket sends from several threads at once, and without a lock the parts of a decided
 * destination could be read as a mixture of two. So what is settled for it is one word: of IPv4
 * the destination itself, of IPv6 a keyed hash of it (SipHash-1-3). Both hold bits of the
 * generation, for what one thread settles while another is told of a new policy.
 */
#define SP_SETTLED_NAME 1ULL /* a name allowed it */
#define SP_SETTLED_V4 2ULL
#define SP_SETTLED_V6 4ULL /* never 0, which is a flow that nothing is settled for */

/* The two words of the address as addr_high() and addr_low() give them. */
__noinline __u64 settled_v6(__u64 high, __u64 low, __u32 dport, __u32 generation)
{
	struct sp_host *h;
	__u32 zero = 0;
	__u64 v[4];

	h = bpf_map_lookup_elem(&host, &zero);
	if (!h)
		return 0;
	sp_sip_start(v, h->seed);
	sp_sip_word(v, high);
	sp_sip_word(v, low);
	sp_sip_word(v, (__u64)generation << 32 | dport);
	return (sp_sip_end(v) & ~(SP_SETTLED_NAME | SP_SETTLED_V4)) | SP_SETTLED_V6;
}

/* `addr` in network byte order */
static __always_inline __u64 settled_v4(__u32 addr, __u32 dport, __u32 generation)
{
	return (__u64)addr << 32 | dport << 16 | ((generation & 0x3fff) << 2) | SP_SETTLED_V4;
}

__noinline __u64 settled_word(const struct sp_addr *daddr, __u32 dport, __u32 generation)
{
	const __u8 *a;

	if (!daddr)
		return 0;
	a = daddr->addr;
	if (addr_is_v4(a))
		return settled_v4(*(const __u32 *)(a + 12), dport, generation);
	return settled_v6(addr_high(a), addr_low(a), dport, generation);
}

/* Is `settled`, read from `f`, about the same destination as `word`, under this generation? */
static __always_inline int datagram_settled(const struct sp_flow *f, __u64 settled, __u64 word,
					    __u32 generation)
{
	/* one branch: the verifier goes through all that follows once for each */
	return word && !(((settled ^ word) & ~SP_SETTLED_NAME) | (f->generation ^ generation));
}

static __always_inline __u64 flow_word(const struct sp_flow *f)
{
	return *(const volatile __u64 *)&f->settled;
}

/* Has the packet hook let this socket send to this address before? */
static __always_inline int send_settled(struct bpf_sock_addr *ctx, const struct sp_attach *a,
					const struct sp_ctx *c)
{
	struct bpf_sock *sk = ctx->sk;
	struct sp_flow *f = sk ? bpf_sk_storage_get(&flows, sk, 0, 0) : NULL;

	if (!f || !a->generation ||
	    !datagram_settled(
		    f, flow_word(f),
		    settled_word((const struct sp_addr *)c->daddr, c->dport, a->generation),
		    a->generation))
		return 0;
	f->asked_port = 0;
	return 1;
}

/*
 * A connected socket that sends with a control message, an IP_TOS say, comes by sendmsg too, and
 * no address with it: then it is the socket's own. An address that was given has a port.
 */
static __always_inline int sends_to_peer(const struct bpf_sock_addr *ctx, int sending)
{
	return sending && !ctx->user_port && ctx->sk;
}

/*
 * A bound datagram socket that asked for SO_REUSEADDR is connected: see option_reuse(). Not to a
 * client within, for whom it would be nobody's from then on.
 */
static __always_inline void reuse_connected(struct bpf_sock_addr *ctx, const struct sp_ctx *c,
					    struct sp_flow *f)
{
	__u32 slot = c->sandbox;
	struct sp_sandbox *b;
	int on = 1;

	if (!f->reuse || f->shared || !ctx->sk || !ctx->sk->src_port ||
	    c->mode != SP_MODE_ENFORCE || addr_is_loopback(c->daddr))
		return;
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (!b)
		return;
	f->shared = 1; /* first: from then on others may have its port */
	bpf_setsockopt(ctx, L_SOCKET, O_SO_REUSEADDR, &on, sizeof(on));
	b->reuse_pid = bpf_get_current_pid_tgid() >> 32;
}

static __always_inline int before_packet(struct bpf_sock_addr *ctx, struct sp_attach *a,
					 struct sp_ctx *c, int sending)
{
	struct sp_flow *f;
	int ok;

	ctx_start_now(c, a);
	c->protocol = ctx->protocol == IPPROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	c->cookie = bpf_get_socket_cookie(ctx);
	if (!ctx->sk)
		return 1; /* the packet hook decides */
	f = bpf_sk_storage_get(&flows, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!f || !c->generation) {
		c->kind = SP_EVENT_CONNECT;
		c->reason = f ? SP_REASON_NOT_READY : SP_REASON_NO_MEMORY;
		return refuse(c, NULL);
	}
	/* a socket made by the kernel; an accepted one that was disconnected, and connects itself
	 */
	if (!f->cgroup || (f->flags & SP_FLOW_INBOUND)) {
		f->cgroup = a->cgroup;
		if (bpf_get_netns_cookie(ctx) == a->netns)
			f->flags |= SP_FLOW_HOME;
	}
	f->asked_port = 0;
	if (sending) {
		/* where the datagram will come from, as far as it is known: for the loopback
		 * look-up */
		c->sport = ctx->sk->src_port;
		if (c->family == AF_INET) {
			if (ctx->sk->src_ip4)
				addr_from_v4(c->saddr, ctx->sk->src_ip4);
		} else {
			__u32 w[4] = {ctx->sk->src_ip6[0], ctx->sk->src_ip6[1], ctx->sk->src_ip6[2],
				      ctx->sk->src_ip6[3]};

			__builtin_memcpy(c->saddr, w, 16);
		}
	}
	flow_process(f);
	ok = destination(ctx, c, NULL);
	if (!ok)
		f->tainted = 1;
	/*
	 * connect() on a datagram socket sends nothing, and getaddrinfo() does it to learn source
	 * addresses (RFC 6724), Go to port 53 of each: it may. The send that would follow gets the
	 * error. Not to groups: what is sent to one has reached this host before any packet hook.
	 */
	if (!ok && !sending && c->protocol == IPPROTO_UDP)
		ok = c->reason != SP_REASON_MULTICAST && probe(c);
	else if (!ok)
		ok = perhaps_here(ctx, c);
	if (!ok)
		return refuse(c, f);
	if (!sending && c->protocol == IPPROTO_UDP)
		reuse_connected(ctx, c, f);
	addr_copy(f->asked, c->daddr);
	f->asked_port = c->dport;
	return 1;
}

/*
 * What a refused connect says: EHOSTUNREACH, as for an ICMP "administratively prohibited"
 * (RFC 1812 5.2.7.1). Clients take it as final; wget, for one, tries again for minutes on EPERM and
 * EACCES, and npm on ECONNREFUSED. A refused send says EPERM, as the packet hook does.
 */
static __always_inline int connect_errno(const struct sp_ctx *c, int sending)
{
	if (c->reason == SP_REASON_NO_LISTENER)
		return -ERR_CONNREFUSED;
	return sending ? -ERR_PERM : -ERR_HOSTUNREACH;
}

static __always_inline int connect4(struct bpf_sock_addr *ctx, int sending)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct sp_ctx c = {};

	c.family = AF_INET;
	c.dport = bpf_ntohs(ctx->user_port);
	addr_from_v4(c.daddr, ctx->user_ip4);
	if (sends_to_peer(ctx, sending)) {
		c.dport = bpf_ntohs(ctx->sk->dst_port);
		addr_from_v4(c.daddr, ctx->sk->dst_ip4);
	}
	if (sending && send_settled(ctx, a, &c))
		return 1;
	if (before_packet(ctx, a, &c, sending))
		return 1;
	bpf_set_retval(connect_errno(&c, sending));
	return 0;
}

static __always_inline int connect6(struct bpf_sock_addr *ctx, int sending)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct sp_ctx c = {};
	__u32 w[4];

	c.family = AF_INET6;
	c.dport = bpf_ntohs(ctx->user_port);
	w[0] = ctx->user_ip6[0];
	w[1] = ctx->user_ip6[1];
	w[2] = ctx->user_ip6[2];
	w[3] = ctx->user_ip6[3];
	if (sends_to_peer(ctx, sending)) {
		c.dport = bpf_ntohs(ctx->sk->dst_port);
		w[0] = ctx->sk->dst_ip6[0];
		w[1] = ctx->sk->dst_ip6[1];
		w[2] = ctx->sk->dst_ip6[2];
		w[3] = ctx->sk->dst_ip6[3];
	}
	__builtin_memcpy(c.daddr, w, 16);
	if (sending && send_settled(ctx, a, &c))
		return 1;
	if (before_packet(ctx, a, &c, sending))
		return 1;
	bpf_set_retval(connect_errno(&c, sending));
	return 0;
}

SEC("cgroup/connect4")
int sp_connect4(struct bpf_sock_addr *ctx)
{
	return connect4(ctx, 0);
}

SEC("cgroup/connect6")
int sp_connect6(struct bpf_sock_addr *ctx)
{
	return connect6(ctx, 0);
}

SEC("cgroup/sendmsg4")
int sp_sendmsg4(struct bpf_sock_addr *ctx)
{
	return connect4(ctx, 1);
}

SEC("cgroup/sendmsg6")
int sp_sendmsg6(struct bpf_sock_addr *ctx)
{
	return connect6(ctx, 1);
}

/* ---- packets out ---------------------------------------------------------------------------- */

/* A packet that is not to go. With a flow, the flow is over too (`f` may be NULL). */
static __always_inline int drop(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
				struct sp_scratch *s, int code)
{
	struct sp_sandbox *b;
	__u32 slot = c->sandbox;

	if (c->mode == SP_MODE_AUDIT_ONLY) {
		/* on lo each datagram is judged: one event for those that follow each other */
		if (!f || c->protocol != IPPROTO_UDP || !flow_settled(f, c))
			event_emit(c, f, s, SP_VERDICT_WOULD_DENY);
		if (f) {
			f->state = SP_FLOW_OPEN;
			f->generation = c->generation;
			f->protocol = c->protocol;
			f->dport = c->dport;
			addr_copy(f->daddr, c->daddr);
			if (c->protocol == IPPROTO_UDP && c->ifindex != SP_IFINDEX_LO)
				flow_interface(f, c->ifindex);
			if (c->protocol == IPPROTO_UDP)
				*(volatile __u64 *)&f->settled = settled_word(
					(struct sp_addr *)c->daddr, c->dport, c->generation);
		}
		return EGRESS_PASS;
	}
	event_emit(c, f, s, SP_VERDICT_DENIED);
	b = bpf_map_lookup_elem(&sandboxes, &slot);
	if (b)
		__sync_fetch_and_add(&b->packets_dropped, 1);
	return code;
}

/* Denies a TCP flow for good, and has its socket destroyed. */
static __always_inline int flow_deny(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
				     struct sp_scratch *s)
{
	int code = drop(skb, c, f, s, EGRESS_DROP);

	if (code == EGRESS_PASS)
		return code;
	f->state = SP_FLOW_DENIED;
	f->generation = c->generation;
	f->dport = c->dport;
	addr_copy(f->daddr, c->daddr);
	if (f->asked_port) {
		/* the socket's own view, before any NAT: by that it is found */
		addr_copy(c->daddr, f->asked);
		c->dport = f->asked_port;
	}
	request_reset(c);
	return code;
}

/* What is watched on a flow whose destination is allowed. */
static __always_inline __u8 flow_inspector(const struct sp_ctx *c, struct sp_flow *f,
					   const struct sp_policy_conf *conf)
{
	f->flags &= ~(SP_FLOW_LENIENT | SP_FLOW_DENY_ONLY | SP_FLOW_SECOND);
	if (c->via == SP_VIA_RESOLVER)
		return SP_FLOW_DNS;
	if (c->via == SP_VIA_NAME) {
		if (conf->sni == SP_SNI_OFF)
			return SP_FLOW_OPEN;
		if (c->dport == 443 || (c->entry_flags & SP_ENTRY_TLS)) {
			if (conf->sni != SP_SNI_VERIFY)
				return SP_FLOW_TLS;
			f->flags |= SP_FLOW_LENIENT;
			return SP_FLOW_SNIFF; /* a server may read HTTP here, too */
		}
		if (c->dport == 80)
			return SP_FLOW_HTTP;
		f->flags |= SP_FLOW_LENIENT;
		return SP_FLOW_SNIFF;
	}
	if (c->via != SP_VIA_LOOPBACK && conf->has_name_deny && conf->sni != SP_SNI_OFF) {
		f->flags |= SP_FLOW_DENY_ONLY | SP_FLOW_LENIENT;
		return SP_FLOW_SNIFF;
	}
	return c->reason == SP_REASON_LOOPBACK_OWN ? SP_FLOW_LOCAL : SP_FLOW_OPEN;
}

static __always_inline void flow_settle(struct sp_flow *f, const struct sp_ctx *c, __u8 state)
{
	f->state = state;
	if (f->generation != c->generation) {
		/* of the generation the word has but 14 bits */
		if (c->protocol == IPPROTO_UDP)
			__sync_lock_test_and_set(&f->settled, 0);
		f->generation = c->generation;
	}
	f->protocol = c->protocol;
	f->rule = c->rule;
	f->order = c->order;
	f->name = c->name;
	f->dport = c->dport;
	addr_copy(f->daddr, c->daddr);
}

static __always_inline int counted(struct sp_flow *f, const struct sp_ctx *c)
{
	f->bytes_out += c->payload_len;
	return EGRESS_PASS;
}

/* A payload-carrying segment of a flow that is watched: scratch is claimed around this. */
static __always_inline int tcp_inspect(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
				       struct sp_scratch *s)
{
	int r;

	if (bytes_matter(f, c) && packet_shared(skb)) {
		c->kind = SP_EVENT_PACKET;
		return SP_BAD(SHARED_PAGES);
	}
	if (sniff_behind(c, f) == SP_PASS)
		return SP_PASS;
	if (f->state == SP_FLOW_SNIFF) {
		r = sniff_segment(skb, c, f);
		if (r != SP_PASS)
			return r;
	}
	if (f->state == SP_FLOW_TLS_DONE) {
		r = tls_after(skb, c, f);
		if (r != SP_MORE)
			return r;
	}
	switch (f->state) {
	case SP_FLOW_TLS:
		return tls_segment(skb, c, f, s);
	case SP_FLOW_HTTP:
		r = http_segment(skb, c, f, s);
		if (r != SP_HTTP_PROXY)
			return r;
		/* what follows a header of the PROXY protocol; a second one is nobody's */
		r = sniff_segment(skb, c, f);
		if (r != SP_PASS)
			return r;
		if (f->state == SP_FLOW_TLS)
			return tls_segment(skb, c, f, s);
		if (f->state != SP_FLOW_HTTP)
			return SP_PASS;
		r = http_segment(skb, c, f, s);
		return r == SP_HTTP_PROXY ? SP_BAD(HTTP_MALFORMED) : r;
	case SP_FLOW_DNS:
		return dns_segment(skb, c, f, s);
	}
	return SP_PASS;
}

/*
 * To a listener of the sandbox's own, that was looked up at the SYN. Between that and its delivery
 * the listener may have gone, and another have the port; or delivery chose otherwise, by a program
 * that was attached to the group (SO_ATTACH_REUSEPORT_CBPF). So the other end is asked for again,
 * until it is a connection: that is one for its life.
 */
static __always_inline int local_egress(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
					int syn)
{
	int r;

	if (syn)
		/* data in it (Fast Open) would be delivered at once: TCP sends it anew without */
		return c->payload_len && c->mode == SP_MODE_ENFORCE ? EGRESS_DROP : EGRESS_PASS;
	r = loopback_peer(skb, c);
	if (r == OWNER_FOREIGN) {
		c->kind = SP_EVENT_CONNECT;
		c->via = SP_VIA_LOOPBACK;
		c->reason = SP_REASON_LOOPBACK_FOREIGN;
		c->rule = SP_RULE_DEFAULT;
		return flow_deny(skb, c, f, NULL);
	}
	if (r == OWNER_OWN)
		f->state = SP_FLOW_OPEN;
	return counted(f, c);
}

static __always_inline int tcp_egress(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f,
				      struct bpf_sock *sk)
{
	struct sp_policy_conf *conf = policy_conf(c->policy);
	struct sp_scratch *s;
	__u32 len = c->payload_len, before;
	int syn, again, r;

	if (!conf) {
		c->reason = SP_REASON_NOT_READY;
		return drop(skb, c, NULL, NULL, EGRESS_DROP);
	}
	if (sk->state == BPF_TCP_LISTEN || (f->flags & SP_FLOW_INBOUND)) {
		/* the listener's SYN-ACK, or a connection that was accepted */
		c->kind = SP_EVENT_CONNECT;
		if (conf->inbound == SP_INBOUND_DENY) {
			c->reason = SP_REASON_INBOUND_DENIED;
			return drop(skb, c, NULL, NULL, EGRESS_DROP);
		}
		if (sk->state == BPF_TCP_LISTEN)
			return EGRESS_PASS;
		c->reason = SP_REASON_INBOUND;
		flow_settle(f, c, SP_FLOW_OPEN);
		return counted(f, c);
	}
	syn = (c->tcp_flags & (SP_TCP_SYN | SP_TCP_ACK)) == SP_TCP_SYN;
	again = syn && f->base == c->seq + 1;
	/* who listens on this host may be another when a SYN is sent again */
	if (!flow_settled(f, c) || (syn && (!again || c->ifindex == SP_IFINDEX_LO))) {
		__u64 stood_on = f->name;
		__u32 known = f->generation && f->protocol == IPPROTO_TCP && f->dport == c->dport &&
			      addr_equal(f->daddr, c->daddr);

		if (!destination(skb, c, f))
			return flow_deny(skb, c, f, NULL);
		r = flow_inspector(c, f, conf);
		if (!syn) {
			/*
			 * The policy has changed under a connection. It may go on, where it was, if
			 * the new policy allows its address for the very reason it stood on before.
			 */
			c->reason = SP_REASON_MIDSTREAM;
			if (!known || stood_on != c->name || f->state == SP_FLOW_DENIED)
				return flow_deny(skb, c, f, NULL);
			flow_settle(f, c, f->state);
		} else if (!flow_settled(f, c) || !again) {
			flow_settle(f, c, r);
			f->base = c->seq + 1;
			f->end = 0;
			f->hello_end = 0;
			f->skip = 0;
			f->rx_next = 0;
			f->rx_need = 0;
			f->hello = 0;
			f->answer = 0;
			f->renew = c->now + SP_SECOND_NS;
			if (r == SP_FLOW_OPEN || r == SP_FLOW_SNIFF || r == SP_FLOW_LOCAL)
				event_emit(c, f, NULL, SP_VERDICT_ALLOWED);
		}
	}
	if (f->state == SP_FLOW_LOCAL)
		return local_egress(skb, c, f, syn);
	if (syn)
		c->seq += 1; /* data in a SYN (Fast Open) is at stream offset 0 */
	if ((c->tcp_flags & SP_TCP_URG) && f->state != SP_FLOW_OPEN && f->state != SP_FLOW_DENIED) {
		/* the receiver takes an urgent byte out of the stream that is inspected (RFC 6093)
		 */
		c->kind = SP_EVENT_PACKET;
		c->reason = SP_REASON_URGENT;
		return flow_deny(skb, c, f, NULL);
	}
	if (c->payload_len == 0 && (c->tcp_flags & SP_TCP_FIN) && http_cut(skb, f)) {
		c->kind = SP_EVENT_HANDSHAKE;
		c->reason = SP_REASON_HTTP_MALFORMED;
		return flow_deny(skb, c, f, NULL);
	}
	if (c->payload_len == 0) {
		/* what carries nothing may always end a connection whose address was allowed */
		if (f->state == SP_FLOW_DENIED && !(c->tcp_flags & SP_TCP_RST))
			return EGRESS_DROP;
		return EGRESS_PASS;
	}
	if (f->state == SP_FLOW_OPEN)
		return counted(f, c);
	if (f->state == SP_FLOW_DENIED)
		return EGRESS_DROP;
	if (c->ttl < SP_TTL_MIN) {
		c->kind = SP_EVENT_PACKET;
		c->reason = SP_REASON_IP_TTL;
		return flow_deny(skb, c, f, NULL);
	}
	s = scratch_claim(c->sandbox);
	if (!s) {
		c->kind = SP_EVENT_PACKET;
		c->reason = SP_REASON_BUSY;
		return drop(skb, c, NULL, NULL, EGRESS_DROP);
	}
	before = f->state;
	c->kind = SP_EVENT_HANDSHAKE;
	c->rule = f->rule;
	c->name = f->name;
	r = tcp_inspect(skb, c, f, s);
	if (r == SP_PASS && (c->tcp_flags & SP_TCP_FIN) && http_cut(skb, f))
		r = SP_BAD(HTTP_MALFORMED);
	if (r == SP_PASS) {
		f->bytes_out += len;
		if (before != SP_FLOW_DNS && c->name_len)
			event_emit(c, f, s, SP_VERDICT_ALLOWED);
		r = EGRESS_PASS;
	} else if (r == SP_DROP) {
		r = EGRESS_DROP;
		if (c->mode == SP_MODE_AUDIT_ONLY)
			r = EGRESS_PASS;
	} else {
		c->reason = r < 0 ? -r : SP_REASON_NO_MEMORY;
		r = flow_deny(skb, c, f, s);
	}
	scratch_release(s);
	return r;
}

/*
 * Is the packet's source what its socket is bound to? IP_PKTINFO beside the data names another
 * local address, and the answer that is sent to it would reach whoever listens there.
 */
__noinline int own_source(struct __sk_buff *skb, const struct sp_ctx *c)
{
	struct bpf_sock *sk = packet_sock(skb);
	struct sp_addr a = {};

	if (!sk || !c || sk->src_port != c->sport)
		return 0;
	if (sk->family == AF_INET) {
		if (!sk->src_ip4)
			return 1;
		addr_from_v4(a.addr, sk->src_ip4);
	} else {
		__u32 w[4] = {sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]};

		__builtin_memcpy(a.addr, w, 16);
		if (!addr_high(a.addr) && !addr_low(a.addr))
			return 1;
	}
	return addr_equal(a.addr, c->saddr);
}

/* A datagram to a trusted resolver: one query, judged. */
static __always_inline int dns_egress(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f)
{
	struct sp_scratch *s;
	int r, code = EGRESS_DROP;

	c->kind = SP_EVENT_DNS;
	if (skb->gso_size) {
		c->reason = SP_REASON_DNS_BATCH;
		return drop(skb, c, NULL, NULL, EGRESS_DROP);
	}
	if (!packet_linear(skb)) {
		c->reason = SP_REASON_SHARED_PAGES;
		return drop(skb, c, NULL, NULL, EGRESS_DROP);
	}
	s = scratch_claim(c->sandbox);
	if (!s) {
		c->reason = SP_REASON_BUSY;
		return drop(skb, c, NULL, NULL, EGRESS_DROP);
	}
	c->reason = SP_REASON_DNS_MALFORMED;
	if (c->payload_len > SP_STREAM_MAX ||
	    stream_load(skb, &s->stream, c->payload, c->payload_len) != SP_DONE) {
		r = drop(skb, c, NULL, NULL, EGRESS_DROP);
		goto out;
	}
	r = dns_judge(c, s);
	if (r || c->mode == SP_MODE_AUDIT_ONLY) {
		if (!r)
			event_emit(c, f, s, SP_VERDICT_WOULD_DENY);
		if ((f->flags & SP_FLOW_HOME) && !c->malformed) {
			if (pending_add(c, s, f)) {
				f->flags |= SP_FLOW_ASKED;
			} else if (c->mode == SP_MODE_ENFORCE) {
				c->reason = SP_REASON_PENDING_FULL;
				r = drop(skb, c, NULL, s, EGRESS_DROP);
				goto out;
			}
		}
		if (r && !(f->flags & SP_FLOW_HOME))
			c->reason = SP_REASON_ANSWER_FOREIGN_NETNS; /* may ask, will not learn */
		if (r)
			event_emit(c, f, s, SP_VERDICT_ALLOWED);
		f->bytes_out += c->payload_len;
		r = EGRESS_PASS;
		goto out;
	}
	if (!c->malformed && (f->flags & SP_FLOW_HOME) && own_source(skb, c) &&
	    request_answer(c, s, f, SP_DNS_HEADER + s->name.len + 4))
		code = EGRESS_SILENT; /* an answer is on its way */
	r = drop(skb, c, f, s, code);
out:
	scratch_release(s);
	return r;
}

#define SP_QUIC_INITIAL_MIN 1200 /* bytes of a datagram with an Initial (RFC 9000 14.1) */

/* Datagrams of one batch: UDP_MAX_SEGMENTS of <linux/udp.h>, which is 128 since 6.9 */
#define SP_UDP_SEGMENTS_MAX 64

/*
 * Versions of QUIC that servers speak, or answer by naming those (RFC 9000 15, RFC 9369, Google's
 * and other implementations'): 1, 2, drafts, Q0xx, T0xx, mvfst, MsQuic, and greased ones.
 */
static __always_inline int quic_version(__u32 v)
{
	__u32 series = v >> 8;

	return v == 1 || v == 0x6b3343cf || series == 0xff0000 || (v & 0x0f0f0f0f) == 0x0a0a0a0a ||
	       (v >> 16) == 0x5130 || (v >> 16) == 0x5430 || series == 0xfaceb0 ||
	       series == 0xabcd00;
}

/*
 * A long header with a version, as of an Initial (RFC 8999 5.1)? On port 443 the fixed bit need not
 * be set (RFC 9287).
 */
__noinline int long_header(struct __sk_buff *skb, __u32 off, __u32 port)
{
	__u8 h[5];
	__u8 bits = port == 443 ? 0x80 : 0xc0;

	if (bpf_skb_load_bytes(skb, off, h, 5))
		return 0;
	return (h[0] & bits) == bits &&
	       quic_version((__u32)h[1] << 24 | (__u32)h[2] << 16 | (__u32)h[3] << 8 | h[4]);
}

/* Is one of the datagrams of a batch (UDP_SEGMENT in a control message) an Initial or its like? */
__noinline int batch_quic(struct __sk_buff *skb, const struct sp_ctx *c, __u32 size)
{
	__u32 i, at = 0;

	if (!c || size == 0)
		return 1;
	for (i = 0; i < SP_UDP_SEGMENTS_MAX; i++) {
		if (at >= c->payload_len)
			return 0;
		if (long_header(skb, c->payload + at, c->dport))
			return 1;
		at += size;
	}
	return at < c->payload_len;
}

/*
 * Can the first bytes of a datagram still change? What send() gave lies in the linear part, spliced
 * pages never do. Batches are in fragments whoever made them: there the kernel's mark must do.
 */
static __always_inline int datagram_shared(struct __sk_buff *skb, const struct sp_ctx *c)
{
	__u32 judged = c->payload_len < 5 ? c->payload_len : 5;

	if (skb->gso_size)
		return packet_shared(skb);
	return (long)skb->data_end - (long)skb->data < c->payload + judged;
}

/*
 * Port 443 is QUIC's, whatever is sent, unless a rule for UDP alone says that there is something
 * else there: then what is not QUIC by its first bytes, of any size, is that. Returns the reason to
 * drop it, or 0.
 */
static __always_inline __u32 looks_quic(struct __sk_buff *skb, const struct sp_ctx *c)
{
	int quic;

	if (c->dport == 443 && !(c->entry_flags & SP_ENTRY_DATAGRAMS))
		return SP_REASON_QUIC;
	if (c->dport != 443 && c->payload_len < SP_QUIC_INITIAL_MIN)
		return 0;
	if (datagram_shared(skb, c))
		return SP_REASON_SHARED_PAGES;
	quic = skb->gso_size ? batch_quic(skb, c, skb->gso_size)
			     : long_header(skb, c->payload, c->dport);
	return quic ? SP_REASON_QUIC : 0;
}

/* Does the policy judge names at this destination, so that a QUIC handshake would have to be read?
 */
static __always_inline int names_matter(const struct sp_ctx *c)
{
	struct sp_policy_conf *conf = policy_conf(c->policy);

	return c->via == SP_VIA_NAME || (c->via != SP_VIA_LOOPBACK && conf && conf->has_name_deny);
}

static __always_inline int udp_egress(struct __sk_buff *skb, struct sp_ctx *c, struct sp_flow *f)
{
	__u64 settled = flow_word(f), word = 0; /* of what leaves by lo nothing is settled */
	__u32 quic;

	if (c->ifindex != SP_IFINDEX_LO && (!f->ifindex || f->ifindex == c->ifindex))
		word = settled_word((struct sp_addr *)c->daddr, c->dport, c->generation);
	if (!datagram_settled(f, settled, word, c->generation)) {
		if (!destination(skb, c, f))
			return drop(skb, c, f, NULL, EGRESS_DROP);
		if (c->via == SP_VIA_RESOLVER)
			return dns_egress(skb, c, f);
		if (names_matter(c)) {
			quic = looks_quic(skb, c);
			if (quic) {
				c->reason = quic;
				return drop(skb, c, f, NULL, EGRESS_DROP);
			}
			word |= word ? SP_SETTLED_NAME : 0;
			if (c->dport == 443)
				word = 0; /* what is settled does not say by which rule */
		}
		if (c->now - f->event > SP_SECOND_NS) {
			f->event = c->now;
			event_emit(c, f, NULL, SP_VERDICT_ALLOWED);
		}
		flow_settle(f, c, SP_FLOW_OPEN);
		f->renew = c->now + SP_SECOND_NS;
		/* whose an address of this host is may be another matter at the next datagram */
		if (word && flow_interface(f, c->ifindex))
			*(volatile __u64 *)&f->settled = word;
	} else if (settled & SP_SETTLED_NAME) {
		quic = looks_quic(skb, c);
		if (quic) {
			c->kind = SP_EVENT_CONNECT;
			c->reason = quic;
			return drop(skb, c, NULL, NULL, EGRESS_DROP);
		}
	}
	return counted(f, c);
}

/*
 * An address that a live connection uses stays learned: at most once a second, its expiry is moved
 * to a minute from now. Not if it has passed, and not by what proves no use: a SYN, or a datagram,
 * which nobody need have answered.
 */
#define SP_IN_USE_NS (60 * SP_SECOND_NS)

__noinline int flow_renew(struct sp_ctx *c, struct sp_flow *f, __u32 established)
{
	struct sp_pair_value *v;
	struct sp_learned *l;
	struct sp_pair k;
	__u32 slot, i;
	void *inner;

	if (!c || !f)
		return 0;
	slot = c->sandbox;
	f->renew = c->now + SP_SECOND_NS;
	if (!established || c->protocol != IPPROTO_TCP)
		return 0;
	addr_copy(k.addr, f->daddr);
	k.name = f->name;
	inner = bpf_map_lookup_elem(&learned_pairs, &slot);
	v = inner ? bpf_map_lookup_elem(inner, &k) : NULL;
	if (v && v->expires >= c->now && v->expires < c->now + SP_IN_USE_NS)
		v->expires = c->now + SP_IN_USE_NS;
	inner = bpf_map_lookup_elem(&learned_addrs, &slot);
	l = inner ? bpf_map_lookup_elem(inner, k.addr) : NULL;
	for (i = 0; l && i < SP_LEARNED_PER_ADDR; i++)
		if (l->names[i].name == k.name && l->names[i].expires >= c->now &&
		    l->names[i].expires < c->now + SP_IN_USE_NS)
			l->names[i].expires = c->now + SP_IN_USE_NS;
	return 0;
}

/*
 * A segment of an open TCP flow, or an empty one of a flow whose handshake is still read, told from
 * as few bytes as will do: same destination, no options, no fragment, and not a SYN, which would be
 * the start of another connection on the same socket. Returns its payload length, or -1 if the
 * slow path must look at it. Reads the packet directly; what is not in the linear part is for the
 * slow path too.
 */
static __always_inline int fast_payload(struct __sk_buff *skb, const struct sp_flow *f)
{
	__u8 *d = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *l4;
	__u32 head;
	int len;

	if (d + 40 > end)
		return -1;
	if (d[0] == 0x45) {
		if (d[9] != IPPROTO_TCP || (*(__u16 *)(d + 6) & bpf_htons(0x3fff)))
			return -1;
		if (*(__u32 *)(d + 16) != *(const __u32 *)(f->daddr + 12) || !addr_is_v4(f->daddr))
			return -1;
		l4 = d + 20;
		head = 20;
	} else if (d[0] >> 4 == 6) {
		if (d + 60 > end || d[6] != IPPROTO_TCP || !addr_equal(d + 24, f->daddr))
			return -1;
		l4 = d + 40;
		head = 40;
	} else {
		return -1;
	}
	if (*(__u16 *)(l4 + 2) != bpf_htons(f->dport) || (l4[13] & SP_TCP_SYN))
		return -1;
	len = skb->len - head - (l4[12] >> 4) * 4;
	if (f->state == SP_FLOW_OPEN)
		return len;
	if (f->state == SP_FLOW_LOCAL)
		return -1;
	if (len || (l4[13] & (SP_TCP_FIN | SP_TCP_URG)))
		return -1;
	return 0;
}

/* No need to see to what is learned of the flow's address: not yet, or it stands on no name. */
static __always_inline int flow_fresh(struct sp_flow *f)
{
	__u32 tick = bpf_jiffies64();

	if (!f->name || f->tick == tick)
		return 1;
	f->tick = tick; /* a clock is read once a tick */
	return bpf_ktime_get_coarse_ns() < f->renew;
}

/*
 * The same for a datagram to the destination that is settled for its socket, and is no QUIC
 * handshake. A call, to keep what it spills off the stack of sp_egress().
 */
__noinline int fast_datagram(struct __sk_buff *skb, const struct sp_flow *f, __u32 generation)
{
	__u8 *d = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 len = skb->len, port;
	__u64 word, settled;

	/* nothing is settled of what leaves by lo; and by which interface each datagram says anew
	 */
	if (!f || d + 28 > end || skb->ifindex != f->ifindex)
		return -1;
	settled = flow_word(f);
	if (d[0] == 0x45) {
		if (d[9] != IPPROTO_UDP || (*(__u16 *)(d + 6) & bpf_htons(0x3fff)))
			return -1;
		port = bpf_ntohs(*(__u16 *)(d + 22));
		word = settled_v4(*(__u32 *)(d + 16), port, generation);
		len -= 28;
	} else if (d[0] >> 4 == 6) {
		if (d + 48 > end || d[6] != IPPROTO_UDP)
			return -1;
		port = bpf_ntohs(*(__u16 *)(d + 42));
		word = settled_v6(addr_high(d + 24), addr_low(d + 24), port, generation);
		len -= 48;
	} else {
		return -1;
	}
	if (!datagram_settled(f, settled, word, generation))
		return -1;
	if ((settled & SP_SETTLED_NAME) && (port == 443 || len >= SP_QUIC_INITIAL_MIN))
		return -1;
	return len;
}

SEC("cgroup_skb/egress")
int sp_egress(struct __sk_buff *skb)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct bpf_sock *sk = skb->sk;
	struct sp_flow *f;
	struct sp_ctx c;
	int r;

	/* what is no full socket has no flow */
	f = sk ? bpf_sk_storage_get(&flows, sk, 0, 0) : NULL;
	if (f && f->generation == a->generation && a->generation && f->state != SP_FLOW_DENIED) {
		if (f->protocol == IPPROTO_TCP)
			r = fast_payload(skb, f);
		else
			r = fast_datagram(skb, f, a->generation);
		if (r >= 0 && flow_fresh(f)) {
			f->bytes_out += r;
			return EGRESS_PASS;
		}
	}
	sk = packet_sock(skb);
	if (!sk)
		return a->mode == SP_MODE_AUDIT_ONLY ? EGRESS_PASS : EGRESS_DROP;
	__builtin_memset(&c, 0, sizeof(c));
	ctx_start_now(&c, a);
	r = packet_parse(skb, &c);
	c.kind = SP_EVENT_PACKET;
	c.cookie = bpf_get_socket_cookie(skb);
	c.bound_if = sk->bound_dev_if;
	c.ifindex = skb->ifindex;
	if (!c.generation) {
		c.reason = SP_REASON_NOT_READY;
		return EGRESS_DROP;
	}
	if (r != SP_DONE) {
		c.reason = -r;
		return drop(skb, &c, NULL, NULL, EGRESS_DROP);
	}
	if (!f) {
		f = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!f) {
			c.reason = SP_REASON_NO_MEMORY;
			return drop(skb, &c, NULL, NULL, EGRESS_DROP);
		}
		f->cgroup = a->cgroup;
	}
	r = c.protocol == IPPROTO_TCP ? tcp_egress(skb, &c, f, sk) : udp_egress(skb, &c, f);
	if (r == EGRESS_PASS && f->name && c.now > f->renew)
		flow_renew(&c, f,
			   sk->state == BPF_TCP_ESTABLISHED || sk->state == BPF_TCP_CLOSE_WAIT);
	return r;
}

/* ---- packets in ----------------------------------------------------------------------------- */

/* Does this status line agree to what was asked for? */
static __always_inline int http_agreed(const __u8 *h, const struct sp_flow *f)
{
	__u64 version = *(const __u64 *)h;

	return !(f->heads & SP_HEADS_TUNNEL) &&
	       version == SP_WORD('H', 'T', 'T', 'P', '/', '1', '.', '1') &&
	       *(const __u32 *)(h + 8) == (__u32)SP_WORD(' ', '1', '0', '1', 0, 0, 0, 0);
}

SEC("cgroup_skb/ingress")
int sp_ingress(struct __sk_buff *skb)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct bpf_sock *sk = packet_sock(skb);
	struct sp_scratch *s;
	struct sp_flow *f;
	struct sp_ctx c;
	int upgrade, hello, r;
	__u32 base, old, i;

	if (!sk)
		return 1;
	f = bpf_sk_storage_get(&flows, sk, 0, 0);
	if (!f)
		return 1;
	if (sk->state == BPF_TCP_LISTEN && a->mode == SP_MODE_ENFORCE) {
		struct sp_policy_conf *conf = policy_conf(a->policy);

		if (conf && conf->inbound == SP_INBOUND_DENY && sk->protocol == IPPROTO_TCP)
			return 0;
	}
	base = *(volatile __u32 *)&f->base;
	f->bytes_in += skb->len;
	upgrade = f->state == SP_FLOW_HTTP && (f->flags & SP_FLOW_UPGRADE);
	hello = (f->state == SP_FLOW_TLS || f->state == SP_FLOW_TLS_DONE ||
		 f->state == SP_FLOW_SNIFF) &&
		f->answer == SP_ANSWER_NONE;
	if (!upgrade && !hello && !(f->flags & SP_FLOW_ASKED) && f->state != SP_FLOW_DNS)
		return 1;
	__builtin_memset(&c, 0, sizeof(c));
	if (upgrade) {
		__u8 h[12];

		/*
		 * The first bytes that the server ever says on this connection, if the first
		 * request was for an upgrade or a tunnel: the status line of its answer (RFC 9110
		 * 7.8, 15.2.2). A tunnel is told by what the client says in it (http_step()).
		 */
		if (packet_parse(skb, &c) != SP_DONE || c.protocol != IPPROTO_TCP)
			return 1;
		if (c.payload_len == 0 || segment_first(skb, &c, f) != 1)
			return 1;
		f->flags &= ~SP_FLOW_UPGRADE;
		if (c.payload_len >= 12 && !bpf_skb_load_bytes(skb, c.payload, h, 12) &&
		    http_agreed(h, f))
			f->state = SP_FLOW_OPEN;
		return 1;
	}
	if (hello)
		return tls_answer(skb, &c, f) != SP_DROP || a->mode == SP_MODE_AUDIT_ONLY;
	if (packet_parse(skb, &c) != SP_DONE)
		return 1;
	/* c.daddr is the peer: the resolver */
	addr_copy(c.daddr, c.saddr);
	c.dport = c.sport;
	ctx_start_now(&c, a);
	c.cookie = bpf_get_socket_cookie(skb);
	c.ifindex = skb->ifindex;
	if (c.protocol == IPPROTO_TCP) {
		if (c.payload_len == 0 || (f->flags & SP_FLOW_RX_LOST))
			return 1;
		r = segment_place(skb, &c, f);
		if (r != SP_SEGMENT_NEXT)
			return r > SP_SEGMENT_AHEAD || a->mode != SP_MODE_ENFORCE;
		/* of what is sent again together with new bytes, those */
		old = f->rx_next - c.seq;
		c.payload += old;
		c.payload_len -= old;
		f->rx_next += c.payload_len;
	} else if (c.dport != 53 || c.payload_len == 0) {
		return 1;
	}
	s = scratch_claim(c.sandbox);
	if (!s) {
		/* it would teach nothing: it will come again (TCP), or be asked for again */
		if (c.protocol == IPPROTO_TCP)
			f->rx_next -= c.payload_len;
		return a->mode == SP_MODE_AUDIT_ONLY;
	}
	if (c.protocol == IPPROTO_TCP) {
		for (i = 0; i < SP_DNS_MESSAGES_MAX; i++) {
			struct sp_stream *st = &s->stream;

			r = answer_tcp_message(skb, &c, f, s, base);
			if (r == SP_PASS)
				break;
			if (r == SP_ANSWER_COLLECTED)
				st = bpf_sk_storage_get(&answers, sk, 0, 0);
			if (!st)
				break;
			answer_learn(&c, s, st, f);
			answer_emit(&c, f, s);
			if (r == SP_ANSWER_COLLECTED)
				buffer_drop(&answers, sk, c.sandbox);
		}
		if (i == SP_DNS_MESSAGES_MAX && c.payload_len)
			f->flags |= SP_FLOW_RX_LOST;
	} else if (c.payload_len > SP_STREAM_MAX) {
		answer_too_long(&c, f, s);
	} else if (stream_load(skb, &s->stream, c.payload, c.payload_len) == SP_DONE) {
		answer_learn(&c, s, &s->stream, f);
		answer_emit(&c, f, s);
	}
	scratch_release(s);
	return 1;
}

/* ---- connections ---------------------------------------------------------------------------- */

SEC("sockops")
int sp_sockops(struct bpf_sock_ops *ops)
{
	struct sp_attach *a = bpf_get_local_storage(&attached, 0);
	struct bpf_sock *sk = ops->sk;
	struct sp_sandbox *b;
	struct sp_ctx c;
	struct sp_flow *f;

	if (!sk)
		return 1;
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		/*
		 * Before every SYN that a connect() sends, the first or a later one of this socket:
		 * what was known of an earlier connection is forgotten, that it was accepted
		 * included.
		 */
		bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
		f = bpf_sk_storage_get(&flows, sk, 0, 0);
		if (f) {
			f->state = SP_FLOW_NEW;
			f->generation = 0;
			f->name = 0;
			f->rx_next = 0;
			f->rx_need = 0;
			f->hello = 0;
			f->answer = 0;
			f->flags &= SP_FLOW_HOME;
			f->heads = 0;
			flow_forget(sk, f, a->sandbox);
		}
		buffer_drop(&answers, sk, a->sandbox);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		f = bpf_sk_storage_get(&flows, sk, 0, 0);
		if (f)
			f->rx_next = ops->rcv_nxt;
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		/*
		 * A child of a listener starts without storage. A socket that has it has connected:
		 * a simultaneous open ends here too (tcp_rcv_state_process(), SYN_RECV without a
		 * request), its SYN was judged, and it stays outbound.
		 */
		f = bpf_sk_storage_get(&flows, sk, 0, 0);
		if (f) {
			f->rx_next = ops->rcv_nxt;
			break;
		}
		f = bpf_sk_storage_get(&flows, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!f)
			break; /* without a flow its packets are judged as outbound: denied */
		f->flags |= SP_FLOW_INBOUND;
		f->cgroup = a->cgroup;
		bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] != BPF_TCP_CLOSE)
			break;
		f = bpf_sk_storage_get(&flows, sk, 0, 0);
		if (!f)
			break;
		flow_forget(sk, f, a->sandbox);
		buffer_drop(&answers, sk, a->sandbox);
		if (!f->generation)
			break;
		__builtin_memset(&c, 0, sizeof(c));
		ctx_start(&c, a);
		b = bpf_map_lookup_elem(&sandboxes, &c.sandbox);
		if (b) {
			__sync_fetch_and_add(&b->bytes_out, f->bytes_out);
			__sync_fetch_and_add(&b->bytes_in, f->bytes_in);
		}
		c.kind = SP_EVENT_CLOSE;
		c.reason = SP_REASON_CLOSED;
		c.protocol = IPPROTO_TCP;
		c.cookie = bpf_get_socket_cookie(ops);
		c.sport = ops->local_port;
		c.dport = f->dport;
		c.rule = f->rule;
		c.name = f->name;
		addr_copy(c.daddr, f->daddr);
		event_emit(&c, f, NULL,
			   f->state == SP_FLOW_DENIED ? SP_VERDICT_DENIED : SP_VERDICT_ALLOWED);
		break;
	}
	return 1;
}
