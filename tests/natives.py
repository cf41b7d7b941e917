"""A pair with the native engine, between two tests and under its bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lbctl.lab import local
from lbctl.lab.bundle import Node
from lbctl.lab.pair import Pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import LabError, wait_until
from tests.fakes.wire import Wire
from tests.pairs import Tell, double_s, wait_well

INTERVAL_MS = 50
SETTINGS: dict[str, Any] = {"ha": {"engine": "native", "advbase_ms": INTERVAL_MS}}
#: dead_ratio 3: what a backup waits for a master that says nothing.
DEAD_S = 3 * INTERVAL_MS / 1000
#: No VIP for no longer than 3.5 intervals and 20 ms, whatever befalls the master.
SILENT_MS = 3.5 * INTERVAL_MS + 20
#: A move on purpose, or because every HAProxy process has died. A probe every 10 ms sees no less.
PLANNED_MS = 60.0
#: Two cores for two hosts, their clients and this: what a busy machine may add to any of it. The
#: probe's own stalls come on top.
BUSY_MS = 60.0
#: From the start of both nodes to the first answer: listening, programs, the dead time, a second.
START_S = 3.0 + 1.5 + DEAD_S + 1.0
#: A finding between the two nodes is named within this.
NAMED_S = 3.0
#: Listening, and two greetings.
KNOWN_S = 3.0 + 2.0 + 1.0
#: A stranger who has come and gone counts for so long.
QUIET_S = 22.0
#: ARP caches of the clients follow the winner within this.
REACHED_S = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Both nodes well, a client of the VIP, a neighbour who listens, a way to tell a figure."""

    pair: Pair
    master: Node
    backup: Node
    probe: Probe
    wire: Wire
    tell: Tell

    def outage(self, mark: int, bound_ms: float, what: str) -> bool:
        """
        Whether there was no gap longer than *bound_ms* since a mark; tells what there was.

        The machine's part is allowed for: ``BUSY_MS``, and what held up the probe itself.
        """
        outage_ms, stall_ms = self.probe.outage_ms(mark), self.probe.stall_ms(mark)
        failed = ", ".join(f"{count} {why}" for why, count in self.probe.reasons(mark).items())
        self.tell(
            f"{what}: no answer for {outage_ms:.0f} ms, bound {bound_ms:.0f} "
            f"({failed or 'none failed'}; probe held up {stall_ms:.0f})"
        )
        return outage_ms <= bound_ms + BUSY_MS + stall_ms

    def is_single(self, since: int, bound_s: float, what: str) -> bool:
        """Whether two machines answered for the VIP for at most *bound_s* since a mark."""
        doubled_s = double_s(self.wire.doubled(since))
        self.tell(f"{what}: two masters for {doubled_s * 1e3:.0f} ms, bound {bound_s * 1e3:.0f}")
        return doubled_s <= bound_s + BUSY_MS / 1000

    def reached(self, since: int) -> set[str]:
        """Who answers the client from a second after a mark on, over twenty answers."""
        from_ns = since + int(REACHED_S * 1e9)
        left_s = max(0.0, (from_ns - time.monotonic_ns()) / 1e9)
        wait_until(lambda: len(self.probe.successes(from_ns)) > 20, left_s + 1, "a second later")
        return {record.node for record in self.probe.successes(from_ns)}


def ha(node: Node) -> dict[str, Any]:
    """
    vipd's own status.

    Raises:
        LabError: it does not answer.
    """
    answer: dict[str, Any] = local.ask_line(node.run_dir.vipd_socket, {"op": "status"})["status"]
    return answer


def kinds(node: Node) -> set[str]:
    """What it finds wrong between the nodes."""
    return {finding["kind"] for finding in ha(node)["findings"]}


def transitions(nodes: Iterable[Node]) -> int:
    """Changes of role that these nodes have seen since their vipds started."""
    return sum(ha(node)["transitions"] for node in nodes)


def wait_found(node: Node, kind: str, within_s: float = NAMED_S) -> str:
    """
    Wait for a finding; returns its text.

    Raises:
        LabError: it is not named in time.
    """

    def text() -> str:
        found = [one["text"] for one in ha(node)["findings"] if one["kind"] == kind]
        return found[0] if found else ""

    return wait_until(
        text, within_s, f"{node.name} to find {kind}", seen=lambda: ha(node)["findings"]
    )


def knows_the_other(node: Node) -> bool:
    """Another node has greeted and answered."""
    return any(peer["is_fresh"] for peer in ha(node)["peers"])


def counts_on_the_other(node: Node) -> bool:
    """It has said that it can serve, which one that still listens cannot."""
    peers = [peer for peer in ha(node)["peers"] if peer["is_fresh"]]
    return any(group["can_serve"] for peer in peers for group in peer["groups"])


def acquainted(pair: Pair, within_s: float = 25.0) -> tuple[Node, Node]:
    """(master, backup) once both are well, and each knows that the other one can serve."""
    wait_well(pair, within_s)

    def alone() -> list[str]:
        return [node.name for node in pair.nodes if not counts_on_the_other(node)]

    wait_until(lambda: not alone(), KNOWN_S, "nodes that count on each other", seen=alone)
    return pair.wait_settled(5)


def quiet(pair: Pair, within_s: float = 25.0) -> tuple[Node, Node]:
    """The same, and they find nothing wrong any more: seconds after it was."""
    acquainted(pair, within_s)

    def wrong() -> list[str]:
        return [f"{node.name}: {kinds(node)}" for node in pair.nodes if kinds(node)]

    wait_until(lambda: not wrong(), QUIET_S, "nothing wrong between the nodes", seen=wrong)
    return pair.wait_settled(5)


def quieted(stage: Stage) -> Stage:
    """The same, for a test that looks at what is found."""
    assert quiet(stage.pair) == (stage.master, stage.backup)
    stage.probe.forget(stage.probe.mark())
    return stage


def is_ever(claim: Callable[[], bool], for_s: float) -> bool:
    """Whether *claim* came true within a time that must pass in any case."""
    try:
        wait_until(claim, for_s, "what must not be")
    except LabError:
        return False
    return True
