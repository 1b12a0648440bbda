/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.h - decoding and wording of ring-buffer records.
 */
#ifndef SALLYPORT_EVENTS_H
#define SALLYPORT_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sallyport/abi.h>
#include <sallyport/error.h>
#include <sallyport/policy.h>
#include <sallyport/reasons.h>

/*
 * Checks a record of `len` bytes as it came from a ring and copies it out, with the parts behind
 * its size zeroed. 0; -EPROTO (another ABI version); -EBADMSG (size, kind, verdict, reason or a
 * length out of range).
 */
int sp_event_decode(const void *record, size_t len, struct sp_event *ret_event);

/* "allowed", "denied", "would_deny"; "dns", "answer", "connect", ...; never NULL. */
const char *sp_verdict_name(uint8_t verdict);
const char *sp_event_kind_name(uint8_t kind);
/* Stable token and sentence of a reason; never NULL. */
const char *sp_reason_token(uint8_t reason);
const char *sp_reason_text(uint8_t reason);

/* A name in wire form as text (no trailing dot; "." for the root; bytes out of [a-z0-9_-] as \DDD).
 */
size_t sp_wire_to_text(const uint8_t *wire, size_t wire_len, char *text, size_t text_size);

/* An address (16 bytes, IPv4 as v4-mapped) as text, without brackets. */
const char *sp_addr_to_text(const uint8_t addr[16], char *text, size_t text_size);

/*
 * One JSON object, no newline, malloc'ed; never holds a raw control byte. `policy` may be NULL:
 * then rules are given by index only. Times are RFC 3339 UTC, from CLOCK_MONOTONIC at the moment of
 * the call. 0 or -ENOMEM.
 */
int sp_event_json(const struct sp_event *record, const struct sp_policy *policy, char **ret_json);

/*
 * For a person, one line, no newline, malloc'ed: what was denied, why, by which rule, and the
 * option that would allow it. Hostile bytes are escaped. 0 or -ENOMEM.
 */
int sp_event_line(const struct sp_event *record, const struct sp_policy *policy, char **ret_line);

/*
 * The DNS answer to a denied query (RFC 1035 4.1.1, RFC 8914 EDE 15 "Blocked" with a text if the
 * query had an OPT record; question echoed byte for byte): writes at most `size` bytes of DNS
 * message, returns its length or -EBADMSG.
 */
int sp_answer_build(const struct sp_request *request, const char *text, uint8_t *message,
		    size_t size);

#endif
