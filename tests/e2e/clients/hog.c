// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hog - threads of the lowest priority that send DNS queries as fast as they can, so that many of
 * them are preempted while the kernel judges one.
 *
 * Usage: hog SECONDS THREADS CPU RESOLVER
 *
 * CPU -1: where the scheduler puts them. Prints how many sends there were, and how many failed with
 * EPERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in resolver = {.sin_family = AF_INET};
static atomic_ulong sent, refused;
static atomic_bool over;
static int cpu;

/* The longest name that is judged: 40 labels, 253 bytes of text. */
static size_t query(unsigned char *out, unsigned int number)
{
	static const unsigned char head[12] = {0, 0, 1, 0, 0, 1};
	size_t at = 12;

	memcpy(out, head, 12);
	memcpy(out, &number, 2);
	for (int i = 0; i < 38; i++) {
		out[at++] = 5;
		for (int j = 0; j < 5; j++)
			out[at++] = 'a' + (number >> 3 * j & 7);
	}
	memcpy(out + at, "\4wide\4test\0\0\1\0\1", 15);
	out[12 + 1] = 's'; /* no answer */
	return at + 15;
}

static void *flood(void *data)
{
	struct sched_param idle = {0};
	unsigned char message[512];
	unsigned int number = (unsigned int)(size_t)data << 20;
	cpu_set_t set;
	int fd;

	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	sched_setscheduler(0, SCHED_IDLE, &idle);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&resolver, sizeof(resolver)) < 0)
		return NULL;
	while (!over) {
		if (send(fd, message, query(message, number++), 0) < 0 && errno == EPERM)
			refused++;
		sent++;
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_attr_t small;
	pthread_t thread;
	int threads;

	if (argc != 5 || inet_pton(AF_INET, argv[4], &resolver.sin_addr) != 1)
		return 2;
	resolver.sin_port = htons(53);
	threads = atoi(argv[2]);
	cpu = atoi(argv[3]);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 << 10);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread, &small, flood, (void *)(size_t)i))
			return 1;
	usleep(atof(argv[1]) * 1e6);
	over = 1;
	printf("%lu sent, %lu refused\n", (unsigned long)sent, (unsigned long)refused);
	return 0;
}
