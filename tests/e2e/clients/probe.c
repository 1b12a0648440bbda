// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * probe - tries to send to an address that must not be reached, in as few system calls as can be,
 * and notes that it ran. Exit 7: it could not; 8: it could.
 *
 * Usage: probe FILE IPV4-ADDRESS
 *
 * FILE gets "shut" or "open". UDP to port 5000 and TCP to port 443 are tried.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
	int tcp, udp, file, open_ = 0;

	if (argc != 3 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		return 2;
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	if (sendto(udp, "probe", 5, 0, (struct sockaddr *)&to, sizeof(to)) == 5)
		open_ = 1;
	to.sin_port = htons(443);
	tcp = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(tcp, (struct sockaddr *)&to, sizeof(to)) == 0 && write(tcp, "probe", 5) == 5)
		open_ = 1;
	file = open(argv[1], O_WRONLY | O_CREAT, 0666);
	if (file < 0 || write(file, open_ ? "open" : "shut", 4) != 4)
		return 2;
	return open_ ? 8 : 7;
}
