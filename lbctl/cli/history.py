"""``lbctl history``: how roles and configuration changed on this node, and why; months of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from lbctl.agent.eventlog import Event
from lbctl.agent.history import KINDS, Span, read_history, spans
from lbctl.cli.client import ApiClient
from lbctl.cli.durations import past
from lbctl.cli.events import line_of
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import LbctlError, UnreachableError, UsageError
from lbctl.glance.durations import duration
from lbctl.layout import RunDir, StateDir

SHOWN = 50
_ALIVE_S = 1.0
_ENDS = {"known": "{}", "unseen": "at most {}: its end went unseen", "open": "{} so far"}


def history(
    since: Annotated[
        str, typer.Option("--since", metavar="7d|DATE", help="No older ones: 2h, 7d, 2026-11-20.")
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, help=f"The last so many; {SHOWN} without --since."),
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", metavar="role,config,...", help="Only events of these kinds.")
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Print roles, moves, faults and changes of the configuration, also when nothing runs."""
    now = time.time()
    first = past("--since", since, now) if since else 0.0
    state = StateDir(state_dir)
    if not state.root.is_dir():
        message = f"{state.root}: no such directory: no bundle has run with this --state-dir"
        raise UnreachableError(message)
    events, garbage = read_history(state)
    kinds = _kinds(kind, events)
    lasted = spans(events, now=now, is_running=_is_running(RunDir(run_dir)))
    found = [event for event in events if event.kind in kinds and event.at >= first]
    count = limit or (None if since else SHOWN)
    for event in found[-count:] if count else found:
        span = lasted.get(event.id)
        print(_as_json(event, span) if json_output else f"{line_of(asdict(event))}{_suffix(span)}")
    if garbage:
        what = f"{garbage} lines of {state.root}/*.jsonl are no events (torn or damaged): left out"
        print(f"lbctl: warning: {what}", file=sys.stderr)
    if not found and not json_output:
        print("nothing on record" + (" of that kind and time" if kind or since else " yet"))


def _kinds(asked: str, events: Sequence[Event]) -> frozenset[str]:
    if not asked:
        return KINDS
    kinds = frozenset(word.strip() for word in asked.split(",") if word.strip())
    known = KINDS | {event.kind for event in events}
    if unknown := sorted(kinds - known):
        message = f"--kind {', '.join(unknown)}: no such kind; there are {', '.join(sorted(known))}"
        raise UsageError(message)
    return kinds


def _is_running(run: RunDir) -> bool:
    try:
        ApiClient(run).get("/healthz", limit_s=_ALIVE_S)
    except LbctlError:
        return False
    return True


def _as_json(event: Event, span: Span | None) -> str:
    return json.dumps({**asdict(event), "lasted": None if span is None else asdict(span)})


def _suffix(span: Span | None) -> str:
    if span is None:
        return ""
    return f" ({span.role} for {_ENDS[span.end].format(duration(span.seconds))})"
