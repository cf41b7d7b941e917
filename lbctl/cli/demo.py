"""``lbctl demo``: two hosts, a client and two web servers on this machine, and their troubles."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from lbctl.errors import Problem, UsageError, ValidationError
from lbctl.lab.hosts import Lab, missing_programs
from lbctl.lab.live import stay
from lbctl.lab.pair import Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.story import Engine, Outcome, Step, steps
from lbctl.lab.wait import LabError

_NEEDED = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "hostname": "hostname",
    "haproxy": "haproxy",
    "nginx": "nginx",
    "ucarp": "ucarp",
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Play one round and end.")] = False,
    engine: Annotated[
        Engine, typer.Option("--engine", help="Who decides: ucarp, or vipd itself every 50 ms.")
    ] = Engine.UCARP,
) -> None:
    """Two hosts in network namespaces: the virtual IP moves, a client measures the outage."""
    _check(engine)
    console = Console()
    with _ended_by_signals(), Lab() as lab:
        try:
            outcomes = _show(console, lab, engine, once)
        finally:
            # Another Ctrl-C must not leave half a lab behind.
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
    _judge(outcomes)


def _show(console: Console, lab: Lab, engine: Engine, once: bool) -> list[Outcome]:
    hosts = ", ".join(f"{host.name} {host.address}" for host in lab.hosts.values())
    console.print(f"hosts in network namespaces: {hosts}", highlight=False, soft_wrap=True)
    pair = make_pair(lab)
    with pair.probe() as probe:
        outcomes = [_play(console, step, pair, probe) for step in steps(engine)]
        _summarise(console, engine, outcomes)
        if not once:
            with suppress(KeyboardInterrupt):
                stay(console, pair, probe)
            console.print("cleaning up")
    return outcomes


def _play(console: Console, step: Step, pair: Pair, probe: Probe) -> Outcome:
    try:
        with console.status(f"{step.title} ..."):
            outcome = step.play(pair, probe)
    except LabError as error:
        console.print(f"[red]✗[/] {step.title}")
        what = f"the virtual IP did not come back: {error}; the lab has been removed"
        raise ValidationError([Problem(f"demo: {step.title}", what)]) from error
    mark = "[green]✓[/]" if outcome.ok else "[red]✗[/]"
    console.print(
        f"{mark} {step.title}: {outcome.happened} ... {step.seen} {outcome.outage_ms:.0f} ms",
        highlight=False,
        soft_wrap=True,
    )
    return outcome


def _summarise(console: Console, engine: Engine, outcomes: Sequence[Outcome]) -> None:
    table = Table(title=f"what the client saw under {engine}: a new connection every 10 ms")
    table.add_column("step")
    for column in ("outage", "allowed", "requests", "without an answer"):
        table.add_column(column, justify="right")
    for one in outcomes:
        table.add_row(
            one.title,
            f"{one.outage_ms:.0f} ms",
            f"{one.bound_ms:.0f} ms",
            str(one.asked),
            str(one.failed),
            style=None if one.ok else "red",
        )
    console.print(table)


def _judge(outcomes: Sequence[Outcome]) -> None:
    problems = [
        Problem(
            f"demo: {one.title}",
            f"no answer for {one.outage_ms:.0f} ms, {one.bound_ms:.0f} ms are allowed",
        )
        for one in outcomes
        if not one.ok
    ]
    if problems:
        raise ValidationError(problems)


def _check(engine: Engine) -> None:
    if os.geteuid() != 0:
        message = "demo: making network namespaces needs root; run it with sudo"
        raise UsageError(message)
    needed = {one: package for one, package in _NEEDED.items() if one != "ucarp"}
    missing = missing_programs(_NEEDED if engine is Engine.UCARP else needed)
    if missing:
        raise ValidationError(
            Problem(program, f"not installed: apt-get install {package}, or make setup")
            for program, package in missing.items()
        )


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Whatever ends the demo, ends it through the lab's own clean-up."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
