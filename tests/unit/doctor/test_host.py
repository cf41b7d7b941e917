"""Kernel, clock, directories, services, cloud: judged from facts."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lbctl.doctor.clock import Clock, judge_clock, read_clock
from lbctl.doctor.examine import default_interface
from lbctl.doctor.kernel import Kernel, judge_kernel, try_destroy, try_pidfd
from lbctl.doctor.row import Verdict, of_problems
from lbctl.doctor.surroundings import (
    cloud_here,
    judge_cloud,
    judge_directory,
    judge_units,
    look_at,
)
from lbctl.errors import Problem

GOOD = Kernel("6.1.0", "", "", "")


def verdicts(kernel: Kernel, *, is_native: bool = True) -> dict[str, Verdict]:
    rows = judge_kernel(kernel, is_native=is_native, has_group=True)
    return {row.check: row.verdict for row in rows}


def test_a_kernel_that_can_do_it_all_is_well() -> None:
    assert set(verdicts(GOOD).values()) == {Verdict.OK}


@pytest.mark.parametrize(
    ("kernel", "check", "verdict"),
    [
        (replace(GOOD, pidfd="Function not implemented"), "kernel", Verdict.WARN),
        (replace(GOOD, destroy="Operation not supported"), "connections", Verdict.WARN),
        (replace(GOOD, destroy=None), "connections", Verdict.UNKNOWN),
        (replace(GOOD, destroy="NET_ADMIN is missing"), "connections", Verdict.UNKNOWN),
        (replace(GOOD, real_time="Operation not permitted"), "real time", Verdict.WARN),
    ],
)
def test_what_a_kernel_lacks_is_a_warning(kernel: Kernel, check: str, verdict: Verdict) -> None:
    assert verdicts(kernel)[check] is verdict


def test_real_time_is_asked_of_the_native_engine_alone() -> None:
    assert "real time" not in verdicts(replace(GOOD, real_time="no"), is_native=False)


def test_a_try_ends_no_other_connection() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=1.0) as mine,
    ):
        accepted, _ = server.accept()
        with accepted:
            said = try_destroy()
            mine.sendall(b"still here")

            assert isinstance(said, str)
            assert accepted.recv(10) == b"still here"


def test_a_pidfd_is_tried_on_this_very_process() -> None:
    assert try_pidfd() == ""


@pytest.mark.parametrize(
    ("year", "is_synchronised", "verdict"),
    [
        (2030, True, Verdict.OK),
        (2030, False, Verdict.WARN),
        (2030, None, Verdict.UNKNOWN),
        (1970, True, Verdict.BAD),
        (2099, True, Verdict.BAD),
    ],
)
def test_the_clock_needs_a_year_and_a_master(
    year: int, is_synchronised: bool | None, verdict: Verdict
) -> None:
    at = datetime(year, 6, 1, tzinfo=UTC).timestamp()

    assert judge_clock(Clock(at, is_synchronised)).verdict is verdict


def test_the_kernel_says_whether_its_clock_is_disciplined() -> None:
    assert read_clock().is_synchronised in (True, False)


def test_a_directory_that_is_to_be_made_is_judged_by_its_parent(tmp_path: Path) -> None:
    directory = look_at("--run-dir", tmp_path / "run" / "lbctl")

    assert directory.nearest == tmp_path
    assert judge_directory(directory).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"may_write": False}, Verdict.BAD),
        ({"is_directory": False}, Verdict.BAD),
        ({"free_bytes": 1 << 20}, Verdict.WARN),
    ],
)
def test_a_directory_must_take_what_is_written(
    tmp_path: Path, change: dict[str, int], verdict: Verdict
) -> None:
    directory = replace(look_at("--state-dir", tmp_path), **change)  # type: ignore[arg-type]

    assert judge_directory(directory).verdict is verdict


def test_a_file_in_the_way_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")

    assert judge_directory(look_at("--run-dir", tmp_path / "run")).verdict is Verdict.BAD


def test_a_rival_that_runs_is_named_with_the_way_to_end_it() -> None:
    states = {"keepalived": "active", "haproxy": "inactive", "nginx": "failed", "ucarp": "inactive"}
    (row,) = judge_units(states)

    assert row.verdict is Verdict.WARN
    assert row.advice == "systemctl disable --now keepalived"


def test_services_are_unknown_without_systemd_and_well_when_none_runs() -> None:
    assert judge_units(None)[0].verdict is Verdict.UNKNOWN
    assert judge_units({"haproxy": "inactive"})[0].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("marks", "cloud"),
    [
        ({"sys_vendor": "Amazon EC2"}, "Amazon EC2"),
        (
            {"sys_vendor": "Google", "product_name": "Google Compute Engine"},
            "Google Compute Engine",
        ),
        (
            {
                "sys_vendor": "Microsoft Corporation",
                "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77",
            },
            "Microsoft Azure",
        ),
        ({"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"}, ""),
        ({}, ""),
    ],
)
def test_a_cloud_is_known_by_its_firmware(
    tmp_path: Path, marks: dict[str, str], cloud: str
) -> None:
    for name, text in marks.items():
        (tmp_path / name).write_text(f"{text}\n")

    assert cloud_here(tmp_path) == cloud


def test_a_cloud_is_a_warning_which_named_peers_make_smaller() -> None:
    without, named = (judge_cloud("Amazon EC2", has_peers=one) for one in (False, True))

    assert (without.verdict, named.verdict) == (Verdict.WARN, Verdict.WARN)
    assert "ha.peers" in without.advice
    assert "multicast" not in named.found
    assert judge_cloud("", has_peers=False).verdict is Verdict.OK


def test_a_problem_is_split_into_what_was_found_and_what_to_do() -> None:
    problem = Problem("nginx", "nginx is not installed: install the Debian package nginx")
    (row,) = of_problems("programs", [problem], "")

    assert row.found == "nginx is not installed"
    assert row.advice == "install the Debian package nginx"


def test_the_default_route_with_the_lowest_metric_counts(tmp_path: Path) -> None:
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    lines = [
        "eth0\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
        "eth1\t00000000\t0101000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n",
        "eth2\t00000000\t0102000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
    ]
    routes = tmp_path / "route"
    routes.write_text(head + "".join(lines))

    assert default_interface(routes) == "eth2"
    routes.write_text(head + lines[0])
    assert default_interface(routes) == ""
