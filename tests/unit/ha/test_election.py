"""Every pair of state and event against the invariants, and what each event is for."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.ha.election import dead_time_s, first, step, yields
from lbctl.ha.election_words import (
    Action,
    Advertise,
    Become,
    Event,
    Hear,
    Heard,
    Left,
    LinkDown,
    LinkUp,
    Pause,
    Resign,
    Rules,
    SetAdvskew,
    Silence,
    Speak,
    Stalled,
    Start,
    State,
    Stop,
    Tick,
)
from lbctl.ha.role import RoleName

INIT, BACKUP, MASTER = RoleName.INIT, RoleName.BACKUP, RoleName.MASTER
RULES = Rules("10.0.1.12", advbase_s=1, interval_s=0.05, dead_ratio=3, failback_s=0.0)
SLOW = replace(RULES, failback_s=10.0)
NOW = 500.0


def heard(
    source: str = "10.0.1.11",
    *,
    advskew: int = 50,
    advbase: int = 1,
    is_resignation: bool = False,
    is_native: bool = True,
    loss: float = 0.0,
) -> Heard:
    interval_s = 0.05 if is_native else advbase + advskew / 256
    return Heard(source, advbase, advskew, is_resignation, is_native, interval_s, loss)


RESIGNED = heard(advbase=255, advskew=0, is_resignation=True)
NUDGE = heard(advbase=255, advskew=0)
SAID = [
    heard(),  # as good as we are, and the lower address
    heard("10.0.1.13"),
    heard(advskew=0),
    heard(advskew=100),
    heard(advskew=245),
    heard(advskew=0, is_native=False),
    heard(advskew=100, is_native=False),
    heard(advbase=2, advskew=0),
    heard(loss=0.999),
    RESIGNED,
    replace(RESIGNED, is_native=False),
    replace(RESIGNED, source="10.0.1.13"),
    NUDGE,
    heard(advbase=0, advskew=0),
]
EVENTS: list[Event] = [
    *(Hear(one) for one in SAID),
    *(SetAdvskew(advskew) for advskew in (0, 50, 250)),
    *(Pause(on) for on in (True, False)),
    *(Start(), Stop(), Tick(), LinkDown(), LinkUp(), Stalled(), Silence(), Speak(), Left()),
]


def state(role: RoleName = BACKUP, **fields: object) -> State:
    """As a running node has it; MASTER wants a tick now, BACKUP has just heard a good master."""
    plain = State(role, 50, worth=50, heard_at=NOW, sent_at=NOW - 0.025)
    if role is MASTER:
        plain = replace(plain, due=NOW)
    elif role is BACKUP:
        plain = replace(plain, master=heard(advskew=0), due=NOW + 0.128, is_holder=False)
    return replace(plain, **fields)  # type: ignore[arg-type]


def every_state() -> list[State]:
    """All that can be: a MASTER has a link, and a silenced one wants no tick."""
    return [
        with_due(
            State(role, 50, 250 if flags[0] else 50, math.inf, master, at, math.inf, 0, *flags)
        )
        for role in RoleName
        for master in (None, *SAID[:7])
        for at in (NOW, NOW - 60)
        for flags in product((False, True), repeat=4)
        if flags[2] or role is not MASTER
        if flags[3] or role is not MASTER
    ]


def with_due(made: State) -> State:
    if made.may_speak:
        return replace(made, due=NOW)
    if not made.may_take_over:
        return made
    return replace(made, due=made.heard_at + dead_time_s(RULES, 50, made.master))


def broken(rules: Rules, was: State, event: Event, now: float) -> list[str]:
    """Which of the invariants this step breaks, by their first words in the module's docstring."""
    after, actions = step(rules, was, event, now)
    kinds = [type(action) for action in actions]
    became = [action.role for action in actions if isinstance(action, Become)]
    gave_way = was.role is MASTER and after.role is BACKUP and isinstance(event, Hear)
    claims = {
        "1 Advertise": Advertise not in kinds or (after.may_speak and after.sent_at == now),
        "1 Resign": Resign not in kinds or gave_way,
        "2 Become changes": (became == [after.role]) is (was.role is not after.role),
        "2 before any word": len(became) < 2 and (not became or kinds[0] is Become),
        "4 ticks": is_due_right(rules, after, now),
        "5 reasons": MASTER not in became or has_reason(rules, was, event, now),
        "6 paused": MASTER not in became or not was.is_paused or may_although_paused(was, event),
        "6 claims": not after.is_paused or after.advskew == was.advskew,
        "7 stopped": not isinstance(event, Stalled)
        or (after.role is not MASTER and Advertise not in kinds),
        "8 silenced": not (was.is_silent and after.is_silent) or is_quiet(event, actions),
    }
    return [claim for claim, holds in claims.items() if not holds]


