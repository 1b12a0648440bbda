/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi.h - what the kernel programs and user space share.
 *
 * Every structure here is read on one side and written on the other, so: fixed-width types from
 * <linux/types.h> only, padding written out and zero, no bool, enum or long, and a static assertion
 * on each size. A change of any of them is a new SP_ABI_VERSION; programs and maps of another
 * version are never adopted (they are pinned in a directory that carries the version).
 *
 * Byte order: addresses are bytes in network order (`__u8 addr[16]`, IPv4 as v4-mapped
 * ::ffff:a.b.c.d); every other number is in host order, ports included. Times are CLOCK_MONOTONIC
 * nanoseconds.
 */
#ifndef SALLYPORT_ABI_H
#define SALLYPORT_ABI_H

#include <linux/types.h>

#define SP_ABI_VERSION 1 /* in the path of the pins, in struct sp_host and in every record */

/* ---- bounds (SECURITY.md has them in one table, with what happens at each) ------------------ */

#define SP_NAME_MAX 255	   /* bytes of a name in wire form, root byte included (RFC 1035 2.3.4) */
#define SP_LABEL_MAX 63	   /* bytes of one label */
#define SP_LABELS_MAX 40   /* labels of a name; ip6.arpa has 34 */
#define SP_ACL_MAX 64	   /* entries of one ACL */
#define SP_RESOLVERS_MAX 8 /* trusted resolvers of a policy */
#define SP_PRIVATE_MAX 16  /* dns.private_answers of a policy */
#define SP_OWN_MAX 64	   /* own addresses of the host that no name teaches */
#define SP_SANDBOXES_MAX 2048 /* sandboxes on one host at a time */
#define SP_STREAM_MAX                                                                              \
	16896 /* bytes of one direction of a flow kept for inspection (a ClientHello) */
#define SP_STREAMS_MAX 256	  /* such buffers of one sandbox at a time */
#define SP_RETAIN_MAX 2048	  /* bytes of a decided hello kept until the peer acknowledged it */
#define SP_LEARNED_ADDRS_MAX 8192 /* addresses that one sandbox may have learned */
#define SP_LEARNED_PAIRS_MAX 16384 /* (address, name) pairs of one sandbox */
#define SP_LEARNED_NAMES_MAX 4096  /* names of one sandbox that have learned addresses */
#define SP_KEPT_MAX 4096	   /* of the pairs, those that are kept beyond their TTL */
#define SP_LEARNED_PER_ADDR 8	   /* names that a connect without a handshake can stand on */
#define SP_WAITING_MAX 2	   /* unanswered queries of one socket: A and AAAA */
#define SP_PENDING_MAX 4096	   /* unanswered queries of one sandbox beyond those */
#define SP_RRS_MAX 1024		   /* records of one answer that are read, again ones too */
#define SP_EXTENSIONS_MAX 96	   /* extensions of one ClientHello */
#define SP_HEADERS_MAX 96	   /* header lines of one HTTP request head */
#define SP_SCRATCH_OWN 4    /* decisions of one sandbox under way on one CPU (some preempted) ... */
#define SP_SCRATCH_SHARED 8 /* ... and as many more of all sandboxes */
#define SP_SCRATCH_GROUPS                                                                          \
	16 /* sandboxes that have pieces apart; beyond, slots share them, modulo */
/* In all, on one CPU. */
#define SP_SCRATCH_PER_CPU (SP_SCRATCH_GROUPS * SP_SCRATCH_OWN + SP_SCRATCH_SHARED)
#define SP_ROUTES_MAX 4096 /* prefixes of one sandbox's routes */
#define SP_ROUTE_IFS_MAX 7 /* interfaces that one prefix may be reached by */
#define SP_PROBES_MAX 256  /* times a second that a hook leaves a denial to the packet hook */
#define SP_TTL_MIN 32	   /* lowest hop limit that an inspected packet may carry */

/* ---- decisions ------------------------------------------------------------------------------ */

/* What a rule, an ACL entry or the default says. */
enum sp_action {
	SP_ACTION_NONE = 0, /* nothing said: the policy's default answers */
	SP_ACTION_ALLOW = 1,
	SP_ACTION_DENY = 2,
	SP_ACTION_ASK = 3, /* hold path: a decider or a person answers */
};

/* Protocols of an entry, as bits. */
#define SP_PROTOCOL_TCP 1u
#define SP_PROTOCOL_UDP 2u
#define SP_PROTOCOL_ANY (SP_PROTOCOL_TCP | SP_PROTOCOL_UDP)

