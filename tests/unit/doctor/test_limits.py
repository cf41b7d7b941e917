"""Open files against what a haproxy.cfg asks for; a quota against the dead time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lbctl.doctor.limits import Appetite, appetite_of, judge_open_files, judge_quota, open_files
from lbctl.doctor.row import Verdict
from lbctl.haproxy.cpus import Cpus
from lbctl.settings.model import Ha


@pytest.mark.parametrize(
    ("text", "descriptors"),
    [
        ("global\n maxconn 400\n", 828),
        ("global\n maxconn 4096\ndefaults\n maxconn 9\n", 8220),
        ("defaults\n maxconn 9000\n", 0),
        ("global\n maxconn 400\n ulimit-n 5000\n", 5000),
        ("global\n maxconn 1\nglobal\n maxconn 400\n", 828),
        ("", 0),
    ],
)
def test_the_global_section_says_how_many_descriptors_are_asked_for(
    text: str, descriptors: int
) -> None:
    assert appetite_of(text).descriptors == descriptors


@pytest.mark.parametrize(
    ("text", "is_strict"),
    [("global\n no strict-limits\n", False), ("global\n strict-limits\n", True), ("", True)],
)
def test_limits_are_strict_unless_the_file_says_otherwise(text: str, is_strict: bool) -> None:
    assert appetite_of(text).is_strict is is_strict


@pytest.mark.parametrize(
    ("appetite", "hard", "verdict"),
    [
        (Appetite(400), 828, Verdict.OK),
        (Appetite(400), 827, Verdict.BAD),
        (Appetite(400, is_strict=False), 827, Verdict.WARN),
        (Appetite(), 100, Verdict.OK),
    ],
)
def test_too_few_open_files_keep_a_strict_haproxy_from_starting(
    appetite: Appetite, hard: int, verdict: Verdict
) -> None:
    assert judge_open_files(appetite, hard, is_running=False).verdict is verdict


def test_the_limit_of_the_bundle_that_runs_counts() -> None:
    argv = ["sh", "-c", "ulimit -n 321; echo ready; read _"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        limit = open_files(process.pid)
        process.communicate(b"\n")

    assert limit == 321


def test_without_a_bundle_it_is_the_own_limit() -> None:
    told = Path(f"/proc/{os.getpid()}/limits").read_text()

    assert str(open_files(None)) in told


@pytest.mark.parametrize(
    ("quota", "advbase_ms", "verdict"),
    [(None, 20, Verdict.OK), (0.5, 100, Verdict.OK), (0.5, 99, Verdict.BAD)],
)
def test_a_quota_asks_for_a_dead_time_of_300_ms(
    quota: float | None, advbase_ms: int, verdict: Verdict
) -> None:
    ha = Ha(engine="native", advbase_ms=advbase_ms, dead_ratio=3)
    (row,) = judge_quota(ha, Cpus((0, 1), quota))

    assert row.verdict is verdict
