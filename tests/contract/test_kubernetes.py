"""
The provider ``kubernetes`` from the wire to what the hub has.

The API server is a double, made from recorded shapes: none can be run here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from lbctl.discovery.kubernetes import KubernetesProvider
from lbctl.settings.discovery import Kubernetes
from tests.consul_followed import Followed
from tests.fakes.kubernetes_api import Fault, KubernetesDouble, kubernetes_double
from tests.fakes.kubernetes_objects import (
    ENDED,
    ENDS,
    NOT_READY,
    READY,
    Plain,
    endpoint,
    endpoint_slice,
    service,
)
from tests.kubernetes_followed import followed
from tests.loops import in_a_loop, until

pytestmark = pytest.mark.contract

#: From an event to the snapshot, seconds, while others use the CPUs.
AT_ONCE_S = 1.0
Act = Callable[[KubernetesDouble, Followed], Awaitable[None]]


def pods(**conditions: Plain) -> Plain:
    """A slice of hello, with these pods."""
    return endpoint_slice(
        *(
            endpoint(f"10.0.0.{number}", pod, said)
            for number, (pod, said) in enumerate(conditions.items(), 1)
        )
    )


def play(state: Path, act: Act, **more: object) -> None:
    """``hello`` with one pod, followed, and *act*."""

    async def run() -> None:
        async with kubernetes_double() as double:
            double.put(service(), pods(p1=READY))
            async with followed(double, state, **more) as found:  # type: ignore[arg-type]
                await found.until(lambda: found.states("hello") == {"p1": "ready"})
                await act(double, found)

    asyncio.run(run())


def test_a_service_gets_its_path_its_check_and_its_pods(tmp_path: Path) -> None:
    async def act(_: KubernetesDouble, found: Followed) -> None:
        hello = found.services["hello"]

        assert [(one.path, one.strip) for one in hello.all_routes] == [("/hello", True)]
        assert hello.check is not None
        assert hello.check.kind == "tcp"
        assert [one.address for one in hello.servers] == ["10.0.0.1:8080"]

    play(tmp_path, act)


def test_pods_come_end_and_go_at_once(tmp_path: Path) -> None:
    steps: tuple[tuple[Plain, dict[str, str]], ...] = (
        (pods(p1=READY, p2=NOT_READY), {"p1": "ready", "p2": "maint"}),
        (pods(p1=READY, p2=READY), {"p1": "ready", "p2": "ready"}),
        (pods(p1=ENDS, p2=READY), {"p1": "drain", "p2": "ready"}),
        (pods(p1=ENDED, p2=READY), {"p1": "maint", "p2": "ready"}),
        (pods(p2=READY), {"p2": "ready"}),
    )

    async def act(double: KubernetesDouble, found: Followed) -> None:
        for one, states in steps:
            double.put(one)
            took_s = await found.until(lambda states=states: found.states("hello") == states)  # type: ignore[misc]
            assert took_s < AT_ONCE_S, states
        assert double.lists("services") == double.lists("endpointslices") == 1

    play(tmp_path, act)


def test_a_service_that_loses_its_label_or_is_deleted_is_gone(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        double.put(service("other"), endpoint_slice(endpoint(), of="other"))
        await found.until(lambda: {*found.services} == {"hello", "other"})
        double.drop(service("other"))
        assert await found.until(lambda: {*found.services} == {"hello"}) < AT_ONCE_S
        # Whoever watches with a selector is told so when one does not fit any more.
        double.drop(service())
        assert await found.until(lambda: not found.services) < AT_ONCE_S

    play(tmp_path, act)


def test_a_watch_that_ends_goes_on_without_a_list(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        for number in range(3):
            double.bookmark()
            double.end()
            await until(lambda n=number: watched(double) >= 2 * (n + 2), "both are watched")  # type: ignore[misc]
        double.put(pods(p1=READY, p2=READY))
        await found.until(lambda: len(found.servers("hello")) == 2)
        assert double.lists("services") == double.lists("endpointslices") == 1
        assert found.state.failures == 0

    play(tmp_path, act)


def test_a_watch_that_always_ends_at_once_has_failed_and_is_not_begun_in_a_hurry(
    tmp_path: Path,
) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        double.is_short = True
        double.cut()
        await found.until(lambda: "the watch ended at once" in found.state.error)
        assert found.states("hello") == {"p1": "ready"}
        double.is_short = False
        double.put(pods(p1=READY, p2=READY))
        await found.until(lambda: len(found.servers("hello")) == 2)
        assert watched(double) < 40
        # What it is told at once may be about where it wants to go on.
        assert double.lists("services") > 1

    play(tmp_path, act)


def test_an_api_server_that_remembers_nothing_is_not_asked_in_a_hurry(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        double.has_no_history = True
        double.expire()
        await found.until(lambda: found.state.failures >= 3)
        assert "410: too old resource version" in found.state.error
        assert len(double.asked) < 60
        assert found.states("hello") == {"p1": "ready"}

    play(tmp_path, act, ping_every_s=60.0)


def watched(double: KubernetesDouble) -> int:
    return sum("watch=1" in one for one in double.asked)


def test_after_a_cut_nothing_is_listed_and_nothing_is_missed(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        for turn in range(3):
            failures = found.state.failures
            await until(lambda: double.watches == 2, "both are watched")
            double.cut()
            double.put(pods(p1=READY, **{f"p{turn + 2}": READY}))
            await found.until(lambda n=turn: f"p{n + 2}" in found.servers("hello"))  # type: ignore[misc]
            assert found.state.failures > failures
        assert double.lists("services") == double.lists("endpointslices") == 1
        await found.until(lambda: found.state.state == "live")

    play(tmp_path, act)


def test_what_is_too_old_is_listed_anew(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        double.put(service("gone"))
        await found.until(lambda: "gone" in found.services)
        double.expire()
        # Nobody tells of it: the history is lost.
        double.drop(service("gone"))
        double.forget()
        await found.until(lambda: "gone" not in found.services)
        await found.until(lambda: found.state.state == "live")
        assert double.lists("services") == 2
        assert found.states("hello") == {"p1": "ready"}

    play(tmp_path, act)


def test_a_bookmark_keeps_a_quiet_watch_from_being_too_old(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        double.forget()
        double.bookmark()
        double.end()
        await until(lambda: watched(double) == 4, "both are watched again")
        double.put(pods(p1=READY, p2=READY))
        await found.until(lambda: len(found.servers("hello")) == 2)
        assert double.lists("services") == double.lists("endpointslices") == 1

    play(tmp_path, act)


@pytest.mark.parametrize("fault", sorted({*get_args(Fault)} - {"none"}))
def test_a_fault_keeps_what_was_said_last_and_ends_without_a_restart(
    tmp_path: Path, fault: Fault
) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        double.fault, double.retry_after = fault, 0
        double.cut()
        await found.until(lambda: found.state.failures >= 3)
        assert found.state.state == "failing"
        assert found.state.error.startswith(f"kubernetes {double.url}: ")
        assert found.states("hello") == {"p1": "ready"}
        double.fault = "none"
        double.put(pods(p1=READY, p2=READY))
        await found.until(lambda: len(found.servers("hello")) == 2)

    play(tmp_path, act)


@pytest.mark.parametrize(
    "line",
    [b"<html>Log in first</html>\n", b'{"type": 1}\n', b'{"type":"ADDED"}\n', b"[]\n"],
    ids=repr,
)
def test_a_watch_that_says_nonsense_is_begun_anew(tmp_path: Path, line: bytes) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        double.say(line)
        await found.until(lambda: found.state.failures >= 1)
        double.put(pods(p1=READY, p2=READY))
        await found.until(lambda: len(found.servers("hello")) == 2)

    play(tmp_path, act)


def test_an_api_server_that_hangs_is_found_though_a_watch_may_be_silent(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        double.fault = "hang"
        assert await found.until(lambda: found.state.state == "failing") < 2.0
        assert "no answer in 0.5 s" in found.state.error

    play(tmp_path, act)


def test_who_has_too_many_to_answer_is_left_alone_for_as_long_as_it_says(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        double.fault, double.retry_after = "too_many", 1
        double.cut()
        await found.until(lambda: found.state.failures >= 2)
        asked = len(double.asked)
        clock = asyncio.get_running_loop().time
        began = clock()
        await until(lambda: len(double.asked) > asked, "it is asked again")
        assert clock() - began > 0.5

    play(tmp_path, act, ping_every_s=60.0)


def test_a_token_that_is_replaced_is_used_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")

    async def act(double: KubernetesDouble, found: Followed) -> None:
        assert {*double.tokens} == {"Bearer first"}
        token.with_name("next").write_text("second")
        token.with_name("next").rename(token)
        double.token = "second"
        double.cut()
        double.put(pods(p1=READY, p2=READY))
        await found.until(lambda: len(found.servers("hello")) == 2)
        assert double.tokens[-1] == "Bearer second"
        assert "401" not in found.state.error

    play(tmp_path / "state", act, token_file=str(token), secrets={})


def test_a_token_that_is_replaced_in_the_middle_of_a_question_is_no_failure(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text("first")

    async def act(double: KubernetesDouble, found: Followed) -> None:
        await until(lambda: double.watches == 2, "both are watched")
        # First a sign of life, then a watch.
        for said, is_watch in (("second", False), ("third", True)):
            double.refuses = partial(token.write_text, said)
            if is_watch:
                double.bookmark()
                double.end()
            await until(lambda: double.refuses is None, "it was refused")
            await until(lambda said=said: double.tokens[-1] == f"Bearer {said}", "it is asked")  # type: ignore[misc]
        double.put(pods(p1=READY, p2=READY))
        await found.until(lambda: len(found.servers("hello")) == 2)
        assert found.state.failures == 0

    play(tmp_path / "state", act, token_file=str(token))


def test_a_token_that_is_refused_is_told_and_the_next_one_is_taken(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")

    async def act(double: KubernetesDouble, found: Followed) -> None:
        double.token = "second"
        await found.until(lambda: "401 Unauthorized" in found.state.error)
        assert "first" not in found.state.error
        token.write_text("second")
        await found.until(lambda: found.state.state == "live")
        assert found.states("hello") == {"p1": "ready"}

    play(tmp_path / "state", act, token_file=str(token))


def test_without_a_right_to_the_file_the_token_read_at_the_start_counts(tmp_path: Path) -> None:
    async def act(double: KubernetesDouble, _: Followed) -> None:
        assert {*double.tokens} == {"Bearer given"}

    secrets = {"discovery.kubernetes.token_file": b"given"}
    play(tmp_path, act, token_file=str(tmp_path / "closed"), secrets=secrets)


@in_a_loop
async def test_a_thousand_slices_come_in_parts(tmp_path: Path) -> None:
    async with kubernetes_double() as double:
        for number in range(1000):
            name = f"app{number}"
            double.put(service(name), endpoint_slice(endpoint(pod=f"{name}-1"), of=name))
        double.put(service("aside", "elsewhere"), service("aside", labels={"lbctl.enable": "no"}))
        async with followed(double, tmp_path) as found:
            await found.until(lambda: len(found.services) == 1000, within_s=15.0)
            servers = sum(len(one.servers) for one in found.services.values())
            parts = double.lists("services"), double.lists("endpointslices")
            double.put(endpoint_slice(endpoint(pod="new"), of="app7"))
            took_s = await found.until(lambda: "new" in found.servers("app7"))

    assert servers == 1000
    assert parts == (2, 2)
    assert took_s < AT_ONCE_S


@in_a_loop
async def test_who_may_list_and_not_watch_is_never_called_live(tmp_path: Path) -> None:
    async with kubernetes_double() as double:
        double.put(service(), pods(p1=READY))
        double.no_watch = True
        async with followed(double, tmp_path) as found:
            await until(lambda: bool(found.hub.states()[0].failures >= 3), "it fails, and again")
            said = found.state

            assert "403 Forbidden" in said.error
            assert said.heard_at is None
            assert not found.snapshots


@in_a_loop
async def test_what_was_seen_to_go_is_gone_and_an_empty_list_is_not_sure() -> None:
    async with kubernetes_double() as double:
        double.put(service(), pods(p1=READY))
        provider = KubernetesProvider(Kubernetes(url=double.url), {})
        async with aclosing(provider.watch()) as snapshots:

            async def told() -> tuple[int, bool]:
                async with asyncio.timeout(5.0):
                    found = await anext(snapshots)
                return len(found.services), found.is_sure

            assert await told() == (1, False)
            double.drop(service())
            assert await told() == (0, True)
            double.put(service())
            assert await told() == (1, True)
            # A cluster that has lost its memory: nobody was seen to go.
            double.expire()
            double.drop(service())
            double.forget()
            while (said := await told())[0]:
                assert said[1]
            assert said == (0, False)
            await until(lambda: double.watches == 2, "both are watched again")
            double.put(pods(p1=READY, p2=READY))
            assert await told() == (0, False)
        await provider.close()


@in_a_loop
async def test_a_list_that_takes_too_long_is_asked_for_in_one_piece(tmp_path: Path) -> None:
    async with kubernetes_double() as double:
        double.put(*(service(f"app{number}") for number in range(501)))
        double.put(service("one"), pods(p1=READY))
        double.is_forgetful = True
        async with followed(double, tmp_path) as found:
            await found.until(lambda: len(found.services) == 502)

    assert double.lists("services") == 3
