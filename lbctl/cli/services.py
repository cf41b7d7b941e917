"""``lbctl services``: what is balanced, and how each server does, on all processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

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
from lbctl.glance.figures import short
from lbctl.layout import RunDir

LIMIT_S = 15.0
_STYLE = {"up": "green", "down": "bold red", "drain": "yellow", "maint": "yellow"}


def services(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="This one alone, and what its servers do.")
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Show every service with its servers: state, weight, and what is held back or refused."""
    path = f"/v1/services?name={quote(name, safe='')}" if name else "/v1/services"
    answer = ApiClient(RunDir(run_dir)).get(path, limit_s=LIMIT_S)
    if json_output:
        typer.echo(json.dumps(answer, indent=2))
    else:
        draw(answer, console())


def draw(answer: Mapping[str, Any], paper: Console) -> None:
    """As /v1/services has it."""
    if not answer["services"]:
        what = "they come from lb.yaml (services:, discovery:), or from haproxy.cfg itself"
        paper.print(f"no services: {what}")
    elif _is_looked_at(answer):
        for service in answer["services"]:
            _draw_one(service, paper)
    else:
        paper.print(_table(answer))
    apply = answer["apply"]
    if apply["failure"]:
        paper.print(f"[bold red]! not applied: {escape(apply['failure']['what'])}[/]")
    for process in apply["processes"]:
        for what in process["pending"]:
            paper.print(f"[yellow]! {escape(process['program'])}: {escape(what)}[/]")
        if process["silence"]:
            paper.print(f"[red]! {escape(process['silence'])}[/]")


def _is_looked_at(answer: Mapping[str, Any]) -> bool:
    """Whether one service was asked for, and with it what its servers do."""
    return any("traffic" in row for one in answer["services"] for row in one["servers"])


def _draw_one(service: Mapping[str, Any], paper: Console) -> None:
    """A line for the service, then its servers: in 80 columns there is no room for it in each."""
    sources = ", ".join(service.get("sources") or ["-"])
    paper.print(f"[bold]{escape(service['name'])}[/], from {escape(sources)}")
    if service["state"] != "applied":
        paper.print(f"[yellow]{escape(service['state'])}: {escape(service['why'])}[/]")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("server", overflow="fold")
    table.add_column("address", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("admin", overflow="fold")
    for title in ("weight", "open", "rate/s", "5xx"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("check", overflow="fold")
    for row in service["servers"]:
        table.add_row(*_row(row))
    paper.print(table)


def _table(answer: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("service", "source", "server", "address", "state", "admin"):
        table.add_column(title, overflow="fold")
    table.add_column("weight", justify="right")
    for service in answer["services"]:
        name = escape(service["name"])
        if service["state"] != "applied":
            name += f"\n[yellow]{escape(service['state'])}: {escape(service['why'])}[/]"
        sources = escape(", ".join(service.get("sources") or ["-"]))
        rows = service["servers"] or [None]
        for row in rows:
            if row is None:
                table.add_row(name, sources, "-", "", "[yellow]no servers[/]", "", "")
            else:
                table.add_row(name, sources, *_row(row))
            name = sources = ""
    return table


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    gone = "" if row["is_wanted"] else " [yellow](goes)[/]"
    return (
        escape(row["server"]) + gone,
        escape(row["address"]),
        _styled(row["state"]),
        _styled(row["admin"]) + (f" [dim]by {escape(row['by'])}[/]" if row.get("by") else ""),
        row["weight"],
        *(_traffic(row["traffic"] or {}) if "traffic" in row else ()),
    )


def _traffic(doing: Mapping[str, Any]) -> tuple[str, ...]:
    check = " ".join(str(doing[key]) for key in ("check", "check_said") if doing.get(key))
    figures = (short(doing.get(key)) for key in ("sessions", "rate", "errors_5xx"))
    return (*figures, escape(check or "-"))


def _styled(word: str) -> str:
    style = _STYLE.get(word)
    return f"[{style}]{escape(word)}[/]" if style else escape(word)
