"""
The network interfaces of this host: which one the virtual addresses belong to, and news of them.

Standard library alone: ``lbctl run`` looks here while it starts, and start time is outage.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, ip_address

from lbctl.errors import NetlinkError, Problem, ValidationError
from lbctl.ha.netlink import Message, Netlink, Request, attribute, attributes, messages

_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_DELADDR = 21
_RTM_GETADDR = 22
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_IFF_RUNNING = 0x40
_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV6_IFADDR = 0x100
_LINK_HEADER = struct.Struct("=BxHiII")
_ADDRESS_HEADER = struct.Struct("=BBBBI")


@dataclass(frozen=True, slots=True)
class Link:
    """
    An interface without its addresses.

    Attributes:
        mac: ``02:00:00:00:00:01``; empty where there is none.
        is_up: set up by the administrator.
        has_carrier: it can carry packets now (IFF_RUNNING, what ucarp looks at).
    """

    name: str
    index: int
    mac: str
    is_up: bool
    has_carrier: bool
    is_loopback: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """
    The interface of a virtual address.

    Attributes:
        source: this host's own IPv4 address there.
        prefix: its prefix length.
    """

    name: str
    index: int
    mac: str
    source: str
    prefix: int
    is_up: bool
    has_carrier: bool


class Change(Enum):
    """What a piece of news is about; which interface it does not say: look again."""

    LINK = "link"
    ADDRESS_SET = "address set"
    ADDRESS_GONE = "address gone"


_CHANGES = {
    _RTM_NEWLINK: Change.LINK,
    _RTM_DELLINK: Change.LINK,
    _RTM_NEWADDR: Change.ADDRESS_SET,
    _RTM_DELADDR: Change.ADDRESS_GONE,
}


@dataclass(frozen=True, slots=True)
class _Owned:
    """An IPv4 address on an interface."""

    index: int
    interface: IPv4Interface


def find(vip: str | IPv4Address, name: str = "auto", *, others: Iterable[str] = ()) -> Interface:
    """
    The interface that *vip* belongs to.

    Args:
        vip: IPv4.
        name: an interface; ``auto``: the one whose subnet holds *vip*, the longest prefix wins.
        others: further virtual addresses; none of them, nor *vip*, counts as the host's own.

    Raises:
        ValidationError: none fits, or it is down; the message lists what this host has.
        NetlinkError: the kernel does not tell.
    """
    address = ip_address(vip)
    if not isinstance(address, IPv4Address):
        raise ValidationError([Problem("VIP", f"{vip}: the first virtual address must be IPv4")])
    virtual = {str(address), *(other.partition("/")[0] for other in others)}
    with _route() as netlink:
        links = {link.index: link for link in _links(netlink)}
        present = [own for own in _owned(netlink) if own.index in links]
    owned = [own for own in present if str(own.interface.ip) not in virtual]
    found = (
        _by_subnet(address, links, owned)
        if name == "auto"
        else _by_name(address, name, links, owned)
    )
    if isinstance(found, Problem):
        raise ValidationError([_own_address(address, links, present) or found])
    link = links[found.index]
    if not link.is_up:
        what = f"{link.name} is down: set it up (ip link set {link.name} up)"
        raise ValidationError([Problem("interface", what)])
    return Interface(
        name=link.name,
        index=link.index,
        mac=link.mac,
        source=str(found.interface.ip),
        prefix=found.interface.network.prefixlen,
        is_up=link.is_up,
        has_carrier=link.has_carrier,
    )


def _own_address(
    address: IPv4Address, links: dict[int, Link], present: list[_Owned]
) -> Problem | None:
    """Why nothing fits where *address* is the only one that this host has in its subnet."""
    # Alone in its subnet (/32) it is one that an earlier bundle had.
    own = next(
        (o for o in present if o.interface.ip == address and o.interface.network.prefixlen < 32),
        None,
    )
    if own is None:
        return None
    what = (
        f"{address} is the address that {links[own.index].name} has already: a virtual address is "
        "a further one, which both hosts can take"
    )
    return Problem("VIP", what)


def _by_subnet(
    address: IPv4Address, links: dict[int, Link], owned: list[_Owned]
) -> _Owned | Problem:
    fitting = [
        own
        for own in owned
        if address in own.interface.network and not links[own.index].is_loopback
    ]
    if fitting:
        # Of equal prefixes the first wins: the kernel lists an interface's primary address first.
        return max(fitting, key=lambda own: own.interface.network.prefixlen)
    listed = _listed(links, owned)
    what = (
        f"{address} is in no subnet of this host ({listed}): another address, or set the "
        "interface; a container needs the host's network, --net=host"
    )
    return Problem("VIP", what)


def _by_name(
    address: IPv4Address, name: str, links: dict[int, Link], owned: list[_Owned]
) -> _Owned | Problem:
    index = next((link.index for link in links.values() if link.name == name), None)
    if index is None:
        names = ", ".join(link.name for link in links.values() if not link.is_loopback)
        return Problem("interface", f"{name}: no such interface; this host has: {names or 'none'}")
    if links[index].is_loopback:
        return Problem("interface", f"{name} is a loopback: the other host cannot be heard there")
    own_here = [own for own in owned if own.index == index]
    if not own_here:
        listed = _listed(links, owned)
        return Problem(
            "interface", f"{name} has no IPv4 address of its own; this host has: {listed}"
        )
    fitting = [own for own in own_here if address in own.interface.network]
    return max(fitting or own_here[:1], key=lambda own: own.interface.network.prefixlen)


def _listed(links: dict[int, Link], owned: list[_Owned]) -> str:
    subnets = [
        f"{own.interface.with_prefixlen} on {links[own.index].name}"
        for own in owned
        if not links[own.index].is_loopback
    ]
    return ", ".join(subnets) or "no IPv4 address"


def subnets() -> tuple[tuple[str, IPv4Interface], ...]:
    """
    Every IPv4 address of this host with its subnet, by the name of its interface.

    Raises:
        NetlinkError: the kernel does not tell.
    """
    with _route() as netlink:
        names = {link.index: link.name for link in _links(netlink) if not link.is_loopback}
        owned = _owned(netlink)
    return tuple((names[own.index], own.interface) for own in owned if own.index in names)


def link_state(name: str) -> Link | None:
    """
    The interface as it is now; None: there is none of that name.

    Raises:
        NetlinkError: the kernel does not tell.
    """
    query = _LINK_HEADER.pack(0, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name.encode() + b"\0")
    with _route() as netlink:
        try:
            answer = netlink.ask(Request(_RTM_GETLINK, 0, query))
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ERANGE):
                return None
            message = f"looking at {name}: {error.strerror or error}"
            raise NetlinkError(message) from error
    return _link(answer[0]) if answer else None


def macs() -> frozenset[str]:
    """
    Those of every interface of this host.

    Raises:
        NetlinkError: the kernel does not tell.
    """
    with _route() as netlink:
        return frozenset(link.mac for link in _links(netlink))


def open_watch() -> socket.socket:
    """
    A non-blocking socket that is readable when a link or an address of this host has changed.

    Raises:
        NetlinkError: the kernel gives no netlink socket.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        watch = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        watch.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError as error:
        message = f"watching links and addresses: {error.strerror or error}"
        raise NetlinkError(message) from error
    return watch


