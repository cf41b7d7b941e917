"""Which addresses can be virtual ones: judged by themselves, without a host."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)


def parsed(word: str) -> IPv4Interface | IPv6Interface | None:
    """With a prefix or without; None: it is no address."""
    try:
        return ip_interface(word)
    except ValueError:
        return None


def virtual_address_problem(word: str) -> str:
    """Why *word* cannot be a virtual address; empty: it can."""
    interface = parsed(word)
    if interface is None:
        return f"{word!r} is not an IP address"
    # An interface forgets the zone, so the address is read by itself.
    return _unfit(ip_address(word.partition("/")[0])) or _unfit_prefix(interface)


def _unfit(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        return f"{address} cannot be a virtual address: neither a zone nor a mapped IPv4 address"
    for kind in ("unspecified", "loopback", "multicast"):
        if getattr(address, f"is_{kind}"):
            return f"{address} cannot be a virtual address: it is {kind}"
    if str(address) == "255.255.255.255":
        return f"{address} cannot be a virtual address: it is broadcast"
    return ""


def _unfit_prefix(interface: IPv4Interface | IPv6Interface) -> str:
    network = interface.network
    if network.prefixlen == 0:
        return (
            f"{interface}: prefix length 0 would make every address this link's: give a longer one"
        )
    ends = (network.network_address, network.broadcast_address)
    if interface.version == 4 and network.num_addresses > 2 and interface.ip in ends:
        return f"{interface} cannot be a virtual address: it is an end of the network {network}"
    return ""
