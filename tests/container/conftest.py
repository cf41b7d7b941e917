"""Fixtures of the container tests: the engine, the image of this checkout, builds upon it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from lbctl.lab.hosts import Lab
from tests.containers import sweep
from tests.engines import Engine
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


class _Started(dict[str, Engine]):
    """Engines by kind, on a host of their own, each started when it is asked for."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self._lab = lab

    def __missing__(self, kind: str) -> Engine:
        root = self._lab.directory / kind
        root.mkdir()
        self[kind] = engine = Engine(
            "docker" if kind == "docker" else "podman", self._lab["a"], root
        )
        engine.start()
        engine.load()
        return engine


@pytest.fixture(name="engines", scope="session")
def _engines() -> Iterator[Mapping[str, Engine]]:
    with Lab(("a",)) as lab:
        started = _Started(lab)
        try:
            yield started
        finally:
            for engine in started.values():
                engine.end()


@pytest.fixture(name="docker", params=["docker", "podman"])
def _docker(engines: Mapping[str, Engine], request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A real Docker, and a real Podman, without containers."""
    engine = engines[request.param]
    yield engine
    engine.remove_all()
