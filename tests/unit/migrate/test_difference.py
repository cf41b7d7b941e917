"""What is shown: every change with its reason, and no password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.migrate.difference import difference
from lbctl.migrate.engine import migrate
from lbctl.migrate.masking import masked, printable


def shown(text: str) -> list[str]:
    return [line.text for line in difference(migrate(text), "h.cfg")]


def test_a_change_stands_between_its_neighbours_with_its_reason_below() -> None:
    assert shown("a 1\nglobal\n maxconn 1\n debug\n daemon\n maxpipes 1\n") == [
        "--- h.cfg",
        "+++ h.cfg (migrated)",
        "@@ line 3 @@ global",
        "   maxconn 1",
        "-  debug",
        "#   unknown since 2.3: every connection was printed; 'haproxy -d' does that",
        "   daemon",
    ]


def test_neighbours_that_go_for_one_reason_are_told_it_once() -> None:
    lines = shown("global\n cpu-map 1 0\n cpu-map 2 1\n")

    assert [line[:1] for line in lines[3:]] == [" ", "-", "-", "#"]


def test_changes_far_apart_are_shown_apart() -> None:
    lines = shown("global\n debug\n" + " maxconn 1\n" * 9 + " debug\n")

    assert [line for line in lines if line.startswith("@@")] == [
        "@@ line 1 @@ global",
        "@@ line 11 @@ global",
    ]


def test_without_a_change_nothing_is_shown() -> None:
    assert shown("global\n maxconn 1\n") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stats auth admin:foo # x", "stats auth admin:*** # x"),
        (r"stats  auth admin:f\ oo x", "stats  auth admin:*** x"),
        ('stats auth "admin:f oo"', 'stats auth "admin:***'),
        ("# stats auth admin:foo", "# stats auth admin:***"),
        ("stats auth secret", "stats auth ***"),
        ("user a insecure-password foo groups g", "user a insecure-password *** groups g"),
        ("user a password $6$foo", "user a password ***"),
        (r"reqadd Authorization:\ Basic\ Zm9v", r"reqadd Authorization:\ Basic\ ***"),
        ('set-header Authorization "Bearer Zm9v"', 'set-header Authorization "Bearer ***"'),
        (r"tcp-check send AUTH\ foo\r\n", r"tcp-check send AUTH\ ***\r\n"),
        (r"HTTP/1.1\r\nAuthorization:\ Basic\ foo", r"HTTP/1.1\r\nAuthorization:\ Basic\ ***"),
        (r"reqadd X-Api-Key:\ foo if x", r"reqadd X-Api-Key:\ *** if x"),
        (r"1.1\r\nX-Token:foo\r\nHost:\ a", r"1.1\r\nX-Token:***\r\nHost:\ a"),
        ("http-check send hdr X-Token foo hdr A b", "http-check send hdr X-Token *** hdr A b"),
        ("http-request set-header X-Secret 'a b'", "http-request set-header X-Secret ***"),
        ("{ req.fhdr(X-Token) -m reg -i ^foo }", "{ req.fhdr(X-Token) -m reg -i *** }"),
        ("{ url_param(token) foo }", "{ url_param(token) *** }"),
        ("option httpchk /?token=foo", "option httpchk /?token=***"),
        ("cluster-secret foo", "cluster-secret ***"),
        ("redirect location http://a:foo@b/", "redirect location http://a:***@b/"),
        ("http-request auth realm x", "http-request auth realm x"),
    ],
)
def test_secrets_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@given(st.text(min_size=4, alphabet="abcXYZ019!$%&*+").map(lambda text: f"q{text}q"))
def test_no_password_is_shown(password: str) -> None:
    text = (
        f"global\n debug\nlisten s\n stats auth a:{password}\n bind-process 1\n stats enable\n"
        f"userlist u\n user b insecure-password {password}\nbackend b\n debug\n redispatch\n"
    )

    assert password not in "\n".join(shown(text))


@given(st.text())
def test_nothing_shown_can_move_a_terminals_cursor(text: str) -> None:
    assert all(sign.isprintable() or sign == "\t" for sign in printable(text))


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert printable(b"caf\xe9\x1b[2J".decode("utf-8", "surrogateescape")) == "caf\ufffd\\x1b[2J"
