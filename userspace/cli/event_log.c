/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event_log.c - events in a file, bounded.
 *
 * The command decides how many events there are: without a bound, a loop around connect() fills a
 * disk (1.4 GB in 10 s was seen), and takes the time in which its denied look-ups are answered. So
 * events are dropped before they are turned into text. Allowed and denied ones have a rate each,
 * and allowed ones half of the size: what was denied is not to be buried under what was allowed. A
 * record of kind `lost` says how many are missing, and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event_log.h"

#define NS_PER_S 1000000000ULL

static const char *const loss_names[SP_LOSSES] = {
	[SP_LOSS_RATE] = "rate",
	[SP_LOSS_SIZE] = "size",
	[SP_LOSS_SINK] = "sink",
	[SP_LOSS_RING] = "ring",
};

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

int sp_event_log_open(const char *path, const struct sp_identity *identity,
		      struct sp_event_log *log, struct sp_error **err)
{
	int r = sp_output_open(path, identity, &log->output, err);

	log->open = !r;
	return r;
}

/* A bucket of `rate` a second and SP_EVENTS_BURST_S seconds, as the time at which it is full. */
static bool within_rate(struct sp_event_log *log, bool denied)
{
	uint64_t now_ns = now(CLOCK_MONOTONIC), *full_ns = &log->full_ns[denied];

	if (!log->rate)
		return true;
	if (*full_ns < now_ns)
		*full_ns = now_ns;
	if (*full_ns - now_ns > SP_EVENTS_BURST_S * NS_PER_S)
		return false;
	*full_ns += NS_PER_S / log->rate;
	return true;
}

static bool within_size(const struct sp_event_log *log, size_t len, bool denied)
{
	return !log->size || log->written + len <= (denied ? log->size : log->size / 2);
}

void sp_event_log_add(struct sp_event_log *log, const struct sp_event *event,
		      const struct sp_policy *policy)
{
	bool denied = event->verdict != SP_VERDICT_ALLOWED;
	uint64_t lost = log->output.lost;
	char *line = NULL;
	size_t len;

	if (!log->open)
		return;
	log->sandbox = event->sandbox;
	if (!within_rate(log, denied)) {
		log->lost[SP_LOSS_RATE]++;
		return;
	}
	if (!within_size(log, 0, denied)) {
		log->lost[SP_LOSS_SIZE]++;
		return;
	}
	if (sp_event_json(event, policy, &line)) {
		log->lost[SP_LOSS_SINK]++;
		return;
	}
	len = strlen(line) + 1;
	if (!within_size(log, len, denied)) {
		log->lost[SP_LOSS_SIZE]++;
	} else {
		sp_output_line(&log->output, line);
		if (log->output.lost == lost)
			log->written += len;
	}
	free(line);
	log->lost[SP_LOSS_SINK] += log->output.lost - lost;
}

/* {"time":..., "kind":"lost", "count":N, "rate":N, ...}: what is missing since the last one. */
static void tell_lost(struct sp_event_log *log, bool last)
{
	uint64_t now_ns = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME), count = 0, lost;
	time_t seconds = (time_t)(real / NS_PER_S);
	char line[512], when[32];
	struct tm tm;
	size_t len;

	for (int i = 0; i < SP_LOSSES; i++)
		count += log->lost[i] - log->told[i];
	if (!count || (!last && now_ns - log->told_ns < NS_PER_S) ||
	    log->written_lost + sizeof(line) > SP_EVENTS_LOST_SIZE)
		return;
	log->told_ns = now_ns;
	if (!gmtime_r(&seconds, &tm) || !strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	len = (size_t)snprintf(line, sizeof(line),
			       "{\"time\":\"%s.%09lluZ\",\"sandbox\":%u,\"kind\":\"lost\","
			       "\"count\":%llu",
			       when, (unsigned long long)(real % NS_PER_S), log->sandbox,
			       (unsigned long long)count);
	for (int i = 0; i < SP_LOSSES; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, ",\"%s\":%llu",
					loss_names[i],
					(unsigned long long)(log->lost[i] - log->told[i]));
	snprintf(line + len, sizeof(line) - len, "}");
	lost = log->output.lost;
	sp_output_line(&log->output, line);
	if (log->output.lost != lost) { /* told later, if ever; itself it is no event */
		log->lost[SP_LOSS_SINK] += log->output.lost - lost - 1;
		return;
	}
	log->written_lost += len + 2;
	memcpy(log->told, log->lost, sizeof(log->told));
}

bool sp_event_log_flush(struct sp_event_log *log)
{
	uint64_t lost = log->output.lost;
	bool left;

	if (!log->open)
		return false;
	left = sp_output_flush(&log->output);
	log->lost[SP_LOSS_SINK] += log->output.lost - lost;
	tell_lost(log, false);
	return left;
}

void sp_event_log_close(struct sp_event_log *log, uint64_t ring, int ms)
{
	uint64_t lost = log->output.lost;

	if (!log->open)
		return;
	log->open = false;
	log->lost[SP_LOSS_RING] += ring;
	log->written_lost = 0; /* the last one is always due */
	tell_lost(log, true);
	sp_output_close(&log->output, ms);
	if (log->output.lost > lost)
		log->lost[SP_LOSS_SINK] += log->output.lost - lost;
}

uint64_t sp_event_log_missing(const struct sp_event_log *log)
{
	return log->lost[SP_LOSS_RATE] + log->lost[SP_LOSS_SIZE] + log->lost[SP_LOSS_SINK];
}
