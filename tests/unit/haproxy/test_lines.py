from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.haproxy.lines import read, split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  bind :80  # here", ("bind", ":80")),
        ("# bind :80", ()),
        ("\t", ()),
        (r"acl x path /a\ b\#c", ("acl", "x", "path", "/a b#c")),
        (r'user a "p\"q\\r\$s"', ("user", "a", r'p"q\r$s')),
        (r"log-format '%ci \n # \"x\"'", ("log-format", r"%ci \n # \"x\"")),
        ("""bind "$IP":80""", ("bind", "$IP:80")),
        ("""desc "" end""", ("desc", "", "end")),
        ("trailing \\", ("trailing", "")),
        ("open 'quote", ("open", "quote")),
    ],
)
def test_words_are_split_as_haproxy_does(line: str, words: tuple[str, ...]) -> None:
    assert words == split_words(line)


def test_lines_know_their_section_and_number() -> None:
    text = "global\n  daemon\n\n.if defined(X)\nlisten web\n  bind :80 # x\n.endif\n"

    assert [(line.number, line.section, line.words) for line in read(text)] == [
        (1, "global", ("global",)),
        (2, "global", ("daemon",)),
        (5, "listen", ("listen", "web")),
        (6, "listen", ("bind", ":80")),
    ]


def test_windows_line_ends_are_no_part_of_a_word() -> None:
    assert [line.words for line in read("global\r\n  nbproc 2\r\n")] == [
        ("global",),
        ("nbproc", "2"),
    ]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(line.words for line in read(text))
