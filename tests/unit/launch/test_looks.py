"""Checks of ha.track: what the daemons get, and what this host cannot look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.launch.host import Account
from lbctl.launch.looks import check_specs, look_problems, look_warnings
from lbctl.launch.privileges import Privileges
from lbctl.settings.model import Check, Ha
from lbctl.spec import CheckSpec
from tests.specs import group_spec

PRIVILEGES = Privileges("/usr/bin/setpriv", Account("somebody", 1234, 1234), is_root=False)
PROGRAMS = ("haproxy-01", "nginx", "ucarp", "vipd", "agent", "logd")


def specs(*checks: Check) -> tuple[CheckSpec, ...]:
    return check_specs(Ha(track=("haproxy", *checks)))


def problems_of(*checks: Check) -> list[str]:
    found = look_problems(specs(*checks), PRIVILEGES, PROGRAMS, [group_spec(interface="eth0")])
    return [str(problem) for problem in found]


def test_each_look_becomes_its_kind_and_words_are_none() -> None:
    found = specs(
        Check(name="h", http="http://a/", headers={"Host": "x"}, expect="204"),
        Check(name="t", tcp="a:1", rise=5, fall=7, severity=9, interval_s=0.5, timeout_s=0.1),
        Check(name="c", command=("/bin/true", "-x")),
        Check(name="l", link="eth1"),
        Check(name="p", program="nginx", fall=4),
    )

    assert found == (
        CheckSpec("h", "http", "http://a/", headers=(("Host", "x"),), expect=(204, 204)),
        CheckSpec("t", "tcp", "a:1", (), (), (200, 399), 0.5, 0.1, 5, 7, 9),
        CheckSpec("c", "command", argv=("/bin/true", "-x")),
        CheckSpec("l", "link", "eth1", rise=1, fall=1),
        CheckSpec("p", "program", "nginx", rise=1, fall=4),
    )


@pytest.mark.parametrize("program", ["haproxy", "haproxy-01", "nginx", "agent", "logd"])
def test_programs_of_the_bundle_can_be_watched(program: str) -> None:
    assert problems_of(Check(name="x", program=program)) == []


@pytest.mark.parametrize("program", ["haproxy-02", "ucarp", "vipd", "sshd"])
def test_other_programs_are_refused_with_those_that_there_are(program: str) -> None:
    (problem,) = problems_of(Check(name="x", program=program))

    assert problem == (
        f"ha.track x: {program} is no program of this bundle: one of haproxy, haproxy-01, nginx, "
        "agent, logd"
    )


def test_commands_must_be_files_that_the_user_may_run(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.write_text("#!/bin/sh\n")
    commands = ("/bin/true", str(closed), str(tmp_path), "/nowhere/look")
    problems = problems_of(
        *(Check(name=f"c{number}", command=(path,)) for number, path in enumerate(commands))
    )

    assert [problem.split(": ")[0] for problem in problems] == [
        "ha.track c1",
        "ha.track c2",
        "ha.track c3",
    ]
    assert "/nowhere/look is no file that user somebody may run" in problems[2]


def test_the_addresses_own_interface_needs_no_check() -> None:
    (problem,) = problems_of(Check(name="x", link="eth0"), Check(name="y", link="eth1"))

    assert "eth0 has the addresses, so that it is watched anyway" in problem


def test_a_link_that_is_not_there_is_a_warning() -> None:
    checks = specs(Check(name="x", link="nowhere0"), Check(name="y", link="lo"))
    (warning,) = look_warnings(checks)

    assert "there is no interface nowhere0" in warning
