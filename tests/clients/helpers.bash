# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC1091,SC2034
# On top of those of e2e: the clients that install-deps unpacked, and hosts of their own.
#
#   svc.test   198.18.0.20  2001:db8:5a11::20   the servers of servers.py, sshd, git daemon, tinyproxy
#   bad.test   198.18.0.21  2001:db8:5a11::21   the same; no policy allows it
#   short.test 198.18.0.20                      with a TTL of 1
#   resolvers  198.18.0.57 (dnsmasq), 198.18.0.58 (odd answers, see servers.py)
#
#   need PROGRAM...       skips the test where one is missing (in CI: fails)
#   slowly denied ...     a client that takes seconds to start
source "${BASH_SOURCE[0]%/*}/../e2e/helpers.bash"

{
	SVC4=198.18.0.20 SVC6=2001:db8:5a11::20 BAD4=198.18.0.21 BAD6=2001:db8:5a11::21
	DNS=198.18.0.57 ODD=198.18.0.58
}
BAD_HOST="host $BAD4 or host $BAD6"
HERE=$TOP/tests/clients
[[ ! -d $LAB_DIR/clients ]] || HERE=$LAB_DIR/clients
UNPACKED=$TOP/build/clients/root
POLICY=(--allow svc.test)
export SP_LAB_RESOLV=$LAB_DIR/clients.resolv

triplet=$(gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)
export PATH=$PATH:$UNPACKED/usr/bin:$UNPACKED/usr/sbin:$UNPACKED/usr/lib/go-1.19/bin:/usr/lib/git-core
export LD_LIBRARY_PATH=$UNPACKED/usr/lib/$triplet:$UNPACKED/usr/lib/$triplet/pulseaudio:$UNPACKED/lib/$triplet
export PYTHONPATH=$UNPACKED/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1

not_here() {
	[[ ! ${SP_CLIENTS_ALL:-} ]] || fail "not here: $*; see build/clients/missing"
	skip "not here: $* (scripts/install-deps clients)"
}

need() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || not_here "$program"
	done
}

need_module() { # PYTHON-MODULE
	"$PYTHON" -c "import $1" 2>/dev/null || not_here "python3-$1"
}

slowly() {
	SLOW=$((15 * SLOW)) "$@"
}

# Starts COMMAND in the servers' netns, and waits until it listens (see wait_for_listener) or, with -, does not: then it
# has another way to say so. It ends with the lab.
serve_start() { # NAME LISTENS COMMAND...
	local name=$1 listens=$2
	shift 2
	setsid "$TOP/scripts/lab" serve "$LAB" "$@" </dev/null >"$LAB_DIR/$name.out" 2>&1 3>&- &
	echo "$! $(cut -d' ' -f22 "/proc/$!/stat")" >>"$LAB_DIR/pids"
	[[ $listens == - ]] || wait_for_listener "sp-$LAB-srv" "$listens" || fail "$name: $(<"$LAB_DIR/$name.out")"
}

certificate() { # NAME DNS-NAME...
	local name=$1
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$LAB_DIR/$name.key" \
		-subj "/CN=$name" -out "$LAB_DIR/$name.csr" 2>/dev/null
	shift
	printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$(printf 'DNS:%s,' "$@" | sed 's/,$//')" \
		>"$LAB_DIR/$name.ext"
	openssl x509 -req -in "$LAB_DIR/$name.csr" -CA "$CA" -CAkey "$LAB_DIR/ca.key" -days 30 \
		-set_serial "0x$(openssl rand -hex 8)" -extfile "$LAB_DIR/$name.ext" -out "$LAB_DIR/$name.crt" 2>/dev/null
	cat "$LAB_DIR/$name.crt" "$LAB_DIR/$name.key" >"$LAB_DIR/$name.pem"
}

make_repository() {
	local git=(git -c user.name=lab -c user.email=lab@svc.test -c init.defaultBranch=main -c gc.auto=0)
	mkdir -p "$LAB_DIR/git" "$LAB_DIR/work"
	"${git[@]}" init -q --bare "$LAB_DIR/git/repo.git"
	git -C "$LAB_DIR/git/repo.git" config http.receivepack true
	git -C "$LAB_DIR/git/repo.git" config receive.denyDeleteCurrent ignore
	"${git[@]}" init -q "$LAB_DIR/work"
	head -c 5000000 /dev/urandom >"$LAB_DIR/work/five-megabytes"
	"${git[@]}" -C "$LAB_DIR/work" add five-megabytes
	"${git[@]}" -C "$LAB_DIR/work" commit -qm first
	"${git[@]}" -C "$LAB_DIR/work" push -q "$LAB_DIR/git/repo.git" HEAD:refs/heads/main
}

