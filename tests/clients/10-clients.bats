#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What real programs do every day goes on working under a policy that names their hosts, and does not work for
# hosts that it does not name. A denial of the first kind is a fault of the same rank as a leak.
# shellcheck disable=SC2030,SC2031,SC2034
load helpers

setup_file() {
	clients_up
	"$PYTHON" -c 'import requests' && in_background idle --allow svc.test -- "$PYTHON" "$HERE/programs/client.py" idle http://svc.test/ 150
	if command -v nginx >/dev/null; then
		# the pool of nginx outlives the TTL: that is what min_ttl is for
		printf '{"version":1,"rules":[{"allow":["short.test"]}],"dns":{"min_ttl":600}}' >"$LAB_DIR/min-ttl.json"
		nginx_configuration >"$LAB_DIR/nginx.conf"
		# shellcheck disable=SC2016
		in_background proxy --policy "$LAB_DIR/min-ttl.json" -- sh -c 'nginx -p "$0" -c "$0/nginx.conf" && curl -fsS http://127.0.0.1:8099/ && sleep 100 &&
			curl -fsS http://127.0.0.1:8099/; s=$?; nginx -p "$0" -c "$0/nginx.conf" -s stop; exit $s' "$LAB_DIR"
	fi
	true
}

# A client in a sandbox that goes on beside the tests: its status and output are files of the lab.
in_background() { # NAME [OPTION]... -- CMD...
	local name=$1
	shift
	(
		local status=0
		"$TOP/scripts/lab" exec "$LAB" timeout -k 2 400 "$SALLYPORT" run --kill-left --events "$LAB_DIR/$name.events" \
			"$@" </dev/null >"$LAB_DIR/$name.out" 2>&1 &
		# ends with the lab
		echo "$! $(cut -d' ' -f22 "/proc/$!/stat")" >>"$LAB_DIR/pids"
		wait "$!" || status=$?
		echo "$status" >"$LAB_DIR/$name.status"
	) </dev/null >/dev/null 2>&1 3>&- &
}

nginx_configuration() {
	cat <<-CONFIG
		user root;
		pid $LAB_DIR/nginx.pid;
		error_log $LAB_DIR/nginx.log;
		events {}
		http {
			access_log off;
			client_body_temp_path $LAB_DIR/nginx-1;
			proxy_temp_path $LAB_DIR/nginx-2;
			fastcgi_temp_path $LAB_DIR/nginx-3;
			uwsgi_temp_path $LAB_DIR/nginx-4;
			scgi_temp_path $LAB_DIR/nginx-5;
			server {
				listen 127.0.0.1:8099;
				location / {
					proxy_pass http://short.test;
					proxy_set_header Host short.test;
				}
			}
		}
	CONFIG
}

teardown_file() {
	lab_down
}

# ---- ssh --------------------------------------------------------------------------------------

ssh_options() {
	echo "-F none -o BatchMode=yes -o ConnectTimeout=10 -o UserKnownHostsFile=$LAB_DIR/ssh/known" \
		"-o HostKeyAlias=svc.test -o IdentitiesOnly=yes -i $LAB_DIR/ssh/id"
}

@test "client: ssh" {
	need ssh sshd
	POLICY=(--allow svc.test:2222)
	# shellcheck disable=SC2046
	allowed ssh $(ssh_options) -p 2222 root@svc.test echo hello from the far side
	[[ $output == *"hello from the far side"* ]]
	# shellcheck disable=SC2046
	slowly denied "$BAD_HOST" ssh $(ssh_options) -p 2222 root@bad.test echo hello
}

@test "client: scp, both ways" {
	need scp sshd
	POLICY=(--allow svc.test:2222)
	head -c 3000000 /dev/urandom >"$LAB_DIR/ssh/file"
	# shellcheck disable=SC2046
	allowed scp -q $(ssh_options) -P 2222 "$LAB_DIR/ssh/file" "root@svc.test:$LAB_DIR/ssh/there"
	cmp "$LAB_DIR/ssh/file" "$LAB_DIR/ssh/there"
	# shellcheck disable=SC2046
	allowed scp -q $(ssh_options) -P 2222 "root@svc.test:$LAB_DIR/ssh/there" "$LAB_DIR/ssh/back"
	cmp "$LAB_DIR/ssh/file" "$LAB_DIR/ssh/back"
	# shellcheck disable=SC2046
	slowly denied "$BAD_HOST" scp -q $(ssh_options) -P 2222 "$LAB_DIR/ssh/file" "root@bad.test:$LAB_DIR/ssh/there"
}

