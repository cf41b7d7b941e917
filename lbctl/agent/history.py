"""
What happened on this node over months: read from the files, so that no bundle need run.

Reads only. How long a role lasted is worked out from the events alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lbctl.agent.eventlog import Event, read_events
from lbctl.layout import StateDir

#: Moves, what asked for them, and what they may have come from.
KINDS: Final = frozenset(
    {"role", "handover", "fault", "pause", "command", "config", "bundle", "link", "peer", "reload"}
)
_HELD: Final = "MASTER"


@dataclass(frozen=True, slots=True)
class Span:
    """
    How long a role lasted.

    Attributes:
        role: which.
        seconds: how long; the most it can have been, where its end went unseen.
        end: ``known``; ``unseen``: the host or the bundle died; ``open``: it lasts.
    """

    role: str
    seconds: float
    end: str = "known"


def read_history(state: StateDir) -> tuple[tuple[Event, ...], int]:
    """
    Every event that is still on record, oldest first.

    Returns:
        The events, and how many lines of the files were none.
    """
    found: dict[tuple[int, float], Event] = {}
    garbage = 0
    for path in (state.history, state.events):
        events, torn = read_events(path)
        garbage += torn
        found |= {(event.id, event.at): event for event in events}
    return tuple(found[key] for key in sorted(found)), garbage


def spans(events: Iterable[Event], *, now: float, is_running: bool) -> Mapping[int, Span]:
    """
    How long each role lasted, by the id of the event that began it.

    Args:
        events: oldest first.
        now: wall clock, seconds.
        is_running: whether a bundle runs, so that the last role still is.

    Returns:
        None for a role whose time is not known: nothing ran after it, or the clock was set back.
    """
    roles = _Roles()
    for event in events:
        if event.kind == "bundle":
            roles.on_bundle(event)
        elif event.kind == "role" and "role" in event.fields:
            roles.on_role(event)
    if is_running:
        roles.close_all(now, "open")
    return roles.spans


class _Roles:
    """Roles that have begun, one for each group, and those that are over."""

    def __init__(self) -> None:
        self.spans: dict[int, Span] = {}
        self._begun_by_vhid: dict[str, Event] = {}
        self._is_stopping = False

    def on_bundle(self, event: Event) -> None:
        self._is_stopping = "version" not in event.fields
        if not self._is_stopping:
            self.close_all(event.at, "unseen")
            return
        for vhid, begun in tuple(self._begun_by_vhid.items()):
            # A MASTER still leaves, and says when it has.
            if begun.fields["role"] != _HELD:
                self._close(vhid, event.at, "known")

    def on_role(self, event: Event) -> None:
        # Whatever stands there: a line may be of another version.
        vhid = repr(event.fields.get("vhid"))
        self._close(vhid, event.at, "known")
        if not self._is_stopping or event.fields["role"] == _HELD:
            self._begun_by_vhid[vhid] = event

    def close_all(self, at: float, end: str) -> None:
        for vhid in tuple(self._begun_by_vhid):
            self._close(vhid, at, end)

    def _close(self, vhid: str, at: float, end: str) -> None:
        begun = self._begun_by_vhid.pop(vhid, None)
        if begun is not None and at >= begun.at:
            self.spans[begun.id] = Span(str(begun.fields["role"]), at - begun.at, end)
