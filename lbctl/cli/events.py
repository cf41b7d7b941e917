"""``lbctl events``: what happened on this node, and what happens."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from lbctl.cli.client import ApiClient
from lbctl.cli.durations import past
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import UnreachableError
from lbctl.glance.cell import printable
from lbctl.glance.durations import local, moment
from lbctl.layout import RunDir

#: An agent that was lost is waited for so long, and asked so often, seconds.
AWAY_S: Final = 60.0
AGAIN_S: Final = 0.5


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    number: Annotated[int, typer.Option("--number", "-n", min=0, help="How many.")] = 20,
    kind: Annotated[
        str, typer.Option("--kind", metavar="role,config,...", help="Only events of these kinds.")
    ] = "",
    since: Annotated[
        str, typer.Option("--since", metavar="2h|DATE", help="No older ones: 2h, 7d, 2026-11-20.")
    ] = "",
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Print the last events of this node."""
    client = ApiClient(RunDir(run_dir))
    kinds = frozenset(word.strip() for word in kind.split(",") if word.strip())
    first = past("--since", since, time.time()) if since else 0.0
    known = client.get("/v1/events")
    found = [one for one in known if one["at"] >= first and (not kinds or one["kind"] in kinds)]
    _print(found if since else found[-number:] if number else [], json_output)
    if follow:
        last_id = known[-1]["id"] if known else 0
        news = _stream(client, last_id, lambda text: print(f"lbctl: {text}", file=sys.stderr))
        _print((one for one in news if not kinds or one["kind"] in kinds), json_output)


def line_of(event: Mapping[str, Any]) -> str:
    """``2026-11-20 14:03:07.123 role      BACKUP -> MASTER: ...``, in local time."""
    at = event["at"]
    when = local(at)
    ms = f".{when.microsecond // 1000:03d}" if when else ""
    return printable(f"{moment(at)}{ms} {event['kind']:<9} {event['text']}")


def _stream(
    client: ApiClient, last_id: int, say: Callable[[str], None]
) -> Iterator[Mapping[str, Any]]:
    """
    What comes, over restarts of the agent: from the event on that was told last.

    Raises:
        UnreachableError: it has not been back for AWAY_S.
    """
    lost_at: float | None = None

    def on_open() -> None:
        nonlocal lost_at
        if lost_at is not None:
            say("the agent is back")
            lost_at = None

    while True:
        try:
            for _, event in client.stream_events(f"/v1/events?since={last_id}", on_open):
                last_id = event["id"]
                yield event
            why = "the agent ended the stream of events"
        except UnreachableError as error:
            if lost_at is not None and time.monotonic() - lost_at > AWAY_S:
                raise
            why = str(error)
        if lost_at is None:
            lost_at = time.monotonic()
            say(f"{why}; asking again for {AWAY_S:g} s")
        time.sleep(AGAIN_S)


def _print(found: Iterable[Mapping[str, Any]], json_output: bool) -> None:
    for event in found:
        print(json.dumps(event) if json_output else line_of(event))
        sys.stdout.flush()
