"""What happened to role and addresses, in order: kept in memory, streamed to who watches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

log = logging.getLogger(__name__)

KEPT = 256


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened.

    Attributes:
        id: 1 and up within one life of the process.
        at: wall clock, seconds.
        kind: ``role``, ``fault``, ``address``, ``link``, ``ucarp``, ``handover``.
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
    """Events of this process; the agent copies them into the log that survives."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._last_id = 0
        self._news = asyncio.Condition()
        self._wakers: set[asyncio.Task[None]] = set()

    def note(self, kind: str, text: str, **fields: Any) -> None:
        """Record it, log it, tell the watchers."""
        self._last_id += 1
        self._events.append(Event(self._last_id, time.time(), kind, text, fields))
        log.info("%s: %s", kind, text, extra={f"lbctl_{key}": v for key, v in fields.items()})
        waker = asyncio.ensure_future(self._wake())
        self._wakers.add(waker)
        waker.add_done_callback(self._wakers.discard)

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def watch(self, since: int) -> AsyncIterator[Event]:
        """Every event with an id above *since*, those to come included; never ends."""
        while True:
            fresh = [event for event in self._events if event.id > since]
            for event in fresh:
                yield event
                since = event.id
            if not fresh:
                await self._after(since)

    async def _after(self, since: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: self._last_id > since)
