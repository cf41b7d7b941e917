"""A word of a pause that is said where newer ones have not been heard."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.ha import echo
from lbctl.ha.greeting import Greeting, Kind
from lbctl.ha.neighbour import Neighbour, neighbour_of
from lbctl.ha.pause import Pause, PauseWord

SHORT_S = 0.05
LONG_S = 30.0
GREETING = Greeting(Kind.GREETING, "b" * 16, "s", 1, "c", hostname="b")


def word(is_on: bool, serial: int) -> PauseWord:
    return PauseWord(is_on, "other", "", 1e9, None, serial)


class Peer:
    """The other node: what it hears from this one, and what it greets back."""

    def __init__(self, here: Pause, path: Path, *, is_there: bool = True) -> None:
        self.pause = Pause(path)
        self.here = here
        self.is_there = is_there
        self.greeted = PauseWord()
        self.defies = False
        self._greets = asyncio.Event()

    def changed(self) -> None:
        if self.is_there:
            asyncio.get_running_loop().call_soon(self._hear)

    def _hear(self) -> None:
        self.pause.hear(self.here.word)
        if self.defies:
            self.pause.say(is_on=not self.here.word.is_on, by="other")
        self.greeted = self.pause.word
        self._greets.set()

    def peers(self) -> tuple[Neighbour, ...]:
        known = neighbour_of(GREETING, "10.0.1.12", now=0.0, wall=0.0)
        return (replace(known, pause=self.greeted if self.greeted.serial else None),)

    async def next_greeting(self) -> None:
        self._greets.clear()
        await self._greets.wait()


@pytest.fixture(name="here")
def _here(tmp_path: Path) -> Pause:
    return Pause(tmp_path / "here.json")


@pytest.fixture(name="peer")
def _peer(here: Pause, tmp_path: Path) -> Peer:
    return Peer(here, tmp_path / "there.json")


def say(
    here: Pause, peer: Peer | None, is_on: bool, within_s: float = LONG_S
) -> tuple[PauseWord, list[str]]:
    """The word in the end, and who has it."""

    async def applied() -> None:
        pass

    async def scene() -> tuple[PauseWord, list[str]]:
        said, nodes = await echo.say(here, peer, applied, is_on=is_on, by="root", within_s=within_s)
        return said, [one.hostname for one in nodes]

    return asyncio.run(scene())


@pytest.mark.parametrize("is_on", [True, False])
def test_a_word_is_said_until_the_other_node_has_it(here: Pause, peer: Peer, is_on: bool) -> None:
    said, nodes = say(here, peer, is_on)

    assert nodes == ["b"]
    assert (peer.pause.word, said.serial) == (said, 1)


@pytest.mark.parametrize("is_on", [True, False])
def test_a_word_counts_though_newer_ones_had_not_been_heard(
    here: Pause, peer: Peer, is_on: bool
) -> None:
    peer.pause.hear(word(not is_on, 3))
    said, nodes = say(here, peer, is_on)

    assert nodes == ["b"]
    assert (said.serial, said.is_on) == (4, is_on)
    assert here.word == peer.pause.word == said


def test_a_newer_resume_is_as_good_as_the_one_that_is_said(here: Pause, peer: Peer) -> None:
    peer.pause.hear(word(is_on=False, serial=3))
    _, nodes = say(here, peer, False)

    assert nodes == ["b"]
    assert peer.pause.word.serial == 3


def test_a_pause_that_is_said_later_takes_the_place_of_a_newer_one(here: Pause, peer: Peer) -> None:
    peer.pause.hear(word(is_on=True, serial=3))
    said, nodes = say(here, peer, True)

    assert nodes == ["b"]
    assert peer.pause.word == said
    assert (said.by, said.serial) == ("root", 4)


def test_a_node_that_does_not_answer_is_not_named(here: Pause, tmp_path: Path) -> None:
    silent = Peer(here, tmp_path / "there.json", is_there=False)
    said, nodes = say(here, silent, True, SHORT_S)

    assert nodes == []
    assert here.word == said


def test_nobody_is_waited_for_where_nobody_greets(here: Pause) -> None:
    assert say(here, None, True)[1] == []


def test_a_person_who_contradicts_at_the_other_node_is_contradicted_once(
    here: Pause, peer: Peer
) -> None:
    peer.defies = True
    said, nodes = say(here, peer, True, 1.0)

    assert nodes == []
    assert said.serial == 3
    assert (peer.pause.word.serial, peer.pause.is_on) == (4, False)
