"""
What of a wanted configuration can be had without a reload, while that has to wait: servers that
come, go and change, in backends that stay as they are. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from lbctl.model.target import Target, TargetBackend


def within_reach(loaded: Target, wanted: Target, beyond: Collection[str]) -> Target:
    """
    *loaded*, with the servers of *wanted* wherever no reload is needed for them.

    Args:
        beyond: backends of which something needs a reload.
    """
    backends = {
        name: _servers_of(one, wanted.backends.get(name), name in beyond)
        for name, one in loaded.backends.items()
    }
    return replace(loaded, backends=backends)


def with_servers_of(wanted: Target, running: Target, backends: Collection[str]) -> Target:
    """*wanted*, but the servers of *backends* stay as they run."""
    kept = {
        name: replace(wanted.backends[name], servers=running.backends[name].servers)
        for name in backends
        if name in wanted.backends and name in running.backends
    }
    return replace(wanted, backends={**wanted.backends, **kept}) if kept else wanted


def changed_backends(
    one: Mapping[str, TargetBackend], other: Mapping[str, TargetBackend]
) -> frozenset[str]:
    """Names of those that are not alike; the same object is alike without a look at it."""
    if one is other:
        return frozenset()
    differing = (name for name, value in one.items() if not _is_alike(value, other.get(name)))
    return frozenset((*differing, *(other.keys() - one.keys())))


def narrowed(target: Target, names: Collection[str]) -> Target:
    """*target* with the backends *names* alone."""
    found = {name: target.backends[name] for name in names if name in target.backends}
    return replace(target, backends=found)


def _is_alike(one: TargetBackend, other: TargetBackend | None) -> bool:
    return one is other or one == other


def _servers_of(one: TargetBackend, other: TargetBackend | None, is_beyond: bool) -> TargetBackend:
    if other is None or is_beyond or one is other:
        return one
    same_frame = (one.head, one.options, one.fixed) == (other.head, other.options, other.fixed)
    return other if same_frame else one
