"""What a bundle was started with, for tests that need one: each says only what matters to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lbctl.spec import BundleSpec, GroupSpec

_PLAIN = BundleSpec(
    version="1",
    node="n",
    hostname="a",
    user="",
    started_at=0.0,
    haproxy_version="2.6.12",
    haproxy_model="processes",
    processes=(),
    programs=(),
    binds=(),
    group=None,
    config_dir="/haproxy",
    state_dir="/var/lib/lbctl",
)


def bundle_spec(**different: Any) -> BundleSpec:
    """A plain balancer's, with these fields *different*."""
    return replace(_PLAIN, **different)


_GROUP = GroupSpec(
    vhid=7,
    interface="eth0",
    source="10.0.1.11",
    vip="10.0.1.201",
    addresses=("10.0.1.201/32",),
    engine="ucarp",
    advbase_s=1,
    advskew=0,
    dead_ratio=3,
    drain_s=2.0,
    track=("haproxy", "nginx"),
)


def group_spec(**different: Any) -> GroupSpec:
    """A usual group's, with these fields *different*."""
    return replace(_GROUP, **different)
