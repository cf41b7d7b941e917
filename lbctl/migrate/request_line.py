"""
Old regular expressions, which saw whole lines ("GET /x HTTP/1.1", "Host: a"), taken apart into
what today's rules see: a method, a path, a header's value.

Pure. What does not have one of the known forms is None, and is refused: a guess would route
requests elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Method: anything, or a choice of names; the blank behind it may be inside of its group.
_METHOD = re.compile(
    r"""\^
    (?P<open>\()?
    (?P<method>\[\^(?:\\?\ |\\s|:)+\][*+]|\[A-Z\][*+]|\[A-Za-z\][*+]|\.[*+]|\\[wS][*+]|\\S[*+]
        |[A-Z]+(?:\|[A-Z]+)*|\((?:\?:)?[A-Z]+(?:\|[A-Z]+)*\))
    (?(open)(?P<inside>\ ?(?P<slash>/)?)\))
    """,
    re.VERBOSE,
)
#: The version: spelt out, or whatever follows a blank.
_VERSION = re.compile(r"\ (?:\(?HTTP/[^ ]*\)?|\(\.[*+]\)|\.[*+])\$?\Z")
_HEADER = re.compile(
    r"""\^
    (?:\((?P<with_colon>[\w-]+):(?P<blank>\ )?\) | \((?P<before_colon>[\w-]+)\):
        | (?P<bare>[\w-]+)(?P<colon>:)?)
    (?P<rest>.*)\Z""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_SEPARATOR = re.compile(r"(?:\[\ \\t\]|\[\ \]|\[\[:space:\]\]|\\s|\ )[*+]?")
_GROUP = re.compile(r"\\(\d)")
_NAMES = re.compile(r"[A-Z]+(?:\|[A-Z]+)*")


@dataclass(frozen=True, slots=True)
class RequestLine:
    """
    An expression on a request line.

    Attributes:
        methods: it asks for these; empty: any.
        path: expression on path and query, anchored at its begin.
        method_text: what a replacement begins with to keep the method; empty: it cannot.
        ends_with: what of the blank and the slash behind the method is in its group.
        first_group: number that the path's first group had.
        keeps_version: the expression has a part of its own for the version.
        version_group: number of that part's group; 0 for none.
    """

    methods: tuple[str, ...]
    path: str
    method_text: str
    ends_with: str
    first_group: int
    keeps_version: bool
    version_group: int


@dataclass(frozen=True, slots=True)
class Header:
    """
    An expression on one header.

    Attributes:
        name: of the header.
        value: expression on its value, anchored; empty: any value.
        is_whole_name: a colon ends the name in the expression; else it is a prefix.
        name_texts: what a replacement may begin with to keep the name.
        first_group: number that the value's first group had.
    """

    name: str
    value: str
    is_whole_name: bool
    name_texts: tuple[str, ...]
    first_group: int


def groups_in(expression: str) -> int:
    """How many groups it captures."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]", "", expression)
    return len(re.findall(r"\((?!\?)", bare))


def renumbered(text: str, first: int) -> str:
    """*text* with ``\\N`` counted from group *first* on."""
    return _GROUP.sub(
        lambda found: found[0] if found[1] == "0" else f"\\{int(found[1]) - first + 1}", text
    )


def refers_below(text: str, first: int) -> bool:
    """Whether *text* uses a group before *first*, or the whole match."""
    return any(int(number) < first for number in _GROUP.findall(text))


def as_request_line(expression: str, *, ignores_case: bool = False) -> RequestLine | None:
    """Take an expression on the request line apart; None: it is none, or not a known form."""
    found = _METHOD.match(expression)
    if found is None:
        return None
    rest = expression[found.end() :]
    inside = found["inside"] or ""
    if not inside.startswith(" "):
        if not rest.startswith(" "):
            return None
        rest = rest[1:]
    if inside.endswith("/"):
        rest = f"/{rest}"
    version = _VERSION.search(rest)
    path = rest[: version.start()] if version else rest
    if not re.match(r"\(?(?:/|\.[*+]|\[\^)", path) or " " in re.sub(r"\[\^[^\]]*\]", "", path):
        return None
    methods = _methods(found["method"])
    if methods and ignores_case:
        return None
    own = groups_in(found[0])
    head = "\\1" if found["open"] else "".join(methods)
    return RequestLine(
        methods,
        f"^{path}",
        head if found["open"] or len(methods) == 1 else "",
        inside,
        own + 1,
        version is not None,
        own + groups_in(path) + 1 if version and "(" in version[0] else 0,
    )


def new_path(line: RequestLine, replacement: str) -> tuple[str, str] | None:
    """
    Expression and text of ``replace-pathq`` for a whole new request line; None: it cannot be.

    The old text had to bring the version along: either as a group of its own, or spelt out, or at
    the end of the path's last group.
    """
    text = _without_method(line, replacement)
    if text is None:
        return None
    expression = line.path
    if line.keeps_version:
        head, _, version = text.rpartition(" ")
        if version not in (f"\\{line.version_group}", "HTTP/1.0", "HTTP/1.1") or not head:
            return None
        text = head
    else:
        last = line.first_group + groups_in(expression) - 1
        if not re.search(r"\(\.\*\)\$?\Z", expression) or not text.endswith(f"\\{last}"):
            return None
    if " " in text or refers_below(text, line.first_group):
        return None
    return expression, renumbered(text, line.first_group)


def _without_method(line: RequestLine, replacement: str) -> str | None:
    head = line.method_text
    if not head or not replacement.startswith(head):
        return None
    text = replacement[len(head) :]
    if line.ends_with:
        # The blank, and perhaps the slash, are in the method's group.
        return line.ends_with[1:] + text
    return text[1:] if text.startswith(" ") else None


def _methods(text: str) -> tuple[str, ...]:
    names = text.removeprefix("(").removeprefix("?:").removesuffix(")")
    return tuple(names.split("|")) if _NAMES.fullmatch(names) else ()


def as_header(expression: str) -> Header | None:
    """Take an expression on a header apart; None: it is none, or not a known form."""
    found = _HEADER.match(expression)
    if found is None:
        return None
    name = found["with_colon"] or found["before_colon"] or found["bare"]
    group = "\\1" if found["with_colon"] else "\\1:" if found["before_colon"] else ""
    separator = _SEPARATOR.match(found["rest"])
    value = found["rest"][separator.end() :] if separator else found["rest"]
    return Header(
        name,
        f"^{value}" if value else "",
        bool(group or found["colon"]),
        (group, f"{name}:") if group else (f"{name}:",),
        2 if group else 1,
    )


def new_value(header: Header, replacement: str) -> tuple[str, str] | None:
    """Expression and text of ``replace-header`` for a whole new line; None: it cannot be."""
    lowered = replacement.lower()
    heads = [head for head in header.name_texts if lowered.startswith(head.lower())]
    if not heads or not header.is_whole_name:
        return None
    text = replacement[len(heads[0]) :].lstrip(" ")
    if refers_below(text, header.first_group):
        return None
    return header.value or "^.*", renumbered(text, header.first_group)


#: By the first letters of a keyword of the old family: today's, and how it names a header's value.
SIDES: Mapping[str, tuple[str, str]] = {
    "req": ("http-request", "req.fhdr"),
    "rsp": ("http-response", "res.fhdr"),
}
