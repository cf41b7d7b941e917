"""Bare hosts on one link, each a network namespace; the code under test can step inside."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Host:
    """One namespace with ``eth0``: 10.0.1.N/24 and fd00:1::N/64."""

    namespace: str
    number: int

    @property
    def address(self) -> str:
        return f"10.0.1.{self.number}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is inside: sockets that it opens belong to the host."""
        with (
            Path("/proc/thread-self/ns/net").open() as home,
            Path(f"/run/netns/{self.namespace}").open() as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def argv(self, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *argv]

    def run(self, *argv: str) -> str:
        done = subprocess.run(
            self.argv(*argv), check=True, capture_output=True, text=True, timeout=10
        )
        return done.stdout

    @contextmanager
    def spawned(self, log: Path, argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A program inside, its output in *log*, ended on leaving."""
        with log.open("wb") as output:
            program = subprocess.Popen(self.argv(*argv), stdout=output, stderr=output)
            try:
                yield program
            finally:
                program.kill()
                program.wait(10)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def link(name: str, count: int) -> Iterator[tuple[Host, ...]]:
    """*count* hosts on a bridge, gone on leaving; *name* makes the namespaces unique."""
    switch = f"{name}s"
    hosts = tuple(Host(f"{name}{number}", 10 + number) for number in range(1, count + 1))
    try:
        _ip(
            f"netns add {switch}",
            f"-n {switch} link add br0 type bridge forward_delay 0 mcast_snooping 0",
        )
        _ip(f"-n {switch} link set br0 up")
        for host in hosts:
            _ip(f"netns add {host.namespace}")
            host.run(
                "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up"
            )
            _plug(switch, host)
        yield hosts
    finally:
        for namespace in (switch, *(host.namespace for host in hosts)):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def _plug(switch: str, host: Host) -> None:
    port = f"port{host.number}"
    _ip(
        f"-n {switch} link add {port} type veth peer name eth0 netns {host.namespace}",
        f"-n {switch} link set {port} master br0 up",
    )
    inside = f"-n {host.namespace}"
    _ip(
        f"{inside} link set eth0 address 02:00:00:00:00:{host.number:02x}",
        f"{inside} addr add {host.address}/24 dev eth0",
        f"{inside} addr add fd00:1::{host.number}/64 dev eth0 nodad",
        f"{inside} link set eth0 up",
    )
    wait_until(lambda: "state UP" in host.run("ip", "link", "show", "eth0"), within_s=3)


def _ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True, timeout=10)


def wait_until(claim: Callable[[], object], *, within_s: float) -> None:
    """Return once *claim* holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)
