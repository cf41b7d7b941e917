"""``lbctl handover``: the planned move of the virtual addresses to the other host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from lbctl.cli.client import ApiClient
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.layout import RunDir

#: The agent's own limit on it is shorter; it answers in any case.
LIMIT_S = 30.0


def handover(
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Give the addresses away even if nobody takes over: a gap of seconds.",
        ),
    ] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Move the virtual addresses to the other host. Long connections are cut."""
    answer = ApiClient(RunDir(run_dir)).post("/v1/handover", {"force": force}, limit_s=LIMIT_S)
    for line in in_words(answer["report"]):
        typer.echo(line)


def in_words(report: Mapping[str, Any]) -> list[str]:
    """What vipd reported, a line a step."""
    lines = []
    drained_s, left = report.get("drained_s") or 0.0, report.get("undrained") or 0
    if drained_s:
        lines.append(f"clients were waited for {drained_s:.1f} s; {left} connections were left")
    peer, took_ms = report.get("taken_over_by"), report.get("takeover_ms")
    if peer:
        lines.append(f"{peer} took over" + (f" after {took_ms:.0f} ms" if took_ms else ""))
    else:
        lines.append("nobody took over")
    lines.append(f"{report.get('destroyed') or 0} connections were reset")
    off_ms = report.get("off_ms")
    if report.get("left", True):
        when = f" {off_ms:.1f} ms later" if off_ms is not None else ""
        lines.append(f"this node gave the addresses away{when}")
    else:
        lines.append("this node keeps the addresses")
    return lines
