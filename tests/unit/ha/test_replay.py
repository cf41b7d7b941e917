"""Which advertisements are believed, told by what a stranger may try and what operators do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lbctl.ha import carp, counter
from lbctl.ha.carp import Advertisement, Received, Refusal
from lbctl.ha.counter import NativeWord
from lbctl.ha.replay import Accepted, Sources
from tests.fakes.carp_packets import KEY, VHID

OWN, PEER, THIRD = "10.0.1.11", "10.0.1.12", "10.0.1.13"
T0 = 7_000_000_000
NOW = 100.0
UCARP_DEAD_S = 3.0
REPLAYED, NOT_NATIVE = Refusal.REPLAYED, Refusal.NOT_NATIVE


def sources(position: int = T0, peers: tuple[str, ...] = ()) -> Sources:
    return Sources(
        source=OWN,
        key=KEY,
        ucarp_dead_s=UCARP_DEAD_S,
        position=position,
        now=NOW,
        peers=peers,
    )


def native(
    ticks: int, *, source: str = PEER, advbase: int = 1, advskew: int = 0, resigned: bool = False
) -> Received:
    word = NativeWord(ticks, resigned, 0.05)
    drawn = counter.make(word, vhid=VHID, advbase=advbase, advskew=advskew, source=source, key=KEY)
    return plain(drawn, source=source, advbase=advbase, advskew=advskew)


def plain(drawn: int, *, source: str = PEER, advbase: int = 1, advskew: int = 0) -> Received:
    said = Advertisement(VHID, advbase, advskew, drawn)
    return Received(source, carp.GROUP, 255, said, b"")


def forged(captured: Received, **fields: Any) -> Received:
    """What a stranger makes of it: the counter stays."""
    return plain(captured.advertisement.counter, **fields)


def believed(result: Accepted | Refusal) -> Accepted:
    assert isinstance(result, Accepted)
    return result


def settled() -> tuple[Sources, list[Received]]:
    """A native peer that has been heard for a while, and what it said."""
    heard, words = sources(), [native(T0 + 6 * number) for number in range(10)]
    for word in words:
        believed(heard.accept(word, NOW))
    return heard, words


def test_a_native_word_is_believed_once() -> None:
    heard, words = settled()

    assert heard.is_native(PEER)
    assert {heard.accept(word, NOW) for word in words} == {REPLAYED}


def test_a_native_word_says_its_interval_and_time() -> None:
    taken = believed(sources().accept(native(T0, advskew=9), NOW))

    assert taken == Accepted(PEER, 1, 9, False, True, 0.05, 0.0, T0)


@pytest.mark.parametrize("advskew", [0, 1, 255])
@pytest.mark.parametrize("source", [PEER, THIRD])
@pytest.mark.parametrize("advbase", [0, 1, 2, 255])
def test_a_captured_native_word_is_worth_nothing_in_any_disguise(
    advbase: int, source: str, advskew: int
) -> None:
    heard, words = settled()
    unheard = native(T0 + 500)
    disguise = {"advbase": advbase, "source": source, "advskew": advskew}
    results = {heard.accept(forged(one, **disguise), NOW) for one in words}

    assert results <= {REPLAYED, NOT_NATIVE}

    if (advbase, source, advskew) != (1, PEER, 0):
        assert heard.accept(forged(unheard, **disguise), NOW) in {REPLAYED, NOT_NATIVE}


def test_a_receiver_that_knows_nobody_refuses_a_native_word_in_disguise() -> None:
    old = native(T0 - 1000)

    assert sources().accept(forged(old, advbase=255), NOW) is REPLAYED
    assert sources().accept(forged(old, source=THIRD), NOW) is REPLAYED


@pytest.mark.parametrize(
    ("advbase", "resigned", "counts"),
    [(255, True, True), (255, False, False), (1, True, False), (1, False, False)],
)
def test_a_native_resignation_is_the_bit_and_the_advbase(
    advbase: int, resigned: bool, counts: bool
) -> None:
    heard, _ = settled()
    taken = believed(heard.accept(native(T0 + 99, advbase=advbase, resigned=resigned), NOW))

    assert taken.is_resignation is counts


def test_a_receiver_without_memory_takes_no_resignation_for_the_first_word_of_a_source() -> None:
    heard = sources()
    taken = believed(heard.accept(native(T0 - 9000, advbase=255, resigned=True), NOW))

    assert not taken.is_resignation


def test_a_resignation_of_a_peer_that_has_only_greeted_counts() -> None:
    heard = sources()
    heard.greeted(PEER, is_native=True, position=T0, now=NOW)
    taken = believed(heard.accept(native(T0 + 1, advbase=255, resigned=True), NOW))

    assert taken.is_resignation


def test_own_words_that_come_back_are_refused_and_in_disguise_too() -> None:
    heard = sources()
    own = native(T0, source=OWN)
    heard.sent(own.advertisement.counter)

    assert heard.accept(own, NOW) is Refusal.OWN_SOURCE
    assert heard.accept(forged(own, source=THIRD, advbase=255), NOW) is REPLAYED


def test_with_peers_nobody_else_is_listened_to() -> None:
    heard = sources(peers=(PEER,))

    assert heard.accept(native(T0, source=THIRD), NOW) is Refusal.NOT_A_PEER
    believed(heard.accept(native(T0), NOW))


def test_a_ucarps_random_counter_is_believed_once_whoever_sends_it_again() -> None:
    heard = sources()
    taken = believed(heard.accept(plain(12345, advskew=8), NOW))

    assert taken == Accepted(PEER, 1, 8, False, False, 1 + 8 / 256, 0.0, 0)
    assert heard.accept(plain(12345, advbase=255), NOW) is REPLAYED
    assert heard.accept(plain(12345, source=THIRD), NOW) is REPLAYED


def test_a_ucarps_counter_may_fall() -> None:
    heard = sources()

    for drawn in (2**62, 5, 2**61, 1 << 63 | (T0 + 10**9) << 25):
        believed(heard.accept(plain(drawn), NOW))


def test_a_ucarp_counts_on_from_our_word_its_predecessors_and_its_own() -> None:
    heard = sources()
    ours = native(T0, source=OWN).advertisement.counter
    heard.sent(ours)
    for drawn in (ours + 1, ours + 2, ours + 40):
        believed(heard.accept(plain(drawn), NOW))
    believed(heard.accept(plain(ours + 41, source=THIRD), NOW))

    assert not heard.nudge_due(NOW)
    assert heard.accept(plain(ours + 2), NOW) is REPLAYED


def test_a_ucarp_that_counts_past_a_valid_tag_stays_a_ucarp() -> None:
    heard = sources()
    ours = native(T0, source=OWN).advertisement.counter
    heard.sent(ours)
    tag = KEY.tag(ours, Advertisement(VHID, 1, 0, ours), PEER)
    start = (ours & ~0xFFFF) + max(tag - 2, (ours & 0xFFFF) + 1)
    kinds = [believed(heard.accept(plain(start + n), NOW)).is_native for n in range(5)]

    assert kinds == [False] * 5


def test_random_counters_ask_for_a_nudge_once_a_second() -> None:
    heard = sources()
    believed(heard.accept(plain(111), NOW))

    assert heard.nudge_due(NOW)

    believed(heard.accept(plain(99_999_999), NOW))

    assert not heard.nudge_due(NOW + 0.5)
    assert heard.nudge_due(NOW + 1.0)
    assert not heard.nudge_due(NOW + 3.0)


def test_a_native_peer_that_becomes_a_ucarp_is_believed_after_a_while() -> None:
    heard, _ = settled()
    change = NOW + UCARP_DEAD_S + 2.0

    assert heard.accept(plain(1000), change - 0.1) is NOT_NATIVE
    assert heard.accept(plain(2000), change + 0.1) is NOT_NATIVE
    assert heard.accept(plain(2000), change + 1.1) is REPLAYED
    assert heard.accept(plain(2001), change + 1.2) is NOT_NATIVE

    believed(heard.accept(plain(2002), change + 2.1))

    assert not heard.is_native(PEER)


def test_a_native_peer_that_speaks_on_never_becomes_a_ucarp() -> None:
    heard, _ = settled()
    for number in range(100):
        now = NOW + number
        believed(heard.accept(native(T0 + 100 + number), now))

        assert heard.accept(plain(5000 + number), now) is NOT_NATIVE


def test_a_fresh_greeting_makes_a_native_peer_a_ucarp_at_once() -> None:
    heard, _ = settled()
    heard.greeted(PEER, is_native=False, position=0, now=NOW)

    believed(heard.accept(plain(1000), NOW))


def test_a_fresh_greeting_makes_a_peer_native_before_it_speaks() -> None:
    heard = sources()
    heard.greeted(PEER, is_native=True, position=T0, now=NOW)

    assert heard.accept(plain(1000, advbase=255), NOW) is NOT_NATIVE
    assert heard.accept(native(T0 - 1000), NOW) is REPLAYED

    believed(heard.accept(native(T0 + 1), NOW))


@pytest.mark.parametrize("source", [PEER, THIRD])
@pytest.mark.parametrize("advbase", [0, 1, 255])
def test_what_a_pair_said_while_it_ran_ucarp_is_worth_nothing_while_it_greets_as_native(
    source: str, advbase: int
) -> None:
    heard = sources()
    for second in range(60):
        now = NOW + second
        heard.greeted(PEER, is_native=True, position=T0 + 250 * second, now=now)
        captured = plain(2**62 + 7 * 10**9 * second, source=source, advbase=advbase)

        assert heard.accept(captured, now + 0.9) is NOT_NATIVE


def test_one_greeting_that_says_ucarp_lets_a_ucarp_speak() -> None:
    heard = sources()
    heard.greeted(PEER, is_native=True, position=T0, now=NOW)
    heard.greeted(THIRD, is_native=False, position=0, now=NOW)

    believed(heard.accept(plain(1000, source=THIRD), NOW))


def test_greetings_that_are_old_say_nothing_of_other_sources() -> None:
    heard = sources()
    heard.greeted(PEER, is_native=True, position=T0, now=NOW)

    assert heard.accept(plain(1000, source=THIRD), NOW + 3.4) is NOT_NATIVE
    believed(heard.accept(plain(2000, source=THIRD), NOW + 3.6))


def test_a_native_backup_that_greets_has_not_fallen_silent() -> None:
    heard = sources()
    for second in range(10):
        heard.greeted(PEER, is_native=True, position=T0 + 250 * second, now=NOW + second)
    heard.greeted(THIRD, is_native=False, position=0, now=NOW + 9)
    words = [heard.accept(plain(1000 * n), NOW + 10) for n in range(5)]

    assert words == [NOT_NATIVE] * 5


def test_a_ucarp_that_becomes_native_is_believed_at_once() -> None:
    heard = sources()
    for drawn in (1000, 1001):
        believed(heard.accept(plain(drawn), NOW))

    kinds = [believed(heard.accept(native(T0 + 6 * n), NOW)).is_native for n in range(3)]

    assert kinds == [True] * 3
    assert heard.is_native(PEER)


def test_a_peer_whose_time_went_back_is_believed_after_its_greeting_alone() -> None:
    heard, words = settled()
    young = T0 - 10_000_000

    assert heard.accept(native(young), NOW) is REPLAYED

    heard.greeted(PEER, is_native=True, position=young, now=NOW)

    believed(heard.accept(native(young + 1), NOW))
    assert heard.accept(native(young + 1), NOW) is REPLAYED
    # Its words from before, which a stranger may have kept, are still worth nothing.
    assert {heard.accept(word, NOW + 1) for word in words} == {REPLAYED}
    assert heard.accept(native(T0 + 1), NOW + 1) is REPLAYED
    # Time goes on, as far as the clock says it may.
    assert heard.accept(native(young + 5_000), NOW + 1) is REPLAYED

    believed(heard.accept(native(young + 5_000), NOW + 20))


def test_a_peer_whose_clock_is_ahead_of_ours_is_as_safe() -> None:
    heard = sources(position=0)
    believed(heard.accept(native(T0), NOW))

    assert heard.accept(forged(native(T0 - 1000), source=THIRD), NOW) is REPLAYED


def test_a_tagged_word_takes_back_what_spoke_for_a_ucarp() -> None:
    heard, _ = settled()
    for number in range(2):
        assert heard.accept(plain(1000 * number), NOW + 6) is NOT_NATIVE
    believed(heard.accept(native(T0 + 2000), NOW + 7))

    assert heard.accept(plain(5000), NOW + 20) is NOT_NATIVE


def test_a_greeting_that_took_its_time_shuts_out_nothing_that_is_new() -> None:
    heard, _ = settled()
    heard.greeted(PEER, is_native=True, position=T0 + 60, now=NOW)

    believed(heard.accept(native(T0 + 58), NOW))


def test_memory_survives_a_restart_through_json() -> None:
    heard, words = settled()
    believed(heard.accept(plain(777, source=THIRD), NOW))
    saved = json.loads(json.dumps(heard.memory()))
    again = sources()
    again.remember(saved, NOW)

    assert again.is_native(PEER)
    assert {again.accept(word, NOW) for word in words} == {REPLAYED}
    assert again.accept(plain(777, source=THIRD), NOW) is REPLAYED
    assert again.accept(plain(778), NOW) is NOT_NATIVE
    believed(again.accept(plain(778, source=THIRD), NOW))
    believed(again.accept(native(T0 + 1000), NOW))


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"natives": [], "ranges": {}},
        {"natives": {PEER: "x"}, "ranges": [[1], "x", [1, "y"], [-5, 3], [9, 2], None]},
        {"natives": {PEER: T0 + 3_700 * 21_600_000}, "ranges": [[0, 2**64 - 1]]},
        {"natives": None, "ranges": None},
    ],
)
def test_nonsense_in_the_memory_is_passed_over(saved: dict[str, Any]) -> None:
    heard = sources()
    heard.remember(saved, NOW)

    believed(heard.accept(native(T0), NOW))
    believed(heard.accept(plain(5, source=THIRD), NOW))


def test_senders_and_words_are_bounded() -> None:
    heard = sources()
    for number in range(10_000):
        believed(heard.accept(plain(number * 1_000_003, source=f"10.1.{number % 200}.1"), NOW))
        heard.sent(native(T0 + number, source=OWN).advertisement.counter)

    assert len(heard.memory()["ranges"]) == 256
    assert len(heard._sources) + len(heard._ranges) + len(heard._words) <= 64 + 4096 + 4096


def test_a_peer_that_gave_way_and_came_back_has_lost_nothing() -> None:
    heard, _ = settled()
    believed(heard.accept(native(T0 + 60, advbase=255, resigned=True), NOW))
    back = believed(heard.accept(native(T0 + 60 + 6 * 40), NOW))

    assert back.loss == 0.0


def test_what_is_lost_of_a_peer_is_told() -> None:
    heard, _ = settled()
    taken = believed(heard.accept(native(T0 + 6 * 15), NOW))

    assert taken.loss == heard.loss_of(PEER) == pytest.approx(0.36, abs=0.05)


def test_a_greeting_while_it_counts_as_dead_makes_no_loss_of_that_time() -> None:
    heard = sources()
    for number in range(10):
        believed(heard.accept(native(T0 + 6 * number), NOW + 0.025 * number))
    heard.greeted(PEER, is_native=True, position=T0 + 170, now=NOW + 0.7)
    back = believed(heard.accept(native(T0 + 178), NOW + 0.71))

    assert back.loss == 0.0
