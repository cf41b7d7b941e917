"""What a host must have before a bundle can start on it: judgement over facts."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from lbctl.errors import Problem
from lbctl.haproxy.cpus import Cpus
from lbctl.layout import share
from lbctl.settings.model import Ha

#: Program -> the Debian package it comes in.
PACKAGES = {"haproxy": "haproxy", "nginx": "nginx", "setpriv": "util-linux", "nice": "coreutils"}
PACKAGES_OF_UCARP = {"ucarp": "ucarp"}
PACKAGES_OF_DNSMASQ = {"dnsmasq": "dnsmasq-base"}

_HOW = {
    "NET_ADMIN": "it sets the virtual address: run the container with --cap-add=NET_ADMIN",
    "NET_RAW": (
        "CARP needs it: run the container with --cap-add=NET_RAW (Docker grants it by default, "
        "Podman does not)"
    ),
}
#: What root needs to be somebody else and to look after him.
_ROOTS = ("SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "KILL")
_HOOK_LIMIT_S = 5.0
#: A quota holds a whole cgroup up until its period ends: 100 ms as a rule, and more than once.
_DEAD_TIME_MIN_MS = 300


def wanted_programs(*, has_ucarp: bool, has_dnsmasq: bool = False) -> dict[str, str]:
    ucarp, dnsmasq = PACKAGES_OF_UCARP, PACKAGES_OF_DNSMASQ
    return {**PACKAGES, **(ucarp if has_ucarp else {}), **(dnsmasq if has_dnsmasq else {})}


def missing_programs(found: Mapping[str, str | None]) -> list[Problem]:
    """Programs that are not installed, each with its Debian package."""
    packages = wanted_programs(has_ucarp=True, has_dnsmasq=True)
    return [
        Problem(name, f"{name} is not installed: install the Debian package {packages[name]}")
        for name, path in found.items()
        if path is None
    ]


def missing_capabilities(have: Collection[str], *, has_group: bool, is_root: bool) -> list[Problem]:
    """Capabilities without which nothing can be started, each with the way to get it."""
    problems = [
        Problem(f"capability {name}", f"is missing; {how}")
        for name, how in _HOW.items()
        if has_group and name not in have
    ]
    lacking = [name for name in _ROOTS if is_root and name not in have]
    if lacking:
        what = (
            f"{', '.join(lacking)} missing: root starts haproxy, nginx and the agent as another "
            "user: do not drop them, or start the container as that user (--user)"
        )
        problems.append(Problem("capabilities", what))
    return problems


def quota_problems(ha: Ha, cpus: Cpus) -> list[Problem]:
    """A dead time so short that this node's CPU quota alone would make it look dead."""
    dead_time_ms = ha.advbase_ms * ha.dead_ratio
    if ha.engine != "native" or cpus.quota is None or dead_time_ms >= _DEAD_TIME_MIN_MS:
        return []
    what = (
        f"{ha.advbase_ms} x ha.dead_ratio = {ha.dead_ratio} is {dead_time_ms} ms, and a cgroup "
        f"limits this bundle to {cpus.quota:g} CPUs: the kernel may hold it up for longer than the "
        f"peer waits: set ha.advbase_ms to {math.ceil(_DEAD_TIME_MIN_MS / ha.dead_ratio)} or more "
        "on both hosts, or take the limit away"
    )
    return [Problem("ha.advbase_ms", what)]


def hook_problems(hooks: Path | None = None) -> list[Problem]:
    """Hooks that ucarp could not run here: it ignores how they end, and so nobody would notice."""
    problems = []
    for name in ("vip-up", "vip-down"):
        path = (share("hooks") if hooks is None else hooks) / name
        try:
            reply = subprocess.run(
                [str(path), "--self-test"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_HOOK_LIMIT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            problems.append(Problem(str(path), f"this hook does not run here: {error}"))
            continue
        if reply.returncode != 0:
            said = reply.stderr.strip() or f"exit {reply.returncode}"
            problems.append(Problem(str(path), f"this hook does not run here: {said}"))
    return problems
