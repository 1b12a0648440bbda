// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * engine.c - the loaded programs: made once for a host and pinned, then adopted.
 *
 * The pins are in <bpffs>/sallyport/v<ABI>-<hash of the object>: another build of the programs gets
 * a directory of its own, and boxes of the old build go on under the old programs. A directory
 * comes into being whole: it is filled under a temporary name and renamed. A lock keeps two starts
 * from doing that at once. It is on the directory itself, as are the other locks: whoever sees the
 * pins sees them, in whatever mount namespace.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "lsm.skel.h"
#include "marks.skel.h"
#include "sallyport.skel.h"

const struct sp_program_info sp_programs[SP_PROGRAMS] = {
	{"sp_sock_create", BPF_CGROUP_INET_SOCK_CREATE},
	{"sp_post_bind4", BPF_CGROUP_INET4_POST_BIND},
	{"sp_post_bind6", BPF_CGROUP_INET6_POST_BIND},
	{"sp_setsockopt", BPF_CGROUP_SETSOCKOPT},
	{"sp_connect4", BPF_CGROUP_INET4_CONNECT},
	{"sp_connect6", BPF_CGROUP_INET6_CONNECT},
	{"sp_sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
	{"sp_sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
	{"sp_egress", BPF_CGROUP_INET_EGRESS},
	{"sp_ingress", BPF_CGROUP_INET_INGRESS},
	{"sp_sockops", BPF_CGROUP_SOCK_OPS},
	{"sp_socket_create", BPF_LSM_CGROUP},
};

#define PROGRAM_LSM (SP_PROGRAMS - 1)

#define FILES_NEEDED 256

static const char *const map_names[SP_MAPS] = {
	[SP_MAP_ATTACHED] = "attached",
	[SP_MAP_HOST] = "host",
	[SP_MAP_POLICIES] = "policies",
	[SP_MAP_SANDBOXES] = "sandboxes",
	[SP_MAP_POLICY_BUCKETS] = "policy_buckets",
	[SP_MAP_POLICY_NODES] = "policy_nodes",
	[SP_MAP_POLICY_ACLS] = "policy_acls",
	[SP_MAP_POLICY_ENTRIES] = "policy_entries",
	[SP_MAP_POLICY_CIDR4] = "policy_cidr4",
	[SP_MAP_POLICY_CIDR6] = "policy_cidr6",
	[SP_MAP_LEARNED_ADDRS] = "learned_addrs",
	[SP_MAP_LEARNED_PAIRS] = "learned_pairs",
	[SP_MAP_LEARNED_NAMES] = "learned_names",
	[SP_MAP_PENDING] = "pending",
	[SP_MAP_ROUTES] = "routes",
	[SP_MAP_EVENTS] = "events",
	[SP_MAP_REQUESTS] = "requests",
};

/* libbpf's own words about a failure go into the error instead of to stderr. */
static _Thread_local char libbpf_said[512];

static int libbpf_print(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[512];

	if (level != LIBBPF_WARN || libbpf_said[0])
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	snprintf(libbpf_said, sizeof(libbpf_said), "%s", line);
	return 0;
}

static int load_failed(struct sp_error **err, int r, const char *what)
{
	if (r == -EPERM) /* the verifier says -EACCES */
		return sp_error_set(
			err, -EPERM,
			"loading %s was refused%s%s%s; this needs root (CAP_BPF, CAP_PERFMON "
			"and CAP_NET_ADMIN)",
			what, libbpf_said[0] ? " (" : "", libbpf_said, libbpf_said[0] ? ")" : "");
	return sp_error_set(err, r == -ENOMEM ? r : -EOPNOTSUPP,
			    "the kernel refused %s: %s%s%s; Linux 6.1 or newer with BTF "
			    "(CONFIG_DEBUG_INFO_BTF) is needed, see 'sallyport doctor'",
			    what, strerror(-r), libbpf_said[0] ? ": " : "", libbpf_said);
}

static uint64_t object_hash(const void *data, size_t size, uint64_t h)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

__attribute__((format(printf, 4, 5))) static int pin(int fd, const char *dir, struct sp_error **err,
						     const char *format, ...)
{
	char path[PATH_MAX + 64], name[64];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (bpf_obj_pin(fd, path) < 0)
		return sp_error_set(err, -errno, "cannot pin %s: %s", path, strerror(errno));
	return 0;
}

/*
 * The socket family program. Its absence is reported, not an error; and it is absent unless it was
 * seen to refuse: where `bpf` is not among the active LSMs it loads and attaches, and never runs;
 * on some architectures it loads and does not attach (arm64 before Linux 6.4: ENOTSUPP).
 */
static int load_lsm(const struct sp_host_paths *paths, int attached, const char *dir,
		    struct sp_error **err)
{
	struct lsm_bpf *lsm;
	int r = 0;

	lsm = lsm_bpf__open();
	if (!lsm)
		return -errno;
	if (bpf_map__reuse_fd(lsm->maps.attached, attached) == 0 && lsm_bpf__load(lsm) == 0 &&
	    sp_lsm_refuses(paths, bpf_program__fd(lsm->progs.sp_socket_create)))
		r = pin(bpf_program__fd(lsm->progs.sp_socket_create), dir, err, "prog_%s",
			sp_programs[PROGRAM_LSM].name);
	lsm_bpf__destroy(lsm);
	return r;
}

/* Can pages that may still change be told from bytes that were copied, and are they always? */
static bool pages_told(void)
{
	struct marks_bpf *marks = marks_bpf__open();
	bool told = false;

	if (!marks)
		return false;
	marks->rodata->shared_known = 1;
	if (marks_bpf__load(marks) == 0)
		told = sp_pages_marked(bpf_program__fd(marks->progs.sp_marks_tcp),
				       bpf_program__fd(marks->progs.sp_marks_udp),
				       &marks->bss->seen);
	marks_bpf__destroy(marks);
	return told;
}

/* Loads the programs, with or without what Linux 6.2 brought: 0, or an error of libbpf's. */
static int load_programs(uint32_t cpus, bool shared, struct sallyport_bpf **ret_skel)
{
	struct sallyport_bpf *skel;
	int r;

	libbpf_said[0] = 0;
	skel = sallyport_bpf__open();
	if (!skel)
		return errno > 0 ? -errno : -ENOMEM;
	skel->rodata->shared_known = shared;
	r = bpf_map__set_max_entries(skel->maps.scratch, cpus * SP_SCRATCH_PER_CPU);
	if (r == 0)
		r = sallyport_bpf__load(skel);
	if (r < 0) {
		sallyport_bpf__destroy(skel);
		return r;
	}
	*ret_skel = skel;
	return 0;
}

/* Loads everything and pins it in the new directory `dir`. */
static int load_and_pin(const struct sp_host_paths *paths, const char *dir, struct sp_error **err)
{
	struct sallyport_bpf *skel = NULL;
	struct sp_host host = {.abi = SP_ABI_VERSION};
	uint32_t zero = 0;
	int cpus, r;

	cpus = libbpf_num_possible_cpus();
	if (cpus <= 0)
		return sp_error_set(err, -EIO, "cannot tell the number of CPUs (is /sys mounted?)");
	host.cpus = cpus;
	if (getrandom(host.seed, sizeof(host.seed), 0) != sizeof(host.seed))
		return sp_error_set(err, -EIO, "cannot draw a secret: %s", strerror(errno));
	host.shared_known = pages_told();
	r = load_programs(host.cpus, host.shared_known, &skel);
	if (r < 0 && r != -EPERM && host.shared_known) {
		host.shared_known = 0;
		r = load_programs(host.cpus, false, &skel);
	}
	if (!skel) {
		r = load_failed(err, r, "the BPF programs");
		goto out;
	}
	r = bpf_map_update_elem(bpf_map__fd(skel->maps.host), &zero, &host, BPF_ANY);
	if (r < 0) {
		r = sp_error_set(err, r, "cannot write the host map: %s", strerror(-r));
		goto out;
	}
	for (int i = 0; i < SP_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, map_names[i]);

		r = pin(bpf_map__fd(map), dir, err, "map_%s", map_names[i]);
		if (r < 0)
			goto out;
	}
	for (int i = 0; i < PROGRAM_LSM; i++) {
		struct bpf_program *p =
			bpf_object__find_program_by_name(skel->obj, sp_programs[i].name);

		r = pin(bpf_program__fd(p), dir, err, "prog_%s", sp_programs[i].name);
		if (r < 0)
			goto out;
	}
	r = load_lsm(paths, bpf_map__fd(skel->maps.attached), dir, err);
out:
	sallyport_bpf__destroy(skel);
	return r;
}

static int adopt(struct sp_engine *e, struct sp_error **err)
{
	char path[PATH_MAX + 64];
	uint32_t zero = 0;
	void *mapped;

	for (int i = 0; i < SP_MAPS; i++) {
		snprintf(path, sizeof(path), "%s/map_%s", e->dir, map_names[i]);
		e->maps[i] = bpf_obj_get(path);
		if (e->maps[i] < 0)
			return sp_error_set(err, -errno, "cannot open %s: %s", path,
					    strerror(errno));
	}
	for (int i = 0; i < SP_PROGRAMS; i++) {
		snprintf(path, sizeof(path), "%s/prog_%s", e->dir, sp_programs[i].name);
		e->programs[i] = bpf_obj_get(path);
		if (e->programs[i] < 0 && (i != PROGRAM_LSM || errno != ENOENT))
			return sp_error_set(err, -errno, "cannot open %s: %s", path,
					    strerror(errno));
	}
	e->has_lsm = e->programs[PROGRAM_LSM] >= 0;
	if (bpf_map_lookup_elem(e->maps[SP_MAP_HOST], &zero, &e->host) < 0)
		return sp_error_set(err, -errno, "cannot read the host map: %s", strerror(errno));
	if (e->host.abi != SP_ABI_VERSION)
		return sp_error_set(err, -EPROTO, "the pinned programs have ABI %u, not %u",
				    e->host.abi, SP_ABI_VERSION);
	mapped = mmap(NULL, sizeof(struct sp_sandbox) * SP_SANDBOXES_MAX, PROT_READ | PROT_WRITE,
		      MAP_SHARED, e->maps[SP_MAP_SANDBOXES], 0);
	if (mapped == MAP_FAILED)
		return sp_error_set(err, -errno, "cannot map the counters: %s", strerror(errno));
	e->sandboxes = mapped;
	return 0;
}

/* Opens a directory that holds pins, to be locked; only root's own is believed. */
static int open_pins(const char *path, struct sp_error **err)
{
	struct stat st;
	int fd, r;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = sp_error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	} else if (st.st_uid != 0 || st.st_mode & 077) {
		r = sp_error_set(
			err, -EPERM,
			"%s is not root's alone (it belongs to user %u, mode %04o): remove "
			"it, and mount its bpffs with mode=0700",
			path, st.st_uid, st.st_mode & 07777);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static const char *build_name(const struct sp_engine *e)
{
	return strrchr(e->dir, '/') + 1;
}

static int hold_build(struct sp_engine *e, struct sp_error **err)
{
	e->build_fd = open_pins(e->dir, err);
	if (e->build_fd < 0)
		return e->build_fd;
	if (flock(e->build_fd, LOCK_SH | LOCK_NB) < 0)
		return sp_error_set(err, -errno, "cannot lock %s: %s", e->dir, strerror(errno));
	return 0;
}

void sp_engine_collect_builds(struct sp_engine *e)
{
	char base[PATH_MAX / 2], path[PATH_MAX];
	struct dirent *d;
	DIR *dir;
	int fd;

	snprintf(base, sizeof(base), "%.*s/sallyport", PATH_MAX / 2 - 16, e->paths.bpffs);
	dir = opendir(base);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] != 'v' || strcmp(d->d_name, build_name(e)) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, d->d_name);
		sp_slots_collect_other(e, path);
		fd = open_pins(path, NULL);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
		    (unlinkat(fd, "boxes", AT_REMOVEDIR) == 0 || errno == ENOENT))
			remove_tree(path);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
}

