"""One source as the hub knows it: what it said last, if that is believed, and how it stands."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from lbctl.discovery.base import HEARD_EVERY_S, Provider
from lbctl.discovery.saved import plain_service, write_plain
from lbctl.discovery.state import SourceState, Standing
from lbctl.discovery.wire import Heard, settled
from lbctl.layout import StateDir
from lbctl.model.service import Service, Snapshot

log = logging.getLogger(__name__)

#: After a write that failed, seconds.
WRITE_AGAIN_S: Final = 10.0
#: Of what is left out: the log gets no more of it at a time.
_PROBLEMS_LOGGED: Final = 20
_TROUBLE: Final = ("failing", "doubted")


@dataclass(frozen=True, slots=True)
class _Doubt:
    """It says that there is nothing, for the first time at *began* of the monotonic clock."""

    began: float
    snapshot: Snapshot


class Source:
    """
    Args:
        saved: what is on disk.
        empty_s: so long must it say that it has no services before that is believed.
        now: wall clock, seconds.
    """

    def __init__(
        self,
        provider: Provider,
        directory: StateDir,
        saved: Snapshot | None,
        *,
        empty_s: float,
        now: float,
    ) -> None:
        self.provider = provider
        self.name = provider.name
        self.target = provider.target
        self.heard = None if saved is None else Heard(settled(None, saved), is_saved=True)
        self._directory = directory
        self._empty_s = empty_s
        self._doubt: _Doubt | None = None
        # By name, with the service that it is of.
        self._plain: dict[str, tuple[Service, dict[str, object]]] = {}
        self._unwritten: Snapshot | None = None
        self._written_at = float("-inf")
        self._write_error = ""
        self._on_disk_at = float("-inf") if saved is None else saved.at
        first = SourceState(source=self.name, target=self.target, since=now)
        self._state = (
            self._counted(first)
            if saved is None
            else replace(self._counted(first), heard_at=saved.at, is_saved=True)
        )

    @property
    def state(self) -> SourceState:
        """As it is now; with what the provider knows of itself."""
        more = getattr(self.provider, "facts", None)
        return replace(self._state, more=dict(more)) if isinstance(more, Mapping) else self._state

    @property
    def is_on_disk(self) -> bool:
        """Whether anything that it has said is, be it an older word."""
        return self._on_disk_at > float("-inf")

    def hear(self, snapshot: Snapshot, wall: float, clock: float) -> None:
        """It has said *snapshot*: at once believed, unless everything is gone, unseen."""
        had = self.heard is not None and bool(self.heard.snapshot.services)
        if not had or snapshot.services or snapshot.is_sure or self._empty_s <= 0:
            self.believe(snapshot, wall)
            return
        began = clock if self._doubt is None else self._doubt.began
        self._doubt = _Doubt(began, snapshot)
        if not self.settle(wall, clock):
            what = "it says that it has no services any more"
            self._stand(
                "doubted", f"{what}, and is believed after {self._empty_s:g} s of that", wall
            )

    def settle(self, wall: float, clock: float) -> bool:
        """Believe it where it has said for long enough that there is nothing; whether it is."""
        if self._doubt is None or clock - self._doubt.began < self._empty_s:
            return False
        self.believe(self._doubt.snapshot, wall)
        return True

    def believe(self, snapshot: Snapshot, wall: float, *, is_news: bool = False) -> None:
        """From now on this is what it has; *is_news*: to be told on, though nothing changed."""
        before = None if self.heard is None else self.heard.snapshot
        new = settled(before, snapshot)
        self._doubt = None
        is_same = before is not None and replace(new, at=before.at) == before
        if not is_same or new.at - self._on_disk_at >= HEARD_EVERY_S:
            self._unwritten = new
        if self.heard is None or self.heard.is_saved or is_news or not is_same:
            self.heard = Heard(new)
        self._tell_problems(before, new)
        self._state = replace(
            self._counted(self._state), heard_at=new.at, is_saved=False, problems=new.problems
        )
        self._stand("live", "", wall)

    def fail(self, error: str, wall: float) -> None:
        """It is out of touch; what it said stays."""
        self._doubt = None
        self._state = replace(self._state, failures=self._state.failures + 1)
        self._stand("failing", error, wall)

    def write(self, clock: float, *, is_last: bool = False) -> None:
        """Put on disk what is not there yet; when that fails it stays in memory alone."""
        new, pause_s = self._unwritten, WRITE_AGAIN_S if self._write_error else 0.0
        if new is None or (clock - self._written_at < pause_s and not is_last):
            return
        self._written_at = clock
        try:
            write_plain(self._directory, new, self._plain_services(new))
        except OSError as error:
            self._on_unwritten(f"{error.filename or self._directory.discovery}: {error.strerror}")
            return
        if self._write_error:
            log.info("%s: what it says is kept on disk again", self.name)
        self._unwritten, self._on_disk_at, self._write_error = None, new.at, ""

    def _on_unwritten(self, what: str) -> None:
        if what != self._write_error:
            again = f"kept in memory alone; tried again every {WRITE_AGAIN_S:g} s"
            log.warning("%s: what %s says is %s", what, self.name, again)
        self._write_error = what

    def _plain_services(self, snapshot: Snapshot) -> list[dict[str, object]]:
        """Most of them are as they were at the last write."""
        known, self._plain = self._plain, {}
        for one in snapshot.services:
            old = known.get(one.name)
            is_same = old is not None and old[0] is one
            self._plain[one.name] = old if old and is_same else (one, plain_service(one))
        return [plain for _, plain in self._plain.values()]

    def _stand(self, state: Standing, error: str, wall: float) -> None:
        """It stands so from now on; trouble and its end are told by the agent, the rest here."""
        before = self._state
        since = before.since if before.state == state else wall
        self._state = replace(before, state=state, error=error, since=since)
        if (before.state, before.error) == (state, error):
            return
        if state == "live":
            level = logging.DEBUG if before.state in _TROUBLE else logging.INFO
            log.log(level, "%s", self._state.back(before, wall))
        else:
            # Another error of the same trouble is new to nobody but who looks for its cause.
            level = logging.WARNING if before.state == state else logging.DEBUG
            log.log(level, "%s", self._state.sentence(wall))

    def _counted(self, state: SourceState) -> SourceState:
        if self.heard is None:
            return state
        snapshot = self.heard.snapshot
        servers = sum(len(one.servers) for one in snapshot.services)
        services, names = len(snapshot.services), len(snapshot.names)
        return replace(state, services=services, servers=servers, names=names)

    def _tell_problems(self, before: Snapshot | None, new: Snapshot) -> None:
        known = frozenset(() if before is None else before.problems)
        unknown = [one for one in new.problems if one not in known]
        for one in unknown[:_PROBLEMS_LOGGED]:
            log.warning("%s %s: %s", self.name, self.target, one)
        if len(unknown) > _PROBLEMS_LOGGED:
            more = len(unknown) - _PROBLEMS_LOGGED
            log.warning("%s %s: %d problems more", self.name, self.target, more)
