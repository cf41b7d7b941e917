"""
The API server: lists, watches, and what its answers say of themselves.

Owns how it is asked: a list in parts, a watch from where the list ended, and the token, which a
pod is given anew about every hour and which is therefore read whenever it is used. What the objects
mean is :mod:`lbctl.discovery.kubernetes_read`'s.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from lbctl.discovery.http import Client, RefusedError
from lbctl.discovery.kubernetes_read import version_of
from lbctl.discovery.url import TlsFiles
from lbctl.errors import ConfigError, Problem, ProviderReplyError
from lbctl.files import read_bounded
from lbctl.model.address import bracketed
from lbctl.settings.discovery import IN_CLUSTER, SERVICE_ACCOUNT, Kubernetes

#: For an answer that is not waited for, seconds.
ANSWER_S: Final = 5.0
#: For a part of a list, seconds: it may be of thousands of objects.
LIST_S: Final = 30.0
#: Objects in a part: as client-go and kubectl ask.
PART: Final = 500
#: A watch that has not ended so long after it was to end hangs, seconds.
LATE_S: Final = 10.0
#: Two watches, and a sign of life beside them.
CONNECTIONS: Final = 3

_SECRETS: Final = "discovery.kubernetes."
_GONE: Final = 410
_UNAUTHORIZED: Final = 401
#: It does not know us, has no time, or is about to start: where the watch was it can go on.
_LATER: Final = (401, 403, 429, 502, 503)
#: It is there, whatever else it thinks of us.
_ALIVE: Final = (403, 404)
#: As RFC 9110 lets it stand in a header.
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_FILE_MAX_BYTES: Final = 1 << 20

T = TypeVar("T")


class LostError(ProviderReplyError):
    """A watch cannot go on from where it was: all must be listed anew."""


class GoneError(LostError):
    """What happened since then is not known any more: no more than that."""


@dataclass(frozen=True, slots=True)
class Listed:
    """
    Attributes:
        items: plain objects.
        version: a watch goes on from here.
    """

    items: tuple[Any, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """
    Attributes:
        kind: ``ADDED``, ``MODIFIED``, ``DELETED``, ``BOOKMARK``.
        plain: the object; of a bookmark the version alone.
    """

    kind: str
    plain: Any


class KubernetesApi:
    """
    Args:
        settings: its ``url`` is given.
        secrets: contents of the files that *settings* name, by dotted key.
        environ: says where the API server is, in a pod.
        account: what a pod is given.
        answer_s: how long a question that does not wait may take, seconds.

    Raises:
        ConfigError: the URL, or what TLS needs, cannot be used; this is no pod.
    """

    def __init__(
        self,
        settings: Kubernetes,
        secrets: Mapping[str, bytes],
        *,
        environ: Mapping[str, str] = os.environ,
        account: Path = Path(SERVICE_ACCOUNT),
        answer_s: float = ANSWER_S,
    ) -> None:
        self._answer_s = answer_s
        is_in_pod = settings.url == IN_CLUSTER
        url = _in_cluster(environ) if is_in_pod else settings.url or ""
        path = settings.token_file or (str(account / "token") if is_in_pod else None)
        self._token = _Token(path, secrets.get(f"{_SECRETS}token_file", b""))
        tls = TlsFiles(*(secrets.get(f"{_SECRETS}{name}_file") for name in ("ca", "cert", "key")))
        if is_in_pod and tls.ca is None:
            tls = replace(tls, ca=_content(account / "ca.crt"))
        self._client = Client("kubernetes", url, token=self._token.read, tls=tls, limit=CONNECTIONS)
        self.target = self._client.target
        self.tried = f"kubernetes {self.target}"
        self._selector = {"labelSelector": settings.selector}

    async def listed(self, path: str) -> Listed:
        """
        All objects, as they are now: no cache of the API server's may answer with older ones, which
        a watch would then have go backwards.

        Args:
            path: of the collection.

        Raises:
            ProviderError: no answer, or none that makes sense.
        """
        try:
            return await self._listed(path, {"limit": str(PART)})
        except GoneError:
            # It took longer than the API server remembers: all at once, then.
            return await self._listed(path, {})

    async def watched(
        self, path: str, version: str, watch_s: int, opened: asyncio.Event
    ) -> AsyncGenerator[Event, None]:
        """
        What changes from *version* on; ends when the API server ends it.

        Args:
            watch_s: when it is to end it, seconds.
            opened: set as soon as it is watched.

        Raises:
            GoneError: *version* is too old.
            ProviderError: no answer, or none that makes sense; cut off.
        """
        params = {
            **self._selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(watch_s),
        }

        for is_again in (False, True):
            before = self._token.read()
            lines = self._client.lines(
                path,
                params,
                timeout_s=self._answer_s,
                silence_s=watch_s + LATE_S,
                opened=opened,
            )
            try:
                async with aclosing(lines):
                    async for line in lines:
                        yield self._event(path, line)
            except RefusedError as error:
                if is_again or not self._has_another_token(error, before):
                    raise _judged(error) from error
            else:
                return

    async def ping(self) -> None:
        """
        Whether it is there: a watch may be silent for long.

        Raises:
            ProviderError: it is not, or does not know us any more.
        """
        await self._with_token(
            lambda: self._client.get_json("/version", None, self._answer_s, also=_ALIVE)
        )

    async def close(self) -> None:
        await self._client.close()

    async def _listed(self, path: str, more: Mapping[str, str]) -> Listed:
        items: list[Any] = []
        params = {**self._selector, **more}
        while True:
            plain = await self._part(path, params)
            found = plain.get("items") if isinstance(plain, dict) else None
            # Go's empty list may come as null.
            if not isinstance(plain, dict) or not isinstance(found or [], list):
                raise self._senseless(path, "no list came back")
            items += found or []
            version = version_of(plain)
            meta = plain.get("metadata")
            rest = meta.get("continue") if isinstance(meta, dict) else None
            if not version:
                raise self._senseless(path, "a list without a version came back")
            if not rest:
                return Listed(tuple(items), version)
            params = {**params, "continue": str(rest)}

    async def _part(self, path: str, params: Mapping[str, str]) -> Any:
        try:
            reply = await self._with_token(lambda: self._client.get_json(path, params, LIST_S))
        except RefusedError as error:
            raise _judged(error) from error
        return reply.data

    def _event(self, path: str, line: Any) -> Event:
        kind = line.get("type") if isinstance(line, dict) else None
        plain = line.get("object") if isinstance(line, dict) else None
        if not isinstance(kind, str) or not isinstance(plain, dict):
            raise self._senseless(path, "a watch says what is no event")
        if kind != "ERROR":
            return Event(kind, plain)
        code, said = plain.get("code"), plain.get("message") or plain.get("reason")
        message = f"{self.tried}: GET {path}: the watch was ended: {code}: {said}"
        raise (GoneError if code == _GONE else LostError)(message)

    def _senseless(self, path: str, what: str) -> ProviderReplyError:
        return ProviderReplyError(f"{self.tried}: GET {path}: {what}")

    async def _with_token(self, ask: Callable[[], Awaitable[T]]) -> T:
        """It may be replaced between our reading it and the API server's looking at it."""
        before = self._token.read()
        try:
            return await ask()
        except RefusedError as error:
            if not self._has_another_token(error, before):
                raise
        return await ask()

    def _has_another_token(self, error: RefusedError, before: str | None) -> bool:
        return error.status == _UNAUTHORIZED and self._token.read() != before


