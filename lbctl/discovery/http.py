"""
The one HTTP client of the sources: ``http``, ``https``, ``tcp`` (HTTP without TLS) and ``unix``.

Owns the wire, and what goes wrong on it: every failure is a ProviderError that says what was asked
of whom and what came back. It never tries again, follows no redirect (the token would go along),
reads no proxy variables, and says its token to nobody but the server.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from lbctl.discovery.url import TlsFiles, base_of, read_url, ssl_context, target_of
from lbctl.errors import ProviderError, ProviderReplyError, ProviderTimeout

#: A longer answer is none.
REPLY_MAX_BYTES: Final = 64 << 20
#: The same of one line of a stream.
LINE_MAX_BYTES: Final = 64 << 20
#: How long a question may take, seconds, where nothing else is said.
TIMEOUT_S: Final = 5.0
#: Of an answer that says no: so much of it is told.
_SHOWN_CHARS: Final = 200
_READ_BYTES: Final = 1 << 16

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """
    Attributes:
        data: what its JSON says; None: there was no body.
        headers: any case.
        status: 2xx, or one that the caller asked for.
    """

    data: Any
    headers: Mapping[str, str]
    status: int


class RefusedError(ProviderReplyError):
    """
    The server says no.

    Attributes:
        status: of HTTP.
        text: what it said, cut off.
        after_s: when it wants to be asked again, seconds; 0: it does not say.
    """

    def __init__(self, message: str, status: int, text: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.text = text
        self.after_s = after_s


class Client:
    """
    Asks one server, over few connections that are kept.

    Args:
        name: of the source, for messages: ``consul``.
        url: ``http://10.0.0.5:8500``, ``unix:///run/docker.sock``; a path is put before all others.
        token: sent as ``Authorization: Bearer``; a function is asked for it at each question.
        tls: for ``https``.
        limit: connections at a time; who asks more at once waits.

    Raises:
        ConfigError: the URL is none, or what TLS needs cannot be used.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        token: str | Callable[[], str | None] | None = None,
        tls: TlsFiles | None = None,
        limit: int = 8,
    ) -> None:
        parts = read_url(name, url)
        self.target = target_of(parts)
        self._tried = f"{name} {self.target}"
        self._socket = parts.path if parts.scheme == "unix" else None
        self._base = base_of(parts)
        self._limit = limit
        self._token = token
        self._ssl = ssl_context(name, tls) if parts.scheme == "https" else None
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Client({self._tried!r})"

    async def get_json(
        self,
        path: str,
        params: Params | None = None,
        timeout_s: float = TIMEOUT_S,
        *,
        also: Collection[int] = (),
    ) -> Reply:
        """
        Args:
            path: from the root, quoted: ``/v1/kv/a%20b``.
            params: of the query.
            timeout_s: for all of it, seconds; a blocking query needs more than it blocks.
            also: statuses that are answers too; their body is not looked at.

        Raises:
            ProviderTimeout: no answer, or not all of it, in time.
            ProviderReplyError: not JSON, or too large; RefusedError: another status.
            ProviderError: no connection.
        """
        async with self._asked("GET", path, params, timeout_s) as response:
            if response.status in also:
                return Reply(None, response.headers, response.status)
            return await self._reply(response, is_json=True)

    async def put(
        self,
        path: str,
        body: object = None,
        params: Params | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """
        Args:
            body: bytes as they are; None: none; else as JSON.

        Returns:
            With the answer as JSON, else as text, else None.

        Raises:
            ProviderError: as :meth:`get_json`.
        """
        return await self._told("PUT", path, body, params, timeout_s)

    async def post(
        self,
        path: str,
        body: object = None,
        params: Params | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """As :meth:`put`."""
        return await self._told("POST", path, body, params, timeout_s)

    async def delete(
        self, path: str, params: Params | None = None, timeout_s: float = TIMEOUT_S
    ) -> Reply:
        """As :meth:`put`."""
        return await self._told("DELETE", path, None, params, timeout_s)

    async def lines(
        self,
        path: str,
        params: Params | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        silence_s: float | None = None,
        opened: asyncio.Event | None = None,
    ) -> AsyncGenerator[Any, None]:
        """
        What each line of a stream says as JSON, as it comes; empty lines are left out.

        Ends when the server ends it well. Close it (``aclosing``) to let go of its connection.

        Args:
            timeout_s: until the answer begins, seconds.
            silence_s: between two parts, seconds; None: it may be silent for ever.
            opened: set when the answer begins, though it may say nothing yet.

        Raises:
            ProviderError: as :meth:`get_json`; in the middle of a line too.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=timeout_s, sock_read=silence_s)
        with self._translated(f"GET {path}", timeout_s):
            session = self._opened()
            request = session.get(
                self._base + path,
                params=params,
                headers=self._headers(),
                timeout=timeout,
                allow_redirects=False,
            )
            async with _begun(request, timeout_s) as response:
                await self._judge(response)
                if opened is not None:
                    opened.set()
                async with aclosing(self._split(response, silence_s)) as found:
                    async for line in found:
                        yield line

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _told(
        self, method: str, path: str, body: object, params: Params | None, timeout_s: float
    ) -> Reply:
        is_raw = body is None or isinstance(body, bytes)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        data = None if body is None else io.BytesIO(raw)
        kind = {} if is_raw else {"Content-Type": "application/json"}
        async with self._asked(method, path, params, timeout_s, data, kind) as response:
            return await self._reply(response, is_json=False)

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        params: Params | None,
        timeout_s: float,
        data: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=timeout_s, ceil_threshold=3600)
        with self._translated(f"{method} {path}", timeout_s):
            request = self._opened().request(
                method,
                self._base + path,
                params=params,
                data=data,
                headers=self._headers(headers),
                timeout=timeout,
                allow_redirects=False,
            )
            async with request as response:
                yield response

    async def _reply(self, response: aiohttp.ClientResponse, *, is_json: bool) -> Reply:
        await self._judge(response)
        body = await self._body(response)
        data: Any = None
        try:
            data = json.loads(body) if body or is_json else None
        except (ValueError, RecursionError) as error:
            if is_json:
                message = f"{self._of(response)}: the answer is no JSON: {_shown(body)}"
                raise ProviderReplyError(message) from error
            data = body.decode(errors="replace")
        return Reply(data, response.headers, response.status)

    async def _judge(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        text = _shown(await self._body(response))
        where = response.headers.get("Location")
        if where is not None and 300 <= status < 400:
            text = f"it redirects to {where[:_SHOWN_CHARS]!r}, which is not followed"
        message = f"{self._of(response)}: {status} {response.reason or 'no reason'}: {text}"
        after = response.headers.get("Retry-After", "")
        raise RefusedError(message, status, text, float(after) if after.isdecimal() else 0.0)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        found = bytearray()
        async for part in response.content.iter_chunked(_READ_BYTES):
            found += part
            if len(found) > REPLY_MAX_BYTES:
                message = f"{self._of(response)}: longer than {REPLY_MAX_BYTES >> 20} MB"
                raise ProviderReplyError(message)
        return bytes(found)

    async def _split(
        self, response: aiohttp.ClientResponse, silence_s: float | None
    ) -> AsyncGenerator[Any, None]:
        rest = bytearray()
        async for part in self._parts(response, silence_s):
            # The end of a line is looked for in what is new alone: a line may be long.
            first, *others = part.split(b"\n")
            rest += first
            for other in others:
                if line := bytes(rest).strip():
                    yield self._parsed(response, line)
                rest = bytearray(other)
            if len(rest) > LINE_MAX_BYTES:
                message = f"{self._of(response)}: a line longer than {LINE_MAX_BYTES >> 20} MB"
                raise ProviderReplyError(message)
        if line := bytes(rest).strip():
            yield self._parsed(response, line)

    async def _parts(
        self, response: aiohttp.ClientResponse, silence_s: float | None
    ) -> AsyncGenerator[bytes, None]:
        try:
            async for part in response.content.iter_any():
                yield part
        except TimeoutError as error:
            message = f"{self._of(response)}: nothing more came for {silence_s or 0:g} s"
            raise ProviderTimeout(message) from error

    def _parsed(self, response: aiohttp.ClientResponse, line: bytes) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            message = f"{self._of(response)}: a line of the answer is no JSON: {_shown(line)}"
            raise ProviderReplyError(message) from error

    def _of(self, response: aiohttp.ClientResponse) -> str:
        return f"{self._tried}: {response.method} {response.url.raw_path}"

    def _opened(self) -> aiohttp.ClientSession:
        """Made inside the running loop, at the first question."""
        if self._session is None:
            context = self._ssl if self._ssl is not None else True
            connector: aiohttp.BaseConnector = (
                aiohttp.TCPConnector(limit=self._limit, ssl=context)
                if self._socket is None
                else aiohttp.UnixConnector(self._socket, limit=self._limit)
            )
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar)
        return self._session

    def _headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return {"Accept-Encoding": "identity", **bearer, **(more or {})}

    @contextmanager
    def _translated(self, asked: str, timeout_s: float) -> Iterator[None]:
        """Every foreign exception becomes one of ours."""
        try:
            yield
        except TimeoutError as error:
            message = f"{self._tried}: no answer in {timeout_s:.1f} s"
            raise ProviderTimeout(message) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _translation(self._tried, asked, error) from error


@asynccontextmanager
async def _begun(request: Any, timeout_s: float) -> AsyncIterator[aiohttp.ClientResponse]:
    """The response of *request*, whose headers came in time; the rest may take as long as it is."""
    async with asyncio.timeout(timeout_s):
        response: aiohttp.ClientResponse = await request
    try:
        yield response
    finally:
        response.close()


def _translation(tried: str, asked: str, error: Exception) -> ProviderError:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
            return ProviderError(f"{tried}: its certificate is not believed: {why}")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return ProviderError(f"{tried}: TLS failed: {error}")
        case OSError(__cause__=ssl.SSLError(reason=str(reason))):
            # Said when the connection stood: our own certificate is not wanted, or missing.
            return ProviderError(f"{tried}: TLS failed: {reason.replace('_', ' ').lower()}")
        case aiohttp.ServerDisconnectedError():
            return ProviderReplyError(f"{tried}: {asked}: it hung up without an answer")
        case aiohttp.ClientPayloadError():
            return ProviderReplyError(f"{tried}: {asked}: the answer was cut off")
        case aiohttp.ClientResponseError():
            return ProviderReplyError(f"{tried}: {asked}: the answer is no HTTP: {error.message}")
        case OSError():
            return ProviderError(f"{tried}: {_reason(error)}")
    return ProviderReplyError(f"{tried}: {asked}: {error!r}")


def _reason(error: OSError) -> str:
    """``Connection refused``; asyncio and aiohttp have sentences of their own about it."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, socket.gaierror) or inner.errno is None or inner.errno <= 0:
        return inner.strerror or str(inner)
    return os.strerror(inner.errno)


def _shown(body: bytes) -> str:
    """The beginning of an answer, on one line."""
    text = " ".join(body[: 4 * _SHOWN_CHARS].decode(errors="replace").split())
    return repr(text[:_SHOWN_CHARS]) if text else "nothing"
