"""
What a client of the virtual IP sees: requests from the client's namespace, and their arithmetic.

The requests are made by a process there (:mod:`.ask`); this side starts it, reads its lines and
says how long there was no answer.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from lbctl.lab import ask, rapid
from lbctl.lab.hosts import Host
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until

_LOG_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """
    One request.

    Attributes:
        start_ns: CLOCK_MONOTONIC.
        end_ns: when the answer was complete, or given up.
        outcome: status (``200``), or ``refused``, ``reset``, ``timeout``, ``unreachable``,
            ``closed``.
        node: the answer's ``X-Node``, ``-`` without.
        web: the answer's ``X-Web``, ``-`` without.
    """

    start_ns: int
    end_ns: int
    outcome: str
    node: str
    web: str

    @property
    def ok(self) -> bool:
        return self.outcome == "200"

    @classmethod
    def parse(cls, line: str) -> Record:
        start, end, outcome, node, web = line.split(" ")
        return cls(int(start), int(end), outcome, node, web)


def longest_gap_ms(
    records: Iterable[Record], since_ns: int, until_ns: int, *, starts: bool = False
) -> float:
    """
    The longest time between *since_ns* and *until_ns* in which no answer arrived.

    From answer to answer and not from request to request: one that waits 200 ms and then comes is
    an outage of 200 ms for its client. With *starts*: the longest time in which no request was
    made, which tells a probe that was held up from a server that was.
    """
    if starts:
        moments = [record.start_ns for record in records]
    else:
        moments = [record.end_ns for record in records if record.ok]
    inside = sorted(moment for moment in moments if since_ns < moment < until_ns)
    edges = [since_ns, *inside, max(until_ns, since_ns)]
    return max(later - earlier for earlier, later in pairwise(edges)) / 1e6


class Probe:
    """
    A client that asks again and again, by default each time on a new connection.

    Args:
        host: where it runs.
        target: IPv4 or IPv6 address.
        interval_ms: from request to request; attempts may overlap.
        limit_ms: an answer later than this is a failure (``timeout``).
        path: what is asked for.
    """

    mode = "new"

    def __init__(
        self,
        host: Host,
        target: str,
        port: int = 80,
        *,
        interval_ms: float = 10.0,
        limit_ms: float = 300.0,
        path: str = "/",
    ) -> None:
        self._host = host
        self._argv = [
            *_ask(self.mode, target, port, path, limit_ms),
            f"--interval-ms={interval_ms}",
        ]
        self._name = f"probe-{self.mode}-{target}-{port}-{time.monotonic_ns()}.log"
        self._process: Process | None = None
        self._records: list[Record] = []
        self._read_bytes = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start asking; returns after the first request is through, answered or not."""
        self._process = self._host.spawn(self._argv, log=self._name)
        wait_until(self.records, 3.0, f"a first request from {self._host.name}")
        return self

    def stop(self) -> None:
        """Stop asking; the records stay."""
        if self._process is not None:
            self._process.popen.kill()
            self._process.popen.wait()

    def mark(self) -> int:
        """This moment, for the ``since`` of the questions below."""
        return time.monotonic_ns()

    def records(self, since: int = 0) -> list[Record]:
        """
        Requests made at *since* or later that are through by now, in the order of their ends.

        Raises:
            LabError: the probe wrote something else: it failed.
        """
        if self._process is not None:
            self._read(self._process.log)
        return [record for record in self._records if record.start_ns >= since]

    def forget(self, before: int) -> None:
        """Drop what was asked before a mark, so that a probe may run for days."""
        self._records = self.records(before)
        if self._process is not None and self._read_bytes > _LOG_MAX_BYTES:
            # The writer appends, so what it writes next is at the start.
            os.truncate(self._process.log, 0)
            self._read_bytes = 0

    def successes(self, since: int = 0) -> list[Record]:
        return [record for record in self.records(since) if record.ok]

    def failures(self, since: int = 0) -> list[Record]:
        return [record for record in self.records(since) if not record.ok]

    def reasons(self, since: int = 0) -> dict[str, int]:
        """How often each kind of failure came."""
        return dict(Counter(record.outcome for record in self.failures(since)))

    def outage_ms(self, since: int, until: int | None = None) -> float:
        """
        The longest time without an answer since a mark.

        Without *until* it ends at the last request that is through, so a probe that was not yet
        read is no outage.
        """
        records = self.records()
        last = max((record.end_ns for record in records), default=since)
        return longest_gap_ms(records, since, last + 1 if until is None else until)

    def stall_ms(self, since: int, until: int | None = None) -> float:
        """The longest time since a mark in which the probe itself made no request."""
        records = self.records()
        last = max((record.start_ns for record in records), default=since)
        end = last + 1 if until is None else until
        return longest_gap_ms(records, since, end, starts=True)

    def wait_answers(self, count: int, within_s: float) -> float:
        """
        Wait until the last *count* requests were all answered.

        Returns:
            Seconds that it took.

        Raises:
            LabError: not within the bound.
        """
        started = time.monotonic()
        mark = self.mark()

        def settled() -> bool:
            recent = self.records(mark)[-count:]
            return len(recent) == count and all(record.ok for record in recent)

        what = f"{count} answers in a row for {self._host.name}"
        wait_until(settled, within_s, what, seen=lambda: self.reasons(mark))
        return time.monotonic() - started

    def _read(self, log: Path) -> None:
        with log.open("rb") as lines:
            lines.seek(self._read_bytes)
            data = lines.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        try:
            self._records.extend(map(Record.parse, whole.decode().splitlines()))
        except ValueError as error:
            message = f"probe on {self._host.name}: {log.read_text()[-2000:]}"
            raise LabError(message) from error


