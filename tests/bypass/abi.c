// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * abi.c - the system calls of other ABIs, from a 64-bit program.
 *
 * Usage: abi i386|x32|socketcall send HOST PORT TEXT
 *        abi i386|x32|socketcall|high families      prints socket families that open
 *
 * i386 is `int $0x80`; socketcall the same with the arguments in memory; x32 numbers with bit 30;
 * high sets bits above the 32 that the kernel takes. Exit: 0 done, 77 not on this kernel, 1
 * refused. A filter may kill this program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define X32 0x40000000L

static long int80(long nr, long a, long b, long c, long d, long e, long f)
{
	long r;

	/* the sixth argument is in ebp, which gcc wants for itself */
	__asm__ volatile("push %%rbp\n\tmov %[f], %%rbp\n\tint $0x80\n\tpop %%rbp"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), [f] "r"(f)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

static long native(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "memory", "rcx", "r11");
	return r;
}

static const char *abi;
static uint32_t *low; /* memory that a 32-bit pointer reaches */

static long do_socket(long family, long type, long protocol)
{
	if (!strcmp(abi, "i386"))
		return int80(359, family, type, protocol, 0, 0, 0);
	if (!strcmp(abi, "x32"))
		return native(X32 | 41, family, type, protocol, 0, 0, 0);
	if (!strcmp(abi, "high"))
		return native(41, family | 1L << 32, type | 1L << 40, protocol, 0, 0, 0);
	low[0] = (uint32_t)family;
	low[1] = (uint32_t)type;
	low[2] = (uint32_t)protocol;
	return int80(102, 1 /* SYS_SOCKET */, (long)low, 0, 0, 0, 0);
}

static long do_sendto(long fd, char *data, size_t len, void *to, size_t tolen)
{
	if (!strcmp(abi, "i386"))
		return int80(369, fd, (long)data, (long)len, 0, (long)to, (long)tolen);
	if (!strcmp(abi, "x32"))
		return native(X32 | 44, fd, (long)data, (long)len, 0, (long)to, (long)tolen);
	low[0] = (uint32_t)fd;
	low[1] = (uint32_t)(uintptr_t)data;
	low[2] = (uint32_t)len;
	low[3] = 0;
	low[4] = (uint32_t)(uintptr_t)to;
	low[5] = (uint32_t)tolen;
	return int80(102, 11 /* SYS_SENDTO */, (long)low, 0, 0, 0, 0);
}

int main(int argc, char **argv)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
	struct sockaddr_in *to;
	char *data;
	long fd, r;

	if (argc != 3 && argc != 6)
		return 2;
	abi = argv[1];
	low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1,
		   0);
	if (low == MAP_FAILED)
		return 2;
	fd = do_socket(AF_INET, SOCK_DGRAM, 0);
	if (fd == -ENOSYS || fd == -EFAULT)
		return 77;
	if (argc == 3) {
		for (int family = 0; family < 64; family++) {
			if (family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
			    family == AF_NETLINK)
				continue;
			for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
				fd = do_socket(family, types[i], 0);
				if (fd < 0)
					continue;
				printf("%d ", family);
				close((int)fd);
				break;
			}
		}
		printf("\n");
		return 0;
	}
	if (fd < 0) {
		printf("socket: %s\n", strerror((int)-fd));
		return 1;
	}
	to = (struct sockaddr_in *)(low + 64);
	to->sin_family = AF_INET;
	to->sin_port = htons((uint16_t)atoi(argv[4]));
	inet_pton(AF_INET, argv[3], &to->sin_addr);
	data = (char *)(low + 128);
	snprintf(data, 200, "%s", argv[5]);
	r = do_sendto(fd, data, strlen(data), to, sizeof(*to));
	if (r < 0)
		printf("sendto: %s\n", strerror((int)-r));
	return r < 0;
}
