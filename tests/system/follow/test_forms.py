"""Services beside the operator's own haproxy.cfg, in his template, and on old HAProxy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lbctl.lab.bundle import children_of
from lbctl.lab.hosts import Lab
from tests.balancers import Balancer, balancer, servers

pytestmark = pytest.mark.system

OLD = Path(__file__).parents[3] / ".cache/haproxy-2.2/bin"
_DEFAULTS = """\
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    option idle-close-on-response
"""
TEMPLATE = (
    _DEFAULTS
    + """
frontend mine
    bind :80
    http-response set-header X-Mine {{ services | length }}
{{ routes }}
    default_backend none
backend none
    http-request deny deny_status 410
{{ backends }}
"""
)
OWN = (
    _DEFAULTS
    + """
frontend mine
    bind :80
    http-request deny deny_status 410 unless { path_beg /hello/v1 }
    use_backend hello:v1
"""
)


def _grows_at_run_time(one: Balancer) -> None:
    before = one.workers()
    one.services["hello/v1"]["servers"] += servers("w3")
    answer = one.reload()

    assert (answer["did"], answer["reasons"]) == ("runtime", [])
    assert one.workers() == before
    assert one.asks() == {"w1", "w2", "w3"}


def test_services_beside_an_own_haproxy_cfg_change_at_run_time(host: Lab) -> None:
    with balancer(host, "own") as one:
        one.configure(haproxy_cfg=OWN)
        one.begin()
        _grows_at_run_time(one)
        one.configure(haproxy_cfg=OWN.replace("410", "503"))
        answer = one.reload()
        new = one.asks("/nowhere")
        one.config.haproxy_cfg.write_text(OWN.replace("deny_status 410", "deny_status"))
        said = one.reload(code=13)["said"]

        assert answer["reasons"] == ["haproxy.cfg changed"]
        assert new == {"503"}
        assert f"{one.config.haproxy_cfg}:" in said
        assert (one.asks(), one.asks("/nowhere")) == ({"w1", "w2", "w3"}, {"503"})


def test_services_in_the_operators_template_change_at_run_time(host: Lab) -> None:
    with balancer(host, "template") as one:
        one.config.haproxy_template.write_text(TEMPLATE)
        one.begin()
        _grows_at_run_time(one)
        one.services["more"] = {"servers": servers("w4")}
        answer = one.reload()

        assert "more: the service is new" in answer["reasons"]
        assert one.asks("/more") == {"w4"}
        assert one.asks("/nowhere") == {"410"}
        assert "X-Mine: 2" in one.get(80, "/more").title()


def test_haproxy_2_2_with_nbproc_is_reloaded_for_what_newer_ones_do_at_run_time(host: Lab) -> None:
    assert (OLD / "haproxy").exists()
    with balancer(host, "old", environ={"PATH": f"{OLD}:{os.environ['PATH']}"}) as one:
        one.begin()
        before = children_of(one.pid_of("haproxy-01"))
        one.services["hello/v1"]["servers"] += servers("w3")
        answer = one.reload()
        one.lbctl("server", "drain", "hello/v1/w1")
        drained = one.asks()
        reloaded = one.reload("--force")

        assert (answer["did"], reloaded["did"]) == ("reload", "reload")
        assert "w3 (127.0.0.1:7003) comes, and HAProxy 2.2" in answer["reasons"][0]
        assert not set(before) & set(children_of(one.pid_of("haproxy-01")))
        assert drained == {"w2", "w3"} == one.asks()
        assert one.admins("w1") == {"drain"}
