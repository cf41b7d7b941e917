"""Both hosts, and who holds which address, as tables on a terminal: what glance says, drawn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.markup import escape
from rich.table import Table

from lbctl.glance.cell import Cell, Tone, printable
from lbctl.glance.durations import duration, moment
from lbctl.glance.hosts import Group, Host, addresses

#: From here on there is room for moments and versions.
WIDE: Final = 110

_STYLES: Final[Mapping[Tone, str]] = {
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "mild": "cyan",
    "plain": "",
}


def styled(cell: Cell) -> str:
    """As rich's markup."""
    style, text = _STYLES[cell.tone], escape(printable(cell.text))
    return f"[{style}]{text}[/]" if style else text


def empty_table() -> Table:
    """The form of every table here."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def hosts_table(group: Group, width: int, now: float | None = None) -> Table:
    """One row a host, the one that was asked first."""
    when, is_wide = time.time() if now is None else now, width >= WIDE
    table = empty_table()
    table.add_column("host", overflow="fold", min_width=6)
    table.add_column("role", no_wrap=True)
    table.add_column("since" if is_wide else "for", no_wrap=is_wide)
    table.add_column("holds", overflow="fold", min_width=6)
    table.add_column("health", overflow="fold")
    table.add_column("heard", overflow="fold")
    if is_wide:
        table.add_column("lbctl", overflow="fold")
    for host in group.hosts:
        version = (styled(host.version),) if is_wide else ()
        table.add_row(*_cells(host, when, is_wide=is_wide), *version)
    return table


def addresses_table(status: Mapping[str, Any]) -> Table:
    """Each virtual address: who holds it, since when, and why it moved there."""
    table = empty_table()
    table.add_column("address", no_wrap=True)
    table.add_column("held by", overflow="fold")
    table.add_column("since", overflow="fold")
    table.add_column("why it moved there", overflow="fold", ratio=1)
    for one in addresses(status):
        since = "-" if one.since is None else moment(one.since)
        table.add_row(escape(one.text), styled(one.holder), since, escape(one.why))
    return table


def _cells(host: Host, now: float, *, is_wide: bool) -> tuple[str, ...]:
    name = escape(printable(host.name))
    heard = Cell("this host") if host.is_own else host.heard
    silent = Cell(host.name, "bad" if host.is_silent else "plain")
    return (
        f"[bold]{name}[/]" if host.is_own else styled(silent),
        f"[bold]{styled(host.role)}[/]",
        _since(host, now, is_wide=is_wide),
        styled(host.holds),
        styled(host.health),
        styled(heard),
    )


def _since(host: Host, now: float, *, is_wide: bool) -> str:
    if host.since is None:
        return "-"
    lasted = duration(max(0.0, now - host.since))
    return f"{moment(host.since)} ({lasted})" if is_wide else lasted
