from __future__ import annotations

import pytest

from lbctl.errors import ValidationError
from lbctl.ha import interfaces


def test_loopback_is_a_link() -> None:
    link = interfaces.link_state("lo")

    assert link is not None
    assert link.is_loopback
    assert link.mac == "00:00:00:00:00:00"


def test_an_unknown_name_is_no_link() -> None:
    assert interfaces.link_state("lbctl-no-such") is None
    assert interfaces.link_state("x" * 40) is None


def test_first_address_must_be_ipv4() -> None:
    with pytest.raises(ValidationError, match=r"VIP: fd00::1: the first .* must be IPv4"):
        interfaces.find("fd00::1")


def test_loopback_does_not_hold_a_virtual_address() -> None:
    with pytest.raises(ValidationError, match=r"127\.0\.0\.9 is in no subnet of this host"):
        interfaces.find("127.0.0.9")
