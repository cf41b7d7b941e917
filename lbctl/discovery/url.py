"""
The URL of a source, and what TLS to it needs: judged once, before anybody is asked.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from lbctl.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """
    What TLS needs, as PEM.

    Attributes:
        ca: authorities that the server is judged by; None: the host's own.
        cert: this host's certificate; its key may stand behind it.
        key: its key.
    """

    ca: bytes | None = None
    cert: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)


def read_url(name: str, url: str) -> SplitResult:
    """
    Raises:
        ConfigError: it is none of a source, or has a user in it.
    """
    try:
        parts = urlsplit(url)
        is_one = bool(parts.path if parts.scheme == "unix" else parts.hostname)
        _ = parts.port
    except ValueError as error:
        raise _bad(name, f"its URL is none: {error}") from error
    if parts.scheme not in ("http", "https", "tcp", "unix") or not is_one:
        raise _bad(name, f"{target_of(parts)!r} is no http, https, tcp or unix URL")
    if "@" in parts.netloc:
        raise _bad(
            name, f"{target_of(parts)!r}: the URL has a user in it; a token has its own file"
        )
    return parts


def _bad(name: str, what: str) -> ConfigError:
    return ConfigError([Problem(name, what)])


def target_of(parts: SplitResult) -> str:
    """For people: without user and password."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def base_of(parts: SplitResult) -> str:
    """What the client puts before every path."""
    if parts.scheme == "unix":
        return "http://localhost"
    scheme = "http" if parts.scheme == "tcp" else parts.scheme
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def ssl_context(name: str, tls: TlsFiles | None) -> ssl.SSLContext:
    """
    Raises:
        ConfigError: what is given cannot be used.
    """
    try:
        ca = None if tls is None or tls.ca is None else tls.ca.decode("ascii")
        context = ssl.create_default_context(cadata=ca)
        if ca is not None:
            # Python 3.13 asks for an Authority Key Identifier, which the certificates of EKS and of
            # many a private authority do not have, and need not (RFC 5280, 4.2.1.1).
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if tls is not None and tls.cert is not None:
            load_pair(context, tls.cert, tls.key)
    except (ssl.SSLError, OSError, ValueError) as error:
        # Not the text of the error alone: it does not say whose files these are.
        what = f"its authorities, or this host's certificate and key, cannot be used: {error}"
        raise _bad(name, what) from error
    return context


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    """
    A certificate and its key, as PEM; None: it stands behind the certificate.

    Raises:
        OSError, ssl.SSLError, ValueError: it is none, or they do not belong together.
    """
    # OpenSSL takes a pair by its name alone: one in memory, so that no file is left behind.
    descriptor = os.memfd_create("lbctl-pair", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(certificate + b"\n" + (key or b"") + b"\n")
        stream.flush()
        # A key with a passphrase is not to have anybody asked for it.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: b"")
