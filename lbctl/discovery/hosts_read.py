"""The lines of ``/etc/hosts``, as hosts(5) has them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?")
_SHOWN_CHARS: Final = 40
#: Lines that make no sense: so many are named.
_PROBLEMS_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class HostsFile:
    """
    Attributes:
        names: addresses by name in lower case, in the order of the file, each once.
        problems: lines that were left out: sentences.
        is_whole: it has an end, and so is not half of what somebody is writing.
    """

    names: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...]
    is_whole: bool


def read_hosts(content: bytes) -> HostsFile:
    """What makes sense in it. An address with a zone (``fe80::1%eth0``) is nobody's server."""
    names: dict[str, dict[str, None]] = {}
    problems: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        words = line.partition(b"#")[0].decode(errors="replace").split()
        if not words or "%" in words[0]:
            continue
        try:
            address = str(ip_address(words[0]))
        except ValueError:
            problems.append(f"line {number}: {_shown(words[0])} is no address")
            continue
        for word in words[1:]:
            name = word.lower().rstrip(".")
            if _NAME.fullmatch(name):
                names.setdefault(name, {})[address] = None
            else:
                problems.append(f"line {number}: {_shown(word)} is no name")
    if len(problems) > _PROBLEMS_MOST:
        more = len(problems) - _PROBLEMS_MOST
        problems[_PROBLEMS_MOST:] = [f"{more} more of its words make no sense"]
    found = {name: tuple(addresses) for name, addresses in names.items()}
    return HostsFile(found, tuple(problems), content.endswith(b"\n"))


def _shown(word: str) -> str:
    return repr(word[:_SHOWN_CHARS])
