"""
What is wrong between the nodes, now: judged from what each of them says. Pure.

A finding must last for a moment before it is told, since any move of the addresses looks wrong for
a few milliseconds; and must have been away for a moment before it is over. Claims that nobody has
signed with our password are worded, and never acted on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lbctl.ha.greeting import Claim, GroupFacts
from lbctl.ha.neighbour import FRESH_S, Neighbour
from lbctl.ha.pause import PauseWord

CONFIGURATION = "configuration differs"
BOTH_MASTER = "both MASTER"
NONE_MASTER = "none MASTER"
WRONG_PASSWORD = "wrong password"
CLASHING_VHID = "clashing vhid"
ADDRESSES = "addresses differ"
FLOOD = "flood"
VERSION = "version differs"
CLOCK = "clock differs"
PAUSED = "paused"
MULTICAST_LOST = "multicast is lost"
SAME_NODE = "same node id"
NOT_HEARD = "not heard"

#: How long a finding must last until it is told, seconds; the others at once.
HOLD_S = {BOTH_MASTER: 1.2, NONE_MASTER: 2.0, SAME_NODE: 1.0}
#: How long it must have been away until it is over.
OVER_AFTER_S = 0.8
#: Longer than three greetings, and two more for a lossy link.
DEAF_S = 6.0
CLOCK_S = 5.0
#: Without a multicast for so long, and this many greetings that came by unicast: it is not loss.
NO_MULTICAST_S = 2.3
UNICASTS = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Attributes:
        kind: one of the names above.
        text: what was found, and what to do about it.
        about: whom or what it concerns: a kind may be found more than once.
    """

    kind: str
    text: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """
    Who speaks protocol 112 with a vhid of ours, and is not of us.

    Attributes:
        what: ``VRRP``, or what is wrong with its CARP.
        seen: monotonic seconds.
        keep_s: how long it counts after that: its interval is its own.
    """

    source: str
    what: str
    vhid: int
    seen: float
    keep_s: float

    @property
    def is_vrrp(self) -> bool:
        return "VRRP" in self.what


