"""supervisord with our wake-up; its client and its events; the fake held to the real one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lbctl.bundle.rpc import SupervisorClient
from lbctl.errors import SupervisorError
from lbctl.lab.wait import wait_until
from lbctl.programs import Program, Programs, ProgramState
from tests.fakes.programs import FakePrograms
from tests.supervisords import Supervisord, differs_from, has_pid, program, running, runs

pytestmark = pytest.mark.contract


def test_the_first_program_starts_at_once(tmp_path: Path) -> None:
    log = tmp_path / "supervisord.log"
    with running(tmp_path, program("web", "sleep 60"), is_asked=False):
        wait_until(
            lambda: log.exists() and "spawned: 'web'" in log.read_text(), 20, "a first start"
        )
    began, spawned = (
        datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007
        for what in ("supervisord started", "spawned: 'web'")
        for line in log.read_text().splitlines()
        if what in line
    )

    # Its own time, without Python's start: a turn of the loop that waits takes a second.
    assert spawned - began < timedelta(seconds=0.5)


def test_a_program_runs_when_startsecs_are_over_and_not_a_turn_later(tmp_path: Path) -> None:
    with running(tmp_path, program("web", "sleep 60", startsecs=1)) as supervisord:
        began = supervisord.until("web", has_pid)

        assert supervisord.until("web", runs) - began < 1.3


def test_a_killed_program_is_back_within_a_fifth_of_a_second(tmp_path: Path) -> None:
    with running(tmp_path, program("web", "sleep 60", startsecs=0)) as supervisord:
        for _ in range(3):
            supervisord.until("web", runs)
            pid = supervisord.programs()["web"].pid
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            again = supervisord.until("web", differs_from(pid))

            assert again - began < 0.2


def test_a_program_that_dies_at_once_is_tried_again_ever_later(tmp_path: Path) -> None:
    times = tmp_path / "times"
    command = f"sh -c 'date +%%s.%%N >> {times}; exit 1'"
    with running(tmp_path, program("web", command, startretries=100)) as supervisord:

        def starts() -> list[float]:
            return [float(line) for line in times.read_text().split()] if times.exists() else []

        supervisord.until("web", lambda _: len(starts()) >= 3, within_s=6)
        first, second, third = starts()[:3]

        assert 1.0 <= second - first < 1.3
        assert 2.0 <= third - second < 2.3


def test_programs_stop_one_after_the_other_without_a_pause(tmp_path: Path) -> None:
    order = tmp_path / "order"
    sections = [
        program(
            name,
            f'sh -c \'trap "echo {name} >> {order}; exit" TERM; echo up >> {order}; '
            f"while :; do sleep 0.01; done'",
            priority=priority,
        )
        for priority, name in enumerate(("first", "second", "third"))
    ]
    with running(tmp_path, *sections) as supervisord:
        supervisord.until("third", lambda _: order.exists() and order.read_text() == "up\n" * 3)
        began = time.monotonic()
        supervisord.process.terminate()
        supervisord.process.wait(5)

        assert time.monotonic() - began < 0.5
        assert order.read_text().split()[3:] == ["third", "second", "first"]


def test_an_idle_supervisord_takes_its_turn_once_a_second(tmp_path: Path) -> None:
    with running(tmp_path, program("web", "sleep 60", startsecs=0)) as supervisord:
        supervisord.until("web", runs)
        status = Path(f"/proc/{supervisord.process.pid}/status")

        def sleeps() -> int:
            return int(status.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])

        before = sleeps()
        with pytest.raises(subprocess.TimeoutExpired):
            supervisord.process.wait(2.0)

        assert sleeps() - before <= 6


def test_it_starts_everything_anew_with_its_wakeup(tmp_path: Path) -> None:
    with running(tmp_path, program("web", "sleep 60", startsecs=0)) as supervisord:
        supervisord.until("web", runs)
        pid = supervisord.programs()["web"].pid
        began = time.monotonic()
        supervisord.restart()
        while True:
            try:
                supervisord.until("web", lambda seen: seen.pid not in (0, pid))
                break
            except SupervisorError:
                assert time.monotonic() - began < 3

        assert time.monotonic() - began < 1.0


LISTENER = """
import asyncio, os, sys, time
from lbctl.bundle.events import listen_stdio
async def main():
    out = open(sys.argv[1], "a", buffering=1)
    async for event in listen_stdio():
        print(time.time(), event.program or "bundle", event.state, event.was, event.pid, file=out)
        if event.is_bundle_stopping:
            await asyncio.sleep(0.3)
            print(time.time(), "handled STOPPING", file=out)
    print(time.time(), "closed", file=out)
