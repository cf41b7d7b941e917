"""
Who is on the network already: judged from what was heard and from who answers for the addresses.

Pure but for :func:`ask`. A genuine peer is welcome; a stranger with our id, or one that has our
address, ends the start: two speakers with one id make each other's backups masters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from lbctl.errors import Problem
from lbctl.ha import carp
from lbctl.ha.arp import probe
from lbctl.ha.capture import Seen, Vrrp, speaker_of
from lbctl.ha.carp import Password
from lbctl.ha.vhid import free
from lbctl.launch.listening import Listening
from lbctl.spec import GroupSpec

#: An address that a dead node held goes with its lease; only one that stays is somebody's.
LEASE_OUT_S = 4.0
PROBE_S = 0.5

#: By address the MACs that answer for it.
Holders = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Heard:
    """
    Attributes:
        peers: sources of genuine advertisements of the group.
        strangers: who speaks with the group's id and is no peer, and what he is.
        ids: every id in use on the interface.
        is_own: this host itself speaks for the group already.
    """

    peers: frozenset[str] = frozenset()
    strangers: Mapping[str, str] = field(default_factory=dict)
    ids: frozenset[int] = frozenset()
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Met:
    """
    Who is there, as far as one group is concerned.

    Attributes:
        holders: those who hold addresses of the group although no peer of it spoke.
    """

    group: GroupSpec
    heard: Heard
    holders: Holders


def sort_out(packets: Iterable[Seen], group: GroupSpec, password: Password) -> Heard:
    """Tell peers from strangers among what was heard on the group's interface."""
    peers: set[str] = set()
    strangers: dict[str, str] = {}
    ids: set[int] = set()
    is_own = False
    for packet in packets:
        speaker = speaker_of(packet.packet)
        if speaker is None or packet.interface != group.interface:
            continue
        ids.add(speaker.id)
        if speaker.id != group.vhid:
            continue
        if isinstance(speaker, Vrrp):
            strangers[speaker.source] = f"VRRP version {speaker.version}"
        elif not _is_genuine(packet.packet, group, password):
            strangers[speaker.source] = "CARP with another password or another VIP"
        elif packet.outgoing:
            is_own = True
        elif group.peers and speaker.source not in group.peers:
            strangers[speaker.source] = "this group's own CARP (ha.peers does not name it)"
        else:
            peers.add(speaker.source)
    return Heard(frozenset(peers), strangers, frozenset(ids), is_own)


def _is_genuine(packet: bytes, group: GroupSpec, password: Password) -> bool:
    """Sent to all, or to one: this host by a peer, a peer by another bundle of this host."""
    one_by_one = (group.source, *group.peers) if group.peers else ()
    return any(
        isinstance(
            carp.genuine(
                packet,
                vhid=group.vhid,
                vip=group.vip,
                password=password,
                destination=destination,
            ),
            carp.Received,
        )
        for destination in (carp.GROUP, *one_by_one)
    )


def problems_heard(heard: Heard, group: GroupSpec) -> list[Problem]:
    """Why this node must not speak."""
    problems = []
    unused = free(heard.ids, group.vhid)
    way_out = f"VHID={unused} is free" if unused else "no id is free on this network"
    for source, what in sorted(heard.strangers.items()):
        where = f"vhid {group.vhid}"
        text = (
            f"{source} speaks {what} with this id on {group.interface}: if it is the other host "
            f"of this pair, give both the same VIP and password{_peers_too(group)}; if not, "
            f"{way_out} (set it on both hosts)"
        )
        problems.append(Problem(where, text))
    if heard.is_own:
        text = f"this host speaks for {group.vip} already: another bundle runs on it"
        problems.append(Problem("VIP", text))
    return problems


def _peers_too(group: GroupSpec) -> str:
    return ", and name it in ha.peers" if group.peers else ""


async def listen_and_ask(
    listening: Listening, groups: Sequence[GroupSpec], password: Password
) -> tuple[Met, ...]:
    """
    Wait until the listening has lasted long enough, and ask for the addresses at its end.

    Returns:
        For each group what was heard, and who holds its addresses although no peer spoke.

    Raises:
        NetlinkError: an interface is gone.
    """
    await asyncio.sleep(max(0.0, listening.left_s() - PROBE_S))
    holders = [await ask(group) for group in groups]
    packets = listening.heard()
    met = tuple(map(partial(_meet, packets, password), groups, holders))
    if any(one.holders and not problems_heard(one.heard, one.group) for one in met):
        await asyncio.sleep(LEASE_OUT_S - PROBE_S)
        holders = [await ask(group) for group in groups]
        packets = (*packets, *listening.heard())
        met = tuple(map(partial(_meet, packets, password), groups, holders))
    return met


def _meet(packets: Sequence[Seen], password: Password, group: GroupSpec, holders: Holders) -> Met:
    heard = sort_out(packets, group, password)
    return Met(group, heard, {} if heard.peers else holders)


async def ask(group: GroupSpec) -> Holders:
    """By address the MACs that answer for it; those that nobody answers for are left out."""
    hosts = [address.partition("/")[0] for address in group.addresses]
    answers = await asyncio.gather(
        *(probe(group.interface, host, within_s=PROBE_S) for host in hosts)
    )
    return {host: macs for host, macs in zip(hosts, answers, strict=True) if macs}


def problems_held(holders: Holders, group: GroupSpec) -> list[Problem]:
    """Addresses that another host answers for, and no peer of ours is there."""
    return [
        Problem(
            "VIP",
            f"{host} is in use: {', '.join(macs)} answers for it on {group.interface} and sends no "
            f"advertisement of vhid {group.vhid}: take the address from that host, or choose "
            "another one",
        )
        for host, macs in sorted(holders.items())
    ]
