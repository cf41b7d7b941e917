"""What a bundle was started with, for tests that need one: each says only what matters to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lbctl.spec import BundleSpec

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
