"""The pure half of the chaos: sequences, bounds, growth, and what a stranger sends."""

from __future__ import annotations

import math
import random
import subprocess
import time
from dataclasses import replace
from itertools import islice

import pytest

from lbctl.lab.chaos import acts, inject, plan
from lbctl.lab.chaos.judge import Size, began_at_s, grown

KB = 1024


def _steps(seed: int, engine: plan.Engine, count: int = 400) -> list[plan.Step]:
    return list(islice(plan.sequence(seed, engine), count))


def _step(name: str, whom: plan.Whom = "master", hold_s: float = 0.0) -> plan.Step:
    return plan.Step(1, plan.BY_NAME[name], whom, hold_s, percent=10, seed=1)


@pytest.mark.parametrize("engine", plan.ENGINES)
def test_a_seed_brings_the_same_steps_and_another_one_others(engine: plan.Engine) -> None:
    assert _steps(7, engine) == _steps(7, engine)
    assert _steps(7, engine) != _steps(8, engine)


@pytest.mark.parametrize("engine", plan.ENGINES)
def test_every_fault_of_an_engine_comes_and_no_other(engine: plan.Engine) -> None:
    seen = {step.fault.name for step in _steps(1, engine, 2000)}

    assert seen == {fault.name for fault in plan.FAULTS if engine in fault.engines}


def test_what_is_left_out_does_not_come() -> None:
    steps = islice(plan.sequence(1, "native", without=("cut", "restart")), 500)

    assert not {"cut", "restart"} & {step.fault.name for step in steps}


@pytest.mark.parametrize("engine", plan.ENGINES)
def test_a_step_hits_whom_its_fault_can_hit_for_as_long_as_it_may(engine: plan.Engine) -> None:
    for step in _steps(3, engine):
        assert step.whom in step.fault.whom
        assert 10 <= step.percent <= 30
        if step.fault.is_held:
            assert plan.HOLD_MIN_S <= step.hold_s <= plan.HOLD_MAX_S
        else:
            assert step.hold_s == 0


@pytest.mark.parametrize("engine", plan.ENGINES)
def test_some_faults_have_another_one_in_their_midst(engine: plan.Engine) -> None:
    steps = _steps(2, engine, 2000)
    doubled = [step for step in steps if step.inside]

    assert 0.02 < len(doubled) / len(steps) < 0.2
    assert all(step.fault.can_enclose and step.fault.is_held for step in doubled)
    assert len({step.inside.fault.name for step in doubled if step.inside}) > 20


def test_two_faults_at_once_are_said_and_may_leave_nobody_until_both_are_over() -> None:
    step = replace(_step("cut", "master", 2.0), inside=_step("kill vipd", "backup"))

    assert str(step) == "cut (master) for 2.0 s, then kill vipd (backup)"
    assert plan.outage_bound_ms(step, "native") == pytest.approx(2000 + 612 + 10_000)
    restarted = replace(step, inside=_step("restart", "backup"))
    assert plan.settled_within_s(restarted, "native") == plan.settled_within_s(step, "native") + 8


def test_half_of_the_faults_that_last_are_shorter_than_a_second() -> None:
    holds = [step.hold_s for step in _steps(5, "native", 2000) if step.hold_s]
    short = sum(hold_s < 1.0 for hold_s in holds)

    assert 0.4 < short / len(holds) < 0.6


@pytest.mark.parametrize("name", plan.BY_NAME)
def test_every_fault_can_be_played(name: str) -> None:
    assert callable(acts.act_of(_step(name)))


@pytest.mark.parametrize("name", plan.BY_NAME)
def test_native_promises_no_less_than_ucarp(name: str) -> None:
    step = _step(name, hold_s=1.0)

    assert plan.outage_bound_ms(step, "native") <= plan.outage_bound_ms(step, "ucarp")
    assert plan.settled_within_s(step, "native") < plan.settled_within_s(step, "ucarp")


@pytest.mark.parametrize(
    ("name", "whom", "engine", "bound_ms"),
    [
        ("cut", "master", "native", 612),  # 128 ms, four times where packets get lost, 100 more
        ("cut", "master", "mixed", 4000),
        ("cut", "backup", "ucarp", 4000),  # when healed, two masters
        ("kill everything", "master", "native", 612),
        ("kill everything", "backup", "native", 300),
        ("restart", "backup", "ucarp", 300),
        ("restart", "master", "ucarp", 1300),
        ("deaf", "master", "native", 2612),
        ("garbage", "both", "native", 300),
    ],
)
def test_bound_follows_from_the_dead_time_and_from_who_is_hit(
    name: str, whom: plan.Whom, engine: plan.Engine, bound_ms: float
) -> None:
    assert plan.outage_bound_ms(_step(name, whom, hold_s=2.0), engine) == pytest.approx(bound_ms)


@pytest.mark.parametrize(
    ("name", "first", "now", "complaints"),
    [
        ("a: agent", Size(20 * KB, 8), Size(28 * KB, 20), 0),
        ("a: agent", Size(20 * KB, 8), Size(28 * KB + 1, 8), 1),
        ("a: agent", Size(20 * KB, 8), Size(20 * KB, 21), 1),
        ("b: vipd", Size(30 * KB, 8), Size(35 * KB, 8), 0),
        ("b: vipd", Size(30 * KB, 8), Size(35 * KB + 1, 8), 1),
        ("b: vipd", Size(20 * KB, 8), Size(40 * KB, 40), 3),
    ],
)
def test_growth_beyond_its_bound_is_named(
    name: str, first: Size, now: Size, complaints: int
) -> None:
    assert len(grown(name, first, now)) == complaints


def test_start_of_a_process_is_told_on_the_clock_that_counts_suspends() -> None:
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        began_s = began_at_s(sleeper.pid)
        sleeper.kill()

    assert now_s - 0.02 <= began_s <= now_s + 1
    assert began_at_s(sleeper.pid) == math.inf


def test_a_strangers_rubbish_is_the_same_for_a_seed_and_of_every_length() -> None:
    packets = [inject.rubbish(random.Random(seed), vhid=7) for seed in range(500)]

    assert packets == [inject.rubbish(random.Random(seed), vhid=7) for seed in range(500)]
    assert {len(packet) for packet in packets} >= {0, 35, 36}


def test_a_strangers_advertisement_has_a_good_checksum_so_that_its_digest_is_looked_at() -> None:
    whole = [
        packet
        for seed in range(500)
        if (packet := inject.rubbish(random.Random(seed), vhid=7))[:2] == b"\x21\x07"
        and len(packet) == 36
    ]

    assert len(whole) > 50
    for packet in whole:
        words = [int.from_bytes(packet[at : at + 2], "big") for at in range(0, 36, 2)]
        total = sum(words)
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
