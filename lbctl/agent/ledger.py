"""
What became of changes over the last day: reloads, changes at run time and failures, with reasons.

Worked out from the event log alone, so that it survives the agent; made when somebody looks, and
then kept up. The log is bounded: of a day with thousands of changes only the end is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lbctl.agent.eventlog import Event, EventLog
from lbctl.agent.history import read_history
from lbctl.layout import StateDir

SPAN_S: Final = 300.0
DAY_S: Final = 86400.0
#: Of each span, the last ones.
REASONS_MOST: Final = 3
_LONGEST_REASON: Final = 200
_DIDS: Final = ("reload", "runtime", "failed")


@dataclass(frozen=True, slots=True)
class Span:
    """
    Five minutes in which something was changed.

    Attributes:
        at: their begin, wall clock, seconds.
        reloads: of HAProxy.
        runtime: changes without one.
        failed: tries of which nothing came, each told once.
        reasons: of the last ones, newest last; never of a change at run time.
    """

    at: float
    reloads: int = 0
    runtime: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "reloads": self.reloads,
            "runtime": self.runtime,
            "failed": self.failed,
            "reasons": list(self.reasons),
        }


class Ledger:
    """Spans by their begin; takes each event once, in their order."""

    def __init__(self) -> None:
        self._spans: dict[float, Span] = {}
        self._last_id = 0

    @property
    def last_id(self) -> int:
        """Of the last event that it has taken; 0: none."""
        return self._last_id

    def take(self, events: Iterable[Event]) -> None:
        """Count; those that it has are left out."""
        for event in events:
            if event.id > self._last_id:
                self._last_id = event.id
                self._count(event)

    def spans(self, now: float) -> tuple[Span, ...]:
        """Those of the last day in which something was changed, oldest first."""
        first = now - now % SPAN_S - DAY_S + SPAN_S
        self._spans = {at: span for at, span in self._spans.items() if at >= first}
        return tuple(self._spans[at] for at in sorted(self._spans))

    def _count(self, event: Event) -> None:
        did = event.fields.get("did")
        if event.kind not in ("reload", "apply") or did not in _DIDS:
            return
        at = event.at - event.at % SPAN_S
        span = self._spans.get(at, Span(at))
        reasons = span.reasons if did == "runtime" else (*span.reasons, _why(event))
        self._spans[at] = replace(
            span,
            reloads=span.reloads + (did == "reload"),
            runtime=span.runtime + (did == "runtime"),
            failed=span.failed + (did == "failed"),
            reasons=reasons[-REASONS_MOST:],
        )


def _why(event: Event) -> str:
    reasons = event.fields.get("reasons")
    if event.fields.get("did") == "reload" and isinstance(reasons, list) and reasons:
        return "; ".join(map(str, reasons))[:_LONGEST_REASON]
    return event.text[:_LONGEST_REASON]


class Book:
    """The ledger of a node, read when somebody asks for the first time."""

    def __init__(self, state: StateDir, events: EventLog) -> None:
        self._state = state
        self._events = events
        self._ledger: Ledger | None = None

    async def spans(self, now: float) -> tuple[Span, ...]:
        """As :meth:`Ledger.spans`."""
        ledger = self._ledger
        news = self._events.since(ledger.last_id if ledger else 0)
        if ledger is None or (news and news[0].id > ledger.last_id + 1):
            # Never asked for, or so long ago that events have left the memory since.
            ledger = await asyncio.to_thread(_read, self._state)
            self._ledger = ledger
        ledger.take(self._events.since(ledger.last_id))
        return ledger.spans(now)


def _read(state: StateDir) -> Ledger:
    ledger = Ledger()
    ledger.take(read_history(state)[0])
    return ledger


def as_plain(spans: Iterable[Span]) -> list[Mapping[str, Any]]:
    return [span.to_plain() for span in spans]
