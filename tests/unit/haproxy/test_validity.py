"""The last second of a certificate, beside what cryptography reads."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from lbctl.haproxy.validity import not_after
from tests.pems import Issued, issue


def end_of(issued: Issued) -> float:
    return issued.certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("days", [(-20, -10), (-1, 30), (-1, 400), (-1, 365 * 40)])
def test_it_is_the_one_that_cryptography_reads(days: tuple[int, int]) -> None:
    issued = issue("example.com", days=days)

    assert not_after(issued.both) == end_of(issued)
    assert not_after(issued.key + issued.pem) == end_of(issued)


def test_the_key_does_not_matter() -> None:
    issued = issue("example.com", private=rsa.generate_private_key(65537, 2048))

    assert not_after(issued.both) == end_of(issued)


def test_of_a_chain_the_first_counts() -> None:
    authority = issue("ca", days=(-1, 900), is_authority=True)
    issued = issue("example.com", by=authority, days=(-1, 30))

    assert not_after(issued.both + authority.pem) == end_of(issued)


@pytest.mark.parametrize("pem", [b"", b"x", issue("a").key])
def test_without_a_certificate_there_is_no_end(pem: bytes) -> None:
    assert not_after(pem) is None


@given(st.data())
def test_a_damaged_certificate_has_no_end_or_some_end(data: st.DataObject) -> None:
    pem = bytearray(_PEM)
    for _ in range(data.draw(st.integers(1, 5))):
        pem[data.draw(st.integers(0, len(pem) - 1))] = data.draw(st.integers(0, 255))
    found = not_after(bytes(pem))

    assert found is None or isinstance(found, float)


_PEM = issue("example.com").pem
