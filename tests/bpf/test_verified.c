// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_verified.c - how many instructions the verifier goes through for each program.
 *
 * The numbers are held against tests/bpf/verified.tsv, which has a column for each series of
 * kernels that was measured. A program fails with more than 100,000; with more than 10 % above its
 * number for this series; and on a series without a column, with more than twice its largest
 * number.
 *
 *     test_verified                    compares
 *     test_verified --update [FILE]    writes the column of this kernel, in the table or to FILE
 */
#include <sys/utsname.h>

#include <bpf/btf.h>

#include "tap.h"
#include "unit/vectors.h"
#include "lsm.skel.h"
#include "sallyport.skel.h"

#define INSNS_MAX 100000
#define PROGRAMS_MAX 64
#define SERIES_MAX 8
#define LOG_STATS 4 /* BPF_LOG_STATS: only the summary */
#define LOG_SIZE 65536

struct row {
	char program[48];
	unsigned long insns[SERIES_MAX]; /* 0: not known */
};

struct table {
	char series[SERIES_MAX][16];
	int series_len;
	struct row rows[PROGRAMS_MAX];
	int rows_len;
};

struct measured {
	char program[48];
	unsigned long insns; /* 0: it was not loaded */
};

static struct measured measured[PROGRAMS_MAX];
static int measured_len;
static char logs[PROGRAMS_MAX][LOG_SIZE];

static void kernel_series(char *series, size_t size)
{
	struct utsname u;
	unsigned int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	snprintf(series, size, "%u.%u", major, minor);
}

static struct row *table_row(struct table *t, const char *program, bool add)
{
	for (int i = 0; i < t->rows_len; i++)
		if (strcmp(t->rows[i].program, program) == 0)
			return &t->rows[i];
	if (!add)
		return NULL;
	if (t->rows_len == PROGRAMS_MAX)
		vector_die("too many programs");
	snprintf(t->rows[t->rows_len].program, sizeof(t->rows[0].program), "%s", program);
	return &t->rows[t->rows_len++];
}

static int table_series(struct table *t, const char *series, bool add)
{
	for (int i = 0; i < t->series_len; i++)
		if (strcmp(t->series[i], series) == 0)
			return i;
	if (!add)
		return -1;
	if (t->series_len == SERIES_MAX)
		vector_die("too many columns");
	snprintf(t->series[t->series_len], sizeof(t->series[0]), "%s", series);
	return t->series_len++;
}

/* "program<TAB>6.1<TAB>6.12...", then a line for each program; "-": not known. */
static void table_read(struct table *t, const char *path)
{
	char line[1024], *field, *save;
	FILE *f = fopen(path, "r");
	int n = 0;

	memset(t, 0, sizeof(*t));
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		struct row *row = NULL;
		int column = 0;

		line[strcspn(line, "\n")] = '\0';
		field = strtok_r(line, "\t", &save);
		if (!field)
			continue;
		if (n++)
			row = table_row(t, field, true);
		while ((field = strtok_r(NULL, "\t", &save))) {
			if (!row)
				table_series(t, field, true);
			else if (column < t->series_len)
				row->insns[column++] = strtoul(field, NULL, 10);
		}
	}
	fclose(f);
}

static bool is_program(const char *program)
{
	for (int i = 0; i < measured_len; i++)
		if (strcmp(measured[i].program, program) == 0)
			return true;
	return false;
}

static void table_write(const struct table *t, const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		vector_die("cannot write %s: %s", path, strerror(errno));
	fprintf(f, "program");
	for (int i = 0; i < t->series_len; i++)
		fprintf(f, "\t%s", t->series[i]);
	fprintf(f, "\n");
	for (int i = 0; i < t->rows_len; i++) {
		if (!is_program(t->rows[i].program))
			continue;
		fprintf(f, "%s", t->rows[i].program);
		for (int j = 0; j < t->series_len; j++) {
			if (t->rows[i].insns[j])
				fprintf(f, "\t%lu", t->rows[i].insns[j]);
			else
				fprintf(f, "\t-");
		}
		fprintf(f, "\n");
	}
	if (fclose(f) != 0)
		vector_die("cannot write %s: %s", path, strerror(errno));
}

