/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identity.c - the user that a command runs as. All look-ups in the user database happen here, in
 * the parent: the child finds numbers and strings only, and asks nobody.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

/* A whole decimal number that is a user or group id; (uid_t)-1 means "no change" to the kernel. */
static bool parse_id(const char *text, const char *end, uid_t *ret_id)
{
	unsigned long long value = 0;

	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned long long)(*text - '0');
		if (value >= (uid_t)-1)
			return false;
	}
	*ret_id = (uid_t)value;
	return true;
}

static int find_groups(struct sp_identity *identity)
{
	int len = 64;

	if (!identity->name) {
		/* No name, no supplementary groups: only those of the caller must go. */
		identity->groups_len = 0;
		return 0;
	}
	for (;;) {
		int room = len;
		gid_t *groups = reallocarray(identity->groups, (size_t)room, sizeof(*groups));

		if (!groups)
			return -ENOMEM;
		identity->groups = groups;
		if (getgrouplist(identity->name, identity->gid, groups, &len) >= 0) {
			identity->groups_len = len;
			return 0;
		}
		if (len <= room)
			len = room * 2;
		if (len > 1 << 20)
			return -E2BIG;
	}
}

static int take_passwd(struct sp_identity *identity, const struct passwd *pw)
{
	identity->name = strdup(pw->pw_name);
	identity->home = strdup(pw->pw_dir && *pw->pw_dir ? pw->pw_dir : "/");
	identity->shell = strdup(pw->pw_shell && *pw->pw_shell ? pw->pw_shell : "/bin/sh");
	return identity->name && identity->home && identity->shell ? 0 : -ENOMEM;
}

void sp_identity_free(struct sp_identity *identity)
{
	free(identity->groups);
	free(identity->name);
	free(identity->home);
	free(identity->shell);
	memset(identity, 0, sizeof(*identity));
}

/*
 * A process whose effective user changes becomes what fs.suid_dumpable says: with 1 the new user
 * could trace it from that moment on, and take what it has open. So the effective one goes first,
 * while the others are root's still, and nobody but root may trace it; then it is made not dumpable
 * again; then the others follow, which does not change that.
 */
int sp_identity_become(const struct sp_identity *identity)
{
	uid_t uid = identity->uid;

	if (setgroups((size_t)identity->groups_len, identity->groups) ||
	    setresgid(identity->gid, identity->gid, identity->gid) ||
	    setresuid((uid_t)-1, uid, (uid_t)-1) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    setresuid(uid, uid, uid))
		return -errno;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) ? -EPERM : 0;
}

int sp_identity_do(const struct sp_identity *identity, int (*act)(void *data), void *data)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		/* Not to be traced by that user, whose process this is from here on. */
		if (sp_identity_become(identity))
			_exit(255);
		_exit(act(data) & 127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) < 128 ? WEXITSTATUS(status) : -EPERM;
}

int sp_identity_find(const char *user, struct sp_identity *ret_identity, struct sp_error **err)
{
	struct sp_identity identity = {.change = true, .uid = geteuid(), .gid = getegid()};
	const char *what = user ? "--user" : "SUDO_UID";
	const char *text = user, *gid_text = NULL, *end;
	struct passwd *pw = NULL;
	int r;

	if (!user) {
		text = getenv("SUDO_UID");
		/* Only root can have been made root by sudo; for others the variable is noise. */
		if (!text || getuid() || geteuid()) {
			identity.change = false;
			*ret_identity = identity;
			return 0;
		}
		gid_text = getenv("SUDO_GID");
		identity.from_sudo = true;
	}
	end = strchr(text, ':');
	if (end)
		gid_text = end + 1;
	else
		end = text + strlen(text);

	errno = 0;
	if (parse_id(text, end, &identity.uid)) {
		pw = getpwuid(identity.uid);
	} else if (!user) {
		/* Staying root because a variable is garbled would be the wrong way to fail. */
		return sp_error_set(err, -EINVAL,
				    "SUDO_UID is \"%.20s\", not a user id; use --user", text);
	} else if (*end) {
		return sp_error_set(err, -EINVAL,
				    "--user takes a name, a number, or UID:GID, not "
				    "\"%.40s\"",
				    text);
	} else {
		pw = getpwnam(text);
		if (!pw)
			return sp_error_set(err, -ENOENT, "--user: no user is named \"%.40s\"",
					    text);
		identity.uid = pw->pw_uid;
	}
	if (pw)
		identity.gid = pw->pw_gid;
	if (gid_text) {
		if (!parse_id(gid_text, gid_text + strlen(gid_text), &identity.gid))
			return sp_error_set(err, -EINVAL, "%s: \"%.20s\" is not a group id",
					    user ? "--user" : "SUDO_GID", gid_text);
	} else if (!pw) {
		return sp_error_set(err, -ENOENT,
				    "%s: user %.20s is not in the user database; say "
				    "--user UID:GID",
				    what, text);
	}
	if (!user && identity.uid == 0) { /* root called sudo */
		identity.change = false;
		identity.from_sudo = false;
	}
	r = pw ? take_passwd(&identity, pw) : 0;
	if (!r && identity.change)
		r = find_groups(&identity);
	if (r) {
		sp_identity_free(&identity);
		return sp_error_set(err, r, "%s: groups of user %.40s: %s", what, text,
				    strerror(-r));
	}
	*ret_identity = identity;
	return 0;
}
