"""
Who is on the network already: judged from what was heard and from who answers for the addresses.

Pure but for :func:`ask`. A genuine peer is welcome; a stranger with our id, or one that has our
address, ends the start: two speakers with one id make each other's backups masters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.errors import Problem
from lbctl.ha.arp import probe
from lbctl.ha.capture import Seen, Vrrp, speaker_of
from lbctl.ha.carp import Password, Received, decode, verify
from lbctl.ha.vhid import free
from lbctl.launch.listening import Listening
from lbctl.spec import GroupSpec

#: An address that a dead node held goes with its lease; only one that stays is somebody's.
LEASE_OUT_S = 4.0
PROBE_S = 0.5


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
        received = decode(packet.packet)
        if isinstance(speaker, Vrrp):
            strangers[speaker.source] = f"VRRP version {speaker.version}"
        elif not _is_genuine(received, group, password):
            strangers[speaker.source] = "CARP with another password or another VIP"
        elif packet.outgoing:
            is_own = True
        else:
            peers.add(speaker.source)
    return Heard(frozenset(peers), strangers, frozenset(ids), is_own)


def _is_genuine(received: object, group: GroupSpec, password: Password) -> bool:
    return isinstance(received, Received) and verify(received, vip=group.vip, password=password)


def problems_heard(heard: Heard, group: GroupSpec) -> list[Problem]:
    """Why this node must not speak."""
    problems = []
    unused = free(heard.ids, group.vhid)
    way_out = f"VHID={unused} is free" if unused else "no id is free on this network"
    for source, what in sorted(heard.strangers.items()):
        where = f"vhid {group.vhid}"
        text = (
            f"{source} speaks {what} with this id on {group.interface}: if it is the other host "
            f"of this pair, give both the same VIP and password; if not, {way_out} "
            "(set it on both hosts)"
        )
        problems.append(Problem(where, text))
    if heard.is_own:
        text = f"this host speaks for {group.vip} already: another bundle runs on it"
        problems.append(Problem("VIP", text))
    return problems


async def listen_and_ask(
    listening: Listening, group: GroupSpec, password: Password
) -> tuple[Heard, dict[str, tuple[str, ...]]]:
    """
    Wait until the listening has lasted long enough, and ask for the addresses at its end.

    Returns:
        What was heard, and by address the MACs of those who hold it although no peer spoke.

    Raises:
        NetlinkError: the interface is gone.
    """
    await asyncio.sleep(max(0.0, listening.left_s() - PROBE_S))
    holders = await ask(group)
    packets = list(listening.heard())
    heard = sort_out(packets, group, password)
    if holders and not heard.peers and not problems_heard(heard, group):
        await asyncio.sleep(LEASE_OUT_S - PROBE_S)
        holders = await ask(group)
        heard = sort_out((*packets, *listening.heard()), group, password)
    return heard, {} if heard.peers else holders


async def ask(group: GroupSpec) -> dict[str, tuple[str, ...]]:
    """By address the MACs that answer for it; those that nobody answers for are left out."""
    hosts = [address.partition("/")[0] for address in group.addresses]
    answers = await asyncio.gather(
        *(probe(group.interface, host, within_s=PROBE_S) for host in hosts)
    )
    return {host: macs for host, macs in zip(hosts, answers, strict=True) if macs}


def problems_held(holders: Mapping[str, tuple[str, ...]], group: GroupSpec) -> list[Problem]:
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
