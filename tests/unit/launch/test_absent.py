"""Addresses that cannot be bound wherever a configuration is to run."""

from __future__ import annotations

import pytest

from lbctl.launch.absent import not_on_this_host, only_on_the_master


@pytest.mark.parametrize("address", ["10.0.1.201", "fd00::c9", "fd00:0::C9"])
def test_a_virtual_address_is_absent_on_the_backup(address: str) -> None:
    absent = only_on_the_master(("10.0.1.201/24", "fd00::c9"))

    assert absent(address).startswith(f"only the MASTER has the virtual address {address}")


@pytest.mark.parametrize("address", ["*", "::", "10.0.1.11", "127.0.0.1", "lb.example.com"])
def test_any_other_address_is_there(address: str) -> None:
    assert only_on_the_master(("10.0.1.201/24", "fd00::c9"))(address) == ""


@pytest.mark.parametrize("address", ["*", "0.0.0.0", "::", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_and_every_address_are_on_each_host(address: str) -> None:
    assert not_on_this_host(address) == ""


@pytest.mark.parametrize("address", ["192.0.2.201", "2001:db8::201"])
def test_an_address_of_nobody_may_be_the_virtual_one(address: str) -> None:
    assert not_on_this_host(address).startswith(f"this host does not have {address}; if it is")
