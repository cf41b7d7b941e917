"""Real-time scheduling as the kernel gives it: in a child, with the right to it and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ASK = """
import os, sys, threading
from lbctl.ha.scheduling import be_prompt, settle
print(be_prompt())
print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR)
child = os.fork()
if child == 0:
    os._exit(os.sched_getscheduler(0) != os.SCHED_OTHER)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
settle()
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give rights away")


def _said(*rights: str) -> list[str]:
    command = ["setpriv", *rights, "--", sys.executable, "-c", ASK]
    ended = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    return ended.stdout.splitlines()


def test_with_the_right_to_it_vipd_runs_before_others_and_its_children_do_not() -> None:
    assert _said("--inh-caps=-all", "--ambient-caps=-all") == ["SCHED_RR 10", "True", "0"]


def test_without_sys_nice_it_goes_on_and_says_so() -> None:
    assert _said("--bounding-set=-sys_nice", "--inh-caps=-sys_nice") == [
        "normal: SYS_NICE is missing", "False", "0",
    ]  # fmt: skip
