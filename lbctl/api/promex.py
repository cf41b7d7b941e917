"""
HAProxy's own exporter, passed through: all that one process knows, as that process says it.

Streamed: at 10,000 servers it is 54 MB. The agent keeps none of it.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.errors import UnreachableError
from lbctl.haproxy.lines import read
from lbctl.model.address import bracketed
from lbctl.spec import HaproxyProcess

#: For its first word, seconds: it has counted nothing together by then.
_HEAD_S: Final = 5.0
#: Between two pieces, seconds.
_GAP_S: Final = 10.0
_CHUNK_BYTES: Final = 64 * 1024
_KIND: Final = "text/plain"
_USERLIST: Final = "userlist"


class NoExporterError(UnreachableError):
    """HAProxy was built without it, or is older than 2.4."""


@asynccontextmanager
async def exported(agent: Agent, process: HaproxyProcess) -> AsyncIterator[AsyncIterator[bytes]]:
    """
    What *process* says, piece by piece.

    Raises:
        NoExporterError: it cannot say it.
        UnreachableError: it does not.
    """
    url = f"http://{bracketed(process.stats_host)}:{process.stats_port}/metrics"
    timeout = aiohttp.ClientTimeout(sock_connect=_HEAD_S, sock_read=_GAP_S)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_login(agent),
        timeout=timeout,
        trust_env=False,
    )
    tried = f"{process.program}: {url}"
    async with session:
        try:
            async with asyncio.timeout(_HEAD_S):
                answer = await session.get(url, allow_redirects=False)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            said = str(error) or f"no answer in {_HEAD_S:g} s"
            message = f"{tried}: {said}; the other processes' metrics do not depend on it"
            raise UnreachableError(message) from error
        async with answer:
            if answer.status != 200:
                message = f"{tried}: HTTP {answer.status}; nothing is passed on"
                raise UnreachableError(message)
            if answer.content_type != _KIND:
                message = (
                    f"{tried}: HAProxy {agent.spec.haproxy_version} has no exporter here: it needs "
                    "2.4 or later, built with it; /metrics alone does without"
                )
                raise NoExporterError(message)
            yield answer.content.iter_chunked(_CHUNK_BYTES)


def _login(agent: Agent) -> dict[str, str]:
    """To the statistics; lbctl itself has written it, into what HAProxy loads."""
    generation = agent.sources.generation
    files: Mapping[str, str] = {} if generation is None else generation.haproxy_files
    for text in files.values():
        for line in read(text):
            # user NAME insecure-password PASSWORD
            if line.section == _USERLIST and line.keyword == "user" and len(line.words) > 3:
                login = b64encode(f"{line.words[1]}:{line.words[3]}".encode()).decode()
                return {"Authorization": f"Basic {login}"}
    return {}


def process_asked(agent: Agent, number: str) -> HaproxyProcess:
    """
    ``?process=1``

    Raises:
        HTTPBadRequest: there is none.
    """
    for process in agent.spec.processes:
        if str(process.number) == number:
            return process
    there = ", ".join(str(process.number) for process in agent.spec.processes)
    raise web.HTTPBadRequest(reason=f"process={number!r}: there are {there}")
