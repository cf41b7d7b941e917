"""ucarp as vipd handles it: with which advskew it speaks, whether it lives, how it is silenced."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from lbctl.errors import SupervisorError
from lbctl.ha import ucarp
from lbctl.layout import RunDir
from lbctl.programs import Programs
from lbctl.spec import GroupSpec

log = logging.getLogger(__name__)

#: The hooks end themselves after 1 s; one that is older hangs, and ucarp with it.
HOOK_LIMIT_S = 1.5


class Speaker:
    """The ucarp process of one group; supervisord runs it, vipd says how."""

    def __init__(
        self, group: GroupSpec, run: RunDir, programs: Programs, hooks: Path | None = None
    ) -> None:
        self._group = group
        self._run = run
        self._programs = programs
        self._hooks = hooks
        self.advskew = ucarp.launched_advskew(run, default=group.advskew)
        self.pid = 0
        self.ended_on_purpose = False
        self.ended_at = float("-inf")

    def speak_with(self, advskew: int) -> None:
        """The next ucarp speaks with this advskew."""
        self.advskew = advskew
        ucarp.write_launch_script(self._group, self._run, advskew, hooks=self._hooks)

    async def start(self) -> None:
        """Have supervisord start it; one that runs is left alone."""
        try:
            await self._programs.start(ucarp.PROGRAM)
        except SupervisorError as error:
            log.warning("ucarp cannot be started: %s; supervisord or the agent tries again", error)

    async def stop(self) -> None:
        """End it, and keep supervisord from starting it again."""
        try:
            await self._programs.stop(ucarp.PROGRAM)
        except SupervisorError as error:
            log.warning("ucarp cannot be stopped: %s", error)
        # supervisord sends the harmless SIGCONT and waits: the end is vipd's to give.
        self.end()

    def facts(self) -> ucarp.ProcessFacts | None:
        """What /proc says of it now."""
        return ucarp.process_facts(self.pid) if self.pid else None

    def silence(self) -> None:
        """Stop it where it stands: it keeps its state and says nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill it: it holds no state, and SIGTERM would wait for a hook."""
        self.ended_on_purpose = bool(self.pid)
        self.ended_at = time.monotonic()
        self._signal(signal.SIGKILL)

    def hanging_hook(self) -> int:
        """The pid of a hook that is older than any hook may be; 0: none."""
        if not self.pid:
            return 0
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for child in ucarp.children(self.pid):
            facts = ucarp.process_facts(child)
            if facts and not facts.is_dead and ucarp.age_s(facts, now) > HOOK_LIMIT_S:
                return child
        return 0

    def _signal(self, number: signal.Signals) -> None:
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
