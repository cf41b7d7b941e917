"""What is different from the last start on this host: configuration and versions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lbctl.spec import BundleSpec


def changes(
    before: Mapping[str, Any] | None, spec: BundleSpec
) -> tuple[str, dict[str, Any]] | None:
    """
    Compare *spec* with what was recorded at an earlier start.

    Args:
        before: the fields of the last such record; None: there is none.
        spec: what runs now.

    Returns:
        A sentence, and the fields to record; None: nothing is different.
    """
    digests = dict(spec.digests)
    parts = differing(_digests(before), digests)
    fields = {
        "parts": parts,
        "digests": digests,
        "version": spec.version,
        "haproxy_version": spec.haproxy_version,
    }
    if before is None:
        return f"lbctl {spec.version} and HAProxy {spec.haproxy_version} for the first time", fields
    said = [
        f"{name} {was} -> {now}"
        for name, was, now in (
            ("lbctl", before.get("version"), spec.version),
            ("HAProxy", before.get("haproxy_version"), spec.haproxy_version),
        )
        if was != now
    ]
    if parts:
        said.append(f"changed: {_in_words(parts, digests)}")
    return ("; ".join(said), fields) if said else None


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The parts whose digests differ; one that only another version of lbctl knows does not."""
    return sorted(part for part in one.keys() & other.keys() if one[part] != other[part])


def _digests(before: Mapping[str, Any] | None) -> dict[str, str]:
    found = (before or {}).get("digests")
    return found if isinstance(found, dict) else {}


def _in_words(parts: list[str], digests: Mapping[str, str]) -> str:
    said = ", ".join(parts)
    # They are keyed with the password.
    is_all = len(parts) > 1 and set(parts) >= set(digests)
    return f"{said} (all at once, as a new password does)" if is_all else said
