"""The table in the documents is the table of the rules."""

from __future__ import annotations

from pathlib import Path

from lbctl.migrate.table import RULES

DOCUMENT = Path(__file__).parents[3] / "docs" / "migration.md"
#: Not about single lines, so that no rule of the table holds them.
BESIDES = 3


def test_every_rule_stands_in_the_document_and_no_other() -> None:
    rows = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| ")]
    expected = [
        f"| `{rule.old}` | {rule.new} | {rule.why} |".replace("  |", " |") for rule in RULES
    ]

    assert rows[1:-BESIDES] == expected


def test_a_rule_says_why_unless_it_refuses() -> None:
    assert [rule.old for rule in RULES if not rule.why and rule.new != "refused"] == []
