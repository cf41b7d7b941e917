"""Keys of lb.yaml that would have HAProxy listen on a virtual address."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ValidationError
from lbctl.haproxy.cpus import Cpus
from lbctl.haproxy.version import HaproxyVersion
from lbctl.launch.absent import only_on_the_master
from lbctl.launch.configuration import Dirs, HostFacts, Place, configure
from lbctl.settings.model import Haproxy, Http, Settings, Stats

PAIR = Place(only_on_the_master(("10.0.1.201/24", "fd00::1")))
FACTS = HostFacts(HaproxyVersion(2, 6, 12, "2.6.12"), Cpus((0, 1)), "here", "0" * 16)


def dirs_in(root: Path, *, has_certs: bool = False) -> Dirs:
    dirs = Dirs.at(root / "config", root / "run", root / "state")
    dirs.config.certs.mkdir(parents=True)
    if has_certs:
        (dirs.config.certs / "a.pem").touch()
    return dirs


@pytest.mark.parametrize(
    ("settings", "key", "way_out"),
    [
        (Settings(http=Http(bind="10.0.1.201:80")), "http.bind", "the port alone: ':80'"),
        (Settings(http=Http(bind="[fd00::1]:80")), "http.bind", "the port alone: ':80'"),
        (Settings(http=Http(tls_bind="10.0.1.201:443")), "http.tls_bind", "alone: ':443'"),
        (Settings(haproxy=Haproxy(stats=Stats(bind="[fd00:0::1]"))), "haproxy.stats.bind", "'*'"),
    ],
)
def test_key_that_names_a_virtual_address_is_refused_with_the_way_out(
    tmp_path: Path, settings: Settings, key: str, way_out: str
) -> None:
    dirs = dirs_in(tmp_path, has_certs=True)
    with pytest.raises(ValidationError) as caught:
        configure(dirs, settings, FACTS, PAIR)

    (problem,) = caught.value.problems
    assert problem.where == key
    assert way_out in problem.what
    configure(dirs, settings, FACTS)


def test_tls_bind_without_certificates_binds_nothing(tmp_path: Path) -> None:
    settings = Settings(http=Http(tls_bind="10.0.1.201:443"))

    assert configure(dirs_in(tmp_path), settings, FACTS, PAIR).binds == (":80",)


def test_ports_alone_and_other_addresses_are_fine(tmp_path: Path) -> None:
    settings = Settings(http=Http(bind="10.0.1.11:80"))

    assert configure(dirs_in(tmp_path), settings, FACTS, PAIR).binds == ("10.0.1.11:80",)
