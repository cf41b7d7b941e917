"""
Runtime APIs without a HAProxy behind them.

`RecordingRuntime` answers from a table in this process. `runtime_server` does so over a Unix
socket, framed as HAProxy frames it, also in the interactive mode of hatop; the contract tests hold
it to the real one. `raw_server` sends what no HAProxy should.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.runtime import Answer

Answering = Callable[[str], str]  # command -> text, or "" where HAProxy does and says nothing

UNKNOWN = "Unknown command, but maybe one of the following ones is a better match:\n"


class RecordingRuntime:
    """
    Answers by command; any other is refused.

    Attributes:
        commands: what was asked, in order.
        payloads: what came with each of them.
        refusals: reasons by command.
    """

    def __init__(self, answers: Mapping[str, str] | None = None) -> None:
        self.answers = dict(answers or {})
        self.commands: list[str] = []
        self.payloads: list[str | None] = []
        self.refusals: dict[str, str] = {}

    async def ask(self, command: str, *, payload: str | None = None) -> str:
        self.commands.append(command)
        self.payloads.append(payload)
        if command not in self.answers:
            message = f"fake: {command!r}: refused: {self.refusals.get(command, 'Unknown command')}"
            raise RuntimeApiError(message)
        return self.answers[command]

    async def ask_all(self, commands: Sequence[str]) -> tuple[Answer, ...]:
        return tuple([await self._answer(command) for command in commands])

    async def _answer(self, command: str) -> Answer:
        try:
            return Answer(command, await self.ask(command))
        except RuntimeApiError:
            return Answer(command, refusal=self.refusals.get(command, "Unknown command"))


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        is_interactive = False
        numbers_severity = False
        while line := self.rfile.readline().decode().strip():
            for command in line.split(";"):
                if command == "quit":
                    return
                if command == "prompt":
                    is_interactive = True
                    text = ""
                elif command == "set severity-output number":
                    numbers_severity = True
                    text = ""
                else:
                    text = self.server.answer(command)
                if text.startswith("Unknown command") and numbers_severity:
                    text = f"[6]: {text}"
                self.wfile.write(f"{text}\n".encode())
            if not is_interactive:
                return
            self.wfile.write(b"> ")


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    answer: Answering


@contextmanager
def runtime_server(path: Path, answer: Answering) -> Iterator[Path]:
    """Listens on *path* for as long as the context lasts."""
    server = _Server(str(path), _Handler)
    server.answer = answer
    with _serving(server):
        yield path


@contextmanager
def raw_server(
    path: Path, reply: bytes | None, hear: Callable[[str], object] | None = None
) -> Iterator[Path]:
    """
    Listens on *path*, reads a line (*hear*: up to an empty one, and gets it) and sends *reply*.

    None: says nothing and keeps the connection until the client leaves.
    """

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            heard = self.rfile.readline()
            if hear is not None:
                while not heard.endswith(b"\n\n"):
                    heard += self.rfile.readline()
                hear(heard.decode())
            if reply is None:
                self.rfile.read()
            else:
                self.wfile.write(reply)

    with _serving(_Server(str(path), Handler)):
        yield path


@contextmanager
def _serving(server: _Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        Path(str(server.server_address)).unlink()
