"""Native pairs of other kinds: two groups, unicast peers, wrong clocks, and a CPU quota."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lbctl.lab.arp import holders
from lbctl.lab.bundle import LBCTL, Node
from lbctl.lab.hosts import Lab, run
from lbctl.lab.pair import ANSWERING_CFG, Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.fakes.shifted_clock import ShiftedClock
from tests.natives import (
    BUSY_MS,
    PLANNED_MS,
    SETTINGS,
    SILENT_MS,
    ha,
    is_ever,
    kinds,
    quiet,
    transitions,
    wait_found,
)
from tests.pairs import Tell, own_lab

pytestmark = pytest.mark.system

SECOND_VIP = "10.0.1.202"
FAILBACK_S = 1.0
#: With one HAProxy: what is looked at here is not it.
HAPROXY = {"processes": 1}


def native(**more: Any) -> dict[str, Any]:
    return {"ha": {**SETTINGS["ha"], **more}, "haproxy": HAPROXY}


def start(pair: Pair, settings: Mapping[str, Any]) -> None:
    for node in pair.nodes:
        node.configure(settings=settings[node.name], haproxy_cfg=ANSWERING_CFG)
        pair.start_node(node)


def told_ms(tell: Tell, probe: Probe, mark: int, what: str) -> float:
    """The outage since a mark, without what the machine did to the probe; tells it."""
    outage_ms, stall_ms = probe.outage_ms(mark), probe.stall_ms(mark)
    tell(f"{what}: no answer for {outage_ms:.0f} ms (probe held up {stall_ms:.0f})")
    return outage_ms - stall_ms - BUSY_MS


# Active/active.


def roles(node: Node) -> list[str]:
    """Of the first group and of the second."""
    return [group["role"] for group in ha(node)["groups"]]


def test_each_of_two_nodes_is_master_of_one_group_and_of_both_when_it_is_alone(
    tell: Tell,
) -> None:
    with own_lab() as lab:
        pair = make_pair(lab)
        second = {"addresses": [SECOND_VIP]}
        settings = {
            "a": native(failback_s=FAILBACK_S, groups=[{**second, "advskew": 100}]),
            "b": native(failback_s=FAILBACK_S, advskew=100, groups=[{**second, "advskew": 0}]),
        }
        start(pair, settings)
        wait_until(lambda: is_shared(pair), 8 + FAILBACK_S, "one group each", seen=lab.dump)
        with pair.probe() as first, Probe(pair.client, SECOND_VIP) as other:
            for probe in (first, other):
                probe.wait_answers(20, 2)
            mark = first.mark()
            lab.cut(pair.b.host)
            wait_until(lambda: roles(pair.a) == ["MASTER", "MASTER"], 1, "both groups at a")
            other.wait_answers(20, 2)
            assert told_ms(tell, other, mark, "second group, its host cut off") <= SILENT_MS
            assert told_ms(tell, first, mark, "first group, the other host cut off") <= PLANNED_MS
            assert {record.node for record in other.successes(mark)[-20:]} == {"a"}

            healed = first.mark()
            lab.heal(pair.b.host)
            wait_until(lambda: is_shared(pair), 3 + FAILBACK_S, "one group each again")
            for probe in (first, other):
                probe.wait_answers(20, 2)
                assert told_ms(tell, probe, healed, "healed") <= SILENT_MS


def is_shared(pair: Pair) -> bool:
    return (
        (roles(pair.a), roles(pair.b)) == (["MASTER", "BACKUP"], ["BACKUP", "MASTER"])
        and pair.holders() == {pair.a.host.mac}
        and holders(pair.client, SECOND_VIP) == {pair.b.host.mac}
    )


# Unicast.


def test_unicast_peers_need_no_multicast(tell: Tell) -> None:
    with own_lab() as lab:
        pair = make_pair(lab)
        without_multicast(lab)
        settings = {
            "a": native(peers=[pair.b.host.address]),
            "b": native(peers=[pair.a.host.address]),
        }
        start(pair, settings)
        master, backup = quiet(pair)
        with pair.probe() as probe:
            probe.wait_answers(20, 2)
            mark = probe.mark()
            assert master.command("handover")
            assert pair.wait_settled(2) == (backup, master)
            assert told_ms(tell, probe, mark, "unicast handover") <= PLANNED_MS

            mark = probe.mark()
            lab.cut(backup.host)
            wait_until(lambda: probe.failures(mark), 2, "the outage")
            probe.wait_answers(20, 2)
            assert told_ms(tell, probe, mark, "unicast, host cut off") <= SILENT_MS
            lab.heal(backup.host)
            assert pair.wait_settled(2)
            assert not kinds(pair.a) & {"multicast is lost"}


def without_multicast(lab: Lab) -> None:
    """Drop all IPv4 multicast on its way into and out of the switch's ports."""
    lines = ["add table netdev quiet"]
    for host in ("a", "b"):
        for hook in ("ingress", "egress"):
            where = f'type filter hook {hook} device "{host}" priority 1;'
            lines.append(f"add chain netdev quiet {hook}-{host} {{ {where} }}")
            lines.append(f"add rule netdev quiet {hook}-{host} ip daddr 224.0.0.0/4 drop")
    run(["ip", "netns", "exec", lab.switch, "nft", "-f", "-"], input="\n".join(lines) + "\n")


