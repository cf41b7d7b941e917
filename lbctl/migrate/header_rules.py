"""
Rules for the family req*, rsp* and ``block``, which 2.1 removed: they saw requests and responses as
lines of text, and became ``http-request`` and ``http-response``.
"""

from __future__ import annotations

import re
from typing import Final

from lbctl.migrate.condition import joined, start_of
from lbctl.migrate.document import Row
from lbctl.migrate.request_line import (
    SIDES,
    Header,
    RequestLine,
    as_header,
    as_request_line,
    new_path,
    new_value,
)
from lbctl.migrate.rule import (
    ANY_PROXY,
    Lines,
    Outcome,
    Phase,
    Refused,
    Rule,
    Scene,
    refusal,
)
from lbctl.migrate.words import quoted

_ANY_VALUE = ("", "^.*", "^.*$", "^.+")
_TCP = "in tcp mode HAProxy ignored it, and a fatal error since 2.1"
_FORMS = (
    "its expression is none of the known forms: write the rule as '{} replace-header' or "
    "'deny if {{ ... }}' (for a path 'http-request replace-pathq'), which see no whole lines"
)
_ALLOW = (
    "it only exempted a request from the 'reqdeny' and 'reqtarpit' behind it; 'http-request allow' "
    "would skip every later rule: add the exception to each of these as 'unless ...', then remove "
    "this line"
)
_CANNOT_JOIN = "its condition cannot be joined with another: write an acl for it and name that"


class _Statement:
    """One line of the family: its side, whether it ignores case, arguments, condition."""

    def __init__(self, row: Row) -> None:
        found = re.fullmatch(r"(req|rsp)(i?)(\w+)", row.keyword)
        assert found is not None
        self.row = row
        self.rules, self.fetch = SIDES[found[1]]
        self.ignores_case = bool(found[2])
        at = start_of(row.texts, 2)
        self.arguments = row.texts[1:at]
        self.condition = row.texts[at:]
        self._written = row.text[row.words[at].start : row.words[-1].end] if self.condition else ""
        self._comment = row.text[row.words[-1].end :]

    def line(self, action: str, extra: str = "", phase: Phase = Phase.FILTERS) -> Outcome:
        condition = joined(extra, self.condition, self._written)
        if condition is None:
            return Refused(_CANNOT_JOIN)
        text = f"{self.row.indent}{self.rules} {action} {condition}".rstrip() + self._comment
        return Lines((text,), phase=phase)

    def expression(self, text: str) -> str:
        """As one word; PCRE, which Debian's HAProxy is built with, takes ``(?i)``."""
        does_matter = self.ignores_case and re.search(r"[A-Za-z]", re.sub(r"\\.", "", text))
        return quoted(f"(?i){text}" if does_matter else text)


def _format(text: str) -> str:
    """*text* as a format: a percent sign stands for itself."""
    return quoted(text.replace("%", "%%"))


def _methods(methods: tuple[str, ...]) -> str:
    return f"{{ method {' '.join(methods)} }}" if methods else ""


def _replace(row: Row, scene: Scene) -> Outcome:
    if scene.section.mode == "tcp":
        return Lines(why=_TCP)
    one = _Statement(row)
    if len(one.arguments) != 2:
        return Refused("it takes an expression and a text: HAProxy never accepted this line")
    search, replacement = _by_name(*one.arguments)
    line = as_request_line(search, ignores_case=one.ignores_case)
    if line is not None and one.rules == "http-request":
        return _replace_path(one, line, replacement)
    header = as_header(search)
    pair = new_value(header, replacement) if header else None
    if header is None or pair is None or line is not None:
        return Refused(_FORMS.format(one.rules))
    value, text = pair
    return one.line(f"replace-header {header.name} {one.expression(value)} {_format(text)}")


def _by_name(search: str, replacement: str) -> tuple[str, str]:
    """``^(NAME:.*)`` and ``\\1 MORE``, which append to a header, with the name in a group alone."""
    found = re.fullmatch(r"\^\(([\w-]+): ?\.\*\)\$?", search)
    if found is None or not re.match(r"\\1(?!\d)[^\\]*\Z", replacement):
        return search, replacement
    return f"^({found[1]}):(.*)", f"\\1:\\2{replacement[2:]}"


def _replace_path(one: _Statement, line: RequestLine, replacement: str) -> Outcome:
    pair = new_path(line, replacement)
    if pair is None:
        return Refused(
            "the new request line changes the method, or loses part of the old one: write it as "
            "'http-request set-method' and 'http-request replace-pathq'"
        )
    path, text = pair
    action = f"replace-pathq {one.expression(path)} {_format(text)}"
    return one.line(action, _methods(line.methods))


def _add(row: Row, scene: Scene) -> Outcome:
    if scene.section.mode == "tcp":
        return Lines(why=_TCP)
    one = _Statement(row)
    name, colon, value = " ".join(one.arguments).partition(":")
    if len(one.arguments) != 1 or not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~\w-]+", name):
        return Refused("what it adds is not 'Name: value': write it as http-request add-header")
    return one.line(f"add-header {name} {_format(value.strip())}", phase=Phase.ADDED)