int sp_engine_lock(struct sp_engine *e)
{
	while (flock(e->lock_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

void sp_engine_unlock(struct sp_engine *e)
{
	flock(e->lock_fd, LOCK_UN);
}

/* Opens the directory of all pins, makes it before if it is not there, and locks it. */
static int open_base(struct sp_engine *e, struct sp_error **err)
{
	char base[PATH_MAX / 2];
	int r;

	if (snprintf(base, sizeof(base), "%s/sallyport", e->paths.bpffs) >= (int)sizeof(base))
		return sp_error_set(err, -ENAMETOOLONG, "the path of bpffs is too long");
	if (mkdir(base, 0700) < 0 && errno != EEXIST)
		return sp_error_set(err, -errno, "cannot make %s: %s", base, strerror(errno));
	e->lock_fd = open_pins(base, err);
	if (e->lock_fd < 0)
		return e->lock_fd;
	r = sp_engine_lock(e);
	return r < 0 ? sp_error_set(err, r, "cannot lock %s: %s", base, strerror(-r)) : 0;
}

/* A directory that was cut off while it was removed is no build. */
static bool is_whole(const char *dir)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/boxes", dir);
	return access(path, F_OK) == 0;
}

static int prepare(struct sp_engine *e, struct sp_error **err)
{
	char base[PATH_MAX / 2], temporary[PATH_MAX];
	size_t size;
	const void *data;
	uint64_t hash;
	int r;

	data = sallyport_bpf__elf_bytes(&size);
	hash = object_hash(data, size, 0xcbf29ce484222325ULL);
	data = lsm_bpf__elf_bytes(&size);
	hash = object_hash(data, size, hash);
	snprintf(base, sizeof(base), "%.*s/sallyport", PATH_MAX / 2 - 16, e->paths.bpffs);
	snprintf(e->dir, sizeof(e->dir), "%s/v%d-%08x", base, SP_ABI_VERSION,
		 (unsigned int)(hash ^ hash >> 32));
	if (is_whole(e->dir))
		return 0;
	remove_tree(e->dir); /* of a removal that was cut off */
	snprintf(temporary, sizeof(temporary), "%s/new", base);
	remove_tree(temporary); /* of a start that was killed */
	if (mkdir(temporary, 0700) < 0)
		return sp_error_set(err, -errno, "cannot make %s: %s", temporary, strerror(errno));
	r = load_and_pin(&e->paths, temporary, err);
	if (r < 0)
		goto undo;
	snprintf(base, sizeof(base), "%s/sallyport/new/boxes", e->paths.bpffs);
	if (mkdir(base, 0700) < 0) {
		r = sp_error_set(err, -errno, "cannot make %s: %s", base, strerror(errno));
		goto undo;
	}
	if (rename(temporary, e->dir) < 0) {
		r = sp_error_set(err, -errno, "cannot rename %s: %s", temporary, strerror(errno));
		goto undo;
	}
	return 0;
undo:
	remove_tree(temporary);
	return r;
}

static void forget_pins(struct sp_engine *e)
{
	for (int i = 0; i < SP_MAPS; i++) {
		if (e->maps[i] >= 0)
			close(e->maps[i]);
		e->maps[i] = -1;
	}
	for (int i = 0; i < SP_PROGRAMS; i++) {
		if (e->programs[i] >= 0)
			close(e->programs[i]);
		e->programs[i] = -1;
	}
	if (e->build_fd >= 0)
		close(e->build_fd);
	e->build_fd = -1;
}

static int find_pins(struct sp_engine *e, struct sp_error **err)
{
	int r = prepare(e, err);

	if (r == 0)
		r = hold_build(e, err);
	return r == 0 ? adopt(e, err) : r;
}

/*
 * Somebody has removed a pin. Sandboxes do not rest on them; the rest goes out of the way, so that
 * this start and later ones have pins that are whole.
 */
static int replace_pins(struct sp_engine *e, struct sp_error **err)
{
	char aside[PATH_MAX + 32];
	uint32_t number = 0;

	forget_pins(e);
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return sp_error_set(err, -EIO, "cannot draw a number");
	snprintf(aside, sizeof(aside), "%s-broken-%08x", e->dir, number);
	if (rename(e->dir, aside) < 0)
		return sp_error_set(err, -errno, "cannot move %s aside: %s", e->dir,
				    strerror(errno));
	return find_pins(e, err);
}

/* Pins, maps and rings take some fifty descriptors; root may have them. The launcher undoes it. */
static void raise_limits(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY}, files;

	/* kernels before 5.11 count BPF memory against this limit */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_NEEDED) {
		files.rlim_cur = FILES_NEEDED;
		if (files.rlim_max < FILES_NEEDED)
			files.rlim_max = FILES_NEEDED;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int sp_engine_open(struct sp_engine **ret_engine, struct sp_error **err)
{
	struct sp_engine *e;
	int r;

	if (geteuid() != 0)
		return sp_error_set(
			err, -EPERM,
			"sandboxes are made as root: loading and attaching BPF programs needs "
			"CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; use sudo");
	e = calloc(1, sizeof(*e));
	if (!e)
		return sp_error_set(err, -ENOMEM, "out of memory");
	e->lock_fd = -1;
	e->build_fd = -1;
	e->paths.bpffs_fd = -1;
	e->paths.cgroup_fd = -1;
	for (int i = 0; i < SP_MAPS; i++)
		e->maps[i] = -1;
	for (int i = 0; i < SP_PROGRAMS; i++)
		e->programs[i] = -1;
	libbpf_set_print(libbpf_print);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	raise_limits();
	r = sp_host_find(&e->paths, err);
	if (r < 0)
		goto fail;
	r = open_base(e, err);
	if (r < 0)
		goto fail;
	r = find_pins(e, err);
	if (r == -ENOENT) {
		if (err) {
			sp_error_free(*err);
			*err = NULL;
		}
		r = replace_pins(e, err);
	}
	sp_engine_unlock(e);
	if (r < 0)
		goto fail;
	*ret_engine = e;
	return 0;
fail:
	sp_engine_close(e);
	return r;
}

void sp_engine_close(struct sp_engine *e)
{
	if (!e)
		return;
	if (e->sandboxes)
		munmap(e->sandboxes, sizeof(struct sp_sandbox) * SP_SANDBOXES_MAX);
	forget_pins(e);
	if (e->lock_fd >= 0)
		close(e->lock_fd);
	sp_host_forget(&e->paths);
	free(e);
}

bool sp_engine_has_lsm(const struct sp_engine *e)
{
	return e->has_lsm;
}

bool sp_engine_knows_shared(const struct sp_engine *e)
{
	return e->host.shared_known;
}

const char *sp_engine_bpffs(const struct sp_engine *e, bool *ret_private, const char **ret_refused)
{
	*ret_private = e->paths.bpffs_private;
	*ret_refused = e->paths.refused;
	return e->paths.bpffs_fd >= 0 ? "a bpffs of this process alone" : e->paths.bpffs;
}