/* "processed 1234 insns (limit 1000000) ..." */
static unsigned long log_insns(const char *log)
{
	unsigned long n = 0;
	const char *p = strstr(log, "processed ");

	return p && sscanf(p, "processed %lu insns", &n) == 1 ? n : 0;
}

/*
 * Loads an object and notes what the verifier said of each of its programs. Every program gets a
 * log of its own; an object that does not load leaves the numbers of the programs before the one
 * that was refused.
 */
static int measure(struct bpf_object *obj)
{
	struct bpf_program *p;
	int first = measured_len, r;

	bpf_object__for_each_program (p, obj) {
		struct measured *m = &measured[measured_len];

		if (measured_len == PROGRAMS_MAX)
			vector_die("too many programs");
		snprintf(m->program, sizeof(m->program), "%s", bpf_program__name(p));
		logs[measured_len][0] = '\0';
		bpf_program__set_log_buf(p, logs[measured_len], LOG_SIZE);
		bpf_program__set_log_level(p, LOG_STATS);
		measured_len++;
	}
	r = bpf_object__load(obj);
	for (int i = first; i < measured_len; i++)
		measured[i].insns = log_insns(logs[i]);
	return r;
}

static bool has_function(const char *name)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	bool found = kernel && btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC) > 0;

	btf__free(kernel);
	return found;
}

static void judge(struct table *t, const struct measured *m, const char *series)
{
	struct row *row = table_row(t, m->program, false);
	int column = table_series(t, series, false);
	unsigned long limit = INSNS_MAX, most = 0;
	char why[64] = "in all";

	if (!row) {
		tap_ok(false, "%s is not in the table: run test_verified --update", m->program);
		return;
	}
	for (int i = 0; i < t->series_len; i++)
		if (row->insns[i] > most)
			most = row->insns[i];
	if (column >= 0 && row->insns[column]) {
		if (row->insns[column] + row->insns[column] / 10 < limit) {
			limit = row->insns[column] + row->insns[column] / 10;
			snprintf(why, sizeof(why), "10 %% above %lu", row->insns[column]);
		}
	} else if (2 * most < limit) {
		limit = 2 * most;
		snprintf(why, sizeof(why), "twice %lu: no number for %s", most, series);
	}
	tap_ok(m->insns && m->insns <= limit, "%s: %lu instructions, at most %lu (%s)", m->program,
	       m->insns, limit, why);
}

int main(int argc, char **argv)
{
	bool update = argc > 1 && strcmp(argv[1], "--update") == 0;
	struct sallyport_bpf *skel = NULL;
	struct lsm_bpf *lsm = NULL;
	char series[16], path[PATH_MAX];
	struct table table;
	int main_len, r;

	libbpf_set_print(tap_libbpf);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	kernel_series(series, sizeof(series));
	if (geteuid() != 0) {
		tap_skip("verified instructions", "loading programs needs root");
		return tap_end();
	}
	vector_path(path, sizeof(path), "tests/bpf/verified.tsv");
	table_read(&table, path);
	skel = sallyport_bpf__open();
	if (!skel)
		vector_die("cannot open the programs");
	skel->rodata->shared_known = has_function("bpf_rdonly_cast"); /* as the engine does */
	r = measure(skel->obj);
	tap_ok(r == 0, "Linux %s loads the programs%s%s", series, r ? ": " : "",
	       r ? strerror(-r) : "");
	main_len = measured_len;
	lsm = lsm_bpf__open();
	if (!lsm)
		vector_die("cannot open the LSM program");
	/* a host may refuse these programs before it looks at them: the log then stays empty */
	libbpf_set_print(NULL);
	r = measure(lsm->obj);
	for (int i = 0; i < measured_len; i++) {
		if (i >= main_len && r < 0 && !measured[i].insns)
			tap_skip(measured[i].program, "this kernel refuses LSM programs (%s)",
				 strerror(-r));
		else if (update)
			table_row(&table, measured[i].program, true)
				->insns[table_series(&table, series, true)] = measured[i].insns;
		else
			judge(&table, &measured[i], series);
	}
	for (int i = 0; i < table.rows_len && !update; i++)
		if (!is_program(table.rows[i].program))
			tap_ok(false, "%s is in the table, and no program", table.rows[i].program);
	if (update)
		table_write(&table, argc > 2 ? argv[2] : path);
	lsm_bpf__destroy(lsm);
	sallyport_bpf__destroy(skel);
	return tap_end();
}
