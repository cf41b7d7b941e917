"""The arithmetic of outages."""

from __future__ import annotations

import pytest

from lbctl.lab.probe import Record, longest_gap_ms

MS = 1_000_000


def _answer(start_ms: int, end_ms: int, outcome: str = "200") -> Record:
    return Record(start_ms * MS, end_ms * MS, outcome, "a", "web1")


@pytest.mark.parametrize(
    ("records", "until_ms", "expected"),
    [
        ([], 100, 100),
        ([_answer(10, 11), _answer(20, 21), _answer(30, 31)], 35, 11),
        # Failures do not end an outage.
        ([_answer(10, 11), _answer(20, 21, "timeout"), _answer(90, 91)], 92, 80),
        # An answer that came late is an outage until it came.
        ([_answer(10, 11), _answer(20, 220), _answer(30, 221)], 222, 209),
        # Nor does it matter in which order overlapping requests end.
        ([_answer(20, 60), _answer(30, 31)], 61, 31),
        # The outage may still last, or have begun before.
        ([_answer(10, 11)], 500, 489),
        ([_answer(-90, -80), _answer(40, 50)], 60, 50),
    ],
)
def test_outage_is_the_longest_time_between_two_answers(
    records: list[Record], until_ms: int, expected: float
) -> None:
    assert longest_gap_ms(records, 0, until_ms * MS) == expected


def test_stall_is_the_longest_time_without_a_request() -> None:
    records = [_answer(10, 11), _answer(20, 400, "timeout"), _answer(90, 91)]

    assert longest_gap_ms(records, 0, 95 * MS, starts=True) == 70


def test_record_reads_a_line_of_the_client() -> None:
    assert Record.parse("1 2 refused - -") == Record(1, 2, "refused", "-", "-")
