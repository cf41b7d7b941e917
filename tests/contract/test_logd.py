"""logd as a process: whatever becomes of its output, no program ever waits for it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lbctl.layout import RunDir

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
LINE = b"x" * 99 + b"\n"
FIVE_MB = LINE * 50_000
DROPPED = re.compile(rb"logd \| dropped (\d+) lines \((.*)\) while nobody read the output\n")


@dataclass
class Logd:
    """A running logd and the FIFOs of its programs, held open as the programs hold them."""

    run_dir: RunDir
    process: subprocess.Popen[bytes]
    fifos: dict[str, int]

    def say(self, program: str, data: bytes) -> float:
        """Write as a program does, which blocks; return the seconds it took."""
        began = time.monotonic()
        view = memoryview(data)
        while view:
            view = view[os.write(self.fifos[program], view) :]
        return time.monotonic() - began

    def counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = json.loads(self.run_dir.log_counters.read_text())
        return counters

    def taken(self, program: str) -> int:
        counters = self.counters()
        return int(counters["written"][program]) + int(counters["dropped"][program])

    def end(self) -> float:
        began = time.monotonic()
        self.process.terminate()
        assert self.process.wait(5) == 0
        return time.monotonic() - began


def wait_until(claim: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def spawn(run_dir: RunDir, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "lbctl.daemons.logd", str(run_dir.root)],
        stdout=stdout,
        stdin=subprocess.DEVNULL,
        env={"PYTHONPATH": str(ROOT)},
    )


@contextmanager
def running(
    tmp_path: Path,
    stdout: int,
    programs: tuple[str, ...] = ("web", "api"),
    log_format: str = "text",
) -> Iterator[Logd]:
    run_dir = RunDir(tmp_path)
    run_dir.log.mkdir()
    spec = {"programs": programs, "on_demand": [], "tasks": [], "log_format": log_format}
    run_dir.spec.write_text(json.dumps(spec))
    for program in programs:
        os.mkfifo(run_dir.log_fifo(program), 0o600)
    fifos = {name: os.open(run_dir.log_fifo(name), os.O_RDWR) for name in programs}
    process = spawn(run_dir, stdout)
    logd = Logd(run_dir, process, fifos)
    try:
        wait_until(run_dir.log_counters.exists)
        yield logd
    finally:
        logd.process.kill()
        logd.process.wait()
        for descriptor in fifos.values():
            os.close(descriptor)


def read_all(descriptor: int) -> bytes:
    chunks = []
    while chunk := os.read(descriptor, 1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def read_until(descriptor: int, pattern: re.Pattern[bytes]) -> bytes:
    data = b""
    while not pattern.search(data):
        data += os.read(descriptor, 1 << 20)
    return data


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


def test_every_line_has_its_programs_name_and_none_is_mixed(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    with running(tmp_path, writer) as logd:
        os.close(writer)
        lines = {"web": b"w" * 700 + b"\n", "api": b"a" * 30 + b"\n"}
        speakers = [
            threading.Thread(target=logd.say, args=(name, line * 3000))
            for name, line in lines.items()
        ]
        for speaker in speakers:
            speaker.start()

        def end_after_them() -> None:
            for speaker in speakers:
                speaker.join()
            logd.end()

        ender = threading.Thread(target=end_after_them)
        ender.start()
        out = read_all(reader).splitlines(keepends=True)
        ender.join()

        assert out.count(b"web | " + lines["web"]) == 3000
        assert out.count(b"api | " + lines["api"]) == 3000
        assert len(out) == 6000
        assert logd.counters() == {
            "written": {"web": 3000, "api": 3000},
            "dropped": {"web": 0, "api": 0},
            "stdout": "ok",
        }


def test_a_regular_file_gets_every_line_and_the_counters_are_for_all_to_read(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with out.open("wb") as stream, running(tmp_path, stream.fileno()) as logd:
        logd.say("web", FIVE_MB)
        wait_until(lambda: logd.taken("web") == 50_000)

        assert logd.counters()["dropped"]["web"] == 0
        assert out.read_bytes() == (b"web | " + LINE) * 50_000
        assert logd.run_dir.log_counters.stat().st_mode & 0o777 == 0o644


def test_an_output_that_nobody_reads_holds_no_program_up_and_its_losses_are_said(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    with running(tmp_path, writer) as logd:
        assert logd.say("web", FIVE_MB) < 2.0
        assert logd.say("api", FIVE_MB) < 2.0
        wait_until(lambda: sum(logd.counters()["dropped"].values()) > 80_000)
        assert logd.counters()["stdout"] == "blocked"

        out = read_until(reader, DROPPED)
        logd.say("web", b"after\n")
        out += read_until(reader, re.compile(rb"web \| after\n"))
        said = DROPPED.search(out)
        assert said
        written, dropped = out.count(LINE), int(said[1])
        assert written + dropped == 100_000
        assert 1 << 20 <= len(out) < (1 << 20) + (1 << 18)
        assert re.fullmatch(rb"web \d+, api \d+", said[2])
        assert DROPPED.sub(b"", out) == (b"web | " + LINE) * written + b"web | after\n"
        wait_until(lambda: logd.counters()["stdout"] == "ok")
        assert sum(logd.counters()["dropped"].values()) == dropped


def test_a_socket_nobody_reads_is_treated_as_a_pipe_is(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, running(tmp_path, theirs.fileno()) as logd:
        assert logd.say("web", FIVE_MB) < 2.0
        said = DROPPED.search(read_until(ours.fileno(), DROPPED))

        assert said
        assert logd.end() < 2.0
        assert logd.counters()["dropped"]["web"] == int(said[1])


def test_when_the_reader_has_gone_it_reads_on_and_counts(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    with running(tmp_path, writer) as logd:
        os.close(reader)
        assert logd.say("web", FIVE_MB) < 2.0
        wait_until(lambda: logd.taken("web") == 50_000)

        assert logd.counters()["stdout"] == "gone"
        assert logd.counters()["dropped"]["web"] == 50_000
        assert logd.say("web", FIVE_MB) < 2.0
        assert logd.end() < 2.0
        assert logd.counters()["dropped"]["web"] == 100_000


def test_a_new_reader_is_found_and_told(tmp_path: Path) -> None:
    outlet = tmp_path / "outlet"
    os.mkfifo(outlet)
    first = os.open(outlet, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(outlet, os.O_WRONLY)
    with running(tmp_path, writer) as logd:
        os.close(first)
        logd.say("web", b"to nobody\n" * 3)
        wait_until(lambda: logd.counters()["dropped"]["web"] == 3)
        second = os.open(outlet, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(second, True)
        wait_until(lambda: logd.say("web", b"hello\n") > 0 and logd.counters()["stdout"] == "ok")
        out = read_until(second, DROPPED)
        os.close(second)
    os.close(writer)

    assert out.startswith(b"logd | dropped ")


def test_a_full_disk_is_tried_again_and_holds_nobody_up(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, running(tmp_path, full.fileno()) as logd:
        assert logd.say("web", FIVE_MB) < 2.0
        wait_until(lambda: logd.counters()["stdout"] == "blocked")

        assert logd.counters()["dropped"]["web"] > 0
        assert logd.end() < 1.5


def test_a_shared_output_that_somebody_made_non_blocking_loses_nothing(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    with running(tmp_path, writer) as logd:
        logd.say("web", LINE * 2000)  # more than the pipe takes, less than the buffer
        out = read_until(reader, re.compile(rb"(web \| x+\n){2000}", re.DOTALL))

        assert out == (b"web | " + LINE) * 2000


def test_an_unfinished_line_comes_out_after_a_silence(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    with running(tmp_path, writer) as logd:
        began = time.monotonic()
        logd.say("web", b"prompt> ")

        assert os.read(reader, 100) == b"web | prompt> \n"
        assert 0.9 < time.monotonic() - began < 2.0


def test_sigterm_writes_what_was_said_before_it(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with running(tmp_path, writer) as logd:
        os.close(writer)
        logd.process.send_signal(signal.SIGSTOP)
        logd.say("web", b"last\nwords")
        logd.say("api", b"too\n")
        logd.process.terminate()
        logd.process.send_signal(signal.SIGCONT)
        logd.process.wait(5)

        assert sorted(read_all(reader).splitlines()) == [
            b"api | too",
            b"web | last",
            b"web | words",
        ]


def test_sigterm_ends_it_though_its_output_is_stuck(tmp_path: Path, pipe: tuple[int, int]) -> None:
    _, writer = pipe
    with running(tmp_path, writer) as logd:
        logd.say("web", FIVE_MB)

        assert logd.end() < 1.5


def test_what_a_fifo_holds_survives_a_kill_of_logd(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with running(tmp_path, writer) as logd:
        logd.process.kill()
        logd.process.wait()
        logd.say("web", LINE * 600)
        logd.process = spawn(logd.run_dir, writer)
        os.close(writer)
        wait_until(lambda: logd.taken("web") == 600)
        logd.end()

        assert read_all(reader) == (b"web | " + LINE) * 600


def test_a_missing_fifo_is_made_and_what_is_none_is_named(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    run_dir = RunDir(tmp_path)
    with running(tmp_path, writer, ()) as logd:
        logd.end()
        run_dir.spec.write_text(
            json.dumps({"programs": ["web", "file"], "on_demand": [], "tasks": []})
        )
        run_dir.log_fifo("file").write_text("")
        logd.process = spawn(run_dir, writer)

        assert (
            os.read(reader, 1000)
            == (
                f"logd | {run_dir.log_fifo('file')}: is not a FIFO; what file says is not shown\n"
            ).encode()
        )
        wait_until(run_dir.log_fifo("web").is_fifo)
        assert run_dir.log_fifo("web").stat().st_mode & 0o777 == 0o600


def test_an_idle_logd_sleeps(tmp_path: Path, pipe: tuple[int, int]) -> None:
    with running(tmp_path, pipe[1]) as logd:
        logd.say("web", b"hello\n")
        wait_until(lambda: logd.taken("web") == 1)
        status = Path(f"/proc/{logd.process.pid}/status")

        def wakeups() -> int:
            switches = re.findall(r"ctxt_switches:\s+(\d+)", status.read_text())
            return sum(map(int, switches))

        before = wakeups()
        with pytest.raises(subprocess.TimeoutExpired):  # what it says on its own: nothing
            logd.process.wait(1.5)

        assert wakeups() - before <= 2
