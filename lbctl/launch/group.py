"""The groups of virtual addresses that this host takes part in: request, settings, network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_interface
from typing import Protocol

from lbctl.errors import Problem
from lbctl.ha.interfaces import Interface, find
from lbctl.ha.vhid import derived
from lbctl.launch.collect import Collector
from lbctl.launch.request import Request
from lbctl.settings.ha_rules import TRACKED
from lbctl.settings.model import Ha
from lbctl.spec import GroupSpec


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A group as it was asked for: on the command line, or in lb.yaml."""

    where: str
    cidrs: tuple[str, ...]
    vhid: int
    advskew: int

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(cidr.partition("/")[0] for cidr in self.cidrs)


class Find(Protocol):
    """:func:`lbctl.ha.interfaces.find`, as far as it is needed here."""

    def __call__(self, vip: str, name: str = ..., *, others: Iterable[str] = ...) -> Interface: ...


def group_specs(
    request: Request, ha: Ha, find_interface: Find = find
) -> tuple[tuple[GroupSpec, Interface], ...]:
    """
    Find the interface of each group and work out the rest; the command line's group is the first.

    Raises:
        ValidationError: a VIP is in no subnet of this host, an interface is unknown or down, two
            groups claim the same, or a peer is this host itself.
        NetlinkError: the kernel does not tell.
    """
    wanted = tuple(_wanted(request, ha))
    collector = Collector()
    collector.add(_clashes(wanted))
    virtual = [address for one in wanted for address in one.addresses]
    found = [
        (
            one,
            collector.attempt(
                partial(find_interface, one.addresses[0], ha.interface, others=virtual)
            ),
        )
        for one in wanted
    ]
    groups = [
        (_spec(one, interface, ha), interface) for one, interface in found if interface is not None
    ]
    collector.add(_peer_problems(ha.peers, [group.source for group, _ in groups], virtual))
    collector.raise_if_any()
    return tuple(groups)


def _wanted(request: Request, ha: Ha) -> Iterator[_Wanted]:
    asked: list[tuple[str, tuple[str, ...], int | str, int]] = [
        ("VIP", request.cidrs, ha.vhid, ha.advskew),
    ]
    for number, group in enumerate(ha.groups):
        # Without a prefix this is that of a single host.
        cidrs = tuple(str(ip_interface(word)) for word in group.addresses)
        asked.append((f"ha.groups[{number}]", cidrs, group.vhid, group.advskew))
    for where, cidrs, vhid, advskew in asked:
        known = vhid if isinstance(vhid, int) else derived(cidrs[0].partition("/")[0])
        yield _Wanted(where, cidrs, known, advskew)


def _spec(wanted: _Wanted, interface: Interface, ha: Ha) -> GroupSpec:
    return GroupSpec(
        vhid=wanted.vhid,
        interface=interface.name,
        source=interface.source,
        vip=wanted.addresses[0],
        addresses=wanted.cidrs,
        engine=ha.engine,
        advbase_s=ha.advbase_s,
        advskew=wanted.advskew,
        dead_ratio=ha.dead_ratio,
        drain_s=ha.drain_s,
        track=tuple(one for one in TRACKED if one in ha.track),
        advbase_ms=ha.advbase_ms,
        peers=ha.peers,
        failback_s=ha.failback_s,
        announce_again_s=ha.announce.again_s,
        announce_refresh_s=ha.announce.refresh_s,
        greeting_port=ha.greeting_port,
    )


def _clashes(wanted: Sequence[_Wanted]) -> Iterator[Problem]:
    """What two groups both claim."""
    homes: dict[str, _Wanted] = {}
    ids: dict[int, _Wanted] = {}
    for one in wanted:
        for address in one.addresses:
            if address in homes:
                what = f"{address} is in {homes[address].where} too: an address has one group"
                yield Problem(one.where, what)
            homes.setdefault(address, one)
        if one.vhid in ids:
            other = ids[one.vhid]
            what = (
                f"vhid {one.vhid} is that of {other.where} ({other.addresses[0]}) too: each group "
                "has its own; set vhid, on both hosts alike"
            )
            yield Problem(one.where, what)
        ids.setdefault(one.vhid, one)


def _peer_problems(
    peers: Sequence[str], own: Sequence[str], virtual: Sequence[str]
) -> Iterator[Problem]:
    for peer in peers:
        if peer in own:
            what = f"{peer} is this host's own address: name the other nodes alone"
            yield Problem("ha.peers", what)
        elif peer in virtual:
            what = f"{peer} is a virtual address: name the other node by one of its own"
            yield Problem("ha.peers", what)
