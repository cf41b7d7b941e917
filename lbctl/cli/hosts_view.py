"""Both hosts side by side, and who holds which address: tables out of one node's status. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rich import box
from rich.markup import escape
from rich.table import Table

from lbctl.agent.changes import differing
from lbctl.cli.durations import duration, moment
from lbctl.cli.others import Other, others

ROLE_STYLE: Final = {"MASTER": "bold green", "BACKUP": "bold cyan", "INIT": "bold yellow"}
_BAD: Final = "bold red"
_WELL: Final = "[green]well[/]"

#: What the groups of one host may share.
_SHARED: Final = ("engine", "interface", "source", "interval_ms", "dead_time_s")

Status = Mapping[str, Any]


def groups_of(ha: Status) -> tuple[Status, ...]:
    """Every group of this node, the first one first; an older vipd has one and calls it nothing."""
    groups = [one for one in ha.get("groups") or (ha,) if isinstance(one, Mapping)]
    shared = {key: ha[key] for key in _SHARED if key in ha}
    return (ha, *({**shared, **one} for one in groups[1:]))


def role_in_words(group: Status, now: float) -> str:
    """``MASTER since 2026-11-20 14:03:07 (3 d 4 h)``, with its colour."""
    role = str(group.get("role") or "?")
    return f"[{ROLE_STYLE.get(role, 'bold')}]{escape(role)}[/]{_since(group, now)}"


def hosts_table(status: Status, *, now: float | None = None) -> Table | None:
    """This node's column and one of each other that greets it; None: there is no other."""
    ha, when = status["ha"], time.time() if now is None else now
    known = others(ha) or ()
    if not known:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column(f"{escape(status['hostname'])} (this host)", overflow="fold", ratio=1)
    for one in known:
        table.add_column(escape(one.name), overflow="fold", ratio=1)
    groups = groups_of(ha)
    for group in groups:
        label = "role" if len(groups) == 1 else f"vhid {group.get('vhid')}"
        _row(table, label, _role(group, when), known, partial(_role_of, group, when))
    _row(table, "health", _healths(groups), known, _health_of)
    _row(table, "configuration", _own_digests(status), known, lambda o: _drift(status, o))
    own = f"{escape(str(status['version']))}, {escape(str(ha.get('engine')))}"
    _row(table, "lbctl", own, known, lambda o: _version(status, o))
    _row(table, "address", escape(str(ha.get("source"))), known, lambda o: escape(o.address))
    _row(table, "heard", "-", known, _heard)
    return table


def addresses_table(status: Status) -> Table:
    """Each virtual address: who holds it, since when, and why it moved there."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("address", no_wrap=True)
    table.add_column("held by", overflow="fold")
    table.add_column("since", overflow="fold")
    table.add_column("why it moved there", overflow="fold", ratio=1)
    known = tuple(one for one in others(status["ha"]) or () if not one.is_silent)
    for group in groups_of(status["ha"]):
        master = _newest_master(group, known)
        why = escape(str(master.get("why") or "")) if master else ""
        since = moment(float(master.get("since") or 0.0)) if master else "-"
        for entry in group.get("addresses") or ():
            who = _holders(status["hostname"], group, entry, known)
            table.add_row(escape(str(entry["address"])), who, since, why)
    return table


def _row(
    table: Table, label: str, own: str, known: Sequence[Other], of: Callable[[Other], str]
) -> None:
    table.add_row(label, own, *(of(one) for one in known))


def _since(group: Status, now: float) -> str:
    since = group.get("since")
    if not isinstance(since, int | float) or since <= 0:
        return ""
    return f" since {moment(since)} ({duration(max(0.0, now - since))})"


def _role(group: Status, now: float) -> str:
    why = str(group.get("why") or "")
    return role_in_words(group, now) + (f"\n{escape(why)}" if why else "")


def _role_of(group: Status, now: float, other: Other) -> str:
    its = other.groups.get(int(group.get("vhid") or 0))
    if its is None:
        return f"[{_BAD}]does not have it[/]"
    last = "[yellow]last known:[/] " if other.is_silent else ""
    return last + _role(its, now)


def _health(group: Status) -> str:
    faults = [f"[{_BAD}]fault: {escape(str(fault))}[/]" for fault in group.get("faults") or ()]
    if not faults and group.get("can_serve") is False:
        return f"[{_BAD}]cannot serve[/]"
    return "\n".join(faults) or _WELL


def _healths(groups: Iterable[Status]) -> str:
    """Of a host: a fault of the programs is one of every group."""
    found = dict.fromkeys(_health(group) for group in groups)
    return "\n".join([text for text in found if text != _WELL] or [_WELL])


def _health_of(other: Other) -> str:
    if other.is_silent:
        return f"[{_BAD}]silent[/]"
    return _healths(other.groups.values())


def _own_digests(status: Status) -> str:
    return "-" if status.get("digests") else "not known"


def _drift(status: Status, other: Other) -> str:
    own = status.get("digests") or {}
    if not own or not other.digests:
        return "not known"
    parts = differing(own, other.digests)
    return f"[{_BAD}]differs: {escape(', '.join(parts))}[/]" if parts else "the same"


def _version(status: Status, other: Other) -> str:
    text = f"{escape(other.version)}, {escape(other.engine)}"
    return text if other.version == status["version"] else f"[yellow]{text}[/]"


def _heard(other: Other) -> str:
    if other.seen_s_ago is None:
        return "?"
    if other.is_silent:
        return f"[{_BAD}]silent for {duration(other.seen_s_ago)}[/]"
    if not other.hears_us:
        return f"{duration(other.seen_s_ago)} ago, [{_BAD}]and does not hear this host[/]"
    return f"{duration(other.seen_s_ago)} ago"


def _newest_master(group: Status, known: Sequence[Other]) -> Status | None:
    """The one who became MASTER last: of two, the other is on its way out."""
    vhid = int(group.get("vhid") or 0)
    masters = [one for one in (group, *(o.groups.get(vhid) or {} for o in known)) if _is_up(one)]
    return max(masters, key=lambda one: float(one.get("since") or 0.0), default=None)


def _holders(hostname: str, group: Status, entry: Status, known: Sequence[Other]) -> str:
    vhid = int(group.get("vhid") or 0)
    names = [escape(one.name) for one in known if _is_up(one.groups.get(vhid) or {})]
    own = escape(hostname)
    if entry.get("present"):
        lease_s = entry.get("lease_s")
        lease = "no lease" if lease_s is None else f"lease {lease_s:.0f} s"
        names.insert(0, f"{own}, {lease}" if _is_up(group) else f"{own}, which is no MASTER")
    elif _is_up(group):
        names.insert(0, f"MISSING on {own}, the MASTER")
    if not names:
        return f"[{_BAD}]nobody[/]" if known else "not here"
    is_well = len(names) == 1 and (not entry.get("present")) is (not _is_up(group))
    text = " AND ".join(names)
    return f"[green]{text}[/]" if is_well else f"[{_BAD}]{text}[/]"


def _is_up(group: Status) -> bool:
    return group.get("role") == "MASTER"
