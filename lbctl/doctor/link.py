"""The interface of the virtual addresses: its flags, the local bridge it is in, who manages it."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from lbctl.doctor.row import Row, bad, ok, warn
from lbctl.spec import GroupSpec

_SIOCGIFFLAGS = 0x8913
_SIOCGIFMTU = 0x8921
_IFF_NOARP = 0x80
_IFF_MULTICAST = 0x1000
_NET = Path("/sys/class/net")
_NETIF = Path("/run/systemd/netif/links")
#: What keeps foreign addresses while systemd-networkd starts (systemd.network(5)).
_KEEPS = ("yes", "true", "on", "1", "static")


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """
    Attributes:
        multicast: it is set up to carry multicast.
        arp: it answers ARP.
        mtu: bytes.
        is_flooded: by bridge port: multicast goes out by it (bridges of this host alone).
        networkd: the .network file by which systemd-networkd manages it; empty: it does not.
        keep: what that says of KeepConfiguration; empty: nothing.
    """

    multicast: bool = True
    arp: bool = True
    mtu: int = 1500
    is_flooded: tuple[tuple[str, bool], ...] = ()
    networkd: str = ""
    keep: str = ""


def read_link(interface: str, net: Path = _NET, netif: Path = _NETIF) -> LinkFacts:
    """
    Look at *interface* in this network namespace.

    Raises:
        OSError: there is no such interface.
    """
    flags, mtu = _asked(interface)
    network, keep = _networkd(socket.if_nametoindex(interface), netif)
    return LinkFacts(
        multicast=bool(flags & _IFF_MULTICAST),
        arp=not flags & _IFF_NOARP,
        mtu=mtu,
        is_flooded=tuple(_flooding(interface, net)),
        networkd=network,
        keep=keep,
    )


def _asked(interface: str) -> tuple[int, int]:
    # Not from /sys, which may be mounted for another namespace.
    request = struct.pack("16s16x8x", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        flags = struct.unpack_from("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)[0]
        mtu = struct.unpack_from("i", fcntl.ioctl(sock, _SIOCGIFMTU, request), 16)[0]
    return int(flags), int(mtu)


def _flooding(interface: str, net: Path) -> list[tuple[str, bool]]:
    """Ports of the bridge that *interface* is or is a port of."""
    ports = net / interface / "brif"
    if not ports.is_dir():
        ports = net / interface / "master" / "brif"
    found = []
    for port in sorted(ports.glob("*")):
        try:
            found.append((port.name, (port / "multicast_flood").read_text().strip() != "0"))
        except OSError:
            continue
    return found


def _networkd(index: int, netif: Path) -> tuple[str, str]:
    try:
        state = (netif / str(index)).read_text()
    except OSError:
        return "", ""
    found = re.search(r"^NETWORK_FILE=(.+)$", state, re.MULTILINE)
    if found is None:
        return "", ""
    path = Path(found[1])
    texts = []
    for part in (path, *sorted(Path(f"/etc/systemd/network/{path.name}.d").glob("*.conf"))):
        try:
            texts.append(part.read_text(errors="replace"))
        except OSError:
            continue
    said = re.findall(r"^\s*KeepConfiguration\s*=\s*(\S*)", "\n".join(texts), re.MULTILINE)
    return str(path), said[-1] if said else ""


def judge_link(facts: LinkFacts, group: GroupSpec, *, has_carrier: bool) -> list[Row]:
    """Rows about the interface of *group*."""
    name = group.interface
    rows = [_carrier(name, facts, has_carrier=has_carrier)]
    if not facts.arp:
        text = f"{name} answers no ARP (NOARP), so nobody finds the virtual address"
        rows.append(bad("link", text, f"ip link set {name} arp on"))
    rows.append(_multicast(facts, group))
    if facts.networkd and facts.keep.lower() not in _KEEPS:
        rows.append(
            warn(
                "systemd-networkd",
                f"manages {name} ({facts.networkd}) without KeepConfiguration: each of its starts "
                "takes the virtual addresses away, and vipd puts them back",
                "KeepConfiguration=static in [Network] of that file",
            )
        )
    return rows


def _carrier(name: str, facts: LinkFacts, *, has_carrier: bool) -> Row:
    if has_carrier:
        return ok("link", f"{name} is up, MTU {facts.mtu}")
    return warn(
        "link", f"{name} has no carrier: this node speaks once the link is there", "plug in"
    )


def _multicast(facts: LinkFacts, group: GroupSpec) -> Row:
    if group.peers:
        return ok("multicast", f"not needed: ha.peers is {', '.join(group.peers)}")
    if not facts.multicast:
        text = f"{group.interface} says that it does not support it (no MULTICAST flag)"
        return warn("multicast", text, f"ip link set {group.interface} multicast on")
    dry = [port for port, is_flooded in facts.is_flooded if not is_flooded]
    if dry:
        return warn(
            "multicast",
            f"the local bridge sends none out by {', '.join(dry)} (mcast_flood off): who is behind "
            "hears no advertisement",
            f"bridge link set dev {dry[0]} mcast_flood on",
        )
    return ok("multicast", f"{group.interface} carries it")
