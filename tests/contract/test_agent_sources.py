"""The agent listens to the program discovery: what it hears is served, whatever becomes of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.discovery.saved import write_snapshot
from lbctl.errors import ProviderError
from lbctl.model.service import Snapshot
from lbctl.programs import Program, ProgramState
from lbctl.settings.discovery import Discovery, Docker, ReportTo
from lbctl.settings.model import Settings
from tests.agent_sources import CONSUL, NOBODY, Site
from tests.fakes.provider import service
from tests.loops import in_a_loop, until

pytestmark = pytest.mark.contract

A, B, C = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"
PAYLOAD = json.dumps(
    {
        "table": "lbctl",
        "running": [{"serviceName": "app1", "id": "a", "ip": "10.0.0.9"}],
        "candidates": [
            {
                "serviceName": "app1",
                "configMode": "path",
                "containers": [{"id": "a", "ip": "10.0.0.9"}],
            }
        ],
    }
).encode()


@in_a_loop
async def test_what_a_source_tells_is_served_and_followed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.provider.say(service("hello/v1", A))
    async with site.discovery(), site.living():
        await until(lambda: site.addresses() == [A], "the service is served")
        reloads = len(site.world.reloads)
        site.provider.say(service("hello/v1", A, B))
        await until(lambda: site.addresses() == [A, B], "a server more")

        assert len(site.world.reloads) == reloads
        assert [(one.source, one.state) for one in site.sources.states()] == [("consul", "live")]
        assert site.sources.standing() == (True, "")


@in_a_loop
async def test_a_source_out_of_touch_is_told_once_and_loses_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.provider.say(service("hello/v1", A, B))
    async with site.discovery(), site.living():
        await until(lambda: site.addresses() == [A, B], "the service is served")
        site.provider.fail()
        await until(lambda: site.provider.watches > 3, "asked again and again")
        await until(site.sources.warnings, "it is a warning")
        warned = site.sources.warnings()
        site.provider.say(service("hello/v1", A, B))
        await until(lambda: not site.sources.warnings(), "back")
        failing, back = site.texts()

        assert site.addresses() == [A, B]
        assert failing.startswith(
            "consul http://10.0.0.5:8500: no answer in 5.0 s; keeping 1 service with 2 servers"
        )
        assert len(warned) == 1
        assert back.startswith("consul http://10.0.0.5:8500: answers again after ")


@in_a_loop
async def test_what_was_saved_is_in_the_first_base_though_nobody_answers(tmp_path: Path) -> None:
    site = Site(tmp_path)
    write_snapshot(site.state, Snapshot("consul", (service("hello/v1", A),), 5.0))
    write_snapshot(site.state, Snapshot("docker", (service("other", B),), 5.0))
    async with site.living():
        assert site.addresses() == [A]
        assert site.addresses("other") == []
        assert len(site.world.reloads) == 1
        assert site.sources.standing() == (True, "")


@in_a_loop
async def test_a_source_that_was_never_heard_keeps_the_node_from_being_ready(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.provider.fail()
    async with site.discovery(), site.living():
        await until(site.sources.states, "its state is known")

        assert site.sources.unheard() == ("consul",)
        assert site.sources.standing() == (False, "consul: not heard yet")
        site.provider.say()
        await until(lambda: not site.sources.unheard(), "heard, if only that it has nothing")
        assert site.sources.standing() == (True, "")


@in_a_loop
async def test_a_source_that_a_reload_adds_is_no_fault_of_a_node_that_serves(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.provider.fail()
    async with site.discovery(), site.living(NOBODY):
        await site.configure(CONSUL, 2)
        await until(site.sources.states, "its state is known")
        (warned,) = site.sources.warnings()

        assert warned.startswith("consul")
        assert site.sources.unheard() == ()
        assert False not in [well for well, _ in site.stood]


@in_a_loop
async def test_an_agent_that_comes_back_is_at_fault_for_nothing_that_discovery_still_knows(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, patience_s=5.0)
    site.provider.say(service("hello/v1", A))
    async with site.discovery() as hub:
        await until(lambda: hub.states()[0].state == "live", "it is heard")
        site.provider.fail()
        # As on a disk that is full.
        site.state.snapshot("consul").unlink(missing_ok=True)
        async with site.living():
            await until(lambda: site.addresses() == [A], "the service is served")
            await until(site.sources.states, "all is told")

    assert {well for well, _ in site.stood} == {None, True}


@in_a_loop
@pytest.mark.parametrize("is_asked", [True, False])
async def test_an_agent_that_comes_back_waits_for_discovery_and_for_no_longer_than_a_while(
    tmp_path: Path, is_asked: bool
) -> None:
    site = Site(tmp_path, patience_s=60.0 if is_asked else 0.05)
    site.provider.fail()
    async with AsyncExitStack() as stack:
        if is_asked:
            await stack.enter_async_context(site.discovery())
        await stack.enter_async_context(site.living())
        await until(lambda: site.sources.standing()[0] is False, "at fault")

    assert site.stood[0] == (None, "")
    assert site.sources.standing() == (False, "consul: not heard yet")


@in_a_loop
async def test_several_sources_that_were_saved_are_at_no_time_a_fault(tmp_path: Path) -> None:
    site = Site(tmp_path)
    write_snapshot(site.state, Snapshot("consul", (service("hello/v1", A),), 5.0))
    write_snapshot(site.state, Snapshot("docker", (service("other", B),), 5.0))
    docker = Docker(url="unix:///run/docker.sock")
    both = replace(CONSUL, discovery=replace(CONSUL.discovery, docker=docker))
    async with site.living(both):
        pass

    assert set(site.stood) == {(True, "")}


@in_a_loop
async def test_services_outlive_the_program_that_found_them(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.provider.say(service("hello/v1", A))
    async with site.living():
        async with site.discovery():
            await until(lambda: site.addresses() == [A], "the service is served")
        site.provider.say(service("hello/v1", A, C))
        async with site.discovery():
            await until(lambda: site.addresses() == [A, C], "listened to again")

        assert site.texts() == []


@in_a_loop
async def test_a_source_that_is_not_configured_any_more_takes_its_services_along(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.provider.say(service("hello/v1", A))
    async with site.discovery(), site.living():
        await until(lambda: site.addresses() == [A], "the service is served")
        await site.configure(NOBODY, 2)
        await until(lambda: site.addresses() == [], "it goes")
        # What the program still tells until it has ended counts no more.
        site.provider.say(service("hello/v1", A, B))
        await site.follower.outcome()

        assert site.addresses() == []
        assert site.sources.states() == ()
        assert site.texts() == ["consul is no source of services any more"]


@in_a_loop
async def test_the_program_runs_while_it_is_wanted_and_anew_with_other_settings(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    other = replace(CONSUL, discovery=replace(CONSUL.discovery, empty_s=7.0))
    async with site.living(NOBODY):
        await site.follower.outcome()
        none = list(site.programs.calls)
        await site.configure(CONSUL, 2, at=1.0)
        await until(lambda: site.programs.calls == [("start", "discovery")], "started")
        site.programs.put(Program("discovery", "discovery", ProgramState.RUNNING, 9, 2.0))
        await site.configure(CONSUL, 3, at=3.0)
        await site.follower.outcome()
        same = list(site.programs.calls)
        await site.configure(other, 4, at=4.0)
        await until(lambda: len(site.programs.calls) == 3, "stopped and started")
        site.programs.put(Program("discovery", "discovery", ProgramState.RUNNING, 10, 5.0))
        await site.configure(replace(other, discovery=Discovery()), 5, at=6.0)
        await until(lambda: len(site.programs.calls) == 4, "stopped")

        assert none == []
        assert same == [("start", "discovery")]
        assert [verb for verb, _ in site.programs.calls[1:]] == ["stop", "start", "stop"]


@in_a_loop
async def test_a_post_is_answered_when_it_is_served(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.discovery(), site.living(NOBODY):
        done = await site.registration.post(PAYLOAD)
        again = await site.registration.post(PAYLOAD)
        bad = await site.registration.post(b"[")

        assert (done.status, done.is_news, again.is_news) == (200, True, False)
        assert [one["name"] for one in done.answer["services"]] == ["app1"]
        assert site.addresses("app1") == ["a"]
        assert done.applied is not None
        assert done.applied.failure == ""
        assert bad.status == 400
        assert bad.answer["problems"]
        assert ("start", "discovery") in site.programs.calls


@in_a_loop
async def test_a_clock_that_was_set_back_answers_no_post_before_it_is_served(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with site.discovery(), site.living(NOBODY):
        await site.registration.post(PAYLOAD)
        told = site.follower.desired.snapshots()["registry"]
        site.follower.offer(replace(told, at=told.at + 3600.0))
        done = await site.registration.post(PAYLOAD.replace(b'"id": "a"', b'"id": "b"'))

        assert done.is_news
        assert site.addresses("app1") == ["b"]


@in_a_loop
async def test_a_post_that_nobody_takes_is_an_error_that_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.registration.start_s = 0.1
    async with site.living(NOBODY):
        with pytest.raises(ProviderError) as raised:
            await site.registration.post(PAYLOAD)

        assert "does not listen" in str(raised.value)


@in_a_loop
async def test_a_post_before_the_operators_files_are_known_stops_no_program(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.registration.start_s = 0.1
    site.programs.put(Program("discovery", "discovery", ProgramState.RUNNING, 9, 2.0))
    life = asyncio.ensure_future(site.sources.run())
    with pytest.raises(ProviderError):
        await site.registration.post(PAYLOAD)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)

    assert site.programs.calls == []


@in_a_loop
async def test_containers_that_are_reported_elsewhere_are_not_served_here(tmp_path: Path) -> None:
    site = Site(tmp_path)
    write_snapshot(site.state, Snapshot("docker", (service("hello/v1", A),), 5.0))
    report = ReportTo(url="http://10.0.0.9:9000")
    docker = Docker(url="unix:///run/docker.sock", report_to=report)
    async with site.living(Settings(discovery=Discovery(docker=docker))):
        assert site.addresses() == []
        assert site.sources.unheard() == ()
        assert ("start", "discovery") in site.programs.calls


@in_a_loop
async def test_a_program_that_hangs_is_killed_and_services_stay(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.sources.silence_s = 0.1
    site.provider.say(service("hello/v1", A))
    async with site.discovery(), site.living():
        # Its next beat is seconds away.
        await until(lambda: ("signal", "discovery", "KILL") in site.programs.calls, "it is killed")
        told = [text for kind, text in site.events if kind == "hang"]

        assert site.addresses() == [A]
        assert told[0].endswith("nothing more came for 0.1 s: killed")


@in_a_loop
async def test_a_program_that_runs_and_is_not_heard_is_killed_and_services_stay(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.sources.deaf_s = 0.1
    site.provider.say(service("hello/v1", A))
    async with site.living():
        async with site.discovery():
            await until(lambda: site.addresses() == [A], "it is served")
            # Whoever is connected goes on; nobody else gets in.
            site.run.discovery_socket.unlink()
        await until(lambda: ("signal", "discovery", "KILL") in site.programs.calls, "it is killed")
        told = [text for kind, text in site.events if kind == "hang"]

        assert site.addresses() == [A]
        assert told[0].endswith("discovery.sock: No such file or directory: killed")


@in_a_loop
async def test_one_can_wait_for_what_a_source_said_at_a_time(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.provider.say(service("hello/v1", A))
    async with site.living():
        too_early = await site.sources.until_heard("consul", 0.0, limit_s=0.05)
        async with site.discovery():
            in_time = await site.sources.until_heard("consul", 0.0, limit_s=5.0)
            not_yet = await site.sources.until_heard("consul", 1e12, limit_s=0.05)

        assert (too_early, in_time, not_yet) == (False, True, False)
