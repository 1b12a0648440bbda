/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.h (internal) - the parts of the engine: where things are on this host (host.c), the loaded
 * programs (engine.c, the only file that sees the skeletons), and boxes (box.c).
 */
#ifndef SALLYPORT_LIB_ENGINE_H
#define SALLYPORT_LIB_ENGINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <sallyport/engine.h>

/* ---- host.c --------------------------------------------------------------------------------- */

#define SP_RUN_DIR "/run/sallyport"

struct sp_host_paths {
	char bpffs[PATH_MAX];	      /* directory of a mounted bpffs */
	bool bpffs_private;	      /* it goes with a mount namespace, or with bpffs_fd */
	int bpffs_fd;		      /* -1, or the bpffs that nobody has mounted */
	char refused[300];	      /* the last bpffs that was passed over, and why; or "" */
	char cgroup[256];	      /* mount point of cgroup v2; "": only cgroup_fd has it */
	int cgroup_fd;		      /* root of cgroup v2 */
	char current[PATH_MAX - 512]; /* "/...", below that root; where boxes are made: the
				   caller's cgroup, or the nearest above it that belongs to root */
};

/*
 * Finds (or mounts) bpffs and cgroup v2; `ret_paths` is all zero before. Errors say what is missing
 * and how to get it. To be forgotten with sp_host_forget(), also after an error.
 */
int sp_host_find(struct sp_host_paths *ret_paths, struct sp_error **err);
void sp_host_forget(struct sp_host_paths *paths);

/* ---- engine.c ------------------------------------------------------------------------------- */

enum sp_map {
	SP_MAP_ATTACHED,
	SP_MAP_HOST,
	SP_MAP_POLICIES,
	SP_MAP_SANDBOXES,
	SP_MAP_POLICY_BUCKETS,
	SP_MAP_POLICY_NODES,
	SP_MAP_POLICY_ACLS,
	SP_MAP_POLICY_ENTRIES,
	SP_MAP_POLICY_CIDR4,
	SP_MAP_POLICY_CIDR6,
	SP_MAP_LEARNED_ADDRS,
	SP_MAP_LEARNED_PAIRS,
	SP_MAP_LEARNED_NAMES,
	SP_MAP_PENDING,
	SP_MAP_ROUTES,
	SP_MAP_EVENTS,
	SP_MAP_REQUESTS,
	SP_MAPS,
};

#define SP_MAP_FIRST_OUTER SP_MAP_POLICY_BUCKETS

#define SP_PROGRAMS 12 /* the last is the LSM program, which may be missing */

struct sp_program_info {
	const char *name;
	int attach_type; /* enum bpf_attach_type */
};

extern const struct sp_program_info sp_programs[SP_PROGRAMS];

struct sp_engine {
	struct sp_host_paths paths;
	char dir[PATH_MAX]; /* of the pins of this version */
	int lock_fd;	    /* <bpffs>/sallyport, locked while slots or builds come and go */
	int build_fd;	    /* dir, locked while this engine is open */
	int maps[SP_MAPS];
	int programs[SP_PROGRAMS]; /* -1: the kernel has none of it (LSM only) */
	struct sp_host host;
	struct sp_sandbox *sandboxes; /* all of the sandboxes array, mapped */
	bool has_lsm;
};

/* Serialises what makes and looks through slots and builds, in this bpffs. Nobody waits under it.
 */
int sp_engine_lock(struct sp_engine *engine);
void sp_engine_unlock(struct sp_engine *engine);

/* Removes pins of other builds that no box stands on and nobody has open. Under the lock. */
void sp_engine_collect_builds(struct sp_engine *engine);

/* ---- lsm.c ---------------------------------------------------------------------------------- */

/* Was the socket family program seen to refuse a family? False too if that could not be tried. */
bool sp_lsm_refuses(const struct sp_host_paths *paths, int program);

/* ---- pages.c -------------------------------------------------------------------------------- */

/*
 * Does the kernel's mark stay on what is handed over (sendfile, splice) until it is received? The
 * two programs are those of bpf/marks.bpf.c, `seen` what they count in. False too if that could not
 * be tried.
 */
bool sp_pages_marked(int tcp_program, int udp_program, const volatile struct sp_marks *seen);

/* ---- box.c ---------------------------------------------------------------------------------- */

/* Frees the slots of another build (its directory) whose boxes are over. Under the lock. */
void sp_slots_collect_other(struct sp_engine *engine, const char *build);

#endif
