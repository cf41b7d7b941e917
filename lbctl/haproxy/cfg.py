"""
What an operator's haproxy.cfg listens on, and what it may not hold where lbctl runs it.

Pure. It finds what ``haproxy -c`` may accept and several processes, or a backup node, cannot run.
Every rule says what to do in place of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from lbctl.errors import Problem
from lbctl.haproxy.lines import Line, read
from lbctl.spec import ThreadsIn

_OTHER_FAMILIES = frozenset(
    {
        *("unix", "abns", "abnsz", "fd", "sockpair", "rhttp", "rev", "uxst", "uxdg"),
        *("udp", "udp4", "udp6", "quic4", "quic6"),
    }
)
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_PORT_MAX = 65535
_MIGRATE = "lbctl migrate rewrites old files"


#: Why an address cannot be bound wherever the configuration is to run; empty: it can.
Absent = Callable[[str], str]


def nothing_is_absent(_address: str) -> str:
    """Any address may be bound, or nobody can say here which."""
    return ""


class Bind(NamedTuple):
    """An address and a TCP port that HAProxy would listen on; every address: ``*`` or ``::``."""

    address: str
    port: int
    line: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the configuration is to run; see :func:`problems_of`."""

    absent: Absent
    processes: int
    is_nbproc: bool
    threads_in: ThreadsIn
    runs_as: Mapping[str, str]


def binds_of(text: str) -> tuple[Bind, ...]:
    """
    Every TCP port that the configuration listens on; addresses with variables are left out.

    Args:
        text: a whole configuration.
    """
    return tuple(
        Bind(address, port, line.number)
        for line in read(text)
        if line.keyword == "bind" and len(line.words) > 1
        for address, ports in _tcp_addresses(line.words[1])
        for port in ports
    )


def has_peers(text: str) -> bool:
    """Whether a configuration has a ``peers`` section of its own."""
    return any(line.opens_section and line.keyword == "peers" for line in read(text))


def problems_of(
    text: str,
    *,
    absent: Absent,
    processes: int,
    is_nbproc: bool = False,
    threads_in: ThreadsIn = "process file",
    runs_as: Mapping[str, str] = MappingProxyType({}),
    name: str = "haproxy.cfg",
) -> tuple[Problem, ...]:
    """
    Everything that ``haproxy -c`` may accept and this bundle cannot run.

    Args:
        text: a whole configuration.
        absent: what speaks against a bind to an address without ``transparent``.
        processes: how many will run it.
        is_nbproc: HAProxy up to 2.4: all processes share one set of listening sockets.
        threads_in: how this HAProxy is told the number of its threads.
        runs_as: ``user``, ``uid``, ``group``, ``gid`` that it has already and cannot change; what
            is not there is not judged.
        name: of the file, for :attr:`Problem.where`.
    """
    place = _Place(absent, processes, is_nbproc, threads_in, runs_as)
    return tuple(
        Problem(f"{name}:{line.number}", what)
        for line in read(text)
        for what in _problems_of_line(line, place)
    )


def _problems_of_line(line: Line, place: _Place) -> Iterator[str]:
    if line.opens_section:
        yield from _of_section(line, place)
    elif line.keyword in ("nbproc", "bind-process") or line.words[:2] == ("stats", "bind-process"):
        yield from _of_pin(line)
    elif line.words[:2] == ("stats", "socket"):
        yield from _of_stats_socket(line, place)
    elif line.keyword == "bind":
        yield from _of_bind(line, place)
    elif line.section == "global":
        yield from _of_global(line, place)


def _of_global(line: Line, place: _Place) -> Iterator[str]:
    """What ends an unprivileged HAProxy when it starts; ``haproxy -c`` accepts it."""
    word = line.keyword
    if word in ("chroot", "pidfile"):
        reason = {
            "chroot": "HAProxy has none of root's rights and may not chroot",
            "pidfile": "supervisord knows the pids, and HAProxy may not write where root would",
        }[word]
        yield f"{word!r}: {reason}: it would end at the start: remove the line"
    elif word in place.runs_as and line.words[1:] != (place.runs_as[word],):
        yield (
            f"{word!r}: lbctl starts HAProxy as {word} {place.runs_as[word]}, without the right to "
            "become another: it would end at the start: remove the line; user is a key of lb.yaml"
        )
    elif word == "nbthread" and place.threads_in == "first file":
        yield (
            "'nbthread': haproxy.threads in lb.yaml sets it, and with this HAProxy the line would "
            "win: remove it"
        )


