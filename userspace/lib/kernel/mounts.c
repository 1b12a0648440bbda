// SPDX-License-Identifier: GPL-2.0-or-later
/* mounts.c - the mount tables in /proc/PID/mountinfo: the only reader of that format. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Undoes, in place, the octal escapes of a path (proc(5)). */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && is_octal(s[2]) &&
		    is_octal(s[3])) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

int sp_mount_table_open(const char *path, struct sp_mount_table *ret_table)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	*ret_table = (struct sp_mount_table){.file = file};
	return 0;
}

/*
 * ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE OPTIONS. White space in a
 * field is escaped.
 */
static bool parse(char *line, struct sp_mount *ret)
{
	char *save = NULL, *fields[6];
	char *word = strtok_r(line, " \n", &save);

	for (int i = 0; i < 6; i++, word = strtok_r(NULL, " \n", &save)) {
		if (!word)
			return false;
		fields[i] = word;
	}
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " \n", &save);
	ret->type = word ? strtok_r(NULL, " \n", &save) : NULL;
	if (!ret->type || sscanf(fields[0], "%d", &ret->id) != 1 ||
	    sscanf(fields[2], "%u:%u", &ret->major, &ret->minor) != 2)
		return false;
	ret->root = fields[3];
	ret->point = fields[4];
	ret->options = fields[5];
	unescape(ret->root);
	unescape(ret->point);
	return true;
}

int sp_mount_table_next(struct sp_mount_table *table, struct sp_mount *ret_mount)
{
	while (getline(&table->line, &table->size, table->file) > 0)
		if (parse(table->line, ret_mount))
			return 1;
	return ferror(table->file) ? -EIO : 0;
}

void sp_mount_table_close(struct sp_mount_table *table)
{
	if (table->file)
		fclose(table->file);
	free(table->line);
	*table = (struct sp_mount_table){0};
}