# What package managers fetch: twelve packages of each kind, below http://svc.test/files.
make_packages() {
	local i dir=$LAB_DIR/files tree=$LAB_DIR/tree hash
	mkdir -p "$dir/apt/by-hash/SHA256" "$dir/npm/tar" "$dir/pip"
	for ((i = 1; i <= 12; i++)); do
		rm -rf "$tree"
		mkdir -p "$tree/DEBIAN" "$tree/package" "$tree/lab$i" "$tree/lab$i-1.0.dist-info" "$dir/pip/lab$i"
		printf 'Package: lab%d\nVersion: 1.0\nArchitecture: all\nMaintainer: lab\nDescription: lab\n' "$i" >"$tree/DEBIAN/control"
		head -c 20000 /dev/urandom >"$tree/package/data"
		(cd "$tree" && mkdir deb && mv DEBIAN deb && dpkg-deb -Zgzip --build deb "$dir/apt/lab${i}_1.0_all.deb") >/dev/null
		{
			dpkg-deb -f "$dir/apt/lab${i}_1.0_all.deb"
			printf 'Filename: ./lab%d_1.0_all.deb\nSize: %d\nSHA256: %s\n\n' "$i" "$(stat -c %s "$dir/apt/lab${i}_1.0_all.deb")" \
				"$(sha256sum <"$dir/apt/lab${i}_1.0_all.deb" | cut -d' ' -f1)"
		} >>"$dir/apt/Packages"

		printf '{"name":"lab%d","version":"1.0.0","dependencies":{%s}}' "$i" \
			"$([[ $i -eq 12 ]] || printf '"lab%d":"1.0.0"' $((i + 1)))" >"$tree/package/package.json"
		tar -C "$tree" -czf "$dir/npm/tar/lab$i.tgz" package
		printf '{"name":"lab%d","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":%s,"dist":{"tarball":"%s","integrity":"sha512-%s"}}}}' \
			"$i" "$(sed 's/}$//' "$tree/package/package.json")" "https://svc.test/files/npm/tar/lab$i.tgz" \
			"$(openssl dgst -sha512 -binary "$dir/npm/tar/lab$i.tgz" | base64 -w0)" >"$dir/npm/lab$i"

		echo "x = $i" >"$tree/lab$i/__init__.py"
		printf 'Metadata-Version: 2.1\nName: lab%d\nVersion: 1.0\n%s' "$i" \
			"$([[ $i -eq 12 ]] || printf 'Requires-Dist: lab%d\n' $((i + 1)))" >"$tree/lab$i-1.0.dist-info/METADATA"
		printf 'Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n' >"$tree/lab$i-1.0.dist-info/WHEEL"
		printf 'lab%d/__init__.py,,\nlab%d-1.0.dist-info/METADATA,,\nlab%d-1.0.dist-info/WHEEL,,\nlab%d-1.0.dist-info/RECORD,,\n' \
			"$i" "$i" "$i" "$i" >"$tree/lab$i-1.0.dist-info/RECORD"
		(cd "$tree" && "$PYTHON" -m zipfile -c "$dir/pip/lab$i-1.0-py3-none-any.whl" "lab$i" "lab$i-1.0.dist-info")
		echo "<a href=\"../lab$i-1.0-py3-none-any.whl\">lab$i-1.0-py3-none-any.whl</a>" >"$dir/pip/lab$i/index.html"
	done
	rm -rf "$tree"
	hash=$(sha256sum <"$dir/apt/Packages" | cut -d' ' -f1)
	mv "$dir/apt/Packages" "$dir/apt/by-hash/SHA256/$hash"
	printf 'Suite: ./\nCodename: ./\nAcquire-By-Hash: yes\nDate: %s\nSHA256:\n %s %d Packages\n' "$(LC_ALL=C date -u -R)" \
		"$hash" "$(stat -c %s "$dir/apt/by-hash/SHA256/$hash")" >"$dir/apt/Release"
}

# A process of sshd for each host, as a user of this test: a mount namespace of its own has the files that sshd wants
# (the user sshd, /run/sshd).
sshd_up() {
	local dir=$LAB_DIR/ssh address
	command -v sshd >/dev/null || return 0
	mkdir -p "$dir/home"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/id"
	cp "$dir/id.pub" "$dir/authorized"
	printf 'root:x:0:0:root:%s:/bin/bash\nsshd:x:65533:65533::/run/sshd:/usr/sbin/nologin\n' "$dir/home" >"$dir/passwd"
	printf 'root:*:19000::::::\nsshd:!:19000::::::\n' >"$dir/shadow"
	{
		printf 'svc.test %s\nbad.test %s\n' "$(cut -d' ' -f1,2 "$dir/host.pub")" "$(cut -d' ' -f1,2 "$dir/host.pub")"
	} >"$dir/known"
	for address in "$SVC4" "$SVC6" "$BAD4" "$BAD6"; do
		cat >"$dir/config-$address" <<-CONFIG
			ListenAddress [$address]:2222
			HostKey $dir/host
			AuthorizedKeysFile $dir/authorized
			StrictModes no
			UsePAM no
			PermitRootLogin yes
			PidFile none
			UseDNS no
			AcceptEnv GIT_PROTOCOL
			SetEnv LD_LIBRARY_PATH=$LD_LIBRARY_PATH
			Subsystem sftp $(sftp_server)
		CONFIG
		# shellcheck disable=SC2016
		serve_start "sshd-$address" "tcp/$address/2222" unshare --mount --propagation private sh -c '
			mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow &&
			mkdir -p "$1/run" && mount -t tmpfs tmpfs "$1/run" && mkdir -p "$1/run/sshd" "$1/run/${2#/run/}" &&
			mount --bind "$2" "$1/run/${2#/run/}" && mount --rbind "$1/run" /run &&
			exec "$3" -D -e -f "$4"' sh "$dir" "$LAB_DIR" "$(command -v sshd)" "$dir/config-$address"
	done
}

