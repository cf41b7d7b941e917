"""What vipd answers at its door: status, handover, pause, and what hooks and checks tell it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from lbctl.errors import EXIT_UNREACHABLE, EXIT_USAGE, NotMasterError
from lbctl.ha import echo
from lbctl.ha.door import Answer
from lbctl.ha.engine import exposed
from lbctl.ha.greeter import Greeter
from lbctl.ha.leave import Report
from lbctl.ha.life import Life
from lbctl.ha.neighbour import Neighbour
from lbctl.ha.pause import Pause, PauseWord
from lbctl.ha.ucarp_engine import UcarpEngine
from lbctl.ha.vipd import Commons, Surroundings, Vipd

#: Longer ones are as good as endless, and people forget them.
PAUSE_MAX_S = 30 * 86400.0
#: A check's words: they stand in events, in greetings and in status.
_WHAT_MAX = 1000


class Desk:
    """Each method answers one operation."""

    def __init__(
        self, vipd: Vipd, commons: Commons, around: Surroundings, greeter: Greeter | None
    ) -> None:
        self._vipd = vipd
        self._c = commons
        self._around = around
        self._greeter = greeter

    async def on_role(self, word: Mapping[str, Any]) -> Answer:
        """A hook's word: act on it, then answer."""
        life = self._vipd.lives[0]
        if not isinstance(life.engine, UcarpEngine):
            return {
                "ok": False,
                "error": "the native engine takes no word of a hook",
                "code": EXIT_USAGE,
            }
        return await life.engine.on_role(word, may_lead=not life.is_moving)

    async def on_status(self, _word: Mapping[str, Any]) -> Answer:
        """Everything about roles, leases, speakers and the other nodes."""
        groups = [life.as_dict() for life in self._vipd.lives]
        pause = self._c.pause
        known = {"peers": [], "findings": []} if self._greeter is None else self._greeter.as_dict()
        duplicates = [one for life in self._vipd.lives for one in life.duplicates.findings()]
        status = {
            **groups[0],
            "groups": groups,
            "paused": _paused(pause.word) if pause.is_on else None,
            "scheduling": self._c.scheduling,
            "protection": self._protection(),
            "checks": self._c.tracker.checks_as_list(time.monotonic()),
            **known,
            "findings": [*known["findings"], *duplicates, *self._troubles()],
        }
        return {"ok": True, "status": status}

    async def on_handover(self, word: Mapping[str, Any]) -> Answer:
        """Move the addresses to the peer, because an operator wants it."""
        force = bool(word.get("force", False))
        masters = [life for life in self._vipd.lives if life.is_master]
        if not masters:
            message = f"this node is {self._role()}: nothing to hand over"
            raise NotMasterError(message)
        if any(life.is_moving for life in masters):
            return _no("the addresses are being moved already")
        if not force and (reason := self._reason_to_stay(masters)):
            return _no(f"{reason}; --force gives the addresses away all the same")
        reports = await asyncio.gather(
            *(life.leave("handover", must=force, yields=True) for life in masters)
        )
        return _told(reports)

    async def on_watch(self, word: Mapping[str, Any]) -> AsyncIterator[Answer]:
        """The journal as it grows."""
        async for event in self._c.journal.watch(int(word.get("since", 0))):
            yield {"event": event.as_dict()}

    async def on_health(self, word: Mapping[str, Any]) -> Answer:
        """What the agent's checks have found."""
        now = time.monotonic()
        # All of them are read before one counts.
        for name, is_well, what in [_verdict(check) for check in word["checks"]]:
            self._c.tracker.verdict(name, is_well, what, now)
        # Leaving takes its time, and the agent wants an answer.
        self._vipd.soon(self._vipd.judge())
        return {"ok": True}

    async def on_digests(self, word: Mapping[str, Any]) -> Answer:
        """The operator's files are others now: the peer is told."""
        digests = {str(name): str(digest) for name, digest in dict(word["digests"]).items()}
        if self._greeter is not None:
            self._greeter.renew(digests)
        return {"ok": True}

    async def on_pause(self, word: Mapping[str, Any]) -> Answer:
        """Nothing moves by itself from now on."""
        for_s = _length(word.get("for_s"))
        by, why = str(word.get("by", "")), str(word.get("why", ""))
        said, nodes = await echo.say(*self._word_out, is_on=True, by=by, why=why, for_s=for_s)
        return {"ok": True, "paused": _paused(said), "nodes": self._names(nodes)}

    async def on_resume(self, word: Mapping[str, Any]) -> Answer:
        """It moves again."""
        _, nodes = await echo.say(*self._word_out, is_on=False, by=str(word.get("by", "")))
        return {"ok": True, "paused": None, "nodes": self._names(nodes)}

    @property
    def _word_out(self) -> tuple[Pause, Greeter | None, Callable[[], Awaitable[None]]]:
        return self._c.pause, self._greeter, self._vipd.apply_pause

    def _troubles(self) -> list[dict[str, str]]:
        """What a next life of this process will not know."""
        memory = self._c.memory
        troubles = (self._c.pause.trouble, "" if memory is None else memory.trouble)
        return [{"kind": "state dir", "text": text, "about": ""} for text in troubles if text]

    def _protection(self) -> str:
        peers = () if self._greeter is None else self._greeter.peers()
        fresh = [one for one in peers if one.is_fresh]
        if not self._vipd.is_native or not fresh:
            return self._vipd.lives[0].engine.protection()
        # What a node says of itself now; none that says native is believed without a tag.
        return exposed(one.name for one in fresh if one.engine != "native")

    def _names(self, nodes: Sequence[Neighbour]) -> list[str]:
        """This node's and those that go by its word."""
        return [self._c.spec.hostname, *(one.hostname or one.node for one in nodes)]

    def _reason_to_stay(self, masters: Sequence[Life]) -> str:
        """Why a handover would do harm; empty: nothing speaks against it."""
        if self._around.is_paused:
            return "the addresses are paused"
        if self._greeter is None:
            return ""
        for life in masters:
            peer, reason = self._greeter.healthy_peer(life.group.vhid)
            if peer is None:
                return reason
        return ""

    def _role(self) -> str:
        return ", ".join(dict.fromkeys(str(life.role) for life in self._vipd.lives))


