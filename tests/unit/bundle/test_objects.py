"""Each line is one object, whatever bytes came, and says no more than is certain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.bundle.lines import LINE_MAX_BYTES, LineSplitter
from lbctl.bundle.objects import MARK, OWN, objects, stamp

AT = 1_784_000_000.1239
WHEN = "2026-07-14T03:33:20.123Z"


def said(program: str, lines: bytes) -> list[dict[str, Any]]:
    out = objects(program, lambda: AT)(lines).decode()

    assert out.endswith("\n")
    return [json.loads(line) for line in out[:-1].split("\n")]


def test_a_foreign_line_is_text_with_its_time_and_program() -> None:
    out = objects("web", lambda: AT)(b'GET / "quoted"\ttab')

    assert out == (
        f'{{"at": "{WHEN}", "program": "web", "text": "GET / \\"quoted\\"\\ttab"}}\n'.encode()
    )


def test_a_line_stays_a_line_where_it_is_empty() -> None:
    assert [one["text"] for one in said("web", b"a\n\nb")] == ["a", "", "b"]


@given(st.binary(max_size=60))
def test_any_bytes_become_valid_utf_8_and_one_object_for_each_line(data: bytes) -> None:
    texts = [one["text"] for one in said("web", data)]

    assert texts == data.decode("utf-8", "replace").split("\n")


@given(st.lists(st.binary(max_size=12), max_size=8))
def test_where_the_reads_cut_makes_no_difference(chunks: list[bytes]) -> None:
    form = objects("p", lambda: AT)
    piecemeal, at_once = (LineSplitter(form, limit=5) for _ in range(2))
    out = b"".join(piecemeal.feed(chunk) for chunk in chunks) + piecemeal.flush()

    assert out == at_once.feed(b"".join(chunks)) + at_once.flush()


def test_a_line_beyond_all_measure_comes_in_pieces() -> None:
    splitter = LineSplitter(objects("web", lambda: AT))
    out = splitter.feed(b"x" * (LINE_MAX_BYTES + 5) + b"\n").decode().splitlines()

    texts = [json.loads(line)["text"] for line in out]
    assert texts == ["x" * LINE_MAX_BYTES + " [cut]", "xxxxx"]


@pytest.mark.parametrize(
    ("program", "line", "level"),
    [
        ("haproxy-01", "[ALERT]    (9) : Current worker (12) exited with code 139", "error"),
        ("haproxy", "[WARNING]  (9) : config : log format ignored", "warning"),
        ("haproxy-02", "[NOTICE]   (9) : New worker (10) forked", "info"),
        ("haproxy-01", "[ALERT] 325/123456 (9) : Starting frontend", "error"),
        ("haproxy-01", "[22/Nov/2026:07:00:00.000] [ALERT] x", ""),
        ("haproxy-01", '10.0.0.9:4000 [x] web webs/a 0/0/0/1/1 200 "GET /[ALERT] "', ""),
        ("nginx", "2026/11/22 07:00:00 [error] 7#7: *1 open() failed", "error"),
        ("nginx", "2026/11/22 07:00:00 [warn] 7#7: low address bits", "warning"),
        ("nginx", "nginx: [emerg] bind() to 0.0.0.0:80 failed", "error"),
        ("nginx", '10.0.0.9 - - [22/Nov/2026:07:00:00 +0000] "GET / HTTP/1.1" 200', ""),
        ("nginx", "[error] 7#7: not where nginx writes it", ""),
        ("dnsmasq", "[ALERT] of somebody else", ""),
        ("ucarp", "[ERROR] unable to open", ""),
    ],
)
def test_a_level_is_told_only_where_it_is_certain(program: str, line: str, level: str) -> None:
    (one,) = said(program, line.encode())

    assert one.get("level", "") == level
    assert one["text"] == line


def own(**told: object) -> bytes:
    return (MARK + json.dumps(told)).encode()


@pytest.mark.parametrize("program", sorted(OWN))
def test_what_our_own_programs_say_of_a_line_is_taken(program: str) -> None:
    line = own(at="T", level="warning", kind="role", text="BACKUP", fields={"vhid": 1})
    (one,) = said(program, line)

    assert list(one.items()) == [
        ("at", "T"),
        ("program", program),
        ("level", "warning"),
        ("kind", "role"),
        ("text", "BACKUP"),
        ("fields", {"vhid": 1}),
    ]


def test_a_stranger_who_writes_the_mark_is_not_believed() -> None:
    line = own(kind="role", text="MASTER")
    (one,) = said("haproxy-01", line)

    assert one["text"] == line.decode()
    assert "kind" not in one


@pytest.mark.parametrize(
    "line",
    [
        b"\x1e{torn",
        b"\x1e[1]",
        b"\x1e7",
        b'\x1e{"text": 7}',
        b'\x1e{"text": "a", "fields": [1]}',
        b'\x1e{"text": "a", "kind": {"a": 1}}',
        b"\x1e" + b"[" * 16_000,
    ],
)
def test_a_torn_object_of_our_own_is_text(line: bytes) -> None:
    (one,) = said("agent", line)

    assert one == {"at": WHEN, "program": "agent", "text": line[1:].decode()}


def test_other_words_of_our_own_programs_are_plain_text() -> None:
    assert said("vipd", b"Traceback (most recent call last):")[0]["text"].startswith("Traceback")


def test_what_json_does_not_know_is_told_in_words() -> None:
    (one,) = said("vipd", b'\x1e{"text": "a", "fields": {"s": Infinity, "t": "\\udc80"}}')

    assert one["fields"] == {"s": "Infinity", "t": "?"}


@pytest.mark.parametrize(
    ("at", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (0.9999, "1970-01-01T00:00:00.999Z"), (AT, WHEN)],
)
def test_a_time_is_rfc_3339_in_utc(at: float, text: str) -> None:
    assert stamp(at) == text
