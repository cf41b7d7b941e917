"""What a host must have, from facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.haproxy.cpus import Cpus
from lbctl.launch.checks import (
    hook_problems,
    missing_capabilities,
    missing_programs,
    quota_problems,
    wanted_programs,
)
from lbctl.launch.host import CAPABILITIES, parse_capabilities
from lbctl.settings.model import Ha

ROOTS = {"SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "KILL"}


def test_missing_program_is_named_with_its_package() -> None:
    found = {"haproxy": None, "setpriv": None, "nginx": "/usr/sbin/nginx"}
    said = [problem.what for problem in missing_programs(found)]

    assert len(said) == 2
    assert "Debian package haproxy" in said[0]
    assert "Debian package util-linux" in said[1]


def test_ucarp_is_wanted_where_it_speaks() -> None:
    assert "ucarp" in wanted_programs(has_ucarp=True)
    assert "ucarp" not in wanted_programs(has_ucarp=False)


@pytest.mark.parametrize(
    ("ha", "cpus", "is_problem"),
    [
        (Ha(engine="native", advbase_ms=50), Cpus((0, 1), 0.5), True),
        (Ha(engine="native", advbase_ms=99), Cpus((0, 1), 1.5), True),
        (Ha(engine="native", advbase_ms=100), Cpus((0, 1), 0.5), False),
        (Ha(engine="native", advbase_ms=50, dead_ratio=6), Cpus((0, 1), 0.5), False),
        (Ha(engine="native", advbase_ms=50), Cpus((0, 1)), False),
        (Ha(advbase_ms=50), Cpus((0, 1), 0.5), False),
    ],
)
def test_under_a_quota_the_dead_time_must_outlast_its_period(
    ha: Ha, cpus: Cpus, is_problem: bool
) -> None:
    assert bool(quota_problems(ha, cpus)) is is_problem


def test_a_dead_time_too_short_is_told_with_the_value_that_would_do() -> None:
    ha = Ha(engine="native", advbase_ms=20, dead_ratio=7)
    (problem,) = quota_problems(ha, Cpus((0,), 0.25))

    assert "20 x ha.dead_ratio = 7 is 140 ms" in problem.what
    assert "to 0.25 CPUs" in problem.what
    assert "set ha.advbase_ms to 43 or more" in problem.what


def test_capabilities_of_a_group_are_named_with_their_options() -> None:
    problems = missing_capabilities(ROOTS, has_group=True, is_root=True)

    assert "--cap-add=NET_ADMIN" in str(problems[0])
    assert "--cap-add=NET_RAW" in str(problems[1])
    assert "Podman" in str(problems[1])


def test_without_a_group_no_network_capability_is_missed() -> None:
    assert missing_capabilities(ROOTS, has_group=False, is_root=True) == []


def test_root_that_cannot_be_another_user_is_told() -> None:
    (problem,) = missing_capabilities(ROOTS - {"SETUID"}, has_group=False, is_root=True)

    assert "SETUID" in problem.what


def test_user_needs_none_of_roots_capabilities() -> None:
    assert missing_capabilities(set(), has_group=False, is_root=False) == []


def test_effective_capabilities_are_read_by_bit() -> None:
    status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t0000000000003000\n"

    assert parse_capabilities(status) == {"NET_ADMIN", "NET_RAW"}
    assert parse_capabilities("CapEff:\tffffffffffffffff\n") == set(CAPABILITIES)
    assert parse_capabilities("") == set()


def test_shipped_hooks_run_here() -> None:
    assert hook_problems() == []


def test_hook_that_does_not_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "vip-up").write_text("#!/nowhere/python3\n")
    (tmp_path / "vip-up").chmod(0o755)
    (tmp_path / "vip-down").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    (tmp_path / "vip-down").chmod(0o755)
    problems = hook_problems(tmp_path)

    assert [Path(problem.where).name for problem in problems] == ["vip-up", "vip-down"]
    assert "broken" in problems[1].what
