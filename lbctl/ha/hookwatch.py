"""
The hooks, watched: ucarp ignores how they end, and waits for one that hangs.

A failed up hook is a MASTER without addresses. It shows in what leaves the interface: ucarp
advertises, and nobody has told vipd. The node is demoted, so that a peer takes over; when it is
MASTER again all the same there is no peer, and vipd does the hook's work.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress

from lbctl.ha.engine import Parts
from lbctl.ha.hearing import Hearing
from lbctl.ha.keeper import tried_again
from lbctl.ha.role import Role, RoleName
from lbctl.ha.speaker import Speaker
from lbctl.ha.ucarp import FAULTY_ADVSKEW, WORST_SEVERITY

log = logging.getLogger(__name__)

#: ucarp speaks as MASTER and no hook has said so for this long: the hook failed.
HOOK_SILENT_S = 1.0
#: What a demoted ucarp needs, after its dead time, until it is certain that its hook fails again:
#: the fault must not be over before.
HOOK_RETRY_S = 7.0
_HOOK_FAULT = "up hook"


class HookWatch:
    """Looks at ucarp's hooks from outside."""

    def __init__(self, parts: Parts, speaker: Speaker, hearing: Hearing) -> None:
        self._p = parts
        self._speaker = speaker
        self._hearing = hearing
        self._alone_at_ns = 0

    def look(self) -> None:
        """Once a second: end what hangs, take over what has failed."""
        if hook := self._speaker.hanging_hook():
            self._end_hook(hook)
        role = self._p.keeper.role
        if role.name is RoleName.MASTER:
            if role.at_ns == self._alone_at_ns:
                self._hook_fault("vipd does the work of an up hook that has failed")
            return
        # What an earlier ucarp said is no word of this one.
        since = max(role.at_ns / 1e9, self._speaker.ended_at)
        if self._hearing.own_speech_s(since) < HOOK_SILENT_S:
            return
        if self._p.worth.has_own(_HOOK_FAULT):
            self._take_over_alone()
        else:
            self._hook_fault("ucarp is MASTER and its up hook has failed")

    def _end_hook(self, hook: int) -> None:
        if self._p.worth.has_own(_HOOK_FAULT):
            # Demoted already, and again MASTER: without its hook ucarp can at least say so.
            log.warning("hook %d hangs: killed", hook)
        else:
            log.warning("hook %d hangs: killed, and ucarp with it", hook)
            # First of the two: it would wake up, and announce an address that is not here.
            self._speaker.end()
        with suppress(ProcessLookupError):
            os.kill(hook, signal.SIGKILL)
        self._hook_fault("a hook of ucarp hangs")

    def _hook_fault(self, what: str) -> None:
        demoted_s = self._p.group.dead_time_with(FAULTY_ADVSKEW + WORST_SEVERITY)
        self._p.worth.own_fault(_HOOK_FAULT, what, 13, for_s=demoted_s + HOOK_RETRY_S)

    def _take_over_alone(self) -> None:
        """Demoted, and still nobody else: an address without a working hook is better than none."""
        facts = self._speaker.facts()
        if facts is None:
            return
        why = "no peer; the up hook failed, vipd set the addresses itself"
        now_ns = time.monotonic_ns()
        role = Role(RoleName.MASTER, now_ns, time.time(), self._speaker.pid, facts.start, why)
        with tried_again():
            self._p.keeper.take(role)
        self._alone_at_ns = now_ns
