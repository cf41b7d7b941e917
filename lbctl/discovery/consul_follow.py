"""
Follows Consul by few questions that wait, however many services there are.

Consul refuses a client's connections beyond 200, and a question that waits holds one. So these
wait: for the list of services, the checks, the nodes, the keys. An answer names services that are
then asked for by short questions over a few connections. A change that no answer names (a port, a
weight, an instance without a check) is found by asking for all of ours, paced by what that costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from lbctl.discovery.base import HEARD_EVERY_S
from lbctl.discovery.consul_api import CONNECTIONS, Answer, ConsulApi
from lbctl.discovery.consul_kv import kv_path
from lbctl.discovery.consul_picture import Picture
from lbctl.discovery.consul_read import SOURCE
from lbctl.discovery.http import RefusedError
from lbctl.settings.discovery import Consul

#: A question that waits does not say that Consul is gone: one that does not is asked between.
PING_EVERY_S: Final = 5.0
#: All services are asked for again after so many times as long as it took, at most
_SWEEP_REST: Final = 9.0
#: after this, seconds.
_SWEEP_REST_MAX_S: Final = 2.0
#: What is named first does not keep the others waiting for longer, seconds.
_SWEEP_LATE_S: Final = 1.0
#: And in any case, seconds.
_SWEEP_EVERY_S: Final = 60.0
#: With ``stale`` the server that is asked may be behind the one that told of the change, seconds.
_STALE_AGAIN_S: Final = 1.0
#: From an answer to the next question of its kind, seconds: a ten-thousandth for each row.
_REST_MIN_S: Final = 0.01
_REST_MAX_S: Final = 2.0
_ROWS_A_S: Final = 10_000.0
#: After an answer that says nothing to wait for, seconds.
_RESET_S: Final = 0.5
#: Who may not read the keys asks again after this, seconds.
_REFUSED_S: Final = 60.0
_FORBIDDEN: Final = 403
#: Consul lets names be registered that it does not let anybody ask for: ``../x``.
_OF_ONE: Final = (301, 307, 308, 400)
#: What waits, and the ping, have connections of their own.
_WORKERS: Final = CONNECTIONS - 5


@dataclass(frozen=True, slots=True)
class _Question:
    """
    Attributes:
        path: what is asked.
        take: what is made of the answer; services to be asked for.
        params: of the query.
        is_about_all: a new answer may mean any service.
        may_be_refused: it goes on without, when Consul says that it may not be asked.
    """

    path: str
    take: Callable[[object], Collection[str]]
    params: Mapping[str, str] | None = None
    is_about_all: bool = False
    may_be_refused: bool = False


@dataclass(frozen=True, slots=True)
class _News:
    """
    Attributes:
        question: see there.
        before: the index that it waited for.
        answer: or
        refusal: why there is none.
    """

    question: _Question
    before: int
    answer: Answer
    refusal: str | None = None


class Follower:
    """
    Args:
        api: whom it asks.
        settings: what of it is ours.
        ping_every_s: how often it is asked whether it is there, seconds.

    Attributes:
        picture: what is known.
    """

    def __init__(
        self, api: ConsulApi, settings: Consul, ping_every_s: float = PING_EVERY_S
    ) -> None:
        self._api = api
        self._ping_every_s = ping_every_s
        self._settings = settings
        self.picture = picture = Picture(settings, f"{SOURCE} {api.target}")
        self._questions = [
            _Question("/v1/catalog/services", picture.catalog, is_about_all=True),
            _Question("/v1/health/state/any", picture.checks),
            _Question("/v1/catalog/nodes", lambda _: (), is_about_all=True),
        ]
        if settings.kv_prefix is not None:
            path = kv_path(settings.kv_prefix)
            params = {"recurse": ""}
            self._questions.append(_Question(path, self._keys, params, may_be_refused=True))
        self._index: dict[str, int] = {}
        self._tasks: set[asyncio.Task[_News]] = set()
        self._sweep_s = 0.0
        self._swept_at = self._sweep_at = 0.0
        self._is_stale = False

    @property
    def facts(self) -> Mapping[str, float]:
        """``asked``: services of ours; ``sweep_s``: what asking for all of them last took."""
        return {"asked": len(self.picture.names), "sweep_s": round(self._sweep_s, 4)}

    async def fill(self) -> None:
        """
        Everything, asked once.

        Raises:
            ProviderError: no answer, or none that counts; this is so of all that follow.
        """
        for question in self._questions:
            self._take(await self._asked(question, 0, 0.0))
        await self._sweep()

    def wait(self) -> None:
        """Begin to wait for news since :meth:`fill`."""
        for question in self._questions:
            self._wait_for(question, self._index[question.path])
        self._tasks.add(asyncio.create_task(self._pings()))

    async def turn(self) -> None:
        """Returns when the picture has changed, or all was well for a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + HEARD_EVERY_S
        while not self.picture.has_changed() and loop.time() < end:
            pause = max(0.0, min(end, self._sweep_at) - loop.time())
            done, _ = await asyncio.wait(
                self._tasks, timeout=pause, return_when=asyncio.FIRST_COMPLETED
            )
            all_news = [task.result() for task in done]
            self._tasks -= done
            names: set[str] = set()
            for news in all_news:
                names |= self._take(news)
                self._wait_for(news.question, news.answer.index, self._rest(news))
            await self._ask(names)
            late_s = loop.time() - self._sweep_at
            if late_s >= (_SWEEP_LATE_S if self.picture.has_changed() else 0.0):
                await self._sweep()

    async def end(self) -> None:
        """Nothing waits any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = set()

    def _wait_for(self, question: _Question, index: int, rest_s: float = 0.0) -> None:
        self._tasks.add(asyncio.create_task(self._asked(question, index, rest_s)))

    async def _asked(self, question: _Question, index: int, rest_s: float) -> _News:
        await asyncio.sleep(rest_s)
        try:
            answer = await self._api.ask(question.path, index, question.params)
        except RefusedError as error:
            if not question.may_be_refused or error.status != _FORBIDDEN:
                raise
            return _News(question, index, Answer(None, 0), f"{error.status} {error.text}")
        return _News(question, index, answer)

    def _take(self, news: _News) -> set[str]:
        """
        What is in the picture now.

        Returns:
            Services to be asked for at once.
        """
        question, answer = news.question, news.answer
        self._index[question.path] = answer.index
        if news.refusal is not None:
            self.picture.no_keys(news.refusal)
            return set()
        names = set(question.take(answer.data))
        if answer.index != news.before:
            # A number that was set back: whatever came meanwhile was not told.
            if question.is_about_all or answer.index == 0:
                self._sweep_in(0.0)
            self._is_stale |= self._settings.stale
        return names

    def _rest(self, news: _News) -> float:
        if news.refusal is not None:
            return _REFUSED_S
        if news.answer.index == 0:
            return _RESET_S
        data = news.answer.data
        rows = len(data) if isinstance(data, list | dict) else 0
        return min(_REST_MAX_S, max(_REST_MIN_S, rows / _ROWS_A_S))

    def _keys(self, answer: object) -> Collection[str]:
        self.picture.keys(answer)
        return ()

    def _sweep_in(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        rest_s = min(_SWEEP_REST_MAX_S, _SWEEP_REST * self._sweep_s)
        self._sweep_at = min(self._sweep_at, max(now + seconds, self._swept_at + rest_s))

    async def _sweep(self) -> None:
        """Ask for all services of ours."""
        loop = asyncio.get_running_loop()
        began, is_stale, self._is_stale = loop.time(), self._is_stale, False
        await self._ask(self.picture.names)
        self._swept_at = loop.time()
        self._sweep_s = self._swept_at - began
        self._sweep_at = self._swept_at + (_STALE_AGAIN_S if is_stale else _SWEEP_EVERY_S)

    async def _ask(self, names: Iterable[str]) -> None:
        """Ask for some services, a few at a time; the first failure ends it."""
        left = iter(names)

        async def work() -> None:
            for name in left:
                path = f"/v1/health/service/{quote(name, safe='')}"
                try:
                    self.picture.service(name, (await self._api.ask(path)).data)
                except RefusedError as error:
                    if error.status not in _OF_ONE:
                        raise
                    self.picture.refused(name, f"{error.status} {error.text}")

        tasks = [asyncio.create_task(work()) for _ in range(_WORKERS)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pings(self) -> _News:
        while True:
            await asyncio.sleep(self._ping_every_s)
            await self._api.ping()
