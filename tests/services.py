"""lbctl.service on machines of a lab: two of them as a pair, and what systemd says of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from lbctl.lab.arp import holders
from lbctl.lab.hosts import Lab
from lbctl.lab.pair import HAPROXY_CFG, PASSWORD, VIP
from lbctl.lab.probe import Probe
from lbctl.lab.wait import wait_until
from tests.machines import Machine, copy_of_checkout

CHECKOUT = ("deploy", "lbctl", "conf", "hooks", "scripts", "pyproject.toml", "README.md")
#: Listening for 3 s, checks, and the programs' start on a busy machine.
START_S = 15.0
#: ``RestartSec`` of the unit.
RESTART_S = 5.0

_BEFORE = "    default_backend"
#: HAProxy compiles it to machine code, which ``MemoryDenyWriteExecute=`` would forbid.
_REGEX = "    http-response set-header X-Regex yes if { capture.req.uri -m reg ^/a(b|c)+d$ }\n"


@dataclass(frozen=True, slots=True)
class Service:
    """lbctl.service on one machine."""

    on: Machine

    @property
    def name(self) -> str:
        return self.on.host.name

    def systemctl(self, *words: str, check: bool = True) -> int:
        return self.on.run("systemctl", *words, check=check, timeout=90).returncode

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.on.run("systemctl", "show", "-P", name, "lbctl").stdout.strip()

    @property
    def main_pid(self) -> int:
        return int(self.show("MainPID"))

    def signal(self, name: str, pid: int) -> None:
        self.on.run("sh", "-c", f"kill -s {name} {pid}")

    def role(self) -> str:
        said = self.on.run("lbctl", "status", "--json", check=False).stdout
        ha = json.loads(said)["ha"] if said else None
        return str(ha["role"]) if ha else ""

    def journal(self, *words: str) -> str:
        return self.on.run("journalctl", "--no-pager", "-q", "-u", "lbctl", *words).stdout

    def cursor(self) -> str:
        """The end of the journal, for ``--after-cursor``."""
        shown = self.on.run("journalctl", "-q", "-n", "0", "--show-cursor").stdout
        return "--after-cursor=" + shown.partition("cursor: ")[2].strip()

    def addresses(self) -> str:
        return self.on.run("ip", "-br", "addr").stdout


@dataclass(frozen=True, slots=True)
class Stage:
    """Both services, and the lab around them."""

    lab: Lab
    services: tuple[Service, Service]

    def wait_well(self) -> tuple[Service, Service]:
        """Start what does not run; (master, backup)."""
        for service in self.services:
            service.systemctl("start", "lbctl")

        def well() -> tuple[Service, Service] | None:
            for master, backup in (self.services, self.services[::-1]):
                told = (master.show("StatusText"), backup.show("StatusText"))
                wanted = (f"MASTER: holds {VIP}/32", f"BACKUP of {master.on.host.address}")
                if told == wanted and self.holders() == {master.on.host.mac}:
                    return master, backup
            return None

        seen = "\n".join
        found = wait_until(
            well, START_S, "a pair", seen=lambda: seen(s.on.dump() for s in self.services)
        )
        assert found is not None
        return found

    def holders(self) -> set[str]:
        return holders(self.lab["client"], VIP)

    def wait(self, claim: Callable[[], object], within_s: float, what: str) -> int:
        """Wait, and look all the time at how many hold the address; the most at once."""
        most = 0

        def look() -> bool:
            nonlocal most
            most = max(most, len(self.holders()))
            return bool(claim())

        wait_until(look, within_s, what)
        return most

    def wait_restarted(self, service: Service, ended: int) -> int:
        """Until another main process than *ended* serves; the most holders at once."""
        return self.wait(
            lambda: service.main_pid not in (0, ended) and service.show("ActiveState") == "active",
            RESTART_S + START_S,
            "a restart",
        )

    def ask(self, url: str) -> str:
        return self.lab["client"].run(["curl", "-s", "-m", "2", url]).stdout

    def probe(self) -> Probe:
        return Probe(self.lab["client"], VIP)


def install(on: Machine) -> Service:
    """As an operator does it, with a configuration and a password of the pair."""
    copy_of_checkout(on, *CHECKOUT, to="/srv/lbctl")
    on.write("/haproxy/haproxy.cfg", HAPROXY_CFG.replace(_BEFORE, _REGEX + _BEFORE))
    on.write("/root/password", PASSWORD, 0o600)
    words = ("--vip", VIP, "--password-file", "/root/password", "--no-start")
    on.run("/srv/lbctl/deploy/install", *words, online=True, timeout=240)
    return Service(on)
