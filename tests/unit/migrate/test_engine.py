"""The whole of a file: nothing is lost, the order of rules holds, a second time changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.haproxy.cfg import problems_of
from lbctl.migrate.engine import migrate
from tests.unit.migrate.test_rules import GOOD, REFUSED, SECTIONS, UNTOUCHED

INPUTS = sorted((Path(__file__).parents[2] / "contract" / "migrate").glob("*.cfg"))
LINES = [*(line for _, line, _ in GOOD), *(line for _, line in UNTOUCHED)]
HEADS = ["global", "defaults", "frontend f", "listen l :80", "backend b", "# note", "", "mode http"]


@given(st.lists(st.sampled_from([*HEADS, *LINES]), max_size=14))
def test_migrating_the_result_changes_nothing(lines: list[str]) -> None:
    first = migrate("".join(f"  {line}\n" for line in lines))
    again = migrate(first.text)

    assert again.text == first.text
    assert again.changes == 0


@given(st.text(alphabet=st.characters(blacklist_characters="{%<")))
def test_a_text_without_anything_known_is_kept_byte_for_byte(text: str) -> None:
    migration = migrate(f"# {text}\n".replace("\0", ""))
    kept = "".join(f"{one.row.text}{one.row.ending}" for one in migration.placed)

    assert kept == f"# {text}\n".replace("\0", "")


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_lbctl_check_accepts_what_comes_out(path: Path) -> None:
    migration = migrate(path.read_text())

    assert migration.changes
    assert problems_of(migration.text, absent=lambda _: "", processes=2) == ()


def test_line_endings_and_bytes_that_are_no_text_are_kept() -> None:
    old = b"# caf\xe9\r\nglobal\r\n  nbproc 2\r\nlisten a :80\r\n  mode tcp\r\n\x0c# x\r\n"
    migration = migrate(old.decode("utf-8", "surrogateescape"))

    assert migration.text.encode("utf-8", "surrogateescape") == (
        b"# caf\xe9\r\nglobal\r\nlisten a\r\n  bind :80\r\n  mode tcp\r\n\x0c# x\r\n"
    )


def test_a_last_line_without_an_end_gets_one() -> None:
    migration = migrate("global\n maxconn 1")

    assert migration.text == "global\n maxconn 1\n"
    assert "2.3" in migration.placed[-1].whys[0]


def test_an_empty_file_stays_empty() -> None:
    assert migrate("").text == ""
    assert migrate("").changes == 0


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("global\n\0ELF\n", 2, "NUL"),
        ("global\n maxconn {{with $a:=key}}{{$a}}{{end}}\n nbproc 2\n", 2, "template"),
        ("{% for one in services %}\n", 1, "template"),
        ("\n-----BEGIN PRIVATE KEY-----\nMIIE\n", 2, "no section"),
    ],
)
def test_what_is_no_configuration_is_refused_once_and_nothing_else_is_said(
    text: str, line: int, what: str
) -> None:
    migration = migrate(text, name="x")
    (problem,) = migration.problems

    assert problem.where == f"x:{line}"
    assert what in problem.what
    assert migration.changes == 0


def test_braces_in_a_comment_are_no_template() -> None:
    assert migrate("global # {{ x }}\n").problems == ()


def test_all_refusals_are_told_in_the_order_of_the_file() -> None:
    lines = "".join(f" {line}\n" for section, line, _ in REFUSED if section == "backend")
    problems = migrate(SECTIONS["backend"].format(lines), name="h").problems
    numbers = [int(problem.where.partition(":")[2]) for problem in problems]

    assert len(problems) == lines.count("\n")
    assert numbers == sorted(numbers)


def rules_of(*lines: str) -> list[str]:
    text = migrate("frontend f\n mode http\n" + "".join(f" {line}\n" for line in lines)).text
    return [line.strip() for line in text.splitlines()[2:]]


def test_what_ran_after_http_request_rules_still_does() -> None:
    assert rules_of(r"reqadd A:\ 1", "reqdel ^B:", "http-request deny if x") == [
        "http-request deny if x",
        "http-request del-header B",
        "http-request add-header A 1",
    ]


def test_what_ran_before_http_request_rules_still_does() -> None:
    assert rules_of("http-request set-header A b", "use_backend c if d", "block if x") == [
        "http-request deny if x",
        "http-request set-header A b",
        "use_backend c if d",
    ]


def test_what_ran_before_redirects_and_use_backend_stands_before_them() -> None:
    assert rules_of("acl a path /", "redirect prefix / if a", "use_backend b", "reqdel ^B:") == [
        "acl a path /",
        "http-request del-header B",
        "redirect prefix / if a",
        "use_backend b",
    ]


def test_headers_of_responses_are_added_after_the_deletions() -> None:
    assert rules_of(r"rspadd A:\ 1", "rspdel ^A:") == [
        "http-response del-header A",
        "http-response add-header A 1",
    ]


def test_rules_that_stand_right_are_not_moved() -> None:
    assert rules_of(
        "http-request deny if x", "reqdel ^B:", r"reqadd A:\ 1", "default_backend b"
    ) == [
        "http-request deny if x",
        "http-request del-header B",
        "http-request add-header A 1",
        "default_backend b",
    ]