sftp_server() {
	local file
	for file in /usr/lib/openssh/sftp-server "$UNPACKED/usr/lib/openssh/sftp-server"; do
		if [[ -x $file ]]; then
			echo "$file"
			return
		fi
	done
}

clients_up() {
	local host
	lab_up
	cp -r "$TOP/tests/clients" "$LAB_DIR/clients"
	chmod -R a+rX "$LAB_DIR/clients"
	HERE=$LAB_DIR/clients
	printf 'nameserver %s\n' "$DNS" >"$LAB_DIR/clients.resolv"
	printf 'nameserver %s\n' "$ODD" >"$LAB_DIR/odd.resolv"
	for host in 20 21 57 58; do
		lab serve "$LAB" ip addr add "198.18.0.$host/24" dev eth0
		lab serve "$LAB" ip addr add "2001:db8:5a11::$host/64" dev eth0 nodad
	done
	certificate svc svc.test '*.svc.test'
	certificate bad bad.test
	make_repository
	make_packages
	serve_start dns "udp/$DNS/53" dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --user=root --bind-interfaces \
		--listen-address="$DNS" --pid-file= --local-ttl=30 --local=/test/ \
		--host-record="svc.test,$SVC4,$SVC6" --host-record="bad.test,$BAD4,$BAD6" \
		--host-record="short.test,$SVC4,1"
	serve_start clients - "$PYTHON" "$HERE/servers.py" "$LAB_DIR" "svc=$SVC4,$SVC6" "bad=$BAD4,$BAD6" "dns=$ODD"
	for host in "$SVC4" "$BAD4"; do
		serve_start "git-$host" "tcp/$host/9418" git daemon --listen="$host" --reuseaddr --export-all --base-path="$LAB_DIR/git" \
			--enable=receive-pack
		if command -v tinyproxy >/dev/null; then
			printf 'Listen %s\nPort 8888\nTimeout 60\nConnectPort 443\n' "$host" >"$LAB_DIR/proxy-$host"
			serve_start "proxy-$host" "tcp/$host/8888" tinyproxy -d -c "$LAB_DIR/proxy-$host"
		fi
	done
	if command -v rsync >/dev/null; then
		for host in "$SVC4" "$BAD4"; do
			printf 'use chroot = no\nuid = root\ngid = root\n[files]\npath = %s\nread only = no\n' "$LAB_DIR/files" \
				>"$LAB_DIR/rsyncd-$host"
			serve_start "rsync-$host" "tcp/$host/873" rsync --daemon --no-detach --config="$LAB_DIR/rsyncd-$host" \
				--address="$host"
		done
	fi
	sshd_up
	mkdir -p "$LAB_DIR/bin"
	gcc -O1 -Wall -o "$LAB_DIR/bin/fetch" "$HERE/programs/fetch.c"
	musl-gcc -static -O1 -Wall -D_GNU_SOURCE -o "$LAB_DIR/bin/fetch-musl" "$HERE/programs/fetch.c" || true
	gcc -O1 -Wall -o "$LAB_DIR/bin/go-probe" "$HERE/programs/go_probe.c"
	wait_for_file "$LAB_DIR/clients.ready"
}

# Built once, which takes a minute: the standard library comes as source.
go_client() {
	need go
	local out=$TOP/build/clients/go-fetch
	if [[ ! -x $out || $TOP/tests/clients/programs/fetch.go -nt $out ]]; then
		local root
		root=$(cd "$(dirname "$(readlink -f "$(command -v go)")")/.." && pwd)
		env GOROOT="$root" GOCACHE="$TOP/build/clients/go-cache" GOPATH="$TOP/build/clients/go" CGO_ENABLED=0 \
			GO111MODULE=off GOFLAGS= go build -o "$out" "$TOP/tests/clients/programs/fetch.go" 3>&-
	fi
	cp "$out" "$LAB_DIR/bin/go-fetch"
}