def is_due_right(rules: Rules, after: State, now: float) -> bool:
    if after.may_speak:
        return after.due <= now + rules.period_s
    if after.may_take_over:
        return after.due <= after.heard_at + dead_time_s(rules, after.advskew, after.master)
    return after.due == math.inf


def has_reason(rules: Rules, was: State, event: Event, now: float) -> bool:
    if was.role is not BACKUP or was.is_silent or not was.has_link:
        return False
    if isinstance(event, Tick):
        return now >= min(was.due, was.better_since + rules.failback_s)
    if not isinstance(event, Hear):
        return False
    said = event.heard
    return said.is_resignation or (rules.advbase_s, was.advskew) < (said.advbase, said.advskew)


def may_although_paused(was: State, event: Event) -> bool:
    if isinstance(event, Hear):
        return event.heard.is_resignation
    return was.is_holder and isinstance(event, Tick)


def is_quiet(event: Event, actions: tuple[Action, ...]) -> bool:
    return not actions or isinstance(event, (Stop, Stalled, LinkDown, Start))


def test_every_pair_of_state_and_event_keeps_the_invariants() -> None:
    pairs = [(was, event) for was in every_state() for event in EVENTS]
    wrong = [
        (claims, was, event)
        for was, event in pairs
        for rules in (RULES, SLOW)
        if (claims := broken(rules, was, event, NOW + 0.001))
    ]

    assert len(pairs) > 6000
    assert wrong == []


@settings(max_examples=300, deadline=None)
@given(
    history=st.lists(
        st.tuples(st.sampled_from(EVENTS), st.sampled_from([0.0, 0.01, 0.025, 0.2, 5.0])),
        max_size=40,
    ),
    rules=st.sampled_from([RULES, SLOW]),
)
def test_every_history_keeps_the_invariants(
    history: list[tuple[Event, float]], rules: Rules
) -> None:
    now = NOW
    current = first(50, now)
    for event, later_s in [(Start(), 0.0), *history]:
        now += later_s
        assert broken(rules, current, event, now) == []
        current, _ = step(rules, current, event, now)


priorities = st.tuples(st.sampled_from([1, 2]), st.sampled_from([0, 10, 240]))


@given(one=priorities, other=priorities)
def test_of_two_masters_exactly_one_gives_way(one: tuple[int, int], other: tuple[int, int]) -> None:
    sources = ("10.0.1.200", "10.0.2.3")
    rules = [
        replace(RULES, source=source, advbase_s=its[0])
        for source, its in zip(sources, (one, other), strict=True)
    ]
    gives_way = [
        yields(rules[0], one[1], heard(sources[1], advbase=other[0], advskew=other[1])),
        yields(rules[1], other[1], heard(sources[0], advbase=one[0], advskew=one[1])),
    ]

    assert sorted(gives_way) == [False, True]


def test_equal_masters_are_ordered_by_the_last_byte_first_as_ucarp_does() -> None:
    rules = replace(RULES, source="10.0.1.200")

    assert yields(rules, 0, heard("10.0.2.3", advskew=0))
    assert not yields(rules, 0, heard("10.0.1.201", advskew=0))


