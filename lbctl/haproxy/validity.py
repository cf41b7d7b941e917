"""
Until when a certificate is valid, read from its PEM with nothing but the standard library.

Pure, for the agent: loading what reads certificates in full (:mod:`lbctl.haproxy.pem`) would cost
it 18 MB for this one date. It judges nothing: what is served has been judged before.

Source: RFC 5280, 4.1 (TBSCertificate) and 4.1.2.5 (Validity); X.690, 8.1.3 (lengths).
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from typing import Final

_BLOCK: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END", re.ASCII
)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
#: Two digits of a year from 50 on are of the century before.
_TURN: Final = 50


def not_after(pem: bytes) -> float | None:
    """The last second of its first certificate, wall clock; None: there is none that is one."""
    found = _BLOCK.search(pem)
    if found is None:
        return None
    try:
        return _end(binascii.a2b_base64(found[1]))
    except (ValueError, IndexError):
        return None


def _end(certificate: bytes) -> float:
    (_, body), _ = _element(certificate)
    (_, signed), _ = _element(body)
    (tag, _), rest = _element(signed)
    # Version, where it is said; serial number, algorithm, issuer; then the validity.
    for _ in range(3 if tag == _VERSION else 2):
        _, rest = _element(rest)
    (tag, validity), _ = _element(rest)
    if tag != _SEQUENCE:
        message = f"tag {tag:#x} where the validity should be"
        raise ValueError(message)
    _, rest = _element(validity)
    (tag, text), _ = _element(rest)
    return _time(tag, text.decode("ascii"))


def _element(raw: bytes) -> tuple[tuple[int, bytes], bytes]:
    """Tag and content of the first element, and what is behind it."""
    tag, length, start = raw[0], raw[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(raw[2:start], "big")
    if len(raw) < start + length:
        message = f"{len(raw)} bytes, {start + length} wanted"
        raise ValueError(message)
    return (tag, raw[start : start + length]), raw[start + length :]


def _time(tag: int, text: str) -> float:
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _TURN else "20") + text
    elif tag != _GENERALIZED_TIME:
        message = f"tag {tag:#x} where a time should be"
        raise ValueError(message)
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