def _of_section(line: Line, place: _Place) -> Iterator[str]:
    if line.keyword in ("peers", "program") and place.processes > 1:
        reason = {
            "peers": "would all be the same peer on the same port, and stick tables are copied "
            "between peers, not added up",
            "program": "would each start the program",
        }
        yield (
            f"section {line.keyword!r}: {place.processes} processes {reason[line.keyword]}: remove "
            "the section, or set haproxy.processes: 1 in lb.yaml"
        )
    if line.keyword in ("listen", "frontend") and len(line.words) > 2 and line.words[2] != "from":
        address = line.words[2]
        yield (
            f"an address on the line of {line.keyword!r} is the syntax before HAProxy 1.6: move it "
            f"to a line of its own: bind {address} ({_MIGRATE})"
        )


def _of_pin(line: Line) -> Iterator[str]:
    if line.keyword == "nbproc":
        yield (
            "'nbproc': lbctl runs the processes itself: remove the line; their number is "
            f"haproxy.processes in lb.yaml, by default one for each usable CPU ({_MIGRATE})"
        )
        return
    words = "stats bind-process" if line.keyword == "stats" else "bind-process"
    yield (
        f"{words!r}: every process runs the whole file: remove the line; the stats of each "
        f"process are on listeners that lbctl adds (haproxy.stats in lb.yaml; {_MIGRATE})"
    )


def _of_stats_socket(line: Line, place: _Place) -> Iterator[str]:
    if place.processes > 1:
        yield (
            f"'stats socket': the last of {place.processes} processes to start would own it: "
            "remove the line; each process has a socket in the run dir (haproxy/01.sock ...)"
        )
    elif "process" in line.words[3:]:
        yield "'process' pins the socket to one process of nbproc: remove the word and its value"


def _of_bind(line: Line, place: _Place) -> Iterator[str]:
    if len(line.words) < 2:
        return
    if "process" in line.words[2:]:
        yield (
            "'process' pins the listener to one process, and every process runs the whole file: "
            "remove the word and its value"
        )
    for address in line.words[1].split(","):
        if _is_unix(address) and place.processes > 1 and not place.is_nbproc:
            yield (
                f"bind {address}: the last of {place.processes} processes to start would own the "
                "socket: bind a TCP port, or set haproxy.processes: 1 in lb.yaml"
            )
    if "transparent" not in line.words[2:]:
        yield from _of_address(line, place)


def _of_address(line: Line, place: _Place) -> Iterator[str]:
    for address, _ in _tcp_addresses(line.words[1]):
        reason = place.absent(address)
        if reason:
            yield (
                f"bind {line.words[1]}: {reason}: add the word 'transparent', or bind every "
                "address with ':PORT'"
            )


def _is_unix(address: str) -> bool:
    """Whether a bind address is a path or an abstract name, which one process alone can have."""
    return address.startswith(("/", "unix@", "abns@", "abnsz@"))


def _tcp_addresses(word: str) -> Iterator[tuple[str, range]]:
    """Address and ports of each TCP listener in the first argument of ``bind``."""
    for text in word.split(","):
        family, _, rest = text.rpartition("@")
        if family in _OTHER_FAMILIES or rest.startswith("/") or "$" in text:
            continue
        address, _, ports = rest.rpartition(":")
        found = _PORTS.fullmatch(ports)
        if found is None:
            continue
        first = int(found[1])
        last = min(int(found[2] or first), _PORT_MAX)
        address = address.removeprefix("[").removesuffix("]")
        wildcard = "::" if family.endswith("6") else "*"
        is_any = address in ("", "*", "0.0.0.0")
        yield wildcard if is_any else address, range(first, last + 1)
