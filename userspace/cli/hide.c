/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hide.c - the helpers outside that would act for the command, and how they are hidden from it:
 * part of the stage `mounts` of launch.c, in the command's own mount namespace.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hide.h"

/* ---- the table ------------------------------------------------------------------------------ */

const struct sp_hidden sp_hidden_paths[] = {
	{"/run/systemd/resolve", SP_HIDE_BUT_FILES, SP_HIDE_ALWAYS,
	 "nss-resolve asks systemd-resolved by varlink, not DNS"},
	{"/run/nscd", SP_HIDE_DIRECTORY, SP_HIDE_ALWAYS, "nscd resolves names for its clients"},
	{"/var/run/nscd", SP_HIDE_DIRECTORY, SP_HIDE_ALWAYS, "nscd resolves names for its clients"},
	{"/var/run/.nscd_socket", SP_HIDE_SOCKET, SP_HIDE_ALWAYS, "nscd, old place"},
	{"/run/avahi-daemon", SP_HIDE_DIRECTORY, SP_HIDE_ENFORCED,
	 "nss-mdns sends names to the local network by avahi"},
	{"/run/docker.sock", SP_HIDE_SOCKET, SP_HIDE_OPTION, "docker starts containers outside"},
	{"/var/run/docker.sock", SP_HIDE_SOCKET, SP_HIDE_OPTION,
	 "docker starts containers outside"},
	{"/run/docker", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "docker's own sockets"},
	{"/run/containerd", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "containerd starts containers"},
	{"/run/k3s", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "containerd of k3s"},
	{"/run/podman", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "podman starts containers"},
	{"/run/crio", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "cri-o starts containers"},
	{"/run/buildkit", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "buildkit starts containers"},
	{"/run/libvirt", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "libvirt starts machines"},
	{"/run/incus", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "incus starts containers"},
	{"/var/lib/incus/unix.socket", SP_HIDE_SOCKET, SP_HIDE_OPTION, "incus starts containers"},
	{"/var/lib/lxd/unix.socket", SP_HIDE_SOCKET, SP_HIDE_OPTION, "lxd starts containers"},
	{"/var/snap/lxd/common/lxd/unix.socket", SP_HIDE_SOCKET, SP_HIDE_OPTION,
	 "lxd starts containers"},
	{"/run/snapd.socket", SP_HIDE_SOCKET, SP_HIDE_OPTION, "snapd installs and starts programs"},
	{"/run/dbus", SP_HIDE_DIRECTORY, SP_HIDE_OPTION,
	 "services of the system bus, systemd and resolved among them"},
	{"/run/systemd/private", SP_HIDE_SOCKET, SP_HIDE_OPTION, "systemd starts units"},
	{"%r/bus", SP_HIDE_SOCKET, SP_HIDE_OPTION, "services of the session bus"},
	{"%r/systemd", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "the user's systemd starts units"},
	{"%r/docker.sock", SP_HIDE_SOCKET, SP_HIDE_OPTION, "rootless docker"},
	{"%r/podman", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "rootless podman"},
	{"%r/containerd-rootless", SP_HIDE_DIRECTORY, SP_HIDE_OPTION, "rootless containerd"},
	{"$DOCKER_HOST", SP_HIDE_SOCKET, SP_HIDE_OPTION, "docker starts containers outside"},
	{"$CONTAINER_HOST", SP_HIDE_SOCKET, SP_HIDE_OPTION, "podman starts containers"},
	{"$DBUS_SESSION_BUS_ADDRESS", SP_HIDE_SOCKET, SP_HIDE_OPTION,
	 "services of the session bus"},
	{"$DBUS_SYSTEM_BUS_ADDRESS", SP_HIDE_SOCKET, SP_HIDE_OPTION, "services of the system bus"},
	{NULL, SP_HIDE_SOCKET, SP_HIDE_OPTION, NULL},
};

/* The path in "unix:///run/x", "unix:path=/run/x,guid=..." or "unix:/run/x". */
static bool address_path(const char *address, char path[PATH_MAX])
{
	const char *from;
	size_t len;

	if (!address || strncmp(address, "unix:", 5) != 0)
		return false;
	from = address + 5;
	if (!strncmp(from, "path=", 5))
		from += 5;
	while (from[0] == '/' && from[1] == '/')
		from++;
	len = strcspn(from, ",;");
	if (*from != '/' || len >= PATH_MAX)
		return false;
	memcpy(path, from, len);
	path[len] = '\0';
	return true;
}

