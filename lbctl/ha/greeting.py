"""
What the nodes of a group tell each other once a second: bytes to values and back. Pure.

A datagram is ``lbctl`` and a version byte, an HMAC-SHA256 over them and the body, and the body:
JSON in UTF-8, at most 1400 bytes in all. The key is derived from the CARP password, so that no
greeting can be used as an advertisement. Each greeting carries a challenge, and answers the last
one heard of everybody else: a signed answer to a recent challenge of ours cannot be a recording.

What is not signed with our password comes back as a :class:`Claim`: good for the wording of a
finding, and for nothing else.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from typing import Any

from lbctl.ha.carp import Password
from lbctl.ha.pause import PauseWord

MAX_BYTES = 1400

_NAME = b"lbctl"
_VERSION = 1
_HEAD = _NAME + bytes((_VERSION,))
_DIGEST_BYTES = 32
_START = len(_HEAD) + _DIGEST_BYTES
_DERIVED_FOR = b"lbctl greeting 1"
_ROLES = {"M": "MASTER", "B": "BACKUP", "I": "INIT"}
_ID_MAX = 32
_HOSTNAME_MAX = 63
_WORD_MAX = 32
_ADDRESS_MAX = 45
_TEXT_MAX = 200
_FAULTS_MAX = 4
_GROUPS_MAX = 255
#: How much of each reason and fault is told: less until the whole fits.
_TEXT_STEPS = (96, 48, 24, 12, 0)
_CUTS = (*((one, True) for one in _TEXT_STEPS[1:3]), *((one, False) for one in _TEXT_STEPS))
_ANSWERS_MAX = 4
_DIGESTS_MAX = 12
#: In the body as it is written here, where no text can look like it: its quotes are escaped.
_HEADING = re.compile(rb',"seq":(\d{1,16}),"session":"([0-9A-Za-z]{1,32})"')


class Kind(StrEnum):
    """What a datagram is for."""

    GREETING = "greeting"
    #: Of a host that does not take part: answered, and not remembered.
    QUESTION = "question"


class Rejection(StrEnum):
    """Why a datagram is not believed; the value is what counters say."""

    NO_GREETING = "no greeting"
    OTHER_PROTOCOL = "another protocol version"
    GARBLED = "garbled"
    BAD_SIGNATURE = "bad signature"
    NOT_ON_LINK = "not on link"
    NOT_A_PEER = "not a peer"
    TOO_MANY = "too many"
    REPLAYED = "replayed"
    UNPROVEN = "not proven to be new"
    OWN = "own greeting"
    OTHER_GROUP = "another group"


class Key:
    """What greetings are signed with. It shows itself to nobody."""

    __slots__ = ("_value",)

    def __init__(self, password: Password) -> None:
        self._value = hmac.digest(password.reveal(), _DERIVED_FOR, "sha256")

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(self._value, message, "sha256")

    def __repr__(self) -> str:
        return "Key(***)"


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """
    One group as its node sees it.

    Attributes:
        role: ``MASTER``, ``BACKUP``, ``INIT``.
        since: wall clock of that node, seconds.
        why: why it has this role; cut where there is no room.
        faults: why it is worse than it should be; the first few.
        can_serve: it would serve if it had the addresses.
        addresses: all of them, without prefix, *vip* first; empty: there was no room to tell.
    """

    vhid: int
    vip: str
    role: str
    since: float = 0.0
    why: str = ""
    advskew: int = 0
    faults: tuple[str, ...] = ()
    severity: int = 0
    can_serve: bool = True
    addresses: tuple[str, ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> GroupFacts:
        """From what vipd says of a group."""
        return cls(
            vhid=facts["vhid"],
            vip=facts["vip"],
            role=str(facts["role"]),
            since=facts.get("since", 0.0),
            why=facts.get("why", ""),
            advskew=facts.get("advskew", 0),
            faults=tuple(facts.get("faults", ())),
            severity=facts.get("severity", 0),
            can_serve=facts.get("can_serve", True),
            addresses=tuple(facts.get("addresses", ())),
        )

    @property
    def name(self) -> tuple[int, str]:
        """What makes two nodes' groups the same group."""
        return self.vhid, self.vip


