"""
What the running bundle was started with: facts worked out once, by ``lbctl run``, for its daemons.

Plain values without secrets, in one JSON file, so that a daemon needs neither the settings' parser
nor the host's state to know what it serves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lbctl.errors import UnreachableError

#: How HAProxy is told the number of its threads, by version.
ThreadsIn = Literal["process file", "first file", "limit"]


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
class GroupSpec:
    """
    The virtual addresses that move together, and how they are elected.

    Attributes:
        vhid: 1..255.
        interface: where they live.
        source: this host's own IPv4 address on that interface.
        vip: the first address, IPv4, without prefix: what CARP signs.
        addresses: all of them with prefix, *vip*'s first: ``10.0.1.201/32``, ``fd00::1/64``.
        engine: ``ucarp``.
        advbase_s: seconds between advertisements.
        advskew: 0..199; the lower one wins.
        dead_ratio: missed intervals until a master counts as dead.
        drain_s: longest wait for clients when leaving on purpose, seconds.
        track: programs, or groups of programs, without which this node is at fault.
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

    @property
    def dead_time_s(self) -> float:
        """After this long without an advertisement a ucarp backup takes over."""
        return self.dead_time_with(self.advskew)

    def dead_time_with(self, advskew: int) -> float:
        """The same of a ucarp with another advskew: the ratio multiplies it too (measured)."""
        return self.dead_ratio * (self.advbase_s + advskew / 256)


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
        programs: names of all supervised programs, in the order of the picture.
        binds: what the generated frontend listens on; empty with the operator's own haproxy.cfg.
        group: None: a plain load balancer.
        config_dir: the operator's directory, absolute.
        state_dir: absolute.
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

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> BundleSpec:
        """
        Read what :meth:`to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: another version wrote it, or nobody did.
        """
        raw = _with_tuples(json.loads(text))
        group = raw.pop("group")
        processes = tuple(HaproxyProcess(**process) for process in raw.pop("processes"))
        return cls(
            **raw,
            processes=processes,
            group=None if group is None else GroupSpec(**_with_tuples(group)),
        )


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
