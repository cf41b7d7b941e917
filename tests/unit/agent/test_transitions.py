"""Which event asks for which programs of the operator, and with what facts."""

from __future__ import annotations

import pytest

from lbctl.agent.eventlog import Event
from lbctl.agent.hooks import Transition, environment, missed, transition_of
from tests.transitions import AT, GROUP, fault, role, said, spec


def wanted(event: Event) -> Transition:
    found = transition_of(event, GROUP.vhid)
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "event"), [("MASTER", "up"), ("BACKUP", "down")])
def test_each_role_has_its_programs(name: str, event: str) -> None:
    found = wanted(role(name, was="INIT"))

    assert (found.event, found.vhid, found.was, found.why) == (event, 7, "INIT", "nobody spoke")


def test_an_event_of_another_group_is_about_that_one() -> None:
    found = wanted(role("MASTER", vhid=8, why="10.0.1.12 resigned"))

    assert (found.vhid, found.why, found.key) == (8, "10.0.1.12 resigned", 8)


def test_a_fault_and_its_end_have_programs() -> None:
    assert wanted(fault("nginx is BACKOFF", "check web: HTTP 503")).faults == (
        "nginx is BACKOFF",
        "check web: HTTP 503",
    )
    assert wanted(fault()).faults == ()


def test_faults_are_read_from_the_words_where_they_are_not_listed() -> None:
    event = said("fault", "nginx is BACKOFF, haproxy is FATAL", severity=15)

    assert wanted(event).faults == ("nginx is BACKOFF", "haproxy is FATAL")
    assert wanted(said("fault", "no fault any more", severity=0)).faults == ()


@pytest.mark.parametrize(
    "event",
    [
        role("INIT"),
        said("fault", "no answer from haproxy-01", lacking=["haproxy-01"]),
        said("address", "10.0.1.201/32 had been removed: put back"),
        Event(1, AT, "n1", "role", "not vipd's", {"role": "MASTER"}),
        role("MASTER", vhid="7"),
    ],
)
def test_nothing_else_has_programs(event: Event) -> None:
    assert transition_of(event, 7) is None


def test_the_facts_are_in_the_environment() -> None:
    status = {
        "role": "MASTER",
        "vhid": 7,
        "faults": ["nginx is BACKOFF"],
        "peer": {"source": "10.0.1.12"},
    }

    assert environment(wanted(role("MASTER")), spec(), status) == {
        "LBCTL_EVENT": "up",
        "LBCTL_ROLE": "MASTER",
        "LBCTL_WAS": "BACKUP",
        "LBCTL_WHY": "nobody spoke",
        "LBCTL_AT": "2000.000",
        "LBCTL_VIP": "10.0.1.201",
        "LBCTL_ADDRESSES": "10.0.1.201/32 fd00::1/64",
        "LBCTL_INTERFACE": "eth0",
        "LBCTL_VHID": "7",
        "LBCTL_NODE": "n1",
        "LBCTL_HOSTNAME": "a",
        "LBCTL_PEER": "10.0.1.12",
        "LBCTL_FAULTS": "nginx is BACKOFF",
    }


def test_without_an_answer_of_vipd_the_facts_of_the_event_are_there() -> None:
    words = environment(wanted(role("BACKUP", was="MASTER")), spec(), {})

    assert (words["LBCTL_ROLE"], words["LBCTL_WAS"], words["LBCTL_PEER"]) == (
        "BACKUP",
        "MASTER",
        "",
    )


def test_another_group_has_its_own_facts() -> None:
    parts = [{"vhid": 7, "role": "MASTER"}, {"vhid": 8, "role": "BACKUP"}]
    words = environment(wanted(role("BACKUP", vhid=8)), spec(), {"vhid": 7, "groups": parts})

    assert (words["LBCTL_VIP"], words["LBCTL_INTERFACE"], words["LBCTL_VHID"]) == (
        "10.0.1.202",
        "eth1",
        "8",
    )


def test_a_fault_is_told_with_the_role_and_the_greeted_peer() -> None:
    status = {"role": "BACKUP", "vhid": 7, "peers": [{"address": "10.0.1.12"}], "peer": None}
    words = environment(wanted(fault("a", "b")), spec(), status)

    assert words["LBCTL_FAULTS"] == "a\nb"
    assert (words["LBCTL_ROLE"], words["LBCTL_PEER"]) == ("BACKUP", "10.0.1.12")


def done(of: Event, left: int = 0) -> Event:
    fields = {"of": of.fields["vipd_id"], "of_at": of.at, "left": left}
    return Event(2, of.at + 1, "n1", "hook", "up: exit 0", fields)


def test_only_the_last_transition_of_each_group_is_missed() -> None:
    events = [
        role("MASTER", AT),
        role("MASTER", AT + 1, vhid=8),
        role("BACKUP", AT + 2),
        fault("x", at=AT + 3),
        fault(at=AT + 4),
    ]

    assert [(t.event, t.vhid, t.at) for t in missed(events, spec())] == [
        ("down", 7, AT + 2),
        ("up", 8, AT + 1),
        ("fault", 7, AT + 4),
    ]


def test_what_was_done_or_belongs_to_an_earlier_bundle_is_not_missed() -> None:
    old, new = role("MASTER", 999.0), role("BACKUP", AT)

    assert missed([old], spec()) == ()
    assert missed([new, done(new)], spec()) == ()


def test_what_was_begun_and_not_ended_is_missed() -> None:
    event = role("MASTER")

    assert [t.event for t in missed([event, done(event, left=1)], spec())] == ["up"]