#define SP_RULE_DEFAULT 0xffffffffu /* rule index of "no rule matched" */
#define SP_ORDER_LAST 0xffffffffu   /* evaluation order of the default */

/* The keys of a policy document of the same names (sallyport-policy(5)), as numbers. */
enum sp_mode { SP_MODE_ENFORCE = 0, SP_MODE_AUDIT_ONLY = 1 };
enum sp_sni { SP_SNI_REQUIRE = 0, SP_SNI_VERIFY = 1, SP_SNI_OFF = 2 };
enum sp_ech { SP_ECH_OUTER = 0, SP_ECH_DENY = 1, SP_ECH_STRIP = 2 };
enum sp_quic { SP_QUIC_DENY = 0, SP_QUIC_INSPECT = 1 };
enum sp_loopback { SP_LOOPBACK_OWN = 0, SP_LOOPBACK_ALLOW = 1, SP_LOOPBACK_DENY = 2 };
enum sp_inbound { SP_INBOUND_ALLOW = 0, SP_INBOUND_DENY = 1 };
enum sp_denied_answer { SP_ANSWER_NXDOMAIN = 0, SP_ANSWER_REFUSED = 1, SP_ANSWER_EMPTY = 2 };

/* ---- a compiled policy ---------------------------------------------------------------------- */
/*
 * The name table is one flat array of 64-byte buckets, filled by user space through mmap, never
 * changed afterwards. A suffix lives in one of two buckets (sp_bucket_first(), _second()), so a
 * look-up reads at most two cache lines. Slots hold the keyed hash of the suffix (SipHash-1-3 over
 * its labels from the root down, see bpf/parse/name.h) and the index of its node; node 0 is empty.
 */
#define SP_BUCKET_SLOTS 4

/* One known suffix in the name table. */
struct sp_slot {
	__u64 hash; /* keyed, of the suffix */
	__u32 node; /* index into the node array; 0: the slot is free */
	__u32 zero;
};

/* One cache line of the name table. */
struct sp_bucket {
	struct sp_slot slot[SP_BUCKET_SLOTS];
};

/* What applies to a name whose longest known suffix is this node, as ACL ids (0: default). */
struct sp_node {
	__u32 exact; /* the name is the suffix itself */
	__u32 one;   /* the name has exactly one label more */
	__u32 many;  /* the name has two labels more, or more than two */
	__u32 zero;
};

/* An ordered list of entries; entries are in one array, lists are slices of it. Id 0 is unused. */
struct sp_acl {
	__u32 first;	 /* index of the first entry */
	__u32 count;	 /* 1 .. SP_ACL_MAX */
	__u32 dns_rule;	 /* rule that decides whether the name may be asked for */
	__u8 dns_action; /* enum sp_action: ALLOW if any port may be reached */
	__u8 flags;	 /* SP_ACL_* */
	__u16 zero;
};

#define SP_ACL_TLS 1u  /* some entry says that its ports speak TLS */
#define SP_ACL_KEEP 2u /* some entry that allows says that addresses are kept */

/* One of an ordered list: ports and protocols, and what is decided for them. */
struct sp_acl_entry {
	__u32 order; /* evaluation order: lower answers first (deny_wins puts every deny first) */
	__u32 rule;  /* index in the document */
	__u16 port_low, port_high; /* inclusive, host order */
	__u8 protocols;		   /* SP_PROTOCOL_* */
	__u8 action;		   /* enum sp_action */
	__u8 flags;		   /* SP_ENTRY_* */
	__u8 zero;
};

#define SP_ENTRY_TLS 1u	  /* `"tls": true` in the rule: these ports speak TLS (443 always does) */
#define SP_ENTRY_LOCAL 2u /* the target is one address, or lies within loopback: see SP_LOCAL */

/*
 * Beside a protocol in a look-up: the packet stays on this host. What allows wide networks does
 * not open its services then: entries that deny hold, and of the others those with SP_ENTRY_LOCAL.
 */
#define SP_LOCAL 0x80u

#define SP_ENTRY_KEEP 16u /* `"keep_addresses": true`: they outlive their TTL */

#define SP_ENTRY_DATAGRAMS 8u /* `"protocol": "udp"`: on 443 too, what is not QUIC may be sent */

/* LPM trie keys; values are ACL ids (__u32). A longer prefix's ACL has the shorter ones folded in.
 */
struct sp_cidr4 {
	__u32 prefix; /* bits, 0..32 */
	__u8 addr[4]; /* network order */
};

