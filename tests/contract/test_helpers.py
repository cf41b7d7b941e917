"""dnsmasq and rsyslogd in a bundle, for a haproxy.cfg of the operator's own: the articles' ways."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lbctl.lab.wait import wait_until
from tests.bundles import Bundle
from tests.compiled import Echo, echo
from tests.haproxies import get
from tests.places import free_ports, hidden, open_directory

pytestmark = pytest.mark.contract

#: seeds: a log line for each request, and a server that is followed through dnsmasq.
CFG = """\
global
    log {log} local0
defaults
    mode http
    log global
    option httplog
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend f_myapp
    bind 127.0.0.1:{port}
    default_backend b_myapp
backend b_myapp
    server appsrv1 appsrv1:{web} resolvers docker resolve-prefer ipv4 init-addr last,libc,none
resolvers docker
    nameserver dnsmasq 127.0.0.1:{dns}
    timeout retry 100ms
    timeout resolve 100ms
    hold valid 100ms
"""

#: A /dev of its own, where nobody has made a /dev/log: what a container has.
OWN_DEV = """\
set -e
mount -t tmpfs -o mode=755 own {at}
for one in null zero full random urandom tty; do
    touch {at}/$one && mount --bind /dev/$one {at}/$one
done
ln -s /proc/self/fd {at}/fd
mount --move {at} /dev
exec "$@"
"""


class Site:
    """A bundle of one process, and the server appsrv1 on any address of 127/8."""

    def __init__(self, root: Path, web: Echo) -> None:
        self.bundle = Bundle(root)
        self.hosts = root / "hosts"
        self.port, self.dns, self.stats, self.log, *_ = free_ports(5)
        self.web = web
        self.point(3)

    def point(self, last: int) -> None:
        """The file is rewritten in place, as a container engine does with its mount."""
        self.hosts.write_text(f"127.0.0.{last} appsrv1\n")

    def configure(self, log: str, **more: object) -> None:
        hosts = {"path": str(self.hosts), "dnsmasq": True, "dnsmasq_port": self.dns}
        self.bundle.configure(
            {
                "haproxy": {"processes": 1, "stats": {"port_base": self.stats}},
                "discovery": {"hosts": hosts},
                **more,
            },
            haproxy_cfg=CFG.format(log=log, port=self.port, dns=self.dns, web=self.web.server_port),
        )

    def start(self) -> None:
        self.bundle.start()
        self.bundle.wait_up()
        wait_until(lambda: get(self.port)[0] == 200, 5, "the first answer", seen=self.bundle.text)

    def said(self, pattern: str) -> list[str]:
        """Lines of the bundle's output."""
        return re.findall(rf"^.*{pattern}.*$", self.bundle.text(), re.M)

    def wait_said(self, pattern: str, within_s: float = 3.0) -> str:
        return wait_until(lambda: self.said(pattern), within_s, pattern, seen=self.bundle.text)[0]


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with ExitStack() as stack:
        web = stack.enter_context(echo())
        site = Site(stack.enter_context(open_directory()), web)
        stack.callback(site.bundle.end)
        yield site


def request_line(path: str) -> str:
    return rf'rsyslogd \| haproxy\[\d+\]: 127\.0\.0\.1:\d+ .* b_myapp/appsrv1 .*"GET {path} HTTP'


@pytest.mark.parametrize(
    "place_of",
    [lambda site: f"127.0.0.1:{site.log}", lambda site: str(site.bundle.root / "devlog")],
    ids=["udp", "path"],
)
def test_requests_that_are_logged_by_syslog_reach_the_bundles_output(
    site: Site, place_of: Callable[[Site], str]
) -> None:
    site.configure(place_of(site))
    site.start()
    get(site.port, "/seen")
    line = site.wait_said(request_line("/seen"))
    status, _ = site.bundle.stop()

    assert line.count('"GET /seen') == 1
    assert status == 0


@pytest.mark.parametrize("run", ["auto", "yes"])
def test_a_running_rsyslogd_is_in_nobodys_way(site: Site, run: str) -> None:
    """Its place is taken, by itself: a reload and a look at what would be written heed that."""
    site.configure(f"127.0.0.1:{site.log}", syslog={"run": run})
    site.start()
    reloaded = site.bundle.command("reload", "--json")
    difference = site.bundle.command("render", "--diff")
    checked = site.bundle.command("check")

    assert (reloaded.returncode, checked.returncode) == (0, 0), (reloaded.stderr, checked.stderr)
    assert "rsyslogd" not in difference.stdout, difference.stderr


