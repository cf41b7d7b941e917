"""
Sources of services, as the program ``discovery`` tells of them: handed to the follower, remembered
for the status, and told where one is out of touch.

Until it tells anything, what each source said last counts, from the disk. It asks no source itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from lbctl.agent.finder import PROGRAM, Finder
from lbctl.agent.sources_told import Troubles, warnings
from lbctl.discovery.http import Client
from lbctl.discovery.saved import read_all
from lbctl.discovery.state import SourceState
from lbctl.discovery.wire import Receiver
from lbctl.errors import ProviderError, ProviderTimeout
from lbctl.follow.follower import Follower
from lbctl.follow.generation import Generation
from lbctl.follow.merge import OPERATOR
from lbctl.layout import RunDir, StateDir
from lbctl.model.service import Snapshot
from lbctl.programs import Programs
from lbctl.settings.sources import REGISTRY, serving_sources_of, sources_of

log = logging.getLogger(__name__)

#: States come every 15 s; who is silent for longer hangs.
_SILENCE_S = 40.0
#: Until a stream that ended is begun anew, seconds: soon, then seldom.
_AGAIN_S, _AGAIN_MOST_S = 0.05, 1.0
#: A program that starts is heard by then; one that is not heard is worth a warning, seconds.
_GRACE_S = 5.0
#: One that runs and cannot be understood for so long is ended, seconds; another one is started.
_DEAF_S = 10.0

Note = Callable[[str, str, Mapping[str, Any]], None]


class Sources:
    """
    Lives on the agent's loop.

    Args:
        patience_s: so long a source of which nothing is saved does not count as missing, unless
            the program has told of all of them: it may have in memory what is served already.
    """

    def __init__(
        self,
        run: RunDir,
        state: StateDir,
        programs: Programs,
        follower: Follower,
        note: Note,
        *,
        wall: Callable[[], float] = time.time,
        patience_s: float = 0.0,
    ) -> None:
        self.finder = Finder(programs)
        self.silence_s = _SILENCE_S
        self.deaf_s = _DEAF_S
        self.on_settings: Callable[[], None] = lambda: None
        self.on_names: Callable[[], None] = lambda: None
        self.on_standing: Callable[[], None] = lambda: None
        self._client = Client(PROGRAM, f"unix://{run.discovery_socket}")
        self._state_dir = state
        self._follower = follower
        self._note = note
        self._wall = wall
        self._patience_s = patience_s
        self._waits_until = float("-inf")
        self._is_told = False
        self._receiver = Receiver()
        self._troubles = Troubles()
        self._states: dict[str, SourceState] = {}
        self._generation: Generation | None = None
        # Who is asked, and whose services are served here.
        self._names: tuple[str, ...] = ()
        self._serving: tuple[str, ...] = ()
        self._added: frozenset[str] = frozenset()
        self._has_registry = False
        self._silence = ""
        self._silent_since: float | None = None
        self._deaf_since: float | None = None
        self._heard = asyncio.Condition()
        self._is_wanted = asyncio.Event()
        self._is_known = asyncio.Event()

    # --- what is configured --------------------------------------------------------------------

    @property
    def generation(self) -> Generation | None:
        """What the operator's files say; None: not known yet."""
        return self._generation

    async def configured(self) -> Generation:
        """The same, as soon as it is known."""
        await self._is_known.wait()
        assert self._generation is not None
        return self._generation

    def configure(self, generation: Generation) -> None:
        """The operator's files were read: ask whom they name, and nobody else."""
        before, self._generation = self._generation, generation
        self._is_known.set()
        self._has_registry = self._has_registry or self._state_dir.registry.exists()
        served = self._serving
        self._set_names()
        if before is not None:
            self._added |= {*self._serving} - {*served}
        if before is None:
            self._waits_until = time.monotonic() + self._patience_s
            self._take_saved()
        for source in [*self._follower.desired.snapshots()]:
            if source != OPERATOR and source not in self._serving:
                self._forget(source)
        for source in [*self._states]:
            if source not in self._names:
                del self._states[source]
        is_new = before is None or _asked(before) != _asked(generation)
        self._want(since=generation.at if is_new and generation.number > 1 else 0.0)

    def want_registry(self) -> None:
        """Somebody posts to it."""
        if REGISTRY not in self._names:
            self._has_registry = True
            self._set_names()
        self._want()

    def _set_names(self) -> None:
        if self._generation is not None:
            settings = self._generation.settings
            self._names = sources_of(settings, has_registry=self._has_registry)
            self._serving = serving_sources_of(settings, has_registry=self._has_registry)

    def _want(self, since: float = 0.0) -> None:
        if self._generation is None:
            # Whether a program that runs is wanted is not known yet.
            return
        is_wanted = bool(self._names)
        self.finder.want(is_wanted, since=since)
        if is_wanted:
            self._is_wanted.set()
        else:
            self._is_wanted.clear()
            self._silent_since = None
        self.on_standing()

    def _take_saved(self) -> None:
        for snapshot in read_all(self._state_dir):
            if snapshot.source in self._serving:
                self._offer(snapshot)

    def _forget(self, source: str) -> None:
        self._follower.forget(source)
        self._troubles.forget(source)
        self._note("discovery", f"{source} is no source of services any more", {"source": source})
        self.on_settings()

    # --- what is told --------------------------------------------------------------------------

    async def run(self) -> None:
        """Listen, for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.finder.run())
                pause_s = _AGAIN_S
                while True:
                    await self._is_wanted.wait()
                    began = time.monotonic()
                    try:
                        await self._listen()
                        self._silence = "it has ended its stream"
                    except ProviderError as error:
                        self._silence = str(error)
                        if isinstance(error, ProviderTimeout) and await self.finder.kill():
                            self._note("hang", f"{error}: killed", {"program": PROGRAM})
                    self._silent_since = self._silent_since or self._wall()
                    await self._judge_deaf()
                    was_long = time.monotonic() - began > _AGAIN_MOST_S
                    pause_s = _AGAIN_S if was_long else min(_AGAIN_MOST_S, 2 * pause_s)
                    await asyncio.sleep(pause_s)
        finally:
            await self._client.close()

    async def _listen(self) -> None:
        async with aclosing(self._client.lines("/watch", silence_s=self.silence_s)) as lines:
            async for line in lines:
                await self._take(line)
                self._silent_since = self._deaf_since = None

    async def _judge_deaf(self) -> None:
        """A program whose socket is gone, or is another's, would never be heard again."""
        now = time.monotonic()
        self._deaf_since = now if self._deaf_since is None else self._deaf_since
        if now - self._deaf_since < self.deaf_s:
            return
        self._deaf_since = None
        if await self.finder.kill():
            self._note("hang", f"{self._silence}: killed", {"program": PROGRAM})

    async def _take(self, line: object) -> None:
        taken = self._receiver.take(line)
        if isinstance(taken, tuple):
            # It begins with all that it has heard.
            self._is_told = True
            self.take_states(taken)
        elif taken.snapshot.source in self._serving:
            self._offer(taken.snapshot)
        self.on_standing()
        async with self._heard:
            self._heard.notify_all()

    def _offer(self, snapshot: Snapshot) -> None:
        before = self._follower.desired.snapshots().get(snapshot.source)
        self._follower.offer(snapshot)
        if dict(snapshot.settings) != (dict(before.settings) if before is not None else {}):
            self.on_settings()
        if dict(snapshot.names) != (dict(before.names) if before is not None else {}):
            self.on_names()

    def take_states(self, states: tuple[SourceState, ...]) -> None:
        """How all sources stand now; those that are not configured do not count."""
        mine = [one for one in states if one.source in self._names]
        self._states = {one.source: one for one in mine}
        for one, text in self._troubles.news(mine, self._wall()):
            self._note("discovery", text, {"source": one.source, "state": one.state})

    async def until_heard(
        self, source: str, at: float, *, limit_s: float, after: Snapshot | None = None
    ) -> bool:
        """
        Wait until what *source* said at *at* has come.

        Args:
            at: its wall clock, seconds.
            limit_s: how long at most, seconds.
            after: what it said before, which is not it, though the clock was set back meanwhile.

        Returns:
            Whether it has.
        """

        def is_there() -> bool:
            found = self._follower.desired.snapshots().get(source)
            return found is not None and found is not after and found.at >= at

        try:
            async with asyncio.timeout(limit_s), self._heard:
                await self._heard.wait_for(is_there)
        except TimeoutError:
            return False
        return True

    # --- what is asked of it -------------------------------------------------------------------

    def states(self) -> tuple[SourceState, ...]:
        """Of all that are configured and were told of, by name."""
        return tuple(self._states[name] for name in self._names if name in self._states)

    def unheard(self) -> tuple[str, ...]:
        """
        Sources that were never heard, and of which nothing is saved.

        One that a reload has added is none: what was served before it goes on.
        """
        return tuple(name for name in self._missing() if name not in self._added)

    def _missing(self) -> tuple[str, ...]:
        known = self._follower.desired.snapshots()
        return tuple(name for name in self._serving if name not in known and name != REGISTRY)

    def standing(self) -> tuple[bool | None, str]:
        """Whether all are known, if only from the disk; None: there are none, or too early."""
        missing = self.unheard()
        is_early = not self._is_told and time.monotonic() < self._waits_until
        if not self._serving or (missing and is_early):
            return None, ""
        return not missing, f"{', '.join(missing)}: not heard yet" if missing else ""

    def settings(self) -> dict[str, tuple[str, str]]:
        """Keys of lb.yaml that sources set: dotted path -> text and source."""
        found: dict[str, tuple[str, str]] = {}
        for source, snapshot in sorted(self._follower.desired.snapshots().items(), reverse=True):
            found |= {key: (text, source) for key, text in snapshot.settings.items()}
        return found

    def warnings(self) -> list[str]:
        """What the operator should know, in sentences."""
        now = self._wall()
        found = [f"{name}: not heard yet" for name in self._missing() if name not in self._states]
        since = self._silent_since if self._names else None
        if since is not None and now - since > _GRACE_S:
            kept = "services stay as they are"
            found.append(f"no word of any source: {self._silence}; {kept}, and it is tried again")
        return found + warnings(self.states(), now)


def _asked(generation: Generation) -> object:
    """What the program ``discovery`` is to know; another one needs another life of it."""
    settings = generation.settings
    secrets = {key: text for key, text in generation.secrets.items() if key.startswith(PROGRAM)}
    return settings.discovery, settings.registry, secrets