def _delete(row: Row, scene: Scene) -> Outcome:
    if scene.section.mode == "tcp":
        return Lines(why=_TCP)
    one = _Statement(row)
    header = as_header(one.arguments[0]) if len(one.arguments) == 1 else None
    if header is None or header.value not in _ANY_VALUE:
        return Refused(
            f"it deletes by more than a header's name: write it as '{one.rules} del-header NAME "
            f"if {{ {one.fetch}(NAME) -m reg ... }}', which deletes all headers of that name"
        )
    return one.line(f"del-header {header.name}{'' if header.is_whole_name else ' -m beg'}")


def _deny(action: str) -> _Deny:
    return _Deny(action)


class _Deny:
    """``deny``, ``tarpit`` and ``allow``: what the expression asked for becomes a condition."""

    def __init__(self, action: str) -> None:
        self._action = action

    def __call__(self, row: Row, scene: Scene) -> Outcome:
        if scene.section.mode == "tcp":
            return Lines(why=_TCP)
        if self._action == "allow" and _is_followed(row, scene):
            return Refused(_ALLOW)
        one = _Statement(row)
        search = one.arguments[0] if len(one.arguments) == 1 else ""
        line = as_request_line(search, ignores_case=one.ignores_case)
        if line is not None and one.rules == "http-request":
            return self._on_path(one, line)
        header = as_header(search)
        if header is None or line is not None or not header.is_whole_name:
            return Refused(_FORMS.format(one.rules))
        return one.line(self._action, _on_header(one, header))

    def _on_path(self, one: _Statement, line: RequestLine) -> Outcome:
        flag = " -i" if one.ignores_case else ""
        path = f"{{ pathq -m reg{flag} {quoted(line.path)} }}"
        return one.line(self._action, f"{_methods(line.methods)} {path}".strip())


def _is_followed(row: Row, scene: Scene) -> bool:
    """Whether something in the section changes requests after *row* has allowed them."""
    return any(
        re.fullmatch(r"reqadd|http-request", one.keyword)
        or (one.number > row.number and re.fullmatch(r"reqi?(rep|del)", one.keyword))
        for one in scene.section.rows
    )


def _on_header(one: _Statement, header: Header) -> str:
    if header.value in _ANY_VALUE:
        return f"{{ {one.fetch}({header.name}) -m found }}"
    flag = " -i" if one.ignores_case else ""
    return f"{{ {one.fetch}({header.name}) -m reg{flag} {quoted(header.value)} }}"


def _block(row: Row, scene: Scene) -> Outcome:
    if scene.section.mode == "tcp":
        return Lines(why=_TCP)
    return Lines((row.with_words(0, 1, "http-request deny"),), phase=Phase.FIRST)


HEADER_RULES: Final = (
    Rule(
        "block if is_bad",
        "`http-request deny if is_bad`, before all others",
        "removed in 2.1; it ran before every http-request rule",
        ("block",),
        ANY_PROXY,
        _block,
    ),
    Rule(
        r"reqrep ^([^\ ]*\ /)app/(.*) \1\2, reqirep",
        r"`http-request replace-pathq ^/app/(.*) /\1`; on a header: `http-request replace-header`",
        "removed in 2.1; today's rule sees path and query, or one header's value, not whole lines",
        ("reqrep", "reqirep", "rsprep", "rspirep"),
        ANY_PROXY,
        _replace,
    ),
    Rule(
        r"reqadd X-Forwarded-Proto:\ https, rspadd",
        "`http-request add-header X-Forwarded-Proto https`, `http-response add-header`",
        "removed in 2.1; it ran after the rules that rewrite",
        ("reqadd", "rspadd"),
        ANY_PROXY,
        _add,
    ),
    Rule(
        "reqidel ^X-Forwarded-For:.*, reqdel, rspdel, rspidel",
        "`http-request del-header X-Forwarded-For`, `http-response del-header`",
        "removed in 2.1; headers are deleted by name",
        ("reqdel", "reqidel", "rspdel", "rspidel"),
        ANY_PROXY,
        _delete,
    ),
    Rule(
        r"reqideny ^[^\ ]*\ /admin, reqdeny, rspdeny, rspideny",
        "`http-request deny if { pathq -m reg -i ^/admin }`; on a header: `{ req.fhdr(...) ... }`",
        "removed in 2.1; what it looked for is a condition now",
        ("reqdeny", "reqideny", "rspdeny", "rspideny"),
        ANY_PROXY,
        _deny("deny"),
    ),
    Rule(
        "reqitarpit, reqtarpit",
        "`http-request tarpit if { ... }`",
        "removed in 2.1; what it looked for is a condition now",
        ("reqtarpit", "reqitarpit"),
        ANY_PROXY,
        _deny("tarpit"),
    ),
    Rule(
        "reqiallow, reqallow",
        "`http-request allow if { ... }`",
        "removed in 2.1; what it looked for is a condition now, and rules of a backend hold for it",
        ("reqallow", "reqiallow"),
        ANY_PROXY,
        _deny("allow"),
    ),
    refusal(
        "reqpass, reqipass",
        ("reqpass", "reqipass"),
        ANY_PROXY,
        "it exempted single lines from later rules, and nothing does that today: add the "
        "exception to each of those rules as 'unless ...', then remove this line",
    ),
    refusal(
        "reqsetbe, reqisetbe",
        ("reqsetbe", "reqisetbe"),
        ANY_PROXY,
        "write it as 'use_backend NAME if { ... }', before the other use_backend rules",
    ),
)
