"""The loop over a host in memory: what is done at run time, what by a reload, and what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbctl.follow.apply import Applied
from lbctl.follow.base import Base
from lbctl.follow.follower import Follower
from lbctl.follow.overrides import Overrides
from lbctl.follow.pace import Pacing
from lbctl.model.names import backend_name
from lbctl.model.service import Service, Snapshot
from tests.fakes.timeless import clock, in_no_time
from tests.fakes.world import FakeWorld, compile_services, service

A, B, C, D = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"


class Site:
    """A follower that lives, its world, and the events that it recorded."""

    def __init__(self, root: Path, world: FakeWorld) -> None:
        self.world = world
        self.events: list[tuple[str, str]] = []
        overrides = Overrides(root / "server-states.json")
        self.follower = Follower(world, overrides, backend_name, self._note, clock=clock)
        self._life = asyncio.ensure_future(self.follower.run())

    def _note(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        self.events.append((kind, text))

    async def base(self, *services: Service, hold_s: float = 30.0, **more: Any) -> Applied:
        base = Base(1, services, compile_services, Pacing(), hold_s)
        return await self.follower.set_base(base, **more)

    def offer(self, *services: Service, source: str = "consul") -> None:
        self.follower.offer(Snapshot(source, services, 0.0))

    async def quiet(self, seconds: float = 0.6) -> None:
        """Let everything settle."""
        await asyncio.sleep(seconds)

    async def end(self) -> None:
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)

    def both(self, backend: str) -> dict[str, str]:
        """The servers of a backend, which both processes have alike."""
        one, other = (self.world.servers(n, backend) for n in (1, 2))
        assert one == other
        return one

    def texts(self, kind: str) -> list[str]:
        return [text for one, text in self.events if one == kind]


@in_no_time
async def test_a_new_service_takes_one_reload_of_all(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    applied = await site.base(service("hello", A, B))
    await site.end()

    assert applied.did == "reload"
    assert site.world.reloads == [("haproxy-01", "haproxy-02")]
    assert site.both("hello") == {A: "ready", B: "ready"}


@in_no_time
async def test_a_server_comes_and_goes_without_a_reload_and_the_file_says_so(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B))
    applied = await site.base(service("hello", B, C))
    await site.end()

    assert (applied.did, applied.commands, applied.failure) == ("runtime", 4, "")
    assert len(site.world.reloads) == 1
    assert site.both("hello") == {B: "ready", C: "ready"}
    assert [one.name for one in site.world.disk.target.backends["hello"].servers] == [B, C]
    assert site.texts("apply")[-1].startswith(f"add hello/{C} ({C}); remove hello/{A}: at run time")


@in_no_time
async def test_the_same_again_does_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B))
    writes = len(site.world.writes)
    applied = await site.base(service("hello", A, B))
    await site.end()

    assert (applied.did, applied.commands) == ("nothing", 0)
    assert len(site.world.writes) == writes


@in_no_time
async def test_a_storm_of_contradictions_reloads_once_a_second_and_ends_in_the_last(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    began = clock()
    for number in range(300):
        site.offer(service("storm", A, balance=("leastconn", "first")[number % 2]))
        await asyncio.sleep(0.01)
    took_s = clock() - began
    site.offer(service("storm", A, balance="source"))
    await site.quiet(2.5)
    await site.end()

    assert len(site.world.reloads) - 1 <= took_s + 2
    assert "balance source" in site.world.lives[1].wanted.target.backends["storm"].head


@in_no_time
async def test_servers_need_not_wait_for_the_reload_that_another_change_waits_for(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.offer(service("new", A))
    await asyncio.sleep(0.001)
    site.offer(service("new", A, balance="leastconn"), service("newer", B))
    await asyncio.sleep(0.1)
    await site.base(service("hello", A, B))
    early = site.both("hello")
    reloads = len(site.world.reloads)
    await site.quiet(2)
    await site.end()

    assert early == {A: "ready", B: "ready"}
    assert reloads <= len(site.world.reloads) <= 3
    assert site.both("newer") == {B: "ready"}


@in_no_time
async def test_a_process_that_was_restarted_gets_what_only_was_said(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B))
    site.follower.overrides.set(("hello", A), by="me", at=0.0, admin="drain")
    await site.follower.outcome()
    site.world.begin_anew(2)
    site.follower.process_restarted("haproxy-02")
    await site.quiet()
    await site.end()

    assert site.both("hello") == {A: "drain", B: "ready"}
    assert len(site.world.reloads) == 1


@in_no_time
async def test_what_haproxy_refuses_is_left_out_named_and_tried_again_when_it_changes(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, FakeWorld())
    site.world.refuses = {"bad": "unknown keyword"}
    await site.base(service("hello", A), service("bad", B))
    left_out = site.follower.status()["left_out"]
    site.world.refuses = {}
    await site.base(service("hello", A), service("bad", C))
    await site.quiet(2)
    await site.end()

    assert [(one["service"], one["what"]) for one in left_out] == [("bad", "unknown keyword")]
    assert "service bad is left out: unknown keyword" in site.texts("reload")
    assert site.both("bad") == {C: "ready"}
    assert site.follower.status()["left_out"] == []


@in_no_time
async def test_a_service_that_becomes_bad_serves_as_before(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    await site.base(service("hello", A, balance="impossible"), service("other", B))
    await site.end()

    assert site.both("hello") == {A: "ready"}
    assert site.both("other") == {B: "ready"}
    assert site.follower.status()["left_out"][0]["serves_as_before"]


@in_no_time
async def test_a_bad_service_is_found_where_haproxy_names_nobody(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    site.world.refuses, site.world.names_lines = {"s13": "out of words"}, False
    await site.base(*(service(f"s{number}", A) for number in range(40)))
    await site.end()

    assert set(site.follower.desired.left_out) == {"s13"}
    assert len(site.world.lives[1].wanted.target.backends) == 39
    assert site.world.judged < 15


@in_no_time
async def test_what_is_refused_whole_leaves_everything_and_the_next_good_change_goes_through(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    before = site.world.disk
    site.world.refuses_all = "global: no such word"
    refused = await site.base(service("hello", A), service("new", B))
    untouched = site.world.disk == before
    site.world.refuses_all = ""
    site.offer(service("newer", C))
    await site.quiet(2)
    await site.end()

    assert (refused.did, refused.failure) == ("failed", "global: no such word")
    assert untouched
    assert site.both("new") == {B: "ready"}
    assert site.both("newer") == {C: "ready"}
    assert site.follower.status()["failure"] is None


@in_no_time
async def test_a_reload_that_fails_puts_the_old_files_back_and_is_not_repeated_at_once(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    before = site.world.disk
    site.world.fails = {"haproxy-01"}
    failed = await site.base(service("hello", A), service("new", B))
    put_back = site.world.disk == before
    await site.quiet(60)
    tries = len(site.world.reloads) - 1
    site.world.fails = set()
    await site.base(service("hello", A, B), service("new", B))
    await site.end()

    assert failed.did == "failed"
    assert failed.failure == "haproxy-01: cannot bind :80"
    assert put_back
    assert 4 <= tries <= 7
    assert site.both("new") == {B: "ready"}
    assert len([text for text in site.texts("reload") if "not applied" in text]) == 1


@in_no_time
async def test_servers_come_and_go_while_reloads_fail(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.world.fails = {"haproxy-01"}
    await site.base(service("hello", A, B), service("new", B))
    await site.end()

    assert site.both("hello") == {A: "ready", B: "ready"}


@in_no_time
async def test_one_process_that_did_not_reload_is_asked_again_alone(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.world.fails = {"haproxy-02"}
    await site.base(service("hello", A), service("new", B))
    site.world.fails = set()
    await site.quiet(5)
    await site.end()

    assert site.world.reloads[-1] == ("haproxy-02",)
    assert site.both("new") == {B: "ready"}


@in_no_time
async def test_a_full_disk_changes_nothing_and_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.world.full = True
    applied = await site.base(service("hello", A, B))
    servers = site.both("hello")
    site.world.full = False
    await site.quiet(3)
    await site.end()

    assert "No space left" in applied.failure
    assert servers == {A: "ready"}
    assert site.both("hello") == {A: "ready", B: "ready"}
    assert site.follower.status()["failure"] is None


@in_no_time
async def test_a_great_loss_waits_while_the_rest_goes_through(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B, C, D), service("other", A))
    applied = await site.base(service("hello", A), service("other", A, B))
    held = site.both("hello")
    others = site.both("other")
    await site.quiet(31)
    await site.end()

    assert [one.describe() for one in applied.held] == ["hello: 1 of 4 servers"]
    assert len(held) == 4
    assert others == {A: "ready", B: "ready"}
    assert site.both("hello") == {A: "ready"}
    assert len([text for text in site.texts("reload") if "held back" in text]) == 1


@in_no_time
async def test_a_service_that_vanishes_waits_until_it_is_confirmed(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A), service("other", A))
    await site.base(service("other", A))
    held = site.both("hello")
    site.follower.confirm()
    await site.quiet(2)
    await site.end()

    assert held == {A: "ready"}
    assert "hello" not in site.world.lives[1].wanted.target.backends


@in_no_time
async def test_a_loss_that_comes_back_in_time_never_was(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B, C))
    await site.base()
    await site.quiet(20)
    await site.base(service("hello", A, B, C))
    await site.quiet(40)
    await site.end()

    assert len(site.both("hello")) == 3
    assert len(site.world.reloads) == 1


@in_no_time
async def test_a_state_set_by_hand_holds_on_all_and_survives_a_reload(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B))
    await site.world.lives[2].servers.ask(f"set server hello/{B} state maint")
    await site.quiet(61)
    by_hand = site.both("hello")
    await site.base(service("hello", A, B), service("new", A))
    await site.end()

    assert by_hand == {A: "ready", B: "maint"}
    assert site.both("hello") == {A: "ready", B: "maint"}
    assert "maint was set by hand on process 2" in site.texts("apply")[-1]


@in_no_time
async def test_a_server_in_use_goes_later(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B, C))
    for life in site.world.lives.values():
        life.servers.backends["hello"].servers[A].is_in_use = True
    applied = await site.base(service("hello", B, C))
    pending = site.follower.status()["processes"][0]["pending"]
    drained = site.both("hello")
    for life in site.world.lives.values():
        life.servers.backends["hello"].servers[A].is_in_use = False
    await site.quiet(2)
    await site.end()

    assert "still has connections" in pending[0]
    assert (applied.commands, applied.steps, applied.pending) == (0, (), tuple(pending))
    waits, goes = site.texts("apply")
    assert waits == f"pending: {pending[0]}"
    assert goes.startswith(f"remove hello/{A}: at run time on 2 processes, in ")
    assert drained == {A: "maint", B: "ready", C: "ready"}
    assert site.both("hello") == {B: "ready", C: "ready"}


@in_no_time
async def test_a_process_that_does_not_answer_is_set_right_when_it_does(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A))
    site.world.lives[2].is_silent = True
    await site.base(service("hello", A, B))
    served = site.world.servers(1, "hello")
    site.world.lives[2].is_silent = False
    await site.quiet(2)
    await site.end()

    assert served == {A: "ready", B: "ready"}
    assert site.both("hello") == {A: "ready", B: "ready"}
    assert len(site.world.reloads) == 1


@in_no_time
async def test_where_nothing_can_be_added_a_reload_says_why(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld(version=(2, 2)))
    await site.base(service("hello", A))
    applied = await site.base(service("hello", A, B))
    await site.end()

    assert applied.did == "reload"
    assert "adds none at run time" in applied.reasons[0]
    assert site.both("hello") == {A: "ready", B: "ready"}
