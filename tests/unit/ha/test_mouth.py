"""What leaves this node: signed, each word with a time of its own; what is told when it fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha import carp, counter
from lbctl.ha.carp import RESIGNATION_ADVBASE, Received
from lbctl.ha.counter import Clockwork, NativeWord
from lbctl.ha.mouth import Mouth, Multicast
from tests.fakes.carp_packets import KEY, PASSWORD, VHID, VIP
from tests.fakes.clock import FakeClock
from tests.specs import group_spec

GROUP = group_spec(vhid=VHID, vip=VIP, engine="native", advbase_ms=50, advskew=7)
_ETHERNET = 14


class Wire:
    """Takes frames, or refuses them."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.trouble = ""

    def send(self, frames: Iterable[bytes]) -> None:
        if self.trouble:
            raise NetlinkError(self.trouble)
        self.frames += frames

    def heard(self) -> list[tuple[Received, NativeWord]]:
        """As a native peer reads it."""
        words = []
        for frame in self.frames:
            received = carp.genuine(frame[_ETHERNET:], vhid=VHID, vip=VIP, password=PASSWORD)
            assert isinstance(received, Received)
            word = counter.read(received.advertisement, received.source, KEY)
            assert word is not None
            words.append((received, word))
        return words


class Stage:
    def __init__(self) -> None:
        self.clock, self.wire = FakeClock(), Wire()
        clockwork = Clockwork(position=0, wall_s=1_800_000_000.0, now=self.clock.now)
        way = Multicast(GROUP, PASSWORD, self.wire)
        self.mouth = Mouth(GROUP, way, KEY, clockwork, self.clock)


def test_an_advertisement_claims_the_group_and_the_advskew_of_the_moment() -> None:
    stage = Stage()
    stage.mouth.advertise(244)
    ((received, word),) = stage.wire.heard()
    said = received.advertisement

    assert (received.source, received.ttl) == (GROUP.source, 255)
    assert (said.vhid, said.advbase, said.advskew) == (VHID, 1, 244)
    assert (word.is_resignation, word.interval_s) == (False, 0.05)


def test_a_resignation_is_one_by_its_interval_and_by_its_counter() -> None:
    stage = Stage()
    stage.mouth.resign()
    ((received, word),) = stage.wire.heard()

    assert received.advertisement.advbase == RESIGNATION_ADVBASE
    assert word.is_resignation


def test_a_nudge_looks_like_a_resignation_to_a_ucarp_alone() -> None:
    stage = Stage()
    stage.mouth.nudge()
    ((received, word),) = stage.wire.heard()

    assert received.advertisement.advbase == RESIGNATION_ADVBASE
    assert not word.is_resignation


def test_no_two_words_bear_the_same_time_though_the_clock_stands() -> None:
    stage = Stage()
    for _ in range(5):
        stage.mouth.advertise(7)
    stage.mouth.resign()
    ticks = [word.ticks for _, word in stage.wire.heard()]

    assert ticks == sorted(set(ticks))
    assert stage.mouth.position >= ticks[-1]


def test_every_counter_that_left_is_told_of() -> None:
    stage = Stage()
    told: list[int] = []
    stage.mouth.on_counter = told.append
    stage.mouth.advertise(7)
    stage.mouth.resign()

    assert told == [received.advertisement.counter for received, _ in stage.wire.heard()]


def test_a_word_that_does_not_leave_is_no_sign_of_life_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.mouth.advertise(7)
    left_at = stage.clock.now
    stage.wire.trouble = "sending CARP: Network is down"
    stage.clock.tick(1.0)
    with caplog.at_level(logging.WARNING):
        stage.mouth.advertise(7)
        stage.mouth.advertise(7)

    assert (stage.mouth.sent, stage.mouth.left_at) == (1, left_at)
    assert [record.getMessage() for record in caplog.records] == [
        "sending CARP: Network is down; the peer waits for the dead time"
    ]

    stage.wire.trouble = ""
    stage.mouth.advertise(7)
    assert (stage.mouth.sent, stage.mouth.left_at) == (2, stage.clock.now)


def test_trouble_that_comes_back_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    with caplog.at_level(logging.WARNING):
        for trouble in ("down", "", "down"):
            stage.wire.trouble = trouble
            stage.mouth.advertise(7)

    assert len(caplog.records) == 2


def test_words_signed_ahead_claim_what_is_claimed_when_they_leave() -> None:
    stage = Stage()
    for advskew in (7, 7, 244, 244, 7):
        stage.mouth.advertise(advskew)
        stage.clock.tick(0.025)

    assert [said.advertisement.advskew for said, _ in stage.wire.heard()] == [7, 7, 244, 244, 7]


def test_a_word_bears_the_time_at_which_it_leaves_also_after_a_long_silence() -> None:
    stage = Stage()
    spoken = []
    for later_s in (0.0, *[0.025] * 14, 5.0, 0.025, 0.2, 0.025):
        stage.clock.tick(later_s)
        stage.mouth.advertise(7)
        spoken.append(stage.clock.now)
    ticks = [word.ticks for _, word in stage.wire.heard()]
    late = [
        (tick - ticks[0]) * counter.TICK_S - (at - spoken[0])
        for tick, at in zip(ticks, spoken, strict=True)
    ]

    assert ticks == sorted(set(ticks))
    assert max(map(abs, late)) < 0.26


def test_a_resignation_is_later_than_every_word_before_and_earlier_than_those_after() -> None:
    stage = Stage()
    stage.mouth.advertise(7)
    stage.mouth.resign()
    stage.mouth.advertise(7)
    ticks = [word.ticks for _, word in stage.wire.heard()]

    assert ticks == sorted(set(ticks))


def test_the_position_lies_between_what_has_left_and_what_is_to_come() -> None:
    stage = Stage()
    for _ in range(25):
        stage.mouth.advertise(7)
        at = stage.mouth.position
        assert stage.wire.heard()[-1][1].ticks <= at
        stage.clock.tick(0.025)
        stage.mouth.advertise(7)
        assert stage.wire.heard()[-1][1].ticks > at
