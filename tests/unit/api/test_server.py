"""The HTTP API over a real Unix socket, asked by the commands' own client."""

from __future__ import annotations

import asyncio
import http.client
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.agent.agent import Agent
from lbctl.agent.status import unready
from lbctl.api.server import build, serve
from lbctl.cli.client import ApiClient
from lbctl.discovery.state import SourceState
from lbctl.errors import LbctlError, NotMasterError, UnreachableError
from lbctl.layout import RunDir
from lbctl.programs import ProgramEvent, ProgramState
from tests.agent_sources import CONSUL, generation
from tests.fakes.vipd import FakeVipd
from tests.unit.agent.test_agent import new_agent


def served(
    agent: Agent,
    use: Callable[[ApiClient], Any],
    role: str | None = "MASTER",
    raw: bytes | None = None,
) -> Any:
    """
    What *use* returns, run in a thread while *agent* is served; *role* None: without vipd, which
    says *raw* to everything.
    """

    async def live() -> Any:
        agent.run_dir.api.mkdir(exist_ok=True)
        runner = await serve(build(agent), agent.run_dir.api_socket)
        try:
            if role is None:
                return await asyncio.to_thread(use, ApiClient(agent.run_dir))
            async with FakeVipd(agent.run_dir.vipd_socket) as vipd:
                vipd.role, vipd.raw = role, raw
                return await asyncio.to_thread(use, ApiClient(agent.run_dir))
        finally:
            await runner.cleanup()

    return asyncio.run(live())


def test_it_lives_and_is_not_ready_and_says_why(tmp_path: Path) -> None:
    def use(client: ApiClient) -> None:
        assert client.get("/healthz") == {"ok": True}
        with pytest.raises(LbctlError, match="no HAProxy process answers"):
            client.get("/readyz")

    served(new_agent(tmp_path), use)


def test_a_status_has_every_part(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    agent.table.apply(ProgramEvent("nginx", "nginx", ProgramState.FATAL, ProgramState.BACKOFF))
    agent.run_dir.log.mkdir()
    agent.run_dir.log_counters.write_text('{"dropped": {"nginx": 3}}')

    status = served(agent, lambda client: client.get("/v1/status"))

    assert set(status) == {
        "version", "node", "hostname", "started_at", "uptime_s", "ha", "ha_error",
        "checks", "programs", "haproxy", "apply", "discovery", "digests", "log", "warnings",
        "events",
    }  # fmt: skip
    assert status["ha"]["role"] == "MASTER"
    assert [program["name"] for program in status["programs"]] == ["nginx", "vipd", "agent"]
    assert status["warnings"] == [
        "nginx is FATAL",
        "3 log lines were dropped while nobody read the output",
    ]


def test_a_status_without_vipd_says_so(tmp_path: Path) -> None:
    status = served(new_agent(tmp_path), lambda client: client.get("/v1/status"), role=None)

    assert status["ha"] is None
    assert "vipd.sock: status: No such file" in status["ha_error"]
    assert status["ha_error"] in status["warnings"]


def test_a_handover_reports(tmp_path: Path) -> None:
    answer = served(new_agent(tmp_path), lambda client: client.post("/v1/handover", {}))

    assert answer["report"]["taken_over_by"] == "10.0.1.12"


def test_a_backup_has_nothing_to_hand_over(tmp_path: Path) -> None:
    def use(client: ApiClient) -> None:
        with pytest.raises(NotMasterError, match="this node is BACKUP"):
            client.post("/v1/handover", {"force": True})

    served(new_agent(tmp_path), use, role="BACKUP")


def test_a_bundle_without_a_vip_has_nothing_to_hand_over(tmp_path: Path) -> None:
    def use(client: ApiClient) -> None:
        assert client.get("/v1/status")["ha_error"] is None
        with pytest.raises(NotMasterError, match="without a virtual IP"):
            client.post("/v1/handover", {})

    served(new_agent(tmp_path, group=None), use)


def test_a_handover_without_vipd_is_unreachable(tmp_path: Path) -> None:
    def use(client: ApiClient) -> None:
        with pytest.raises(UnreachableError, match=r"vipd\.sock: handover: No such file"):
            client.post("/v1/handover", {})

    served(new_agent(tmp_path), use, role=None)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v1/events?since=x", "since='x': must be a number"),
        ("/v1/events?limit=-1", "limit='-1': must be a number"),
        ("/v1/events?since=" + "9" * 30, "must be a number"),
        ("/nowhere", "Not Found"),
        ("/v1/handover", "Method Not Allowed"),
    ],
)
def test_a_wrong_question_gets_an_error_in_json(tmp_path: Path, path: str, wanted: str) -> None:
    def use(client: ApiClient) -> None:
        with pytest.raises(LbctlError, match=wanted):
            client.get(path)

    served(new_agent(tmp_path), use)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"force": "yes"}'])
