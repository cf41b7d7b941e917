"""
What the service manager is told of this node: whether it serves, and a line for people.

Nothing here decides anything: it reads what the agent and vipd say. A node that does not serve yet
is told of every second, since the start may take as long as somebody says how it goes; but the boot
of a host waits for it, so that after some minutes it counts as started, with what is wrong in its
line. Telling is the least that the agent does: whatever goes wrong with it ends nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lbctl.agent.agent import Agent
from lbctl.agent.status import VIPD_LIMIT_S, unready
from lbctl.errors import SupervisorError, VipdError

log = logging.getLogger(__name__)

EVERY_S = 1.0
#: Told again after so many turns without a change: a message may be lost.
AGAIN_TURNS = 10
#: From then on a node that runs and does not serve counts as started.
LATE_S = 180.0


class Manager(Protocol):
    """Whoever passes it on."""

    async def tell(self, status: str, *, is_ready: bool) -> bool:
        """
        Returns:
            Whether anybody listens.

        Raises:
            SupervisorError: it was not passed on, or nobody knows.
        """


async def tell_forever(
    agent: Agent, manager: Manager, *, every_s: float = EVERY_S, late_s: float = LATE_S
) -> None:
    """Tell every change; ends when nobody listens, and begins anew after a mistake of its own."""
    late_at = time.monotonic() + late_s
    while True:
        try:
            await _tell_changes(agent, manager, every_s, late_at)
            return
        except Exception:
            log.exception("the service manager is not told; next try in %g s", 10 * every_s)
            await asyncio.sleep(10 * every_s)


async def _tell_changes(agent: Agent, manager: Manager, every_s: float, late_at: float) -> None:
    told: tuple[bool, str] | None = None
    turns = 0
    while True:
        serves, line = await condition(agent)
        news = (serves or time.monotonic() >= late_at, line)
        turns += 1
        if news != told or not news[0] or turns >= AGAIN_TURNS:
            try:
                if not await manager.tell(news[1], is_ready=news[0]):
                    return
                told, turns = news, 0
            except SupervisorError as error:
                log.debug("the service manager was not told: %s; next try in a second", error)
        await asyncio.sleep(every_s)


async def condition(agent: Agent) -> tuple[bool, str]:
    """Whether this node serves, and how it is in one line."""
    reasons = unready(agent)
    if agent.vipd is None:
        count = len(agent.spec.processes)
        line = f"no virtual IP; HAProxy {agent.spec.haproxy_version}, {count} process(es)"
        return not reasons, sentence(line, (), reasons)
    try:
        ha = await agent.vipd.status(limit_s=VIPD_LIMIT_S)
    except VipdError as error:
        return False, sentence("role unknown", (), (str(error), *reasons))
    # Without a link it says nothing for as long as that lasts, and there is nothing to wait for.
    has_begun = ha["role"] != "INIT" or not ha["link_up"]
    return has_begun and not reasons, sentence(role_line(ha), ha["faults"], reasons)


def role_line(ha: Mapping[str, Any]) -> str:
    """``MASTER: holds 10.0.1.201/32``, ``BACKUP of 10.0.1.12`` ..., from vipd's status."""
    role = str(ha["role"])
    if not ha["link_up"]:
        return f"{role}: {ha['interface']} has no link"
    if role == "MASTER":
        missing = [entry["address"] for entry in ha["addresses"] if not entry["present"]]
        held = [entry["address"] for entry in ha["addresses"] if entry["present"]]
        words = [f"holds {', '.join(held)}"] if held else []
        words += [f"{', '.join(missing)} missing"] if missing else []
        return f"MASTER: {'; '.join(words)}"
    if role == "BACKUP":
        peer = ha["peer"]
        return f"BACKUP of {peer['source']}" if peer else "BACKUP: no other node heard"
    return f"{role}: not speaking yet"


def sentence(line: str, faults: Sequence[str], reasons: Sequence[str]) -> str:
    """The line, and behind it what is wrong; vipd and the agent may say the same."""
    unsaid = [reason for reason in reasons if reason not in faults]
    parts = [line, *(f"fault: {fault}" for fault in faults)]
    return "; ".join([*parts, *(f"not ready: {reason}" for reason in unsaid)])
