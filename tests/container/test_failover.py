"""
Two containers on two hosts, started with the README's line: however one of them ends, the other
serves, and one host holds the virtual IP. Figures are printed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.pair import VIP, Pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.containers import ContainerNode, container_pair
from tests.fakes.wire import Wire
from tests.pairs import OUTAGE_MS, TWO_MASTERS_S, Tell, double_s, own_lab, wait_well
from tests.podman import Podman

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

SECOND = "10.0.1.202"
#: A planned move: see tests/system/test_failover.py.
PLANNED_MS = 1300.0
#: The lease of a bundle that is no more, and a little.
ALONE_S = 4.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Both containers well; who is master, and a client of the VIP."""

    pair: Pair
    master: ContainerNode
    backup: ContainerNode
    probe: Probe
    wire: Wire
    tell: Tell


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with own_lab() as lab:
        yield lab


@pytest.fixture(name="pair", scope="module")
def _pair(lab: Lab, engine: Podman) -> Iterator[Pair]:
    pair = container_pair(lab, engine, SECOND)
    try:
        pair.start()
        yield pair
    finally:
        for node in pair.nodes:
            assert isinstance(node, ContainerNode)
            node.remove()


@pytest.fixture(name="scene")
def _scene(pair: Pair, tell: Tell) -> Iterator[Scene]:
    """As the test before left it, with both containers running again."""
    for node in pair.nodes:
        if not node.process.is_running:
            pair.start_node(node)
    master, backup = wait_well(pair)
    assert isinstance(master, ContainerNode)
    assert isinstance(backup, ContainerNode)
    with pair.probe() as probe, Wire(pair.client, VIP) as wire:
        probe.wait_answers(20, 2)
        yield Scene(pair, master, backup, probe, wire, tell)


def test_both_addresses_and_nginx_answer_at_the_master(scene: Scene) -> None:
    for address in (VIP, SECOND):
        assert scene.master.holds(address)
        assert not scene.backup.holds(address)
        said = scene.pair.client.run(["curl", "-sf", f"http://{address}:8080/"]).stdout
        assert said == f"nginx of {scene.master.name}\n"
    logged = f"nginx | {scene.pair.client.address} - - "
    wait_until(lambda: logged in scene.master.text(), 2, "nginx's log", seen=scene.master.text)
    assert scene.backup.health()[0] == 0


def test_engine_has_the_output_by_program_and_commands_answer_inside(scene: Scene) -> None:
    for node in (scene.master, scene.backup):
        said = node.engine.run("logs", node.container)
        lines = f"{said.stdout}{said.stderr}".splitlines()
        names = {line.partition(" | ")[0] for line in lines}

        assert {"haproxy-01", "ucarp", "vipd", "agent"} <= names <= set(node.programs())
        assert [line for line in lines if "haproxy" in line and "[WARNING]" in line] == []
    assert json.loads(scene.master.command("status", "--json"))["ha"]["role"] == "MASTER"
    assert "webs" in scene.master.command("stats")
    assert "BACKUP -> MASTER" in scene.master.command("events")


def test_handover_in_the_container_moves_the_vip(scene: Scene) -> None:
    mark = scene.probe.mark()
    said = scene.master.command("handover")

    assert f"{scene.backup.host.address} took over" in said
    assert scene.pair.wait_settled(2) == (scene.backup, scene.master)
    scene.probe.wait_answers(20, 1)
    scene.tell(f"handover: no answer for {scene.probe.outage_ms(mark):.0f} ms")
    assert scene.probe.outage_ms(mark) <= PLANNED_MS


@pytest.mark.parametrize(
    "words", [("stop",), ("kill", "--signal=TERM"), ("rm", "--force")], ids=" ".join
)
def test_container_that_is_asked_to_end_moves_the_vip_first(
    scene: Scene, words: tuple[str, ...]
) -> None:
    mark = scene.probe.mark()
    scene.master.engine.run(*words, scene.master.container)
    status = scene.master.ended(15)
    took_s = (scene.probe.mark() - mark) / 1e9
    scene.backup.wait_role("MASTER", 1)
    scene.probe.wait_answers(20, 1)
    doubled = scene.wire.doubled(mark)
    scene.tell(f"{' '.join(words)}: {_seen(scene, mark)}; it ended after {took_s:.2f} s")

    assert status == 0
    assert took_s < 10
    assert scene.probe.outage_ms(mark) <= PLANNED_MS
    assert double_s(doubled) <= 0.2
    assert not scene.master.holds(VIP)
    assert not scene.master.holds(SECOND)


@pytest.mark.parametrize(
    "words", [("kill",), ("kill", "--signal=KILL"), ("rm", "--force", "--time=0")], ids=" ".join
)
def test_container_that_is_killed_or_removed_is_replaced_and_loses_the_vip(
    scene: Scene, words: tuple[str, ...]
) -> None:
    mark = scene.probe.mark()
    scene.master.engine.run(*words, scene.master.container)
    scene.master.ended(15)
    alone = time.monotonic() + ALONE_S
    wait_until(lambda: time.monotonic() > alone, ALONE_S + 1, "the lease")
    scene.backup.wait_role("MASTER", 1)
    scene.probe.wait_answers(20, 1)
    scene.tell(f"{' '.join(words)}: {_seen(scene, mark)}")

    assert scene.pair.holders() == {scene.backup.host.mac}
    assert scene.probe.outage_ms(mark) <= OUTAGE_MS
    doubled = scene.wire.doubled(mark)
    assert double_s(doubled) <= TWO_MASTERS_S
    assert doubled is None or doubled[1] <= mark + int(ALONE_S * 1e9)
    assert not scene.master.holds(VIP)
    assert not scene.master.holds(SECOND)


def _seen(scene: Scene, mark: int) -> str:
    doubled = double_s(scene.wire.doubled(mark))
    return f"no answer for {scene.probe.outage_ms(mark):.0f} ms, two holders for {doubled:.2f} s"
