"""``lbctl events``: what happened on this node, and what happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer

from lbctl.cli.client import ApiClient
from lbctl.cli.durations import local, moment
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import UnreachableError
from lbctl.layout import RunDir


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    number: Annotated[int, typer.Option("--number", "-n", min=0, help="How many.")] = 20,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Print the last events of this node."""
    client = ApiClient(RunDir(run_dir))
    # One at least: the stream goes on after it.
    past = client.get(f"/v1/events?limit={max(number, 1)}")
    _print(past[-number:] if number else [], json_output)
    if follow:
        last_id = past[-1]["id"] if past else 0
        _print(_stream(client, last_id), json_output)


def line_of(event: Mapping[str, Any]) -> str:
    """``2026-11-20 14:03:07.123 role      BACKUP -> MASTER: ...``, in local time."""
    at = event["at"]
    when = local(at)
    ms = f".{when.microsecond // 1000:03d}" if when else ""
    return f"{moment(at)}{ms} {event['kind']:<9} {event['text']}"


def _stream(client: ApiClient, last_id: int) -> Iterator[Mapping[str, Any]]:
    yield from client.stream(f"/v1/events?since={last_id}")
    message = "the agent closed the stream of events: the bundle stops, or the agent starts afresh"
    raise UnreachableError(message)


def _print(found: Iterable[Mapping[str, Any]], json_output: bool) -> None:
    for event in found:
        print(json.dumps(event) if json_output else line_of(event))
        sys.stdout.flush()
