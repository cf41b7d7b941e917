"""A HAProxy that serves and cannot be asked: its socket was removed."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.timeless import in_no_time
from tests.fakes.world import FakeWorld, service
from tests.unit.follow.test_follower import A, B, Site


async def mute(root: Path, world: FakeWorld) -> Site:
    """The first process has missed the last change."""
    site = Site(root, world)
    await site.base(service("hello", A, B))
    world.lives[1].is_silent = True
    await site.base(service("hello", B))
    await site.quiet(5)
    return site


@in_no_time
async def test_it_is_told_as_long_as_it_lasts(tmp_path: Path) -> None:
    site = await mute(tmp_path, FakeWorld())
    told = site.follower.warnings()
    site.world.lives[1].is_silent = False
    await site.quiet(5)
    await site.end()

    assert [one for one in told if "haproxy-01 cannot be asked" in one]
    assert site.follower.warnings() == []
