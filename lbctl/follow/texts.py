"""
What HAProxy is to load as the texts of files, and back: the files are the only record. Pure.

The agent has each load tell its token to the process, as a variable of its environment, so that the
process can be asked what it has loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from lbctl.follow.world import NO_TARGET, Wanted
from lbctl.model.target import BEGIN, Target
from lbctl.render.services import NOTHING

HAPROXY_CFG: Final = "haproxy.cfg"
SERVICES_CFG: Final = "services.cfg"
VARIABLE: Final = "LBCTL_LOADED"

_TOKEN = re.compile(rf"\Aglobal\n    setenv {VARIABLE} ([0-9a-f]+)\n")
#: Lines that the token takes, at the top of services.cfg.
TOKEN_LINES: Final = 2
#: Added for each process.
_ADDED = re.compile(r"threads\.cfg|nbproc\.cfg|proc-\d+\.cfg")
#: Named by the text.
_NAMED = re.compile(r".*\.map")


def is_named(name: str) -> bool:
    """Whether it is a file that only the text of a configuration makes one of ours."""
    return _NAMED.fullmatch(name) is not None


def named(files: Mapping[str, str], text: str) -> dict[str, str]:
    """Those of *files* that count: maps that *text*, of all configuration, names."""
    return {name: one for name, one in files.items() if is_named(name) and name in text}


def is_ours(name: str) -> bool:
    """Whether HAProxy loads the file of this name in the run dir."""
    known = name in (HAPROXY_CFG, SERVICES_CFG)
    return known or is_named(name) or _ADDED.fullmatch(name) is not None


def texts_of(wanted: Wanted, skip: Wanted | None = None) -> dict[str, str]:
    """
    Every file by its name, those that are named by others first.

    Args:
        skip: what is the very same there is left out.
    """
    target = wanted.target
    texts = {} if skip and skip.target.files == target.files else dict(target.files)
    texts |= {
        name: text
        for name, text in wanted.more.items()
        if skip is None or skip.more.get(name) != text
    }
    is_same = skip is not None and skip.target is target and skip.is_beside is wanted.is_beside
    if not wanted.is_beside and not is_same:
        texts[HAPROXY_CFG] = target.text()
    if skip is None or not is_same or skip.token != wanted.token:
        is_still = skip is not None and skip.token == wanted.token
        if not is_still or wanted.is_beside or (skip is not None and skip.is_beside):
            texts[SERVICES_CFG] = _services(wanted)
    return texts


def wanted_of(texts: Mapping[str, str]) -> Wanted:
    """The inverse of :func:`texts_of`; what is not lbctl's is the operator's."""
    services, own = texts.get(SERVICES_CFG, ""), texts.get(HAPROXY_CFG, "")
    found = _TOKEN.match(services)
    token, rest = (found[1], services[found.end() :]) if found else ("", services)
    is_beside = f"{BEGIN}\n" in rest
    more = {name: text for name, text in texts.items() if _ADDED.fullmatch(name)}
    files = named(texts, own + rest)
    if not is_beside:
        target = _parsed(own, files)
        if target is not None:
            return Wanted(target, more, is_beside=False, token=token)
    target = _parsed(rest, files) or NO_TARGET
    return Wanted(target, {**more, HAPROXY_CFG: own}, is_beside=True, token=token)


def without_token(text: str) -> str:
    """services.cfg as it is rendered."""
    found = _TOKEN.match(text)
    return text[found.end() :] if found else text


def _services(wanted: Wanted) -> str:
    head = f"global\n    setenv {VARIABLE} {wanted.token}\n" if wanted.token else ""
    has_target = wanted.is_beside and wanted.target is not NO_TARGET
    return head + (wanted.target.text() if has_target else NOTHING)


def _parsed(text: str, files: Mapping[str, str]) -> Target | None:
    try:
        return Target.parse(text, files)
    except ValueError:
        return None
