"""Connections over TCP that nobody needs: ended, and never more than there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from lbctl.api.server import build, serve
from lbctl.api.tcp import serve_tcp
from tests.loops import in_a_loop
from tests.places import free_ports
from tests.unit.agent.test_agent import new_agent
from tests.unit.api.test_tcp import configured

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Use = Callable[[Open], Awaitable[None]]

_ASKED = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
#: An end that does not come would be waited for.
WITHIN_S = 5.0


async def with_tcp(root: Path, use: Use) -> None:
    agent = new_agent(root)
    agent.run_dir.api.mkdir()
    (port,) = free_ports(1)
    runner = await serve(build(agent), agent.run_dir.api_socket)
    configured(agent, port)
    writers = []

    async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    try:
        await serve_tcp(runner, agent)
        await use(opened)
    finally:
        for writer in writers:
            writer.close()
        await runner.cleanup()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other end hangs up."""
    with suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), WITHIN_S)
    return b""


@in_a_loop
async def test_who_does_not_end_his_question_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.api.visitors.HEAD_S", 0.1)

    async def use(opened: Open) -> None:
        reader, writer = await opened()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: ")

        assert await rest_of(reader) == b""

    await with_tcp(tmp_path, use)


@in_a_loop
async def test_a_connection_ends_with_its_answer(tmp_path: Path) -> None:
    async def use(opened: Open) -> None:
        reader, writer = await opened()
        writer.write(_ASKED)
        answer = await rest_of(reader)

        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"Connection: close" in answer

    await with_tcp(tmp_path, use)


@in_a_loop
async def test_more_than_there_is_room_for_are_hung_up_on_and_the_next_one_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbctl.api.visitors.MOST", 2)

    async def use(opened: Open) -> None:
        first, writer = await opened()
        await opened()
        await asyncio.sleep(0)
        refused, _ = await opened()

        assert await rest_of(refused) == b""

        writer.write(_ASKED)
        assert await rest_of(first) != b""
        again, writer = await opened()
        writer.write(_ASKED)
        assert (await rest_of(again)).startswith(b"HTTP/1.1 200 OK")

    await with_tcp(tmp_path, use)
