/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mounts.h - the mount tables in /proc/PID/mountinfo, line by line (proc(5)). */
#ifndef SALLYPORT_KERNEL_MOUNTS_H
#define SALLYPORT_KERNEL_MOUNTS_H

#include <stdio.h>

struct sp_mount {
	int id;
	unsigned int major, minor; /* of its file system */
	/* unescaped; in the table's line, so good until the next one is read */
	char *root, *point, *options, *type;
};

/* All zero is a closed one. */
struct sp_mount_table {
	FILE *file;
	char *line;
	size_t size;
};

/* `path`: one of /proc/PID/mountinfo. 0 or -errno. */
int sp_mount_table_open(const char *path, struct sp_mount_table *ret_table);
/* The next line that can be read: 1, 0 (the end), or -EIO: a table that was cut off is no end. */
int sp_mount_table_next(struct sp_mount_table *table, struct sp_mount *ret_mount);
void sp_mount_table_close(struct sp_mount_table *table);

#endif
