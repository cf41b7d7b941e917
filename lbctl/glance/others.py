"""
The other hosts, as vipd's status tells of them: what a greeting may lack is filled in here, once.

Pure: it reads a status and asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Three greetings in a row did not come, seconds.
SILENT_S: Final = 3.5


@dataclass(frozen=True, slots=True)
class Other:
    """
    One of them.

    Attributes:
        name: hostname, or the address when it said none.
        address: where its greeting came from.
        version: lbctl's.
        engine: ``ucarp`` or ``native``.
        groups: role, since, why, advskew, faults ... by vhid.
        digests: part of the configuration -> digest.
        is_paused: whether it knows of a pause.
        seen_s_ago: age of its last greeting, seconds; None: unknown.
        hears_us: it answers what this node greets it with.
    """

    name: str
    address: str
    version: str
    engine: str
    groups: Mapping[int, Mapping[str, Any]]
    digests: Mapping[str, str]
    is_paused: bool
    seen_s_ago: float | None
    hears_us: bool

    @property
    def is_silent(self) -> bool:
        return self.seen_s_ago is not None and self.seen_s_ago > SILENT_S


def others(ha: Mapping[str, Any]) -> tuple[Other, ...] | None:
    """Those that *ha*, vipd's status, knows; None: the hosts do not greet each other."""
    peers = ha.get("peers")
    if not isinstance(peers, Sequence):
        return None
    return tuple(_other(peer) for peer in peers if isinstance(peer, Mapping))


def _other(peer: Mapping[str, Any]) -> Other:
    address = str(peer.get("address") or "?")
    groups = [one for one in peer.get("groups") or () if isinstance(one, Mapping)]
    return Other(
        name=str(peer.get("hostname") or address),
        address=address,
        version=str(peer.get("version") or "?"),
        engine=str(peer.get("engine") or "?"),
        groups={int(one["vhid"]): one for one in groups if "vhid" in one},
        digests=dict(peer.get("digests") or {}),
        is_paused=is_on(peer.get("pause")),
        seen_s_ago=_number(peer.get("seen_s_ago")),
        hears_us=peer.get("is_fresh", True) is True,
    )


def is_on(pause: object) -> bool:
    """Whether a word about a pause, in a status or a greeting, says that there is one."""
    return isinstance(pause, Mapping) and bool(pause.get("is_on", True))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
