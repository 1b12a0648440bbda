/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cli.h - what the commands of `sallyport` share: the command table, exit statuses and the way in
 * which messages reach a person or a program.
 */
#ifndef SALLYPORT_CLI_H
#define SALLYPORT_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sallyport/error.h>

#ifndef SP_VERSION
#define SP_VERSION "0.1.0"
#endif

/* Exit statuses of sallyport itself; `run` passes on those of its command. */
enum {
	SP_EXIT_OK = 0,
	SP_EXIT_HOST = 1,      /* the host cannot do it (or doctor found something missing) */
	SP_EXIT_USAGE = 2,     /* bad command line or bad policy */
	SP_EXIT_NOT_TRIED = 3, /* selftest: the host cannot run it */
	SP_EXIT_NOT_EXECUTABLE = 126, /* as shells do */
	SP_EXIT_NOT_FOUND = 127,
	SP_EXIT_SIGNAL = 128, /* + number */
};

/* A command gets its own argv: argv[0] is its name. Returns an exit status. */
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_selftest(int argc, char **argv);

struct sp_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* one line */
};

/* All commands, ended by a NULL name. */
extern const struct sp_command sp_commands[];

/*
 * Is colour wanted on a descriptor: is it a terminal that is not "dumb", with NO_COLOR empty or not
 * set?
 */
bool sp_cli_colour(int fd);

/* ---- messages (message.c) ------------------------------------------------------------------- */

/* From now on, messages on stderr are JSON objects, one a line: {"error":...}, {"warning":...}. */
void sp_cli_json(bool on);
bool sp_cli_is_json(void);

/* "sallyport: text" on stderr. */
void sp_cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sp_cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sp_cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An error object with its place; frees it. NULL is said as "unknown error". */
void sp_cli_error_object(struct sp_error *err);

/* `text` as a JSON string with quotes, malloc'ed; bytes that are not UTF-8 become U+FFFD. */
char *sp_cli_json_string(const char *text);

#endif