class _Token:
    """
    Read from its file at each use; while that cannot be read, what was read last counts.

    Args:
        path: of its file; None: there is none.
        content: what who started lbctl read there: the file may be closed to us.
    """

    def __init__(self, path: str | None, content: bytes) -> None:
        self._path = None if path is None else Path(path)
        self._last = _token_of(content)

    def read(self) -> str | None:
        found = None if self._path is None else _content(self._path)
        self._last = _token_of(found or b"") or self._last
        return self._last


def _token_of(content: bytes) -> str | None:
    text = content.decode(errors="replace").strip()
    return text if _TOKEN.fullmatch(text) else None


def _content(path: Path) -> bytes | None:
    try:
        return read_bounded(path, _FILE_MAX_BYTES)
    except OSError:
        return None


def _in_cluster(environ: Mapping[str, str]) -> str:
    host, port = (environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    if not host or not port:
        what = f"its URL is {IN_CLUSTER}, and this is no pod: KUBERNETES_SERVICE_HOST is not set"
        raise ConfigError([Problem("kubernetes", what)])
    return f"https://{bracketed(host)}:{port}"


def _judged(error: RefusedError) -> ProviderReplyError:
    if error.status == _GONE:
        return GoneError(str(error))
    return error if error.status in _LATER else LostError(str(error))
