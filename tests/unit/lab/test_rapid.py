"""The client that asks every millisecond: what it makes of answers and of errors."""

from __future__ import annotations

import errno
import os

import pytest

from lbctl.lab.ask import reason_of as reason_of_ask
from lbctl.lab.rapid import parse, reason_of


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Node: a\r\n\r\nok", ("200", "a")),
        (b"HTTP/1.1 200 OK\r\nx-node: lb-1\r\ncontent-length: 2\r\n\r\nok", ("200", "lb-1")),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", ("503", "-")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ("garbage", "-")),
    ],
)
def test_answer_is_its_status_and_the_node_that_gave_it(
    answer: bytes, expected: tuple[str, str]
) -> None:
    assert parse(answer) == expected


@pytest.mark.parametrize(
    "number",
    [
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EPIPE,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EADDRNOTAVAIL,
    ],
)
def test_both_clients_have_the_same_word_for_an_error(number: int) -> None:
    error = OSError(number, os.strerror(number))

    assert reason_of(error) == reason_of_ask(error)


def test_end_without_an_answer_is_closed() -> None:
    assert reason_of(EOFError()) == "closed"
