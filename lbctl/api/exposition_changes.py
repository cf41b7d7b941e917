"""Figures of what changes: sources of services, what was applied and how long it took, events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric

from lbctl.api.exposition_part import Part, View, counter, counters, gauge, gauges
from lbctl.discovery.state import SourceState
from lbctl.follow.desired import Desired
from lbctl.follow.tally import BOUNDS_S

#: What people count; others are there from their first event on.
_KINDS: Final = (
    "apply", "check", "command", "config", "discovery", "fault", "handover", "hang", "pause",
    "peer", "program", "reload", "role",
)  # fmt: skip


def _discovery(view: View) -> Iterator[Metric]:
    states = view.agent.sources.states()
    each: tuple[tuple[str, str, Callable[[SourceState], float]], ...] = (
        ("up", "1: the source is in touch.", lambda one: one.is_in_touch),
        ("services", "Services that it has.", lambda one: one.services),
        ("servers", "Servers of these.", lambda one: one.servers),
        (
            "heard_timestamp_seconds",
            "When it was last heard; 0: never.",
            lambda one: one.heard_at or 0.0,
        ),
    )
    for name, words, value in each:
        samples = [((one.source,), value(one)) for one in states]
        yield gauges(f"discovery_{name}", words, ["source"], samples)
    failures = [((one.source,), one.failures) for one in states]
    yield counters("discovery_failures", "How often it was out of touch.", ["source"], failures)


def _applied(view: View) -> Iterator[Metric]:
    tally = view.agent.follower.tally
    turns = [((did,), sum(one.counts)) for did, one in tally.durations.items()]
    yield counters("apply", "Changes, by what was done.", ["did"], turns)
    words = "How long a change took, from its begin to all processes."
    family = HistogramMetricFamily("lbctl_apply_duration_seconds", words, labels=["did"])
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    for did, one in tally.durations.items():
        buckets = list(zip(bounds, map(float, accumulate(one.counts)), strict=True))
        family.add_metric([did], buckets=buckets, sum_value=one.sum_s)
    yield family
    yield counter("apply_commands", "Steps at run time, over all processes.", tally.commands)
    if tally.last_at is not None:
        words = "When something was last changed."
        yield gauge("apply_last_timestamp_seconds", words, tally.last_at)


def _services(view: View) -> Iterator[Metric]:
    desired = view.agent.follower.desired
    states = [((state,), count) for state, count in _by_state(desired).items()]
    yield gauges("services", "Services, by what became of them.", ["state"], states)
    words = "Services whose loss is held back."
    yield gauge("apply_held", words, len(desired.guard.held))


def _by_state(desired: Desired) -> dict[str, int]:
    counts = dict.fromkeys(("applied", "waiting", "held", "left_out", "as_before"), 0)
    held = {one.name for one in desired.guard.held}
    counts["held"] = len(held)
    applied = desired.applied
    for name, service in desired.wanted().items():
        if name in held:
            continue
        if (refused := desired.left_out.get(name)) is not None:
            counts["as_before" if refused.serves_as_before else "left_out"] += 1
        else:
            found = applied.get(name)
            counts["applied" if found is service or found == service else "waiting"] += 1
    return counts


def _events(view: View) -> Iterator[Metric]:
    counts = {**dict.fromkeys(_KINDS, 0), **view.agent.events.counts}
    samples = [((kind,), count) for kind, count in counts.items()]
    words = "Events since the agent started, by kind."
    yield counters("events", words, ["kind"], samples)


PARTS: tuple[Part, ...] = (_discovery, _applied, _services, _events)