/* The same for IPv6. */
struct sp_cidr6 {
	__u32 prefix;  /* bits, 0..128 */
	__u8 addr[16]; /* network order; never v4-mapped */
};

/* An address, as it is everywhere but in LPM keys. */
struct sp_addr {
	__u8 addr[16]; /* network order, IPv4 as ::ffff:a.b.c.d */
};

/* A network among dns.private_answers. */
struct sp_prefix {
	__u8 addr[16]; /* IPv4 as v4-mapped */
	__u32 prefix;  /* bits of the 128, so 96 + n for IPv4 */
	__u32 zero;
};

/* Everything of a policy that is not a table. One per policy, in the `policies` array. */
struct sp_policy_conf {
	__u32 bucket_mask;   /* buckets - 1; buckets is a power of two */
	__u32 max_depth;     /* labels of the deepest node: longer suffixes cannot be known */
	__u32 root;	     /* node of the empty suffix (patterns `*` and `**`); 0: none */
	__u32 generation;    /* never 0 for a policy that is in place */
	__u8 default_action; /* enum sp_action: ALLOW, DENY or ASK */
	__u8 mode;
	__u8 sni;
	__u8 ech;
	__u8 quic;
	__u8 loopback;
	__u8 inbound;
	__u8 denied_answer;
	__u8 has_cidr4, has_cidr6; /* the trie has entries */
	__u8 has_name_deny; /* some name may be denied: hellos to CIDR targets are looked at */
	__u8 resolvers_len;
	__u8 private_len;
	__u8 own_len; /* written when the policy is put in place, as generation */
	__u8 zero[2];
	__u32 min_ttl, max_ttl; /* seconds */
	__u64 query_types[4]; /* bit n: query type n (< 256) may be asked; CAA is 257: see below */
	__u64 query_types_high; /* bit n: query type 256 + n (n < 64) may be asked */
	struct sp_addr resolvers[SP_RESOLVERS_MAX];
	__u32 resolver_ifs[SP_RESOLVERS_MAX]; /* of a link-local one: its interface; 0: any */
	struct sp_prefix private_answers[SP_PRIVATE_MAX];
	struct sp_addr own[SP_OWN_MAX];
};

/* ---- a sandbox ------------------------------------------------------------------------------ */

/*
 * Lives in cgroup storage, one per attached cgroup, so that a program finds its sandbox without a
 * look-up. All zero (attached, not yet filled in) denies everything.
 */
struct sp_attach {
	__u32 sandbox;	  /* slot; indexes every per-sandbox outer map */
	__u32 policy;	  /* slot; indexes every per-policy outer map */
	__u32 generation; /* of that policy; 0: not ready */
	__u32 mode;	  /* enum sp_mode, as in the policy: the packet path needs no look-up */
	__u64 cgroup;	  /* id of the sandbox's cgroup */
	__u64 netns;	  /* cookie of its home network namespace: only sockets born there learn */
};

/* What an event is about; also the index of the counters below. */
enum sp_event_kind {
	SP_EVENT_DNS = 0,   /* a query was decided */
	SP_EVENT_ANSWER,    /* an answer taught addresses, or was refused as a teacher */
	SP_EVENT_CONNECT,   /* a destination was decided */
	SP_EVENT_HANDSHAKE, /* a ClientHello or request head was decided */
	SP_EVENT_SOCKET,    /* a socket, bind or option was denied */
	SP_EVENT_CLOSE,	    /* a TCP connection ended: byte counts */
	SP_EVENT_PACKET,    /* a packet was dropped for its form */
	SP_EVENT_KINDS,
};

#define SP_SERVES_ANSWERS 1u /* denied queries are answered */
#define SP_SERVES_RESETS 2u  /* denied connections are reset */

