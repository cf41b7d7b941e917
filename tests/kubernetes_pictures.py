"""What a cluster comes to, for tests of one namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbctl.discovery.kubernetes_picture import Picture
from lbctl.model.service import Service, Snapshot
from lbctl.settings.discovery import Kubernetes
from tests.fakes.kubernetes_objects import Plain

ALONE = Kubernetes(namespace="default")


def picture(*objects: Plain, settings: Kubernetes = ALONE, prefer: str = "ipv4") -> Picture:
    found = Picture(settings, prefer)
    for one in objects:
        found.put("services" if one["kind"] == "Service" else "slices", one)
    return found


def seen(*objects: Plain, **more: Any) -> Snapshot:
    return picture(*objects, **more).snapshot(0.0, is_sure=False)


def services(*objects: Plain, **more: Any) -> dict[str, Service]:
    return {one.name: one for one in seen(*objects, **more).services}


def addresses(found: Mapping[str, Service], name: str = "hello") -> dict[str, str]:
    return {one.id: one.address for one in found[name].servers}
