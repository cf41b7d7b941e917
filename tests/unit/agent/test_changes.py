"""What a start finds different from the one before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lbctl.agent.agent import Agent
from lbctl.agent.changes import changes, differing
from lbctl.agent.eventlog import EventLog
from lbctl.follow.generation import verdict_of
from lbctl.layout import RunDir
from lbctl.nginx.reload import NginxReloaded
from tests.fakes.programs import FakePrograms
from tests.specs import bundle_spec

DIGESTS = {"haproxy.cfg": "aa", "certs": "bb", "lb.yaml": "cc"}


def _started(root: Path, started_at: float, **different: Any) -> list[tuple[str, str]]:
    """Kinds and texts that the log holds after a start with these values."""
    spec = bundle_spec(state_dir=str(root), started_at=started_at, **different)
    events = EventLog(root / "events.jsonl", "n", history=root / "h.jsonl", wall=lambda: started_at)
    Agent(spec, RunDir(root), FakePrograms(), events)._say_what_starts()
    return [(event.kind, event.text) for event in events.since(0) if event.kind == "config"]


def test_a_start_with_other_files_says_which(tmp_path: Path) -> None:
    _started(tmp_path, 1.0, digests=DIGESTS)
    told = _started(tmp_path, 2.0, digests={**DIGESTS, "certs": "dd"}, haproxy_version="2.6.14")

    assert told[1:] == [("config", "HAProxy 2.6.12 -> 2.6.14; changed: certs")]


def test_a_start_with_the_same_says_nothing_and_nor_does_a_second_agent(tmp_path: Path) -> None:
    for started_at in (1.0, 2.0, 2.0):
        told = _started(tmp_path, started_at, digests=DIGESTS)

    assert told == [("config", "lbctl 1 and HAProxy 2.6.12 for the first time")]


def test_everything_at_once_is_named_as_a_new_password() -> None:
    new = {part: f"{digest}x" for part, digest in DIGESTS.items()}
    before = {"digests": DIGESTS, "version": "1", "haproxy_version": "2.6.12"}
    found = changes(before, bundle_spec(digests=new))

    assert found is not None
    assert found[0] == (
        "changed: certs, haproxy.cfg, lb.yaml (all at once, as a new password does)"
    )
    assert found[1]["digests"] == new


def test_a_record_of_another_version_is_no_trouble() -> None:
    found = changes({"digests": 3, "version": "1"}, bundle_spec(digests=DIGESTS))

    assert found is not None
    assert found[0] == "HAProxy None -> 2.6.12"


def test_only_parts_that_both_know_can_differ() -> None:
    assert differing({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "x", "d": "4"}) == ["b"]


def test_a_start_after_a_reading_of_the_files_compares_with_the_start_before(
    tmp_path: Path,
) -> None:
    _started(tmp_path, 1.0, digests=DIGESTS)
    spec = bundle_spec(state_dir=str(tmp_path), started_at=1.0, digests=DIGESTS)
    events = EventLog(tmp_path / "events.jsonl", "n", history=tmp_path / "h.jsonl")
    agent = Agent(spec, RunDir(tmp_path), FakePrograms(), events)
    agent.inputs._tell(verdict_of(0.0, number=2), "SIGHUP", NginxReloaded(True, ()))
    told = _started(tmp_path, 2.0, digests=DIGESTS)

    assert events.last(1)[0].fields["generation"] == 2
    assert told == [("config", "lbctl 1 and HAProxy 2.6.12 for the first time")]
