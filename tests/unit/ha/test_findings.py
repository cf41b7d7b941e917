"""What is wrong between two nodes is told within 3 s, once, and is over when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from lbctl.ha import findings
from lbctl.ha.carp import GROUP
from lbctl.ha.pause import PauseWord
from tests.fakes.greeting_segment import STEP_S, VIP, Node, Segment

A, B, C = "10.0.1.11", "10.0.1.12", "10.0.1.13"
V1, V2 = "10.0.1.201/32", "10.0.1.202/32"
WITHIN_S = 3.0
OVER_WITHIN_S = 6.0

Change = Callable[[Segment, Node, Node], None]


@dataclass(frozen=True)
class Case:
    """How it comes and goes, and what the operator must read."""

    kind: str
    begin: Change
    end: Change
    says: tuple[str, ...]


def facts(**different: Any) -> Change:
    def change(_: Segment, __: Node, b: Node) -> None:
        b.fact.update(different)
        b.greeter.changed()

    return change


def replaced(**options: Any) -> Change:
    """b is stopped, and started anew in another way."""

    def change(segment: Segment, _: Node, b: Node) -> None:
        segment.nodes = [node for node in segment.nodes if node.address != b.address]
        segment.add("b", B, **options)

    return change


def added(**options: Any) -> Change:
    def change(segment: Segment, _: Node, __: Node) -> None:
        segment.add("c", C, **options)

    return change


def removed(segment: Segment, _: Node, __: Node) -> None:
    segment.nodes.pop()


def lose(*ways: tuple[str, str], multicast: bool = False) -> Change:
    def change(segment: Segment, _: Node, __: Node) -> None:
        (segment.without_multicast if multicast else segment.lost).update(ways)

    return change


def mend(segment: Segment, _: Node, __: Node) -> None:
    segment.lost.clear()
    segment.without_multicast.clear()


def pause(is_on: bool) -> Change:
    def change(_: Segment, a: Node, __: Node) -> None:
        word = PauseWord(is_on, "alice", "new switch", 1.8e9, 1.8e9 + 60, 1)
        a.facts.update(is_paused=is_on, pause=word.as_dict())

    return change


def speaks(what: str) -> Change:
    def change(_: Segment, a: Node, __: Node) -> None:
        a.greeter.carp_heard("10.0.1.77", what)

    return change


def clock_ahead(seconds: float) -> Change:
    def change(_: Segment, __: Node, b: Node) -> None:
        b.wall_offset_s = seconds

    return change


def flooded(per_s: int, sources: int = 1) -> Change:
    def change(segment: Segment, _: Node, __: Node) -> None:
        turn = count()

        def junk() -> None:
            for _ in range(round(per_s * STEP_S)):
                source = B if sources == 1 else f"10.0.1.{20 + next(turn) % sources}"
                segment.carry(source, b"lbctl\x01" + b"x" * 100, GROUP)

        segment.strangers.append(junk)

    return change


def calmed(segment: Segment, _: Node, __: Node) -> None:
    segment.strangers.clear()


def nothing(*_: object) -> None:
    pass


CASES = (
    Case(
        "both MASTER", facts(role="MASTER"), facts(role="BACKUP"),
        ("b (10.0.1.12)", "vhid 7 (10.0.1.201)", "protocol 112"),
    ),
    Case(
        "configuration differs", replaced(digests={"haproxy.cfg": "bb", "certs": "cc"}), replaced(),
        ("certs, haproxy.cfg", "b (10.0.1.12)"),
    ),
    Case(
        "version differs", replaced(version="2.0"), replaced(),
        ("b (10.0.1.12) runs lbctl 2.0, this node 1.0",),
    ),
    Case("clock differs", clock_ahead(-7), clock_ahead(0), ("7 s behind", "b (10.0.1.12)")),
    Case("paused", pause(True), pause(False), ("alice", "new switch", "lbctl resume")),
    Case(
        "wrong password", replaced(password=b"other"), replaced(),
        ("b (10.0.1.12)", "another password"),
    ),
    Case(
        "clashing vhid", added(group={"vip": "10.0.1.99"}, password=b"theirs"), removed,
        ("c (10.0.1.13)", "vhid 7 for 10.0.1.99, this node for 10.0.1.201"),
    ),
    Case(
        "clashing vhid", added(group={"vip": "10.0.1.99"}), removed,
        ("c (10.0.1.13)", "vhid 7 for 10.0.1.99"),
    ),
    Case(
        "clashing vhid", added(group={"vhid": 9}), removed,
        ("uses 10.0.1.201 with vhid 9, this node with 7",),
    ),
    Case("clashing vhid", speaks("VRRP"), nothing, ("10.0.1.77 speaks VRRP with our vhid 7",)),
    Case("clashing vhid", speaks("bad digest"), nothing, ("10.0.1.77 speaks CARP with another",)),
    Case(
        "multicast is lost", lose((B, A), multicast=True), mend,
        ("b (10.0.1.12)", "unicast", "mcast_flood off", "ha.peers"),
    ),
    Case(
        "multicast is lost", lose((B, A), (A, B), multicast=True), mend, ("b (10.0.1.12)",),
    ),
    Case(
        "addresses differ", replaced(group={"vip": "10.0.1.202", "vhid": 9, "addresses": (V2, V1)}),
        replaced(),
        ("b (10.0.1.12) has the same addresses in another order", "give both hosts the same VIP",
         "(10.0.1.202; this node: 10.0.1.201)"),
    ),
    Case(
        "addresses differ",
        replaced(group={"vip": "10.0.1.202", "vhid": 7, "addresses": (V2, V1)}, password=b"theirs"),
        replaced(),
        ("b (10.0.1.12) has the same addresses in another order",),
    ),
    Case(
        "addresses differ", replaced(group={"vip": "10.0.1.9", "addresses": ("10.0.1.9", V2)}),
        replaced(),
        ("b (10.0.1.12) has 10.0.1.202 too, and another first address",),
    ),
    Case(
        "addresses differ", replaced(group={"addresses": (V1, "10.0.1.203/32", "fd00::1/64")}),
        replaced(),
        ("b (10.0.1.12) lacks 10.0.1.202 and has 10.0.1.203, fd00::1 besides in vhid 7",),
    ),
    Case("flood", flooded(20), calmed, ("10.0.1.12", "tcpdump")),
    Case("flood", flooded(60, sources=200), calmed, ("many addresses",)),
    Case("same node id", added(node="b" * 16), removed, ("b (10.0.1.12) and c (10.0.1.13)",)),
    Case("same node id", added(node="a" * 16), removed, ("this node and c (10.0.1.13)",)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_a_finding_is_told_within_3_s_and_is_over_soon_after_its_cause(case: Case) -> None:
    segment = Segment()
    a, b = segment.pair()
    told = len(a.journal.told)
    assert a.kinds() == []
    case.begin(segment, a, b)
    segment.until(lambda: case.kind in a.kinds(), WITHIN_S)
    found = {one.kind: one.text for one in a.greeter.findings()}

    assert list(found) == [case.kind]
    for words in case.says:
        assert words in found[case.kind]
    case.end(segment, a, b)
    segment.until(lambda: not a.kinds(), OVER_WITHIN_S)
    events = [text for text in a.journal.told[told:] if case.kind in text]
    assert events == [f"{case.kind}: {found[case.kind]}", f"over: {case.kind}: {found[case.kind]}"]


def test_none_master_is_told_within_3_s() -> None:
    segment = Segment()
    a, _ = segment.pair()
    a.become("BACKUP")

    assert segment.until(lambda: "none MASTER" in a.kinds(), WITHIN_S) > 1.5
    a.become("MASTER")
    segment.until(lambda: not a.kinds(), OVER_WITHIN_S)


def test_a_peer_that_does_not_hear_this_node_is_named() -> None:
    segment = Segment()
    a, _ = segment.pair()
    segment.lost.add((A, B))

    segment.until(lambda: "not heard" in a.kinds(), 8.0)
    segment.lost.clear()
    segment.until(lambda: not a.kinds(), OVER_WITHIN_S)


def test_a_peer_that_has_never_heard_this_node_is_named() -> None:
    segment = Segment()
    a = segment.add("a", A, role="MASTER")
    segment.lost.add((A, B))
    segment.add("b", B)

    segment.until(lambda: "not heard" in a.kinds(), 9.0)
    assert a.greeter.peers() == ()


def test_two_nodes_that_start_are_told_nothing_wrong() -> None:
    segment = Segment()
    a, b = segment.add("a", A), segment.add("b", B)
    segment.run(1.6)
    a.become("MASTER")
    segment.run(10.0)

    assert not [text for node in (a, b) for text in node.journal.told if "MASTER" in text]


def test_a_node_that_starts_beside_one_without_a_master_is_given_its_time() -> None:
    segment = Segment()
    a, b = segment.pair()
    segment.nodes.remove(a)
    b.become("BACKUP")
    segment.add("a", A)
    segment.run(1.6)

    assert "none MASTER" not in b.kinds()


def test_a_handover_is_no_finding() -> None:
    """For a moment both say MASTER, or none."""
    segment = Segment()
    a, b = segment.pair()
    for first, second in ((a, b), (b, a), (a, b)):
        second.become("MASTER")
        segment.run(0.9)
        first.become("BACKUP")
        segment.run(4.0)
        second.become("BACKUP")
        segment.run(1.5)
        second.become("MASTER")
        segment.run(4.0)

    assert not [text for node in (a, b) for text in node.journal.told if "MASTER" in text]


def test_carp_with_a_bad_digest_from_who_greets_with_another_password_is_one_finding() -> None:
    segment = Segment()
    a, b = segment.pair()
    replaced(password=b"other", role="MASTER")(segment, a, b)
    for _ in range(5):
        a.greeter.carp_heard(B, "bad digest")
        segment.run(1.0)

    assert a.kinds() == ["wrong password"]


def test_a_stranger_who_speaks_rarely_is_one_finding() -> None:
    segment = Segment()
    a, _ = segment.pair()
    for _ in range(6):
        a.greeter.carp_heard("10.0.1.77", "VRRP")
        segment.run(10.0)

    # Begun, over before its interval was known, and begun for good.
    assert len([text for text in a.journal.told if "clashing" in text]) == 3


def test_a_flood_of_claims_makes_a_bounded_number_of_findings() -> None:
    segment = Segment()
    a, _ = segment.pair()
    for number in range(100):
        a.greeter.carp_heard(f"10.0.2.{number}", "VRRP")
    segment.run(1.0)

    assert len(a.kinds()) == 16


def test_groups_are_judged_one_by_one() -> None:
    segment = Segment()
    a, b = segment.pair()
    second = {**b.fact, "vhid": 8, "vip": "10.0.1.202"}
    a.facts["groups"] = [a.fact, {**second, "role": "MASTER"}]
    b.facts["groups"] = [b.fact, {**second, "role": "MASTER"}]
    segment.run(3.5)

    assert [one.about for one in a.greeter.findings()] == ["8"]


def test_findings_name_both_sides_of_a_wrong_password() -> None:
    segment = Segment()
    a = segment.add("a", A, role="MASTER")
    b = segment.add("b", B, password=b"other")
    segment.run(3.0)

    assert a.kinds() == b.kinds() == ["wrong password"]
    assert a.greeter.peers() == b.greeter.peers() == ()


def test_a_password_that_was_put_right_is_a_finding_no_more_at_once() -> None:
    segment = Segment()
    a, b = segment.pair()
    replaced(password=b"other")(segment, a, b)
    segment.run(2.0)
    replaced()(segment, a, b)

    segment.until(lambda: not a.kinds(), within_s=1.2)


def test_every_kind_has_a_case() -> None:
    kinds = {
        value for name, value in vars(findings).items() if name.isupper() and isinstance(value, str)
    }

    assert kinds == {case.kind for case in CASES} | {"none MASTER", "not heard"}


def test_a_pause_without_a_reason_or_an_end_reads_well() -> None:
    segment = Segment()
    a, _ = segment.pair()
    a.facts.update(is_paused=True, pause=PauseWord(True, "root", since=1.8e9, serial=1).as_dict())
    segment.run(0.2)

    assert a.greeter.findings()[0].text == (
        "by root since 2027-01-15 08:00:00 UTC: the addresses do not move, even when their holder "
        "dies; lbctl resume ends it"
    )
    assert VIP not in a.greeter.findings()[0].text
