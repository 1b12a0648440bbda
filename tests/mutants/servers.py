# SPDX-License-Identifier: GPL-2.0-or-later
"""Real servers of TLS and HTTP, and how each says which name it read.

Some answer with it. Some write it to a pipe before they answer: with the client's port, or without, and those are
asked one thing at a time. All run in the harness' network namespace, so their ports are fixed.
"""
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CLIENTS = os.path.join(TOP, "build/clients/root")
WAIT = 0.06 * float(os.environ.get("SP_SLOW", "1"))
MARK = b"said:"
running = []


class Server:
    """PATTERN: of a line of the pipe, with groups `name` and perhaps `port`. None: the answer has MARK and the name."""

    def __init__(self, kind, port, pipe=None, stated=False):
        """STATED: reads what SECURITY.md says is not taken for a request here."""
        self.kind, self.port, self.pipe, self.stated = kind, port, pipe, stated
        self.serial = pipe is not None and pipe.serial

    def ask(self, data):
        """What the server read a name from, or None; and whether that took the end of the stream."""
        sock = socket.create_connection(("127.0.0.1", self.port))
        try:
            sock.settimeout(WAIT)
            mine = sock.getsockname()[1]
            if self.pipe:
                self.pipe.take(mine)
            ended = False
            for ended in (False, True):
                said = self.answer(sock, mine, None if ended else data)
                if said is not None:
                    break
            return said, ended
        except OSError:
            return None, False
        finally:
            sock.close()

    def answer(self, sock, mine, data):
        answer = b""
        try:
            if data is None:
                sock.shutdown(socket.SHUT_WR)
            else:
                sock.sendall(data)
            while True:
                more = sock.recv(65536)
                answer += more
                if not more or self.pipe or MARK in answer and b"\n" in answer[answer.index(MARK):]:
                    break
        except OSError:
            pass
        if self.pipe:
            return self.pipe.take(mine)
        if MARK not in answer or re.match(rb"HTTP/1.. (400|408|414|431|494|505)", answer):
            return None
        return answer[answer.index(MARK) + len(MARK):].split(b"\n")[0]


class Pipe:
    """What a process writes. Without ports in it the last name is the only client's."""

    def __init__(self, file, pattern):
        self.file, self.pattern, self.serial = file, re.compile(pattern), b"port" not in pattern
        self.rest, self.heard, self.lock = b"", {}, threading.Lock()
        os.set_blocking(file.fileno(), False)

    def take(self, port):
        with self.lock:
            while True:
                try:
                    more = os.read(self.file.fileno(), 1 << 20)
                except BlockingIOError:
                    break
                if not more:
                    break
                lines = (self.rest + more).split(b"\n")
                self.rest = lines.pop()
                for line in lines:
                    found = self.pattern.search(line)
                    if found:
                        self.heard[int(found["port"]) if not self.serial else 0] = found["name"]
            return self.heard.pop(0 if self.serial else port, None)


def program(*names):
    """The program's path, of this machine or of build/clients."""
    for name in names:
        found = shutil.which(name)
        for path in [found] if found else sorted(glob.glob(os.path.join(CLIENTS, name.lstrip("/")))) + [
                os.path.join(CLIENTS, part, name) for part in ("usr/sbin", "usr/bin")]:
            if path and os.access(path, os.X_OK):
                return path
    return None


def environment():
    """Libraries of what was unpacked and not installed."""
    lib = os.path.join(CLIENTS, "usr/lib", os.uname().machine + "-linux-gnu")
    return dict(os.environ, LD_LIBRARY_PATH=lib)


def run(*command, stderr=False, **more):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL if stderr else subprocess.PIPE,
                               stderr=subprocess.PIPE if stderr else subprocess.DEVNULL, start_new_session=True, **more)
    running.append(process)
    return process.stderr if stderr else process.stdout


LINE = rb"^(?P<kind>[a-z-]+) (?P<port>\d+) (?P<name>.*)"


def of_openssl(_, cert, key):
    openssl = program("openssl")
    if openssl:
        out = run("stdbuf", "-oL", openssl, "s_server", "-www", "-accept", "127.0.0.1:4001", "-cert", cert, "-key", key,
                  "-servername", "other.test", "-cert2", cert, "-key2", key)
        yield Server("openssl-tls", 4001, Pipe(out, rb'Hostname in TLS extension: (?P<name>.*)'))


def of_gnutls(_, cert, key):
    gnutls = program("gnutls-serv")
    if gnutls:
        out = run(gnutls, "-d", "4", "-p", "4002", "--x509certfile", cert, "--x509keyfile", key, stderr=True)
        yield Server("gnutls-tls", 4002, Pipe(out, rb"Requested server name: (?P<name>.*)"))


