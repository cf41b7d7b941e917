"""
A double of the Kubernetes API server: lists and watches of Services and EndpointSlices.

No API server can be run here, so this is none: it answers in recorded shapes, keeps versions, pages
and a history as one does, and fails in the ways that one fails in. What it cannot know is what no
recording says.
"""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web

from tests.fakes.kubernetes_objects import Plain, bookmark, status

Fault = Literal["none", "error_500", "too_many", "forbidden", "garbage", "hang", "no_list"]

_KINDS: Final = {
    "services": ("Service", "v1"),
    "endpointslices": ("EndpointSlice", "discovery.k8s.io/v1"),
}
#: Versions that are still known.
_HISTORY: Final = 1000


@dataclass(slots=True, eq=False)
class _Watch:
    """One that is open: what is still to be sent."""

    kind: str
    params: dict[str, str]
    lines: asyncio.Queue[bytes | None]


@dataclass(slots=True)
class KubernetesDouble:
    """
    Attributes:
        url: of it.
        token: that it wants; None: anybody may ask.
        fault: what it does to every request from now on.
        no_watch: watches are forbidden, lists are not.
        refuses: the next request is told so, whatever its token.
        is_forgetful: behind the next first part of a list its history is compacted.
        has_no_history: every watch is too late.
        is_short: a watch ends as soon as it has begun.
        retry_after: said with ``too_many``, seconds.
        asked: path and query of every request.
        tokens: the Authorization header of every request.
    """

    url: str = ""
    token: str | None = None
    fault: Fault = "none"
    no_watch: bool = False
    refuses: Callable[[], object] | None = None
    is_forgetful: bool = False
    has_no_history: bool = False
    is_short: bool = False
    retry_after: int = 1
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    _version: int = 1000
    _oldest: int = 0
    _objects: dict[str, dict[str, Plain]] = field(
        default_factory=lambda: {kind: {} for kind in _KINDS}
    )
    _history: list[tuple[int, str, str, Plain]] = field(default_factory=list)
    _watches: list[_Watch] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    # --- what happens in the cluster -----------------------------------------------------------

    def put(self, *objects: Plain) -> None:
        """New, or changed."""
        for one in objects:
            kind, key = _place(one)
            known = key in self._objects[kind]
            self._tell("MODIFIED" if known else "ADDED", kind, key, copy.deepcopy(one))

    def drop(self, *objects: Plain) -> None:
        """Deleted."""
        for one in objects:
            kind, key = _place(one)
            self._tell("DELETED", kind, key, copy.deepcopy(self._objects[kind][key]))

    def forget(self) -> None:
        """The history is compacted: whoever asks for what was before now is too late."""
        self._version += 1
        self._oldest = self._version
        self._history.clear()

    def bookmark(self) -> None:
        """Tell everybody how far they are; others have changed meanwhile."""
        self._version += 1
        for watch in self._watches:
            if watch.params.get("allowWatchBookmarks") != "true":
                continue
            kind, api = _KINDS[watch.kind]
            self._send(watch, bookmark(kind, api, str(self._version)))

    def say(self, line: bytes) -> None:
        """Something else, to everybody."""
        for watch in self._watches:
            watch.lines.put_nowait(line)

    def expire(self) -> None:
        """To everybody: a history that is lost while he watches."""
        gone = status(410, "Expired", "too old resource version: 1 (3171407)")
        self.say(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
        self.end()

    def end(self) -> None:
        """All watches end as they do when their time is over."""
        for watch in self._watches:
            watch.lines.put_nowait(None)

    def cut(self) -> None:
        """All watches are cut off."""
        self._ended.set()
        self._ended = asyncio.Event()

    @property
    def watches(self) -> int:
        """That are open."""
        return len(self._watches)

    def lists(self, kind: str) -> int:
        """How often one was asked for."""
        return sum(f"/{kind}?" in one and "watch=" not in one for one in self.asked)

    # --- what it answers -----------------------------------------------------------------------

    def build(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/version", self._guarded(self._version_of))
        for prefix in ("", "/namespaces/{namespace}"):
            app.router.add_get(f"/api/v1{prefix}/{{kind:services}}", self._guarded(self._get))
            path = f"/apis/discovery.k8s.io/v1{prefix}/{{kind:endpointslices}}"
            app.router.add_get(path, self._guarded(self._get))
        return app

    def _guarded(self, answer: Any) -> Any:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.asked.append(str(request.rel_url))
            self.tokens.append(request.headers.get("Authorization", ""))
            if self.refuses is not None:
                # What happens between the client's reading its token and our looking at it.
                happens, self.refuses = self.refuses, None
                happens()
                return _says(401, "Unauthorized", "Unauthorized")
            if self.token is not None and self.tokens[-1] != f"Bearer {self.token}":
                return _says(401, "Unauthorized", "Unauthorized")
            if self.fault != "none":
                return await self._failed(request)
            found: web.StreamResponse = await answer(request)
            return found

        return guarded

    async def _failed(self, request: web.Request) -> web.StreamResponse:
        match self.fault:
            case "hang":
                await asyncio.Event().wait()
            case "too_many":
                said = _says(429, "TooManyRequests", "the server is currently unable to handle")
                said.headers["Retry-After"] = str(self.retry_after)
                return said
            case "forbidden":
                what = 'User "system:serviceaccount:default:lbctl" cannot list resource'
                return _says(403, "Forbidden", f"services is forbidden: {what}")
            case "garbage":
                return web.Response(body=b'{"kind": "ServiceLi', content_type="application/json")
            case "no_list":
                return web.json_response({"kind": "Table", "rows": []})
        return _says(500, "InternalError", "etcdserver: leader changed")

    async def _version_of(self, _: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.1"})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        params = {**request.query, "namespace": request.match_info.get("namespace", "")}
        kind = request.match_info["kind"]
        if params.get("watch") == "1":
            return await self._watch(request, kind, params)
        return self._list(kind, params)

    def _list(self, kind: str, params: dict[str, str]) -> web.Response:
        version, _, begin = params.get("continue", f"{self._version}:0").partition(":")
        if int(version) < self._oldest:
            return _says(410, "Expired", "The provided continue parameter is too old")
        known = [one for one in self._objects[kind].values() if _fits(one, params)]
        first, limit = int(begin), int(params.get("limit", "0")) or len(known)
        rest = len(known) - first - limit
        meta: Plain = {"resourceVersion": version}
        if rest > 0:
            meta |= {"continue": f"{version}:{first + limit}", "remainingItemCount": rest}
            if self.is_forgetful:
                self.is_forgetful = False
                self.forget()
        name, api = _KINDS[kind]
        items = known[first : first + limit]
        return web.json_response(
            {"kind": f"{name}List", "apiVersion": api, "metadata": meta, "items": items}
        )

    async def _watch(
        self, request: web.Request, kind: str, params: dict[str, str]
    ) -> web.StreamResponse:
        if self.no_watch:
            return _says(403, "Forbidden", "cannot watch resource")
        since = int(params["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watch = _Watch(kind, params, asyncio.Queue())
        if self.is_short:
            return response
        if since < self._oldest or self.has_no_history:
            gone = status(410, "Expired", f"too old resource version: {since} ({self._version})")
            await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return response
        for version, what, of, one in self._history:
            if version > since and of == kind and _fits(one, params):
                self._send(watch, {"type": what, "object": one})
        self._watches.append(watch)
        try:
            await self._stream(request, response, watch)
        finally:
            self._watches.remove(watch)
        return response

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, watch: _Watch
    ) -> None:
        cut = asyncio.ensure_future(self._ended.wait())
        limit_s = float(watch.params["timeoutSeconds"])
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(limit_s):
                while True:
                    line = asyncio.ensure_future(watch.lines.get())
                    await asyncio.wait({cut, line}, return_when=asyncio.FIRST_COMPLETED)
                    if cut.done():
                        line.cancel()
                        if request.transport is not None:
                            request.transport.abort()
                        return
                    if (text := line.result()) is None:
                        break
                    await response.write(text)
        cut.cancel()

    def _tell(self, what: str, kind: str, key: str, one: Plain) -> None:
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)
        if what == "DELETED":
            del self._objects[kind][key]
        else:
            self._objects[kind][key] = one
        self._history = [*self._history[-_HISTORY:], (self._version, what, kind, one)]
        for watch in self._watches:
            if watch.kind == kind and _fits(one, watch.params):
                self._send(watch, {"type": what, "object": one})

    def _send(self, watch: _Watch, event: Plain) -> None:
        watch.lines.put_nowait(json.dumps(event).encode() + b"\n")


def _place(one: Plain) -> tuple[str, str]:
    kind = next(kind for kind, (name, _) in _KINDS.items() if name == one["kind"])
    return kind, f"{one['metadata']['namespace']}/{one['metadata']['name']}"


def _fits(one: Plain, params: dict[str, str]) -> bool:
    name, _, value = params.get("labelSelector", "").partition("=")
    wanted = params["namespace"] in ("", one["metadata"]["namespace"])
    return wanted and (not name or one["metadata"].get("labels", {}).get(name) == value)


def _says(code: int, reason: str, message: str) -> web.Response:
    return web.json_response(status(code, reason, message), status=code)


@asynccontextmanager
async def kubernetes_double(tls: ssl.SSLContext | None = None) -> AsyncIterator[KubernetesDouble]:
    """One that runs; *tls*: spoken by the name of localhost."""
    double = KubernetesDouble()
    runner = web.AppRunner(double.build(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        double.url = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
        yield double
    finally:
        double.cut()
        await runner.cleanup()
