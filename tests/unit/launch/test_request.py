"""The command line of ``lbctl run``, judged without a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ConfigError, UsageError
from lbctl.launch.request import PASSWORD_FILE, read_request

VIP = "10.0.1.201"


def test_nothing_is_a_plain_load_balancer() -> None:
    request = read_request([], {})

    assert request.addresses == ()
    assert request.vip is None


def test_vip_password_and_more_addresses_in_order_each_once() -> None:
    arguments = [VIP, "foobar23", "10.0.1.202", "fd00:0::1", VIP]
    request = read_request(arguments, {"IPS": "10.0.1.203, 10.0.1.204 10.0.1.202"})

    assert request.cidrs == (
        "10.0.1.201/32",
        "10.0.1.202/32",
        "fd00::1/128",
        "10.0.1.203/32",
        "10.0.1.204/32",
    )
    assert request.password is not None
    assert request.password.reveal() == b"foobar23"


def test_prefix_given_is_kept_for_the_address_and_left_out_of_what_is_judged() -> None:
    arguments = [f"{VIP}/24", "foobar23", "10.0.1.203/24", "FD00:1::c9/64", "10.0.1.204"]
    request = read_request(arguments, {"IPS": "10.0.1.205/25"})

    assert request.cidrs == (
        "10.0.1.201/24",
        "10.0.1.203/24",
        "fd00:1::c9/64",
        "10.0.1.204/32",
        "10.0.1.205/25",
    )
    assert request.vip == VIP
    assert request.addresses[1:3] == ("10.0.1.203", "fd00:1::c9")


def test_password_file_takes_the_place_of_the_argument(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("foobar23\n")
    request = read_request([VIP, "10.0.1.202"], {PASSWORD_FILE: str(secret)})

    assert request.addresses == (VIP, "10.0.1.202")
    assert request.password is not None
    assert request.password.reveal() == b"foobar23"


def test_password_that_is_no_utf_8_reaches_carp_as_it_is() -> None:
    request = read_request([VIP, "p\udcff"], {})

    assert request.password is not None
    assert request.password.reveal() == b"p\xff"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([VIP], ["second argument", PASSWORD_FILE]),
        ([VIP, "10.0.1.202"], ["IP address where the password belongs"]),
        (["10.0.1", "foobar23"], ["VIP", "'10.0.1'"]),
        (["", "foobar23"], ["VIP", "''"]),
        (["fd00::1", "foobar23"], ["UCARP speaks no IPv6"]),
        (["fd00::1/64", "foobar23"], ["UCARP speaks no IPv6"]),
        ([f"{VIP}/33", "foobar23"], [f"'{VIP}/33' is not an IP address"]),
        ([f"{VIP}/0", "foobar23"], [f"{VIP}/0", "prefix length 0"]),
        (["10.0.1.0/24", "foobar23"], ["10.0.1.0/24", "end of the network"]),
        (["127.0.0.1/8", "foobar23"], ["loopback"]),
        ([f"{VIP}/24", "foobar23", VIP], [f"{VIP}/32 is given as {VIP}/24 too"]),
        (["127.0.0.1", "foobar23"], ["loopback"]),
        (["224.0.0.18", "foobar23"], ["multicast"]),
        (["0.0.0.0", "foobar23"], ["unspecified"]),
        (["255.255.255.255", "foobar23"], ["broadcast"]),
        ([VIP, ""], ["password is empty"]),
        ([VIP, "x" * 20], ["20 bytes", "19"]),
        ([VIP, "ä" * 10], ["20 bytes"]),
        ([VIP, "foobar23", "wlan0"], ["'wlan0'", "DEV=wlan0"]),
        ([VIP, "foobar23", "10.0.1.300"], ["'10.0.1.300' is not an IP address"]),
        ([VIP, "foobar23", "fe80::1%eth0"], ["zone"]),
        ([VIP, "foobar23", "::ffff:10.0.0.1"], ["mapped"]),
    ],
)
def test_wrong_argument_is_named(arguments: list[str], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        read_request(arguments, {})

    assert [word for word in words if word not in str(caught.value)] == []


def test_all_problems_are_reported_at_once_and_the_password_in_none_of_them() -> None:
    secret = "much-too-long-a-secret"
    with pytest.raises(UsageError) as caught:
        read_request(["10.0.1", secret, "wlan0"], {"IPS": "nonsense!"})

    assert len(str(caught.value).splitlines()) == 4
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "environ", "where"),
    [
        ([VIP, "foobar23"], {"IPS": "10.0.1.202 x!"}, "IPS"),
        ([], {"IPS": "10.0.1.202"}, "IPS"),
        ([VIP, "foobar23", "10.0.1.202"], {"IPS": "10.0.1.202/24"}, "IPS"),
        ([VIP], {PASSWORD_FILE: "/nowhere/secret"}, "/nowhere/secret"),
    ],
)
def test_wrong_environment_is_named(
    arguments: list[str], environ: dict[str, str], where: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_request(arguments, environ)

    assert [problem.where for problem in caught.value.problems] == [where]


def test_password_argument_beside_a_password_file_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("foobar23")
    with pytest.raises(UsageError, match="not both"):
        read_request([VIP, "other"], {PASSWORD_FILE: str(secret)})


def test_password_does_not_show_in_the_request() -> None:
    assert "foobar23" not in repr(read_request([VIP, "foobar23"], {}))
