/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helpers.c - who outside a sandbox would act for the command, if asked over a UNIX socket.
 *
 * Hidden is what starts programs, or opens connections, for whoever asks: what it sends, no hook
 * sees. Left is what only signs or answers from what it has: an ssh agent makes `git push` work and
 * sends nothing. A *forwarded* agent carries each request to another machine, so it is hidden.
 *
 * A helper is found by its usual places, by the variables that name it, and by the processes that
 * hold its sockets, since `dockerd -H unix:///srv/x` and `tmux -S x` are wherever one likes. Not
 * by "systemd": it holds the sockets of all that it starts on demand.
 */
#include <errno.h>
#include <string.h>

#include "hide.h"
#include "words.h"

/* clang-format off */
const struct sp_helper sp_helpers[] = {
	{"resolved", SP_HIDE_ALWAYS, false, "systemd-resolved resolves names by varlink, not by DNS"},
	{"nscd", SP_HIDE_ALWAYS, false, "resolves names for its clients"},
	{"avahi", SP_HIDE_ENFORCED, false, "sends names to the local network"},
	{"system-bus", SP_HIDE_ENFORCED, true, "reaches services of the host, systemd and resolved among them"},
	{"session-bus", SP_HIDE_ENFORCED, true, "reaches services of the user's session, which start programs"},
	{"systemd", SP_HIDE_ENFORCED, false, "starts units, and moves processes between cgroups"},
	{"udev", SP_HIDE_ENFORCED, false, "starts programs for devices"},
	{"docker", SP_HIDE_ENFORCED, false, "starts containers outside"},
	{"podman", SP_HIDE_ENFORCED, false, "starts containers outside"},
	{"containerd", SP_HIDE_ENFORCED, false, "starts containers outside"},
	{"crio", SP_HIDE_ENFORCED, false, "starts containers outside"},
	{"buildkit", SP_HIDE_ENFORCED, false, "starts containers outside"},
	{"incus", SP_HIDE_ENFORCED, false, "starts containers outside"},
	{"lxd", SP_HIDE_ENFORCED, false, "starts containers outside"},
	{"libvirt", SP_HIDE_ENFORCED, false, "starts machines outside"},
	{"snapd", SP_HIDE_ENFORCED, false, "installs and starts programs"},
	{"supervisor", SP_HIDE_ENFORCED, false, "starts programs"},
	{"fastcgi", SP_HIDE_ENFORCED, false, "php-fpm, uwsgi and fcgiwrap run what they are told"},
	{"tmux", SP_HIDE_ENFORCED, false, "types into the user's other terminals"},
	{"screen", SP_HIDE_ENFORCED, false, "types into the user's other terminals"},
	{"terminal", SP_HIDE_ENFORCED, false, "a terminal that is controlled by a socket types and starts programs"},
	{"editor", SP_HIDE_ENFORCED, false, "emacs, nvim and code run commands for their clients"},
	{"x11", SP_HIDE_ENFORCED, true, "a client types into windows outside"},
	{"wayland", SP_HIDE_ENFORCED, false, "a client of the compositor may type into windows, or start programs"},
	{"sound", SP_HIDE_ENFORCED, true, "the sound server loads modules that connect to other hosts"},
	{"cups", SP_HIDE_ENFORCED, false, "sends what is printed to printers in the network"},
	{"dirmngr", SP_HIDE_ENFORCED, false, "fetches keys and lists from the network"},
	{"tor", SP_HIDE_ENFORCED, false, "carries connections"},
	{"redis", SP_HIDE_ENFORCED, false, "MIGRATE and REPLICAOF connect to other hosts"},
	{"dns-control", SP_HIDE_ENFORCED, false, "changes where a resolver of the host sends names"},
	{"browser", SP_HIDE_ENFORCED, false, "a browser, or an Electron program, opens addresses for its next instance"},
	{"builder", SP_HIDE_ENFORCED, false, "the daemons of nix and guix fetch and run what they are told"},
	{"vpn", SP_HIDE_ENFORCED, false, "tailscaled connects for its clients, and others change where packets go"},
	{"sync", SP_HIDE_ENFORCED, false, "mutagen opens sessions to other machines, watchman runs programs"},
	{"mail", SP_HIDE_ENFORCED, false, "sends mail"},
	{"ssh-master", SP_HIDE_ENFORCED, false, "opens sessions and forwards ports on another machine"},
	{"forwarded-agent", SP_HIDE_ENFORCED, false, "an agent forwarded by sshd carries requests to another machine"},
	{"ssh-agent", SP_HIDE_NEVER, false, "signs for ssh and git"},
	{"gpg-agent", SP_HIDE_NEVER, false, "signs and decrypts"},
	{NULL, SP_HIDE_NEVER, false, NULL},
};

