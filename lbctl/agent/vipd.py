"""
vipd as its clients see it: questions over its Unix socket, one connection each, JSON lines.

Owns the wire and the translation of what goes wrong on it. It must not judge what vipd says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lbctl.errors import VipdError
from lbctl.ha.leave import TAKEOVER_WAIT_S

#: The status of many addresses and faults is still far below this.
LINE_MAX_BYTES = 1 << 20


class VipdRefusedError(VipdError):
    """
    vipd said no.

    Attributes:
        code: the exit code that fits: 15 when this node is not MASTER.
        report: how far it went before it was given up; empty: nothing was begun.
    """

    def __init__(self, message: str, code: int, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.report = dict(report or {})


class VipdAbsentError(VipdError):
    """Nobody listens on the socket: vipd is starting, waits for its interface, or is not there."""


class VipdClient:
    """
    Asks the vipd that listens on *path*. Cancelling a question ends its connection.

    Raises:
        VipdRefusedError: vipd answered and did not do it.
        VipdAbsentError: nobody listens.
        VipdError: no answer in time, or no sense in the answer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def status(self, *, limit_s: float) -> dict[str, Any]:
        """Role, addresses, faults, peer."""
        answer = await self._ask({"op": "status"}, limit_s)
        status = answer.get("status")
        if not isinstance(status, dict):
            message = f"{self._path}: status: {answer!r} is none"
            raise VipdError(message)
        return status

    async def handover(self, *, force: bool, limit_s: float) -> dict[str, Any]:
        """Move the addresses to the peer; what vipd reports about it."""
        answer = await self._ask({"op": "handover", "force": force}, limit_s)
        report = answer.get("report")
        return dict(report) if isinstance(report, dict) else {}

    async def health(self, checks: Sequence[Mapping[str, Any]], *, limit_s: float) -> None:
        """Tell how the checks stand: ``{"name", "is_well", "what"}`` each."""
        await self._ask({"op": "health", "checks": list(checks)}, limit_s)

    async def pause(
        self, *, by: str, why: str, for_s: float | None, limit_s: float
    ) -> dict[str, Any]:
        """The addresses are not to move, on both nodes; what vipd answers."""
        word = {"op": "pause", "by": by, "why": why, "for_s": for_s}
        return await self._ask(word, limit_s)

    async def resume(self, *, by: str, limit_s: float) -> dict[str, Any]:
        """They may move again."""
        return await self._ask({"op": "resume", "by": by}, limit_s)

    async def watch(self) -> AsyncGenerator[dict[str, Any], None]:
        """What happened in vipd's life, then what happens; never ends by itself."""
        with self._translated("watch"):
            reader, writer = await self._connect()
            try:
                writer.write(b'{"op":"watch","since":0}\n')
                while line := await reader.readline():
                    event = json.loads(line).get("event")
                    if isinstance(event, dict):
                        yield event
            finally:
                writer.transport.abort()
        message = f"{self._path}: watch: vipd closed the connection"
        raise VipdError(message)

    async def _ask(self, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        with self._translated(request["op"], limit_s):
            async with asyncio.timeout(limit_s):
                line = await self._exchange(json.dumps(request).encode() + b"\n")
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise ValueError(line[:40])
        if not answer.get("ok"):
            report = answer.get("report")
            known = report if isinstance(report, dict) else None
            raise VipdRefusedError(_refusal(answer), int(answer.get("code", 10)), known)
        return answer

    async def _exchange(self, request: bytes) -> bytes:
        reader, writer = await self._connect()
        try:
            writer.write(request)
            line = await reader.readline()
        finally:
            writer.transport.abort()
        if not line.endswith(b"\n"):
            message = "vipd hung up"
            raise ConnectionResetError(message)
        return line

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._path, limit=LINE_MAX_BYTES)

    @contextmanager
    def _translated(self, op: str, limit_s: float = 0.0) -> Iterator[None]:
        tried = f"vipd at {self._path}: {op}"
        try:
            yield
        except TimeoutError as error:
            message = f"{tried}: no answer in {limit_s:g} s"
            raise VipdError(message) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            message = f"{tried}: {error.strerror or error}"
            raise VipdAbsentError(message) from error
        except OSError as error:
            message = f"{tried}: {error.strerror or error}"
            raise VipdError(message) from error
        except ValueError as error:
            message = f"{tried}: the answer is no JSON object: {error}"
            raise VipdError(message) from error


def _refusal(answer: dict[str, Any]) -> str:
    report = answer.get("report")
    if isinstance(report, dict) and not report.get("left"):
        return (
            f"handover: nobody took over: no peer was heard within {TAKEOVER_WAIT_S:g} s, so this "
            "node keeps the addresses; --force gives them away all the same: they are then gone "
            "until a node becomes MASTER again, which takes seconds"
        )
    return str(answer.get("error", "refused"))
