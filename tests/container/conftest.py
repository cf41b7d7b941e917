"""Fixtures of the container tests: the engine, the image of this checkout, builds upon it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.containers import sweep
from tests.podman import Podman, alone, build_image, podman

Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="engine", scope="session")
def _engine() -> Iterator[Podman]:
    """podman with the image ``lbctl`` of this checkout."""
    engine = podman()
    with alone(engine):
        sweep(engine)
        build_image(engine)
    yield engine
    engine.run("volume", "prune", "--force")


@pytest.fixture(name="build")
def _build(engine: Podman, tmp_path: Path) -> Build:
    """Builds ``FROM lbctl``, ``ADD . /haproxy`` and RUN lines over files by name."""

    def build(files: Mapping[str, str], *commands: str) -> subprocess.CompletedProcess[str]:
        for name, text in files.items():
            path = tmp_path / "context" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "context").mkdir(exist_ok=True)
        lines = ["FROM lbctl", "ADD . /haproxy", *(f"RUN {one}" for one in commands)]
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        return engine.build(
            f"--file={tmp_path / 'Dockerfile'}",
            "--network=none",
            "--layers=false",
            "--pull=never",
            context=tmp_path / "context",
            check=False,
        )

    return build