const struct sp_helper_place sp_helper_places[] = {
	{"resolved", "/run/systemd/resolve", SP_HIDE_BUT_FILES},
	{"nscd", "/run/nscd", SP_HIDE_DIRECTORY},
	{"nscd", "/var/run/.nscd_socket", SP_HIDE_SOCKET},
	{"avahi", "/run/avahi-daemon", SP_HIDE_DIRECTORY},
	{"system-bus", "/run/dbus", SP_HIDE_DIRECTORY},
	{"system-bus", "/run/NetworkManager/private*", SP_HIDE_SOCKET},
	{"system-bus", "$DBUS_SYSTEM_BUS_ADDRESS", SP_HIDE_SOCKET},
	{"session-bus", "%r/bus", SP_HIDE_SOCKET},
	{"session-bus", "%r/dbus-1", SP_HIDE_DIRECTORY},
	{"session-bus", "%r/at-spi", SP_HIDE_DIRECTORY},
	{"session-bus", "/tmp/dbus-*", SP_HIDE_SOCKET},
	{"session-bus", "$DBUS_SESSION_BUS_ADDRESS", SP_HIDE_SOCKET},
	{"session-bus", "$AT_SPI_BUS_ADDRESS", SP_HIDE_SOCKET},
	{"systemd", "/run/systemd/private", SP_HIDE_SOCKET},
	{"systemd", "/run/systemd/io.systemd.*", SP_HIDE_SOCKET},
	{"systemd", "/run/systemd/machine", SP_HIDE_DIRECTORY},
	{"systemd", "/run/systemd/netif/io.systemd.*", SP_HIDE_SOCKET},
	{"systemd", "/run/initctl", SP_HIDE_SOCKET},
	{"systemd", "/dev/initctl", SP_HIDE_SOCKET},
	{"systemd", "%r/systemd", SP_HIDE_DIRECTORY},
	{"udev", "/run/udev/control", SP_HIDE_SOCKET},
	{"docker", "/run/docker.sock", SP_HIDE_SOCKET},
	{"docker", "/run/docker", SP_HIDE_DIRECTORY},
	{"docker", "%r/docker.sock", SP_HIDE_SOCKET},
	{"docker", "%r/docker", SP_HIDE_DIRECTORY},
	{"docker", "%h/.docker/run", SP_HIDE_DIRECTORY},
	{"docker", "%h/.docker/desktop", SP_HIDE_DIRECTORY},
	{"docker", "%h/.colima/*/docker.sock", SP_HIDE_SOCKET},
	{"docker", "$DOCKER_HOST", SP_HIDE_SOCKET},
	{"docker", "%h/.lima/*/sock/*.sock", SP_HIDE_SOCKET},
	{"docker", "%h/.rd/docker.sock", SP_HIDE_SOCKET},
	{"docker", "/run/cri-dockerd.sock", SP_HIDE_SOCKET},
	{"podman", "/run/podman", SP_HIDE_DIRECTORY},
	{"podman", "%r/podman", SP_HIDE_DIRECTORY},
	{"podman", "$CONTAINER_HOST", SP_HIDE_SOCKET},
	{"containerd", "/run/containerd", SP_HIDE_DIRECTORY},
	{"containerd", "/run/k3s", SP_HIDE_DIRECTORY},
	{"containerd", "%r/containerd", SP_HIDE_DIRECTORY},
	{"containerd", "%r/containerd-rootless", SP_HIDE_DIRECTORY},
	{"containerd", "$CONTAINERD_ADDRESS", SP_HIDE_SOCKET},
	{"crio", "/run/crio", SP_HIDE_DIRECTORY},
	{"buildkit", "/run/buildkit", SP_HIDE_DIRECTORY},
	{"buildkit", "%r/buildkit", SP_HIDE_DIRECTORY},
	{"buildkit", "$BUILDKIT_HOST", SP_HIDE_SOCKET},
	{"incus", "/run/incus", SP_HIDE_DIRECTORY},
	{"incus", "/var/lib/incus/unix.socket*", SP_HIDE_SOCKET},
	{"incus", "$INCUS_SOCKET", SP_HIDE_SOCKET},
	{"lxd", "/run/lxd", SP_HIDE_DIRECTORY},
	{"lxd", "/var/lib/lxd/unix.socket*", SP_HIDE_SOCKET},
	{"lxd", "/var/snap/lxd/common/lxd*/unix.socket*", SP_HIDE_SOCKET},
	{"lxd", "$LXD_SOCKET", SP_HIDE_SOCKET},
	{"libvirt", "/run/libvirt", SP_HIDE_DIRECTORY},
	{"libvirt", "%r/libvirt", SP_HIDE_DIRECTORY},
	{"libvirt", "/run/multipass_socket", SP_HIDE_SOCKET},
	{"libvirt", "/var/snap/multipass/common/multipass_socket", SP_HIDE_SOCKET},
	{"snapd", "/run/snapd*.socket", SP_HIDE_SOCKET},
	{"supervisor", "/run/supervisor*.sock", SP_HIDE_SOCKET},
	{"supervisor", "/run/supervisor", SP_HIDE_DIRECTORY},
	{"supervisor", "%h/.pm2/*.sock", SP_HIDE_SOCKET},
	{"fastcgi", "/run/php", SP_HIDE_DIRECTORY},
	{"fastcgi", "/run/php-fpm", SP_HIDE_DIRECTORY},
	{"fastcgi", "/run/uwsgi", SP_HIDE_DIRECTORY},
	{"fastcgi", "/run/fcgiwrap.socket", SP_HIDE_SOCKET},
	{"tmux", "/tmp/tmux-%u", SP_HIDE_OWN_MADE},
	{"tmux", "$TMUX", SP_HIDE_SOCKET},
	{"screen", "/run/screen/S-*", SP_HIDE_OWN},
	{"screen", "%h/.screen", SP_HIDE_OWN},
	{"screen", "/tmp/screens/S-*", SP_HIDE_OWN},
	{"terminal", "$KITTY_LISTEN_ON", SP_HIDE_SOCKET},
	{"terminal", "$WEZTERM_UNIX_SOCKET", SP_HIDE_SOCKET},
	{"terminal", "%r/wezterm", SP_HIDE_DIRECTORY},
	{"terminal", "%r/zellij", SP_HIDE_DIRECTORY},
	{"editor", "%r/emacs", SP_HIDE_OWN},
	{"editor", "/tmp/emacs%u", SP_HIDE_OWN},
	{"editor", "%r/nvim*", SP_HIDE_SOCKET},
	{"editor", "$NVIM", SP_HIDE_SOCKET},
	{"editor", "$NVIM_LISTEN_ADDRESS", SP_HIDE_SOCKET},
	{"editor", "$VSCODE_IPC_HOOK_CLI", SP_HIDE_SOCKET},
	{"editor", "%r/vscode-ipc-*", SP_HIDE_SOCKET},
	{"editor", "/tmp/vscode-ipc-*", SP_HIDE_SOCKET},
	{"x11", "/tmp/.X11-unix", SP_HIDE_OWN},
	{"x11", "/tmp/.ICE-unix", SP_HIDE_OWN},
	{"x11", "%r/ICE*", SP_HIDE_SOCKET},
	{"wayland", "%r/wayland-*", SP_HIDE_SOCKET},
	{"wayland", "$WAYLAND_DISPLAY", SP_HIDE_SOCKET},
	{"wayland", "$SWAYSOCK", SP_HIDE_SOCKET},
	{"wayland", "$I3SOCK", SP_HIDE_SOCKET},
	{"wayland", "%r/hypr", SP_HIDE_DIRECTORY},
	{"sound", "%r/pulse", SP_HIDE_DIRECTORY},
	{"sound", "%r/pipewire-*", SP_HIDE_SOCKET},
	{"sound", "/run/pulse", SP_HIDE_DIRECTORY},
	{"sound", "$PULSE_SERVER", SP_HIDE_SOCKET},
	{"cups", "/run/cups", SP_HIDE_DIRECTORY},
	{"browser", "%h/.config/*/SingletonSocket", SP_HIDE_SOCKET},
	{"browser", "%h/.config/*/*/SingletonSocket", SP_HIDE_SOCKET},
	{"browser", "%h/.var/app/*/config/*/SingletonSocket", SP_HIDE_SOCKET},
	{"browser", "%h/snap/*/common/*/SingletonSocket", SP_HIDE_SOCKET},
	{"browser", "/tmp/.*/SingletonSocket", SP_HIDE_SOCKET},
	{"browser", "/tmp/*/SingletonSocket", SP_HIDE_SOCKET},
	{"builder", "/nix/var/nix/daemon-socket", SP_HIDE_DIRECTORY},
	{"builder", "/var/guix/daemon-socket", SP_HIDE_DIRECTORY},
	{"vpn", "/run/tailscale", SP_HIDE_DIRECTORY},
	{"vpn", "/run/mullvad-vpn", SP_HIDE_SOCKET},
	{"sync", "%h/.mutagen/daemon/daemon.sock", SP_HIDE_SOCKET},
	{"mail", "/run/smtpd.sock", SP_HIDE_SOCKET},
	{"dirmngr", "%r/gnupg/S.dirmngr", SP_HIDE_SOCKET},
	{"dirmngr", "%r/gnupg/d.*/S.dirmngr", SP_HIDE_SOCKET},
	{"dirmngr", "%h/.gnupg/S.dirmngr", SP_HIDE_SOCKET},
	{"tor", "/run/tor*", SP_HIDE_DIRECTORY},
	{"redis", "/run/redis*", SP_HIDE_DIRECTORY},
	{"redis", "/run/valkey*", SP_HIDE_DIRECTORY},
	{"dns-control", "/run/unbound.ctl", SP_HIDE_SOCKET},
	{"dns-control", "/run/knot-resolver/control", SP_HIDE_DIRECTORY},
	{"dns-control", "/run/pdns*", SP_HIDE_DIRECTORY},
	{"forwarded-agent", "/tmp/vscode-ssh-auth-*", SP_HIDE_SOCKET},
	{"forwarded-agent", "%r/vscode-ssh-auth-*", SP_HIDE_SOCKET},
	{"forwarded-agent", "%r/gnupg/S.gpg-agent.extra", SP_HIDE_SOCKET},
	{"forwarded-agent", "%r/gnupg/S.gpg-agent.browser", SP_HIDE_SOCKET},
	{"ssh-agent", "%r/keyring/ssh", SP_HIDE_SOCKET},
	{"ssh-agent", "%r/gcr/ssh", SP_HIDE_SOCKET},
	{"ssh-agent", "%r/openssh_agent", SP_HIDE_SOCKET},
	{"ssh-agent", "%r/ssh-agent.socket", SP_HIDE_SOCKET},
	{"ssh-agent", "%r/gnupg/S.gpg-agent.ssh", SP_HIDE_SOCKET},
	{"gpg-agent", "%r/gnupg/S.gpg-agent", SP_HIDE_SOCKET},
	{"gpg-agent", "%r/gnupg/d.*/S.gpg-agent", SP_HIDE_SOCKET},
	{"gpg-agent", "%h/.gnupg/S.gpg-agent", SP_HIDE_SOCKET},
	{NULL, NULL, SP_HIDE_SOCKET},
};

