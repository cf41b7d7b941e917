"""logd that speaks JSON: each line is one object, whatever becomes of bytes and output."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lbctl.bundle.lines import LINE_MAX_BYTES
from tests.contract.test_logd import read_all, read_until, running

pytestmark = pytest.mark.contract

#: A line of 16 KiB in which each byte has to be written as six, and what is around it.
LONGEST_BYTES = 6 * LINE_MAX_BYTES + 200
PROGRAMS = ("haproxy-01", "nginx", "vipd")
_DROPPED = re.compile(rb'"fields": \{"dropped": \{"nginx": (\d+)\}\}\}\n')


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[tuple[int, int]]:
    """With room for all that a test says: nobody reads before logd has ended."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    yield reader, writer
    os.close(reader)


def objects_of(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.decode().split("\n")[:-1]]


def _lines(out: bytes) -> int:
    return out.count(b'"program": "nginx"')


def said(tmp_path: Path, pipe: tuple[int, int], program: str, data: bytes) -> bytes:
    """All that logd writes until it has ended."""
    reader, writer = pipe
    with running(tmp_path, writer, PROGRAMS, "json") as logd:
        os.close(writer)
        logd.say(program, data)
        logd.end()
        return read_all(reader)


def test_a_line_has_its_time_its_program_and_its_level(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    out = said(tmp_path, pipe, "haproxy-01", b"[WARNING]  (7) : slow\nplain\n")
    slow, plain = objects_of(out)

    age = datetime.now(UTC) - datetime.fromisoformat(slow.pop("at"))
    assert 0 <= age.total_seconds() < 10
    assert slow == {"program": "haproxy-01", "level": "warning", "text": "[WARNING]  (7) : slow"}
    assert list(plain) == ["at", "program", "text"]


def test_bytes_of_any_kind_are_objects_of_bounded_length(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    data = b"\xff\xfe\xc3\n\n" + b"\0" * 40_000 + b"\n" + bytes(range(256)) + b"\nlast"
    out = said(tmp_path, pipe, "nginx", data)

    texts = [one["text"] for one in objects_of(out)]
    assert texts[:2] == ["\ufffd\ufffd\ufffd", ""]
    assert [len(text) for text in texts[2:5]] == [16_390, 16_390, 40_000 - 2 * LINE_MAX_BYTES]
    assert texts[-1] == "last"
    assert max(map(len, out.split(b"\n"))) <= LONGEST_BYTES


def test_what_our_own_programs_log_comes_with_kind_and_fields(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    code = (
        "import logging, sys, pathlib; from lbctl.bundle.saying import speak\n"
        "speak(pathlib.Path(sys.argv[1]))\n"
        "extra = {'kind': 'role', 'text': 'MASTER', 'fields': {'vhid': 1}}\n"
        "logging.info('role: MASTER', extra=extra)\n"
        "logging.warning('odd')\n"
        "raise OSError(5, 'no such thing')\n"
    )
    reader, writer = pipe
    with running(tmp_path, writer, PROGRAMS, "json") as logd:
        os.close(writer)
        argv = [sys.executable, "-c", code, str(logd.run_dir.spec)]
        subprocess.run(argv, stderr=logd.fifos["vipd"], timeout=30, check=False)
        logd.end()
        role, odd, end = objects_of(read_all(reader))

    assert [role[name] for name in ("level", "kind", "text")] == ["info", "role", "MASTER"]
    assert role["fields"] == {"vhid": 1}
    assert [odd[name] for name in ("program", "level", "text")] == ["vipd", "warning", "odd"]
    assert "kind" not in odd
    assert end["text"] == "OSError(5, 'no such thing')"
    assert "line 6, in <module>" in end["fields"]["trace"]


def test_lines_that_were_dropped_are_told_with_their_number(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    with running(tmp_path, writer, PROGRAMS, "json") as logd:
        logd.say("nginx", (b"x" * 99 + b"\n") * 50_000)
        out = b""
        while _lines(out) + sum(map(int, _DROPPED.findall(out))) < 50_000:
            out += os.read(reader, 1 << 20)
        os.close(writer)
        logd.process.kill()

    last = objects_of(out)[-1]
    assert _lines(out) + sum(map(int, _DROPPED.findall(out))) == 50_000
    assert [last[name] for name in ("program", "level", "kind")] == ["logd", "warning", "dropped"]
    assert last["text"].startswith("dropped ")


def test_what_is_no_fifo_is_named(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "web.fifo").write_text("no fifo")
    spec = {"programs": ["web"], "on_demand": [], "tasks": [], "log_format": "json"}
    (tmp_path / "bundle.json").write_text(json.dumps(spec))
    argv = [sys.executable, "-m", "lbctl.daemons.logd", str(tmp_path)]
    process = subprocess.Popen(argv, stdout=writer, cwd=Path(__file__).parents[2])
    os.close(writer)
    try:
        one = objects_of(read_until(reader, re.compile(rb"\n")))[0]
    finally:
        process.kill()
        process.wait()

    assert one["program"] == "logd"
    assert one["text"].endswith("is not a FIFO; what web says is not shown")


def test_the_formatter_is_the_only_one_that_logs() -> None:
    """A handler that somebody left would say each line twice."""
    code = (
        "import logging, sys; from lbctl.bundle.saying import begin\n"
        "begin('text'); begin('json'); begin('text'); logging.info('once')\n"
    )
    reply = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert reply.stderr == "once\n"
