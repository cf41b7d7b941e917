"""
The few questions that Docker is asked: who are you, what runs, what is this one, what happens.

Only GET, so that a proxy in front may refuse all else. Source: Docker Engine API 1.24 to 1.52,
and what Podman 4.3 answers to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

from lbctl.discovery.docker_events import Event, read_event
from lbctl.discovery.docker_read import Container, read_inspected, read_listed
from lbctl.discovery.http import TIMEOUT_S, Client, RefusedError, Reply
from lbctl.errors import ProviderReplyError

#: What we were written for; an engine that is older or newer is asked in the nearest it speaks.
_API: Final = (1, 41)
_VERSION: Final = "/version"
_NOT_FOUND: Final = 404
_FAILED: Final = 500
#: By default the list has no paused ones in Podman, and with ``all`` it has the stopped ones too.
_RUNNING: Final = {"status": ["running", "paused"]}
_EVENTS: Final = {"type": ["container", "network"]}
_PODMAN: Final = "Podman Engine"


@dataclass(frozen=True, slots=True)
class Engine:
    """
    Who answers.

    Attributes:
        is_podman: else Docker.
        prefix: of paths: ``/v1.41``.
        now: its clock, seconds since the epoch; not before the answer was asked for.
    """

    is_podman: bool
    prefix: str
    now: int


class DockerApi:
    """
    Asks one engine.

    Args:
        client: of the engine; ours from now on.
        timeout_s: for one answer, seconds.
    """

    def __init__(self, client: Client, timeout_s: float = TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def engine(self) -> Engine:
        """
        Raises:
            ProviderError: no answer, or none that makes sense.
        """
        reply = await self._client.get_json(_VERSION, None, self._timeout_s)
        data = reply.data if isinstance(reply.data, dict) else {}
        newest = _version(data.get("ApiVersion"))
        if newest is None:
            raise self._nonsense(_VERSION, "an API version", data)
        wanted = max(min(_API, newest), _version(data.get("MinAPIVersion")) or (0, 0))
        parts = data.get("Components")
        names = [one.get("Name") for one in parts or () if isinstance(one, dict)]
        return Engine(_PODMAN in names, f"/v{wanted[0]}.{wanted[1]}", _now(reply))

    async def listed(self, engine: Engine) -> tuple[Container, ...]:
        """
        Those that run or pause.

        Raises:
            ProviderError: no answer, or none that makes sense.
        """
        path = f"{engine.prefix}/containers/json"
        params = {"all": "true", "filters": json.dumps(_RUNNING)}
        try:
            reply = await self._client.get_json(path, params, self._timeout_s)
        except RefusedError as error:
            if not _is_missing(error):
                raise
            # One of them went while it looked.
            reply = await self._client.get_json(path, params, self._timeout_s)
        if not isinstance(reply.data, list):
            raise self._nonsense(path, "a list", reply.data)
        found = [read_listed(one) for one in reply.data]
        return tuple(one for one in found if one is not None)

    async def inspected(self, engine: Engine, container: str) -> Container | None:
        """
        Returns:
            None: there is none of that id.

        Raises:
            RefusedError: whoever is between does not let us ask.
            ProviderError: no answer, or none that makes sense.
        """
        path = f"{engine.prefix}/containers/{quote(container, safe='')}/json"
        try:
            reply = await self._client.get_json(path, None, self._timeout_s, also=(_NOT_FOUND,))
        except RefusedError as error:
            if _is_missing(error):
                return None
            raise
        if reply.status == _NOT_FOUND:
            return None
        found = read_inspected(reply.data)
        if found is None:
            raise self._nonsense(path, "a container", reply.data)
        return found

    async def events(self, engine: Engine) -> AsyncGenerator[Event, None]:
        """
        What happens, from shortly before *engine* was asked on; it may be said twice.

        Raises:
            RefusedError: whoever is between does not let us ask.
            ProviderError: no answer, or none that makes sense, or it has ended.
        """
        path = f"{engine.prefix}/events"
        params = {"filters": json.dumps(_EVENTS), "since": str(engine.now - 1)}
        async with aclosing(self._client.lines(path, params, timeout_s=self._timeout_s)) as lines:
            async for plain in lines:
                event = read_event(plain, is_podman=engine.is_podman)
                if event is not None:
                    yield event
        message = f"docker {self._client.target}: GET {path}: the events have ended"
        raise ProviderReplyError(message)

    async def close(self) -> None:
        await self._client.close()

    def _nonsense(self, path: str, wanted: str, data: object) -> ProviderReplyError:
        shown = json.dumps(data)[:200]
        tried = f"docker {self._client.target}: GET {path}"
        return ProviderReplyError(f"{tried}: the answer is not {wanted}: {shown}")


def is_forbidden(error: RefusedError) -> bool:
    """A proxy says so: to ask again would change nothing."""
    return error.status in (401, 403, 404, 405, 501)


def _is_missing(error: RefusedError) -> bool:
    """Podman calls it a 500 when a container goes while it is looked at."""
    return error.status == _FAILED and "no such container" in error.text


def _version(said: Any) -> tuple[int, int] | None:
    major, _, minor = str(said).partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _now(reply: Reply) -> int:
    """Its own clock: an engine elsewhere may have another one."""
    try:
        return int(parsedate_to_datetime(reply.headers["Date"]).timestamp())
    except (KeyError, ValueError):
        return int(time.time())
