"""The live stream of the API, followed in a thread: the last picture, and whether it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

from lbctl.cli.client import ApiClient
from lbctl.errors import LbctlError, UnreachableError
from lbctl.glance.picture import Picture

AGAIN_S = 1.0
#: Nothing for so many turns: it hangs.
TURNS_MISSED = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """
    Attributes:
        picture: a copy; its ``at`` is 0 while nothing was told.
        trouble: why nothing comes at the moment; empty: it does.
        heard: the monotonic clock, when something came last.
    """

    picture: Picture
    trouble: str
    heard: float


class Watch:
    """
    Args:
        on_news: called from the thread that follows.
    """

    def __init__(
        self,
        client: ApiClient,
        on_news: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._on_news = on_news
        self._clock = clock
        self._lock = threading.Lock()
        self._picture = Picture()
        self._trouble = ""
        self._heard = clock()
        self._end = threading.Event()

    def start(self) -> None:
        """Begin; the thread ends with the process."""
        threading.Thread(target=self._follow, daemon=True).start()

    def stop(self) -> None:
        """No news any more."""
        self._end.set()

    def seen(self) -> Seen:
        """What is known now."""
        with self._lock:
            picture = copy(self._picture)
            picture.status = dict(self._picture.status)
            picture.traffic = dict(self._picture.traffic)
            picture.proxies = dict(self._picture.proxies)
            picture.events = copy(self._picture.events)
            trouble, heard = self._trouble, self._heard
        silence_s = self._clock() - heard
        if not trouble and picture.at and silence_s > TURNS_MISSED * picture.every_s:
            trouble = f"nothing has come from the agent for {silence_s:.0f} s"
        return Seen(picture, trouble, heard)

    def _follow(self) -> None:
        while not self._end.is_set():
            try:
                self._follow_once()
                self._say("the agent ended the stream: it stops, or starts afresh")
            except LbctlError as error:
                self._say(str(error))
            self._end.wait(AGAIN_S)

    def _follow_once(self) -> None:
        for kind, said in self._client.stream_events("/v1/live"):
            if self._end.is_set():
                return
            try:
                with self._lock:
                    self._picture.take(kind, said)
                    self._trouble, self._heard = "", self._clock()
            except (KeyError, TypeError, ValueError) as error:
                message = f"the agent told what makes no sense here: {error!r}"
                raise UnreachableError(message) from error
            self._on_news()

    def _say(self, trouble: str) -> None:
        with self._lock:
            self._trouble = trouble
        self._on_news()
