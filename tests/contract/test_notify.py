"""What a service manager hears from a real supervisord."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.bundle.notify import KEPT
from lbctl.errors import SupervisorError
from tests.supervisords import Supervisord, program, running

pytestmark = pytest.mark.contract

#: supervisord's tick, and some time for a busy machine.
TICK_S = 5.0 + 2.0


class Manager:
    """Listens as systemd does."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(str(path))

    def next(self, within_s: float = 2.0) -> list[str]:
        """The assignments of the next message."""
        self._listener.settimeout(within_s)
        return self._listener.recv(4096).decode().split("\n")

    def until(self, word: str, within_s: float = 2.0) -> list[str]:
        """The message that holds *word*; others are left out."""
        while word not in (message := self.next(within_s)):
            pass
        return message

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(name="manager")
def _manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture(name="supervisord")
def _supervisord(tmp_path: Path, manager: Manager) -> Iterator[Supervisord]:
    sleeper = program("web", "sleep 60", startsecs=0)
    with running(tmp_path, sleeper, env={KEPT: str(tmp_path / "notify")}) as supervisord:
        yield supervisord


def tell(supervisord: Supervisord, status: str, *, is_ready: bool) -> bool:
    return asyncio.run(supervisord.client.tell(status, is_ready=is_ready))


def test_before_it_is_ready_a_start_asks_for_more_time_and_says_why(
    supervisord: Supervisord, manager: Manager
) -> None:
    is_heard = tell(supervisord, "INIT: nginx is\nBACKOFF", is_ready=False)

    assert is_heard
    told = manager.until("STATUS=INIT: nginx is BACKOFF")
    assert told == ["EXTEND_TIMEOUT_USEC=15000000", "STATUS=INIT: nginx is BACKOFF"]


def test_once_ready_it_stays_ready(supervisord: Supervisord, manager: Manager) -> None:
    tell(supervisord, "BACKUP of 10.0.1.12", is_ready=True)
    tell(supervisord, "role unknown", is_ready=False)

    assert manager.until("STATUS=BACKUP of 10.0.1.12")[0] == "READY=1"
    assert manager.until("STATUS=role unknown")[0] == "READY=1"


def test_a_loop_that_turns_gives_a_sign_of_life_and_a_frozen_one_gives_none(
    supervisord: Supervisord, manager: Manager
) -> None:
    manager.until("WATCHDOG=1", TICK_S)
    supervisord.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            manager.next(TICK_S)
    finally:
        supervisord.process.send_signal(signal.SIGCONT)

    assert manager.next(TICK_S) == ["WATCHDOG=1"]


def test_a_stop_is_told_and_nothing_after_it(supervisord: Supervisord, manager: Manager) -> None:
    supervisord.process.terminate()

    assert manager.until("STOPPING=1") == ["STOPPING=1", "STATUS=stopping"]
    supervisord.process.wait(5)
    with pytest.raises(TimeoutError):
        manager.next(0.0001)


def test_a_restart_is_no_stop_and_the_next_life_speaks_too(
    supervisord: Supervisord, manager: Manager
) -> None:
    supervisord.restart()

    assert manager.until("STATUS=starting all programs anew")
    assert _is_heard_as_ready(supervisord, manager)


def test_without_a_manager_nobody_is_told(tmp_path: Path) -> None:
    with running(tmp_path, program("web", "sleep 60", startsecs=0)) as supervisord:
        assert not tell(supervisord, "MASTER", is_ready=True)


def _is_heard_as_ready(supervisord: Supervisord, manager: Manager) -> bool:
    """Tell until it is heard: the old life drops what it is told, and then the socket is away."""
    for _ in range(100):
        try:
            tell(supervisord, "MASTER", is_ready=True)
            return manager.until("READY=1", 0.1) == ["READY=1", "STATUS=MASTER"]
        except (SupervisorError, TimeoutError):
            continue
    return False
