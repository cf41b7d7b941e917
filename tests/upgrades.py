"""lbctl of the version before beside this one, and a pair that is upgraded host by host."""

from __future__ import annotations

import contextlib
import json
import sys
import tarfile
import venv
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lbctl.lab import local
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.consuls import ConsulAgent

OLD_VERSION = "0.1.0"
_PACKED = Path(__file__).parent / "data" / f"lbctl-{OLD_VERSION}.tar.xz"

WEBS = {"w1": "10.0.1.101:80", "w2": "10.0.1.102:80"}
TOLD = {
    "table": "t",
    "running": [],
    "candidates": [
        {
            "serviceName": "told",
            "configMode": "path",
            "predicate": "/told",
            "containers": [{"id": "t1", "ip": WEBS["w1"]}],
        }
    ],
}


def install_old(directory: Path) -> tuple[str, ...]:
    """
    Install the version before into *directory*, which must not be there.

    Its daemons are started with ``python -I``, which hears of no PYTHONPATH: an environment it is.

    Returns:
        The command.
    """
    site = _environment(directory)
    with tarfile.open(_PACKED) as packed:
        packed.extractall(site)
    # -I here too: a checkout that is the working directory would come first.
    return (str(directory / "bin" / "python"), "-I", "-m", "lbctl")


def _environment(directory: Path) -> Path:
    """One without pip; the place of its packages, which come before those of this environment."""
    venv.create(directory, symlinks=True)
    major, minor = sys.version_info[:2]
    site = directory / "lib" / f"python{major}.{minor}" / "site-packages"
    # A line of a .pth file is a place behind this one; a checkout that is installed there is not.
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("".join(f"{path}\n" for path in libraries))
    return site


@dataclass(frozen=True, slots=True)
class Move:
    """
    One handover.

    Attributes:
        began: monotonic nanoseconds, before it was asked for.
        ended: when both had their new roles.
        outage_ms: longest time without an answer meanwhile.
        stall_ms: the same of the probe itself.
    """

    began: int
    ended: int
    outage_ms: float
    stall_ms: float


@dataclass(slots=True)
class Upgrade:
    """
    A pair that runs the version before, what it knows, and its way to this one.

    Attributes:
        first: MASTER at the beginning; upgraded last.
        second: BACKUP at the beginning; upgraded first.
        moves: the handovers so far.
    """

    pair: Pair
    old: tuple[str, ...]
    probe: Probe
    first: Node
    second: Node
    moves: list[Move] = field(default_factory=list)

    def replace(self, node: Node, lbctl: tuple[str, ...]) -> None:
        """Stop a BACKUP, and start it again with another version on the same directories."""
        node.stop()
        node.lbctl = lbctl
        self.pair.start_node(node)
        node.wait_role("BACKUP", 20)
        node.wait_running(within_s=20)
        other = self.first if node is self.second else self.second
        wait_until(lambda: peer(node) and peer(other), 5, "both to have heard each other")

    def hand_over(self, giver: Node, taker: Node) -> None:
        began = self.probe.mark()
        giver.command("handover")
        taker.wait_role("MASTER", 5)
        giver.wait_role("BACKUP", 5)
        self.probe.wait_answers(10, 5)
        ended = self.probe.mark()
        gaps = self.probe.outage_ms(began, ended), self.probe.stall_ms(began, ended)
        self.moves.append(Move(began, ended, *gaps))

    def lost_beside(self) -> list[str]:
        """What went wrong with requests that were made while nothing was handed over."""
        return [
            f"{record.outcome} at {(record.start_ns - self.moves[0].began) / 1e9:.3f} s"
            for record in self.probe.failures()
            if not any(move.began <= record.start_ns <= move.ended for move in self.moves)
        ]

    def lost_in_moves(self) -> list[int]:
        return [
            sum(move.began <= record.start_ns <= move.ended for record in self.probe.failures())
            for move in self.moves
        ]


def begin(lab: Lab, consul: ConsulAgent, old: tuple[str, ...], engine: str) -> Upgrade:
    """A pair of the version before, with all that a state dir can hold, under a client."""
    pair = make_pair(lab)
    for node in pair.nodes:
        node.lbctl = old
    web = {
        "name": "web",
        "route": {"path": "/"},
        "servers": [{"id": name, "address": address} for name, address in WEBS.items()],
    }
    ha = {"engine": engine, "greeting_port": 8112}
    pair.start(
        settings={"ha": ha, "services": [web], "discovery": {"consul": {"url": consul.url}}},
        haproxy_cfg=None,
    )
    for node in pair.nodes:
        node.wait_running(within_s=30)
    first, second = pair.wait_settled()
    for node in pair.nodes:
        node.command("server", "drain", "web/w2")
        tell(node, TOLD)
        wait_until(partial(_is_saved, node), 10, "all to be saved", seen=partial(servers, node))
    probe = Probe(pair.client, pair.vip, interval_ms=10, limit_ms=1000).start()
    return Upgrade(pair, old, probe, first, second)


def tell(node: Node, payload: object) -> None:
    """The registry of this node."""
    with contextlib.closing(local.UnixConnection(node.run_dir.api_socket, 10)) as connection:
        connection.request("POST", "/v1/registry", body=json.dumps(payload))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()


def _is_saved(node: Node) -> bool:
    saved = {path.stem for path in node.state_dir.discovery.glob("*.json")}
    return set(servers(node)) == {"web/w1", "web/w2", "told/t1", "found/f1"} and bool(saved)


def servers(node: Node) -> dict[str, tuple[str, str]]:
    """``service/server`` -> address and the operator's word for it."""
    answer = local.get_json(node.run_dir.api_socket, "/v1/services", timeout=5.0)
    return {
        f"{service['name']}/{server['id']}": (server["address"], server["admin"])
        for service in answer["services"]
        for server in service["servers"]
    }


def peer(node: Node) -> dict[str, Any] | None:
    """What *node* knows of the other one, fresh; None: nothing."""
    ha = node.status()["ha"]
    fresh = [one for one in ha["peers"] if one["is_fresh"]]
    return fresh[0] if fresh else None


def findings(node: Node) -> list[str]:
    return [one["kind"] for one in node.status()["ha"]["findings"]]


def events(node: Node) -> list[dict[str, Any]]:
    """All of the log in the state dir, by whichever version."""
    lines = node.state_dir.events.read_text().splitlines()
    return [json.loads(line) for line in lines]


def starts(node: Node) -> list[str]:
    """The versions that have started on it."""
    return [
        one["fields"]["version"]
        for one in events(node)
        if one["kind"] == "bundle" and "version" in one["fields"]
    ]


def answers(node: Node, lbctl: tuple[str, ...]) -> dict[str, int]:
    """Exit codes of the commands that only ask, those of *lbctl*, to the bundle that runs."""
    commands = ("status", "services", "stats", "events", "history", "config")
    codes = {}
    for command in commands:
        argv = [*lbctl, command, *node.directories]
        codes[command] = node.host.run(argv, check=False, timeout=20).returncode
    return codes
