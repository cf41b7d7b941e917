"""
Bytes of one program cut into whole lines that carry its name.

Pure: it opens, reads and writes nothing, and knows no encoding.
"""

from __future__ import annotations

LINE_MAX_BYTES = 16 * 1024
CUT_MARK = b" [cut]"


class LineSplitter:
    """
    The unfinished line of one program, between two reads.

    Invariant: what comes out is whole lines, each with the prefix, and depends only on the bytes
    that went in, not on where the reads cut them.
    """

    __slots__ = ("_limit", "_prefix", "_rest")

    def __init__(self, name: str, limit: int = LINE_MAX_BYTES) -> None:
        self._prefix = name.encode() + b" | "
        self._limit = limit
        self._rest = b""

    @property
    def has_rest(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> bytes:
        """
        Take *chunk*; return the lines it completes, prefixed, each with its newline.

        A line longer than the limit comes as several, all but the last marked ``[cut]``.
        """
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(b"\n")
        whole, self._rest = data[: max(end, 0)], data[end + 1 :]
        out = self._prefixed(self._shortened(whole)) if end >= 0 else b""
        if len(self._rest) > self._limit:
            # Keep 1..limit bytes, so that a newline which comes next ends this very piece.
            keep_from = (len(self._rest) - 1) // self._limit * self._limit
            out += self._prefixed(self._shortened(self._rest[:keep_from]) + CUT_MARK)
            self._rest = self._rest[keep_from:]
        return out

    def flush(self) -> bytes:
        """End the unfinished line, if there is one."""
        rest, self._rest = self._rest, b""
        return self._prefixed(rest) if rest else b""

    def _prefixed(self, lines: bytes) -> bytes:
        return self._prefix + lines.replace(b"\n", b"\n" + self._prefix) + b"\n"

    def _shortened(self, whole: bytes) -> bytes:
        lines = whole.split(b"\n")
        if max(map(len, lines)) <= self._limit:
            return whole
        return b"\n".join(self._cut(line) for line in lines)

    def _cut(self, line: bytes) -> bytes:
        starts = range(0, len(line), self._limit)
        return (CUT_MARK + b"\n").join(line[start : start + self._limit] for start in starts)
