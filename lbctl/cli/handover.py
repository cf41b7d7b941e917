"""``lbctl handover``: the planned move of the virtual addresses to the other host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lbctl.cli.client import ApiClient, NotDoneError
from lbctl.cli.console import console
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import LbctlError
from lbctl.layout import RunDir

#: The agent's own limit on it is shorter; it answers in any case.
LIMIT_S = 30.0


def handover(
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Even if no healthy peer is known or nobody takes over: a gap of seconds.",
        ),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Move the virtual addresses to the other host. Long connections are cut."""
    try:
        answer = ApiClient(RunDir(run_dir)).post("/v1/handover", {"force": force}, limit_s=LIMIT_S)
    except LbctlError as error:
        report = error.report if isinstance(error, NotDoneError) else {}
        if json_output:
            refusal = {"error": str(error), "code": error.exit_code, "report": report}
            typer.echo(json.dumps(refusal, indent=2))
        elif report:
            draw(report, console())
        raise
    if json_output:
        typer.echo(json.dumps(answer["report"], indent=2))
    else:
        draw(answer["report"], console())


def draw(report: Mapping[str, Any], paper: Console) -> None:
    """What vipd reported: a line a step with its time, and how it ended."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("step", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("what happened", overflow="fold")
    for step, took, what in steps(report):
        table.add_row(step, took, escape(what))
    paper.print(table)
    paper.print(escape(outcome(report)))


def steps(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Step, its time and what happened in it, in the order of a leaving."""
    drained_s, left = report.get("drained_s") or 0.0, report.get("undrained") or 0
    waited = f"{left} connections were left" if drained_s else "nothing to wait for"
    peer, off_ms = report.get("taken_over_by"), report.get("off_ms")
    taken = f"{peer} took over, from the first resignation on" if peer else "nobody took over"
    found = [
        ("drain", _ms(drained_s * 1000 if drained_s else None), waited),
        ("takeover", _ms(report.get("takeover_ms")), taken),
        ("reset", "-", f"{report.get('destroyed') or 0} connections"),
    ]
    if report.get("left", True):
        found.append(("addresses off", _ms(off_ms), "from the peer's first advertisement on"))
    return found


def outcome(report: Mapping[str, Any]) -> str:
    """The end of it, in one sentence."""
    peer = report.get("taken_over_by")
    if not report.get("left", True):
        return "this node keeps the addresses"
    if peer is None:
        return "this node gave the addresses away, and nobody has them"
    return f"{peer} has the addresses"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.{1 if value < 10 else 0}f} ms"