LINE = [
    # role, what is so, event, what is done
    (INIT, {}, Start(), ["BACKUP"]),
    (INIT, {}, Tick(), []),
    (INIT, {}, Hear(RESIGNED), []),
    (BACKUP, {}, Start(), []),
    (BACKUP, {}, Tick(), []),
    (BACKUP, {"heard_at": NOW - 0.13}, Tick(), ["MASTER", "say"]),
    (BACKUP, {"heard_at": NOW - 0.126}, Tick(), []),
    (BACKUP, {"heard_at": NOW - 9, "is_paused": True}, Tick(), []),
    (BACKUP, {"heard_at": NOW - 9, "is_silent": True}, Tick(), []),
    (BACKUP, {"heard_at": NOW - 9, "has_link": False}, Tick(), []),
    (BACKUP, {}, Hear(RESIGNED), ["MASTER", "say"]),
    (BACKUP, {"advskew": 250}, Hear(RESIGNED), ["MASTER", "say"]),
    (
        BACKUP,
        {"heard_at": NOW - 9, "is_paused": True, "is_holder": True},
        Tick(),
        ["MASTER", "say"],
    ),
    (BACKUP, {"is_paused": True}, Hear(RESIGNED), ["MASTER", "say"]),
    (BACKUP, {"is_silent": True}, Hear(RESIGNED), []),
    (BACKUP, {}, Hear(replace(RESIGNED, source="10.0.1.13")), []),
    (BACKUP, {"master": None}, Hear(RESIGNED), ["MASTER", "say"]),
    (BACKUP, {}, Hear(NUDGE), []),
    (BACKUP, {}, Hear(heard()), []),
    (BACKUP, {}, Hear(heard("10.0.1.13")), []),
    (BACKUP, {}, Hear(heard(advskew=51)), ["MASTER", "say"]),
    (BACKUP, {"is_paused": True}, Hear(heard(advskew=51)), []),
    (BACKUP, {}, Hear(heard("10.0.1.13", advskew=51)), []),  # a better one is alive
    (BACKUP, {}, Stalled(), []),
    (BACKUP, {}, LinkDown(), []),
    (BACKUP, {}, Left(), []),
    (BACKUP, {}, Stop(), ["INIT"]),
    (MASTER, {}, Tick(), ["say"]),
    (MASTER, {"due": NOW + 0.01}, Tick(), []),
    (MASTER, {"is_silent": True, "due": math.inf}, Tick(), []),
    (MASTER, {}, Hear(heard(advskew=49)), ["BACKUP", "resign"]),
    (MASTER, {"is_paused": True}, Hear(heard(advskew=49)), ["BACKUP", "resign"]),
    (MASTER, {"is_silent": True}, Hear(heard(advskew=49)), []),
    (MASTER, {}, Hear(heard(advskew=51)), ["say"]),
    (MASTER, {"sent_at": NOW - 0.001}, Hear(heard(advskew=51)), []),
    (MASTER, {}, Hear(RESIGNED), []),
    (MASTER, {}, Hear(NUDGE), []),
    (MASTER, {}, SetAdvskew(244), ["say"]),
    (MASTER, {}, SetAdvskew(50), []),
    (MASTER, {"is_paused": True}, SetAdvskew(244), []),
    (MASTER, {"is_paused": True, "worth": 244}, Pause(on=False), ["say"]),
    (MASTER, {}, Pause(on=True), []),
    (MASTER, {}, Stalled(), ["BACKUP"]),
    (MASTER, {}, LinkDown(), ["BACKUP"]),
    (MASTER, {}, Silence(), []),
    (MASTER, {"is_silent": True, "heard_at": -math.inf}, Speak(), ["say"]),
    (MASTER, {"is_silent": True, "master": heard(advskew=90)}, Speak(), ["BACKUP"]),
    (MASTER, {"is_silent": True}, Left(), ["BACKUP"]),
    (MASTER, {}, Stop(), ["INIT"]),
]


