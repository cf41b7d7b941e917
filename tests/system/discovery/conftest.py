"""
Hosts, a Consul and two bundles that ask it, for all tests here.

The discovery of the second one hangs from the beginning: who waits until it is found out waits
less, the later the test comes.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from lbctl.lab.hosts import Lab
from tests.balancers import WEBS, balancers, serve_webs
from tests.consuls import ConsulAgent, consul
from tests.finding import Finding, finding, register


@pytest.fixture(name="hosts", scope="package")
def _hosts() -> Iterator[Lab]:
    """a: a bundle; b: Consul; c: another bundle; client, web1, web2: each for a module."""
    with balancers("b", "c", "client", "web1", "web2") as lab:
        serve_webs(lab["a"], tuple(WEBS)[4:])
        serve_webs(lab["c"], ("w1", "w2"))
        yield lab


@pytest.fixture(name="consul", scope="package")
def _consul(hosts: Lab) -> Iterator[ConsulAgent]:
    """What it knows outlasts its end; ``hello/v1`` has w1 and w2, and a test leaves it so."""
    with consul(hosts["b"].directory / "consul", host=hosts["b"], is_lasting=True) as agent:
        register(agent, "hello/v1", "w1", "w2")
        yield agent


@pytest.fixture(name="hung", scope="package", autouse=True)
def _hung(hosts: Lab, consul: ConsulAgent) -> Iterator[Finding]:
    with finding(hosts, "c", consul=consul.url) as made:
        made.begin()
        made.wait_asks({"w1", "w2"})
        made.hurt("discovery", signal.SIGSTOP)
        yield made


@pytest.fixture(name="here", scope="package")
def _here(hosts: Lab, consul: ConsulAgent) -> Iterator[Finding]:
    with finding(hosts, consul=consul.url) as made:
        made.begin()
        made.wait_asks({"w1", "w2"})
        yield made
