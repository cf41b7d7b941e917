"""What the addresses depend on beside haproxy and nginx: ``ha.track`` as the daemons take it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence

from lbctl.errors import NetlinkError, Problem
from lbctl.ha.interfaces import link_state
from lbctl.launch.privileges import Kind, Privileges
from lbctl.settings.ha_rules import expected
from lbctl.settings.model import Check, Ha
from lbctl.spec import CheckKind, CheckSpec, GroupSpec

#: Without these there is nobody who could notice.
_UNWATCHED = ("ucarp", "vipd")
_TRIAL_S = 10.0
#: Looks in a row until it is well again, and until it is a fault: asked, and noticed by itself.
_ASKED, _NOTICED = (2, 3), (1, 1)


def check_specs(ha: Ha) -> tuple[CheckSpec, ...]:
    """The mappings of ``ha.track``, in their order."""
    return tuple(_spec(check) for check in ha.track if isinstance(check, Check))


def look_problems(
    checks: Iterable[CheckSpec],
    privileges: Privileges,
    programs: Sequence[str],
    groups: Sequence[GroupSpec] = (),
) -> Iterator[Problem]:
    """
    What the agent could not run, and what nobody runs here.

    Args:
        privileges: as whom commands run.
        programs: the supervised ones.
        groups: the groups of addresses, whose own interfaces need no check.
    """
    known = ["haproxy", *(name for name in programs if name not in _UNWATCHED)]
    for check in checks:
        where = f"ha.track {check.name}"
        if check.kind == "program" and check.target not in known:
            what = f"{check.target} is no program of this bundle: one of {', '.join(known)}"
            yield Problem(where, what)
        elif check.kind == "link" and check.target in {group.interface for group in groups}:
            what = f"{check.target} has the addresses, so that it is watched anyway: remove this"
            yield Problem(where, what)
        elif check.kind == "command" and not may_run(check.argv[0], privileges):
            who = privileges.account.name
            what = f"{check.argv[0]} is no file that user {who} may run: checks run as that user"
            yield Problem(where, what)


def look_warnings(checks: Iterable[CheckSpec]) -> Iterator[str]:
    """Links that are not there (yet)."""
    for check in checks:
        if check.kind == "link" and not _exists(check.target):
            yield (
                f"ha.track {check.name}: there is no interface {check.target} on this host: until "
                "it is there this is a fault"
            )


def _spec(check: Check) -> CheckSpec:
    kind: CheckKind
    target = ""
    if check.command:
        kind = "command"
    elif check.http:
        kind, target = "http", check.http
    elif check.tcp:
        kind, target = "tcp", check.tcp
    elif check.link:
        kind, target = "link", check.link
    else:
        kind, target = "program", check.program
    rise, fall = _NOTICED if kind in ("link", "program") else _ASKED
    return CheckSpec(
        name=check.name,
        kind=kind,
        target=target,
        argv=check.command,
        headers=tuple(check.headers.items()),
        expect=expected(check.expect),
        interval_s=check.interval_s,
        timeout_s=check.timeout_s,
        rise=check.rise or rise,
        fall=check.fall or fall,
        severity=check.severity,
    )


def may_run(path: str, privileges: Privileges) -> bool:
    """Asked as the user himself: on the way there may be a directory that is closed to him."""
    words = ["/bin/sh", "-c", 'test -f "$1" && test -x "$1"', "sh", path]
    try:
        reply = subprocess.run(
            [*privileges.prefix(Kind.USER), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return reply.returncode == 0


def _exists(interface: str) -> bool:
    try:
        return link_state(interface) is not None
    except NetlinkError:
        return False
