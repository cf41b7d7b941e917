"""What the agent says when asked: its state as plain values that JSON can hold."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lbctl.agent.agent import Agent
from lbctl.agent.table import Row
from lbctl.discovery.state import state_to_plain
from lbctl.errors import RuntimeApiError, VipdError
from lbctl.haproxy.runtime import UnixRuntime
from lbctl.haproxy.stats import merge, numbered
from lbctl.haproxy.table import Table
from lbctl.model.address import bracketed
from lbctl.programs import ProgramState
from lbctl.spec import ON_DEMAND, HaproxyProcess

#: A status must come soon, whatever vipd does; a busy host needs more than a moment.
VIPD_LIMIT_S = 1.0
EVENTS_SHOWN = 10


async def status(agent: Agent) -> dict[str, Any]:
    """Everything at a glance; ends within VIPD_LIMIT_S."""
    spec = agent.spec
    ha, ha_error = await _ha(agent)
    counters = _log_counters(agent)
    return {
        "version": spec.version,
        "node": spec.node,
        "hostname": spec.hostname,
        "started_at": spec.started_at,
        "uptime_s": round(max(0.0, time.time() - spec.started_at), 3),
        "ha": ha,
        "ha_error": ha_error,
        "checks": agent.checks.as_list(),
        "programs": [_program(agent, row) for row in agent.table.rows.values() if _counts(row)],
        "haproxy": {
            "version": spec.haproxy_version,
            "model": spec.haproxy_model,
            "processes": [_process(agent, process) for process in spec.processes],
        },
        "discovery": [state_to_plain(one) for one in agent.sources.states()],
        "apply": agent.follower.status(),
        "digests": dict(spec.digests),
        "log": counters,
        "warnings": [
            *_warnings(agent, counters),
            *agent.follower.warnings(),
            *agent.inputs.warnings(),
            *agent.sources.warnings(),
            *agent.trouble.values(),
            *([ha_error] if ha_error else []),
        ],
        "events": [asdict(event) for event in agent.events.last(EVENTS_SHOWN)],
    }


def unready(agent: Agent) -> tuple[str, ...]:
    """Why this node cannot serve; empty: it can."""
    reasons = []
    if agent.table.is_stopping:
        reasons.append("the bundle stops")
    if not any(health.answers for health in agent.hang.health_by_number.values()):
        reasons.append("no HAProxy process answers")
    if "nginx" in agent.spec.programs and not agent.table.is_running("nginx"):
        reasons.append(f"nginx is {agent.table.rows['nginx'].state}")
    reasons += [f"{source}: not heard yet" for source in agent.sources.unheard()]
    return tuple(reasons)


async def stats(agent: Agent) -> tuple[Table, tuple[str, ...]]:
    """
    The statistics of all processes as one table, and what went wrong with some of them.

    With thousands of servers that is the work of a second: it is done in a thread.

    Raises:
        RuntimeApiError: none of them answered.
    """
    processes = agent.spec.processes
    # One at a time: it takes a hundred megabytes.
    async with agent.stats_turn:
        texts = await asyncio.gather(*(_stats_of(process) for process in processes))
        return await asyncio.to_thread(_merged, processes, texts)


async def _stats_of(process: HaproxyProcess) -> str | RuntimeApiError:
    try:
        return await UnixRuntime(process.socket).ask("show stat")
    except RuntimeApiError as error:
        return error


def _merged(
    processes: Sequence[HaproxyProcess], texts: Sequence[str | RuntimeApiError]
) -> tuple[Table, tuple[str, ...]]:
    tables, errors = [], []
    for process, text in zip(processes, texts, strict=True):
        try:
            if isinstance(text, RuntimeApiError):
                raise text
            tables.append(numbered(Table.parse(text), process.number))
        except RuntimeApiError as error:
            errors.append(str(error))
    if not tables:
        message = "; ".join(errors) or "there is no HAProxy process"
        raise RuntimeApiError(message)
    return merge(tables), tuple(errors)


async def _ha(agent: Agent) -> tuple[dict[str, Any] | None, str | None]:
    if agent.vipd is None:
        return None, None
    try:
        return await agent.vipd.status(limit_s=VIPD_LIMIT_S), None
    except VipdError as error:
        return None, str(error)


def _counts(row: Row) -> bool:
    """One that runs only while it is wanted is no trouble without that."""
    return row.name not in ON_DEMAND or row.state is not ProgramState.STOPPED


def _program(agent: Agent, row: Row) -> dict[str, Any]:
    uptime_s = agent.table.uptime_s(row.name)
    return {
        "name": row.name,
        "group": row.group,
        "state": row.state.value,
        "pid": row.pid,
        "uptime_s": None if uptime_s is None else round(uptime_s, 3),
        "since": row.since,
        "restarts": row.restarts,
    }


def _process(agent: Agent, process: HaproxyProcess) -> dict[str, Any]:
    ago_s = agent.hang.last_answer_s_ago(process.number)
    return {
        "number": process.number,
        "program": process.program,
        "pid": agent.table.rows[process.program].pid,
        "cpu": process.cpu,
        "stats": f"{bracketed(process.stats_host)}:{process.stats_port}",
        "answers": agent.hang.health_by_number[process.number].answers,
        "last_answer_s_ago": None if ago_s is None else round(ago_s, 3),
    }


def _log_counters(agent: Agent) -> dict[str, Any] | None:
    """What logd counted; None: it has not written anything yet."""
    try:
        counters = json.loads(agent.run_dir.log_counters.read_bytes())
    except (OSError, ValueError):
        return None
    return counters if isinstance(counters, dict) else None


def _warnings(agent: Agent, counters: Mapping[str, Any] | None) -> Sequence[str]:
    found = [
        f"{row.name} is {row.state}"
        for row in agent.table.rows.values()
        if row.state in (ProgramState.BACKOFF, ProgramState.FATAL)
    ]
    for process in agent.hang.silent():
        if agent.table.is_running(process.program):
            health = agent.hang.health_by_number[process.number]
            what = "accepts nobody (at its maxconn?)" if health.is_full else "does not answer"
            found.append(f"{process.program} {what} on port {process.stats_port}")
    dropped = (counters or {}).get("dropped") or {}
    if lost := sum(dropped.values()):
        found.append(f"{lost} log lines were dropped while nobody read the output")
    if agent.events.error:
        found.append(f"events are kept in memory only: {agent.events.error}")
    return found
