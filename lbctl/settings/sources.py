"""
Which sources of services there are beside lb.yaml, and so whether anybody is to ask them. Pure.
"""

from __future__ import annotations

from typing import Final

from lbctl.settings.model import Settings

#: What is told by ``POST /v1/registry``.
REGISTRY: Final = "registry"


def sources_of(settings: Settings, *, has_registry: bool) -> tuple[str, ...]:
    """
    The sources by name, in order.

    Args:
        has_registry: its store is in the state dir: somebody has told it something.
    """
    discovery = settings.discovery
    is_there = {
        "consul": discovery.consul.url is not None,
        "docker": discovery.docker.url is not None,
        "hosts": discovery.hosts.path is not None,
        "kubernetes": discovery.kubernetes.url is not None,
        REGISTRY: has_registry or settings.registry.store != "sqlite",
    }
    return tuple(name for name, is_so in is_there.items() if is_so)


def serving_sources_of(settings: Settings, *, has_registry: bool) -> tuple[str, ...]:
    """Those whose services are served here: containers that are reported elsewhere are not."""
    reports = settings.discovery.docker.report_to.url is not None
    found = sources_of(settings, has_registry=has_registry)
    return tuple(name for name in found if name != "docker" or not reports)