def read_changes(watch: socket.socket) -> frozenset[Change]:
    """
    What has changed since the last call. After lost news (the buffer was full): everything.

    Renewing a lease is an ADDRESS_SET too: whoever renews on that wakes himself for ever.
    """
    seen: set[Change] = set()
    while True:
        try:
            data = watch.recv(1 << 16)
        except BlockingIOError:
            return frozenset(seen)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                message = f"watching links and addresses: {error.strerror or error}"
                raise NetlinkError(message) from error
            seen.update(Change)
            continue
        seen.update(_CHANGES[news.type] for news in messages(data) if news.type in _CHANGES)


def _route() -> Netlink:
    try:
        return Netlink(socket.NETLINK_ROUTE)
    except OSError as error:
        message = f"opening a netlink socket: {error.strerror or error}"
        raise NetlinkError(message) from error


def _dump(netlink: Netlink, request: Request) -> list[Message]:
    try:
        return netlink.dump(request)
    except OSError as error:
        message = f"reading this host's interfaces: {error.strerror or error}"
        raise NetlinkError(message) from error


def _links(netlink: Netlink) -> list[Link]:
    request = Request(_RTM_GETLINK, 0, _LINK_HEADER.pack(0, 0, 0, 0, 0))
    return [_link(message) for message in _dump(netlink, request)]


def _link(message: Message) -> Link:
    _, _, index, flags, _ = _LINK_HEADER.unpack_from(message.payload)
    found = attributes(message.payload[_LINK_HEADER.size :])
    return Link(
        name=found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        index=index,
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        is_up=bool(flags & _IFF_UP),
        has_carrier=bool(flags & _IFF_RUNNING),
        is_loopback=bool(flags & _IFF_LOOPBACK),
    )


def _owned(netlink: Netlink) -> list[_Owned]:
    request = Request(_RTM_GETADDR, 0, _ADDRESS_HEADER.pack(socket.AF_INET, 0, 0, 0, 0))
    return [_own(message) for message in _dump(netlink, request)]


def _own(message: Message) -> _Owned:
    _, prefix, _, _, index = _ADDRESS_HEADER.unpack_from(message.payload)
    found = attributes(message.payload[_ADDRESS_HEADER.size :])
    packed = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
    return _Owned(index, IPv4Interface((packed, prefix)))
