"""An agent's sources, its follower and a world in memory, with a real discovery to listen to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from lbctl.agent.finder import PROGRAM
from lbctl.agent.registration import Registration
from lbctl.agent.sources import Sources
from lbctl.daemons.discovery_http import Desk, build, serve
from lbctl.discovery.hub import Hub
from lbctl.follow.apply import Compile
from lbctl.follow.base import Base
from lbctl.follow.follower import Follower
from lbctl.follow.generation import Generation
from lbctl.follow.overrides import Overrides
from lbctl.follow.pace import Pacing
from lbctl.layout import RunDir, StateDir
from lbctl.model.names import backend_name
from lbctl.programs import Program, ProgramState
from lbctl.registry.open import open_registry
from lbctl.settings.discovery import Consul, Discovery
from lbctl.settings.model import Settings
from tests.fakes.programs import FakePrograms
from tests.fakes.provider import FakeProvider
from tests.fakes.world import FakeWorld, compile_services

CONSUL = Settings(discovery=Discovery(consul=Consul(url="http://10.0.0.5:8500"), empty_s=0.0))
NOBODY = Settings()


def generation(settings: Settings = CONSUL, number: int = 1, at: float = 0.0) -> Generation:
    """The operator's files, with nothing but *settings*."""
    return Generation(number, at, settings, None, {}, {}, {})


class Site:
    """
    Attributes:
        provider: what discovery asks; named ``consul``.
        events: kind and text.
        stood: how sources stood, each time that may have changed.
    """

    def __init__(self, root: Path, *, patience_s: float = 0.0) -> None:
        self.run, self.state = RunDir(root), StateDir(root)
        self.run.api.mkdir()
        self.world = FakeWorld()
        self.events: list[tuple[str, str]] = []
        self.stood: list[tuple[bool | None, str]] = []
        self.compile: Compile = compile_services
        self.programs = FakePrograms([Program(PROGRAM, PROGRAM, ProgramState.STOPPED)])
        self.provider = FakeProvider()
        overrides = Overrides(self.state.server_states)
        self.follower = Follower(self.world, overrides, backend_name, self._note)
        self.sources = Sources(
            self.run,
            self.state,
            self.programs,
            self.follower,
            self._note,
            patience_s=patience_s,
        )
        self.sources.on_standing = lambda: self.stood.append(self.sources.standing())
        self.registration = Registration(self.run, self.sources, self.follower)

    def _note(self, kind: str, text: str, fields: Mapping[str, Any]) -> None:
        self.events.append((kind, text))

    def texts(self) -> list[str]:
        return [text for kind, text in self.events if kind == "discovery"]

    @asynccontextmanager
    async def living(self, settings: Settings = CONSUL) -> AsyncIterator[None]:
        """The agent's part of it, as it begins."""
        lives = [asyncio.ensure_future(one.run()) for one in (self.follower, self.sources)]
        try:
            await self.configure(settings)
            yield
        finally:
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)

    async def configure(self, settings: Settings, number: int = 1, at: float = 0.0) -> None:
        """The operator's files are read."""
        found = generation(settings, number, at)
        self.sources.configure(found)
        base = Base(number, settings.services, self.compile, Pacing(0.01, 0.05, 0.01), 0.0)
        await self.follower.set_base(base)

    @asynccontextmanager
    async def discovery(self) -> AsyncIterator[Hub]:
        """One life of the program."""
        hub = Hub([self.provider], self.state, empty_s=0.0, chance=lambda: 0.1)
        desk = Desk(hub, lambda: open_registry(CONSUL, {}, self.state))
        life = asyncio.ensure_future(hub.run())
        runner: web.AppRunner = await serve(build(desk), self.run.discovery_socket)
        try:
            yield hub
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            await runner.cleanup()

    def addresses(self, backend: str = "hello:v1") -> list[str]:
        """Servers of a backend, as both processes have them."""
        one, other = (self.world.lives[number].servers.backends for number in (1, 2))
        assert (backend in one) is (backend in other)
        return sorted(one[backend].servers) if backend in one else []
