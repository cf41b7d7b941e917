"""What a source said last is read back exactly, and a file that makes no sense counts as none."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from lbctl.discovery.saved import read_all, read_snapshot, write_snapshot
from lbctl.layout import StateDir
from lbctl.model.service import Server, Service, Snapshot

WHOLE = Snapshot(
    "consul",
    (Service(name="ä/v1", servers=(Server(address="10.0.0.1:80", weight=5),)),),
    1234.5,
    ("service bad is left out",),
    {"haproxy.maxconn": "1024"},
    {"web": ("10.0.0.1", "fd00::1")},
)


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path)


def whole(**other: object) -> str:
    """A file without services, but for what is *other* in it."""
    good: dict[str, object] = {"services": [], "problems": [], "settings": {}, "names": {}}
    return json.dumps({"version": 1, "source": "consul", "at": 1, **good, **other})


def spoil(state: StateDir, text: str | bytes) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    state.snapshot("consul").write_bytes(content)


def test_what_was_written_is_read_and_is_closed_to_others(state: StateDir) -> None:
    write_snapshot(state, WHOLE)
    write_snapshot(state, Snapshot("docker", (), 1.0))

    assert read_snapshot(state, "consul") == WHOLE
    assert [one.source for one in read_all(state)] == ["consul", "docker"]
    assert stat.S_IMODE(state.snapshot("consul").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.discovery.stat().st_mode) == 0o700


def test_what_was_never_written_is_nothing_and_no_reason_to_complain(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_snapshot(state, "consul") is None
    assert read_all(state) == ()
    assert not caplog.records


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff\xfe\x00",
        "[" * 100_000,
        json.dumps({"version": 2}),
        json.dumps({"version": 1, "source": "docker"}),
        json.dumps({"version": 1, "source": "consul", "services": []}),
        whole(at=float("nan")),
        whole(at=None),
        whole(at=10**400),
        whole(problems="x"),
        whole(settings={"a": 1}),
        whole(names=[]),
        whole(names={"a": "10.0.0.1"}),
        whole(names={"a": ["a.example.com"]}),
        whole(names={"a": ["fe80::1%a\n"]}),
    ],
    ids=lambda text: repr(text[:60]),
)
def test_garbage_counts_as_nothing_and_is_told(
    state: StateDir, caplog: pytest.LogCaptureFixture, text: str | bytes
) -> None:
    write_snapshot(state, Snapshot("docker", (), 1.0))
    spoil(state, text)

    assert [one.source for one in read_all(state)] == ["docker"]
    assert "what consul said last is not known" in caplog.text
    assert str(state.snapshot("consul")) in caplog.text


def test_a_fifo_in_its_place_keeps_nobody_waiting(state: StateDir) -> None:
    write_snapshot(state, Snapshot("docker", (), 1.0))
    os.mkfifo(state.snapshot("consul"))

    assert read_snapshot(state, "consul") is None


def test_a_bad_service_in_a_file_is_left_out_alone(state: StateDir) -> None:
    write_snapshot(state, WHOLE)
    raw = json.loads(state.snapshot("consul").read_text())
    raw["services"].append({"name": "bad", "balance": "x\ny"})
    spoil(state, json.dumps(raw))
    found = read_snapshot(state, "consul")

    assert found is not None
    assert found.services == WHOLE.services
    assert "consul (saved): service bad is left out" in found.problems[-1]
