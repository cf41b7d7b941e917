"""
Hosts on this machine: network namespaces on one bridge, with the faults that a network has.

The bridge lives in a namespace too, so nothing shows among the machine's own interfaces. Every name
carries the pid of the lab's maker; a lab whose maker has died is removed by the next one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from lbctl.lab import names
from lbctl.lab.process import Process, end_all
from lbctl.lab.wait import LabError

log = logging.getLogger(__name__)

#: The last part of each host's addresses: 10.0.1.N and fd00:1::N.
NUMBERS = {"a": 11, "b": 12, "c": 13, "client": 50, "web1": 101, "web2": 102}
DEFAULT_HOSTS = ("a", "b", "client", "web1", "web2")
INTERFACE = "eth0"

_HOST_SYSCTLS = {
    "ipv4/ip_forward": 0,  # a forwarding host would hide a missing gratuitous ARP
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,  # else the host's own address is tentative for a second
    "ipv6/conf/all/keep_addr_on_down": 1,
    "ipv6/conf/default/keep_addr_on_down": 1,
}
_SWITCH_SYSCTLS = {"ipv6/conf/all/disable_ipv6": 1, "ipv6/conf/default/disable_ipv6": 1}


@dataclass(frozen=True, slots=True)
class Host:
    """
    One host of the lab.

    Attributes:
        name: ``a``, ``client`` ...; also its port on the switch.
        ns: the namespace's name, as ``ip netns exec`` takes it.
        number: the last part of its addresses.
        directory: its files.
        processes: what was spawned on it.
    """

    name: str
    ns: str
    number: int
    directory: Path
    processes: list[Process] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"10.0.1.{self.number}"

    @property
    def address6(self) -> str:
        return f"fd00:1::{self.number}"

    @property
    def mac(self) -> str:
        return f"02:00:0a:00:01:{self.number:02x}"

    def argv(self, argv: Sequence[str]) -> list[str]:
        """*argv* as it is run on this host, from outside of it."""
        return ["ip", "netns", "exec", self.ns, *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float = 10.0,
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a program on this host to its end.

        Raises:
            LabError: not within *timeout* seconds, or *check* and it failed; with what it said.
        """
        return run(self.argv(argv), check=check, input=input, timeout=timeout)

    def spawn(
        self, argv: Sequence[str], *, log: Path | str, env: Mapping[str, str] | None = None
    ) -> Process:
        """
        Start a program on this host and return at once.

        Args:
            argv: the program.
            log: where its output goes; a relative path lies in the host's directory.
            env: added to this process's environment.
        """
        process = Process.start(self.argv(argv), self.directory / log, env)
        self.processes.append(process)
        return process