asyncio.run(main())
"""


def test_a_listener_hears_everything_at_once_and_the_end_first(tmp_path: Path) -> None:
    script, heard = tmp_path / "listener.py", tmp_path / "heard"
    script.write_text(LISTENER)
    listener = (
        f"[eventlistener:ears]\ncommand={sys.executable} {script} {heard}\nstartsecs=0\n"
        "events=PROCESS_STATE,SUPERVISOR_STATE_CHANGE\npriority=1\nbuffer_size=100\n"
        "stopsignal=CONT\nstopwaitsecs=1\n"
    )
    web = program("web", "sleep 60", startsecs=0, priority=3)
    command = "sh -c 'trap \"sleep 0.2; exit\" TERM; while :; do sleep 0.01; done'"
    slow = program("slow", command, startsecs=0, priority=2)
    with running(tmp_path, listener, web, slow) as supervisord:
        supervisord.until("ears", lambda _: heard.exists() and "web RUNNING" in heard.read_text())
        pid = supervisord.programs()["web"].pid
        killed_at = time.time()
        os.kill(pid, signal.SIGKILL)
        supervisord.until("ears", lambda _: f"web EXITED RUNNING {pid}" in heard.read_text())
        stopped_at = time.time()
        supervisord.process.terminate()
        supervisord.process.wait(5)

    lines = heard.read_text().splitlines()
    at = {line.partition(" ")[2]: float(line.split()[0]) for line in lines}
    assert at[f"web EXITED RUNNING {pid}"] - killed_at < 0.2
    assert at["bundle STOPPING UNKNOWN 0"] - stopped_at < 0.2
    # A slow handler holds nothing up: of what happened meanwhile it hears next, and it has time.
    handled = lines.index(next(line for line in lines if "handled STOPPING" in line))
    assert any(" web STOPPED STOPPING " in line for line in lines[handled:])
    assert any(" slow STOPPING RUNNING " in line for line in lines[handled:])


@pytest.fixture(scope="module")
def real_supervisord(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisord]:
    trap = "sh -c 'trap : USR2; while :; do sleep 0.05; done'"
    with running(
        tmp_path_factory.mktemp("real"),
        program("haproxy-01", trap, startsecs=0),
        program("haproxy-02", trap, startsecs=0),
        program("nginx", trap, startsecs=0),
        "[group:haproxy]\nprograms=haproxy-01,haproxy-02\n",
    ) as supervisord:
        for name in ("haproxy-01", "haproxy-02", "nginx"):
            supervisord.until(name, runs)
        yield supervisord


@pytest.fixture(params=["fake", "real"])
def programs(request: pytest.FixtureRequest) -> Programs:
    """Three programs that run; what a test changes it puts back."""
    if request.param == "real":
        supervisord: Supervisord = request.getfixturevalue("real_supervisord")
        return supervisord.client
    names = [("haproxy-01", "haproxy"), ("haproxy-02", "haproxy"), ("nginx", "nginx")]
    return FakePrograms(
        Program(name, group, ProgramState.RUNNING, pid=10 + number)
        for number, (name, group) in enumerate(names)
    )


async def reached(programs: Programs, name: str, state: ProgramState) -> Program:
    for _ in range(300):
        seen = (await programs.states())[name]
        if seen.state is state:
            return seen
        await asyncio.sleep(0.01)
    message = f"not in time: {seen}"
    raise AssertionError(message)


class TestPrograms:
    """What every Programs does: the fake, and the client of a real supervisord."""

    def test_states_are_by_name_with_group_and_pid(self, programs: Programs) -> None:
        states = asyncio.run(programs.states())

        assert {name: seen.group for name, seen in states.items()} == {
            "haproxy-01": "haproxy",
            "haproxy-02": "haproxy",
            "nginx": "nginx",
        }
        assert all(seen.name == name and seen.pid > 0 for name, seen in states.items())
        assert {seen.state for seen in states.values()} == {ProgramState.RUNNING}

    def test_stopped_stays_stopped_until_started(self, programs: Programs) -> None:
        async def stop_and_start() -> tuple[Program, Program]:
            await programs.stop("haproxy-02")
            await programs.stop("haproxy-02")
            stopped = await reached(programs, "haproxy-02", ProgramState.STOPPED)
            await programs.stop("haproxy-02")
            await programs.start("haproxy-02")
            await programs.start("haproxy-02")
            return stopped, await reached(programs, "haproxy-02", ProgramState.RUNNING)

        stopped, started = asyncio.run(stop_and_start())

        assert stopped.pid == 0
        assert started.pid > 0

    def test_signals_reach_a_program_and_a_group(self, programs: Programs) -> None:
        async def send() -> None:
            await programs.signal("haproxy-01", "USR2")
            await programs.signal_group("haproxy", "USR2")
            await programs.signal_group("nginx", "USR2")

        asyncio.run(send())

    def test_a_signal_to_one_that_does_not_run_is_refused(self, programs: Programs) -> None:
        async def send() -> None:
            await programs.stop("nginx")
            await reached(programs, "nginx", ProgramState.STOPPED)
            try:
                await programs.signal_group("nginx", "USR2")
                await programs.signal("nginx", "USR2")
            finally:
                await programs.start("nginx")
                await reached(programs, "nginx", ProgramState.RUNNING)

        with pytest.raises(SupervisorError, match="sending USR2 to nginx: refused: NOT_RUNNING"):
            asyncio.run(send())

    @pytest.mark.parametrize("verb", ["start", "stop"])
    def test_a_name_that_is_none_is_refused(self, programs: Programs, verb: str) -> None:
        with pytest.raises(SupervisorError, match="refused: BAD_NAME"):
            asyncio.run(getattr(programs, verb)("nobody"))

    @pytest.mark.parametrize("verb", ["signal", "signal_group"])
    def test_a_signal_to_a_name_that_is_none_is_refused(
        self, programs: Programs, verb: str
    ) -> None:
        with pytest.raises(SupervisorError, match="refused: BAD_NAME"):
            asyncio.run(getattr(programs, verb)("nobody", "USR2"))


def test_shutdown_stops_the_bundle(tmp_path: Path) -> None:
    with running(tmp_path, program("web", "sleep 60", startsecs=0)) as supervisord:
        asyncio.run(supervisord.client.shutdown())

        assert supervisord.process.wait(1) == 0


def test_a_group_can_be_signalled_while_the_bundle_stops(tmp_path: Path) -> None:
    """vipd has HAProxy finish its requests then; supervisor's own call is refused."""
    told = tmp_path / "told"
    script = tmp_path / "last.sh"
    script.write_text(f"trap 'touch {told}; exit 0' USR2; while :; do sleep 0.02; done\n")
    last = program("last", f"sh {script}", startsecs=0, priority=1)
    first = program("first", "sleep 60", startsecs=0, priority=9, stopsignal="CONT", stopwaitsecs=2)
    with running(tmp_path, last, first) as supervisord:
        asyncio.run(supervisord.client.shutdown())
        with pytest.raises(SupervisorError, match="SHUTDOWN_STATE"):
            asyncio.run(supervisord.client.signal("last", "USR2"))
        asyncio.run(supervisord.client.signal_group("last", "USR2"))

        assert supervisord.process.wait(4) == 0
        assert told.exists()


