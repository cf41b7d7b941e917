"""Servers that come, go and change in real HAProxy, 2.2, 2.6 and 3.0, and in the one in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest

from lbctl.haproxy.perform import perform
from lbctl.haproxy.plan import Plan
from lbctl.haproxy.runtime import Answer, Runtime
from lbctl.haproxy.seen import Seen, read_seen
from lbctl.haproxy.steps import SetAddress
from lbctl.haproxy.version import read_version
from lbctl.layout import RunDir
from lbctl.model.service import HealthCheck, Server, Service
from lbctl.model.target import Target, TargetBackend, TargetServer
from lbctl.render.backend import compile_service
from lbctl.render.scene import RenderScene
from lbctl.settings.model import Settings
from tests.binaries import BINARIES, installed
from tests.fakes.haproxy_servers import HaproxyServers
from tests.running_haproxy import (
    Process,
    Web,
    backend,
    connected,
    get,
    get_on,
    target,
    wait_until,
)

pytestmark = pytest.mark.contract

CHECK = "check inter 500ms fall 2 rise 1"


@pytest.fixture(params=BINARIES)
def binary(request: pytest.FixtureRequest) -> str:
    return installed(request.param)


able = pytest.mark.parametrize("binary", ["2.6", "3.0"], indirect=True)


@pytest.fixture
def start(binary: str) -> Iterator[Callable[..., Process]]:
    """Starts a HAProxy with backends; all of them are ended behind the test."""
    with ExitStack() as stack:

        def started(*backends: TargetBackend) -> Process:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="lbctl-rt-")))
            wanted = target(*backends, directory=directory)
            return stack.enter_context(Process(directory, binary, wanted).running())

        yield started


@pytest.fixture
def webs() -> Iterator[tuple[Web, Web]]:
    with Web().running() as one, Web().running() as other:
        yield one, other


S1 = TargetServer("s1", 5, "127.0.0.1:9")
S2 = TargetServer("s2", 7, "127.0.0.2:9", 30)

SCRIPT = (
    *("set server b/s1 state drain", "set server b/s1 weight 40", "set server b/s1 state ready"),
    *("set server b/s1 state maint", "set server b/s1 state ready", "set server b/s1 state odd"),
    *("set server b/s2 weight 0", "set server b/s2 weight 256", "set server b/s2 weight 300"),
    *("set server b/s2 addr 10.1.2.3 port 81", "set server b/s2 addr ::1 port 81"),
    *("set server b/no addr 10.1.2.3 port 81", "set server no/s1 weight 1"),
    *("set maxconn server b/s2 7", "set maxconn server b/no 7"),
    *("enable health b/s1", "enable health b/no"),
    *("set server st/s1 weight 50", "set server st/s1 weight 0", "set server st/s1 weight 100"),
    f"add server b/n1 127.0.0.3:80 id 9 weight 30 maxconn 5 backup {CHECK}",
    "add server b/n1 127.0.0.3:80 id 19",
    "add server b/n2 127.0.0.3:80 id 9",
    "add server b/n3 127.0.0.3:80 id 10 dance",
    "add server st/n4 127.0.0.3:80 id 10",
    "add server no/n5 127.0.0.3:80 id 10",
    "add server b/n6 127.0.0.3:80 id 11 cookie c6",
    "add server b/n7 127.0.0.3:80 id 12",
    *("enable health b/n7", "enable health b/n1", "set server b/n1 state ready"),
    *("del server b/n1", "set server b/n7 state maint", "del server b/n7", "del server b/n7"),
    *("del server no/n7", "set server b/n1 state maint", "del server b/n1"),
)


def outline(seen: Seen) -> object:
    """All but health, which the one in memory does not have."""
    return {
        name: {server: replace(now, state=0) for server, now in servers.items()}
        for name, servers in seen.items()
    }


def test_the_fake_answers_and_changes_as_haproxy_does(start: Callable[..., Process]) -> None:
    static = TargetBackend("st", "backend st\n    balance static-rr\n", "", (S1, S2), "static-rr")
    process = start(backend(S1, replace(S2, maxconn=3), options=CHECK), static)
    version = read_version(process.binary)
    fake = HaproxyServers.loaded(process.target, (version.major, version.minor))

    async def said(runtime: Runtime) -> list[tuple[Answer, object]]:
        heard = []
        for command in SCRIPT:
            (answer,) = await runtime.ask_all([command])
            heard.append((answer, outline(await read_seen(runtime, in_full=True))))
        return heard

    real, made_up = asyncio.run(said(process.runtime)), asyncio.run(said(fake))
    for (answer, state), (fakes, fake_state) in zip(real, made_up, strict=True):
        assert answer.refusal.startswith(fakes.refusal), answer
        assert answer.is_done == fakes.is_done, answer
        assert state == fake_state, answer


@able
def test_a_plan_done_makes_the_process_what_is_wanted(start: Callable[..., Process]) -> None:
    old = backend(S1, S2, TargetServer("s3", 8, "127.0.0.3:9"), options=CHECK)
    process = start(old)
    new = backend(
        replace(S1, address="[fd00::7]:99", weight=7, maxconn=11),
        replace(S2, admin="drain", weight=31),
        TargetServer("s4", 1234567890, "[fd00::1]:80", 12, 34, admin="maint"),
        TargetServer("s5", 77, "127.0.0.5:80", 0, admin="drain"),
        TargetServer("s6", 78, "127.0.0.6:80", is_backup=True),
        options=CHECK,
    )
    wanted = target(new, directory=process.directory)
    outcome = process.perform(wanted)
    seen = asyncio.run(read_seen(process.runtime, in_full=True))

    assert outcome.failed == outcome.pending == ()
    assert process.plan(wanted) == Plan()
    assert {name: (now.weight, now.admin, now.limit) for name, now in seen["b"].items()} == {
        "s1": (7, "ready", 11),
        "s2": (31, "drain", 0),
        "s4": (12, "maint", 34),
        "s5": (0, "drain", 0),
        "s6": (100, "ready", 0),
    }
    assert seen["b"]["s6"].is_backup
    assert (seen["b"]["s1"].address, seen["b"]["s1"].port) == ("fd00::7", 99)


def test_a_state_survives_the_file_and_is_put_back_whole(start: Callable[..., Process]) -> None:
    """A drained server gets no request in the moment after a start; then its weight comes back."""
    process = start(backend(replace(S1, admin="drain", weight=40), replace(S2, admin="maint")))
    first = asyncio.run(read_seen(process.runtime, ["b"]))["b"]
    outcome = process.perform(process.target)
    then = asyncio.run(read_seen(process.runtime, ["b"]))["b"]

    assert (first["s1"].weight, first["s2"].admin) == (0, "maint")
    assert outcome.failed == ()
    assert (then["s1"].admin, then["s1"].weight) == ("drain", 40)
    assert process.plan(process.target) == Plan()


@pytest.mark.parametrize("binary", ["2.2"], indirect=True)
def test_2_2_moves_weighs_and_drains_and_says_reload_for_the_rest(
    start: Callable[..., Process],
) -> None:
    process = start(backend(S1, S2))
    moved = replace(S1, address="127.0.0.9:99", weight=3, maxconn=4)
    wanted = target(backend(moved, replace(S2, admin="drain")), directory=process.directory)
    outcome = process.perform(wanted)
    later = process.plan(
        target(backend(moved, TargetServer("s3", 9, "127.0.0.3:80")), directory=process.directory)
    )

    assert outcome.failed == ()
    assert process.plan(wanted) == Plan()
    assert [str(reason) for reason in later.reasons] == [
        "b: s3 (127.0.0.3:80) comes, and HAProxy 2.2.9 adds none at run time",
        "b: s2 goes, and HAProxy 2.2.9 removes none at run time",
    ]
    assert later.steps == ()


def test_an_address_that_haproxy_refuses_is_no_success(start: Callable[..., Process]) -> None:
    """It says so with the severity of a warning, as it does where it obeys."""
    process = start(backend(S1))
    made = process.plan(
        target(backend(replace(S1, address="10.0.0.8:8")), directory=process.directory)
    )
    (step,) = made.steps
    assert isinstance(step, SetAddress)
    odd = Plan((replace(step, address="10.0.0.256"),))
    outcome = asyncio.run(perform(process.runtime, odd))

    assert outcome.done == ()
    assert [one.said.startswith("Invalid addr '10.0.0.256'") for one in outcome.failed] == [True]


@able
def test_a_server_added_serves_and_is_checked(
    start: Callable[..., Process], webs: tuple[Web, Web]
) -> None:
    dead = TargetServer("dead", 3, "127.0.0.1:9", 1)
    alive = TargetServer("alive", 4, webs[0].address, 255)
    process = start(backend(options=CHECK))
    assert get(process) == 503
    outcome = process.perform(
        target(backend(alive, dead, options=CHECK), directory=process.directory)
    )

    assert outcome.failed == ()
    wait_until(lambda: process.state("dead") == 0, "the dead server is DOWN")
    assert process.state("alive") == 2
    assert [get(process) for _ in range(20)] == [200] * 20


@able
def test_idle_connections_do_not_keep_a_server(
    start: Callable[..., Process], webs: tuple[Web, Web]
) -> None:
    one = TargetServer("one", 3, webs[0].address)
    other = TargetServer("other", 4, webs[1].address)
    process = start(backend(one))
    with ExitStack() as stack:
        links = [stack.enter_context(closing(connected(process))) for _ in range(8)]
        assert {get_on(link) for link in links for _ in range(2)} == {200}
        wanted = target(backend(other), directory=process.directory)
        before = time.monotonic()
        outcome = process.perform(wanted)
        wait_until(lambda: process.perform(wanted).pending == (), "the server is gone")

        assert outcome.failed == ()
        # pool-purge-delay is 5 s: this is maintenance, and not the purge
        assert time.monotonic() - before < 2
        assert {get_on(link) for link in links} == {200}
        assert list(asyncio.run(read_seen(process.runtime, ["b"]))["b"]) == ["other"]


@able
def test_a_server_in_use_finishes_its_request_and_goes_by_a_later_plan(
    start: Callable[..., Process], webs: tuple[Web, Web]
) -> None:
    """2.6 keeps the connection for up to two times pool-purge-delay after the request."""
    one, other = (TargetServer(f"s{i}", i + 1, web.address) for i, web in enumerate(webs))
    process = start(backend(one, options="pool-purge-delay 100ms"))
    statuses: list[int] = []
    held = threading.Thread(target=lambda: statuses.append(get(process, "/held")))
    held.start()
    wait_until(lambda: webs[0].asked == 1, "the request at the server")
    wanted = target(backend(other, options="pool-purge-delay 100ms"), directory=process.directory)
    outcome = process.perform(wanted)

    assert outcome.failed == ()
    assert [str(one) for one in outcome.pending] == [
        "remove b/s0: Server still has connections attached to it, cannot remove it."
    ]
    assert [get(process) for _ in range(10)] == [200] * 10
    assert webs[0].asked == 1
    waiting = process.plan(wanted)
    assert waiting.is_empty
    assert [step.server for step in waiting.pending] == ["s0"]
    webs[0].go.set()
    held.join()
    assert statuses == [200]
    wait_until(lambda: process.perform(wanted).pending == (), "the server is gone", within_s=20)
    assert process.plan(wanted) == Plan()


@able
def test_a_cookie_comes_at_run_time_from_3_0_on(start: Callable[..., Process]) -> None:
    more = "    cookie JSESSIONID prefix\n"
    one = replace(S1, cookie="c1")
    process = start(backend(one, more=more))
    both = backend(one, replace(S2, cookie="c2"), more=more)
    wanted = target(both, directory=process.directory)

    if process.abilities.can_add_cookie:
        assert process.perform(wanted).failed == ()
        assert (
            asyncio.run(read_seen(process.runtime, ["b"], in_full=True))["b"]["s2"].cookie == "c2"
        )
    else:
        assert [str(reason) for reason in process.plan(wanted).reasons] == [
            "b: s2 (127.0.0.2:9) comes with a cookie, which HAProxy takes at run time from 3.0 on"
        ]


@able
def test_a_thousand_servers_come_and_go_within_a_second_each(start: Callable[..., Process]) -> None:
    servers = [TargetServer(f"s{i}", i + 10, f"127.1.{i // 250}.{i % 250}:80") for i in range(1000)]
    process = start(backend())
    full = target(backend(*servers), directory=process.directory)
    empty = target(backend(), directory=process.directory)
    before = time.monotonic()
    came = process.perform(full)
    between = time.monotonic()
    went = process.perform(empty)
    after = time.monotonic()

    assert len(came.done) == len(went.done) == 1000
    assert between - before < 1
    assert after - between < 1


def test_names_and_everything_else_of_a_file_are_taken_by_haproxy(
    start: Callable[..., Process],
) -> None:
    """All that a server line can say."""
    full = [
        replace(S1, maxconn=4, cookie="c1", is_backup=True, admin="maint"),
        replace(S2, cookie="c2", admin="drain"),
        TargetServer("named", 9, "nobody.invalid:80"),
        TargetServer("a-b_c:d.e", 2**31 - 1, "[fd00::1]:80", 256),
    ]
    process = start(backend(*full, more="    cookie X insert indirect nocache\n"))
    seen = asyncio.run(read_seen(process.runtime, ["b"]))["b"]

    assert Target.parse(process.target.text()) == process.target
    assert [seen[one.name].id for one in full] == [one.id for one in full]
    assert seen["named"].fqdn == "nobody.invalid"
    assert [str(one) for one in process.plan(process.target).reasons] == []


def test_what_a_source_says_of_a_server_is_followed_without_a_reload(
    start: Callable[..., Process], webs: tuple[Web, Web]
) -> None:
    """Also the other way: one that was loaded in maintenance serves again."""
    quiet, busy = webs

    def of(state: Literal["ready", "drain", "maint"]) -> TargetBackend:
        servers = (
            Server(id="quiet", address=quiet.address, state=state),
            Server(id="busy", address=busy.address),
        )
        service = Service(name="b", servers=servers, check=HealthCheck(kind="none"))
        return compile_service(service, Settings(), RenderScene(RunDir(Path()), (2, 6))).backend

    process = start(of("maint"))
    for state in ("maint", "ready", "drain", "ready", "maint"):
        wanted = target(of(state), directory=process.directory)
        assert process.plan(wanted).reasons == ()
        process.perform(wanted)
        before = quiet.asked
        assert [get(process) for _ in range(4)] == [200] * 4

        assert (quiet.asked > before) == (state == "ready"), state
