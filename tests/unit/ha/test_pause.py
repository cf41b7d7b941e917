"""The word of a pause: which one counts, when it ends, what a broken file means."""

from __future__ import annotations

import logging
import stat
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from lbctl.ha.pause import NO_PAUSE, Pause, PauseWord
from tests.fakes.clock import FakeClock


class Host:
    """A node with its state dir and its two clocks."""

    def __init__(self, path: Path, wall: float = 1e9) -> None:
        self.path = path
        self.wall = FakeClock(wall)
        self.clock = FakeClock()
        self.pause = self.restarted()

    def restarted(self) -> Pause:
        return Pause(self.path, self.wall, self.clock)


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path / "pause.json")


def test_nobody_has_paused_at_first(host: Host) -> None:
    assert not host.pause.is_on
    assert host.pause.word == NO_PAUSE


def test_a_pause_outlives_a_restart_and_its_file_is_closed_to_others(host: Host) -> None:
    said = host.pause.say(is_on=True, by="root", why="new kernel")

    assert host.restarted().is_on
    assert host.restarted().word == said
    assert stat.S_IMODE(host.path.stat().st_mode) == 0o600


def test_a_resume_outlives_a_restart_with_its_serial(host: Host) -> None:
    host.pause.say(is_on=True, by="root")
    host.pause.say(is_on=False, by="root")

    assert not host.restarted().is_on
    assert host.restarted().word.serial == 2


def test_a_pause_for_a_time_ends_by_itself(host: Host) -> None:
    host.pause.say(is_on=True, by="root", for_s=60)
    host.clock.tick(59.9)
    assert host.pause.is_on

    host.clock.tick(0.2)
    assert not host.pause.is_on


@pytest.mark.parametrize("for_s", [float("inf"), float("-inf"), float("nan")])
def test_an_end_that_other_nodes_could_not_read_is_refused(host: Host, for_s: float) -> None:
    with pytest.raises(TypeError, match="no moment"):
        host.pause.say(is_on=True, by="root", for_s=for_s)

    assert host.pause.word == NO_PAUSE


def test_the_word_after_the_highest_serial_can_be_read(host: Host) -> None:
    highest = PauseWord(is_on=True, by="root", serial=2**53 - 1)
    host.pause.hear(highest)

    said = host.pause.say(is_on=False, by="root")

    assert PauseWord.of(said.as_dict()) == said
    assert said.beats(highest)


def test_setting_the_clock_neither_ends_nor_prolongs_a_pause(host: Host) -> None:
    host.pause.say(is_on=True, by="root", for_s=60)
    host.wall.tick(3600)
    assert host.pause.is_on

    host.wall.tick(-7200)
    host.clock.tick(61)
    assert not host.pause.is_on


def test_a_pause_that_ended_while_the_node_was_down_is_over(host: Host) -> None:
    host.pause.say(is_on=True, by="root", for_s=60)
    host.wall.tick(61)

    assert not host.restarted().is_on


def test_a_resume_beats_the_pause_that_it_knows(tmp_path: Path) -> None:
    a, b = Host(tmp_path / "a").pause, Host(tmp_path / "b").pause
    assert b.hear(a.say(is_on=True, by="alice"))
    resumed = b.say(is_on=False, by="bob")

    assert a.hear(resumed)
    assert not a.is_on
    assert not b.is_on


def test_at_the_same_serial_the_resume_counts(tmp_path: Path) -> None:
    a, b = Host(tmp_path / "a").pause, Host(tmp_path / "b").pause
    pause, resume = a.say(is_on=True, by="alice"), b.say(is_on=False, by="bob")
    a.hear(resume)
    b.hear(pause)

    assert (a.is_on, b.is_on) == (False, False)


def test_in_whatever_order_words_are_heard_the_same_one_counts(tmp_path: Path) -> None:
    words = [
        PauseWord(True, "a", "", 1.0, None, 1),
        PauseWord(False, "b", "", 2.0, None, 1),
        PauseWord(True, "a", "x", 3.0, None, 2),
        PauseWord(True, "b", "x", 3.0, None, 2),
    ]
    last = set()
    for number, order in enumerate(permutations(words)):
        pause = Host(tmp_path / str(number)).pause
        for word in order:
            pause.hear(word)
        last.add(pause.word)

    assert last == {words[3]}


def test_a_word_that_is_known_already_is_no_news(host: Host) -> None:
    word = host.pause.say(is_on=True, by="root", for_s=60)

    assert not host.pause.hear(word)
    assert not host.pause.hear(word.shifted(3.0))


def test_the_end_is_told_by_the_hearers_clock(tmp_path: Path) -> None:
    here, there = Host(tmp_path / "a"), Host(tmp_path / "b", wall=2e9)
    word = there.pause.say(is_on=True, by="root", for_s=60)
    here.pause.hear(word.shifted(-1e9))
    here.clock.tick(59)
    assert here.pause.is_on

    here.clock.tick(2)
    assert not here.pause.is_on


@pytest.mark.parametrize(
    "text",
    [
        "", "garbage", "[]", "null", "{}", "[" * 5000, '"on"',
        '{"is_on": 1, "by": "", "why": "", "since": 0, "until": null, "serial": 1}',
        '{"is_on": true, "by": 5, "why": "", "since": 0, "until": null, "serial": 1}',
        '{"is_on": true, "by": "", "why": "", "since": NaN, "until": null, "serial": 1}',
        '{"is_on": true, "by": "", "why": "", "since": 0, "until": "x", "serial": 1}',
        '{"is_on": true, "by": "", "why": "", "since": 0, "until": null, "serial": -1}',
        '{"is_on": true, "by": "", "why": "", "since": 0, "until": null, "serial": true}',
        '{"is_on": true, "by": "", "why": "", "since": 0, "until": null, "serial": 1e400}',
    ],
)  # fmt: skip
def test_a_garbled_file_is_no_pause_and_is_told(
    host: Host, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    host.path.write_text(text)
    with caplog.at_level(logging.WARNING):
        pause = host.restarted()

    assert not pause.is_on
    assert str(host.path) in caplog.text


def test_bytes_that_are_no_text_are_no_pause(host: Host) -> None:
    host.path.write_bytes(b"\xff\xfe")

    assert not host.restarted().is_on


def test_a_state_dir_that_takes_nothing_keeps_the_word_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pause = Host(tmp_path / "missing" / "pause.json").pause
    pause.say(is_on=True, by="root")

    assert pause.is_on
    assert "must learn it from the peer" in caplog.text


def test_what_people_write_is_one_printable_line_of_bounded_length(host: Host) -> None:
    word = host.pause.say(is_on=True, by="x" * 100, why="a\nb\x1b[31m" + "y" * 100)

    assert word.by == "x" * 32
    assert word.why.startswith("a?b?[31my")
    assert len(word.why) == 80


def test_a_word_comes_back_from_its_dict() -> None:
    word = PauseWord(True, "root", "why", 5.0, 9.0, 3)

    assert PauseWord.of(word.as_dict()) == word
    assert PauseWord.of(replace(word, until=None).as_dict()).until is None
