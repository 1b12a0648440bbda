/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cleanup.h - what a variable owns goes when it leaves its scope. */
#ifndef SALLYPORT_GROUND_CLEANUP_H
#define SALLYPORT_GROUND_CLEANUP_H

#include <stdlib.h>

#include <sallyport/error.h>

#define SP_CLEANUP(f) __attribute__((cleanup(f)))

static inline void sp_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void sp_cleanup_error(struct sp_error **err)
{
	sp_error_free(*err);
}

#endif
