"""The demo as a stranger runs it: one round, a round that fails, and the end by Ctrl-C."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lbctl.errors import EXIT_OK, EXIT_VALIDATION
from tests.demos import DEMO, ROUND_S, assert_is_complete, left_behind, one_round
from tests.pairs import Tell

pytestmark = pytest.mark.system


def test_one_round_shows_each_step_with_its_outage_and_leaves_nothing(tell: Tell) -> None:
    assert_is_complete(one_round(), tell)


def test_a_vip_that_does_not_come_up_ends_it_with_an_error(tmp_path: Path) -> None:
    """An ucarp that never speaks: the steps before it are real."""
    silent = tmp_path / "ucarp"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    shown = one_round(PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert shown.code == EXIT_VALIDATION
    assert "the virtual IP did not come back" in shown.complained
    assert shown.left == []


def test_ctrl_c_ends_the_live_view_and_cleans_up() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(DEMO, stdin=theirs, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        said = _read_until(ours, b"Ctrl-C", ROUND_S)
        assert left_behind(demo.pid)
        demo.send_signal(signal.SIGINT)
        said += _read_until(ours, b"cleaning up", 10.0)
        code = demo.wait(timeout=20)
    os.close(ours)

    assert code == EXIT_OK, said.decode(errors="replace")[-2000:]
    assert left_behind(demo.pid) == []


def _read_until(descriptor: int, word: bytes, within_s: float) -> bytes:
    said = b""
    deadline = time.monotonic() + within_s
    while word not in said:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{word!r} was not said within {within_s} s: {said[-2000:]!r}"
        said += os.read(descriptor, 65536)
    return said
