# SPDX-License-Identifier: GPL-2.0-or-later
"""What is compared: the set-ups, each with a shell that runs in it."""

import json
import os
import pwd
import signal
import subprocess
import time

from lab import BUILD, DNS, HOST, SALLYPORT, SERVER, WILD, Agent, Failed, end, run

EVIL = "198.18.0.66"  # a server of the lab that nobody allows


def policy(mode="enforce", names=()):
    """The policy of all sandboxes here; `names` are more of them, which nobody asks for."""
    return {"version": 1, "mode": mode,
            "rules": [{"allow": [HOST], "ports": [443, 7000, 7001, 7002]}, {"allow": [f"**.{WILD}"]},
                      *([{"allow": list(names)}] if names else [])],
            "dns": {"resolvers": [DNS]}}


class Setup:
    """`agent` is the shell, None with `why` where the set-up does not work here. `cannot` says of a measure why
    it is not taken; `lacks` what the set-up does not check; `dns` is the resolver that its clients ask."""

    name = what = ""
    dns = None
    lacks = ""
    open_to_all = False

    def __init__(self, lab):
        self.lab, self.agent, self.why, self.cannot = lab, None, "", {}

    def open(self):
        raise NotImplementedError

    def make_cgroup(self):
        """One that this set-up removes when it is closed."""
        self.cgroup = f"{cgroup_mount()}/{self.lab.name}-{self.name}"
        os.mkdir(self.cgroup)

    def load(self, *arguments):
        return self.agent.load(*arguments)

    def close(self):
        if self.agent:
            self.agent.close()


class Unenforced(Setup):
    name, what = "unenforced", "no enforcement"
    open_to_all = True

    def open(self):
        prefix, env = self.lab.client()
        self.agent = Agent(prefix, env)


class Again(Unenforced):
    name, what = "again", "no enforcement, a second time: the noise"


class Sallyport(Setup):
    mode = "enforce"
    name, what = "enforce", "Sallyport, enforce"
    names = ()
    options = ()
    program = SALLYPORT

    def open(self):
        path = f"{self.lab.dir}/policy-{self.name}.json"
        with open(path, "w", encoding="ascii") as f:
            json.dump(policy(self.mode, self.names), f)
        prefix, env = self.lab.client(self.program, "run", "-q", "-p", path, *self.options, "--")
        self.agent = Agent(prefix, env)


class Audit(Sallyport):
    mode = "audit_only"
    name, what = "audit_only", "Sallyport, audit_only"
    open_to_all = True


class Floor(Setup):
    name, what = "floor", "programs that do nothing at the same hooks, and an empty seccomp filter"
    open_to_all = True

    def open(self):
        self.make_cgroup()
        prefix, env = self.lab.client(os.path.join(BUILD, "floor"), self.cgroup)
        self.agent = Agent(prefix, env)

    def close(self):
        super().close()
        os.rmdir(self.cgroup)


class Other(Sallyport):
    """Another build, to see what a change has done."""

    name, what = "other", "Sallyport, enforce, the build of SP_BENCH_OTHER"
    program = os.environ.get("SP_BENCH_OTHER")


CORE = [Unenforced, Sallyport, Audit, Floor, Again, *([Other] if Other.program else [])]


# ---- scale ----------------------------------------------------------------------------------------


def name_of(i):
    """Name i of a long list: most below a few domains, some with a label more (as in prog_run.c)."""
    if i % 4 == 3:
        return f"cdn-{i % 7}.assets.host{i}.example.com"
    return f"host{i}.region{i % 97}.example.net"


class Names(Sallyport):
    """A policy of so many names; notes how long the start took and what it left of the memory."""

    number = 1

    def open(self):
        self.names = [name_of(i) for i in range(self.number - 1)]
        before, begin = available_kib(), time.monotonic()
        super().open()
        self.start_ms = (time.monotonic() - begin) * 1000
        time.sleep(1)
        self.kib = before - available_kib()
        with open(f"/proc/{self.agent.process.pid}/status", encoding="ascii", errors="replace") as f:
            self.rss_kib = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def names(number):
    return type(f"Names{number}", (Names,), {"name": f"{number}", "what": f"{number:,} names", "number": number})


