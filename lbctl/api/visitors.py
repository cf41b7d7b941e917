"""
Connections over TCP, from the moment they are accepted: so many at a time, each to ask soon.

The TLS handshake counts, too; it is done with the certificate that is in force when it begins, so
that another one takes no connection down. One address alone cannot have all the room.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import StreamReader, web

from lbctl.api import refusals
from lbctl.api.access_headers import harden
from lbctl.api.access_rate import Pace, network_of

log = logging.getLogger(__name__)

#: Connections at a time; more are hung up on.
MOST: Final = 256
#: Of one address, those whose question is not whole yet.
WAITING_MOST: Final = 64
#: From the connection to the end of the question's head, the handshake included, seconds.
HEAD_S: Final = 10.0
#: Of that head, as long as its end has not come.
HEAD_MAX_BYTES: Final = 64 * 1024
#: Connections of one address are hung up on at this many times ``api.rate_per_s``: below, whoever
#: asks too often is told so, and above there is no handshake to be paid for him.
CROWD: Final = 2.0
CROWD_BURST_S: Final = 8.0
#: Until the other end ends its TLS as well, seconds.
_GOODBYE_S: Final = 1.0
_BACKLOG: Final = 64
#: Without a file to have a connection in, until the next one is accepted, seconds.
_FULL_S: Final = 1.0
_NO_SUCH_FAMILY: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@dataclass(frozen=True, slots=True)
class Terms:
    """
    For the next connection.

    Attributes:
        context: of TLS; None: plain.
        per_s: requests of one address, per second.
    """

    context: ssl.SSLContext | None = None
    per_s: float = 50.0


class Visitor(web.RequestHandler):
    """One connection."""

    __slots__ = (
        "_app",
        "_end",
        "_has_head",
        "_on_left",
        "_on_whole",
        "_received_bytes",
        "deadline",
        "has_asked",
        "is_whole",
        "network",
    )  # fmt: skip

    def __init__(
        self,
        server: web.Server,
        app: web.Application,
        network: str,
        on_whole: Callable[[Visitor], None],
        on_left: Callable[[Visitor], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, access_log=None)  # type: ignore[arg-type]
        self.network = network
        self.has_asked = False
        self.is_whole = False
        self.deadline: asyncio.TimerHandle | None = None
        self._app = app
        self._on_whole = on_whole
        self._on_left = on_left
        self._received_bytes = 0
        self._end = b""
        self._has_head = False

    def asked(self, body: StreamReader | None = None) -> None:
        """The head of the question is there; the whole of it as soon as its *body* is."""
        if self.deadline is not None:
            # It would keep the connection's buffers for as long.
            self.deadline.cancel()
            self.deadline = None
        self.has_asked = True
        if body is None:
            self.end_waiting()
        else:
            body.on_eof(self.end_waiting)

    def end_waiting(self) -> None:
        """It counts no longer among those who have yet to ask."""
        if not self.is_whole:
            self.is_whole = True
            self._on_whole(self)

    def end_slow(self, body: StreamReader) -> None:
        """Hang up, where it still has no end, answered or not."""
        if self.transport is not None and not body.is_eof():
            self.hang_up("slow", "a body without an end")

    def hang_up(self, why: str, text: str) -> None:
        """At once, and counted."""
        refusals.count(self._app, why, self.network, text)
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._has_head and not self._is_fit(data):
            self.hang_up("malformed", "a head without an end")
            return
        super().data_received(data)

    def _is_fit(self, data: bytes) -> bool:
        """More of the head, and not too much; empty lines before it are none (RFC 9112, 2.2)."""
        text = self._end + data
        if not self._received_bytes:
            text = text.lstrip(b"\r\n")
        self._received_bytes += len(text) - len(self._end)
        self._has_head = b"\r\n\r\n" in text
        self._end = text[-3:]
        return self._has_head or self._received_bytes <= HEAD_MAX_BYTES

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._on_left(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP, or has no end, is worth no line in the log: anybody may send it."""
        is_gone = self.transport is None and isinstance(exc, ConnectionError)
        # aiohttp quotes it before anybody is asked who he is.
        is_bad_expect = "Expect" in request.headers and isinstance(exc, UnicodeEncodeError)
        if status != 400 and not is_bad_expect and not is_gone:
            return super().handle_error(request, status, exc, message)
        if not is_gone:
            refusals.count(self._app, "malformed", self.network, "no HTTP")
        self.asked()
        response = web.Response(status=400, text="this is no request of HTTP\n")
        response.force_close()
        harden(response)
        return response


