"""
What is told to the registry, handed to the program ``discovery``, and brought to HAProxy.

The payload goes as it came: who reads it is that program, whose crash is not the agent's.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from lbctl.agent.sources import Sources
from lbctl.errors import ProviderError
from lbctl.follow.apply import Applied
from lbctl.follow.follower import Follower
from lbctl.layout import RunDir
from lbctl.settings.sources import REGISTRY

#: Until the program listens, and until it has answered, seconds.
_START_S, _ANSWER_S = 10.0, 15.0
_AGAIN_S = 0.05
_NOBODY = (FileNotFoundError, ConnectionRefusedError, aiohttp.ClientConnectorError)
_LOST = (
    ConnectionError,
    aiohttp.ClientOSError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
)
#: What it has answered comes on its stream as well; that is what is served.
_HEARD_S = 5.0


@dataclass(frozen=True, slots=True)
class Registered:
    """
    Attributes:
        status: of HTTP.
        answer: the registry's, as JSON.
        applied: what became of it; None: it was refused.
        is_news: whether it changed anything.
    """

    status: int
    answer: dict[str, Any] = field(default_factory=dict)
    applied: Applied | None = None
    is_news: bool = False


class Registration:
    """See the module."""

    def __init__(self, run: RunDir, sources: Sources, follower: Follower) -> None:
        self.start_s = _START_S
        self._path = run.discovery_socket
        self._sources = sources
        self._follower = follower

    async def post(self, raw: bytes) -> Registered:
        """
        Have it taken, and applied.

        Raises:
            ProviderError: nobody took it, or it is not known whether.
        """
        self._sources.want_registry()
        before = self._follower.desired.snapshots().get(REGISTRY)
        status, answer = await self._told(raw)
        if status != 200:
            return Registered(status, answer)
        at = float(answer.pop("at", 0.0))
        if not await self._sources.until_heard(REGISTRY, at, limit_s=_HEARD_S, after=before):
            message = (
                f"the registry has taken it, and does not say so on its stream within {_HEARD_S:g}"
                " s; it is served when it does"
            )
            raise ProviderError(message)
        applied = await self._follower.outcome_of_offered()
        now = self._follower.desired.snapshots().get(REGISTRY)
        had = before.services if before is not None else ()
        return Registered(status, answer, applied, now is not None and now.services != had)

    async def _told(self, raw: bytes) -> tuple[int, dict[str, Any]]:
        deadline = time.monotonic() + self.start_s
        was_lost = False
        while True:
            try:
                return await _post(self._path, raw)
            except _NOBODY as error:
                # Nothing was sent.
                if time.monotonic() > deadline:
                    message = f"discovery does not listen on {self._path} within {self.start_s:g} s"
                    raise ProviderError(message) from error
            except _LOST as error:
                # It has ended meanwhile. A payload says how things are: it may be said again, once,
                # lest it is what has ended it.
                if was_lost:
                    raise self._unknown(error) from error
                was_lost = True
            except TimeoutError as error:
                what = f"no answer in {_ANSWER_S:g} s"
                raise self._unknown(what) from error
            except (aiohttp.ClientError, OSError, ValueError, TypeError) as error:
                raise self._unknown(error) from error
            await asyncio.sleep(_AGAIN_S)

    def _unknown(self, what: object) -> ProviderError:
        return ProviderError(f"{self._path}: POST /registry: {what}; it may be taken")


async def _post(path: Path, raw: bytes) -> tuple[int, dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.post("http://discovery/registry", data=raw) as response,
    ):
        return response.status, dict(json.loads(await response.read()))
