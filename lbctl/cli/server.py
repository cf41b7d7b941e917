"""``lbctl server``: drain a server, take it out, put it back, weigh it: on all processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from lbctl.cli.client import ApiClient
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import UnreachableError, UsageError
from lbctl.layout import RunDir
from lbctl.model.target import AS_CONFIGURED

LIMIT_S = 15.0


class Wish(StrEnum):
    """What is wanted of it."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"
    WEIGHT = "weight"


def server(
    wish: Annotated[
        Wish,
        typer.Argument(
            help="drain: only those it knows; maint: nobody; ready: all; weight: its share."
        ),
    ],
    words: Annotated[
        list[str], typer.Argument(metavar="[N|default] BACKEND/SERVER", help="Which one.")
    ],
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Set a server's state or weight. It survives reloads and restarts, until it is set again."""
    name, weight = _read(wish, words)
    admin = None if wish is Wish.WEIGHT else wish.value
    body = {"server": name, "admin": admin, "weight": weight}
    answer = ApiClient(RunDir(run_dir)).post("/v1/server", body, limit_s=LIMIT_S)
    report = answer["report"]
    if json_output:
        typer.echo(json.dumps(report, indent=2))
    else:
        for line in lines(report):
            typer.echo(line)
    wrong = [*_differing(report, admin, weight)]
    if wrong:
        path = f"{report['backend']}/{report['server']}"
        message = f"{path}: {'; '.join(wrong)}: it is kept, and tried again"
        raise UnreachableError(message)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """One a process."""
    path = f"{report['backend']}/{report['server']}"
    for process in report["processes"]:
        if process["silence"] or process["admin"] is None:
            yield f"{process['program']}: {process['silence'] or 'has no such server'}"
            continue
        told = f"{process['admin']}, weight {process['weight']}, {process['state']}"
        yield f"{process['program']} ({process['number']:02d}): {path}: {told}"
    if report["error"]:
        yield f"! it does not survive the agent: {report['error']}"


def _read(wish: Wish, words: Sequence[str]) -> tuple[str, int | str | None]:
    if wish is not Wish.WEIGHT:
        if len(words) == 1:
            return words[0], None
        message = f"server {wish}: one BACKEND/SERVER is wanted, and {len(words)} were given"
        raise UsageError(message)
    numbers = [word for word in words if word.isdecimal() or word == AS_CONFIGURED]
    names = [word for word in words if word not in numbers]
    if len(numbers) != 1 or len(names) != 1:
        message = f"server weight: a number and a BACKEND/SERVER are wanted, not {' '.join(words)}"
        raise UsageError(message)
    return names[0], AS_CONFIGURED if numbers[0] == AS_CONFIGURED else int(numbers[0])


def _differing(
    report: Mapping[str, Any], admin: str | None, weight: int | str | None
) -> Iterator[str]:
    for process in report["processes"]:
        who = process["program"]
        if process["silence"]:
            yield f"{who} does not answer"
        elif admin is not None and process["admin"] != admin:
            yield f"{who} has it {process['admin'] or 'not at all'}"
        elif isinstance(weight, int) and process["weight"] != weight:
            yield f"{who} gives it the weight {process['weight']}"
