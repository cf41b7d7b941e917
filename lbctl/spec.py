"""
What the running bundle was started with: facts worked out once, by ``lbctl run``, for its daemons.

Plain values without secrets, in one JSON file, so that a daemon needs neither the settings' parser
nor the host's state to know what it serves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from lbctl.errors import UnreachableError
from lbctl.model.peers import LOCAL

#: How HAProxy is told the number of its threads, by version.
ThreadsIn = Literal["process file", "first file", "limit"]
CheckKind = Literal["http", "tcp", "command", "link", "program", "discovery"]

Task = Literal["stage", "certs"]
#: Supervised, and started when they are wanted: they read the operator's files and end.
TASKS: tuple[Task, ...] = ("stage", "certs")
#: Supervised as well, and running only while they are wanted: without that they are no trouble.
ON_DEMAND: tuple[str, ...] = ("discovery",)

#: How late a native node's packet may be: timers and the wire, seconds.
_LATE_S = 0.003


@dataclass(frozen=True, slots=True)
class HaproxyProcess:
    """
    One HAProxy process with a stats listener of its own.

    Attributes:
        number: 1 and up.
        program: the supervised program that runs it; under nbproc one program runs them all.
        socket: path of its Runtime API.
        stats_host: address of its stats listener as a client dials it (127.0.0.1 for a wildcard).
        stats_port: port of its stats listener.
        cpu: the CPU it is pinned to; None when there are more processes than CPUs.
    """

    number: int
    program: str
    socket: str
    stats_host: str
    stats_port: int
    cpu: int | None


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """
    Something beside the programs that the addresses depend on.

    Attributes:
        name: unique; faults are told by it.
        kind: what is looked at: ``http`` and ``tcp`` are asked by the agent, ``command`` is run by
            it, ``link`` and ``program`` are watched by vipd, ``discovery`` is the agent's own.
        target: a URL, ``host:port``, an interface, a supervised program; empty for a command.
        argv: the command.
        headers: of an HTTP request: name and value.
        expect: HTTP statuses that are well, lowest and highest.
        interval_s: from the start of one look to the next, seconds.
        timeout_s: a look that takes longer has failed, seconds.
        rise: looks in a row that must succeed until it is well again.
        fall: looks in a row that must fail until it is a fault.
        severity: 1..15, how bad its fault is.
    """

    name: str
    kind: CheckKind
    target: str = ""
    argv: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    expect: tuple[int, int] = (200, 399)
    interval_s: float = 2.0
    timeout_s: float = 1.0
    rise: int = 2
    fall: int = 3
    severity: int = 4


#: Told by the agent without being asked for: a node that knows no services has less to give.
DISCOVERY_CHECK = CheckSpec("discovery", "discovery", interval_s=1.0, rise=1, fall=1, severity=2)


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """
    The virtual addresses that move together, and how they are elected.

    Attributes:
        vhid: 1..255.
        interface: where they live.
        source: this host's own IPv4 address on that interface.
        vip: the first address, IPv4, without prefix: what CARP signs.
        addresses: all of them with prefix, *vip*'s first: ``10.0.1.201/32``, ``fd00::1/64``.
        engine: ``ucarp``, or ``native``: vipd itself speaks CARP.
        advbase_s: seconds between advertisements; with ``native`` what it claims, for a ucarp peer.
        advskew: 0..199; the lower one wins.
        dead_ratio: missed intervals until a master counts as dead.
        drain_s: longest wait for clients when leaving on purpose, seconds.
        track: programs, or groups of programs, without which this node is at fault.
        advbase_ms: ``native``: milliseconds between advertisements, 20 and more.
        peers: ``native``: addresses of the other nodes, spoken to one by one; empty: multicast.
        failback_s: ``native``: how long a node that would win waits before it takes the addresses
            from a healthy one.
        announce_again_s: from the first announcement of the addresses to the second, seconds.
        announce_refresh_s: the pauses double from then on, up to this, seconds.
        greeting_port: UDP port on which the nodes greet each other.
    """

    vhid: int
    interface: str
    source: str
    vip: str
    addresses: tuple[str, ...]
    engine: str
    advbase_s: int
    advskew: int
    dead_ratio: int
    drain_s: float
    track: tuple[str, ...]
    advbase_ms: int = 100
    peers: tuple[str, ...] = ()
    failback_s: float = 0.0
    announce_again_s: float = 1.0
    announce_refresh_s: float = 60.0
    greeting_port: int = 8112

    @property
    def is_native(self) -> bool:
        return self.engine == "native"

    @property
    def interval_s(self) -> float:
        """Seconds from one advertisement to the next, as they really leave."""
        return self.advbase_ms / 1000 if self.is_native else self.advbase_s + self.advskew / 256

    @property
    def dead_time_s(self) -> float:
        """After this long without an advertisement of its own kind this node takes over."""
        if self.is_native:
            return native_dead_time_s(2 * self.dead_ratio - 1, self.interval_s)
        return self.dead_time_with(self.advskew)

    def dead_time_with(self, advskew: int) -> float:
        """The same of a ucarp with this advskew: the ratio multiplies it too (measured)."""
        return self.dead_ratio * (self.advbase_s + advskew / 256)


def native_dead_time_s(packets: int, interval_s: float) -> float:
    """How long *packets* of a native node take, two in each interval, the last a bit late."""
    period_s = interval_s / 2
    return packets * period_s + min(_LATE_S, period_s / 4)


@dataclass(frozen=True, slots=True)
class BundleSpec:
    """
    Everything the daemons need to know.

    Attributes:
        version: lbctl's.
        node: this node's identity, kept in the state dir.
        hostname: for display.
        user: name of the unprivileged user, empty when the whole bundle runs as one user already.
        started_at: wall clock, seconds.
        haproxy_version: ``2.6.12``.
        haproxy_model: ``processes`` (2.5 and later) or ``nbproc``.
        processes: every HAProxy process.
        programs: names of all supervised programs that run, in the order of the picture.
        binds: what the generated frontend listens on; empty with the operator's own haproxy.cfg.
        group: the first group of virtual addresses; None: a plain load balancer.
        config_dir: the operator's directory, absolute.
        state_dir: absolute.
        more_groups: further groups (engine ``native``), each elected by itself.
        checks: what the addresses depend on beside ``track``.
        digests: part of the configuration -> digest of what both nodes should have alike; renewed
            when the operator's files are read again, as *binds* are.
        tasks: names of the supervised programs that end.
        peer_host: see :class:`lbctl.haproxy.processes.ProcessModel`.
        unheard: sources of services of which nothing was known at the start.
        log_format: how lines are said: ``text``, ``json``.
    """

    version: str
    node: str
    hostname: str
    user: str
    started_at: float
    haproxy_version: str
    haproxy_model: str
    processes: tuple[HaproxyProcess, ...]
    programs: tuple[str, ...]
    binds: tuple[str, ...]
    group: GroupSpec | None
    config_dir: str
    state_dir: str
    more_groups: tuple[GroupSpec, ...] = ()
    checks: tuple[CheckSpec, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = TASKS
    on_demand: tuple[str, ...] = ()
    peer_host: str = LOCAL
    unheard: tuple[str, ...] = ()
    log_format: str = "text"

    @property
    def groups(self) -> tuple[GroupSpec, ...]:
        """All of them, the first one first; empty: a plain load balancer."""
        return () if self.group is None else (self.group, *self.more_groups)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> BundleSpec:
        """
        Read what :meth:`to_json` wrote; a later version may have written more.

        Raises:
            ValueError, KeyError, TypeError: another version wrote it, or nobody did.
        """
        raw = _known(_with_tuples(json.loads(text)))
        group = raw.pop("group")
        more = tuple(GroupSpec(**_with_tuples(one)) for one in raw.pop("more_groups"))
        processes = tuple(HaproxyProcess(**process) for process in raw.pop("processes"))
        checks = tuple(_check(check) for check in raw.pop("checks"))
        return cls(
            **raw,
            processes=processes,
            group=None if group is None else GroupSpec(**_with_tuples(group)),
            more_groups=more,
            checks=checks,
        )


def _known(raw: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(BundleSpec)}
    return {name: value for name, value in raw.items() if name in names}


def _check(raw: dict[str, Any]) -> CheckSpec:
    headers = tuple((name, value) for name, value in raw.pop("headers"))
    return CheckSpec(**_with_tuples(raw), headers=headers)


def _with_tuples(raw: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists alone; the records are frozen all the way down."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}


def read_spec(path: Path) -> BundleSpec:
    """
    The spec of the bundle whose run dir holds *path*.

    Raises:
        UnreachableError: it cannot be read; the message says what that means.
    """
    try:
        return BundleSpec.from_json(path.read_text())
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path}: {error}: no bundle was started on this run dir, or by another version"
        raise UnreachableError(message) from error
