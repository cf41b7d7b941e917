"""
What decides the role of a group and speaks for this node: the seam between the election and the
addresses.

Two kinds: :mod:`lbctl.ha.ucarp_engine`, where ucarp decides and vipd watches it, and
:mod:`lbctl.ha.native`, where vipd itself speaks CARP. An engine changes roles through
:class:`~lbctl.ha.hands.Hands`; when to leave is not its business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lbctl.ha import carp
from lbctl.ha.journal import Journal
from lbctl.ha.keeper import Keeper
from lbctl.ha.lease import Verdict
from lbctl.ha.strangers import Strangers
from lbctl.ha.track import Tracker
from lbctl.ha.worth import Worth
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramEvent, Programs
from lbctl.spec import BundleSpec, GroupSpec


@dataclass(frozen=True, slots=True)
class Peer:
    """
    The last genuine advertisement of another node of the group.

    Attributes:
        source: its address.
        advbase: seconds.
        advskew: 1/256 s.
        seen: monotonic seconds.
    """

    source: str
    advbase: int
    advskew: int
    seen: float

    @property
    def is_leaving(self) -> bool:
        return self.advbase == carp.RESIGNATION_ADVBASE

    def as_dict(self, now: float) -> dict[str, Any]:
        """For status; *now* is monotonic seconds."""
        return {
            "source": self.source,
            "advbase": self.advbase,
            "advskew": self.advskew,
            "seen_s_ago": round(now - self.seen, 3),
        }


@dataclass(slots=True)
class Parts:
    """What the life of one group is made of; all groups share what belongs to the bundle."""

    spec: BundleSpec
    group: GroupSpec
    run: RunDir
    programs: Programs
    tracker: Tracker
    journal: Journal
    keeper: Keeper
    worth: Worth


class Engine(Protocol):
    """
    The election of one group. Every method runs on vipd's event loop and returns at once.

    Attributes:
        on_rival: called when another node speaks while this one is MASTER.
        resignation_gap_s: seconds between two resignations.
        strangers: whom it heard and did not believe.
    """

    on_rival: Callable[[], None]
    resignation_gap_s: float
    strangers: Strangers

    @property
    def advskew(self) -> int:
        """With which it speaks; after :meth:`Worth.judge` the one to speak with from now on."""

    @property
    def dead_time_s(self) -> float:
        """A master that was silent for so long counts as dead, seconds."""

    @property
    def position(self) -> int:
        """Where its counter stands, for the other nodes; 0: it says nothing by it."""

    def open(self) -> None:
        """
        Listen.

        Raises:
            NetlinkError: no NET_RAW, or no such interface.
        """

    def speaks_already(self, programs: Mapping[str, Program]) -> bool:
        """Whether it goes on under an earlier vipd's word; *programs* are what supervisord runs."""

    async def start(self) -> None:
        """This node can serve: speak."""

    async def respeak(self) -> None:
        """The advskew has changed."""

    async def on_program(self, event: ProgramEvent) -> None:
        """supervisord says something; of a start with the pid, as far as it is known."""

    def greeted(self, source: str, *, is_native: bool, position: int, leads: int | None) -> None:
        """
        The node at *source* has just said what it speaks, and where its counter stands.

        Args:
            leads: the advskew of a MASTER; None: it is none.
        """

    async def on_link(self, is_up: bool) -> None:
        """The interface can carry packets again, or no more: then this node gives way."""

    async def pause(self, on: bool) -> None:
        """Nothing is to move by itself any more, or again."""

    def look(self) -> None:
        """Once a second: is the speaker well?"""

    def verdict(self) -> tuple[Verdict, str]:
        """What to do with the addresses, and the reason for people."""

    def give_up(self, why: str) -> None:
        """BACKUP on the evidence."""

    def silence(self) -> None:
        """This node is leaving: say nothing more."""

    def resume(self) -> None:
        """It is not: speak on."""

    def resign(self) -> None:
        """One signed word that makes the backup take over now."""

    async def successor(self, since: float, within_s: float) -> Peer | None:
        """The node that speaks as MASTER after *since* (monotonic seconds); waits for it."""

    def end(self) -> None:
        """The addresses are off: listen as BACKUP, as a freshly started speaker does."""

    def stop(self) -> None:
        """The bundle stops: no more words."""

    def as_dict(self) -> dict[str, Any]:
        """Its part of the group's status."""

    def protection(self) -> str:
        """What this group is not protected from, a sentence; empty: nothing known."""


def exposed(names: Iterable[str]) -> str:
    """What a native node is not protected from while these speak through ucarp; empty: nobody."""
    told = ", ".join(sorted(names))
    return told and (
        f"{told} speaks through ucarp, which believes captured packets: a stranger in this "
        "network segment can force a take-over; the native engine on both nodes does not"
    )


async def found(
    find: Callable[[], Peer | None], news: asyncio.Event, within_s: float
) -> Peer | None:
    """What *find* finds, asked again after all *news*; None: nothing in time."""

    async def wait() -> Peer:
        while (peer := find()) is None:
            news.clear()
            await news.wait()
        return peer

    try:
        return await asyncio.wait_for(wait(), within_s)
    except TimeoutError:
        return None
