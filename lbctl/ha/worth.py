"""What this node is worth as a master: its faults, and the advskew that tells the peer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from lbctl.ha.journal import Journal
from lbctl.ha.track import Fault, Tracker, severity_of
from lbctl.ha.ucarp import FAULTY_ADVSKEW
from lbctl.spec import GroupSpec

#: How long a failed hook or a refused address counts as a fault, seconds.
OWN_FAULT_S = 10.0


class Voice(Protocol):
    """
    With which advskew this node speaks, remembered while the bundle lives.

    Attributes:
        advskew: as it was said last.
    """

    advskew: int

    def speak_with(self, advskew: int) -> None:
        """From now on, or from the next start of the speaker on."""


class OwnVoice:
    """A :class:`Voice` of vipd itself: its engine speaks, and its memory remembers."""

    def __init__(self, advskew: int) -> None:
        self.advskew = advskew

    def speak_with(self, advskew: int) -> None:
        self.advskew = advskew


class Worth:
    """
    Faults of programs and of vipd's own work, as one advskew.

    A faulty node speaks with 240 + severity, so that any healthy peer wins and of two faulty ones
    the lesser. After a handover it speaks at least with the peer's advskew: a node with the better
    value would take the addresses back at once.
    """

    def __init__(
        self,
        group: GroupSpec,
        tracker: Tracker,
        voice: Voice,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._tracker = tracker
        self._voice = voice
        self._journal = journal
        self._clock = clock
        self._own: dict[str, tuple[Fault, float]] = {}
        # An earlier life of vipd may have yielded: the voice remembers.
        self._yielded_to = voice.advskew if voice.advskew < FAULTY_ADVSKEW else 0
        self.faults: tuple[Fault, ...] = ()

    @property
    def severity(self) -> int:
        return severity_of(self.faults)

    def own_fault(self, name: str, what: str, severity: int, for_s: float = OWN_FAULT_S) -> None:
        """Something that vipd itself saw fail; it counts for *for_s* seconds from now."""
        self._own[name] = (Fault(what, severity), self._clock() + for_s)

    def has_own(self, name: str) -> bool:
        return name in self._own

    def yield_to(self, advskew: int) -> None:
        """Do not win against a peer that speaks with *advskew*, unless it is a faulty one."""
        if advskew < FAULTY_ADVSKEW:
            self._yielded_to = advskew

    def look(self) -> None:
        """Work out the faults; what this node speaks with stays."""
        now = self._clock()
        self._own = {name: own for name, own in self._own.items() if own[1] > now}
        faults = (*self._tracker.faults(now), *(fault for fault, _ in self._own.values()))
        if faults == self.faults:
            return
        self.faults = faults
        phrases = [fault.what for fault in faults]
        text = ", ".join(phrases) or "no fault any more"
        self._journal.note(
            "fault", text, severity=self.severity, faults=phrases, vhid=self._group.vhid
        )

    def judge(self) -> int:
        """Work out the faults and the advskew that fits them, have it spoken; the advskew."""
        self.look()
        advskew = max(self._group.advskew, self._yielded_to)
        if self.faults:
            advskew = FAULTY_ADVSKEW + self.severity
        if advskew != self._voice.advskew:
            self._voice.speak_with(advskew)
        return advskew
