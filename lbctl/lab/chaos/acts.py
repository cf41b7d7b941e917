"""The faults of :mod:`.plan`, done to a pair: each hits, lasts, and is undone."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from lbctl.lab import local
from lbctl.lab.bundle import Node, children_of
from lbctl.lab.chaos import inject
from lbctl.lab.chaos.plan import Step
from lbctl.lab.hosts import INTERFACE, run
from lbctl.lab.pair import Pair
from lbctl.lab.process import pids_in
from lbctl.lab.wait import LabError, wait_until

OTHER_NAME = "wan7"
#: SIGTERM to an ended bundle: draining, programs one after the other.
_STOP_S = 20.0
_HANDOVER_S = 20.0
#: Until each node knows of the other how it is.
_KNOWN_S = 3.0
#: Until a vipd that is being started answers.
_STARTED_S = 10.0
_RESUME: dict[str, object] = {"op": "resume", "by": "chaos"}
_ENDED_S = 8.0

Act = Callable[[Pair, Step, Node], AbstractContextManager[None]]


def play(pair: Pair, step: Step, master: Node, backup: Node) -> None:
    """
    Do it to the node that it is for, hold it, undo it.

    Raises:
        LabError: it could not be done: the node was not what it should have been.
    """
    with act_of(step)(pair, step, backup if step.whom == "backup" else master):
        # A fault lasts; there is nothing that it waits for.
        time.sleep(step.hold_s)
        if step.inside is not None:
            _play_inside(pair, step.inside, backup if step.inside.whom == "backup" else master)


def _play_inside(pair: Pair, step: Step, node: Node) -> None:
    with ExitStack() as stack:
        try:
            stack.enter_context(act_of(step)(pair, step, node))
        except LabError:
            # Nothing to hand over, and the like: so it is in the midst of another fault.
            return
        time.sleep(step.hold_s)


def act_of(step: Step) -> Act:
    verb, _, rest = step.fault.name.partition(" ")
    if step.fault.name in ACTS:
        return ACTS[step.fault.name]
    return {"kill": _kill(rest), "stop": _stop(rest)}[verb]


def _programs(node: Node, which: str) -> list[int]:
    """Pids of what a fault's name says: ``vipd``, ``one haproxy``, ``every haproxy``."""
    number, _, group = which.rpartition(" ")
    if not number:
        pids = [node.pid_of(which)]
    else:
        names = sorted(name for name in node.programs() if name.startswith(f"{group}-"))
        pids = [node.pid_of(name) for name in (names if number == "every" else names[-1:])]
    return [one for pid in pids for one in (pid, *children_of(pid))]


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _kill(which: str) -> Act:
    @contextmanager
    def act(pair: Pair, step: Step, node: Node) -> Iterator[None]:
        signal_all(_programs(node, which), signal.SIGKILL)
        yield

    return act


def _stop(which: str) -> Act:
    @contextmanager
    def act(pair: Pair, step: Step, node: Node) -> Iterator[None]:
        pids = _programs(node, which)
        signal_all(pids, signal.SIGSTOP)
        yield
        signal_all(pids, signal.SIGCONT)

    return act


