"""Whose greeting is taken, as whose, and for how long it is remembered."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from lbctl.ha.greeting import Greeting, Kind, Rejection
from lbctl.ha.neighbour import FORGET_S, FRESH_S, Neighbour, Neighbours

OWN = "own"
A, B = "10.0.1.11", "10.0.1.12"


class Book:
    """Neighbours whose challenges are c1, c2, c3 ..."""

    def __init__(self) -> None:
        numbers = count(1)
        self.now = 1000.0
        self.known = Neighbours(OWN, draw=lambda: f"c{next(numbers)}")

    def hear(self, answer: str = "", address: str = B, **different: object) -> object:
        greeting = Greeting(
            kind=Kind.GREETING, node="b", session="s1", sequence=1, challenge="x",
            answers={OWN: answer} if answer else {}, by_multicast=True,
        )  # fmt: skip
        return self.known.take(replace(greeting, **different), address, self.now, 0.0)  # type: ignore[arg-type]

    def names(self) -> list[tuple[str, str]]:
        return [(one.node, one.address) for one in self.known.all(self.now)]


def test_a_greeting_that_answers_no_challenge_is_not_taken() -> None:
    book = Book()

    assert book.hear() is Rejection.UNPROVEN
    assert book.hear(sequence=2, answer="guessed") is Rejection.UNPROVEN
    assert book.names() == []


def test_the_last_two_challenges_may_be_answered_and_no_older_one() -> None:
    book = Book()
    book.known.renew_challenge()
    assert isinstance(book.hear("c1"), Neighbour)
    assert isinstance(book.hear("c2", session="s2"), Neighbour)

    book.known.renew_challenge()
    assert book.hear("c1", session="s3") is Rejection.UNPROVEN


def test_within_a_session_sequences_must_grow() -> None:
    book = Book()
    book.hear("c1", sequence=5)

    assert book.hear("c1", sequence=5) is Rejection.REPLAYED
    assert book.hear("c1", sequence=4) is Rejection.REPLAYED
    assert isinstance(book.hear(sequence=6), Neighbour)


def test_sequences_must_grow_even_before_the_node_is_known() -> None:
    book = Book()
    book.hear(sequence=5)

    assert book.hear(sequence=5) is Rejection.REPLAYED


def test_what_this_process_has_sent_itself_is_its_own() -> None:
    assert Book().hear("c1", session=OWN) is Rejection.OWN


def test_a_node_is_fresh_while_it_answers() -> None:
    book = Book()
    book.hear("c1")
    book.now += FRESH_S
    assert book.known.all(book.now)[0].is_fresh

    book.hear(sequence=2)
    book.now += 0.1
    assert not book.known.all(book.now)[0].is_fresh


def test_a_node_with_another_address_is_no_second_one_once_the_first_is_silent() -> None:
    book = Book()
    book.hear("c1", address=A)
    book.now += FRESH_S + 1
    book.hear("c1", address=B, session="s2")

    assert book.names() == [("b", B)]


def test_two_that_greet_with_one_identity_are_two() -> None:
    book = Book()
    book.hear("c1", address=A)
    book.hear("c1", address=B, session="s2")

    assert sorted(book.names()) == [("b", A), ("b", B)]


def test_a_node_is_forgotten_after_an_hour() -> None:
    book = Book()
    book.hear("c1")
    book.now += FORGET_S + 1

    assert book.names() == []


def test_sixteen_nodes_are_kept_the_latest() -> None:
    book = Book()
    for number in range(40):
        book.now += 0.01
        book.hear("c1", node=f"n{number}", session=f"s{number}")
        book.hear(node=f"u{number}", session=f"u{number}")

    assert book.names() == [(f"n{number}", B) for number in range(39, 23, -1)]
    assert len(book.known.answers(book.now)) == 32


def test_known_nodes_are_answered_first_then_whoever_was_heard_last() -> None:
    book = Book()
    for node in "bcde":
        book.hear(*(["c1"] if node in "bc" else []), node=node, session=f"s-{node}", challenge=node)
        book.now += 0.1

    assert "".join(book.known.answers(book.now).values()) == "cbed"
    assert book.known.answers(book.now + 3 * FRESH_S) == {}
