"""
An RPC interface of supervisord (its documented way to add one): signals while the bundle stops.

Supervisor's own ``signalProcessGroup`` is refused from the moment that supervisord is told to stop,
which is just when vipd has HAProxy finish what it serves: it may not signal HAProxy itself.
"""

from __future__ import annotations

import signal
from typing import Any

from supervisor.states import SIGNALLABLE_STATES
from supervisor.xmlrpc import Faults, RPCError


class Signals:
    """Namespace ``lbctl``; supervisord calls the methods by the names that clients give."""

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord

    def signalProcessGroup(self, group: str, signal_name: str) -> bool:  # noqa: N802
        """
        Send ``USR2`` ... to every process of a group that runs, whatever supervisord is about.

        Raises:
            RPCError: there is no such group, or no such signal.
        """
        known = self._supervisord.process_groups.get(group)
        if known is None:
            raise RPCError(Faults.BAD_NAME, group)  # type: ignore[no-untyped-call]
        try:
            number = signal.Signals[f"SIG{signal_name}"]
        except KeyError as error:
            bad = RPCError(Faults.BAD_SIGNAL, signal_name)  # type: ignore[no-untyped-call]
            raise bad from error
        for process in known.processes.values():
            if process.get_state() in SIGNALLABLE_STATES:
                process.signal(number)
        return True


def make_rpcinterface(supervisord: Any) -> Signals:
    """What ``supervisor.rpcinterface_factory`` names in supervisord.conf."""
    return Signals(supervisord)
