/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps.bpf.h - every map, and the structures that only the kernel side sees.
 *
 * What belongs to one sandbox or one policy is an inner map of its own, reached by the slot in
 * struct sp_attach; so one sandbox cannot fill, evict or read what is another's, and dropping it
 * frees all of its memory at once. Inner maps are made by user space with the sizes of abi.h.
 */
#ifndef SP_MAPS_BPF_H
#define SP_MAPS_BPF_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <sallyport/abi.h>
#include <sallyport/reasons.h>

#include "parse/name.h"
#include "parse/stream.h"
#include "parse/dns.h"
#include "parse/tls.h"
#include "parse/http.h"

/* ---- per attached cgroup, per socket -------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct sp_attach);
} attached SEC(".maps");

enum sp_flow_state {
	SP_FLOW_NEW = 0,
	SP_FLOW_OPEN,	  /* allowed, nothing more to look at */
	SP_FLOW_TLS,	  /* a ClientHello is due */
	SP_FLOW_TLS_DONE, /* hello allowed; retransmissions and a second hello are still watched */
	SP_FLOW_HTTP,	  /* request heads */
	SP_FLOW_SNIFF,	  /* the first bytes tell which of the two, or neither */
	SP_FLOW_DNS,	  /* whole DNS messages over TCP */
	SP_FLOW_LOCAL,	  /* to a listener of the sandbox's own, until its end is known for sure */
	SP_FLOW_DENIED,
};

#define SP_FLOW_HOME 0x01u	/* born in the sandbox's home network namespace */
#define SP_FLOW_INBOUND 0x02u	/* accepted, not connected */
#define SP_FLOW_ASKED 0x04u	/* a DNS query was let out: answers are read */
#define SP_FLOW_LENIENT 0x10u	/* TLS or HTTP is not required; if it is one, it must be right */
#define SP_FLOW_DENY_ONLY 0x20u /* by address: only a denied name in the hello closes it */
#define SP_FLOW_SECOND 0x40u	/* inspecting a second ClientHello */
#define SP_FLOW_RX_LOST 0x80u	/* DNS over TCP: answers can no longer be followed */
#define SP_FLOW_UPGRADE 0x100u	/* HTTP: asked to switch protocols; open once that is agreed to */

/* What is known of an HTTP flow. */
enum {
	SP_HEADS_SEEN = 1,    /* a head was */
	SP_HEADS_BEGUN = 2,   /* the bytes that are collected are one's */
	SP_HEADS_CUT = 4,     /* or nearly, and end within a line of it */
	SP_HEADS_PROXIED = 8, /* `base` is behind a header of the PROXY protocol */
	SP_HEADS_GUARD = 16,  /* a body begins that servers may not expect */
	SP_HEADS_TUNNEL = 32, /* behind a CONNECT */
	SP_HEADS_FRESH = 64,  /* what comes next need not be HTTP: in a tunnel, once one may be */
};
#define SP_HEADS_STAY (SP_HEADS_PROXIED | SP_HEADS_TUNNEL) /* for the life of a connection */

/* What is known of a first ClientHello, and of the server's answer to it. */
enum { SP_HELLO_READ = 1, SP_HELLO_EARLY = 2 /* early data may follow it at once */ };
enum { SP_ANSWER_NONE, SP_ANSWER_HELLO, SP_ANSWER_RETRY, SP_ANSWER_UNKNOWN };

/* What is known of a socket. Written on creation, on connect and by the packet path. */
struct sp_flow {
	__u64 cgroup;	  /* of the sandbox that made the socket */
	__u32 generation; /* of the policy that the state was decided under; 0: undecided */
	__u8 state;	  /* enum sp_flow_state */
	__u8 protocol;
	__u16 flags;
	__u32 rule;
	__u32 order; /* evaluation order of the rule that allowed the address */
	__u8 daddr[16];
	__u16 dport;
	__u16 asked_port; /* destination as given to connect or sendmsg, before any NAT */
	__u32 pid;
	__u8 asked[16];
	__u64 name; /* hash of the name that the flow stands on; 0: none */
	__u64 bytes_out, bytes_in;
	__u64 renew; /* ns: when what was learned of this address is next kept alive */
	union {	     /* a socket is of TCP or of UDP for life */
		struct {
			__u64 settled; /* what destination was last allowed (settled_word()) */
			__u64 event;   /* ns: last event about an allowed datagram */
		};
		struct {
			/* HTTP: body bytes until the next head; DNS: bytes of the query whose
			 * length went ahead of it */
			__u64 skip;
			__u32 base; /* sequence number of stream offset 0 */
			__u32 end;  /* stream offset behind the bytes accepted so far */
			union {
				__u32 hello_end;
				__u32 chunk; /* HTTP: where in a chunked body (enum sp_chunk) */
			};
			/* number of the first byte in, once established; of DNS, of the next
			 * byte that was not read yet */
			__u32 rx_next;
		};
	};
	__u16 rx_need; /* DNS over TCP: bytes of the message that is being collected */
	__u8 kept;     /* bytes out are, in `streams` or `retained` (flow_forget()) */
	__u8 shared;   /* SO_REUSEADDR or SO_REUSEPORT was done: others may hear at its port. A
			* byte of its own, only ever set, as `tainted` */
	__u32 uid;
	char comm[16];
	/* was pointed at a denied address: never a resolver behind a NAT. A byte of its own, only
	 * ever set: flags are read, changed and written by several threads */
	__u8 tainted;
	__u8 heads;  /* HTTP: SP_HEADS_* */
	__u8 hello;  /* TLS: SP_HELLO_*, of the first hello */
	__u8 answer; /* TLS: SP_ANSWER_*, what the server said first. Set on the way in, where flags
		      * are not */
	__u32 tick;  /* low half of jiffies when `renew` was last looked at */
	/* queries that wait for their answers (waiting_word()); 0: none. More are in `pending` */
	__u64 waiting[SP_WAITING_MAX];
	__u32 ifindex; /* that its first allowed datagram left by (flow_interface()) */
	__u8 reuse;    /* UDP: asked for SO_REUSEADDR, which was not done (option_reuse()) */
};

