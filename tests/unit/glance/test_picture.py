"""What the live stream told, as one picture, and its proxies in order."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.glance.cell import Cell
from lbctl.glance.figures import bytes_per_s, short
from lbctl.glance.loud import headline, loud
from lbctl.glance.picture import Picture, Sort, rows, tone_of

SNAPSHOT = {
    "at": 10.0,
    "every_s": 2.0,
    "status": {"hostname": "lb1", "warnings": ["old"]},
    "traffic": {"sessions": 1},
    "proxies": {"a": {"status": "UP"}, "b": {"status": "UP"}},
    "silent": {},
    "events": [{"id": 4, "text": "four"}],
}


def proxy(status: str = "UP", **more: Any) -> dict[str, Any]:
    return {"status": status, "servers_up": 2, "servers": 2, "requests_per_s": 0.0, **more}


def test_changes_are_laid_over_the_snapshot() -> None:
    picture = Picture()
    picture.take("snapshot", SNAPSHOT)
    change = {"at": 12.0, "every_s": 4.0, "status": {"warnings": []}, "proxies": {"a": None}}
    picture.take("change", change)

    assert (picture.at, picture.every_s) == (12.0, 4.0)
    assert picture.status == {"hostname": "lb1", "warnings": []}
    assert picture.traffic == {"sessions": 1}
    assert [*picture.proxies] == ["b"]


def test_a_snapshot_after_a_reconnect_forgets_what_was() -> None:
    picture = Picture()
    picture.take("snapshot", SNAPSHOT)
    picture.take("snapshot", {**SNAPSHOT, "proxies": {"c": {"status": "UP"}}})

    assert [*picture.proxies] == ["c"]
    assert [event["id"] for event in picture.events] == [4]


def test_an_event_is_taken_once_and_a_strange_word_not_at_all() -> None:
    picture = Picture()
    picture.take("snapshot", SNAPSHOT)
    for number in (4, 5, 5):
        picture.take("event", {"id": number})
    picture.take("of a later version", {})

    assert [event["id"] for event in picture.events] == [4, 5]


@pytest.mark.parametrize(
    ("one", "tone"),
    [
        (proxy(), "good"),
        (proxy("OPEN", servers_up=None, servers=None), "good"),
        (proxy("DOWN", servers_up=0), "bad"),
        (proxy(servers_up=0), "bad"),
        (proxy("FULL", servers_up=None, servers=None), "bad"),
        (proxy(servers_up=1), "warn"),
        (proxy(queue=3), "warn"),
        ({**proxy(), "5xx_per_s": 0.5}, "warn"),
        (proxy(servers_up=0, servers=0), "good"),
    ],
)
def test_a_proxy_says_how_one_should_feel_about_it(one: dict[str, Any], tone: str) -> None:
    assert tone_of(one) == tone


PROXIES = {
    "quiet": proxy(),
    "busy": proxy(requests_per_s=50.0, bytes_in_per_s=None),
    "short": proxy(servers_up=1, sessions=9, bytes_out_per_s=7),
    "down": {**proxy("DOWN", servers_up=0), "5xx_per_s": 3.0},
}


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("trouble", ["down", "short", "busy", "quiet"]),
        ("rate", ["busy", "down", "quiet", "short"]),
        ("errors", ["down", "busy", "quiet", "short"]),
        ("sessions", ["short", "busy", "down", "quiet"]),
        ("bytes", ["short", "busy", "down", "quiet"]),
        ("name", ["busy", "down", "quiet", "short"]),
    ],
)
def test_proxies_come_in_the_order_that_is_asked_for(sort: Sort, names: list[str]) -> None:
    assert [row.name for row in rows(PROXIES, sort)] == names


def test_a_filter_is_a_part_of_the_name_in_whatever_case() -> None:
    assert [row.name for row in rows(PROXIES, "name", "US")] == ["busy"]


def test_a_row_counts_servers() -> None:
    (row,) = rows({"short": PROXIES["short"]})

    assert (row.servers, row.state) == (Cell("1/2", "warn"), Cell("UP", "good"))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"), (0, "0"), (0.3, "0.3"), (12.34, "12"), (987, "987"), (999.7, "1k"),
        (1234, "1.2k"), (123456, "123k"), (4e6, "4M"), (9.9e18, "9900P"),
    ],
)  # fmt: skip
def test_figures_are_short(number: float | None, text: str) -> None:
    assert short(number) == text


def test_bytes_have_their_unit() -> None:
    assert [bytes_per_s(one) for one in (None, 12, 4_200_000)] == ["-", "12 B/s", "4.2 MB/s"]


def test_the_worst_is_loudest_and_nothing_is_said_twice() -> None:
    status = {
        "ha": {
            "findings": [
                {"kind": "configuration differs", "text": "haproxy.cfg"},
                {"kind": "none MASTER", "text": "nobody answers"},
                {"kind": "paused", "text": "said by the pause"},
            ],
            "paused": {"by": "root", "is_on": True},
            "faults": ["nginx is FATAL"],
            "peers": [{"hostname": "lb2", "seen_s_ago": 60.0}],
        },
        "checks": [{"name": "web", "state": "fault", "what": "HTTP 503"}],
        "warnings": ["nginx is FATAL", "nginx is FATAL"],
    }

    assert [(cell.tone, cell.text.partition(";")[0]) for cell in loud(status)] == [
        ("bad", "none MASTER: nobody answers"),
        ("bad", "PAUSED by root"),
        ("bad", "lb2 is SILENT for 1 m 00 s: it is down, or cut off"),
        ("bad", "fault: nginx is FATAL"),
        ("warn", "configuration differs: haproxy.cfg"),
        ("warn", "check web: fault: HTTP 503"),
        ("warn", "nginx is FATAL"),
    ]


def test_a_node_without_a_role_says_so_in_its_own_tone() -> None:
    assert headline({"ha": None, "ha_error": "vipd: no answer"}) == Cell("role unknown", "bad")
    assert headline({"ha": None}) == Cell("no virtual IP")
