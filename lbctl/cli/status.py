"""``lbctl status``: one glance at both hosts, as this node knows them."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

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
from lbctl.cli.screen import taken
from lbctl.cli.status_view import draw
from lbctl.errors import SupervisorError, UnreachableError, UsageError, VipdError
from lbctl.layout import RunDir
from lbctl.programs import Program, ProgramState
from lbctl.spec import ON_DEMAND, TASKS, read_spec

#: The agent answers within a third of a second, or hangs.
AGENT_S = 2.0
DIRECT_S = 1.0


def status(
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    watch_s: Annotated[
        float | None,
        typer.Option("--watch", "-w", metavar="SECONDS", min=0.5, help="Again and again."),
    ] = None,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Show both hosts' roles, who holds the addresses, programs and the last events."""
    run = RunDir(run_dir)
    if watch_s is not None:
        if json_output:
            message = "--json and --watch: one of them at a time; nothing was asked"
            raise UsageError(message)
        _watch(run, watch_s)
        return
    answer, failure = _ask(run)
    if answer is not None:
        if json_output:
            typer.echo(json.dumps(answer, indent=2))
        else:
            draw(answer, console())
    if failure is not None:
        raise failure


def _ask(run: RunDir) -> tuple[dict[str, Any] | None, UnreachableError | None]:
    """The node's status, and why the agent did not say it."""
    try:
        return ApiClient(run).get("/v1/status", limit_s=AGENT_S), None
    except UnreachableError as error:
        return asyncio.run(_without_agent(run)), error


def _watch(run: RunDir, every_s: float) -> None:
    """Until it is ended: on a terminal in place, else one status after the other."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        while True:
            print("\n".join(_frame(run, console())), end="\n\n", flush=True)
            time.sleep(every_s)
    with taken() as screen:
        asked_at, lines = 0.0, [""]
        while True:
            if time.monotonic() >= asked_at + every_s:
                asked_at, lines = time.monotonic(), _frame(run, console())
            height = shutil.get_terminal_size().lines
            screen.show(_fitting(lines, height), height)
            left_s = max(0.0, asked_at + every_s - time.monotonic())
            if set(screen.keys(left_s)) & {"q", "Q", "\x04"}:
                return


def _frame(run: RunDir, paper: Console) -> list[str]:
    """One status, or why there is none, in lines as they are on *paper*."""
    answer, failure = _ask(run)
    with paper.capture() as captured:
        if answer is not None:
            draw(answer, paper)
        if failure is not None:
            paper.print(f"[bold red]!! {escape(str(failure))}[/]")
    return captured.get().rstrip("\n").splitlines()


def _fitting(lines: list[str], height: int) -> list[str]:
    """What matters is at the top."""
    if len(lines) <= height:
        return lines
    return [*lines[: height - 1], f"... {len(lines) - height + 1} more lines; q quits"]


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
