"""``lbctl reload``: the operator's files read again, and brought in without a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
from lbctl.errors import Problem, ValidationError
from lbctl.layout import RunDir

#: Reading and judging, two reloads one after the other, nginx.
LIMIT_S = 60.0
_SHOWN = 10


def reload(
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Also what takes most of a service's servers away."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Reload HAProxy though its configuration is the same."),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Read lb.yaml, haproxy.cfg, nginx.d and certs again; no connection is refused meanwhile."""
    client = ApiClient(RunDir(run_dir))
    answer = client.post("/v1/reload", {"confirm": confirm, "force": force}, limit_s=LIMIT_S)
    if json_output:
        typer.echo(json.dumps(answer, indent=2))
    else:
        for line in lines(answer):
            typer.echo(line)
    if failures := [*_failures(answer)]:
        raise ValidationError(failures)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people."""
    yield _did(answer)
    if answer["waits_s"] is not None and not answer["failure"]:
        yield f"! HAProxy has yet to be reloaded, in {answer['waits_s']:.0f} s at the earliest"
    for reason in answer["reasons"][:_SHOWN]:
        yield f"  because {reason}"
    for step in answer["steps"][:_SHOWN]:
        yield f"  {step}"
    if (more := len(answer["steps"]) - _SHOWN) > 0:
        yield f"  and {more} more"
    for what in answer["pending"][:_SHOWN]:
        yield f"! pending: {what}"
    nginx = answer.get("nginx") or {"is_ok": True, "said": []}
    yield "nginx: reloaded" if nginx["is_ok"] else f"nginx: {'; '.join(nginx['said'])}"
    for held in answer["held"]:
        wants = "gone" if held["wants"] is None else f"{held['wants']} of {held['had']} servers"
        yield (
            f"! held back: {held['service']}: {wants}; it goes through in {held['left_s']:.0f} s, "
            "or with --confirm"
        )
    if answer["restart"]:
        yield f"! only a restart brings: {', '.join(answer['restart'])}"
    for warning in (*answer["warnings"], *answer["certificates"]):
        yield f"! {warning}"


def _did(answer: Mapping[str, Any]) -> str:
    took = f"{1000 * answer['took_s']:.0f} ms"
    match answer["did"]:
        case "nothing":
            is_all = not answer["held"] and answer["waits_s"] is None
            return f"HAProxy: nothing {'' if is_all else 'else '}has changed"
        case "runtime":
            return f"HAProxy: {_at_run_time(answer)}, no reload, {took}"
        case "reload":
            return f"HAProxy: reloaded in {took}"
    return "HAProxy: goes on with what it had"


def _at_run_time(answer: Mapping[str, Any]) -> str:
    match answer["commands"]:
        case 0:
            return "servers that go are still in use" if answer["pending"] else "its file changed"
        case 1:
            return "1 change at run time"
        case several:
            return f"{several} changes at run time"


def _failures(answer: Mapping[str, Any]) -> Iterator[Problem]:
    if answer["failure"]:
        yield Problem("haproxy", answer["failure"])
    for name in answer["left_out"]:
        yield Problem(f"service {name}", "refused, the rest is in force; `lbctl services` says why")
    nginx = answer.get("nginx")
    if nginx and not nginx["is_ok"] and "does not run" not in " ".join(nginx["said"]):
        yield Problem("nginx", "; ".join(nginx["said"]))
