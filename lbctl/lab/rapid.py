"""
A client that opens a new connection every millisecond; see :class:`lbctl.lab.probe.RapidProbe`.

Writes the lines that :mod:`.ask` writes, but in blocks, and does without asyncio: on a machine that
it shares with what it measures, its own CPU time would be part of the figure. Every connection ends
with an RST, so that thousands a minute leave no port behind. Standard library alone.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import OrderedDict

_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
#: Requests without an answer yet; when there are as many, a tick passes by: a stall of the probe.
_MOST = 500
_BLOCK = 32
#: A slow client's block is not full for long; its reader need not wait for it.
_BLOCK_NS = 30_000_000
_REASONS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
}


class Request:
    """One connection and what has come on it."""

    __slots__ = ("data", "is_sent", "peer", "started_ns")

    def __init__(self, host: str, port: int) -> None:
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.started_ns = time.monotonic_ns()
        self.is_sent = False
        self.data = b""
        number = self.peer.connect_ex((host, port))
        if number not in (0, errno.EINPROGRESS):
            self.peer.close()
            raise OSError(number, os.strerror(number))

    def go_on(self) -> bool:
        """
        What can be done now; True: the whole answer is there.

        Raises:
            OSError, EOFError: there will be none.
        """
        if not self.is_sent:
            self.peer.send(_REQUEST)
            self.is_sent = True
            return False
        more = self.peer.recv(4096)
        if not more:
            raise EOFError
        self.data += more
        return b"\r\n\r\n" in self.data


class Client:
    """All requests that are under way, oldest first."""

    def __init__(self, host: str, port: int, limit_ms: float) -> None:
        self._where = (host, port)
        self._limit_ns = int(limit_ms * 1e6)
        self._poll = select.epoll()
        self._running: OrderedDict[int, Request] = OrderedDict()
        self._lines: list[str] = []
        self._written_ns = 0

    def run(self, interval_s: float) -> None:
        """For ever: one request at each tick of the clock."""
        ticks, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)
        self._poll.register(ticks, select.EPOLLIN)
        while True:
            for fd, _ in self._poll.poll():
                if fd == ticks:
                    os.read(ticks, 64)
                    self._tick()
                elif fd in self._running:
                    self._serve(fd)

    def _tick(self) -> None:
        now = time.monotonic_ns()
        self._give_up(now)
        if len(self._running) < _MOST:
            self._ask()
        if len(self._lines) >= _BLOCK or (self._lines and now - self._written_ns >= _BLOCK_NS):
            # The log is appended to by this process alone: a block is written as one.
            os.write(sys.stdout.fileno(), "".join(self._lines).encode())
            self._lines.clear()
            self._written_ns = now

    def _ask(self) -> None:
        started = time.monotonic_ns()
        try:
            request = Request(*self._where)
        except OSError as error:
            self._say(started, reason_of(error))
            return
        self._running[request.peer.fileno()] = request
        self._poll.register(request.peer, select.EPOLLOUT)

    def _serve(self, fd: int) -> None:
        request = self._running[fd]
        was_sent = request.is_sent
        try:
            is_whole = request.go_on()
        except BlockingIOError:
            return
        except (OSError, EOFError) as error:
            self._end(fd, reason_of(error))
            return
        if is_whole:
            status, node = parse(request.data)
            self._end(fd, status, node)
        elif not was_sent:
            self._poll.modify(fd, select.EPOLLIN)

    def _give_up(self, now: int) -> None:
        """Requests begin in order, so the first that has time left ends it."""
        late = []
        for fd, request in self._running.items():
            if now - request.started_ns < self._limit_ns:
                break
            late.append(fd)
        for fd in late:
            self._end(fd, "timeout")

    def _end(self, fd: int, outcome: str, node: str = "-") -> None:
        request = self._running.pop(fd)
        self._say(request.started_ns, outcome, node)
        request.peer.close()

    def _say(self, started_ns: int, outcome: str, node: str = "-") -> None:
        self._lines.append(f"{started_ns} {time.monotonic_ns()} {outcome} {node} -\n")


def parse(answer: bytes) -> tuple[str, str]:
    """Status and X-Node of an answer's head."""
    status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else "garbage"
    _, found, rest = answer.lower().partition(b"\r\nx-node:")
    return status, rest.split(b"\r\n", 1)[0].strip().decode("latin-1") if found else "-"


def reason_of(error: OSError | EOFError) -> str:
    """One word for what kept the answer away, as :func:`.ask.reason_of` says it."""
    if isinstance(error, EOFError):
        return "closed"
    return _REASONS.get(error.errno or 0, type(error).__name__)


def _ahead() -> None:
    """What this measures must not be its own waiting for a CPU."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        with contextlib.suppress(OSError):
            os.nice(-10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host", help="IPv4")
    parser.add_argument("port", type=int)
    parser.add_argument("--interval-ms", type=float, default=1.0)
    parser.add_argument("--limit-ms", type=float, default=300.0)
    arguments = parser.parse_args()
    _ahead()
    with contextlib.suppress(KeyboardInterrupt):
        client = Client(arguments.host, arguments.port, arguments.limit_ms)
        client.run(arguments.interval_ms / 1000)


if __name__ == "__main__":
    main()