bool sp_hidden_path(const struct sp_hidden *hidden, uid_t uid, char path[PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char logind[64];
	int len;

	if (hidden->path[0] == '$')
		return address_path(getenv(hidden->path + 1), path);
	/* logind's directory first: under sudo the variable is gone, or another user's. */
	snprintf(logind, sizeof(logind), "/run/user/%u", uid);
	if (!access(logind, F_OK) || !runtime || *runtime != '/')
		runtime = logind;
	if (strncmp(hidden->path, "%r/", 3) != 0)
		len = snprintf(path, PATH_MAX, "%s", hidden->path);
	else
		len = snprintf(path, PATH_MAX, "%s/%s", runtime, hidden->path + 3);
	return len > 0 && len < PATH_MAX;
}

/* ---- covering ------------------------------------------------------------------------------- */

/* A tmpfs, not attached anywhere yet. */
int sp_hide_tmpfs(void)
{
	int fs, fd = -1;

	fs = (int)syscall(SYS_fsopen, "tmpfs", 1u /* FSOPEN_CLOEXEC */);
	if (fs < 0)
		return -errno;
	/* Owned by root and not writable: what the command sees there, it did not put there. */
	if (syscall(SYS_fsconfig, fs, 1u /* SET_STRING */, "source", "sallyport", 0) ||
	    syscall(SYS_fsconfig, fs, 1u, "mode", "0755", 0) ||
	    syscall(SYS_fsconfig, fs, 1u, "size", "4m", 0) ||
	    syscall(SYS_fsconfig, fs, 6u /* CMD_CREATE */, NULL, NULL, 0) ||
	    (fd = (int)syscall(SYS_fsmount, fs, 1u /* FSMOUNT_CLOEXEC */,
			       2u | 4u | 8u /* NOSUID, NODEV, NOEXEC */)) < 0)
		fd = -errno;
	close(fs);
	return fd;
}

/* Copies regular files of at most 1 MiB; anything else, sockets above all, stays behind. */
static int copy_files(int from_dir, int to_dir)
{
	int dup = fcntl(from_dir, F_DUPFD_CLOEXEC, 3);
	DIR *dir = dup < 0 ? NULL : fdopendir(dup);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (dup >= 0)
			close(dup);
		return r;
	}
	while (!r && (entry = readdir(dir))) {
		struct stat st;
		int from, to;
		off_t done = 0;

		if (fstatat(from_dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode) || st.st_size > 1 << 20)
			continue;
		from = openat(from_dir, entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (from < 0)
			continue;
		to = openat(to_dir, entry->d_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			    st.st_mode & 0755);
		if (to < 0 || fchmod(to, st.st_mode & 0755) || fchown(to, st.st_uid, st.st_gid)) {
			r = -errno;
		} else {
			char buf[4096];
			ssize_t len;

			while (!r && done < 1 << 20 && (len = read(from, buf, sizeof(buf))) > 0) {
				if (write(to, buf, (size_t)len) != len)
					r = -EIO;
				done += len;
			}
		}
		if (to >= 0)
			close(to);
		close(from);
	}
	closedir(dir);
	return r;
}

int sp_hide_remount_read_only(const char *path, unsigned long flags)
{
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL))
		return -errno;
	return 0;
}

/* Mounts an empty read-only directory over `path`. 0 also where there is nothing to cover. */
int sp_hide_directory(const char *path, bool keep_files)
{
	int target, tmpfs = -1, r = 0;

	target = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	tmpfs = sp_hide_tmpfs();
	if (tmpfs < 0)
		r = tmpfs;
	if (!r && keep_files)
		r = copy_files(target, tmpfs);
	if (!r && syscall(SYS_move_mount, tmpfs, "", target, "", 0x44u /* both EMPTY_PATH */))
		r = -errno;
	if (!r)
		r = sp_hide_remount_read_only(path, MS_NOSUID | MS_NODEV | MS_NOEXEC);
	if (tmpfs >= 0)
		close(tmpfs);
	close(target);
	return r;
}

static int cover_socket(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) /* covered already, or not what the variable says it is */
		return 0;
	return mount("/dev/null", path, NULL, MS_BIND, NULL) ? -errno : 0;
}

int sp_hide_paths(bool enforce, bool option, uid_t uid, char at[PATH_MAX])
{
	for (const struct sp_hidden *hidden = sp_hidden_paths; hidden->path; hidden++) {
		int r;

		if (hidden->when == SP_HIDE_ENFORCED && !enforce)
			continue;
		/* By option only, and an option that blocks has no place in audit_only. */
		if (hidden->when == SP_HIDE_OPTION && (!option || !enforce))
			continue;
		if (!sp_hidden_path(hidden, uid, at))
			continue;
		r = hidden->how == SP_HIDE_SOCKET
			    ? cover_socket(at)
			    : sp_hide_directory(at, hidden->how == SP_HIDE_BUT_FILES);
		if (r)
			return r;
	}
	return 0;
}
