"""The files for Prometheus and Grafana: complete, and in agreement with their document."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from tests.monitoring import (
    ALERT_TESTS,
    MONITORING,
    ROOT,
    alert_names,
    alerts,
    dashboard,
    figures,
    filled,
    panels,
    queries,
    read_yaml,
)


def _id(rule: dict[str, Any]) -> str:
    return str(rule["alert"])


@pytest.mark.parametrize("rule", alerts(), ids=_id)
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("Lbctl")
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert "{{" in rule["annotations"]["summary"], "whom it concerns"
    assert rule["annotations"]["description"].endswith((".", "?"))


@pytest.mark.parametrize("rule", alerts(), ids=_id)
def test_an_alert_leads_to_a_section_that_names_it(rule: dict[str, Any]) -> None:
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (ROOT / path).read_text()

    assert anchor in {title.lower() for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    assert rule["alert"] in text


def test_the_document_has_no_alert_that_is_not_shipped() -> None:
    told = set(re.findall(r"\bLbctl[A-Z]\w+", MONITORING.read_text()))

    assert told == set(alert_names())


def test_every_alert_is_fired_by_the_rules_own_tests() -> None:
    tests = read_yaml(ALERT_TESTS)["tests"]
    checks = [check for test in tests for check in test["promql_expr_test"]]
    fired = {label for check in checks for label in map(str, check["exp_samples"])}
    named = {name for text in fired for name in re.findall(r"Lbctl\w+", text)}

    assert named == set(alert_names())


def test_all_is_well_with_every_figure_that_an_alert_asks_for() -> None:
    well = read_yaml(ALERT_TESTS)["tests"][0]
    given = {one["series"].partition("{")[0] for one in well["input_series"]}
    asked = {name for rule in alerts() for name in figures(rule["expr"])}

    # Findings are there while something is wrong, and else not.
    assert asked - given == {"lbctl_ha_finding"}
    assert all(check["exp_samples"] == [] for check in well["promql_expr_test"])


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    every = dashboard()["panels"]
    ids = [panel["id"] for panel in every]

    assert len(set(ids)) == len(ids)
    taken: dict[tuple[int, int], str] = {}
    for panel in every:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = itertools.product(
            range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        )
        for cell in cells:
            assert taken.setdefault(cell, panel["title"]) == panel["title"], (cell, panel["title"])


def test_panels_say_what_they_answer_and_whom_they_ask() -> None:
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(one["uid"] == "${datasource}" for one in asked), panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]


def test_every_query_keeps_to_the_hosts_that_were_chosen() -> None:
    for title, expression in queries():
        assert 'pair=~".*"' in expression, (title, expression)
        assert "$" not in expression, (title, expression)


def test_the_dashboard_declares_the_variables_that_it_uses() -> None:
    declared = {one["name"] for one in dashboard()["templating"]["list"]}
    texts = [panel["title"] for panel in dashboard()["panels"]]
    texts += [target["expr"] for panel in panels() for target in panel["targets"]]
    texts += [one["definition"] for one in dashboard()["templating"]["list"] if "definition" in one]
    used = set(re.findall(r"\$(\w+)", filled(" ".join(texts), {"$__rate_interval": ""})))

    assert used | {"datasource"} == declared


def test_the_document_tells_of_every_row_and_panel() -> None:
    text = MONITORING.read_text()
    titles = [panel["title"] for panel in panels()]

    assert [title for title in titles if title not in text] == []
