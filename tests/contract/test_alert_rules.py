"""promtool on what is shipped for Prometheus: valid, and each alert does what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.monitoring import (
    ALERT_TESTS,
    ALERTS,
    CONFIG,
    PROMETHEUS,
    alerts,
    queries,
    quick_rules,
    read_yaml,
)

pytestmark = pytest.mark.contract


def _promtool(*argv: str | Path, code: int = 0) -> str:
    done = subprocess.run(
        ["promtool", *argv], capture_output=True, text=True, timeout=60, cwd=PROMETHEUS
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_configuration_and_its_rules_are_valid(tmp_path: Path) -> None:
    for path in (CONFIG, ALERTS):
        shutil.copy(path, tmp_path)
    # Which the operator puts beside it.
    for name in ("lbctl-read-token", "lbctl-ca.pem"):
        (tmp_path / name).write_text("x\n")
    said = _promtool("check", "config", tmp_path / CONFIG.name)

    assert f"SUCCESS: {len(alerts())} rules found" in said


def test_each_alert_fires_on_its_symptom_and_all_are_silent_when_all_is_well() -> None:
    assert "SUCCESS" in _promtool("test", "rules", ALERT_TESTS)


def test_an_alert_that_would_not_fire_is_noticed(tmp_path: Path) -> None:
    document = read_yaml(ALERT_TESTS)
    document["tests"] = [test for test in document["tests"] if test["name"] == "a fault"]
    (tmp_path / ALERT_TESTS.name).write_text(json.dumps(document))
    broken = ALERTS.read_text().replace("lbctl_ha_faults > 0", "lbctl_ha_faults > 1")
    (tmp_path / ALERTS.name).write_text(broken)
    said = _promtool("test", "rules", tmp_path / ALERT_TESTS.name, code=1)

    assert "LbctlFault" in said


def test_what_the_tests_of_real_faults_use_is_valid_too(tmp_path: Path) -> None:
    (tmp_path / "quick.yml").write_text(quick_rules())

    assert f"{len(alerts())} rules found" in _promtool("check", "rules", tmp_path / "quick.yml")


def test_every_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": expression}
        for number, (_, expression) in enumerate(queries())
    ]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "q", "rules": rules}]}))

    assert f"{len(rules)} rules found" in _promtool("check", "rules", tmp_path / "queries.yml")
