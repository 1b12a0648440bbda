/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * selftest.h - the parts of `sallyport selftest`: the lab and its oracle (lab.c), what
 * attackers are built from (client.c), the ways out (attacks.c), and the
 * processes that try them (worker.c). cmd_selftest.c puts them together and judges.
 */
#ifndef SALLYPORT_SELFTEST_H
#define SALLYPORT_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <sallyport/error.h>

/* ---- the lab (lab.c) --------------------------------------------------------------- */

#define SP_TRIES_MAX 1000    /* tries have numbers below that */
#define SP_TRY_PORT 10000    /* + number of the try: nobody else sends there */
#define SP_UDP_PORT 9000     /* datagrams to SP_AT_GOOD are allowed there; see struct sp_ask */
#define SP_OTHER_PORT 8443   /* TCP of no known kind: allowed to one.test, as the next */
#define SP_WEB_PORT 8080     /* somebody answers there, 200 to everything */
#define SP_MARKER_LEN 16u    /* [a-z0-9]: also a DNS label */
#define SP_MARKER_PREFIX 12u /* the same for all tries of a run */
#define SP_MAPPED 1000	     /* a family: an IPv6 socket to ::ffff:a.b.c.d */

/* Hosts of the lab: last byte of their addresses, in 198.18.77.0/24 and 2001:db8:77::/64. */
enum sp_at {
	SP_AT_NEAR = 1,
	SP_AT_GOOD = 2,	      /* good.test: allowed */
	SP_AT_SHARED = 3,     /* one.test, allowed; two.test, not */
	SP_AT_RESOLVER = 53,  /* trusted */
	SP_AT_RESOLVER2 = 54, /* not */
	SP_AT_EVIL = 66,      /* evil.test: not allowed */
	SP_AT_PRIVATE = 166,  /* 10.77.0.166, fd00:77::166: what allowed names resolve to as well */
};

/*
 * What an attacker asks of a friend at SP_UDP_PORT of SP_AT_GOOD, and the friend's reply: the same.
 * The wire keeps the order: who has the reply has what was sent before it, too.
 */
struct sp_ask {
	uint32_t magic;
	uint16_t what;
	uint16_t family;		   /* of a connection to SP_AT_SHARED */
	uint16_t server_port, client_port; /* its ports, network order */
};

#define SP_ASK_MAGIC 0x73706173u

enum {
	SP_ASK_NOTHING, /* but an answer; ends a hold */
	SP_ASK_HOLD,	/* read nothing from the wire, until asked again (or for 2 s) */
	SP_ASK_AGREED,	/* forge an answer 101 */
	SP_ASK_HELLO,	/* forge a ServerHello */
};

/* What the far side has seen, written by it alone. Index: number of a try. */
struct sp_sight {
	uint32_t markers[SP_TRIES_MAX]; /* packets with the marker of the try */
	uint32_t ports[SP_TRIES_MAX];	/* packets to its port */
	uint32_t fence;
	uint32_t lost; /* packets that the capture had no room for */
};

struct sp_lab {
	struct sp_sight *sight;
	char prefix[SP_MARKER_PREFIX + 1];
	pid_t far;
	int reply; /* readable when the far side has met a fence */
	int fences[2];
	uint32_t fence;
	bool ipv6;
};

/*
 * Moves the caller into a new network namespace, and makes the lab around it: a wire to a second
 * namespace, whose only process answers DNS, listens, and looks at every packet. Both namespaces
 * have no name and end with their processes. 0 or -errno.
 */
int sp_lab_open(struct sp_lab *ret_lab, struct sp_error **err);
void sp_lab_close(struct sp_lab *lab);

/*
 * Waits until the far side has looked at all that was sent before, at most `ms`. The wire keeps the
 * order of packets. 0, -ETIMEDOUT or -errno.
 */
int sp_lab_fence(struct sp_lab *lab, int ms);

void sp_lab_address(int family, enum sp_at at, uint16_t port, struct sockaddr_storage *ret,
		    socklen_t *ret_len);

