"""What the templates draw: the live picture as rows, words and lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbctl.api.page.listing import Leaf, ProxyRow, backends, frontends, leaf
from lbctl.api.page.plots import Changes, Line, changes, line
from lbctl.api.page.verdict import Verdict, is_paused, trouble, verdict
from lbctl.follow.outlines import Outline
from lbctl.glance.cell import Cell, Tone
from lbctl.glance.hosts import Address, Group, addresses, hosts
from lbctl.glance.programs import ProgramRow, processes, programs

EVENTS: Final = 40
_LINES: Final = ("requests_per_s", "session_rate", "sessions")
_SOURCE_TONE: Final[Mapping[str, Tone]] = {"live": "good", "failing": "bad"}
_EVENT_TONE: Final[Mapping[str, Tone]] = {"fault": "bad", "hang": "bad", "full": "warn"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the page is wanted: a search, a page of services, one kind of events."""

    query: str = ""
    number: int = 1
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Of services: whom it asks, how it stands, what it has."""

    name: str
    target: str
    state: str
    tone: Tone
    error: str
    has: str
    heard_at: float


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """
    One HAProxy process.

    Attributes:
        reloads: of its program.
        old: workers that end with their last connection.
        pending: what is still to be done in it.
    """

    number: int
    cpu: str
    answers: Cell
    stats: str
    reloads: int
    old: int
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventRow:
    """As the event log has it."""

    id: int
    at: float
    kind: str
    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Overview:
    """
    Everything on the first page, in the order of the eye.

    Attributes:
        is_ha: there is a virtual IP.
        can_hand_over: this node is MASTER, and somebody is there to take over.
        lines: of the last hour, by what they show.
        count: of services, and of backends of haproxy.cfg.
        leaf: of these, and of backends that lbctl needs itself.
        kinds: of events that there are.
    """

    verdict: Verdict
    trouble: tuple[Cell, ...]
    is_ha: bool
    is_paused: bool
    can_hand_over: bool
    groups: tuple[Group, ...]
    addresses: tuple[Address, ...]
    traffic: Mapping[str, Any]
    lines: Mapping[str, Line]
    frontends: tuple[ProxyRow, ...]
    count: int
    leaf: Leaf
    sources: tuple[Source, ...]
    programs: tuple[ProgramRow, ...]
    haproxy_version: str
    processes: tuple[ProcessRow, ...]
    changes: Changes
    events: tuple[EventRow, ...]
    kinds: tuple[str, ...]
    kind: str


def overview(
    picture: Mapping[str, Any],
    outlines: Iterable[Outline],
    events: Sequence[Mapping[str, Any]],
    asked: Asked,
    own: str,
) -> Overview:
    """
    Args:
        picture: :func:`lbctl.agent.live.picture`.
        events: those in memory, oldest first.
        own: where backends come from that are no services.
    """
    status, proxies = picture["status"], picture["proxies"]
    groups, held = hosts(status), addresses(status)
    rows = backends(outlines, proxies, own)
    theirs = tuple(one for one in rows if not one.is_ours)
    wanting = trouble(status, rows)
    return Overview(
        verdict=verdict(status, groups, held, theirs, wanting),
        trouble=wanting,
        is_ha=bool(groups),
        is_paused=is_paused(status),
        can_hand_over=can_hand_over(groups),
        groups=groups,
        addresses=held,
        traffic=picture["traffic"],
        lines={name: line(_known(picture["history"].get(name) or ())) for name in _LINES},
        frontends=frontends(proxies),
        count=len(theirs),
        leaf=leaf(rows, asked.query, asked.number),
        sources=tuple(_source(one) for one in status.get("discovery") or ()),
        programs=tuple(sorted(programs(status), key=lambda one: one.is_well)),
        haproxy_version=str(status["haproxy"]["version"]),
        processes=_processes(status),
        changes=changes(picture["ledger"], float(picture["at"])),
        events=_events(events, asked.kind),
        kinds=tuple(sorted({str(one["kind"]) for one in events})),
        kind=asked.kind,
    )


def can_hand_over(groups: Sequence[Group]) -> bool:
    """Whether this node has something to give, and somebody is there to take it."""
    return any(
        group.hosts[0].role.text == "MASTER" and any(not one.is_silent for one in group.hosts[1:])
        for group in groups
    )


def _known(values: Iterable[object]) -> tuple[float, ...]:
    """Where nothing is known nothing is drawn as if it were none: it is left out."""
    return tuple(float(one) for one in values if isinstance(one, int | float))


def _source(one: Mapping[str, Any]) -> Source:
    names, services, servers = one.get("names"), one["services"], one["servers"]
    has = f"{services} services, {servers} servers"
    if names and not services:
        has = f"{names} name{'' if names == 1 else 's'}"
    state = str(one["state"])
    return Source(
        name=str(one["source"]),
        target=str(one["target"]),
        state=state,
        tone=_SOURCE_TONE.get(state, "warn"),
        error=str(one.get("error") or ""),
        has=has,
        heard_at=float(one.get("heard_at") or 0.0),
    )


def _processes(status: Mapping[str, Any]) -> tuple[ProcessRow, ...]:
    followed = status.get("apply") or {}
    members = {one["number"]: one for one in followed.get("processes") or ()}
    workers = {one["program"]: one for one in followed.get("workers") or ()}
    found = []
    for row, one in zip(processes(status), status["haproxy"]["processes"], strict=True):
        member, mine = members.get(row.number) or {}, workers.get(one["program"]) or {}
        pending = (*(member.get("pending") or ()), member.get("silence"), member.get("left"))
        found.append(
            ProcessRow(
                number=row.number,
                cpu="any CPU" if one["cpu"] is None else f"CPU {row.cpu}",
                answers=row.answers,
                stats=row.listens,
                reloads=int(mine.get("reloads") or 0),
                old=int(mine.get("old") or 0),
                pending=tuple(str(what) for what in pending if what),
            )
        )
    return tuple(found)


def _events(events: Sequence[Mapping[str, Any]], kind: str) -> tuple[EventRow, ...]:
    """The last ones, newest first."""
    found = [one for one in events if not kind or one["kind"] == kind][-EVENTS:]
    return tuple(_event(one) for one in reversed(found))


def _event(one: Mapping[str, Any]) -> EventRow:
    kind, text = str(one["kind"]), str(one["text"])
    tone = _EVENT_TONE.get(kind, "plain")
    fields = one.get("fields") or {}
    is_over = fields.get("severity") == 0 or fields.get("is_well") is True
    if is_over:
        tone = "plain"
    elif fields.get("did") == "failed" or fields.get("is_well") is False:
        tone = "warn"
    return EventRow(int(one["id"]), float(one["at"]), kind, text, tone)
