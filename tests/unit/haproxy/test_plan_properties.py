"""Plans between any two states, on a HAProxy in memory: done, interrupted, refused, done again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.perform import Outcome, perform
from lbctl.haproxy.plan import Plan, Running, plan
from lbctl.haproxy.seen import read_seen
from lbctl.model.address import split_address
from lbctl.model.target import Admin, Target, TargetBackend, TargetServer
from tests.fakes.haproxy_servers import DiedError, HaproxyServers, Held

ABLE = Abilities(can_add=True, can_add_cookie=True, version="3.0.0")
UNABLE = Abilities(can_add=False, can_add_cookie=False, version="2.2.9")
ADMINS: tuple[Admin, ...] = ("ready", "drain", "maint")
NAMES = tuple("abcdef")


@st.composite
def backends(draw: st.DrawFn, name: str) -> TargetBackend:
    """Few names, so that two of them share servers; ids and ranks go with the names."""
    servers = [
        TargetServer(
            one,
            100 + NAMES.index(one),
            draw(st.sampled_from(["10.0.0.1:80", "10.0.0.2:80", "10.0.0.2:81", "[fd00::1]:80"])),
            draw(st.sampled_from([0, 1, 100, 256])),
            draw(st.sampled_from([None, 5, 50])),
            f"c-{one}" if one > "c" else "",
            one == "f",
            draw(st.sampled_from(ADMINS)),
        )
        for one in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    ]
    options = "check inter 2s"
    return TargetBackend(
        name, f"backend {name}\n    default-server {options}\n", options, tuple(servers)
    )


@st.composite
def targets(draw: st.DrawFn) -> Target:
    return Target("global\n", {name: draw(backends(name)) for name in ("x:v1", "y")})


def look(process: HaproxyServers, loaded: Target, *, in_full: bool = False) -> Running:
    return Running(loaded, asyncio.run(read_seen(process, in_full=in_full)), is_whole=True)


def step(process: HaproxyServers, loaded: Target, desired: Target, **how: bool) -> Outcome:
    made = plan(look(process, loaded, **how), desired, ABLE)
    assert made.reasons == ()
    return asyncio.run(perform(process, made))


def as_wanted(process: HaproxyServers, desired: Target) -> bool:
    return {
        (name, server)
        for name, backend in process.backends.items()
        for server in map(_told_of, backend.servers.values())
    } == {
        (name, _wanted_of(server))
        for name, backend in desired.backends.items()
        for server in backend.servers
    }


def _told_of(held: Held) -> tuple[object, ...]:
    does_check = held.checks or held.admin == "maint"
    return (
        *(held.name, held.id, held.address, held.port, held.weight, held.maxconn),
        *(held.cookie, held.is_backup, held.admin, does_check),
    )


def _wanted_of(server: TargetServer) -> tuple[object, ...]:
    place = split_address(server.address)
    assert place is not None
    return (
        *(server.name, server.id, *place, server.weight, server.maxconn or 0),
        *(server.cookie, server.is_backup, server.admin, True),
    )


def serving(process: HaproxyServers) -> set[str]:
    """The backends that answer a new request."""
    return {
        name
        for name, backend in process.backends.items()
        if any(one.admin == "ready" and one.weight for one in backend.servers.values())
    }


@given(targets(), targets())
def test_a_plan_done_makes_the_process_what_is_wanted(old: Target, new: Target) -> None:
    process = HaproxyServers.loaded(old)
    step(process, old, old)
    outcome = step(process, old, new)

    assert outcome.failed == outcome.pending == ()
    assert as_wanted(process, new)
    assert plan(look(process, new), new, ABLE) == Plan()
    assert plan(look(process, new, in_full=True), new, ABLE) == Plan()


@given(targets(), targets(), st.booleans(), st.data())
def test_a_plan_interrupted_anywhere_is_finished_by_the_next(
    old: Target, new: Target, was_written: bool, data: st.DataObject
) -> None:
    """The file may say what is wanted before the process was told."""
    process = HaproxyServers.loaded(old)
    step(process, old, old)
    whole = plan(look(process, old), new, ABLE)
    commands = sum(len(each.commands()) for each in whole.steps)
    process.survives = len(process.told) + data.draw(st.integers(0, commands))
    with contextlib.suppress(DiedError):
        asyncio.run(perform(process, whole))
    process.survives = None
    step(process, new if was_written else old, new, in_full=True)

    assert as_wanted(process, new)
    assert plan(look(process, new, in_full=True), new, ABLE) == Plan()


@given(targets(), targets())
def test_a_backend_that_serves_before_and_after_serves_all_the_time(
    old: Target, new: Target
) -> None:
    process = HaproxyServers.loaded(old)
    step(process, old, old)
    before = serving(process)
    gaps: list[set[str]] = []
    process.watch = lambda now: gaps.append(before - serving(now))
    step(process, old, new)

    assert not set().union(*gaps) & serving(process)


@given(targets(), targets(), st.sets(st.sampled_from(NAMES)))
def test_servers_in_use_wait_in_maintenance_and_go_later(
    old: Target, new: Target, in_use: set[str]
) -> None:
    process = HaproxyServers.loaded(old)
    step(process, old, old)
    for backend in process.backends.values():
        for held in backend.servers.values():
            held.is_in_use = held.name in in_use
    outcome = step(process, old, new)
    waiting = {one.step.server for one in outcome.pending}
    later = plan(look(process, new), new, ABLE)
    for backend in process.backends.values():
        for held in backend.servers.values():
            held.is_in_use = False
    last = asyncio.run(perform(process, later))

    assert outcome.failed == ()
    assert waiting <= in_use
    assert later.is_empty
    assert {one.server for one in later.pending} == waiting
    assert last.failed == last.pending == ()
    assert as_wanted(process, new)


@given(targets(), targets())
def test_a_haproxy_that_adds_none_says_reload_or_does_what_it_can(old: Target, new: Target) -> None:
    process = HaproxyServers.loaded(old, (2, 2))
    asyncio.run(perform(process, plan(look(process, old), old, UNABLE)))
    made = plan(look(process, old), new, UNABLE)
    names = [
        {one.name for one in of.backends[each].servers} for of in (old, new) for each in of.backends
    ]

    assert bool(made.reasons) == (names[:2] != names[2:])
    if not made.reasons:
        asyncio.run(perform(process, made))
        assert as_wanted(process, new)


def refuse_adding(process: HaproxyServers, server: str) -> None:
    """Someone else has taken the name in between."""
    process.backends["y"].servers[server] = Held(server, 999, "10.9.9.9", 9)


def test_where_a_server_is_not_taken_in_none_is_taken_away() -> None:
    def of(name: str) -> Target:
        server = TargetServer(name, 100 + NAMES.index(name), "10.0.0.1:80")
        return Target("", {"y": TargetBackend("y", "backend y\n", "", (server,))})

    process = HaproxyServers.loaded(of("a"))
    made = plan(look(process, of("a")), of("b"), ABLE)
    refuse_adding(process, "b")
    outcome = asyncio.run(perform(process, made))

    assert [str(one) for one in outcome.failed] == [
        "add y/b (10.0.0.1:80): Already exists a server with the same name in backend."
    ]
    assert [str(one) for one in outcome.pending] == [
        f"remove y/a: it stays until this is done: {outcome.failed[0]}"
    ]
    assert process.backends["y"].servers["a"].admin == "ready"


@pytest.mark.parametrize("lost", ["address", "weight", "admin", "gone", "extra"])
def test_what_someone_changed_by_hand_is_put_right(lost: str) -> None:
    target = Target(
        "",
        {"y": TargetBackend("y", "backend y\n", "", (TargetServer("a", 100, "10.0.0.1:80"),))},
    )
    process = HaproxyServers.loaded(target)
    servers = process.backends["y"].servers
    by_hand: dict[str, Callable[[], object]] = {
        "address": lambda: setattr(servers["a"], "address", "10.6.6.6"),
        "weight": lambda: setattr(servers["a"], "weight", 1),
        "admin": lambda: setattr(servers["a"], "admin", "drain"),
        "gone": lambda: servers.pop("a"),
        "extra": lambda: servers.update(z=replace(servers["a"], name="z", id=7)),
    }
    by_hand[lost]()
    assert not plan(look(process, target), target, ABLE).is_empty
    step(process, target, target)

    assert plan(look(process, target), target, ABLE) == Plan()
    assert list(servers) == ["a"]