@dataclass(frozen=True, slots=True)
class Greeting:
    """
    Attributes:
        node: its identity, kept in its state dir.
        session: drawn at the start of its process.
        sequence: grows with each greeting of the session.
        challenge: to be answered by whoever hears it.
        answers: session -> the last challenge heard from it.
        wants_answer: answer at once, by unicast.
        by_multicast: how it was sent.
        question_by: ``multicast`` or ``unicast``: how the question came that this answers.
        version: lbctl's.
        at: wall clock of the node, seconds.
        groups: the first one's facts first.
        digests: part of the configuration -> its digest.
        pause: the newest word of a pause that the node knows.
        counters: vhid of a group above -> position of its own CARP counter.
    """

    kind: Kind
    node: str
    session: str
    sequence: int
    challenge: str
    answers: Mapping[str, str] = field(default_factory=dict)
    wants_answer: bool = False
    by_multicast: bool = False
    question_by: str = ""
    hostname: str = ""
    version: str = ""
    engine: str = ""
    at: float = 0.0
    groups: tuple[GroupFacts, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    pause: PauseWord | None = None
    counters: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """
    What a greeting says that is not of our group: nobody has proven it.

    Attributes:
        groups: vhid and VIP of each.
        source: where it came from.
        addresses: of all its groups, the first VIP first.
        is_kin: it is signed with our password all the same.
    """

    hostname: str
    groups: tuple[tuple[int, str], ...]
    source: str = ""
    addresses: tuple[str, ...] = ()
    is_kin: bool = False

    @classmethod
    def of(cls, greeting: Greeting, *, is_kin: bool) -> Claim:
        names = tuple(group.name for group in greeting.groups)
        addresses = tuple(one for group in greeting.groups for one in group.addresses)
        return cls(greeting.hostname, names, addresses=addresses, is_kin=is_kin)

    @property
    def name(self) -> str:
        return f"{self.hostname} ({self.source})" if self.hostname else self.source


def encode(greeting: Greeting, key: Key) -> bytes:
    """
    The signed datagram. What there is no room for is cut: long texts, then the addresses beyond
    each group's first, then all texts, then the last groups.
    """
    body = _body(greeting, _TEXT_STEPS[0], _GROUPS_MAX)
    for longest, has_addresses in _CUTS:
        if _START + len(body) <= MAX_BYTES:
            return _signed(body, key)
        body = _body(greeting, longest, _GROUPS_MAX, has_addresses=has_addresses)
    count = len(greeting.groups)
    while _START + len(body) > MAX_BYTES and count:
        count -= 1
        body = _body(greeting, 0, count, has_addresses=False)
    return _signed(body, key)


def _signed(body: bytes, key: Key) -> bytes:
    return _HEAD + key.sign(_HEAD + body) + body


def _body(greeting: Greeting, longest: int, groups: int, *, has_addresses: bool = True) -> bytes:
    pause = greeting.pause
    raw = {
        "kind": greeting.kind,
        "node": _clean(greeting.node, _ID_MAX),
        "session": greeting.session,
        "seq": greeting.sequence,
        "ask": greeting.challenge,
        "re": dict(list(greeting.answers.items())[:_ANSWERS_MAX]),
        "want": int(greeting.wants_answer),
        "cast": int(greeting.by_multicast),
        "came": greeting.question_by,
        "host": _clean(greeting.hostname, _HOSTNAME_MAX),
        "version": _clean(greeting.version, _WORD_MAX),
        "engine": _clean(greeting.engine, _WORD_MAX),
        "at": round(greeting.at, 3),
        "groups": [
            [*_group_to_wire(one, longest), greeting.counters.get(one.vhid)]
            for one in greeting.groups[:groups]
        ],
        "vips": [one.addresses for one in greeting.groups[:groups]] if has_addresses else [],
        "digests": _digests(greeting.digests),
        "pause": None if pause is None else _pause_to_wire(pause),
    }
    return json.dumps(raw, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _digests(digests: Mapping[str, str]) -> dict[str, str]:
    first = list(digests.items())[:_DIGESTS_MAX]
    return {_clean(part, _WORD_MAX): _clean(digest, _WORD_MAX) for part, digest in first}


def _pause_to_wire(word: PauseWord) -> list[Any]:
    until = None if word.until is None else round(word.until)
    return [int(word.is_on), word.by, word.why, round(word.since), until, word.serial]


def _group_to_wire(group: GroupFacts, longest: int) -> list[Any]:
    faults = [_clean(what, longest) for what in group.faults[:_FAULTS_MAX] if longest]
    return [
        group.vhid,
        group.vip,
        group.role[:1],
        round(group.since),
        group.advskew,
        group.severity,
        int(group.can_serve),
        _clean(group.why, longest),
        faults,
    ]


def decode(datagram: bytes, key: Key) -> Greeting | Claim | Rejection:
    """Read a datagram. Never raises, whatever it holds."""
    if not datagram.startswith(_NAME) or len(datagram) < _START:
        return Rejection.NO_GREETING
    if not datagram.startswith(_HEAD):
        return Rejection.OTHER_PROTOCOL
    if len(datagram) > MAX_BYTES:
        return Rejection.GARBLED
    body = datagram[_START:]
    is_genuine = hmac.compare_digest(key.sign(_HEAD + body), datagram[len(_HEAD) : _START])
    try:
        greeting = _read(json.loads(body))
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        return Rejection.GARBLED
    if is_genuine:
        return greeting
    return Claim.of(greeting, is_kin=False)


def heading(datagram: bytes) -> tuple[str, int] | None:
    """Session and sequence that a datagram claims, at a glance: nothing is looked into yet."""
    found = _HEADING.search(datagram, _START)
    return None if found is None else (found[2].decode(), int(found[1]))


def _read(raw: Mapping[str, Any]) -> Greeting:
    pause = raw["pause"]
    vips = raw.get("vips") or [[]] * len(raw["groups"])
    return Greeting(
        kind=Kind(raw["kind"]),
        node=_text(raw["node"], _ID_MAX),
        session=_text(raw["session"], _ID_MAX),
        sequence=_whole(raw["seq"], 2**53),
        challenge=_text(raw["ask"], _ID_MAX),
        answers=_texts(raw["re"]),
        wants_answer=bool(_whole(raw["want"], 1)),
        by_multicast=bool(_whole(raw["cast"], 1)),
        question_by=_text(raw["came"], _WORD_MAX),
        hostname=_text(raw["host"], _HOSTNAME_MAX),
        version=_text(raw["version"], _WORD_MAX),
        engine=_text(raw["engine"], _WORD_MAX),
        at=_moment(raw["at"]),
        groups=tuple(_group(*both) for both in zip(raw["groups"], vips, strict=True)),
        counters={one[0]: _whole(one[-1], 2**64) for one in raw["groups"] if one[-1] is not None},
        digests=_texts(raw["digests"]),
        pause=None if pause is None else _pause(pause),
    )


def _pause(raw: list[Any]) -> PauseWord:
    is_on, by, why, since, until, serial = raw
    values = {"by": by, "why": why, "since": since, "until": until, "serial": serial}
    return PauseWord.of({**values, "is_on": bool(_whole(is_on, 1))})


def _group(raw: list[Any], addresses: list[Any]) -> GroupFacts:
    vhid, vip, role, since, advskew, severity, can_serve, why, faults, _ = raw
    return GroupFacts(
        vhid=_whole(vhid, 255),
        vip=str(IPv4Address(_text(vip, _WORD_MAX))),
        role=_ROLES[role],
        since=_moment(since),
        why=_text(why, _TEXT_MAX),
        advskew=_whole(advskew, 255),
        faults=tuple(_text(what, _TEXT_MAX) for what in faults),
        severity=_whole(severity, 255),
        can_serve=bool(_whole(can_serve, 1)),
        addresses=tuple(str(ip_address(_text(one, _ADDRESS_MAX))) for one in addresses),
    )


def _texts(raw: object) -> dict[str, str]:
    return {_text(key, _WORD_MAX): _text(value, _WORD_MAX) for key, value in _pairs(raw)}


def _pairs(raw: object) -> Iterable[tuple[Any, Any]]:
    if not isinstance(raw, dict):
        message = "no object"
        raise TypeError(message)
    return raw.items()


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        message = "no text, or too long"
        raise TypeError(message)
    return _clean(value, longest)


def _clean(text: str, longest: int) -> str:
    """It ends up on terminals: printable signs alone."""
    cut = text[:longest]
    if cut.isprintable():
        return cut
    return "".join(sign if sign.isprintable() else "?" for sign in cut)


def _whole(value: object, highest: int) -> int:
    if type(value) is not int or not 0 <= value <= highest:
        message = f"not within 0..{highest}"
        raise ValueError(message)
    return value


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        message = "no moment"
        raise TypeError(message)
    return float(value)
