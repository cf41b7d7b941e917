"""Figures of this node: what it is, its programs, its processes, checks and certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from prometheus_client.core import Metric

from lbctl.agent.status import unready
from lbctl.api.exposition_part import Part, View, counter, counters, gauge, gauges
from lbctl.api.tcp import CERT_KEY
from lbctl.haproxy.validity import not_after
from lbctl.programs import ProgramState


def _node(view: View) -> Iterator[Metric]:
    spec, status = view.agent.spec, view.status
    labels = ("version", "node", "hostname", "haproxy_version", "haproxy_model")
    values = (spec.version, spec.node, spec.hostname, spec.haproxy_version, spec.haproxy_model)
    yield gauges("info", "1, with what runs here.", labels, [(values, 1)])
    yield gauge("start_timestamp_seconds", "When the bundle was started.", spec.started_at)
    yield gauge("ready", "1: this node can serve.", not unready(view.agent))
    yield gauge("warnings", "Warnings that `lbctl status` shows.", len(status["warnings"]))


def _programs(view: View) -> Iterator[Metric]:
    rows = view.status["programs"]
    running = ProgramState.RUNNING.value
    up = [((one["name"],), one["state"] == running) for one in rows]
    yield gauges("program_up", "1: the program runs.", ["program"], up)
    restarts = [((one["name"],), one["restarts"]) for one in rows]
    words = "How often it was started again without being asked."
    yield counters("program_restarts", words, ["program"], restarts)
    answers = [((str(o["number"]),), o["answers"]) for o in view.status["haproxy"]["processes"]]
    words = "1: the process answers."
    yield gauges("haproxy_process_up", words, ["process"], answers)
    dropped: Mapping[str, int] = dict.fromkeys((one["name"] for one in rows), 0)
    dropped = {**dropped, **((view.status["log"] or {}).get("dropped") or {})}
    lines = [((program,), count) for program, count in dropped.items()]
    words = "Log lines that nobody read in time."
    yield counters("log_dropped_lines", words, ["program"], lines)


def _checks(view: View) -> Iterator[Metric]:
    known = [one for one in view.status["checks"] if one["is_well"] is not None]
    samples = [((one["name"],), one["is_well"]) for one in known]
    yield gauges("check_well", "1: the check is well.", ["check"], samples)


def _certificates(view: View) -> Iterator[Metric]:
    generation = view.agent.sources.generation
    shown = {} if generation is None else dict(generation.certs)
    if generation is not None and CERT_KEY in generation.secrets:
        # The API's own as well: when it ends, nobody sees the others any more.
        shown[CERT_KEY] = generation.secrets[CERT_KEY]
    ends = {name: _end(pem) for name, pem in shown.items()}
    samples = [((name,), end) for name, end in ends.items() if end is not None]
    words = "When the certificate ends."
    yield gauges("certificate_not_after_timestamp_seconds", words, ["certificate"], samples)


@lru_cache(maxsize=512)
def _end(pem: bytes) -> float | None:
    return not_after(pem)


def _api(view: View) -> Iterator[Metric]:
    refused = [((why,), count) for why, count in view.refused.items()]
    yield counters("api_refused", "Requests that were refused, by reason.", ["why"], refused)
    scrapes = view.scrapes
    words = "Scrapes that brought nothing of HAProxy's."
    yield counter("scrape_failures", words, scrapes.failures)
    if scrapes.took_s:
        words = "How long the last one took to ask HAProxy."
        yield gauge("scrape_duration_seconds", words, scrapes.took_s)


PARTS: tuple[Part, ...] = (_node, _programs, _checks, _certificates, _api)
