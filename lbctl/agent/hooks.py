"""
The operator's programs in ``hooks.d``: ``up``, ``down`` and ``fault``, run after the fact.

vipd has told of the transition when they start, and waits for none of them: they are in nobody's
way. One runs at a time. While one does, of each group's transitions only the newest is kept, and
after a start of this process only the last one that it has missed: what they set right is the
present. What they are given is in :func:`environment`; how they ended is in the event log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lbctl.agent import command
from lbctl.agent.eventlog import Event
from lbctl.agent.hang import Note
from lbctl.errors import VipdError
from lbctl.layout import ConfigDir
from lbctl.spec import BundleSpec, GroupSpec

log = logging.getLogger(__name__)

LIMIT_S = 30.0
#: What is left of a program's words, in the log and in the event.
OUTPUT_BYTES = 1024
#: What a program that runs when this process must end has left.
LAST_S = 0.5
STATUS_LIMIT_S = 1.0
#: When status knows another role than the event, the event about that one is on its way.
NEWER_WITHIN_S = 2.0
_ASK_AGAIN_S = 0.2

_EVENT_OF = {"MASTER": "up", "BACKUP": "down"}
#: The key of all faults: they are the node's, not a group's.
_FAULT = 0


@dataclass(frozen=True, slots=True)
class Transition:
    """
    Something that programs are run for.

    Attributes:
        event: ``up``, ``down`` or ``fault``.
        vhid: of the group.
        was: the role before; of a fault empty.
        why: a sentence.
        at: wall clock, seconds.
        of: vipd's number of the event.
        faults: of a fault: what is wrong now; empty: no more.
    """

    event: str
    vhid: int
    was: str
    why: str
    at: float
    of: int
    faults: tuple[str, ...] = ()

    @property
    def key(self) -> int:
        """Of two with the same key the newer one counts."""
        return _FAULT if self.event == "fault" else self.vhid

    @property
    def role(self) -> str:
        """What it is about; empty for a fault."""
        return {"up": "MASTER", "down": "BACKUP"}.get(self.event, "")


class Status(Protocol):
    """Whoever knows how things stand: vipd."""

    async def status(self, *, limit_s: float) -> dict[str, Any]:
        """
        Raises:
            VipdError: nobody knows.
        """


def transition_of(event: Event, first_vhid: int) -> Transition | None:
    """What *event* of vipd's asks for; None: nothing."""
    fields = event.fields
    vhid, of = fields.get("vhid", first_vhid), fields.get("vipd_id")
    if not isinstance(vhid, int) or not isinstance(of, int):
        return None
    if event.kind == "role" and fields.get("role") in _EVENT_OF:
        why = str(fields.get("why") or event.text.partition(": ")[2])
        was = str(fields.get("was", ""))
        return Transition(_EVENT_OF[fields["role"]], vhid, was, why, event.at, of)
    if event.kind == "fault" and "severity" in fields:
        named = fields.get("faults")
        if not isinstance(named, list):
            named = event.text.split(", ") if fields["severity"] else []
        return Transition("fault", vhid, "", event.text, event.at, of, tuple(map(str, named)))
    return None


def missed(events: Iterable[Event], spec: BundleSpec) -> tuple[Transition, ...]:
    """Of each group, and of the faults, the last transition of this bundle that nobody ended."""
    assert spec.group is not None
    last: dict[int, Transition] = {}
    done: set[tuple[int, float]] = set()
    for event in events:
        if event.at < spec.started_at:
            continue
        if event.kind == "hook" and event.fields.get("left") == 0:
            done.add((event.fields.get("of", 0), event.fields.get("of_at", 0.0)))
        elif transition := transition_of(event, spec.group.vhid):
            last[transition.key] = transition
    return tuple(one for one in last.values() if (one.of, one.at) not in done)


def environment(
    transition: Transition, spec: BundleSpec, status: Mapping[str, Any]
) -> dict[str, str]:
    """The facts, as the program sees them; *status* is vipd's, empty when it did not answer."""
    assert spec.group is not None
    group = next((one for one in spec.groups if one.vhid == transition.vhid), spec.group)
    now = _part(status, group)
    faults = transition.faults if transition.event == "fault" else now.get("faults", ())
    return {
        "LBCTL_EVENT": transition.event,
        "LBCTL_ROLE": transition.role or str(now.get("role", "")),
        "LBCTL_WAS": transition.was or str(now.get("role", "")),
        "LBCTL_WHY": transition.why,
        "LBCTL_AT": f"{transition.at:.3f}",
        "LBCTL_VIP": group.vip,
        "LBCTL_ADDRESSES": " ".join(group.addresses),
        "LBCTL_INTERFACE": group.interface,
        "LBCTL_VHID": str(group.vhid),
        "LBCTL_NODE": spec.node,
        "LBCTL_HOSTNAME": spec.hostname,
        "LBCTL_PEER": _peer(status, now),
        "LBCTL_FAULTS": "\n".join(map(str, faults)),
    }


