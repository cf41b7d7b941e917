"""One pair with the native engine for all the files here: each test finds both nodes well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.pair import HAPROXY_CFG, VIP, Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.fakes.wire import Wire
from tests.natives import SETTINGS, START_S, Stage, acquainted
from tests.pairs import Tell

HOSTS = ("a", "b", "c", "client", "web1", "web2")


@dataclass(frozen=True, slots=True)
class Started:
    """
    The pair, and how its start went.

    Attributes:
        first_s: from the start of both nodes at once to the first answer.
        doubled_ns: from when to when both answered for the VIP; None: never.
    """

    pair: Pair
    probe: Probe
    wire: Wire
    first_s: float
    doubled_ns: tuple[int, int] | None


@pytest.fixture(name="lab", scope="package")
def _lab() -> Iterator[Lab]:
    """Its name brings its dump into the report of a failure."""
    with Lab(HOSTS) as lab:
        yield lab


@pytest.fixture(name="started", scope="package")
def _started(lab: Lab) -> Iterator[Started]:
    pair = make_pair(lab)
    for node in pair.nodes:
        node.config.nginx_d.mkdir()
    # The client itself must not ask: an answer to it changes its table, whoever gives it.
    with pair.probe() as probe, Wire(lab["c"], VIP) as wire:
        began = probe.mark()
        pair.start(settings=SETTINGS, haproxy_cfg=HAPROXY_CFG)
        wait_until(lambda: probe.successes(began), START_S + 5, "a first answer")
        first = probe.successes(began)[0].end_ns
        pair.wait_settled(5)
        doubled = wire.doubled(began)
        yield Started(pair, probe, wire, (first - began) / 1e9, doubled)


@pytest.fixture(name="stage")
def _stage(started: Started, tell: Tell) -> Stage:
    """Both well; what they found wrong between them in the test before may not be over."""
    pair, probe = started.pair, started.probe
    for node in pair.nodes:
        if not node.process.is_running:
            # A test that failed has left it so: one failure is enough.
            pair.start_node(node)
    master, backup = acquainted(pair)
    probe.wait_answers(20, 2)
    probe.forget(probe.mark())
    return Stage(pair, master, backup, probe, started.wire, tell)
