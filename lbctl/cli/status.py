"""``lbctl status``: one glance at both hosts, as this node knows them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Any

import typer

from lbctl.agent.vipd import VipdClient
from lbctl.bundle.rpc import SupervisorClient
from lbctl.cli.client import ApiClient
from lbctl.cli.console import console
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.cli.status_view import draw
from lbctl.errors import SupervisorError, UnreachableError, VipdError
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramState
from lbctl.spec import ON_DEMAND, TASKS, read_spec

#: The agent answers within a third of a second, or hangs.
AGENT_S = 2.0
DIRECT_S = 1.0


def status(
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Show both hosts' roles, who holds the addresses, programs and the last events."""
    run = RunDir(run_dir)
    failure: UnreachableError | None = None
    try:
        answer = ApiClient(run).get("/v1/status", limit_s=AGENT_S)
    except UnreachableError as error:
        failure, answer = error, asyncio.run(_without_agent(run))
    if answer is not None:
        if json_output:
            typer.echo(json.dumps(answer, indent=2))
        else:
            draw(answer, console())
    if failure is not None:
        raise failure


async def _without_agent(run: RunDir) -> dict[str, Any] | None:
    """What vipd and supervisord say themselves; None: neither says anything."""
    try:
        spec = read_spec(run.spec)
    except UnreachableError:
        return None
    ha, ha_error = await _of_vipd(run) if spec.group else (None, None)
    try:
        states = await SupervisorClient(run.supervisor_socket).states()
    except SupervisorError:
        if ha is None:
            return None
        states = {}
    return {
        "version": spec.version,
        "node": spec.node,
        "hostname": spec.hostname,
        "started_at": spec.started_at,
        "uptime_s": max(0.0, time.time() - spec.started_at),
        "ha": ha,
        "ha_error": ha_error,
        "programs": [_as_row(one) for one in states.values() if _is_shown(one)],
        "haproxy": {
            "version": spec.haproxy_version,
            "model": spec.haproxy_model,
            "processes": [],
        },
        "digests": dict(spec.digests),
        "log": None,
        "warnings": ["the agent does not answer: this is what vipd and supervisord say themselves"],
        "events": [],
    }


async def _of_vipd(run: RunDir) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return await VipdClient(run.vipd_socket).status(limit_s=DIRECT_S), None
    except VipdError as error:
        return None, str(error)


def _is_shown(program: Program) -> bool:
    is_wanted = program.name not in ON_DEMAND or program.state is not ProgramState.STOPPED
    return is_wanted and program.name not in TASKS


def _as_row(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "group": program.group,
        "state": program.state.value,
        "pid": program.pid,
        "since": program.since,
        "uptime_s": max(0.0, time.time() - program.since) if program.pid else None,
        "restarts": None,
    }
