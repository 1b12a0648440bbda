# SPDX-License-Identifier: GPL-2.0-or-later
"""What arrived: captures by tcpdump on the servers' side and on the client's loopback, read back.

A technique's marker is looked for in every frame, and in each direction of every TCP flow put together in
order of sequence numbers, so that a marker that was sent a byte at a time is found too.
"""
import ipaddress
import os
import signal
import struct
import subprocess
import time

from technique import SLOW


class LostPackets(RuntimeError):
    """A capture that lost frames is no witness."""


class Capture:
    def __init__(self, netns, interface, file, filter=""):
        self.file = file
        self.log = open(file + ".log", "w+")
        command = ["nsenter", f"--net=/run/netns/{netns}", "tcpdump", "-Z", "root", "--immediate-mode", "-U", "-n",
                   "-B", "65536", "-s", "32000", "-i", interface, "-w", file] + ([filter] if filter else [])
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log, start_new_session=True)
        end = time.monotonic() + 5 * SLOW
        while "listening on" not in open(file + ".log").read():
            if time.monotonic() > end or self.process.poll() is not None:
                self.process.kill()
                raise RuntimeError(f"tcpdump: {open(file + '.log').read()}")
            time.sleep(0.02)

    def stop(self):
        """Ends it and returns the frames. Raises LostPackets."""
        time.sleep(0.2 + 0.03 * SLOW)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        with open(self.file + ".log") as log:
            text = log.read()
        if "0 packets dropped by kernel" not in text:
            raise LostPackets(f"the capture lost packets: {text}")
        frames = list(read_pcap(self.file))
        os.unlink(self.file)
        os.unlink(self.file + ".log")
        return frames


def read_pcap(file):
    with open(file, "rb") as pcap:
        data = pcap.read()
    if data[:4] != b"\xd4\xc3\xb2\xa1":
        raise RuntimeError(f"{file} is no capture")
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def address(data):
    return str(ipaddress.ip_address(data))


class Seen:
    """Frames of one or more captures, ready to be asked."""

    def __init__(self, frames):
        self.frames = [frame.lower() for frame in frames]
        self.to = set()  # (destination address, port)
        self.hosts = set()
        flows = {}
        for frame in frames:
            self.take(frame, flows)
        self.streams = []
        for segments in flows.values():
            joined = bytearray()
            base = min(segments)
            for sequence in sorted(segments):
                at = sequence - base
                if at < 1 << 20:
                    joined[at:at + len(segments[sequence])] = segments[sequence]
            self.streams.append(bytes(joined).lower())

    def take(self, frame, flows):
        kind = struct.unpack_from("!H", frame, 12)[0]
        packet = frame[14:]
        if kind == 0x0800 and len(packet) >= 20:
            source, target = address(packet[12:16]), address(packet[16:20])
            protocol, rest = packet[9], packet[(packet[0] & 15) * 4:struct.unpack_from("!H", packet, 2)[0] or None]
            if struct.unpack_from("!H", packet, 6)[0] & 0x1fff:
                rest = b""
        elif kind == 0x86dd and len(packet) >= 40:
            source, target = address(packet[8:24]), address(packet[24:40])
            protocol, rest = packet[6], packet[40:]
            while protocol in (0, 43, 60) and len(rest) >= 8:
                protocol, rest = rest[0], rest[(rest[1] + 1) * 8:]
        else:
            return
        self.hosts.add(target)
        if protocol in (6, 17, 33, 132, 136) and len(rest) >= 8:
            self.to.add((target, struct.unpack_from("!H", rest, 2)[0]))
        if protocol == 6 and len(rest) >= 20:
            payload = rest[(rest[12] >> 4) * 4:]
            sequence = struct.unpack_from("!I", rest, 4)[0]
            if payload:
                flows.setdefault((source, target, rest[:4]), {}).setdefault(sequence, payload)

    def marker(self, marker):
        marker = marker.lower()
        return any(marker in data for data in self.frames) or any(marker in data for data in self.streams)

    def packet(self, hosts, port):
        return any((host, port) in self.to for host in hosts)
