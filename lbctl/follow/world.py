"""
What the follower does outside of itself, as a protocol: files, HAProxy's judgement, its processes.

:mod:`lbctl.follow.host` is the real one; tests have one that forgets nothing and obeys.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lbctl.follow.isolate import Refusal
from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.perform import Outcome
from lbctl.haproxy.plan import Plan
from lbctl.haproxy.seen import Seen
from lbctl.model.target import Target

#: Of a file without services, or one that nobody of us has written.
NO_TARGET = Target("", {})


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    Everything that HAProxy's processes load, by what it takes to change it.

    Attributes:
        target: generated backends, and the text around them.
        more: every other file that the processes load, by its name in the run dir: the operator's
            own ``haproxy.cfg``, ``proc-01.cfg``; a change is a reload.
        is_beside: the target stands in ``services.cfg``, beside the operator's ``haproxy.cfg``;
            else it is ``haproxy.cfg``.
        token: of the load: the file tells it to the process, and the process tells it to us, so
            that we know who has loaded what; empty: nobody was told one.
    """

    target: Target = NO_TARGET
    more: Mapping[str, str] = field(default_factory=dict)
    is_beside: bool = False
    token: str = ""

    def differing(self, other: Wanted) -> tuple[str, ...]:
        """The files in *more* that *other* has not, or otherwise."""
        names = sorted(self.more.keys() | other.more.keys())
        return tuple(name for name in names if self.more.get(name) != other.more.get(name))


@dataclass(frozen=True, slots=True)
class Look:
    """
    One process as it answered.

    Attributes:
        worker: its pid: another one is another life.
        token: of what it has loaded.
        seen: its servers, by backend.
    """

    worker: int
    token: str
    seen: Seen


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    How the reload of one program ended.

    Attributes:
        name: of the program.
        is_ok: its new worker serves; else the old one does.
        said: why not.
        took_s: seconds.
        needs_restart: its old worker does not serve either, and does not come back by itself.
    """

    name: str
    is_ok: bool
    said: str = ""
    took_s: float = 0.0
    needs_restart: bool = False


class World(Protocol):
    """
    The host. Processes go by their numbers, 1 and up.

    Raises:
        OSError: of a file.
        RuntimeApiError: a process did not answer.
    """

    @property
    def abilities(self) -> Abilities:
        """What these processes can do at run time."""

    @property
    def numbers(self) -> Sequence[int]:
        """Of all processes."""

    def program(self, number: int) -> str:
        """Which program it belongs to: what a reload is for."""

    def read(self) -> Wanted:
        """What the files in the run dir say."""

    async def write(self, wanted: Wanted, before: Wanted) -> None:
        """Replace the files that differ from *before*, each at once."""

    def restore(self, wanted: Wanted) -> tuple[str, ...]:
        """Write the files anew that somebody else has changed since; their names."""

    async def judge(self, wanted: Wanted) -> tuple[Refusal, ...]:
        """``haproxy -c`` of it, without touching what runs; empty: accepted."""

    async def look(
        self, number: int, backends: Collection[str] | None, *, in_full: bool = False
    ) -> Look:
        """
        Ask a process for the servers of *backends*; None: of all.

        Args:
            in_full: also for what the files tell of a process whose life we have followed.
        """

    async def perform(self, number: int, plan: Plan) -> Outcome:
        """Have it done at run time."""

    def tidy(self, wanted: Wanted) -> None:
        """Remove what only an earlier configuration has needed."""

    async def restart(self, program: str) -> None:
        """Start it anew, with the files as they are."""

    async def workers(self) -> list[dict[str, object]]:
        """Those of each program, old ones too, for people."""

    async def reload(self, programs: Collection[str]) -> Sequence[Loaded]:
        """One, then the others, none where that one failed."""
