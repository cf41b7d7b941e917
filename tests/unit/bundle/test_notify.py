"""Messages to the service manager: where they go, and what is left of its variables."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.bundle.notify import GIVEN, KEPT, Notifier, keep_for_supervisord


@pytest.fixture(params=["path", "abstract"], name="manager")
def _manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Its address as the variable has it, and the socket that it reads."""
    name = str(tmp_path / "notify") if request.param == "path" else f"lbctl-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(2.0)
        listener.bind(name if request.param == "path" else f"\0{name}")
        yield name if request.param == "path" else f"@{name}", listener


def test_a_message_arrives_in_one_piece(manager: tuple[str, socket.socket]) -> None:
    address, listener = manager
    Notifier.given({GIVEN: address}).send("READY=1", "STATUS=BACKUP of 10.0.1.12")

    assert listener.recv(4096) == b"READY=1\nSTATUS=BACKUP of 10.0.1.12"


@pytest.mark.parametrize("address", ["", "/none/at/all", "vsock:2:1234", "@lbctl-nobody"])
def test_nobody_who_listens_is_no_error(address: str) -> None:
    Notifier.given({GIVEN: address}).send("READY=1")


def test_a_manager_that_does_not_read_holds_nobody_up(manager: tuple[str, socket.socket]) -> None:
    address, listener = manager
    for number in range(2000):
        Notifier(address).send(f"STATUS={number}")

    assert listener.recv(4096) == b"STATUS=0"


def test_what_runs_on_knows_the_manager_by_a_name_that_only_lbctl_reads() -> None:
    environ = {GIVEN: "/run/systemd/notify", "WATCHDOG_USEC": "15", "WATCHDOG_PID": "1", "A": "b"}
    keep_for_supervisord(environ)

    assert environ == {KEPT: "/run/systemd/notify", "A": "b"}


def test_a_manager_that_is_not_there_is_not_inherited_from_an_outer_bundle() -> None:
    environ = {KEPT: "/run/systemd/notify"}
    keep_for_supervisord(environ)

    assert environ == {}