def _part(status: Mapping[str, Any], group: GroupSpec) -> Mapping[str, Any]:
    """What status says of *group*; the first one's stands at the top."""
    parts = [one for one in status.get("groups") or () if one.get("vhid") == group.vhid]
    found: Mapping[str, Any] = parts[0] if parts else {}
    top = status if status.get("vhid") == group.vhid else {}
    return {"faults": status.get("faults", ()), **top, **found}


def _peer(status: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The other node's address: whom it greets, else whom it hears; empty: nobody is known."""
    for one in (*(status.get("peers") or ()), now.get("peer") or {}):
        if address := one.get("address") or one.get("source"):
            return str(address)
    return ""


class HookRunner:
    """Runs what stands in ``hooks.d`` when it must; ``run`` lives as long as the agent does."""

    def __init__(
        self, spec: BundleSpec, vipd: Status, note: Note, *, limit_s: float = LIMIT_S
    ) -> None:
        assert spec.group is not None
        self._spec = spec
        self._first_vhid = spec.group.vhid
        self._vipd = vipd
        self._note = note
        self._limit_s = limit_s
        self._config = ConfigDir(Path(spec.config_dir))
        self._waiting: dict[int, Transition] = {}
        self._news = asyncio.Event()
        self._is_ending = False
        self._faults: tuple[str, ...] | None = None

    def resume(self, events: Iterable[Event]) -> None:
        """Take up what an earlier life of this process has left undone."""
        for transition in missed(events, self._spec):
            self._put(transition)

    def offer(self, event: Event) -> None:
        """vipd has told of something; returns at once."""
        if (transition := transition_of(event, self._first_vhid)) is not None:
            self._put(transition)

    def _put(self, transition: Transition) -> None:
        if transition.event == "fault":
            if transition.faults == self._faults:
                # Every group tells of what is wrong with the node.
                return
            self._faults = transition.faults
        # Taken out first: the newest of all is the last in line.
        self._waiting.pop(transition.key, None)
        self._waiting[transition.key] = transition
        self._news.set()

    async def run(self) -> None:
        """One transition after the other, for ever."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                transition = self._waiting.pop(next(iter(self._waiting)))
                programs = self._programs(transition.event)
                status = await self._status_at(transition) if programs else None
                if status is not None:
                    await self._run_all(programs, transition, status)

    def _programs(self, event: str) -> tuple[Path, ...]:
        try:
            return self._config.hooks(event)
        except OSError as error:
            log.warning("%s: %s: no program is run", self._config.hooks_d / event, error)
            return ()

    async def _status_at(self, transition: Transition) -> dict[str, Any] | None:
        """vipd's status, empty without an answer; None: *transition* is not the newest."""
        give_up_at = time.monotonic() + NEWER_WITHIN_S
        while True:
            status: dict[str, Any] = {}
            with suppress(VipdError):
                status = await self._vipd.status(limit_s=STATUS_LIMIT_S)
            if transition.key in self._waiting:
                return None
            group = next((g for g in self._spec.groups if g.vhid == transition.vhid), None)
            role = _part(status, group).get("role") if group else None
            if role not in _EVENT_OF or transition.role in ("", role):
                return status
            if time.monotonic() > give_up_at:
                text = "%s of vhid %d is not run: vipd says that the role is %s by now"
                log.warning(text, transition.event, transition.vhid, role)
                return None
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_ASK_AGAIN_S):
                    await self._news.wait()

    async def _run_all(
        self, programs: tuple[Path, ...], transition: Transition, status: Mapping[str, Any]
    ) -> None:
        words = command.minimal_environment(environment(transition, self._spec, status))
        for left, program in zip(range(len(programs) - 1, -1, -1), programs, strict=True):
            how, fields = await self._run_one(program, words)
            more = {"event": transition.event, "vhid": transition.vhid}
            # One that this process took with it is not done: its next life takes it up.
            undone = {"left": left + self._is_ending, "of": transition.of, "of_at": transition.at}
            self._note(
                "hook", f"{program}: {how}", {"hook": str(program), **fields, **more, **undone}
            )
            if self._is_ending:
                raise asyncio.CancelledError

    async def _run_one(self, program: Path, words: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """How it ended, as words and as fields."""
        if not program.is_file() or not os.access(program, os.X_OK):
            return "not run: this user cannot execute it", {"code": None}
        running = asyncio.create_task(
            command.run([str(program)], words, limit_s=self._limit_s, keep_bytes=OUTPUT_BYTES)
        )
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            # The bundle stops: what says goodbye to others may have its moment.
            self._is_ending = True
            await asyncio.wait({running}, timeout=LAST_S)
            running.cancel()
            await asyncio.wait({running})
        return _outcome(running, self._limit_s)


def _outcome(running: asyncio.Task[command.Ended], limit_s: float) -> tuple[str, dict[str, Any]]:
    if running.cancelled():
        return "killed: the agent stops", {"code": None}
    if (error := running.exception()) is not None:
        return f"not run: {error}", {"code": None}
    ended = running.result()
    fields = {"code": ended.code, "took_s": round(ended.took_s, 3), "output": ended.output}
    return f"{ended.sentence(limit_s)} ({ended.took_s:.1f} s)", fields
