"""
lbctl's own figures in Prometheus' text format: one collector for each part, asked anew each time.

Names begin with ``lbctl_``, and say their unit at the end. What is judged, as who is MASTER, comes
from the node's status, so that every view says the same. Counters whose labels are known stand at 0
from the start: else nobody would see their first step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from lbctl.agent.agent import Agent
from lbctl.api.exposition_changes import PARTS as CHANGES
from lbctl.api.exposition_ha import PARTS as HA
from lbctl.api.exposition_node import PARTS as NODE
from lbctl.api.exposition_part import View
from lbctl.api.scraper import Scrapes


def exposition(
    agent: Agent, status: Mapping[str, Any], refused: Mapping[str, int], scrapes: Scrapes
) -> bytes:
    """
    Every figure of every part.

    Args:
        status: as ``/v1/status`` says it.
        refused: requests to the API, by reason.
        scrapes: what became of HAProxy's part.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Of(View(agent, status, refused, scrapes)))
    return generate_latest(registry)


class _Of(Collector):
    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterable[Metric]:
        for part in (*NODE, *HA, *CHANGES):
            yield from _with_something(part(self._view))


def _with_something(families: Iterator[Metric]) -> Iterator[Metric]:
    return (one for one in families if one.samples)
