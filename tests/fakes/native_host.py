"""Nodes with the native engine around a segment in memory; all but wire and kernel is real."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from lbctl.errors import NetlinkError
from lbctl.ha import carp
from lbctl.ha.capture import Seen
from lbctl.ha.carp import Advertisement
from lbctl.ha.counter import Clockwork
from lbctl.ha.ears import Ears
from lbctl.ha.engine import Parts
from lbctl.ha.hands import Hands
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import Keeper
from lbctl.ha.life import Life
from lbctl.ha.mouth import Mouth
from lbctl.ha.native import NativeEngine
from lbctl.ha.replay import Sources
from lbctl.ha.role import Role, RoleFile, RoleName
from lbctl.ha.stall import StallGuard
from lbctl.ha.track import Tracker
from lbctl.ha.worth import OwnVoice, Worth
from lbctl.layout import RunDir
from tests.fakes.address_table import FakeAddressTable
from tests.fakes.carp_packets import KEY, PASSWORD, VHID, VIP, packet
from tests.fakes.programs import FakePrograms
from tests.fakes.timeless import clock
from tests.specs import bundle_spec, group_spec

INTERVAL_MS = 50
WALL_S = 1_800_000_000.0
_WIRE_S = 0.0002


class Segment:
    """What connects the nodes: every packet reaches every other node, unless a cut is between."""

    def __init__(self) -> None:
        self.nodes: list[NativeHost] = []
        self.cut: set[str] = set()
        self.said: list[tuple[str, Advertisement]] = []

    def send(self, source: str, advertisement: Advertisement) -> None:
        self.said.append((source, advertisement))
        if source not in self.cut:
            self.carry(packet(source, advertisement), but=source)

    def carry(self, raw: bytes, *, but: str = "") -> None:
        for node in self.nodes:
            if node.source not in {but, *self.cut}:
                asyncio.get_running_loop().call_later(_WIRE_S, node.hears, raw)


class _Way:
    def __init__(self, segment: Segment, source: str) -> None:
        self._segment = segment
        self._source = source
        self._signed: dict[bytes, Advertisement] = {}
        self.is_closed = False

    def sign(self, advertisement: Advertisement) -> bytes:
        signed = advertisement.counter.to_bytes(8)
        self._signed[signed] = advertisement
        return signed

    def send(self, signed: bytes) -> None:
        if self.is_closed:
            message = "sending CARP: Network is down"
            raise NetlinkError(message)
        self._segment.send(self._source, self._signed[signed])


class Quiet:
    """A world in which nothing is paused, and nobody is known, unless a test says so."""

    def __init__(self) -> None:
        self.is_paused = False
        self.is_better = True

    def may_take_over(self, vhid: int, advskew: int) -> bool:
        return self.is_better and vhid + advskew > 0

    def is_other_master(self, vhid: int) -> bool:
        return not vhid


class NativeHost:
    """One node; within a :class:`~tests.fakes.timeless.TimelessLoop`."""

    def __init__(
        self,
        segment: Segment,
        root: Path,
        number: int,
        *,
        advskew: int = 0,
        drain_s: float = 0.0,
        was: RoleName | None = None,
    ) -> None:
        self.source = f"10.0.1.{number}"
        self.segment = segment
        self.group = group_spec(
            vhid=VHID, vip=VIP, source=self.source, engine="native", advbase_ms=INTERVAL_MS,
            advskew=advskew, drain_s=drain_s, track=(),
        )  # fmt: skip
        self.announced: list[float] = []
        self.journal, self.table = Journal(), FakeAddressTable()
        root.mkdir()
        roles = RoleFile(root / "role.json")
        if was is not None:
            roles.record(Role(was, 1, WALL_S, why="as it was"))
        self.keeper = Keeper(
            self.group, roles, self.table, self._announce, self.journal, clock=clock
        )
        self.world, self.guard = Quiet(), StallGuard(clock)
        voice = OwnVoice(advskew)
        parts = self._parts(RunDir(root), voice)
        self.hands = Hands(parts)
        self.engine = self._engine(parts, voice)
        self.life = Life(parts, self.hands, self.engine, self.world, clock)
        self.ticking = asyncio.ensure_future(self.life.tick_forever())
        segment.nodes.append(self)

    def _parts(self, run: RunDir, voice: OwnVoice) -> Parts:
        tracker, spec = Tracker(()), bundle_spec(group=self.group)
        worth = Worth(self.group, tracker, voice, self.journal, clock)
        return Parts(
            spec, self.group, run, FakePrograms(), tracker, self.journal, self.keeper, worth
        )

    def _engine(self, parts: Parts, voice: OwnVoice) -> NativeEngine:
        now = clock()
        clockwork = Clockwork(position=0, wall_s=WALL_S + now, now=now)
        self.way = _Way(self.segment, self.source)
        self.mouth = Mouth(self.group, self.way, KEY, clockwork, clock)
        position = clockwork.position(now)
        sources = Sources(source=self.source, key=KEY, ucarp_dead_s=3.0, position=position, now=now)
        ears = Ears("lo")
        return NativeEngine(
            parts, self.hands, voice, self.mouth, ears, sources, PASSWORD, self.guard, clock
        )

    @property
    def role(self) -> RoleName:
        return self.keeper.role.name

    @property
    def holds(self) -> bool:
        return bool(self.table.leases)

    @property
    def words(self) -> list[Advertisement]:
        """What it has said."""
        return [said for source, said in self.segment.said if source == self.source]

    @property
    def resignations(self) -> int:
        return sum(said.advbase == carp.RESIGNATION_ADVBASE for said in self.words)

    def hears(self, raw: bytes) -> None:
        self.engine.hear(Seen(False, self.group.interface, raw, clock()))

    def _announce(self, addresses: Iterable[str]) -> None:
        assert tuple(addresses)
        self.announced.append(clock())
