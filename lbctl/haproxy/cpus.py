"""The CPUs that this container may use: by affinity, and by the quota of its cgroups, v1 and v2."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Cpus:
    """
    What may be used.

    Attributes:
        ids: numbers of the CPUs in the affinity mask, ascending.
        quota: CPU seconds per second that the tightest cgroup grants; None: no limit.
    """

    ids: tuple[int, ...]
    quota: float | None = None

    @property
    def count(self) -> int:
        """How many CPUs that amounts to: a quota of 1.5 is worth two processes; at least 1."""
        granted = len(self.ids) if self.quota is None else math.ceil(self.quota)
        return max(1, min(len(self.ids), granted))


def usable_cpus(*, root: Path = Path("/"), affinity: Collection[int] | None = None) -> Cpus:
    """
    Read the affinity mask and the quota. Never fails: what cannot be read limits nothing.

    Args:
        root: where ``proc`` and ``sys`` are.
        affinity: the mask; None: this process's own.
    """
    ids = os.sched_getaffinity(0) if affinity is None else affinity
    quotas = list(_quotas(root))
    return Cpus(tuple(sorted(ids)), min(quotas) if quotas else None)


def _quotas(root: Path) -> Iterator[float]:
    """Every quota on the way from the own cgroup up to the root: each of them limits."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            for base in (mount, mount / "unified"):
                yield from _walk(base, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            for name in dict.fromkeys((controllers, "cpu")):
                yield from _walk(mount / name, path, _quota_v1)


def _walk(base: Path, path: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    own = PurePosixPath(path.lstrip("/"))
    # Without a cgroup namespace a container sees its host's path, which is not in its own mount;
    # its own cgroup is then the mount's root, which is the last stop anyway.
    stops = (PurePosixPath(),) if ".." in own.parts else (own, *own.parents)
    for stop in stops:
        try:
            quota = read(base / stop)
        except (OSError, ValueError):
            continue
        if quota is not None:
            yield quota


def _quota_v1(directory: Path) -> float | None:
    quota = int((directory / "cpu.cfs_quota_us").read_text())
    period = int((directory / "cpu.cfs_period_us").read_text())
    return quota / period if quota > 0 and period > 0 else None


def _quota_v2(directory: Path) -> float | None:
    quota, period = (directory / "cpu.max").read_text().split()
    return None if quota == "max" or int(period) <= 0 else int(quota) / int(period)
