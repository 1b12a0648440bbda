# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Shared by the bats files. Every file of every run has its own lab (netns, servers), named after the
# file and the process of bats.
#
#   outside CMD...                  runs CMD in the lab, not enforced
#   inside [OPTION...] [-- ] CMD... runs CMD in the lab under `sallyport run`
#   allowed CMD...                  CMD works outside and inside
#   denied FILTER CMD...            CMD works outside and arrives at the servers; inside it fails
#                                   within a second, and no packet that matches FILTER arrives
#   refused FILTER CMD...           the same, but a TCP handshake may arrive: no payload byte does
#
# POLICY holds the options of `sallyport run`; LAST_MS is how long CMD took inside.
bats_require_minimum_version 1.5.0

TOP=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
E2E=$TOP/tests/e2e
CLIENTS=$TOP/build/e2e
SALLYPORT=${SALLYPORT:-$TOP/build/sallyport}
case $SALLYPORT in
/*) ;;
*) SALLYPORT=$TOP/$SALLYPORT ;;
esac
SLOW=${SP_SLOW:-1}
PYTHON=/usr/bin/python3
[[ -x $PYTHON ]] || PYTHON=python3
PATH=$PATH:/usr/sbin:/sbin

# Addresses of the lab (see scripts/lab), for the tests that source this file.
# shellcheck disable=SC2034
{
	GOOD4=198.18.0.2 GOOD6=2001:db8:5a11::2 CDN4=198.18.0.3 CDN6=2001:db8:5a11::3
	EVIL4=198.18.0.66 EVIL6=2001:db8:5a11::66 R=198.18.0.53 R6=2001:db8:5a11::53
	R2=198.18.0.54 R26=2001:db8:5a11::54 R3=198.18.0.55 WIDE=198.18.0.56
	PRIVATE4=10.0.0.1 PRIVATE6=fd00:5a11::1
}
POLICY=(--allow good.test)

# What this machine says about proxies and certificates is not part of the tests, nor that Python should
# write in pieces, between which other lines would stand.
unset PYTHONUNBUFFERED http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY all_proxy \
	NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE NODE_OPTIONS \
	REQUESTS_CA_BUNDLE RES_OPTIONS LOCALDOMAIN SUDO_UID SUDO_GID SUDO_USER
export LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null

lab_name() {
	local file=${BATS_TEST_FILENAME##*/}
	echo "e2e-${file%.bats}-${BATS_ROOT_PID:-0}"
}

LAB=$(lab_name)
LAB_DIR=${SP_LAB_BASE:-/run/sallyport-lab}/$LAB
# Clients run as other users too, and the checkout may lie in a directory of root's: lab_up copies them.
if [[ -d $LAB_DIR/e2e ]]; then
	E2E=$LAB_DIR/e2e
	CLIENTS=$E2E/bin
fi
# shellcheck disable=SC2034
CA=$LAB_DIR/ca.pem

lab() {
	if [[ $1 == exec && -x $CLIENTS/inlab ]]; then
		"$CLIENTS/inlab" "sp-$2-cli" "${SP_LAB_RESOLV:-$LAB_DIR/resolv.conf}" "${@:3}"
	else
		"$TOP/scripts/lab" "$@"
	fi
}

need_sallyport() {
	if [[ ! -x $SALLYPORT ]]; then
		echo "no $SALLYPORT: build it first" >&2
		return 1
	fi
}

