"""
What happened on this node, in order: one JSON object a line in the state dir, and the last ones in
memory.

Ids grow over restarts. The file is bounded: at its limit it becomes ``events.jsonl.1``, replacing
the one before. A file that cannot be written costs the record, never the agent: events go on in
memory, and ``error`` says why the file lags behind.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
#: Kept in memory: what a watcher may have missed and still gets.
KEPT = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened.

    Attributes:
        id: 1 and up; grows over restarts.
        at: wall clock, seconds; for display, it may jump.
        node: this node's identity.
        kind: ``bundle``, ``program``, ``hang``, ``full``; from vipd ``role``, ``fault`` ...
        text: a sentence.
        fields: the same for programs.
    """

    id: int
    at: float
    node: str
    kind: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: bytes | str) -> Event:
        """
        Read one line.

        Raises:
            ValueError: it is torn, or no event.
        """
        raw = json.loads(line)
        try:
            fields = dict(raw["fields"])
            return cls(
                int(raw["id"]), float(raw["at"]), raw["node"], raw["kind"], raw["text"], fields
            )
        except (TypeError, KeyError) as error:
            message = f"no event: {error!r}"
            raise ValueError(message) from error


class EventLog:
    """Appends, keeps, hands out. Belongs to one event loop; a call takes no longer than a write."""

    def __init__(
        self,
        path: Path,
        node: str,
        *,
        max_bytes: int = MAX_BYTES,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._node = node
        self._max_bytes = max_bytes
        self._wall = wall
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._followers: set[asyncio.Event] = set()
        self.error: str | None = None
        for name in (self._older, self._path):
            self._kept.extend(_read(name))
        self._last_id = max((event.id for event in self._kept), default=0)

    def append(
        self, kind: str, text: str, fields: Mapping[str, Any] | None = None, at: float | None = None
    ) -> Event:
        """Record an event; *at* is for one that others saw happen."""
        self._last_id += 1
        when = self._wall() if at is None else at
        event = Event(self._last_id, when, self._node, kind, text, dict(fields or {}))
        self._kept.append(event)
        self._write(event)
        for follower in self._followers:
            follower.set()
        return event

    def last(self, count: int) -> tuple[Event, ...]:
        """The newest *count*, oldest first."""
        return tuple(self._kept)[-count:] if count > 0 else ()

    def since(self, event_id: int) -> tuple[Event, ...]:
        """Those in memory with an id above *event_id*."""
        return tuple(event for event in self._kept if event.id > event_id)

    async def follow(self, event_id: int, *, beat_s: float) -> AsyncGenerator[Event | None, None]:
        """Events above *event_id*, those to come included; None after *beat_s* without any."""
        news = asyncio.Event()
        self._followers.add(news)
        try:
            while True:
                news.clear()
                for event in self.since(event_id):
                    event_id = event.id
                    yield event
                try:
                    async with asyncio.timeout(beat_s):
                        await news.wait()
                except TimeoutError:
                    yield None
        finally:
            self._followers.discard(news)

    def _write(self, event: Event) -> None:
        try:
            self._append_line(event.to_json().encode() + b"\n")
        except OSError as error:
            if self.error is None:
                log.warning("%s: %s; events are kept in memory only", self._path, error)
            self.error = f"{self._path}: {error}"
        else:
            self.error = None

    def _append_line(self, line: bytes) -> None:
        with self._path.open("ab+") as stream:
            size = stream.tell()
            if size:
                stream.seek(-1, 2)
                # A torn last line (power cut, full disk) must not swallow this one.
                line = line if stream.read(1) == b"\n" else b"\n" + line
            if size + len(line) <= self._max_bytes or not size:
                stream.write(line)
                return
        self._path.replace(self._older)
        self._path.write_bytes(line)


def _read(path: Path) -> Iterator[Event]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                try:
                    yield Event.from_json(line)
                except ValueError:
                    continue
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s: %s; going on without the events in it", path, error)
