"""
The seam between a system that knows services and the rest: a :class:`Provider`.

A provider asks, understands, and says when it cannot; it neither waits nor tries again, keeps
nothing, and decides nothing about what was said before: that is the hub's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from lbctl.model.service import Snapshot

#: A provider that is in touch yields at least this often, though nothing has changed, seconds.
HEARD_EVERY_S = 60.0


class Provider(Protocol):
    """One source of services."""

    @property
    def name(self) -> str:
        """``consul``: of its snapshots, in status, and of its file in the state dir."""
        ...

    @property
    def target(self) -> str:
        """Whom it asks, for people: ``http://127.0.0.1:8500``; without secrets."""
        ...

    async def fetch(self) -> Snapshot:
        """
        All it knows, asked once.

        Raises:
            ProviderError: no answer, or none that makes sense.
        """
        ...

    def watch(self) -> AsyncGenerator[Snapshot, None]:
        """
        All it knows: now, whenever it has changed, and every :data:`HEARD_EVERY_S` at least.

        Raises:
            ProviderError: it is out of touch; the caller begins anew when it sees fit.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and files; it is not used again."""
        ...
