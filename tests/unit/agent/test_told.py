"""The line that ``systemctl status`` shows, and when a start is over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lbctl.agent.agent import Agent
from lbctl.agent.eventlog import EventLog
from lbctl.agent.told import condition, role_line, sentence, tell_forever
from lbctl.errors import SupervisorError
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramState
from lbctl.spec import HaproxyProcess
from tests.fakes.programs import FakePrograms
from tests.specs import bundle_spec

HERE = {"address": "10.0.1.201/32", "present": True}
AWAY = {"address": "10.0.1.202/32", "present": False}


def ha(role: str, **more: Any) -> dict[str, Any]:
    base = {"role": role, "link_up": True, "interface": "eth0", "addresses": [], "peer": None}
    return {**base, "faults": [], **more}


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (ha("INIT"), "INIT: not speaking yet"),
        (ha("INIT", link_up=False), "INIT: eth0 has no link"),
        (ha("BACKUP", peer={"source": "10.0.1.12"}), "BACKUP of 10.0.1.12"),
        (ha("BACKUP"), "BACKUP: no other node heard"),
        (ha("BACKUP", link_up=False), "BACKUP: eth0 has no link"),
        (ha("MASTER", addresses=[HERE]), "MASTER: holds 10.0.1.201/32"),
        (
            ha("MASTER", addresses=[HERE, AWAY]),
            "MASTER: holds 10.0.1.201/32; 10.0.1.202/32 missing",
        ),
        (ha("MASTER", addresses=[AWAY]), "MASTER: 10.0.1.202/32 missing"),
    ],
)
def test_the_line_names_role_and_addresses(seen: dict[str, Any], line: str) -> None:
    assert role_line(seen) == line


def test_what_is_wrong_stands_behind_it_once() -> None:
    line = sentence("BACKUP", ["nginx is FATAL"], ["nginx is FATAL", "no HAProxy process answers"])

    assert line == "BACKUP; fault: nginx is FATAL; not ready: no HAProxy process answers"


class Listener:
    """A service manager's ear that takes what it is told, until it has heard enough."""

    def __init__(self, enough: int, failures: int = 0) -> None:
        self.heard: list[tuple[bool, str]] = []
        self._enough = enough
        self._failures = failures

    async def tell(self, status: str, *, is_ready: bool) -> bool:
        if self._failures:
            self._failures -= 1
            message = "supervisord is away"
            raise SupervisorError(message)
        self.heard.append((is_ready, status))
        return len(self.heard) < self._enough


@pytest.fixture(name="agent")
def _agent(tmp_path: Path) -> Agent:
    """Of a plain balancer; none of its programs is known to run."""
    process = HaproxyProcess(1, "haproxy-01", str(tmp_path / "s"), "127.0.0.1", 9, None)
    spec = bundle_spec(
        processes=(process,), programs=("haproxy-01", "nginx"), state_dir=str(tmp_path)
    )
    return Agent(spec, RunDir(tmp_path), FakePrograms(), EventLog(tmp_path / "events", "n"))


def serve(agent: Agent) -> None:
    """Have it be so that everything runs and answers."""
    agent.table.sync({"nginx": Program("nginx", "nginx", ProgramState.RUNNING, pid=7)})
    agent.hang.health_by_number[1].answers = True


def test_a_node_that_does_not_serve_is_not_ready_and_says_why(agent: Agent) -> None:
    is_ready, line = asyncio.run(condition(agent))

    assert not is_ready
    assert line.endswith("not ready: no HAProxy process answers; not ready: nginx is UNKNOWN")


def test_a_plain_balancer_is_ready_when_its_programs_serve(agent: Agent) -> None:
    serve(agent)

    told = asyncio.run(condition(agent))

    assert told == (True, "no virtual IP; HAProxy 2.6.12, 1 process(es)")


def test_what_supervisord_did_not_pass_on_is_told_again(agent: Agent) -> None:
    serve(agent)
    listener = Listener(enough=1, failures=1)
    asyncio.run(asyncio.wait_for(tell_forever(agent, listener, every_s=0.0), 2.0))

    assert [is_ready for is_ready, _ in listener.heard] == [True]


def test_a_start_that_takes_long_is_told_of_in_every_turn(agent: Agent) -> None:
    listener = Listener(enough=3)
    asyncio.run(asyncio.wait_for(tell_forever(agent, listener, every_s=0.0), 2.0))

    assert len(set(listener.heard)) == 1
    assert len(listener.heard) == 3


def test_a_node_that_does_not_serve_for_minutes_counts_as_started_so_that_the_boot_goes_on(
    agent: Agent,
) -> None:
    listener = Listener(enough=1)
    asyncio.run(asyncio.wait_for(tell_forever(agent, listener, every_s=0.0, late_s=0.0), 2.0))

    ((is_ready, line),) = listener.heard
    assert is_ready
    assert "not ready: nginx is UNKNOWN" in line


def test_a_mistake_in_telling_ends_nothing(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Listener):
        async def tell(self, status: str, *, is_ready: bool) -> bool:
            if not self.heard:
                self.heard.append((is_ready, "odd"))
                raise KeyError(status)
            return await super().tell(status, is_ready=is_ready)

    listener = Odd(enough=2)
    asyncio.run(asyncio.wait_for(tell_forever(agent, listener, every_s=0.0), 2.0))

    assert len(listener.heard) == 2
    assert "the service manager is not told" in caplog.text
