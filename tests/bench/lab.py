# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark's lab: that of scripts/lab, with servers of its own on the far side.

    198.18.0.9    DNS: every A query is answered with 198.18.0.10 (serve.c)
    198.18.0.10   TCP 7000 accepts and closes, UDP 7001 falls on the floor, TCP 7002 throws away (serve.c);
                  443: nginx

Clients and DNS run on processor 0 (serve.c says why), servers on processor 1; what a set-up itself runs (a proxy, dnsmasq,
`sallyport run`) runs where the kernel puts it. Everything started is ended by pid, in close().
"""

import json
import os
import shlex
import signal
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build", "bench")
LAB = os.path.join(TOP, "scripts", "lab")
SALLYPORT = os.environ.get("SALLYPORT") or os.path.join(TOP, "build", "sallyport")
DNS, SERVER, HOST, WILD = "198.18.0.9", "198.18.0.10", "good.test", "wild.test"
CLIENT_CPU, SERVER_CPU = "0", "1"
END = "__sallyport_bench_end__"

os.environ["PATH"] += ":/usr/sbin:/sbin"
for variable in list(os.environ):
    if variable.lower().endswith("_proxy"):
        del os.environ[variable]


class Failed(Exception):
    """A set-up or a measurement that did not work; the text says why."""


def run(*command, check=True, **options):
    """Runs to the end; standard output as text."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, **options)
    if check and done.returncode:
        raise Failed(f"{shlex.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def end(process, grace=5.0):
    """Ends a process that this one started, and waits for it."""
    if process.stdin:
        try:
            process.stdin.close()
        except OSError:
            pass
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Agent:
    """A shell that was started in some set-up and is told what to run there, on the client's processor."""

    def __init__(self, prefix, env=None, stderr=None):
        self.process = subprocess.Popen([*prefix, "taskset", "-c", CLIENT_CPU, "bash"], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                        env={**os.environ, **(env or {})})
        self.run("true")

    def run(self, *command):
        try:
            self.process.stdin.write(f"{shlex.join(command)} </dev/null; echo; echo {END} $?\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Failed(f"the set-up's shell is gone ({error})") from error
        text = []
        for line in self.process.stdout:
            if line.startswith(END):
                if line.split()[1] != "0":
                    raise Failed(f"{shlex.join(command)}: status {line.split()[1]} {''.join(text).strip()}")
                return "".join(text)
            text.append(line)
        raise Failed(f"the set-up's shell ended with status {self.process.wait()}")

    def load(self, *arguments):
        """One measurement of load.c, as a dictionary."""
        text = self.run(os.path.join(BUILD, "load"), *map(str, arguments))
        return json.loads(text)

    def close(self):
        end(self.process)


class Lab:
    """Up when made; a client's shell in it is an Agent."""

    def __init__(self):
        self.name = f"bench-{os.getpid()}"
        self.dir = f"/run/sallyport-lab/{self.name}"
        self.started = []
        self.namespaces = []
        run(LAB, "up", self.name)
        try:
            self.server_ns = f"sp-{self.name}-srv"
            for address in DNS, SERVER:
                run("ip", "-n", self.server_ns, "addr", "add", f"{address}/24", "dev", "eth0")
            with open(f"{self.dir}/bench-resolv.conf", "w", encoding="ascii") as f:
                f.write(f"nameserver {DNS}\n")
            self.serve(os.path.join(BUILD, "serve"), DNS, SERVER, ready="ready")
            self.nginx()
        except BaseException:
            self.close()
            raise

    def serve(self, *command, ready=None):
        """Starts a server on the far side, on its processor."""
        process = subprocess.Popen([LAB, "serve", self.name, "taskset", "-c", SERVER_CPU, *command], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE if ready else None)
        self.started.append(process)
        if ready and process.stdout.readline().strip() != ready:
            raise Failed(f"{command[0]} did not start")
        return process

    def nginx(self):
        with open(f"{self.dir}/nginx.conf", "w", encoding="ascii") as f:
            f.write(f"""
daemon off;
worker_processes 1;
pid {self.dir}/nginx.pid;
error_log stderr crit;
user root;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    server {{
        listen {SERVER}:443 ssl backlog=4096;
        ssl_certificate {self.dir}/good.crt;
        ssl_certificate_key {self.dir}/good.key;
        ssl_session_tickets off;
        ssl_session_cache off;
        location / {{ return 200 "ok"; }}
    }}
}}
""")
        self.serve("nginx", "-e", "stderr", "-c", f"{self.dir}/nginx.conf")
        for _ in range(200):
            text = run(LAB, "serve", self.name, "ss", "-Hltn", f"src {SERVER} and sport = 443")
            if text.strip():
                return
            time.sleep(0.05)
        raise Failed("nginx did not start")

    @property
    def ca(self):
        return f"{self.dir}/ca.pem"

    def client(self, *command, env=None):
        """The prefix of a command in the client's network namespace, and its environment."""
        return [LAB, "exec", self.name, *command], {"SP_LAB_RESOLV": f"{self.dir}/bench-resolv.conf", **(env or {})}

    def namespace(self, number):
        """One more client's network namespace, with a wire of its own to the servers."""
        name = f"sp-{self.name}-alt{number}"
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"alt{number}",
            "netns", self.server_ns)
        run("ip", "-n", name, "addr", "add", f"198.18.{number}.1/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", self.server_ns, "addr", "add", f"198.18.{number}.254/24", "dev", f"alt{number}")
        run("ip", "-n", self.server_ns, "link", "set", f"alt{number}", "up")
        run("ip", "-n", name, "route", "add", "default", "via", f"198.18.{number}.254")
        return name

    def close(self):
        for process in reversed(self.started):
            end(process)
        for name in self.namespaces:
            run("ip", "netns", "del", name, check=False)
        run(LAB, "down", self.name, check=False)
