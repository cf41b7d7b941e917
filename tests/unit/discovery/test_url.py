"""URLs of sources, and what TLS needs, are judged before anybody is asked."""

from __future__ import annotations

import ssl

import pytest

from lbctl.discovery.http import Client
from lbctl.discovery.url import TlsFiles, base_of, read_url, ssl_context, target_of
from lbctl.errors import ConfigError
from tests.pems import issue


@pytest.mark.parametrize(
    ("url", "target", "base"),
    [
        ("http://10.0.0.5:8500", "http://10.0.0.5:8500", "http://10.0.0.5:8500"),
        ("https://[fd00::1]:8501/", "https://[fd00::1]:8501", "https://[fd00::1]:8501"),
        ("https://x/consul/", "https://x/consul", "https://x/consul"),
        ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375", "http://127.0.0.1:2375"),
        ("unix:///run/docker.sock", "unix:///run/docker.sock", "http://localhost"),
    ],
)
def test_a_url_says_whom_to_ask_and_what_to_show(url: str, target: str, base: str) -> None:
    parts = read_url("consul", url)

    assert target_of(parts) == target
    assert base_of(parts) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "10.0.0.5:8500",
        "ftp://10.0.0.5",
        "http://",
        "unix://",
        "http://10.0.0.5:x",
        "http://[fd00::1",
        "http://me:hunter2@10.0.0.5:8500",
        "http://me:hunter2@10.0.0.5:x",
    ],
)
def test_what_is_no_url_of_a_source_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Client("consul", url)

    assert str(raised.value).startswith("consul: ")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "tls",
    [TlsFiles(ca=b"nonsense"), TlsFiles(ca=b"\xff"), TlsFiles(cert=b"hunter2", key=b"hunter2")],
    ids=["ca", "binary", "pair"],
)
def test_what_tls_cannot_use_is_refused_without_its_secrets(tls: TlsFiles) -> None:
    with pytest.raises(ConfigError) as raised:
        ssl_context("consul", tls)

    assert "its authorities, or this host's certificate and key, cannot be used" in str(
        raised.value
    )
    assert "hunter2" not in str(raised.value) + repr(tls)


def test_an_authority_of_ones_own_is_not_asked_for_what_it_need_not_have() -> None:
    """Python 3.13 does so, and would believe no EKS."""
    context = ssl_context("kubernetes", TlsFiles(ca=issue("own", is_authority=True).pem))
    assert context is not None

    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