/* Counters and shared state of a sandbox; `sandboxes` array, mapped by user space. */
struct sp_sandbox {
	__u64 events[SP_EVENT_KINDS];  /* submitted */
	__u64 dropped[SP_EVENT_KINDS]; /* lost because the ring was full */
	__u64 requests_dropped;	       /* requests (answer, reset) lost likewise */
	__u64 decisions[3];	   /* by enum sp_verdict, of queries, destinations, hellos, ... */
	__u64 bytes_out, bytes_in; /* of TCP connections that were closed */
	__u64 packets_dropped;	   /* on the packet path, with a decision of their own */
	__u64 answers_asked;	   /* denied queries handed to user space to answer */
	__u64 answers_asked_ns;	   /* when the oldest one that is unanswered was asked */
	__u64 answers_given;	   /* written by user space: how many of them it has dealt with */
	__u64 last_sweep_ns;	   /* expired entries were last removed */
	__u64 streams;		   /* inspection buffers in use */
	__u32 serving;		   /* written by user space: SP_SERVES_*, while somebody does */
	__u32 allowed_events;	   /* likewise: 1 if what is allowed makes a record too */
	__u32 any_interface;	   /* likewise: SP_ANY_INTERFACE_* */
	__u32 reuse_pid; /* last process to connect a UDP socket whose port others may have too */
	__u64 probes;	 /* the last second (of 2^30 ns) that had any, in the high half; how many */
	__u64 kept;	 /* pairs that are kept beyond their TTL */
};

/* sp_sandbox.any_interface: the routes of this family say no more than "somewhere" (routes.c) */
#define SP_ANY_INTERFACE_V4 1u
#define SP_ANY_INTERFACE_V6 2u

/* Key of the LPM trie of the home network namespace's routes. */
struct sp_route_key {
	__u32 prefix;  /* bits of the 128, so 96 + n for IPv4 */
	__u8 addr[16]; /* IPv4 as v4-mapped */
};

/* The interfaces that lead there. */
struct sp_route {
	__u32 count; /* interfaces; 0: none leads there; more than SP_ROUTE_IFS_MAX: any may */
	__u32 ifindex[SP_ROUTE_IFS_MAX];
};

/* ---- what a sandbox has learned ------------------------------------------------------------- */

/* A name that an answer gave for an address. */
struct sp_learned_name {
	__u64 name;    /* hash */
	__u64 expires; /* ns; 0: free */
	__u32 acl;     /* of the name; 0: default */
	__u32 generation;
};

/* Value of the map of learned addresses: what a connect without a handshake stands on. */
struct sp_learned {
	struct sp_learned_name names[SP_LEARNED_PER_ADDR];
};

/* Key of the map that handshakes are judged by: this name at this address. */
struct sp_pair {
	__u8 addr[16]; /* IPv4 as v4-mapped */
	__u64 name;    /* hash */
};

/* Until when it holds, and what applies to the name. */
struct sp_pair_value {
	__u64 expires; /* ns; ~0: for ever (dns.static) */
	__u32 acl;
	__u32 generation;
};

/* The text behind a name's hash, for events about connections. */
struct sp_name_text {
	__u64 expires; /* ns */
	__u32 len;     /* bytes used of wire[], root byte included */
	__u32 zero;
	__u8 wire[256];
};

/* A query that was let out: an answer must have the same socket, name, id and type. */
struct sp_pending_key {
	__u64 cookie; /* of the socket */
	__u64 name;   /* hash of the question's name */
	__u16 id;     /* of the message, host order */
	__u16 type;   /* QTYPE */
	__u32 zero;
};

/* What its answer will be held against. */
struct sp_pending {
	__u64 expires;	   /* ns; a later answer teaches nothing */
	__u8 resolver[16]; /* whom it was sent to, before any NAT; IPv4 as v4-mapped */
	__u32 acl;
	__u32 rule;
	__u32 generation;
	__u32 ifindex; /* that it left by */
};

/* ---- events --------------------------------------------------------------------------------- */

/* What was decided; WOULD_DENY is a denial in audit_only, which let it through. */
enum sp_verdict { SP_VERDICT_ALLOWED = 0, SP_VERDICT_DENIED = 1, SP_VERDICT_WOULD_DENY = 2 };

/*
 * One record of the events ring. Records are cut behind the last part that says something:
 * SP_EVENT_BARE, _NAMED or _FULL bytes; the size is in the record.
 */
struct sp_event {
	__u16 version; /* SP_ABI_VERSION */
	__u16 size;    /* bytes of this record */
	__u8 kind;     /* enum sp_event_kind */
	__u8 verdict;  /* enum sp_verdict */
	__u8 reason;   /* enum sp_reason */
	__u8 protocol; /* IPPROTO_TCP or _UDP, or what was asked for */
	__u32 sandbox;
	__u32 generation;
	__u32 rule; /* index, or SP_RULE_DEFAULT */
	__u32 pid;  /* thread group, in the initial pid namespace; 0: not known */
	__u32 uid;
	__u32 detail;		   /* by kind: QTYPE, option, family, addresses learned */
	__u64 time;		   /* ns */
	__u64 cookie;		   /* of the socket */
	__u64 bytes_out, bytes_in; /* CLOSE */
	__u8 saddr[16], daddr[16]; /* IPv4 as v4-mapped */
	__u16 sport, dport;	   /* host order */
	__u16 name_len, sni_len;   /* bytes used of the next two */
	__u32 policy;		   /* slot */
	__u32 zero;
	char comm[16];
	__u8 name[256]; /* wire form, lower case */
	__u8 sni[256];	/* text as it was sent (SNI, Host), at most 255 bytes; hostile: escape it */
};

