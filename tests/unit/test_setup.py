"""``scripts/setup`` keeps services from starting while it installs, and leaves no trace of that."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "scripts" / "setup"
ORIGINAL = "#!/bin/sh\nexit 104\n"


def run(policy: Path, words: str) -> None:
    """The functions of the script, on a file of the test's own."""
    text = SETUP.read_text()
    part = text[text.index("policy=/") : text.index("# A checkout that was moved")]
    own = part.replace("policy=/usr/sbin/policy-rc.d", f"policy={policy}")
    subprocess.run(["sh", "-euc", f"log={policy}.log\n{own}\n{words}"], check=False, timeout=10)


@pytest.mark.parametrize("original", [None, ORIGINAL])
@pytest.mark.parametrize("kills", [0, 1, 2])
def test_policy_is_afterwards_as_it_was(tmp_path: Path, original: str | None, kills: int) -> None:
    policy = tmp_path / "policy-rc.d"
    if original is not None:
        policy.write_text(original)
    for _ in range(kills):
        run(policy, "forbid_services; kill -9 $$")

        assert subprocess.run([policy]).returncode == 101
    run(policy, "forbid_services; allow_services")

    assert (policy.read_text() if policy.exists() else None) == original
    assert [path.name for path in tmp_path.iterdir()] == ([policy.name] if original else [])
