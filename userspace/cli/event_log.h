/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event_log.h - events as lines of JSON in a file, bounded: by a rate, by a size, and by what the
 * place takes. What is left out is counted, by cause, and said in the file itself.
 */
#ifndef SALLYPORT_EVENT_LOG_H
#define SALLYPORT_EVENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <sallyport/error.h>
#include <sallyport/events.h>
#include <sallyport/policy.h>

#include "launch.h"
#include "output.h"

#define SP_EVENTS_RATE 5000		/* a second, of allowed and of denied each */
#define SP_EVENTS_BURST_S 10		/* as many seconds' worth at once */
#define SP_EVENTS_SIZE (1ULL << 30)	/* bytes written in one run */
#define SP_EVENTS_LOST_SIZE (64u << 10) /* beyond that, for `lost` records only */

enum sp_event_loss {
	SP_LOSS_RATE,
	SP_LOSS_SIZE,
	SP_LOSS_SINK, /* a slow reader, a full disk, no memory */
	SP_LOSS_RING, /* the kernel's ring was full */
	SP_LOSSES,
};

struct sp_event_log {
	struct sp_output output;
	uint64_t rate, size; /* 0: no bound */
	uint64_t full_ns[2]; /* when the bucket of a class is full again: allowed, denied */
	uint64_t written, written_lost;
	uint64_t lost[SP_LOSSES], told[SP_LOSSES];
	uint64_t told_ns;
	uint32_t sandbox;
	bool open;
};

/*
 * Opens it as the user of `identity` would. Whoever gets a zeroed log may set rate and size before.
 * 0 or -errno.
 */
int sp_event_log_open(const char *path, const struct sp_identity *identity,
		      struct sp_event_log *log, struct sp_error **err);
void sp_event_log_add(struct sp_event_log *log, const struct sp_event *event,
		      const struct sp_policy *policy);
/* Writes what can be written now, and `lost` at most once a second; true: something is left. */
bool sp_event_log_flush(struct sp_event_log *log);
/* `ring`: events that the kernel had no room for. Waits at most `ms` for a slow reader. */
void sp_event_log_close(struct sp_event_log *log, uint64_t ring, int ms);

/* All that is not in the file, but for what the ring lost; after the close. */
uint64_t sp_event_log_missing(const struct sp_event_log *log);

#endif
