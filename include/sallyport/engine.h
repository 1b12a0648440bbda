/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.h - the loaded kernel programs, and sandboxes attached to them.
 *
 * The engine is one set of programs and maps for the host, pinned under
 * <bpffs>/sallyport/<version>; the first caller loads it, later ones adopt the pins. A sandbox is
 * one cgroup with the programs attached to it. The cgroup holds them, so enforcement outlives the
 * process that made it, and the pins. Nothing here logs or exits; the first load of a host forks a
 * child, to see whether the socket family hook refuses.
 */
#ifndef SALLYPORT_ENGINE_H
#define SALLYPORT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sallyport/abi.h>
#include <sallyport/error.h>
#include <sallyport/events.h>
#include <sallyport/policy.h>

struct sp_engine; /* the programs and maps, loaded or adopted */
struct sp_box;	  /* one sandbox of the calling process */

/*
 * Loads the programs, or adopts those that are pinned. Needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN
 * (root). Errors say what is missing and how to get it: -EPERM (rights), -ENOENT (no cgroup v2, no
 * bpffs and it could not be mounted, no BTF), -EOPNOTSUPP (the kernel refused a program; the error
 * names it), -ENOMEM, -errno.
 */
int sp_engine_open(struct sp_engine **ret_engine, struct sp_error **err);
void sp_engine_close(struct sp_engine *engine);

/*
 * Socket families are also refused by lsm_cgroup (else by seccomp in the launcher alone). Only what
 * was seen to refuse one counts.
 */
bool sp_engine_has_lsm(const struct sp_engine *engine);

/*
 * The programs can tell pages that may still change from bytes (Linux 6.2). If not, a command must
 * not have the calls that hand pages to sockets: sendfile(), splice(), vmsplice(), tee().
 */
bool sp_engine_knows_shared(const struct sp_engine *engine);

/*
 * Where the pins are, for people to read. `ret_private`: in a bpffs that goes with a mount
 * namespace (or with this process), so that later starts may not find them. `ret_refused`: the
 * bpffs that was passed over, and why, or "". Strings belong to the engine.
 */
const char *sp_engine_bpffs(const struct sp_engine *engine, bool *ret_private,
			    const char **ret_refused);

/*
 * Removes what dead owners left: sandboxes whose owner is gone and whose cgroup holds no process.
 * Sandboxes that still hold processes are left alone: they stay enforced. 0 or -errno (the lock, or
 * the directory of owners); a leftover that cannot be removed is left for the next time.
 */
int sp_engine_collect(struct sp_engine *engine, unsigned int *ret_removed, struct sp_error **err);

/*
 * Makes a cgroup below the caller's own, attaches every program to it, fills in the policy, and
 * returns when all of that is in force; on failure nothing is left. The home network namespace is
 * the caller's. `policy` must be accepted by sp_policy_kernel_only(), with "system" resolvers
 * replaced; it must outlive the box.
 */
int sp_box_create(struct sp_engine *engine, const struct sp_policy *policy, struct sp_box **ret_box,
		  struct sp_error **err);

/*
 * An open directory of the sandbox's cgroup, for CLONE_INTO_CGROUP; its path; the slot that events
 * carry. None of them fails or returns an error; descriptor and path are owned by the box.
 */
int sp_box_cgroup_fd(const struct sp_box *box);
const char *sp_box_cgroup_path(const struct sp_box *box);
uint32_t sp_box_id(const struct sp_box *box);

/* Moves a process (0: the caller) into the sandbox. 0 or -errno. */
int sp_box_join(struct sp_box *box, pid_t pid, struct sp_error **err);

/*
 * Trusts the resolvers that the policy has by now; with `old`, also those that were trusted so far,
 * where there is room. Programs in flight see each of them whole or not at all. 0 or -errno.
 */
int sp_box_resolvers(struct sp_box *box, bool old);

/*
 * Readable when sp_box_dispatch() has work. Dispatch answers denied DNS queries, resets denied
 * connections, and hands every event to `each` (which may be NULL) in order. Never blocks.
 * Returns the number of events, or -errno.
 *
 * Denied queries and connections make the descriptor readable at once. Events do so a millisecond
 * later, so that a thousand connections a second do not wake their reader two thousand times;
 * sp_box_drain() is a dispatch that takes them without that wait.
 */
int sp_box_fd(const struct sp_box *box);
int sp_box_dispatch(struct sp_box *box, void (*each)(const struct sp_event *event, void *data),
		    void *data);
int sp_box_drain(struct sp_box *box, void (*each)(const struct sp_event *event, void *data),
		 void *data);

/* Shall what is allowed make events too (the default), or only what is denied? */
void sp_box_allowed_events(struct sp_box *box, bool wanted);

/* A copy of the sandbox's counters. */
void sp_box_counters(const struct sp_box *box, struct sp_sandbox *ret_counters);

/* Is any process left in the sandbox's cgroup? 1, 0, or -errno. How many, with those below it. */
int sp_box_populated(const struct sp_box *box);
unsigned int sp_box_processes(const struct sp_box *box);

/*
 * Ends a box. If its cgroup is empty, the cgroup, programs, pins and maps go; if processes are left
 * in it they stay enforced, and a later sp_engine_collect() cleans up. With `kill`, processes that
 * are left are killed first.
 */
void sp_box_close(struct sp_box *box, bool kill);

#endif
