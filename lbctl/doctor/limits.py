"""What this process may use: open files for HAProxy, CPU time for vipd."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lbctl.doctor.row import Row, bad, of_problems, ok, warn
from lbctl.haproxy import descriptors
from lbctl.haproxy.cpus import Cpus
from lbctl.haproxy.lines import read
from lbctl.launch.checks import quota_problems
from lbctl.settings.model import Ha

#: Seen with 2.6: HAProxy asks for two descriptors a connection and some for itself.
_OWN_DESCRIPTORS = 28
_LIMIT = re.compile(r"^Max open files\s+\S+\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Appetite:
    """
    What the ``global`` section of a haproxy.cfg asks for.

    Attributes:
        maxconn: of each process; None: HAProxy fits itself to the limit.
        ulimit_n: asked for by name.
        is_strict: HAProxy does not start with less.
    """

    maxconn: int | None = None
    ulimit_n: int | None = None
    is_strict: bool = True

    @property
    def descriptors(self) -> int:
        """How many each process will ask for; 0: whatever it gets."""
        if self.ulimit_n is not None:
            return self.ulimit_n
        return 0 if self.maxconn is None else 2 * self.maxconn + _OWN_DESCRIPTORS


def appetite_of(text: str) -> Appetite:
    """Read the global section of *text*; the last word on each key counts, as with HAProxy."""
    numbers: dict[str, int] = {}
    is_strict = True
    for line in read(text):
        if line.section != "global":
            continue
        if len(line.words) == 2 and line.words[1].isdecimal():
            numbers[line.keyword] = int(line.words[1])
        elif "strict-limits" in line.words:
            is_strict = line.keyword != "no"
    return Appetite(numbers.get("maxconn"), numbers.get("ulimit-n"), is_strict)


def open_files(pid: int | None) -> int:
    """
    The hard limit, which an unprivileged HAProxy cannot pass.

    Args:
        pid: of the supervisord that starts it; None: of whoever this process starts.
    """
    if pid is not None:
        try:
            found = _LIMIT.search(Path(f"/proc/{pid}/limits").read_text())
        except OSError:
            found = None
        if found is not None and found[1].isdecimal():
            return int(found[1])
    return descriptors.open_files()


def judge_open_files(appetite: Appetite, hard: int, *, is_running: bool) -> Row:
    check = "open files"
    whose = "of the bundle that runs" if is_running else "of this shell; lbctl.service has its own"
    wanted = appetite.descriptors
    if wanted <= hard:
        asked = f", HAProxy asks for {wanted}" if wanted else ""
        return ok(check, f"{hard} ({whose}){asked}")
    text = f"HAProxy asks for {wanted}, and the limit is {hard} ({whose})"
    advice = f"ulimit -n {wanted} before the start (--ulimit nofile={wanted}), or a lower maxconn"
    if appetite.is_strict:
        return bad(check, f"{text}: it will not start, though it accepts its configuration", advice)
    return warn(check, f"{text}: it will take fewer connections than maxconn", advice)


def judge_quota(ha: Ha, cpus: Cpus) -> list[Row]:
    """Whether the native engine gets its turn in time."""
    quota = "none" if cpus.quota is None else f"{cpus.quota:g} CPUs"
    return of_problems("CPU quota", quota_problems(ha, cpus), quota)
