"""The addresses of an interface, in a dict; its contract runs against the kernel too."""

from __future__ import annotations

from collections.abc import Mapping

from lbctl.errors import NetlinkError


class FakeAddressTable:
    """Counts what was asked, and refuses when told to."""

    def __init__(self) -> None:
        self.leases: dict[str, float | None] = {}
        self.renewals = 0
        self.refuses = False

    def present(self) -> Mapping[str, float | None]:
        return dict(self.leases)

    def hold(self, cidr: str, *, lease_s: int = 3) -> None:
        if self.refuses:
            message = f"setting {cidr}: refused"
            raise NetlinkError(message)
        self.renewals += 1
        self.leases[cidr] = float(lease_s)

    def drop(self, cidr: str) -> None:
        self.leases.pop(cidr, None)
