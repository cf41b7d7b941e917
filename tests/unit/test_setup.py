"""While packages are installed their services do not start, and no trace of that is left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

NO_SERVICES = Path(__file__).parents[2] / "scripts" / "no-services"
ORIGINAL = "#!/bin/sh\nexit 104\n"


def run(policy: Path, words: str) -> None:
    """The functions of the script, on a file of the test's own."""
    script = f". {NO_SERVICES}\npolicy={policy}\n{words}"
    subprocess.run(["sh", "-euc", script], check=False, timeout=10)


@pytest.mark.parametrize("original", [None, ORIGINAL])
@pytest.mark.parametrize("kills", [0, 1, 2])
def test_policy_is_afterwards_as_it_was(tmp_path: Path, original: str | None, kills: int) -> None:
    policy = tmp_path / "policy-rc.d"
    if original is not None:
        policy.write_text(original)
        policy.chmod(0o755)
    for _ in range(kills):
        run(policy, "forbid_services; kill -9 $$")

        assert subprocess.run([policy]).returncode == 101
    run(policy, "forbid_services; allow_services")

    assert (policy.read_text() if policy.exists() else None) == original
    assert [path.name for path in tmp_path.iterdir()] == ([policy.name] if original else [])


@pytest.mark.parametrize("original", [None, ORIGINAL])
def test_the_next_run_undoes_what_a_killed_one_left(tmp_path: Path, original: str | None) -> None:
    """Though it has nothing to install: else no service of this machine would start any more."""
    policy = tmp_path / "policy-rc.d"
    if original is not None:
        policy.write_text(original)
    run(policy, "forbid_services; kill -9 $$")
    run(policy, "allow_services")

    assert (policy.read_text() if policy.exists() else None) == original
