"""A pair goes from the version before to this one, host by host, while a client asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import lbctl
from lbctl.lab.bundle import LBCTL, Node
from lbctl.lab.hosts import Lab
from tests.consuls import consul
from tests.natives import BUSY_MS, PLANNED_MS
from tests.pairs import Tell
from tests.upgrades import (
    OLD_VERSION,
    Upgrade,
    answers,
    begin,
    events,
    findings,
    install_old,
    peer,
    servers,
    starts,
)

pytestmark = pytest.mark.system

NEW_VERSION = lbctl.__version__
#: What is configured, told and found; who is drained; on both hosts.
KNOWN = {
    "web/w1": ("10.0.1.101:80", "ready"),
    "web/w2": ("10.0.1.102:80", "drain"),
    "told/t1": ("10.0.1.101:80", "ready"),
    "found/f1": ("10.0.1.102:80", "ready"),
}


@dataclass(frozen=True, slots=True)
class Sight:
    """
    What was seen of both hosts at one point of the way, the first one's before the second one's.

    Attributes:
        versions: of each, as the other one says.
        status: ``lbctl status`` of each host's own version.
        across: exit codes of commands of the other version: those that only ask.
    """

    servers: tuple[dict[str, tuple[str, str]], ...]
    findings: tuple[list[str], ...]
    versions: tuple[str, ...]
    status: tuple[str, ...]
    across: tuple[dict[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """The whole way, and what was seen on it."""

    upgrade: Upgrade
    mixed: Sight
    new: Sight
    back: Sight


def sight(upgrade: Upgrade, *others: tuple[str, ...]) -> Sight:
    nodes = (upgrade.first, upgrade.second)
    return Sight(
        tuple(servers(node) for node in nodes),
        tuple(findings(node) for node in nodes),
        tuple(str((peer(node) or {}).get("version")) for node in reversed(nodes)),
        tuple(node.command("status") for node in nodes),
        tuple(answers(node, other) for node, other in zip(nodes, others, strict=False)),
    )


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(name="way", scope="module")
def _way(lab: Lab) -> Iterator[Way]:
    """Old on both; the BACKUP, a handover, the other one, a handover; and the BACKUP back again."""
    old = install_old(lab["a"].directory.parent / "old")
    web2 = lab["web2"]
    with consul(web2.directory / "consul", host=web2) as agent:
        agent.register("found", "f1", 80)
        upgrade = begin(lab, agent, old, "native")
    # Consul is gone: what it said lives in the state dirs alone from now on.
    first, second = upgrade.first, upgrade.second
    upgrade.replace(second, LBCTL)
    mixed = sight(upgrade, LBCTL, old)
    upgrade.hand_over(first, second)
    upgrade.replace(first, LBCTL)
    upgrade.hand_over(second, first)
    new = sight(upgrade)
    upgrade.replace(second, old)
    yield Way(upgrade, mixed, new, sight(upgrade))
    upgrade.probe.stop()


def test_no_request_fails_beside_the_two_handovers(way: Way, tell: Tell) -> None:
    upgrade = way.upgrade
    asked, lost = len(upgrade.probe.records()), upgrade.lost_beside()
    tell(f"{asked} requests, {len(lost)} failed beside the handovers: {lost[:5]}")

    assert asked > 1000
    assert lost == []


def test_each_handover_is_as_short_as_between_two_of_one_version(way: Way, tell: Tell) -> None:
    for move, lost in zip(way.upgrade.moves, way.upgrade.lost_in_moves(), strict=True):
        tell(f"handover: {move.outage_ms:.0f} ms without an answer, {lost} requests failed")

        assert move.outage_ms < PLANNED_MS + BUSY_MS + move.stall_ms
    assert len(way.upgrade.moves) == 2


def test_what_the_old_version_kept_is_known_to_the_new_one_and_to_the_old_one_again(
    way: Way,
) -> None:
    for seen in (way.mixed, way.new, way.back):
        assert seen.servers == (KNOWN, KNOWN)


def test_each_version_is_named_by_the_other_and_nothing_else_is_found(way: Way) -> None:
    assert way.mixed.versions == (OLD_VERSION, NEW_VERSION)
    assert way.mixed.findings == (["version differs"], ["version differs"])
    assert way.new.findings == ([], [])
    assert way.back.versions == (NEW_VERSION, OLD_VERSION)
    assert way.back.findings == (["version differs"], ["version differs"])


def test_both_show_both_hosts_while_they_are_of_two_versions(way: Way) -> None:
    upgrade = way.upgrade
    for seen in (way.mixed, way.back):
        for status in seen.status:
            words = status.split()

            assert {upgrade.first.name, upgrade.second.name, "MASTER", "BACKUP"} <= set(words)
            assert f"{OLD_VERSION}," in words
            assert f"{NEW_VERSION}," in words


def test_a_command_of_one_version_asks_a_bundle_of_the_other(way: Way) -> None:
    """An upgrade puts its files beside what runs: until the restart the new commands ask it."""
    new_asks_old, old_asks_new = way.mixed.across

    assert new_asks_old == dict.fromkeys(new_asks_old, 0)
    # It says so: by another version.
    assert old_asks_new == {**dict.fromkeys(old_asks_new, 0), "stats": 14}


@pytest.mark.parametrize("which", ["first", "second"])
def test_the_event_log_goes_on_over_all_versions(way: Way, which: str) -> None:
    node: Node = getattr(way.upgrade, which)
    found: list[dict[str, Any]] = events(node)
    ids = [one["id"] for one in found]
    versions = [OLD_VERSION, NEW_VERSION, *([OLD_VERSION] if which == "second" else [])]

    assert ids == list(range(1, len(ids) + 1))
    assert starts(node) == versions
    changed = [one["text"] for one in found if one["kind"] == "config"][1:]
    assert changed[0].startswith(f"lbctl {OLD_VERSION} -> {NEW_VERSION}")
