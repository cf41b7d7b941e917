"""What a host must have before a bundle can start on it: judgement over facts."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from lbctl.errors import Problem
from lbctl.layout import share

#: Program -> the Debian package it comes in.
PACKAGES = {"haproxy": "haproxy", "nginx": "nginx", "setpriv": "util-linux", "nice": "coreutils"}
PACKAGES_OF_A_GROUP = {"ucarp": "ucarp"}

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


def wanted_programs(*, has_group: bool) -> dict[str, str]:
    return {**PACKAGES, **(PACKAGES_OF_A_GROUP if has_group else {})}


def missing_programs(found: Mapping[str, str | None]) -> list[Problem]:
    """Programs that are not installed, each with its Debian package."""
    packages = {**PACKAGES, **PACKAGES_OF_A_GROUP}
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
