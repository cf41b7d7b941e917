from __future__ import annotations

from itertools import pairwise

from lbctl.agent.table import ProgramTable
from lbctl.programs import Program, ProgramEvent, ProgramState
from tests.fakes.clock import FakeClock

STARTING, RUNNING, EXITED = ProgramState.STARTING, ProgramState.RUNNING, ProgramState.EXITED
BACKOFF, FATAL, STOPPED = ProgramState.BACKOFF, ProgramState.FATAL, ProgramState.STOPPED
STOPPING = ProgramState.STOPPING


def _table(**restarts: int) -> tuple[ProgramTable, FakeClock]:
    clock = FakeClock()
    return ProgramTable(["nginx"], restarts=restarts, clock=clock, wall=lambda: 5000.0), clock


def _texts(table: ProgramTable, *states: ProgramState, pid: int = 17) -> list[str]:
    """What is told while nginx goes through *states*."""
    notes = []
    for was, state in pairwise(states):
        told_pid = pid if state in (RUNNING, EXITED, STOPPED) else 0
        notes.append(table.apply(ProgramEvent("nginx", "nginx", state, was, told_pid)))
    return [note.text for note in notes if note is not None]


def test_a_first_start_is_not_worth_a_word() -> None:
    table, _ = _table()

    assert _texts(table, STOPPED, STARTING, RUNNING) == []
    assert table.is_running("nginx")
    assert table.rows["nginx"].restarts == 0


def test_a_death_and_a_restart_are_told_and_counted() -> None:
    table, _ = _table()

    assert _texts(table, RUNNING, EXITED, STARTING, RUNNING) == [
        "nginx (pid 17) ended unexpectedly: supervisord starts it again",
        "nginx runs again (pid 17, restarts so far: 1)",
    ]


def test_a_series_of_failed_starts_is_told_once() -> None:
    table, _ = _table()
    series = [STARTING, BACKOFF] * 3 + [FATAL]

    told = _texts(table, STOPPED, *series, *series, *series, STARTING, RUNNING)

    assert [text.split(":")[0] for text in told] == [
        "nginx ended as soon as it was started",
        "nginx does not stay up, supervisord gave up",
        "nginx runs again (pid 17, restarts so far",
    ]


def test_a_second_series_is_told_again() -> None:
    table, _ = _table()
    series = (STARTING, BACKOFF, FATAL)

    first = _texts(table, STOPPED, *series, STARTING, RUNNING)
    second = _texts(table, RUNNING, EXITED, *series)

    assert sum("gave up" in text for text in first) == 1
    assert sum("gave up" in text for text in second) == 1


def test_a_program_found_fatal_is_told_by_the_first_answer_only() -> None:
    table, _ = _table()
    states = {"nginx": Program("nginx", "nginx", FATAL)}

    assert ["gave up" in note.text for note in table.sync(states)] == [True]
    assert table.sync(states) == ()
    assert table.failed() == ("nginx",)


def test_a_start_that_was_asked_for_is_no_restart() -> None:
    table, _ = _table()

    assert _texts(table, RUNNING, STOPPING, STOPPED, STARTING, RUNNING) == [
        "nginx (pid 17) was stopped",
        "nginx runs again (pid 17, restarts so far: 0)",
    ]


def test_restarts_go_on_from_what_an_earlier_agent_knew() -> None:
    table, _ = _table(nginx=4)

    _texts(table, EXITED, STARTING)

    assert table.rows["nginx"].restarts == 5


def test_uptime_counts_from_the_start_and_not_from_running() -> None:
    table, clock = _table()
    _texts(table, STOPPED, STARTING)
    clock.tick(1)
    _texts(table, STARTING, RUNNING)
    clock.tick(2)

    assert table.uptime_s("nginx") == 3.0
    table.sync({"nginx": Program("nginx", "nginx", RUNNING, 17, 4000.0)})
    assert table.uptime_s("nginx") == 3.0


def test_supervisords_answer_gives_pid_and_age_to_what_ran_before_the_agent() -> None:
    table, _ = _table()

    table.sync({"nginx": Program("nginx", "web", RUNNING, 99, 4990.0)})

    assert table.uptime_s("nginx") == 10.0
    row = table.rows["nginx"]
    assert (row.pid, row.group, row.since) == (99, "web", 4990.0)


def test_nothing_runs_where_no_process_is() -> None:
    table, _ = _table()
    _texts(table, STOPPED, STARTING, RUNNING, EXITED)

    assert table.uptime_s("nginx") is None
    assert table.uptime_s("unheard of") is None
    assert table.rows["nginx"].pid == 0


def test_once_the_bundle_stops_nobody_is_mourned() -> None:
    table, _ = _table()

    note = table.apply(ProgramEvent("", "", STOPPING))

    assert note is not None
    assert (note.kind, note.text) == ("bundle", "the bundle stops")
    assert _texts(table, RUNNING, STOPPING, STOPPED) == []
    assert table.is_stopping
