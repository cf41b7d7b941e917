"""Keys in Consul, as keys of lb.yaml."""

from __future__ import annotations

from base64 import b64encode

import pytest

from lbctl.discovery.consul_kv import kv_path, read_keys
from lbctl.settings.keys import KEYS


def row(key: str, value: bytes | None) -> dict[str, object]:
    return {"Key": key, "Value": None if value is None else b64encode(value).decode()}


@pytest.mark.parametrize(
    ("below", "name"),
    [
        ("maxconn", "haproxy.maxconn"),
        ("timeouts/connect", "haproxy.timeouts.connect"),
        ("timeouts/http-request", "haproxy.timeouts.http_request"),
        ("timeouts/http_keep_alive", "haproxy.timeouts.http_keep_alive"),
    ],
)
@pytest.mark.parametrize("prefix", ["service/haproxy", "/service/haproxy/"])
def test_a_key_sets_what_the_article_has_it_set(below: str, name: str, prefix: str) -> None:
    read = read_keys([row(f"service/haproxy/{below}", b"5000\n")], prefix)

    assert read.settings == {name: "5000"}
    assert name.rpartition(".")[0] in {"haproxy", "haproxy.timeouts"}
    assert any(key.startswith(name.rpartition(".")[0]) for key in KEYS)
    assert not read.problems


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("maxcon", b"1"),
        ("timeouts", b"1"),
        ("timeouts/connect/more", b"1"),
        ("maxconn", b""),
        ("maxconn", None),
        ("maxconn", b"\xff\xfe"),
        ("maxconn", b"1\n2"),
        ("maxconn", b"1" * 100),
    ],
)
def test_what_is_no_key_or_no_value_is_named_and_sets_nothing(
    key: str, value: bytes | None
) -> None:
    read = read_keys([row(f"p/{key}", value)], "p")

    assert not read.settings
    assert read.problems[0].startswith(f"key p/{key}: ")


@pytest.mark.parametrize("found", [None, {}, "x", [], [None], [{"Key": 1}], [row("p/", None)]])
def test_nothing_is_nothing(found: object) -> None:
    read = read_keys(found, "p")

    assert (read.settings, read.problems) == ({}, ())


def test_a_neighbour_with_a_longer_name_is_not_asked_for() -> None:
    assert kv_path("/service/ha proxy/") == "/v1/kv/service/ha%20proxy/"


def test_of_many_keys_of_others_a_few_are_named() -> None:
    read = read_keys([row(f"p/{number}", b"1") for number in range(10_000)], "p")

    assert len(read.problems) == 21
    assert read.problems[-1] == "9980 more keys that set nothing"
