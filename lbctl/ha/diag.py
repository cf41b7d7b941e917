"""
TCP sockets of this network namespace, by NETLINK_SOCK_DIAG: who listens, who is connected to an
address, and the end of such connections. Standard library alone.

Source: linux/inet_diag.h; ``ss -K`` does the same.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lbctl.errors import NetlinkError
from lbctl.ha.netlink import NLM_F_REQUEST, Netlink, Request, attribute

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_SOCK_DESTROY = 21
_INET_DIAG_REQ_BYTECODE = 1
_BC_JMP = 1
_BC_S_COND = 7
_MAPPED = bytes(10) + b"\xff\xff"

#: Kernel's numbers of TCP states (net/tcp_states.h).
STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
}
_LISTEN = 1 << 10
_CONNECTED = sum(1 << state for state in (1, 3, 4, 5, 8, 9, 11))

_REQUEST = struct.Struct("=BBBBI48s")
_REPLY = struct.Struct("=BBBB48sIIIII")
_ID = struct.Struct("!HH16s16s")


@dataclass(frozen=True, slots=True)
class Socket:
    """
    One TCP socket.

    Attributes:
        address: local, as text; a v4-mapped IPv6 address is given as IPv4.
        port: local.
        peer: remote address; ``0.0.0.0`` or ``::`` of a listener.
        peer_port: 0 of a listener.
        state: a name of :data:`STATES`.
        uid: its owner.
        inode: 0 for one that no process has accepted yet.
        family: AF_INET or AF_INET6, as the kernel keeps it.
        identity: the kernel's id of it (inet_diag_sockid), for :func:`destroy`.
    """

    address: str
    port: int
    peer: str
    peer_port: int
    state: str
    uid: int
    inode: int
    family: int
    identity: bytes


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds a socket."""

    pid: int
    name: str


def listeners() -> tuple[Socket, ...]:
    """
    Every TCP socket that listens, IPv4 and IPv6.

    Raises:
        NetlinkError: the kernel does not tell.
    """
    return _sockets(_LISTEN, b"")


def established(addresses: Iterable[str]) -> tuple[Socket, ...]:
    """
    Every connection, half-open and half-closed ones too, whose local address is one of *addresses*
    (with or without prefix). TIME_WAIT is not among them: nobody waits there.

    Raises:
        NetlinkError: the kernel does not tell.
    """
    hosts = {_canonical(address) for address in addresses}
    if not hosts:
        return ()
    # The kernel filters: a dump of ten thousand other connections is not taken to Python.
    program = attribute(_INET_DIAG_REQ_BYTECODE, _bytecode(sorted(hosts)))
    return tuple(found for found in _sockets(_CONNECTED, program) if found.address in hosts)


def destroy(sockets: Iterable[Socket]) -> int:
    """
    End connections now; each peer gets an RST (a half-open one has nobody to tell).

    Returns:
        How many were ended; those that were gone already do not count.

    Raises:
        NetlinkError: no NET_ADMIN, or a kernel without CONFIG_INET_DIAG_DESTROY.
    """
    requests = [
        Request(_SOCK_DESTROY, 0, _REQUEST.pack(found.family, _TCP, 0, 0, _ANY, found.identity))
        for found in sockets
    ]
    try:
        with Netlink(_NETLINK_SOCK_DIAG) as netlink:
            results = netlink.execute_all(requests)
    except OSError as error:
        message = f"ending {len(requests)} TCP connections: {error.strerror or error}"
        raise NetlinkError(message) from error
    for refused in results:
        if refused is not None and refused.errno != errno.ENOENT:
            message = f"ending {len(requests)} TCP connections: {_hint(refused)}"
            raise NetlinkError(message) from refused
    return results.count(None)


_TCP = socket.IPPROTO_TCP
_ANY = 0xFFFFFFFF


def _hint(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"{error.strerror}: the capability NET_ADMIN is missing"
    if error.errno == errno.EOPNOTSUPP:
        return f"{error.strerror}: the kernel lacks CONFIG_INET_DIAG_DESTROY"
    return str(error.strerror)


def owner_of(inode: int) -> Owner | None:
    """Who holds the socket, as far as this process may look into others; None: not to be seen."""
    target = f"socket:[{inode}]"
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and _holds(process / "fd", target):
            return Owner(int(process.name), _name_of(process))
    return None


def _holds(descriptors: Path, target: str) -> bool:
    try:
        with os.scandir(descriptors) as entries:
            return any(_link(entry.path) == target for entry in entries)
    except OSError:  # it has ended, or it is not ours to see
        return False


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "?"


def _sockets(states: int, extra: bytes) -> tuple[Socket, ...]:
    found: list[Socket] = []
    try:
        with Netlink(_NETLINK_SOCK_DIAG) as netlink:
            for family in (socket.AF_INET, socket.AF_INET6):
                query = _REQUEST.pack(family, _TCP, 0, 0, states, bytes(48)) + extra
                request = Request(_SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, query)
                found += [_socket(message.payload) for message in netlink.dump(request)]
    except OSError as error:
        message = f"listing TCP sockets: {error.strerror or error}"
        raise NetlinkError(message) from error
    return tuple(found)


def _socket(payload: bytes) -> Socket:
    family, state, _, _, identity, _, _, _, uid, inode = _REPLY.unpack_from(payload)
    port, peer_port, address, peer = _ID.unpack_from(identity)
    return Socket(
        address=_text(family, address),
        port=port,
        peer=_text(family, peer),
        peer_port=peer_port,
        state=STATES.get(state, str(state)),
        uid=uid,
        inode=inode,
        family=family,
        identity=identity,
    )


def _text(family: int, packed: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, packed[:4])
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def _canonical(address: str) -> str:
    host = address.partition("/")[0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, host))


def _bytecode(hosts: list[str]) -> bytes:
    """
    "The local address is one of these" for the kernel's filter machine.

    Each condition falls to a jump to the end when it holds, else over the jump to the next one;
    the last one jumps past the end, which means no. A v4 condition holds for v4-mapped ones too.
    """
    conditions = [_condition(host) for host in hosts]
    program = b""
    for position, condition in reversed(list(enumerate(conditions))):
        length = 4 + len(condition)
        operation = struct.pack("=BBH", _BC_S_COND, length, length + 4) + condition
        if position < len(conditions) - 1:
            operation += struct.pack("=BBH", _BC_JMP, 4, 4 + len(program))
        program = operation + program
    return program


def _condition(host: str) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    return struct.pack("=BBxxi", family, len(packed) * 8, -1) + packed
