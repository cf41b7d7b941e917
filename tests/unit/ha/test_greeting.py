"""Greetings as bytes: what is signed, what fits, and that garbage is only garbage."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.ha.carp import Password
from lbctl.ha.greeting import (
    MAX_BYTES,
    Claim,
    Greeting,
    GroupFacts,
    Key,
    Kind,
    Rejection,
    decode,
    encode,
    heading,
)
from lbctl.ha.pause import PauseWord

KEY = Key(Password(b"foobar23"))
OTHER = Key(Password(b"barfoo32"))
START = 6 + 32
PARTS = ("haproxy.cfg", "nginx.d", "certs", "lb.yaml", "addresses", "hooks.d")
GROUP = GroupFacts(7, "10.0.1.201", "MASTER", 1.8e9, "nobody else spoke", 20, ("nginx",), 4, True)
GREETING = Greeting(
    kind=Kind.GREETING,
    node="0123456789abcdef",
    session="0011223344556677",
    sequence=5,
    challenge="8899aabbccddeeff",
    answers={"7766554433221100": "ffeeddccbbaa9988"},
    wants_answer=True,
    by_multicast=True,
    hostname="lb-a",
    version="1.2.3",
    engine="native",
    at=1.8e9,
    groups=(GROUP,),
    digests={"haproxy.cfg": "0123456789ab"},
    pause=PauseWord(True, "root", "new kernel", 1.8e9, None, 3),
    counters={7: 2**39 - 1},
)

words = st.text(max_size=40)
groups = st.builds(
    GroupFacts,
    vhid=st.integers(1, 255),
    vip=st.ip_addresses(v=4).map(str),
    role=st.sampled_from(["MASTER", "BACKUP", "INIT"]),
    since=st.integers(0, 2**32).map(float),
    why=words,
    advskew=st.integers(0, 255),
    faults=st.lists(words, max_size=5).map(tuple),
    severity=st.integers(0, 15),
    can_serve=st.booleans(),
    addresses=st.lists(st.ip_addresses().map(str), max_size=8).map(tuple),
)
greetings = st.builds(
    replace,
    st.just(GREETING),
    sequence=st.integers(0, 2**53),
    hostname=st.text(max_size=300),
    groups=st.lists(groups, max_size=30).map(tuple),
    digests=st.dictionaries(words, words, max_size=20),
    counters=st.dictionaries(st.integers(1, 255), st.integers(0, 2**53), max_size=20),
)


def read(datagram: bytes, key: Key = KEY) -> Greeting:
    greeting = decode(datagram, key)
    assert isinstance(greeting, Greeting)
    return greeting


def signed(body: bytes) -> bytes:
    head = b"lbctl\x01"
    return head + KEY.sign(head + body) + body


def body_of(greeting: Greeting) -> dict[str, object]:
    raw: dict[str, object] = json.loads(encode(greeting, KEY)[START:])
    return raw


def test_a_greeting_comes_back_as_it_was() -> None:
    assert read(encode(GREETING, KEY)) == GREETING


@given(greetings)
def test_any_greeting_fits_and_can_be_read(greeting: Greeting) -> None:
    datagram = encode(greeting, KEY)
    back = read(datagram)

    assert len(datagram) <= MAX_BYTES
    assert back.groups == tuple(
        replace(one, why=two.why, faults=two.faults, addresses=two.addresses)
        for one, two in zip(greeting.groups, back.groups, strict=False)
    )
    assert [one.addresses for one in back.groups] in (
        [one.addresses for one in greeting.groups[: len(back.groups)]],
        [()] * len(back.groups),
    )


def eight(why: str) -> Greeting:
    many = tuple(
        GroupFacts(
            248 + n, str(IPv4Address("255.255.255.248") + n), "MASTER", 1.8e9, why, 255,
            (why, why), 15, True,
        )
        for n in range(8)
    )  # fmt: skip
    return replace(
        GREETING,
        hostname="h" * 63,
        groups=many,
        answers={f"{n:016x}": f"{n:016x}" for n in range(4)},
        digests=dict.fromkeys(PARTS, "0123456789ab"),
        counters={one.vhid: 2**39 - 1 for one in many},
        pause=PauseWord(True, "b" * 32, "w" * 80, 1.8e9, 1.8e9, 2**53 - 1),
    )


def test_eight_groups_at_their_longest_lose_nothing_but_texts() -> None:
    greeting = eight("x" * 200)
    back = read(encode(greeting, KEY))

    assert len(back.groups) == 8
    assert (back.digests, back.counters) == (greeting.digests, greeting.counters)
    assert (back.pause, back.answers) == (greeting.pause, greeting.answers)


def test_texts_are_cut_no_more_than_they_must() -> None:
    one = replace(GREETING, groups=(replace(GROUP, why="x" * 90),))

    assert read(encode(one, KEY)).groups[0].why == "x" * 90


def test_addresses_are_told_where_there_is_room_and_outlive_long_texts() -> None:
    few = tuple(f"10.0.1.{n}" for n in range(201, 221))
    told = replace(GREETING, groups=(replace(GROUP, why="x" * 90, addresses=few),) * 2)
    crowded = replace(GREETING, groups=(replace(GROUP, addresses=few * 8),))

    assert [one.addresses for one in read(encode(told, KEY)).groups] == [few, few]
    assert read(encode(crowded, KEY)).groups == (GROUP,)


def test_a_greeting_without_addresses_is_read() -> None:
    """The version before sends it."""
    body = body_of(GREETING)
    del body["vips"]

    assert read(signed(json.dumps(body).encode())) == GREETING


def test_session_and_sequence_are_seen_without_a_key_whatever_the_texts_are() -> None:
    tricky = replace(
        GREETING, hostname=',"seq":9,"session":"x"', version=',\\"seq":9,"session":"x"'
    )

    assert heading(encode(tricky, OTHER)) == (GREETING.session, GREETING.sequence)
    assert heading(b"lbctl\x01" + b"x" * 100) is None


def test_with_more_groups_than_fit_the_first_ones_are_told() -> None:
    many = tuple(replace(GROUP, vhid=n) for n in range(1, 61))
    back = read(encode(replace(GREETING, groups=many), KEY))

    assert 8 < len(back.groups) < 60
    assert [one.vhid for one in back.groups] == list(range(1, len(back.groups) + 1))


def test_another_password_makes_a_claim_of_it_that_says_who_and_for_what() -> None:
    assert decode(encode(GREETING, KEY), OTHER) == Claim("lb-a", ((7, "10.0.1.201"),))


def test_no_bit_of_a_greeting_can_be_changed() -> None:
    genuine = encode(GREETING, KEY)
    for at in range(len(genuine) * 8):
        changed = bytearray(genuine)
        changed[at // 8] ^= 1 << at % 8
        assert not isinstance(decode(bytes(changed), KEY), Greeting)


def test_an_advertisements_digest_is_no_signature() -> None:
    """The password itself signs nothing here."""
    import hmac

    body = encode(GREETING, KEY)[START:]
    head = b"lbctl\x01"
    forged = head + hmac.digest(b"foobar23", head + body, "sha256") + body

    assert isinstance(decode(forged, KEY), Claim)


def test_a_greeting_of_another_protocol_is_told_apart_from_garbage() -> None:
    genuine = encode(GREETING, KEY)

    assert decode(b"lbctl\x02" + genuine[6:], KEY) is Rejection.OTHER_PROTOCOL
    assert decode(b"hello\x01" + genuine[6:], KEY) is Rejection.NO_GREETING
    assert decode(b"", KEY) is Rejection.NO_GREETING


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "other"), ("node", 5), ("node", "x" * 33), ("session", None), ("seq", -1),
        ("seq", 1.5), ("seq", True), ("seq", 2**60), ("ask", []), ("re", []), ("re", {"a": 1}),
        ("want", 2), ("host", "x" * 64), ("version", None), ("at", "now"), ("at", True),
        ("groups", 5), ("groups", [[]]), ("groups", [None]), ("groups", {"a": 1}),
        ("groups", [[7, "10.0.1", "M", 0, 0, 0, 1, "", [], None]]),
        ("groups", [[7, "fd00::1", "M", 0, 0, 0, 1, "", [], None]]),
        ("groups", [[256, "10.0.1.201", "M", 0, 0, 0, 1, "", [], None]]),
        ("groups", [[7, "10.0.1.201", "X", 0, 0, 0, 1, "", [], None]]),
        ("groups", [[7, "10.0.1.201", [], 0, 0, 0, 1, "", [], None]]),
        ("groups", [[7, "10.0.1.201", "M", 0, 0, 0, 1, "", [5], None]]),
        ("digests", {"a": 1}), ("pause", {}), ("pause", 1), ("pause", [2, "", "", 0, None, 1]),
        ("pause", [1, "", "", 0, None, -1]),
        ("groups", [[7, "10.0.1.201", "M", 0, 0, 0, 1, "", [], -1]]),
        ("groups", [[7, "10.0.1.201", "M", 0, 0, 0, 1, "", [], "x"]]),
    ],
)  # fmt: skip
def test_even_a_signed_body_is_read_with_care(key: str, value: object) -> None:
    raw = {**body_of(GREETING), key: value}

    assert decode(signed(json.dumps(raw).encode()), KEY) is Rejection.GARBLED


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"5", b"{", b"\xff", b"[" * 1300, b'{"a":' * 250, b"1" * 1300,
        b'{"seq":1e999}', b"NaN",
    ],
)  # fmt: skip
def test_a_body_that_is_no_greeting_is_garbled(body: bytes) -> None:
    assert decode(signed(body), KEY) is Rejection.GARBLED


def test_a_datagram_longer_than_any_greeting_is_garbled() -> None:
    body = json.dumps({**body_of(GREETING), "more": "x" * MAX_BYTES}).encode()

    assert decode(signed(body), KEY) is Rejection.GARBLED


def test_nothing_that_reaches_a_terminal_can_move_its_cursor() -> None:
    raw = {**body_of(GREETING), "host": "a\x1b[2J\nb"}
    datagram = signed(json.dumps(raw).encode())

    assert read(datagram).hostname == "a?[2J?b"
    claim = decode(datagram, OTHER)
    assert isinstance(claim, Claim)
    assert claim.hostname == "a?[2J?b"


@given(st.binary(max_size=1500))
def test_random_bytes_are_never_a_greeting(content: bytes) -> None:
    assert isinstance(decode(content, KEY), Rejection)
    assert isinstance(decode(b"lbctl\x01" + content, KEY), Rejection)


def test_twenty_thousand_mangled_greetings_are_neither_believed_nor_fatal() -> None:
    draw = random.Random(7)
    genuine = encode(eight("why"), KEY)
    for _ in range(20_000):
        mangled = bytearray(genuine)
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(mangled))
            mangled[at : at + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
        if bytes(mangled) != genuine:
            assert not isinstance(decode(bytes(mangled), KEY), Greeting)


def test_the_key_shows_itself_to_nobody() -> None:
    assert repr(KEY) == "Key(***)"
    assert b"foobar23" not in encode(GREETING, KEY)
