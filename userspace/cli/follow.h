/* SPDX-License-Identifier: GPL-2.0-or-later */
/* follow.h - "system" resolvers follow /etc/resolv.conf while the command runs. */
#ifndef SP_CLI_FOLLOW_H
#define SP_CLI_FOLLOW_H

#include <sallyport/engine.h>
#include <sallyport/policy.h>

#include "launch.h"
#include "resolv.h"

struct sp_follow;

/*
 * Begins to follow `path`, of which `read` was read for the policy. 1: it does; 0: it does not,
 * since the command could change the file, or is root's, or the policy names no "system" resolvers;
 * -errno. All but `read` must outlive it.
 */
int sp_follow_open(const char *path, const struct sp_identity *identity, struct sp_policy *policy,
		   struct sp_box *box, const struct sp_nameservers *read,
		   struct sp_follow **ret_follow);
void sp_follow_close(struct sp_follow *follow);

/* Readable when sp_follow_dispatch() has work, which never blocks for long. -1 for NULL. */
int sp_follow_fd(const struct sp_follow *follow);
/* What there is to say to the user, in `text`; else that is empty. */
void sp_follow_dispatch(struct sp_follow *follow, char *text, size_t text_size);

#endif
