"""Where processes hear of each other's stick tables is a port that the bundle takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.haproxy.cpus import Cpus
from lbctl.haproxy.version import HaproxyVersion
from lbctl.launch.configuration import Dirs, HostFacts, configure
from lbctl.launch.ports import Claim
from lbctl.model.service import RateLimit, Server, Service
from lbctl.settings.model import Haproxy, Peers, Settings

FACTS = HostFacts(HaproxyVersion(2, 6, 12, "2.6.12"), Cpus((0, 1)), "here", "0" * 16)
NBPROC = HostFacts(HaproxyVersion(2, 2, 9, "2.2.9"), Cpus((0, 1)), "here", "0" * 16)
SERVERS = (Server(address="10.0.0.1:80"),)
STUCK = Service(name="app", stick="source", servers=SERVERS)
LIMITED = Service(name="app", limit=RateLimit(requests=9), servers=SERVERS)


def claims(
    root: Path, service: Service, facts: HostFacts = FACTS, hosts: tuple[str, ...] = ()
) -> list[Claim]:
    dirs = Dirs.at(root / "config", root / "run", root / "state")
    dirs.config.root.mkdir(exist_ok=True)
    haproxy = Haproxy(processes=2, peers=Peers(port_base=7001, hosts=hosts))
    found = configure(dirs, Settings(haproxy=haproxy, services=(service,)), facts).claims
    return [claim for claim in found if claim.where == "haproxy.peers.port_base"]


@pytest.mark.parametrize(
    ("hosts", "address"), [((), "127.0.0.1"), (("10.255.0.9", "127.0.0.1"), "127.0.0.1")]
)
def test_every_process_takes_a_port_of_this_host(
    tmp_path: Path, hosts: tuple[str, ...], address: str
) -> None:
    assert claims(tmp_path, STUCK, hosts=hosts) == [
        Claim("haproxy.peers.port_base", "HAProxy", address, port) for port in (7001, 7002)
    ]


def test_no_port_is_taken_where_nothing_is_copied(tmp_path: Path) -> None:
    assert claims(tmp_path, LIMITED) == []
    assert claims(tmp_path, STUCK, NBPROC) == []


def test_beside_peers_of_the_operators_own_no_port_is_ours(tmp_path: Path) -> None:
    own = tmp_path / "config" / "haproxy.cfg"
    own.parent.mkdir()
    own.write_text("peers mine\n    peer here 127.0.0.1:9000\n")
    dirs = Dirs.at(own.parent, tmp_path / "run", tmp_path / "state")
    settings = Settings(haproxy=Haproxy(processes=1), services=(STUCK,))

    found = configure(dirs, settings, FACTS).claims
    assert [claim for claim in found if "peers" in claim.where] == []
