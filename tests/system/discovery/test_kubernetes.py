"""
Pods that come, end and go, through a real bundle, to clients that ask all the time.

The API server is a double, made from recorded shapes: none can be run here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.balancers import WEBS, serve_webs
from tests.fakes.kubernetes_objects import (
    ENDS,
    NOT_READY,
    READY,
    Plain,
    endpoint,
    endpoint_slice,
    service,
)
from tests.fakes.kubernetes_program import KubernetesProgram, kubernetes_program
from tests.finding import AT_ONCE_S, Finding, finding

pytestmark = pytest.mark.system

CROWD = ("--new=2", "--kept=10", "--path=/hello/v1")


def pod(name: str, conditions: Plain = READY) -> Plain:
    """A slice with one pod: here each has another port."""
    address, _, port = WEBS[name].rpartition(":")
    return endpoint_slice(
        endpoint(address, name, conditions), name=name, ports=(("http", int(port), "TCP"),)
    )


@pytest.fixture(name="cluster", scope="module")
def _cluster(hosts: Lab) -> Iterator[KubernetesProgram]:
    # Each module has a host of its own.
    host = hosts["web2"]
    serve_webs(host, tuple(WEBS)[:3])
    with kubernetes_program(host) as cluster:
        yield cluster


@pytest.fixture(name="made", scope="module")
def _made(hosts: Lab, cluster: KubernetesProgram) -> Iterator[Finding]:
    cluster.tell("put", service(says={"name": "hello/v1"}), pod("w1"), pod("w2"))
    with finding(hosts, "web2") as made:
        made.settings["discovery"] = {"kubernetes": {"url": cluster.url, "namespace": "default"}}
        made.begin()
        made.wait_asks({"w1", "w2"})
        yield made


def wait_admin(made: Finding, name: str, state: str) -> None:
    wait_until(lambda: made.admins(name) == {state}, AT_ONCE_S, f"{name} is {state}")


def test_a_rollout_costs_no_request_and_no_reload(
    made: Finding, cluster: KubernetesProgram
) -> None:
    before = made.workers()
    with made.crowd(*CROWD) as crowd:
        cluster.tell("put", pod("w3", NOT_READY))
        wait_admin(made, "w3", "maint")
        cluster.tell("put", pod("w3"))
        made.wait_asks({"w1", "w2", "w3"}, AT_ONCE_S)
        cluster.tell("put", pod("w1", ENDS))
        wait_admin(made, "w1", "drain")
        made.wait_asks({"w2", "w3"}, AT_ONCE_S)
        cluster.tell("drop", pod("w1"))
        wait_admin(made, "w1", "absent")
        counted = crowd.counted()
    cluster.tell("drop", pod("w3"))
    cluster.tell("put", pod("w1"))
    made.wait_asks({"w1", "w2"}, AT_ONCE_S)

    assert (counted.failed, counted.lost) == ({}, {})
    assert counted.new > 50
    assert made.workers() == before


def test_an_api_server_that_is_gone_takes_nothing_away(
    made: Finding, cluster: KubernetesProgram
) -> None:
    with made.crowd(*CROWD) as crowd:
        cluster.tell("fault", "error_500")
        cluster.tell("cut")
        made.wait_warning("kubernetes", "500 Internal", "keeping 1 service with 2 servers")
        shown = made.lbctl("status")
        cluster.tell("put", pod("w3"))
        cluster.tell("fault", "none")
        made.wait_asks({"w1", "w2", "w3"}, 15.0 + AT_ONCE_S)
        cluster.tell("drop", pod("w3"))
        made.wait_asks({"w1", "w2"}, AT_ONCE_S)
        counted = crowd.counted()

    assert (counted.failed, counted.lost) == ({}, {})
    assert "kubernetes" in shown
    assert "failing" in shown