/* Bytes of a record that ends before name[], before sni[], or has both. */
#define SP_EVENT_BARE 128u
#define SP_EVENT_NAMED 384u
#define SP_EVENT_FULL 640u

/* What the kernel cannot do itself. */
enum sp_request_kind {
	SP_REQUEST_ANSWER = 1, /* answer a denied DNS query over UDP */
	SP_REQUEST_RESET = 2,  /* destroy a TCP socket */
};

/* One record of the requests ring. */
struct sp_request {
	__u16 version; /* SP_ABI_VERSION */
	__u8 kind;     /* enum sp_request_kind */
	__u8 family;   /* AF_INET or AF_INET6, of the packet */
	__u32 sandbox;
	__u64 time;		   /* ns */
	__u64 cookie;		   /* of the socket */
	__u8 saddr[16], daddr[16]; /* of the packet, after any NAT: an answer goes the other way */
	__u16 sport, dport;	   /* of the packet, host order */
	__u8 answer;		   /* enum sp_denied_answer */
	__u8 reason;		   /* enum sp_reason */
	__u16 query_len;	   /* bytes used of query[] */
	__u32 rule;
	__u32 bound_if;	 /* interface that the socket is bound to, or 0 */
	__u8 peer[16];	 /* whom the socket itself sent to, before any NAT: by that it is found */
	__u16 peer_port; /* host order */
	__u8 shared; /* the socket may share its port with others (SO_REUSEADDR, SO_REUSEPORT) */
	__u8 zero[5];
	__u8 query[272]; /* header and question as they were sent */
};

/* ---- what is true of the host --------------------------------------------------------------- */

/* The one entry of the `host` map, written by whoever loaded the programs. */
struct sp_host {
	__u32 abi; /* SP_ABI_VERSION */
	__u32 cpus;
	__u64 seed[2];	    /* secret of the name hash, drawn when the programs were loaded */
	__u32 shared_known; /* 1: the programs can tell pages that may still change
			       (bpf/pages.bpf.h) */
	__u32 zero;
};

/* ---- a trial of the kernel's (bpf/marks.bpf.c) ------------------------------------------------
 */

#define SP_MARKS_HANDED 'S' /* every byte that the trial hands over, and no other */

/* Packets that held such bytes, with the kernel's mark of shared pages and without. */
struct sp_marks {
	__u64 marked, unmarked;
};

#define SP_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed size")
SP_ASSERT_SIZE(struct sp_slot, 16);
SP_ASSERT_SIZE(struct sp_bucket, 64);
SP_ASSERT_SIZE(struct sp_node, 16);
SP_ASSERT_SIZE(struct sp_acl, 16);
SP_ASSERT_SIZE(struct sp_acl_entry, 16);
SP_ASSERT_SIZE(struct sp_cidr4, 8);
SP_ASSERT_SIZE(struct sp_cidr6, 20);
SP_ASSERT_SIZE(struct sp_prefix, 24);
SP_ASSERT_SIZE(struct sp_policy_conf, 1648);
SP_ASSERT_SIZE(struct sp_attach, 32);
SP_ASSERT_SIZE(struct sp_sandbox, 240);
SP_ASSERT_SIZE(struct sp_learned, 192);
SP_ASSERT_SIZE(struct sp_route_key, 20);
SP_ASSERT_SIZE(struct sp_route, 32);
SP_ASSERT_SIZE(struct sp_pair, 24);
SP_ASSERT_SIZE(struct sp_pair_value, 16);
SP_ASSERT_SIZE(struct sp_name_text, 272);
SP_ASSERT_SIZE(struct sp_pending_key, 24);
SP_ASSERT_SIZE(struct sp_pending, 40);
SP_ASSERT_SIZE(struct sp_event, 640);
SP_ASSERT_SIZE(struct sp_request, 368);
SP_ASSERT_SIZE(struct sp_host, 32);
SP_ASSERT_SIZE(struct sp_marks, 16);

#endif
