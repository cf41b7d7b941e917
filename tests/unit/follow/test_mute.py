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


@in_no_time
async def test_what_it_has_missed_it_has_as_soon_as_it_answers(tmp_path: Path) -> None:
    world = FakeWorld()
    site = Site(tmp_path, world)
    await site.base(service("hello", A, B), service("other", A))
    world.lives[1].is_silent = True
    await site.base(service("hello", B), service("other", A))
    # Known to be silent, it is not even asked.
    await site.base(service("hello", B), service("other", B))
    missed = world.servers(1, "other")
    world.lives[1].is_silent = False
    await site.quiet(5)
    await site.end()

    for backend in ("hello", "other"):
        assert world.servers(1, backend) == world.servers(2, backend)
    assert missed != world.servers(1, "other")


@in_no_time
async def test_a_process_that_is_cut_off_while_it_is_told_is_told_again(tmp_path: Path) -> None:
    world = FakeWorld()
    site = Site(tmp_path, world)
    await site.base(service("hello", A, B))

    def cut_off(number: int) -> None:
        world.lives[number].is_silent = number == 1

    world.on_perform = cut_off
    await site.base(service("hello", B))
    world.on_perform = lambda _: None
    world.lives[1].is_silent = False
    await site.quiet(5)
    await site.end()

    assert len(world.servers(1, "hello")) == 1


@in_no_time
async def test_an_audit_that_finds_nothing_new_leaves_nothing_to_plan(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B), service("other", A))
    await site.quiet(5)
    fleet = site.follower.applier.fleet
    fleet.mark_stale()
    await fleet.refresh(site.follower.applier.loaded.target)
    quiet = [set(one.dirty) for one in fleet.members.values()]
    site.world.lives[1].servers.backends["other"].servers.clear()
    fleet.mark_stale()
    await fleet.refresh(site.follower.applier.loaded.target)
    changed = [set(one.dirty) for one in fleet.members.values()]
    await site.end()

    assert quiet == [set(), set()]
    assert changed == [{"other"}, set()]