@test "client: git over ssh" {
	need git ssh sshd
	POLICY=(--allow svc.test:2222)
	local ssh
	ssh="ssh $(ssh_options) -p 2222"
	run -0 inside env GIT_SSH_COMMAND="$ssh" git clone -q "root@svc.test:$LAB_DIR/git/repo.git" "$BATS_TEST_TMPDIR/in"
	cmp "$LAB_DIR/work/five-megabytes" "$BATS_TEST_TMPDIR/in/five-megabytes"
	slowly denied "$BAD_HOST" env GIT_SSH_COMMAND="$ssh" git ls-remote "root@bad.test:$LAB_DIR/git/repo.git"
}

@test "client: rsync, over ssh and by itself" {
	need rsync ssh sshd
	local ssh there=$LAB_DIR/files
	ssh="ssh $(ssh_options) -p 2222"
	POLICY=(--allow svc.test:2222 --allow svc.test:873)
	run -0 inside rsync -a --rsync-path="$(command -v rsync)" -e "$ssh" "root@svc.test:$there/" "$BATS_TEST_TMPDIR/ssh/"
	diff -r "$there" "$BATS_TEST_TMPDIR/ssh"
	run -0 inside rsync -a rsync://svc.test/files/ "$BATS_TEST_TMPDIR/own/"
	diff -r "$there" "$BATS_TEST_TMPDIR/own"
	head -c 2000000 /dev/urandom >"$BATS_TEST_TMPDIR/up"
	run -0 inside rsync -a "$BATS_TEST_TMPDIR/up" rsync://svc.test/files/
	cmp "$BATS_TEST_TMPDIR/up" "$there/up"
	rm "$there/up"
	slowly denied "$BAD_HOST" rsync rsync://bad.test/files/
}

# ---- git --------------------------------------------------------------------------------------

@test "client: git push of 5 MB over clear-text http" {
	run -0 outside git -C "$LAB_DIR/work" push -q http://svc.test/git/repo.git HEAD:refs/heads/outside
	# other objects: what is there already is not sent again
	git -C "$LAB_DIR/work" checkout -q --orphan "o$RANDOM"
	head -c 5000000 /dev/urandom >"$LAB_DIR/work/five-megabytes"
	git -C "$LAB_DIR/work" -c user.name=lab -c user.email=lab@svc.test commit -qam again
	run inside git -C "$LAB_DIR/work" push -q http://svc.test/git/repo.git HEAD:refs/heads/inside
	[[ $status -eq 0 ]] || fail "the push"
	git -C "$LAB_DIR/git/repo.git" rev-parse --verify refs/heads/inside
	grep -qE '^svc git [0-9]+ POST /git/repo.git/git-receive-pack [0-9]{7} chunked' "$LAB_DIR/clients.log" ||
		fail "git did not send it in chunks"
	slowly denied "$BAD_HOST" git ls-remote http://bad.test/git/repo.git
}

@test "client: git://" {
	POLICY=(--allow svc.test:9418)
	allowed git ls-remote git://svc.test/repo.git
	slowly denied "$BAD_HOST" git ls-remote git://bad.test/repo.git
}

# ---- clear-text HTTP --------------------------------------------------------------------------

@test "client: curl -T -, an upload in chunks" {
	allowed sh -c 'head -c 3000000 /dev/zero | curl -sS -T - http://svc.test/upload | sed "s/at [0-9]*//"'
	[[ $output == *"got 3000000 bytes"* ]]
	slowly denied "$BAD_HOST" sh -c 'head -c 3000000 /dev/zero | curl -fsS -T - http://bad.test/upload'
}

@test "client: a second request behind an upload in chunks is judged for itself" {
	allowed sh -c 'echo x | curl -sS -T - http://svc.test/one --next -sS http://svc.test/two | sed "s/at [0-9]*//"'
	refused "$BAD_HOST or (host $SVC4 and port 80)" \
		sh -c "echo x | curl -fsS --resolve bad.test:80:$SVC4 -T - http://bad.test/one"
}

