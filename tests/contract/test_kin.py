"""Which processes are a HAProxy program's kin, asked of the kernel. No HAProxy is needed for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lbctl.agent.kin import kill_kin, kill_strays
from tests.fakes.small_bundle import wait_until

pytestmark = pytest.mark.contract


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "proc-01.cfg"
    path.touch()
    return path


@contextmanager
def _named(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group that shows *argv*, and waits."""
    with subprocess.Popen(argv, executable="/usr/bin/tail", process_group=0) as process:
        shown = Path(f"/proc/{process.pid}/cmdline")
        try:
            # The kernel lets the parent go on a little before it shows the new words.
            wait_until(lambda: argv[0].encode() in shown.read_bytes(), within_s=2, what="exec")
            yield process
        finally:
            process.kill()


def test_a_stray_is_killed_and_a_descendant_is_not(cfg: Path) -> None:
    with _named("haproxy", "-f", str(cfg)) as ours, _named("/x/haproxy", "-f", str(cfg)) as stray:
        os.kill(stray.pid, signal.SIGSTOP)

        assert kill_strays(str(cfg), ours.pid) == (stray.pid,)
        assert stray.wait(2) == -signal.SIGKILL
        assert kill_strays(str(cfg), os.getpid()) == ()
        assert ours.poll() is None


def test_others_who_read_the_file_are_left_alone(cfg: Path) -> None:
    other = cfg.with_name("proc-02.cfg")
    other.touch()
    with ExitStack() as stack:
        bystanders = [
            stack.enter_context(_named(*argv))
            for argv in (
                ("less", "-f", str(cfg)),
                ("haproxy", "-c", "1000", "-f", str(cfg)),
                ("haproxy", "-f", str(other)),
            )
        ]

        assert kill_strays(str(cfg), 0) == ()
        assert kill_kin(str(cfg), bystanders[0].pid) == ()
        assert [process.poll() for process in bystanders] == [None] * 3


def test_all_kin_are_killed_the_stopped_ones_too(cfg: Path) -> None:
    with _named("haproxy", "-f", str(cfg)) as master, _named("haproxy", "-f", str(cfg)) as worker:
        os.kill(worker.pid, signal.SIGSTOP)

        assert kill_kin(str(cfg), master.pid) == tuple(sorted((master.pid, worker.pid)))
        assert master.wait(2) == worker.wait(2) == -signal.SIGKILL
