"""Words of a line: where they stand, what they say, and how they are written again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.migrate.words import quoted, words_of


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (r"  reqrep ^([^\ ]*\ /)a[/]?(.*)  \1\2", ("reqrep", "^([^ ]* /)a[/]?(.*)", r"\1\2")),
        (r"acl a path_reg \.png$ # why", ("acl", "a", "path_reg", r"\.png$")),
        ('a \'b  c\\n\' "d \\"e\\$" f#g', ("a", r"b  c\n", 'd "e$', "f")),
        (r"x \x41\x2g\r\n\t\\\#", ("x", "A\\x2g\r\n\t\\#")),
        ("\t# nothing", ()),
        ("a \\", ("a", "\\")),
        ("'open", ("open",)),
    ],
)
def test_a_line_is_read_as_haproxy_reads_it(line: str, expected: tuple[str, ...]) -> None:
    assert tuple(word.text for word in words_of(line)) == expected


@given(st.text(min_size=1).filter(lambda text: "\x00" not in text))
def test_a_quoted_text_is_one_word_and_the_same_again(text: str) -> None:
    (word,) = words_of(quoted(text))

    assert word.text == text


@given(st.text())
def test_words_stand_where_they_say(line: str) -> None:
    words = words_of(line)

    assert all(words_of(line[word.start : word.end])[0].text == word.text for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)
