from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lbctl.cli.status_view import draw
from tests.fakes.vipd import FakeVipd


def _status(**changes: Any) -> dict[str, Any]:
    status: dict[str, Any] = {
        "version": "1.0",
        "node": "0011223344556677",
        "hostname": "lb1",
        "uptime_s": 4000.0,
        "ha": FakeVipd(Path("/")).status(),
        "ha_error": None,
        "programs": [
            {"name": "nginx", "state": "RUNNING", "pid": 7, "uptime_s": 90.0, "restarts": 2},
            {"name": "ucarp", "state": "FATAL", "pid": 0, "uptime_s": None, "restarts": 0},
        ],
        "haproxy": {
            "version": "2.6.12",
            "processes": [
                {
                    "number": 1,
                    "cpu": 0,
                    "stats": "127.0.0.1:8001",
                    "answers": False,
                    "last_answer_s_ago": 3.25,
                }
            ],
        },
        "warnings": [],
        "events": [{"at": 1_700_000_000.0, "kind": "role", "text": "BACKUP -> MASTER: [why]"}],
    }
    return status | changes


def _drawn(status: dict[str, Any], width: int = 100) -> str:
    out = io.StringIO()
    draw(status, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def _group(vhid: int = 7, role: str = "BACKUP", **more: Any) -> dict[str, Any]:
    group = {"vhid": vhid, "vip": "10.0.1.201", "role": role, "since": 1_700_000_100.0}
    return {**group, "why": "ucarp listens", "advskew": 0, "faults": [], "severity": 0, **more}


def _other(**more: Any) -> dict[str, Any]:
    """What a greeting of the other host became."""
    return {
        "node": "8899aabbccddeeff",
        "hostname": "lb2",
        "address": "10.0.1.12",
        "version": "1.0",
        "engine": "ucarp",
        "groups": [_group()],
        "digests": {"haproxy.cfg": "aa", "certs": "bb"},
        "pause": None,
        "seen_s_ago": 0.4,
        "is_fresh": True,
        "clock_offset_s": 0.0,
        **more,
    }


def _with(*peers: dict[str, Any], **ha: Any) -> dict[str, Any]:
    status = _status(digests={"haproxy.cfg": "aa", "certs": "bb"})
    status["ha"] |= {"peers": list(peers), **ha}
    return status


def _row(text: str, label: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(label))


def test_one_glance_holds_what_matters() -> None:
    text = _drawn(_status())

    for wanted in (
        "lb1  MASTER since",
        "nobody else speaks",
        "up 1 h 06 m",
        "10.0.1.201/32   lb1, lease 2 s",
        "peer: none heard (a BACKUP is silent)",
        "silent for 3.2 s",
        "BACKUP -> MASTER: [why]",
    ):
        assert wanted in text
    assert "\x1b" not in text


def test_a_master_without_its_address_is_told() -> None:
    status = _status()
    status["ha"]["addresses"] = [{"address": "10.0.1.201/32", "present": False, "lease_s": None}]

    assert "MISSING on lb1, the MASTER" in _drawn(status)


def test_faults_peer_and_refused_packets_are_told() -> None:
    status = _status(warnings=["nginx is FATAL"])
    status["ha"] |= {
        "faults": ["haproxy is FATAL"],
        "peer": {"source": "10.0.1.12", "advbase": 1, "advskew": 0, "seen_s_ago": 0.5},
        "refused": {"bad digest": 3, "truncated": 0},
    }
    text = _drawn(status)

    assert "fault: haproxy is FATAL" in text
    assert "peer: 10.0.1.12, advbase 1, advskew 0, heard 0.5 s ago" in text
    assert "refused advertisements: 3 x bad digest" in text
    assert "! nginx is FATAL" in text


@pytest.mark.parametrize(
    ("error", "wanted"), [("vipd: no answer", "role unknown"), (None, "no virtual IP")]
)
def test_no_role_is_unknown_or_not_wanted(error: str | None, wanted: str) -> None:
    assert wanted in _drawn(_status(ha=None, ha_error=error))


def test_both_hosts_stand_side_by_side() -> None:
    text = _drawn(_with(_other()))
    lines = text.splitlines()

    assert lines[0] == "vhid 7: 10.0.1.201/32"
    assert lines[1].split() == ["host", "role", "for", "holds", "health", "heard"]
    assert lines[3].split()[:2] == ["lb1", "MASTER"]
    assert lines[3].endswith("10.0.1.201   well     this host")
    assert lines[4].split()[:2] == ["lb2", "BACKUP"]
    assert lines[4].endswith("-            well     0.4 s ago")
    assert "configuration of lb2: the same" in text


def test_a_wide_terminal_shows_moments_and_versions() -> None:
    row = _row(_drawn(_with(_other()), width=120), "lb2")

    assert "2023-11-14 " in row
    assert "1.0, ucarp" in row


def test_a_drift_names_its_parts() -> None:
    other = _other(digests={"haproxy.cfg": "xx", "certs": "bb"}, version="1.1")
    text = _drawn(_with(other), width=130)

    assert "configuration of lb2: differs: haproxy.cfg, lbctl 1.1, ucarp" in text


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"groups": [_group(faults=["nginx is FATAL"])]}, "fault: nginx is FATAL"),
        ({"groups": [_group(can_serve=False)]}, "cannot serve"),
        ({"seen_s_ago": 9.0, "is_fresh": False}, "SILENT for 9.0 s"),
        ({"seen_s_ago": 9.0}, "!! lb2 is SILENT for 9.0 s: it is down, or cut off"),
        ({"is_fresh": False}, "and does not"),
        ({"groups": []}, "lb2      none "),
    ],
)
def test_what_is_wrong_with_the_other_host_is_told(more: dict[str, Any], wanted: str) -> None:
    assert wanted in _drawn(_with(_other(**more)), width=130)


