"""What somebody may try who has recorded everything, and has no password; and floods."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from lbctl.ha.carp import GROUP, Password
from lbctl.ha.greeting import Greeting, Key, Kind, decode, encode
from lbctl.ha.greeting_socket import Datagram
from tests.fakes.greeting_segment import PORT, STEP_S, Node, Segment

A, B, C = "10.0.1.11", "10.0.1.12", "10.0.1.13"


@pytest.fixture(name="segment")
def _segment() -> Segment:
    return Segment()


def read(content: bytes) -> Greeting:
    greeting = decode(content, Key(Password(b"foobar23")))
    assert isinstance(greeting, Greeting)
    return greeting


def role_of(seen_by: Node) -> str:
    return seen_by.greeter.peers()[0].groups[0].role


def replay(segment: Segment, to: Node, carried: list[tuple[str, str, bytes]]) -> None:
    for source, target, content in carried:
        if source != to.address:
            by_multicast = target == GROUP
            to.on_datagram(Datagram(content, source, PORT, 255, by_multicast))
            segment.step()


def test_what_was_recorded_brings_no_node_back(segment: Segment) -> None:
    a, b = segment.pair()
    segment.nodes.remove(b)
    segment.run(4.0)
    replay(segment, a, list(segment.carried))

    assert not a.greeter.peers()[0].is_fresh
    assert a.greeter.healthy_peer()[0] is None
    assert a.greeter.refused["replayed"] > 10


def test_what_an_earlier_session_said_counts_no_more(segment: Segment) -> None:
    a, b = segment.pair(b={"role": "MASTER"})
    recorded = list(segment.carried)
    segment.nodes.remove(b)
    segment.run(1.0)
    segment.add("b", B, role="BACKUP")
    segment.run(1.0)
    heard = a.greeter.heard
    for entry in recorded:
        replay(segment, a, [entry])
        assert role_of(a) == "BACKUP"

    assert a.greeter.heard - heard <= 15


def test_a_recording_is_nobody_to_a_node_that_starts(segment: Segment) -> None:
    segment.pair()
    recorded = list(segment.carried)
    late = Segment()
    c = late.add("c", C)
    late.step()
    replay(late, c, recorded)

    assert c.greeter.peers() == ()
    assert c.greeter.heard == 0


def test_recordings_draw_no_more_than_five_answers_a_second(segment: Segment) -> None:
    segment.pair()
    recorded = [one for one in segment.carried if read(one[2]).wants_answer]
    late = Segment()
    c = late.add("c", C)
    late.step()
    late.carried.clear()
    for _ in range(20):
        replay(late, c, recorded)

    assert len(late.carried) <= 6 * (late.clock.now - 1000.0) + 5


def test_a_multicast_sent_again_by_unicast_is_refused(segment: Segment) -> None:
    a, _ = segment.pair()
    segment.lost.add((B, A))
    segment.run(1.1)
    content = [one for one in segment.carried if one[0] == B and one[1] == GROUP][-1][2]
    heard = a.greeter.heard
    a.on_datagram(Datagram(content, B, PORT, 255, by_multicast=False))

    assert a.greeter.heard == heard
    a.on_datagram(Datagram(content, B, PORT, 255, by_multicast=True))
    assert a.greeter.heard == heard + 1


def test_what_a_router_has_passed_on_is_refused(segment: Segment) -> None:
    a, _ = segment.pair()
    heard = a.greeter.heard
    a.on_datagram(Datagram(segment.carried[-1][2], B, PORT, 254, by_multicast=True))

    assert a.greeter.heard == heard
    assert a.greeter.refused["not on link"] == 1


def test_a_flood_of_garbage_does_not_hide_the_peer(segment: Segment) -> None:
    a, _ = segment.pair()
    draw = random.Random(3)
    for _ in range(200):
        for _ in range(20):
            source = f"10.0.1.{draw.randint(20, 250)}"
            a.on_datagram(Datagram(draw.randbytes(100), source, PORT, 255, by_multicast=True))
        segment.step()

    assert a.greeter.refused["no greeting"] <= 10 * 100 + 100
    assert a.greeter.refused["too many"] > 2900
    assert a.greeter.healthy_peer()[0] is not None


def test_at_most_five_hundred_signatures_are_looked_at_in_a_second(segment: Segment) -> None:
    a, _ = segment.pair()
    last = next(one for one in reversed(segment.carried) if one[0] == B)
    wrong = encode(replace(read(last[2]), sequence=2**40), Key(Password(b"x")))
    for source in (B, C):
        for _ in range(1000):
            a.on_datagram(Datagram(wrong, source, PORT, 255, by_multicast=True))

    assert a.greeter.refused["bad signature"] == 500
    assert a.greeter.refused["too many"] == 1500


def junk_of_the_peer(segment: Segment, _: Node) -> list[bytes]:
    return [b"lbctl\x01" + b"x" * 100]


def next_words_of_the_peer(segment: Segment, b: Node) -> list[bytes]:
    """Its session, a sequence to come, and no password."""
    last = next(one for one in reversed(segment.carried) if one[0] == b.address)
    said = read(last[2])
    return [encode(replace(said, sequence=2**40), Key(Password(b"x")))]


def recordings(segment: Segment, _: Node) -> list[bytes]:
    return [content for source, _, content in segment.carried if source == B]


@pytest.mark.parametrize("per_s", [20, 100, 300])
@pytest.mark.parametrize("words", [junk_of_the_peer, next_words_of_the_peer, recordings])
def test_a_flood_with_the_peers_address_neither_hides_it_nor_delays_its_word(
    segment: Segment, words: Callable[[Segment, Node], list[bytes]], per_s: int
) -> None:
    a, b = segment.pair()
    draw, told = random.Random(4), words(segment, b)

    def flood() -> None:
        for _ in range(round(per_s * STEP_S)):
            segment.carry(B, draw.choice(told), GROUP)

    segment.strangers.append(flood)
    blind = 0
    for turn in range(400):
        if turn % 40 == 20:
            b.become("MASTER" if turn % 80 == 20 else "BACKUP")
        segment.step()
        blind += a.greeter.healthy_peer()[0] is None or (
            turn % 40 == 25 and role_of(a) != b.fact["role"]
        )

    assert blind == 0
    assert "flood" in a.kinds()


def test_recorded_questions_do_not_hold_back_what_is_new(segment: Segment) -> None:
    a, b = segment.pair()
    asks = replace(read(segment.carried[-1][2]), kind=Kind.QUESTION, session="d" * 16)
    question = encode(asks, Key(Password(b"foobar23")))
    segment.strangers.append(lambda: segment.carry(C, question, GROUP))
    segment.run(3.0)
    for role in ("MASTER", "BACKUP") * 5:
        b.become(role)
        segment.step()

        assert role_of(a) == role
        for _ in range(8):  # another phase of the budgets each time
            segment.step()


def test_recordings_without_end_are_known_as_such_at_a_glance(segment: Segment) -> None:
    a, b = segment.pair()
    told = recordings(segment, b)

    def flood() -> None:
        for number in range(100):
            segment.carry(B, told[number % len(told)], GROUP)

    segment.strangers.append(flood)
    segment.run(10.0)

    assert a.greeter.healthy_peer()[0] is not None
    assert a.greeter.refused["too many"] == 0


def test_news_of_a_known_node_is_charged_to_nobody(segment: Segment) -> None:
    a, _ = segment.pair()
    last = next(one for one in reversed(segment.carried) if one[0] == B)
    said = replace(read(last[2]), by_multicast=True)
    heard = a.greeter.heard
    for number in range(1, 1001):
        greeting = replace(said, sequence=said.sequence + number)
        content = encode(greeting, Key(Password(b"foobar23")))
        a.on_datagram(Datagram(content, B, PORT, 255, by_multicast=True))

    assert a.greeter.heard - heard == 1000


def test_anything_at_all_may_arrive(segment: Segment) -> None:
    a, b = segment.pair()
    draw = random.Random(5)
    genuine = [content for _, _, content in segment.carried]
    for _ in range(3000):
        content = bytearray(draw.choice(genuine))
        for _ in range(draw.randint(0, 3)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        a.on_datagram(Datagram(bytes(content), B, draw.randint(0, 9), 255, draw.random() < 0.5))
        if draw.random() < 0.2:
            segment.step()

    assert role_of(a) == "BACKUP"
    assert (len(a.greeter.peers()), len(b.greeter.peers())) == (1, 1)
