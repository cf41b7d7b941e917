"""
What HAProxy is to be: the text of its configuration, with the servers of generated backends apart.

A change of those servers alone can be made at run time; a change of anything else is a reload. The
text on disk is its own record: :meth:`Target.parse` is the inverse of :meth:`Target.text`, so that
whoever comes later knows what the running process was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Admin = Literal["ready", "drain", "maint"]

#: Generated backends stand between these two lines, and nothing else does.
BEGIN = "# lbctl: backends of services: begin"
END = "# lbctl: backends of services: end"


@dataclass(frozen=True, slots=True)
class TargetServer:
    """
    One ``server`` line.

    Attributes:
        name: HAProxy's, safe.
        id: explicit, so that processes agree on consistent hashes.
        address: ``10.0.0.1:80``, ``[fd00::1]:80``, or a name with its port.
        weight: 0..256, when it is not drained.
        maxconn: of one process; None: unlimited.
        cookie: its value for sticky sessions; empty: none.
        is_backup: see :class:`lbctl.model.service.Server`.
        admin: what the operator wants of it: ``maint`` is ``disabled`` in the file, ``drain`` is
            ``weight 0``.
    """

    name: str
    id: int
    address: str
    weight: int = 100
    maxconn: int | None = None
    cookie: str = ""
    is_backup: bool = False
    admin: Admin = "ready"


@dataclass(frozen=True, slots=True)
class TargetBackend:
    """
    One generated backend.

    Attributes:
        name: HAProxy's, safe.
        head: its lines but for the servers, from ``backend NAME`` on, each with its newline; the
            words that all servers share are a ``default-server`` line in it, which ``add server``
            does not heed: they are in *options* too.
        options: those words: ``check inter 2s``.
        servers: by name.
        fixed: why servers cannot come and go at run time whatever HAProxy's version
            (``balance source``, ``server-template``); empty: they can.
    """

    name: str
    head: str
    options: str = ""
    servers: tuple[TargetServer, ...] = ()
    fixed: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """
    Attributes:
        before: the text before the generated backends.
        backends: by name.
        after: the text behind them.
        files: what else HAProxy loads and a reload must bring (maps), by file name in the run dir.
    """

    before: str
    backends: Mapping[str, TargetBackend]
    after: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
