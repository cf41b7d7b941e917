"""Certificates with their keys, made for tests: EC, so that they cost nothing."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, and the key it is for."""

    certificate: x509.Certificate
    private: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        return key_pem(self.private)

    @property
    def both(self) -> bytes:
        return self.pem + self.key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def issue(
    *names: str,
    by: Issued | None = None,
    days: tuple[int, int] = (-1, 30),
    private: Key | None = None,
    subject: str = "",
    is_authority: bool = False,
) -> Issued:
    """
    A certificate for *names*, self-signed without *by*.

    Args:
        days: from when to when it is valid, counted from now.
        is_authority: others may be issued by it, and be believed.
    """
    private = private or ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject or names[0])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(by.certificate.subject if by else own)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=days[0]))
        .not_valid_after(NOW + datetime.timedelta(days=days[1]))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    if is_authority:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    return Issued(builder.sign(by.private if by else private, hashes.SHA256()), private)


def key_pem(private: Key, password: bytes | None = None) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


@cache
def weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def joined(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts)
