"""What a group is told of the nodes beside its own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lbctl.ha.greeter import Greeter
from lbctl.ha.greeting import GroupFacts
from lbctl.ha.neighbour import FRESH_S, Neighbour
from lbctl.ha.pause import Pause
from lbctl.ha.vipd import Surroundings


def greeted(role: str, ago_s: float, vhid: int) -> Neighbour:
    return Neighbour(
        node="b",
        hostname="b",
        address="10.0.1.12",
        version="1",
        engine="native",
        groups=(GroupFacts(vhid=vhid, vip="10.0.1.201", role=role),),
        digests={},
        pause=None,
        counters={},
        seen=time.monotonic() - ago_s,
        is_fresh=True,
        clock_offset_s=0.0,
    )


@pytest.mark.parametrize(
    ("words", "is_other"),
    [
        ((), False),
        ((("MASTER", 0.0, 7),), True),
        ((("BACKUP", 0.0, 7),), False),
        ((("MASTER", 0.0, 8),), False),
        ((("MASTER", FRESH_S + 1, 7),), False),
        ((("BACKUP", 0.0, 7), ("MASTER", 0.0, 7)), True),
    ],
)
def test_another_master_is_one_that_has_greeted_as_one_of_late(
    tmp_path: Path, words: tuple[tuple[str, float, int], ...], is_other: bool
) -> None:
    around = Surroundings(Pause(tmp_path / "pause.json"))
    neighbours = tuple(greeted(*word) for word in words)
    around.greeter = cast("Greeter", SimpleNamespace(peers=lambda: neighbours))

    assert around.is_other_master(7) is is_other


def test_without_greetings_nobody_is_known_to_be_master(tmp_path: Path) -> None:
    assert not Surroundings(Pause(tmp_path / "pause.json")).is_other_master(7)


@pytest.mark.parametrize(
    ("is_fresh", "severity", "advskew", "is_healthy", "may"),
    [
        (True, 0, 0, True, True),
        (True, 4, 244, False, True),
        (True, 9, 249, False, False),
        (True, 8, 248, False, False),
        (True, 0, 0, False, False),
        (False, 9, 249, False, True),
    ],
)
def test_addresses_go_to_a_healthy_node_or_to_one_with_lesser_faults(
    tmp_path: Path, *, is_fresh: bool, severity: int, advskew: int, is_healthy: bool, may: bool
) -> None:
    other = greeted("BACKUP", 0.0, 7)
    facts = replace(other.groups[0], severity=severity, advskew=advskew)
    other = replace(other, groups=(facts,), is_fresh=is_fresh)
    around = Surroundings(Pause(tmp_path / "pause.json"))
    around.greeter = cast(
        "Greeter",
        SimpleNamespace(
            peers=lambda: (other,),
            healthy_peer=lambda _: (other, "") if is_healthy else (None, "at fault"),
        ),
    )

    assert around.may_take_over(7, 248) is may


def test_where_nobody_greets_anybody_may_be_there(tmp_path: Path) -> None:
    assert Surroundings(Pause(tmp_path / "pause.json")).may_take_over(7, 248)
