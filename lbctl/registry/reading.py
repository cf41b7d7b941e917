"""
JSON from strangers: parsed, and taken apart with everything wrong in it named by its place. Pure.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from lbctl.errors import Problem, ProblemsError
from lbctl.registry.words import BODY_MAX_BYTES, CONTAINERS_MAX, is_port, plain_problem
from lbctl.settings.keys import closest, name_shown
from lbctl.settings.layer import shown
from lbctl.settings.shape import Path, path_shown

#: The place of what is wrong with all of it.
WHOLE: Final = "payload"
#: More of them help nobody.
PROBLEMS_MAX: Final = 100

HTTP_BAD: Final = 400
HTTP_TOO_LARGE: Final = 413

_Rule = Callable[[str], str | None]


class PayloadError(ProblemsError):
    """
    The body is wrong; nothing was changed.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, problems: Sequence[Problem], status: int = HTTP_BAD) -> None:
        self.status = status
        more = len(problems) - PROBLEMS_MAX
        rest = (Problem(WHOLE, f"{more} more problems"),) if more > 0 else ()
        super().__init__((*problems[:PROBLEMS_MAX], *rest))


def parsed(raw: bytes) -> object:
    """
    Raises:
        PayloadError: too long, no JSON, or a name is in an object twice.
    """
    if len(raw) > BODY_MAX_BYTES:
        what = f"{len(raw)} bytes; at most {BODY_MAX_BYTES} are taken: nothing was changed"
        raise PayloadError([Problem(WHOLE, what)], HTTP_TOO_LARGE)
    twice: list[str] = []

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(found := dict(pairs)) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice.extend(name for name, count in counts.items() if count > 1)
        return found

    try:
        plain: object = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=members,
            parse_constant=_no_constant,
            parse_int=_number,
        )
    except RecursionError:
        raise PayloadError([Problem(WHOLE, "is nested too deeply")]) from None
    except UnicodeDecodeError as error:
        raise PayloadError([Problem(WHOLE, f"is not UTF-8: {error.reason}")]) from None
    except ValueError as error:
        raise PayloadError([Problem(WHOLE, f"is not JSON: {error}")]) from None
    if twice:
        what = "is in one object twice; keep one"
        raise PayloadError([Problem(WHOLE, f"{name_shown(one)} {what}") for one in twice])
    return plain


def _number(text: str) -> float:
    """A long one is wrong wherever it stands, and not worth the time that Python takes for it."""
    return int(text) if len(text) < 20 else float(text[:20])


def _no_constant(name: str) -> object:
    message = f"{name} is no value of it"
    raise ValueError(message)


class Reader:
    """
    Takes values out of mappings.

    Attributes:
        wrong: all that was wrong so far.
    """

    def __init__(self) -> None:
        self.wrong: list[Problem] = []

    def mapping(self, plain: object, path: Path, known: Sequence[str]) -> dict[str, Any] | None:
        """One with these names and no others; None: it is none."""
        if not isinstance(plain, dict):
            self.add(path, f"must be an object ({', '.join(known)})", plain)
            return None
        for name in plain:
            if name not in known:
                meant = closest(name, known)
                hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
                self.add((*path, name), f"unknown key; {hint}")
        return plain

    def items(self, plain: dict[str, Any], name: str, path: Path) -> Iterator[tuple[Path, object]]:
        """Of a list that must be there, with their paths; one that is too long is not looked at."""
        found = plain.get(name)
        at = (*path, name)
        if name not in plain:
            self.missing(path, name)
        elif not isinstance(found, list):
            self.add(at, "must be a list", found)
        elif len(found) > CONTAINERS_MAX:
            self.add(at, f"has {len(found)} items; at most {CONTAINERS_MAX} are taken")
        else:
            yield from (((*at, index), item) for index, item in enumerate(found))

    def text(
        self,
        plain: dict[str, Any],
        name: str,
        path: Path,
        rule: _Rule | None = None,
        *,
        is_needed: bool = True,
    ) -> str:
        """A text; empty: there is none, or a wrong one."""
        found = plain.get(name)
        at = (*path, name)
        if found is None and (name not in plain or not is_needed):
            if is_needed:
                self.missing(path, name)
        elif not isinstance(found, str):
            self.add(at, "must be text", found)
        elif not found:
            if is_needed:
                self.add(at, "must not be empty", found)
        elif what := plain_problem(found) or (rule(found) if rule else None):
            self.add(at, what, found)
        else:
            return found
        return ""

    def port(self, plain: dict[str, Any], name: str, path: Path, default: int) -> int:
        """A number, or a text that is one."""
        found = plain.get(name)
        if found is None or found == "":
            return default
        text = str(found) if isinstance(found, int | str) and not isinstance(found, bool) else ""
        if not is_port(text):
            self.add((*path, name), "must be 1..65535", found)
            return default
        return int(text)

    def missing(self, path: Path, name: str, why: str = "") -> None:
        """What must be there is not."""
        self.add((*path, name), f"is missing{why}")

    def add(self, path: Path, what: str, value: object = None) -> None:
        """Remember it; a *value* is shown where it is a word."""
        is_word = isinstance(value, str | int | float)
        said = f"{shown(value)}: {what}" if is_word else what
        self.wrong.append(Problem(path_shown(path) or WHOLE, said))
