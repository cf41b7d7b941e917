"""
Leaving on purpose: the addresses move to the peer, and clients notice as little as can be.

The steps:

1. drain: wait for the connections that are there, at most ``drain_s``; when some are not over in a
   moment HAProxy reloads, so that old workers finish what they serve and close kept-alive ones;
2. silence: stop the speaker (ucarp by SIGSTOP: it can neither advertise nor run a hook);
3. resign: three signed advertisements with advbase 255, so that the backup takes over now and does
   not wait for the dead time;
4. wait for the peer's first advertisement, still answering clients meanwhile: ucarp reads its
   packets up to a second late, and an address that nobody holds would be that much outage. A native
   peer speaks within milliseconds, and so nothing here may wait for a turn of its own;
5. destroy: each connection left on the addresses is reset, so that its client does not hang;
6. addresses off; end the speaker.

When nobody takes over the node goes on as it was, unless it has to stop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

#: The longest wait for the peer: ucarp's pcap hands packets over up to 1 s late, and its hook runs.
TAKEOVER_WAIT_S = 1.4
RESIGNATIONS = 3
#: Between two of them: ucarp takes a second one in its stride, and a native peer wants the next one
#: soon where the first was lost.
RESIGNATION_GAP_S = 0.05
NATIVE_GAP_S = 0.01
_POLL_S = 0.02
#: Most connections end by themselves within this time, and a reload would take the processor from
#: who serves.
_SHORT_S = 0.1


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a leaving did, for the operator.

    Attributes:
        why: the reason given.
        drained_s: how long clients were waited for, seconds.
        undrained: connections still there after that.
        taken_over_by: the peer's address, None when nobody took over.
        takeover_ms: from the first resignation to the peer's first advertisement.
        destroyed: connections reset.
        off_ms: from that advertisement to the last address off.
        left: whether the addresses are off.
    """

    why: str
    drained_s: float = 0.0
    undrained: int = 0
    taken_over_by: str | None = None
    takeover_ms: float | None = None
    destroyed: int = 0
    off_ms: float | None = None
    left: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """The same for people."""
        drained = f"drained {self.drained_s:.1f} s" if self.drained_s else "nothing to drain"
        if self.taken_over_by is None:
            end = "nobody took over" + ("" if self.left else "; this node keeps the addresses")
        else:
            end = f"{self.taken_over_by} took over after {self.takeover_ms:.0f} ms"
        return f"{self.why}: {drained}, {end}, {self.destroyed} connections reset"


class Scene(Protocol):
    """What a leaving acts on; vipd is the real one."""

    async def reload_haproxy(self) -> None:
        """Let old workers finish; new ones serve."""

    async def connections(self) -> frozenset[object]:
        """Those on the virtual addresses now."""

    def silence(self) -> None:
        """Stop the speaker where it stands."""

    def resume(self) -> None:
        """Let it speak on."""

    def resign(self) -> None:
        """Send one resignation."""

    async def successor(self, since: float, within_s: float) -> str | None:
        """Wait for a peer that speaks as MASTER after *since* (monotonic seconds); its address."""

    def destroy(self) -> int:
        """Reset every connection on the addresses; how many."""

    def addresses_off(self, why: str) -> None:
        """Record BACKUP and remove the addresses."""

    def end_speaker(self) -> None:
        """Kill it; supervisord may start it afresh."""


async def leave(
    scene: Scene,
    why: str,
    *,
    drain_s: float,
    must: bool,
    gap_s: float = RESIGNATION_GAP_S,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """
    Go through the steps.

    Args:
        scene: see there.
        why: for the record.
        drain_s: longest wait for clients, seconds; 0: none.
        must: leave even when nobody takes over.
        gap_s: between two resignations, seconds.
        clock: monotonic seconds.

    Returns:
        What was done; ``left`` is false when nobody took over and leaving was not a must.
    """
    drained_s, undrained = await _drain(scene, drain_s, clock)
    scene.silence()
    began = clock()
    peer = await _resign(scene, began, gap_s, clock)
    seen = clock()
    if peer is None and not must:
        scene.resume()
        return Report(why, drained_s, undrained)
    destroyed = scene.destroy()
    scene.addresses_off(why)
    scene.end_speaker()
    return Report(
        why,
        drained_s,
        undrained,
        taken_over_by=peer,
        takeover_ms=None if peer is None else (seen - began) * 1000,
        destroyed=destroyed,
        off_ms=(clock() - seen) * 1000,
        left=True,
    )


async def _drain(scene: Scene, drain_s: float, clock: Callable[[], float]) -> tuple[float, int]:
    old = await scene.connections() if drain_s > 0 else frozenset()
    if not old:
        return 0.0, 0
    began = clock()
    old = await _outlive(scene, old, min(drain_s, _SHORT_S), began, clock)
    if old:
        await scene.reload_haproxy()
        old = await _outlive(scene, old, drain_s, began, clock)
    return clock() - began, len(old)


async def _outlive(
    scene: Scene,
    old: frozenset[object],
    within_s: float,
    began: float,
    clock: Callable[[], float],
) -> frozenset[object]:
    """Those of *old* that are still there *within_s* seconds after *began*."""
    while old and clock() - began < within_s:
        await asyncio.sleep(_POLL_S)
        old &= await scene.connections()
    return old


async def _resign(
    scene: Scene, began: float, gap_s: float, clock: Callable[[], float]
) -> str | None:
    for number in range(1, RESIGNATIONS + 1):
        scene.resign()
        until = number * gap_s if number < RESIGNATIONS else TAKEOVER_WAIT_S
        within_s = began + until - clock()
        if (peer := await scene.successor(began, max(0.0, within_s))) is not None:
            return peer
    return None