const struct sp_helper_process sp_helper_processes[] = {
	{"resolved", "systemd-resolve*"},
	{"nscd", "nscd"},
	{"nscd", "unscd"},
	{"avahi", "avahi-daemon"},
	{"session-bus", "dbus-daemon"},
	{"session-bus", "dbus-broker*"},
	{"docker", "dockerd*"},
	{"docker", "com.docker.*"},
	{"docker", "limactl"},
	{"docker", "cri-dockerd"},
	{"podman", "podman"},
	{"podman", "conmon"},
	{"containerd", "containerd*"},
	{"crio", "crio"},
	{"buildkit", "buildkitd"},
	{"incus", "incusd"},
	{"lxd", "lxd"},
	{"libvirt", "libvirtd"},
	{"libvirt", "virt*d"},
	{"libvirt", "qemu-system-*"},
	{"libvirt", "multipassd"},
	{"libvirt", "VBoxXPCOMIPCD"},
	{"snapd", "snapd"},
	{"supervisor", "supervisord"},
	{"supervisor", "PM2 *"},
	{"fastcgi", "php-fpm*"},
	{"fastcgi", "uwsgi"},
	{"fastcgi", "fcgiwrap"},
	{"tmux", "tmux: server"},
	{"screen", "screen"},
	{"terminal", "kitty"},
	{"terminal", "wezterm*"},
	{"terminal", "zellij"},
	{"terminal", "dtach"},
	{"terminal", "abduco"},
	{"terminal", "ydotoold"},
	{"editor", "emacs*"},
	{"editor", "nvim"},
	{"editor", "code"},
	{"editor", "code-*"},
	{"editor", "codium"},
	{"editor", "cursor"},
	{"editor", "windsurf"},
	{"x11", "Xorg"},
	{"x11", "X"},
	{"x11", "Xwayland"},
	{"x11", "Xvfb"},
	{"x11", "Xephyr"},
	{"x11", "Xvnc"},
	{"x11", "Xtigervnc"},
	{"wayland", "gnome-shell"},
	{"wayland", "kwin_wayland*"},
	{"wayland", "sway"},
	{"wayland", "i3"},
	{"wayland", "weston"},
	{"wayland", "Hyprland"},
	{"wayland", "labwc"},
	{"wayland", "cage"},
	{"wayland", "wayfire"},
	{"wayland", "river"},
	{"sound", "pulseaudio"},
	{"sound", "pipewire*"},
	{"cups", "cupsd"},
	{"browser", "chrome"},
	{"browser", "chromium*"},
	{"browser", "brave*"},
	{"browser", "msedge*"},
	{"browser", "vivaldi*"},
	{"browser", "opera"},
	{"browser", "electron*"},
	{"browser", "qutebrowser"},
	{"builder", "nix-daemon"},
	{"builder", "guix-daemon"},
	{"vpn", "tailscaled"},
	{"vpn", "mullvad-daemon"},
	{"sync", "mutagen*"},
	{"sync", "watchman"},
	{"dirmngr", "dirmngr"},
	{"tor", "tor"},
	{"redis", "redis-server"},
	{"redis", "valkey-server"},
	{"dns-control", "unbound"},
	{"ssh-master", "ssh"},
	{"forwarded-agent", "sshd*"},
	{"ssh-agent", "ssh-agent"},
	{"ssh-agent", "gcr-ssh-agent"},
	{"ssh-agent", "gnome-keyring-d"},
	{"ssh-agent", "keepassxc"},
	{"ssh-agent", "ssh-tpm-agent"},
	{"ssh-agent", "yubikey-agent"},
	{"gpg-agent", "gpg-agent"},
	{NULL, NULL},
};
/* clang-format on */

