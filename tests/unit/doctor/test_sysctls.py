"""Kernel settings: read from a tree as /proc/sys is, judged for a group's interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.doctor.row import Row, Verdict
from lbctl.doctor.sysctls import Setting, Sysctls, judge_sysctls, read_sysctls

PLAIN = Setting("eth0", ("10.0.1.201/32",), own="10.0.1.11/24", mtu=1500)
TWO = Setting("eth0", ("10.0.1.201/32",), own="10.0.1.11/24", neighbours=("eth1",), mtu=1500)
SIX = Setting("eth0", ("10.0.1.201/32", "fd00::1/128"), own="10.0.1.11/24", mtu=1500)


def row_of(check: str, values: Sysctls, setting: Setting) -> Row | None:
    rows = [row for row in judge_sysctls(values, setting) if row.check == check]
    return rows[0] if rows else None


def verdict_of(check: str, values: Sysctls, setting: Setting) -> Verdict | None:
    row = row_of(check, values, setting)
    return row.verdict if row else None


@pytest.mark.parametrize(
    ("ignore", "setting", "verdict"),
    [
        (0, PLAIN, Verdict.OK),
        (1, PLAIN, Verdict.OK),
        (8, PLAIN, Verdict.BAD),
        (0, TWO, Verdict.WARN),
        (1, TWO, Verdict.OK),
    ],
)
def test_arp_ignore_matters_where_it_silences_or_where_two_would_answer(
    ignore: int, setting: Setting, verdict: Verdict
) -> None:
    assert verdict_of("arp_ignore", Sysctls({"arp_ignore": ignore}), setting) is verdict


def test_arp_announce_matters_beside_another_interface_in_the_subnet_alone() -> None:
    assert verdict_of("arp_announce", Sysctls({"arp_announce": 0}), TWO) is Verdict.WARN
    assert verdict_of("arp_announce", Sysctls({"arp_announce": 2}), TWO) is None
    assert verdict_of("arp_announce", Sysctls({"arp_announce": 0}), PLAIN) is None


@pytest.mark.parametrize(
    ("value", "default_by", "verdict"),
    [
        (0, "eth1", Verdict.OK),
        (2, "eth1", Verdict.OK),
        (1, "eth0", Verdict.OK),
        (1, "", Verdict.OK),
        (1, "eth1", Verdict.WARN),
    ],
)
def test_strict_rp_filter_matters_where_the_way_back_is_another(
    value: int, default_by: str, verdict: Verdict
) -> None:
    setting = Setting("eth0", ("10.0.1.201/32",), default_by=default_by)

    assert verdict_of("rp_filter", Sysctls({"rp_filter": value}), setting) is verdict


@pytest.mark.parametrize(
    ("promote", "cidrs", "verdict"),
    [
        (0, ("10.0.1.201/32",), None),
        (0, ("10.0.1.201/24",), Verdict.WARN),
        (1, ("10.0.1.201/24",), None),
        (0, ("10.9.0.1/24", "10.9.0.2/24"), Verdict.WARN),
        (0, ("10.9.0.1/24",), None),
        (0, ("fd00::1/64", "fd00::2/64"), None),
    ],
)
def test_secondaries_are_lost_where_addresses_share_a_subnet(
    promote: int, cidrs: tuple[str, ...], verdict: Verdict | None
) -> None:
    setting = Setting("eth0", cidrs, own="10.0.1.11/24")
    values = Sysctls({"promote_secondaries": promote})

    assert verdict_of("promote_secondaries", values, setting) is verdict


def test_ipv6_is_asked_for_by_an_ipv6_address_alone() -> None:
    off = Sysctls(ipv6_off=True)

    assert verdict_of("IPv6", off, SIX) is Verdict.BAD
    assert verdict_of("IPv6", off, PLAIN) is None
    assert verdict_of("IPv6", Sysctls(), SIX) is Verdict.OK


def test_a_small_mtu_is_told_as_the_cause_of_missing_ipv6() -> None:
    small = Setting("eth0", ("10.0.1.201/32", "fd00::1/128"), mtu=1200)
    row = row_of("IPv6", Sysctls(ipv6_off=None), small)

    assert row is not None
    assert row.verdict is Verdict.BAD
    assert "MTU of 1200" in row.found


def test_routing_is_told_and_is_no_fault() -> None:
    row = row_of("ip_forward", Sysctls(ip_forward=True), PLAIN)

    assert row is not None
    assert (row.verdict, row.found[:1]) == (Verdict.OK, "1")


def test_migration_is_offered_to_several_processes_where_the_kernel_has_it() -> None:
    several = Setting("eth0", ("10.0.1.201/32",), processes=2)

    assert row_of("tcp_migrate_req", Sysctls(tcp_migrate_req=0), several) is not None
    assert row_of("tcp_migrate_req", Sysctls(tcp_migrate_req=None), several) is None
    assert row_of("tcp_migrate_req", Sysctls(tcp_migrate_req=0), PLAIN) is None


def made(root: Path, **values: int) -> Path:
    for name, value in values.items():
        path = root / "net" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return root


def test_the_higher_of_all_and_the_interface_counts(tmp_path: Path) -> None:
    root = made(
        tmp_path,
        ipv4__conf__all__rp_filter=2,
        ipv4__conf__eth0__rp_filter=1,
        ipv4__conf__all__arp_ignore=0,
        ipv4__conf__eth0__arp_ignore=8,
    )

    assert read_sysctls("eth0", root).ipv4 == {"rp_filter": 2, "arp_ignore": 8}


def test_an_interface_with_a_dot_in_its_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "net/ipv6/conf/eth0.7").mkdir(parents=True)
    (tmp_path / "net/ipv6/conf/eth0.7/disable_ipv6").write_text("1\n")

    assert read_sysctls("eth0.7", tmp_path).ipv6_off is True


def test_what_cannot_be_read_is_no_finding(tmp_path: Path) -> None:
    rows = judge_sysctls(read_sysctls("eth0", tmp_path), PLAIN)

    assert {row.verdict for row in rows} == {Verdict.OK}


def test_settings_that_cannot_be_changed_here_are_told() -> None:
    assert row_of("sysctls", Sysctls(is_read_only=True), PLAIN) is not None
    assert row_of("sysctls", Sysctls(), PLAIN) is None
