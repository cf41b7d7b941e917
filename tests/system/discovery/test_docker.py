"""Containers of a real Docker that stop and start while clients ask; several sources as one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.balancers import serve_webs
from tests.consuls import ConsulAgent
from tests.engines import Engine
from tests.finding import AT_ONCE_S, Finding, finding, registered

pytestmark = pytest.mark.system

HELLO = {"lbctl.name": "app"}
#: A group of nobody's: whose is the socket.
GROUP = 4242
#: What a test sees of an answer of a container, which does not say who it is.
NAMELESS = "200"
CROWD = ("--new=2", "--kept=10", "--path=/app")
#: A container that finishes what it has begun, and takes a second for that.
GRACE = {"GRACE": "1"}


@pytest.fixture(name="docker", scope="module")
def _docker(hosts: Lab) -> Iterator[Engine]:
    root = hosts.directory / "docker"
    root.mkdir()
    engine = Engine("docker", hosts["client"], root)
    try:
        engine.start()
        engine.load()
        os.chown(engine.socket, 0, GROUP)
        engine.socket.chmod(0o660)
        yield engine
    finally:
        engine.end()


@pytest.fixture(name="both", scope="module")
def _both(hosts: Lab, docker: Engine, consul: ConsulAgent) -> Iterator[Finding]:
    """A bundle that asks Docker and Consul; lb.yaml has ``mixed``, and no server of it."""
    serve_webs(hosts["client"], ("w1", "w2"))
    docker.run("c1", labels=HELLO, env=GRACE)
    docker.run("c2", labels=HELLO, env=GRACE)
    with finding(hosts, "client") as made:
        made.settings["discovery"] = {
            "docker": {"url": docker.url},
            "consul": {"url": consul.url},
        }
        mixed = {"route": {"path": "/mixed", "strip": True}, "cookie": "JSESSIONID", "servers": []}
        made.services = {"mixed": mixed}
        made.begin()
        yield made


def _addresses(here: Finding, server: str) -> set[str]:
    """Of one that is ready in all processes; empty: it is not."""
    found = here.each(server, "app")
    return (
        {one.address for one in found if one} if here.admins(server, "app") == {"ready"} else set()
    )


def _wait_at(here: Finding, docker: Engine, server: str) -> None:
    """Until the container is served where it is."""
    wait_until(lambda: _addresses(here, server) == {docker.address(server)}, AT_ONCE_S, server)


def test_a_container_that_stops_is_drained_and_costs_no_request(
    both: Finding, docker: Engine
) -> None:
    _wait_at(both, docker, "c1")
    _wait_at(both, docker, "c2")
    before = both.workers()
    with both.crowd(*CROWD) as crowd, ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(docker.tell, "c2", "stop", t=9)
        wait_until(lambda: both.admins("c2", "app") == {"drain"}, AT_ONCE_S, "drain", every_s=0.005)
        is_running = not stopped.done()
        stopped.result()
        wait_until(lambda: both.admins("c2", "app") == {"absent"}, AT_ONCE_S, "it is gone")
        docker.start_again("c2")
        _wait_at(both, docker, "c2")
        counted = crowd.counted()

    assert is_running
    assert (counted.failed, counted.lost) == ({}, {})
    assert counted.new > 50
    assert both.workers() == before


def test_a_container_that_comes_back_elsewhere_is_followed(both: Finding, docker: Engine) -> None:
    _wait_at(both, docker, "c1")
    was = docker.address("c1")
    with both.crowd(*CROWD) as crowd:
        docker.tell("c1", "stop", t=9)
        # It takes the address that is free now.
        docker.run("other")
        docker.start_again("c1")
        _wait_at(both, docker, "c1")
        counted = crowd.counted()

    assert docker.address("c1") != was
    assert (counted.failed, counted.lost) == ({}, {})


def test_servers_of_all_sources_serve_by_the_operators_words(
    both: Finding, docker: Engine, consul: ConsulAgent
) -> None:
    docker.run("m1", labels={"lbctl.name": "mixed", "lbctl.balance": "leastconn"})
    with registered(consul, "mixed", "w1", Tags=["rest", "lbctl.route.path=/elsewhere"]):
        both.wait_asks({"w1", NAMELESS}, AT_ONCE_S, "/mixed")
        shown = both.lbctl("services")
        text = both.run.haproxy_cfg.read_text()
        elsewhere = both.asks("/elsewhere")
    both.wait_asks({NAMELESS}, AT_ONCE_S, "/mixed")
    docker.remove("m1")

    assert 'cookie "JSESSIONID" prefix' in text
    assert elsewhere == {"404"}
    assert all(source in shown for source in ("lb.yaml", "consul", "docker"))


def test_sources_that_disagree_are_named(
    both: Finding, docker: Engine, consul: ConsulAgent
) -> None:
    docker.run("d1", labels={"lbctl.name": "shared", "lbctl.balance": "leastconn"})
    with registered(consul, "shared", "w1"):
        said = both.wait_warning("shared of docker", "balance", "of consul, which counts")
        both.wait_asks({"w1", NAMELESS}, AT_ONCE_S, "/shared")
        shown = " ".join(both.lbctl("status").split())
        docker.remove("d1")
        both.wait_asks({"w1"}, AT_ONCE_S, "/shared")

    assert said in shown
