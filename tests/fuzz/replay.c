// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay.c - a plain main() for the fuzzers: runs them on given inputs, without libFuzzer.
 *
 *     fuzz_NAME [FILE|DIRECTORY]...
 *
 * Without arguments: on the vectors of that name and tests/fuzz/corpus/NAME, and on MUTATIONS
 * variants of each (the same ones every time; SP_FUZZ_MUTATIONS says how many); where there are
 * none, on random bytes. Prints TAP; a finding fails, with the input left in the file it names.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUTATIONS 64
#define INPUT_MAX (1u << 20)
#define RANDOM_INPUTS 20000
#define RANDOM_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long runs, files;
static unsigned long mutations;
static uint8_t input[INPUT_MAX];
static size_t input_len;
static char finding[PATH_MAX];

/* Only what is safe in a signal handler. */
static void on_abort(int signal)
{
	static const char said[] = "# the input is in ";
	int fd = open(finding, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd >= 0 && write(fd, input, input_len) == (ssize_t)input_len &&
	    write(1, said, sizeof(said) - 1) > 0 && write(1, finding, strlen(finding)) > 0 &&
	    write(1, "\n", 1) > 0)
		close(fd);
	_exit(128 + signal);
}

/* A heap block of the very size, so that a sanitizer sees what is read behind it. */
static void run_input(void)
{
	uint8_t *exact = malloc(input_len ? input_len : 1);

	if (!exact)
		exit(1);
	if (input_len)
		memcpy(exact, input, input_len);
	LLVMFuzzerTestOneInput(exact, input_len);
	free(exact);
	runs++;
}

static uint64_t state = 1;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static void mutate(void)
{
	static const uint8_t values[] = {0,  1,	   4,	 5,    22,   28,  63,
					 64, 0x7f, 0x80, 0xc0, 0xff, '.', '\n'};
	unsigned int changes = 1 + next_random() % 3;

	while (changes--) {
		size_t at = input_len ? next_random() % input_len : 0;

		switch (next_random() % 6) {
		case 0:
			input[at] ^= 1u << (next_random() % 8);
			break;
		case 1:
			input[at] = values[next_random() % sizeof(values)];
			break;
		case 2:
			input[at] += next_random() % 2 ? 1 : -1;
			break;
		case 3:
			input_len = at;
			break;
		case 4:
			if (input_len) {
				memmove(input + at, input + at + 1, input_len - at - 1);
				input_len--;
			}
			break;
		default:
			if (input_len < INPUT_MAX) {
				memmove(input + at + 1, input + at, input_len - at);
				input_len++;
			}
		}
	}
}

static void replay_file(const char *path)
{
	static uint8_t original[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	size_t len;

	if (!f) {
		printf("Bail out! cannot open %s: %s\n", path, strerror(errno));
		exit(1);
	}
	len = fread(original, 1, sizeof(original), f);
	fclose(f);
	files++;
	for (unsigned long i = 0; i <= mutations; i++) {
		memcpy(input, original, len);
		input_len = len;
		if (i)
			mutate();
		run_input();
	}
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void replay(const char *path, const char *suffix)
{
	struct dirent **entries;
	char name[PATH_MAX];
	struct stat st;
	int n;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	n = scandir(path, &entries, NULL, by_name);
	for (int i = 0; i < n; i++) {
		size_t len = strlen(entries[i]->d_name);

		if (entries[i]->d_name[0] != '.' && len > strlen(suffix) &&
		    strcmp(entries[i]->d_name + len - strlen(suffix), suffix) == 0) {
			snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
			replay_file(name);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	const char *top = getenv("SP_TOP"), *text = getenv("SP_FUZZ_MUTATIONS");
	char path[PATH_MAX];

	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(finding, sizeof(finding), "/tmp/%s-finding.bin", name);
	signal(SIGABRT, on_abort);
	run_input();
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			replay(argv[i], "");
	} else {
		mutations = text ? strtoul(text, NULL, 0) : MUTATIONS;
		name = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
		snprintf(path, sizeof(path), "%s/tests/vectors/%s", top ? top : ".", name);
		if (access(path, F_OK) == 0)
			replay(path, ".bin");
		snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top ? top : ".", name);
		if (access(path, F_OK) == 0)
			replay(path, "");
		for (int i = 0; files == 0 && i < RANDOM_INPUTS; i++) {
			input_len = next_random() % RANDOM_MAX;
			for (size_t j = 0; j < input_len; j++)
				input[j] = next_random() % 3 ? next_random() : next_random() % 4;
			run_input();
		}
	}
	printf("ok 1 - %lu inputs from %lu files\n1..1\n", runs, files);
	return 0;
}
