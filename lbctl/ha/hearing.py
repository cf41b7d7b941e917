"""
What vipd hears of CARP on its interface, its own node's advertisements included, and what it says.

Outgoing packets are evidence that the speaker gets its message out; incoming ones tell of the
peer, of strangers, and of packets that somebody forged or garbled. ucarp hears the same up to a
second later, since its pcap hands packets over in batches.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any, Protocol

from lbctl.errors import NetlinkError
from lbctl.ha import carp
from lbctl.ha.capture import Seen
from lbctl.ha.engine import Peer
from lbctl.ha.journal import Journal
from lbctl.ha.role import RoleName
from lbctl.ha.strangers import Strangers
from lbctl.spec import GroupSpec

log = logging.getLogger(__name__)

_NEVER = float("-inf")
#: A master speaks every advbase + advskew/256 s, and is a little late; after this much more than
#: advbase it is not speaking.
_SPEECH_LATE_S = 1.5


class Sender(Protocol):
    """Puts whole Ethernet frames on the wire."""

    def send(self, frames: list[bytes]) -> None:
        """
        Raises:
            NetlinkError: the interface is down or gone.
        """


class Hearing:
    """One group's ears, and its resignation."""

    def __init__(
        self,
        group: GroupSpec,
        password: carp.Password,
        sender: Sender,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._password = password
        self._sender = sender
        self._journal = journal
        self._clock = clock
        self._speech_gap_s = group.advbase_s + _SPEECH_LATE_S
        self._speaking_since = _NEVER
        self.own_seen = _NEVER
        self.peer: Peer | None = None
        self.strangers = Strangers(group.vhid, journal)
        self.refused = self.strangers.refused

    def hear(self, seen: Seen) -> None:
        """Take in one captured packet."""
        received = carp.decode(seen.packet)
        if seen.outgoing:
            self._hear_own(received, seen.at)
        elif isinstance(received, carp.Refusal):
            self.strangers.refuse(received, seen)
        elif received.advertisement.vhid == self._group.vhid:
            self._hear_group(received, seen.at)

    def resign(self) -> None:
        """
        One signed advertisement with advbase 255: a backup that hears it takes over at once.

        Its counter is drawn anew, as ucarp draws its own: the next one of the local ucarp would
        repeat a counter that follows it, and a peer that knows replays would not believe that one.
        """
        frame = carp.resignation(
            self._group.vhid,
            secrets.randbits(63),
            source=self._group.source,
            vip=self._group.vip,
            password=self._password,
        )
        try:
            self._sender.send([frame])
        except NetlinkError as error:
            log.warning("resigning: %s; the peer waits for the dead time", error)

    def own_age_s(self) -> float:
        """Seconds since this node's last advertisement left; infinite: never."""
        return self._clock() - self.own_seen

    def own_speech_s(self, since: float) -> float:
        """
        For how long this node has gone on advertising after *since* (monotonic seconds), up to its
        last advertisement; 0: it does not, or has fallen silent.
        """
        if self.own_age_s() > self._speech_gap_s:
            return 0.0
        return max(0.0, self.own_seen - max(self._speaking_since, since))

    def reason(self, role: RoleName) -> str:
        """Why ucarp may have changed its mind, as far as can be heard."""
        peer = self.peer
        if peer is None:
            return "no other master heard" if role is RoleName.MASTER else "ucarp gave way"
        age = self._clock() - peer.seen
        if role is not RoleName.MASTER:
            return f"{peer.source} speaks with advskew {peer.advskew}"
        if peer.is_leaving:
            return f"{peer.source} resigned"
        if age >= self._group.advbase_s * max(1, self._group.dead_ratio - 1):
            return f"{peer.source} silent for {age:.1f} s"
        return f"{peer.source} speaks with advskew {peer.advskew}, which is worse"

    def peer_as_dict(self) -> dict[str, Any] | None:
        """For status: the peer that spoke last."""
        return None if self.peer is None else self.peer.as_dict(self._clock())

    def foreign_as_list(self) -> list[dict[str, Any]]:
        """For status: who else uses the group's id, and what it speaks."""
        return self.strangers.as_list(self._clock())

    def _hear_own(self, received: carp.Received | carp.Refusal, at: float) -> None:
        if isinstance(received, carp.Refusal) or received.source != self._group.source:
            return
        advertisement = received.advertisement
        if advertisement.vhid != self._group.vhid:
            return
        if advertisement.advbase == carp.RESIGNATION_ADVBASE:
            return
        if at - self.own_seen > self._speech_gap_s:
            self._speaking_since = at
        self.own_seen = at

    def _hear_group(self, received: carp.Received, at: float) -> None:
        if not carp.verify(received, vip=self._group.vip, password=self._password):
            self.strangers.bad_digest(received.source, at)
            return
        advertisement = received.advertisement
        known = self.peer
        self.peer = Peer(received.source, advertisement.advbase, advertisement.advskew, at)
        if known is None or known.source != received.source:
            self._journal.note("peer", f"{received.source} speaks", source=received.source)
