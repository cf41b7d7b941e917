from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.ha import counter
from lbctl.ha.carp import Advertisement, Password
from lbctl.ha.counter import EPOCH_S, INTERVALS_MS, Clockwork, NativeWord, TagKey

KEY = TagKey(Password(b"foobar23"))
A, B = "10.0.1.11", "10.0.1.12"
WORD = NativeWord(ticks=7_000_000_000, is_resignation=False, interval_s=0.05)


def drawn(word: NativeWord = WORD, advbase: int = 1, advskew: int = 100, key: TagKey = KEY) -> int:
    return counter.make(word, vhid=7, advbase=advbase, advskew=advskew, source=A, key=key)


@given(
    ticks=st.integers(0, 2**38 - 1),
    is_resignation=st.booleans(),
    interval_ms=st.sampled_from(INTERVALS_MS),
    advbase=st.integers(0, 255),
    advskew=st.integers(0, 255),
)
def test_what_is_made_is_read(
    ticks: int, is_resignation: bool, interval_ms: int, advbase: int, advskew: int
) -> None:
    word = NativeWord(ticks, is_resignation, interval_ms / 1000)
    number = drawn(word, advbase, advskew)

    assert number < 1 << 64
    assert counter.ticks_of(number) == ticks
    assert counter.read(Advertisement(7, advbase, advskew, number), A, KEY) == word


@pytest.mark.parametrize(
    ("advertisement", "source", "key"),
    [
        (Advertisement(8, 1, 100, drawn()), A, KEY),
        (Advertisement(7, 255, 100, drawn()), A, KEY),
        (Advertisement(7, 1, 0, drawn()), A, KEY),
        (Advertisement(7, 1, 100, drawn()), B, KEY),
        (Advertisement(7, 1, 100, drawn() + 1), A, KEY),
        (Advertisement(7, 1, 100, drawn() ^ 1 << 24), A, KEY),
        (Advertisement(7, 1, 100, drawn() ^ 1 << 40), A, KEY),
        (Advertisement(7, 1, 100, drawn() ^ 1 << 63), A, KEY),
        (Advertisement(7, 1, 100, drawn()), A, TagKey(Password(b"other"))),
    ],
    ids=["vhid", "advbase", "advskew", "source", "count", "resigned", "time", "mark", "password"],
)
def test_a_word_with_anything_changed_is_nobodys(
    advertisement: Advertisement, source: str, key: TagKey
) -> None:
    assert counter.read(advertisement, source, key) is None


@given(st.integers(0, 2**64 - 1))
def test_any_number_can_be_read(number: int) -> None:
    word = counter.read(Advertisement(7, 1, 0, number), A, KEY)

    assert word is None or word.interval_s <= 2.55


def test_an_interval_code_beyond_the_table_is_nobodys_though_its_tag_is_right() -> None:
    upper = 1 << 63 | 255 << 16
    number = upper | KEY.tag(upper, Advertisement(7, 1, 0, upper), A)

    assert counter.read(Advertisement(7, 1, 0, number), A, KEY) is None


@pytest.mark.parametrize(
    ("interval_s", "said_s"),
    [
        (0.02, 0.02),
        (0.025, 0.025),
        (0.101, 0.105),
        (0.75, 0.75),
        (2.55, 2.55),
        (9, 2.55),
        (0, 0.02),
    ],
)
def test_an_interval_is_said_exactly_or_rounded_up(interval_s: float, said_s: float) -> None:
    number = drawn(NativeWord(5, is_resignation=False, interval_s=interval_s))
    word = counter.read(Advertisement(7, 1, 100, number), A, KEY)

    assert word is not None
    assert word.interval_s == said_s


def test_the_table_of_intervals_fits_its_byte() -> None:
    assert len(INTERVALS_MS) <= 256
    assert (INTERVALS_MS[0], INTERVALS_MS[-1]) == (20, 2550)


def test_time_grows_with_each_packet_and_follows_the_monotonic_clock() -> None:
    clock = Clockwork(position=0, wall_s=EPOCH_S + 4.0, now=50.0)

    assert [clock.next(50.0) for _ in range(3)] == [1001, 1002, 1003]
    assert clock.next(51.0) == 1250
    assert clock.next(50.9) == 1251
    assert clock.position(52.0) == 1500


YEAR_S = 365.25 * 86_400


@pytest.mark.parametrize("years", [-57, 31, 34.8, 73, 500])
@pytest.mark.parametrize("position", [0, 9_000, 2**38 - 1, 2**40])
def test_time_grows_whatever_an_absurd_wall_clock_and_an_earlier_life_say(
    years: float, position: int
) -> None:
    clock = Clockwork(position=position, wall_s=EPOCH_S + years * YEAR_S, now=0.0)
    words = [
        counter.read(
            Advertisement(
                7, 1, 100, drawn(NativeWord(ticks, is_resignation=False, interval_s=0.05))
            ),
            A,
            KEY,
        )
        for ticks in (clock.next(0.0), clock.next(0.0), clock.next(YEAR_S))
    ]
    said = [word.ticks for word in words if word is not None]

    assert len(set(said)) == 3
    assert said == sorted(said)
    assert said[0] == (9_001 if position == 9_000 else 1) + 1


@pytest.mark.parametrize("wall_s", [0.0, EPOCH_S - 5, EPOCH_S + 4.0, EPOCH_S + 73 * YEAR_S])
def test_time_never_falls_behind_an_earlier_life_whatever_the_wall_clock_says(
    wall_s: float,
) -> None:
    clock = Clockwork(position=9_000, wall_s=wall_s, now=0.0)

    assert clock.next(0.0) > 9_000


@pytest.mark.parametrize(
    ("number", "is_native_like"),
    [
        (drawn(), True),
        (drawn() + 5, True),
        (drawn(NativeWord(7_000_000_001, is_resignation=False, interval_s=0.05)), False),
        (1 << 62, False),
    ],
)
def test_a_number_looks_native_up_to_now(number: int, is_native_like: bool) -> None:
    assert counter.looks_native(number, 7_000_000_000) is is_native_like


def test_the_key_does_not_show() -> None:
    assert repr(KEY) == "TagKey(***)"
