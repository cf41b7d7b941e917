"""vipd's socket without addresses behind it: in this process, or as a program of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

NOT_MASTER = {"ok": False, "code": 15, "error": "this node is BACKUP: nothing to hand over"}


class FakeVipd:
    """
    Answers as vipd does.

    Attributes:
        role: what its status says.
        events: what a watcher is told, ``{"id", "at", "kind", "text", "fields"}``.
        is_silent: accepts, and says nothing.
        raw: sent in place of any answer.
        forced: the ``force`` of each handover asked for.
        told: the checks of each word about them.
        paused: what its status says of a pause.
        more: further fields of its status.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Event()
        self.role = "MASTER"
        self.events: list[dict[str, Any]] = []
        self.is_silent = False
        self.raw: bytes | None = None
        self.forced: list[bool] = []
        self.told: list[list[dict[str, Any]]] = []
        self.paused: dict[str, Any] | None = None
        self.more: dict[str, Any] = {}

    async def __aenter__(self) -> FakeVipd:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def tell(
        self, number: int, kind: str, text: str, at: float | None = None, **fields: Any
    ) -> None:
        """Something happened."""
        when = time.time() if at is None else at
        event = {"id": number, "at": when, "kind": kind, "text": text, "fields": fields}
        self.events.append(event)
        self._news.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                if self.is_silent:
                    continue
                if self.raw is not None:
                    writer.write(self.raw)
                    break
                await self._answer(json.loads(line), writer)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, word: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if word["op"] == "watch":
            await self._tell_all(writer)
            return
        answer: dict[str, Any] = {"ok": True, "status": self.status()}
        if word["op"] == "health":
            self.told.append(word["checks"])
        if word["op"] == "handover":
            self.forced.append(word["force"])
            answer = {"ok": True, "report": {"left": True, "taken_over_by": "10.0.1.12"}}
            answer = answer if self.role == "MASTER" else NOT_MASTER
        elif word["op"] in ("pause", "resume"):
            self._pause(word)
            answer = {"ok": True}
        writer.write(json.dumps(answer).encode() + b"\n")

    def _pause(self, word: dict[str, Any]) -> None:
        if word["op"] == "resume":
            self.paused = None
            return
        until = None if word["for_s"] is None else time.time() + word["for_s"]
        since = time.time()
        self.paused = {"by": word["by"], "why": word["why"], "since": since, "until": until}

    async def _tell_all(self, writer: asyncio.StreamWriter) -> None:
        told = 0
        while not writer.is_closing():
            self._news.clear()
            for event in self.events[told:]:
                writer.write(json.dumps({"event": event}).encode() + b"\n")
                told += 1
            await writer.drain()
            await self._news.wait()

    def status(self) -> dict[str, Any]:
        """As vipd's, of a node without a peer."""
        return {
            "role": self.role,
            "since": 1_700_000_000.0,
            "why": "nobody else speaks",
            "engine": "ucarp",
            "vhid": 7,
            "interface": "eth0",
            "link_up": True,
            "source": "10.0.1.11",
            "addresses": [
                {"address": "10.0.1.201/32", "present": self.role == "MASTER", "lease_s": 2.5}
            ],
            "faults": [],
            "severity": 0,
            "advskew": 0,
            "ucarp_pid": 0,
            "peer": None,
            "transitions": 1,
            "refused": {},
            "pid": os.getpid(),
            "paused": self.paused,
            **self.more,
        }


async def _live(path: Path) -> None:
    async with FakeVipd(path):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_live(Path(sys.argv[1])))
