/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * output.c - lines to a place that may be slow or full.
 *
 * The process that writes events is also the one that answers denied DNS queries, so it must never
 * wait for a reader: a pipe that nobody reads would make every denial of the sandbox slow. Lines go
 * to a buffer and from there only as far as the descriptor takes them; when the buffer is full,
 * lines are dropped and counted.
 *
 * O_NONBLOCK belongs to the open file, which standard output and error share with the command and
 * the shell, so it is never set on them: pipes and terminals are opened once more through /proc,
 * and sockets are sent to with MSG_DONTWAIT.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

#define BUFFER_SIZE (1u << 20)
#define AT_ONCE 4096u /* what a pipe that polls writable takes without blocking (PIPE_BUF) */

int sp_output_wrap(int fd, struct sp_output *ret_output)
{
	struct sp_output output = {.fd = fd, .size = BUFFER_SIZE};
	struct stat st;
	char path[40];

	if (fstat(fd, &st))
		return -errno;
	output.regular = S_ISREG(st.st_mode);
	output.socket = S_ISSOCK(st.st_mode);
	if (!output.regular && !output.socket) {
		int again;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (again >= 0) {
			output.fd = again;
			output.owned = true;
		}
	}
	output.buf = malloc(output.size);
	if (!output.buf) {
		if (output.owned)
			close(output.fd);
		return -ENOMEM;
	}
	*ret_output = output;
	return 0;
}

int sp_output_open(const char *path, struct sp_output *ret_output, struct sp_error **err)
{
	int fd, r;

	if (!strcmp(path, "-")) {
		r = sp_output_wrap(STDOUT_FILENO, ret_output);
		return r ? sp_error_set(err, r, "standard output: %s", strerror(-r)) : 0;
	}
	/* A FIFO without a reader is an error at once (ENXIO), not a wait. */
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	if (fd < 0)
		return sp_error_set(err, -errno, "%s: %s", path, strerror(errno));
	r = sp_output_wrap(fd, ret_output);
	if (r) {
		close(fd);
		return sp_error_set(err, r, "%s: %s", path, strerror(-r));
	}
	if (ret_output->owned)
		close(fd); /* opened again: this one is not needed */
	ret_output->owned = true;
	return 0;
}

static ssize_t write_some(struct sp_output *output)
{
	struct pollfd poll_fd = {.fd = output->fd, .events = POLLOUT};
	size_t len = output->len;

	if (output->socket)
		return send(output->fd, output->buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (!output->regular) {
		if (poll(&poll_fd, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		len = len < AT_ONCE ? len : AT_ONCE;
	}
	return write(output->fd, output->buf, len);
}

static void drop_buffered(struct sp_output *output)
{
	for (size_t i = 0; i < output->len; i++)
		output->lost += output->buf[i] == '\n';
	output->len = 0;
}

bool sp_output_flush(struct sp_output *output)
{
	while (output->len) {
		ssize_t len = write_some(output);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == EAGAIN)
			return true;
		if (len <= 0) { /* a full disk, a reader that is gone */
			output->error = len < 0 ? errno : EIO;
			drop_buffered(output);
			return false;
		}
		memmove(output->buf, output->buf + len, output->len - (size_t)len);
		output->len -= (size_t)len;
	}
	return false;
}

void sp_output_line(struct sp_output *output, const char *line)
{
	size_t len = strlen(line);

	if (!output->buf || len + 1 > output->size - output->len) {
		output->lost++;
		return;
	}
	memcpy(output->buf + output->len, line, len);
	output->buf[output->len + len] = '\n';
	output->len += len + 1;
	sp_output_flush(output);
}

void sp_output_close(struct sp_output *output, int ms)
{
	struct timespec pause = {.tv_nsec = 10 * 1000L * 1000};

	if (!output->buf)
		return;
	while (sp_output_flush(output) && ms > 0) {
		nanosleep(&pause, NULL);
		ms -= 10;
	}
	drop_buffered(output);
	free(output->buf);
	output->buf = NULL;
	if (output->owned)
		close(output->fd);
}