class GatedSite(web.BaseSite):
    """
    Listens, and lets in.

    Args:
        host: address; None: every one.
        terms: of the next connection; LookupError: it cannot be served.
    """

    def __init__(
        self, runner: web.AppRunner, host: str | None, port: int, terms: Callable[[], Terms] = Terms
    ) -> None:
        super().__init__(runner)
        self._app = runner.app
        self._host = host
        self._port = port
        self._terms = terms
        self._pace = Pace()
        self._open: dict[Visitor, asyncio.Task[None]] = {}
        self._waiting: Counter[str] = Counter()
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        return f"tcp:{self._host or '*'}:{self._port}"

    async def start(self) -> None:
        """
        Raises:
            OSError: the port cannot be had.
        """
        self._listeners = list(_listeners(self._host, self._port))
        await super().start()
        loop = asyncio.get_running_loop()
        self._accepting = [loop.create_task(self._accept(one)) for one in self._listeners]

    async def stop(self) -> None:
        """Nobody comes in any more, and whoever shakes hands is let go."""
        for task in (*self._accepting, *self._open.values()):
            task.cancel()
        for listener in self._listeners:
            listener.close()
        await super().stop()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:
                # No file is left, or whoever came has gone.
                log.debug("%s: nobody is let in for %s s: %s", self.name, _FULL_S, error)
                await asyncio.sleep(_FULL_S)
                continue
            self._let_in(connection, str(address[0]))

    def _let_in(self, connection: socket.socket, address: str) -> None:
        server, network = self._runner.server, network_of(address)
        is_full = len(self._open) >= MOST or self._waiting[network] >= WAITING_MOST
        try:
            terms = self._terms()
        except LookupError:
            # Not without TLS where it is wanted.
            is_full, terms = True, Terms()
        often = terms.per_s * CROWD
        now = time.monotonic()
        is_crowd = self._pace.take(network, now, often, often * CROWD_BURST_S / CROWD) > 0
        if server is None or is_full or is_crowd:
            refusals.count(self._app, "crowd", address, "no room")
            connection.close()
            return
        visitor = Visitor(server, self._app, network, self._is_whole, self._left)
        self._waiting[network] += 1
        loop = asyncio.get_running_loop()
        self._open[visitor] = loop.create_task(self._greet(visitor, connection, terms.context))
        visitor.deadline = loop.call_later(HEAD_S, self._look, visitor)

    async def _greet(
        self, visitor: Visitor, connection: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        """With TLS, a handshake; *visitor* has the connection then."""
        limits: dict[str, Any] = {}
        if context is not None:
            limits = {"ssl_handshake_timeout": HEAD_S, "ssl_shutdown_timeout": _GOODBYE_S}
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: visitor, connection, ssl=context, **limits)
        except OSError as error:
            what = "it speaks HTTP without TLS" if "HTTP_REQUEST" in str(error) else str(error)
            refusals.count(self._app, "tls", visitor.network, f"no TLS: {what}")
            self._left(visitor)
            # A circle through what the error holds would keep 300 kB until somebody collects it.
            traceback.clear_frames(error.__traceback__)
        except asyncio.CancelledError:
            connection.close()
            self._left(visitor)
            raise

    def _look(self, visitor: Visitor) -> None:
        if visitor.has_asked or visitor not in self._open:
            return
        visitor.hang_up("slow", f"no question within {HEAD_S:g} s")
        self._open[visitor].cancel()

    def _is_whole(self, visitor: Visitor) -> None:
        self._waiting[visitor.network] -= 1
        if not self._waiting[visitor.network]:
            del self._waiting[visitor.network]

    def _left(self, visitor: Visitor) -> None:
        if self._open.pop(visitor, None) is not None:
            visitor.asked()


def _listeners(host: str | None, port: int) -> Iterator[socket.socket]:
    """One for each family; of every address, a family that this host has not is left out."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in found:
            try:
                made.append(_listener(family, address))
            except OSError as error:
                is_only = family != socket.AF_INET6 or host is not None
                if is_only or error.errno not in _NO_SUCH_FAMILY:
                    raise
    except OSError:
        for one in made:
            one.close()
        raise
    yield from made


def _listener(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with suppress(OSError):
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
