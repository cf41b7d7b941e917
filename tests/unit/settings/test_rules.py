"""The rules that types do not say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.settings.keys import KEYS, MEMBERS
from lbctl.settings.model import Haproxy, Http, Settings, Stats
from lbctl.settings.rules import (
    LIST_RULES,
    RULES_ACROSS,
    VALUE_RULES,
    account_problem,
    address_problem,
    bind_problem,
    interface_problem,
    is_loopback,
    login_problem,
    time_problem,
)


def problems(settings: Settings) -> list[str]:
    return [what for rule in RULES_ACROSS if (what := rule.problem(settings))]


@pytest.mark.parametrize(
    "text", ["0", "5000", "5us", "5ms", "5s", "5m", "5h", "24d", "2147483647", "2147483s", "0" * 20]
)
def test_haproxys_times_pass(text: str) -> None:
    assert time_problem(text) is None


@pytest.mark.parametrize(
    "text", ["", "s", "5 s", "5S", "5s\n", "-5s", "1.5s", "5min", "5w", "٣s", "1m30s"]
)
def test_other_times_are_refused(text: str) -> None:
    assert "must be a time" in str(time_problem(text))


@pytest.mark.parametrize("text", ["2147483648", "2147484s", "25d", "9" * 5000 + "us"])
def test_times_that_overflow_in_haproxy_are_refused(text: str) -> None:
    assert "must be at most 2147483647 ms" in str(time_problem(text))


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "0.0.0.0", "::", "::1", "[::1]", "[2001:db8::7]", "*"]
)
def test_addresses_pass(text: str) -> None:
    assert address_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "1.2.3",
        "1.2.3.4:80",
        "[1.2.3.4]",
        "[::1",
        "::1]",
        "fe80::1%eth0",
        "[*]",
        "1",
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    assert "must be an IP address" in str(address_problem(text))


@pytest.mark.parametrize(
    "text", [":80", "*:80", "0.0.0.0:1", "192.0.2.1:65535", "[::]:80", "[2001:db8::1]:8080"]
)
def test_binds_pass(text: str) -> None:
    assert bind_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "80", ":", ":0", ":080", ":65536", ":99999999", ":80-90", ":80,:81", ":+80", ": 80"),
        *("::80", "::1:80", "[::1]", "[::1:80", "[]:80", "[*]:80", "[1.2.3.4]:80", "1.2:80"),
        *("localhost:80", "eth0:80", "/run/x.sock", "unix@/x:80", ":80 ssl", "[fe80::1%eth0]:80"),
    ],
)
def test_other_binds_are_refused(text: str) -> None:
    assert "must be [address]:port" in str(bind_problem(text))


@pytest.mark.parametrize("text", ["eth0", "auto", "br-1a2b3c4d5e6f", "ens3.100", "wg0@x"])
def test_interface_names_pass(text: str) -> None:
    assert interface_problem(text) is None


@pytest.mark.parametrize("text", ["sixteen-letters-", "é" * 8, "a b", "a/b", "eth0:1", ".", ".."])
def test_names_that_no_interface_can_have_are_refused(text: str) -> None:
    assert "must be the name of a network interface" in str(interface_problem(text))


@pytest.mark.parametrize("text", ["a b", "root:x", "/etc", "--reuid"])
def test_names_that_no_user_can_have_are_refused(text: str) -> None:
    assert account_problem("haproxy") is None
    assert "must be the name of a user" in str(account_problem(text))


def test_a_login_has_no_colon() -> None:
    assert login_problem("admin") is None
    assert login_problem("ad:min") == "must not hold a colon"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_loopback_statistics_need_no_password(address: str) -> None:
    assert is_loopback(address)
    assert problems(Settings(haproxy=Haproxy(stats=Stats(bind=address)))) == []


@pytest.mark.parametrize("address", ["*", "0.0.0.0", "::", "[::]", "192.0.2.1", "::ffff:127.0.0.1"])
def test_statistics_that_others_reach_need_a_password(address: str) -> None:
    stats = Stats(bind=address)

    (problem,) = problems(Settings(haproxy=Haproxy(stats=stats)))
    assert "set haproxy.stats.password_file" in problem
    guarded = replace(stats, password_file="/run/secrets/stats")
    assert problems(Settings(haproxy=Haproxy(stats=guarded))) == []


def test_the_last_process_has_a_port() -> None:
    def with_base(base: int) -> Settings:
        return Settings(haproxy=Haproxy(processes=4, stats=Stats(port_base=base)))

    assert problems(with_base(65532)) == []
    (problem,) = problems(with_base(65533))
    assert "would listen on 65536: must be 65532 or less" in problem


@pytest.mark.parametrize("bind", [":443", "*:443"])
def test_plain_and_tls_listen_apart(bind: str) -> None:
    assert problems(Settings()) == []
    assert problems(Settings(http=Http(bind=bind))) == [
        f"http.bind and http.tls_bind are both {bind!r}: must differ"
    ]


def test_every_rule_is_about_keys_that_exist() -> None:
    across = {path for rule in RULES_ACROSS for path in rule.paths}

    assert {*VALUE_RULES, *LIST_RULES, *across} <= {*KEYS, *MEMBERS}
