"""Bytes become whole, prefixed lines, however they were cut on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.bundle.lines import CUT_MARK, LINE_MAX_BYTES, LineSplitter, prefixed


@pytest.mark.parametrize(
    ("chunk", "out", "has_rest"),
    [
        (b"", b"", False),
        (b"one\n", b"web | one\n", False),
        (b"one\ntwo\n", b"web | one\nweb | two\n", False),
        (b"one\ntw", b"web | one\n", True),
        (b"tw", b"", True),
        (b"\n\n", b"web | \nweb | \n", False),
        (b"\xff\xfe\x00\n", b"web | \xff\xfe\x00\n", False),
        (b"abcd\n", b"web | abcd\n", False),
        (b"abcde\n", b"web | abcd [cut]\nweb | e\n", False),
        (b"abcd", b"", True),
        (b"abcdefghi", b"web | abcd [cut]\nweb | efgh [cut]\n", True),
        (b"a\nabcdef\nb\n", b"web | a\nweb | abcd [cut]\nweb | ef\nweb | b\n", False),
    ],
)
def test_lines_of_at_most_four_bytes(chunk: bytes, out: bytes, has_rest: bool) -> None:
    splitter = LineSplitter(prefixed("web"), limit=4)

    assert splitter.feed(chunk) == out
    assert splitter.has_rest is has_rest


def test_an_unfinished_line_is_ended_by_a_flush() -> None:
    splitter = LineSplitter(prefixed("web"))
    splitter.feed(b"half")

    assert splitter.flush() == b"web | half\n"
    assert splitter.flush() == b""


def test_an_endless_line_does_not_grow_the_rest() -> None:
    splitter = LineSplitter(prefixed("web"))
    out = b"".join(splitter.feed(b"x" * 65536) for _ in range(16))

    assert out.count(CUT_MARK + b"\n") == 16 * 65536 // LINE_MAX_BYTES - 1
    assert len(splitter.flush()) == len("web | \n") + LINE_MAX_BYTES


@given(st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=8))
def test_where_the_reads_cut_makes_no_difference(chunks: list[bytes]) -> None:
    piecemeal, at_once = (LineSplitter(prefixed("p"), limit=3) for _ in range(2))
    out = b"".join(piecemeal.feed(chunk) for chunk in chunks) + piecemeal.flush()

    assert out == at_once.feed(b"".join(chunks)) + at_once.flush()
    assert all(line.startswith(b"p | ") for line in out.splitlines())
