"""
Those who watch the node live: what changes is worked out once, and sent to all of them.

Nothing runs while nobody watches. A turn begins when a hundred times what the last one cost has
passed, so that those who watch cannot take more than a hundredth of a CPU. Who does not take what
is sent is let go: it costs what is under way to it, and no more.

Server-sent events: ``snapshot`` (:func:`lbctl.agent.live.picture`), then ``change``
(:func:`lbctl.agent.live.difference`), and ``event``: one of the event log, at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, Final

from lbctl.agent import live
from lbctl.agent.agent import Agent
from lbctl.agent.eventlog import Event
from lbctl.errors import UnreachableError

log = logging.getLogger(__name__)

#: More are refused.
MOST: Final = 128
#: Who has not taken for so long what was sent is let go, seconds.
PATIENCE_S: Final = 20.0
#: As is who is so many bytes behind.
BEHIND_BYTES: Final = 8 * 1024 * 1024
#: What it costs to send, seconds for each who watches, and for each byte to each.
SEND_S: Final = 100e-6
SEND_BYTE_S: Final = 5e-9
#: The event log is silent for longer.
_BEAT_S: Final = 3600.0


def frame(kind: str, said: Mapping[str, Any], event_id: int | None = None) -> bytes:
    """One server-sent event; those of the event log have an id."""
    head = "" if event_id is None else f"id: {event_id}\n"
    text = json.dumps(said, separators=(",", ":"))
    return f"{head}event: {kind}\ndata: {text}\n\n".encode()


class Viewer:
    """
    One who watches: what is to be sent to it.

    Args:
        hang_up: ends its connection, whatever is under way on it.
        first: what it gets first.
        event_id: the last event in that.
    """

    def __init__(
        self,
        hang_up: Callable[[], None],
        first: bytes,
        event_id: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hang_up = hang_up
        self._clock = clock
        self._waiting = [first]
        self._waiting_bytes = len(first)
        self._waits_since = clock()
        self._news = asyncio.Event()
        self._news.set()
        self._event_id = event_id
        self.is_gone = False

    def offer(self, news: bytes, event_id: int | None = None) -> None:
        """Send it as soon as it has taken what came before; who is too far behind is let go."""
        if self.is_gone or (event_id is not None and event_id <= self._event_id):
            return
        if not self._waiting:
            self._waits_since = self._clock()
        self._waiting.append(news)
        self._waiting_bytes += len(news)
        is_late = self._clock() - self._waits_since > PATIENCE_S
        if is_late or self._waiting_bytes > BEHIND_BYTES:
            self.leave()
            self._hang_up()
        self._news.set()

    def leave(self) -> None:
        """It ends: nothing is sent to it any more."""
        self.is_gone = True
        self._waiting.clear()
        self._news.set()

    async def take(self) -> bytes:
        """All that is waiting, once there is something; empty: it ends."""
        await self._news.wait()
        self._news.clear()
        found = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return found


class Viewers:
    """All of them; a life of its own from the first to the last."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._viewers: set[Viewer] = set()
        self._joining = 0
        self._picture: live.Plain | None = None
        self._snapshot: bytes | None = None
        self._first: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._viewers)

    async def watch(self, hang_up: Callable[[], None]) -> AsyncGenerator[bytes, None]:
        """
        What is to be sent to one more, from the snapshot on.

        Raises:
            UnreachableError: too many watch already.
        """
        if len(self._viewers) + self._joining >= MOST:
            message = f"{MOST} watch already; one of them has to go first"
            raise UnreachableError(message)
        self._joining += 1
        try:
            viewer = await self._join(hang_up)
        finally:
            self._joining -= 1
        try:
            while news := await viewer.take():
                yield news
        finally:
            viewer.leave()
            self._viewers.discard(viewer)
            if not self._viewers and self._life is not None:
                self._life.cancel()
                self._life = self._picture = self._snapshot = None

    async def _join(self, hang_up: Callable[[], None]) -> Viewer:
        while self._picture is None:
            self._first = self._first or asyncio.ensure_future(self._begin())
            await asyncio.shield(self._first)
        # From here to the end nothing is awaited: the next change is one of what this one gets.
        if self._snapshot is None:
            self._snapshot = frame("snapshot", self._picture)
        events = self._picture["events"]
        viewer = Viewer(hang_up, self._snapshot, events[-1]["id"] if events else 0)
        self._viewers.add(viewer)
        if self._life is None:
            self._life = asyncio.ensure_future(self._live())
        return viewer

    async def _begin(self) -> None:
        try:
            self._picture = await live.picture(self._agent)
        finally:
            self._first = None

    async def _live(self) -> None:
        events = self._picture["events"] if self._picture else []
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell_changes())
            group.create_task(self._tell_events(events[-1]["id"] if events else 0))

    async def _tell_changes(self) -> None:
        sent_s = 0.0
        while self._picture is not None:
            await asyncio.sleep(live.pace(self._picture["cost_ms"] / 1000 + sent_s))
            try:
                now = await live.picture(self._agent)
            except Exception:
                # Whoever watches sees that nothing comes; the agent itself goes on.
                log.exception("the live view lost a turn; it goes on with the next")
                continue
            began = time.thread_time()
            news = frame("change", live.difference(self._picture, now))
            self._picture, self._snapshot = now, None
            self._send(news)
            own_s = time.thread_time() - began
            sent_s = own_s + len(self._viewers) * (SEND_S + SEND_BYTE_S * len(news))

    async def _tell_events(self, last_id: int) -> None:
        async with aclosing(self._agent.events.follow(last_id, beat_s=_BEAT_S)) as events:
            async for event in events:
                if event is not None:
                    self._send_event(event)

    def _send_event(self, event: Event) -> None:
        self._send(frame("event", asdict(event), event.id), event.id)

    def _send(self, news: bytes, event_id: int | None = None) -> None:
        for viewer in tuple(self._viewers):
            viewer.offer(news, event_id)
