"""What a real ucarp does with counters, and whether all that it sends is believed."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from lbctl.ha import carp, counter
from lbctl.ha.announce import Sender
from lbctl.ha.capture import open_capture, read_all
from lbctl.ha.carp import Advertisement, Received, Refusal
from lbctl.ha.election import yields
from lbctl.ha.election_words import Heard, Rules
from lbctl.ha.replay import Accepted, Sources
from tests import ucarps
from tests.fakes.netns import Host, wait_until
from tests.ucarps import PASSWORD, VHID, VIP

pytestmark = pytest.mark.system

KEY = counter.TagKey(PASSWORD)
Hosts = tuple[Host, ...]


class NativeEar:
    """A native node on *host*: it believes by the rules, and says what it is told to."""

    def __init__(self, host: Host, capture: socket.socket) -> None:
        now = time.monotonic()
        self.host = host
        self.clock = counter.Clockwork(position=0, wall_s=time.time(), now=now)
        self.sources = Sources(
            source=host.address,
            key=KEY,
            ucarp_dead_s=3.0,
            position=self.clock.position(now),
            now=now,
        )
        self.counters: dict[str, list[int]] = {}
        self.accepted: list[Accepted] = []
        self.refused: list[tuple[Refusal, int]] = []
        self._capture = capture

    def listen(self) -> None:
        for seen in read_all(self._capture):
            if not seen.outgoing:
                self._take(seen.packet, seen.at)

    def say(self, advbase: int, advskew: int, *, is_resignation: bool = False) -> int:
        word = counter.NativeWord(self.clock.next(time.monotonic()), is_resignation, 0.05)
        drawn = counter.make(
            word, vhid=VHID, advbase=advbase, advskew=advskew, source=self.host.address, key=KEY
        )
        self.sources.sent(drawn)
        said = Advertisement(VHID, advbase, advskew, drawn)
        with self.host.entered(), Sender("eth0") as wire:
            wire.send([carp.frame(said, source=self.host.address, vip=VIP, password=PASSWORD)])
        return drawn

    def _take(self, packet: bytes, at: float) -> None:
        received = carp.genuine(packet, vhid=VHID, vip=VIP, password=PASSWORD)
        assert isinstance(received, Received)
        drawn = received.advertisement.counter
        self.counters.setdefault(received.source, []).append(drawn)
        taken = self.sources.accept(received, at)
        if isinstance(taken, Accepted):
            self.accepted.append(taken)
        elif self.could_be_random(drawn):
            self.refused.append((taken, drawn))

    def could_be_random(self, drawn: int) -> bool:
        """Not one of the few random counters that look as a native one does (refused, rightly)."""
        return not counter.looks_native(drawn, self.clock.position(time.monotonic()) + 21_600_000)


def ucarp(host: Host, tmp_path: Path, *extra: str) -> AbstractContextManager[Path]:
    return ucarps.ucarp(host, tmp_path, "--preempt", *extra)


@contextmanager
def native(host: Host) -> Iterator[NativeEar]:
    with host.entered():
        capture = open_capture("eth0")
    with capture:
        yield NativeEar(host, capture)


def heard(ear: NativeEar, source: str, many: int) -> list[int]:
    """The next *many* counters of *source*."""
    start = len(ear.counters.get(source, []))

    def came() -> bool:
        ear.listen()
        return len(ear.counters.get(source, [])) >= start + many

    wait_until(came, within_s=4 * many + 4)
    return ear.counters[source][start:]


def is_row(counters: list[int]) -> bool:
    return counters == list(range(counters[0], counters[0] + len(counters)))


def test_ucarp_draws_at_random_until_it_hears_us_and_then_counts_on(
    hosts: Hosts, tmp_path: Path
) -> None:
    speaker, listener, _ = hosts
    with native(listener) as ear, ucarp(speaker, tmp_path, "--deadratio=1"):
        drawn = heard(ear, speaker.address, 3)

        assert not is_row(drawn)
        assert ear.sources.nudge_due(time.monotonic())

        nudged = ear.say(carp.RESIGNATION_ADVBASE, 0)

        def counts_on() -> bool:
            return nudged + 1 in heard(ear, speaker.address, 1)

        wait_until(counts_on, within_s=4)
        row = heard(ear, speaker.address, 3)

    assert row == [nudged + 2, nudged + 3, nudged + 4]
    assert ear.refused == []
    assert not any(one.is_native or one.is_resignation for one in ear.accepted)
    assert not ear.sources.nudge_due(time.monotonic() + 5)


def test_our_words_hold_a_ucarp_back_and_our_resignation_lets_it_take_over(
    hosts: Hosts, tmp_path: Path
) -> None:
    speaker, listener, _ = hosts
    with native(listener) as ear, ucarp(speaker, tmp_path, "--deadratio=2", "--advskew=50") as log:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            ear.say(1, 0)
            time.sleep(0.05)

        assert "MASTER" not in log.read_text()

        resigned = ear.say(carp.RESIGNATION_ADVBASE, 0, is_resignation=True)
        row = heard(ear, speaker.address, 3)

    assert row == [resigned + 1, resigned + 2, resigned + 3]
    assert "going to time out" in log.read_text() or "preemption" in log.read_text()
    assert ear.refused == []


def test_every_word_of_two_ucarps_is_believed_through_failover_and_restart(
    hosts: Hosts, tmp_path: Path
) -> None:
    """Both start, the master dies, the other takes over, the first one comes back and wins."""
    first, second, listener = hosts
    with native(listener) as ear:
        with ucarp(second, tmp_path, "--deadratio=1", "--advskew=20"):
            with ucarp(first, tmp_path, "--deadratio=1"):
                before = heard(ear, first.address, 4)
            after = heard(ear, second.address, 3)
            with ucarp(first, tmp_path, "--deadratio=1"):
                back = heard(ear, first.address, 4)
        memory = ear.sources.memory()

    assert ear.refused == []
    assert is_row(after)
    assert after[0] - before[-1] <= 3
    assert len({*before, *after, *back}) == 11
    assert memory["natives"] == {}


def test_what_was_believed_once_is_refused_as_replayed(hosts: Hosts, tmp_path: Path) -> None:
    speaker, listener, stranger = hosts
    with native(listener) as ear, ucarp(speaker, tmp_path, "--deadratio=1"):
        drawn = heard(ear, speaker.address, 2)
        forged = Advertisement(VHID, carp.RESIGNATION_ADVBASE, 0, drawn[0])
        copy = carp.frame(forged, source=stranger.address, vip=VIP, password=PASSWORD)
        with stranger.entered(), Sender("eth0") as wire:
            wire.send([copy])
        heard(ear, stranger.address, 1)

    assert [refusal for refusal, _ in ear.refused] == [Refusal.REPLAYED]


@pytest.mark.parametrize(("ours", "is_lower"), [("10.0.1.200", False), ("10.0.2.3", True)])
def test_equal_masters_are_ordered_as_ucarp_orders_them(
    hosts: Hosts, tmp_path: Path, ours: str, is_lower: bool
) -> None:
    """ucarp compares addresses from their last byte to their first."""
    speaker, other, _ = hosts
    rules = Rules(speaker.address, 1, 0.05, 3, 0.0)
    rival = Heard(ours, 1, 0, False, True, 0.05, 0.0)
    with ucarp(speaker, tmp_path, "--deadratio=1") as log:
        wait_until(lambda: "state: MASTER" in log.read_text(), within_s=5)
        equal = Advertisement(VHID, 1, 0, 1 << 40)
        frame = carp.frame(equal, source=ours, vip=VIP, password=PASSWORD)
        with other.entered(), Sender("eth0") as wire:
            wire.send([frame])
        said = "going back to BACKUP" if is_lower else "reasserting"
        wait_until(lambda: said in log.read_text(), within_s=3)

    assert yields(rules, 0, rival) is is_lower
