"""What asks the sources is killed, or stands still: what they have said goes on serving."""

from __future__ import annotations

import pytest

from lbctl.lab.wait import wait_until
from tests.consuls import ConsulAgent
from tests.finding import AT_ONCE_S, Finding, registered

pytestmark = pytest.mark.system

#: A silence of 40 s is a hang; then another one starts, and asks.
HUNG_S = 40.0 + 5.0
#: supervisord starts it again, it imports what it needs, and asks.
BACK_S = 5.0


def test_discovery_killed_is_back_and_nothing_is_lost(here: Finding, consul: ConsulAgent) -> None:
    before = here.workers()
    with here.crowd("--new=2", "--kept=10", "--path=/hello/v1") as crowd:
        here.hurt("discovery")
        with registered(consul, "hello/v1", "w3"):
            here.wait_asks({"w1", "w2", "w3"}, BACK_S)
            here.hurt("discovery")
        here.wait_asks({"w1", "w2"}, BACK_S)
        counted = crowd.counted()

    assert (counted.failed, counted.lost) == ({}, {})
    assert here.workers() == before
    assert "discovery" in here.lbctl("events")


def test_discovery_and_agent_killed_at_once_lose_nothing(
    here: Finding, consul: ConsulAgent
) -> None:
    before = here.workers()
    with here.crowd("--new=2", "--kept=10", "--path=/hello/v1") as crowd:
        consul.kill()
        for name in ("discovery", "agent"):
            here.hurt(name)
        here.wait_idle()
        here.wait_source("consul", "failing", BACK_S)
        kept = here.wait_warning("keeping 1 service with 2 servers")
        asked = here.asks()
        consul.start()
        here.wait_source("consul", "live", 15.0 + AT_ONCE_S)
        counted = crowd.counted()

    assert (counted.failed, counted.lost) == ({}, {})
    assert asked == {"w1", "w2"}
    assert "last heard " in kept
    assert here.workers() == before


def test_discovery_that_hangs_is_found_out_and_started_anew(
    hung: Finding, consul: ConsulAgent
) -> None:
    asked = hung.asks()
    with registered(consul, "late", "w2"):
        wait_until(lambda: hung.events("hang"), HUNG_S, "the event", every_s=0.5)
        hung.wait_asks({"w2"}, BACK_S, "/late")

    assert asked == {"w1", "w2"}
    assert "discovery.sock: GET /watch: nothing more came for 40 s: killed" in hung.events("hang")
