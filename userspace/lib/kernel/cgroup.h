/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup.h - what lies in a cgroup and below it. By descriptors and step by step: a command may
 * have made cgroups below its own, thousands deep, so there is neither a path nor a recursion.
 */
#ifndef SALLYPORT_LIB_CGROUP_H
#define SALLYPORT_LIB_CGROUP_H

/* Is a process in the cgroup or below it? 1, 0 (also if the cgroup is gone), or -errno. */
int sp_cgroup_populated(int dir);

/*
 * Removes the cgroups below `name` in `parent`, then itself, in at most SP_CGROUP_STEPS steps.
 * 0, -ENOENT, -EBUSY (something is in it), -EAGAIN (more steps are needed), or -errno.
 */
int sp_cgroup_remove(int parent, const char *name);

#define SP_CGROUP_STEPS 20000

/* How many processes are in the cgroup and below it; of 20,000 cgroups, if there are more. */
unsigned int sp_cgroup_processes(int dir);

#endif
