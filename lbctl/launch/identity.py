"""What a node keeps for life in the state dir: its identity and its self-signed certificate."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import secrets

from lbctl.files import read_regular, write_atomic
from lbctl.launch.host import Account
from lbctl.layout import StateDir

_NODE_ID = re.compile(r"[0-9a-f]{16}")
_YEARS = 10
_DAYS_A_YEAR = 365
_COMMON_NAME_MAX = 64


def read_node_id(state: StateDir) -> str:
    """This node's identity, 16 hex digits; empty: none was made yet, or it is garbled."""
    try:
        # The unprivileged user may have put a FIFO there.
        text = read_regular(state.node_id).strip()
    except OSError:
        return ""
    return text if _NODE_ID.fullmatch(text) else ""


def node_id(state: StateDir) -> str:
    """
    This node's identity, made at the first call.

    Raises:
        OSError: the state dir cannot be written.
    """
    known = read_node_id(state)
    if known:
        return known
    made = secrets.token_hex(8)
    write_atomic(state.node_id, f"{made}\n", mode=0o644, durable=True)
    return made


def ensure_self_signed(state: StateDir, account: Account, hostname: str) -> bool:
    """
    Have the pair; one that is there is left as it is, whoever made it.

    Returns:
        Whether it was made now.

    Raises:
        OSError: the state dir cannot be written.
    """
    if state.self_signed.exists():
        if os.geteuid() == 0:
            os.chown(state.self_signed, account.uid, account.gid, follow_symlinks=False)
        return False
    uid, gid = (account.uid, account.gid) if os.geteuid() == 0 else (-1, -1)
    write_atomic(state.self_signed, make_pair(hostname), mode=0o600, uid=uid, gid=gid, durable=True)
    return True


def make_pair(hostname: str) -> str:
    """Certificate and key as PEM: EC P-256, ten years, for *hostname* and localhost."""
    # Imported here: it takes a tenth of a second, and only the first start needs it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, hostname[:_COMMON_NAME_MAX] or "lbctl")]
    )
    now = datetime.datetime.now(datetime.UTC)
    names = [
        *(x509.DNSName(text) for text in dict.fromkeys((_dns_name(hostname), "localhost")) if text),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A host whose clock is a little behind takes it too.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_YEARS * _DAYS_A_YEAR))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return (public + private).decode()


def _dns_name(hostname: str) -> str:
    """*hostname* where a certificate can carry it."""
    return hostname if re.fullmatch(r"[A-Za-z0-9._-]{1,253}", hostname) else ""
