"""A node without a peer whose up hook does not work: how long it takes, and that it serves on."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from lbctl.ha.hookwatch import HOOK_RETRY_S
from lbctl.lab.backend import serve
from lbctl.lab.bundle import Node
from lbctl.lab.pair import HAPROXY_CFG, PASSWORD, VIP
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.doors import door, put_door
from tests.pairs import DEAD_TIME_S, Tell, own_lab

pytestmark = pytest.mark.system

#: The dead time of a node with a fault: ucarp's ratio multiplies advskew / 256 too.
DEMOTED_S = 3 * (1 + 253 / 256)
#: Listening, dead time, the failure seen, once more as a demoted node, and two advertisements.
LONE_S = 3 + DEAD_TIME_S + 2.5 + DEMOTED_S + 2.5 + 2 + 1
OTHER_VIP = "10.0.1.202"


def test_lone_node_serves_on_although_its_up_hook_does_not_work(tell: Tell) -> None:
    """vipd does a hook's work when it has been demoted and nobody else has taken over."""
    with own_lab() as lab, ExitStack() as stack:
        for web in ("web1", "web2"):
            serve(lab[web])
        probes = {}
        # Each has a VIP of its own: two lone nodes in the time of one.
        for name, what, vip in (("a", "hang", VIP), ("b", "fail", OTHER_VIP)):
            node = Node(lab, lab[name])
            put_door(node)
            stack.enter_context(door(node, what))
            probes[what] = stack.enter_context(Probe(lab["client"], vip))
            node.start(vip, PASSWORD, haproxy_cfg=HAPROXY_CFG)
        began = time.monotonic_ns()
        served = {}
        for what, probe in probes.items():
            wait_until(lambda p=probe: p.successes(began), LONE_S + 2, "an answer")  # type: ignore[misc]
            served[what] = probe.successes(began)[0].end_ns
            tell(
                f"up hook would {what}, no peer: {(served[what] - began) / 1e9:.1f} s to an answer"
            )
            # Two seconds are for a busy machine; the figure is the one to hold against LONE_S.
            assert served[what] - began <= (LONE_S + 2) * 1e9
        # The fault, and with it the lone node's extra work, must not run out.
        steady = max(served.values()) + int((DEMOTED_S + HOOK_RETRY_S + 3) * 1e9)
        wait_until(lambda: time.monotonic_ns() > steady, 20, "the clock")
        for what, probe in probes.items():
            probe.wait_answers(20, 1)
            outage_ms = probe.outage_ms(served[what])
            tell(f"up hook would {what}, no peer, from then on: no answer for {outage_ms:.0f} ms")
            assert probe.failures(served[what]) == []
