"""Who holds an address, as a lab host sees it."""

from __future__ import annotations

import sys

from lbctl.lab import who_has
from lbctl.lab.hosts import INTERFACE, Host


def holders(host: Host, vip: str, probes: int = 3) -> set[str]:
    """
    Distinct MACs that answer ARP for *vip* when *host* asks; two or more: it is held twice.

    Raises:
        LabError: it cannot be asked.
    """
    argv = [sys.executable, "-I", who_has.__file__, INTERFACE, vip, f"--probes={probes}"]
    return set(host.run(argv).stdout.split())
