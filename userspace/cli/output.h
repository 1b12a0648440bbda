/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * output.h - lines to a place that may be slow or full, without ever waiting for it.
 */
#ifndef SALLYPORT_OUTPUT_H
#define SALLYPORT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sallyport/error.h>

#include "launch.h"

struct sp_output {
	int fd;
	bool owned;   /* close it at the end */
	bool regular; /* a file: writes do not block, and poll says nothing */
	bool socket;
	bool within; /* the last write ended within a line */
	bool torn;   /* and the rest of that line was lost */
	int error;   /* errno of the last write that failed */
	char *buf;
	size_t len, size;
	uint64_t lost; /* lines */
};

/*
 * "-" is standard output, "/dev/fd/N" a descriptor of the caller's. Else a file that is made or
 * appended to as the user of `identity`, whatever root might do: no link, no device but a terminal
 * and /dev/null, and a FIFO only if somebody reads it. 0 or -errno.
 */
int sp_output_open(const char *path, const struct sp_identity *identity,
		   struct sp_output *ret_output, struct sp_error **err);
/* A descriptor that is open already (2); it stays as it is. 0 or -errno. */
int sp_output_wrap(int fd, struct sp_output *ret_output);
/* Takes a line (without its newline) and writes what can be written now. */
void sp_output_line(struct sp_output *output, const char *line);
/* Writes what can be written now; true if something is left. */
bool sp_output_flush(struct sp_output *output);
/* Waits at most `ms` for the rest, counts what is lost, and closes. */
void sp_output_close(struct sp_output *output, int ms);

#endif
