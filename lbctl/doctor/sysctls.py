"""
Kernel settings of this network namespace that a virtual address trips over: read, and judged.

Source: Linux Documentation/networking/ip-sysctl.rst; each effect that is claimed here was seen
between network namespaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path

from lbctl.doctor.row import Row, bad, ok, warn

PROC_SYS = Path("/proc/sys")

_PER_INTERFACE = ("arp_ignore", "arp_announce", "rp_filter", "promote_secondaries")
_IPV6_MIN_MTU = 1280


@dataclass(frozen=True, slots=True)
class Sysctls:
    """
    Attributes:
        ipv4: of the virtual addresses' interface as the kernel combines them, by name; what cannot
            be read is left out.
        ip_forward: this host routes.
        tcp_migrate_req: None: the kernel has no such setting.
        ipv6_off: ``disable_ipv6`` of the interface; None: this kernel has no IPv6.
        is_read_only: /proc/sys is mounted so.
    """

    ipv4: Mapping[str, int] = field(default_factory=dict)
    ip_forward: bool = False
    tcp_migrate_req: int | None = None
    ipv6_off: bool | None = False
    is_read_only: bool = False


def read_sysctls(interface: str, root: Path = PROC_SYS) -> Sysctls:
    """What is set now; never fails."""
    # An interface's name may hold a dot, so paths are joined and never dotted names.
    net = root / "net"
    conf = net / "ipv4/conf"
    ipv4: dict[str, int] = {}
    for name in _PER_INTERFACE:
        values = [_number(conf / where / name) for where in ("all", interface)]
        known = [value for value in values if value is not None]
        if known:
            ipv4[name] = max(known)
    off = _number(net / "ipv6/conf" / interface / "disable_ipv6")
    return Sysctls(
        ipv4=ipv4,
        ip_forward=_number(net / "ipv4/ip_forward") == 1,
        tcp_migrate_req=_number(net / "ipv4/tcp_migrate_req"),
        ipv6_off=None if off is None else off != 0,
        is_read_only=_is_read_only(root),
    )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Setting:
    """
    Where the virtual addresses are to live.

    Attributes:
        interface: theirs.
        cidrs: the addresses with prefix.
        neighbours: this host's other interfaces with an address in the same subnet.
        own: this host's own address there, with prefix.
        default_by: the interface of the default route; empty: there is none.
        processes: how many HAProxies share a port.
        mtu: bytes; 0: not known.
    """

    interface: str
    cidrs: tuple[str, ...] = ()
    own: str = ""
    neighbours: tuple[str, ...] = ()
    default_by: str = ""
    processes: int = 1
    mtu: int = 0


def judge_sysctls(values: Sysctls, setting: Setting) -> list[Row]:
    """Every row about kernel settings."""
    rows = [
        *_arp(values, setting),
        *_rp_filter(values, setting),
        *_promote(values, setting),
        *_ipv6(values, setting),
        *_forward(values),
        *_migrate(values, setting),
    ]
    if values.is_read_only:
        text = "/proc/sys is read-only here: settings are changed on the host"
        rows.append(ok("sysctls", text))
    return rows


def _arp(values: Sysctls, setting: Setting) -> Iterator[Row]:
    ignore = values.ipv4.get("arp_ignore", 0)
    announce = values.ipv4.get("arp_announce", 0)
    where = f"net/ipv4/conf/{setting.interface}"
    if ignore == 8:
        text = f"{setting.interface} answers no ARP question at all, so nobody finds the address"
        yield bad("arp_ignore", f"8: {text}", f"sysctl -w {where}/arp_ignore=0, and all/ the same")
    elif setting.neighbours and ignore == 0:
        others = ", ".join(setting.neighbours)
        yield warn(
            "arp_ignore",
            f"0, and {others} is in the subnet of {setting.interface} too: it answers for the "
            "virtual address with its own MAC",
            "sysctl -w net/ipv4/conf/all/arp_ignore=1",
        )
    else:
        yield ok("arp_ignore", str(ignore))
    if setting.neighbours and announce < 2:
        yield warn(
            "arp_announce",
            f"{announce}, and {', '.join(setting.neighbours)} is in the same subnet: it asks in "
            "the name of the virtual address, so the network learns its MAC",
            "sysctl -w net/ipv4/conf/all/arp_announce=2",
        )


def _rp_filter(values: Sysctls, setting: Setting) -> Iterator[Row]:
    value = values.ipv4.get("rp_filter", 0)
    if value != 1:
        yield ok("rp_filter", str(value))
        return
    others = [*setting.neighbours]
    if setting.default_by not in ("", setting.interface):
        others.append(f"{setting.default_by} (the default route)")
    if not others:
        yield ok("rp_filter", "1 (strict), and there is one way back")
        return
    yield warn(
        "rp_filter",
        f"1 (strict): a client that comes in by {setting.interface} and whom this host would "
        f"answer by {', '.join(others)} is dropped",
        f"sysctl -w net/ipv4/conf/{setting.interface}/rp_filter=2",
    )


def _promote(values: Sysctls, setting: Setting) -> Iterator[Row]:
    """Addresses with the prefix of a subnet are secondary to the first one in it."""
    if values.ipv4.get("promote_secondaries", 1):
        return
    networks = [ip_interface(cidr).network for cidr in setting.cidrs]
    shared = [
        str(network)
        for network in dict.fromkeys(networks)
        if network.version == 4 and network.prefixlen < 32 and networks.count(network) > 1
    ]
    if setting.own:
        own = ip_interface(setting.own).network
        shared += [str(own)] if own in networks else []
    if shared:
        yield warn(
            "promote_secondaries",
            f"0, and several addresses are of {', '.join(dict.fromkeys(shared))}: when the first "
            "one is removed, the kernel removes the others with it",
            f"sysctl -w net/ipv4/conf/{setting.interface}/promote_secondaries=1, or give the "
            "virtual addresses as /32",
        )


def _ipv6(values: Sysctls, setting: Setting) -> Iterator[Row]:
    wanted = [cidr for cidr in setting.cidrs if ":" in cidr]
    if not wanted:
        return
    if values.ipv6_off is None and not 0 < setting.mtu < _IPV6_MIN_MTU:
        yield bad("IPv6", f"none on {setting.interface}, and {wanted[0]} is asked for", "enable it")
    elif 0 < setting.mtu < _IPV6_MIN_MTU:
        text = f"{setting.interface} has an MTU of {setting.mtu}: below 1280 there is no IPv6 on it"
        yield bad("IPv6", text, f"ip link set {setting.interface} mtu 1500")
    elif values.ipv6_off:
        name = f"net/ipv6/conf/{setting.interface}/disable_ipv6"
        text = f"disable_ipv6 = 1 on {setting.interface}: {wanted[0]} cannot be set there"
        yield bad("IPv6", text, f"sysctl -w {name}=0")
    else:
        yield ok("IPv6", f"on, for {', '.join(wanted)}")


def _forward(values: Sysctls) -> Iterator[Row]:
    if values.ip_forward:
        yield ok(
            "ip_forward",
            "1: this host routes, so after a move it passes on what still comes to it: an "
            "announcement that is lost is hidden until this host goes",
        )
    else:
        yield ok("ip_forward", "0")


def _migrate(values: Sysctls, setting: Setting) -> Iterator[Row]:
    if values.tcp_migrate_req == 0 and setting.processes > 1:
        yield ok(
            "tcp_migrate_req",
            "0: when one HAProxy process dies, connections that it has not accepted yet are reset",
            "sysctl -w net/ipv4/tcp_migrate_req=1 gives them to the other processes",
        )
