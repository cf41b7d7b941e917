"""The API's part for services: what is refused before anything is done."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.client import ApiClient
from lbctl.errors import LbctlError, UnreachableError, UsageError
from tests.unit.agent.test_agent import new_agent
from tests.unit.api.test_server import served


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("server", {}, '"server" is BACKEND/SERVER'),
        ("server", {"server": "a/b"}, '"admin" or "weight" is wanted'),
        ("server", {"server": "a/b", "admin": "gone"}, '"admin" is null or one of'),
        ("server", {"server": "a/b", "weight": "9"}, '"weight" is null, a number or'),
        ("server", {"server": "a/b", "weight": True}, '"weight" is null, a number or'),
        ("server", {"server": "a/b", "admin": {}}, '"admin" is null or one of'),
        ("server", {"server": "a" * 2000, "admin": "drain"}, '"server" is BACKEND/SERVER'),
        ("reload", {"confirm": "yes"}, "true or false"),
        ("reload", {"sudo": True}, "a JSON object like"),
        ("confirm", {}, "nothing is held back"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    tmp_path: Path, path: str, body: dict[str, Any], wanted: str
) -> None:
    agent = new_agent(tmp_path)

    def use(client: ApiClient) -> None:
        with pytest.raises(LbctlError, match=wanted):
            client.post(f"/v1/{path}", body)

    served(agent, use)

    assert [event for event in agent.events.since(0) if event.kind == "command"] == []


def test_a_server_of_processes_that_have_not_answered_is_not_known_yet(tmp_path: Path) -> None:
    def use(client: ApiClient) -> None:
        with pytest.raises(UsageError, match=r"no such server|not known yet"):
            client.post("/v1/server", {"server": "a/b", "admin": "drain"})

    served(new_agent(tmp_path), use)


def test_a_reload_that_cannot_be_started_says_so(tmp_path: Path) -> None:
    def use(client: ApiClient) -> None:
        with pytest.raises(UnreachableError, match="stage"):
            client.post("/v1/reload", {}, limit_s=5)

    served(new_agent(tmp_path), use)


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"[" * 60_000, "utf-8"), (b"\xff\xfe", "utf-8"), (b"{}", "utf-99")]
)
def test_a_body_that_nobody_can_read_is_a_wrong_question_and_no_fault_of_ours(
    tmp_path: Path, body: bytes, encoding: str
) -> None:
    agent = new_agent(tmp_path)

    def use(_client: ApiClient) -> bytes:
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(agent.run_dir.api_socket))
            head = f"Content-Type: text/plain; charset={encoding}\r\nContent-Length: {len(body)}"
            more = f"Host: x\r\nConnection: close\r\n{head}\r\n\r\n"
            asker.sendall(f"POST /v1/reload HTTP/1.1\r\n{more}".encode() + body)
            return b"".join(iter(lambda: asker.recv(65536), b""))

    answer = served(agent, use)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"a JSON object like" in answer
