"""
What HAProxy's processes call each other where they copy stick tables.

The same file runs on both hosts, so a name is made of what both know alike.
"""

from __future__ import annotations

#: The host, where no addresses of hosts are given: the processes of one host alone are peers.
LOCAL = "local"


def peer_name(host: str, number: int) -> str:
    """
    The name of one process: ``lbctl-10.0.1.11-01``.

    Args:
        host: its address as ``haproxy.peers.hosts`` has it, or :data:`LOCAL`.
        number: of the process, 1 and up.
    """
    return f"lbctl-{host}-{number:02d}"