# Clocks.

HOUR_S = 3600.0


def test_a_clock_that_is_set_back_and_forth_moves_nothing(tell: Tell) -> None:
    with own_lab() as lab:
        clock = ShiftedClock(lab.directory)
        a, b = Node(lab, lab["a"], lbctl=clock.lbctl), Node(lab, lab["b"])
        pair = Pair(lab, a, b, lab["client"], lab["web1"], lab["web2"])
        start(pair, {"a": native(), "b": native(advskew=20)})
        assert quiet(pair) == (a, b)
        before = transitions(pair.nodes)
        with pair.probe() as probe:
            probe.wait_answers(20, 2)
            mark = probe.mark()
            for by_s in (HOUR_S, -HOUR_S, 0.0):
                clock.set(by_s)
                if by_s:
                    assert "3600 s" in wait_found(b, "clock differs")
                assert not is_ever(lambda: transitions(pair.nodes) != before, 1.0)
            assert told_ms(tell, probe, mark, "clock +-1 h while running") <= PLANNED_MS

            for by_s in (HOUR_S, -HOUR_S):
                # The other node has heard words of another time by then.
                a.stop()
                clock.set(by_s)
                pair.start_node(a)
                a.wait_role("MASTER", 8)
                assert pair.wait_settled(2) == (a, b)
            probe.wait_answers(20, 2)
            assert told_ms(tell, probe, mark, "clock +-1 h over restarts") <= SILENT_MS


# A CPU quota.

PERIOD_US = 100_000
#: As a container may have it while it starts, and then: less than what runs in it would take.
WIDE, NARROW = 1.0, 0.2
#: The shortest that a quota allows: 100 ms, three times.
SLOW_MS = 100
NARROW_FOR_S = 10.0


def test_a_cpu_quota_asks_for_a_longer_dead_time_and_with_it_nothing_moves(tell: Tell) -> None:
    with cgroups("a", "b") as groups, own_lab() as lab:
        a, b = (Node(lab, lab[name], lbctl=within(groups[name])) for name in ("a", "b"))
        pair = Pair(lab, a, b, lab["client"], lab["web1"], lab["web2"])
        a.configure(settings=native(), haproxy_cfg=ANSWERING_CFG)
        pair.start_node(a)
        assert a.process.popen.wait(10) == 13
        assert "ha.advbase_ms" in a.text()
        assert f"{SLOW_MS} or more" in a.text()

        slow = native(advbase_ms=SLOW_MS)
        start(pair, {"a": slow, "b": slow})
        quiet(pair)
        before = transitions(pair.nodes)
        for node in pair.nodes:
            node.host.spawn([*within(groups[node.name])[:-3], "yes"], log="/dev/null")
            limit(groups[node.name], NARROW)
        held_up = sum(map(throttled, groups.values()))
        moved = is_ever(lambda: transitions(pair.nodes) != before, NARROW_FOR_S)
        held_up = sum(map(throttled, groups.values())) - held_up
        periods = 2 * NARROW_FOR_S * 10
        tell(f"{NARROW} CPU each for {NARROW_FOR_S:g} s: held up {held_up} times in {periods:g}")
        for group in groups.values():
            limit(group, WIDE)
        assert not moved
        # Two hosts on one machine: how often depends on what else it does. The quota must bite.
    assert held_up > NARROW_FOR_S


def within(group: Path) -> tuple[str, ...]:
    """lbctl, run in a cgroup."""
    # `ip netns exec` hides what is mounted below /sys.
    base = group.parent
    mounted = f"mount -t cgroup2 none {base}"
    if base.name == "cpu":
        mounted = f"mount -t tmpfs none {base.parent} && mkdir {base}"
        mounted += f" && mount -t cgroup -o {controllers()} none {base}"
    script = f'{mounted} && echo $$ >{group}/cgroup.procs && exec "$@"'
    return ("sh", "-c", script, "sh", *LBCTL)


@contextmanager
def cgroups(*names: str) -> Iterator[dict[str, Path]]:
    """One for each name, of either version, limited already; empty again at the end."""
    root = Path("/sys/fs/cgroup")
    base = root / "cpu" if (root / "cpu/cgroup.procs").exists() else root
    if base == root:
        (root / "cgroup.subtree_control").write_text("+cpu")
    found = {name: base / f"lbctl-test-{os.getpid()}-{name}" for name in names}
    try:
        for group in found.values():
            group.mkdir()
            limit(group, WIDE)
        yield found
    finally:
        for group in found.values():
            wait_until(lambda group=group: is_removed(group), 5, f"{group} to be empty")  # type: ignore[misc]


def controllers() -> str:
    """What is in one hierarchy with the CPU, in version 1."""
    fields = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    (found,) = (names for _, names, _ in fields if "cpu" in names.split(","))
    return found


def is_removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


def limit(group: Path, cpus: float) -> None:
    quota_us = round(cpus * PERIOD_US)
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(quota_us))


def throttled(group: Path) -> int:
    """In how many periods the kernel has held it up."""
    lines = (group / "cpu.stat").read_text().splitlines()
    return int(dict(line.split() for line in lines)["nr_throttled"])
