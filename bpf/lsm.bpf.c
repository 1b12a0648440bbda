// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lsm.bpf.c - socket families, where the kernel has BPF LSM (Debian's does; some do not, or refuse
 * it, so this is an object of its own, and sallyport goes on without it and says so).
 *
 * cgroup/sock_create sees INET sockets only; this sees every family, however it is asked for:
 * socket(), io_uring, the 32-bit ABI. What is not UNIX, INET, INET6 or NETLINK (routing) is
 * refused.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <sallyport/abi.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct sp_attach);
} attached SEC(".maps");

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define NETLINK_ROUTE 0
#define ERR_AFNOSUPPORT 97

SEC("lsm_cgroup/socket_create")
int BPF_PROG(sp_socket_create, int family, int type, int protocol, int kern)
{
	struct sp_attach *a;

	if (kern)
		return 1;
	if (family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
	    (family == AF_NETLINK && protocol == NETLINK_ROUTE))
		return 1;
	a = bpf_get_local_storage(&attached, 0);
	if (a->mode == SP_MODE_AUDIT_ONLY && a->generation)
		return 1;
	bpf_set_retval(-ERR_AFNOSUPPORT);
	return 0;
}