@contextmanager
def _kill_supervisord(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    node.process.signal(signal.SIGKILL)
    _wait_ended(node)
    yield
    pair.start_node(node)


def kill_everything(node: Node) -> None:
    """SIGKILL to all; vipd first, so that none resigns. The address stays until its lease ends."""
    signal_all(_programs(node, "vipd"), signal.SIGKILL)
    node.process.signal(signal.SIGKILL)

    def gone() -> bool:
        signal_all(left := pids_in([node.host.ns]), signal.SIGKILL)
        return not left

    wait_until(gone, 3.0, f"the end of everything on {node.name}", every_s=0.001)
    node.process.popen.wait()


@contextmanager
def _kill_everything(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    kill_everything(node)
    yield
    pair.start_node(node)


@contextmanager
def _kill_both(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    for one in pair.nodes:
        kill_everything(one)
    yield
    for one in pair.nodes:
        pair.start_node(one)


@contextmanager
def _stop_everything(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    pids = pids_in([node.host.ns])
    signal_all(pids, signal.SIGSTOP)
    yield
    signal_all(pids, signal.SIGCONT)


@contextmanager
def _stop_supervisord(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    node.process.signal(signal.SIGSTOP)
    yield
    node.process.signal(signal.SIGCONT)


@contextmanager
def _handover(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    # What `lbctl handover` has vipd do, without the start of a command. It refuses until the other
    # node has said that it is well again.
    word: dict[str, object] = {"op": "handover", "force": False}
    socket = node.run_dir.vipd_socket
    what = f"a handover by {node.name}"
    wait_until(lambda: local.ask_line(socket, word, _HANDOVER_S), _KNOWN_S, what)
    yield


@contextmanager
def _restart(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    status = node.stop(_STOP_S)
    if status:
        message = f"SIGTERM to {node.name}: exit status {status}"
        raise LabError(message)
    _wait_ended(node)
    yield
    pair.start_node(node)


@contextmanager
def _pause(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    word: dict[str, object] = {"op": "pause", "by": "chaos", "why": "a step of it", "for_s": None}
    local.ask_line(node.run_dir.vipd_socket, word)
    yield
    # The other one: either may end it.
    other = next(one for one in pair.nodes if one is not node)
    what = f"a word for vipd of {other.name}"
    wait_until(lambda: local.ask_line(other.run_dir.vipd_socket, _RESUME), _STARTED_S, what)


@contextmanager
def _cut(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    pair.lab.cut(node.host)
    yield
    pair.lab.heal(node.host)


@contextmanager
def _one_way(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    pair.lab.one_way(node.host, deaf=step.fault.name == "deaf", mute=step.fault.name == "mute")
    yield
    pair.lab.one_way(node.host)


@contextmanager
def _lossy(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    pair.lab.lossy(node.host, step.percent)
    yield
    pair.lab.lossy(node.host, 0)


@contextmanager
def _link_down(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    pair.lab.link_down(node.host)
    yield
    pair.lab.link_up(node.host)


@contextmanager
def _link_flaps(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    dice = random.Random(step.seed)
    end = time.monotonic() + step.hold_s
    while time.monotonic() < end:
        for change in (pair.lab.link_down, pair.lab.link_up):
            change(node.host)
            time.sleep(dice.uniform(0.02, 0.4))
    yield


@contextmanager
def _rename(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    _set_name(node, INTERFACE, OTHER_NAME)
    yield
    _set_name(node, OTHER_NAME, INTERFACE)


def _set_name(node: Node, old: str, new: str) -> None:
    lines = f"link set {old} down\nlink set {old} name {new}\nlink set {new} up\n"
    run(["ip", "-n", node.host.ns, "-batch", "-"], input=lines)


@contextmanager
def _remove_address(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    node.host.run(["ip", "addr", "del", f"{pair.vip}/32", "dev", INTERFACE])
    yield


@contextmanager
def _add_address(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    node.host.run(["ip", "addr", "add", f"{pair.vip}/32", "dev", INTERFACE])
    yield


@contextmanager
def _inject(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    vhid = local.ask_line(node.run_dir.vipd_socket, {"op": "status"})["status"]["vhid"]
    argv = [sys.executable, "-I", inject.__file__, step.fault.name, INTERFACE]
    sent = pair.client.run([*argv, f"--vhid={vhid}", f"--seed={step.seed}"]).stdout
    if not int(sent):
        message = f"{step.fault.name}: nothing was sent"
        raise LabError(message)
    yield


@contextmanager
def _full_run_dir(pair: Pair, step: Step, node: Node) -> Iterator[None]:
    filler = node.run_dir.root / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as stream:
        while stream.write(b"\0" * 65536):
            pass
    try:
        yield
    finally:
        filler.unlink(missing_ok=True)


def _wait_ended(node: Node) -> None:
    wait_until(
        lambda: not pids_in([node.host.ns]), _ENDED_S, f"the end of everything on {node.name}"
    )
    node.process.popen.wait()


ACTS: dict[str, Act] = {
    "kill supervisord": _kill_supervisord,
    "kill everything": _kill_everything,
    "kill both": _kill_both,
    "stop everything": _stop_everything,
    "stop supervisord": _stop_supervisord,
    "handover": _handover,
    "restart": _restart,
    "pause": _pause,
    "cut": _cut,
    "deaf": _one_way,
    "mute": _one_way,
    "lossy": _lossy,
    "link down": _link_down,
    "link flaps": _link_flaps,
    "rename interface": _rename,
    "remove address": _remove_address,
    "add address": _add_address,
    "garbage": _inject,
    "replay": _inject,
    "full run dir": _full_run_dir,
}
