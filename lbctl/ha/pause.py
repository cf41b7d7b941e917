"""
Maintenance: the word that the virtual addresses are not to move by themselves, and its file.

The word is the pair's, not the node's: each node keeps the newest one it has said or heard, in
``StateDir.pause``, and passes it on. Newest is the highest serial, whatever the clocks say; of
equal ones a resume beats a pause. So both nodes end up with the same word, whoever hears it first.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from lbctl.ha.keepsake import Keepsake

BY_MAX = 32
WHY_MAX = 80
_SERIAL_MAX = 2**53


@dataclass(frozen=True, slots=True)
class PauseWord:
    """
    Paused or resumed.

    Attributes:
        is_on: paused.
        by: who said so.
        why: a sentence; may be empty.
        since: wall clock, seconds.
        until: wall clock, seconds, when it ends by itself; None: it does not.
        serial: each new word of either node has one more than the newest it knew.
    """

    is_on: bool = False
    by: str = ""
    why: str = ""
    since: float = 0.0
    until: float | None = None
    serial: int = 0

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> PauseWord:
        """
        Read what :meth:`as_dict` made.

        Raises:
            ValueError, KeyError, TypeError: it did not.
        """
        until = raw["until"]
        serial = raw["serial"]
        if type(raw["is_on"]) is not bool or type(serial) is not int:
            message = "no word of a pause"
            raise TypeError(message)
        if not 0 <= serial < _SERIAL_MAX:
            message = f"serial {serial}"
            raise ValueError(message)
        return cls(
            is_on=raw["is_on"],
            by=_line(raw["by"], BY_MAX),
            why=_line(raw["why"], WHY_MAX),
            since=_moment(raw["since"]),
            until=None if until is None else _moment(until),
            serial=serial,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def beats(self, other: PauseWord) -> bool:
        """Whether both nodes go by this one when they know both."""
        return self._rank() > other._rank()

    def shifted(self, seconds: float) -> PauseWord:
        """The same, told by a clock that is *seconds* ahead."""
        until = None if self.until is None else self.until + seconds
        return replace(self, since=self.since + seconds, until=until)

    def _rank(self) -> tuple[int, bool, str, str]:
        # No moment is in it: each node tells them by its own clock.
        return self.serial, not self.is_on, self.by, self.why


def _line(value: object, longest: int) -> str:
    if not isinstance(value, str):
        message = f"{value!r} is no text"
        raise TypeError(message)
    return "".join(sign if sign.isprintable() else "?" for sign in value[:longest])


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        message = f"{value!r} is no moment"
        raise TypeError(message)
    return float(value)


NO_PAUSE = PauseWord()


class Pause:
    """
    The newest word that this node knows. :meth:`say` and :meth:`hear` are for any thread.

    A file that cannot be read or written never ends anything: the word then lives in memory alone,
    and the other node brings it back after a restart.
    """

    def __init__(
        self,
        path: Path,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = Keepsake(path, "a restarted vipd must learn it from the peer")
        self._wall = wall
        self._clock = clock
        self._lock = Lock()
        self.word = NO_PAUSE
        self._ends = math.inf
        self._take(self._file.read(PauseWord.of, NO_PAUSE))

    @property
    def trouble(self) -> str:
        """Why a word is not kept over a restart; empty: it is."""
        return self._file.trouble

    @property
    def is_on(self) -> bool:
        """Whether the addresses are to stay where they are, now."""
        return self.word.is_on and self._clock() < self._ends

    def say(self, *, is_on: bool, by: str, why: str = "", for_s: float | None = None) -> PauseWord:
        """
        A new word of this node's operator; *for_s*: it ends by itself after so many seconds.

        Raises:
            TypeError: *for_s* is infinite or no number: the other nodes could not be told.
        """
        now = self._wall()
        with self._lock:
            word = PauseWord(
                is_on=is_on,
                by=_line(by, BY_MAX),
                why=_line(why, WHY_MAX),
                since=now,
                until=None if for_s is None or not is_on else _moment(now + for_s),
                # After the highest one that can be read the next word has to be readable too.
                serial=min(self.word.serial + 1, _SERIAL_MAX - 1),
            )
            self._take(word)
            self._write()
        return word

    def hear(self, word: PauseWord) -> bool:
        """
        The other node's word, its moments told by this node's clock.

        Returns:
            Whether it is news, and counts from now on.
        """
        with self._lock:
            if not word.beats(self.word):
                return False
            self._take(word)
            self._write()
        return True

    def _take(self, word: PauseWord) -> None:
        self.word = word
        # From now on the wall clock may be set to and fro.
        left_s = math.inf if word.until is None else word.until - self._wall()
        self._ends = self._clock() + left_s

    def _write(self) -> None:
        self._file.write(json.dumps(self.word.as_dict()) + "\n")