@dataclass(frozen=True, slots=True)
class View:
    """
    Everything that the judgement needs.

    Attributes:
        groups: this node's.
        pause: the word that holds now; None: not paused.
        neighbours: known nodes.
        deaf: those that go on greeting and do not hear this node.
        claims: greetings with another signature or of another group, of the last few seconds.
        flooded_by: where most of a flood of refused datagrams claims to be from; empty: no flood.
        is_starting: a node has started so recently that nobody need be MASTER yet.
        now: monotonic seconds.
    """

    node: str
    version: str
    digests: Mapping[str, str]
    groups: tuple[GroupFacts, ...]
    now: float
    is_multicast: bool = True
    is_starting: bool = False
    pause: PauseWord | None = None
    neighbours: tuple[Neighbour, ...] = ()
    deaf: tuple[Neighbour, ...] = ()
    claims: tuple[Claim, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    flooded_by: str = ""

    @property
    def alive(self) -> tuple[Neighbour, ...]:
        """In an order of their own, so that no text changes with each greeting."""
        alive = (one for one in self.neighbours if self.now - one.seen <= FRESH_S)
        return tuple(sorted(alive, key=lambda one: (one.address, one.node)))


def judge(view: View) -> tuple[Finding, ...]:
    """All that is wrong, the worst first."""
    return tuple(finding for part in _PARTS for finding in part(view))


def _roles(view: View) -> Iterator[Finding]:
    for group in view.groups:
        where = f"vhid {group.vhid} ({group.vip})"
        others = [
            (one, theirs)
            for one in view.alive
            if (theirs := one.group(group.vhid)) is not None and theirs.vip == group.vip
        ]
        masters = [one for one, theirs in others if theirs.role == "MASTER"]
        if group.role == "MASTER" and masters:
            names = ", ".join(one.name for one in masters)
            text = (
                f"this node and {names} both hold {where}: the CARP of one does not reach the "
                "other; look at the network between them, protocol 112"
            )
            yield Finding(BOTH_MASTER, text, str(group.vhid))
        elif others and not masters and group.role != "MASTER" and not view.is_starting:
            names = ", ".join(one.name for one, _ in others)
            text = f"neither this node nor {names} holds {where}: nobody serves it"
            yield Finding(NONE_MASTER, text, str(group.vhid))


def _strangers(view: View) -> Iterator[Finding]:
    ours = {group.name for group in view.groups}
    wrong = {claim.source: claim for claim in view.claims if ours & set(claim.groups)}
    for source, claim in wrong.items():
        text = (
            f"{claim.name} greets for our VIP with another password: give both hosts the same one"
        )
        yield Finding(WRONG_PASSWORD, text, source)
    told = set(wrong)
    for claim in view.claims:
        clash = None if claim.source in told else _clash(view, claim)
        if clash:
            told.add(claim.source)
            kind, text = clash
            yield Finding(kind, f"{claim.name} {text}", claim.source)
    yield from _speakers(view, told)


def _clash(view: View, claim: Claim) -> tuple[str, str] | None:
    """Which kind of finding, and what it does with an address or a vhid of ours; None: nothing."""
    for group in view.groups:
        shared = [one for one in group.addresses if one in claim.addresses]
        if shared and group.vip not in (vip for _, vip in claim.groups):
            return ADDRESSES, _swapped(group, claim, shared)
    for vhid, vip in claim.groups:
        for group in view.groups:
            if vhid == group.vhid and vip != group.vip:
                return CLASHING_VHID, (
                    f"uses vhid {vhid} for {vip}, this node for {group.vip}: one of the pairs "
                    "needs another vhid; or, if it is the peer, the same VIP"
                )
            if vip == group.vip and vhid != group.vhid:
                return CLASHING_VHID, (
                    f"uses {vip} with vhid {vhid}, this node with {group.vhid}: both hold the "
                    "address; give them the same vhid"
                )
    return None


def _swapped(group: GroupFacts, claim: Claim, shared: list[str]) -> str:
    """It has addresses of ours, and another one first: CARP takes the two for strangers."""
    if sorted(claim.addresses) == sorted(group.addresses):
        what = "has the same addresses in another order"
    else:
        what = f"has {', '.join(shared)} too, and another first address"
    theirs = ", ".join(vip for _, vip in claim.groups)
    return (
        f"{what} ({theirs}; this node: {group.vip}): both hold what they share; give both hosts "
        "the same VIP first, or another pair other addresses"
    )


def _addresses(view: View) -> Iterator[Finding]:
    for one in view.alive:
        for group in view.groups:
            theirs = one.group(group.vhid)
            if theirs is None or theirs.vip != group.vip:
                continue
            if not theirs.addresses or not group.addresses:
                continue  # no room to tell them
            missing = ", ".join(sorted({*group.addresses} - {*theirs.addresses}))
            more = ", ".join(sorted({*theirs.addresses} - {*group.addresses}))
            parts = [f"lacks {missing}" if missing else "", f"has {more} besides" if more else ""]
            if what := " and ".join(part for part in parts if part):
                text = (
                    f"{one.name} {what} in vhid {group.vhid}: after a move these do not answer; "
                    "give both hosts the same addresses"
                )
                yield Finding(ADDRESSES, text, f"{one.address} {group.vhid}")


def _flood(view: View) -> Iterator[Finding]:
    if view.flooded_by:
        text = (
            "ten and more datagrams a second come to the port of the greetings and are refused, "
            f"most of them from {view.flooded_by}, if that is true: the peer's own words are "
            "looked at first; tcpdump -e -n on that UDP port shows the MAC they come from"
        )
        yield Finding(FLOOD, text)


def _speakers(view: View, told: set[str]) -> Iterator[Finding]:
    peers = {one.address: one for one in view.alive}
    for one in view.foreign:
        if one.source in told:
            continue
        told.add(one.source)
        peer = peers.get(one.source)
        what = "VRRP" if one.is_vrrp else "CARP with another password or VIP"
        who = one.source if peer is None else f"{peer.name}, our peer, also"
        text = f"{who} speaks {what} with our vhid {one.vhid}: one of the pairs needs another vhid"
        yield Finding(CLASHING_VHID, text, one.source)


def _configuration(view: View) -> Iterator[Finding]:
    for one in view.alive:
        parts = sorted(
            part
            for part in {*view.digests, *one.digests}
            if view.digests.get(part) != one.digests.get(part)
        )
        if parts:
            text = (
                f"{', '.join(parts)}: not the same here and on {one.name}; after a failover "
                "clients meet the other one"
            )
            yield Finding(CONFIGURATION, text, one.address)
        if one.version != view.version:
            text = f"{one.name} runs lbctl {one.version}, this node {view.version}"
            yield Finding(VERSION, text, one.address)


def _clocks(view: View) -> Iterator[Finding]:
    for one in view.alive:
        if abs(one.clock_offset_s) > CLOCK_S:
            way = "ahead of" if one.clock_offset_s > 0 else "behind"
            text = (
                f"the clock of {one.name} is {abs(one.clock_offset_s):.0f} s {way} this node's: "
                "logs do not agree, certificates may not either"
            )
            yield Finding(CLOCK, text, one.address)


def _pause(view: View) -> Iterator[Finding]:
    if view.pause is not None:
        word = view.pause
        why = f" ({word.why})" if word.why else ""
        end = f", until {_time(word.until)}" if word.until is not None else ""
        text = (
            f"by {word.by or 'somebody'}{why} since {_time(word.since)}{end}: the addresses do "
            "not move, even when their holder dies; lbctl resume ends it"
        )
        yield Finding(PAUSED, text)


def _network(view: View) -> Iterator[Finding]:
    for one in view.alive:
        if (
            view.is_multicast
            and view.now - one.multicast_seen > NO_MULTICAST_S
            and one.unicasts >= UNICASTS
        ):
            text = (
                f"{one.name} reaches this node by unicast, and its multicast does not arrive: its "
                "advertisements get lost too; look for what drops 224.0.0.18: a filter, a port "
                "that floods no multicast (bridge: mcast_flood off); in a cloud set ha.peers"
            )
            yield Finding(MULTICAST_LOST, text, one.address)
    for one in view.deaf:
        text = f"{one.name} greets, and does not hear this node: packets pass in one direction only"
        yield Finding(NOT_HEARD, text, one.address)


def _identities(view: View) -> Iterator[Finding]:
    holders: dict[str, list[str]] = {view.node: ["this node"]}
    for one in view.alive:
        holders.setdefault(one.node, []).append(one.name)
    for node, names in holders.items():
        if len(names) > 1:
            text = (
                f"{' and '.join(names)} have the same node id: one state dir is a copy of the "
                "other; stop one of them, remove its node-id, start it again"
            )
            yield Finding(SAME_NODE, text, node)


_PARTS: tuple[Callable[[View], Iterator[Finding]], ...] = (
    _roles,
    _pause,
    _strangers,
    _addresses,
    _network,
    _flood,
    _configuration,
    _identities,
    _clocks,
)


def _time(wall: float | None) -> str:
    try:
        return datetime.fromtimestamp(wall or 0.0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


@dataclass(slots=True)
class _Told:
    """A finding since its first sight; ``is_told`` once it has lasted."""

    finding: Finding
    first: float
    last: float
    is_told: bool = False


class Ledger:
    """Which findings hold, with the moments of grace at both ends."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Told] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those that have been told, and are not over."""
        return tuple(one.finding for one in self._open.values() if one.is_told)

    @property
    def is_busy(self) -> bool:
        """Something is, or seems to be, wrong."""
        return bool(self._open)

    def turn(
        self, found: tuple[Finding, ...], now: float
    ) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """
        Take in a judgement.

        Returns:
            Those that are told from now on, and those that are over.
        """
        for finding in found:
            name = finding.kind, finding.about
            one = self._open.setdefault(name, _Told(finding, now, now))
            one.finding, one.last = finding, now
        begun = [one for one in self._open.values() if not one.is_told and self._lasts(one, now)]
        for one in begun:
            one.is_told = True
        over = [one for one in self._open.values() if self._is_over(one, now)]
        for one in over:
            del self._open[one.finding.kind, one.finding.about]
        return (
            tuple(one.finding for one in begun),
            tuple(one.finding for one in over if one.is_told),
        )

    @staticmethod
    def _lasts(one: _Told, now: float) -> bool:
        return one.last == now and now - one.first >= HOLD_S.get(one.finding.kind, 0.0)

    @staticmethod
    def _is_over(one: _Told, now: float) -> bool:
        # What was not told yet starts afresh each time.
        return one.last < now and (not one.is_told or now - one.last >= OVER_AFTER_S)
