"""SIGHUP to supervisord: the operator's word to read his files again, for the agent alone."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.lab.wait import wait_until
from tests.supervisords import Supervisord, program, running, runs

pytestmark = pytest.mark.contract

_AGENT = """
import os, signal, sys
signal.signal(signal.SIGHUP, lambda *_: os.write(out, b"hangup\\n"))
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(out, b"ready\\n")
while True:
    signal.pause()
"""


def agent(root: Path) -> str:
    """A program of that name, which writes down what it hears."""
    (root / "agent.py").write_text(_AGENT)
    return program("agent", f"{sys.executable} {root}/agent.py {root}/heard", startsecs=0)


def heard(root: Path) -> str:
    path = root / "heard"
    return path.read_text() if path.exists() else ""


def says(supervisord: Supervisord, what: str) -> Callable[[], bool]:
    return lambda: what in (supervisord.root / "supervisord.log").read_text()


def test_a_hangup_reaches_the_agent_and_restarts_nothing(tmp_path: Path) -> None:
    web = program("web", "sleep 60", startsecs=0)
    with running(tmp_path, agent(tmp_path), web) as supervisord:
        supervisord.until("web", runs)
        wait_until(lambda: heard(tmp_path) == "ready\n", 5, "the agent")
        before = supervisord.programs()
        supervisord.process.send_signal(signal.SIGHUP)
        wait_until(lambda: heard(tmp_path) == "ready\nhangup\n", 2, "the word")

        assert supervisord.programs() == before


def test_of_a_storm_of_hangups_the_last_one_is_heard_and_nothing_else_waits(
    tmp_path: Path,
) -> None:
    with running(tmp_path, agent(tmp_path)) as supervisord:
        wait_until(lambda: heard(tmp_path) == "ready\n", 5, "the agent")
        before = supervisord.programs()
        for _ in range(2000):
            supervisord.process.send_signal(signal.SIGHUP)
        during = supervisord.programs()
        wait_until(lambda: "hangup" in heard(tmp_path), 2, "the word")
        count = heard(tmp_path).count("hangup")
        supervisord.process.send_signal(signal.SIGHUP)
        wait_until(lambda: heard(tmp_path).count("hangup") > count, 2, "the last one")

        assert during == before == supervisord.programs()


def test_a_hangup_that_nobody_can_take_is_told_and_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path, program("web", "sleep 60", startsecs=0)) as supervisord:
        supervisord.until("web", runs)
        before = supervisord.programs()
        supervisord.process.send_signal(signal.SIGHUP)
        wait_until(says(supervisord, "SIGHUP: there is no agent"), 3, "a line in the log")

        assert supervisord.programs() == before


def test_a_hangup_at_the_same_moment_does_not_keep_a_stop_from_being_one(tmp_path: Path) -> None:
    with running(tmp_path, agent(tmp_path)) as supervisord:
        wait_until(lambda: heard(tmp_path) == "ready\n", 5, "the agent")
        supervisord.process.send_signal(signal.SIGSTOP)
        supervisord.process.send_signal(signal.SIGHUP)
        supervisord.process.send_signal(signal.SIGTERM)
        supervisord.process.send_signal(signal.SIGCONT)

        assert supervisord.process.wait(5) == 0
