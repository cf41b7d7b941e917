"""
What a hosts file says, brought to the servers that have its names: those of the operator's own
haproxy.cfg at once, and told of those of services, which the follower moves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from lbctl.agent.nameserver import Nameserver
from lbctl.agent.sources import Sources
from lbctl.follow.follower import AUDIT_EVERY_S, Follower
from lbctl.follow.hostnames import HostNames, Moved
from lbctl.follow.overrides import Key
from lbctl.follow.texts import HAPROXY_CFG

log = logging.getLogger(__name__)

#: Until a process that did not answer is told again, seconds.
_AGAIN_S = 1.0
_LIBC = "/etc/hosts"

Note = Callable[[str, str, Mapping[str, Any]], None]


class HostsFollower:
    """Begins a turn when names, processes or files change, and looks at every audit."""

    def __init__(
        self, follower: Follower, sources: Sources, note: Note, nameserver: Nameserver
    ) -> None:
        self._follower = follower
        self._sources = sources
        self._note = note
        self._nameserver = nameserver
        self._names = HostNames(follower.applier.world)
        self._places: dict[Key, str] = {}
        self._wake = asyncio.Event()
        self._has_news = False
        self._failed: tuple[str, ...] = ()
        self._lacking: tuple[Moved, ...] = ()
        self.reload: Callable[[str], None] = lambda _: None
        sources.on_names = self._on_names
        follower.on_reload = self.wake

    def wake(self) -> None:
        """A process may have asked libc anew."""
        self._wake.set()

    def _on_names(self) -> None:
        self._has_news = True
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                async with asyncio.timeout(_AGAIN_S if self._failed else AUDIT_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            is_news, self._has_news = self._has_news, False
            # The turn that moves servers of services is under way, beside that of the own file.
            news = [self._of_services(), self._nameserver.reread()] if is_news else []
            await asyncio.gather(self._own(), *news)

    async def _own(self) -> None:
        loaded = self._follower.applier.loaded
        self._names.read(loaded.more.get(HAPROXY_CFG) if loaded.is_beside else None)
        desired = self._follower.desired
        turn = await self._names.turn(desired.names, desired.prefer)
        for what in turn.failed:
            if what not in self._failed:
                log.warning("addresses of %s are not everywhere: %s; tried again", self._path, what)
        self._failed = turn.failed
        self._tell(turn.moved)
        self._load(turn.lacking)

    def _load(self, lacking: tuple[Moved, ...]) -> None:
        """A server without an address gets one by a reload, from libc, which reads one file."""
        news = [one for one in lacking if one not in self._lacking]
        self._lacking = lacking
        if not news:
            return
        names = ", ".join("/".join(one.key) for one in news)
        if self._path == _LIBC:
            self.reload(f"{names}: an address by {_LIBC}")
        else:
            what = f"{names}: no address, which HAProxy takes when it loads its file, from {_LIBC}"
            self._note("discovery", f"{what}, and not from {self._path}", {})

    async def _of_services(self) -> None:
        before = self._places
        self._places = now = self._follower.desired.places()
        changed = [
            Moved(key, was, now[key]) for key, was in before.items() if _is_new(key, was, now)
        ]
        if changed and not (await self._follower.outcome()).failure:
            self._tell(tuple(changed))

    @property
    def _path(self) -> str:
        generation = self._sources.generation
        path = generation.settings.discovery.hosts.path if generation is not None else None
        return path or "a source"

    def _tell(self, moved: tuple[Moved, ...]) -> None:
        for one in moved:
            fields = {"server": "/".join(one.key), "was": one.was, "now": one.now}
            self._note("discovery", one.sentence(self._path), fields)


def _is_new(key: Key, was: str, now: Mapping[Key, str]) -> bool:
    return key in now and now[key] != was
