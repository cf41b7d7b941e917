"""``POST /v1/registry`` at one of two bundles that keep it in the same Consul."""

from __future__ import annotations

import json

import pytest

from lbctl.lab.wait import wait_until
from tests.balancers import WEBS
from tests.finding import AT_ONCE_S, Finding
from tests.registries import Plain, candidate, plain, runs

pytestmark = pytest.mark.system

#: The other one's discovery may still have to be found out.
HUNG_S = 45.0
BACK_S = 5.0


def _payload(service: str, *webs: str) -> Plain:
    """*webs* run, and are new."""
    ips = {name: WEBS[name] for name in webs}
    path = {"configMode": "path", "predicate": f"/{service}"}
    return plain(runs(service, **ips), candidate(service, path, **ips), table=service)


def test_who_is_answered_is_served(here: Finding) -> None:
    status, text = here.post(_payload("app", "w1", "w2"))
    asked = here.asks("/app")
    fewer, _ = here.post(plain(runs("app", w2=WEBS["w2"]), table="app"))

    assert (status, fewer) == (200, 200)
    assert text == here.run.haproxy_cfg.read_text() or f"server w1 {WEBS['w1']}" in text
    assert asked == {"w1", "w2"}
    assert here.asks("/app") == {"w2"}


def test_a_payload_for_a_registry_that_was_just_killed_is_taken(here: Finding) -> None:
    here.post(_payload("before", "w3"))
    here.hurt("discovery")
    status, text = here.post(_payload("after", "w4"), "application/json")

    assert status == 200, text
    assert [one["name"] for one in json.loads(text)["services"]] == ["after"]
    assert here.asks("/after") == {"w4"}
    assert here.asks("/before") == {"w3"}


def test_a_bad_payload_changes_nothing(here: Finding) -> None:
    here.post(_payload("app", "w1"))
    status, text = here.post(_payload("app") | {"candidates": [{"serviceName": 7}]})

    assert status == 400
    assert "candidates[0].serviceName" in text
    assert here.asks("/app") == {"w1"}


def test_what_is_posted_at_one_host_is_served_by_the_other(here: Finding, hung: Finding) -> None:
    wait_until(lambda: hung.events("hang"), HUNG_S, "it is found out", every_s=0.5)
    hung.wait_source("registry", "live", BACK_S)
    here.post(_payload("shared", "w1", "w2"))
    hung.wait_asks({"w1", "w2"}, AT_ONCE_S, "/shared")
    hung.post(plain(runs("shared", w2=WEBS["w2"]), table="shared"))
    here.wait_asks({"w2"}, AT_ONCE_S, "/shared")

    assert hung.asks("/shared") == {"w2"}
