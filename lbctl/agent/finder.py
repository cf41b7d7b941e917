"""
The program ``discovery``, as whoever needs it running: started where a source is configured, again
when its settings or secrets are others, and stopped when there is nothing to ask.
"""

from __future__ import annotations

import asyncio
import logging

from lbctl.errors import SupervisorError
from lbctl.programs import Programs, ProgramState

log = logging.getLogger(__name__)

PROGRAM = "discovery"
#: It ends in a moment; supervisord kills what does not.
_LOOK_S = 0.05
_LOOKS = 100
#: Until supervisord is asked again, seconds.
_AGAIN_S = 2.0
_DOWN = frozenset({ProgramState.STOPPED, ProgramState.EXITED, ProgramState.FATAL})


class Finder:
    """One word at a time: the last one counts."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._is_wanted: bool | None = None
        self._since = 0.0
        self._is_news = asyncio.Event()

    @property
    def is_wanted(self) -> bool:
        return bool(self._is_wanted)

    def want(self, is_wanted: bool, *, since: float = 0.0) -> None:
        """
        It is to run, or not.

        Args:
            since: wall clock, seconds: a process that is older does not know what it is to ask.
        """
        self._is_wanted = is_wanted
        self._since = max(self._since, since)
        self._is_news.set()

    async def kill(self) -> bool:
        """It hangs: supervisord starts another one; whether it ran, and could be killed."""
        try:
            one = (await self._programs.states()).get(PROGRAM)
            if one is None or one.state is not ProgramState.RUNNING:
                return False
            await self._programs.signal(PROGRAM, "KILL")
        except SupervisorError as error:
            log.warning("%s hangs, and goes on so: %s", PROGRAM, error)
            return False
        return True

    async def run(self) -> None:
        """Have it so, for ever."""
        is_told = False
        while True:
            await self._is_news.wait()
            self._is_news.clear()
            try:
                await self._settle()
                is_told = False
            except SupervisorError as error:
                if not is_told:
                    log.warning("%s; tried again", error)
                is_told = True
                self._is_news.set()
                await asyncio.sleep(_AGAIN_S)

    async def _settle(self) -> None:
        is_wanted, since = self._is_wanted, self._since
        one = (await self._programs.states()).get(PROGRAM)
        if one is None or is_wanted is None:
            return
        is_down = one.state in _DOWN
        # An agent that ended meanwhile has stopped it, and did not come to start it.
        is_ending = one.state is ProgramState.STOPPING
        if is_ending or (not is_down and (not is_wanted or one.since < since)):
            if not is_ending:
                await self._programs.stop(PROGRAM)
            await self._ended()
            is_down = True
        if is_wanted and is_down:
            await self._programs.start(PROGRAM)
        if self._since == since:
            # supervisord tells whole seconds: the one that runs now would seem to be older.
            self._since = 0.0

    async def _ended(self) -> None:
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_S)
            if (await self._programs.states())[PROGRAM].state in _DOWN:
                return
        message = f"{PROGRAM}: did not end within {_LOOKS * _LOOK_S:g} s"
        raise SupervisorError(message)
