"""The HTTP client of the sources against a server that does everything wrong."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from lbctl.discovery.http import Client, RefusedError
from lbctl.discovery.url import TlsFiles
from lbctl.errors import ProviderError, ProviderReplyError, ProviderTimeout
from tests.fakes.fault_server import FAULTS, fault_server
from tests.loops import in_a_loop
from tests.pems import Issued, issue

pytestmark = pytest.mark.contract

WELL = {"hello/v1": ["rest"]}
TOKEN = "hunter2"
LIMIT_S = 0.3

#: What each fault is to the client, and the words of it.
EXPECTED: dict[str, tuple[type[ProviderError], str]] = {
    "no_answer": (ProviderTimeout, "no answer in 0.3 s"),
    "slow_answer": (ProviderTimeout, "no answer in 0.3 s"),
    "huge_answer": (ProviderReplyError, "GET /v1/x: longer than 64 MB"),
    "cut": (ProviderReplyError, "GET /v1/x: the answer was cut off"),
    "hangs_up": (ProviderReplyError, "GET /v1/x: it hung up without an answer"),
    "no_http": (ProviderReplyError, "GET /v1/x: the answer is no HTTP: "),
    "garbled_answer": (ProviderReplyError, "GET /v1/x: the answer is no JSON: '{\"a\": [1, 2'"),
    "binary_answer": (ProviderReplyError, "GET /v1/x: the answer is no JSON: "),
    "deep_answer": (ProviderReplyError, "GET /v1/x: the answer is no JSON: "),
    "empty_answer": (ProviderReplyError, "GET /v1/x: the answer is no JSON: nothing"),
    "wrong_type": (ProviderReplyError, "the answer is no JSON: '<html>Log in first</html>'"),
    "error_500": (RefusedError, "GET /v1/x: 500 Internal Server Error: 'No cluster leader'"),
    "forbidden": (RefusedError, "GET /v1/x: 403 Forbidden: 'Permission denied'"),
    "redirect": (RefusedError, "302 Found: it redirects to 'http://127.0.0.1:1/elsewhere'"),
}


async def ask(client: Client, limit_s: float = 5.0) -> Any:
    return (await client.get_json("/v1/x", {"wait": "55s"}, limit_s)).data


def test_every_fault_that_the_server_knows_is_expected() -> None:
    assert set(EXPECTED) == set(FAULTS) - {"none"}


@pytest.mark.parametrize("fault", sorted(EXPECTED))
@in_a_loop
async def test_a_fault_is_named_and_the_next_question_is_answered(fault: str) -> None:
    kind, words = EXPECTED[fault]
    async with fault_server(WELL) as server:
        client = Client("consul", server.url, token=TOKEN)
        server.fault = fault
        with pytest.raises(ProviderError) as raised:
            # A huge answer takes what it takes; the others have no reason to.
            await ask(client, 20.0 if fault == "huge_answer" else LIMIT_S)
        said = str(raised.value)
        server.fault = "none"
        answer = await ask(client)
        await client.close()

    assert type(raised.value) is kind
    assert said.startswith(f"consul {server.url}: ")
    assert words in said
    assert TOKEN not in said + repr(client) + repr(raised.value)
    assert answer == WELL


@in_a_loop
async def test_nobody_there_and_no_such_name_are_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = []
    for url in (f"http://127.0.0.1:{port}", "http://no.such.name.invalid:80", "unix:///no/socket"):
        client = Client("docker", url)
        with pytest.raises(ProviderError) as raised:
            await ask(client)
        said.append(str(raised.value))
        await client.close()

    assert said[0] == f"docker http://127.0.0.1:{port}: Connection refused"
    assert said[1].startswith("docker http://no.such.name.invalid:80: ")
    assert "ssl" not in said[1]
    assert said[2] == "docker unix:///no/socket: No such file or directory"


@in_a_loop
async def test_a_request_says_what_was_asked_and_the_token_and_follows_no_redirect() -> None:
    async with fault_server(WELL) as server:
        client = Client("consul", f"{server.url}/under/", token=TOKEN)
        await client.get_json("/v1/kv/a%2Fb%20c", {"recurse": ""})
        await client.put("/v1/agent", {"ID": "ä"})
        await client.post("/v1/raw", b"\x00")
        await client.delete("/v1/kv/a")
        server.fault = "redirect"
        with pytest.raises(RefusedError):
            await client.put("/v1/agent", b"")
        await client.close()
    first, put, post, delete, _ = server.asked

    assert (first.method, first.path) == ("GET", "/under/v1/kv/a%2Fb%20c?recurse=")
    assert {one.headers["authorization"] for one in server.asked} == {"Bearer hunter2"}
    assert (put.headers["content-type"], put.body) == ("application/json", b'{"ID": "\\u00e4"}')
    assert (post.method, post.body) == ("POST", b"\x00")
    assert (delete.method, delete.path) == ("DELETE", "/under/v1/kv/a")


@in_a_loop
async def test_a_status_that_was_asked_for_is_an_answer() -> None:
    async with fault_server(WELL) as server:
        client = Client("consul", server.url)
        server.fault = "forbidden"
        reply = await client.get_json("/v1/x", also=(403,))
        await client.close()

    assert (reply.status, reply.data) == (403, None)
    assert reply.headers["Content-Type"] == "text/plain"


@in_a_loop
async def test_a_unix_socket_is_asked_as_a_port_is(tmp_path: Path) -> None:
    async with fault_server(WELL, tmp_path / "docker.sock") as server:
        client = Client("docker", server.url)
        answer = await ask(client)
        await client.close()

    assert answer == WELL
    assert client.target == f"unix://{tmp_path}/docker.sock"


@in_a_loop
async def test_no_more_connections_are_open_than_allowed_and_they_are_used_again() -> None:
    async with fault_server(WELL) as server:
        client = Client("consul", server.url, limit=3)
        await asyncio.gather(*(ask(client) for _ in range(30)))
        most = len(server.readers)
        await client.close()

    assert len(server.asked) == 30
    assert most <= 3


def server_tls(own: Issued, clients: Issued, root: Path) -> ssl.SSLContext:
    """A server that is *own*, and wants those whom *clients* has issued."""
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cadata=clients.pem.decode("ascii")
    )
    (root / "own.pem").write_bytes(own.both)
    context.load_cert_chain(root / "own.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@in_a_loop
async def test_tls_is_mutual_and_says_who_is_not_believed(tmp_path: Path) -> None:
    authority = issue("ca", is_authority=True)
    server_pair, own = issue("localhost", by=authority), issue("lbctl", by=authority)
    tls = server_tls(server_pair, authority, tmp_path)
    said: list[Any] = []
    files = TlsFiles(authority.pem, own.pem, own.key)
    async with fault_server(WELL, tls=tls) as server:
        for one in (files, TlsFiles(authority.pem, own.both), None, TlsFiles(authority.pem)):
            client = Client("consul", server.url, tls=one)
            try:
                said.append(await ask(client))
            except ProviderError as error:
                said.append(str(error))
            await client.close()

    assert said[:2] == [WELL, WELL]
    assert said[2].startswith(f"consul {server.url}: its certificate is not believed: ")
    assert said[3].startswith(f"consul {server.url}: ")


async def stream(*parts: bytes, silence_s: float | None = None) -> list[Any]:
    """What :meth:`Client.lines` makes of a chunked answer that comes in these parts."""
    found: list[Any] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        if silence_s is not None:
            await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        client = Client("docker", f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        try:
            async with aclosing(client.lines("/events", silence_s=silence_s)) as lines:
                async for line in lines:
                    found.append(line)  # noqa: PERF401 - those before an error count
        except ProviderError as error:
            found.append(str(error).partition(": GET /events: ")[2])
        await client.close()
        await ended.wait()
    return found


@in_a_loop
async def test_lines_come_whole_however_they_are_parted() -> None:
    found = await stream(b'{"a"', b': 1}\n\n{"a": 2}\r\n{"', b'a": 3}', b"\n", b'{"a": 4}', b"")

    assert found == [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}]


@in_a_loop
async def test_a_stream_that_is_cut_or_garbled_or_silent_says_so_after_what_was_whole() -> None:
    cut = await stream(b'{"a": 1}\n{"a"')
    garbled = await stream(b'{"a": 1}\nnonsense\n', b"")
    silent = await stream(b'{"a": 1}\n', silence_s=0.2)

    assert cut == [{"a": 1}, "the answer was cut off"]
    assert garbled == [{"a": 1}, "a line of the answer is no JSON: 'nonsense'"]
    assert silent == [{"a": 1}, "nothing more came for 0.2 s"]
