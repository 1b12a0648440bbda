/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sockdiag.h - destroying sockets of other processes (sock_diag(7), SOCK_DESTROY).
 */
#ifndef SALLYPORT_LIB_SOCKDIAG_H
#define SALLYPORT_LIB_SOCKDIAG_H

#include <stdint.h>

#define SP_COOKIE_ANY UINT64_MAX /* whatever socket has these ends (INET_DIAG_NOCOOKIE, twice) */

/* A netlink socket of one network namespace: it stays in the one that it was made in. */
struct sp_sockdiag;

/* Made in the caller's current network namespace. 0, -ENOMEM, -EPROTONOSUPPORT, -errno. */
int sp_sockdiag_open(struct sp_sockdiag **ret_diag);
void sp_sockdiag_close(struct sp_sockdiag *diag);

/*
 * Destroys the socket with these ends: its owner's calls fail with ECONNABORTED from then on, and a
 * TCP peer gets a reset. `family` is that of the packets, AF_INET or AF_INET6 (a dual-stack socket
 * that talks IPv4 is found by AF_INET); `protocol` IPPROTO_TCP or IPPROTO_UDP; src is the socket's
 * own end, dst its peer's; addresses are 16 bytes in network order, IPv4 as v4-mapped; ports in
 * host order. `cookie` is that of the socket (SO_COOKIE, bpf_get_socket_cookie()) or SP_COOKIE_ANY.
 * `bound_if` is the interface that the socket is bound to (SO_BINDTODEVICE, or by a link-local
 * peer), 0 if to none: a bound socket is found only if it is said. A listener is never destroyed.
 *
 * 0; -ENOENT (no such socket, or the ends are another's by now; also where the kernel has no
 * inet_diag, tcp_diag or udp_diag: sp_sockdiag_probe() tells); -EOPNOTSUPP (built without
 * CONFIG_INET_DIAG_DESTROY); -EPERM without CAP_NET_ADMIN there; -EINVAL; -errno. Waits for the
 * kernel's answer, which netlink gives before the request returns.
 */
int sp_sockdiag_destroy(struct sp_sockdiag *diag, int family, int protocol, const uint8_t src[16],
			uint16_t sport, const uint8_t dst[16], uint16_t dport, uint32_t bound_if,
			uint64_t cookie);

/*
 * Would a UDP datagram from src:sport to dst:dport find the socket with this cookie here, and not
 * another? Ends as the packet has them; the rest as above. 0; -ENOENT (another, or none; also where
 * the kernel has no udp_diag: sp_sockdiag_probe_udp()); -EINVAL; -errno.
 */
int sp_sockdiag_receives(struct sp_sockdiag *diag, int family, const uint8_t src[16],
			 uint16_t sport, const uint8_t dst[16], uint16_t dport, uint32_t bound_if,
			 uint64_t cookie);

/*
 * Is it the only one that would hear such a datagram if it came as a broadcast, which goes to every
 * socket of that port and address? Asks for all sockets of the port. 0; -ENOTUNIQ; -EINVAL; -errno.
 */
int sp_sockdiag_alone(struct sp_sockdiag *diag, int family, const uint8_t src[16], uint16_t sport,
		      const uint8_t dst[16], uint16_t dport, uint64_t cookie);

/* Makes a UDP socket and looks for it: 0; -ENOENT (no udp_diag in this kernel); -errno. */
int sp_sockdiag_probe_udp(struct sp_sockdiag *diag);

/*
 * Tries it: makes a TCP connection on loopback in the current network namespace, destroys one end
 * of it, and looks whether it is dead. 0; -errno of what failed; -EIO if the socket lived on.
 * -ENETUNREACH and -EADDRNOTAVAIL: lo is down here, nothing was learned.
 */
int sp_sockdiag_probe(void);

#endif