void sp_marker(const char *prefix, uint32_t id, char ret_marker[SP_MARKER_LEN + 1]);
/* Notes the markers in some bytes. */
void sp_marker_find(const char *prefix, const uint8_t *data, size_t len,
		    uint32_t markers[SP_TRIES_MAX]);

/* ---- a try ---------------------------------------------------------------------------------- */

/* What a way out is told. Fixed size: it goes over a socket to a process that was exec'ed. */
struct sp_try {
	uint32_t id;
	uint32_t technique;
	char marker[SP_MARKER_LEN + 1];
	char zero[3];
	uint32_t inside;    /* in the sandbox */
	uint32_t enforcing; /* the sandbox is not audit_only */
	int32_t outsider;   /* pid of a process outside, which owns `socket` */
	int32_t socket;	    /* number of a datagram socket, made outside and left open on exec */
	int32_t given;	    /* the same, received over SCM_RIGHTS; -1: none */
	uint16_t tcp4, tcp6, udp4; /* services of somebody else on loopback */
	uint16_t asker4, asker6; /* sockets of somebody else that wait for the resolver's answer */
	uint16_t zero2;
	int32_t neighbour; /* pid of a process outside of uid SP_NEIGHBOUR; it has `socket` too */
	uint64_t memory;   /* an address in the outsider, and in the neighbour */
	char abstract[32]; /* name of an abstract datagram socket outside, without its NUL */
	char procs[1024];  /* cgroup.procs of the cgroup above the sandbox */
};

#define SP_NEIGHBOUR 65534

/* What it says of itself. */
struct sp_said {
	uint32_t id;
	int32_t error;	/* 0: it thinks that it got through; errno; SP_TRY_NA; SP_TRY_BROKEN */
	int32_t killed; /* by this signal */
	char note[128];
};

#define SP_TRY_NA (-100000)	/* this host has no such thing; the note says what is missing */
#define SP_TRY_BROKEN (-100001) /* what must work before the way out did not: nothing was tried */

/* ---- the ways out (attacks.c) ------------------------------------------------------ */

enum sp_technique_kind {
	SP_MUST_NOT_ARRIVE, /* the marker, or anything at the port of the try, at the far side */
	SP_MUST_FAIL,	    /* a call that needs no wire; success is what it says itself */
	SP_MUST_ARRIVE,	    /* the paired allow */
	SP_MUST_WORK,	    /* an allow that needs no wire */
};

enum {
	SP_TECHNIQUE_IPV6 = 1,	  /* needs IPv6 */
	SP_TECHNIQUE_GIVEN = 2,	  /* gets a socket over SCM_RIGHTS */
	SP_TECHNIQUE_JOINED = 4,  /* tried by root, moved into the cgroup with all capabilities and
				     no filter, as a process would be that `run` did not start */
	SP_TECHNIQUE_KNOWN = 8,	  /* not stopped anywhere: SECURITY.md says so */
	SP_TECHNIQUE_LSM = 16,	  /* stopped only where there is BPF LSM */
	SP_TECHNIQUE_ASTRAY = 32, /* it works if somebody else on this host hears of it: what the
				     far side sees from outside proves nothing */
};

struct sp_attack;

struct sp_technique {
	const char *group; /* set in the first of each group */
	const char *row;   /* of the table of threats: A1 ... */
	const char *name;
	const char *what;
	enum sp_technique_kind kind;
	unsigned int flags;
	int (*attack)(struct sp_attack *attack);
	int family; /* and a number: what one function does in several ways */
	int way;
};

extern const struct sp_technique sp_techniques[];
extern const size_t sp_techniques_len;

struct sp_attack {
	const struct sp_technique *technique;
	struct sp_try try;
	char note[128];
};

/* ---- those that somebody helps with (helped.c) ----------------------------------------------- */

/* sp_attack_page(): way / SP_PAGE_CALLS is the first, the rest is the call: 0 sendfile(), 1
 * splice(), 2 vmsplice(). */
enum { SP_PAGE_DNS, SP_PAGE_DNS_TCP, SP_PAGE_TLS, SP_PAGE_HTTP, SP_PAGE_CALLS = 3 };