@pytest.mark.parametrize(
    ("own", "other", "wanted"),
    [
        ("MASTER", "BACKUP", "lb1, lease 2 s"),
        ("BACKUP", "MASTER", "lb2"),
        ("MASTER", "MASTER", "lb1, lease 2 s AND lb2"),
        ("BACKUP", "BACKUP", "nobody"),
    ],
)
def test_the_holder_of_an_address_is_named(own: str, other: str, wanted: str) -> None:
    held = [{"address": "10.0.1.201/32", "present": own == "MASTER", "lease_s": 2.5}]
    status = _with(_other(groups=[_group(role=other)]), role=own, addresses=held)

    told = _row(_drawn(status), "10.0.1.201/32").removeprefix("10.0.1.201/32").strip()
    assert told.split("   ")[0] == wanted


def test_an_address_on_a_backup_is_no_peace() -> None:
    held = [{"address": "10.0.1.201/32", "present": True, "lease_s": 2.5}]
    status = _with(_other(groups=[_group(role="MASTER")]), role="BACKUP", addresses=held)

    assert "lb1, which is no MASTER AND lb2" in _drawn(status)


def test_a_silent_master_holds_nothing_for_sure() -> None:
    silent = _other(groups=[_group(role="MASTER")], seen_s_ago=60.0, is_fresh=False)
    text = _drawn(_with(silent, role="BACKUP", addresses=[{"address": "a", "present": False}]))

    assert _row(text, "lb2").split()[1] == "MASTER?"
    assert "not known" in _row(text, "lb2")
    assert _row(text, "a ").split()[1] == "not"


def test_why_it_moved_is_the_word_of_who_took_it_last() -> None:
    newer = _other(groups=[_group(role="MASTER", why="lb1 resigned", since=1_700_009_999.0)])

    assert "lb1 resigned" in _row(_drawn(_with(newer)), "10.0.1.201/32")


