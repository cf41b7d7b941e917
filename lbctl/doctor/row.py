"""One line of what ``lbctl doctor`` found. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lbctl.errors import Problem


class Verdict(StrEnum):
    """How bad a finding is; ``unknown``: it could not be looked at, which is no fault."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """
    Attributes:
        check: what was looked at.
        verdict: ``bad``: a start is refused or the addresses will fail; ``warn``: it bites later.
        found: what is there.
        advice: what to do; may be empty, and may stand beside an ``ok`` too.
    """

    check: str
    verdict: Verdict
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "found": self.found,
            "advice": self.advice,
        }


def ok(check: str, found: str, advice: str = "") -> Row:
    return Row(check, Verdict.OK, found, advice)


def warn(check: str, found: str, advice: str = "") -> Row:
    return Row(check, Verdict.WARN, found, advice)


def bad(check: str, found: str, advice: str = "") -> Row:
    return Row(check, Verdict.BAD, found, advice)


def unknown(check: str, found: str, advice: str = "") -> Row:
    return Row(check, Verdict.UNKNOWN, found, advice)


def of_problems(check: str, problems: Iterable[Problem], well: str) -> list[Row]:
    """
    A bad row for each problem; without one, *well* is what was found.

    A problem of ``lbctl.launch`` says what was found and, after the last colon, what to do.
    """
    rows = [_of_problem(check, problem) for problem in problems]
    return rows or [ok(check, well)]


def _of_problem(check: str, problem: Problem) -> Row:
    found, colon, advice = problem.what.rpartition(": ")
    if not colon:
        found, advice = problem.what, ""
    is_said = problem.where == check or found.startswith(problem.where)
    where = "" if is_said else f"{problem.where}: "
    return bad(check, f"{where}{found}", advice)


def whole(check: str, problems: Iterable[Problem]) -> list[Row]:
    """A bad row for each problem with a file, whose sentence is left as it is."""
    return [bad(check, str(problem)) for problem in problems]


def is_bad(rows: Iterable[Row]) -> bool:
    return any(row.verdict is Verdict.BAD for row in rows)
