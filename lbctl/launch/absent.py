"""
Addresses that cannot be bound wherever a configuration is to run: a reason in words, or nothing.

Where the virtual addresses are known, these are the ones. Where they are not, as in the build of an
image, any address that this host does not have may be one, and is another host's at best.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable

from lbctl.haproxy.cfg import Absent


def only_on_the_master(vips: Iterable[str]) -> Absent:
    """
    The virtual addresses.

    Args:
        vips: with or without prefix.
    """
    virtual = {_parsed(vip) for vip in vips}

    def reason(address: str) -> str:
        if _parsed(address) not in virtual:
            return ""
        return f"only the MASTER has the virtual address {address}, so the BACKUP could not start"

    return reason


def not_on_this_host(address: str) -> str:
    """Tried by binding it for a moment; loopback is everywhere, whatever this host says."""
    parsed = _parsed(address)
    if parsed is None or parsed.is_unspecified or parsed.is_loopback:
        return ""
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return ""
        return (
            f"this host does not have {address}; if it is the virtual address, only the MASTER "
            "has it and the BACKUP could not start"
        )
    return ""


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_interface(text).ip
    except ValueError:
        return None
