"""The states of supervised programs, in supervisord's words, and the seam to supervisord."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ProgramState(StrEnum):
    """Supervisor's own names (supervisor/states.py)."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Program:
    """
    One supervised program as it is now.

    Attributes:
        name: ``haproxy-01``, ``nginx``, ``vipd`` ...
        group: supervisord's group: ``haproxy`` for all HAProxy programs, else the name.
        state: as supervisord sees it.
        pid: 0 when it does not run.
        since: wall clock, seconds; when it entered the state.
    """

    name: str
    group: str
    state: ProgramState
    pid: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class ProgramEvent:
    """
    supervisord says that a program changed its state, or that the bundle is stopping.

    Attributes:
        program: name; empty when the whole bundle is meant.
        group: as in :class:`Program`.
        state: the new state; ``STOPPING`` with an empty program: the bundle stops.
        was: the state before.
        pid: of the process meant; 0 when none.
        expected: for EXITED: the exit was asked for or is normal.
    """

    program: str
    group: str
    state: ProgramState
    was: ProgramState = ProgramState.UNKNOWN
    pid: int = 0
    expected: bool = False

    @property
    def is_bundle_stopping(self) -> bool:
        return not self.program and self.state is ProgramState.STOPPING


class Programs(Protocol):
    """
    What the daemons ask of supervisord. Every call ends within two seconds.

    Raises:
        SupervisorError: no answer, or a fault; nothing is known about the effect.
    """

    async def states(self) -> Mapping[str, Program]:
        """All programs by name."""

    async def start(self, program: str) -> None:
        """Start it; one that runs already is left alone."""

    async def stop(self, program: str) -> None:
        """Ask it to end, and do not start it again; returns before it has ended."""

    async def signal_group(self, group: str, signal_name: str) -> None:
        """Send a signal to every running program of a group."""

    async def signal(self, program: str, signal_name: str) -> None:
        """Send ``USR2``, ``KILL`` ... to its process; one that does not run is an error."""

    async def shutdown(self) -> None:
        """Stop the bundle in its order."""


class ProgramEvents(Protocol):
    """The stream of events; it ends when supervisord closes it."""

    def __aiter__(self) -> AsyncIterator[ProgramEvent]: ...
