"""What this host is and has, as far as a start depends on it: facts, no judgement."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lbctl.errors import Problem, ValidationError

#: Numbers of linux/capability.h that matter here.
CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "DAC_READ_SEARCH": 2,
    "FOWNER": 3,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_NICE": 23,
}
#: Debian keeps programs of administrators where a user's PATH may not look.
_SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
_CANDIDATES = ("lbctl", "haproxy")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this host; *name* may be its number in digits."""

    name: str
    uid: int
    gid: int


def widen_path() -> None:
    """Have this process and its children find the programs of administrators too."""
    have = [part for part in os.environ.get("PATH", "").split(":") if part]
    have += [part for part in _SYSTEM_DIRECTORIES if part not in have]
    os.environ["PATH"] = ":".join(have)


def find_programs(names: Iterable[str]) -> dict[str, str | None]:
    """Where each program is; None: not installed."""
    return {name: shutil.which(name) for name in names}


def parse_capabilities(status: str) -> frozenset[str]:
    """The effective ones among :data:`CAPABILITIES`, from the text of ``/proc/self/status``."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(found[1], 16) if found else 0
    return frozenset(name for name, bit in CAPABILITIES.items() if mask >> bit & 1)


def own_capabilities() -> frozenset[str]:
    return parse_capabilities(Path("/proc/self/status").read_text())


def own_account() -> Account:
    """The user of this process, with a name or without."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Account(name, uid, os.getegid())


def unprivileged_account(wanted: str) -> Account:
    """
    The user of haproxy, nginx and the agent, when root starts the bundle.

    Args:
        wanted: ``settings.user``.

    Raises:
        ValidationError: there is no such user, or it is root.
    """
    names = _CANDIDATES if wanted == "auto" else (wanted,)
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            what = f"user {name}: it is root; haproxy, nginx and the agent run as somebody else"
            raise ValidationError([Problem("user", what)])
        return Account(name, entry.pw_uid, entry.pw_gid)
    what = (
        f"user {' or '.join(names)}: no such user: install the Debian package haproxy, which "
        "makes one, or set user in lb.yaml"
    )
    raise ValidationError([Problem("user", what)])


def names_of(account: Account) -> dict[str, str]:
    """Whom a program of *account* runs as, by HAProxy's words for it."""
    names = {"uid": str(account.uid), "gid": str(account.gid), "user": account.name}
    with suppress(KeyError):
        names["group"] = grp.getgrgid(account.gid).gr_name
    return names


def binds_nonlocal() -> bool:
    """Whether any program may bind an address that this host does not have."""
    try:
        return Path("/proc/sys/net/ipv4/ip_nonlocal_bind").read_text().strip() == "1"
    except OSError:
        return False
