"""
Whether HAProxy could listen where a new configuration wants it to, looked at before a reload.

``haproxy -c`` does not bind, and a reload that finds a port taken is no harmless failure: for two
seconds HAProxy has its old workers pause, and with nbproc (up to 2.4) the sockets that they share
answer nobody afterwards, until it is started anew.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lbctl.errors import Problem
from lbctl.haproxy.cfg import Bind, binds_of

#: Linux, linux/in.h and linux/in6.h: a virtual address may be on the other node at present.
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78
_LISTEN: Final = "0A"
_PEER: Final = re.compile(r"^\s*peer\s+\S+\s+")
_WILDCARDS: Final = frozenset({"*", "0.0.0.0", "::"})
_FIELD_LOCAL, _FIELD_STATE = 1, 3


def taken_ports(new: str, old: str, *, name: str = "haproxy.cfg") -> tuple[Problem, ...]:
    """
    What *new* would listen on, *old* does not, and somebody else does.

    Args:
        new: the text of a configuration, those of all its files one after the other.
        old: the same of what runs, whose ports HAProxy keeps.
        name: of the file, for :attr:`Problem.where`.
    """
    kept = {(bind.address, bind.port) for bind in _binds(old)}
    added = {
        (bind.address, bind.port): bind
        for bind in reversed(_binds(new))
        if (bind.address, bind.port) not in kept
    }
    return tuple(
        Problem(
            f"{name}:{bind.line}",
            f"bind {bind.address}:{bind.port}: {reason}; a reload would interrupt the service",
        )
        for bind in sorted(added.values(), key=lambda bind: bind.line)
        if (reason := _obstacle(bind))
    )


def _binds(text: str) -> tuple[Bind, ...]:
    """
    Without reading the servers, of which there are thousands. Peers are listened for too: what is
    the other host's can be bound here, or something listens on every address.
    """
    lines = text.splitlines()
    asked = (_PEER.sub("bind ", line) for line in lines)
    return binds_of("\n".join(line if "bind" in line else "" for line in asked))


def _obstacle(bind: Bind) -> str:
    code = _try(bind)
    if code == errno.EACCES:
        # Below 1024, and HAProxy alone has the right to it: go by what listens.
        is_taken = any(
            port == bind.port and _overlap(address, bind.address) for address, port in _listening()
        )
        code = errno.EADDRINUSE if is_taken else 0
    if code == errno.EADDRINUSE:
        return "another program listens there"
    return os.strerror(code) if code else ""


def _try(bind: Bind) -> int:
    """The error number of binding as HAProxy does, 0 when it can be."""
    is_ipv6 = ":" in bind.address
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    level, free = (
        (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if is_ipv6 else (socket.IPPROTO_IP, _IP_FREEBIND)
    )
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(level, free, 1)
            if is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((bind.address.replace("*", "0.0.0.0"), bind.port))
    except OSError as error:
        return error.errno or 0
    return 0


def _overlap(one: str, other: str) -> bool:
    if one in _WILDCARDS or other in _WILDCARDS:
        return (":" in one) == (":" in other)
    return one == other


def _listening() -> Iterator[tuple[str, int]]:
    """Address and TCP port of whatever listens on this host. Source: proc(5), /proc/net/tcp."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[_FIELD_STATE] == _LISTEN:
                address, _, port = fields[_FIELD_LOCAL].partition(":")
                yield _address(address), int(port, 16)


def _address(text: str) -> str:
    """Words of 32 bits in this machine's order, in hexadecimal."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
