"""What is made of captured packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lbctl.ha import carp
from lbctl.ha.capture import Seen
from lbctl.ha.hearing import Hearing
from lbctl.ha.journal import Journal
from lbctl.ha.role import RoleName
from lbctl.spec import GroupSpec
from tests.fakes.clock import FakeClock

GROUP = GroupSpec(
    vhid=17, interface="eth0", source="10.0.1.11", vip="10.0.1.201",
    addresses=("10.0.1.201/32",), engine="ucarp", advbase_s=1, advskew=0, dead_ratio=3,
    drain_s=2.0, track=(),
)  # fmt: skip
PASSWORD = carp.Password(b"foobar23")
PEER = "10.0.1.12"


class RecordingSender:
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send(self, frames: list[bytes]) -> None:
        self.frames += frames


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sender = RecordingSender()
        self.hearing = Hearing(GROUP, PASSWORD, self.sender, Journal(), self.clock)

    def hears(
        self,
        source: str,
        *,
        password: bytes = b"foobar23",
        advbase: int = 1,
        advskew: int = 0,
        vhid: int = 17,
    ) -> None:
        said = carp.Advertisement(vhid, advbase, advskew, counter=5)
        payload = carp.encode(said, vip=GROUP.vip, password=carp.Password(password))
        packet = carp.ip_packet(source, payload)
        self.hearing.hear(Seen(source == GROUP.source, "eth0", packet, self.clock.now))


def play(scene: Callable[[Stage], None]) -> None:
    async def run() -> None:
        scene(Stage())

    asyncio.run(run())


def test_a_peers_advertisement_is_remembered() -> None:
    def scene(s: Stage) -> None:
        s.hears(PEER, advskew=100)

        assert s.hearing.peer is not None
        assert (s.hearing.peer.source, s.hearing.peer.advskew) == (PEER, 100)

    play(scene)


def test_ones_own_advertisements_are_evidence_and_no_peer() -> None:
    def scene(s: Stage) -> None:
        s.hears(GROUP.source)

        assert s.hearing.peer is None
        assert s.hearing.own_age_s() == 0.0

    play(scene)


def test_speech_is_counted_from_its_first_advertisement_without_a_pause() -> None:
    def scene(s: Stage) -> None:
        assert s.hearing.own_speech_s(since=0.0) == 0.0
        for _ in range(3):
            s.hears(GROUP.source)
            s.clock.tick(1.0)

        assert s.hearing.own_speech_s(since=0.0) == 2.0
        s.clock.tick(5.0)
        assert s.hearing.own_speech_s(since=0.0) == 0.0

    play(scene)


def test_speech_before_the_word_that_ended_it_does_not_count() -> None:
    def scene(s: Stage) -> None:
        for _ in range(3):
            s.hears(GROUP.source)
            s.clock.tick(1.0)

        assert s.hearing.own_speech_s(since=s.clock.now - 1.0) == 0.0

    play(scene)


def test_ones_own_resignation_is_no_speech() -> None:
    def scene(s: Stage) -> None:
        s.hears(GROUP.source, advbase=carp.RESIGNATION_ADVBASE)

        assert s.hearing.own_age_s() == float("inf")

    play(scene)


def test_another_password_is_refused_counted_and_named() -> None:
    def scene(s: Stage) -> None:
        s.hears(PEER, password=b"another")

        assert s.hearing.peer is None
        assert s.hearing.refused == {"bad digest": 1}
        assert s.hearing.foreign_as_list()[0]["source"] == PEER

    play(scene)


def test_another_group_is_nobodys_business() -> None:
    def scene(s: Stage) -> None:
        s.hears(PEER, vhid=18, password=b"another")

        assert s.hearing.peer is None
        assert not s.hearing.refused

    play(scene)


@pytest.mark.parametrize("packet", [b"", b"\x45", bytes(56)])
def test_garbage_is_refused(packet: bytes) -> None:
    def scene(s: Stage) -> None:
        s.hearing.hear(Seen(False, "eth0", packet, s.clock.now))

        assert sum(s.hearing.refused.values()) == 1

    play(scene)


def test_a_resignation_is_genuine_and_has_the_longest_interval() -> None:
    def scene(s: Stage) -> None:
        s.hearing.resign()
        received = carp.decode(s.sender.frames[0][14:])

        assert isinstance(received, carp.Received)
        assert received.advertisement.advbase == carp.RESIGNATION_ADVBASE
        assert carp.verify(received, vip=GROUP.vip, password=PASSWORD)

    play(scene)


def test_no_two_resignations_have_the_same_counter() -> None:
    def scene(s: Stage) -> None:
        s.hearing.resign()
        s.hearing.resign()

        assert len(set(s.sender.frames)) == 2

    play(scene)


@pytest.mark.parametrize(
    ("advbase", "silent_s", "role", "reason"),
    [
        (255, 0.1, RoleName.MASTER, "resigned"),
        (1, 3.0, RoleName.MASTER, "silent for 3.0 s"),
        (1, 0.1, RoleName.MASTER, "which is worse"),
        (1, 0.1, RoleName.BACKUP, "speaks with advskew 7"),
    ],
)
def test_the_reason_for_a_role_is_what_was_heard(
    advbase: int, silent_s: float, role: RoleName, reason: str
) -> None:
    def scene(s: Stage) -> None:
        s.hears(PEER, advbase=advbase, advskew=7)
        s.clock.tick(silent_s)

        assert reason in s.hearing.reason(role)

    play(scene)


def test_alone_the_reason_is_that_nobody_was_heard() -> None:
    play(lambda s: _assert_alone(s.hearing))


def _assert_alone(hearing: Hearing) -> None:
    assert hearing.reason(RoleName.MASTER) == "no other master heard"
