"""What a token and a cookie prove, and to whom."""

from __future__ import annotations

import pytest

from lbctl.api.access_tokens import SESSION_S, Right, Tokens, form_word

BOTH = Tokens(write=b"w" * 20, read=b"r" * 20)
HERE, NOW = "10.0.0.7", 1_000_000.0


@pytest.mark.parametrize(
    ("tokens", "given", "expected"),
    [
        (BOTH, b"w" * 20, "write"),
        (BOTH, b"r" * 20, "read"),
        (BOTH, b"w" * 19, None),
        (BOTH, b"w" * 21, None),
        (BOTH, b"", None),
        (Tokens(), b"", None),
        (Tokens(write=b"w" * 20), b"", None),
        (Tokens(read=b"r" * 20), b"w" * 20, None),
        (BOTH, b"\xff", None),
    ],
)
def test_a_right_is_its_token_and_nothing_near_it(
    tokens: Tokens, given: bytes, expected: Right | None
) -> None:
    assert tokens.right_of(given) == expected


def test_tokens_show_in_no_repr() -> None:
    assert "wwww" not in repr(BOTH)
    assert "rrrr" not in repr(BOTH)


@pytest.mark.parametrize("right", ["read", "write"])
def test_a_cookie_has_the_right_of_its_token_until_it_ends(right: Right) -> None:
    cookie = BOTH.cookie(right, HERE, NOW)

    assert BOTH.right_of_cookie(cookie, HERE, NOW + SESSION_S - 1) == right
    assert BOTH.right_of_cookie(cookie, HERE, NOW + SESSION_S) is None
    assert BOTH.right_of_cookie(cookie, "10.0.0.8", NOW) is None


@pytest.mark.parametrize("right", ["read", "write"])
def test_another_token_ends_the_sessions_of_the_one_before_alone(right: Right) -> None:
    cookie = BOTH.cookie(right, HERE, NOW)
    other_write = Tokens(write=b"x" * 20, read=BOTH.read)
    other_read = Tokens(write=BOTH.write, read=b"x" * 20)

    ends, stays = (other_write, other_read) if right == "write" else (other_read, other_write)
    assert ends.right_of_cookie(cookie, HERE, NOW) is None
    assert stays.right_of_cookie(cookie, HERE, NOW) == right


def test_nothing_in_a_cookie_can_be_changed() -> None:
    cookie = BOTH.cookie("read", HERE, NOW)
    later = cookie.replace(str(int(NOW) + SESSION_S), str(int(NOW) + 2 * SESSION_S))
    changed = [f"{cookie[:at]}{'0' if one != '0' else '1'}{cookie[at + 1 :]}"
               for at, one in enumerate(cookie)]  # fmt: skip

    assert later != cookie
    for text in (*changed, later, f"w{cookie[1:]}", cookie[:-1], f"{cookie}0"):
        assert BOTH.right_of_cookie(text, HERE, NOW) is None


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        ".",
        "...",
        "r",
        "r..",
        "r.x.y.z",
        "r.²..",
        "w." + "9" * 5000,
        "ü" * 9,
        "r.1.2." + "é" * 64,
    ],
)
def test_what_is_no_cookie_is_none(cookie: str) -> None:
    assert BOTH.right_of_cookie(cookie, HERE, 0.0) is None
    assert Tokens().right_of_cookie(cookie, HERE, 0.0) is None


def test_nobody_can_seal_a_cookie_without_a_token() -> None:
    forged = Tokens().cookie("write", HERE, NOW)

    assert Tokens().right_of_cookie(forged, HERE, NOW) is None
    assert Tokens(read=b"r" * 20).right_of_cookie(forged, HERE, NOW) is None


def test_two_cookies_differ_and_so_do_their_forms() -> None:
    one, other = (BOTH.cookie("write", HERE, NOW) for _ in range(2))

    assert one != other
    assert form_word(b"k", one) != form_word(b"k", other)
    assert form_word(b"k", one) != form_word(b"l", one)
