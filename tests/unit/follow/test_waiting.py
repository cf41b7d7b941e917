"""What waits: losses that an agent finds when it starts, reloads, and those who asked meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lbctl.follow.base import Base
from lbctl.follow.pace import Pacing
from lbctl.follow.servers import set_server
from lbctl.haproxy.perform import Outcome
from lbctl.haproxy.plan import Plan
from tests.fakes.timeless import clock, in_no_time
from tests.fakes.world import FakeWorld, compile_services, service
from tests.unit.follow.test_follower import A, B, C, D, Site


@in_no_time
async def test_a_loss_found_at_a_start_is_held_to_its_end_whatever_else_is_done(
    tmp_path: Path,
) -> None:
    world = FakeWorld()
    before = Site(tmp_path, world)
    await before.base(service("hello", A, B, C, D), service("other", A))
    await before.end()
    site = Site(tmp_path, world)
    applied = await site.base(service("hello", A), service("other", A))
    again = await site.base(service("hello", A), service("other", A, B))
    held = site.both("hello")
    gone = await site.base(service("other", A, B))
    await site.quiet(5)
    kept = site.both("hello")
    await site.quiet(35)
    await site.end()

    assert [one.describe() for one in applied.held] == ["hello: 1 of 4 servers"]
    assert [one.describe() for one in again.held] == ["hello: 1 of 4 servers"]
    assert len(held) == 4
    assert [one.describe() for one in gone.held] == ["hello: gone, with 4 servers"]
    assert len(kept) == 4
    assert site.both("other") == {A: "ready", B: "ready"}
    assert "hello" not in world.lives[1].wanted.target.backends


@in_no_time
async def test_who_looks_is_answered_while_a_reload_waits(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.world.refuses_all = "no"
    refused = await site.base(service("hello", A), service("new", A))
    for _ in range(7):
        await site.quiet(10)
    async with asyncio.timeout(1):
        await site.follower.look()
    await site.end()

    assert refused.did == "failed"


@in_no_time
async def test_a_failure_is_told_until_the_reload_goes_through(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.offer(service("web", A))
    await site.quiet(3)
    site.world.refuses_all = "no"
    await site.base(service("hello", A), service("new", A))
    site.offer(service("web", A, B))
    await site.quiet(0.5)
    failed = site.follower.status()
    site.world.refuses_all = ""
    await site.base(service("hello", A), service("new", A))
    await site.end()

    assert site.both("web") == {A: "ready", B: "ready"}
    assert (failed["state"], failed["failure"]["what"]) == ("failed", "no")
    assert failed["last"]["did"] == "runtime"
    assert site.follower.status()["failure"] is None


@in_no_time
async def test_what_a_start_would_refuse_is_told_all_the_time_and_no_longer(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.world.refuses["hello"] = "no such file"
    await site.base(service("hello", A, B))
    told = set()
    await site.quiet(6)
    for _ in range(70):
        await site.quiet(1)
        told.add(str(site.follower.failure))
    site.world.refuses.clear()
    await site.quiet(6)
    await site.end()

    assert len(told) == 1
    assert "would refuse what is running: no such file" in told.pop()
    assert site.follower.failure is None


@in_no_time
async def test_a_reload_asked_for_is_not_forgotten_while_it_has_to_wait(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    pacing = Pacing(reload_every_s=60.0)
    await site.follower.set_base(Base(1, (service("hello", A),), compile_services, pacing, 30.0))
    base = Base(2, (service("hello", A),), compile_services, pacing, 30.0)
    early = await site.follower.set_base(base, force="somebody asked for it")
    reloads = len(site.world.reloads)
    await site.quiet(61)
    await site.end()

    assert (early.did, early.reasons) == ("nothing", ("somebody asked for it",))
    assert early.waits_for is not None
    assert (reloads, len(site.world.reloads)) == (1, 2)


class Crowded(FakeWorld):
    """Each process has old workers."""

    async def workers(self) -> list[dict[str, object]]:
        return [{"program": self.program(n), "old": 2} for n in self.numbers]


@in_no_time
async def test_a_reload_waits_for_more_old_workers_than_are_allowed_in_all(tmp_path: Path) -> None:
    site = Site(tmp_path, Crowded())
    applied = []
    for number, most in enumerate((4, 3), start=1):
        services = tuple(service(f"hello{n}", A) for n in range(number))
        base = Base(number, services, compile_services, Pacing(), 0.0, old_workers=most)
        applied.append(await site.follower.set_base(base))
    await site.end()

    assert [one.did for one in applied] == ["reload", "failed"]
    assert "4 old workers still have connections, and apply.old_workers is 3" in applied[1].failure


@in_no_time
async def test_a_server_can_be_drained_while_another_process_has_never_answered(
    tmp_path: Path,
) -> None:
    world = FakeWorld()
    world.lives[2].is_silent = True
    site = Site(tmp_path, world)
    await site.base(service("hello", A, B))
    done = await set_server(
        site.follower, f"hello/{A}", by="me", at=0.0, admin="drain", weight=None
    )
    early = world.servers(1, "hello")
    world.lives[2].is_silent = False
    await site.quiet(5)
    await site.end()

    assert early == {A: "drain", B: "ready"}
    assert [bool(one["silence"]) for one in done["processes"]] == [False, True]
    assert site.both("hello") == early


class SlowWorld(FakeWorld):
    """Each process takes a hundredth of a second for its steps."""

    async def perform(self, number: int, plan: Plan) -> Outcome:
        await asyncio.sleep(0.01)
        return await super().perform(number, plan)


@in_no_time
async def test_who_asks_while_the_turn_is_at_work_that_has_it_all_waits_for_no_other(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, SlowWorld())
    await site.base(service("hello", A))
    await site.quiet()
    site.offer(service("hello", A, B))
    await asyncio.sleep(0.005)
    began = clock()
    applied = await site.follower.outcome_of_offered()
    took_s = clock() - began
    site.offer(service("hello", A, B, C))
    await asyncio.sleep(0.055)
    site.offer(service("hello", A, B, C, D))
    later = await site.follower.outcome_of_offered()
    await site.end()

    assert applied.did == "runtime"
    assert took_s < Pacing().gather_s
    assert later.did == "runtime"
    assert set(site.both("hello")) == {A, B, C, D}
