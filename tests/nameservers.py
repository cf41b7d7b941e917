"""
Nameservers on loopback: a real dnsmasq, and one in this process that fails as others do.

The second one stands for what cannot be had here: kube-dns' names and its silence about AAAA, an
answer that is cut off. Its answers are made by dnspython.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from lbctl.settings.discovery import Discovery, Dns
from lbctl.settings.model import Settings
from tests.compiled import free_port
from tests.haproxies import wait_until

NAME = "web.internal"
_CLASSIC_BYTES = 512


def asking(address: str, **more: object) -> Settings:
    """Settings by which HAProxy asks the nameserver at *address*, and soon again."""
    quick = {"timeout_s": 0.1, "hold_valid_s": 0.1, "hold_obsolete_s": 0.1, **more}
    return Settings(discovery=Discovery(dns=Dns(nameservers=(address,), **quick)))  # type: ignore[arg-type]


class Names:
    """A real dnsmasq on loopback, which knows the addresses of one name."""

    process: subprocess.Popen[bytes]

    def __init__(self, path: Path, port: int) -> None:
        self.path, self.port = path, port

    def write(self, addresses: set[str]) -> None:
        self.path.write_text("".join(f"{one} {NAME}\n" for one in sorted(addresses)))

    def change(self, addresses: set[str]) -> None:
        self.write(addresses)
        self.process.send_signal(1)

    def answers(self) -> bool:
        """By TCP, where a connection tells that it listens."""
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    @property
    def settings(self) -> Settings:
        return asking(f"127.0.0.1:{self.port}")


@contextmanager
def nameserver(directory: Path, addresses: set[str], *words: str) -> Iterator[Names]:
    """*words*: more options of dnsmasq."""
    names = Names(directory / "hosts", free_port() + 400)
    names.write(addresses)
    argv = ["dnsmasq", "-k", "--no-resolv", "--no-hosts", f"--addn-hosts={names.path}"]
    argv += [f"--port={names.port}", "--listen-address=127.0.0.1", "--bind-interfaces"]
    argv += ["--pid-file=", "--conf-file=/dev/null", "--user=root", *words]
    with subprocess.Popen(argv) as process:
        names.process = process
        try:
            wait_until(names.answers)
            yield names
        finally:
            process.kill()


@dataclass(slots=True)
class Double:
    """
    A nameserver over UDP.

    Attributes:
        address: where it listens: ``127.0.53.1:53``.
        records: by name and type, what it answers; a name without any does not exist.
        silent: types that it never answers.
        is_cutting: an answer that the asker's buffer does not hold comes without its records.
        asked: how often, by type.
    """

    address: str
    records: Mapping[tuple[str, str], Sequence[str]]
    silent: Collection[str] = ()
    is_cutting: bool = True
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, question: bytes) -> bytes:
        """Empty: it says nothing."""
        query = dns.message.from_wire(question)
        (one,) = query.question
        kind = dns.rdatatype.to_text(one.rdtype)
        self.asked[kind] += 1
        if kind in self.silent:
            return b""
        reply = dns.message.make_response(query)
        name = one.name.to_text(omit_final_dot=True).lower()
        found = self.records.get((name, kind), ())
        if found:
            reply.answer.append(dns.rrset.from_text(one.name, 1, "IN", kind, *found))
        elif not any(name == known for known, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        wire = reply.to_wire()
        if self.is_cutting and len(wire) > max(_CLASSIC_BYTES, query.payload):
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC
            return short.to_wire()
        return wire


@contextmanager
def answering(double: Double) -> Iterator[Double]:
    """It answers until the end of the block."""
    host, _, port = double.address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, int(port)))
        sock.settimeout(0.05)
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                try:
                    question, asker = sock.recvfrom(65535)
                except TimeoutError:
                    continue
                if reply := double.answer(question):
                    sock.sendto(reply, asker)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield double
        finally:
            is_over.set()
            thread.join()
