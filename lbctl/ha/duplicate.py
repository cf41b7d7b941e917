"""
Another machine that answers for an address of ours: found, told, and answered by announcing anew.

Overheard (its gratuitous ARP, its neighbour advertisements) and asked for: a second after a
take-over, every two seconds, and every second while there is one. The peer's words around a move,
or while two masters are being sorted out, are none of this: only a calm MASTER judges.

RFC 5227 (2.4 c) has a host defend its address with one announcement in ten seconds, so that two of
them do not shout at each other for ever. Here it is one a second: what a duplicate has taken of the
clients stays without its answer until then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from lbctl.errors import NetlinkError
from lbctl.ha.claims import Claim
from lbctl.ha.journal import Journal

log = logging.getLogger(__name__)

KIND: Final = "duplicate address"

#: Seconds between two questions about an address: usually, and while a duplicate is known.
ASK_EVERY_S: Final = 2.0
ASK_AGAIN_S: Final = 1.0
#: So many questions in one turn; the rest in the next.
ASKED_AT_ONCE: Final = 32
#: What comes so soon after a question is its answer.
ANSWER_S: Final = 0.5
#: It is over when it has not been seen for so long: one that answers, one that only announces.
ANSWERS_OVER_S: Final = 5.0
SILENT_OVER_S: Final = 12.0
#: One address is not announced more often than this.
DEFEND_APART_S: Final = 1.0
#: So many duplicates are told apart; a forger invents more.
KEPT: Final = 16
_NEVER = float("-inf")


class Line(Protocol):
    """See :class:`lbctl.ha.claims.Line`."""

    @property
    def hosts(self) -> tuple[str, ...]: ...

    def open(self, on_frames: Callable[[], None]) -> None: ...

    def close(self) -> None: ...

    def claims(self) -> Iterable[Claim]: ...

    def go_on(self) -> None: ...

    def ask(self, host: str) -> None: ...

    def is_own(self, mac: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """When it was last seen, monotonic seconds, and whether it answers questions."""

    at: float
    answers: bool

    @property
    def over_after_s(self) -> float:
        return ANSWERS_OVER_S if self.answers else SILENT_OVER_S


class Duplicates:
    """One group's."""

    def __init__(
        self,
        line: Line,
        journal: Journal,
        announce: Callable[[Iterable[str]], None],
        is_calm: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            announce: tells the neighbours that these addresses are here.
            is_calm: this node has been MASTER for a second, and has heard no other for as long.
        """
        self._line = line
        self._journal = journal
        self._announce = announce
        self._is_calm = is_calm
        self._clock = clock
        self._seen: dict[Claim, _Seen] = {}
        self._asked: dict[str, float] = {}
        self._announced: dict[str, float] = {}

    def open(self) -> None:
        """Listen; where that cannot be, duplicates are not found, and all else goes on."""
        try:
            self._line.open(self.feed)
        except NetlinkError as error:
            log.warning("%s; another machine with our addresses will not be found", error)

    def close(self) -> None:
        self._line.close()

    def feed(self) -> None:
        """Take in what the link has said."""
        for claim in self._line.claims():
            if self._is_calm():
                self._believe(claim, self._clock())

    def tick(self) -> None:
        """Once a second: ask, and let go of what is over."""
        self._line.go_on()
        now = self._clock()
        self._end_what_is_over(now)
        if self._is_calm():
            self._ask(now)
        else:
            # As soon as it is calm again the question is new.
            self._asked.clear()

    def findings(self) -> list[dict[str, str]]:
        """For status: kind, text, and the address that it is about."""
        return [
            {"kind": KIND, "text": _text(claim), "about": claim.address}
            for claim in sorted(self._seen, key=lambda one: (one.address, one.mac))
        ]

    def _believe(self, claim: Claim, now: float) -> None:
        known = self._seen.get(claim)
        if known is None and self._line.is_own(claim.mac):
            return
        answers = now - self._asked.get(claim.address, _NEVER) <= ANSWER_S
        if known is not None or len(self._seen) < KEPT:
            self._seen[claim] = _Seen(now, answers or (known is not None and known.answers))
            if known is None:
                self._note(_text(claim), claim, is_over=False)
        if now - self._announced.get(claim.address, _NEVER) >= DEFEND_APART_S:
            self._announced[claim.address] = now
            self._announce((claim.address,))

    def _ask(self, now: float) -> None:
        doubtful = {claim.address for claim in self._seen}
        asked = {host: self._asked.get(host, _NEVER) for host in self._line.hosts}
        due = [
            host
            for host, at in asked.items()
            if now - at >= (ASK_AGAIN_S if host in doubtful else ASK_EVERY_S)
        ]
        for host in sorted(due, key=asked.__getitem__)[:ASKED_AT_ONCE]:
            self._asked[host] = now
            self._line.ask(host)

    def _end_what_is_over(self, now: float) -> None:
        for claim, seen in tuple(self._seen.items()):
            if now - seen.at > seen.over_after_s:
                del self._seen[claim]
                gone_s = f"{seen.over_after_s:g} s"
                text = f"{claim.mac} has not said for {gone_s} that it holds {claim.address}"
                self._note(text, claim, is_over=True)

    def _note(self, text: str, claim: Claim, *, is_over: bool) -> None:
        fields = {"address": claim.address, "mac": claim.mac, "is_over": is_over}
        self._journal.note("address", f"{KIND}: {text}", **fields)


def _text(claim: Claim) -> str:
    return (
        f"{claim.mac} holds {claim.address} too, and clients may reach that machine: remove the "
        "address there; until then this node announces its own every second"
    )