def of_go(directory, cert, key):
    go = program("go", "/usr/lib/go-*/bin/go")
    if not go:
        return
    to = os.path.join(directory, "go_servers")
    env = dict(os.environ, CGO_ENABLED="0", GOCACHE=os.path.join(TOP, "build/go-cache"), GO111MODULE="off")
    if go.startswith(CLIENTS):
        root = os.path.dirname(os.path.dirname(os.path.realpath(go)))
        share = os.path.join(CLIENTS, "usr/share", os.path.basename(root))
        env["GOROOT"] = share if os.path.isdir(os.path.join(share, "src")) and not os.path.isdir(os.path.join(root, "src")) else root
    subprocess.run([go, "build", "-o", to, os.path.join(HERE, "servers.go")], env=env, check=True, stderr=subprocess.DEVNULL)
    pipe = Pipe(run(to, "127.0.0.1:4003", "127.0.0.1:4103", cert, key), LINE)
    yield Server("go-tls", 4003, pipe)
    yield Server("go-http", 4103)


def of_node(_, cert, key):
    node = program("node")
    if node:
        pipe = Pipe(run(node, os.path.join(HERE, "servers.js"), "4004", "4104", cert, key), LINE)
        yield Server("node-tls", 4004, pipe)
        yield Server("node-http", 4104)


def of_java(directory, cert, key):
    java, jdk = program("java", "/usr/lib/jvm/*/bin/java"), program("javac", "/usr/lib/jvm/*/bin/javac")
    if not java or not jdk:
        return
    store = os.path.join(directory, "store.p12")
    subprocess.run(["openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-out", store, "-passout", "pass:secret"], check=True)
    pipe = Pipe(run(java, "-XX:TieredStopAtLevel=1", os.path.join(HERE, "Servers.java"), "4005", "4105", store), LINE)
    yield Server("java-tls", 4005, pipe)
    yield Server("java-http", 4105, stated=True)


def of_python(_, __, ___):
    run(sys.executable, os.path.join(HERE, "http_server.py"), "4106")
    yield Server("python-http", 4106)


def of_nginx(directory, cert, key):
    nginx = program("nginx")
    if not nginx:
        return
    stream = program("/usr/lib/nginx/modules/ngx_stream_module.so") or "/usr/lib/nginx/modules/ngx_stream_module.so"
    stream = os.path.join(CLIENTS, "usr/lib/nginx/modules/ngx_stream_module.so") if not os.path.exists(stream) else stream
    has_stream = os.path.exists(stream)
    conf = os.path.join(directory, "nginx.conf")
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(conf, "w", encoding="ascii") as file:
        file.write(f"""
{f'load_module {stream};' if has_stream else ''}
{'user root;' if os.geteuid() == 0 else ''}
daemon off; master_process off; pid {directory}/nginx.pid; error_log /dev/null crit;
events {{ worker_connections 500; }}
http {{
	access_log off; {temporary} lingering_close off; ignore_invalid_headers on;
	server {{ listen 127.0.0.1:4107; return 200 "said:$host $http_host $request_uri\\n"; }}
	server {{ listen 127.0.0.1:4207 proxy_protocol; return 200 "said:$host $http_host $request_uri\\n"; }}
	server {{ listen 127.0.0.1:4007 ssl; ssl_certificate {cert}; ssl_certificate_key {key}; error_log stderr debug; }}
}}
""")
        if has_stream:
            file.write("""
stream {
	server { listen 127.0.0.1:4307; ssl_preread on; return "said:$ssl_preread_server_name\\n"; }
}
""")
    out = run(nginx, "-p", directory, "-c", conf, "-e", "stderr", stderr=True)
    yield Server("nginx-tls", 4007, Pipe(out, rb'SSL server name: (?P<name>.*)'))
    yield Server("nginx-http", 4107)
    yield Server("nginx-http-proxy", 4207)
    if has_stream:
        yield Server("nginx-preread-tls", 4307)


def serve_evil(listener):
    """What HAProxy sends connections to that name evil.test."""
    while True:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(MARK + b"evil.test\n")
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(0.2)
            try:
                while sock.recv(65536):
                    pass
            except OSError:
                pass


