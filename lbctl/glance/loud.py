"""What must be seen first, in the order in which it matters; and the node in one line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lbctl.glance.cell import Cell
from lbctl.glance.durations import duration, moment
from lbctl.glance.hosts import groups_of, role_of
from lbctl.glance.others import is_on, others

#: Findings that cost nothing as long as nothing else happens.
MILD: Final = frozenset({"configuration differs", "version differs", "clock differs", "state dir"})

Status = Mapping[str, Any]


def loud(status: Status) -> tuple[Cell, ...]:
    """
    Findings, a pause, hosts that went silent, faults, checks that are not well, warnings.

    The worst comes first; the same is told once, by whoever says it first.
    """
    ha = status.get("ha")
    found = [*(_of_ha(ha) if isinstance(ha, Mapping) else ())]
    checks = (ha or {}).get("checks") or status.get("checks") or ()
    found += [Cell(text, "warn") for text in checks_not_well(checks)]
    found += [Cell(str(warning), "warn") for warning in status.get("warnings") or ()]
    first: dict[str, Cell] = {}
    for cell in found:
        first.setdefault(cell.text, cell)
    return tuple(sorted(first.values(), key=lambda cell: cell.tone != "bad"))


def headline(status: Status) -> Cell:
    """The role of this node, in a word or a few."""
    ha = status.get("ha")
    if not isinstance(ha, Mapping):
        is_lost = bool(status.get("ha_error"))
        return Cell("role unknown", "bad") if is_lost else Cell("no virtual IP")
    groups = groups_of(ha)
    if len(groups) > 1:
        return Cell(", ".join(f"vhid {one.get('vhid')} {one.get('role')}" for one in groups))
    return role_of(ha)


def checks_not_well(checks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """vipd knows one more state than the agent, which asks."""
    for check in checks:
        state = check.get("state") or ("well" if check.get("is_well") is True else "fault")
        if state != "well":
            yield f"check {check.get('name')}: {state}: {check.get('what') or 'no answer yet'}"


def pause_of(ha: Status) -> str:
    """``PAUSED by root@lb1 since ...``; empty: nothing is paused."""
    paused = ha.get("paused")
    if not isinstance(paused, Mapping) or not is_on(paused):
        return ""
    until = f", until {moment(paused['until'])}" if paused.get("until") else ""
    since = f" since {moment(paused['since'])}" if paused.get("since") else ""
    why = f": {paused['why']}" if paused.get("why") else ""
    what = "the addresses do not move, a dead master is not replaced"
    return f"PAUSED by {paused.get('by') or '?'}{since}{until}{why}; {what}"


def _of_ha(ha: Status) -> Iterator[Cell]:
    for finding in ha.get("findings") or ():
        kind, text = str(finding.get("kind")), str(finding.get("text"))
        if kind != "paused":
            yield Cell(f"{kind}: {text}", "warn" if kind in MILD else "bad")
    if paused := pause_of(ha):
        yield Cell(paused, "bad")
    for other in others(ha) or ():
        if other.is_silent:
            ago = duration(other.seen_s_ago)
            yield Cell(f"{other.name} is SILENT for {ago}: it is down, or cut off", "bad")
    faults = [str(fault) for group in groups_of(ha) for fault in group.get("faults") or ()]
    for fault in dict.fromkeys(faults):
        yield Cell(f"fault: {fault}", "bad")
