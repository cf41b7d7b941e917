"""Settings that sources of services set: which, and what is said of a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lbctl.settings.model import Settings
from lbctl.settings.overlay import overlaid

#: Dotted key of lb.yaml -> text, and the source that sets it.
Laid = Mapping[str, tuple[str, str]]
Note = Callable[[str, str, Mapping[str, Any]], None]


class Overlay:
    """Remembers what counts, and what of it is no good; each is told once."""

    def __init__(self, note: Note, *, most_maxconn: int | None = None) -> None:
        self._note = note
        self._most_maxconn = most_maxconn
        self._laid: Laid = {}
        self._problems: tuple[str, ...] = ()

    def take(self, laid: Laid) -> str:
        """
        These are set from now on.

        Returns:
            What is otherwise than before, in words: ``consul sets haproxy.maxconn = 1024``; empty:
            nothing is.
        """
        before, self._laid = self._laid, dict(laid)
        return "; ".join(_changes(before, self._laid))

    def on(self, settings: Settings) -> Settings:
        """*settings* with them, but for what is no good."""
        texts = {key: text for key, (text, _) in self._laid.items()}
        found, problems = overlaid(settings, texts, most_maxconn=self._most_maxconn)
        said = tuple(f"{self._source(one.where)} sets {one}" for one in problems)
        for what in said:
            if what not in self._problems:
                self._note("discovery", what, {})
        self._problems = said
        return found

    def warnings(self) -> list[str]:
        """What is ignored, in sentences."""
        return list(self._problems)

    def _source(self, key: str) -> str:
        return self._laid[key][1] if key in self._laid else "a source"


def _changes(before: Laid, now: Laid) -> Iterator[str]:
    for key, (text, source) in sorted(now.items()):
        if before.get(key) != (text, source):
            yield f"{source} sets {key} = {text}"
    for key, (_, source) in sorted(before.items()):
        if key not in now:
            yield f"{source} does not set {key} any more"
