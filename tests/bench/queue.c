// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * queue.c - a verdict from user space on the first packet of every connection, as OpenSnitch and
 * others do it: iptables sends packets of new connections to a queue, this program looks their
 * destination up in a list of addresses. It does not look for the process or the name, which those
 * programs do as well; so it is a lower bound of what they cost.
 *
 *     queue NUMBER ADDRESS...
 *
 * Says "ready", and ends when standard input does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static in_addr_t *allowed;
static int allowed_len;

static int on_packet(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *data,
		     void *unused)
{
	struct nfqnl_msg_packet_hdr *head = nfq_get_msg_packet_hdr(data);
	unsigned char *payload;
	struct iphdr ip;
	bool good = false;

	(void)message;
	(void)unused;
	if (!head)
		return -1;
	if (nfq_get_payload(data, &payload) >= (int)sizeof(ip)) {
		memcpy(&ip, payload, sizeof(ip));
		for (int i = 0; i < allowed_len; i++)
			good = good || (ip.version == 4 && ip.daddr == allowed[i]);
	}
	return nfq_set_verdict(queue, ntohl(head->packet_id), good ? NF_ACCEPT : NF_DROP, 0, NULL);
}

int main(int argc, char **argv)
{
	static char bytes[65536] __attribute__((aligned(8)));
	struct nfq_q_handle *queue;
	struct nfq_handle *h = nfq_open();
	struct pollfd p[2];
	ssize_t len;

	if (argc < 3) {
		fprintf(stderr, "usage: queue NUMBER ADDRESS...\n");
		return 2;
	}
	allowed_len = argc - 2;
	allowed = calloc(allowed_len, sizeof(*allowed));
	for (int i = 0; allowed && i < allowed_len; i++)
		allowed[i] = inet_addr(argv[i + 2]);
	queue = h && allowed ? nfq_create_queue(h, atoi(argv[1]), on_packet, NULL) : NULL;
	/* the headers are enough */
	if (!queue || nfq_set_mode(queue, NFQNL_COPY_PACKET, 64) < 0) {
		fprintf(stderr, "queue: cannot open queue %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	p[0] = (struct pollfd){.fd = nfq_fd(h), .events = POLLIN};
	p[1] = (struct pollfd){.fd = 0, .events = POLLIN};
	while (poll(p, 2, -1) > 0 && !p[1].revents) {
		len = recv(p[0].fd, bytes, sizeof(bytes), 0);
		if (len > 0)
			nfq_handle_packet(h, bytes, len);
	}
	nfq_destroy_queue(queue);
	nfq_close(h);
	free(allowed);
	return 0;
}
