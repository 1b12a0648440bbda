#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Vectors over TCP, cut into segments, and what of them a capture on the servers' side has seen.

recut.py serve HOST PORT...        counts what each connection brings and says so at its end
recut.py send HOST PORT DIR CASE...
recut.py check CAPTURE OUTPUT outside|inside DIR

A CASE is VERDICT:NAME:CUTS. VERDICT is + or - for whether NAME (a file of DIR; in dns/ it gets a
length in front) may pass; CUTS are - for none, offsets with commas, or everyN: pieces of N bytes.
`send` prints of each case what became of it. `check` compares that with what was expected and with
the capture: of what passed every byte has arrived; of what was denied not all, and nothing if it was
not cut, or is DNS; and outside, the segments do end at the cuts.
"""
import os
import selectors
import socket
import struct
import sys
import time

SLOW = float(os.environ.get("SP_SLOW", "1"))


def serve(host, ports):
    listeners = selectors.DefaultSelector()
    counts = {}
    for port in ports:
        s = socket.create_server((host, int(port)), backlog=128)
        listeners.register(s, selectors.EVENT_READ, None)
    while True:
        for key, _ in listeners.select():
            if key.data is None:
                s, _ = key.fileobj.accept()
                counts[s] = 0
                listeners.register(s, selectors.EVENT_READ, "connection")
                continue
            s = key.fileobj
            try:
                data = s.recv(65536)
                counts[s] += len(data)
                if not data:
                    s.sendall(b"%d\n" % counts[s])
            except OSError:
                data = b""
            if not data:
                listeners.unregister(s)
                del counts[s]
                s.close()


def load(directory, name):
    with open(os.path.join(directory, name + ".bin"), "rb") as f:
        data = f.read()
    return struct.pack("!H", len(data)) + data if name.startswith("dns/") else data


def pieces(length, cuts):
    if cuts == "-":
        at = []
    elif cuts.startswith("every"):
        at = list(range(int(cuts[5:]), length, int(cuts[5:])))
    else:
        at = [int(c) for c in cuts.split(",")]
    return list(zip([0] + at, at + [length]))


def send_one(host, port, data, cuts):
    s = socket.create_connection((host, port), timeout=5 * SLOW)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    local = s.getsockname()[1]
    try:
        for start, end in pieces(len(data), cuts):
            s.sendall(data[start:end])
            time.sleep(0.002)
        s.shutdown(socket.SHUT_WR)
        s.settimeout(2 * SLOW)
        said = s.recv(64)
        return "passed" if said == b"%d\n" % len(data) else f"got{len(said)}", local
    except socket.timeout:
        return "timeout", local
    except OSError as e:
        return f"denied:{e.errno}", local
    finally:
        s.close()


def send(host, port, directory, cases):
    for case in cases:
        verdict, name, cuts = case.split(":")
        data = load(directory, name)
        got, local = send_one(host, port, data, cuts)
        print(f"{verdict} {name} {cuts} {got} {local} {len(data)}", flush=True)


def read_capture(path):
    """Port of the client -> (bytes of the stream by offset, where segments ended)."""
    flows = {}
    with open(path, "rb") as f:
        order = "<" if f.read(24)[:4] == b"\xd4\xc3\xb2\xa1" else ">"
        while head := f.read(16):
            frame = f.read(struct.unpack(order + "IIII", head)[2])
            if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
                continue
            ip = frame[14:]
            tcp = ip[(ip[0] & 15) * 4 : struct.unpack("!H", ip[2:4])[0]]
            port, seq = struct.unpack("!HxxI", tcp[:8])
            payload = tcp[(tcp[12] >> 4) * 4 :]
            if tcp[13] & 18 == 2:
                flows[port] = [seq + 1, {}, set()]
            if port in flows and payload:
                base, stream, ends = flows[port]
                off = (seq - base) & 0xFFFFFFFF
                ends.add(off + len(payload))
                stream.update(zip(range(off, off + len(payload)), payload))
    return flows


def check(capture, output, where, directory):
    flows, bad, whole, count = read_capture(capture), 0, {}, 0
    with open(output, encoding="ascii") as f:
        lines = [line.split() for line in f if line[:1] in "+-"]
    for verdict, name, cuts, got, local, length in lines:
        _, stream, ends = flows.get(int(local), (0, {}, set()))
        data = load(directory, name)
        said, count = [], count + 1
        got = got.split(":")[0]  # which error it is does not matter
        wanted = "passed" if where == "outside" or verdict == "+" else "denied"
        if got != wanted:
            said.append(f"{got}, not {wanted}")
        if cuts == "-":
            whole[name] = got
        elif not name.startswith("dns/") and whole.get(name) != got:
            said.append(f"whole it was {whole.get(name)}, cut it is {got}")
        if any(stream[at] != data[at] for at in stream):
            said.append("other bytes arrived")
        if wanted == "passed" and len(stream) != int(length):
            said.append(f"{len(stream)} of {length} bytes arrived")
        least = 1 if cuts == "-" or name.startswith("dns/") else int(length)
        if name.startswith("dns/") and cuts == "2":
            least = 3  # the length of a message may go ahead of it
        if wanted == "denied" and len(stream) >= least:
            said.append(f"{len(stream)} of {length} bytes arrived")
        if where == "outside" and not {end for _, end in pieces(int(length), cuts)} <= ends:
            said.append("the segments do not end at the cuts")
        if said:
            bad += 1
            print(f"{name} cut {cuts}: {'; '.join(said)}")
    print(f"{count} cases, {bad} wrong")
    return 0 if not bad and count else 1


def main():
    what = sys.argv[1]
    if what == "serve":
        return serve(sys.argv[2], sys.argv[3:])
    if what == "send":
        return send(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
    return check(*sys.argv[2:6])


if __name__ == "__main__":
    sys.exit(main())
