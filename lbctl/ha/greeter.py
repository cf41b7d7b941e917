"""
The greetings of this node: sent once a second and at each change, heard, and made sense of.

Trouble with the network ends nothing here: an interface that is down, renamed or gone is tried
again every second. What comes in is bounded, see :mod:`lbctl.ha.greeting_gate`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lbctl.ha.bucket import Bucket
from lbctl.ha.carp import GROUP, Password
from lbctl.ha.findings import DEAF_S, Finding, View
from lbctl.ha.greeting import Claim, Greeting, GroupFacts, Key, Kind, Rejection, encode
from lbctl.ha.greeting_gate import Gate
from lbctl.ha.greeting_link import GreetingLink, Link
from lbctl.ha.greeting_socket import Datagram
from lbctl.ha.hearsay import Hearsay
from lbctl.ha.journal import Journal
from lbctl.ha.neighbour import FRESH_S, Neighbour, Neighbours
from lbctl.ha.pause import PauseWord
from lbctl.ha.presence import Presence
from lbctl.spec import BundleSpec, GroupSpec

EVERY_S = 1.0
#: How often it looks at the clock: a finding is at most so much late; and while all is well.
_TURN_S, _QUIET_TURN_S = 0.2, 0.5
#: Whoever has just got the addresses has better things to do; several changes become one greeting.
_SETTLE_S = 0.03
#: Changes, and answers, beside the one each second.
_EXTRA_PER_S = 5
_LATE_S = 1.5
#: Without a multicast for so long a node is asked directly; often at first.
_DOUBT_S, _ASK_EVERY_S, _ASK_OFTEN_S, _ASK_RARELY_S = 1.3, 0.35, 3.0, 10.0


def _ignore(_: object) -> None:
    pass


class Greeter:
    """
    One node's side; every method is called on the event loop that runs :meth:`run`.

    Args:
        group: the first group: its interface, peers and port.
        facts: what is told of this node: ``groups`` (see :class:`GroupFacts`), ``is_paused``,
            ``pause`` (the newest word as a dict, also after a resume), ``counters``, ``engine``.

    Attributes:
        on_pause: called with a word of the other node that beats this node's.
        on_greeting: called with each node that has just answered a challenge.
    """

    def __init__(
        self,
        spec: BundleSpec,
        group: GroupSpec,
        password: Password,
        journal: Journal,
        facts: Callable[[], Mapping[str, Any]],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        link: Callable[[GroupSpec, Callable[[Datagram], None]], Link] = GreetingLink,
    ) -> None:
        self._spec = spec
        self._group = group
        self._key = Key(password)
        self._facts = facts
        self._clock = clock
        self._wall = wall
        self._session = secrets.token_hex(8)
        self._neighbours = Neighbours(self._session)
        self._presence = Presence(journal)
        self._hearsay = Hearsay()
        self._extra = Bucket(_EXTRA_PER_S, _EXTRA_PER_S)
        self._answers = Bucket(_EXTRA_PER_S, _EXTRA_PER_S)
        self._gate = Gate(group, self._key, self._neighbours, self._hearsay)
        self._link = link(group, self.take)
        self._due = float("-inf")
        self._asked: dict[str, float] = {}
        self._born = clock()
        self._sequence = 0
        self._has_news = False
        self._wake = asyncio.Event()
        self._heard_some = asyncio.Event()
        self.sent = 0
        self.heard = 0
        self.on_pause: Callable[[PauseWord], None] = _ignore
        self.on_greeting: Callable[[Neighbour], None] = _ignore

    @property
    def refused(self) -> Counter[str]:
        """What arrived and was not believed: how many, by reason."""
        return self._gate.refused

    # What others ask.

    async def run(self) -> None:
        """For ever; trouble with the network is told once, and tried again."""
        if not self._group.greeting_port:
            await asyncio.Event().wait()
        self._born = self._clock()
        try:
            while True:
                self.turn()
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._until_next_turn_s()):
                        await self._wake.wait()
                        await asyncio.sleep(_SETTLE_S)
        finally:
            self._link.close()

    def changed(self) -> None:
        """Something about this node has changed: the others hear it at once."""
        self._has_news = True
        self._wake.set()

    def renew(self, digests: Mapping[str, str]) -> None:
        """What the files of this node are from now on."""
        if self._spec.digests != digests:
            self._spec = replace(self._spec, digests=dict(digests))
            self.changed()

    def peers(self) -> tuple[Neighbour, ...]:
        """Known nodes, freshest first."""
        return self._neighbours.all(self._clock())

    def healthy_peer(self, vhid: int | None = None) -> tuple[Neighbour | None, str]:
        """A node that would serve the group (the first one) well; or why there is none."""
        if not self._group.greeting_port:
            return None, "nothing is known of the peer: greetings are off (ha.greeting_port: 0)"
        wanted = self._group.vhid if vhid is None else vhid
        reasons = []
        for one in self.peers():
            reason = self._lack(one, wanted)
            if not reason:
                return one, ""
            reasons.append(reason)
        nobody = f"no other node has greeted on UDP port {self._group.greeting_port}"
        if kin := self._hearsay.kin(self._clock()):
            nobody = f"{', '.join(kin)} greets, and does not have this node's VIP and vhid"
        return None, "; ".join(reasons) or nobody

    async def next_greeting(self) -> None:
        """Until the next one of a known node comes."""
        self._heard_some.clear()
        await self._heard_some.wait()

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong between the nodes, now."""
        return self._presence.findings

    def carp_heard(self, source: str, what: str, vhid: int | None = None) -> None:
        """*source* speaks VRRP, or CARP with a bad digest, with a vhid of ours."""
        self._hearsay.speaks(source, what, vhid or self._group.vhid, self._clock())

    def as_dict(self) -> dict[str, Any]:
        """For status."""
        now = self._clock()
        return {
            "peers": [one.as_dict(now) for one in self.peers()],
            "kin": list(self._hearsay.kin(now)),
            "findings": [
                {"kind": one.kind, "text": one.text, "about": one.about} for one in self.findings()
            ],
            "greetings": {
                "port": self._group.greeting_port,
                "sent": self.sent,
                "heard": self.heard,
                "refused": dict(self.refused),
                "trouble": self._link.trouble,
            },
        }

    # What goes on by itself.

    def _until_next_turn_s(self) -> float:
        now = self._clock()
        wait_s = _TURN_S if self._has_news or self._presence.is_busy else _QUIET_TURN_S
        if not self._group.peers:
            doubts = (one.multicast_seen + _DOUBT_S for one in self._neighbours.all(now))
            wait_s = min([wait_s, *(max(_TURN_S, at - now) for at in doubts)])
        return min(wait_s, max(0.0, self._due - now))

    def turn(self) -> None:
        """All that is due now."""
        now = self._clock()
        if self._link.keep_open(now) or now >= self._due:
            # A process that was stopped for a while has nothing to catch up with.
            self._due = now + EVERY_S
            self._neighbours.renew_challenge()
            self._greet(now)
        elif self._has_news and self._extra.take(now):
            self._greet(now)
        self._ask_the_doubtful(now)
        self._presence.turn(self._view(now))

    def take(self, datagram: Datagram) -> None:
        """One datagram, whatever it holds."""
        now = self._clock()
        greeting = self._gate.open(datagram, now)
        if greeting is not None and self._take_signed(greeting, datagram, now):
            self._gate.was_news()

    def _take_signed(self, greeting: Greeting, datagram: Datagram, now: float) -> bool:
        """Whether it was news of a known node."""
        ours = {(one.vhid, one.vip) for one in self._spec.groups or (self._group,)}
        names = tuple(one.name for one in greeting.groups)
        if greeting.kind is Kind.QUESTION:
            self._answer(greeting, datagram, now)
        elif not ours & set(names):
            # The same password, and another pair; or the peer with another VIP first.
            self._gate.refuse(Rejection.OTHER_GROUP, datagram, now)
            self._hearsay.claims(Claim.of(greeting, is_kin=True), datagram.source, now)
        elif greeting.by_multicast != datagram.by_multicast:
            self._gate.refuse(Rejection.REPLAYED, datagram, now)
        else:
            return self._meet(greeting, datagram, now)
        return False

    def _meet(self, greeting: Greeting, datagram: Datagram, now: float) -> bool:
        met = self._neighbours.take(greeting, datagram.source, now, self._wall())
        if isinstance(met, Rejection):
            self._gate.refuse(met, datagram, now)
            if met is not Rejection.UNPROVEN:
                return False
        if greeting.wants_answer:
            self._answer(greeting, datagram, now)
        if isinstance(met, Neighbour):
            self.heard += 1
            self._hearsay.is_known(datagram.source)
            if met.pause is not None and met.pause.beats(self._own_word()):
                self.on_pause(met.pause)
            if met.proven == now:
                self.on_greeting(met)
            self._heard_some.set()
        return isinstance(met, Neighbour)

    # What it says.

    def _greet(self, now: float) -> None:
        self._has_news = False
        wants = not any(one.is_fresh for one in self.peers())
        if self._group.peers:
            for address in self._group.peers:
                self._say(now, address, wants_answer=wants)
        else:
            self._say(now, GROUP, wants_answer=wants)

    def _answer(self, greeting: Greeting, datagram: Datagram, now: float) -> None:
        if not self._answers.take(now):
            return
        if greeting.kind is Kind.QUESTION:
            by = "multicast" if datagram.by_multicast else "unicast"
            answers = {greeting.session: greeting.challenge}
            self._say(now, datagram.source, port=datagram.port, question_by=by, answers=answers)
            return
        if not datagram.by_multicast and not self._group.peers:
            # Somebody doubts that our multicast arrives.
            self._say(now, GROUP)
        is_known = any(one.session == greeting.session for one in self.peers())
        self._say(now, datagram.source, wants_answer=not is_known)

    def _ask_the_doubtful(self, now: float) -> None:
        if self._group.peers:
            return
        for one in self.peers():
            missing_s = now - one.multicast_seen
            often = missing_s < _ASK_OFTEN_S
            lives = now - one.seen < 60
            pause_s = _ASK_EVERY_S if often else EVERY_S if lives else _ASK_RARELY_S
            asked = self._asked.get(one.address, float("-inf"))
            if missing_s > _DOUBT_S and now - asked >= pause_s:
                self._asked[one.address] = now
                self._say(now, one.address, wants_answer=True)

    def _say(
        self,
        now: float,
        address: str,
        *,
        port: int = 0,
        wants_answer: bool = False,
        question_by: str = "",
        answers: Mapping[str, str] | None = None,
    ) -> None:
        if not self._link.is_open:
            return
        self._sequence += 1
        facts = self._facts()
        word = self._own_word(facts)
        greeting = Greeting(
            kind=Kind.GREETING,
            node=self._spec.node,
            session=self._session,
            sequence=self._sequence,
            challenge=self._neighbours.challenge,
            answers=self._neighbours.answers(now) if answers is None else answers,
            wants_answer=wants_answer,
            by_multicast=address == GROUP,
            question_by=question_by,
            hostname=self._spec.hostname,
            version=self._spec.version,
            engine=str(facts.get("engine", self._group.engine)),
            at=self._wall(),
            groups=self._groups(facts),
            digests=self._spec.digests,
            pause=word if word.serial else None,
            counters=facts.get("counters", {}),
        )
        content = encode(greeting, self._key)
        if self._link.send(content, address, port or self._group.greeting_port):
            self.sent += 1

    # What it knows.

    def _view(self, now: float) -> View:
        facts = self._facts()
        word = self._own_word(facts)
        claims, foreign = self._hearsay.current(now)
        neighbours = self._neighbours.all(now)
        # Nobody need be MASTER until the dead time is over; ucarp reads up to a second late.
        starting_s = self._group.dead_ratio * self._group.interval_s + _LATE_S
        return View(
            node=self._spec.node,
            version=self._spec.version,
            digests=self._spec.digests,
            groups=self._groups(facts),
            now=now,
            is_multicast=not self._group.peers,
            is_starting=now - self._born < starting_s
            or any(now - one.since < starting_s for one in neighbours),
            pause=word if facts.get("is_paused") else None,
            neighbours=neighbours,
            deaf=self._neighbours.deaf(now, DEAF_S),
            claims=claims,
            foreign=foreign,
            flooded_by=self._hearsay.flooded_by(now),
        )

    def _own_word(self, facts: Mapping[str, Any] | None = None) -> PauseWord:
        raw = (self._facts() if facts is None else facts).get("pause")
        return PauseWord() if raw is None else PauseWord.of(raw)

    def _lack(self, one: Neighbour, vhid: int) -> str:
        """What keeps it from serving the group; empty: nothing."""
        group = one.group(vhid)
        if not one.is_fresh:
            silent_s = self._clock() - one.seen
            if silent_s <= FRESH_S:
                return f"{one.name} greets, and does not hear this node"
            return f"{one.name} has not greeted for {silent_s:.0f} s"
        if group is None:
            return f"{one.name} does not know vhid {vhid}"
        if group.severity or group.faults:
            return f"{one.name} is at fault: {', '.join(group.faults) or group.severity}"
        return "" if group.can_serve else f"{one.name} cannot serve: {group.why or 'it says so'}"

    def _groups(self, facts: Mapping[str, Any]) -> tuple[GroupFacts, ...]:
        specs = self._spec.groups or (self._group,)
        addresses = {
            (one.vhid, one.vip): tuple(address.split("/")[0] for address in one.addresses)
            for one in specs
        }
        told = (GroupFacts.of(one) for one in facts.get("groups", ()))
        return tuple(replace(one, addresses=addresses.get(one.name, ())) for one in told)
