"""
supervisord's XML-RPC, over its Unix socket, as :class:`lbctl.programs.Programs`.

The border where faults, sockets' errors and silence become :class:`SupervisorError`. One connection
for each call; nothing is repeated here, since what a lost call did is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lbctl.bundle.xmlrpc import FaultError, decode_reply, encode_call
from lbctl.errors import SupervisorError
from lbctl.programs import Program, ProgramState

TIMEOUT_S = 2.0

#: supervisor/xmlrpc.py, class Faults.
ALREADY_STARTED = 60
NOT_RUNNING = 70

#: One that has just ended by itself cannot be stopped, and is started again a turn later, unless
#: its exit was to be expected.
STOP_TRIES = 3
STOP_AGAIN_S = 0.02

#: In these states supervisord knows when the process began; in the others, when it ended.
ALIVE = frozenset({ProgramState.STARTING, ProgramState.RUNNING, ProgramState.STOPPING})


class SupervisorClient:
    """A :class:`~lbctl.programs.Programs` over the socket of a running supervisord."""

    def __init__(self, socket: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._groups: dict[str, str] = {}

    async def states(self) -> Mapping[str, Program]:
        async with self._border("asking for the programs' states"):
            return await self._states()

    async def start(self, program: str) -> None:
        async with self._border(f"starting {program}"):
            name = await self._full_name(program)
            await self._call("supervisor.startProcess", name, False, fine=ALREADY_STARTED)

    async def stop(self, program: str) -> None:
        async with self._border(f"stopping {program}"):
            name = await self._full_name(program)
            for _ in range(STOP_TRIES):
                await self._call("supervisor.stopProcess", name, False, fine=NOT_RUNNING)
                if (await self._states())[program].state is not ProgramState.EXITED:
                    return
                await asyncio.sleep(STOP_AGAIN_S)

    async def signal(self, program: str, signal_name: str) -> None:
        async with self._border(f"sending {signal_name} to {program}"):
            name = await self._full_name(program)
            await self._call("supervisor.signalProcess", name, signal_name)

    async def signal_group(self, group: str, signal_name: str) -> None:
        async with self._border(f"sending {signal_name} to the group {group}"):
            await self._call("lbctl.signalProcessGroup", group, signal_name)

    async def shutdown(self) -> None:
        async with self._border("stopping the bundle"):
            await self._call("supervisor.shutdown")

    async def tell(self, status: str, *, is_ready: bool) -> bool:
        """Have the service manager told; see :class:`lbctl.bundle.notify.Service`."""
        async with self._border("telling the service manager"):
            return bool(await self._call("service.tell", is_ready, status))

    async def _states(self) -> Mapping[str, Program]:
        programs = [_program(info) for info in await self._call("supervisor.getAllProcessInfo")]
        self._groups = {program.name: program.group for program in programs}
        return {program.name: program for program in programs}

    async def _full_name(self, program: str) -> str:
        """``group:program``: without its group supervisord does not find one of several."""
        if program not in self._groups:
            await self._states()
        return f"{self._groups.get(program, program)}:{program}"

    async def _call(self, method: str, *params: str | bool, fine: int | None = None) -> Any:
        try:
            return decode_reply(await self._post(encode_call(method, *params)))
        except FaultError as fault:
            if fault.code != fine:
                raise
        return None

    async def _post(self, body: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            head = f"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}"
            writer.write(head.encode() + b"\r\n\r\n" + body)
            reply = await reader.read(-1)
        finally:
            writer.transport.abort()  # nothing is left to send: closed at once, whatever happened
        status, _, rest = reply.partition(b"\r\n")
        _, _, content = rest.partition(b"\r\n\r\n")
        if status.split(b" ")[1:2] != [b"200"]:
            message = f"HTTP answer {status.decode(errors='replace')!r}"
            raise ValueError(message)
        return content

    @asynccontextmanager
    async def _border(self, doing: str) -> AsyncIterator[None]:
        where = f"supervisord at {self._socket}: {doing}"
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            message = f"{where}: no answer in {self._timeout_s:g} s; whether it was done is unknown"
            raise SupervisorError(message) from error
        except OSError as error:
            message = f"{where}: {error.strerror or error}; the bundle does not run, or is not ours"
            raise SupervisorError(message) from error
        except FaultError as fault:
            message = f"{where}: refused: {fault.text}; nothing was changed"
            raise SupervisorError(message) from fault
        except (ValueError, KeyError, TypeError) as error:
            message = f"{where}: unreadable answer: {error!r}; whether it was done is unknown"
            raise SupervisorError(message) from error


def _program(info: Mapping[str, Any]) -> Program:
    state = ProgramState(info["statename"])
    since = info["start"] if state in ALIVE else info["stop"] or info["start"]
    return Program(info["name"], info["group"], state, info["pid"], float(since))