def test_force_is_a_boolean_in_an_object(tmp_path: Path, body: bytes) -> None:
    agent = new_agent(tmp_path)

    def use(client: ApiClient) -> None:
        with (
            pytest.raises(LbctlError, match=r"wanted|true or false"),
            client._answer("POST", "/v1/handover", body.decode(), 2, "application/json"),
        ):
            pass

    served(agent, use)


def test_events_come_as_a_list_with_limit_and_since(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    for number in range(1, 6):
        agent.events.append("program", f"event {number}")

    def ids(path: str) -> Callable[[ApiClient], list[int]]:
        return lambda client: [event["id"] for event in client.get(path)]

    def use(client: ApiClient) -> list[list[int]]:
        return [
            ids("/v1/events")(client),
            ids("/v1/events?limit=2")(client),
            ids("/v1/events?since=3")(client),
        ]

    assert served(agent, use) == [[1, 2, 3, 4, 5], [4, 5], [4, 5]]


def test_a_stream_resumes_after_the_last_event_id(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    for number in range(1, 4):
        agent.events.append("role", f"event {number}")

    def use(client: ApiClient) -> list[int]:
        seen = []
        for event in client.stream("/v1/events?since=1"):
            seen.append(event["id"])
            if len(seen) == 2:
                return seen
        return seen

    assert served(agent, use) == [2, 3]


def test_the_socket_is_for_its_group_and_replaces_a_stale_one(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    agent.run_dir.api.mkdir()
    agent.run_dir.api_socket.touch()

    def use(_client: ApiClient) -> int:
        return stat.S_IMODE(agent.run_dir.api_socket.stat().st_mode)

    assert served(agent, use) == 0o660


def test_no_bundle_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="no bundle runs on this --run-dir"):
        ApiClient(RunDir(tmp_path)).get("/v1/status")


def test_foreign_errors_do_not_pass_the_client(tmp_path: Path) -> None:
    """A server that speaks no HTTP, or no JSON."""
    run = RunDir(tmp_path)
    run.api.mkdir()

    async def ask(reply: bytes) -> str:
        async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(reply)
            writer.close()

        async with await asyncio.start_unix_server(serve_raw, run.api_socket):
            with pytest.raises(UnreachableError) as caught:
                await asyncio.to_thread(ApiClient(run).get, "/v1/status")
        return str(caught.value)

    for reply in (b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"[:-1]):
        assert "GET /v1/status" in asyncio.run(ask(reply))
    assert issubclass(http.client.IncompleteRead, http.client.HTTPException)


def test_a_source_that_was_never_heard_is_why_a_node_is_not_ready(tmp_path: Path) -> None:
    agent = new_agent(tmp_path)
    agent.sources.configure(generation(CONSUL))
    status = served(agent, lambda client: client.get("/v1/status"))
    state = SourceState(source="consul", target="http://x", state="failing", since=1.0, error="no")
    agent.sources.take_states((state, replace(state, source="docker")))
    told = served(agent, lambda client: client.get("/v1/status"))

    assert "consul: not heard yet" in unready(agent)
    assert "consul: not heard yet" in status["warnings"]
    assert [(one["source"], one["state"]) for one in told["discovery"]] == [("consul", "failing")]
    assert "no; nothing of it is known" in told["warnings"]
