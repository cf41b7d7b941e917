"""Handover, pause and resume over the API: what is passed on, what is recorded, what is refused."""

from __future__ import annotations

import pwd
from os import geteuid
from pathlib import Path
from typing import Any

import pytest

from lbctl.agent.agent import Agent
from lbctl.cli.client import ApiClient
from lbctl.errors import LbctlError, NotMasterError, UnreachableError
from tests.unit.agent.test_agent import new_agent
from tests.unit.api.test_server import served

ME = pwd.getpwuid(geteuid()).pw_name


def _commands(agent: Agent) -> list[str]:
    return [event.text for event in agent.events.since(0) if event.kind == "command"]


def test_a_pause_reaches_vipd_and_the_record_says_who_asked(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)

    def use(client: ApiClient) -> Any:
        client.post("/v1/pause", {"why": "new disks", "for_s": 7200})
        return client.get("/v1/status")["ha"]["paused"]

    paused = served(agent, use)

    by = f"{ME}@{agent.spec.hostname}"
    assert (paused["by"], paused["why"]) == (by, "new disks")
    assert paused["until"] - paused["since"] == pytest.approx(7200, abs=1)
    assert _commands(agent) == [f"pause for 7200 s: new disks, asked for by {by}"]


def test_a_resume_ends_it(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)

    def use(client: ApiClient) -> Any:
        client.post("/v1/pause", {})
        client.post("/v1/resume", {})
        return client.get("/v1/status")["ha"]["paused"]

    assert served(agent, use) is None
    assert [text.partition(",")[0] for text in _commands(agent)] == ["pause", "resume"]


@pytest.mark.parametrize(
    "body",
    [
        {"for_s": 0},
        {"for_s": True},
        {"for_s": "2h"},
        {"for_s": 1e12},
        {"why": 3},
        {"why": "x" * 81},
        {"why": "a\nb"},
        {"reason": "misspelt"},
    ],
)
def test_a_pause_that_makes_no_sense_is_refused_and_not_recorded(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    agent = new_agent(tmp_path)

    def use(client: ApiClient) -> None:
        with pytest.raises(LbctlError, match=r"wanted|for_s|why"):
            client.post("/v1/pause", body)

    served(agent, use)

    assert _commands(agent) == []


@pytest.mark.parametrize("what", ["handover", "pause", "resume"])
def test_without_a_vip_there_is_nothing_to_ask(tmp_path: Path, what: str) -> None:
    def use(client: ApiClient) -> None:
        with pytest.raises(NotMasterError, match=f"{what}: this bundle was started without"):
            client.post(f"/v1/{what}", {})

    served(new_agent(tmp_path, group=None), use)


@pytest.mark.parametrize("what", ["handover", "pause", "resume"])
def test_what_was_not_done_is_recorded_with_its_reason(tmp_path: Path, what: str) -> None:
    agent = new_agent(tmp_path)

    def use(client: ApiClient) -> None:
        with pytest.raises(UnreachableError, match="No such file"):
            client.post(f"/v1/{what}", {})

    served(agent, use, role=None)

    asked, failed = _commands(agent)
    assert asked.startswith(f"{what}, asked for by {ME}@")
    assert failed.startswith(f"{what} was not done: vipd at ")
