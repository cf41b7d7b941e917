"""
Prometheus' text format: one collector for each part of the agent, asked anew each time.

Names begin with ``lbctl_``, and say their unit at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lbctl.agent.agent import Agent
from lbctl.discovery.state import SourceState

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

Part = Callable[[Agent], Iterable[Metric]]


def exposition(agent: Agent) -> bytes:
    """Every figure of every part."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Of(agent))
    return generate_latest(registry)


class _Of(Collector):
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterator[Metric]:
        for part in PARTS:
            yield from part(self._agent)


def _discovery(agent: Agent) -> Iterator[Metric]:
    states = agent.sources.states()
    gauges: tuple[tuple[str, str, Callable[[SourceState], float]], ...] = (
        ("up", "1: the source is in touch.", lambda one: one.is_in_touch),
        ("services", "Services that it has.", lambda one: one.services),
        ("servers", "Servers of these.", lambda one: one.servers),
        (
            "heard_timestamp_seconds",
            "When it was last heard; 0: never.",
            lambda one: one.heard_at or 0.0,
        ),
    )
    for name, what, value in gauges:
        gauge = GaugeMetricFamily(f"lbctl_discovery_{name}", what, labels=["source"])
        for one in states:
            gauge.add_metric([one.source], float(value(one)))
        yield gauge
    failures = CounterMetricFamily(
        "lbctl_discovery_failures", "How often it was out of touch.", labels=["source"]
    )
    for one in states:
        failures.add_metric([one.source], one.failures)
    yield failures


PARTS: Final[tuple[Part, ...]] = (_discovery,)
