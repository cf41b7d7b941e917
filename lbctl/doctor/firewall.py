"""
Whether this host's nftables would let a packet through: ``nft -j list ruleset``, followed by hand.

Best effort, and honest about it: what is not understood makes the answer "perhaps". Only CARP that
is sent to ``ha.peers`` can be dropped here: to the group it leaves by packet sockets, and it is
always captured by them, beneath nftables.

Source: libnftables-json(5), nft(8).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lbctl.doctor.row import Row, ok, unknown, warn

_ASK_S = 3.0
_DEPTH_MAX = 16
_FAMILIES = ("inet", "ip")
#: nft has one name for protocol 112.
_ALIASES = {"tcp": (6, "6"), "udp": (17, "17"), "vrrp": (112, "112", "carp")}


class Fate(Enum):
    """What becomes of a packet."""

    PASSES = "passes"
    DROPPED = "dropped"
    PERHAPS = "perhaps"


@dataclass(frozen=True, slots=True)
class Packet:
    """
    The first packet of somebody unknown.

    Attributes:
        what: in words.
        hook: ``input`` or ``output``.
        protocol: ``tcp``, ``udp`` or ``vrrp``, as nft calls protocol 112.
        interface: it comes in by this one, or goes out.
        port: destination; 0: there are none.
    """

    what: str
    hook: str
    protocol: str
    interface: str
    port: int = 0


def read_ruleset() -> tuple[dict[str, Any], ...] | None:
    """The objects of the ruleset; empty: there are no rules. None: nft is missing or refuses."""
    nft = shutil.which("nft")
    if nft is None:
        return None
    try:
        reply = subprocess.run(
            [nft, "-j", "list", "ruleset"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_S,
        )
        if reply.returncode != 0:
            return None
        return tuple(json.loads(reply.stdout)["nftables"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return None


def judge_firewall(
    ruleset: Sequence[Mapping[str, Any]] | None, packets: Iterable[Packet]
) -> list[Row]:
    """One row for each packet that does not surely pass."""
    check = "firewall"
    if ruleset is None:
        return [unknown(check, "nft is not installed or does not answer: nothing is known of it")]
    rows = []
    for packet in packets:
        fate = fate_of(ruleset, packet)
        to = "from" if packet.hook == "output" else "to"
        if fate is Fate.DROPPED:
            text = f"nftables drops {packet.what} {to} this host"
            rows.append(warn(check, text, f"nft: accept {_rule(packet)} in the {packet.hook} hook"))
        elif fate is Fate.PERHAPS:
            text = f"cannot tell whether nftables lets {packet.what} through {to} this host"
            rows.append(unknown(check, text, "look at nft list ruleset"))
    return rows or [ok(check, "nftables is in the way of nothing that was asked")]


def _rule(packet: Packet) -> str:
    if packet.port:
        return f"{packet.protocol} dport {packet.port}"
    return f"ip protocol {packet.protocol}"


def fate_of(ruleset: Iterable[Mapping[str, Any]], packet: Packet) -> Fate:
    """Through every base chain of the hook: one that drops is enough."""
    chains: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    bases = []
    for entry in ruleset:
        if chain := entry.get("chain"):
            chains.setdefault(_key(chain, "name"), [])
            if chain.get("hook") == packet.hook and chain.get("family") in _FAMILIES:
                bases.append(chain)
        elif rule := entry.get("rule"):
            chains.setdefault(_key(rule, "chain"), []).append(rule)
    walk = _Walk(chains, packet)
    fates = [walk.base(base) for base in bases]
    if Fate.DROPPED in fates:
        return Fate.DROPPED
    return Fate.PERHAPS if Fate.PERHAPS in fates else Fate.PASSES


def _key(entry: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    return str(entry.get("family")), str(entry.get("table")), str(entry.get(name))


class _Walk:
    """
    One packet through the chains of one ruleset.

    A rule that may or may not match is passed over, and what it would have done is remembered: when
    the end is the other thing, nobody can tell.
    """

    def __init__(
        self, chains: Mapping[tuple[str, str, str], Sequence[Mapping[str, Any]]], packet: Packet
    ) -> None:
        self._chains = chains
        self._packet = packet
        self._maybe: set[Fate] = set()

    def base(self, chain: Mapping[str, Any]) -> Fate:
        self._maybe = set()
        end = self._chain(_key(chain, "name"), 0)
        if end is None:
            end = Fate.DROPPED if chain.get("policy") == "drop" else Fate.PASSES
        return Fate.PERHAPS if self._maybe - {end} else end

    def _chain(self, key: tuple[str, str, str], depth: int) -> Fate | None:
        """None: the end of the chain was reached."""
        if depth > _DEPTH_MAX:
            return Fate.PERHAPS
        for rule in self._chains.get(key, ()):
            end = self._rule(rule, key, depth)
            if end is not None:
                return end.fate
        return None

    def _rule(self, rule: Mapping[str, Any], key: tuple[str, str, str], depth: int) -> _End | None:
        """How the rule ends the chain; None: it does not."""
        is_sure = True
        for statement in rule.get("expr", ()):
            kind, argument = next(iter(statement.items()))
            if kind == "match":
                holds = matches(argument, self._packet)
                if holds is False:
                    return None
                is_sure &= holds is True
                continue
            choices = self._choices(kind, argument)
            is_sure &= bool(choices) or kind in (*_HARMLESS, "vmap")
            for verdict, is_chosen in choices:
                end = self._verdict(verdict, key, depth)
                if is_sure and is_chosen:
                    return end
                self._maybe.update({end.fate} if end and end.fate else ())
        return None

    def _choices(self, kind: str, argument: Any) -> list[tuple[Mapping[str, Any], bool]]:
        """Verdicts that a statement may have, and whether surely."""
        if kind in _VERDICTS:
            return [({kind: argument}, True)]
        if kind != "vmap":
            return []
        values = _values(argument.get("key") or {}, self._packet)
        entries = (argument.get("data") or {}).get("set", ())
        found = [
            (verdict, None if values is None else _is_in(values, right))
            for right, verdict in entries
        ]
        return [(verdict, holds is True) for verdict, holds in found if holds is not False]

    def _verdict(
        self, verdict: Mapping[str, Any], key: tuple[str, str, str], depth: int
    ) -> _End | None:
        kind, argument = next(iter(verdict.items()))
        if kind in ("jump", "goto"):
            target = (key[0], key[1], str(argument.get("target")))
            fate = self._chain(target, depth + 1)
            return None if fate is None and kind == "jump" else _End(fate)
        return None if kind == "continue" else _End(_FATES.get(kind))


@dataclass(frozen=True, slots=True)
class _End:
    """A chain ends; *fate* None: and the one that jumped there goes on."""

    fate: Fate | None


_FATES = {"accept": Fate.PASSES, "drop": Fate.DROPPED, "reject": Fate.DROPPED}
_VERDICTS = frozenset({*_FATES, "jump", "goto", "return", "continue"})
_HARMLESS = frozenset({"counter", "log", "notrack"})


def matches(match: Mapping[str, Any], packet: Packet) -> bool | None:
    """Whether the condition holds for *packet*; None: not understood."""
    left, right, operator = match.get("left"), match.get("right"), match.get("op", "==")
    if not isinstance(left, Mapping):
        return None
    values = _values(left, packet)
    if values is None:
        return None
    if not values:  # a field that the packet does not have: nothing holds of it
        return False
    holds = _is_in(values, right)
    if holds is None or operator in ("==", "in"):
        return holds
    return not holds if operator == "!=" else None


def _values(left: Mapping[str, Any], packet: Packet) -> set[Any] | None:
    """What the packet has there, in every way of writing it; empty: it has no such field."""
    protocol = {packet.protocol, *_ALIASES.get(packet.protocol, ())}
    if meta := left.get("meta"):
        by = "iif" if packet.hook == "input" else "oif"
        known: dict[Any, set[Any]] = {"l4proto": protocol, "nfproto": {"ipv4"}, "protocol": {"ip"}}
        if packet.interface:
            known |= {by: {packet.interface}, f"{by}name": {packet.interface}}
        return known.get(meta.get("key"))
    if ct := left.get("ct"):
        return {"new"} if ct.get("key") == "state" else None
    payload = left.get("payload") or {}
    where, field = payload.get("protocol"), payload.get("field")
    if (where, field) == ("ip", "protocol"):
        return protocol
    if where == "th" or where in _ALIASES:
        is_ours = packet.port and where in (packet.protocol, "th")
        if not is_ours:
            return set()
        return {packet.port} if field == "dport" else None
    return set() if where in ("icmp", "icmpv6", "ip6") else None


def _is_in(values: set[Any], right: Any) -> bool | None:
    if isinstance(right, Mapping):
        if "set" in right:
            return _is_in(values, right["set"])
        if "range" in right:
            low, high = right["range"]
            return any(isinstance(one, int) and low <= one <= high for one in values)
        return None
    if isinstance(right, list):
        answers = [_is_in(values, one) for one in right]
        if True in answers:
            return True
        return None if None in answers else False
    if isinstance(right, str) and right.startswith("@"):
        return None
    if isinstance(right, str) and right.endswith("*"):
        return any(str(one).startswith(right[:-1]) for one in values)
    return right in values
