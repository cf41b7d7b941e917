"""Certificates as far as others may know them: names, subjects and days, no key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from lbctl.support.gather import read_text

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def describe(paths: Iterable[Path]) -> str:
    """A line for each file, and one for each certificate in it."""
    lines = []
    for path in paths:
        try:
            text = read_text(path)
        except OSError as error:
            lines.append(f"{path}: {error.strerror or error}")
            continue
        found = [_in_words(one) for one in _CERTIFICATE.findall(text)]
        key = "with a private key" if "PRIVATE KEY-----" in text else "without a private key"
        lines += [f"{path}: {len(found)} certificate(s), {key}", *(f"  {one}" for one in found)]
    return "\n".join(lines) + "\n" if lines else "none\n"


def _in_words(pem: str) -> str:
    try:
        one = x509.load_pem_x509_certificate(pem.encode())
        names = _names(one)
        return (
            f"{one.subject.rfc4514_string()}, by {one.issuer.rfc4514_string()}, "
            f"{one.not_valid_before_utc:%Y-%m-%d} to {one.not_valid_after_utc:%Y-%m-%d}"
            + (f", for {', '.join(names)}" if names else "")
        )
    except ValueError as error:
        return f"cannot be read: {error}"


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in found.value]
