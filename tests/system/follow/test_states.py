"""The operator's word on a server: on all processes, whatever happens to them afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from lbctl.haproxy.runtime import UnixRuntime
from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.balancers import BACK_S, WEBS, Balancer, balancer

pytestmark = pytest.mark.system

STOP_S = 10.0
OWN_CFG = f"""\
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind :80
    use_backend hello:v1 if {{ path_beg /hello/v1 }}
    default_backend mine
backend mine
    server x {WEBS["w3"]}
    server y {WEBS["w4"]}
"""


def _words(one: Balancer, wish: str, *words: str) -> list[str]:
    return one.lbctl("server", wish, *words).splitlines()


def test_drained_server_gets_nothing_on_any_process_until_it_is_ready(here: Balancer) -> None:
    told = _words(here, "drain", "hello/v1/w1")
    drained = here.asks()
    kept = json.loads(here.state.server_states.read_text())["servers"]
    shown = here.lbctl("services")
    differs = here.lbctl("render", "--diff")
    ready = _words(here, "ready", f"hello:v1/{WEBS['w1']}")

    assert told == [f"haproxy-0{n} (0{n}): hello:v1/w1: drain, weight 100, up" for n in (1, 2)]
    assert drained == {"w2"}
    assert [(one["server"], one["admin"]) for one in kept] == [("w1", "drain")]
    assert "drain" in shown
    assert differs == ""
    assert ready == [line.replace("drain", "ready") for line in told]
    assert here.asks() == {"w1", "w2"}


def test_a_server_that_does_not_exist_is_told_with_those_that_do(here: Balancer) -> None:
    said = here.lbctl("server", "drain", "hello/v1/w9", code=11)

    assert "hello/v1/w9: no such server" in said
    assert "hello:v1/w1" in said


def test_weight_and_maint_survive_a_reload_and_the_death_of_every_haproxy(here: Balancer) -> None:
    _words(here, "weight", "7", "hello/v1/w2")
    _words(here, "maint", "hello/v1/w1")
    here.services["hello/v1"]["retries"] = 1
    reloaded = here.reload()["did"]
    after_reload = {one and (one.admin, one.weight) for one in here.each("w2")}, here.asks()
    for pid in here.haproxies():
        os.kill(pid, signal.SIGKILL)
    here.wait_asks({"w2"})
    here.wait_up()

    assert reloaded == "reload"
    assert after_reload == ({("ready", 7)}, {"w2"})
    assert here.admins("w1") == {"maint"}
    assert {one and one.weight for one in here.each("w2")} == {7}
    _words(here, "ready", "hello/v1/w1")
    _words(here, "weight", "100", "hello/v1/w2")
    assert here.asks() == {"w1", "w2"}


def test_what_is_set_by_hand_on_one_process_holds_on_all(here: Balancer) -> None:
    by_hand = UnixRuntime(str(here.run.runtime_socket(1)))
    asyncio.run(by_hand.ask("set server hello:v1/w1 state drain"))
    here.lbctl("services")

    assert here.admins("w1") == {"drain"}
    assert "hello:v1/w1: drain was set by hand on process 1" in here.events("apply")
    _words(here, "ready", "hello/v1/w1")


def test_drain_survives_a_restart_of_the_bundle_from_its_first_moment_on(host: Lab) -> None:
    with balancer(host, "restarted") as one:
        one.settings |= {"http": {"bind": "127.0.0.1:81"}}
        one.settings["haproxy"]["stats"] = {"port_base": 8101}
        one.begin()
        one.lbctl("server", "drain", "hello/v1/w1")
        one.stop(STOP_S)
        one.start()
        one.wait_up()
        first = one.run.haproxy_cfg.read_text()

        assert "weight 0 # drained; its weight is 100\n" in first
        assert one.asks(port=81) == {"w2"}
        wait_until(lambda: one.admins("w1") == {"drain"}, BACK_S, "drain in all processes")


def test_servers_of_an_own_haproxy_cfg_stay_drained_as_well(host: Lab) -> None:
    with balancer(host, "own") as one:
        one.settings["haproxy"]["stats"] = {"port_base": 8201}
        one.configure(haproxy_cfg=OWN_CFG.replace(":80", ":82"))
        one.begin()
        one.lbctl("server", "drain", "mine/x")
        one.lbctl("server", "maint", "hello/v1/w2")
        both = one.asks("/", 82), one.asks(port=82)
        one.configure(haproxy_cfg=OWN_CFG.replace(":80", ":82").replace("5s", "6s"))
        answer = one.reload()
        after_reload = one.asks("/", 82), one.asks(port=82)
        for pid in one.haproxies():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: one.admins("x", "mine") == {"drain"}, BACK_S, "drain after a kill")
        wait_until(lambda: one.admins("w2") == {"maint"}, BACK_S, "maint after a kill")

        assert answer["reasons"] == ["haproxy.cfg changed"]
        assert both == after_reload == ({"w4"}, {"w1"})
        assert one.asks("/", 82) == {"w4"}
        assert one.config.haproxy_cfg.read_text() == one.run.haproxy_cfg.read_text()
