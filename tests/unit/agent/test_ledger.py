"""Reloads and changes at run time over a day, out of the event log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lbctl.agent.eventlog import Event, EventLog
from lbctl.agent.ledger import DAY_S, REASONS_MOST, Book, Ledger, as_plain
from lbctl.layout import StateDir

NOW = 1_700_000_100.0


def event(number: int, did: str, at: float = NOW, kind: str = "reload", **more: Any) -> Event:
    return Event(number, at, "n", kind, f"text {number}", {"did": did, **more})


def test_each_five_minutes_count_what_was_done() -> None:
    ledger = Ledger()
    ledger.take(
        [
            event(1, "reload", reasons=["haproxy.cfg has changed"]),
            event(2, "runtime", kind="apply"),
            event(3, "runtime", kind="apply"),
            event(4, "failed"),
            event(5, "reload", NOW + 300, reasons=["a", "b"]),
        ]
    )

    first, second = as_plain(ledger.spans(NOW + 400))
    assert first == {
        "at": 1_700_000_100.0,
        "reloads": 1,
        "runtime": 2,
        "failed": 1,
        "reasons": ["haproxy.cfg has changed", "text 4"],
    }
    assert (second["at"], second["reasons"]) == (1_700_000_400.0, ["a; b"])


def test_an_event_counts_once_and_other_events_not_at_all() -> None:
    ledger = Ledger()
    for _ in range(2):
        ledger.take([event(1, "reload"), event(2, "reload", kind="role"), event(3, "nothing")])

    assert [span.reloads for span in ledger.spans(NOW)] == [1]


def test_the_last_reasons_are_kept() -> None:
    ledger = Ledger()
    ledger.take(event(number, "failed") for number in range(1, 9))

    (span,) = ledger.spans(NOW)
    assert span.failed == 8
    assert span.reasons == ("text 6", "text 7", "text 8")
    assert len(span.reasons) == REASONS_MOST


def test_what_is_older_than_a_day_goes() -> None:
    ledger = Ledger()
    ledger.take([event(1, "reload"), event(2, "reload", NOW + DAY_S - 300)])

    assert [span.at for span in ledger.spans(NOW + DAY_S)] == [NOW + DAY_S - 300]


def test_the_book_knows_what_an_earlier_agent_did_and_what_comes(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    earlier = EventLog(state.events, "n", wall=lambda: NOW)
    earlier.append("reload", "reloaded", {"did": "reload"})
    log = EventLog(state.events, "n", wall=lambda: NOW)
    book = Book(state, log)

    async def counts() -> list[tuple[int, int]]:
        found = []
        for _ in range(2):
            found += [(span.reloads, span.runtime) for span in await book.spans(NOW)]
            log.append("apply", "done", {"did": "runtime"})
        return found

    assert asyncio.run(counts()) == [(1, 0), (1, 1)]


def test_events_that_left_the_memory_while_nobody_looked_are_read(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    log = EventLog(state.events, "n", wall=lambda: NOW)
    book = Book(state, log)

    async def count() -> int:
        await book.spans(NOW)
        for _ in range(1500):
            log.append("apply", "done", {"did": "runtime"})
        (span,) = await book.spans(NOW)
        return span.runtime

    assert asyncio.run(count()) == 1500
