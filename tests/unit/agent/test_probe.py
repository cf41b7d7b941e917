from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from lbctl.agent.probe import Answer, ask_http, ask_runtime


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Accepts by itself, as the kernel does for a process that is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _ask(listener: socket.socket, limit_s: float = 0.1) -> Answer:
    return asyncio.run(ask_http("127.0.0.1", listener.getsockname()[1], limit_s=limit_s))


def test_silence_is_no_answer(listener: socket.socket) -> None:
    assert _ask(listener) is Answer.NO


def test_a_closed_port_is_no_answer(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()

    assert asyncio.run(ask_http("127.0.0.1", port, limit_s=0.1)) is Answer.NO


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Answer.YES),
        (b"HTTP/1.1 503 no\r\n\r\n", Answer.YES),
        (b"220 mail\r\n", Answer.NO),
        (b"", Answer.NO),
    ],
)
def test_any_word_of_http_is_an_answer(
    listener: socket.socket, reply: bytes, wanted: Answer
) -> None:
    async def live() -> Answer:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(reply)
            writer.close()

        server = await asyncio.start_server(serve, sock=listener)
        async with server:
            return await ask_http("127.0.0.1", listener.getsockname()[1], limit_s=1)

    assert asyncio.run(live()) is wanted


def test_one_who_was_held_up_itself_has_no_opinion(listener: socket.socket) -> None:
    async def live() -> Answer:
        question = asyncio.create_task(
            ask_http("127.0.0.1", listener.getsockname()[1], limit_s=0.05)
        )
        await asyncio.sleep(0.01)
        time.sleep(0.4)  # noqa: ASYNC251  # the whole loop stands still, as on a starved host
        return await question

    assert asyncio.run(live()) is Answer.UNSURE


def test_no_descriptor_left_on_this_side_says_nothing_about_the_other(
    listener: socket.socket,
) -> None:
    async def live() -> Answer:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
        try:
            return await ask_http("127.0.0.1", listener.getsockname()[1], limit_s=0.1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert asyncio.run(live()) is Answer.UNSURE


def test_a_runtime_socket_that_is_not_there_is_no_answer() -> None:
    assert asyncio.run(ask_runtime("/nonexistent/1.sock", limit_s=0.1)) is Answer.NO
