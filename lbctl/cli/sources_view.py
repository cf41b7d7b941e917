"""The sources of services, drawn for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from lbctl.glance.durations import duration

_STYLE = {"live": "green", "failing": "bold red", "doubted": "yellow", "starting": "yellow"}


def sources_table(states: Sequence[Mapping[str, Any]], now: float) -> Table:
    """As /v1/status has them under ``discovery``; *now* is the wall clock, seconds."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("source", "asked", "state"):
        table.add_column(title, overflow="fold")
    for title in ("services", "servers", "heard"):
        table.add_column(title, justify="right")
    for one in states:
        state, heard_at = str(one["state"]), one.get("heard_at")
        style = _STYLE.get(state, "")
        table.add_row(
            escape(str(one["source"])),
            escape(str(one["target"])),
            f"[{style}]{escape(state)}[/]" if style else escape(state),
            *_counts(one),
            "never" if not heard_at else f"{duration(max(0.0, now - heard_at))} ago",
        )
        if one.get("error"):
            table.add_row("", f"[yellow]{escape(str(one['error']))}[/]", "", "", "", "")
    return table


def _counts(state: Mapping[str, Any]) -> tuple[str, str]:
    """A hosts file has names in their place."""
    names, services = state.get("names"), state["services"]
    if names and not services:
        return f"{names} name{'' if names == 1 else 's'}", "-"
    return str(services), str(state["servers"])
