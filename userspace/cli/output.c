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
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

#define BUFFER_SIZE (1u << 20)
#define AT_ONCE 4096u /* what a pipe that polls writable takes without blocking (PIPE_BUF) */

/* Does a file that is appended to end within a line? An earlier run may have met a full disk. */
static bool ends_within_line(int fd, off_t size)
{
	char path[40], last = '\n';
	int again;

	if (size == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (again < 0)
		return false;
	if (pread(again, &last, 1, size - 1) != 1)
		last = '\n';
	close(again);
	return last != '\n';
}

/* A descriptor of this process alone, which does not block; closed at the end. 0 or -errno. */
static int take(int fd, struct sp_output *ret_output)
{
	struct sp_output output = {.fd = fd, .owned = true, .size = BUFFER_SIZE};
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	output.regular = S_ISREG(st.st_mode);
	output.torn = output.regular && ends_within_line(output.fd, st.st_size);
	output.buf = malloc(output.size);
	if (!output.buf)
		return -ENOMEM;
	*ret_output = output;
	return 0;
}

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

/* ---- opening as somebody else --------------------------------------------------------------- */

/* Sends what was opened, or -errno, over a socket. */
static void send_result(int socket, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	int r = fd < 0 ? fd : 0;
	struct iovec data = {&r, sizeof(r)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *header;

		message.msg_control = control.buf;
		message.msg_controllen = sizeof(control.buf);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	(void)sendmsg(socket, &message, MSG_NOSIGNAL);
}

static int receive_result(int socket)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	int r = -EIO, fd = -1;
	struct iovec data = {&r, sizeof(r)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = control.buf,
				 .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *header;
	ssize_t len;

	do {
		len = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	if (len != (ssize_t)sizeof(r))
		return -EIO;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	if (r || fd < 0)
		return r ? r : -EIO;
	return fd;
}

static int open_file(const char *path)
{
	/* O_NONBLOCK: a FIFO without a reader is an error at once (ENXIO), not a wait. */
	int fd =
		open(path,
		     O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		     0644);

	return fd < 0 ? -errno : fd;
}

struct opening {
	const char *path;
	int socket;
};

static int open_and_send(void *data)
{
	const struct opening *opening = data;

	send_result(opening->socket, open_file(opening->path));
	return 0;
}

static int open_as(const char *path, const struct sp_identity *identity)
{
	struct opening opening = {.path = path};
	int fds[2], r;

	if (!identity->change)
		return open_file(path);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	opening.socket = fds[1];
	r = sp_identity_do(identity, open_and_send, &opening);
	close(fds[1]); /* what was sent stays to be received */
	if (!r)
		r = receive_result(fds[0]);
	close(fds[0]);
	return r;
}

/*
 * Root's own place: nobody else can put a link, or another file, anywhere on the way. There root
 * may open it, and a record that the command cannot change belongs there.
 */
static bool is_roots_place(const char *path)
{
	char at[PATH_MAX];
	struct stat st;
	bool missing = false; /* the file is to be made */

	if (*path == '/') {
		if (snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
			return false;
	} else {
		char here[PATH_MAX];

		if (!getcwd(here, sizeof(here)) ||
		    snprintf(at, sizeof(at), "%s/%s", here, path) >= (int)sizeof(at))
			return false;
	}
	for (bool last = true;; last = false) {
		char *slash = strrchr(at, '/');

		if (lstat(*at ? at : "/", &st)) {
			if (!last || errno != ENOENT)
				return false;
			missing = true;
		} else {
			if (st.st_uid || !(last ? S_ISREG(st.st_mode) : S_ISDIR(st.st_mode)))
				return false;
			/* A sticky directory (/tmp) keeps what is root's and there. */
			if (!last && (st.st_mode & 022) && (missing || !(st.st_mode & S_ISVTX)))
				return false;
			missing = missing && last;
		}
		if (!slash)
			return true;
		*slash = '\0';
	}
}

/* Is it a place that lines belong to? 0, or -errno with a word in `ret_why`. */
static int check_kind(int fd, const char **ret_why)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode))
		return 0;
	if (S_ISCHR(st.st_mode) &&
	    (isatty(fd) || (major(st.st_rdev) == 1 && /* null, full */
			    (minor(st.st_rdev) == 3 || minor(st.st_rdev) == 7))))
		return 0;
	*ret_why = "is a device";
	return -EINVAL;
}

/* What an error of open() means to somebody who said --events FILE. */
static const char *why_not_opened(const char *path, int error)
{
	struct stat st;

	if (error == ELOOP)
		return "is a link, and links are not followed; name the file itself";
	if (error == EISDIR)
		return "is a directory";
	if (error == ENXIO && !lstat(path, &st))
		return S_ISFIFO(st.st_mode) ? "is a FIFO that nobody reads" : "is a socket";
	return NULL;
}

/* "/dev/fd/63": what a shell passes for >(...). The caller opened it, with the caller's rights. */
static int passed_descriptor(const char *path)
{
	static const char *const names[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
	char *end = NULL;
	long fd;

	for (int i = 1; i <= 2; i++)
		if (!strcmp(path, names[i]))
			return i;
	if (!strncmp(path, "/dev/fd/", 8))
		path += 8;
	else if (!strncmp(path, "/proc/self/fd/", 14))
		path += 14;
	else
		return -1;
	if (*path < '0' || *path > '9')
		return -1;
	fd = strtol(path, &end, 10);
	return *end || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0 ? -1 : (int)fd;
}

int sp_output_open(const char *path, const struct sp_identity *identity,
		   struct sp_output *ret_output, struct sp_error **err)
{
	int passed = strcmp(path, "-") ? passed_descriptor(path) : STDOUT_FILENO, fd, r;
	const char *why = NULL;

	if (passed >= 0) {
		r = sp_output_wrap(passed, ret_output);
		return r ? sp_error_set(err, r, "%s: %s", path, strerror(-r)) : 0;
	}
	fd = open_as(path, identity);
	if (fd == -EACCES && is_roots_place(path))
		fd = open_file(path);
	if (fd < 0) {
		why = why_not_opened(path, -fd);
		if (!why && fd == -EACCES && identity->change)
			return sp_error_set(err, fd,
					    "%s: %s for user %u, as which the command runs, and "
					    "the way there is not root's alone",
					    path, strerror(-fd), identity->uid);
		return sp_error_set(err, fd, "%s%s %s", path, why ? "" : ":",
				    why ? why : strerror(-fd));
	}
	r = check_kind(fd, &why);
	if (!r)
		r = take(fd, ret_output);
	if (r) {
		close(fd);
		return sp_error_set(err, r, "%s%s %s", path, why ? "" : ":",
				    why ? why : strerror(-r));
	}
	return 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

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
	/* A newline at the start ends a line that was written before. */
	for (size_t i = 1; i < output->len; i++)
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
			output->torn = output->within;
			drop_buffered(output);
			return false;
		}
		output->within = output->buf[len - 1] != '\n';
		memmove(output->buf, output->buf + len, output->len - (size_t)len);
		output->len -= (size_t)len;
	}
	return false;
}

void sp_output_line(struct sp_output *output, const char *line)
{
	size_t len = strlen(line);

	if (!output->buf || len + 2 > output->size - output->len) {
		output->lost++;
		return;
	}
	if (output->torn) /* what comes now is not to stand behind half a line */
		output->buf[output->len++] = '\n';
	output->torn = false;
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
