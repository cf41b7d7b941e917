"""
The kernel's netlink sockets: requests out, replies in. Standard library alone.

Knows framing, sequence numbers, dumps and errors; what a payload means is the callers' business.
Every call is synchronous and takes microseconds: the kernel answers inside ``send``.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

HEADER = struct.Struct("=IHHII")

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_CREATE = 0x400

_NLM_F_DUMP_INTERRUPTED = 0x10
_NLM_F_ACK_TLVS = 0x200
_NLMSG_NOOP = 1
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11

_RECEIVE_BYTES = 1 << 18
_TIMEOUT_S = 1.0
_DUMP_ATTEMPTS = 5
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Request:
    """One message without its sequence number; *flags* beyond NLM_F_REQUEST."""

    type: int
    flags: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One message from the kernel, without its header."""

    type: int
    flags: int
    sequence: int
    payload: bytes


class Netlink:
    """One socket of one netlink family, to be used by one thread."""

    __slots__ = ("_sequence", "_socket")

    def __init__(self, family: int) -> None:
        """
        Raises:
            OSError: the kernel has no such family.
        """
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, family)
        self._socket.bind((0, 0))
        self._socket.settimeout(_TIMEOUT_S)
        # Errors come back with the kernel's words, and without a copy of the request.
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def execute(self, request: Request) -> None:
        """
        Do one thing and wait until it is done.

        Raises:
            OSError: the kernel's errno, with its own words where it has any.
        """
        (error,) = self.execute_all([request])
        if error is not None:
            raise error

    def execute_all(self, requests: Sequence[Request]) -> list[OSError | None]:
        """
        Do many things; one result each, in order, None for done.

        Raises:
            OSError: the socket itself failed, or the kernel did not answer within a second.
        """
        results: list[OSError | None] = []
        for start in range(0, len(requests), _BATCH):
            results += self._execute_batch(requests[start : start + _BATCH])
        return results

    def _execute_batch(self, requests: Sequence[Request]) -> list[OSError | None]:
        first = self._sequence + 1
        self._socket.send(b"".join(self._framed(request, NLM_F_ACK) for request in requests))
        results: list[OSError | None] = [None] * len(requests)
        waiting = set(range(first, self._sequence + 1))
        while waiting:
            for message in self._receive():
                if message.type == _NLMSG_ERROR and message.sequence in waiting:
                    waiting.discard(message.sequence)
                    results[message.sequence - first] = _error_of(message)
        return results

    def ask(self, request: Request) -> list[Message]:
        """
        What the kernel says to a request that is answered by one message.

        Raises:
            OSError: as in :meth:`execute`.
        """
        self._socket.send(self._framed(request, NLM_F_ACK))
        return self._answer()[0]

    def dump(self, request: Request) -> list[Message]:
        """
        All entries of a table, taken again when it changed meanwhile.

        Raises:
            OSError: as in :meth:`execute`.
        """
        answer: list[Message] = []
        for _ in range(_DUMP_ATTEMPTS):
            self._socket.send(self._framed(request, NLM_F_DUMP))
            answer, was_interrupted = self._answer()
            if not was_interrupted:
                break
        return answer

    def _answer(self) -> tuple[list[Message], bool]:
        answer: list[Message] = []
        was_interrupted = False
        while True:
            for message in self._receive():
                if message.sequence != self._sequence or message.type == _NLMSG_NOOP:
                    continue
                was_interrupted |= bool(message.flags & _NLM_F_DUMP_INTERRUPTED)
                if message.type not in (_NLMSG_ERROR, _NLMSG_DONE):
                    answer.append(message)
                    continue
                error = _error_of(message)
                if error is not None:
                    raise error
                return answer, was_interrupted

    def _framed(self, request: Request, flags: int) -> bytes:
        self._sequence += 1
        padding = -len(request.payload) % 4
        header = HEADER.pack(
            HEADER.size + len(request.payload),
            request.type,
            request.flags | flags | NLM_F_REQUEST,
            self._sequence,
            0,
        )
        return header + request.payload + bytes(padding)

    def _receive(self) -> list[Message]:
        return list(messages(self._socket.recv(_RECEIVE_BYTES)))


def messages(data: bytes) -> Iterator[Message]:
    """The messages in one datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield Message(kind, flags, sequence, data[offset + HEADER.size : offset + length])
        offset += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """Attribute type to value; of several of one type the last."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _error_of(message: Message) -> OSError | None:
    if len(message.payload) < 4:
        return None
    (code,) = struct.unpack_from("=i", message.payload)
    if code >= 0:
        return None
    words = ""
    if message.flags & _NLM_F_ACK_TLVS and message.type == _NLMSG_ERROR:
        # error, then the header of the request, then what the kernel has to say
        said = attributes(message.payload[4 + HEADER.size :]).get(_NLMSGERR_ATTR_MSG, b"")
        words = said.rstrip(b"\0").decode(errors="replace")
    text = os.strerror(-code)
    return OSError(-code, f"{text} ({words})" if words else text)
