"""What is heard of protocol 112 and not believed: counted by reason, and told when it is news."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from lbctl.ha import carp
from lbctl.ha.capture import Carp, Seen, speaker_of
from lbctl.ha.journal import Journal

#: So many strangers are told apart; a forger invents more.
KEPT = 16

BAD_DIGEST = "CARP with another password or VIP"
VRRP = "VRRP"
OWN_SOURCE = "CARP from this node's own address"


class Strangers:
    """
    Of one group.

    Attributes:
        refused: packets by the reason for which they were not believed.
        on_stranger: told of each packet that uses the group's id: its source, and what it speaks.
    """

    def __init__(self, vhid: int, journal: Journal) -> None:
        self._vhid = vhid
        self._journal = journal
        self._seen: dict[tuple[str, str], float] = {}
        self.refused: Counter[str] = Counter()
        self.on_stranger: Callable[[str, str], None] = _nobody

    def refuse(self, refusal: carp.Refusal, seen: Seen) -> None:
        """A packet that is no advertisement; one of another group is nobody's business."""
        speaker = speaker_of(seen.packet)
        if speaker is not None and speaker.id != self._vhid:
            return
        if speaker is not None and not isinstance(speaker, Carp):
            self._note(VRRP, speaker.source, seen.at)
        self.refused[refusal.value] += 1

    def bad_digest(self, source: str, at: float) -> None:
        """An advertisement of the group, signed with another password or for another VIP."""
        self.refused[carp.Refusal.BAD_DIGEST.value] += 1
        self._note(BAD_DIGEST, source, at)

    def own_source(self, source: str, at: float) -> None:
        """A packet from this node's address that it did not send: a second host has the address."""
        self.refused[carp.Refusal.OWN_SOURCE.value] += 1
        self._note(OWN_SOURCE, source, at)

    def as_list(self, now: float) -> list[dict[str, Any]]:
        """For status: who else uses the group's id, and what it speaks."""
        return [
            {"kind": kind, "source": source, "seen_s_ago": round(now - seen, 3)}
            for (kind, source), seen in sorted(self._seen.items())
        ]

    def _note(self, kind: str, source: str, at: float) -> None:
        self.on_stranger(source, kind)
        if (kind, source) in self._seen:
            self._seen[kind, source] = at
        elif len(self._seen) < KEPT:
            text = f"{source} speaks {kind} with our vhid {self._vhid}"
            self._journal.note("foreign", text, source=source)
            self._seen[kind, source] = at


def _nobody(_source: str, _kind: str) -> None:
    """Nobody asked."""