/* With 72 bytes of the kernel's in front, a flow is allocated in 256 (bpf_local_storage.h). */
_Static_assert(sizeof(struct sp_flow) <= 184, "a flow costs twice the memory");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sp_flow);
} flows SEC(".maps");

/* A handshake that comes in pieces. Only packets out are collected here, under the socket's lock.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sp_stream);
} streams SEC(".maps");

/*
 * A DNS answer over TCP that comes in pieces. Packets in are seen before the socket is locked: one
 * may still be collected while the socket is connected anew, so `of` says which connection's it is.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sp_stream);
} answers SEC(".maps");

/* The bytes of a decided hello, until the peer has acknowledged them. */
struct sp_retained {
	__u32 len;
	__u32 zero;
	__u8 data[SP_RETAIN_MAX + 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sp_retained);
} retained SEC(".maps");

/* ---- per host ------------------------------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sp_host);
} host SEC(".maps");

/*
 * Working memory of one decision. Not per CPU: a program may be preempted, or interrupted by one in
 * softirq, on its own CPU, and the second would overwrite the name the first is judging. So each
 * decision claims one of its CPU's slots and gives it back (scratch.bpf.h).
 */
struct sp_scratch {
	__u32 busy;
	__u32 index; /* its own key */
	struct sp_name name;
	struct sp_dns dns;
	struct sp_tls tls;
	struct sp_http http;
	struct sp_name_text text; /* the question of the answer being read */
	struct sp_learned fresh;  /* an address's first entry, too large for the stack */
	struct sp_stream stream;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SP_SCRATCH_PER_CPU); /* times the number of CPUs, set by user space */
	__type(key, __u32);
	__type(value, struct sp_scratch);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SP_SANDBOXES_MAX);
	__type(key, __u32);
	__type(value, struct sp_policy_conf);
} policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SP_SANDBOXES_MAX);
	__type(key, __u32);
	__type(value, struct sp_sandbox);
} sandboxes SEC(".maps");

/* ---- per policy ----------------------------------------------------------------------------- */

#define SP_INNER_ARRAY(name, type_)                                                                \
	struct name {                                                                              \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);                               \
		__uint(max_entries, 1);                                                            \
		__uint(key_size, sizeof(__u32));                                                   \
		__uint(value_size, sizeof(type_));                                                 \
	}

#define SP_OUTER(name, inner)                                                                      \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                          \
		__uint(max_entries, SP_SANDBOXES_MAX);                                             \
		__type(key, __u32);                                                                \
		__array(values, struct inner);                                                     \
	} name SEC(".maps")

SP_INNER_ARRAY(inner_buckets, struct sp_bucket);
SP_INNER_ARRAY(inner_nodes, struct sp_node);
SP_INNER_ARRAY(inner_acls, struct sp_acl);
SP_INNER_ARRAY(inner_entries, struct sp_acl_entry);

SP_OUTER(policy_buckets, inner_buckets);
SP_OUTER(policy_nodes, inner_nodes);
SP_OUTER(policy_acls, inner_acls);
SP_OUTER(policy_entries, inner_entries);

struct inner_cidr4 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct sp_cidr4));
	__uint(value_size, sizeof(__u32));
};

struct inner_cidr6 {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct sp_cidr6));
	__uint(value_size, sizeof(__u32));
};

SP_OUTER(policy_cidr4, inner_cidr4);
SP_OUTER(policy_cidr6, inner_cidr6);

/* ---- per sandbox ---------------------------------------------------------------------------- */

#define SP_INNER_HASH(name, key_, value_, entries)                                                 \
	struct name {                                                                              \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, entries);                                                      \
		__uint(key_size, sizeof(key_));                                                    \
		__uint(value_size, sizeof(value_));                                                \
	}

SP_INNER_HASH(inner_addrs, struct sp_addr, struct sp_learned, SP_LEARNED_ADDRS_MAX);
SP_INNER_HASH(inner_pairs, struct sp_pair, struct sp_pair_value, SP_LEARNED_PAIRS_MAX);
SP_INNER_HASH(inner_names, __u64, struct sp_name_text, SP_LEARNED_NAMES_MAX);
SP_INNER_HASH(inner_pending, struct sp_pending_key, struct sp_pending, SP_PENDING_MAX);

SP_OUTER(learned_addrs, inner_addrs);
SP_OUTER(learned_pairs, inner_pairs);
SP_OUTER(learned_names, inner_names);
SP_OUTER(pending, inner_pending);

struct inner_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

SP_OUTER(events, inner_ring);
SP_OUTER(requests, inner_ring);

#endif
