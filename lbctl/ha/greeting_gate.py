"""
What of all that arrives is looked into, and what becomes of the rest. Pure: time is an argument.

Anybody in the segment can send, and write any source address. So signatures looked at are bounded,
most of them are kept for what claims to be the next word of a known process, and what proves to be
that costs nothing: neither junk nor recordings with a peer's address keep its own words out.
"""

from __future__ import annotations

from collections import Counter

from lbctl.ha.bucket import Bucket
from lbctl.ha.greeting import Claim, Greeting, Key, Rejection, decode, heading
from lbctl.ha.greeting_socket import TTL, Datagram
from lbctl.ha.hearsay import Hearsay
from lbctl.ha.neighbour import Neighbours
from lbctl.spec import GroupSpec

#: Signatures looked at a second, 50 us each: of a known process, and of anybody else.
KNOWN_PER_S, OTHERS_PER_S = 400, 100


class Gate:
    """
    Attributes:
        refused: how many, by reason.
    """

    def __init__(
        self, group: GroupSpec, key: Key, neighbours: Neighbours, hearsay: Hearsay
    ) -> None:
        self._group = group
        self._key = key
        self._neighbours = neighbours
        self._hearsay = hearsay
        self._known = Bucket(KNOWN_PER_S, KNOWN_PER_S)
        self._others = Bucket(OTHERS_PER_S, OTHERS_PER_S)
        self._charged = self._others
        self.refused: Counter[str] = Counter()

    def open(self, datagram: Datagram, now: float) -> Greeting | None:
        """What it says, if it is signed with our password."""
        read = self._unlikely(datagram) or self._read(datagram, now)
        if isinstance(read, Claim):
            self._hearsay.claims(read, datagram.source, now)
            read = Rejection.BAD_SIGNATURE
        if isinstance(read, Rejection):
            self.refuse(read, datagram, now)
            return None
        return read

    def was_news(self) -> None:
        """The last one opened was new, and of a known node: it is charged to nobody."""
        self._charged.put_back()

    def refuse(self, why: Rejection, datagram: Datagram, now: float) -> None:
        """Count it."""
        self.refused[why.value] += 1
        if why is not Rejection.OWN:
            self._hearsay.refused(datagram.source, now)

    def _unlikely(self, datagram: Datagram) -> Rejection | None:
        """Why it cannot be a peer's, wherever it claims to be from."""
        if self._group.peers:
            return None if datagram.source in self._group.peers else Rejection.NOT_A_PEER
        return None if datagram.ttl == TTL else Rejection.NOT_ON_LINK

    def _read(self, datagram: Datagram, now: float) -> Greeting | Claim | Rejection:
        session, sequence = heading(datagram.content) or ("", 0)
        last = self._neighbours.sequence(session, datagram.source)
        if last is not None and sequence <= last:
            return Rejection.REPLAYED  # and needs no look
        self._charged = self._others if last is None else self._known
        if not self._charged.take(now):
            return Rejection.TOO_MANY
        return decode(datagram.content, self._key)
