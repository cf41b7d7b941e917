"""
Keeps Consul's agent at what this host's containers are: ``lbctl registrator``.

Two loops: one follows the containers, one compares what the agent has with what it should have, at
each change and every few seconds, and does what is missing. Nothing is remembered: after a crash
the next comparison finds what was left behind. While the containers cannot be seen, nobody is
deregistered: they may well go on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

from lbctl.discovery.docker_follow import Sight
from lbctl.discovery.http import RefusedError
from lbctl.errors import ProviderError
from lbctl.registrator.agent import Held, RegistryAgent
from lbctl.registrator.registration import Registration, Rules, Wanted, wanted

log = logging.getLogger(__name__)

#: The agent may have lost its data, and nobody tells: so often it is looked at, seconds.
COMPARE_S: Final = 10.0
_PAUSE_FIRST_S: Final = 0.2
_PAUSE_MOST_S: Final = 15.0
#: A TTL is renewed so many times in its length.
_RENEWALS: Final = 3.0


class Registrator:
    """
    Args:
        follow: begins to tell of containers.
        agent: with whom they are registered.
        rules: how; without an address: with that of the agent's node.
        is_cleaning: what another life of ours has left is deregistered.
        compare_s: see :data:`COMPARE_S`.
        chance: 0 to 1, of the pauses.
    """

    def __init__(
        self,
        follow: Callable[[], AsyncGenerator[Sight, None]],
        agent: RegistryAgent,
        rules: Rules,
        *,
        is_cleaning: bool = True,
        compare_s: float = COMPARE_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._follow = follow
        self._agent = agent
        self._rules = rules
        self._is_cleaning = is_cleaning
        self._compare_s = compare_s
        self._chance = chance
        self._sight: Sight | None = None
        self._news = asyncio.Event()
        self._mine: set[str] = set()
        self._refused: set[str] = set()
        self._told: tuple[str, ...] = ()

    async def run(self) -> None:
        """For ever."""
        await asyncio.gather(
            self._for_ever(self._see, "what is registered stays"),
            self._for_ever(self._keep, "it is tried again"),
        )

    async def leave(self) -> None:
        """
        Deregister all that is ours.

        Raises:
            ProviderError: the agent does not answer.
        """
        for identity in (await self._agent.held()).forms:
            await self._deregister(identity)

    async def _for_ever(self, work: Callable[[], AsyncGenerator[None, None]], then: str) -> None:
        """Do *work*; each of its yields says that all is well."""
        failures = 0
        error_told = ""
        while True:
            try:
                async with aclosing(work()) as turns:
                    async for _ in turns:
                        if error_told:
                            log.info("%s: answers again", error_told.partition(": ")[0])
                        failures, error_told = 0, ""
            except ProviderError as error:
                if str(error) != error_told:
                    error_told = str(error)
                    log.warning("%s; %s", error_told, then)
            pause_s = min(_PAUSE_MOST_S, _PAUSE_FIRST_S * 2.0 ** min(failures, 10))
            failures += 1
            await asyncio.sleep(pause_s * self._chance())

    async def _see(self) -> AsyncGenerator[None, None]:
        async with aclosing(self._follow()) as sights:
            async for sight in sights:
                self._sight = sight
                self._news.set()
                yield

    async def _keep(self) -> AsyncGenerator[None, None]:
        while True:
            self._news.clear()
            if self._sight is not None:
                target = await self._wanted(self._sight)
                await self._compare(target)
                yield
                pause_s = self._pause_s(target)
            else:
                pause_s = self._compare_s
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._news.wait()

    async def _wanted(self, sight: Sight) -> Wanted:
        if not self._rules.address:
            self._rules = replace(self._rules, address=await self._agent.address())
        target = wanted(sight.containers, sight.leaving, self._rules)
        told = (*sight.refusals, *target.problems)
        for what in told:
            if what not in self._told:
                log.warning("%s", what)
        self._told = told
        return target

    def _pause_s(self, target: Wanted) -> float:
        ttl_s = self._rules.ttl_s
        if ttl_s is None or not any(one.is_ours_to_pass for one in target.by_id.values()):
            return self._compare_s
        return min(self._compare_s, ttl_s / _RENEWALS)

    async def _compare(self, target: Wanted) -> None:
        held = await self._agent.held()
        for identity in held.forms.keys() - target.by_id.keys():
            if self._is_cleaning or identity in self._mine:
                await self._alone(identity, self._deregister(identity))
        for identity, one in target.by_id.items():
            self._mine.add(identity)
            await self._alone(identity, self._bring(one, held))
        self._refused &= target.by_id.keys() | held.forms.keys()

    async def _bring(self, one: Registration, held: Held) -> None:
        is_new = held.forms.get(one.id) != one.form
        if is_new:
            await self._agent.register(one)
            where = f"{one.payload['Address']}:{one.payload['Port']}"
            log.info("registered %s as %s at %s", one.id, one.payload["Name"], where)
        elif one.is_ours_to_pass:
            await self._agent.keep_passing(one.id)
        # What is registered anew has no other checks any more.
        is_maintained = one.id in held.maintained and not is_new
        if one.is_leaving != is_maintained:
            await self._agent.maintain(one.id, is_on=one.is_leaving)
            log.info("%s: %s", one.id, "is drained" if one.is_leaving else "serves again")

    async def _alone(self, identity: str, work: Awaitable[None]) -> None:
        """What Consul refuses of one is no other's affair; it is told once, and tried again."""
        try:
            await work
        except RefusedError as error:
            if identity not in self._refused:
                log.warning("%s: %s; it is tried again", identity, error)
            self._refused.add(identity)
        else:
            self._refused.discard(identity)

    async def _deregister(self, identity: str) -> None:
        await self._agent.deregister(identity)
        self._mine.discard(identity)
        log.info("deregistered %s", identity)