def test_dev_log_of_a_container_is_received(site: Site) -> None:
    """The configuration of the second article as it stands: ``log /dev/log local2 info``."""
    at = site.bundle.root / "dev"
    at.mkdir()
    words = OWN_DEV.format(at=at)
    site.bundle.wrapper = ("unshare", "--mount", "sh", "-c", words, "sh")
    site.configure("/dev/log")
    site.start()
    get(site.port, "/dev-log")

    assert site.wait_said(request_line("/dev-log"))
    assert not Path("/dev/log").exists()


def test_a_logd_that_hangs_holds_up_no_request(site: Site) -> None:
    """rsyslogd fills the pipe, then its queue, and then loses lines."""
    site.configure(f"127.0.0.1:{site.log}")
    site.start()
    logd = site.bundle.pid_of("logd")
    os.kill(logd, signal.SIGSTOP)
    try:
        answers = {get(site.port, f"/{'x' * 600}")[0] for _ in range(2000)}
    finally:
        os.kill(logd, signal.SIGCONT)

    def is_logged_again() -> bool:
        get(site.port, "/after")
        return re.search(request_line("/after"), site.bundle.text()) is not None

    assert answers == {200}
    wait_until(is_logged_again, 10, "a line of syslog")


def test_a_killed_rsyslogd_comes_back_at_its_place(site: Site) -> None:
    site.configure(str(site.bundle.root / "devlog"))
    site.start()
    site.bundle.kill_and_wait_restart("rsyslogd", within_s=3)
    site.bundle.wait_up()

    def is_logged() -> bool:
        get(site.port, "/again")
        return bool(site.said(request_line("/again")))

    assert wait_until(is_logged, 3, "a line of syslog", seen=site.bundle.text)


def test_haproxy_follows_the_hosts_file_through_dnsmasq(site: Site) -> None:
    """The first article's own way, in its own words."""
    site.configure("stdout format raw")
    site.start()
    before = get(site.port)[1]
    site.point(5)
    line = site.wait_said("b_myapp/appsrv1 changed its IP from 127.0.0.3 to")
    after = get(site.port)[1]

    assert line.endswith(
        "b_myapp/appsrv1 changed its IP from 127.0.0.3 to 127.0.0.5 by docker/dnsmasq."
    )
    assert ('"127.0.0.3:' in before, '"127.0.0.5:' in after) == (True, True)
    assert "rsyslogd" not in site.bundle.programs()


def test_a_missing_dnsmasq_is_named_with_its_package(site: Site) -> None:
    site.configure("stdout format raw")
    site.bundle.wrapper = hidden(site.bundle.root, "dnsmasq")
    refusal = site.bundle.refusal()

    assert refusal.status == 13
    assert refusal.names("dnsmasq is not installed: install the Debian package dnsmasq-base")


def test_without_rsyslogd_a_start_says_what_is_lost(site: Site) -> None:
    site.configure(f"127.0.0.1:{site.log}")
    site.bundle.wrapper = hidden(site.bundle.root, "rsyslogd")
    site.start()
    (warning,) = site.said("is lost")

    assert f"what HAProxy logs to 127.0.0.1:{site.log} is lost" in warning
    assert "install the Debian package rsyslog" in warning


def test_an_rsyslogd_that_is_wanted_and_missing_is_no_start(site: Site) -> None:
    site.configure(f"127.0.0.1:{site.log}", syslog={"run": "yes"})
    site.bundle.wrapper = hidden(site.bundle.root, "rsyslogd")
    refusal = site.bundle.refusal()

    assert refusal.status == 13
    assert refusal.names("syslog.run", "install the Debian package rsyslog")


def test_a_port_that_dnsmasq_cannot_have_is_named_before_anything_starts(site: Site) -> None:
    site.configure("stdout format raw")
    site.bundle.configure(
        site.bundle.config.settings.read_text().replace(
            f'"dnsmasq_port": {site.dns}', f'"dnsmasq_port": {site.web.server_port}'
        )
    )
    refusal = site.bundle.refusal()

    assert refusal.status == 13
    assert refusal.names("discovery.hosts.dnsmasq_port", str(site.web.server_port))
