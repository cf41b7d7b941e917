"""docs/metrics.md names every figure, with its labels and its type, and none that is not there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from lbctl.discovery.state import SourceState
from lbctl.follow.apply import Applied
from lbctl.haproxy.promex import METRICS, PROCESS_METRICS
from tests.agent_sources import generation
from tests.fakes.vipd import FakeVipd
from tests.pems import issue
from tests.unit.agent.test_agent import new_agent
from tests.unit.api.test_metrics import GROUP, PEER, answered

TEXT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")

#: Said by the program that scrapes; and absent until it has.
_OF_A_SCRAPE = {
    "lbctl_haproxy_process_scraped": (frozenset({"process"}), "gauge"),
    "lbctl_scrape_duration_seconds": (frozenset[str](), "gauge"),
}


def documented() -> dict[str, tuple[frozenset[str], str]]:
    """Labels and type of each row."""
    rows = re.findall(r"^\| `(lbctl_\w+)` \|([^|]*)\| (\w+) \|", TEXT, re.MULTILINE)
    return {
        name: (frozenset(labels.replace(",", " ").split()), kind) for name, labels, kind in rows
    }


def test_every_figure_of_lbctls_own_is_documented_with_labels_and_type(tmp_path: Path) -> None:
    def tell(vipd: FakeVipd) -> None:
        finding = {"kind": "clock differs", "text": "x", "about": "y"}
        vipd.more = {"groups": [GROUP], "peers": [PEER], "findings": [finding]}

    agent = new_agent(tmp_path)
    agent.sources.configure(replace(generation(), certs={"site.pem": issue("a").both}))
    agent.sources.take_states((SourceState(source="consul", target="x", since=0.0),))
    agent.events.append("role", "x", {"role": "MASTER", "vhid": 7})
    agent.follower.tally.count(Applied("reload"), 5.0)
    ((_, _, text),) = answered(agent, "/metrics?set=own", vipd=tell)
    told = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for one in family.samples for label in one.labels if label != "le"}
        told[name] = (frozenset(labels), family.type)
    untold = {"lbctl_haproxy_process_up", "lbctl_check_well"}

    assert {**told, **_OF_A_SCRAPE}.items() <= documented().items()
    assert documented().keys() - told.keys() - _OF_A_SCRAPE.keys() <= untold


def test_every_figure_of_haproxys_is_documented_for_the_kinds_that_have_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (x?) *\| (x?) *\| (x?) *\|", TEXT, re.MULTILINE)
    found = {
        (kind, name)
        for name, *marks in rows
        for kind, mark in zip(("frontend", "backend", "server"), marks, strict=True)
        if mark
    }
    more = {(kind, name) for kind in METRICS for name in ("status", "http_responses_total")}
    wanted = {(kind, metric.name) for kind, metrics in METRICS.items() for metric in metrics}

    assert found == wanted | more | {("backend", "agg_server_status")}
    assert all(f"`{metric.name}`" in TEXT for metric in PROCESS_METRICS)
