"""
Who else is on the network: protocol 112, the holders of the addresses, and who answers a greeting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from lbctl.doctor.row import Row, bad, of_problems, ok, unknown, warn
from lbctl.doctor.subject import Subject
from lbctl.errors import LbctlError
from lbctl.ha.greeting import Claim
from lbctl.ha.neighbour import Neighbour
from lbctl.ha.question import Answered, Round, ask_round
from lbctl.launch.listening import Listening
from lbctl.launch.neighbours import Met, listen_and_ask, problems_heard, problems_held
from lbctl.spec import GroupSpec

#: The listening, and the answers of those who have the addresses.
_LISTEN_LIMIT_S = 7.3
#: Beyond this events of the two hosts cannot be put side by side.
CLOCK_OFFSET_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Here:
    """This node, as far as it is compared; *node* is empty before its first start."""

    node: str
    hostname: str
    version: str
    group: GroupSpec


async def listen(
    subject: Subject, listening: Listening | None
) -> tuple[tuple[Met, ...] | None, str]:
    """What was heard and who holds the addresses; or why that is not known."""
    if listening is None:
        return None, "listening to protocol 112 needs the capability NET_RAW"
    if subject.request.password is None:
        return None, "the password of the bundle is for root alone"
    groups = [group for group, _ in subject.groups]
    try:
        async with asyncio.timeout(_LISTEN_LIMIT_S):
            return await listen_and_ask(listening, groups, subject.request.password), ""
    except TimeoutError:
        return None, f"it took longer than {_LISTEN_LIMIT_S:g} s"
    except LbctlError as error:
        return None, str(error)


def judge_met(met: Sequence[Met] | None, why: str, *, is_running: bool) -> list[Row]:
    """CARP and VRRP on the group's interface, and other holders of its addresses."""
    if met is None:
        return [unknown("CARP", why), unknown("addresses", why)]
    rows = []
    for one in met:
        # That a bundle which runs here speaks is as it should be.
        heard = replace(one.heard, is_own=False) if is_running else one.heard
        peers = ", ".join(sorted(heard.peers))
        others = sorted(heard.ids - {one.group.vhid})
        well = f"{peers} speaks" if peers else "nobody else speaks"
        well += f" with vhid {one.group.vhid} on {one.group.interface}"
        well += f"; other ids there: {', '.join(map(str, others))}" if others else ""
        strangers = problems_heard(heard, one.group)
        rows += of_problems("CARP", strangers, well)
        # A stranger with the id is the one who has the address, too.
        held = [] if strangers else problems_held(one.holders, one.group)
        whose = "nobody else has them"
        if peers or strangers:
            whose = "held by who speaks, if by anybody"
        shown = ", ".join(one.group.addresses)
        rows += of_problems("addresses", held, f"{shown}: {whose}")
    return rows


async def ask(subject: Subject, node: str) -> tuple[Round | None, str]:
    """Who greets, by the first group's interface; or why that is not known."""
    group = subject.groups[0][0]
    if not group.greeting_port:
        return None, "greetings are off (ha.greeting_port: 0)"
    if subject.request.password is None:
        return None, "the password of the bundle is for root alone"
    try:
        return await ask_round(group, subject.request.password, node=node), ""
    except LbctlError as error:
        return None, str(error)


def judge_round(asked: Round | None, why: str, here: Here, *, heard: Collection[str]) -> list[Row]:
    """
    What the other host says of itself, and how the question came to it.

    Args:
        asked: None: the question could not be sent, for the reason *why*.
        heard: sources of genuine CARP of the group.
    """
    if asked is None:
        return [unknown("peer", why)]
    rows = [row for claim in asked.strangers for row in _stranger(claim, here)]
    if not asked.answers:
        return rows or [_nobody(heard, here.group.greeting_port)]
    for answer in asked.answers:
        rows.append(_peer(answer, here))
        rows.append(_clock(answer.neighbour))
        if not here.group.peers and answer.question_by:
            rows.append(_multicast(answer))
        if here.node and answer.neighbour.node == here.node:
            rows.append(_same_node(answer.neighbour))
    return rows


def _stranger(claim: Claim, here: Here) -> Iterator[Row]:
    who = f"{claim.hostname} ({claim.source})" if claim.hostname else claim.source
    if any(vip == here.group.vip for _, vip in claim.groups):
        text = f"{who} greets for {here.group.vip} with another password"
        yield bad("peer", text, "the same password on both hosts")
    elif any(vhid == here.group.vhid for vhid, _ in claim.groups):
        text = f"{who} greets with vhid {here.group.vhid} for another VIP"
        yield bad("peer", text, "another vhid for one of the pairs (ha.vhid, on both of its hosts)")


def _nobody(heard: Collection[str], port: int) -> Row:
    if heard:
        return warn(
            "peer",
            f"{', '.join(sorted(heard))} speaks CARP and does not greet on UDP {port}: status will "
            "not show it, and a handover needs --force",
            f"let UDP {port} pass between the hosts; the same ha.greeting_port on both",
        )
    text = "nobody greets: no bundle with this VIP runs elsewhere, or its packets do not arrive"
    return ok("peer", text)


def _peer(answer: Answered, here: Here) -> Row:
    other = answer.neighbour
    mine = other.group(here.group.vhid)
    text = f"{other.name}{f', {mine.role}' if mine else ''}: lbctl {other.version}, {other.engine}"
    if not answer.question_by:
        return warn(
            "peer",
            f"{text}; it greets and does not answer: packets pass in one direction only, or its "
            "answers are dropped here",
            f"let UDP {here.group.greeting_port} pass in both directions, and look at the switch",
        )
    if other.version != here.version:
        text = f"{text}; here {here.version}"
        return warn("peer", text, "the same version on both hosts")
    if other.engine != here.group.engine:
        text = f"{text}; here {here.group.engine}"
        return warn("peer", text, "the same ha.engine on both: a mixed pair has the times of ucarp")
    if other.hostname == here.hostname:
        text = f"{text}; this host has that name too: status and events do not tell them apart"
        return warn("peer", text, "hostnamectl set-hostname on one of them")
    return ok("peer", text)


def _clock(other: Neighbour) -> Row:
    offset_s = other.clock_offset_s
    if abs(offset_s) > CLOCK_OFFSET_MAX_S:
        way = "ahead of" if offset_s > 0 else "behind"
        text = f"that of {other.name} is {abs(offset_s):.0f} s {way} this one"
        return warn("peer's clock", text, "run chrony or systemd-timesyncd on both hosts")
    return ok("peer's clock", f"{abs(offset_s):.1f} s from this one")


def _multicast(answer: Answered) -> Row:
    name = answer.neighbour.name
    # The question went to the group: that it was answered proves this host's multicast.
    if answer.is_heard_by_multicast:
        return ok("multicast", f"arrives in both directions ({name})")
    return bad(
        "multicast",
        f"that of {name} does not arrive here, and unicast does: its advertisements get lost as "
        "well, and both would be MASTER",
        "look for what drops 224.0.0.18: a filter, a port that floods no multicast (bridge: "
        "mcast_flood off), a cloud; or ha.engine: native with ha.peers",
    )


def _same_node(other: Neighbour) -> Row:
    text = f"{other.name} has this host's, {other.node}: one state dir is a copy of the other"
    return bad("node id", text, "remove the file node-id from the state dir of one host")
