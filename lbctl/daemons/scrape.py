"""
The main of a scrape: asks every HAProxy process once, and writes what Prometheus reads.

A process of its own, so that the agent neither waits nor grows: at 10,000 servers it works for a
third of a second and takes tens of megabytes. It ends by itself in any case. Exit 0: the text is
written, and standard error names processes that did not answer; else it says why there is none.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from lbctl.daemons.scrape_memory import Known, followed, recall, remember
from lbctl.errors import EXIT_UNREACHABLE, LbctlError, RuntimeApiError
from lbctl.haproxy.process_facts import merge_facts
from lbctl.haproxy.promex import KINDS
from lbctl.haproxy.promex_carry import with_silent
from lbctl.haproxy.promex_read import QUESTION, Sight, read_sight
from lbctl.haproxy.promex_text import family, texts
from lbctl.haproxy.stats import merge
from lbctl.layout import RunDir
from lbctl.spec import HaproxyProcess, read_spec

#: For all answers together, seconds.
ANSWER_S: Final = 3.0
#: Whoever started this waits no longer, seconds.
_ALARM_S: Final = 10
_READ_BYTES: Final = 1 << 20
#: For a place in one's backlog: a process that is stuck must not cost what the others say.
_BACKLOG_S: Final = 0.3
_BACKLOG_RETRY_S: Final = 0.005

_SCRAPED: Final = "lbctl_haproxy_process_scraped"
_SCRAPED_WORDS: Final = "1: it answered this scrape; 0: its counters stand still."


def main() -> int:
    """``python -I -m lbctl.daemons.scrape RUN_DIR``"""
    signal.alarm(_ALARM_S)
    # Its fair share, and never in the way of one that wakes up: a HAProxy, the agent.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # There are no cycles in what it makes, and looking for some takes a fifth of its time.
    gc.disable()
    run = RunDir(Path(sys.argv[1]))
    try:
        spec = read_spec(run.spec)
        trouble = scrape(spec.processes, run.scrape, spec.started_at)
    except LbctlError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- whoever started this reads it
        return EXIT_UNREACHABLE
    if trouble:
        print(trouble, file=sys.stderr)  # noqa: T201
    return 0


def scrape(processes: Sequence[HaproxyProcess], memory: Path, since: float) -> str:
    """
    Write everything to standard output.

    Args:
        memory: the file for the next scrape.
        since: when the bundle was started.

    Returns:
        Who did not answer, and why; empty: all did.

    Raises:
        RuntimeApiError: nobody answered; nothing was written.
    """
    answers, failures = ask(processes)
    known = recall(memory, since)
    sights: list[Sight] = []
    for number, answer in answers.items():
        try:
            sight = read_sight(answer)
        except RuntimeApiError as error:
            failures[number] = str(error)
            continue
        sight, known[number] = followed(known.get(number), answer, sight)
        sights.append(sight)
    trouble = "; ".join(f"process {number}: {what}" for number, what in sorted(failures.items()))
    if not sights:
        raise RuntimeApiError(trouble or "there is no HAProxy process")
    whole = _merged(sights)
    for number in failures:
        with suppress(KeyError, RuntimeApiError):
            whole = with_silent(whole, known[number].counted())
    _write(whole, {process.number: process.number not in failures for process in processes})
    return "; ".join(filter(None, (trouble, _remember(memory, since, known))))


def ask(processes: Sequence[HaproxyProcess]) -> tuple[dict[int, bytes], dict[int, str]]:
    """What each process answers, side by side; and why some do not."""
    failures: dict[int, str] = {}
    parts: dict[int, list[bytes]] = {}
    deadline = time.monotonic() + ANSWER_S
    with ExitStack() as stack:
        waiting = stack.enter_context(selectors.DefaultSelector())
        for process in processes:
            try:
                link = stack.enter_context(_asked(process.socket))
            except OSError as error:
                failures[process.number] = f"{process.socket}: {error.strerror or error}"
                continue
            waiting.register(link, selectors.EVENT_READ, process)
            parts[process.number] = []
        while waiting.get_map() and (left_s := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left_s):
                if not _took(key, parts):
                    waiting.unregister(key.fileobj)
        for key in [*(waiting.get_map() or {}).values()]:
            del parts[key.data.number]
            what = f"{key.data.socket}: no whole answer in {ANSWER_S:g} s"
            failures[key.data.number] = what
    return {number: b"".join(some) for number, some in parts.items()}, failures


def _asked(path: str) -> socket.socket:
    """A connection on which the question is under way."""
    link = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + _BACKLOG_S
    try:
        link.setblocking(False)
        while True:
            try:
                link.connect(path)
            except BlockingIOError:
                # A Unix socket says so where the listener's backlog is full.
                if time.monotonic() > deadline:
                    raise
                time.sleep(_BACKLOG_RETRY_S)
            else:
                link.sendall(QUESTION)
                return link
    except BaseException:
        link.close()
        raise


def _took(key: selectors.SelectorKey, parts: Mapping[int, list[bytes]]) -> bool:
    """Take what is there; False: that was all."""
    assert isinstance(key.fileobj, socket.socket)
    with suppress(ConnectionError):
        chunk = key.fileobj.recv(_READ_BYTES)
        parts[key.data.number].append(chunk)
        return bool(chunk)
    return False


def _merged(sights: Sequence[Sight]) -> Sight:
    """All of them as one process would say it."""
    facts = merge_facts([sight.facts for sight in sights])
    tables = {kind: merge([sight.tables[kind] for sight in sights]) for kind in KINDS.values()}
    return Sight(facts, tables)


def _write(whole: Sight, answered: Mapping[int, bool]) -> None:
    lines = [f'{_SCRAPED}{{process="{number}"}} {is_so:d}' for number, is_so in answered.items()]
    out = sys.stdout.buffer
    out.write(family(_SCRAPED, "gauge", _SCRAPED_WORDS, lines).encode())
    for text in texts(whole.facts, whole.tables):
        out.write(text.encode())
    out.flush()


def _remember(memory: Path, since: float, known: Mapping[int, Known]) -> str:
    try:
        remember(memory, since, known)
    except OSError as error:
        return f"{memory}: {error.strerror}: counters will not be carried over the next reload"
    return ""


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # The kernel frees a hundred thousand lines at once.
    os._exit(code)
