"""
The operator's own part in a pair: what his checks find moves the addresses, and his programs run
after each move and in nobody's way.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lbctl.bundle.rpc import SupervisorClient
from lbctl.ha.checks import STANDS_S
from lbctl.ha.track import RECOVERY_S
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import VIP, Pair, make_pair
from lbctl.lab.wait import wait_until
from tests.pairs import Tell, faults, lbctl, wait_well
from tests.places import open_directory

pytestmark = pytest.mark.system

INTERVAL_S = 0.2
FALL = 2
#: From the fault to the move: the looks that it takes, a look's own limit, and a second for a busy
#: machine; nobody is waited for.
MOVED_WITHIN_S = FALL * INTERVAL_S + 1.0 + 1.0
#: A fault is over, and the agent has told so.
OVER_WITHIN_S = RECOVERY_S + 3.0
#: What a handover may cost here, whatever hooks there are.
HANDOVER_MS = 300.0

_CFG = """\
global
    maxconn 2000
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
frontend web
    bind :80
    monitor-uri /health
    monitor fail if { nbsrv(webs) lt 1 }
    http-request return status 200 content-type text/plain string ok hdr X-Node %[hostname]
frontend mail
    mode tcp
    bind 127.0.0.1:2525
    default_backend webs
backend webs
    server web1 10.0.1.101:80
"""

_HOOK = """\
#!/bin/sh
echo "$LBCTL_HOSTNAME $LBCTL_EVENT $LBCTL_WAS $LBCTL_ROLE $LBCTL_VIP $LBCTL_PEER" >>{said}
test ! -e {slow} || sleep 60
"""


def settings(root: Path) -> dict[str, Any]:
    look = {"interval_s": INTERVAL_S, "timeout_s": 1.0, "rise": 1, "fall": FALL}
    command = ["/bin/sh", "-c", f"echo disk full; test ! -e {root}/$LBCTL_HOSTNAME"]
    track = [
        "haproxy",
        {"name": "shop", "http": "http://127.0.0.1/health", **look},
        {"name": "mail", "tcp": "127.0.0.1:2525", **look},
        {"name": "disk", "command": command, **look},
        {"name": "uplink", "link": "eth9"},
        {"name": "pages", "program": "nginx"},
    ]
    ha = {"engine": "native", "advbase_ms": 100, "drain_s": 0, "track": track}
    return {"ha": ha, "haproxy": {"processes": 1}}


@dataclass(frozen=True, slots=True)
class Place:
    """A pair that checks, and a directory that its programs may write to."""

    pair: Pair
    root: Path

    @property
    def said(self) -> list[str]:
        """What the programs in hooks.d have written, on both nodes."""
        return (self.root / "said").read_text().splitlines()

    def sick(self, node: Node) -> Path:
        """While it exists the command fails there."""
        return self.root / node.name

    @property
    def slow(self) -> Path:
        """While it exists the programs in hooks.d hang."""
        return self.root / "slow"


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(name="place", scope="module")
def _place(lab: Lab) -> Iterator[Place]:
    with open_directory() as root:
        pair = make_pair(lab)
        place = Place(pair, root)
        (root / "said").touch()
        (root / "said").chmod(0o666)
        for node in pair.nodes:
            node.host.run(["ip", "link", "add", "eth9", "type", "veth", "peer", "name", "peer9"])
            node.host.run(["ip", "link", "set", "peer9", "up"])
            link(node, "up")
            for event in ("up", "down", "fault"):
                hook = node.config.hooks_d / event / "10-say"
                hook.parent.mkdir(parents=True)
                hook.write_text(_HOOK.format(said=root / "said", slow=place.slow))
                hook.chmod(0o755)
        pair.start(settings=settings(root), haproxy_cfg=_CFG)
        yield place


@pytest.fixture(name="well")
def _well(place: Place) -> tuple[Node, Node]:
    """(master, backup), every check well."""
    found = wait_well(place.pair)
    for node in found:
        wait_until(
            partial(states_are, node, "well"), OVER_WITHIN_S, f"{node.name}: checks are well"
        )
    return found


def states(node: Node) -> dict[str, str]:
    return {check["name"]: check["state"] for check in node.status()["ha"]["checks"]}


def states_are(node: Node, state: str, *names: str) -> bool:
    found = states(node)
    return bool(found) and {found[name] for name in names or found} == {state}


def haproxy(node: Node, words: str) -> None:
    """A word to HAProxy's Runtime API."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(str(node.run_dir.runtime_socket(1)))
        client.sendall(f"{words}\n".encode())
        assert client.recv(4096).strip() == b""


def supervisor(node: Node) -> SupervisorClient:
    return SupervisorClient(node.run_dir.supervisor_socket)


