/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gai - prints what getaddrinfo() says of a name: addresses, or its error. Usage: gai NAME */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	char text[128];
	int r;

	if (argc != 2)
		return 2;
	r = getaddrinfo(argv[1], "443", &hints, &list);
	if (r) {
		printf("%s (%d)\n", gai_strerror(r), r);
		return r == EAI_NONAME ? 1 : 3;
	}
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next)
		if (!getnameinfo(ai->ai_addr, ai->ai_addrlen, text, sizeof(text), NULL, 0,
				 NI_NUMERICHOST))
			puts(text);
	freeaddrinfo(list);
	return 0;
}
