"""
What the service manager is told, as sd_notify(3) has it: ready, how it goes, alive, stopping.

An RPC interface of supervisord, namespace ``service``. supervisord is the main process, so systemd
need listen to no other (``NotifyAccess=main``); the agent, which knows how this node is, tells it
here. The sign of life comes from supervisord's own loop, by its event TICK_5: a loop that stands
still sends none. Without a service manager nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from supervisor import events
from supervisor.states import SupervisorStates

GIVEN = "NOTIFY_SOCKET"
#: The same under a name of ours: HAProxy would speak for itself.
KEPT = "LBCTL_NOTIFY_SOCKET"
#: With these a program would take itself for the watched one.
_WATCHDOG = ("WATCHDOG_PID", "WATCHDOG_USEC")
#: A start takes as long as it takes, while somebody says at least this often how it goes.
PATIENCE_S = 15


def keep_for_supervisord(environ: MutableMapping[str, str]) -> None:
    """Rename what the service manager gave, so that no other program speaks to it."""
    for name in (KEPT, *_WATCHDOG):
        environ.pop(name, None)
    if address := environ.pop(GIVEN, ""):
        environ[KEPT] = address


@dataclass(frozen=True, slots=True)
class Notifier:
    """
    Attributes:
        address: of a Unix datagram socket: a path, or ``@`` and an abstract name; empty: nobody
            listens.
    """

    address: str

    @classmethod
    def given(cls, environ: Mapping[str, str], name: str = GIVEN) -> Notifier:
        """The one whose address the variable *name* holds."""
        address = environ.get(name, "")
        return cls(address if address.startswith(("/", "@")) else "")

    def send(self, *assignments: str) -> None:
        """Send them in one message; one that cannot be delivered at once is lost."""
        if not self.address:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        # supervisord has more to do than to wait for its manager: the next message says it again.
        with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
            sender.sendto("\n".join(assignments).encode(errors="replace"), address)


class Service:
    """Speaks to the service manager; made anew when supervisord starts all programs anew."""

    def __init__(self, supervisord: Any, notifier: Notifier) -> None:
        self._supervisord = supervisord
        self._notifier = notifier
        self._is_ready = False
        events.subscribe(events.Tick5Event, self._on_tick)  # type: ignore[no-untyped-call]
        events.subscribe(events.SupervisorStoppingEvent, self._on_stopping)  # type: ignore[no-untyped-call]

    def tell(self, is_ready: bool, status: str) -> bool:
        """
        How this node is, for the service manager; once ready, the start is over.

        Returns:
            Whether anybody listens.
        """
        if self._supervisord.options.mood == SupervisorStates.RUNNING:
            self._is_ready |= is_ready
            word = "READY=1" if self._is_ready else f"EXTEND_TIMEOUT_USEC={PATIENCE_S * 1_000_000}"
            self._notifier.send(word, f"STATUS={' '.join(status.split())}")
        return bool(self._notifier.address)

    def _on_tick(self, _event: Any) -> None:
        self._notifier.send("WATCHDOG=1")

    def _on_stopping(self, _event: Any) -> None:
        # A restart stops everything too, only to start it again: that is no end of the service.
        if self._supervisord.options.mood == SupervisorStates.SHUTDOWN:
            self._notifier.send("STOPPING=1", "STATUS=stopping")
        else:
            self._notifier.send("STATUS=starting all programs anew")


def make_rpcinterface(supervisord: Any) -> Service:
    """What ``supervisor.rpcinterface_factory`` names in supervisord.conf."""
    return Service(supervisord, Notifier.given(os.environ, KEPT))