class KeptAlive(Probe):
    """A client that keeps one connection for as long as it lives, one request after the other."""

    mode = "kept"


class RapidProbe(Probe):
    """
    A new connection every millisecond, to IPv4 and ``/``, for little CPU (:mod:`.rapid`).

    Its client writes in blocks, so the last few records are some 30 ms late.
    """

    def __init__(
        self,
        host: Host,
        target: str,
        port: int = 80,
        *,
        interval_ms: float = 1.0,
        limit_ms: float = 300.0,
    ) -> None:
        super().__init__(host, target, port, interval_ms=interval_ms, limit_ms=limit_ms)
        options = [f"--interval-ms={interval_ms}", f"--limit-ms={limit_ms}"]
        self._argv = [sys.executable, "-I", rapid.__file__, target, str(port), *options]


class SlowRequest:
    """
    One request whose answer takes its time, in flight while something is done to the server.

    Args:
        host: where it runs.
        target: address.
        ms: how late the web server answers.
        limit_s: given up after this.
    """

    def __init__(
        self, host: Host, target: str, port: int = 80, *, ms: int = 2000, limit_s: float = 15.0
    ) -> None:
        argv = _ask("once", target, port, f"/slow?ms={ms}", limit_s * 1000)
        self._limit_s = limit_s
        self._process = host.spawn(argv, log=f"slow-{time.monotonic_ns()}.log")

    def result(self) -> tuple[str, float]:
        """
        Wait for its end: ``answer``, ``reset`` or ``hang``, and the seconds that it took.

        Any other end (``refused``, ``503``, ``closed`` ...) is named as it is.
        """
        self._process.popen.wait(self._limit_s + 3)
        try:
            record = Record.parse(self._process.text().strip())
        except ValueError as error:
            message = f"slow request: {self._process.text()}"
            raise LabError(message) from error
        words = {"200": "answer", "timeout": "hang"}
        took_s = (record.end_ns - record.start_ns) / 1e9
        return words.get(record.outcome, record.outcome), took_s


def _ask(mode: str, target: str, port: int, path: str, limit_ms: float) -> Sequence[str]:
    options = [f"--path={path}", f"--limit-ms={limit_ms}"]
    return [sys.executable, "-I", ask.__file__, mode, target, str(port), *options]
