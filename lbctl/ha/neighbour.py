"""
What is known of the other nodes, from their greetings alone. Pure: time is an argument.

A node counts as known once it has answered one of our challenges in the session that it speaks in:
what was recorded yesterday cannot do that. From then on each greeting of the session with a higher
sequence is taken. It is *fresh* while it goes on answering, which also proves that it hears us.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbctl.ha.greeting import Greeting, GroupFacts, Rejection
from lbctl.ha.pause import PauseWord

#: Three greetings in a row are missing.
FRESH_S = 3.5
#: A host that was replaced is told of for so long.
FORGET_S = 3600.0
_KEPT = 16
_CHALLENGES = 2
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """
    Another node, as it was last heard.

    Attributes:
        node: its identity.
        address: what it greets from.
        engine: ``ucarp`` or ``native``.
        digests: part of the configuration -> its digest.
        pause: the newest word that it knows, told by this node's clock.
        counters: vhid -> position of its CARP counter.
        seen: monotonic seconds of the last greeting.
        is_fresh: it has answered us within the last 3.5 s: it lives, and hears this node.
        clock_offset_s: how far its wall clock is ahead of this node's.
        multicast_seen: monotonic seconds of the last one that came by multicast.
        unicasts: how many have come by unicast since.
        proven: monotonic seconds of the last answer to one of our challenges.
        since: monotonic seconds of the first greeting of its process that was taken.
        session: of its process.
    """

    node: str
    hostname: str
    address: str
    version: str
    engine: str
    groups: tuple[GroupFacts, ...]
    digests: Mapping[str, str]
    pause: PauseWord | None
    counters: Mapping[int, int]
    seen: float
    is_fresh: bool
    clock_offset_s: float
    multicast_seen: float = _NEVER
    unicasts: int = 0
    proven: float = _NEVER
    since: float = _NEVER
    session: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        return f"{self.hostname or self.node} ({self.address})"

    def group(self, vhid: int) -> GroupFacts | None:
        return next((one for one in self.groups if one.vhid == vhid), None)

    def as_dict(self, now: float) -> dict[str, Any]:
        """For status."""
        return {
            "node": self.node,
            "hostname": self.hostname,
            "address": self.address,
            "version": self.version,
            "engine": self.engine,
            "groups": [_group_as_dict(group) for group in self.groups],
            "digests": dict(self.digests),
            "pause": None if self.pause is None else self.pause.as_dict(),
            "seen_s_ago": round(now - self.seen, 3),
            "is_fresh": self.is_fresh,
            "clock_offset_s": round(self.clock_offset_s, 3),
        }


def _group_as_dict(group: GroupFacts) -> dict[str, Any]:
    return {
        "vhid": group.vhid,
        "vip": group.vip,
        "role": group.role,
        "since": group.since,
        "why": group.why,
        "advskew": group.advskew,
        "faults": list(group.faults),
        "severity": group.severity,
        "can_serve": group.can_serve,
    }


def neighbour_of(greeting: Greeting, address: str, *, now: float, wall: float) -> Neighbour:
    """What a single greeting tells, one that answers us."""
    offset_s = greeting.at - wall
    return Neighbour(
        node=greeting.node,
        hostname=greeting.hostname,
        address=address,
        version=greeting.version,
        engine=greeting.engine,
        groups=greeting.groups,
        digests=greeting.digests,
        pause=None if greeting.pause is None else greeting.pause.shifted(-offset_s),
        counters=greeting.counters,
        seen=now,
        is_fresh=True,
        clock_offset_s=offset_s,
        multicast_seen=now if greeting.by_multicast else _NEVER,
        unicasts=0 if greeting.by_multicast else 1,
        proven=now,
        since=now,
        session=greeting.session,
    )


@dataclass(slots=True)
class _Known:
    """The last greeting of a node, and when what was heard of it."""

    greeting: Greeting
    address: str
    wall: float
    seen: float
    since: float
    proven: float = _NEVER
    multicast_seen: float = _NEVER
    unicasts: int = 0

    def hear(self, greeting: Greeting, now: float, wall: float) -> None:
        self.greeting, self.seen, self.wall = greeting, now, wall
        if greeting.by_multicast:
            self.multicast_seen, self.unicasts = now, 0
        else:
            self.unicasts += 1


class Neighbours:
    """
    Every node that greets with our signature.

    Args:
        session: this process's own.
        draw: makes challenges.
    """

    def __init__(
        self, session: str, draw: Callable[[], str] = lambda: secrets.token_hex(8)
    ) -> None:
        self._session = session
        self._draw = draw
        self._challenges = deque([draw()], maxlen=_CHALLENGES)
        self._known: dict[tuple[str, str], _Known] = {}
        self._unproven: dict[tuple[str, str], _Known] = {}

    @property
    def challenge(self) -> str:
        """The one to send now."""
        return self._challenges[-1]

    def renew_challenge(self) -> None:
        """From now on another one is sent; the one before is still good."""
        self._challenges.append(self._draw())

    def answers(self, now: float) -> dict[str, str]:
        """Session -> challenge: of known nodes first, then the one heard last first."""
        heard = [*self._known.values(), *self._unproven.values()]
        # Recordings of many sessions must not take the place of the peer's.
        recent = sorted(heard, key=lambda one: (one.proven != _NEVER, one.seen), reverse=True)
        return {
            one.greeting.session: one.greeting.challenge
            for one in recent
            if now - one.seen <= 2 * FRESH_S
        }

    def sequence(self, session: str, address: str) -> int | None:
        """The last one taken of this session from there; None: it has not proven itself."""
        for one in self._known.values():
            if one.address == address and one.greeting.session == session:
                return one.greeting.sequence
        return None

    def take(
        self, greeting: Greeting, address: str, now: float, wall: float
    ) -> Neighbour | Rejection:
        """A greeting with a good signature that is for our group; *wall* is this node's clock."""
        if greeting.session == self._session:
            return Rejection.OWN
        name = greeting.node, address
        is_fresh = greeting.answers.get(self._session) in self._challenges
        known = self._known.get(name)
        if known is None or known.greeting.session != greeting.session:
            if not is_fresh:
                return self._take_unproven(name, greeting, now, wall)
            known = self._begin(name, greeting, now, wall)
        elif greeting.sequence <= known.greeting.sequence:
            return Rejection.REPLAYED
        known.hear(greeting, now, wall)
        if is_fresh:
            known.proven = now
        return self._neighbour(known, now)

    def all(self, now: float) -> tuple[Neighbour, ...]:
        """Known nodes, freshest first."""
        for name, one in list(self._known.items()):
            if now - one.seen > FORGET_S:
                del self._known[name]
        recent = sorted(self._known.values(), key=lambda one: one.seen, reverse=True)
        return tuple(self._neighbour(one, now) for one in recent)

    def deaf(self, now: float, longer_than_s: float) -> tuple[Neighbour, ...]:
        """
        Nodes that go on greeting, and have not answered for *longer_than_s*: they do not hear us.

        One that never has is among them, though it may be somebody's recording.
        """
        known = [one for one in self._known.values() if now - one.proven > longer_than_s]
        new = [one for one in self._unproven.values() if one.seen - one.since > longer_than_s]
        heard = [one for one in (*known, *new) if now - one.seen <= FRESH_S]
        return tuple(self._neighbour(one, now) for one in heard)

    def _begin(self, name: tuple[str, str], greeting: Greeting, now: float, wall: float) -> _Known:
        self._unproven.pop(name, None)
        # A node whose address has changed is no second one.
        for other, one in list(self._known.items()):
            if other[0] == greeting.node and now - one.seen > FRESH_S:
                del self._known[other]
        # Its multicast counts as missing from now on, not from ever.
        known = _Known(greeting, name[1], wall, seen=now, since=now, multicast_seen=now)
        _keep(self._known, name, known)
        return known

    def _take_unproven(
        self, name: tuple[str, str], greeting: Greeting, now: float, wall: float
    ) -> Rejection:
        one = self._unproven.get(name)
        if one is None or one.greeting.session != greeting.session or now - one.seen > FRESH_S:
            one = _Known(greeting, name[1], wall, seen=now, since=now)
            _keep(self._unproven, name, one)
        elif greeting.sequence <= one.greeting.sequence:
            return Rejection.REPLAYED
        one.hear(greeting, now, wall)
        return Rejection.UNPROVEN

    @staticmethod
    def _neighbour(one: _Known, now: float) -> Neighbour:
        return replace(
            neighbour_of(one.greeting, one.address, now=one.seen, wall=one.wall),
            is_fresh=now - one.proven <= FRESH_S,
            multicast_seen=one.multicast_seen,
            unicasts=one.unicasts,
            proven=one.proven,
            since=one.since,
        )


def _keep(among: dict[tuple[str, str], _Known], name: tuple[str, str], one: _Known) -> None:
    among[name] = one
    while len(among) > _KEPT:
        del among[min(among, key=lambda other: among[other].seen)]
