"""What differs between two configurations but for their generated backends, told for people."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from lbctl.haproxy.lines import SECTIONS
from lbctl.model.names import service_of
from lbctl.model.target import Target, meaning

_SHOWN = 5
_SECTION = re.compile(rf"^(?=(?:{'|'.join(sorted(SECTIONS))})\b)", re.M)
#: A map that lbctl made; where its name has a hash of its content it says nothing to people.
_MAP = re.compile(r"([a-z]+)(?:-[0-9a-f]{10})?\.map")
_ROUTES = "routes"
#: In the lines that look a request up in maps: they follow from the maps.
_LOOK_UP = "txn.lbctl_"


def differences(loaded: Target, desired: Target) -> Sequence[str]:
    """
    One sentence a kind of difference; none: they are the same around the backends.

    Routes of a service that comes or goes are not told of: that is a difference of backends.
    """
    if told := [*_differences(loaded, desired)]:
        return told
    is_same = _understood(loaded) == _understood(desired) and loaded.files == desired.files
    is_told = loaded.backends.keys() != desired.backends.keys()
    return [] if is_same or is_told else ["how routes are looked up changes"]


def _differences(loaded: Target, desired: Target) -> Iterator[str]:
    if loaded.files != desired.files:
        yield from _maps(loaded, desired)
        yield from _told("file ", _plain(loaded.files), _plain(desired.files))
    if _understood(loaded) != _understood(desired):
        old, new = _sections(loaded), _sections(desired)
        if old == new:
            yield "the order of the sections changes"
        elif loaded.files == desired.files:
            yield from _told("", old, new)
        else:
            yield from _told("", *({t: _apart(s) for t, s in some.items()} for some in (old, new)))


def changes(old: Sequence[str], new: Sequence[str]) -> str:
    """What becomes of lines, by the first that differs: ``'a' becomes 'b'``; ``'a' comes``."""
    gone = [line for line in old if line not in new]
    come = [line for line in new if line not in old]
    more = max(len(gone), len(come)) - 1
    rest = f", and {more} more" if more > 0 else ""
    if gone and come:
        return f"{gone[0]!r} becomes {come[0]!r}{rest}"
    if gone or come:
        return f"{(gone or come)[0]!r} {'goes' if gone else 'comes'}{rest}"
    return ""


def _understood(target: Target) -> str:
    return f"{meaning(target.before)}\n{meaning(target.after)}"


def _sections(target: Target) -> Mapping[str, str]:
    """The text of each section by its first line."""
    sections: dict[str, str] = {}
    for part in _SECTION.split(_understood(target)):
        title, _, body = part.partition("\n")
        sections[title] = sections.get(title, "") + body
    return sections


def _apart(section: str) -> str:
    """But for what follows from maps."""
    lines = (line for line in section.split("\n") if _LOOK_UP not in line)
    return "\n".join(line for line in lines if not _MAP.search(line))


def _maps(loaded: Target, desired: Target) -> Iterator[str]:
    old, new = _routes(loaded.files), _routes(desired.files)
    told = sorted(
        service_of(backend)
        for backend in old.keys() | new.keys()
        if old.get(backend) != new.get(backend)
        and (backend in loaded.backends) == (backend in desired.backends)
    )
    if told:
        yield f"routes of {_some(told)} change"
    if old == new and _others(loaded.files) != _others(desired.files):
        yield "the hosts that are known change"


def _routes(files: Mapping[str, str]) -> Mapping[str, set[str]]:
    """By backend what leads to it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, text in files.items():
        if (named := _MAP.fullmatch(name)) and named[1] == _ROUTES:
            for line in meaning(text).splitlines():
                key, _, value = line.partition(" ")
                found[value.partition("/")[0]].add(f"{key} {value}")
    return found


def _others(files: Mapping[str, str]) -> set[str]:
    named = {name: _MAP.fullmatch(name) for name in files}
    return {files[name] for name, one in named.items() if one and one[1] != _ROUTES}


def _plain(files: Mapping[str, str]) -> Mapping[str, str]:
    return {name: text for name, text in files.items() if not _MAP.fullmatch(name)}


def _told(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    changed = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    for name in changed[:_SHOWN]:
        what = changes(old[name].split("\n"), new[name].split("\n"))
        yield f"{kind}{name} changes{f': {what}' if what else ''}"
    by_verb = {
        "changes": changed[_SHOWN:],
        "is new": list(new.keys() - old.keys()),
        "goes": list(old.keys() - new.keys()),
    }
    for verb, names in by_verb.items():
        if names:
            yield f"{kind}{_some(names)} {verb}"


def _some(names: Sequence[str]) -> str:
    first = sorted(names)[:_SHOWN]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
