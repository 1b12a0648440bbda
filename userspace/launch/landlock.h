/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * landlock.h - Landlock as a stage of launch. See launch.c, "landlock".
 */
#ifndef SALLYPORT_LANDLOCK_H
#define SALLYPORT_LANDLOCK_H

#include <stdbool.h>

#define SP_LANDLOCK_SCOPES 6 /* the ABI that has scopes: Linux 6.12 */

/* The ABI of this kernel, 0 where it has none, is not enabled, or a container's filter is before
 * it. */
int sp_landlock_abi(void);

/*
 * Puts the caller, who must have no_new_privs set, into a domain of its own. `abstract`, `signals`:
 * which scopes (never neither). `old`: on ABI 1 to 5, too, at the price of mount(). 1: done; 0: not
 * on this kernel, or nothing was left to ask for; -errno.
 */
int sp_landlock_restrict(bool abstract, bool signals, bool old);

#endif
