"""
The part of XML-RPC that supervisord speaks: a call to bytes, bytes to a value.

Pure. The standard library's ``xmlrpc.client`` does the same, and brings http.client, email and gzip
into vipd's memory (1.9 MB).

Source: http://xmlrpc.com/spec.md; supervisor/xmlrpc.py for the types that occur.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.parsers import expat

_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "i4": int,
    "i8": int,
    "double": float,
    "string": str,
    "boolean": lambda text: text.strip() == "1",
    "nil": lambda _text: None,
}


class FaultError(Exception):
    """The reply is a fault: supervisord's own code and text."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{text} (fault {code})")


def encode_call(method: str, *params: str | bool) -> bytes:
    """The body of a request."""
    values = "".join(f"<param><value>{_encoded(param)}</value></param>" for param in params)
    name = _escaped(method)
    return (
        '<?xml version="1.0"?>'
        f"<methodCall><methodName>{name}</methodName><params>{values}</params></methodCall>"
    ).encode()


def decode_reply(body: bytes) -> Any:
    """
    The value of a reply.

    Raises:
        FaultError: it is a fault.
        ValueError: it is no reply of XML-RPC.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, IndexError, TypeError) as error:
        message = f"not an XML-RPC reply: {error!r}"
        raise ValueError(message) from error
    if len(reader.values) != 1:
        message = f"not an XML-RPC reply: {len(reader.values)} values"
        raise ValueError(message)
    value = reader.values[0]
    if reader.is_fault:
        if not isinstance(value, dict) or not {"faultCode", "faultString"} <= value.keys():
            message = f"not an XML-RPC fault: {value!r}"
            raise ValueError(message)
        raise FaultError(value["faultCode"], value["faultString"])
    return value


class _Reader:
    """
    A stack of finished values; ``struct`` and ``array`` fold what came since they began.

    Invariant: within a value, ``values`` grows by one for each finished value (and member name).
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.is_fault = False
        self._marks: list[int] = []
        self._text: list[str] = []
        self._is_bare = False

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        self._text = []
        self._is_bare = tag == "value"  # a value without a type is a string
        if tag in ("struct", "array"):
            self._marks.append(len(self.values))
        elif tag == "fault":
            self.is_fault = True

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, tag: str) -> None:
        text = "".join(self._text)
        if tag in _SCALARS:
            self.values.append(_SCALARS[tag](text))
        elif tag == "name" or (tag == "value" and self._is_bare):
            self.values.append(text)
        elif tag == "array":
            self.values.append(self._since_mark())
        elif tag == "struct":
            flat = self._since_mark()
            self.values.append(dict(zip(flat[::2], flat[1::2], strict=True)))
        self._text = []
        self._is_bare = False

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        taken = self.values[mark:]
        del self.values[mark:]
        return taken


def _encoded(value: str | bool) -> str:
    if isinstance(value, bool):
        return f"<boolean>{value:d}</boolean>"
    return f"<string>{_escaped(value)}</string>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