class Silent(Sallyport):
    """The same with nobody to read the events: what they cost is the difference."""

    name, what = "unread", "events are not read (`sallyport run` is stopped)"

    def load(self, *arguments):
        os.kill(self.agent.process.pid, signal.SIGSTOP)
        try:
            return super().load(*arguments)
        finally:
            os.kill(self.agent.process.pid, signal.SIGCONT)


class Written(Sallyport):
    name, what = "file", "events are written to a file (--events)"

    def __init__(self, lab):
        super().__init__(lab)
        self.file = f"{lab.dir}/events"
        self.options = ["--events", self.file]

    def load(self, *arguments):
        with open(self.file, "w", encoding="utf-8"):
            pass
        result = super().load(*arguments)
        time.sleep(0.2)
        with open(self.file, "rb") as f:
            result["lines"] = sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
        return result


EVENTS = [Unenforced, Sallyport, Silent, Written]


def available_kib():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable:"))


# ---- alternatives ---------------------------------------------------------------------------------


def cgroup_mount():
    """Where cgroup v2 is mounted."""
    with open("/proc/self/mounts", encoding="ascii") as f:
        for line in f:
            if line.split()[2] == "cgroup2":
                return line.split()[1]
    raise Failed("cgroup v2 is not mounted")


class Alternative(Setup):
    """A client's network namespace of its own, so that rules of one set-up cost the others nothing."""

    count = 0
    resolv = DNS

    def __init__(self, lab):
        super().__init__(lab)
        Alternative.count += 1
        self.number = Alternative.count
        self.daemons = []
        self.cgroup = None

    def open(self):
        self.ns = self.lab.namespace(self.number)
        self.prepare()
        resolv = f"{self.lab.dir}/resolv-{self.name}.conf"
        with open(resolv, "w", encoding="ascii") as f:
            f.write(f"nameserver {self.resolv}\n")
        join = f"echo $$ >'{self.cgroup}/cgroup.procs' && " if self.cgroup else ""
        self.agent = Agent([*self.inside(), "unshare", "--mount", "--propagation", "private", "bash", "-c",
                            f'mount --bind "$0" /etc/resolv.conf && {join}exec "$@"', resolv], self.env())

    def env(self):
        return {}

    def prepare(self):
        pass

    def inside(self):
        return ["nsenter", f"--net=/run/netns/{self.ns}"]

    def start(self, *command, ready=None):
        """A daemon of the set-up."""
        process = subprocess.Popen([*self.inside(), *command], stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE if ready else None)
        self.daemons.append(process)
        if ready and process.stdout.readline().strip() != ready:
            raise Failed(f"{os.path.basename(command[0])} did not start")

    def wait_port(self, port, kind="-t"):
        for _ in range(200):
            if run(*self.inside(), "ss", "-Hln", kind, f"sport = {port}").strip():
                return
            if any(d.poll() is not None for d in self.daemons):
                break
            time.sleep(0.05)
        raise Failed(f"{self.name}: nothing listens on port {port}")

    def nft(self, text):
        path = f"{self.lab.dir}/{self.name}.nft"
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        run(*self.inside(), "nft", "-f", path)

    def close(self):
        super().close()
        for daemon in reversed(self.daemons):
            end(daemon)
        if self.cgroup:
            os.rmdir(self.cgroup)


class PlainNft(Alternative):
    name, what = "nft", "nftables, addresses by hand"
    lacks = "knows no names: one address stands for every site on it, and is wrong when it changes"

    def prepare(self):
        self.nft(f"""
table inet filter {{
    chain output {{
        type filter hook output priority filter; policy accept;
        ct state established,related accept
        oifname "lo" accept
        ip daddr {{ {DNS}, {SERVER} }} accept
        reject
    }}
}}
""")


