"""What a configuration depends on beside services and settings. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.layout import RunDir


@dataclass(frozen=True, slots=True)
class RenderScene:
    """
    Attributes:
        run: where HAProxy's files are; the text names some of them.
        version: HAProxy's, major and minor.
        processes: how many run; limits and ``maxconn`` of servers are divided by them.
        is_nbproc: one program runs them all (HAProxy up to 2.4).
        has_certs: ``certs/`` in the run dir holds at least one ``*.pem``.
        own: the operator's haproxy.cfg, used as it is; None: there is none.
        template: the operator's haproxy.cfg.j2 and its siblings, by file name; None: there is none.
        sources: by service, who told of it; one that is not in here: it is not said.
    """

    run: RunDir
    version: tuple[int, int]
    processes: int = 1
    is_nbproc: bool = False
    has_certs: bool = False
    own: str | None = None
    template: Mapping[str, str] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def certs(self) -> str | None:
        """The directory that HAProxy loads, with its slash; None without certificates."""
        return f"{self.run.certs}/" if self.has_certs else None

    def share(self, whole: int) -> int:
        """One process's part of *whole*, 1 and more."""
        return max(1, whole // self.processes)
