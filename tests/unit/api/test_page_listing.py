"""Services as rows: trouble first, found by words, fifty at a time."""

from __future__ import annotations

import pytest

from lbctl.api.page.listing import OURS, ROWS, THEIRS, backends, frontends, href_of, leaf
from lbctl.follow.outlines import Outline
from lbctl.glance.cell import Tone
from tests.pictures import backend, frontend, outlines, picture


def test_trouble_comes_first_and_each_word_has_its_tone() -> None:
    rows = backends(outlines(), picture()["proxies"], OURS)

    assert [(one.name, one.word, one.tone) for one in rows] == [
        ("pay", "no server up", "bad"),
        ("shop", "1 of 3 up", "warn"),
        ("hello/v1", "up", "good"),
        ("nginx", "up", "good"),
    ]
    assert [one.is_ours for one in rows] == [False, False, False, True]


@pytest.mark.parametrize(
    ("state", "up", "by_hand", "word", "tone"),
    [
        ("applied", 1, 1, "1 of 2 up, by hand", "mild"),
        ("applied", 1, 0, "1 of 2 up", "warn"),
        ("left out", 2, 0, "left out", "bad"),
        ("held", 2, 0, "held; up", "warn"),
        ("held", 0, 0, "held; no server up", "bad"),
        ("as before", 2, 0, "as before; up", "warn"),
        ("waiting", 2, 0, "waiting", "mild"),
        ("waiting", 0, 0, "no server up", "bad"),
    ],
)
def test_a_row_says_what_holds_a_service_up(
    state: str, up: int, by_hand: int, word: str, tone: Tone
) -> None:
    one = Outline("x", "x", (), (), state, "because", by_hand)  # type: ignore[arg-type]
    (row,) = backends([one], {"x": backend(up, 2)})

    assert (row.word, row.tone, row.why) == (word, tone, "because")


def test_a_backend_of_the_operators_own_is_a_row_too() -> None:
    (row,) = backends([], {"web:1": backend(0, 0, status="UP"), "http": frontend()}, THEIRS)

    assert (row.name, row.href, row.sources) == ("web:1", "/service/web:1", ("haproxy.cfg",))
    assert (row.word, row.tone) == ("up", "good")


def test_a_frontend_that_is_not_open_comes_first() -> None:
    rows = frontends({"a": frontend(), "b": frontend("STOP"), "c": backend(1, 1)})

    assert [(one.name, one.tone) for one in rows] == [("b", "bad"), ("a", "good")]


def test_a_thousand_services_are_searched_and_turned_over() -> None:
    known = [Outline(f"s{n}", f"s{n}", ("consul",), (f"/path/{n}",)) for n in range(1000)]
    rows = backends(known, {f"s{n}": backend(1, 1) for n in range(1000)})

    second, beyond = leaf(rows, "", 2), leaf(rows, "", 99)
    found = leaf(rows, "CONSUL /path/99", 1)

    assert (second.pages, second.first, len(second.rows)) == (20, ROWS + 1, ROWS)
    assert (beyond.number, beyond.rows[-1].name) == (20, "s999")
    assert (found.found, found.all, found.pages) == (11, 1000, 1)
    assert leaf(rows, "nowhere", 1).rows == ()


def test_the_way_to_a_service_survives_any_name() -> None:
    assert href_of("hello/v1") == "/service/hello/v1"
    # Browsers walk up at dots between slashes.
    assert href_of("a/../b") == "/service/a%2F..%2Fb"
    assert href_of('<a href="?x#">') == "/service/%3Ca%20href%3D%22%3Fx%23%22%3E"
