"""Addresses as HAProxy, curl and people write them. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from socket import AF_INET, inet_pton


def bracketed(host: str) -> str:
    """``[fd00::1]``, for a port to follow: the last colon would be read as the port's."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def is_ipv4(host: str) -> bool:
    """``10.0.0.1``; much faster than a parser in Python: large configurations have thousands."""
    try:
        inet_pton(AF_INET, host)
    except (OSError, ValueError):
        return False
    return True


def split_address(address: str) -> tuple[str, int] | None:
    """
    ``10.0.0.1:80`` and ``[fd00::1]:80`` as HAProxy's Runtime API shows them; None: a name.

    An IP address comes in its shortest form, without brackets.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return None
    if is_ipv4(host):
        return host, int(port)
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]"))), int(port)
    except ValueError:
        return None
