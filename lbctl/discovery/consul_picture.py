"""
What is known of Consul at one moment, and what an answer says has to be asked for anew.

Pure. Consul tells which services there are, with their tags, and the state of every check, but the
instances of a service only when asked for that one. So an answer is compared with the one before:
what differs names services, and what names none is found by asking for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lbctl.discovery.consul_kv import KeysRead, read_keys
from lbctl.discovery.consul_read import SOURCE, Found, is_ours, read_service, together
from lbctl.errors import ProviderReplyError
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Consul
from lbctl.settings.keys import name_shown

#: Node, check -> service (empty: the node's own), status.
_Checks = Mapping[tuple[str, str], tuple[str, str]]
_STATUS: Final = ("Node", "CheckID", "ServiceName", "Status")


class Picture:
    """
    Args:
        settings: which services are ours.
        tried: ``consul http://10.0.0.5:8500``, for what is no answer.
    """

    def __init__(self, settings: Consul, tried: str) -> None:
        self._did_change = True
        self._settings = settings
        self._tried = tried
        self._tags: dict[str, tuple[str, ...]] = {}
        self._checks: _Checks = {}
        self._keys = KeysRead()
        self._no_keys: tuple[str, ...] = ()
        self._raw: dict[str, object] = {}
        self._found: dict[str, Found] = {}

    def has_changed(self) -> bool:
        """Whether the next snapshot differs from the last one."""
        return self._did_change

    @property
    def names(self) -> tuple[str, ...]:
        """The services that are ours."""
        return tuple(self._tags)

    def catalog(self, answer: object) -> set[str]:
        """
        Of ``/v1/catalog/services``.

        Returns:
            Services of ours that are new, or have other tags.

        Raises:
            ProviderReplyError: it makes no sense; this is so of all that follow.
        """
        tags = {
            name: tuple(str(tag) for tag in said)
            for name, said in self._mapping(answer, "the list of services").items()
            if isinstance(said, list) and is_ours(map(str, said), self._settings)
        }
        before, self._tags = self._tags, tags
        for name in [name for name in self._found if name not in tags]:
            del self._found[name], self._raw[name]
            self._did_change = True
        return {name for name in tags if before.get(name) != tags[name]}

    def checks(self, answer: object) -> set[str]:
        """
        Of ``/v1/health/state/any``.

        Returns:
            Services of ours with a check that is new, gone or of another state.
        """
        checks: dict[tuple[str, str], tuple[str, str]] = {}
        for one in self._list(answer, "the list of checks"):
            node, check, service, status = (_text(one, name) for name in _STATUS)
            checks[node, check] = service, status
        before, self._checks = self._checks, checks
        changed = {key for key, _ in before.items() ^ checks.items()}
        names: set[str] = set()
        for key in changed:
            name = checks.get(key, before.get(key, ("", "")))[0]
            names |= {name} if name else self._on(key[0])
        return {name for name in names if name in self._tags}

    def keys(self, answer: object) -> None:
        """Of ``/v1/kv/PREFIX/?recurse``; None: there are none."""
        if answer is not None:
            self._list(answer, "the list of keys")
        keys = read_keys(answer, self._settings.kv_prefix or "")
        self._did_change |= keys != self._keys or bool(self._no_keys)
        self._keys, self._no_keys = keys, ()

    def no_keys(self, why: str) -> None:
        """They cannot be read: those that were read before stay."""
        where = f"the keys below {self._settings.kv_prefix}"
        said = (f"{where} may not be read ({why}): they count as they were",)
        self._did_change |= self._no_keys != said
        self._no_keys = said

    def service(self, name: str, answer: object) -> None:
        """Of ``/v1/health/service/NAME``."""
        entries = self._list(answer, f"the list of instances of {name!r}")
        is_again = self._raw.get(name) == entries
        if name not in self._tags or (is_again and entries):
            return
        self._raw[name] = entries
        before = self._found.get(name)
        found = read_service(name, entries, self._settings) if entries else None
        found = found or _unseen(before or Found(name, None), is_again=is_again)
        self._did_change |= found != before
        self._found[name] = found

    def refused(self, name: str, why: str) -> None:
        """It may not be asked for: that is no other's affair."""
        if name not in self._tags:
            return
        known = self._found.get(name, Found(name, None))
        what = f"service {name_shown(name)}: Consul lists it, and lets nobody ask for it ({why})"
        found = replace(known, problems=(f"{what}: it stays as it was",))
        self._did_change |= found != self._found.get(name)
        self._found[name] = found
        self._raw[name] = None

    def snapshot(self, at: float) -> Snapshot:
        """All of it; *at*: wall clock, seconds."""
        self._did_change = False
        services, problems = together(self._found.values())
        said = (*self._keys.problems, *self._no_keys)
        return Snapshot(
            SOURCE,
            services,
            at,
            problems=(*problems, *said),
            settings=self._keys.settings,
        )

    def _on(self, node: str) -> set[str]:
        return {name for name, found in self._found.items() if node in found.nodes}

    def _mapping(self, answer: object, what: str) -> Mapping[str, Any]:
        if not isinstance(answer, dict):
            raise self._senseless(answer, what)
        return answer

    def _list(self, answer: object, what: str) -> Sequence[Any]:
        if not isinstance(answer, list):
            raise self._senseless(answer, what)
        return answer

    def _senseless(self, answer: object, what: str) -> ProviderReplyError:
        kind = "nothing" if answer is None else f"a {type(answer).__name__}"
        return ProviderReplyError(f"{self._tried}: {what} was asked for, and {kind} came back")


def _unseen(known: Found, *, is_again: bool) -> Found:
    """
    The list has the service, and no instance of it is shown: it stays as it was. Either it has just
    gone, and the list will say so; or what is shown is filtered, which says nothing of anybody.
    """
    if not is_again and known.service is not None:
        return known
    what = "Consul lists it, and shows no instance (may the token read nodes?): it stays as it was"
    return replace(known, problems=(f"service {name_shown(known.name)}: {what}",))


def _text(entry: object, name: str) -> str:
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""
