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
	char bpffs[PATH_MAX];	/* a mounted bpffs */
	char cgroup[PATH_MAX];	/* mount point of cgroup v2 */
	char current[PATH_MAX]; /* where boxes are made: the caller's cgroup, or the nearest above
				   it that belongs to root (see sp_host_find) */
};

/* Finds (or mounts) bpffs and cgroup v2. Errors say what is missing and how to get it. */
int sp_host_find(struct sp_host_paths *ret_paths, struct sp_error **err);

/* Undoes, in place, the octal escapes of a path in /proc/PID/mountinfo (proc(5)). */
void sp_host_unescape(char *s);

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
	int lock_fd;	    /* SP_RUN_DIR/lock */
	int build_fd;	    /* SP_RUN_DIR/build-NAME, locked while this engine is open */
	int maps[SP_MAPS];
	int programs[SP_PROGRAMS]; /* -1: the kernel has none of it (LSM only) */
	struct sp_host host;
	struct sp_sandbox *sandboxes; /* all of the sandboxes array, mapped */
	bool has_lsm;
};

/* Serialises what reads and changes pins and slots, on this host. */
int sp_engine_lock(struct sp_engine *engine);
void sp_engine_unlock(struct sp_engine *engine);

/* Removes pins of other builds that nobody stands on. Under the lock. */
void sp_engine_collect_builds(struct sp_engine *engine);

/* ---- box.c ---------------------------------------------------------------------------------- */

/* Removes the pins of a slot and what it holds of the outer maps, and frees it if that worked. */
void sp_slot_clear(struct sp_engine *engine, uint32_t slot);

#endif