def _verdict(check: Mapping[str, Any]) -> tuple[str, bool, str]:
    name, is_well, what = check["name"], check["is_well"], check["what"]
    if not (isinstance(name, str) and isinstance(is_well, bool) and isinstance(what, str)):
        message = '"name" and "what" are texts, "is_well" is true or false'
        raise TypeError(message)
    return name, is_well, what[:_WHAT_MAX]


def _length(for_s: object) -> float | None:
    if for_s is None:
        return None
    if isinstance(for_s, int | float) and not isinstance(for_s, bool) and 1 <= for_s <= PAUSE_MAX_S:
        return float(for_s)
    message = f'"for_s" is null or seconds, 1 to {PAUSE_MAX_S:.0f}'
    raise ValueError(message)


def _paused(word: PauseWord) -> dict[str, Any]:
    return {"by": word.by, "why": word.why, "since": word.since, "until": word.until}


def _no(error: str) -> Answer:
    return {"ok": False, "code": EXIT_UNREACHABLE, "error": error}


def _told(reports: Sequence[Report]) -> Answer:
    """What an operator is told of a handover of one or more groups."""
    every = [report.as_dict() for report in reports]
    stayed = [report for report in reports if not report.left]
    text = "; ".join(report.sentence() for report in reports)
    if stayed:
        error = f"{text}; --force gives the addresses away all the same"
        return {**_no(error), "report": stayed[0].as_dict(), "reports": every}
    return {"ok": True, "report": every[0], "reports": every, "text": text}