@pytest.mark.parametrize("_again", range(8))
def test_a_stop_between_fork_and_exec_is_not_lost(tmp_path: Path, _again: int) -> None:
    """Without the guard around fork one round in eight takes stopwaitsecs, ten seconds."""
    sections = [program(f"p{number}", "sleep 60", startsecs=0) for number in range(4)]
    log = tmp_path / "supervisord.log"
    with running(tmp_path, *sections) as supervisord:
        while "spawned: 'p3'" not in log.read_text():
            time.sleep(0.0005)
        supervisord.process.terminate()

        assert supervisord.process.wait(2) == 0


def test_nobody_at_the_socket_is_a_supervisor_error(tmp_path: Path) -> None:
    client = SupervisorClient(tmp_path / "none.sock")
    with pytest.raises(SupervisorError, match=r"none\.sock: stopping the bundle: No such file"):
        asyncio.run(client.shutdown())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "no answer in 0.2 s; whether it was done is unknown"),
        (b"", "unreadable answer"),
        (b"HTTP/1.0 500 Internal Server Error\r\n\r\n", "HTTP answer 'HTTP/1.0 500"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "not an XML-RPC reply"),
        (b"HTTP/1.0 200 OK\r\n\r\n<a><int>1</int></a>", "unreadable answer"),
        (b"HTTP/1.0 200 OK\r\n\r\n<a><array><value>x</value></array></a>", "unreadable answer"),
    ],
)
def test_every_way_to_answer_wrongly_is_a_supervisor_error(
    tmp_path: Path, answer: bytes | None, said: str
) -> None:
    async def ask() -> None:
        async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"</methodCall>")
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
            writer.close()
            is_closed.set()

        is_closed = asyncio.Event()
        async with await asyncio.start_unix_server(reply, tmp_path / "s"):
            try:
                await SupervisorClient(tmp_path / "s", timeout_s=0.2).states()
            finally:
                await is_closed.wait()

    with pytest.raises(SupervisorError, match=said):
        asyncio.run(ask())
