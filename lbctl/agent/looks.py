"""
One look at something that the addresses depend on: HTTP, TCP, or a program of the operator.

A look ends within its time limit and never raises; what it says is short and the same for the same
failure. Where this side is short of descriptors or was itself held up it has no opinion.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from lbctl.agent import command
from lbctl.agent.probe import LATE_S, OURS
from lbctl.ha.checks import Look
from lbctl.spec import CheckSpec

#: An answer is read so far: whoever sends headers and hangs has not answered.
BODY_BYTES = 64 * 1024
OUTPUT_BYTES = 4096
#: Of a program's first line.
_REASON_CHARACTERS = 160


class Looker:
    """Looks; ``close`` ends what it holds. Belongs to one event loop."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._session: aiohttp.ClientSession | None = None

    async def look(self, check: CheckSpec) -> Look:
        """One look; takes ``check.timeout_s`` at most, and a moment."""
        began = time.monotonic()
        try:
            look = await self._by_kind(check.kind)(check)
        except TimeoutError:
            look = Look(False, f"{_tried(check)}: no answer in {check.timeout_s:g} s")
        except (OSError, aiohttp.ClientError, ValueError) as error:
            return _from_error(check, error)
        is_late = time.monotonic() - began > check.timeout_s + LATE_S
        return Look(None, "this side was held up") if is_late and not look.is_well else look

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _by_kind(self, kind: str) -> Callable[[CheckSpec], Awaitable[Look]]:
        return {"http": self._http, "tcp": self._tcp, "command": self._command}[kind]

    async def _http(self, check: CheckSpec) -> Look:
        lowest, highest = check.expect
        # aiohttp rounds its own limits up to whole seconds.
        async with (
            asyncio.timeout(check.timeout_s),
            self._opened().get(
                check.target, headers=dict(check.headers), allow_redirects=False
            ) as answer,
        ):
            read_bytes = 0
            async for chunk in answer.content.iter_any():
                read_bytes += len(chunk)
                if read_bytes >= BODY_BYTES:
                    break
            what = f"HTTP {answer.status} from {check.target}"
            return Look(lowest <= answer.status <= highest, what)

    def _opened(self) -> aiohttp.ClientSession:
        """Each look is a new connection, as a client's; no cookies, no proxies, any certificate."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=False, force_close=True, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "lbctl"},
                timeout=aiohttp.ClientTimeout(),
                trust_env=False,
                auto_decompress=False,
            )
        return self._session

    async def _tcp(self, check: CheckSpec) -> Look:
        host, _, port = check.target.rpartition(":")
        async with asyncio.timeout(check.timeout_s):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.transport.abort()
        return Look(True, f"{check.target} accepts")

    async def _command(self, check: CheckSpec) -> Look:
        more = {**self._environment, "LBCTL_CHECK": check.name}
        ended = await command.run(
            check.argv,
            command.minimal_environment(more),
            limit_s=check.timeout_s,
            keep_bytes=OUTPUT_BYTES,
        )
        what = f"{_tried(check)}: {ended.sentence(check.timeout_s)}"
        return Look(ended.code == 0, what[:_REASON_CHARACTERS])


def _tried(check: CheckSpec) -> str:
    return check.argv[0] if check.kind == "command" else check.target


def _from_error(check: CheckSpec, error: Exception) -> Look:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    said = str(error) or type(error).__name__
    if isinstance(inner, socket.gaierror):
        said = inner.strerror or said
    elif isinstance(inner, OSError) and inner.errno:
        said = os.strerror(inner.errno)
        if inner.errno in OURS:
            return Look(None, f"{_tried(check)}: {said} on this side")
    return Look(False, f"{_tried(check)}: {said}"[:_REASON_CHARACTERS])
