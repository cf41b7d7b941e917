"""What each program of a bundle may do, and that a full run dir keeps no node from its role."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lbctl.lab.bundle import Node
from lbctl.lab.pair import Pair
from tests.pairs import Tell

pytestmark = pytest.mark.system

NET_BIND_SERVICE, NET_ADMIN, NET_RAW = 1 << 10, 1 << 12, 1 << 13
#: Program -> whether it is root, and the capabilities that it has (capability.h).
RIGHTS = {
    "haproxy-01": (False, NET_BIND_SERVICE),
    "nginx": (False, NET_BIND_SERVICE),
    "agent": (False, 0),
    "vipd": (True, NET_ADMIN | NET_RAW),
    "ucarp": (True, NET_ADMIN | NET_RAW),
    "logd": (True, 0),
}


def status_of(node: Node, program: str) -> dict[str, str]:
    text = Path(f"/proc/{node.pid_of(program)}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_each_program_has_the_rights_it_needs_and_no_more(pair: Pair) -> None:
    for node in pair.nodes:
        rights = {}
        for program in RIGHTS:
            status = status_of(node, program)
            rights[program] = (status["Uid"].split()[1] == "0", int(status["CapEff"], 16))

        assert rights == RIGHTS


#: Inside the node's own mount namespace: what is in the directory stays, and nothing more fits.
FILL = """
set -e
kept=$(mktemp -d)
cp -a "$0"/. "$kept"
mount -t tmpfs -o size=64k,mode=700 tmpfs "$0"
cp -a "$kept"/. "$0"
rm -r "$kept"
dd if=/dev/zero of="$0"/filler bs=512 2>/dev/null || true
"""


def test_a_full_run_dir_does_not_keep_the_vip_from_moving(pair: Pair, tell: Tell) -> None:
    master, backup = pair.wait_settled()
    inside = ["nsenter", "--mount", "--target", str(backup.pid_of("vipd"))]
    subprocess.run([*inside, "sh", "-c", FILL, str(backup.run_dir.ha)], check=True)
    with pair.probe() as probe:
        probe.wait_answers(20, 3)
        mark = probe.mark()
        master.command("handover")
        backup.wait_role("MASTER", 3)
        probe.wait_answers(20, 3)
        tell(f"handover to a node whose run dir is full: outage {probe.outage_ms(mark):.0f} ms")

        assert probe.outage_ms(mark) <= 1300
        assert "will not know this role" in backup.text()
