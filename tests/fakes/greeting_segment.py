"""Greeters on one segment in virtual time; what gets lost on the way is the test's choice."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from lbctl.ha.carp import GROUP, Password
from lbctl.ha.greeter import Greeter
from lbctl.ha.greeting_socket import Datagram
from lbctl.ha.journal import Journal
from lbctl.ha.pause import PauseWord
from lbctl.spec import GroupSpec
from tests.fakes.clock import FakeClock
from tests.specs import bundle_spec

PORT = 8112
VIP = "10.0.1.201"
STEP_S = 0.05


class RecordingJournal(Journal):
    """Keeps what was noted, and needs no event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def note(self, kind: str, text: str, **fields: Any) -> None:
        assert kind == "peer"
        self.told.append(text)


def group_spec(address: str, **different: Any) -> GroupSpec:
    values: dict[str, Any] = {
        "vhid": 7, "interface": "eth0", "source": address, "vip": VIP, "dead_ratio": 3,
        "addresses": (f"{VIP}/32", "10.0.1.202/32"), "engine": "native",
        "advbase_s": 1, "advskew": 0, "drain_s": 2.0, "track": (),
    }  # fmt: skip
    if "vip" in different:
        values["addresses"] = (f"{different['vip']}/32",)  # another pair's
    return GroupSpec(**{**values, **different})


class Node:
    """One host: its greeter, and the facts that the test may change."""

    def __init__(self, segment: Segment, name: str, address: str, **options: Any) -> None:
        self.address = address
        self.segment = segment
        self.on_datagram: Callable[[Datagram], None] = lambda _: None
        self.group = group_spec(address, **options.get("group", {}))
        self.journal = RecordingJournal()
        self.wall_offset_s = 0.0
        self.pauses: list[PauseWord] = []
        self.fact = {
            "vhid": self.group.vhid, "vip": self.group.vip, "role": options.get("role", "BACKUP"),
            "since": 5.0, "why": "", "advskew": 0, "faults": [], "severity": 0, "can_serve": True,
        }  # fmt: skip
        self.facts: dict[str, Any] = {"groups": [self.fact], "is_paused": False, "pause": None}
        spec = bundle_spec(
            node=options.get("node", name * 16),
            hostname=name,
            group=self.group,
            version=options.get("version", "1.0"),
            digests=options.get("digests", {"haproxy.cfg": "aa"}),
        )
        self.greeter = Greeter(
            spec,
            self.group,
            Password(options.get("password", b"foobar23")),
            self.journal,
            lambda: self.facts,
            clock=segment.clock,
            wall=lambda: segment.clock.now + 1e9 + self.wall_offset_s,
            link=self._open,
        )
        self.greeter.on_pause = self.pauses.append

    def become(self, role: str) -> None:
        self.fact["role"] = role
        self.greeter.changed()

    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.greeter.findings()]

    def _open(self, _: GroupSpec, on_datagram: Callable[[Datagram], None]) -> SegmentLink:
        self.on_datagram = on_datagram
        return SegmentLink(self)


class SegmentLink:
    """A node's link; open from the first turn on."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.is_open = False
        self.trouble = ""

    def keep_open(self, now: float) -> bool:
        was_open, self.is_open = self.is_open, True
        return not was_open

    def send(self, content: bytes, address: str, port: int) -> bool:
        self._node.segment.carry(self._node.address, content, address)
        return True

    def close(self) -> None:
        self.is_open = False


class Segment:
    """
    Everybody on one link.

    Attributes:
        lost: (from, to) of hosts between which nothing passes.
        without_multicast: the same for multicast alone.
        loss: share of datagrams that get lost, per receiver.
        strangers: what is done before each step, by whoever else is there.
        carried: every datagram that was sent: from, to, content.
    """

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.nodes: list[Node] = []
        self.lost: set[tuple[str, str]] = set()
        self.without_multicast: set[tuple[str, str]] = set()
        self.loss = 0.0
        self.strangers: list[Callable[[], None]] = []
        self.random = random.Random(1)
        self.carried: list[tuple[str, str, bytes]] = []
        self._waiting: deque[tuple[Node, Datagram]] = deque()

    def add(self, name: str, address: str, **options: Any) -> Node:
        node = Node(self, name, address, **options)
        self.nodes.append(node)
        return node

    def pair(self, **options: dict[str, Any]) -> tuple[Node, Node]:
        """A MASTER ``a`` and a BACKUP ``b`` that know each other, long after their start."""
        a = self.add("a", "10.0.1.11", **{"role": "MASTER", **options.get("a", {})})
        b = self.add("b", "10.0.1.12", **options.get("b", {}))
        self.run(10.0)
        return a, b

    def carry(self, source: str, content: bytes, target: str, ttl: int = 255) -> None:
        self.carried.append((source, target, content))
        for node in self.nodes:
            way = source, node.address
            by_multicast = target == GROUP
            if node.address == source or (not by_multicast and node.address != target):
                continue
            is_cut = way in self.lost or (by_multicast and way in self.without_multicast)
            if not is_cut and self.random.random() >= self.loss:
                self._waiting.append((node, Datagram(content, source, PORT, ttl, by_multicast)))

    def run(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.step()

    def step(self) -> None:
        self.clock.tick(STEP_S)
        for act in self.strangers:
            act()
        for node in self.nodes:
            node.greeter.turn()
        while self._waiting:
            node, datagram = self._waiting.popleft()
            if node in self.nodes:
                node.on_datagram(datagram)

    def until(self, claim: Callable[[], object], within_s: float) -> float:
        """Seconds until *claim* holds."""
        begun = self.clock.now
        while not claim():
            assert self.clock.now - begun <= within_s, f"not within {within_s} s"
            self.step()
        return self.clock.now - begun
