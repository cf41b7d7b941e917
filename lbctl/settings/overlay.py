"""
Settings that a source of services sets, laid over those of lb.yaml. Pure.

Few may be set so: whoever may write there must not be able to have this host do anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from lbctl.errors import Problem
from lbctl.settings.environment import value_of
from lbctl.settings.keys import KEYS, name_shown
from lbctl.settings.layer import shown
from lbctl.settings.model import Settings, Timeouts
from lbctl.settings.rules import value_problem
from lbctl.settings.shape import UnfitError, leaf

_MAXCONN: Final = "haproxy.maxconn"
#: The keys that may be.
OVERLAID: Final = (
    _MAXCONN,
    *(f"haproxy.timeouts.{one.name}" for one in fields(Timeouts)),
)


def overlaid(
    settings: Settings, texts: Mapping[str, str], *, most_maxconn: int | None = None
) -> tuple[Settings, tuple[Problem, ...]]:
    """
    Args:
        texts: by dotted key: ``haproxy.maxconn`` -> ``1024``.
        most_maxconn: with more HAProxy would not start on this host; None: not looked at.

    Returns:
        The settings with all that is good, and what is wrong with the rest, which is ignored.
    """
    problems: list[Problem] = []
    maxconn: dict[str, Any] = {}
    timeouts: dict[str, Any] = {}
    for path, text in sorted(texts.items()):
        value, what = _judged(path, text, most_maxconn)
        if what:
            problems.append(Problem(name_shown(path), f"{what}; it is ignored"))
        else:
            at = timeouts if path.startswith("haproxy.timeouts.") else maxconn
            at[path.rpartition(".")[2]] = value
    haproxy = settings.haproxy
    found = replace(haproxy, **maxconn, timeouts=replace(haproxy.timeouts, **timeouts))
    return (settings if found == haproxy else replace(settings, haproxy=found)), tuple(problems)


def _judged(path: str, text: str, most_maxconn: int | None) -> tuple[object, str]:
    """The value, and what is wrong with it."""
    if path not in OVERLAID:
        return None, f"cannot be set by a source of services: one of {', '.join(OVERLAID)}"
    key = KEYS[path]
    try:
        value = leaf(key, value_of(key, text))
    except UnfitError as error:
        return None, f"{shown(text)}: {error}"
    what = value_problem(path, value)
    if not what and path == _MAXCONN and most_maxconn is not None and int(value) > most_maxconn:
        what = f"must be at most {most_maxconn}, for which this host's limit of open files has room"
    return value, f"{shown(text)}: {what}" if what else ""