def link(node: Node, state: str) -> None:
    node.host.run(["ip", "link", "set", "eth9", state])


def hurt(place: Place, node: Node, name: str) -> Callable[[], object]:
    """Have the check *name* fail on *node*; returns what mends it."""
    match name:
        case "shop":
            haproxy(node, "disable server webs/web1")
            return partial(haproxy, node, "enable server webs/web1")
        case "mail":
            haproxy(node, "disable frontend mail")
            return partial(haproxy, node, "enable frontend mail")
        case "disk":
            place.sick(node).touch()
            return place.sick(node).unlink
        case "uplink":
            link(node, "down")
            return partial(link, node, "up")
    asyncio.run(supervisor(node).stop("nginx"))
    return lambda: asyncio.run(supervisor(node).start("nginx"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shop", "check shop: HTTP 503 from http://127.0.0.1/health"),
        ("mail", "check mail: 127.0.0.1:2525: Connection refused"),
        ("disk", "check disk: /bin/sh: exit 1: disk full"),
        ("uplink", "check uplink: eth9 has no link"),
        ("pages", "check pages: nginx is STOPPED"),
    ],
)
def test_a_check_that_fails_moves_the_addresses_and_recovers(
    place: Place, well: tuple[Node, Node], tell: Tell, name: str, words: str
) -> None:
    master, backup = well
    mend = hurt(place, master, name)
    try:
        took_s = wait_until_s(lambda: backup.role() == "MASTER", MOVED_WITHIN_S, "the move")
        tell(f"check {name} fails -> the other node is MASTER: {took_s * 1e3:.0f} ms")
        wait_until(lambda: faults(master) == [words], 2.0, "told", seen=lambda: str(faults(master)))
        assert states(master)[name] == "fault"
        assert words in lbctl(master, "status").stdout
        assert place.pair.holders() == {backup.host.mac}
    finally:
        mend()

    wait_until(lambda: not faults(master), OVER_WITHIN_S, "the fault is over")
    assert states_are(master, "well")
    assert backup.role() == "MASTER"


def wait_until_s(claim: Callable[[], bool], within_s: float, what: str) -> float:
    """Seconds until it held."""
    began = time.monotonic()
    wait_until(claim, within_s, what)
    return time.monotonic() - began


def test_a_stopped_agent_makes_its_checks_unknown_and_moves_nothing(
    place: Place, well: tuple[Node, Node]
) -> None:
    master, _ = well
    asked = ("shop", "mail", "disk")
    agent = master.pid_of("agent")
    os.kill(agent, signal.SIGSTOP)
    try:
        within_s = STANDS_S + 1.0
        wait_until(lambda: states_are(master, "unknown", *asked), within_s, "unknown")
        assert states_are(master, "well", "uplink", "pages")
        assert faults(master) == []
        assert master.role() == "MASTER"
    finally:
        os.kill(agent, signal.SIGCONT)

    wait_until(lambda: states_are(master, "well", *asked), 3.0, "known again")


def test_the_programs_of_the_operator_learn_of_a_move(
    place: Place, well: tuple[Node, Node]
) -> None:
    master, backup = well
    before = len(place.said)
    lbctl(master, "handover")

    went = f"{master.name} down MASTER BACKUP {VIP} {backup.host.address}"
    came = f"{backup.name} up BACKUP MASTER {VIP} {master.host.address}"
    wait_until(
        lambda: {went, came} <= set(place.said[before:]), 3.0, "both", seen=lambda: str(place.said)
    )
    hook = f"{backup.config.hooks_d}/up/10-say: exit 0"
    wait_until(lambda: hook in lbctl(backup, "events").stdout, 2.0, "noted")


def test_programs_that_hang_hold_up_neither_a_move_nor_a_stop(
    place: Place, well: tuple[Node, Node], tell: Tell
) -> None:
    master, backup = well
    before = len(place.said)
    place.slow.touch()
    try:
        with place.pair.probe() as probe:
            for giver in (master, backup, master):
                since = probe.mark()
                done = lbctl(giver, "handover")
                assert done.returncode == 0, done.stderr
                place.pair.wait_settled()
                probe.wait_answers(3, 3.0)
                outage_ms = probe.outage_ms(since)
                tell(f"handover with hooks that hang: {outage_ms:.0f} ms")
                assert outage_ms < HANDOVER_MS
            runs = [line for line in place.said[before:] if line.startswith(master.name)]
            assert len(runs) == 1, runs
            assert master.stop() == 0
    finally:
        place.slow.unlink()
    assert not pids_of(master.config.hooks_d)


def pids_of(directory: Path) -> list[int]:
    """Processes that run a program in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{directory}/".encode() in words:
                found.append(int(entry.name))
    return found
