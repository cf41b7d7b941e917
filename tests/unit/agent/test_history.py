"""How long roles lasted, from the events alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.agent.eventlog import Event, EventLog
from lbctl.agent.history import Span, read_history, spans
from lbctl.layout import StateDir

Told = tuple[str, dict[str, object]]

START: Told = ("bundle", {"version": "1"})
STOP: Told = ("bundle", {})


def _role(name: str, vhid: int | None = None) -> Told:
    return "role", {"role": name} | ({} if vhid is None else {"vhid": vhid})


def _spans(*told: tuple[float, Told], is_running: bool = True) -> dict[int, Span]:
    """By the number of the event, 0 and up; asked at 1000 s."""
    events = [
        Event(number, at, "n", kind, "", fields) for number, (at, (kind, fields)) in enumerate(told)
    ]
    return dict(spans(events, now=1000.0, is_running=is_running))


def test_a_role_lasts_until_the_next_one() -> None:
    found = _spans((0, START), (10, _role("BACKUP")), (40, _role("MASTER")))

    assert found == {1: Span("BACKUP", 30.0), 2: Span("MASTER", 960.0, "open")}


def test_without_a_bundle_nobody_knows_how_long_the_last_role_was() -> None:
    assert _spans((10, _role("MASTER")), is_running=False) == {}


def test_a_master_that_stops_is_one_until_it_has_left() -> None:
    found = _spans((10, _role("MASTER")), (50, STOP), (52, _role("BACKUP")), (900, START))

    assert found == {0: Span("MASTER", 42.0)}


def test_a_backup_that_stops_is_none_any_more() -> None:
    assert _spans((10, _role("BACKUP")), (50, STOP)) == {0: Span("BACKUP", 40.0)}


def test_a_death_leaves_the_longest_time_it_can_have_been() -> None:
    assert _spans((10, _role("MASTER")), (500, START)) == {0: Span("MASTER", 490.0, "unseen")}


def test_each_group_has_roles_of_its_own() -> None:
    found = _spans((10, _role("MASTER", 7)), (20, _role("BACKUP", 8)), (30, _role("BACKUP", 7)))

    assert found[0] == Span("MASTER", 20.0)
    assert found[1] == Span("BACKUP", 980.0, "open")


def test_a_clock_that_was_set_back_gives_no_time() -> None:
    found = _spans((500, _role("MASTER")), (100, _role("BACKUP")))

    assert 0 not in found


@pytest.mark.parametrize("fields", [{}, {"role": None}, {"version": 3}, {"role": [], "vhid": {}}])
def test_events_of_other_versions_are_no_trouble(fields: dict[str, object]) -> None:
    _spans((1, ("role", fields)), (2, ("bundle", fields)), (3, ("role", {"role": "BACKUP"})))


def test_both_pairs_of_files_are_read_once_each_and_garbage_is_counted(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    log = EventLog(state.events, "n", history=state.history)
    log.append("role", "one")
    log.append("program", "two")
    with state.history.open("ab") as stream:
        stream.write(b"\xff\n")
    log.append("role", "three")

    events, garbage = read_history(state)

    assert [event.text for event in events] == ["one", "two", "three"]
    assert garbage == 1
