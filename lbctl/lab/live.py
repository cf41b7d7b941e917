"""What the demo shows while it stays: both nodes and the client, as they are now."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lbctl.lab.bundle import Node
from lbctl.lab.pair import Pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import LabError

_WINDOW_S = 30


def stay(console: Console, pair: Pair, probe: Probe, every_s: float = 0.5) -> None:
    """Show the pair until Ctrl-C; only an exception ends it."""
    console.print(commands(pair), highlight=False, soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(Group(_nodes(pair), _client(pair, probe)), refresh=True)
            time.sleep(every_s)


def commands(pair: Pair) -> str:
    """The exact lines with which a second terminal can poke at the lab."""
    lbctl = Path(sys.executable).with_name("lbctl")
    a = pair.a
    on_a = f"ip netns exec {a.host.ns}"
    run_dir = f"--run-dir={a.run_dir.root}"
    port = f"ip -n {pair.lab.switch} link set dev {a.name}"
    lines = {
        "ask the virtual IP": f"ip netns exec {pair.client.ns} curl -si http://{pair.vip}/",
        "status of a": f"{on_a} {lbctl} status {run_dir}",
        "move it on purpose": f"{on_a} {lbctl} handover {run_dir}",
        "cut a off": f"{port} nomaster",
        "heal a": f"{port} master br0",
        "kill HAProxy on a": f"kill -9 $(pgrep -f {a.run_dir.haproxy}/proc-01.cfg)",
        "stop a as docker would": f"kill {a.process.pid}",
        "what a says": f"tail -f {a.process.log}",
    }
    width = max(map(len, lines))
    return "In another terminal, as root (the same for b):\n" + "\n".join(
        f"  {what:<{width}}  {line}" for what, line in lines.items()
    )


def _nodes(pair: Pair) -> Table:
    table = Table(title=f"virtual IP {pair.vip}      Ctrl-C ends it and cleans up")
    for column in ("node", "own address", "bundle", "role", "virtual addresses", "programs"):
        table.add_column(column)
    for node in pair.nodes:
        table.add_row(node.name, node.host.address, *_row(node))
    return table


def _row(node: Node) -> tuple[Text, Text, str, str]:
    running = node.process.is_running
    bundle = Text("runs", "green") if running else Text("ended", "red")
    own = (node.host.address, node.host.address6)
    held = _or_empty(
        lambda: ", ".join(
            one
            for one in node.addresses()
            if one.partition("/")[0] not in own and not one.startswith("fe80")
        )
    )
    role = _or_empty(node.role) if running else ""
    programs = _or_empty(lambda: _programs(node)) if running else ""
    return bundle, Text(role, "bold green" if role == "MASTER" else "cyan"), held, programs


def _programs(node: Node) -> str:
    states = [state for state, _ in node.programs().values()]
    return f"{states.count('RUNNING')} of {len(states)} run"


def _client(pair: Pair, probe: Probe) -> Table:
    now = time.monotonic_ns()
    since = now - _WINDOW_S * 1_000_000_000
    probe.forget(since)
    records = probe.records()
    answers = [record for record in records if record.ok]
    last = ", ".join(f"{one.node}/{one.web}" for one in answers[-4:]) or "none"
    second = [one for one in answers if one.end_ns > now - 1_000_000_000]
    reasons = probe.reasons(since)
    table = Table(title=f"client {pair.client.address}, the last {_WINDOW_S} s")
    for column in ("answers/s", "last answers (node/web)", "longest outage", "without an answer"):
        table.add_column(column)
    table.add_row(
        str(len(second)),
        last,
        f"{probe.outage_ms(max(since, records[0].start_ns)):.0f} ms" if records else "",
        ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none",
    )
    return table


def _or_empty(question: Callable[[], str]) -> str:
    try:
        return question()
    except LabError:
        return ""
