"""A node's status, drawn for people. Plain text when nobody looks at a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lbctl.cli.events import line_of
from lbctl.cli.hosts_view import addresses_table, empty_table, hosts_table, styled
from lbctl.cli.sources_view import sources_table
from lbctl.glance.cell import Cell
from lbctl.glance.durations import duration, moment
from lbctl.glance.hosts import Group, groups_of, hosts
from lbctl.glance.loud import headline, loud
from lbctl.glance.others import others
from lbctl.glance.programs import ProcessRow, ProgramRow, processes, programs

_CARP_WORDS: Final = {
    "sent": "{} advertisements sent",
    "transitions": "{} transitions",
}
_MARKS: Final = {"bad": "!! ", "warn": "! "}


def draw(status: Mapping[str, Any], console: Console) -> None:
    """Write *status*, as /v1/status has it, to *console*; what matters is its first paragraph."""
    groups = hosts(status)
    for group in groups:
        console.print(f"vhid {group.vhid}: {escape(', '.join(group.addresses))}", style="bold")
        console.print(hosts_table(group, console.width))
    for line in _footer(status, groups):
        console.print(line)
    if status["ha"] is not None:
        console.print()
        _draw_ha(status["ha"], console)
        console.print(addresses_table(status))
    console.print()
    console.print(_programs(programs(status)))
    for line in _processes(status["haproxy"], processes(status)):
        console.print(line)
    if status.get("discovery"):
        console.print()
        console.print(sources_table(status["discovery"], time.time()))
    console.print()
    for event in status["events"]:
        console.print(escape(line_of(event)), style="dim", overflow="fold")


def _footer(status: Mapping[str, Any], groups: tuple[Group, ...]) -> Iterator[str]:
    for cell in loud(status):
        yield styled(Cell(_MARKS.get(cell.tone, "") + cell.text, cell.tone))
    yield _headline(status)
    rest = [host for group in groups[:1] for host in group.hosts if not host.is_own]
    alike = [
        f"configuration of {escape(one.name)}: {styled(one.configuration)}"
        + (f", lbctl {styled(one.version)}" if one.version.tone == "warn" else "")
        for one in rest
    ]
    up = f"up {duration(status['uptime_s'])}"
    own = f"lbctl {escape(str(status['version']))}, node {escape(str(status['node']))}, {up}"
    yield ", ".join([own, *alike])


def _headline(status: Mapping[str, Any]) -> str:
    """``lb1  MASTER since 2026-11-20 14:03:07 (3 d 4 h): no other master heard``."""
    said = headline(status)
    line = f"[bold]{escape(status['hostname'])}[/]  {styled(said)}"
    ha = status["ha"]
    if ha is None or len(groups_of(ha)) > 1:
        return line
    since = ha.get("since")
    if isinstance(since, int | float) and since > 0:
        line += f" since {moment(since)} ({duration(max(0.0, time.time() - since))})"
    return line + (f": {escape(ha['why'])}" if ha.get("why") else "")


def _draw_ha(ha: Mapping[str, Any], console: Console) -> None:
    if not others(ha):
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
    if ha.get("protection"):
        console.print(escape(str(ha["protection"])), style="dim")
    console.print()


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


def _programs(rows: tuple[ProgramRow, ...]) -> Table:
    table = empty_table()
    for title in ("program", "state"):
        table.add_column(title)
    for title in ("pid", "up", "restarts"):
        table.add_column(title, justify="right")
    for one in rows:
        restarts = "?" if one.restarts is None else str(one.restarts)
        pid = str(one.pid or "-")
        table.add_row(escape(one.name), styled(one.state), pid, duration(one.up_s), restarts)
    return table


def _processes(haproxy: Mapping[str, Any], rows: tuple[ProcessRow, ...]) -> Iterator[str]:
    """One line when all of them answer, else one more for each that does not."""
    if not rows:
        return
    well = [one for one in rows if one.is_well]
    places = ", ".join(f"{one.listens} (CPU {one.cpu})" for one in well)
    count = f"{len(well)} of {len(rows)} processes answer"
    yield escape(f"HAProxy {haproxy['version']}: {count}{': ' if places else ''}{places}")
    for one in rows:
        if not one.is_well:
            what = f"process {one.number:02d} on {one.listens}: {one.answers.text}"
            yield styled(Cell(what, one.answers.tone))
