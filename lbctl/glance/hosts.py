"""Both hosts side by side, and who holds which address: out of one node's status. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbctl.agent.changes import differing
from lbctl.glance.cell import Cell, Tone
from lbctl.glance.durations import duration
from lbctl.glance.others import Other, others

Status = Mapping[str, Any]

WELL: Final = Cell("well", "good")
NOTHING: Final = Cell("-")

_TONES: Final[Mapping[str, Tone]] = {"MASTER": "good", "BACKUP": "mild", "INIT": "warn"}
#: What the groups of one host may share.
_SHARED: Final = ("engine", "interface", "source", "interval_ms", "dead_time_s")


@dataclass(frozen=True, slots=True)
class Host:
    """
    One host's part in one group.

    Attributes:
        name: its hostname, or its address when it said none.
        is_own: the one that was asked.
        is_silent: what is told of it is what was last known.
        role: MASTER, BACKUP or INIT; with a question mark when it is the last known one.
        since: wall clock, seconds, when it got that role; None: not known.
        why: it got it.
        holds: addresses of the group that it holds, or whether it should.
        health: ``well``, or its faults.
        heard: how long ago its last greeting came; ``-`` of the own one.
        configuration: whether it is the same as that of the host that was asked.
        version: lbctl's, and the engine.
        address: where it speaks from.
    """

    name: str
    is_own: bool
    is_silent: bool
    role: Cell
    since: float | None
    why: str
    holds: Cell
    health: Cell
    heard: Cell
    configuration: Cell
    version: Cell
    address: str


@dataclass(frozen=True, slots=True)
class Group:
    """The addresses that move together, and both hosts' parts: the asked one's first."""

    vhid: int
    addresses: tuple[str, ...]
    hosts: tuple[Host, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """
    One virtual address.

    Attributes:
        holder: who holds it; loud where nobody does, or more than one.
        since: wall clock, seconds, since when its master is; None: there is none.
        why: it moved there.
    """

    text: str
    holder: Cell
    since: float | None
    why: str


def groups_of(ha: Status) -> tuple[Status, ...]:
    """Every group of this node, the first one first; an older vipd has one and calls it nothing."""
    found = [one for one in ha.get("groups") or (ha,) if isinstance(one, Mapping)]
    shared = {key: ha[key] for key in _SHARED if key in ha}
    return (ha, *({**shared, **one} for one in found[1:]))


def role_of(group: Status) -> Cell:
    """A role, and how one should feel about it."""
    role = str(group.get("role") or "?")
    return Cell(role, _TONES.get(role, "warn"))


def hosts(status: Status) -> tuple[Group, ...]:
    """Every group of the node whose *status* it is; empty: it has no virtual address."""
    ha = status.get("ha")
    if not isinstance(ha, Mapping):
        return ()
    known = others(ha) or ()
    return tuple(_group(status, ha, group, known) for group in groups_of(ha))


def addresses(status: Status) -> tuple[Address, ...]:
    """Each virtual address: who holds it, since when, and why it moved there."""
    ha = status.get("ha")
    if not isinstance(ha, Mapping):
        return ()
    known = tuple(one for one in others(ha) or () if not one.is_silent)
    found = []
    for group in groups_of(ha):
        master = _newest_master(group, known)
        why = str(master.get("why") or "") if master else ""
        since = _moment(master) if master else None
        for entry in group.get("addresses") or ():
            holder = _holder(str(status["hostname"]), group, entry, known)
            found.append(Address(str(entry["address"]), holder, since, why))
    return tuple(found)


def _group(status: Status, ha: Status, group: Status, known: Sequence[Other]) -> Group:
    vhid = int(group.get("vhid") or 0)
    entries = [one for one in group.get("addresses") or () if isinstance(one, Mapping)]
    own = Host(
        name=str(status["hostname"]),
        is_own=True,
        is_silent=False,
        role=role_of(group),
        since=_moment(group),
        why=str(group.get("why") or ""),
        holds=_own_holds(group, entries),
        health=_health(groups_of(ha)),
        heard=NOTHING,
        configuration=NOTHING if status.get("digests") else Cell("not known"),
        version=Cell(f"{status['version']}, {ha.get('engine')}"),
        address=str(ha.get("source")),
    )
    rest = [_other(status, one, vhid, len(entries)) for one in known]
    return Group(vhid, tuple(str(one["address"]) for one in entries), (own, *rest))


def _other(status: Status, other: Other, vhid: int, count: int) -> Host:
    group = other.groups.get(vhid)
    role = Cell("none", "bad") if group is None else role_of(group)
    if other.is_silent and group is not None:
        role = Cell(f"{role.text}?", "warn")
    version = f"{other.version}, {other.engine}"
    is_same = other.version == str(status["version"])
    return Host(
        name=other.name,
        is_own=False,
        is_silent=other.is_silent,
        role=role,
        since=_moment(group or {}),
        why="it does not have this vhid" if group is None else str(group.get("why") or ""),
        holds=_its_holds(group or {}, count, is_silent=other.is_silent),
        health=Cell("silent", "bad") if other.is_silent else _health(other.groups.values()),
        heard=_heard(other),
        configuration=_drift(status, other),
        version=Cell(version, "plain" if is_same else "warn"),
        address=other.address,
    )


def _moment(group: Status) -> float | None:
    since = group.get("since")
    return float(since) if isinstance(since, int | float) and since > 0 else None


def _own_holds(group: Status, entries: Sequence[Status]) -> Cell:
    held = [_bare(one) for one in entries if one.get("present")]
    missing = [_bare(one) for one in entries if not one.get("present")]
    if is_up(group):
        if missing:
            return Cell(f"MISSING: {', '.join(missing)}", "bad")
        return Cell(", ".join(held) or "-", "good")
    return Cell(f"{', '.join(held)}, and is no MASTER", "bad") if held else NOTHING


def _its_holds(group: Status, count: int, *, is_silent: bool) -> Cell:
    """A greeting says the role, and a MASTER holds all of its group."""
    if not is_up(group):
        return NOTHING
    if is_silent:
        return Cell("not known", "warn")
    return Cell("the address" if count == 1 else f"all {count}", "good")


def _bare(entry: Status) -> str:
    """The address without its prefix."""
    return str(entry["address"]).partition("/")[0]


def _health(groups: Iterable[Status]) -> Cell:
    """Of a host: a fault of the programs is one of every group."""
    found: dict[str, None] = {}
    for group in groups:
        faults = [f"fault: {fault}" for fault in group.get("faults") or ()]
        if not faults and group.get("can_serve") is False:
            faults = ["cannot serve"]
        found |= dict.fromkeys(faults)
    return Cell("; ".join(found), "bad") if found else WELL


def _drift(status: Status, other: Other) -> Cell:
    own = status.get("digests") or {}
    if not own or not other.digests:
        return Cell("not known")
    parts = differing(own, other.digests)
    return Cell(f"differs: {', '.join(parts)}", "bad") if parts else Cell("the same", "good")


def _heard(other: Other) -> Cell:
    if other.seen_s_ago is None:
        return Cell("?", "warn")
    ago = duration(other.seen_s_ago)
    if other.is_silent:
        return Cell(f"SILENT for {ago}", "bad")
    if not other.hears_us:
        return Cell(f"{ago} ago, and does not hear this host", "bad")
    return Cell(f"{ago} ago")


def _newest_master(group: Status, known: Sequence[Other]) -> Status | None:
    """The one who became MASTER last: of two, the other is on its way out."""
    vhid = int(group.get("vhid") or 0)
    masters = [one for one in (group, *(o.groups.get(vhid) or {} for o in known)) if is_up(one)]
    return max(masters, key=lambda one: float(one.get("since") or 0.0), default=None)


def _holder(hostname: str, group: Status, entry: Status, known: Sequence[Other]) -> Cell:
    vhid = int(group.get("vhid") or 0)
    names = [one.name for one in known if is_up(one.groups.get(vhid) or {})]
    if entry.get("present"):
        lease_s = entry.get("lease_s")
        lease = "no lease" if lease_s is None else f"lease {lease_s:.0f} s"
        names.insert(
            0, f"{hostname}, {lease}" if is_up(group) else f"{hostname}, which is no MASTER"
        )
    elif is_up(group):
        names.insert(0, f"MISSING on {hostname}, the MASTER")
    if not names:
        return Cell("nobody", "bad") if known else Cell("not here")
    is_well = len(names) == 1 and (not entry.get("present")) is (not is_up(group))
    return Cell(" AND ".join(names), "good" if is_well else "bad")


def is_up(group: Status) -> bool:
    """Whether it is MASTER of it."""
    return group.get("role") == "MASTER"
