"""Who was heard, who has the addresses, who greets: judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.doctor.network import Here, judge_met, judge_round
from lbctl.doctor.row import Row, Verdict
from lbctl.ha.greeting import Claim, GroupFacts
from lbctl.ha.neighbour import Neighbour
from lbctl.ha.question import Answered, Round
from lbctl.launch.neighbours import Heard, Met
from tests.unit.doctor.test_link import GROUP

HERE = Here("1111", "a", "1.0", GROUP)
OTHER = Neighbour(
    node="2222",
    hostname="b",
    address="10.0.1.12",
    version="1.0",
    engine="native",
    groups=(GroupFacts(7, "10.0.1.201", "MASTER"),),
    digests={},
    pause=None,
    counters={},
    seen=0.0,
    is_fresh=True,
    clock_offset_s=0.0,
)
WELL = Answered(OTHER, "multicast", is_heard_by_multicast=True)


def judged(*answers: Answered, heard: tuple[str, ...] = (), here: Here = HERE) -> list[Row]:
    return judge_round(Round(answers), "", here, heard=heard)


def met(heard: Heard, holders: dict[str, tuple[str, ...]] | None = None) -> Met:
    return Met(GROUP, heard, holders or {})


def test_a_peer_that_is_like_this_host_is_well() -> None:
    assert {row.verdict for row in judged(WELL)} == {Verdict.OK}


@pytest.mark.parametrize(
    ("change", "check", "verdict", "word"),
    [
        ({"version": "2.0"}, "peer", Verdict.WARN, "here 1.0"),
        ({"engine": "ucarp"}, "peer", Verdict.WARN, "here native"),
        ({"hostname": "a"}, "peer", Verdict.WARN, "that name too"),
        ({"clock_offset_s": -9.0}, "peer's clock", Verdict.WARN, "9 s behind"),
        ({"clock_offset_s": 4.0}, "peer's clock", Verdict.OK, "4.0 s"),
        ({"node": "1111"}, "node id", Verdict.BAD, "a copy of the other"),
    ],
)
def test_a_peer_that_differs_is_told(
    change: dict[str, str], check: str, verdict: Verdict, word: str
) -> None:
    other = replace(OTHER, **change)  # type: ignore[arg-type]
    row = next(row for row in judged(replace(WELL, neighbour=other)) if row.check == check)

    assert row.verdict is verdict
    assert word in row.found


def test_a_host_that_has_never_started_is_nobodys_copy() -> None:
    rows = judged(replace(WELL, neighbour=replace(OTHER, node="")), here=replace(HERE, node=""))

    assert "node id" not in {row.check for row in rows}


def test_multicast_that_is_lost_on_the_way_here_is_bad() -> None:
    rows = judged(replace(WELL, is_heard_by_multicast=False))

    assert {row.check: row.verdict for row in rows}["multicast"] is Verdict.BAD


def test_named_peers_are_not_asked_about_multicast() -> None:
    here = replace(HERE, group=replace(GROUP, peers=("10.0.1.12",)))
    rows = judged(Answered(OTHER, "unicast", is_heard_by_multicast=False), here=here)

    assert "multicast" not in {row.check for row in rows}


def test_a_peer_that_greets_and_does_not_answer_is_a_warning() -> None:
    rows = judged(Answered(OTHER, "", is_heard_by_multicast=True))

    assert rows[0].verdict is Verdict.WARN
    assert "does not answer" in rows[0].found


def test_silence_is_well_until_somebody_speaks_carp() -> None:
    (alone,) = judged()
    (deaf,) = judged(heard=("10.0.1.12",))

    assert alone.verdict is Verdict.OK
    assert (deaf.verdict, "UDP 8112" in deaf.found) == (Verdict.WARN, True)


@pytest.mark.parametrize(
    ("names", "word"),
    [(((7, "10.0.1.201"),), "another password"), (((7, "10.9.9.9"),), "another VIP")],
)
def test_a_stranger_that_greets_is_told_by_what_clashes(
    names: tuple[tuple[int, str], ...], word: str
) -> None:
    (row,) = judge_round(Round((), (Claim("c", names, "10.0.1.13"),)), "", HERE, heard=())

    assert row.verdict is Verdict.BAD
    assert word in row.found


def test_a_stranger_with_another_group_is_nobodys_business() -> None:
    asked = Round((), (Claim("c", ((9, "10.9.9.9"),), "10.0.1.13"),))

    assert [row.verdict for row in judge_round(asked, "", HERE, heard=())] == [Verdict.OK]


def test_a_question_that_could_not_be_sent_is_unknown_with_its_reason() -> None:
    (row,) = judge_round(None, "NET_RAW is missing", HERE, heard=())

    assert (row.verdict, row.found) == (Verdict.UNKNOWN, "NET_RAW is missing")


def test_what_could_not_be_listened_to_is_unknown() -> None:
    assert {row.verdict for row in judge_met(None, "why", is_running=False)} == {Verdict.UNKNOWN}


def test_a_stranger_with_the_id_is_bad_and_has_the_address_too() -> None:
    heard = Heard(strangers={"10.0.1.13": "VRRP version 3"}, ids=frozenset({7}))
    rows = judge_met([met(heard, {"10.0.1.201": ("02:00",)})], "", is_running=False)

    assert [(row.check, row.verdict) for row in rows] == [
        ("CARP", Verdict.BAD),
        ("addresses", Verdict.OK),
    ]
    assert "VHID=8 is free" in rows[0].advice


def test_an_address_that_somebody_has_is_bad() -> None:
    rows = judge_met([met(Heard(), {"10.0.1.201": ("02:00",)})], "", is_running=False)

    assert {row.check: row.verdict for row in rows}["addresses"] is Verdict.BAD


def test_the_own_bundle_may_speak_while_it_runs() -> None:
    own = Heard(is_own=True, ids=frozenset({7}))
    running, other = (judge_met([met(own)], "", is_running=one) for one in (True, False))

    assert (running[0].verdict, other[0].verdict) == (Verdict.OK, Verdict.BAD)


def test_other_ids_on_the_link_are_named() -> None:
    rows = judge_met([met(Heard(ids=frozenset({7, 9, 51})))], "", is_running=False)

    assert "other ids there: 9, 51" in rows[0].found
