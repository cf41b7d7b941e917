"""Services out of a real Consul, through a real bundle, to clients that ask all the time."""

from __future__ import annotations

import shutil

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.balancers import WEBS
from tests.consuls import ConsulAgent
from tests.finding import AT_ONCE_S, Finding, deregister, register, registered

pytestmark = pytest.mark.system

#: A question to a Consul that says nothing: the watch is asked along, then it is given up.
NOTICED_S = 15.0
#: From one attempt to the next, at most, and what an answer takes.
AGAIN_S = 15.0 + AT_ONCE_S
CROWD = ("--new=2", "--kept=10", "--path=/hello/v1")


def test_scaling_up_and_down_loses_no_request_and_reloads_nothing(
    here: Finding, consul: ConsulAgent
) -> None:
    before = here.workers()
    with here.crowd(*CROWD) as crowd:
        with registered(consul, "hello/v1", *tuple(WEBS)[2:]):
            here.wait_asks(set(WEBS), AT_ONCE_S)
        deregister(consul, "hello/v1", "w1")
        here.wait_asks({"w2"}, AT_ONCE_S)
        register(consul, "hello/v1", "w1")
        here.wait_asks({"w1", "w2"}, AT_ONCE_S)
        counted = crowd.counted()

    assert (counted.failed, counted.lost) == ({}, {})
    assert counted.new > 100
    assert here.workers() == before


def test_consul_that_is_killed_and_comes_back_costs_nothing(
    here: Finding, consul: ConsulAgent
) -> None:
    discovery = here.pid_of("discovery")
    with here.crowd(*CROWD) as crowd:
        consul.kill()
        said = here.wait_warning("consul", "keeping 1 service with 2 servers")
        shown = here.lbctl("status")
        consul.start()
        here.wait_source("consul", "live", AGAIN_S)
        with registered(consul, "hello/v1", "w3"):
            here.wait_asks({"w1", "w2", "w3"}, AT_ONCE_S)
        here.wait_asks({"w1", "w2"}, AT_ONCE_S)
        counted = crowd.counted()

    assert (counted.failed, counted.lost) == ({}, {})
    assert f"consul {consul.url}: " in said
    assert "failing" in shown
    assert "answers again after " in here.events("discovery")
    assert here.pid_of("discovery") == discovery


def test_a_cable_that_is_pulled_is_noticed_and_costs_nothing(
    here: Finding, hosts: Lab, consul: ConsulAgent
) -> None:
    discovery = here.pid_of("discovery")
    with here.crowd(*CROWD) as crowd:
        hosts.cut(hosts["b"])
        try:
            here.wait_source("consul", "failing", NOTICED_S)
        finally:
            hosts.heal(hosts["b"])
        with registered(consul, "hello/v1", "w4"):
            here.wait_asks({"w1", "w2", "w4"}, AGAIN_S)
        here.wait_asks({"w1", "w2"}, AT_ONCE_S)
        counted = crowd.counted()

    assert (counted.failed, counted.lost) == ({}, {})
    assert "no answer in " in here.events("discovery")
    assert here.pid_of("discovery") == discovery


def test_garbage_in_a_tag_is_named_and_all_else_serves(here: Finding, consul: ConsulAgent) -> None:
    garbage = [
        "rest",
        "lbctl.check.path=\nserver evil 10.0.0.1:80",
        "\x00",
        "",
        "lbctl.=",
        "=" * 999,
    ]
    with (
        here.crowd(*CROWD) as crowd,
        registered(consul, "bad", "w3", Tags=garbage),
        registered(consul, "odd", "w3", Tags=["rest", "lbctl.nonsense=1"]),
        registered(consul, "hello/v1", "w4", Tags=["rest", "lbctl.balance=heavy"]),
        registered(consul, "good", "w3"),
    ):
        here.wait_asks({"w3"}, AT_ONCE_S, "/good")
        here.wait_asks({"w1", "w2", "w4"}, AT_ONCE_S)
        said = "\n".join(here.told()["warnings"])
        refused = here.asks("/bad") | here.asks("/odd")
        counted = crowd.counted()
    wait_until(lambda: not here.told()["warnings"], AT_ONCE_S, "no warning", seen=here.told)

    assert (counted.failed, counted.lost) == ({}, {})
    assert refused == {"404"}
    assert "service bad: " in said
    assert "service odd: " in said
    assert "nonsense" in said
    assert "service hello/v1: hello/v1-w4 on node consul-host " in said
    assert "evil" not in here.run.haproxy_cfg.read_text()


def test_consul_that_has_lost_its_memory_is_not_believed_at_once(
    here: Finding, consul: ConsulAgent
) -> None:
    consul.kill()
    shutil.rmtree(consul.root / "data")
    consul.start()
    try:
        here.wait_source("consul", "doubted", AGAIN_S)
        said = here.wait_warning("keeping 1 service with 2 servers")
        asked = here.asks()
    finally:
        register(consul, "hello/v1", "w1", "w2")
    here.wait_source("consul", "live", AT_ONCE_S)

    assert "it says that it has no services any more" in said
    assert asked == {"w1", "w2"}
    here.wait_asks({"w1", "w2"}, AT_ONCE_S)


def test_limits_in_the_kv_go_over_the_operators(here: Finding, consul: ConsulAgent) -> None:
    path = here.run.haproxy_cfg
    consul.ask("PUT", "/v1/kv/service/haproxy/maxconn", b"1234")
    try:
        wait_until(lambda: "maxconn 1234" in path.read_text(), AT_ONCE_S, "maxconn 1234")
        here.wait_idle()
        events = here.lbctl("events")
    finally:
        consul.ask("DELETE", "/v1/kv/service/haproxy/maxconn")
    wait_until(lambda: "maxconn 1234" not in path.read_text(), AT_ONCE_S, "the own one")
    here.wait_idle()

    assert "consul sets haproxy.maxconn = 1234" in events
    assert here.asks() == {"w1", "w2"}
