"""Certificates: what was not taken is told, and who was silent gets them later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lbctl.agent.inputs import Inputs
from lbctl.agent.sources import Sources
from lbctl.agent.table import ProgramTable
from lbctl.discovery.saved import write_snapshot
from lbctl.errors import Problem
from lbctl.follow.follower import Follower
from lbctl.follow.generation import Generation, Verdict, verdict_of, write_generation
from lbctl.follow.overrides import Overrides
from lbctl.haproxy.certificate_turn import Places
from lbctl.haproxy.certificates import read_pem
from lbctl.layout import RunDir, StateDir
from lbctl.model.names import backend_name
from lbctl.model.service import Snapshot
from tests.agent_sources import generation
from tests.fakes.haproxy_certificates import CertificateRuntime
from tests.fakes.programs import FakePrograms
from tests.fakes.world import FakeWorld
from tests.loops import in_a_loop, until
from tests.pems import issue
from tests.unit.agent.test_agent import spec_in
from tests.unit.agent.test_tasks import Runner
from tests.unit.follow.test_generation import WHOLE

HALF = Problem("/haproxy/certs/a.pem", "it ends within the key")


class Site:
    """What an agent has for its inputs, alive; *verdict* is the word of its tasks."""

    def __init__(self, root: Path, generation: Generation, verdict: Verdict) -> None:
        self.run = RunDir(root)
        self.run.inputs.mkdir()
        write_generation(self.run, generation)
        runner = Runner(self.run, verdict, "certs")
        overrides = Overrides(root / "server-states.json")
        self.world = FakeWorld()
        self.follower = Follower(self.world, overrides, backend_name, self._note)
        spec = spec_in(root)
        state = StateDir(root)
        self.events: list[tuple[str, str]] = []
        self.sources = Sources(self.run, state, FakePrograms(), self.follower, lambda *_: None)
        self.inputs = Inputs(
            spec,
            self.run,
            ProgramTable(spec.programs),
            runner.tasks,
            self.follower,
            lambda *_: None,
            lambda: None,
            self.sources,
        )

    def _note(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        self.events.append((kind, text))

    async def live(self, claim: Callable[[], object], what: str) -> None:
        """Until *claim* holds."""
        lives = [asyncio.ensure_future(one.run()) for one in (self.follower, self.inputs)]
        await until(lambda: claim() or any(one.done() for one in lives), what)
        is_alive = not any(life.done() for life in lives)
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)

        assert is_alive


async def warnings_after(root: Path, verdict: Verdict) -> list[str]:
    site = Site(root, WHOLE, verdict)
    await site.live(site.inputs.warnings, "a word of it")
    return site.inputs.warnings()


@in_a_loop
async def test_a_certificate_that_was_refused_is_told_with_its_reason(tmp_path: Path) -> None:
    found = await warnings_after(tmp_path, verdict_of(time.monotonic(), problems=(HALF,)))

    assert found == ["certificate not taken: /haproxy/certs/a.pem: it ends within the key"]


@in_a_loop
async def test_certificates_that_cannot_be_written_end_no_agent(tmp_path: Path) -> None:
    found = await warnings_after(tmp_path, verdict_of(time.monotonic(), number=1))

    assert "No such file or directory" in found[0]
    assert "served as they were" in found[0]


@in_a_loop
async def test_a_process_that_was_silent_gets_the_certificates_when_it_answers(
    tmp_path: Path,
) -> None:
    old, new = ({"a.pem": issue("x.example").both} for _ in range(2))
    generation = replace(WHOLE, certs=new)
    site = Site(tmp_path, generation, verdict_of(time.monotonic(), problems=(HALF,)))
    site.run.certs.mkdir(parents=True)
    Places(site.run.certs).write(old)
    quick, silent = (CertificateRuntime.start(str(site.run.certs), old) for _ in range(2))
    silent.budget = 0
    site.inputs._runtimes = [quick, silent]
    wanted = {f"{site.run.certs}/a.pem": read_pem(new["a.pem"]).fingerprint}

    def is_served() -> bool:
        if quick.shown() == wanted:
            silent.budget = 1000
        return silent.shown() == wanted

    await site.live(is_served, "both serve the new one")

    assert quick.shown() == silent.shown()


def maxconn(site: Site) -> list[str]:
    """The first line of it that each process has loaded."""
    before = site.world.lives[1].wanted.target.before.split("\n")
    return [line.strip() for line in before if line.strip().startswith("maxconn ")][:1]


@in_a_loop
async def test_what_a_source_sets_is_in_the_first_load_and_a_change_is_a_reload(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, generation(), verdict_of(time.monotonic(), problems=(HALF,)))
    site.run.certs.mkdir(parents=True)
    saved, new = (
        Snapshot("consul", (), 0.0, settings={"haproxy.maxconn": text}) for text in ("1024", "2048")
    )
    write_snapshot(StateDir(tmp_path), saved)
    reloads: list[int] = []

    def is_second() -> bool:
        if maxconn(site) == ["maxconn 1024"] and not reloads:
            reloads.append(len(site.world.reloads))
            site.follower.offer(new)
            site.sources.on_settings()
        return maxconn(site) == ["maxconn 2048"] and bool(site.events[1:])

    await site.live(is_second, "the saved word counts, then the new one")
    texts = [text for kind, text in site.events if kind == "reload"]

    assert reloads == [1]
    assert "because consul sets haproxy.maxconn = 2048; " in texts[-1]
