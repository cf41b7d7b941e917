"""
Bytes of one program cut into whole lines, and what makes of them lines that carry its name.

Pure: it opens, reads and writes nothing, and knows no encoding.
"""

from __future__ import annotations

from collections.abc import Callable

LINE_MAX_BYTES = 16 * 1024
CUT_MARK = b" [cut]"

#: Whole lines, all but the last with their newline; what is written for them, newlines included.
Form = Callable[[bytes], bytes]


def prefixed(name: str) -> Form:
    """The form for people: ``NAME | `` before each line, and the line as it came."""
    prefix = name.encode() + b" | "
    return lambda lines: prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n"


class LineSplitter:
    """
    The unfinished line of one program, between two reads.

    Invariant: what comes out is whole lines, each in its form, and depends only on the bytes that
    went in, not on where the reads cut them.
    """

    __slots__ = ("_form", "_limit", "_rest")

    def __init__(self, form: Form, limit: int = LINE_MAX_BYTES) -> None:
        self._form = form
        self._limit = limit
        self._rest = b""

    @property
    def has_rest(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> bytes:
        """
        Take *chunk*; return the lines it completes, each with its newline.

        A line longer than the limit comes as several, all but the last marked ``[cut]``.
        """
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(b"\n")
        whole, self._rest = data[: max(end, 0)], data[end + 1 :]
        out = self._form(self._shortened(whole)) if end >= 0 else b""
        if len(self._rest) > self._limit:
            # Keep 1..limit bytes, so that a newline which comes next ends this very piece.
            keep_from = (len(self._rest) - 1) // self._limit * self._limit
            out += self._form(self._shortened(self._rest[:keep_from]) + CUT_MARK)
            self._rest = self._rest[keep_from:]
        return out

    def flush(self) -> bytes:
        """End the unfinished line, if there is one."""
        rest, self._rest = self._rest, b""
        return self._form(rest) if rest else b""

    def _shortened(self, whole: bytes) -> bytes:
        lines = whole.split(b"\n")
        if max(map(len, lines)) <= self._limit:
            return whole
        return b"\n".join(self._cut(line) for line in lines)

    def _cut(self, line: bytes) -> bytes:
        starts = range(0, len(line), self._limit)
        return (CUT_MARK + b"\n").join(line[start : start + self._limit] for start in starts)