def test_findings_and_a_pause_are_loud_and_stand_below_the_hosts() -> None:
    findings = [{"kind": "both MASTER", "text": "lb2 [10.0.1.12] too"}, {"kind": "paused"}]
    paused = {"by": "root@lb1", "why": "disks", "since": 1_700_000_000.0, "until": 1_700_003_600.0}
    lines = _drawn(_with(_other(), findings=findings, paused=paused), width=200).splitlines()

    assert lines[5] == "!! both MASTER: lb2 [10.0.1.12] too"
    assert lines[6].startswith("!! PAUSED by root@lb1 since 2023-11-1")
    assert lines[6].endswith(": disks; the addresses do not move, a dead master is not replaced")


def test_no_pause_is_no_word() -> None:
    assert "PAUSED" not in _drawn(_with(_other(), paused={"is_on": False, "by": "root"}))


def test_several_groups_have_a_line_each() -> None:
    second = {
        "vhid": 8,
        "role": "BACKUP",
        "since": 1_700_000_050.0,
        "why": "10.0.1.12 speaks",
        "addresses": [{"address": "10.0.1.202/32", "present": False, "lease_s": None}],
    }
    other = _other(groups=[_group(), _group(8, "MASTER", why="no other master heard")])
    text = _drawn(_with(other, groups=[{}, second]), width=120)

    assert "\nlb1  vhid 7 MASTER, vhid 8 BACKUP\n" in text
    assert text.splitlines()[5] == "vhid 8: 10.0.1.202/32"
    assert [line.split()[:2] for line in text.splitlines()[8:10]] == [
        ["lb1", "BACKUP"],
        ["lb2", "MASTER"],
    ]
    assert "no other master heard" in _row(text, "10.0.1.202/32")
    assert _row(text, "vhid 8 on eth0").startswith("vhid 8 on eth0 (10.0.1.11), ucarp")


def test_engine_interval_and_protection_are_told() -> None:
    text = _drawn(
        _with(
            engine="native",
            interval_ms=50,
            dead_time_s=0.15,
            scheduling="normal: SYS_NICE is missing",
            protection="10.0.1.12 runs ucarp: its advskew is not protected",
            loss=0.3,
            checks=[
                {"name": "web", "state": "fault", "what": "HTTP 503"},
                {"name": "db", "state": "unknown", "what": ""},
                {"name": "link", "state": "well", "what": "eth1 is up"},
            ],
        ),
        width=160,
    )

    assert "native, every 50 ms, dead after 0.15 s, advskew 0" in text
    assert "30% of the peer's are lost" in text
    assert "normal: SYS_NICE is missing" in text
    assert "its advskew is not protected" in text
    assert "! check web: fault: HTTP 503\n! check db: unknown: no answer yet\n" in text
    assert "eth1" not in text


def test_checks_are_told_while_vipd_says_nothing_of_them() -> None:
    checks = [{"name": "web", "is_well": False, "what": "HTTP 503"}, {"is_well": True}]

    assert "! check web: fault: HTTP 503" in _drawn(_status(checks=checks))


@pytest.mark.parametrize(
    ("ha", "wanted"),
    [
        ({"peers": []}, "other host: none has greeted"),
        ({}, "they do not greet each other"),
        ({"peers": [], "kin": ["b [red] (10.0.1.12)"]}, "other host: b [red] (10.0.1.12) greets"),
    ],
)
def test_an_unknown_other_host_is_told(ha: dict[str, Any], wanted: str) -> None:
    status = _status()
    status["ha"] |= ha

    assert wanted in _drawn(status)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = _other(hostname="a-host-with-a-long-name.example.org", version="0.1.0+dev.20261122")
    text = _drawn(_with(long), width=width)

    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text


@pytest.mark.parametrize("odd", [1e300, float("inf"), float("nan"), -1e300])
def test_odd_moments_end_no_status(odd: float) -> None:
    ha = FakeVipd(Path("/")).status()
    paused = {"by": "root", "why": "", "since": odd, "until": odd}
    ha |= {"since": odd, "paused": paused, "peers": [_other(groups=[_group(since=odd)])]}
    events = [{"at": odd, "kind": "role", "text": "BACKUP -> MASTER"}]
    text = _drawn(_status(ha=ha, events=events, uptime_s=odd))

    assert "PAUSED by root" in text
    assert "BACKUP -> MASTER" in text
