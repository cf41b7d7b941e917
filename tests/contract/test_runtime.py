"""The Runtime API of real HAProxy, 2.2, 2.6 and 3.0, and of the fake that stands for it."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.columns import has_rule
from lbctl.haproxy.process_facts import RULES as FACT_RULES
from lbctl.haproxy.readings import show_info, show_stat
from lbctl.haproxy.runtime import UnixRuntime
from lbctl.haproxy.table import Table
from tests.binaries import BINARIES
from tests.fakes.haproxy_runtime import UNKNOWN, runtime_server

pytestmark = pytest.mark.contract


CONFIGURATION = """
global
  stats socket {socket} mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind unix@{directory}/web.sock
  http-request set-var(txn.m) path,map({directory}/m.map)
  default_backend b
backend b
  server s1 unix@{directory}/nobody.sock check agent-check agent-addr 127.0.0.1 agent-port 9
"""

FAKE_ANSWERS = {
    "show info": "Name: HAProxy\nVersion: 2.6.12\nPid: 1\n",
    "show stat": "# pxname,svname,status,\nweb,FRONTEND,OPEN,\n",
    "set weight b/s1 50": "",
    "set weight b/nobody 1": "[3]: No such server.\n",
}


@pytest.fixture(params=[*BINARIES, "fake"])
def runtime(request: pytest.FixtureRequest) -> Iterator[UnixRuntime]:
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="lbctl-rt-"))
        path = Path(directory, "01.sock")
        if request.param == "fake":
            answers = lambda command: FAKE_ANSWERS.get(command, UNKNOWN)  # noqa: E731
            stack.enter_context(runtime_server(path, answers))
        else:
            configuration = Path(directory, "haproxy.cfg")
            Path(directory, "m.map").write_text("/a a\n")
            configuration.write_text(CONFIGURATION.format(socket=path, directory=directory))
            stack.enter_context(_haproxy(BINARIES[request.param], configuration, path))
        yield UnixRuntime(str(path))


def _haproxy(binary: str, configuration: Path, socket: Path) -> ExitStack:
    stack = ExitStack()
    argv = [binary, "-db", "-q", "-f", str(configuration)]
    process = stack.enter_context(subprocess.Popen(argv, stdout=subprocess.DEVNULL))
    stack.callback(process.terminate)
    deadline = time.monotonic() + 5
    while not socket.exists():
        assert process.poll() is None, "haproxy did not start"
        assert time.monotonic() < deadline, "haproxy did not listen within 5 s"
        time.sleep(0.01)
    return stack


def asked(runtime: UnixRuntime, command: str) -> str:
    return asyncio.run(runtime.ask(command))


def test_an_answer_comes_without_framing(runtime: UnixRuntime) -> None:
    text = asked(runtime, "show info")

    assert text.startswith("Name: HAProxy\n")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_what_is_done_in_silence_answers_nothing(runtime: UnixRuntime) -> None:
    assert asked(runtime, "set weight b/s1 50") == ""


@pytest.mark.parametrize(
    ("command", "reason"),
    [("set weight b/nobody 1", r"No such server\."), ("dance", "Unknown command")],
)
def test_a_refusal_is_an_error(runtime: UnixRuntime, command: str, reason: str) -> None:
    with pytest.raises(RuntimeApiError, match=f"'{command}': refused: {reason}"):
        asked(runtime, command)


def test_many_commands_on_one_connection_have_a_verdict_each(runtime: UnixRuntime) -> None:
    commands = ["set weight b/s1 50", "set weight b/nobody 1", "dance", "show info"] * 250
    answers = asyncio.run(runtime.ask_all(commands))

    assert [one.command for one in answers] == commands
    for silent, refused, unknown, told in zip(*([iter(answers)] * 4), strict=True):
        assert (silent.is_done, silent.text) == (True, "")
        assert refused.refusal == "No such server."
        assert unknown.refusal.startswith("Unknown command")
        assert told.text.startswith("Name: HAProxy\n")
        assert not told.text.endswith("\n\n")


def test_facts_and_statistics_are_read(runtime: UnixRuntime) -> None:
    assert int(asyncio.run(show_info(runtime))["Pid"]) > 0
    table = asyncio.run(show_stat(runtime))
    assert ("web", "FRONTEND", "OPEN") in table.cells("pxname", "svname", "status")


def test_sixty_four_at_once_wait_for_their_turn(runtime: UnixRuntime) -> None:
    """More than HAProxy's socket takes at a time (10) and more than its backlog."""

    async def many() -> list[str]:
        return await asyncio.gather(*(runtime.ask("show info") for _ in range(64)))

    assert all(text.startswith("Name: HAProxy") for text in asyncio.run(many()))


@pytest.mark.parametrize("runtime", ["2.6", "2.2"], indirect=True)
def test_every_column_and_every_number_of_a_real_haproxy_has_a_rule(runtime: UnixRuntime) -> None:
    table = asyncio.run(show_stat(runtime))
    facts = asyncio.run(show_info(runtime))

    assert [column for column in table.columns if not has_rule(column)] == []
    numeric = {key.replace(" ", "_") for key, value in facts.items() if value.isdecimal()}
    by_hand = {"Nbproc", "Process_num", "Pid", "Tainted"}
    assert numeric - {*FACT_RULES} - by_hand == set()


@pytest.mark.parametrize("runtime", ["2.6", "2.2"], indirect=True)
def test_csv_of_a_real_haproxy_is_written_as_it_was_read(runtime: UnixRuntime) -> None:
    asked(runtime, "disable server b/s1")
    text = asked(runtime, "show stat")

    assert Table.parse(text).to_csv() == text


@pytest.mark.parametrize("runtime", BINARIES, indirect=True)
def test_a_payload_reaches_a_real_haproxy(runtime: UnixRuntime) -> None:
    table = f"{Path(runtime.path).parent}/m.map"
    asyncio.run(runtime.ask(f"add map {table}", payload="/b b\n/c c\n"))

    assert [line.split()[1:] for line in asked(runtime, f"show map {table}").splitlines()] == [
        ["/a", "a"],
        ["/b", "b"],
        ["/c", "c"],
    ]
