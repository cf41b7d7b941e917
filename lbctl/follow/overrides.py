"""
What the operator wants of single servers: drain, maint, a weight. It survives reloads, restarts of
HAProxy and of the agent, and is forgotten a day after its server has vanished.

Owns ``server-states.json`` in the state dir. It asks no HAProxy; who does tells it what is there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

from lbctl.files import read_regular, write_atomic
from lbctl.model.target import Admin, Target, TargetBackend, TargetServer

log = logging.getLogger(__name__)

#: A server that comes back within a day is what it was: seconds.
KEPT_S: Final = 24 * 3600.0
WEIGHT_MAX: Final = 256
_ADMINS: Final = frozenset(get_args(Admin))


@dataclass(frozen=True, slots=True)
class Override:
    """
    What is wanted of one server, whatever the configuration says.

    Attributes:
        admin: its administrative state; None: as configured.
        weight: 0..256; None: as configured.
        at: wall clock, seconds, when it was asked for.
        by: who asked.
        gone_at: wall clock, seconds, since when there is no such server; None: it is there.
    """

    admin: Admin | None = None
    weight: int | None = None
    at: float = 0.0
    by: str = ""
    gone_at: float | None = None

    @property
    def is_empty(self) -> bool:
        return self.admin in (None, "ready") and self.weight is None

    def describe(self) -> str:
        """``drain, weight 10``."""
        words: list[str] = [self.admin] if self.admin else []
        words += [] if self.weight is None else [f"weight {self.weight}"]
        return ", ".join(words) or "as configured"


#: Backend and server, HAProxy's names.
Key = tuple[str, str]


class Overrides:
    """All of them, and their file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_key: dict[Key, Override] = _read(path)
        self.error: str | None = None

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: Key) -> Override | None:
        return self._by_key.get(key)

    def items(self) -> tuple[tuple[Key, Override], ...]:
        return tuple(sorted(self._by_key.items()))

    def backends(self) -> frozenset[str]:
        """Those with a server of which something is wanted."""
        return frozenset(backend for backend, _ in self._by_key)

    def set(
        self,
        key: Key,
        *,
        by: str,
        at: float,
        admin: Admin | None = None,
        weight: int | None = None,
        is_own: bool = False,
    ) -> Override:
        """
        Want *admin* or *weight*, or both, of a server; what is None stays as it is wanted.

        Args:
            is_own: ``ready`` is a word of its own: the operator's file may say ``disabled``, or a
                source ``drain``.
        """
        before = self._by_key.get(key, Override())
        wanted = Override(
            admin=before.admin if admin is None else admin,
            weight=before.weight if weight is None else weight,
            at=at,
            by=by,
        )
        if wanted.is_empty and not (is_own and wanted.admin):
            self._by_key.pop(key, None)
        else:
            self._by_key[key] = wanted
        self._write()
        return wanted

    def forget_weight(self, key: Key) -> None:
        """The configured one counts again."""
        before = self._by_key.get(key)
        if before is not None:
            rest = replace(before, weight=None)
            self._by_key = {**self._by_key, key: rest}
            if rest.is_empty:
                del self._by_key[key]
            self._write()

    def forget_ready(self, target: Target) -> None:
        """What is ready by the configuration again needs no word for it."""
        ready = [key for key, one in self._by_key.items() if one.admin == "ready"]
        for backend, name in ready:
            servers = target.backends[backend].servers if backend in target.backends else ()
            if any(one.name == name and one.admin == "ready" for one in servers):
                rest = replace(self._by_key.pop((backend, name)), admin=None)
                if not rest.is_empty:
                    self._by_key[backend, name] = rest
                self._write()

    def note_present(self, there: Collection[Key], now: float) -> tuple[Key, ...]:
        """
        Take in which servers there are.

        Returns:
            Those that have been forgotten, a day after their server vanished.
        """
        noted = {key: _seen(one, key in there, now) for key, one in self._by_key.items()}
        forgotten = tuple(
            key
            for key, one in noted.items()
            if one.gone_at is not None and now - one.gone_at >= KEPT_S
        )
        kept = {key: one for key, one in noted.items() if key not in forgotten}
        if kept != self._by_key:
            self._by_key = kept
            self._write()
        return forgotten

    def applied(self, target: Target) -> Target:
        """*target* as it is to be with them; backends without any stay the same objects."""
        touched = {
            name: self._on_backend(target.backends[name])
            for name in self.backends()
            if name in target.backends
        }
        changed = {n: one for n, one in touched.items() if one is not target.backends[n]}
        return replace(target, backends={**target.backends, **changed}) if changed else target

    def _on_backend(self, backend: TargetBackend) -> TargetBackend:
        servers = tuple(self._on_server(backend.name, server) for server in backend.servers)
        return backend if servers == backend.servers else replace(backend, servers=servers)

    def _on_server(self, backend: str, server: TargetServer) -> TargetServer:
        wanted = self._by_key.get((backend, server.name))
        if wanted is None:
            return server
        return replace(
            server,
            admin=server.admin if wanted.admin is None else wanted.admin,
            weight=server.weight if wanted.weight is None else wanted.weight,
        )

    def _write(self) -> None:
        """A full disk costs the memory of it, not the word: it holds as long as the agent lives."""
        rows = [
            {"backend": backend, "server": server, **asdict(one)}
            for (backend, server), one in self.items()
        ]
        text = json.dumps({"version": 1, "servers": rows}, indent=1) + "\n"
        try:
            write_atomic(self._path, text, mode=0o640, durable=True)
        except OSError as error:
            if self.error is None:
                log.warning("%s: %s; states of servers are kept in memory only", self._path, error)
            self.error = f"{self._path}: {error}"
        else:
            self.error = None


def _seen(one: Override, is_there: bool, now: float) -> Override:
    if is_there:
        return one if one.gone_at is None else replace(one, gone_at=None)
    return one if one.gone_at is not None else replace(one, gone_at=now)


def _read(path: Path) -> dict[Key, Override]:
    try:
        # `lbctl run` reads it as root, in the unprivileged user's directory.
        rows = json.loads(read_regular(path))["servers"]
        return dict(_row(row) for row in rows)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("%s: %s; going on without the states of servers in it", path, error)
        return {}


def _row(row: Mapping[str, Any]) -> tuple[Key, Override]:
    """
    One server's.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    admin, weight, gone_at = row["admin"], row["weight"], row["gone_at"]
    if admin is not None and admin not in _ADMINS:
        message = f"{admin!r} is no state of a server"
        raise ValueError(message)
    if weight is not None and (not isinstance(weight, int) or not 0 <= weight <= WEIGHT_MAX):
        message = f"{weight!r} is no weight"
        raise ValueError(message)
    gone_at = None if gone_at is None else float(gone_at)
    one = Override(admin, weight, float(row["at"]), str(row["by"]), gone_at)
    return (str(row["backend"]), str(row["server"])), one
