"""What tells a document's output from a command's: the suite's own reader of console blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.walkthrough import Step, answers, script, steps


def test_a_block_is_read_into_commands_with_what_they_show(tmp_path: Path) -> None:
    document = tmp_path / "it.md"
    document.write_text(
        "Text.\n\n```console\n$ cat <<E\n> a\n> E\na\n$ true\n```\n\n```\n$ no\n```\n"
    )

    assert steps(document) == (Step(4, "cat <<E\na\nE", ("a",)), Step(8, "true", ()))


@pytest.mark.parametrize(
    ("shown", "said", "is_met"),
    [
        (("a",), "a\n", True),
        (("a",), "b\n", False),
        (("a",), "a\nb\n", False),
        (("a",), "", False),
        ((), "", True),
        ((), "a warning\n", False),
        (("took … ms",), "took 12 ms\n", True),
        (("took … ms",), "took 12 s\n", False),
        (("a…c",), "a   b   c\n", True),
        (("a", "…"), "a\nb\nc\n", True),
        (("…", "c"), "a\nb\nc\n", True),
        (("…", "c"), "a\nb\n", False),
    ],
)
def test_an_output_is_met_by_its_lines_and_dots_by_anything(
    shown: tuple[str, ...], said: str, is_met: bool
) -> None:
    assert Step(1, "it", shown).is_met(said) is is_met


def test_each_answer_belongs_to_its_command_and_has_its_status() -> None:
    text = script((Step(1, "echo a", ()), Step(2, "false", ())))
    mark = text.split()[-2]

    assert "echo a\nprintf" in text
    assert answers(f"a\n\n{mark} 0\n\n{mark} 1\n") == (("a\n", 0), ("", 1))


def test_a_command_that_does_not_end_has_no_answer() -> None:
    mark = script((Step(1, "true", ()),)).split()[-2]

    assert answers(f"\n{mark} 0\nhalf an ans") == (("", 0),)
