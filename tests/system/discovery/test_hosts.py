"""
An operator's own haproxy.cfg whose server is a name of /etc/hosts, as in a container: the file is
mounted, and whoever mounted it rewrites it in place.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from tests.balancers import serve_web
from tests.finding import AT_ONCE_S, Finding, finding

pytestmark = pytest.mark.system

#: From the write to the address in all processes; a question to them takes its time too.
FOLLOWED_S = 0.1
OWN = """\
global
    maxconn 2000
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
frontend web
    bind :80
    default_backend b_myapp
backend b_myapp
    server appsrv1 appsrv1.internal:7001 check inter 200ms
backend others
    server mark mark.internal:7001
"""
_MOUNTED = 'mount --bind "$0" /etc/hosts && exec "$@"'


def _rewrite(path: Path, address: str, mark: str = "127.0.0.3") -> None:
    """In place: the mount shows the file, not its name."""
    path.write_text(
        f"127.0.0.1 localhost\n{address} appsrv1.internal # mine\n{mark} mark.internal\n"
    )


@pytest.fixture(name="named", scope="module")
def _named(hosts: Lab) -> Iterator[tuple[Finding, Path]]:
    """The bundle, and the file that is its /etc/hosts."""
    host = hosts["web1"]
    path = host.directory / "hosts"
    _rewrite(path, "127.0.0.3")
    for address in ("127.0.0.3", "127.0.0.5"):
        serve_web(host, address, f"{address}:7001")
    wrapper = ("unshare", "--mount", "sh", "-c", _MOUNTED, str(path))
    with finding(hosts, "web1", wrapper=wrapper) as made:
        made.settings["discovery"] = {"hosts": {"path": "/etc/hosts"}}
        made.configure(haproxy_cfg=OWN)
        made.begin()
        made.wait_asks({"127.0.0.3"})
        yield made, path


def _addresses(here: Finding, server: str = "appsrv1", backend: str = "b_myapp") -> set[str]:
    return {one.address for one in here.each(server, backend) if one is not None}


def _followed_s(here: Finding, path: Path, address: str) -> float:
    """How long after the file all processes have it, seconds."""
    began = time.monotonic()
    _rewrite(path, address)
    wait_until(lambda: _addresses(here) == {address}, AT_ONCE_S, address, every_s=0.001)
    return time.monotonic() - began


def _wait_read(here: Finding, mark: str) -> None:
    """Until another server is where the file has it: so it was read."""
    wait_until(lambda: _addresses(here, "mark", "others") == {mark}, AT_ONCE_S, mark)


def test_a_mounted_hosts_file_that_is_rewritten_moves_the_server(
    named: tuple[Finding, Path],
) -> None:
    here, path = named
    before = here.workers()
    with here.crowd("--new=2", "--kept=10") as crowd:
        took_s = statistics.median(
            _followed_s(here, path, address)
            for address in ("127.0.0.5", "127.0.0.3", "127.0.0.5", "127.0.0.3", "127.0.0.5")
        )
        asked = here.asks("/")
        counted = crowd.counted()
    said = "b_myapp/appsrv1 changed its IP from 127.0.0.3 to 127.0.0.5 by /etc/hosts"

    assert asked == {"127.0.0.5"}
    assert took_s < FOLLOWED_S
    assert said in here.events("discovery")
    assert (counted.failed, counted.lost) == ({}, {})
    assert here.workers() == before


def test_a_file_without_the_name_takes_no_server_away(named: tuple[Finding, Path]) -> None:
    here, path = named
    _rewrite(path, "127.0.0.3")
    wait_until(lambda: _addresses(here) == {"127.0.0.3"}, AT_ONCE_S, "the address")
    kept = []
    for number, text in enumerate(("", "127.0.0.9 appsrv1.inter", "300.1.2.3 appsrv1.internal")):
        mark = f"127.0.1.{number}"
        path.write_text(f"\0\n{text}\n{mark} mark.internal\n")
        _wait_read(here, mark)
        kept.append(_addresses(here))
    _rewrite(path, "127.0.0.5")
    here.wait_asks({"127.0.0.5"}, AT_ONCE_S, "/")

    assert kept == [{"127.0.0.3"}] * 3


def test_a_restart_begins_where_the_file_points(named: tuple[Finding, Path]) -> None:
    here, path = named
    here.stop()
    _rewrite(path, "127.0.0.3")
    here.start()
    here.wait_up()

    assert here.asks("/") == {"127.0.0.3"}
