"""How often one address may ask, and be wrong. Pure; *now* is monotonic seconds."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

#: Addresses that are remembered; whoever asked longest ago is forgotten first.
ADDRESSES_MOST: Final = 4096

#: Wrong tokens of one address: so many at once, then one in so many seconds.
WRONG_BURST: Final = 5
WRONG_EVERY_S: Final = 10.0
#: An address that brought the right token is believed with it for so long, however often others
#: there are wrong, seconds: one program with an old token is not to lock out another.
_KNOWN_S: Final = 3600.0

_HOST_BITS: Final = 64


def network_of(address: str) -> str:
    """Whom an address stands for: itself, and for IPv6 its /64, since a host has them all."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(ip) >> _HOST_BITS << _HOST_BITS)) + "/64"
    return str(ip)


class Pace:
    """Tokens that come back with time, for each of many; every bucket is full at first."""

    def __init__(self, most: int = ADDRESSES_MOST) -> None:
        self._most = most
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, who: Hashable, now: float, per_s: float, burst: float) -> float:
        """Until there is a token for *who*, seconds; 0: there is one."""
        return max(0.0, (1 - self._left(who, now, per_s, burst)) / per_s)

    def take(self, who: Hashable, now: float, per_s: float, burst: float) -> float:
        """The same, and the token is taken where there is one."""
        left = self._left(who, now, per_s, burst)
        is_there = left >= 1
        if is_there or who not in self._buckets:
            self._buckets[who] = (left - is_there, now)
        self._buckets.move_to_end(who)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if is_there else (1 - left) / per_s

    def _left(self, who: Hashable, now: float, per_s: float, burst: float) -> float:
        left, at = self._buckets.get(who, (burst, now))
        return min(burst, left + max(0.0, now - at) * per_s)


class Tries:
    """Who brought wrong tokens, and who the right one."""

    def __init__(self) -> None:
        self._wrong = Pace()
        self._known: OrderedDict[str, float] = OrderedDict()

    def judge(self, network: str, is_right: bool, now: float) -> float:
        """
        A token was brought; *is_right*: it is one.

        Returns:
            0: what it is counts; else it counts for nothing, whatever it is, for so many seconds.
        """
        per_s = 1 / WRONG_EVERY_S
        if not is_right:
            return self._wrong.take(network, now, per_s, WRONG_BURST)
        is_known = now - self._known.get(network, -_KNOWN_S) < _KNOWN_S
        wait_s = 0.0 if is_known else self._wrong.wait_s(network, now, per_s, WRONG_BURST)
        if not wait_s:
            self._known[network] = now
            self._known.move_to_end(network)
            if len(self._known) > ADDRESSES_MOST:
                self._known.popitem(last=False)
        return wait_s
