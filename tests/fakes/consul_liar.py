"""Between us and a real Consul: it tells lies."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.consuls import ConsulAgent


class Liar:
    """
    Passes everything on to a Consul, but what it was told to say in place of it.

    Attributes:
        said: path -> answer, all of it.
        told: how often, by path.
    """

    def __init__(self, upstream: int) -> None:
        self.said: dict[str, bytes] = {}
        self.told: Counter[str] = Counter()
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                client = self._server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _pass(self, client: socket.socket) -> None:
        # Either of the two may hang up at any time.
        with client, suppress(OSError):
            asked = client.recv(65536)
            path = asked.split(b" ")[1].split(b"?")[0].decode() if b" " in asked else ""
            if path in self.said:
                client.sendall(self.said[path])
                self.told[path] += 1
                return
            head = re.sub(rb"\r\nConnection: [^\r]*|$", b"", asked, count=1)
            head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            with socket.create_connection(("127.0.0.1", self._upstream)) as server:
                server.sendall(head)
                while part := server.recv(65536):
                    client.sendall(part)


@contextmanager
def lying(agent: ConsulAgent) -> Iterator[tuple[Liar, ConsulAgent]]:
    """Before *agent*; and the agent as it is seen through it."""
    liar = Liar(agent.ports[0])
    thread = threading.Thread(target=liar.serve, daemon=True)
    thread.start()
    try:
        yield liar, ConsulAgent(agent.root, [liar.port])
    finally:
        liar.close()
        thread.join(5)


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer of HTTP."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