class Lab:
    """
    Builds the hosts on entry, takes everything away on exit.

    Args:
        hosts: names out of :data:`NUMBERS`.
        keep: leave the logs in ``/tmp/lbctl-kept-...``; may also be set later.
    """

    def __init__(self, hosts: Sequence[str] = DEFAULT_HOSTS, *, keep: bool = False) -> None:
        self.keep = keep
        self.dumpers: list[Callable[[], str]] = []
        self._host_names = tuple(hosts)
        self._claim: names.Claim | None = None
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            message = "lab: making network namespaces needs root; nothing was made"
            raise LabError(message)
        sweep()
        self._claim = names.claim()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    @property
    def is_up(self) -> bool:
        return self._claim is not None

    @property
    def directory(self) -> Path:
        return self._claimed.directory

    @property
    def switch(self) -> str:
        """Name of the namespace that holds the bridge; each host's port bears the host's name."""
        return self._claimed.namespace("switch")

    @property
    def kept(self) -> Path:
        """Where the files are after the end, when they are kept."""
        return self._claimed.kept

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def dump(self) -> str:
        """Everything that helps to understand a failure."""
        parts = [dumper() for dumper in self.dumpers]
        for host in self.hosts.values():
            addresses = run(["ip", "-n", host.ns, "-br", "addr"], check=False).stdout
            parts.append(f"--- addresses of {host.name}\n{addresses}")
        return "\n".join(parts)

    def cut(self, host: Host) -> None:
        """Pull the host's cable out of the switch; its own link stays up."""
        self._switch_link(host, "nomaster")

    def heal(self, host: Host) -> None:
        """Put it back."""
        self._switch_link(host, "master", "br0")

    def link_down(self, host: Host) -> None:
        """Take the host's own interface down."""
        run(["ip", "-n", host.ns, "link", "set", INTERFACE, "down"])

    def link_up(self, host: Host) -> None:
        run(["ip", "-n", host.ns, "link", "set", INTERFACE, "up"])

    def lossy(self, host: Host, percent: int) -> None:
        """Lose that share of the host's packets, each way; 0 ends it."""
        verdict = f"numgen random mod 100 < {percent} drop"
        self._filter(host, verdict if percent else "", verdict if percent else "")

    def one_way(self, host: Host, *, deaf: bool = False, mute: bool = False) -> None:
        """Lose all that the host is sent (*deaf*) or sends (*mute*); neither ends it."""
        self._filter(host, "drop" if mute else "", "drop" if deaf else "")

    @property
    def _claimed(self) -> names.Claim:
        if self._claim is None:
            message = "lab: not entered"
            raise LabError(message)
        return self._claim

    def _switch_link(self, host: Host, *change: str) -> None:
        run(["ip", "-n", self.switch, "link", "set", "dev", host.name, *change])

    def _filter(self, host: Host, sent: str, received: str) -> None:
        # On the switch's port and not on the host: raw sockets pass a host's own filter by.
        table = f"netdev fault-{host.name}"
        hooks = {"ingress": sent, "egress": received}
        lines = [f"add table {table}", f"delete table {table}", f"add table {table}"]
        for hook, verdict in hooks.items():
            if verdict:
                where = f'type filter hook {hook} device "{host.name}" priority 0;'
                lines.append(f"add chain {table} {hook} {{ {where} }}")
                lines.append(f"add rule {table} {hook} {verdict}")
        run(["ip", "netns", "exec", self.switch, "nft", "-f", "-"], input="\n".join(lines) + "\n")

    def _build(self) -> None:
        claimed = self._claimed
        for name in self._host_names:
            directory = claimed.directory / name
            directory.mkdir()
            directory.chmod(0o755)
            self.hosts[name] = Host(name, claimed.namespace(name), NUMBERS[name], directory)
        namespaces = [self.switch, *(host.ns for host in self.hosts.values())]
        run(["ip", "-batch", "-"], input="".join(f"netns add {name}\n" for name in namespaces))
        _set_sysctls(self.switch, _SWITCH_SYSCTLS)
        for host in self.hosts.values():
            _set_sysctls(host.ns, _HOST_SYSCTLS)
        run(["ip", "-n", self.switch, "-batch", "-"], input=self._wiring())
        for host in self.hosts.values():
            run(["ip", "-n", host.ns, "-batch", "-"], input=_addressing(host))

    def _wiring(self) -> str:
        lines = [
            "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            "link set br0 up",
        ]
        for host in self.hosts.values():
            peer = f"{INTERFACE} address {host.mac} netns {host.ns}"
            lines.append(f"link add name {host.name} type veth peer name {peer}")
            lines.append(f"link set dev {host.name} master br0 up")
        return "\n".join(lines) + "\n"

    def _remove(self) -> None:
        if self._claim is None:
            return
        for host in self.hosts.values():
            for process in host.processes:
                if process.is_running:
                    process.popen.terminate()
        _remove(self._claim, grace_s=0.5)
        for host in self.hosts.values():
            for process in host.processes:
                process.popen.wait()
        self._claim.release(keep=self.keep)
        self._claim = None


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    input: str | None = None,
    timeout: float = 10.0,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """
    Run a program to its end and keep what it says.

    Args:
        env: added to this process's environment.

    Raises:
        LabError: it cannot be started, or not within *timeout* seconds, or *check* and it failed.
    """
    try:
        done = subprocess.run(
            argv,
            env=None if env is None else {**os.environ, **env},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{' '.join(argv)}: {error}"
        raise LabError(message) from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        message = f"{' '.join(argv)}: exit status {done.returncode}: {said}"
        raise LabError(message)
    return done


def sweep() -> tuple[str, ...]:
    """
    Remove the labs whose makers have died.

    Returns:
        Their prefixes.
    """
    swept = []
    for claim in names.stale():
        _remove(claim, grace_s=0.0)
        claim.release()
        swept.append(claim.prefix)
    if swept:
        log.info("removed the labs of runs that had died: %s", ", ".join(swept))
    return tuple(swept)


def _remove(claim: names.Claim, grace_s: float) -> None:
    namespaces = claim.namespaces()
    left = end_all(namespaces, grace_s)
    if left:
        log.warning("these processes of the lab would not end: %s", sorted(left))
    for name in namespaces:
        # Another sweep may have been quicker.
        with contextlib.suppress(LabError):
            run(["ip", "netns", "del", name])


def _set_sysctls(namespace: str, values: Mapping[str, int]) -> None:
    script = "\n".join(f"echo {value} >/proc/sys/net/{key}" for key, value in values.items())
    run(["ip", "netns", "exec", namespace, "sh", "-ec", script])


def _addressing(host: Host) -> str:
    return (
        "link set lo up\n"
        f"link set {INTERFACE} up\n"
        f"addr add {host.address}/24 dev {INTERFACE}\n"
        f"addr add {host.address6}/64 dev {INTERFACE} nodad\n"
    )


def missing_programs(wanted: Mapping[str, str]) -> dict[str, str]:
    """Those of *wanted* (program: Debian package) that are not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return {name: package for name, package in wanted.items() if not shutil.which(name, path=path)}
