"""
What happened on this node, in order: one JSON object a line in the state dir, and the last ones in
memory.

Ids grow over restarts. The file is bounded: at its limit it becomes ``events.jsonl.1``, replacing
the one before. A program that dies every second fills both within hours, so that what moved the
addresses and what changed the configuration stands in a second pair of files too. A file that
cannot be written costs the record, never the agent: events go on in memory, and ``error`` says why
the file lags behind.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
#: Kept in memory: what a watcher may have missed and still gets.
KEPT = 1000
#: What an operator asks for months later; programs cannot push it out of its file.
LASTING: Final = frozenset({"role", "handover", "pause", "command", "config", "bundle", "reload"})


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
        try:
            raw = json.loads(line)
            fields = dict(raw["fields"])
            return cls(
                int(raw["id"]), float(raw["at"]), raw["node"], raw["kind"], raw["text"], fields
            )
        except (TypeError, KeyError, OverflowError, RecursionError) as error:
            message = f"no event: {error!r}"
            raise ValueError(message) from error


class EventLog:
    """Appends, keeps, hands out. Belongs to one event loop; a call takes no longer than a write."""

    def __init__(
        self,
        path: Path,
        node: str,
        *,
        history: Path | None = None,
        max_bytes: int = MAX_BYTES,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._history = history
        self._node = node
        self._max_bytes = max_bytes
        self._wall = wall
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._followers: set[asyncio.Event] = set()
        self.error: str | None = None
        #: Recorded since this process started, by kind.
        self.counts: Counter[str] = Counter()
        self._newest: dict[str, Event] = {}
        self._last_id = 0
        for event in read_events(history)[0] if history else ():
            self._remember(event)
        for event in read_events(path)[0]:
            self._remember(event)
            self._kept.append(event)

    def append(
        self, kind: str, text: str, fields: Mapping[str, Any] | None = None, at: float | None = None
    ) -> Event:
        """Record an event; *at* is for one that others saw happen."""
        self._last_id += 1
        self.counts[kind] += 1
        when = self._wall() if at is None else at
        event = Event(self._last_id, when, self._node, kind, text, dict(fields or {}))
        self._remember(event)
        self._kept.append(event)
        self._write(event)
        for follower in self._followers:
            follower.set()
        return event

    def last(self, count: int) -> tuple[Event, ...]:
        """The newest *count*, oldest first."""
        return tuple(self._kept)[-count:] if count > 0 else ()

    def newest(self, kind: str) -> Event | None:
        """The last one of a :data:`LASTING` kind, however long ago; of others, of those read."""
        return self._newest.get(kind)

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

    def _remember(self, event: Event) -> None:
        self._last_id = max(self._last_id, event.id)
        known = self._newest.get(event.kind)
        if known is None or event.id >= known.id:
            self._newest[event.kind] = event

    def _write(self, event: Event) -> None:
        paths = [self._path]
        if self._history is not None and event.kind in LASTING:
            paths.append(self._history)
        failure = None
        for path in paths:
            try:
                _append_line(path, event.to_json().encode() + b"\n", self._max_bytes)
            except OSError as error:
                failure = f"{path}: {error}"
        if failure is not None and self.error is None:
            log.warning("%s; events are kept in memory only", failure)
        self.error = failure


def older(path: Path) -> Path:
    """Where the file of events at *path* goes when it is full."""
    return path.with_name(f"{path.name}.1")


def read_events(path: Path) -> tuple[tuple[Event, ...], int]:
    """
    Read the file at *path*, and the older one before it.

    Returns:
        What could be read, oldest first, and how many lines could not: torn ones, and others'.
    """
    events: list[Event] = []
    garbage = 0
    for part in (older(path), path):
        for event in _read(part):
            if event is None:
                garbage += 1
            else:
                events.append(event)
    return tuple(events), garbage


def _append_line(path: Path, line: bytes, max_bytes: int) -> None:
    with path.open("ab+") as stream:
        size = stream.tell()
        if size:
            stream.seek(-1, 2)
            # A torn last line (power cut, full disk) must not swallow this one.
            line = line if stream.read(1) == b"\n" else b"\n" + line
        if size + len(line) <= max_bytes or not size:
            stream.write(line)
            return
    path.replace(older(path))
    path.write_bytes(line)


def _read(path: Path) -> Iterator[Event | None]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                try:
                    yield Event.from_json(line)
                except ValueError:
                    yield None
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s: %s; going on without the events in it", path, error)