# Labs of this file whose bats is gone: it was killed.
remove_stale_labs() {
	local dir name pid
	for dir in "${LAB_DIR%-*}"-*; do
		name=${dir##*/}
		pid=${name##*-}
		[[ -d $dir && $pid =~ ^[0-9]+$ && ! -d /proc/$pid ]] || continue
		lab down "$name" 3>&-
	done
}

# For setup_file and teardown_file. Background processes of bats must not hold its fd 3.
lab_up() {
	need_sallyport
	"$TOP/tests/e2e/clients/build" "$TOP/build/e2e" 3>&-
	remove_stale_labs
	SP_LAB_CACHE=$BATS_RUN_TMPDIR/lab-cache lab up "$LAB" 3>&-
	mkdir "$LAB_DIR/e2e"
	cp -r "$TOP/tests/e2e/clients" "$LAB_DIR/e2e/clients"
	cp -r "$TOP/build/e2e" "$LAB_DIR/e2e/bin"
	chmod -R a+rX "$LAB_DIR/e2e"
}

# Beside lab_up: a server that knows any number of names and addresses (see servers/wide.py).
wide_up() {
	lab serve "$LAB" ip addr add "$WIDE/24" dev eth0
	lab serve "$LAB" ip route add local 198.19.0.0/16 dev lo
	setsid "$TOP/scripts/lab" serve "$LAB" "$PYTHON" "$TOP/tests/e2e/servers/wide.py" "$LAB_DIR" "$WIDE" \
		</dev/null >"$LAB_DIR/wide.out" 2>&1 3>&- &
	echo "$! $(cut -d' ' -f22 "/proc/$!/stat")" >>"$LAB_DIR/pids"
	wait_for_file "$LAB_DIR/wide.ready"
}

lab_down() {
	lab down "$LAB" 3>&-
	# Sandboxes that a killed sallyport left are removed by the next start.
	[[ ! -x $SALLYPORT ]] || timeout 60 "$SALLYPORT" run --quiet -- true >/dev/null 2>&1 3>&- || true
}

setup() {
	EVENTS=$BATS_TEST_TMPDIR/events
	CAPTURE_PID=
	LAST_MS=
	: >"$EVENTS"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/test 2>/dev/null || true
	chmod 777 "$BATS_TEST_TMPDIR"
}

teardown() {
	capture_stop
	local file pid
	for file in "$BATS_TEST_TMPDIR"/*.pid; do
		[[ -s $file ]] || continue
		read -r pid <"$file"
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# Says why a test fails: MESSAGE, then what is known.
fail() {
	{
		echo "FAILED: $*"
		[[ -z ${output:-} ]] || printf 'output (status %s):\n%s\n' "${status:-?}" "$output"
		[[ ! -s $EVENTS ]] || { echo "events:"; tail -n 20 "$EVENTS"; }
	} >&2
	return 1
}

outside() {
	lab exec "$LAB" timeout -k 2 $((20 * SLOW)) "$@" 3>&-
}

# Arguments up to "--" are options of `sallyport run` (after POLICY); without "--" all is the command.
inside() {
	local options=() i
	for ((i = 1; i <= $#; i++)); do
		if [[ ${!i} == -- ]]; then
			options=("${@:1:i-1}")
			shift "$i"
			break
		fi
	done
	rm -f "$BATS_TEST_TMPDIR/ms"
	: >"$EVENTS"
	chmod 666 "$EVENTS" # it is opened as the user that the command runs as
	lab exec "$LAB" timeout -k 2 $((30 * SLOW)) \
		"$SALLYPORT" run --events "$EVENTS" "${POLICY[@]}" "${options[@]}" -- \
		"$CLIENTS/timed" "$BATS_TEST_TMPDIR/ms" "$@" 3>&-
}

# Milliseconds that the command of the last `inside` took, without the start of sallyport.
last_ms() {
	cat "$BATS_TEST_TMPDIR/ms" 2>/dev/null || echo 999999
}

# ---- the oracle: tcpdump on the servers' side -------------------------------------------------

capture_start() { # FILTER
	local i
	CAPTURE=$BATS_TEST_TMPDIR/capture.pcap
	rm -f "$CAPTURE" "$CAPTURE.log"
	nsenter --net="/run/netns/sp-$LAB-srv" tcpdump -Z root --immediate-mode -U -n -i eth0 -w "$CAPTURE" \
		"$1" >/dev/null 2>"$CAPTURE.log" 3>&- &
	CAPTURE_PID=$!
	for ((i = 0; i < 100 * SLOW; i++)); do
		grep -q 'listening on' "$CAPTURE.log" && return 0
		sleep 0.02
	done
	fail "tcpdump did not start: $(<"$CAPTURE.log")"
}

capture_stop() {
	[[ ${CAPTURE_PID:-} ]] || return 0
	sleep "$(awk "BEGIN { print 0.1 * (1 + $SLOW / 5) }")"
	kill -INT "$CAPTURE_PID" 2>/dev/null || true
	wait "$CAPTURE_PID" 2>/dev/null || true
	CAPTURE_PID=
}

# Packets, and bytes of TCP and UDP payload, that the last capture saw come from the client.
capture_count() {
	tcpdump -n -r "$CAPTURE" 'not (arp or icmp6)' 2>/dev/null | wc -l
}

capture_bytes() {
	tcpdump -nq -r "$CAPTURE" 'src host 198.18.0.1 or src host 2001:db8:5a11::1' 2>/dev/null | awk '
		/ tcp [0-9]+$/ { bytes += $NF }
		/ UDP, length [0-9]+$/ { bytes += $NF }
		END { print bytes + 0 }'
}

# Both with one reading, "PACKETS BYTES": a reading takes half a second in a guest.
capture_sums() {
	tcpdump -nq -r "$CAPTURE" 'not (arp or icmp6)' 2>/dev/null | awk '
		{ packets++ }
		$3 !~ /^(198\.18\.0\.1|2001:db8:5a11::1)(\.[0-9]+)?$/ { next }
		/ tcp [0-9]+$/ { bytes += $NF }
		/ UDP, length [0-9]+$/ { bytes += $NF }
		END { print packets + 0, bytes + 0 }'
}

capture_text() {
	tcpdump -n -r "$CAPTURE" 2>/dev/null | head -n 20
}

# ---- pairs ------------------------------------------------------------------------------------

allowed() {
	run -0 outside "$@"
	local expected=$output
	run inside "$@"
	[[ $status -eq 0 ]] || fail "denied inside: $*"
	[[ ${SAME_OUTPUT:-1} != 1 || $output == *"${expected##*$'\n'}"* ]] ||
		fail "another answer inside; outside: $expected"
}

_denied() { # packets|bytes FILTER COMMAND...
	local what=$1 filter=$2 i packets bytes
	shift 2
	capture_start "$filter"
	run outside "$@"
	[[ $status -eq 0 ]] || fail "does not even work outside: $*"
	for ((i = 0; i < 20 * SLOW; i++)); do
		read -r packets bytes < <(capture_sums)
		[[ $bytes -eq 0 ]] || break
		sleep 0.1
	done
	capture_stop
	[[ $bytes -gt 0 ]] || fail "the capture \"$filter\" does not see it outside: $*"

	capture_start "$filter"
	run inside "$@"
	capture_stop
	[[ $status -ne 0 ]] || fail "works inside: $*"
	# An exit status of sallyport itself is no denial: the command must have run.
	[[ -s $BATS_TEST_TMPDIR/ms ]] || fail "the command did not run inside: $*"
	LAST_MS=$(last_ms)
	read -r packets bytes < <(capture_sums)
	[[ $bytes -eq 0 ]] || fail "bytes arrived: $(capture_text)"
	[[ $what != packets || $packets -eq 0 ]] || fail "packets arrived: $(capture_text)"
	[[ $LAST_MS -lt $((1000 * SLOW)) ]] || fail "not at once: $LAST_MS ms: $*"
}

denied() {
	_denied packets "$@"
}

refused() {
	_denied bytes "$@"
}

# An event of the last `inside` whose keys have these values ("dst.port=443", "rule.kind=allow").
event() { # KEY=VALUE...
	"$PYTHON" "$E2E/clients/event.py" "$EVENTS" "$@" >/dev/null || fail "no event with $*"
}

no_event() {
	! "$PYTHON" "$E2E/clients/event.py" "$EVENTS" "$@" || fail "an event with $*"
}

# Queries for a name (or below it) that reached resolver R.
queries_at_R() { # NAME
	grep -cE "query\[[A-Za-z0-9=]+\] ([^ ]*\.)?${1//./\\.} " "$LAB_DIR/R.log" || true
}

client() { # NAME ARGUMENT...: a Python client of tests/e2e/clients
	echo "$PYTHON" "$E2E/clients/$1"
}

wait_for_file() { # FILE [SECONDS]
	local i
	for ((i = 0; i < ${2:-10} * 20 * SLOW; i++)); do
		[[ -s $1 ]] && return 0
		sleep 0.05
	done
	fail "no $1"
}

# Until somebody of that network namespace (a name of ip netns) listens there: KIND/ADDRESS/PORT, KIND is tcp or udp.
wait_for_listener() { # NETNS LISTENS...
	local netns=$1 listens kind address port i
	shift
	for listens in "$@"; do
		IFS=/ read -r kind address port <<<"$listens"
		for ((i = 0; i < 400 * SLOW; i++)); do
			[[ -z $(nsenter --net="/run/netns/$netns" ss -Hnl "--$kind" "src [$address] and sport = :$port" 3>&-) ]] ||
				continue 2
			sleep 0.05
		done
		fail "nobody listens at $listens"
		return 1
	done
}

command_of() { # PID of a `sallyport run`: the command's, as the host knows it (its own PID namespace has another)
	local child
	# shellcheck disable=SC2013 # words of one line
	for child in $(cat /proc/"$1"/task/*/children); do
		[[ $(<"/proc/$child/comm") == sallyport-init ]] || echo "$child"
	done
}
