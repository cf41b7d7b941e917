"""
Programs that are killed, stopped, or cannot start, on a pair that serves.

One pair goes through all of it: each test begins with both nodes well and says which of them is
master; at the end nothing may have piled up. The bounds are those of the ucarp engine.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lbctl.lab.bundle import Node, children_of
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import VIP, Pair, make_pair
from lbctl.lab.probe import Probe
from lbctl.lab.process import pids_in
from lbctl.lab.wait import LabError, wait_until

pytestmark = pytest.mark.system

#: advbase 1 s, dead ratio 3.
DEAD_TIME_S = 3.0
#: No client of a healthy pair is without an answer for longer, whatever happened to the other node.
OUTAGE_MS = (DEAD_TIME_S + 1.0) * 1000
#: From then on at most one node holds the addresses.
SINGLE_AFTER_S = 4.0
#: What supervisord starts again in place costs clients no more, and does not move the addresses.
MENDED_MS = 1000.0
#: supervisord tries three times (1, 2 and 3 s apart); the agent again every 5 s.
GIVEN_UP_WITHIN_S = 12.0
REVIVED_WITHIN_S = 8.0
#: A fault is over after 5 s without a cause.
RECOVERED_WITHIN_S = 8.0
#: A backup that is better takes over when it has heard the master, up to 1 s late.
HEARD_WITHIN_S = 2.5

NGINX_PORT = 8080
NGINX_CONF = f"server {{ listen {NGINX_PORT}; location / {{ return 200; }} }}\n"
BROKEN = "this is no configuration;\n"


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    """One lab for all tests of this file; its name brings its dump into the report of a failure."""
    with Lab() as lab:
        yield lab


@pytest.fixture(name="pair", scope="module")
def _pair(lab: Lab) -> Pair:
    pair = make_pair(lab)
    for node in pair.nodes:
        node.config.nginx_d.mkdir()
        (node.config.nginx_d / "page.conf").write_text(NGINX_CONF)
    pair.start()
    pair.wait_settled()
    return pair


@pytest.fixture(name="probe", scope="module")
def _probe(pair: Pair) -> Iterator[Probe]:
    """A client of HAProxy on the VIP."""
    with pair.probe() as probe:
        yield probe


@pytest.fixture(name="page", scope="module")
def _page(pair: Pair) -> Iterator[Probe]:
    """A client of nginx on the VIP."""
    with Probe(pair.client, VIP, NGINX_PORT) as probe:
        yield probe


@dataclass(frozen=True, slots=True)
class Stage:
    """Both nodes well, and how to tell a figure, so that the log of CI shows it."""

    pair: Pair
    master: Node
    backup: Node
    tell: Callable[[str], None]


@pytest.fixture(name="stage")
def _stage(pair: Pair, probe: Probe, page: Probe, capsys: pytest.CaptureFixture[str]) -> Stage:
    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}")
            sys.stdout.flush()

    master, backup = wait_well(pair)
    for client in (probe, page):
        client.wait_answers(20, 2)
        client.forget(client.mark())
    return Stage(pair, master, backup, tell)


def wait_well(pair: Pair, within_s: float = 20.0) -> tuple[Node, Node]:
    """Wait for one MASTER, one BACKUP, no faults, and every program running."""

    def well() -> bool:
        return all(
            state == "RUNNING" for node in pair.nodes for state, _ in node.programs().values()
        ) and not any(faults(node) for node in pair.nodes)

    def seen() -> str:
        return "; ".join(f"{n.name}: {n.programs()} {faults(n)}" for n in pair.nodes)

    wait_until(well, within_s, "both nodes well", seen=seen)
    return pair.wait_settled(within_s)


def faults(node: Node) -> list[str]:
    """
    What vipd finds wrong.

    Raises:
        LabError: the status does not say.
    """
    ha = node.status()["ha"]
    if ha is None:
        message = f"{node.name}: no word of vipd in the status"
        raise LabError(message)
    return list(ha["faults"])


def row_of(node: Node, program: str) -> dict[str, Any]:
    """
    What the agent says of a program.

    Raises:
        LabError: it does not answer, or does not know the program.
    """
    for row in node.status()["programs"]:
        if row["name"] == program:
            return dict(row)
    message = f"{node.name}: no {program} in the status"
    raise LabError(message)


def restarts(node: Node, program: str) -> int:
    return int(row_of(node, program)["restarts"])


def haproxies(node: Node) -> list[str]:
    return sorted(name for name in node.programs() if name.startswith("haproxy-"))


def wait_back(node: Node, program: str, pid: int, count: int, within_s: float = 4.0) -> None:
    """Wait until a program runs with another pid, and the status counts the restart."""

    def back() -> bool:
        state, now = node.programs()[program]
        return state == "RUNNING" and now not in (0, pid) and restarts(node, program) == count + 1

    def seen() -> str:
        return f"{node.programs()[program]}, restarts {count} -> {restarts(node, program)}"

    wait_until(back, within_s, f"{program} back with another pid and one restart more", seen=seen)


def recovery_ms(probe: Probe, mark: int) -> float:
    """From *mark* to the end of the last request that failed; 0: none did."""
    return max((record.end_ns - mark for record in probe.failures(mark)), default=0) / 1e6


def watch_holders(stage: Stage, mark: int) -> None:
    """From ``SINGLE_AFTER_S`` after *mark* on, one node at most answers for the VIP, then one."""
    doubled_s = 0.0
    while (now_s := (time.monotonic_ns() - mark) / 1e9) < SINGLE_AFTER_S + 0.7:
        held = stage.pair.holders()
        if len(held) > 1:
            doubled_s = (time.monotonic_ns() - mark) / 1e9
        assert len(held) <= 1 or now_s < SINGLE_AFTER_S, f"{held} after {now_s:.2f} s"
    assert len(held) == 1
    stage.tell(f"two holders seen until {doubled_s:.2f} s after" if doubled_s else "never two seen")


def kill_everything(node: Node) -> None:
    """SIGKILL for each process on the host until none is left; vipd first, so that none resigns."""
    node.kill("vipd")
    node.process.signal(signal.SIGKILL)

    def gone() -> bool:
        signal_all(left := pids_in([node.host.ns]), signal.SIGKILL)
        return not left

    wait_until(gone, 2, f"the end of everything on {node.name}", every_s=0.001)


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


# Killed, and mended in place.


@pytest.mark.parametrize("program", ["vipd", "agent", "haproxy-01", "nginx", "logd"])
def test_killed_program_is_mended_in_place(
    stage: Stage, probe: Probe, page: Probe, program: str
) -> None:
    master = stage.master
    count = restarts(master, program)
    mark = probe.mark()
    pid = master.kill(program, whole=True)
    wait_back(master, program, pid, count)
    outage = max(client.outage_ms(mark) for client in (probe, page))
    moved = {record.node for record in probe.successes(mark)}
    failed = {**probe.reasons(mark), **page.reasons(mark)}
    stage.tell(f"kill -9 {program}: outage {outage:.0f} ms, failed: {failed or 'none'}")

    assert outage <= MENDED_MS
    assert moved == {master.name}
    assert stage.pair.holders() == {master.host.mac}
    assert faults(master) == []


def test_all_killed_haproxies_are_mended_in_place(stage: Stage, probe: Probe) -> None:
    master = stage.master
    counts = {program: restarts(master, program) for program in haproxies(master)}
    mark = probe.mark()
    pids = {program: master.kill(program, whole=True) for program in counts}
    for program, count in counts.items():
        wait_back(master, program, pids[program], count)
    stage.tell(f"kill -9 every haproxy: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= MENDED_MS
    assert {record.node for record in probe.successes(mark)} == {master.name}
    assert faults(master) == []


# Killed, and the peer takes over.


def test_killed_ucarp_leaves_one_holder(stage: Stage, probe: Probe) -> None:
    master = stage.master
    count = restarts(master, "ucarp")
    mark = probe.mark()
    pid = master.kill("ucarp")
    watch_holders(stage, mark)
    wait_back(master, "ucarp", pid, count)
    wait_well(stage.pair)
    stage.tell(f"kill -9 ucarp: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS


def test_killed_supervisord_takes_its_node_down_and_the_peer_serves(
    stage: Stage, probe: Probe
) -> None:
    master = stage.master
    mark = probe.mark()
    master.process.signal(signal.SIGKILL)
    wait_until(
        lambda: not pids_in([master.host.ns]),
        4,
        "the end of supervisord's children",
        seen=master.dump,
    )
    ended_s = (time.monotonic_ns() - mark) / 1e9
    watch_holders(stage, mark)
    stage.tell(
        f"kill -9 supervisord: outage {probe.outage_ms(mark):.0f} ms, all gone in {ended_s:.1f} s"
    )

    assert probe.outage_ms(mark) <= OUTAGE_MS
    assert stage.pair.holders() == {stage.backup.host.mac}

    stage.pair.start_node(master)
    assert wait_well(stage.pair) == (stage.backup, master)


def test_node_that_is_killed_whole_leaves_one_holder(stage: Stage, probe: Probe) -> None:
    master = stage.master
    mark = probe.mark()
    kill_everything(master)
    watch_holders(stage, mark)
    stage.tell(f"kill -9 everything: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS
    assert stage.pair.holders() == {stage.backup.host.mac}

    stage.pair.start_node(master)
    assert wait_well(stage.pair) == (stage.backup, master)


# Stopped: there, and saying nothing.


def test_stopped_ucarp_leaves_one_holder_and_one_master_when_it_goes_on(
    stage: Stage, probe: Probe
) -> None:
    mark = probe.mark()
    pid = stage.master.kill("ucarp", signal.SIGSTOP)
    watch_holders(stage, mark)
    stage.tell(f"SIGSTOP ucarp: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS

    again = probe.mark()
    signal_all([pid], signal.SIGCONT)
    stage.pair.wait_settled(4)
    watch_holders(stage, again)
    stage.tell(f"SIGCONT ucarp: outage {probe.outage_ms(again):.0f} ms")

    assert probe.outage_ms(again) <= OUTAGE_MS


def test_stopped_vipd_is_killed_and_the_vip_answers_again(stage: Stage, probe: Probe) -> None:
    master = stage.master
    count = restarts(master, "vipd")
    mark = probe.mark()
    pid = master.kill("vipd", signal.SIGSTOP)
    wait_back(master, "vipd", pid, count, within_s=6)
    probe.wait_answers(20, 1)
    stage.tell(f"SIGSTOP vipd: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS
    assert {record.node for record in probe.successes(mark)} == {master.name}
    assert "hang" in {event["kind"] for event in master.status()["events"]}


def test_stopped_haproxy_worker_is_killed_and_clients_recover(stage: Stage, probe: Probe) -> None:
    master = stage.master
    program = haproxies(master)[0]
    count, pid = restarts(master, program), master.pid_of(program)
    mark = probe.mark()
    signal_all(children_of(pid), signal.SIGSTOP)
    wait_back(master, program, pid, count, within_s=6)
    probe.wait_answers(100, 2)
    stage.tell(f"SIGSTOP one haproxy worker: clients fail until {recovery_ms(probe, mark):.0f} ms")

    assert 300 < recovery_ms(probe, mark) <= 4000
    assert {record.node for record in probe.successes(mark)} == {master.name}


def test_stopped_haproxies_are_killed_and_clients_recover(stage: Stage, probe: Probe) -> None:
    master = stage.master
    pids = {program: master.pid_of(program) for program in haproxies(master)}
    mark = probe.mark()
    for pid in pids.values():
        signal_all([pid, *children_of(pid)], signal.SIGSTOP)
    probe.wait_answers(100, 6)
    stage.tell(f"SIGSTOP every haproxy: clients fail until {recovery_ms(probe, mark):.0f} ms")

    assert 300 < recovery_ms(probe, mark) <= 4000
    assert all(master.pid_of(program) != pid for program, pid in pids.items())


# Cannot start any more.


def break_nginx(node: Node) -> None:
    (node.config.nginx_d / "broken.conf").write_text(BROKEN)
    node.kill("nginx", whole=True)


def mend_nginx(node: Node) -> None:
    (node.config.nginx_d / "broken.conf").unlink()


def wait_holder(stage: Stage, node: Node, within_s: float) -> None:
    wait_until(
        lambda: stage.pair.holders() == {node.host.mac},
        within_s,
        f"{node.name} to hold the VIP",
        seen=lambda: [(n.name, n.status()["ha"]) for n in stage.pair.nodes],
    )


def test_healthy_node_holds_the_vip_and_of_two_faulty_ones_the_lesser(
    stage: Stage, probe: Probe
) -> None:
    one, other = stage.master, stage.backup
    mark = probe.mark()
    break_nginx(one)
    wait_holder(stage, other, OUTAGE_MS / 1000)
    stage.tell(f"nginx broken on the master: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS

    mark = probe.mark()
    break_nginx(other)
    # A broken HAProxy besides: of the two faulty nodes this is now the worse.
    cfg = other.run_dir.haproxy_cfg
    good = cfg.read_text()
    cfg.write_text(BROKEN)
    for program in haproxies(other):
        other.kill(program, whole=True)
    wait_holder(stage, one, OUTAGE_MS / 1000)
    probe.wait_answers(20, 2)
    stage.tell(f"nginx broken on both, haproxy on one: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS
    assert faults(one)

    wait_until(
        lambda: one.programs()["nginx"][0] == "FATAL", GIVEN_UP_WITHIN_S, "nginx to be given up"
    )
    assert stage.pair.holders() == {one.host.mac}

    mark = probe.mark()
    cfg.write_text(good)
    mend_nginx(other)
    wait_holder(stage, other, REVIVED_WITHIN_S + RECOVERED_WITHIN_S + OUTAGE_MS / 1000)
    probe.wait_answers(20, 2)
    stage.tell(f"healed one takes over from a faulty one: outage {probe.outage_ms(mark):.0f} ms")
    assert probe.outage_ms(mark) <= OUTAGE_MS

    mark = probe.mark()
    faulty = one.pid_of("ucarp")
    # The next vipd must know that ucarp speaks as a faulty one's.
    one.kill("vipd")
    mend_nginx(one)
    wait_until(
        lambda: (
            (row := row_of(one, "ucarp"))["pid"] != faulty
            and (row["uptime_s"] or 0) > HEARD_WITHIN_S
        ),
        REVIVED_WITHIN_S + RECOVERED_WITHIN_S + HEARD_WITHIN_S,
        "the healed node to have listened",
    )
    assert wait_well(stage.pair, 2) == (other, one)
    assert {record.node for record in probe.successes(mark)} == {other.name}


def test_program_that_is_given_up_is_a_fault_until_the_agent_has_revived_it(
    stage: Stage, probe: Probe
) -> None:
    master, program = stage.master, haproxies(stage.master)[-1]
    cfg = master.run_dir.process_cfg(int(program.rpartition("-")[2]))
    good = cfg.read_text()
    mark = probe.mark()
    cfg.write_text(BROKEN)
    master.kill(program, whole=True)
    wait_until(
        lambda: faults(master) == [f"{program} is FATAL"], GIVEN_UP_WITHIN_S, "a fault", every_s=0.1
    )
    wait_holder(stage, stage.backup, OUTAGE_MS / 1000)
    stage.tell(f"{program} FATAL: outage {probe.outage_ms(mark):.0f} ms")

    assert probe.outage_ms(mark) <= OUTAGE_MS

    cfg.write_text(good)
    master.wait_running(program, within_s=REVIVED_WITHIN_S)
    assert wait_well(stage.pair, RECOVERED_WITHIN_S) == (stage.backup, master)


# After all of it.


def test_nothing_piled_up(stage: Stage) -> None:
    for node in stage.pair.nodes:
        wait_until(
            lambda node=node: not superfluous(node),  # type: ignore[misc]
            2,
            f"nothing superfluous on {node.name}",
            seen=lambda node=node: superfluous(node),  # type: ignore[misc]
        )


def superfluous(node: Node) -> list[str]:
    """Zombies, and processes that are neither a program nor its present workers."""
    programs = node.programs()
    children = children_of(node.process.pid)
    found = [f"zombie {pid}" for pid in children if _stat(pid)[:1] == ["Z"]]
    known = {node.process.pid, *children}
    found += [f"stray {pid}: {_words(pid)}" for pid in pids_in([node.host.ns]) - known]
    for program in haproxies(node):
        workers = children_of(programs[program][1])
        if len(workers) != 1:
            found.append(f"{program} has {len(workers)} workers")
    direct = [pid for pid in children if _stat(pid)[1:2] == [str(node.process.pid)]]
    if len(direct) != len(programs):
        found.append(f"{len(direct)} children of supervisord for {len(programs)} programs")
    return found


def _stat(pid: int) -> list[str]:
    """State, parent, ... of a process; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
