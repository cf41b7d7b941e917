"""What is shipped for Prometheus and Grafana, as plain values; and as a test wants it, quicker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PROMETHEUS = ROOT / "deploy/prometheus"
CONFIG = PROMETHEUS / "prometheus.yml"
ALERTS = PROMETHEUS / "alerts.yml"
ALERT_TESTS = PROMETHEUS / "alerts_test.yml"
DASHBOARD = ROOT / "deploy/grafana/lbctl.json"
MONITORING = ROOT / "docs/monitoring.md"

#: Rates and increases look back for so long in a test: eight scrapes.
WINDOW = "8s"
#: What Grafana would put in the place of a variable.
_VARIABLES = {
    "$__rate_interval": WINDOW,
    "$job": "lbctl",
    "$pair": ".*",
    "$instance": ".*",
    "$proxy": ".*",
}


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def alerts() -> list[dict[str, Any]]:
    """Every rule, in the order of the file."""
    return [rule for group in read_yaml(ALERTS)["groups"] for rule in group["rules"]]


def alert_names() -> list[str]:
    return [rule["alert"] for rule in alerts()]


def quick_rules() -> str:
    """The rules with short windows, and nothing to wait for; each expression else as it is."""
    document = read_yaml(ALERTS)
    for group in document["groups"]:
        group["interval"] = "500ms"
        for rule in group["rules"]:
            rule.pop("for", None)
            rule["expr"] = re.sub(r"\[[0-9]+[smh]\]", f"[{WINDOW}]", rule["expr"])
    return json.dumps(document)


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def panels() -> Iterator[dict[str, Any]]:
    """Those that show something: rows are none."""
    yield from (panel for panel in dashboard()["panels"] if panel["type"] != "row")


def queries() -> Iterator[tuple[str, str]]:
    """Title and expression of each query of the dashboard, its variables filled in."""
    for panel in panels():
        yield from ((panel["title"], filled(target["expr"])) for target in panel["targets"])
    for note in dashboard()["annotations"]["list"]:
        yield note["name"], filled(note["expr"])


def filled(expression: str, variables: Mapping[str, str] = _VARIABLES) -> str:
    for name, value in variables.items():
        expression = expression.replace(name, value)
    return expression


def figures(expression: str) -> set[str]:
    """Names of what an expression asks for."""
    return set(re.findall(r"\b(?:(?:lbctl|haproxy)_\w+|up|scrape_duration_seconds)\b", expression))
