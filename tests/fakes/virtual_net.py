"""A link in virtual time; on it nodes with the real wire format, replay rules and election."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, Protocol

from lbctl.ha import carp, counter, election
from lbctl.ha.carp import Advertisement
from lbctl.ha.election_words import (
    Advertise,
    Become,
    Event,
    Hear,
    Left,
    Resign,
    Rules,
    Silence,
    Stalled,
    Start,
    State,
    Tick,
)
from lbctl.ha.replay import Accepted, Sources
from lbctl.ha.role import RoleName
from tests.fakes.carp_packets import KEY, PASSWORD, VHID, VIP, packet

WALL_S = counter.EPOCH_S + 28_000_000.0


class Node(Protocol):
    """Whoever is plugged into the link."""

    address: str
    net: VirtualNet

    @property
    def role(self) -> RoleName | None:
        """None: it is not running."""

    @property
    def due(self) -> float:
        """When it wants to be woken; infinite: never."""

    def wake(self) -> None: ...
    def hear(self, packet: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Change:
    """From *at* on *masters* were MASTER."""

    at: float
    masters: tuple[str, ...]


class VirtualNet:
    """
    Args:
        seed: of all its dice.
        loss: the share of packets that each receiver does not get.
        delay_s: shortest and longest way of a packet.
    """

    def __init__(
        self, seed: int = 1, *, loss: float = 0.0, delay_s: tuple[float, float] = (0.0001, 0.0005)
    ) -> None:
        self.dice = random.Random(seed)
        self.loss = loss
        self.delay_s = delay_s
        self.now = 1000.0
        self.nodes: list[Node] = []
        self.cuts: set[tuple[str, str]] = set()
        self.changes = [Change(self.now, ())]
        self.packets: list[tuple[float, str, bytes]] = []
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._arrived: dict[tuple[str, str], float] = {}
        self._turn = count()

    def plug(self, *nodes: Node) -> None:
        for node in nodes:
            node.net = self
            self.nodes.append(node)

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._waiting, (when, next(self._turn), action))

    def send(self, sender: str, packet: bytes) -> None:
        self.packets.append((self.now, sender, packet))
        for node in self.nodes:
            is_cut = (sender, node.address) in self.cuts
            if node.address != sender and not is_cut and self.dice.random() >= self.loss:
                self._deliver(sender, node, packet)

    def _deliver(self, sender: str, node: Node, packet: bytes) -> None:
        # A switch keeps the order.
        way = sender, node.address
        arrival = max(self.now + self.dice.uniform(*self.delay_s), self._arrived.get(way, 0.0))
        self._arrived[way] = arrival
        self.at(arrival, _delivery(node, packet))

    def cut(self, one: Node, other: Node, *, one_way: bool = False) -> None:
        """Nothing that *one* sends reaches *other*, nor the other way round."""
        self.cuts.add((one.address, other.address))
        if not one_way:
            self.cuts.add((other.address, one.address))

    def heal(self) -> None:
        self.cuts.clear()

    def run(self, for_s: float) -> None:
        end = self.now + for_s
        while True:
            node = min(self.nodes, key=lambda one: one.due)
            waiting = self._waiting[0][0] if self._waiting else math.inf
            when = min(node.due, waiting)
            if when > end:
                break
            self.now = max(self.now, when)
            if waiting <= node.due:
                heapq.heappop(self._waiting)[2]()
            else:
                node.wake()
            self._note()
        self.now = end
        self._note()

    def masters(self) -> tuple[str, ...]:
        return tuple(one.address for one in self.nodes if one.role is RoleName.MASTER)

    def longest(self, claim: Callable[[int], bool], since: float = 0.0) -> float:
        """The longest time in a row, seconds, in which the number of masters was such."""
        longest, began = 0.0, None
        for at, masters in self._changes_until_now():
            if claim(len(masters)) and at >= since:
                began = at if began is None else began
            elif began is not None:
                longest, began = max(longest, at - began), None
        return max(longest, self.now - began) if began is not None else longest

    def moves(self, since: float = 0.0) -> int:
        """How often some node became MASTER, or ceased to be."""
        pairs = pairwise(self.changes)
        return sum(len({*was.masters} ^ {*now.masters}) for was, now in pairs if now.at >= since)

    def _changes_until_now(self) -> Iterator[tuple[float, tuple[str, ...]]]:
        yield from ((one.at, one.masters) for one in self.changes)

    def _note(self) -> None:
        masters = self.masters()
        if masters != self.changes[-1].masters:
            self.changes.append(Change(self.now, masters))


def _delivery(node: Node, packet: bytes) -> Callable[[], None]:
    return lambda: node.hear(packet)


class NativeNode:
    """As vipd drives the native engine, without sockets."""

    net: VirtualNet

    def __init__(
        self,
        number: int,
        *,
        advskew: int = 0,
        interval_s: float = 0.05,
        dead_ratio: int = 3,
        failback_s: float = 0.0,
    ) -> None:
        self.address = f"10.0.1.{number}"
        self.rules = Rules(self.address, 1, interval_s, dead_ratio, failback_s)
        self.advskew = advskew
        self.state: State | None = None
        self.why: list[str] = []
        self.refused: list[carp.Refusal] = []
        self._memory: dict[str, Any] = {}
        self._position = 0
        self._waiting: list[bytes] | None = None  # while this process is stopped

    @property
    def role(self) -> RoleName | None:
        return None if self.state is None else self.state.role

    @property
    def due(self) -> float:
        return math.inf if self.state is None or self._waiting is not None else self.state.due

    def start(self) -> None:
        now = self.net.now
        clock = counter.Clockwork(position=self._position, wall_s=WALL_S + now, now=now)
        self.clock = clock
        self.sources = Sources(
            source=self.address,
            key=KEY,
            ucarp_dead_s=3.0,
            position=clock.position(now),
            now=now,
        )
        self.sources.remember(self._memory, now)
        self.state = election.first(self.advskew, now)
        self.tell(Start())

    def save(self) -> None:
        self._memory = self.sources.memory()
        self._position = self.clock.position(self.net.now) + counter.MARGIN_TICKS

    def die(self) -> None:
        """As by kill -9: what was not saved is gone."""
        self.state = None

    def stall(self, for_s: float) -> None:
        self._waiting = []
        self.net.at(self.net.now + for_s, lambda: self._go_on(for_s))

    def tell(self, event: Event) -> None:
        if self.state is None:
            return
        self.state, actions = election.step(self.rules, self.state, event, self.net.now)
        for action in actions:
            match action:
                case Become(_, why):
                    self.why.append(why)
                case Advertise():
                    self.say(1, self.state.advskew, is_resignation=False)
                case Resign(times):
                    for _ in range(times):
                        self.say(carp.RESIGNATION_ADVBASE, 0, is_resignation=True)

    def leave(self) -> None:
        self.tell(Silence())
        self.say(carp.RESIGNATION_ADVBASE, 0, is_resignation=True)

    def tell_left(self) -> None:
        self.tell(Left())

    def say(self, advbase: int, advskew: int, *, is_resignation: bool) -> None:
        word = counter.NativeWord(
            self.clock.next(self.net.now), is_resignation, self.rules.interval_s
        )
        drawn = counter.make(
            word, vhid=VHID, advbase=advbase, advskew=advskew, source=self.address, key=KEY
        )
        self.sources.sent(drawn)
        self.net.send(
            self.address, packet(self.address, Advertisement(VHID, advbase, advskew, drawn))
        )

    def wake(self) -> None:
        self.tell(Tick())

    def hear(self, packet: bytes) -> None:
        if self._waiting is not None:
            self._waiting.append(packet)
        elif self.state is not None:
            self._hear(packet)

    def _hear(self, packet: bytes) -> None:
        heard = self.believe(packet)
        if isinstance(heard, Accepted):
            self.tell(Hear(heard))
        else:
            self.refused.append(heard)
        self._nudge()

    def believe(self, packet: bytes) -> Accepted | carp.Refusal:
        received = carp.genuine(packet, vhid=VHID, vip=VIP, password=PASSWORD)
        if isinstance(received, carp.Refusal):
            return received
        return self.sources.accept(received, self.net.now)

    def _nudge(self) -> None:
        state = self.state
        if state is None or state.role is not RoleName.BACKUP or state.master is None:
            return
        if not state.master.is_native and self.sources.nudge_due(self.net.now):
            self.say(carp.RESIGNATION_ADVBASE, 0, is_resignation=False)

    def _go_on(self, stopped_s: float) -> None:
        waiting, self._waiting = self._waiting or [], None
        if stopped_s >= self.rules.dead_ratio * self.rules.interval_s:
            self.tell(Stalled())
        for one in waiting:
            self.hear(one)


class UcarpNode:
    """
    ucarp with --preempt, as its source has it; it hears in batches, up to a second late.

    A contract test (tests/system/ha/test_ucarp_counters.py) holds its counters to the real one.
    """

    net: VirtualNet

    def __init__(self, number: int, *, advskew: int = 0, dead_ratio: int = 3) -> None:
        self.address = f"10.0.1.{number}"
        self.advskew = advskew
        self.dead_ratio = dead_ratio
        self.role: RoleName | None = None
        self._counter: int | None = None
        self._speak_at = self._dead_at = self._read_at = math.inf
        self._batch: list[bytes] = []

    @property
    def interval(self) -> tuple[int, int]:
        return 1, self.advskew

    @property
    def due(self) -> float:
        return min(self._speak_at, self._dead_at, self._read_at)

    def start(self) -> None:
        self._counter = None
        self._batch = []
        self._become(RoleName.BACKUP)
        self._read_at = self.net.now + self.net.dice.random()

    def die(self) -> None:
        self.role = None
        self._speak_at = self._dead_at = self._read_at = math.inf

    def hear(self, packet: bytes) -> None:
        if self.role is not None:
            self._batch.append(packet)

    def wake(self) -> None:
        now = self.net.now
        if now >= self._read_at:
            batch, self._batch = self._batch, []
            self._read_at = now + 1.0
            for one in batch:
                self._hear(one)
        if now >= self._dead_at:
            self._become(RoleName.MASTER)
        if now >= self._speak_at:
            self._advertise()

    def _hear(self, packet: bytes) -> None:
        received = carp.genuine(packet, vhid=VHID, vip=VIP, password=PASSWORD)
        if not isinstance(received, carp.Received):
            return
        heard = received.advertisement
        self._counter = heard.counter
        other = (heard.advbase, heard.advskew)
        if self.role is RoleName.MASTER:
            is_lower = election.address_order(received.source) < election.address_order(
                self.address
            )
            if other < self.interval or (other == self.interval and is_lower):
                self._advertise()
                self._become(RoleName.BACKUP)
        elif self.interval < other or other > (self.dead_ratio, self.advskew):
            self._become(RoleName.MASTER)
        else:
            self._listen()

    def _become(self, role: RoleName) -> None:
        self.role = role
        if role is RoleName.MASTER:
            self._dead_at = math.inf
            self._advertise()
        else:
            self._speak_at = math.inf
            self._listen()

    def _listen(self) -> None:
        self._dead_at = self.net.now + self.dead_ratio * (1 + self.advskew / 256)

    def _advertise(self) -> None:
        if self._counter is None:
            drawn = self.net.dice.getrandbits(64)
        else:
            drawn = self._counter = (self._counter + 1) % (1 << 64)
        self.net.send(
            self.address, packet(self.address, Advertisement(VHID, 1, self.advskew, drawn))
        )
        self._speak_at = self.net.now + 1 + self.advskew / 256
