"""
supervisord's events, as an eventlistener reads them on its stdin.

Each event is acknowledged as soon as it is read, before anybody handles it: supervisord sends the
next one only then, keeps a bounded number for a listener that is busy, and throws the oldest away.

Source: http://supervisord.org/events.html, "Event Listener Notification Protocol".
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable

from lbctl.errors import InvariantError
from lbctl.programs import ProgramEvent, ProgramState

READY = b"READY\n"
ACKNOWLEDGED = b"RESULT 2\nOK"
PROCESS_STATE = "PROCESS_STATE_"
STOPPING = "SUPERVISOR_STATE_CHANGE_STOPPING"
STDOUT = 1


def parse_tokens(text: str) -> dict[str, str]:
    """``ver:3.0 len:54 ...`` as a mapping: the form of a header and of most payloads."""
    pairs = (token.partition(":") for token in text.split())
    return {key: value for key, _, value in pairs}


def parse_event(name: str, payload: str) -> ProgramEvent | None:
    """
    The event *name* with its payload; None: one that says nothing of a program or the bundle's end.

    Raises:
        ValueError, KeyError: not what supervisor documents.
    """
    if name == STOPPING:
        return ProgramEvent("", "", ProgramState.STOPPING)
    if not name.startswith(PROCESS_STATE):
        return None
    tokens = parse_tokens(payload)
    return ProgramEvent(
        program=tokens["processname"],
        group=tokens["groupname"],
        state=ProgramState(name.removeprefix(PROCESS_STATE)),
        was=ProgramState(tokens["from_state"]),
        pid=int(tokens.get("pid", "0")),
        expected=tokens.get("expected") == "1",
    )


async def listen(
    reader: asyncio.StreamReader, answer: Callable[[bytes], object]
) -> AsyncIterator[ProgramEvent]:
    """
    Yield events until *reader* ends, in order, however slowly they are taken.

    Args:
        reader: what supervisord writes.
        answer: writes to supervisord, at once; a few bytes for each event.

    Raises:
        InvariantError: what was read is not the protocol.
    """
    events: asyncio.Queue[ProgramEvent | None] = asyncio.Queue()
    pump = asyncio.create_task(_pump(reader, answer, events))
    try:
        while (event := await events.get()) is not None:
            yield event
        await pump
    finally:
        pump.cancel()


async def listen_stdio() -> AsyncIterator[ProgramEvent]:
    """
    As :func:`listen`, on this process's own stdin and stdout.

    They are pipes of this listener alone, and an answer is far smaller than a pipe, so that the
    write does not block.
    """
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        async for event in listen(reader, lambda data: os.write(STDOUT, data)):
            yield event
    finally:
        transport.close()


async def _pump(
    reader: asyncio.StreamReader,
    answer: Callable[[bytes], object],
    events: asyncio.Queue[ProgramEvent | None],
) -> None:
    try:
        answer(READY)
        while header := await reader.readline():
            tokens = parse_tokens(header.decode())
            payload = await reader.readexactly(int(tokens["len"]))
            answer(ACKNOWLEDGED + READY)
            event = parse_event(tokens["eventname"], payload.decode())
            if event is not None:
                events.put_nowait(event)
    except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
        return  # supervisord has gone
    except (ValueError, KeyError) as error:
        message = f"supervisord's events: {error!r} is not its protocol; listening ends"
        raise InvariantError(message) from error
    finally:
        events.put_nowait(None)
