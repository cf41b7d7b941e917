"""Events of vipd for tests of what they have the operator's programs do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lbctl.agent.eventlog import Event
from lbctl.spec import BundleSpec, GroupSpec
from tests.specs import bundle_spec

GROUP = GroupSpec(
    7, "eth0", "10.0.1.11", "10.0.1.201", ("10.0.1.201/32", "fd00::1/64"), "ucarp", 1, 0, 3, 2.0, ()
)
SECOND = replace(GROUP, vhid=8, vip="10.0.1.202", addresses=("10.0.1.202/32",), interface="eth1")
AT = 2000.0


def spec(root: Path = Path("/haproxy")) -> BundleSpec:
    return bundle_spec(
        node="n1", started_at=1000.0, group=GROUP, more_groups=(SECOND,), config_dir=str(root)
    )


def said(kind: str, text: str, at: float = AT, vipd_id: int = 1, **fields: Any) -> Event:
    return Event(1, at, "n1", kind, text, {**fields, "vipd_id": vipd_id})


def role(name: str, at: float = AT, was: str = "BACKUP", **fields: Any) -> Event:
    text = f"{was} -> {name}: nobody spoke"
    return said("role", text, at, int(at), was=was, role=name, **fields)


def fault(*faults: str, at: float = AT) -> Event:
    text = ", ".join(faults) or "no fault any more"
    return said("fault", text, at, int(at), severity=6 * len(faults), faults=list(faults))
