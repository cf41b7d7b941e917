"""The HAProxies that tests run: Debian 12's own, and those that the setup fetches beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

_FETCHED = Path(__file__).parents[1] / ".cache"

#: By version.
BINARIES = {
    "2.2": str(_FETCHED / "haproxy-2.2/bin/haproxy"),
    "2.6": "haproxy",
    "3.0": str(_FETCHED / "haproxy-3.0/bin/haproxy"),
}


def installed(version: str) -> str:
    """The program of that version; a missing one is a failure."""
    path = BINARIES[version]
    if shutil.which(path) is None:
        pytest.fail(f"{path} is missing: run scripts/setup test")
    return path