class DnsmasqNft(Alternative):
    name, what = "dnsmasq+nft", "dnsmasq fills an nftables set; matched by cgroup"
    lacks = "no SNI or Host check; a name always means all below it; one set for all, whoever asked; every name resolves, so DNS is a tunnel"
    resolv = dns = "127.0.0.1"

    def prepare(self):
        self.make_cgroup()
        # nft takes the path from /sys/fs/cgroup on, wherever below it cgroup v2 is mounted
        path = os.path.relpath(self.cgroup, "/sys/fs/cgroup")
        self.nft(f"""
table inet sandbox {{
    set allowed4 {{ type ipv4_addr; }}
    set allowed6 {{ type ipv6_addr; }}
    chain output {{
        type filter hook output priority filter; policy accept;
        socket cgroupv2 level 1 "{path}" jump sandboxed
    }}
    chain sandboxed {{
        ct state established,related accept
        ip daddr 127.0.0.1 udp dport 53 accept
        ip daddr 127.0.0.1 tcp dport 53 accept
        ip daddr @allowed4 accept
        ip6 daddr @allowed6 accept
        reject
    }}
}}
""")
        self.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                   "--pid-file=", "--bind-interfaces", "--listen-address=127.0.0.1", f"--server={DNS}",
                   f"--nftset=/{HOST}/{WILD}/4#inet#sandbox#allowed4,6#inet#sandbox#allowed6")
        self.wait_port(53, "-u")


class Cidr(Alternative):
    name, what = "cidr-bpf", "addresses in a trie, BPF on the cgroup (systemd's IPAddressAllow)"
    lacks = "knows no names: addresses by hand; no ports"

    def prepare(self):
        self.make_cgroup()
        self.start(os.path.join(BUILD, "cidr"), self.cgroup, DNS, SERVER, ready="ready")


class Queue(Alternative):
    name, what = "NFQUEUE", "every new connection to user space (OpenSnitch's way)"
    lacks = "here a look-up of the address only; no SNI check; all stops when the daemon does"

    def prepare(self):
        self.start(os.path.join(BUILD, "queue"), "0", DNS, SERVER, ready="ready")
        run(*self.inside(), "iptables-nft", "-t", "mangle", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW",
            "-j", "NFQUEUE", "--queue-num", "0")


class Proxy(Alternative):
    """A proxy on the same host; whoever is not the proxy's user reaches nothing else."""

    user = ""
    port = 0

    def __init__(self, lab):
        super().__init__(lab)
        self.cannot = {"udp_send": "no UDP", "udp_sendto": "no UDP", "dns_socket": "clients do not resolve",
                       "dns_window": "clients do not resolve"}

    def env(self):
        return {"PROXY": f"127.0.0.1:{self.port}"}

    def prepare(self):
        try:
            uid = pwd.getpwnam(self.user).pw_uid
        except KeyError as error:
            raise Failed(f"no user {self.user}: is the package there?") from error
        self.nft(f"""
table inet filter {{
    chain output {{
        type filter hook output priority filter; policy accept;
        oifname "lo" accept
        meta skuid != {uid} reject
    }}
}}
""")
        self.directory = f"{self.lab.dir}/{self.name}"
        os.mkdir(self.directory)
        os.chown(self.directory, uid, -1)
        self.configure()
        self.wait_port(self.port)

    def configure(self):
        raise NotImplementedError


