"""Processes are asked side by side: one that is stuck costs nothing but what it would have said."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lbctl.daemons.scrape import ask
from lbctl.spec import HaproxyProcess
from tests.fakes.haproxy_runtime import raw_server


@contextmanager
def full_backlog(path: Path) -> Iterator[None]:
    """Listens on *path*, accepts nobody, and has no room for another one that waits."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        while True:
            link = stack.enter_context(socket.socket(socket.AF_UNIX))
            link.setblocking(False)
            try:
                link.connect(str(path))
            except BlockingIOError:
                break
        yield


def test_one_that_accepts_nobody_leaves_the_others_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.daemons.scrape.ANSWER_S", 1.0)
    some = [
        HaproxyProcess(number, name, str(tmp_path / name), "127.0.0.1", 8404 + number, None)
        for number, name in ((1, "stuck"), (2, "well"))
    ]
    with full_backlog(tmp_path / "stuck"), raw_server(tmp_path / "well", b"here\n\n"):
        answers, failures = ask(some)

    assert answers == {2: b"here\n\n"}
    assert failures == {1: f"{tmp_path}/stuck: Resource temporarily unavailable"}
