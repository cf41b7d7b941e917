"""What the kernel says of this host and of the bundle's processes, out of /proc and /sys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lbctl.layout import RunDir

SYSCTLS: Final = (
    "net/ipv4/ip_forward",
    "net/ipv4/ip_nonlocal_bind",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_migrate_req",
    "net/ipv4/igmp_max_memberships",
    "net/ipv4/conf/*/arp_*",
    "net/ipv4/conf/*/rp_filter",
    "net/ipv4/conf/*/accept_local",
    "net/ipv4/conf/*/promote_secondaries",
    "net/ipv6/ip_nonlocal_bind",
    "net/ipv6/conf/*/disable_ipv6",
    "net/ipv6/conf/*/accept_dad",
    "net/core/somaxconn",
    "net/core/rmem_max",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
    "fs/file-max",
    "fs/nr_open",
    "kernel/sched_rt_runtime_us",
)
CGROUP: Final = (
    "cgroup.controllers",
    "cpu.max",
    "cpu.stat",
    "cpu.pressure",
    "cpuset.cpus.effective",
    "memory.max",
    "memory.current",
    "memory.events",
    "pids.max",
)
_OF_A_PROCESS: Final = (
    "Name", "State", "PPid", "Uid", "FDSize", "RssAnon", "VmRSS", "Threads", "CapEff", "CapBnd",
    "CapAmb", "NoNewPrivs", "Cpus_allowed_list",
)  # fmt: skip


def sysctls(root: Path = Path("/proc/sys")) -> str:
    """``name = value``, a line each; those that there are."""
    lines = []
    for pattern in SYSCTLS:
        for path in sorted(root.glob(pattern)):
            name = str(path.relative_to(root)).replace("/", ".")
            lines.append(f"{name} = {_value(path)}")
    return "\n".join(lines) + "\n"


def cgroup(root: Path = Path("/sys/fs/cgroup")) -> str:
    """The control group of this command, and its limits up to the root."""
    own = Path("/proc/self/cgroup").read_text()
    lines = [own.strip()]
    inside = next((one[3:] for one in own.splitlines() if one.startswith("0::")), "/")
    place = root / inside.strip("/")
    for group in (place, *place.parents):
        lines += [f"{path} = {_value(path)}" for name in CGROUP if (path := group / name).exists()]
        if group == root:
            break
    return "\n".join(lines) + "\n"


def processes(run: RunDir) -> str:
    """
    The bundle's processes: rights, memory, descriptors. Command lines are left out: one may hold
    the password.

    Raises:
        OSError, ValueError: it is not known which they are.
    """
    first = int(run.supervisord_pid.read_text())
    return "\n".join(_process(pid) for pid in (first, *_descendants(first))) + "\n"


def own_rights() -> str:
    """Those of whoever runs this command."""
    return _process(os.getpid()) + "\n"


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)


def _process(pid: int) -> str:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError as error:
        return f"pid {pid}: {error.strerror}"
    told = dict(line.partition(":")[::2] for line in status.splitlines())
    words = [f"{name} {' '.join(told[name].split())}" for name in _OF_A_PROCESS if name in told]
    try:
        words.append(f"descriptors {len(list(Path(f'/proc/{pid}/fd').iterdir()))}")
    except OSError as error:
        words.append(f"descriptors: {error.strerror}")
    return f"pid {pid}: {', '.join(words)}"


def _value(path: Path) -> str:
    try:
        return " ".join(path.read_text().split())
    except OSError as error:
        return f"({error.strerror})"
