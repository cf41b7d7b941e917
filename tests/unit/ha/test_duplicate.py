"""When another machine with our address is found, told, answered, and let go; and the flood."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.claims import Claim
from lbctl.ha.duplicate import (
    ANSWERS_OVER_S,
    ASKED_AT_ONCE,
    KEPT,
    KIND,
    SILENT_OVER_S,
    Duplicates,
)
from lbctl.ha.journal import Event, Journal
from tests.fakes.clock import FakeClock
from tests.loops import in_a_loop

VIP, OTHER = "10.0.1.201", "10.0.1.202"
MAC = "02:00:00:00:00:0d"
OWN = "02:00:00:00:00:ee"


class FakeLine:
    """A link under the test's hand: what it says, and what it was asked."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hosts = hosts
        self.said: list[Claim] = []
        self.asked: list[str] = []
        self.broken = False

    def open(self, on_frames: Callable[[], None]) -> None:
        del on_frames
        if self.broken:
            message = "listening for duplicate addresses on eth0: no"
            raise NetlinkError(message)

    def close(self) -> None:
        """Nothing is open."""

    def claims(self) -> Iterable[Claim]:
        said, self.said = self.said, []
        return said

    def go_on(self) -> None:
        """It never stopped."""

    def ask(self, host: str) -> None:
        self.asked.append(host)

    def is_own(self, mac: str) -> bool:
        return mac == OWN


class Stage:
    """A calm MASTER of some addresses."""

    def __init__(self, *hosts: str) -> None:
        self.clock = FakeClock()
        self.line = FakeLine(hosts or (VIP,))
        self.journal = Journal()
        self.announced: list[str] = []
        self.calm = True
        self.duplicates = Duplicates(
            self.line, self.journal, self.announced.extend, lambda: self.calm, self.clock
        )

    def hear(self, mac: str = MAC, address: str = VIP) -> None:
        self.line.said.append(Claim(address, mac))
        self.duplicates.feed()

    def turn(self, seconds: float = 1.0) -> None:
        self.clock.tick(seconds)
        self.duplicates.tick()

    @property
    def found(self) -> list[str]:
        return [one["about"] for one in self.duplicates.findings()]

    async def events(self) -> list[Event]:
        seen: list[Event] = []
        watch = self.journal.watch(0)
        try:
            while True:
                seen.append(await asyncio.wait_for(anext(watch), 0.01))
        except TimeoutError:
            return seen


@in_a_loop
async def test_a_claim_to_our_address_is_found_told_and_answered_at_once() -> None:
    stage = Stage()
    stage.hear()
    (finding,) = stage.duplicates.findings()
    (event,) = await stage.events()

    assert finding["kind"] == KIND
    assert MAC in finding["text"]
    assert VIP in finding["text"]
    assert (event.kind, event.fields["mac"], event.fields["is_over"]) == ("address", MAC, False)
    assert stage.announced == [VIP]


@in_a_loop
async def test_nothing_is_believed_of_a_node_that_is_not_calm() -> None:
    stage = Stage()
    stage.calm = False
    stage.hear()
    stage.turn()
    stage.calm = True
    stage.duplicates.feed()

    assert (stage.found, stage.announced, stage.line.asked) == ([], [], [])
    assert await stage.events() == []


@in_a_loop
async def test_another_interface_of_this_host_is_no_duplicate() -> None:
    stage = Stage()
    stage.hear(OWN)

    assert (stage.found, stage.announced) == ([], [])


@in_a_loop
async def test_defence_is_once_a_second_for_each_address_however_often_it_is_claimed() -> None:
    stage = Stage(VIP, OTHER)
    for _ in range(30):
        stage.hear()
        stage.hear(address=OTHER)
        stage.clock.tick(0.1)

    assert stage.announced.count(VIP) == 3
    assert stage.announced.count(OTHER) == 3
    assert len(await stage.events()) == 2


@in_a_loop
async def test_it_asks_every_two_seconds_and_every_second_while_one_is_known() -> None:
    stage = Stage()
    for _ in range(11):
        stage.turn()
    calmly = len(stage.line.asked)
    stage.hear()
    for _ in range(4):
        stage.turn()

    assert (calmly, len(stage.line.asked)) == (6, 10)


@in_a_loop
async def test_it_asks_as_soon_as_it_is_calm_again() -> None:
    stage = Stage()
    stage.turn()
    stage.calm = False
    stage.turn()
    stage.calm = True
    stage.turn()

    assert stage.line.asked == [VIP, VIP]


@in_a_loop
async def test_every_one_of_many_addresses_is_asked_for_and_few_at_once() -> None:
    hosts = tuple(f"10.0.{number // 250}.{number % 250}" for number in range(200))
    stage = Stage(*hosts)
    stage.turn()
    at_once = len(stage.line.asked)
    for _ in range(6):
        stage.turn()

    assert at_once == ASKED_AT_ONCE
    assert set(stage.line.asked) == set(hosts)


@in_a_loop
async def test_one_that_answered_is_over_soon_after_its_last_answer() -> None:
    stage = Stage()
    stage.turn()
    stage.hear()
    stage.turn(ANSWERS_OVER_S)
    before = stage.found
    stage.turn(0.1)

    assert (before, stage.found) == ([VIP], [])
    assert [event.fields["is_over"] for event in await stage.events()] == [False, True]


@in_a_loop
async def test_one_that_only_announces_is_kept_for_longer() -> None:
    stage = Stage()
    stage.turn()
    stage.clock.tick(1.0)
    stage.hear()
    stage.turn(SILENT_OVER_S)
    before = stage.found
    stage.turn(0.1)

    assert (before, stage.found) == ([VIP], [])


@in_a_loop
async def test_a_forger_of_many_macs_fills_no_memory_and_no_journal() -> None:
    stage = Stage()
    for number in range(1000):
        stage.hear(f"02:00:00:00:{number // 256:02x}:{number % 256:02x}")

    assert len(stage.found) == KEPT
    assert len(await stage.events()) == KEPT


@in_a_loop
async def test_a_link_that_cannot_be_listened_to_is_said_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.line.broken = True
    stage.duplicates.open()
    stage.turn()

    assert "will not be found" in caplog.text
