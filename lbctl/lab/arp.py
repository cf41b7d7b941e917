"""Who holds an address, as a lab host sees it."""

from __future__ import annotations

import sys

from lbctl.lab import who_has
from lbctl.lab.hosts import INTERFACE, Host


def holders(host: Host, vip: str, probes: int = 3, within_s: float = 0.15) -> set[str]:
    """
    Distinct MACs that answer ARP for *vip* when *host* asks; two or more: it is held twice.

    Args:
        within_s: for all questions together.

    Raises:
        LabError: it cannot be asked.
    """
    options = [f"--probes={probes}", f"--within-s={within_s}"]
    argv = [sys.executable, "-I", who_has.__file__, INTERFACE, vip, *options]
    return set(host.run(argv).stdout.split())
