"""What else lives on this host, and where it stands: directories, services, a cloud."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lbctl.doctor.row import Row, bad, ok, unknown, warn

_LOW_BYTES = 16 << 20
_ASK_S = 3.0
_SYSTEMD = Path("/run/systemd/system")
_DMI = Path("/sys/class/dmi/id")
#: Azure's mark on every machine; Hyper-V elsewhere has the same vendor and another tag.
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"

_RIVALS = {
    "keepalived": (
        "speaks VRRP on the protocol that CARP uses: it must have other ids and other addresses"
    ),
    "haproxy": "a HAProxy beside the bundle's: both would listen on the same ports",
    "nginx": "an nginx beside the bundle's: both would listen on the same ports",
    "ucarp": "another ucarp beside the bundle's",
}


@dataclass(frozen=True, slots=True)
class Directory:
    """
    Attributes:
        flag: the option that names it.
        path: as given.
        nearest: the deepest directory on the way that is there.
        is_directory: *nearest* is one.
        may_write: this process may.
        free_bytes: on its file system.
    """

    flag: str
    path: Path
    nearest: Path
    is_directory: bool
    may_write: bool
    free_bytes: int


def look_at(flag: str, path: Path) -> Directory:
    nearest = next((one for one in (path, *path.parents) if one.exists()), Path("/"))
    try:
        free = shutil.disk_usage(nearest).free
    except OSError:
        free = 0
    # access(2) knows of read-only file systems.
    may_write = os.access(nearest, os.W_OK | os.X_OK)
    return Directory(flag, path, nearest, nearest.is_dir(), may_write, free)


def judge_directory(directory: Directory) -> Row:
    where = str(directory.nearest)
    if not directory.is_directory:
        return bad(directory.flag, f"{where} is no directory", f"another {directory.flag}")
    if not directory.may_write:
        text = f"{where}: this user cannot write there, or it is mounted read-only"
        return bad(directory.flag, text, "start as root, or mount it writable (--tmpfs, a volume)")
    free = f"{directory.free_bytes >> 20} MiB free"
    if directory.free_bytes < _LOW_BYTES:
        text = f"{where}: {free}: events and roles cannot be kept on a full disk"
        return warn(directory.flag, text, "make room")
    return ok(directory.flag, f"{directory.path}: {free}")


def active_units() -> Mapping[str, str] | None:
    """State of each unit in question by systemd's word; None: there is no systemd here to ask."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not _SYSTEMD.is_dir():
        return None
    try:
        reply = subprocess.run(
            [systemctl, "is-active", *_RIVALS],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    states = reply.stdout.split()
    return dict(zip(_RIVALS, states, strict=True)) if len(states) == len(_RIVALS) else None


def judge_units(units: Mapping[str, str] | None) -> list[Row]:
    if units is None:
        text = "no systemd here to ask: in a container, look on the host"
        return [unknown("services", text, f"systemctl is-active {' '.join(_RIVALS)}")]
    rows = [
        warn(
            "services",
            f"{name}.service is {units[name]}: {why}",
            f"systemctl disable --now {name}",
        )
        for name, why in _RIVALS.items()
        if units.get(name) in ("active", "activating", "reloading")
    ]
    return rows or [ok("services", f"none of {', '.join(_RIVALS)} runs beside the bundle")]


def cloud_here(dmi: Path = _DMI) -> str:
    """Whose virtual machine this is, as the firmware says; empty: none that is known here."""
    said = {name: _word(dmi / name) for name in ("sys_vendor", "product_name", "chassis_asset_tag")}
    if said["sys_vendor"] == "Amazon EC2":
        return "Amazon EC2"
    if said["product_name"] == "Google Compute Engine":
        return "Google Compute Engine"
    return "Microsoft Azure" if said["chassis_asset_tag"] == _AZURE_TAG else ""


def _word(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def judge_cloud(cloud: str, *, has_peers: bool) -> Row:
    if not cloud:
        return ok("cloud", "none that is known to route by a table of its own")
    text = f"{cloud}: its network delivers to an address where its own table says, not where "
    text += "gratuitous ARP does"
    if not has_peers:
        text += ", and carries no multicast by itself"
    advice = "" if has_peers else "ha.engine: native with ha.peers; "
    advice += "and let hooks.d/up move the address by the cloud's API"
    return warn("cloud", text, advice)