@pytest.mark.parametrize(("role", "fields", "event", "done"), LINE)
def test_event_does_what_it_is_for(
    role: RoleName, fields: dict[str, object], event: Event, done: list[str]
) -> None:
    _, actions = step(RULES, state(role, **fields), event, NOW)
    names = {Advertise: "say", Resign: "resign"}

    assert done == [
        action.role.value if isinstance(action, Become) else names[type(action)]
        for action in actions
    ]


@pytest.mark.parametrize(
    ("master", "dead_s"),
    [
        (None, 0.15),
        (heard(), 0.128),
        (heard(loss=0.01), 0.128),
        (heard(loss=0.3), 12 * 0.025 + 0.003),
        (heard(loss=0.9), 20 * 0.025 + 0.003),
        (heard(loss=1.0), 20 * 0.025 + 0.003),
        (replace(heard(), interval_s=0.02), 0.0525),
        (heard(is_native=False), 3 * (1 + 50 / 256)),
    ],
)
def test_dead_time_follows_the_masters_kind_interval_and_losses(
    master: Heard | None, dead_s: float
) -> None:
    assert dead_time_s(RULES, 50, master) == pytest.approx(dead_s)


def test_ticks_stay_on_schedule_though_timers_are_late() -> None:
    current = state(MASTER, due=NOW)
    said: list[Action] = []
    for number in range(100):
        now = NOW + number * 0.025 + 0.004
        current, actions = step(RULES, current, Tick(), now)
        said += actions

    assert len(said) == 100
    assert current.due == pytest.approx(NOW + 100 * 0.025)


def test_failing_back_begins_anew_when_the_master_was_better_in_between() -> None:
    current = state(master=heard(advskew=90))
    spoken = [(0.0, 90), (6.0, 90), (7.0, 50), (8.0, 90), (17.9, 90)]
    for later_s, advskew in spoken:
        current, actions = step(SLOW, current, Hear(heard(advskew=advskew)), NOW + later_s)
        assert actions == ()
    _, actions = step(SLOW, current, Hear(heard(advskew=90)), NOW + 18.0)

    assert [type(action) for action in actions] == [Become, Advertise]


def test_a_faulty_master_is_relieved_without_waiting_to_fail_back() -> None:
    _, actions = step(SLOW, state(), Hear(heard(advskew=241)), NOW)

    assert [type(action) for action in actions] == [Become, Advertise]


def test_after_having_left_a_node_waits_a_dead_time_for_somebody_to_take_over() -> None:
    silent, _ = step(RULES, state(MASTER), Silence(), NOW)
    left, _ = step(RULES, silent, Left(), NOW + 0.02)

    assert left.due == pytest.approx(NOW + 0.02 + 0.15)


@pytest.mark.parametrize("event", [Stalled(), LinkUp()])
@pytest.mark.parametrize("role", [BACKUP, MASTER])
def test_who_has_not_listened_listens_for_a_dead_time(role: RoleName, event: Event) -> None:
    deaf = state(role, master=heard(), heard_at=NOW - 9)
    if isinstance(event, LinkUp):
        deaf, _ = step(RULES, deaf, LinkDown(), NOW - 1)
    after, _ = step(RULES, deaf, event, NOW)

    assert after.role is BACKUP
    assert after.due == pytest.approx(NOW + 0.128)


def test_failing_back_begins_anew_after_a_pause() -> None:
    worse = Hear(heard(advskew=90))
    current = state(master=heard(advskew=90), better_since=NOW - 5)
    history: list[tuple[Event, float]] = [
        (Pause(on=True), 0.0),
        (worse, 60.0),
        (Pause(on=False), 60.0),
    ]
    for event, later_s in history:
        current, _ = step(SLOW, current, event, NOW + later_s)
    for later_s in (60.1, 70.0):
        current, actions = step(SLOW, current, worse, NOW + later_s)
        assert actions == ()
    _, actions = step(SLOW, current, worse, NOW + 70.2)

    assert [type(action) for action in actions] == [Become, Advertise]
