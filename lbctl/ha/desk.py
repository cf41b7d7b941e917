"""What vipd answers at its door: status, handover, pause, and what hooks and checks tell it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from lbctl.errors import NotMasterError
from lbctl.ha.door import Answer
from lbctl.ha.greeter import Greeter
from lbctl.ha.leave import Report
from lbctl.ha.life import Life
from lbctl.ha.pause import PauseWord
from lbctl.ha.ucarp_engine import UcarpEngine
from lbctl.ha.vipd import Commons, Surroundings, Vipd

_REFUSED = 14


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
            return {"ok": False, "error": "the native engine takes no word of a hook", "code": 11}
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
            "protection": self._vipd.lives[0].engine.protection(),
            "checks": self._c.tracker.checks_as_list(time.monotonic()),
            **known,
            "findings": [*known["findings"], *duplicates],
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
        for check in word["checks"]:
            self._c.tracker.verdict(
                str(check["name"]), bool(check["is_well"]), str(check["what"]), now
            )
        # Leaving takes its time, and the agent wants an answer.
        self._vipd.soon(self._vipd.judge())
        return {"ok": True}

    async def on_pause(self, word: Mapping[str, Any]) -> Answer:
        """Nothing moves by itself from now on."""
        for_s = word.get("for_s")
        # In a thread: it waits for the disk.
        said = await asyncio.to_thread(
            self._c.pause.say,
            is_on=True,
            by=str(word.get("by", "")),
            why=str(word.get("why", "")),
            for_s=None if for_s is None else float(for_s),
        )
        await self._vipd.apply_pause()
        return {"ok": True, "paused": _paused(said), "nodes": self._nodes()}

    async def on_resume(self, word: Mapping[str, Any]) -> Answer:
        """It moves again."""
        await asyncio.to_thread(self._c.pause.say, is_on=False, by=str(word.get("by", "")))
        await self._vipd.apply_pause()
        return {"ok": True, "paused": None, "nodes": self._nodes()}

    def _nodes(self) -> list[str]:
        """Names of the nodes that go by this word, or will within a second."""
        peers = () if self._greeter is None else self._greeter.peers()
        others = [peer.hostname or peer.node for peer in peers if peer.is_fresh]
        return [self._c.spec.hostname, *others]

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


def _paused(word: PauseWord) -> dict[str, Any]:
    return {"by": word.by, "why": word.why, "since": word.since, "until": word.until}


def _no(error: str) -> Answer:
    return {"ok": False, "code": _REFUSED, "error": error}


def _told(reports: Sequence[Report]) -> Answer:
    """What an operator is told of a handover of one or more groups."""
    every = [report.as_dict() for report in reports]
    stayed = [report for report in reports if not report.left]
    text = "; ".join(report.sentence() for report in reports)
    if stayed:
        error = f"{text}; --force gives the addresses away all the same"
        return {**_no(error), "report": stayed[0].as_dict(), "reports": every}
    return {"ok": True, "report": every[0], "reports": every, "text": text}
