"""Certificates in ``certs/``: the first one, another one, a broken one, none."""

from __future__ import annotations

import pytest

from lbctl.lab.wait import wait_until
from tests.balancers import Balancer
from tests.pems import Issued, issue

pytestmark = pytest.mark.system

NAME = "www.example.com"
#: Promised is 1 s, on a host with nothing else to do.
SERVED_S = 5.0


def _put(here: Balancer, content: bytes, name: str = "a.pem") -> None:
    """As a tool that renews them does."""
    here.config.certs.mkdir(exist_ok=True)
    new = here.config.root / "new.pem"
    new.write_bytes(content)
    new.chmod(0o600)
    new.replace(here.config.certs / name)


def _served(here: Balancer) -> set[str]:
    """Serial numbers of the certificates that new connections get."""
    argv = ["openssl", "s_client", "-connect", "127.0.0.1:443", "-servername", NAME]
    shell = f"{' '.join(argv)} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    found = here.on_host(["sh", "-c", "; ".join([shell] * 8)])
    return {line.partition("=")[2] for line in found.split()}


def _serial(one: Issued) -> str:
    return f"{one.certificate.serial_number:X}".rjust(2, "0")


def _wait_served(here: Balancer, one: Issued) -> None:
    def is_served() -> bool:
        return {serial.lstrip("0") for serial in _served(here)} == {_serial(one).lstrip("0")}

    wait_until(is_served, SERVED_S, "the certificate", seen=lambda: (_served(here), _serial(one)))


@pytest.fixture(name="tls")
def _tls(here: Balancer) -> Balancer:
    """With a certificate, brought by a reload."""
    first = issue(NAME)
    _put(here, first.both)
    here.reload()
    _wait_served(here, first)
    return here


def test_another_certificate_is_served_by_all_processes_without_a_reload(tls: Balancer) -> None:
    before = tls.workers()
    second = issue(NAME)
    _put(tls, second.both)
    _wait_served(tls, second)

    assert tls.workers() == before
    assert "a.pem" in tls.events("apply")
    assert tls.asks() == {"w1", "w2"}


def test_a_broken_certificate_is_told_and_the_one_before_goes_on(tls: Balancer) -> None:
    good = issue(NAME)
    _put(tls, good.both)
    _wait_served(tls, good)
    _put(tls, issue(NAME).pem)
    wait_until(
        lambda: "certificate not taken: " in tls.events("reload"), SERVED_S, "the word on it"
    )
    said = tls.events("reload")
    refused = tls.command("reload")
    third = issue(NAME)

    assert f"{tls.config.certs}/a.pem" in said
    assert refused.returncode == 13
    assert "a.pem" in refused.stderr
    assert {serial.lstrip("0") for serial in _served(tls)} == {_serial(good).lstrip("0")}
    _put(tls, third.both)
    _wait_served(tls, third)
