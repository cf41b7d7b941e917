"""What runs in sh, as shellcheck judges it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.contract

ROOT = Path(__file__).resolve().parents[2]
PLACES = (".ci", "deploy", "hooks", "scripts", "vagrant")


def first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline().decode("utf-8", "replace")


def is_shell_script(path: Path) -> bool:
    first = first_line(path)
    return (first.startswith("#!") and first.rstrip().endswith("sh")) or "shell=sh" in first


SCRIPTS = sorted(
    path
    for place in PLACES
    for path in (ROOT / place).rglob("*")
    if path.is_file() and is_shell_script(path)
)


def shellcheck(path: Path) -> subprocess.CompletedProcess[str]:
    argv = ["shellcheck", "--external-sources", str(path)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_scripts_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in SCRIPTS}

    assert names >= {"deploy/install", "deploy/uninstall", "scripts/setup", "vagrant/balancer"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shellcheck_finds_nothing(path: Path) -> None:
    done = shellcheck(path)

    assert done.returncode == 0, done.stdout


def test_shellcheck_finds_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("#!/bin/sh\nrm $1\n")

    assert "SC2086" in shellcheck(wrong).stdout
