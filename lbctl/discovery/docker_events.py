"""
What Docker's and Podman's events mean here, and who was told to stop. Pure.

Docker says ``kill`` with the signal when a container is told to stop, then ``die``. Podman says
``kill`` without the signal, which may be a HUP, and so means nothing; before a restart it says
``restart``, which Docker says after it; and nothing before a stop: its list leaves such a container
out at once, and the inspection calls it ``stopping``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Any, Final, Literal

from lbctl.discovery.docker_read import Container, signal_number

#: A container that still runs so long after it was to be killed was not told to stop, seconds.
GRACE_S: Final = 5.0
_DEADLY: Final = frozenset((Signals.SIGTERM, Signals.SIGQUIT, Signals.SIGKILL))
#: They change nothing that we look at; a health check makes three of them each time.
_IDLE: Final = frozenset(
    (
        "attach",
        "archive-path",
        "checkpoint",
        "cleanup",
        "commit",
        "copy",
        "create",
        "detach",
        "exec",
        "exec_create",
        "exec_detach",
        "exec_die",
        "exec_died",
        "exec_start",
        "export",
        "extract-to-dir",
        "init",
        "mount",
        "resize",
        "top",
        "unmount",
    )
)
_GONE: Final = frozenset(("die", "died", "destroy", "remove"))


@dataclass(frozen=True, slots=True)
class Event:
    """
    Attributes:
        container: its id.
        kind: ``told``: to stop; ``gone``: no process is left; ``started``; ``look``: it may have
            changed.
        signal: of ``told``; 0: whatever stops it.
    """

    container: str
    kind: Literal["told", "gone", "started", "look"]
    signal: int = 0


def read_event(plain: object, *, is_podman: bool) -> Event | None:
    """One line of ``GET /events``; None: it does not matter here."""
    if not isinstance(plain, dict) or plain.get("Type") not in ("container", "network"):
        return None
    # ``health_status: healthy``, ``exec_create: /bin/sh -c ...``
    action = str(plain.get("Action")).partition(":")[0]
    actor = plain.get("Actor")
    container = _container(actor if isinstance(actor, dict) else {}, action, plain["Type"])
    if not container or action in _IDLE:
        return None
    if plain["Type"] == "network":
        return Event(container, "look")
    if action in _GONE:
        return Event(container, "gone")
    if action == "start":
        return Event(container, "started")
    if action == "restart" and is_podman:
        return Event(container, "told")
    signal = signal_number(_attributes(actor).get("signal")) if action == "kill" else 0
    return Event(container, "told", signal) if signal else Event(container, "look")


class Leaving:
    """Who was told to stop, until they are gone or it turns out that they stay."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def take(self, event: Event, container: Container | None, now: float) -> None:
        """
        Args:
            container: whom it is about; None: it is not known.
            now: monotonic, seconds.
        """
        if event.kind in ("gone", "started"):
            self._until.pop(event.container, None)
        elif event.kind == "told" and container is not None and _is_deadly(event, container):
            self._until.setdefault(event.container, now + container.stop_timeout_s + GRACE_S)

    def expire(self, now: float) -> None:
        """Forget those that should be gone, and are not."""
        self._until = {one: until for one, until in self._until.items() if until > now}

    def stays(self, container: str) -> None:
        """It was started anew, or is no more."""
        self._until.pop(container, None)

    @property
    def containers(self) -> frozenset[str]:
        return frozenset(self._until)

    @property
    def next_end(self) -> float | None:
        """When :meth:`expire` has something to do, seconds of the same clock."""
        return min(self._until.values(), default=None)


def _is_deadly(event: Event, container: Container) -> bool:
    return event.signal in (0, container.stop_signal, *_DEADLY)


def _container(actor: Mapping[str, Any], action: str, kind: str) -> str:
    """Docker's network events are about the network, Podman's about the container."""
    if kind == "network" and action not in ("connect", "disconnect"):
        return ""
    about = _attributes(actor).get("container") if kind == "network" else None
    return str(about or actor.get("ID") or "")


def _attributes(actor: object) -> Mapping[str, Any]:
    found = actor.get("Attributes") if isinstance(actor, dict) else None
    return found if isinstance(found, dict) else {}
