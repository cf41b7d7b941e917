from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lbctl.cli.handover import in_words
from lbctl.cli.status_view import draw, duration
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


def _drawn(status: dict[str, Any]) -> str:
    out = io.StringIO()
    draw(status, Console(file=out, width=100, highlight=False))
    return out.getvalue()


def test_one_glance_holds_what_matters() -> None:
    text = _drawn(_status())

    for wanted in (
        "lb1  MASTER since",
        "nobody else speaks",
        "up 1 h 06 m",
        "10.0.1.201/32 here, lease 2 s",
        "peer: none heard (a BACKUP is silent)",
        "silent for 3.2 s",
        "BACKUP -> MASTER: [why]",
    ):
        assert wanted in text
    assert "\x1b" not in text


def test_a_master_without_its_address_is_told() -> None:
    status = _status()
    status["ha"]["addresses"] = [{"address": "10.0.1.201/32", "present": False, "lease_s": None}]

    assert "10.0.1.201/32 is missing" in _drawn(status)


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (200.0, "3 m 20 s"),
        (18_060.0, "5 h 01 m"),
        (1_047_600.0, "12 d 3 h"),
    ],
)
def test_durations_are_readable(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_handover_is_told_in_words() -> None:
    report = {
        "drained_s": 1.52,
        "undrained": 2,
        "taken_over_by": "10.0.1.12",
        "takeover_ms": 412.4,
        "destroyed": 2,
        "off_ms": 1.25,
        "left": True,
    }

    assert in_words(report) == [
        "clients were waited for 1.5 s; 2 connections were left",
        "10.0.1.12 took over after 412 ms",
        "2 connections were reset",
        "this node gave the addresses away 1.2 ms later",
    ]
    assert in_words({"left": False})[-1] == "this node keeps the addresses"
