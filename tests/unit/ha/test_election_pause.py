"""What a pause leaves to the election, and what it does not."""

from __future__ import annotations

import math

from lbctl.ha.election import first, step
from lbctl.ha.election_words import (
    Advertise,
    Event,
    Hear,
    Heard,
    LinkDown,
    LinkUp,
    Pause,
    Rules,
    Start,
    State,
    Tick,
)
from lbctl.ha.role import RoleName

NOW = 1000.0
RULES = Rules(source="10.0.1.12", advbase_s=1, interval_s=0.05, dead_ratio=3, failback_s=0.0)
BETTER = Heard("10.0.1.11", 1, 0, is_resignation=False, is_native=True, interval_s=0.05, loss=0.0)
MASTER = State(RoleName.MASTER, 50, worth=50, heard_at=NOW, sent_at=NOW, due=NOW)


def test_paused_master_whose_link_flapped_takes_the_addresses_again() -> None:
    now = NOW
    current = MASTER
    history: list[Event] = [Pause(on=True), LinkDown(), LinkUp()]
    for event in history:
        now += 1
        current, _ = step(RULES, current, event, now)
    assert current.role is RoleName.BACKUP

    current, actions = step(RULES, current, Tick(), current.due)

    assert current.role is RoleName.MASTER
    assert Advertise() in actions


def test_paused_master_that_gave_way_to_a_better_one_stays_backup_when_that_one_is_silent() -> None:
    paused, _ = step(RULES, MASTER, Pause(on=True), NOW)
    backup, _ = step(RULES, paused, Hear(BETTER), NOW)

    after, actions = step(RULES, backup, Tick(), NOW + 60)

    assert after.role is RoleName.BACKUP
    assert after.due == math.inf
    assert actions == ()


def test_process_that_takes_up_the_work_of_a_backup_does_not_take_over_while_paused() -> None:
    current = first(50, NOW, is_holder=False)
    for event in (Pause(on=True), Start()):
        current, _ = step(RULES, current, event, NOW)

    after, _ = step(RULES, current, Tick(), NOW + 60)

    assert after.role is RoleName.BACKUP
