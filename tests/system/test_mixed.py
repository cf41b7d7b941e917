"""
The native engine and the real ucarp as each other's peer, in both roles.

One pair: a speaks natively, b through ucarp; b has the better advskew, so that failing back is seen
too. The bounds are those of ucarp: its dead time, and the second that its pcap holds packets back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import HAPROXY_CFG, VIP, Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.fakes.wire import Wire
from tests.faults import kill_everything
from tests.natives import PLANNED_MS, Stage, ha, knows_the_other
from tests.pairs import DEAD_TIME_S, OUTAGE_MS, TWO_MASTERS_S, Tell, lbctl, wait_well

pytestmark = pytest.mark.system

#: ucarp hears up to a second late, and its hook runs.
BY_UCARP_MS = 1300.0
START_S = 3.0 + DEAD_TIME_S + 2.5
#: Until ucarp, better than the one that it hears, has heard it.
BACK_S = START_S + 2.0
ADVSKEW = {"a": 20, "b": 0}


@dataclass(frozen=True, slots=True)
class Mixed:
    """The pair and its client; *a* is native, *b* is ucarp."""

    pair: Pair
    probe: Probe
    wire: Wire
    tell: Tell

    def to(self, wanted: Node) -> Stage:
        """The stage with *wanted* as MASTER: handed over to where that is needed."""
        pair = self.pair
        master, backup = wait_well(pair)
        wait_until(lambda: all(map(knows_the_other, pair.nodes)), 5, "greetings")
        if master is not wanted:
            done = lbctl(master, "handover")
            assert done.returncode == 0, done.stderr
            assert pair.wait_settled(3) == (backup, master)
            master, backup = backup, master
        self.probe.wait_answers(20, 2)
        self.probe.forget(self.probe.mark())
        return Stage(pair, master, backup, self.probe, self.wire, self.tell)


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(name="started", scope="module")
def _started(lab: Lab) -> Iterator[tuple[Mixed, float]]:
    """The pair, started at once, and the seconds until the first answer."""
    pair = make_pair(lab)
    with pair.probe() as probe, Wire(pair.web1, VIP) as wire:
        began = probe.mark()
        for node, engine in ((pair.a, "native"), (pair.b, "ucarp")):
            ha: dict[str, Any] = {"engine": engine, "advskew": ADVSKEW[node.name]}
            if engine == "native":
                ha["advbase_ms"] = 50
            node.configure(settings={"ha": ha}, haproxy_cfg=HAPROXY_CFG)
            pair.start_node(node)
        wait_until(lambda: probe.successes(began), START_S + 5, "a first answer")
        first_s = (probe.successes(began)[0].end_ns - began) / 1e9
        yield Mixed(pair, probe, wire, print), first_s


@pytest.fixture(name="mixed")
def _mixed(started: tuple[Mixed, float], tell: Tell) -> Mixed:
    return replace(started[0], tell=tell)


def test_started_at_once_the_better_advskew_ends_as_master(
    started: tuple[Mixed, float], mixed: Mixed
) -> None:
    pair = mixed.pair
    mixed.tell(f"native and ucarp: first answer after {started[1]:.2f} s")
    pair.b.wait_role("MASTER", DEAD_TIME_S + TWO_MASTERS_S)

    assert started[1] <= START_S
    assert pair.wait_settled(TWO_MASTERS_S) == (pair.b, pair.a)
    assert ha(pair.a)["engine"] == "native"
    assert ha(pair.b)["engine"] == "ucarp"
    assert "ucarp" in ha(pair.a)["protection"]


def test_handover_from_ucarp_to_native_and_it_stays_there(mixed: Mixed) -> None:
    stage = mixed.to(mixed.pair.b)
    probe, pair = stage.probe, stage.pair
    mark = probe.mark()
    done = lbctl(pair.b, "handover")
    told = probe.mark()
    assert done.returncode == 0, done.stderr
    assert pair.wait_settled(3) == (pair.a, pair.b)
    probe.wait_answers(20, 1)
    assert stage.outage(mark, PLANNED_MS, "handover, ucarp to native")
    assert stage.reached(told) == {"a"}


def test_handover_from_native_to_ucarp(mixed: Mixed) -> None:
    stage = mixed.to(mixed.pair.a)
    probe, pair = stage.probe, stage.pair
    mark = probe.mark()
    done = lbctl(pair.a, "handover")
    told = probe.mark()
    assert done.returncode == 0, done.stderr
    assert pair.wait_settled(3) == (pair.b, pair.a)
    probe.wait_answers(20, 2)
    assert stage.outage(mark, BY_UCARP_MS, "handover, native to ucarp")
    assert stage.reached(told) == {"b"}


def test_ucarp_that_is_ended_gives_to_native_and_fails_back_when_it_returns(mixed: Mixed) -> None:
    stage = mixed.to(mixed.pair.b)
    probe, pair = stage.probe, stage.pair
    mark = probe.mark()
    assert pair.b.stop() == 0
    probe.wait_answers(20, 1)
    assert stage.outage(mark, PLANNED_MS, "SIGTERM, ucarp to native")
    assert ha(pair.a)["role"] == "MASTER"

    back = probe.mark()
    pair.start_node(pair.b)
    pair.b.wait_role("MASTER", BACK_S)
    assert pair.wait_settled(TWO_MASTERS_S) == (pair.b, pair.a)
    probe.wait_answers(20, 2)
    assert stage.outage(back, BY_UCARP_MS, "ucarp fails back")
    assert stage.is_single(back, TWO_MASTERS_S, "ucarp fails back")


def test_native_that_is_ended_gives_to_ucarp_and_returns_as_backup(mixed: Mixed) -> None:
    stage = mixed.to(mixed.pair.a)
    probe, pair = stage.probe, stage.pair
    mark = probe.mark()
    assert pair.a.stop() == 0
    probe.wait_answers(20, 2)
    assert stage.outage(mark, BY_UCARP_MS, "SIGTERM, native to ucarp")

    pair.start_node(pair.a)
    pair.a.wait_role("BACKUP", START_S)
    assert wait_well(pair) == (pair.b, pair.a)


@pytest.mark.parametrize("name", ["a", "b"])
def test_master_that_is_cut_off_is_replaced_and_one_gives_way_when_healed(
    mixed: Mixed, name: str
) -> None:
    pair = mixed.pair
    stage = mixed.to(pair.a if name == "a" else pair.b)
    probe, master = stage.probe, stage.master
    mark = probe.mark()
    pair.lab.cut(master.host)
    try:
        wait_until(lambda: probe.failures(mark), 2, "the outage")
        probe.wait_answers(20, OUTAGE_MS / 1000 + 1)
        assert stage.outage(mark, OUTAGE_MS, f"{ha(master)['engine']} cut off")
        stage.backup.wait_role("MASTER", 1)
    finally:
        healed = probe.mark()
        pair.lab.heal(master.host)
    stays, _ = pair.wait_settled(TWO_MASTERS_S + 1)
    assert stage.is_single(healed, TWO_MASTERS_S, f"healed, {stays.name} stays")
    assert stage.reached(healed + int(TWO_MASTERS_S * 1e9)) == {stays.name}
    assert stage.outage(healed, (TWO_MASTERS_S + 1) * 1000, "healed")


def test_ucarp_whose_host_is_killed_is_replaced(mixed: Mixed) -> None:
    stage = mixed.to(mixed.pair.b)
    probe, pair = stage.probe, stage.pair
    mark = probe.mark()
    kill_everything(pair.b)
    probe.wait_answers(20, OUTAGE_MS / 1000 + 1)
    assert stage.outage(mark, OUTAGE_MS, "ucarp's host killed")
