"""Which virtual host id a group has when nobody chose one."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from ipaddress import IPv4Address

VHID_MAX = 255


def derived(vip: str) -> int:
    """
    The id of the group whose first address is *vip*: both hosts come to the same one, 1..255.

    A hash, so two pairs on one network may collide: the listening before the start finds out.
    """
    return zlib.crc32(IPv4Address(vip).packed) % VHID_MAX + 1


def free(taken: Collection[int], wanted: int) -> int | None:
    """The first id after *wanted* that is not in *taken*, beginning again at 1; None: all are."""
    candidates = ((wanted + step - 1) % VHID_MAX + 1 for step in range(1, VHID_MAX + 1))
    return next((vhid for vhid in candidates if vhid not in taken), None)
