"""Which missing program is a fault, from when on, and how bad."""

from __future__ import annotations

import pytest

from lbctl.ha.track import CRASHES, GRACE_S, RECOVERY_S, Fault, Tracker, severity_of
from lbctl.ha.ucarp import FAULTY_ADVSKEW
from lbctl.programs import Program, ProgramEvent, ProgramState

S = ProgramState
NOW = 100.0


def running(*names: str) -> dict[str, Program]:
    return {n: Program(n, n.split("-")[0], S.RUNNING, 1) for n in names}


def tracker() -> Tracker:
    made = Tracker(("haproxy", "nginx"))
    made.reset(running("haproxy-01", "haproxy-02", "nginx", "agent", "ucarp"), NOW)
    return made


def says(name: str, state: ProgramState) -> ProgramEvent:
    return ProgramEvent(name, name.split("-")[0], state, pid=2)


def test_nothing_is_wrong_while_everything_runs() -> None:
    assert tracker().faults(NOW + 60) == ()


def test_a_program_that_comes_back_within_the_grace_time_is_no_fault() -> None:
    t = tracker()
    t.feed(says("nginx", S.EXITED), NOW)
    assert t.faults(NOW + GRACE_S / 2) == ()

    t.feed(says("nginx", S.STARTING), NOW + GRACE_S / 2)

    assert t.faults(NOW + 60) == ()


def test_a_program_that_stays_away_is_a_fault() -> None:
    t = tracker()
    t.feed(says("nginx", S.EXITED), NOW)

    assert t.faults(NOW + GRACE_S) == (Fault("nginx is EXITED", 6),)


@pytest.mark.parametrize("state", [S.BACKOFF, S.FATAL])
def test_a_program_that_died_at_once_again_is_a_fault_at_once(state: ProgramState) -> None:
    t = tracker()
    t.feed(says("nginx", state), NOW)

    assert t.faults(NOW) == (Fault(f"nginx is {state}", 6),)


def test_one_haproxy_of_two_is_no_fault() -> None:
    t = tracker()
    t.feed(says("haproxy-01", S.BACKOFF), NOW)

    assert t.faults(NOW + 60) == ()


def test_all_haproxy_processes_down_is_the_worse_fault() -> None:
    t = tracker()
    for name in ("haproxy-01", "haproxy-02", "nginx"):
        t.feed(says(name, S.BACKOFF), NOW)

    assert [f.what for f in t.faults(NOW)] == ["haproxy is BACKOFF", "nginx is BACKOFF"]


def test_any_program_in_fatal_is_a_fault_but_ucarp() -> None:
    t = tracker()
    t.feed(says("agent", S.FATAL), NOW)
    t.feed(says("ucarp", S.FATAL), NOW)

    assert t.faults(NOW) == (Fault("agent is FATAL", 2),)


def test_a_fault_goes_only_after_the_recovery_time() -> None:
    t = tracker()
    t.feed(says("nginx", S.BACKOFF), NOW)
    assert t.faults(NOW)
    t.feed(says("nginx", S.RUNNING), NOW + 1)

    assert t.faults(NOW + RECOVERY_S - 0.1)
    assert t.faults(NOW + RECOVERY_S) == ()


def test_each_fault_stands_for_its_own_recovery_time() -> None:
    t = tracker()
    for name in ("haproxy-01", "haproxy-02", "nginx"):
        t.feed(says(name, S.BACKOFF), NOW)
    both = t.faults(NOW)
    t.feed(says("haproxy-01", S.STARTING), NOW + 1)
    assert t.faults(NOW + 1) == both

    assert t.faults(NOW + RECOVERY_S) == (Fault("nginx is BACKOFF", 6),)


def test_one_process_of_a_group_that_is_down_does_not_count_twice() -> None:
    t = tracker()
    t.feed(says("haproxy-01", S.FATAL), NOW)
    assert t.faults(NOW) == (Fault("haproxy-01 is FATAL", 2),)
    t.feed(says("haproxy-02", S.BACKOFF), NOW + 1)

    assert t.faults(NOW + 1) == (Fault("haproxy is FATAL", 12),)


def test_a_fault_that_becomes_a_lesser_one_counts_in_full_for_its_recovery_time() -> None:
    t = tracker()
    for n in range(CRASHES):
        t.feed(says("nginx", S.EXITED), NOW + n)
        t.feed(says("nginx", S.BACKOFF if n == 2 else S.RUNNING), NOW + n + 0.1)
        t.faults(NOW + n + 0.1)
    last = NOW + 2.1

    assert t.faults(last + RECOVERY_S - 0.1) == (Fault("nginx is BACKOFF", 6),)
    assert t.faults(last + RECOVERY_S) == (Fault("nginx keeps dying", 2),)


def test_a_program_that_keeps_dying_is_a_fault_even_while_it_is_up() -> None:
    t = tracker()
    for n in range(CRASHES):
        t.feed(says("nginx", S.EXITED), NOW + n)
        t.feed(says("nginx", S.RUNNING), NOW + n + 0.1)

    assert [f.what for f in t.faults(NOW + CRASHES)] == ["nginx keeps dying"]
    assert t.faults(NOW + 60) == ()


def test_an_expected_exit_does_not_count_as_a_death() -> None:
    t = tracker()
    for n in range(CRASHES):
        t.feed(ProgramEvent("nginx", "nginx", S.EXITED, pid=2, expected=True), NOW + n)
        t.feed(says("nginx", S.RUNNING), NOW + n + 0.1)

    assert t.faults(NOW + CRASHES) == ()


def test_the_sum_of_severities_fits_a_byte() -> None:
    worst = severity_of(Fault("x", 12) for _ in range(9))

    assert FAULTY_ADVSKEW + worst <= 255
