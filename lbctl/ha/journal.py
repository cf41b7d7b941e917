"""What happened to role and addresses, in order: kept in memory, streamed to who watches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

log = logging.getLogger(__name__)

KEPT = 256
#: What is told stands in the way of what happens: of a take-over, for one.
TELL_AFTER_S = 0.02


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened.

    Attributes:
        id: 1 and up within one life of the process.
        at: wall clock, seconds.
        kind: ``role``, ``fault``, ``address``, ``link``, ``ucarp``, ``carp``, ``handover``,
            ``pause``, ``peer``, ``foreign``.
        text: a sentence.
        fields: the same for programs.
    """

    id: int
    at: float
    kind: str
    text: str
    fields: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Journal:
    """
    Events of this process; the agent copies them into the log that survives.

    Attributes:
        on_note: told the kind of each event.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._last_id = 0
        self._told_id = 0
        self._telling: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._behind: set[object] = set()
        self._caught_up = asyncio.Event()
        self.on_note: Callable[[str], None] = _nobody

    def note(self, kind: str, text: str, **fields: Any) -> None:
        """Record it; a moment later log it, and tell the watchers."""
        self._last_id += 1
        self._events.append(Event(self._last_id, time.time(), kind, text, fields))
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(TELL_AFTER_S, self.tell)
        self.on_note(kind)

    def tell(self) -> None:
        """Log what has not been logged yet, and wake the watchers: now."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        for event in self._events:
            if event.id > self._told_id:
                extra = {name: getattr(event, name) for name in ("at", "kind", "text", "fields")}
                log.info("%s: %s", event.kind, event.text, extra=extra)
        self._told_id = self._last_id
        self._news.set()
        self._news.clear()

    async def watch(self, since: int) -> AsyncIterator[Event]:
        """Every event with an id above *since*, those to come included; never ends."""
        watcher = object()
        try:
            while True:
                fresh = [event for event in self._events if event.id > since]
                for event in fresh:
                    self._behind.add(watcher)
                    yield event
                    since = event.id
                if not fresh:
                    self._catch_up(watcher)
                    await self._news.wait()
        finally:
            self._catch_up(watcher)

    async def drained(self, within_s: float) -> None:
        """Until every watcher has been told everything; this process is about to end."""
        self.tell()
        # A turn for those who wait to be woken.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._behind:
                    await self._caught_up.wait()

    def _catch_up(self, watcher: object) -> None:
        self._behind.discard(watcher)
        self._caught_up.set()
        self._caught_up.clear()


def _nobody(_kind: str) -> None:
    """Nobody asked."""
