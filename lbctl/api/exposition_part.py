"""What the parts of the exposition share: what they look at, and how a family is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from lbctl.agent.agent import Agent
from lbctl.api.scraper import Scrapes


@dataclass(frozen=True, slots=True)
class View:
    """
    Attributes:
        status: as ``/v1/status`` says it.
        refused: requests to the API, by reason.
        scrapes: of HAProxy's part.
    """

    agent: Agent
    status: Mapping[str, Any]
    refused: Mapping[str, int]
    scrapes: Scrapes


Part = Callable[[View], Iterator[Metric]]
#: Values of the labels, in their order; then the figure.
Sample = tuple[tuple[str, ...], float]


def gauge(name: str, words: str, value: float) -> Metric:
    """One figure without labels."""
    return GaugeMetricFamily(f"lbctl_{name}", words, value=float(value))


def gauges(name: str, words: str, labels: Iterable[str], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(f"lbctl_{name}", words, labels=tuple(labels))
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def counter(name: str, words: str, value: float) -> Metric:
    """*name* without ``_total``."""
    return CounterMetricFamily(f"lbctl_{name}", words, value=float(value))


def counters(name: str, words: str, labels: Iterable[str], samples: Iterable[Sample]) -> Metric:
    """*name* without ``_total``."""
    family = CounterMetricFamily(f"lbctl_{name}", words, labels=tuple(labels))
    for values, value in samples:
        family.add_metric(values, float(value))
    return family
