#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Helpers outside, with the real ones: what would act for the command is hidden, what signs is not, and programs
# that have one of their own go on. Nothing of this needs a network.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034
load helpers

USER_ID=65534

setup() {
	DIR=$BATS_TEST_TMPDIR
	OWN=$DIR/own
	mkdir -p "$OWN"
	chown $USER_ID:$USER_ID "$OWN"
	PIDS=()
	local d=$DIR
	while [[ $d != / ]]; do
		chmod o+x "$d"
		d=$(dirname "$d")
	done
	unset SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS TMUX DOCKER_HOST
}

teardown() {
	[[ ${#PIDS[@]} -eq 0 ]] || kill "${PIDS[@]}" 2>/dev/null || true
}

need() {
	command -v "$1" >/dev/null || skip "$1 is not here"
}

user() {
	HOME=$OWN SHELL=/bin/sh setpriv --reuid $USER_ID --regid $USER_ID --clear-groups "$@" 3>&-
}

sandboxed() {
	timeout -k 2 $((30 * SLOW)) "$SALLYPORT" run --user $USER_ID:$USER_ID "$@" 3>&-
}

@test "helpers: a session bus: busctl works outside, not inside; --share session-bus gives it back" {
	need dbus-daemon
	need busctl
	cat >"$DIR/bus.conf" <<-XML
		<busconfig><listen>unix:path=$OWN/bus</listen><policy context="default"><allow user="*"/>
		<allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
	XML
	PIDS+=("$(user dbus-daemon --config-file="$DIR/bus.conf" --fork --print-pid)")
	run -0 user busctl --address="unix:path=$OWN/bus" list
	run sandboxed -- busctl --address="unix:path=$OWN/bus" list
	[[ $status -ne 0 ]] || fail "reached: $output"
	# found by its process above; by its variable too, and by a second name
	run -0 sandboxed --share session-bus -- busctl --address="unix:path=$OWN/bus" list
	[[ $output == *org.freedesktop.DBus* ]] || fail "not given back: $output"
	run -2 sandboxed --share session-buss -- true
	[[ $output == *"did you mean session-bus?"* ]] || fail "not said: $output"
	run -0 "$SALLYPORT" run --share help
	[[ $output == *session-bus* && $output == *ssh-agent* ]] || fail "not listed"
}

@test "helpers: tmux outside cannot be typed into from inside; a server of one's own works" {
	need tmux
	export TMUX_TMPDIR=$OWN
	user tmux -f /dev/null -L outside new-session -d -s s 'exec cat'
	PIDS+=("$(user tmux -L outside display-message -p '#{pid}')")
	run -0 user tmux -L outside send-keys -t s x
	run sandboxed -- tmux -L outside send-keys -t s x
	[[ $status -ne 0 ]] || fail "typed"
	# where it is by default, and with a server of the same name
	run -0 env -u TMUX_TMPDIR timeout 60 "$SALLYPORT" run --quiet --kill-left --user $USER_ID:$USER_ID -- sh -c \
		'export SHELL=/bin/sh; tmux -f /dev/null new-session -d -s own "sleep 30" && tmux ls'
	[[ $output == *own:* ]] || fail "no server of its own: $output"
	run -0 sandboxed --kill-left -- sh -c 'export SHELL=/bin/sh; tmux -f /dev/null -L inside new-session -d -s own "sleep 30" && tmux -L inside ls'
	[[ $output == *own:* ]] || fail "no server of its own: $output"
}

@test "helpers: an ssh agent of this host signs inside; one that somebody else holds is hidden, and said" {
	need ssh-agent
	local pid
	eval "$(user ssh-agent -a "$OWN/agent")" >/dev/null
	PIDS+=("$SSH_AGENT_PID")
	user ssh-keygen -q -t ed25519 -N '' -f "$OWN/key"
	user ssh-add -q "$OWN/key"
	echo text >"$OWN/text"
	chmod 644 "$OWN/text"
	# the private key is only in the agent
	run -0 sandboxed --quiet -- sh -c 'cd "$1" && rm key && ssh-add -l && ssh-keygen -Y sign -f key.pub -n test <text' sh "$OWN"
	[[ $output == *ED25519* && $output == *"BEGIN SSH SIGNATURE"* ]] || fail "does not sign: $output"
	# The same agent, behind somebody who is not known to be one: as editors and sshd forward it.
	"$PYTHON" -c 'import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen()
print("ready", flush=True)
import time
time.sleep(60)' "$OWN/forwarded" >"$DIR/ready" 3>&- &
	PIDS+=($!)
	until grep -q ready "$DIR/ready"; do sleep 0.05; done
	export SSH_AUTH_SOCK=$OWN/forwarded
	run sandboxed -- timeout 5 ssh-add -l
	[[ $output == *"Connection refused"* || $output == *"Error connecting to agent"* ]] || fail "reached: $output"
	[[ $output == *"SSH_AUTH_SOCK"*"--share forwarded-agent"* ]] || fail "not said: $output"
	run sandboxed --share forwarded-agent -- "$PYTHON" -c "import socket; socket.socket(1).connect('$OWN/forwarded')"
	[[ $status -eq 0 && $output != *"is hidden"* ]] || fail "not given back: $output"
}

# holds COMM PATH [LINKED]: somebody of that name listens at PATH; as ssh does it, at another name first, with LINKED.
holds() {
	"$PYTHON" -c 'import os, socket, sys, time
listener = socket.socket(socket.AF_UNIX)
bound = sys.argv[2] + (".nDJPoj4083H8mK7k" if len(sys.argv) > 3 else "")
listener.bind(bound)
os.chmod(bound, 0o777)
listener.listen(100)
if bound != sys.argv[2]:
    os.link(bound, sys.argv[2])
    os.unlink(bound)
open("/proc/self/comm", "w").write(sys.argv[1])
print("ready", flush=True)
time.sleep(60)' "$@" >"$DIR/ready" 3>&- &
	PIDS+=($!)
	until grep -q ready "$DIR/ready"; do sleep 0.05; done
}

# reached yes|no PATH [OPTION...]
reached() {
	local expected=$1 path=$2
	shift 2
	run sandboxed --quiet "$@" -- "$PYTHON" -c "import socket; socket.socket(1).connect('$path')"
	[[ $status -eq 0 && $expected == yes || $status -ne 0 && $expected == no ]] || fail "$path $*: $status $output"
}

@test "helpers: what is left in reach is what it seems: forwarded, linked and held by another" {
	export XDG_RUNTIME_DIR=$OWN
	mkdir "$OWN/gnupg"
	holds gpg-agent "$OWN/gnupg/S.gpg-agent"
	reached yes "$OWN/gnupg/S.gpg-agent"
	rm "$OWN/gnupg/S.gpg-agent"
	# `RemoteForward /run/user/UID/gnupg/S.gpg-agent`
	holds sshd "$OWN/gnupg/S.gpg-agent"
	reached no "$OWN/gnupg/S.gpg-agent"
	reached yes "$OWN/gnupg/S.gpg-agent" --share forwarded-agent
	# what the command of an earlier run can have left there
	holds "tmux: server" "$OWN/tmux"
	rm "$OWN/gnupg/S.gpg-agent"
	ln -s "$OWN/tmux" "$OWN/gnupg/S.gpg-agent"
	reached no "$OWN/tmux"
	rm "$OWN/gnupg/S.gpg-agent"
	ln "$OWN/tmux" "$OWN/gnupg/S.gpg-agent"
	reached no "$OWN/tmux"
	reached no "$OWN/gnupg/S.gpg-agent"
	holds "somebody" "$OWN/unknown"
	ln -s "$OWN/unknown" "$OWN/ssh-agent.socket"
	export SSH_AUTH_SOCK=$OWN/unknown
	reached no "$OWN/unknown"
}

@test "helpers: ssh's master connection, which is bound at one name and linked to another" {
	holds ssh "$OWN/master" linked
	[[ -S $OWN/master ]] || fail "no socket"
	reached no "$OWN/master"
	reached yes "$OWN/master" --share ssh-master
	# What the command of an earlier run can do: a socket that is covered cannot be moved, its directory can.
	mkdir "$OWN/here"
	chown $USER_ID:$USER_ID "$OWN/here"
	holds ssh "$OWN/here/moved" linked
	run -0 sandboxed --quiet -- mv "$OWN/here" "$OWN/there"
	reached no "$OWN/there/moved"
	holds "tmux: server" "$OWN/there/tmux"
	run -0 sandboxed --quiet -- mv "$OWN/there" "$OWN/here"
	reached no "$OWN/here/tmux"
	reached no "$OWN/here/moved"
}

@test "helpers: what another sandbox of the same user moves to and fro while a start looks for it" {
	local n mover
	mkdir "$OWN/here"
	chown $USER_ID:$USER_ID "$OWN/here"
	holds "tmux: server" "$OWN/here/socket"
	timeout -k 2 $((60 * SLOW)) "$SALLYPORT" run --quiet --user $USER_ID:$USER_ID -- "$PYTHON" -c 'import os, sys, time
here, there, stop = (sys.argv[1] + name for name in ("/here", "/there", "/stop"))
while not os.path.exists(stop):
    for pair in (here, there), (there, here):
        os.rename(*pair)
        time.sleep(0.003)
    open(sys.argv[1] + "/moved", "w").close()' "$OWN" 3>&- &
	mover=$!
	until [[ -e $OWN/moved ]]; do sleep 0.05; done
	# it was reached 12 times of 14
	for n in 1 2 3 4 5 6; do
		run -0 sandboxed --quiet -- "$PYTHON" -c 'import socket, sys, time
end = time.time() + 0.3
while time.time() < end:
    for name in "here", "there":
        try:
            socket.socket(1).connect(f"{sys.argv[1]}/{name}/socket")
            sys.exit("reached")
        except OSError:
            pass' "$OWN"
	done
	touch "$OWN/stop"
	wait $mover
}

@test "helpers: in a run-time directory whose name would be a pattern" {
	local runtime="$OWN/run[1]*?" listen ask
	# podman's service: its socket is found by its place alone, and this program has not its name
	listen='import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]); s.bind("podman.sock")
s.listen(); open("pid", "w").write(str(os.getpid())); [s.accept() for _ in range(100)]'
	ask='import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]); s.connect("podman.sock")'
	mkdir -p "$runtime/podman"
	chown -R $USER_ID:$USER_ID "$OWN"
	user "$PYTHON" -c "$listen" "$runtime/podman" >/dev/null 2>&1 &
	wait_for_file "$runtime/podman/pid"
	PIDS+=("$(<"$runtime/podman/pid")")
	run -0 user "$PYTHON" -c "$ask" "$runtime/podman"
	XDG_RUNTIME_DIR=$runtime run sandboxed --quiet -- "$PYTHON" -c "$ask" "$runtime/podman"
	[[ $status -eq 1 ]] || fail "reached: $output"
	XDG_RUNTIME_DIR=$runtime run -0 sandboxed --quiet --share podman -- "$PYTHON" -c "$ask" "$runtime/podman"
}

@test "helpers: a browser outside opens nothing for the next instance; builders, and what synchronises" {
	local profile=/tmp/.org.chromium.test$$
	# as they leave it: a link in the profile to a directory of its own
	mkdir -m 755 "$profile"
	holds somebody "$profile/SingletonSocket"
	reached no "$profile/SingletonSocket"
	reached yes "$profile/SingletonSocket" --share browser
	rm -r "$profile"
	local name
	for name in chrome nix-daemon tailscaled mutagen-agent watchman conmon "PM2 v6.0.5: God"; do
		rm -f "$OWN/s"
		holds "$name" "$OWN/s"
		reached no "$OWN/s"
	done
}

@test "helpers: what is given back is given back whoever holds it" {
	mkdir -p /tmp/.X11-unix
	holds gnome-shell "/tmp/.X11-unix/X7$BATS_TEST_NUMBER$$"
	reached no "/tmp/.X11-unix/X7$BATS_TEST_NUMBER$$"
	reached yes "/tmp/.X11-unix/X7$BATS_TEST_NUMBER$$" --share x11
	rm "/tmp/.X11-unix/X7$BATS_TEST_NUMBER$$"
}

@test "helpers: X servers of one's own start inside, one outside is not reached" {
	need Xvfb
	local n=$((RANDOM % 500 + 100))
	Xvfb ":$n" -nolisten tcp -nolisten local 3>&- >/dev/null 2>&1 &
	PIDS+=($!)
	until [[ -S /tmp/.X11-unix/X$n ]]; do sleep 0.1; done
	run sandboxed -- "$PYTHON" -c "import socket; socket.socket(1).connect('/tmp/.X11-unix/X$n')"
	[[ $status -ne 0 ]] || fail "reached"
	run -0 sandboxed --kill-left -- sh -c "Xvfb :$n -nolisten tcp >/dev/null 2>&1 & for i in 1 2 3 4 5 6 7 8 9 10; do
		test -S /tmp/.X11-unix/X$n && exit 0; sleep 0.5; done; exit 1"
}

@test "helpers: python, node, npm, git and curl go on with all of it hidden" {
	local program
	export DBUS_SESSION_BUS_ADDRESS=unix:path=$OWN/none XDG_RUNTIME_DIR=$OWN
	for program in "python3 -c print(1)" "node -e console.log(1)" "npm --version" "git --version" "curl --version"; do
		command -v "${program%% *}" >/dev/null || continue
		# shellcheck disable=SC2086
		run -0 env HOME="$OWN" timeout 60 "$SALLYPORT" run --quiet --user $USER_ID:$USER_ID -- $program
	done
}

@test "helpers: as root, in the user's run-time directory that sudo left behind, and under audit_only" {
	"$PYTHON" -c 'import os, socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen()
print("ready", flush=True)
time.sleep(60)' "$OWN/bus" >"$DIR/ready" 3>&- &
	PIDS+=($!)
	until grep -q ready "$DIR/ready"; do sleep 0.05; done
	local ask="import socket; socket.socket(1).connect('$OWN/bus')"
	run -0 "$PYTHON" -c "$ask"
	run env XDG_RUNTIME_DIR="$OWN" "$SALLYPORT" run --quiet -- "$PYTHON" -c "$ask"
	[[ $status -ne 0 ]] || fail "root reached it"
	run env XDG_RUNTIME_DIR="$OWN" SUDO_UID=$USER_ID SUDO_GID=$USER_ID "$SALLYPORT" run --quiet -- "$PYTHON" -c "$ask"
	[[ $status -ne 0 ]] || fail "the user of sudo reached it"
	run env DBUS_SESSION_BUS_ADDRESS="unix:path=$OWN/none;unix:path=$OWN/bus,guid=1" \
		"$SALLYPORT" run --quiet -- "$PYTHON" -c "$ask"
	[[ $status -ne 0 ]] || fail "reached, though the second address of the variable"
	run -0 env XDG_RUNTIME_DIR="$OWN" "$SALLYPORT" run --quiet --mode audit_only -- "$PYTHON" -c "$ask"
}