@test "client: Elasticsearch's GET with a body" {
	allowed curl -4 -sS -X GET -H 'Content-Type: application/json' -d '{"query":{"match_all":{}}}' http://svc.test/a/_search
	[[ $output == *'"took": 26'* ]]
	slowly denied "$BAD_HOST" curl -fsS -X GET -d '{"query":{}}' http://bad.test/a/_search
}

@test "client: docker attach" {
	need docker
	POLICY=(--allow svc.test:2375)
	export DOCKER_CONFIG=$BATS_TEST_TMPDIR
	allowed sh -c 'echo ping | DOCKER_HOST=tcp://svc.test:2375 docker attach box'
	[[ $output == *"container says: ping"* ]]
	slowly denied "$BAD_HOST" sh -c 'echo ping | DOCKER_HOST=tcp://bad.test:2375 docker attach box'
}

@test "client: docker attach, on port 80" {
	need docker
	export DOCKER_CONFIG=$BATS_TEST_TMPDIR
	allowed sh -c 'echo ping | DOCKER_HOST=tcp://svc.test:80 docker attach box'
	[[ $output == *"container says: ping"* ]]
}

@test "client: a forward proxy that a rule names is judged by what it is asked for" {
	need tinyproxy
	local proxied=(curl -sS --cacert "$CA" -o /dev/null -x http://svc.test:8888)
	POLICY=(--allow svc.test:8888 --allow "$SVC4:443")
	allowed "${proxied[@]}" --connect-to "svc.test:443:$SVC4:443" https://svc.test/
	# to the proxy itself, which is allowed
	refused "host $SVC4 or host $SVC6" "${proxied[@]}" --connect-to "bad.test:443:$BAD4:443" https://bad.test/
	slowly denied "$BAD_HOST" curl -sS --cacert "$CA" -x http://bad.test:8888 --connect-to "svc.test:443:$SVC4:443" https://svc.test/ -o /dev/null
}

# the second CONNECT is on the connection of the first; --proxytunnel: what is in the tunnel is clear text, and judged
@test "client: a forward proxy that asks for a password; HTTP in its tunnel" {
	serve_start "asking-$SVC4" "tcp/$SVC4/8890" "$PYTHON" "$HERE/programs/asking_proxy.py" "$SVC4" 8890
	local proxied=(curl -4 -sS --cacert "$CA" -o /dev/null -x http://svc.test:8890 --proxy-anyauth --proxy-user a:b)
	POLICY=(--allow svc.test:8890 --allow "$SVC4:443" --allow "$SVC4:80" --allow svc.test:80)
	allowed "${proxied[@]}" --connect-to "svc.test:443:$SVC4:443" https://svc.test/
	allowed "${proxied[@]}" --proxytunnel --connect-to "svc.test:80:$SVC4:80" http://svc.test/
	run inside "${proxied[@]}" --proxytunnel --connect-to "svc.test:80:$SVC4:80" -H 'Host: bad.test' http://svc.test/
	[[ $status -ne 0 ]] || fail "a denied Host passed in the tunnel"
	event kind=handshake verdict=denied reason=proxy
}

# Python's server answers one after the other; the last of them come in segments full of requests
@test "client: h2load, 100 requests written at once" {
	need h2load
	SAME_OUTPUT=0 allowed sh -c 'h2load -n 300 -c 3 -m 100 --h1 http://svc.test/ | grep "300 succeeded"'
	no_event verdict=denied
	slowly denied "$BAD_HOST" sh -c 'h2load -n 3 -c 1 -m 100 --h1 http://bad.test/ | grep "3 succeeded"'
}

# ---- package managers -------------------------------------------------------------------------

# ten requests are on their way at a time (Acquire::http::Pipeline-Depth)
@test "client: apt-get, update and download" {
	need apt-get
	local dir=$BATS_TEST_TMPDIR/apt
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	touch "$dir/status"
	local apt=(apt-get -qq -o Dir::Etc::sourcelist="$dir/list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir" -o Dir::State::status="$dir/status"
		-o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Retries=0)
	echo 'deb [trusted=yes] http://svc.test/files/apt ./' >"$dir/list"
	run -0 inside "${apt[@]}" update
	cd "$dir/archives"
	run -0 inside "${apt[@]}" download lab{1..12}
	[[ $(sha256sum ./*.deb | cut -d' ' -f1) == "$(cd "$LAB_DIR/files/apt" && sha256sum ./*.deb | cut -d' ' -f1)" ]] ||
		fail "other files"
	echo 'deb [trusted=yes] http://bad.test/files/apt ./' >"$dir/list"
	slowly denied "$BAD_HOST" "${apt[@]}" -o APT::Update::Error-Mode=any update
}

@test "client: npm install" {
	need npm
	local dir=$BATS_TEST_TMPDIR npm=(npm install --no-audit --no-fund --no-update-notifier --fetch-retries=0 --prefer-online)
	export HOME=$dir NODE_EXTRA_CA_CERTS=$CA
	run -0 slowly inside "${npm[@]}" --prefix "$dir/in" --registry https://svc.test/files/npm/ lab1
	cmp "$dir/in/node_modules/lab12/package.json" <(tar -xzOf "$LAB_DIR/files/npm/tar/lab12.tgz" package/package.json)
	no_event verdict=denied
	# what is in its cache it takes from there
	# shellcheck disable=SC2016
	slowly denied "$BAD_HOST" sh -c 'npm view --fetch-retries=0 --cache "$(mktemp -d "$HOME/cache.XXXXXX")" \
		--registry http://bad.test/files/npm/ lab12 version'
}

@test "client: pip install" {
	need_module pip
	local pip=("$PYTHON" -m pip install -q --isolated --no-cache-dir --disable-pip-version-check --retries 0 --cert "$CA")
	export HOME=$BATS_TEST_TMPDIR
	run -0 slowly inside "${pip[@]}" --target "$HOME/in" -i https://svc.test/files/pip/ lab1
	[[ -f $HOME/in/lab12/__init__.py ]] || fail "not installed"
	no_event verdict=denied
	slowly denied "$BAD_HOST" "${pip[@]}" --target "$HOME/bad" --upgrade -i https://bad.test/files/pip/ lab12
}

# ---- mail -------------------------------------------------------------------------------------

@test "client: smtplib" {
	POLICY=(--allow svc.test:25)
	allowed "$PYTHON" "$HERE/programs/client.py" smtp svc.test
	slowly denied "$BAD_HOST" "$PYTHON" "$HERE/programs/client.py" smtp bad.test
}

@test "client: imaplib" {
	POLICY=(--allow svc.test:143)
	allowed "$PYTHON" "$HERE/programs/client.py" imap svc.test
	slowly denied "$BAD_HOST" "$PYTHON" "$HERE/programs/client.py" imap bad.test
}

# ---- other resolvers --------------------------------------------------------------------------

@test "client: musl" {
	[[ -x $LAB_DIR/bin/fetch-musl ]] || not_here musl-gcc
	allowed sh -c "'$LAB_DIR/bin/fetch-musl' svc.test 80 | sed 's/at [0-9]*//'"
	slowly denied "$BAD_HOST" "$LAB_DIR/bin/fetch-musl" bad.test 80
}

@test "client: Go" {
	go_client
	SAME_OUTPUT=0 allowed "$LAB_DIR/bin/go-fetch" http://svc.test/
	SAME_OUTPUT=0 allowed "$LAB_DIR/bin/go-fetch" https://svc.test/ "$CA"
	slowly denied "$BAD_HOST" "$LAB_DIR/bin/go-fetch" https://bad.test/ "$CA"
}

@test "client: Go's connect() probe (golang/go#67264, in C)" {
	allowed sh -c "'$LAB_DIR/bin/fetch' svc.test 80 >/dev/null && '$LAB_DIR/bin/go-probe' $SVC4 $SVC6"
	no_event verdict=denied
}

@test "client: c-ares, by node" {
	need node
	SAME_OUTPUT=0 allowed node -e '
		require("dns").resolve4("svc.test", (e, list) => {
			if (e) { console.error(e.code); process.exit(1); }
			require("net").connect(80, list[0]).on("connect", () => { console.log(list[0]); process.exit(0); })
				.on("error", (f) => { console.error(f.code); process.exit(1); });
		});'
	slowly denied "$BAD_HOST" node -e 'require("http").get("http://bad.test/", () => process.exit(0)).on("error", () => process.exit(1))'
}

# what waits for the connection goes in one write, and comes back as close together
@test "client: c-ares over TCP, 100 look-ups at once" {
	need node
	export RES_OPTIONS=use-vc
	SAME_OUTPUT=1 allowed node -e '
		Promise.allSettled(Array.from({ length: 100 }, () => require("dns").promises.resolve4("svc.test"))).then((all) => {
			console.log("answered:", all.filter((one) => one.status == "fulfilled").length);
		});'
	[[ $output == *"answered: 100"* ]] || fail "look-ups"
	no_event verdict=denied
}

@test "client: odd answers that every client takes: musl, Go, c-ares, glibc" {
	local name client
	export SP_LAB_RESOLV=$LAB_DIR/odd.resolv
	POLICY=(--allow '*.odd.test')
	go_client
	for name in flat last star; do
		for client in "$LAB_DIR/bin/fetch-musl $name.odd.test 80" "$LAB_DIR/bin/fetch $name.odd.test 80" \
			"$LAB_DIR/bin/go-fetch http://$name.odd.test/"; do
			# glibc takes no address that stands before its CNAME, and Go none of the third form
			# shellcheck disable=SC2086
			run outside $client
			[[ $status -eq 0 ]] || continue
			echo "$client" >>"$BATS_TEST_TMPDIR/tried"
			# shellcheck disable=SC2086
			run -0 inside $client
		done
	done
	[[ $(wc -l <"$BATS_TEST_TMPDIR/tried") -ge 6 ]] || fail "only these work outside: $(<"$BATS_TEST_TMPDIR/tried")"
}

@test "client: DNS over TCP in two writes" {
	allowed "$PYTHON" "$HERE/programs/client.py" dns_two_writes "$DNS" svc.test
	run inside "$PYTHON" "$HERE/programs/client.py" dns_two_writes "$DNS" bad.test
	[[ $status -ne 0 ]] || fail "a denied name is answered"
}

# ---- datagrams, loopback ----------------------------------------------------------------------

@test "client: WireGuard's first datagram, on its own port" {
	POLICY=(--allow svc.test:51820)
	allowed "$PYTHON" "$HERE/programs/client.py" udp svc.test 51820 wireguard
	slowly denied "$BAD_HOST" "$PYTHON" "$HERE/programs/client.py" udp bad.test 51820 wireguard
}

@test "client: WireGuard's first datagram, on 443 by an explicit rule" {
	printf '{"version":1,"rules":[{"allow":["svc.test:443"],"protocol":"udp"}]}' >"$BATS_TEST_TMPDIR/p.json"
	POLICY=(--policy "$BATS_TEST_TMPDIR/p.json")
	allowed "$PYTHON" "$HERE/programs/client.py" udp svc.test 443 wireguard
	slowly denied "$BAD_HOST" "$PYTHON" "$HERE/programs/client.py" udp bad.test 443 wireguard
}

@test "client: 400 connections to one's own listener, one after the other" {
	local range=/proc/sys/net/ipv4/ip_local_port_range
	lab exec "$LAB" sh -c "echo 40000 40199 >$range"
	# outside, ports that wait in TIME_WAIT are used again
	run outside "$PYTHON" "$HERE/programs/client.py" loopback 400
	local before=$status
	run inside "$PYTHON" "$HERE/programs/client.py" loopback 400
	lab exec "$LAB" sh -c "echo 32768 60999 >$range"
	[[ $before -eq 0 ]] || fail "does not even work outside"
	[[ $status -eq 0 ]] || fail "fails inside"
}

# As root bwrap wants CAP_SYS_ADMIN, which run takes. For another user the programs must lie where it can read.
as_user_too() {
	local program
	for program in bwrap socat rg; do
		! command -v "$program" >/dev/null || cp "$(command -v "$program")" "$LAB_DIR/bin/"
	done
	[[ ! -d $TOP/build/clients/npm || -d $LAB_DIR/npm ]] || cp -r "$TOP/build/clients/npm" "$LAB_DIR/npm"
	chmod -R a+rX "$LAB_DIR/bin" "$LAB_DIR/npm"
	PATH=$LAB_DIR/bin:$PATH
	chmod 666 "$EVENTS" # is opened as that user
}

# ---- sandboxes inside -------------------------------------------------------------------------

@test "client: bwrap inside, with a /proc of its own" {
	need bwrap
	as_user_too
	POLICY+=(--user nobody)
	SAME_OUTPUT=0 allowed bwrap --ro-bind / / --dev /dev --proc /proc --unshare-pid --die-with-parent \
		curl -sS http://svc.test/
	slowly denied "$BAD_HOST" bwrap --ro-bind / / --dev /dev --proc /proc --unshare-pid --die-with-parent \
		curl -fsS http://bad.test/
}

# As root it needs a user namespace, and there the kernel gives it no /proc of its own.
@test "client: bwrap inside, as root" {
	need bwrap
	SAME_OUTPUT=0 allowed bwrap --unshare-user --unshare-pid --ro-bind / / --dev /dev --bind /proc /proc \
		curl -sS http://svc.test/
	slowly denied "$BAD_HOST" bwrap --unshare-user --ro-bind / / --dev /dev curl -fsS http://bad.test/
	# it says no more than "Operation not permitted": sallyport does
	local straight=("$TOP/scripts/lab" exec "$LAB" "$SALLYPORT" run --allow svc.test -- bwrap)
	run "${straight[@]}" --unshare-user --ro-bind / / true
	[[ $status -eq 0 && $output != *"as root"* ]] || fail "warned of what works"
	run "${straight[@]}" --ro-bind / / true
	[[ $status -ne 0 && $output == *"bwrap as root needs --unshare-user"* ]] || fail "not said"
	run "${straight[@]}" --unshare-user --unshare-pid --ro-bind / / --proc /proc true
	[[ $status -ne 0 && $output == *"cannot have --proc"* ]] || fail "not said"
}

@test "client: srt inside" {
	need bwrap socat rg node
	local srt=$LAB_DIR/npm/node_modules/.bin/srt
	[[ -x $TOP/build/clients/npm/node_modules/.bin/srt ]] || not_here srt
	as_user_too
	export HOME=$BATS_TEST_TMPDIR
	POLICY+=(--user nobody)
	printf '{"network":{"allowedDomains":["svc.test","bad.test"],"deniedDomains":[]},
		"filesystem":{"denyRead":[],"allowWrite":["/tmp"],"denyWrite":[]}}' >"$HOME/srt.json"
	# srt starts its socat in the background and the command at once, outside too: the first connect may be refused
	local get=("$HERE/programs/srt" "$srt" --settings "$HOME/srt.json" curl -fsS --retry 30 --retry-delay 1 --retry-connrefused --cacert "$CA")
	SAME_OUTPUT=0 allowed "${get[@]}" https://svc.test/
	slowly denied "$BAD_HOST" "${get[@]}" https://bad.test/
}

@test "client: srt inside, as root" {
	need bwrap socat rg node
	local srt=$TOP/build/clients/npm/node_modules/.bin/srt
	[[ -x $srt ]] || not_here srt
	export HOME=$BATS_TEST_TMPDIR
	printf '{"network":{"allowedDomains":["svc.test","bad.test"],"deniedDomains":[]},"enableWeakerNestedSandbox":true,
		"filesystem":{"denyRead":[],"allowWrite":["/tmp"],"denyWrite":[]}}' >"$HOME/srt.json"
	local get=("$HERE/programs/srt" "$srt" --settings "$HOME/srt.json" curl -fsS --retry 30 --retry-delay 1 --retry-connrefused --cacert "$CA")
	SAME_OUTPUT=0 allowed "${get[@]}" https://svc.test/
	slowly denied "$BAD_HOST" "${get[@]}" https://bad.test/
}

# ---- Java, browsers ---------------------------------------------------------------------------

# bats test_tags=host-only
@test "client: Java's java.net.http, which asks for h2c" {
	need java
	need_module h2
	SAME_OUTPUT=0 slowly allowed java -Xshare:auto -XX:TieredStopAtLevel=1 "$HERE/programs/Fetch.java" http://svc.test/
	[[ $output == *HTTP_2*"hello by h2c"* ]] || fail "no upgrade"
	slowly denied "$BAD_HOST" java -XX:TieredStopAtLevel=1 "$HERE/programs/Fetch.java" http://bad.test/
}

browser() { # NAME FILE...: the first that is there
	local name=$1 file
	shift
	for file in "$@"; do
		if [[ -x $file ]]; then
			echo "$file"
			return
		fi
	done
	not_here "$name"
}

# Browsers put ECH (GREASE) into every hello unless they are told not to. Pages that were loaded are in the server's log.
loads() { # BROWSER PROGRAM ECH
	local url=https://svc.test/$1-$3
	slowly outside "$HERE/programs/browse" "$1" "$2" "$3" "$url-outside" "$CA" >/dev/null 2>&1
	grep -q "^svc http [0-9]* GET /$1-$3-outside" "$LAB_DIR/clients.log" || fail "does not even work outside: $1, $3"
	run slowly inside "$HERE/programs/browse" "$1" "$2" "$3" "$url-inside" "$CA"
	grep -q "^svc http [0-9]* GET /$1-$3-inside" "$LAB_DIR/clients.log" || fail "no page inside: $1, $3"
}

loads_not() { # BROWSER PROGRAM
	slowly outside "$HERE/programs/browse" "$1" "$2" ech "https://bad.test/$1-outside" "$CA" >/dev/null 2>&1
	grep -q "^bad http [0-9]* GET /$1-outside" "$LAB_DIR/clients.log" || fail "does not even work outside: $1"
	capture_start "$BAD_HOST"
	# Firefox takes no picture of its page that says what is wrong, and does not end either
	run slowly inside timeout -k 1 $((8 * SLOW)) "$HERE/programs/browse" "$1" "$2" ech "https://bad.test/$1-inside" "$CA"
	capture_stop
	[[ $(capture_count) -eq 0 ]] || fail "packets arrived: $(capture_text)"
}

@test "client: Chromium, with ECH in its hello" {
	local program
	program=$(browser chromium /usr/lib/chromium/chromium "$UNPACKED/usr/lib/chromium/chromium")
	loads chromium "$program" ech
	loads_not chromium "$program"
}

@test "client: Chromium, without ECH" {
	loads chromium "$(browser chromium /usr/lib/chromium/chromium "$UNPACKED/usr/lib/chromium/chromium")" no-ech
}

@test "client: Firefox, with ECH in its hello" {
	need certutil
	local program
	program=$(browser firefox /usr/lib/firefox-esr/firefox-esr "$UNPACKED/usr/lib/firefox-esr/firefox-esr")
	loads firefox "$program" ech
	loads_not firefox "$program"
}

@test "client: Firefox, without ECH" {
	need certutil
	loads firefox "$(browser firefox /usr/lib/firefox-esr/firefox-esr "$UNPACKED/usr/lib/firefox-esr/firefox-esr")" no-ech
}

# ---- what takes time, started first -----------------------------------------------------------

# Two requests on one connection, with 150 s between them; started with the lab.
@test "client: requests, idle for 150 s on one connection" {
	need_module requests
	wait_for_file "$LAB_DIR/idle.status" $((200 / SLOW + 60))
	output=$(<"$LAB_DIR/idle.out")
	[[ $(<"$LAB_DIR/idle.status") == 0 && $output == *"same connection"* ]] || fail "the second request"
	denied "$BAD_HOST" "$PYTHON" "$HERE/programs/client.py" idle http://bad.test/ 0
}

@test "client: nginx inside, proxy_pass to a name whose TTL is 1, after 100 s" {
	need nginx
	wait_for_file "$LAB_DIR/proxy.status" $((200 / SLOW + 60))
	output=$(<"$LAB_DIR/proxy.out")
	[[ $(<"$LAB_DIR/proxy.status") == 0 && $output == *"hello from svc"*"hello from svc"* ]] || fail "through the proxy"
}

# The body of a request is longer than nginx keeps in memory: a file, sent by sendfile() behind a head that was written.
@test "client: nginx inside, uploads that it sends from files" {
	need nginx
	nginx_configuration | sed -e "s|$LAB_DIR/nginx|$BATS_TEST_TMPDIR/nginx|; s|short.test|svc.test|; s|8099|8098|" -e \
		's|access_log off;|& sendfile on; client_max_body_size 0; client_body_buffer_size 8k; proxy_http_version 1.1;|' \
		>"$BATS_TEST_TMPDIR/nginx.conf"
	head -c 5000000 /dev/urandom >"$BATS_TEST_TMPDIR/body"
	# shellcheck disable=SC2016
	SAME_OUTPUT=0 allowed sh -c 'cd "$0" && nginx -p "$0" -c "$0/nginx.conf" && curl -fsS --data-binary @body http://127.0.0.1:8098/ &&
		head -c 3000000 body | curl -fsS -T - http://127.0.0.1:8098/; s=$?; nginx -p "$0" -c "$0/nginx.conf" -s stop; exit $s' \
		"$BATS_TEST_TMPDIR"
	[[ $output == *"got 5000000 bytes"*"got 3000000 bytes"* ]] || fail "the bodies"
}
