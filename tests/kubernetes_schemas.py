"""The Kubernetes API's own schemas, of its last three minor versions that there are."""

from __future__ import annotations

import kubernetes_validate  # type: ignore[import-untyped]

from tests.fakes.kubernetes_objects import Plain

_KNOWN: list[str] = sorted(
    {".".join(one.split(".")[:2]) for one in kubernetes_validate.utils.all_versions()},
    key=lambda one: [int(part) for part in one.split(".")],
)
VERSIONS = tuple(_KNOWN[-3:])


def schema_problem(one: Plain, version: str) -> str:
    """What is wrong with it, fields that nobody knows included; empty: nothing."""
    try:
        kubernetes_validate.validate(one, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return ""
