"""A node's status, drawn for people. Plain text when nobody looks at a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lbctl.cli.durations import duration, moment
from lbctl.cli.events import line_of
from lbctl.cli.hosts_view import addresses_table, groups_of, hosts_table, role_in_words
from lbctl.cli.others import is_on, others
from lbctl.cli.sources_view import sources_table

_STATE_STYLE = {"RUNNING": "green", "FATAL": "bold red", "BACKOFF": "red", "EXITED": "red"}
#: Findings that cost nothing as long as nothing else happens.
_MILD = {"configuration differs", "version differs", "clock differs", "state dir"}
_CARP_WORDS = {
    "sent": "{} advertisements sent",
    "transitions": "{} transitions",
}


def draw(status: Mapping[str, Any], console: Console) -> None:
    """Write *status*, as /v1/status has it, to *console*."""
    ha = status["ha"]
    console.print(_headline(status))
    for line in _loud(ha or {}):
        console.print(line)
    for warning in status["warnings"]:
        console.print(f"[yellow]! {escape(warning)}[/]")
    console.print(
        f"lbctl {escape(status['version'])}, node {escape(status['node'])}, "
        f"up {duration(status['uptime_s'])}"
    )
    if ha is not None:
        _draw_ha(status, ha, console)
    console.print()
    console.print(_programs(status["programs"]))
    console.print()
    if status["haproxy"]["processes"]:
        console.print(_processes(status["haproxy"]))
        console.print()
    if status.get("discovery"):
        console.print(sources_table(status["discovery"], time.time()))
        console.print()
    for event in status["events"]:
        console.print(escape(line_of(event)), style="dim", overflow="fold")


def _headline(status: Mapping[str, Any]) -> str:
    node = f"[bold]{escape(status['hostname'])}[/]"
    ha = status["ha"]
    if ha is None:
        role = "[bold red]role unknown[/]" if status["ha_error"] else "no virtual IP"
        return f"{node}  {role}"
    groups = groups_of(ha)
    if len(groups) > 1:
        held = [f"vhid {one.get('vhid')} {one.get('role')}" for one in groups]
        return f"{node}  {escape(', '.join(held))}"
    why = f": {escape(ha['why'])}" if ha.get("why") else ""
    return f"{node}  {role_in_words(ha, time.time())}{why}"


def _loud(ha: Mapping[str, Any]) -> Iterator[str]:
    """What must be seen first: findings, a pause, faults."""
    for finding in ha.get("findings") or ():
        kind, text = str(finding.get("kind")), str(finding.get("text"))
        if kind != "paused":
            style = "bold yellow" if kind in _MILD else "bold red"
            yield f"[{style}]!! {escape(kind)}: {escape(text)}[/]"
    paused = ha.get("paused")
    if isinstance(paused, Mapping) and is_on(paused):
        until = f", until {moment(paused['until'])}" if paused.get("until") else ""
        since = f" since {moment(paused['since'])}" if paused.get("since") else ""
        why = f": {paused['why']}" if paused.get("why") else ""
        text = escape(f"PAUSED by {paused.get('by') or '?'}{since}{until}{why}")
        yield f"[bold red]!! {text}; the addresses do not move, a dead master is not replaced[/]"
    faults = [str(fault) for group in groups_of(ha) for fault in group.get("faults") or ()]
    for fault in dict.fromkeys(faults):
        yield f"[bold red]! fault: {escape(fault)}[/]"


def _draw_ha(status: Mapping[str, Any], ha: Mapping[str, Any], console: Console) -> None:
    table = hosts_table(status)
    console.print()
    if table is not None:
        console.print(table)
        console.print()
    console.print(addresses_table(status))
    console.print()
    if table is None:
        greets = others(ha) is not None
        what = "none has greeted this one" if greets else "not known: they do not greet each other"
        if kin := ha.get("kin"):
            what = f"{escape(', '.join(map(str, kin)))} greets, and does not have this VIP and vhid"
        console.print(f"[yellow]other host: {what}[/]")
    for group in groups_of(ha):
        console.print(escape(_carp(group)))
        _draw_heard(group, console)
    if ha.get("scheduling"):
        console.print(escape(f"scheduling {ha['scheduling']}"))
    for line in _checks(ha.get("checks") or status.get("checks") or ()):
        console.print(f"[yellow]! {escape(line)}[/]")
    if ha.get("protection"):
        console.print(escape(str(ha["protection"])), style="dim")


def _checks(checks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Those that are not well; vipd knows one more state than the agent, which asks."""
    for check in checks:
        state = check.get("state") or ("well" if check.get("is_well") is True else "fault")
        if state != "well":
            yield f"check {check.get('name')}: {state}: {check.get('what') or 'no answer yet'}"


def _carp(group: Mapping[str, Any]) -> str:
    """``vhid 178 on eth0 (10.0.1.11), native, every 50 ms, dead after 0.15 s, advskew 0 ...``."""
    words = [
        f"vhid {group.get('vhid')} on {group.get('interface')} ({group.get('source')})",
        f"{group.get('engine')}",
        f"advskew {group.get('advskew')}",
    ]
    if group.get("interval_ms"):
        words.insert(-1, f"every {_interval(float(group['interval_ms']))}")
    if group.get("dead_time_s"):
        words.insert(-1, f"dead after {group['dead_time_s']:.3g} s")
    words += [form.format(group[key]) for key, form in _CARP_WORDS.items() if group.get(key)]
    if isinstance(loss := group.get("loss"), int | float) and loss > 0:
        words.append(f"{loss:.0%} of the peer's are lost")
    return ", ".join(words)


def _interval(ms: float) -> str:
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def _draw_heard(group: Mapping[str, Any], console: Console) -> None:
    console.print(f"peer: {_peer(group)}")
    refused = {why: count for why, count in (group.get("refused") or {}).items() if count}
    if refused:
        told = ", ".join(f"{count} x {why}" for why, count in refused.items())
        console.print(f"[yellow]refused advertisements: {escape(told)}[/]")


def _peer(ha: Mapping[str, Any]) -> str:
    peer = ha.get("peer")
    if peer is None:
        return "none heard (a BACKUP is silent)" if ha["role"] == "MASTER" else "none heard"
    return (
        f"{escape(peer['source'])}, advbase {peer['advbase']}, advskew {peer['advskew']}, "
        f"heard {duration(peer['seen_s_ago'])} ago"
    )


def _programs(programs: list[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
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
        show_edge=False,
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
