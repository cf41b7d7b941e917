"""
Host names in servers' addresses, replaced by what ``/etc/hosts`` says of them. Pure.

HAProxy looks names up in the DNS alone while it runs; a name that a file answers is followed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Literal

from lbctl.model.address import bracketed, split_address
from lbctl.model.service import Server, Service

Family = Literal["ipv4", "ipv6"]


@dataclass(frozen=True, slots=True)
class Named:
    """
    Attributes:
        services: by name, with addresses in the place of names that are known.
        hosts: host names that servers have, known or not; lower case.
    """

    services: Mapping[str, Service] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    _known: Mapping[str, _Known] = field(default_factory=dict, repr=False)

    def places(self) -> dict[tuple[str, str], str]:
        """IP address by service and server's key, of those servers that have a known name."""
        return {
            (name, server.key): split[0]
            for name, one in self._known.items()
            for given, server in zip(one.given.servers, one.made.servers, strict=True)
            if given is not server and (split := split_address(server.address)) is not None
        }


@dataclass(frozen=True, slots=True)
class _Known:
    """What became of a service: *found* are the addresses of *hosts*, those that are known."""

    given: Service
    hosts: tuple[str, ...]
    found: Mapping[str, str]
    made: Service


def named(
    services: Mapping[str, Service],
    names: Mapping[str, Sequence[str]],
    prefer: Family = "ipv4",
    before: Named | None = None,
) -> Named:
    """
    Put addresses in the place of names; a server stays what it was known by.

    Args:
        services: by name.
        names: addresses by host name, lower case, as ``/etc/hosts`` has them.
        prefer: the first address of this family, else the first.
        before: an earlier answer, as for :func:`lbctl.follow.merge.merged`.
    """
    known = before._known if before is not None else {}
    result: dict[str, Service] = {}
    now: dict[str, _Known] = {}
    hosts: set[str] = set()
    for name, service in services.items():
        one = known.get(name)
        if one is None or one.given is not service:
            one = _Known(service, _hosts(service), {}, service)
        if one.hosts:
            hosts.update(one.hosts)
            one = _renamed(one, names, prefer)
        now[name] = one
        result[name] = one.made
    return Named(result, frozenset(hosts), now)


def preferred(addresses: Sequence[str], prefer: Family) -> str:
    """The first one of the family, else the first; empty: there is none."""
    version = 4 if prefer == "ipv4" else 6
    for address in addresses:
        if ip_address(address).version == version:
            return address
    return addresses[0] if addresses else ""


def host_of(address: str) -> str:
    """The name in ``web.example.com:80``, lower case; empty: it is no name."""
    if split_address(address) is not None:
        return ""
    host, colon, _ = address.rpartition(":")
    return host.lower().removesuffix(".") if colon else ""


def _hosts(service: Service) -> tuple[str, ...]:
    found = (host_of(server.address) for server in service.servers)
    return tuple(dict.fromkeys(host for host in found if host))


def _renamed(one: _Known, names: Mapping[str, Sequence[str]], prefer: Family) -> _Known:
    found = dict(_found(one.hosts, names, prefer))
    if found == one.found:
        return one
    servers = tuple(_with_address(server, found) for server in one.given.servers)
    made = replace(one.given, servers=servers) if found else one.given
    return replace(one, found=found, made=made)


def _found(
    hosts: Iterable[str], names: Mapping[str, Sequence[str]], prefer: Family
) -> Iterator[tuple[str, str]]:
    for host in hosts:
        if address := preferred(names.get(host, ()), prefer):
            yield host, address


def _with_address(server: Server, found: Mapping[str, str]) -> Server:
    address = found.get(host_of(server.address))
    if address is None:
        return server
    port = server.address.rpartition(":")[2]
    return replace(server, id=server.key, address=f"{bracketed(address)}:{port}")
