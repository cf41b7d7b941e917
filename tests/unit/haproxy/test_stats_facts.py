from __future__ import annotations

import pytest

from lbctl.haproxy.process_facts import format_facts, merge_facts, parse_facts

ONE = {
    "Name": "HAProxy",
    "Nbproc": "1",
    "Process_num": "1",
    "Pid": "100",
    "Uptime": "0d 1h00m00s",
    "Uptime_sec": "3600",
    "Maxconn": "4096",
    "CurrConns": "3",
    "ConnRate": "10",
    "ConnRateLimit": "0",
    "MaxConnRate": "15",
    "Idle_pct": "90",
    "Unstoppable Jobs": "1",
    "node": "lb1",
    "Tainted": "0",
}
TWO = {
    **ONE,
    "Pid": "101",
    "Uptime": "0d 0h00m05s",
    "Uptime_sec": "5",
    "CurrConns": "4",
    "MaxConnRate": "12",
    "Idle_pct": "71",
    "Tainted": "0x12",
}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("Name", "HAProxy"),
        ("Nbproc", "2"),
        ("Process_num", "1"),
        ("Pid", "100"),
        ("Pids", "100 101"),
        ("Uptime", "0d 0h00m05s"),
        ("Uptime_sec", "5"),
        ("Maxconn", "8192"),
        ("CurrConns", "7"),
        ("ConnRateLimit", "0"),
        ("MaxConnRate", "20"),
        ("Idle_pct", "80"),
        ("Unstoppable Jobs", "2"),
        ("node", "lb1"),
        ("Tainted", "0x12"),
    ],
)
def test_each_fact_has_its_own_rule(key: str, expected: str) -> None:
    assert merge_facts([ONE, TWO])[key] == expected


def test_facts_are_written_as_they_were_read() -> None:
    text = "Name: HAProxy\ndescription: \nBuild info: 2.6: x\n"

    assert parse_facts(text)["Build info"] == "2.6: x"
    assert format_facts(parse_facts(text)) == text


def test_no_process_has_no_facts() -> None:
    assert merge_facts([]) == {}
