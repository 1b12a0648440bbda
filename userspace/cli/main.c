/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - the command table of `sallyport`, and what happens before a command gets its arguments.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cli.h"
#include "words.h"

const struct sp_command sp_commands[] = {
	{"run", cmd_run, "start a command in a sandbox that reaches only the named hosts"},
	{"check", cmd_check, "check a policy file and warn about what it lets through"},
	{"explain", cmd_explain, "say what a policy decides for a host, and by which rule"},
	{"doctor", cmd_doctor, "try what this host can enforce, and say what is missing"},
	{"selftest", cmd_selftest, "try to get out of a sandbox on this host, and say what held"},
	{NULL, NULL, NULL},
};

#define COMMANDS (sizeof(sp_commands) / sizeof(sp_commands[0]) - 1)

static void usage(FILE *to)
{
	fprintf(to, "usage: sallyport COMMAND [OPTION]...\n"
		    "       sallyport help COMMAND\n\n"
		    "Lets a command talk only to the hosts that its policy names. The kernel "
		    "decides.\n\n"
		    "commands:\n");
	for (const struct sp_command *command = sp_commands; command->name; command++)
		fprintf(to, "  %-10s %s\n", command->name, command->help);
	fprintf(to, "\noptions:\n"
		    "  -h, --help     this text\n"
		    "  -V, --version  version\n\n"
		    "example:\n"
		    "  sudo sallyport run --allow api.github.com -- curl https://api.github.com\n");
}

static const struct sp_command *find(const char *name)
{
	for (const struct sp_command *command = sp_commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

static int unknown(const char *word)
{
	const char *names[COMMANDS + 2] = {"help"};
	const char *nearest;

	for (size_t i = 0; i < COMMANDS; i++)
		names[i + 1] = sp_commands[i].name;
	nearest = sp_nearest(names, word);
	if (nearest)
		sp_cli_error("unknown command \"%.40s\"; did you mean \"%s\"?", word, nearest);
	else
		sp_cli_error("unknown command \"%.40s\"; see sallyport --help", word);
	return SP_EXIT_USAGE;
}

static int help(int argc, char **argv)
{
	char option[] = "--help";
	const struct sp_command *command;

	if (argc < 2) {
		usage(stdout);
		return SP_EXIT_OK;
	}
	command = find(argv[1]);
	if (!command)
		return unknown(argv[1]);
	return command->run(2, (char *[]){argv[1], option, NULL});
}

/* What was printed must have arrived: `sallyport check > /dev/full` is not a success. */
static int finish(int status)
{
	if ((fflush(stdout) || ferror(stdout)) && status == SP_EXIT_OK) {
		sp_cli_error("cannot write to standard output");
		return SP_EXIT_HOST;
	}
	return status;
}

/*
 * Started with 0, 1 or 2 closed, the next descriptor that is opened would take that number, and a
 * message would be written into a pipe, a map or an events file.
 */
static bool keep_standard_open(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	return fd >= 0;
}

int main(int argc, char **argv)
{
	const struct sp_command *command;

	if (!keep_standard_open()) {
		sp_cli_error("cannot open /dev/null: %s", strerror(errno));
		return SP_EXIT_HOST;
	}
	/*
	 * Set-uid or file capabilities would let any user choose the target user, the events file
	 * and the environment of a privileged process. Nothing here was written for that.
	 */
	if (getauxval(AT_SECURE)) {
		sp_cli_error("must not be installed set-uid or with file capabilities; use sudo");
		return SP_EXIT_HOST;
	}
	if (argc < 2) {
		usage(stderr);
		return SP_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return finish(SP_EXIT_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V") ||
	    !strcmp(argv[1], "version")) {
		printf("sallyport %s\n", SP_VERSION);
		return finish(SP_EXIT_OK);
	}
	if (!strcmp(argv[1], "help"))
		return finish(help(argc - 1, argv + 1));
	command = find(argv[1]);
	if (!command) {
		if (argv[1][0] == '-') {
			sp_cli_error("unknown option \"%.40s\"; see sallyport --help", argv[1]);
			return SP_EXIT_USAGE;
		}
		return unknown(argv[1]);
	}
	return finish(command->run(argc - 1, argv + 1));
}