class Squid(Proxy):
    name, what, user, port = "squid", "Squid, peek and splice", "proxy", 3128
    lacks = "clients must speak to a proxy; TCP only; all clients share its allow list unless they log in"

    def configure(self):
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=squid",
            "-keyout", f"{self.directory}/key.pem", "-out", f"{self.directory}/cert.pem")
        run("chown", "-R", self.user, self.directory)
        with open(f"{self.directory}/squid.conf", "w", encoding="ascii") as f:
            f.write(f"""
http_port 127.0.0.1:{self.port} ssl-bump tls-cert={self.directory}/cert.pem tls-key={self.directory}/key.pem
pid_filename {self.directory}/pid
cache_log {self.directory}/cache.log
coredump_dir {self.directory}
access_log none
cache deny all
cache_mem 8 MB
pinger_enable off
sslcrtd_program /bin/false
sslcrtd_children 1 startup=0 idle=0
dns_nameservers {DNS}
shutdown_lifetime 0 seconds
max_filedescriptors 8192
acl CONNECT method CONNECT
acl allowed dstdomain {HOST}
acl plain port 7000 7002
acl tls port 443
acl allowed_sni ssl::server_name {HOST}
acl step1 at_step SslBump1
http_access allow CONNECT allowed
http_access deny all
ssl_bump splice plain
ssl_bump peek step1
ssl_bump splice allowed_sni
ssl_bump terminate all
""")
        self.start("squid", "-N", "-f", f"{self.directory}/squid.conf")


class Tinyproxy(Proxy):
    name, what, user, port = "tinyproxy", "tinyproxy, an allow list of CONNECT", "tinyproxy", 8888
    lacks = "no SNI check; clients must speak to a proxy; TCP only; one list for all"

    def configure(self):
        with open(f"{self.directory}/filter", "w", encoding="ascii") as f:
            f.write(f"^{HOST.replace('.', chr(92) + '.')}$\n")
        with open(f"{self.directory}/tinyproxy.conf", "w", encoding="ascii") as f:
            f.write(f"""
User {self.user}
Port {self.port}
Listen 127.0.0.1
Timeout 600
MaxClients 200
LogLevel Critical
LogFile "{self.directory}/log"
Filter "{self.directory}/filter"
FilterDefaultDeny Yes
FilterURLs Off
FilterExtended On
ConnectPort 443
ConnectPort 7000
ConnectPort 7002
""")
        # tinyproxy asks the C library, so it gets a resolv.conf
        resolv = f"{self.directory}/resolv.conf"
        with open(resolv, "w", encoding="ascii") as f:
            f.write(f"nameserver {DNS}\n")
        self.start("unshare", "--mount", "--propagation", "private", "bash", "-c",
                   'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolv, "tinyproxy", "-d", "-c",
                   f"{self.directory}/tinyproxy.conf")


ALTERNATIVES = [Unenforced, Sallyport, PlainNft, Cidr, DnsmasqNft, Queue, Tinyproxy, Squid]
MEASURED = ["bulk1", "udp_send", "connect", "https_new", "https_keep", "dns_socket"]


# ---- all of them ----------------------------------------------------------------------------------


def judge(setup):
    """A set-up that lets through what nobody allowed, or the reverse, is not worth measuring."""
    command = "bash", "-c", f"timeout 2 bash -c 'exec 3<>/dev/tcp/{EVIL}/443' 2>/dev/null && echo open || echo shut"
    state = setup.agent.run(*command).strip()
    if state != ("open" if setup.open_to_all else "shut"):
        raise Failed(f"{setup.name}: a server that nobody allowed is {state}")


class Opened:
    """Opens set-ups, closes them all. One that does not open stays, and says why."""

    def __init__(self, lab, kinds):
        self.setups = [kind(lab) for kind in kinds]

    def __enter__(self):
        try:
            for setup in self.setups:
                try:
                    setup.open()
                    judge(setup)
                except (Failed, OSError) as error:
                    setup.why = str(error)
                    if setup.agent:
                        setup.agent.close()
                        setup.agent = None
        except BaseException:
            self.__exit__()
            raise
        return self.setups

    def __exit__(self, *_):
        for setup in reversed(self.setups):
            setup.close()
