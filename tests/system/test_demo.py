"""The demo as a stranger runs it: one round, a round that fails, and the end by Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lbctl.errors import EXIT_OK, EXIT_VALIDATION
from lbctl.lab.story import Engine
from tests.pairs import Tell

pytestmark = pytest.mark.system

DEMO = (sys.executable, "-m", "lbctl", "demo")
ROUND_S = 90.0


def left_behind() -> set[str]:
    """Namespaces and directories of labs that exist now."""
    namespaces = Path("/run/netns")
    names = {path.name for path in namespaces.iterdir()} if namespaces.is_dir() else set()
    return names | {path.name for path in Path(tempfile.gettempdir()).glob("lbctl-lab-*")}


@pytest.mark.parametrize("engine", list(Engine))
def test_one_round_shows_each_step_with_its_outage_and_leaves_nothing(
    tell: Tell, engine: Engine
) -> None:
    before = left_behind()
    argv = [*DEMO, "--once", f"--engine={engine}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=ROUND_S, check=False)
    tell(done.stdout)

    assert done.returncode == EXIT_OK, done.stderr
    for step in ("handover", "planned stop", "host cut off", "host healed", "HAProxy killed"):
        assert re.search(rf"✓ {step}: .* client outage \d+ ms", done.stdout), step
    assert left_behind() == before


def test_a_vip_that_does_not_come_up_ends_it_with_an_error(tmp_path: Path) -> None:
    """An ucarp that never speaks: the steps before it are real."""
    silent = tmp_path / "ucarp"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    before = left_behind()
    done = subprocess.run(
        [*DEMO, "--once"],
        capture_output=True,
        text=True,
        timeout=ROUND_S,
        check=False,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )

    assert done.returncode == EXIT_VALIDATION
    assert "the virtual IP did not come back" in done.stderr
    assert left_behind() == before


def test_ctrl_c_ends_the_live_view_and_cleans_up() -> None:
    before = left_behind()
    ours, theirs = pty.openpty()
    with subprocess.Popen(DEMO, stdin=theirs, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        said = _read_until(ours, b"Ctrl-C", ROUND_S)
        demo.send_signal(signal.SIGINT)
        said += _read_until(ours, b"cleaning up", 10.0)
        code = demo.wait(timeout=20)
    os.close(ours)

    assert code == EXIT_OK, said.decode(errors="replace")[-2000:]
    assert left_behind() == before


def _read_until(descriptor: int, word: bytes, within_s: float) -> bytes:
    said = b""
    deadline = time.monotonic() + within_s
    while word not in said:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{word!r} was not said within {within_s} s: {said[-2000:]!r}"
        said += os.read(descriptor, 65536)
    return said
