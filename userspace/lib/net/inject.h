/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject.h - UDP datagrams to a local socket as if they came from somebody else.
 */
#ifndef SALLYPORT_LIB_INJECT_H
#define SALLYPORT_LIB_INJECT_H

#include <stddef.h>
#include <stdint.h>

#define SP_INJECT_MAX                                                                              \
	1232 /* bytes of payload: a packet of 1280, which no link divides (RFC 8200 5) */

/* Raw sockets of one network namespace: they stay in the one that they were made in. */
struct sp_injector;

/*
 * Made in the caller's current network namespace. 0; -EPERM without CAP_NET_RAW there; -ENOMEM,
 * -errno. A kernel without IPv6 is no failure: then sending IPv6 gives -EAFNOSUPPORT.
 */
int sp_injector_open(struct sp_injector **ret_injector);
void sp_injector_close(struct sp_injector *injector);

/*
 * Sends `payload` from src:sport to dst:dport. `family` is that of the packet, AF_INET or AF_INET6;
 * addresses are 16 bytes in network order, IPv4 as v4-mapped; ports in host order. dst is an
 * address of this namespace, src may be anybody's. Whoever listens there hears it, and if nobody
 * does the kernel may tell src: look first (sp_sockdiag_receives(), sp_sockdiag_alone()). To answer
 * a struct sp_request: src is its daddr, dst its saddr. `bound_if` is the interface that the
 * receiving socket is bound to (SO_BINDTODEVICE, or a link-local peer), 0 if to none: a bound
 * socket of IPv4 gets nothing unless it is said.
 *
 * 0; -EINVAL (family, or an address of the other family); -EMSGSIZE (over SP_INJECT_MAX);
 * -EAFNOSUPPORT; -ENETUNREACH and the like from routing. Never blocks (-EAGAIN: the send buffer is
 * full).
 */
int sp_inject_udp(struct sp_injector *injector, int family, const uint8_t src[16], uint16_t sport,
		  const uint8_t dst[16], uint16_t dport, uint32_t bound_if, const void *payload,
		  size_t len);

#endif
