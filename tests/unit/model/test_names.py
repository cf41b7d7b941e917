from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.names import backend_name, server_ids, server_name

SAFE = re.compile(r"[A-Za-z0-9_.:-]{1,71}")
NEAR = st.one_of(
    st.text(max_size=80),
    st.text("ab/:.-_ ", max_size=6),
    st.from_regex(r"\A[a-z]{0,3}\.[0-9a-f]{10}\Z"),
)


@pytest.mark.parametrize(
    ("service", "backend"),
    [
        ("hello/v1", "hello:v1"),
        ("hello", "hello"),
        ("a_b-c.d", "a_b-c.d"),
        ("x" * 60, "x" * 60),
        ("Hello/V1", "Hello:V1"),
    ],
)
def test_a_plain_name_is_kept(service: str, backend: str) -> None:
    assert backend_name(service) == backend


@pytest.mark.parametrize(
    "odd",
    [
        *("", "/", "a:b", "nginx", "NGINX", "lbctl", "lbctl-stats-01", "FRONTEND", "x" * 61),
        *("a b", "ä", "\U0001f600", "a\nb", "../x", "-x", "a.0123456789", "\udc80", "x" * 10_000),
    ],
)
def test_an_odd_name_gets_a_hash_of_its_own(odd: str) -> None:
    name = backend_name(odd)

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}\.[0-9a-f]{10}", name)
    assert name not in (backend_name(name), server_name(name))


@given(NEAR, NEAR)
def test_different_names_stay_different_and_safe(one: str, other: str) -> None:
    for name in (backend_name, server_name):
        assert SAFE.fullmatch(name(one))
        assert (name(one) == name(other)) == (one == other)


def test_an_address_is_the_name_of_its_server() -> None:
    assert server_name("10.0.0.1:80") == "10.0.0.1:80"
    assert server_name("[fd00::1]:80").startswith("fd00-1-80.")


@given(st.lists(st.text(max_size=5), unique=True, max_size=30))
def test_ids_are_unique_and_do_not_depend_on_the_order(keys: list[str]) -> None:
    ids = server_ids(keys)

    assert ids == server_ids(reversed(keys))
    assert len(set(ids.values())) == len(keys)
    assert all(1 <= number <= 2**31 - 1 for number in ids.values())


def test_keys_that_hash_alike_get_numbers_side_by_side_in_the_order_of_their_names() -> None:
    # CRC-32 of both is 0x4ddb0c25, a pair known from the tables of its collisions.
    alike = ["plumless", "buckeroo"]
    ids = server_ids(alike)

    assert ids["plumless"] == ids["buckeroo"] + 1
    assert server_ids(["buckeroo"]) == {"buckeroo": ids["buckeroo"]}
