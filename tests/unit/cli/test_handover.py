from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from lbctl.cli.handover import draw, outcome, steps

DONE = {
    "drained_s": 1.52,
    "undrained": 2,
    "taken_over_by": "10.0.1.12",
    "takeover_ms": 412.4,
    "destroyed": 2,
    "off_ms": 1.25,
    "left": True,
}


def test_each_step_of_a_handover_has_its_time() -> None:
    assert [(step, took) for step, took, _ in steps(DONE)] == [
        ("drain", "1.5 s"),
        ("takeover", "412 ms"),
        ("reset", "-"),
        ("addresses off", "1.2 ms"),
    ]
    assert outcome(DONE) == "10.0.1.12 has the addresses"


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        ({"left": False}, "this node keeps the addresses"),
        ({"left": True}, "this node gave the addresses away, and nobody has them"),
    ],
)
def test_how_it_ended_is_one_sentence(report: dict[str, Any], wanted: str) -> None:
    assert outcome(report) == wanted
    assert ("addresses off" in {step for step, *_ in steps(report)}) is report["left"]


def test_the_table_is_plain_text_in_a_pipe() -> None:
    out = io.StringIO()
    draw(DONE, Console(file=out, width=80, highlight=False))

    assert "10.0.1.12 took over, from the first resignation on" in out.getvalue()
    assert "2 connections were left" in out.getvalue()
    assert "\x1b" not in out.getvalue()
