"""A node's status, drawn for people. Plain text when nobody looks at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lbctl.cli.events import line_of

_ROLE_STYLE = {"MASTER": "bold green", "BACKUP": "bold cyan", "INIT": "bold yellow"}
_STATE_STYLE = {"RUNNING": "green", "FATAL": "bold red", "BACKOFF": "red", "EXITED": "red"}


def draw(status: Mapping[str, Any], console: Console) -> None:
    """Write *status*, as /v1/status has it, to *console*."""
    console.print(_headline(status))
    console.print(
        f"lbctl {escape(status['version'])}, node {escape(status['node'])}, "
        f"up {duration(status['uptime_s'])}"
    )
    _draw_ha(status, console)
    for warning in status["warnings"]:
        console.print(f"[yellow]! {escape(warning)}[/]")
    console.print(_programs(status["programs"]))
    if status["haproxy"]["processes"]:
        console.print(_processes(status["haproxy"]))
    for event in status["events"]:
        console.print(escape(line_of(event)), style="dim", overflow="fold")


def duration(seconds: float | None) -> str:
    """``4.2 s``, ``3 m 20 s``, ``5 h 01 m``, ``12 d 3 h``; ``-`` for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _headline(status: Mapping[str, Any]) -> str:
    node = f"[bold]{escape(status['hostname'])}[/]"
    ha = status["ha"]
    if ha is None:
        role = "[bold red]role unknown[/]" if status["ha_error"] else "no virtual IP"
        return f"{node}  {role}"
    since = datetime.fromtimestamp(ha["since"]).astimezone()
    style = _ROLE_STYLE.get(ha["role"], "bold")
    why = f": {escape(ha['why'])}" if ha.get("why") else ""
    return f"{node}  [{style}]{ha['role']}[/] since {since:%Y-%m-%d %H:%M:%S}{why}"


def _draw_ha(status: Mapping[str, Any], console: Console) -> None:
    ha = status["ha"]
    if ha is None:
        return
    console.print(
        f"vhid {ha['vhid']} on {ha['interface']} ({ha['source']}), {ha['engine']}, "
        f"advskew {ha['advskew']}, {ha['transitions']} transitions"
    )
    for entry in ha["addresses"]:
        console.print(f"  {_address(entry, is_master=ha['role'] == 'MASTER')}")
    console.print(f"  peer: {_peer(ha)}")
    for fault in ha["faults"]:
        console.print(f"[bold red]  fault: {escape(fault)}[/]")
    refused = {why: count for why, count in (ha.get("refused") or {}).items() if count}
    if refused:
        told = ", ".join(f"{count} x {why}" for why, count in refused.items())
        console.print(f"[yellow]  refused advertisements: {escape(told)}[/]")


def _address(entry: Mapping[str, Any], *, is_master: bool) -> str:
    address = escape(entry["address"])
    if not entry["present"]:
        return f"[bold red]{address} is missing[/]" if is_master else f"{address} not here"
    lease_s = entry["lease_s"]
    lease = "without a lease" if lease_s is None else f"lease {lease_s:.0f} s"
    style = "green" if is_master else "bold red"
    return f"[{style}]{address} here, {lease}[/]"


def _peer(ha: Mapping[str, Any]) -> str:
    peer = ha.get("peer")
    if peer is None:
        return "none heard (a BACKUP is silent)" if ha["role"] == "MASTER" else "none heard"
    return (
        f"{escape(peer['source'])}, advbase {peer['advbase']}, advskew {peer['advskew']}, "
        f"heard {duration(peer['seen_s_ago'])} ago"
    )


def _programs(programs: list[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("program", "state"):
        table.add_column(title)
    for title in ("pid", "up", "restarts"):
        table.add_column(title, justify="right")
    for program in programs:
        style = _STATE_STYLE.get(program["state"], "")
        table.add_row(
            program["name"],
            f"[{style}]{program['state']}[/]" if style else program["state"],
            str(program["pid"] or "-"),
            duration(program["uptime_s"]),
            "?" if program["restarts"] is None else str(program["restarts"]),
        )
    return table


def _processes(haproxy: Mapping[str, Any]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"HAProxy {haproxy['version']}",
        title_justify="left",
    )
    for title in ("process", "cpu", "statistics", "answers"):
        table.add_column(title)
    for process in haproxy["processes"]:
        last = process["last_answer_s_ago"]
        silent = "never answered" if last is None else f"silent for {duration(last)}"
        table.add_row(
            f"{process['number']:02d}",
            "any" if process["cpu"] is None else str(process["cpu"]),
            process["stats"],
            "[green]yes[/]" if process["answers"] else f"[bold red]{silent}[/]",
        )
    return table
