"""A bundle on high ports of loopback, and starts of it that must be refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lbctl.haproxy.cpus import usable_cpus
from tests.bundles import Bundle, Refusal
from tests.places import free_ports, open_directory

GOOD_CFG = """\
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string good
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A bundle on high ports of loopback that would start as it is."""

    bundle: Bundle
    http: int
    stats: int
    other: int

    @property
    def settings(self) -> dict[str, object]:
        return {
            "http": {"bind": f"127.0.0.1:{self.http}"},
            "haproxy": {"processes": 1, "stats": {"port_base": self.stats}},
        }

    @property
    def good_cfg(self) -> str:
        return GOOD_CFG.format(port=self.http)

    def refused(self, status: int, *words: str, arguments: tuple[str, ...] = ()) -> Refusal:
        refusal = self.bundle.refusal(*arguments)

        assert refusal.status == status, refusal.said
        assert refusal.said.startswith("lbctl: error: ") or "\nlbctl: error: " in refusal.said
        assert "Traceback" not in refusal.said
        assert refusal.printed == ""
        refusal.names(*words)
        return refusal

    def serves(self, words: str) -> None:
        """It starts, answers with *words*, and ends well."""
        self.bundle.start()
        self.bundle.wait_up()
        assert words in self.bundle.wait_answer(self.http)
        assert self.bundle.stop()[0] == 0


@contextmanager
def good_site() -> Iterator[Site]:
    """One that would start as it is."""
    with open_directory() as root:
        bundle = Bundle(root)
        http, other, stats, *_ = free_ports(2 + usable_cpus().count + 1)
        site = Site(bundle, http, stats, other)
        bundle.configure(site.settings)
        try:
            yield site
        finally:
            bundle.end()
