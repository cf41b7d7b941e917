"""
The node as it is now, in one value; and what differs between two of them.

``/v1/live`` sends it, the page is drawn from it; who it is sent to is in :mod:`viewers`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from lbctl.agent import ledger, traffic
from lbctl.agent.agent import Agent
from lbctl.agent.status import status

SHORTEST_S: Final = 2.0
LONGEST_S: Final = 30.0
#: Of one CPU.
SHARE: Final = 0.01
EVENTS_SHOWN: Final = 20

Plain = dict[str, Any]


async def picture(agent: Agent) -> Plain:
    """
    The whole of it: what ``snapshot`` says.

    Returns:
        ``at`` (wall clock, s), ``every_s``, ``cost_ms``; ``status`` as ``/v1/status``, without its
        events; ``events``: the last ones; ``traffic``, ``proxies`` (:mod:`lbctl.haproxy.proxies`)
        and ``silent``: why a process is not in them; ``history``: the last hour's points;
        ``ledger``: the last day's spans in which something was changed.
    """
    began = time.thread_time()
    said = await status(agent)
    del said["events"]
    events = [asdict(event) for event in agent.events.last(EVENTS_SHOWN)]
    own_s = time.thread_time() - began
    sample = await agent.sampler.sample()
    spans = await agent.book.spans(time.time())
    cost_s = own_s + sample.cost_s
    return {
        "at": sample.at,
        "every_s": pace(cost_s),
        "cost_ms": round(1000 * cost_s, 1),
        "status": said,
        "events": events,
        "traffic": dict(sample.traffic),
        "proxies": dict(sample.proxies),
        "silent": {str(number): why for number, why in sample.failures.items()},
        "history": traffic.as_plain(agent.traffic.points()),
        "ledger": ledger.as_plain(spans),
    }


def pace(cost_s: float) -> float:
    """From the begin of one turn to the next, seconds."""
    return round(min(max(SHORTEST_S, cost_s / SHARE), LONGEST_S), 1)


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> Plain:
    """
    What a ``change`` says: :func:`picture` without what is as it was, and without events.

    A proxy that is gone is None; ``ledger`` has the spans that differ, ``history`` the new points.
    """
    found: Plain = {key: now[key] for key in ("at", "every_s", "cost_ms")}
    parts = {
        "status": _changed(was["status"], now["status"]),
        "traffic": now["traffic"] if now["traffic"] != was["traffic"] else {},
        "proxies": _changed(was["proxies"], now["proxies"]),
        "ledger": [span for span in now["ledger"] if span not in was["ledger"]],
        "history": _newer(now["history"], was["history"]),
    }
    found |= {key: part for key, part in parts.items() if part}
    if now["silent"] != was["silent"]:
        found["silent"] = now["silent"]
    return found


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> Plain:
    found = {
        key: value
        for key, value in now.items()
        if (old := was.get(key)) is not value and old != value
    }
    return found | dict.fromkeys(was.keys() - now.keys())


def _newer(now: Mapping[str, list[Any]], was: Mapping[str, list[Any]]) -> Plain:
    last = was["at"][-1] if was["at"] else 0.0
    new = sum(at > last for at in now["at"])
    return {key: values[-new:] for key, values in now.items()} if new else {}
