"""Which missing program is a fault, from when on, and how bad."""

from __future__ import annotations

import pytest

from lbctl.ha.track import (
    CONFIRM_S,
    CRASHES,
    GRACE_S,
    RECOVERY_S,
    Fault,
    Tracker,
    severity_of,
)
from lbctl.ha.ucarp import FAULTY_ADVSKEW
from lbctl.programs import Program, ProgramEvent, ProgramState
from lbctl.spec import CheckSpec

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


WEB = CheckSpec("web", "http", "http://127.0.0.1/", severity=5)
UPLINK = CheckSpec("uplink", "link", "eth1", rise=1, fall=1, severity=3)
FIRST = CheckSpec("first", "program", "haproxy-01", rise=1, fall=1, severity=1)


def checking(*checks: CheckSpec) -> Tracker:
    made = Tracker(("haproxy", "nginx"), checks)
    made.reset(running("haproxy-01", "haproxy-02", "nginx", "agent", "ucarp"), NOW)
    return made


def test_a_death_told_by_the_kernel_counts_before_supervisord_knows() -> None:
    t = tracker()
    t.died("nginx", 1, NOW)

    assert not t.is_up("nginx")
    assert t.faults(NOW + GRACE_S - 0.01) == ()
    assert t.faults(NOW + GRACE_S) == (Fault("nginx is EXITED", 6),)


def test_the_grace_is_the_owners_choice() -> None:
    t = Tracker(("nginx",), grace_s=0.0)
    t.reset(running("nginx"), NOW)
    t.died("nginx", 1, NOW)

    assert t.faults(NOW) == (Fault("nginx is EXITED", 6),)


def test_one_haproxy_of_two_that_died_is_not_all_of_them() -> None:
    t = tracker()
    t.died("haproxy-01", 1, NOW)
    assert t.is_up("haproxy")
    assert not t.all_dead("haproxy")

    t.died("haproxy-02", 1, NOW)

    assert t.all_dead("haproxy")


def test_the_last_one_dies_while_the_other_is_given_up() -> None:
    t = tracker()
    t.feed(says("haproxy-01", S.FATAL), NOW)
    assert not t.all_dead("haproxy")

    t.died("haproxy-02", 1, NOW)

    assert t.all_dead("haproxy")


def test_all_dead_stays_so_while_supervisord_finds_out() -> None:
    t = tracker()
    for name in ("haproxy-01", "haproxy-02"):
        t.died(name, 1, NOW)
        t.feed(ProgramEvent(name, "haproxy", S.EXITED, pid=1), NOW + 0.01)
    assert t.all_dead("haproxy")

    t.feed(says("haproxy-01", S.STARTING), NOW + 0.02)

    assert not t.all_dead("haproxy")
    assert t.is_up("haproxy")


def test_programs_that_never_started_or_were_stopped_are_not_dead() -> None:
    t = tracker()
    for name in ("haproxy-01", "haproxy-02"):
        t.feed(says(name, S.STOPPED), NOW)

    assert not t.is_up("haproxy")
    assert not t.all_dead("haproxy")
    assert not t.all_dead("nobody")


def test_a_late_word_about_the_process_that_died_does_not_revive_it() -> None:
    t = tracker()
    t.died("nginx", 7, NOW)
    t.feed(ProgramEvent("nginx", "nginx", S.RUNNING, pid=7), NOW)
    assert not t.is_up("nginx")

    t.feed(ProgramEvent("nginx", "nginx", S.RUNNING, pid=8), NOW)

    assert t.is_up("nginx")


def test_a_death_that_supervisord_does_not_confirm_is_forgotten() -> None:
    """A worker's, whose master goes on: the agent asks it whether it serves."""
    t = tracker()
    t.died("nginx", 99, NOW)
    assert t.faults(NOW + CONFIRM_S - 0.01)
    t.faults(NOW + CONFIRM_S)

    assert t.is_up("nginx")
    assert t.faults(NOW + CONFIRM_S + RECOVERY_S) == ()


def test_a_death_of_what_supervisord_holds_for_dead_or_does_not_know_is_no_news() -> None:
    t = tracker()
    t.feed(says("nginx", S.STOPPED), NOW)
    t.died("nginx", 1, NOW)
    t.died("stranger", 1, NOW)

    assert not t.all_dead("nginx")


def test_a_failed_check_is_a_fault_with_its_own_severity() -> None:
    t = checking(WEB)
    t.verdict("web", False, "HTTP 503", NOW)

    assert t.faults(NOW) == (Fault("check web: HTTP 503", 5),)


def test_a_check_that_is_well_again_is_over_after_the_recovery_time() -> None:
    t = checking(WEB)
    t.verdict("web", False, "HTTP 503", NOW)
    assert t.faults(NOW)
    t.verdict("web", True, "HTTP 200", NOW + 1)

    assert t.faults(NOW + RECOVERY_S - 0.1)
    assert t.faults(NOW + RECOVERY_S) == ()


def test_severities_of_programs_and_checks_add_up() -> None:
    t = checking(WEB, UPLINK)
    t.verdict("web", False, "HTTP 503", NOW)
    t.link("eth1", False, NOW)
    t.feed(says("nginx", S.BACKOFF), NOW)

    assert severity_of(t.faults(NOW)) == 5 + 3 + 6


def test_when_the_agent_is_gone_its_checks_are_unknown_and_no_fault() -> None:
    t = checking(WEB)
    t.verdict("web", False, "HTTP 503", NOW)
    assert t.faults(NOW)
    later = NOW + 3 * WEB.interval_s

    assert t.checks_as_list(later)[0]["state"] == "unknown"
    assert t.faults(later + RECOVERY_S) == ()


def test_a_program_that_a_check_is_about_counts_alone() -> None:
    t = checking(FIRST)
    t.died("haproxy-01", 1, NOW)

    assert t.faults(NOW + GRACE_S) == (Fault("check first: haproxy-01 is EXITED", 1),)
    assert t.checks_as_list(NOW + GRACE_S)[0]["state"] == "fault"


def test_a_program_that_a_check_is_about_is_well_while_it_runs() -> None:
    t = checking(FIRST)

    assert t.faults(NOW + 60) == ()
    assert t.checks_as_list(NOW + 60)[0]["state"] == "well"
