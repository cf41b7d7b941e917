"""
Is a file of ``certs/`` fit to be served, and which one is when it is not.

Owns the judgement, before HAProxy sees anything. It costs 60 ms and 18 MB to load (cryptography):
for the one-shots and the commands, never for a daemon. What it says never holds a key, nor what a
library said while it read one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lbctl.errors import Problem

_BLOCK = re.compile(
    rb"-----BEGIN (?P<kind>[A-Z0-9 ]+)-----\r?\n.*?-----END (?P=kind)-----", re.DOTALL
)
#: What the OpenSSL of Debian 11 and later takes (security level 2).
_RSA_BITS = 2048
_ONE_FILE = "HAProxy wants certificate, chain and key in one file"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Attributes:
        faults: HAProxy would not load it.
        doubts: it would, and clients would not believe it.
    """

    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Attributes:
        certs: by name, what is to be served.
        problems: what was refused; what was there before goes on being served.
        warnings: what is served for want of something better.
    """

    certs: Mapping[str, bytes]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def choose(
    old: Mapping[str, bytes],
    new: Mapping[str, bytes],
    now: datetime,
    where: str = "certs",
    *,
    may_end: bool = True,
) -> Choice:
    """
    What is to be served when ``certs/`` held *old*, and holds *new*.

    A file that HAProxy would not load is refused, and so is one that clients would not believe
    where they believed the one before. What did not change is not judged again.

    Args:
        where: the directory's name for the operator.
        may_end: an empty directory ends TLS; else it is taken for one that somebody fills anew.
    """
    if old and not new and not may_end:
        what = "no certificate is left; those before go on being served until `lbctl reload`"
        return Choice(old, (Problem(where, what),), ())
    certs: dict[str, bytes] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for name, pem in sorted(new.items()):
        before = old.get(name)
        verdict = Verdict() if pem == before else judge(pem, now)
        refused = verdict.faults or (verdict.doubts if _is_better(before, now) else ())
        if not refused:
            certs[name] = pem
        elif before is not None:
            certs[name] = before
        what_next = "it is not served" if before is None else "the one before goes on being served"
        problems += [Problem(f"{where}/{name}", f"{what}; {what_next}") for what in refused]
        if not refused:
            warnings += [Problem(f"{where}/{name}", what) for what in verdict.doubts]
    return Choice(certs, tuple(problems), tuple(warnings))


def judge(pem: bytes, now: datetime) -> Verdict:
    """
    Look at a file that is to hold a certificate, its chain and its key.

    Args:
        now: with a time zone.
    """
    chain: list[x509.Certificate] = []
    faults: list[str] = []
    for number, block in enumerate(_blocks(pem, "CERTIFICATE"), 1):
        try:
            chain.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            faults.append(f"its certificate number {number} cannot be read")
    if not chain and not faults:
        faults.append(f"it holds no certificate: {_ONE_FILE}")
    key = _key(pem, faults)
    if faults or key is None:
        return Verdict(tuple(faults))
    mismatch = _mismatch(chain, key)
    if mismatch:
        return Verdict((mismatch,))
    return Verdict(doubts=(*_dates(chain[0], now), *_order(chain), *_weakness(key)))


def _is_better(before: bytes | None, now: datetime) -> bool:
    return before is not None and judge(before, now) == Verdict()


def _blocks(pem: bytes, kind: str) -> Iterator[bytes]:
    """The blocks whose kind ends in *kind*: keys are ``EC PRIVATE KEY`` and others too."""
    for found in _BLOCK.finditer(pem):
        if found["kind"].decode().endswith(kind):
            yield found[0]


def _key(pem: bytes, faults: list[str]) -> PrivateKeyTypes | None:
    """The first key; HAProxy looks at no other."""
    block = next(_blocks(pem, "PRIVATE KEY"), None)
    if block is None:
        faults.append(f"it holds no private key: {_ONE_FILE}")
        return None
    if b"ENCRYPTED" in block:
        faults.append("its private key is locked with a passphrase, which nobody is there to type")
        return None
    try:
        # HAProxy compares key and certificate as well, and to prove the primes takes 0.2 s.
        return load_pem_private_key(block, None, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        # HAProxy's OpenSSL may know what this library does not: it is asked before anything counts.
        return None
    except Exception:
        # Whatever a library finds wrong with a key: its words stay here.
        faults.append("its private key cannot be read")
        return None


def _mismatch(chain: Sequence[x509.Certificate], key: PrivateKeyTypes) -> str:
    public = key.public_key()
    try:
        fitting = [place for place, one in enumerate(chain, 1) if one.public_key() == public]
    except (UnsupportedAlgorithm, ValueError):
        return ""
    if not fitting:
        return "its private key does not belong to its certificate"
    if fitting[0] != 1:
        return (
            f"its certificates are in the wrong order: number {fitting[0]} is the one that the key "
            "belongs to, and must come first"
        )
    return ""


def _dates(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    if now > certificate.not_valid_after_utc:
        yield f"it expired on {_day(certificate.not_valid_after_utc)}"
    if now < certificate.not_valid_before_utc:
        yield f"it is not valid before {_day(certificate.not_valid_before_utc)}"


def _order(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """TLS 1.2 has each certificate certify the one before it (RFC 5246, 7.4.2)."""
    for place, (one, issuer) in enumerate(pairwise(chain), 1):
        if one.issuer != issuer.subject:
            yield (
                f"its chain is broken: certificate number {place + 1} is "
                f"{issuer.subject.rfc4514_string()!r}, and number {place} was issued by "
                f"{one.issuer.rfc4514_string()!r}"
            )


def _weakness(key: PrivateKeyTypes) -> Iterator[str]:
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _RSA_BITS:
        yield f"its RSA key has {key.key_size} bits, and current OpenSSL takes {_RSA_BITS} or more"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