const struct sp_helper *sp_helper_find(const char *name)
{
	for (const struct sp_helper *helper = sp_helpers; helper->name; helper++)
		if (!strcmp(helper->name, name))
			return helper;
	return NULL;
}

bool sp_shared(const struct sp_shares *shares, const struct sp_helper *helper)
{
	return shares && shares->helpers[helper - sp_helpers];
}

bool sp_shares_abstract(const struct sp_shares *shares)
{
	if (shares && shares->abstract)
		return true;
	for (const struct sp_helper *helper = sp_helpers; helper->name; helper++)
		if (helper->abstract && sp_shared(shares, helper))
			return true;
	return false;
}

int sp_share_add(struct sp_shares *shares, const char *name, struct sp_error **err)
{
	const struct sp_helper *helper = sp_helper_find(name);
	const char *names[SP_HELPERS_MAX + 3], *nearest;
	size_t len = 0;

	_Static_assert(sizeof(sp_helpers) / sizeof(sp_helpers[0]) <= SP_HELPERS_MAX,
		       "more helpers than struct sp_shares has room for");
	if (!strcmp(name, "pids") || !strcmp(name, "abstract")) {
		*(*name == 'p' ? &shares->pids : &shares->abstract) = true;
		return 0;
	}
	if (helper) {
		shares->helpers[helper - sp_helpers] = true;
		return 0;
	}
	for (helper = sp_helpers; helper->name; helper++)
		names[len++] = helper->name;
	names[len++] = "pids";
	names[len++] = "abstract";
	names[len] = NULL;
	nearest = sp_nearest(names, name);
	if (nearest)
		return sp_error_set(err, -EINVAL,
				    "--share: nothing is named \"%.40s\"; did you mean %s?", name,
				    nearest);
	return sp_error_set(err, -EINVAL,
			    "--share: nothing is named \"%.40s\"; --share help lists the names",
			    name);
}
