"""Greeters that meet on a segment, in virtual time: who knows whom, and what cannot be forged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.ha.carp import GROUP, Password
from lbctl.ha.greeting import Greeting, Key, Kind, decode, encode
from lbctl.ha.greeting_socket import Datagram
from lbctl.ha.pause import PauseWord
from tests.fakes.greeting_segment import PORT, Node, Segment

A, B, C = "10.0.1.11", "10.0.1.12", "10.0.1.13"
KEY = Key(Password(b"foobar23"))


@pytest.fixture(name="segment")
def _segment() -> Segment:
    return Segment()


def read(content: bytes, password: bytes = b"foobar23") -> Greeting:
    greeting = decode(content, Key(Password(password)))
    assert isinstance(greeting, Greeting)
    return greeting


def role_of(seen_by: Node, at: int = 0) -> str:
    return seen_by.greeter.peers()[at].groups[0].role


def test_two_nodes_know_each_other_at_once(segment: Segment) -> None:
    a = segment.add("a", A, role="MASTER")
    b = segment.add("b", B)
    segment.step()

    assert [one.name for one in a.greeter.peers()] == ["b (10.0.1.12)"]
    assert [one.name for one in b.greeter.peers()] == ["a (10.0.1.11)"]
    assert role_of(b) == "MASTER"


def test_a_node_that_comes_later_is_known_at_once(segment: Segment) -> None:
    a = segment.add("a", A)
    segment.run(20.0)
    b = segment.add("b", B)
    segment.step()

    assert a.greeter.healthy_peer()[0] is not None
    assert b.greeter.healthy_peer()[0] is not None


def test_three_nodes_know_each_other(segment: Segment) -> None:
    nodes = [segment.add(name, address) for name, address in zip("abc", (A, B, C), strict=True)]
    segment.run(2.0)

    for node in nodes:
        assert len(node.greeter.peers()) == 2
        assert all(one.is_fresh for one in node.greeter.peers())


def test_status_carries_all_that_the_other_says(segment: Segment) -> None:
    a, b = segment.pair()
    b.fact.update(why="because", advskew=120, faults=["nginx"], severity=4, can_serve=False)
    segment.run(1.1)
    peer = a.greeter.as_dict()["peers"][0]

    assert peer["hostname"] == "b"
    assert peer["digests"] == {"haproxy.cfg": "aa"}
    assert peer["groups"] == [
        {
            "vhid": 7, "vip": "10.0.1.201", "role": "BACKUP", "since": 5.0, "why": "because",
            "advskew": 120, "faults": ["nginx"], "severity": 4, "can_serve": False,
        }
    ]  # fmt: skip


def test_other_files_are_told_at_once_and_the_same_ones_again_not_at_all(
    segment: Segment,
) -> None:
    a, b = segment.pair()
    b.greeter.renew({"haproxy.cfg": "bb"})
    segment.step()

    assert a.greeter.as_dict()["peers"][0]["digests"] == {"haproxy.cfg": "bb"}
    segment.run(5.0)
    here, there = ([f.kind for f in node.greeter.findings()] for node in (a, b))
    assert "configuration differs" in here
    assert "configuration differs" in there
    a.greeter.renew({"haproxy.cfg": "bb"})
    segment.run(5.0)
    assert a.greeter.findings() == b.greeter.findings() == ()
    segment.carried.clear()
    b.greeter.renew({"haproxy.cfg": "bb"})
    segment.step()
    assert segment.carried == []


def test_a_change_is_heard_at_once(segment: Segment) -> None:
    a, b = segment.pair()
    b.become("MASTER")
    segment.step()

    assert role_of(a) == "MASTER"


def test_a_node_sends_one_greeting_a_second(segment: Segment) -> None:
    segment.pair()
    segment.carried.clear()
    segment.run(20.0)

    for address in (A, B):
        assert 19 <= sum(source == address for source, _, _ in segment.carried) <= 21


def test_nodes_that_have_met_need_no_unicast(segment: Segment) -> None:
    segment.add("a", A)
    segment.run(5.0)
    segment.add("b", B)
    segment.step()
    segment.carried.clear()
    segment.run(5.0)

    assert {target for _, target, _ in segment.carried} == {GROUP}


def test_changes_without_end_send_five_more_a_second_at_most(segment: Segment) -> None:
    _, b = segment.pair()
    segment.carried.clear()
    for _ in range(200):
        b.greeter.changed()
        segment.step()

    assert sum(source == B for source, _, _ in segment.carried) <= 10 * 6 + 5 + 1


def test_without_another_node_there_is_no_healthy_peer(segment: Segment) -> None:
    a = segment.add("a", A)
    segment.run(5.0)

    assert a.greeter.healthy_peer() == (None, "no other node has greeted on UDP port 8112")


def test_without_greetings_nothing_is_known_and_the_key_is_named(segment: Segment) -> None:
    a = segment.add("a", A, group={"greeting_port": 0})

    assert "ha.greeting_port: 0" in a.greeter.healthy_peer()[1]


def test_a_node_that_is_silent_is_healthy_no_more_within_4_s(segment: Segment) -> None:
    a, b = segment.pair()
    assert a.greeter.healthy_peer()[0] is not None
    segment.nodes.remove(b)
    segment.until(lambda: a.greeter.healthy_peer()[0] is None, within_s=4.0)
    segment.run(2.0)

    assert a.greeter.healthy_peer()[1].startswith("b (10.0.1.12) has not greeted for")
    assert a.journal.told[-1] == "b (10.0.1.12) has fallen silent"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"severity": 4, "faults": ["nginx is dead"]}, "is at fault: nginx is dead"),
        ({"can_serve": False, "why": "starting"}, "cannot serve: starting"),
    ],
)
def test_a_peer_that_would_not_serve_is_not_healthy(
    segment: Segment, facts: dict[str, object], reason: str
) -> None:
    a, b = segment.pair()
    b.fact.update(facts)
    b.greeter.changed()
    segment.step()

    assert a.greeter.healthy_peer() == (None, f"b (10.0.1.12) {reason}")


def test_a_peer_is_healthy_for_the_groups_that_it_knows(segment: Segment) -> None:
    a, b = segment.pair()
    b.facts["groups"] = [b.fact, {**b.fact, "vhid": 8, "vip": "10.0.1.202"}]
    b.greeter.changed()
    segment.step()

    assert a.greeter.healthy_peer(8)[0] is not None
    assert a.greeter.healthy_peer(9) == (None, "b (10.0.1.12) does not know vhid 9")


def test_a_node_that_is_started_anew_is_known_at_once_and_told_of(segment: Segment) -> None:
    a, b = segment.pair()
    segment.nodes.remove(b)
    segment.run(1.0)
    segment.add("b", B, role="INIT")
    segment.step()

    assert role_of(a) == "INIT"
    assert len(a.greeter.peers()) == 1
    segment.step()
    assert "started anew" in a.journal.told[-1]


# Unicast peers.


def test_with_peers_listed_each_is_greeted_by_unicast_and_nobody_else_is_heard(
    segment: Segment,
) -> None:
    a = segment.add("a", A, group={"peers": (B,)})
    b = segment.add("b", B, group={"peers": (A,)})
    c = segment.add("c", C, group={"peers": (A, B)})
    segment.run(3.0)

    assert GROUP not in {target for _, target, _ in segment.carried}
    assert [one.hostname for one in a.greeter.peers()] == ["b"]
    assert [one.hostname for one in b.greeter.peers()] == ["a"]
    assert c.greeter.peers() == ()
    assert a.greeter.refused["not a peer"] > 0
    assert a.greeter.findings() == ()


def test_listed_peers_may_be_behind_a_router(segment: Segment) -> None:
    a = segment.add("a", A, group={"peers": (B,)})
    segment.add("b", B, group={"peers": (A,)})
    segment.run(3.0)
    heard = a.greeter.heard
    newer = replace(read([one for one in segment.carried if one[0] == B][-1][2]), sequence=999)
    a.on_datagram(Datagram(encode(newer, KEY), B, PORT, 60, by_multicast=False))

    assert a.greeter.heard == heard + 1


# What travels with the greetings.


def test_a_pause_reaches_the_other_node_told_by_its_own_clock(segment: Segment) -> None:
    a, b = segment.pair()
    b.wall_offset_s = 500.0
    now = segment.clock.now + 1e9
    word = PauseWord(True, "root", "new kernel", now, now + 60.0, 1)
    a.facts.update(pause=word.as_dict(), is_paused=True)
    a.greeter.changed()
    segment.step()

    assert len(b.pauses) == 1
    heard = b.pauses[0]
    assert (heard.is_on, heard.by, heard.why, heard.serial) == (True, "root", "new kernel", 1)
    assert heard.until == pytest.approx(now + 560.0, abs=1.0)


def test_a_node_that_knows_a_newer_word_is_not_told(segment: Segment) -> None:
    a, b = segment.pair()
    a.facts["pause"] = PauseWord(True, "root", serial=3).as_dict()
    b.facts["pause"] = PauseWord(False, "root", serial=4).as_dict()
    segment.run(2.0)

    assert b.pauses == []
    assert {word.serial for word in a.pauses} == {4}


def test_counters_travel_with_greetings_that_answer_a_challenge(segment: Segment) -> None:
    a, b = segment.pair()
    heard: list[object] = []
    a.greeter.on_greeting = lambda one: heard.append((one.address, dict(one.counters), one.engine))
    b.facts["counters"] = {7: 12345}
    b.facts["engine"] = "ucarp"
    segment.run(1.5)

    assert heard[-1] == (B, {7: 12345}, "ucarp")


def test_a_greeting_that_answers_nothing_is_no_fresh_one(segment: Segment) -> None:
    a, b = segment.pair()
    heard: list[object] = []
    segment.lost.add((A, B))
    segment.run(3.0)
    a.greeter.on_greeting = heard.append
    b.become("MASTER")
    segment.run(3.0)

    assert role_of(a) == "MASTER"
    assert heard == []
    assert a.greeter.healthy_peer() == (None, "b (10.0.1.12) greets, and does not hear this node")


def test_a_question_is_answered_where_it_came_from_and_nobody_is_remembered(
    segment: Segment,
) -> None:
    a = segment.add("a", A, role="MASTER")
    segment.step()
    asked = Greeting(Kind.QUESTION, "", "session", 1, "challenge")
    segment.carried.clear()
    a.on_datagram(Datagram(encode(asked, KEY), C, 40000, 255, by_multicast=True))
    source, target, content = segment.carried[0]

    assert (source, target) == (A, C)
    assert read(content).answers == {"session": "challenge"}
    assert read(content).question_by == "multicast"
    assert a.greeter.peers() == ()


def test_a_peer_with_another_vip_first_is_named_where_a_peer_is_wanted(segment: Segment) -> None:
    a = segment.add("a", A, role="MASTER")
    addresses = ("10.0.1.202/32", "10.0.1.201/32")
    segment.add("b", B, group={"vip": "10.0.1.202", "vhid": 9, "addresses": addresses})
    segment.run(2.0)
    reason = a.greeter.healthy_peer()[1]

    assert reason == "b (10.0.1.12) greets, and does not have this node's VIP and vhid"
    assert a.greeter.as_dict()["kin"] == ["b (10.0.1.12)"]

    segment.nodes.pop()
    segment.run(5.0)

    assert a.greeter.as_dict()["kin"] == []


def test_questions_without_end_are_answered_five_times_a_second(segment: Segment) -> None:
    a, _ = segment.pair()
    segment.run(1.0)
    segment.carried.clear()
    for number in range(100):
        asked = Greeting(Kind.QUESTION, "", "session", number, "challenge")
        a.on_datagram(Datagram(encode(asked, KEY), B, 40000, 255, by_multicast=True))

    assert len(segment.carried) == 5


def test_on_a_link_that_loses_30_percent_the_peer_stays_known_and_nothing_is_made_up(
    segment: Segment,
) -> None:
    a, _ = segment.pair()
    segment.loss = 0.3
    told = len(a.journal.told)
    away = 0
    for _ in range(600):
        segment.run(1.0)
        away += a.greeter.healthy_peer()[0] is None

    assert away <= 600 * 0.01
    assert a.journal.told[told:] == []
