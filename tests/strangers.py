"""The API over TCP and over its Unix socket, served in this process and asked by whoever."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from lbctl.agent.agent import Agent
from lbctl.api.access_tokens import READ_KEY, WRITE_KEY
from lbctl.api.refusals import REFUSED
from lbctl.api.server import build, serve
from lbctl.api.tcp import CERT_KEY, KEY_KEY, serve_tcp
from lbctl.settings.discovery import Api, ApiTls
from lbctl.settings.model import Settings
from tests.agent_sources import generation
from tests.places import free_ports
from tests.unit.agent.test_agent import new_agent

WRITE, READ = "a-token-to-write-with", "a-token-to-read-with"
WRITER = {"Authorization": f"Bearer {WRITE}"}
READER = {"Authorization": f"Bearer {READ}"}
#: What any browser sends when somebody types an address.
BROWSER = {"User-Agent": "Mozilla/5.0", "Accept": "text/html,*/*", "Accept-Language": "en"}
#: An answer that does not come would be waited for.
WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Of HTTP, whole."""

    status: int
    text: str
    headers: Mapping[str, str]


class Served:
    """
    An agent that is asked.

    Attributes:
        url: of the API over TCP.
    """

    def __init__(self, root: Path) -> None:
        self.agent: Agent = new_agent(root)
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.app = build(self.agent)
        self._writers: list[asyncio.StreamWriter] = []
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._local = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.UnixConnector(str(self.agent.run_dir.api_socket)),
        )

    @property
    def refused(self) -> dict[str, int]:
        """Reasons for which somebody was refused."""
        return {why: count for why, count in self.app[REFUSED].items() if count}

    @property
    def told(self) -> list[str]:
        """Events of the API, and of what was asked to be changed."""
        return [one.text for one in self.agent.events.since(0) if one.kind in ("api", "command")]

    def configure(
        self,
        *,
        write: str = WRITE,
        read: str = READ,
        rate: float = 10000.0,
        pair: tuple[bytes, bytes] | None = None,
    ) -> None:
        """As a reload does; *pair*: certificate and key."""
        tls = ApiTls(cert_file="/cert") if pair else ApiTls()
        api = Api(
            bind=f"127.0.0.1:{self.port}", token_file="/w", read_token_file="/r", rate_per_s=rate,
            tls=tls,
        )  # fmt: skip
        secrets = {WRITE_KEY: write.encode(), READ_KEY: read.encode()}
        if pair:
            secrets |= {CERT_KEY: pair[0], KEY_KEY: pair[1]}
        found = generation(Settings(api=api))
        self.agent.sources.configure(
            replace(found, secrets={key: text for key, text in secrets.items() if text})
        )

    async def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        local: bool = False,
        **more: Any,
    ) -> Answer:
        """*local*: over the Unix socket."""
        session, base = (self._local, "http://localhost") if local else (self._session, self.url)
        async with session.request(
            method, base + path, headers=headers, allow_redirects=False, **more
        ) as found:
            return Answer(found.status, await found.text(), found.headers)

    async def post(
        self, path: str, headers: Mapping[str, str], *, local: bool = False, **more: Any
    ) -> Answer:
        return await self.ask(path, headers, method="POST", local=local, **more)

    async def connected(
        self, context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection over TCP."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        await self._session.close()
        await self._local.close()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other end hangs up."""
    with suppress(ConnectionError, ssl.SSLError):
        return await asyncio.wait_for(reader.read(), WITHIN_S)
    return b""


def served(
    root: Path,
    use: Callable[[Served], Awaitable[Any]],
    before: Callable[[Served], None] = lambda _: None,
    **configured: Any,
) -> Any:
    """What *use* returns while the API listens on both; *before* it does, routes may be added."""

    async def live() -> Any:
        one = Served(root)
        before(one)
        one.agent.run_dir.api.mkdir(exist_ok=True)
        runner = await serve(one.app, one.agent.run_dir.api_socket)
        one.configure(**configured)
        try:
            await serve_tcp(runner, one.agent)
            return await use(one)
        finally:
            await one.close()
            await runner.cleanup()

    return asyncio.run(live())


def cookie_of(answer: Answer) -> dict[str, str]:
    """What a browser sends from then on."""
    found = re.match(r"lbctl=([^;]*)", answer.headers.get("Set-Cookie", ""))
    assert found is not None, answer
    return {"Cookie": f"lbctl={found[1]}"}
