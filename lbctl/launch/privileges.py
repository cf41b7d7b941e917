"""
Least privilege: the words before each program's own that take away what it does not need.

As root, setpriv drops user, groups and capabilities; otherwise the whole bundle is one user
already. Either way a child ends with supervisord (parent-death signal).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from lbctl.errors import Problem
from lbctl.launch.host import Account

_TRIAL_S = 10.0
#: Unprivileged.
_USERS = ("SERVER", "USER", "FINDER")


class Kind(Enum):
    """What a program may do."""

    SERVER = "unprivileged user, binds ports below 1024"
    USER = "unprivileged user"
    FINDER = "unprivileged user, who may use the socket of Docker"
    NETWORK = "root without anything but NET_ADMIN, NET_RAW and perhaps SYS_NICE"
    NOTHING = "root without any capability"
    RECEIVER = "root that binds ports below 1024"
    JUDGE = "root that reads what belongs to others, and lets programs judge it as themselves"
    READER = "root that reads what belongs to others, and gives copies away"


_CAPABILITIES = {
    Kind.SERVER: ("net_bind_service",),
    Kind.USER: (),
    Kind.FINDER: (),
    Kind.NETWORK: ("net_admin", "net_raw", "sys_nice"),
    Kind.NOTHING: (),
    Kind.RECEIVER: ("net_bind_service",),
    Kind.JUDGE: (
        *("chown", "dac_override", "kill", "setgid", "setuid", "setpcap"),
        *("net_bind_service",),
    ),
    Kind.READER: ("chown", "dac_read_search"),
}


@dataclass(frozen=True, slots=True)
class Privileges:
    """
    Attributes:
        setpriv: the program.
        account: the unprivileged user; without root the user of the whole bundle.
        is_root: root starts the bundle.
        may_bind: NET_BIND_SERVICE can be handed on.
        may_bound: the bounding set can be made smaller (SETPCAP).
        may_nice: SYS_NICE is there and wanted, for a vipd that speaks CARP itself.
        may_read_all: DAC_READ_SEARCH is there: container engines give DAC_OVERRIDE alone.
        socket_gid: the group that may use the socket of Docker; None: none is needed.
    """

    setpriv: str
    account: Account
    is_root: bool
    may_bind: bool = True
    may_bound: bool = True
    may_nice: bool = False
    may_read_all: bool = False
    socket_gid: int | None = None

    def prefix(self, kind: Kind) -> tuple[str, ...]:
        """The command line up to the program of *kind*."""
        words = [self.setpriv, "--pdeathsig", "TERM"]
        if self.is_root:
            words += self._dropped(kind)
        return (*words, "--")

    def _dropped(self, kind: Kind) -> list[str]:
        is_had = {"net_bind_service": self.may_bind, "sys_nice": self.may_nice}
        keep = tuple(name for name in _CAPABILITIES[kind] if is_had.get(name, True))
        if not self.may_read_all:
            keep = tuple("dac_override" if one == "dac_read_search" else one for one in keep)
        words = []
        if kind.name in _USERS:
            wanted = ",".join(("-all", *(f"+{name}" for name in keep)))
            words += ["--reuid", str(self.account.uid), "--regid", str(self.account.gid)]
            words += self._groups(kind)
            words += ["--no-new-privs", "--inh-caps", wanted, "--ambient-caps", wanted]
        else:
            # The group is the way to the sockets and FIFOs of the unprivileged user.
            words += ["--groups", str(self.account.gid), "--inh-caps", "-all"]
        if self.may_bound:
            words += ["--bounding-set", ",".join(("-all", *(f"+{name}" for name in keep)))]
        return words

    def _groups(self, kind: Kind) -> list[str]:
        name, gid = self.account.name, self.account.gid
        has_name = not name.isdecimal()
        if kind is not Kind.FINDER or self.socket_gid is None:
            return ["--init-groups" if has_name else "--clear-groups"]
        # setpriv takes either the user's own groups or a list.
        own = os.getgrouplist(name, gid) if has_name else [gid]
        return ["--groups", ",".join(map(str, dict.fromkeys((*own, self.socket_gid))))]


#: Run as the agent will be: the interpreter, the package, and every directory on the way.
_TRIAL = """
import os, sys
try:
    import lbctl
    for path in sys.argv[1:]:
        os.listdir(path)
except (ImportError, OSError) as error:
    sys.exit(str(error))
"""


def fit(privileges: Privileges) -> Privileges:
    """The same, as far as this container lets capabilities be dropped: tried, not guessed."""
    if privileges.is_root and privileges.may_bound and _try(privileges, Kind.NETWORK, ["true"]):
        return replace(privileges, may_bound=False)
    return privileges


def trial(privileges: Privileges, directories: Sequence[str]) -> list[Problem]:
    """Whether each kind of program starts here, and the agent reaches its *directories*."""
    problems = []
    for kind in Kind:
        argv = ["true"]
        if kind is Kind.USER:
            argv = [sys.executable, "-I", "-c", _TRIAL, *directories]
        what = _try(privileges, kind, argv)
        if what:
            who = privileges.account.name if kind.name in _USERS else "root"
            problems.append(Problem("setpriv", f"a program of user {who} cannot run: {what}"))
    return problems


def may(privileges: Privileges, kind: Kind, test: str, path: str) -> bool:
    """Whether a program of *kind* may: ``-r`` read, ``-w`` write what is at *path*."""
    return not _try(privileges, kind, ["test", test, path])


def _try(privileges: Privileges, kind: Kind, argv: Sequence[str]) -> str:
    """What went wrong; empty: nothing."""
    try:
        reply = subprocess.run(
            [*privileges.prefix(kind), *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if reply.returncode == 0:
        return ""
    return reply.stderr.strip() or f"exit {reply.returncode}"