/* sp_attack_lenient() */
enum {
	SP_LENIENT_ALERT,
	SP_LENIENT_ALERT_OTHER,
	SP_LENIENT_CCS,
	SP_LENIENT_PROXY_TLS,
	SP_LENIENT_PROXY,
	SP_LENIENT_METHOD,
	SP_LENIENT_CRLF,
	SP_LENIENT_TABS,
	SP_LENIENT_VERSION,
	SP_LENIENT_CONNECT,
	SP_LENIENT_CONNECT_OTHER,
	SP_ALLOWED_ALERT,
	SP_ALLOWED_SSH,
};

/* sp_attack_neighbour() */
enum {
	SP_NEIGHBOUR_ROOT,
	SP_NEIGHBOUR_MEMORY,
	SP_NEIGHBOUR_MEM_FILE,
	SP_NEIGHBOUR_TRACE,
	SP_NEIGHBOUR_SIGNAL,
	SP_NEIGHBOUR_PINS,
};

/* The root directory as a process outside of uid SP_NEIGHBOUR sees it: O_PATH, or -errno. */
int sp_neighbour_root(const struct sp_attack *a);

int sp_attack_loopback_wire(struct sp_attack *a);
int sp_attack_other_link(struct sp_attack *a);
int sp_attack_page(struct sp_attack *a);
int sp_attack_sendfile(struct sp_attack *a);
int sp_attack_astray(struct sp_attack *a);
int sp_attack_forged(struct sp_attack *a);
int sp_attack_lenient(struct sp_attack *a);
int sp_attack_tunnel(struct sp_attack *a);
int sp_attack_leave_by_neighbour(struct sp_attack *a);
int sp_attack_neighbour_socket(struct sp_attack *a);
int sp_attack_neighbour(struct sp_attack *a);

/* ---- processes that try (worker.c) ------------------------------------------------- */

/*
 * Answers each struct sp_try that comes over a sequenced-packet socket with a struct sp_said, until
 * the socket is closed. Every try is made in a process of its own. Does not return.
 */
void sp_worker(int fd) __attribute__((noreturn));

/* ---- what ways out are built from (client.c) --------------------------------------- */

/* Not to be tried here: a reason for people, and SP_TRY_NA. */
int sp_attack_na(struct sp_attack *attack, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * What a call that traces said. There are hosts where root may not either (kernel.yama.ptrace_scope
 * 3, a container): not to be tried there.
 */
int sp_attack_traced(struct sp_attack *attack, int r);
/* Says what came before did not work, and SP_TRY_BROKEN. */
int sp_attack_broken(struct sp_attack *attack, const char *what, int r);

size_t sp_dns_question(uint8_t *buf, uint16_t id, const char *name, uint16_t type);
/*
 * Sends a query (UDP) and waits for whatever the resolver says; 0 if it has an answer record,
 * -ENOENT if not, -errno.
 */
int sp_resolve_at(enum sp_at resolver, int family, const char *name, uint16_t type);
int sp_resolve(int family, const char *name);

/* All return a descriptor, 0, or -errno. */
int sp_tcp_connect(int family, enum sp_at at, uint16_t port);
int sp_tcp_connect_fd(int fd, const struct sockaddr_storage *to, socklen_t len);
int sp_send_all(int fd, const void *data, size_t len);
/* Waits a little for a reset, where one is to be expected. 0, or -errno of the socket. */
int sp_reset_wait(const struct sp_attack *attack, int fd);

struct sp_hello {
	const char *names[2]; /* server names; NULL: none */
	size_t name_len;      /* of names[0], if it is not its strlen() */
	bool twice;	      /* in two extensions rather than in one list */
};

/* A ClientHello without its record header, marker at its end. *ret_cut: a place inside the name. */
size_t sp_hello_build(const struct sp_hello *hello, const char *marker, uint8_t buf[1024],
		      size_t *ret_cut);
/* The same in one record, or, if cut is not 0, in two. */
size_t sp_record_build(const uint8_t *message, size_t len, size_t cut, uint8_t *buf);

#endif
