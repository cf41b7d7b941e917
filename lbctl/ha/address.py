"""
The addresses of one interface, each held as a lease that the kernel ends by itself.

pyroute2 writes and reads the messages; they travel over a plain socket of ours. Its own synchronous
calls run an event loop inside, and so cannot be made from within one (pyroute2 0.9, asyncio core).
Every method is synchronous and takes a fraction of a millisecond; one thread uses one object.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Self

from lbctl.errors import NetlinkError
from lbctl.ha.netlink import (
    HEADER,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    Message,
    Netlink,
    Request,
)

_RTM_NEWADDR = 20
_RTM_DELADDR = 21
_RTM_GETADDR = 22
_FOREVER = 0xFFFFFFFF


class InterfaceGoneError(NetlinkError):
    """The interface was removed or renamed; its addresses went with it."""


@dataclass(frozen=True, slots=True)
class Stray:
    """An address of the group that sits on another interface."""

    address: str
    interface: str


class Addresses:
    """
    What one interface holds.

    The interface is looked up by name at every call, so that one which was removed and made anew
    is the right one again.
    """

    __slots__ = ("_netlink", "interface")

    def __init__(self, interface: str) -> None:
        """
        Raises:
            NetlinkError: the kernel gives no netlink socket.
        """
        self.interface = interface
        try:
            self._netlink = Netlink(socket.NETLINK_ROUTE)
        except OSError as error:
            message = f"opening a netlink socket: {error.strerror or error}"
            raise NetlinkError(message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._netlink.close()

    def present(self) -> dict[str, float | None]:
        """
        Every address on the interface, ``10.0.1.201/32`` or ``fd00::1/128``, to the seconds that
        its lease has left; None: for ever.

        Raises:
            InterfaceGoneError, NetlinkError: nothing is known.
        """
        index = self._index("reading addresses")
        return {_cidr(message): _lease_of(message) for message in self._dump(of_index=index)}

    def hold(self, cidr: str, *, lease_s: int = 3) -> None:
        """
        Add *cidr*, or renew its lease: the kernel removes it *lease_s* from now.

        Raises:
            InterfaceGoneError: there is no such interface; nothing was set.
            NetlinkError: the kernel refused; a lease set before runs on.
        """
        what = f"setting {cidr}"
        index = self._index(what)
        flags = NLM_F_CREATE | NLM_F_REPLACE
        self._change(what, _RTM_NEWADDR, flags, _held(cidr, index, lease_s))

    def drop(self, cidr: str) -> None:
        """
        Take *cidr* away; that it is not there, or the interface is not, is what was wanted.

        Raises:
            NetlinkError: the kernel refused; the address stays until its lease ends.
        """
        try:
            what = f"removing {cidr}"
            self._change(what, _RTM_DELADDR, 0, _dropped(cidr, self._index(what)))
        except InterfaceGoneError:
            return
        except NetlinkError as error:
            if _errno_of(error) != errno.EADDRNOTAVAIL:
                raise

    def elsewhere(self, cidrs: Iterable[str]) -> tuple[Stray, ...]:
        """
        Addresses of *cidrs*, whatever their prefix, that sit on other interfaces of this host.

        Raises:
            NetlinkError: nothing is known.
        """
        hosts = {cidr.partition("/")[0] for cidr in cidrs}
        found = [
            Stray(_cidr(message), _interface_name(message["index"]))
            for message in self._dump()
            if _cidr(message).partition("/")[0] in hosts
        ]
        return tuple(stray for stray in found if stray.interface != self.interface)

    def _index(self, what: str) -> int:
        try:
            return socket.if_nametoindex(self.interface)
        except OSError as error:
            message = f"{what} on {self.interface}: there is no such interface"
            raise InterfaceGoneError(message) from error

    def _change(self, what: str, kind: int, flags: int, message: bytes) -> None:
        try:
            self._netlink.execute(Request(kind, flags, message))
        except OSError as error:
            text = f"{what} on {self.interface}: {_meaning(error)}"
            wrong = InterfaceGoneError if error.errno == errno.ENODEV else NetlinkError
            raise wrong(text) from error

    def _dump(self, *, of_index: int = 0) -> list[Any]:
        try:
            answer = self._netlink.dump(Request(_RTM_GETADDR, 0, _encoded(_message())))
        except OSError as error:
            message = f"reading addresses on {self.interface}: {_meaning(error)}"
            raise NetlinkError(message) from error
        # Reading one takes longer than all the rest, and a host may have a thousand elsewhere.
        return [_decoded(one) for one in answer if of_index in (0, _index_in(one))]


@cache
def _pyroute2() -> Any:
    """Its module of address messages; imported when first needed: ucarp is started before that."""
    from pyroute2.netlink.rtnl import ifaddrmsg

    return ifaddrmsg


def _message(*wire: bytes) -> Any:
    return _pyroute2().ifaddrmsg(*wire)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _addressed(cidr: str, index: int) -> Any:
    host, _, prefix = cidr.partition("/")
    message = _message()
    message["family"] = _family(host)
    message["prefixlen"] = int(prefix or (128 if ":" in host else 32))
    message["index"] = index
    message["attrs"] = [("IFA_LOCAL", host), ("IFA_ADDRESS", host)]
    return message


@lru_cache
def _dropped(cidr: str, index: int) -> bytes:
    return _encoded(_addressed(cidr, index))


@lru_cache
def _held(cidr: str, index: int, lease_s: int) -> bytes:
    # Once: making it takes longer than setting the address, and a take-over is outage.
    message = _addressed(cidr, index)
    preferred_s = lease_s
    if message["family"] == socket.AF_INET6:
        # Never the source of this host's own connections; usable at once, not after a second.
        preferred_s = 0
        flags = _pyroute2().IFA_F_NODAD | _pyroute2().IFA_F_NOPREFIXROUTE
        message["attrs"].append(("IFA_FLAGS", flags))
    lease = {"ifa_preferred": preferred_s, "ifa_valid": lease_s, "cstamp": 0, "tstamp": 0}
    message["attrs"].append(("IFA_CACHEINFO", lease))
    return _encoded(message)


def _encoded(message: Any) -> bytes:
    message.encode()
    return bytes(message.data[HEADER.size :])


def _index_in(message: Message) -> int:
    """``ifa_index`` of a ``struct ifaddrmsg``, unread."""
    return int.from_bytes(message.payload[4:8], sys.byteorder)


def _decoded(message: Message) -> Any:
    length = HEADER.size + len(message.payload)
    decoded = _message(HEADER.pack(length, message.type, 0, 0, 0) + message.payload)
    decoded.decode()
    return decoded


def _cidr(message: Any) -> str:
    host = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return f"{host}/{message['prefixlen']}"


def _lease_of(message: Any) -> float | None:
    lease = message.get_attr("IFA_CACHEINFO")
    if lease is None or lease["ifa_valid"] == _FOREVER:
        return None
    return float(lease["ifa_valid"])


def _interface_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"interface {index}"


def _errno_of(error: NetlinkError) -> int | None:
    return error.__cause__.errno if isinstance(error.__cause__, OSError) else None


def _meaning(error: OSError) -> str:
    text = error.strerror or str(error)
    if error.errno == errno.EPERM:  # EACCES is something else: IPv6 is disabled there
        return f"{text}: the capability NET_ADMIN is missing"
    return text
