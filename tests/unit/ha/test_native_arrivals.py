"""A BACKUP that reads its master's words late counts its silence from when they came."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lbctl.ha.capture import Seen
from lbctl.ha.role import RoleName
from tests.fakes.carp_packets import packet
from tests.fakes.native_host import INTERVAL_MS, NativeHost, Segment
from tests.fakes.timeless import clock, in_no_time
from tests.loops import until

PERIOD_S = INTERVAL_MS / 2000
DEAD_S = 5 * PERIOD_S + 0.003


async def taken_over_after(tmp_path: Path, read_late_s: float) -> float:
    """Seconds from the last word's arrival to the take-over, when it was read so much later."""
    segment = Segment()
    a = NativeHost(segment, tmp_path / "a", 11)
    b = NativeHost(segment, tmp_path / "b", 12, advskew=20)
    for node in (a, b):
        await node.life.begin()
    await asyncio.sleep(1.0)
    segment.cut = {b.source}
    said = len(a.words)
    await until(lambda: len(a.words) > said, "the master speaks once more")
    arrived, last = clock(), packet(a.source, a.words[-1])
    await asyncio.sleep(read_late_s)
    b.engine.hear(Seen(False, "eth0", last, arrived))
    await until(lambda: b.role is RoleName.MASTER, "the backup takes over")
    return clock() - arrived


@pytest.mark.parametrize("read_late_s", [0.0, 0.05, 0.1])
def test_the_dead_time_goes_by_arrivals(tmp_path: Path, read_late_s: float) -> None:
    lasted: list[float] = []

    @in_no_time
    async def live() -> None:
        lasted.append(await taken_over_after(tmp_path, read_late_s))

    live()

    assert lasted[0] == pytest.approx(DEAD_S, abs=0.002)
