"""One sentence on the page: is it fine, and if not, what is worst."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.api.page.listing import backends
from lbctl.api.page.verdict import Verdict, trouble, verdict
from lbctl.follow.outlines import Outline
from lbctl.glance.hosts import addresses, hosts
from tests.pictures import backend, group, ha, peer, picture

WELL = [Outline("hello/v1", "hello:v1", ("lb.yaml",), ())]
UP = {"hello:v1": backend(2, 2)}
PAUSE = {"is_on": True, "by": "root@a", "why": "kernel"}


def judge(proxies: dict[str, Any] | None = None, **more: Any) -> Verdict:
    said = picture(**more)["status"]
    rows = backends(WELL, UP if proxies is None else proxies)
    return verdict(said, hosts(said), addresses(said), rows, trouble(said, rows))


def test_all_is_well_says_who_serves_what_and_who_stands_by() -> None:
    said = judge()

    assert said.text == "All is well: a serves 10.0.1.201, b stands by."
    assert said.why.endswith(": no other master heard")
    assert said.tone == "good"


@pytest.mark.parametrize(
    ("more", "text", "tone"),
    [
        ({"ha": None, "ha_error": "vipd.sock: no answer"}, "is not known", "bad"),
        ({"ha": ha(peer(), role="BACKUP")}, "Nobody is known to hold 10.0.1.201", "bad"),
        ({"ha": ha(peer("MASTER"))}, "More than one host holds 10.0.1.201", "bad"),
        ({"ha": ha(peer(seen_s_ago=9.0))}, "a serves 10.0.1.201, but b is silent", "bad"),
        ({"ha": ha(peer(groups=[group("BACKUP", faults=["nginx"])]))}, "but b has a fault", "bad"),
        ({"ha": ha()}, "but no other host stands by", "warn"),
        ({"ha": {**ha(peer()), "paused": PAUSE}}, "but moving is paused", "warn"),
        ({"warnings": ["nginx is BACKOFF"]}, "but 1 thing wants a look", "warn"),
        ({"ha": None}, "All is well: 1 service on 1 HAProxy process.", "good"),
    ],
)
def test_the_worst_thing_is_the_sentence(more: dict[str, Any], text: str, tone: str) -> None:
    said = judge(**more)

    assert text in said.text
    assert said.tone == tone


def test_a_service_without_a_server_spoils_it_and_is_named() -> None:
    said = picture()["status"]
    rows = backends(WELL, {"hello:v1": backend(0, 2)})

    found = trouble(said, rows)

    assert [(one.text, one.tone) for one in found] == [("no server: hello/v1", "bad")]
    assert judge({"hello:v1": backend(0, 2)}).text.endswith("but 1 of 1 service has no server.")
    assert judge({"hello:v1": backend(1, 2)}).text.endswith("but 1 service is not whole.")