def of_haproxy(directory, _, __):
    haproxy = program("haproxy")
    if not haproxy:
        return
    conf = os.path.join(directory, "haproxy.conf")
    answer = 'http-request return status 200 content-type text/plain lf-string "said:%[req.hdr(host)] %[url]\\n"'
    with open(conf, "w", encoding="ascii") as file:
        file.write(f"""
defaults
	timeout client 5s
	timeout connect 5s
	timeout server 5s
frontend plain
	mode http
	bind 127.0.0.1:4108
	{answer}
frontend proxied
	mode http
	bind 127.0.0.1:4208 accept-proxy
	{answer}
frontend lenient
	mode http
	option accept-invalid-http-request
	bind 127.0.0.1:4308
	{answer}
frontend sni
	mode tcp
	bind 127.0.0.1:4008
	tcp-request inspect-delay 5s
	tcp-request content accept if {{ req.ssl_hello_type 1 }}
	use_backend evil if {{ req.ssl_sni,lower -m sub evil.test }}
backend evil
	mode tcp
	server evil 127.0.0.1:4407
""")
    threading.Thread(target=serve_evil, args=(socket.create_server(("127.0.0.1", 4407)),), daemon=True).start()
    run(haproxy, "-f", conf, "-db", env=environment())
    yield Server("haproxy-http", 4108)
    yield Server("haproxy-http-proxy", 4208)
    yield Server("haproxy-lenient-http", 4308, stated=True)
    yield Server("haproxy-tls", 4008)


def of_apache(directory, _, __):
    apache = program("apache2")
    modules = "/usr/lib/apache2/modules" if apache and not apache.startswith(CLIENTS) else os.path.join(CLIENTS, "usr/lib/apache2/modules")
    if not apache or not os.path.isdir(modules):
        return
    conf = os.path.join(directory, "apache.conf")
    answer = 'Header always set X-Said "expr=said:%{HTTP_HOST} %{SERVER_NAME} %{REQUEST_URI}"'
    with open(conf, "w", encoding="ascii") as file:
        file.write(f"""
ServerRoot {directory}
PidFile {directory}/apache.pid
ErrorLog /dev/null
Mutex pthread
ServerName x.test
{'User nobody' if os.geteuid() == 0 else ''}
{'Group nogroup' if os.geteuid() == 0 else ''}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule headers_module {modules}/mod_headers.so
Listen 127.0.0.1:4109
Listen 127.0.0.1:4209
StartServers 1
MaxRequestWorkers 25
{answer}
<VirtualHost 127.0.0.1:4209>
	HttpProtocolOptions Unsafe
	{answer}
</VirtualHost>
""")
    run(apache, "-f", conf, "-DFOREGROUND", env=environment())
    yield Server("apache-http", 4109)
    yield Server("apache-unsafe-http", 4209, stated=True)


def of_lighttpd(directory, _, __):
    lighttpd = program("lighttpd")
    modules = "/usr/lib/lighttpd" if lighttpd and not lighttpd.startswith(CLIENTS) else os.path.join(CLIENTS, "usr/lib/lighttpd")
    if not lighttpd or not os.path.isdir(modules):
        return
    for port, options in ((4110, ""), (4210, 'server.http-parseopts = ("header-strict" => "disable", "host-strict" => "disable", '
                                             '"host-normalize" => "disable")')):
        conf = os.path.join(directory, f"lighttpd{port}.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"""
server.document-root = "{directory}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_redirect")
server.errorlog = "/dev/null"
{options}
$HTTP["host"] =~ "(?s)^(.*)$" {{ url.redirect = ("" => "said:%1") }}
""")
        run(lighttpd, "-D", "-m", modules, "-f", conf, env=environment())
    yield Server("lighttpd-http", 4110)
    yield Server("lighttpd-unsafe-http", 4210)


ALL = {"OpenSSL": of_openssl, "GnuTLS": of_gnutls, "Go": of_go, "Node": of_node, "Java": of_java, "Python": of_python,
       "nginx": of_nginx, "HAProxy": of_haproxy, "Apache": of_apache, "lighttpd": of_lighttpd}


def start(directory, only=()):
    """[Server] that are here, [name] of those that are not."""
    cert, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                    "-out", cert, "-days", "2", "-subj", "/CN=evil.test"], check=True, stderr=subprocess.DEVNULL)
    os.chmod(directory, 0o755)
    here, missing = [], []
    for name, make in ALL.items():
        if only and name not in only:
            continue
        made = list(make(directory, cert, key))
        if not made:
            missing.append(name)
        here += made
    until = time.monotonic() + 30
    for server in here:
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise RuntimeError(f"{server.kind} does not listen") from None
                time.sleep(0.1)
    return here, missing


def stop():
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)  # Apache has children
        process.wait()
