"""Consul to HAProxy under load: nobody who asks notices what happens to instances and to Consul."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lbctl.settings.discovery import SourceCheck
from tests.consul_followed import Followed as Heard
from tests.consul_followed import followed as heard_of
from tests.consuls import ConsulAgent, consul
from tests.following import Followed, followed
from tests.haproxies import get, wait_until

pytestmark = pytest.mark.contract

PATH = "/hello/v1/"


@dataclass(slots=True)
class Crowd:
    """
    Asks all the time, each time over a new connection.

    Attributes:
        answers: how often each server answered, or which status came in its place.
    """

    port: int
    answers: Counter[str] = field(default_factory=Counter)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self, threads: int = 2) -> Iterator[Crowd]:
        running = [threading.Thread(target=self._ask) for _ in range(threads)]
        for one in running:
            one.start()
        try:
            yield self
        finally:
            self._is_over.set()
            for one in running:
                one.join(10)

    def _ask(self) -> None:
        while not self._is_over.is_set():
            try:
                status, text = get(self.port, PATH)
            except OSError as error:
                status, text = 0, repr(error)
            self.answers[text if status == 200 else f"failed: {status} {text[:80]}"] += 1

    @property
    def failed(self) -> list[str]:
        return [one for one in self.answers if one.startswith("failed")]


@dataclass(slots=True)
class Scene:
    """Consul, what is heard of it, HAProxy, and who asks."""

    agent: ConsulAgent
    site: Followed
    heard: Heard
    crowd: Crowd

    def register(self, *numbers: int) -> None:
        for number in numbers:
            host, port = self.site.origins[number].split(":")
            self.agent.register("hello/v1", f"h{number}", int(port), Address=host)

    async def serving(self, *numbers: int) -> None:
        """Until these and no others answer."""
        wanted = {self.site.origins[number] for number in numbers}
        async with asyncio.timeout(8):
            while True:
                before = self.crowd.answers.copy()
                await asyncio.to_thread(
                    wait_until,
                    lambda before=before: (self.crowd.answers - before).total() >= 24,  # type: ignore[misc]
                )
                if {*(self.crowd.answers - before)} == wanted:
                    return


async def play(scene: Scene) -> None:
    """Scale up and down; Consul dies, comes back, stands still, goes on."""
    agent = scene.agent
    scene.register(1, 2, 3)
    await scene.serving(0, 1, 2, 3)
    agent.ask("PUT", "/v1/agent/service/maintenance/h3?enable=true")
    await scene.serving(0, 1, 2)
    for number in (1, 2, 3):
        agent.deregister(f"h{number}")
    await scene.serving(0)
    agent.kill()
    await scene.heard.until(lambda: scene.heard.state.state == "failing")
    await scene.serving(0)
    await asyncio.to_thread(agent.start)
    scene.register(1)
    await scene.serving(0, 1)
    agent.signal(signal.SIGSTOP)
    await scene.heard.until(lambda: scene.heard.state.state == "failing", 4.0)
    await scene.serving(0, 1)
    agent.signal(signal.SIGCONT)
    scene.register(2)
    await scene.serving(0, 1, 2)


async def run(agent: ConsulAgent, site: Followed, state: Path) -> Crowd:
    async with (
        site.following() as follower,
        heard_of(
            agent, state, answer_s=1.0, ping_every_s=0.5, check=SourceCheck(kind="tcp")
        ) as heard,
    ):
        await site.want(follower)

        async def pass_on() -> None:
            async for update in heard.hub.watch():
                for one in update.heard:
                    follower.offer(one.snapshot)

        passing = asyncio.create_task(pass_on())
        scene = Scene(agent, site, heard, Crowd(site.site.port))
        scene.register(0)
        # So many that both processes have answered: one has it some moments before the other.
        await asyncio.to_thread(wait_until, lambda: site.asks(PATH, 32) == {site.origins[0]})
        try:
            with scene.crowd.asking():
                await play(scene)
        finally:
            passing.cancel()
        return scene.crowd


def test_instances_and_consul_come_and_go_without_a_failed_request(tmp_path: Path) -> None:
    with ExitStack() as stack:
        agent = stack.enter_context(consul(tmp_path / "consul", is_lasting=True))
        site = stack.enter_context(followed(tmp_path))
        crowd = asyncio.run(run(agent, site, tmp_path / "state"))

    assert not crowd.failed
    assert crowd.answers.total() > 100
