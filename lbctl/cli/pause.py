"""``lbctl pause`` and ``lbctl resume``: while people work, the virtual addresses do not move."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from lbctl.cli.client import ApiClient
from lbctl.cli.durations import seconds_of
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import UnreachableError, UsageError
from lbctl.glance.durations import duration, moment
from lbctl.glance.others import Other, is_on, others
from lbctl.layout import RunDir

#: The nodes greet each other once a second, and at once after a change.
TOLD_S = 3.0
_LOOK_S = 0.1
#: As the API has it.
LONGEST_S = 30 * 86400.0
MEANING = (
    "until then the addresses stay where they are: no fault and no better host moves them, and a "
    "master that dies is NOT replaced"
)


def pause(
    words: Annotated[list[str] | None, typer.Argument(metavar="[WHY]", help="A reason.")] = None,
    long: Annotated[
        str, typer.Option("--for", metavar="2h", help="Ends by itself after this: 30m, 2h, 1d.")
    ] = "",
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Keep the virtual addresses where they are, on both hosts, until `lbctl resume`."""
    for_s = seconds_of("--for", long) if long else None
    if for_s is not None and not 1 <= for_s <= LONGEST_S:
        message = f"--for {long}: 1 s to {duration(LONGEST_S)}; without --for it does not end"
        raise UsageError(message)
    client = ApiClient(RunDir(run_dir))
    why = " ".join(words or ())
    answer = client.post("/v1/pause", {"why": why, "for_s": for_s})
    until = "until `lbctl resume`" if for_s is None else f"until {moment(time.time() + for_s)}"
    typer.echo(f"paused by {answer.get('by')}, {until}{f': {why}' if why else ''}")
    _tell_where(client, is_paused=True)
    typer.echo(MEANING)
    typer.echo("`lbctl resume` on either host ends it")


def resume(
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """End a pause, on both hosts."""
    client = ApiClient(RunDir(run_dir))
    was = _ha(client).get("paused")
    client.post("/v1/resume", {})
    if isinstance(was, Mapping) and is_on(was):
        since = duration(max(0.0, time.time() - float(was["since"]))) if "since" in was else "?"
        typer.echo(f"resumed: it was paused by {was.get('by') or '?'} for {since}")
    else:
        typer.echo("resumed: this node knew of no pause")
    _tell_where(client, is_paused=False)


def _tell_where(client: ApiClient, *, is_paused: bool) -> None:
    for line in where(lambda: client.get("/v1/status"), is_paused=is_paused, limit_s=TOLD_S):
        typer.echo(line)


def where(
    ask: Callable[[], Mapping[str, Any]],
    *,
    is_paused: bool,
    limit_s: float,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> list[str]:
    """
    Which nodes know of it, a line for each group of them; asks until all do, or *limit_s* is over.

    Raises:
        UnreachableError: vipd does not answer any more.
    """
    until = clock() + limit_s
    while True:
        status = ask()
        ha = status.get("ha")
        if ha is None:
            message = f"{status.get('ha_error') or 'no answer from vipd'}; whether it holds is open"
            raise UnreachableError(message)
        known = others(ha) or ()
        missing = [one for one in known if one.is_paused is not is_paused]
        if is_on(ha.get("paused")) is not is_paused:
            here = None
        else:
            here = f"{status.get('hostname')} (this node)"
        if (here and known and not missing) or clock() >= until:
            return _in_words(here, known, missing, is_paused=is_paused)
        wait(_LOOK_S)


def _in_words(
    here: str | None, known: Sequence[Other], missing: Sequence[Other], *, is_paused: bool
) -> list[str]:
    what = "it holds on" if is_paused else "it is over on"
    told = [here or "", *(one.name for one in known if one not in missing)]
    lines = [f"{what}: {', '.join(name for name in told if name)}"] if any(told) else []
    lines += [] if here else ["! this node does not show it yet: look with `lbctl status`"]
    lines += [
        f"! {one.name} has not confirmed within {TOLD_S:g} s: it learns it with the next greeting "
        "that reaches it"
        for one in missing
    ]
    if not known:
        verb = "pause" if is_paused else "resume"
        lines.append(
            f"! no other host is heard: if there is one, run `lbctl {verb}` there too, and look why"
        )
    return lines


def _ha(client: ApiClient) -> Mapping[str, Any]:
    ha: Mapping[str, Any] = client.get("/v1/status").get("ha") or {}
    return ha
