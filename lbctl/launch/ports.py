"""
Whether the ports that the bundle is to listen on are free.

Another HAProxy would share a port without a word (SO_REUSEPORT), and so would a second bundle: so
each address is bound for a moment without that option, and sock_diag says who has it.
"""

from __future__ import annotations

import errno
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lbctl.errors import NetlinkError, Problem
from lbctl.ha.diag import Socket, listeners, owner_of

_IP_FREEBIND = 15
_IPV6_FREEBIND = 78
_WILDCARDS = frozenset({"*", "0.0.0.0", "::"})


@dataclass(frozen=True, slots=True)
class Claim:
    """
    A port that one program of the bundle listens on.

    Attributes:
        where: what to change: ``haproxy.cfg:12``.
        program: ``HAProxy`` or ``nginx``.
        address: ``*`` and ``::`` are every address.
    """

    where: str
    program: str
    address: str
    port: int


def overlap(one: str, other: str) -> bool:
    """Whether two local addresses of one port are in each other's way."""
    if one in _WILDCARDS or other in _WILDCARDS:
        return (":" in one) == (":" in other)
    return one == other


def clashes(claims: Iterable[Claim]) -> Iterator[Problem]:
    """Ports that two programs of the same bundle want, or HAProxy wants for two purposes."""
    by_port: dict[int, list[Claim]] = defaultdict(list)
    for claim in claims:
        for earlier in by_port[claim.port]:
            if overlap(earlier.address, claim.address) and _are_rivals(earlier, claim):
                what = (
                    f"{claim.program} is to listen on {_shown(claim)}, which {earlier.program} has "
                    f"already ({earlier.where}): change one of them"
                )
                yield Problem(claim.where, what)
        by_port[claim.port].append(claim)


def _are_rivals(one: Claim, other: Claim) -> bool:
    # Within one file HAProxy and nginx judge for themselves.
    return one.program != other.program or _file(one) != _file(other)


def _file(claim: Claim) -> str:
    return claim.where.rpartition(":")[0] or claim.where


def taken(claims: Iterable[Claim]) -> Iterator[Problem]:
    """Ports that somebody else on this host has."""
    seen: set[tuple[str, int]] = set()
    for claim in claims:
        if (claim.address, claim.port) in seen:
            continue
        seen.add((claim.address, claim.port))
        code = _bind(claim.address, claim.port)
        if code == errno.EADDRINUSE:
            what = (
                f"{claim.program} is to listen on {_shown(claim)}, and {_holder(claim)} does "
                "already: end that one, or choose another port"
            )
            yield Problem(claim.where, what)
        elif code in (errno.EACCES, errno.EPERM):
            what = (
                f"{claim.program} is to listen on {_shown(claim)}: not permitted: a port below "
                "1024 needs the capability NET_BIND_SERVICE"
            )
            yield Problem(claim.where, what)


def _bind(address: str, port: int) -> int:
    """The error number of binding there, 0 when it can be."""
    is_ipv6 = ":" in address
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    host = {"*": "0.0.0.0"}.get(address, address)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            else:
                # A virtual address is not here yet.
                sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            sock.bind((host, port))
    except OSError as error:
        return error.errno or 0
    return 0


def _holder(claim: Claim) -> str:
    try:
        found = [s for s in listeners() if s.port == claim.port and _meets(s, claim.address)]
    except NetlinkError:
        found = []
    for sock in found:
        owner = owner_of(sock.inode)
        if owner is not None:
            return f"{owner.name} (pid {owner.pid})"
    return f"a program of uid {found[0].uid}" if found else "another program"


def _meets(sock: Socket, address: str) -> bool:
    # A listener on :: may take IPv4 as well: it is in the way, or the bind would have worked.
    return sock.address == "::" or overlap(sock.address, address)


def _shown(claim: Claim) -> str:
    host = f"[{claim.address}]" if ":" in claim.address else claim.address
    return f"{host}:{claim.port}"
