"""
A real Prometheus, a real pair, and every fault that an alert is about: brought about, and mended.

Beside the shipped files only time is another: scrapes every second, short windows, nothing to wait
for. One pair for all; a test breaks something, sees its alerts, and mends it. That they end is seen
once, at the end.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from lbctl.lab.backend import serve
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Lab, run
from lbctl.lab.pair import Pair, make_pair
from lbctl.lab.process import Process
from lbctl.lab.wait import wait_until
from tests.monitoring import alert_names, alerts, figures, queries
from tests.natives import SETTINGS, acquainted
from tests.pems import issue
from tests.prometheuses import Prometheus, prometheus

pytestmark = pytest.mark.system

NAME = "lbctl.example"
READ = "read-0123456789abcdef"
PORT = 9000
#: What windows of 8 s, and a fault's five seconds of being away, need to be over.
OVER_S = 45.0
#: With nothing to put them right in reasonable time; promtool's tests fire them.
ONLY_BY_PROMTOOL = {"LbctlReloadsMany", "LbctlLogLinesDropped"}
#: Queries that have no answer while nothing is wrong, or nothing happens.
EMPTY_WHEN_WELL = {
    "Faults and findings",
    "Starts that nobody asked for",
    "Events",
    "The API",
    "Failovers",
    "Sources",
    "Age of what the sources said",
}

#: Asked through the VIP: with servers that check, without a check, and full.
SERVICES: list[dict[str, Any]] = [
    {
        "name": "hello",
        "route": {"path": "/", "strip": False},
        "check": {"path": "/", "interval_s": 0.3},
        "servers": [{"id": f"w{n}", "address": f"10.0.1.10{n}:80"} for n in (1, 2)],
    },
    {
        "name": "deaf",
        "retries": 0,
        "check": {"kind": "none"},
        "servers": [{"id": "d", "address": "10.0.1.50:9"}],
    },
    {
        "name": "full",
        "check": {"kind": "none"},
        "servers": [{"id": "f", "address": "10.0.1.50:7777"}],
        "maxconn": 1,
    },
]
_MAXCONN = 60
#: Accepts connections and says nothing.
_HANGS = "import socket, signal; s = socket.create_server(('', 7777), backlog=9); signal.pause()"
#: Opens connections and says nothing.
_HOLDS = (
    "import socket, signal; "
    "s = [socket.create_connection(('{vip}', 80)) for _ in range({count})]; signal.pause()"
)


@dataclass(frozen=True, slots=True)
class Watched:
    """
    Attributes:
        settings: lb.yaml of both nodes.
    """

    lab: Lab
    pair: Pair
    told: Prometheus
    settings: dict[str, Any]

    def roles(self) -> tuple[Node, Node]:
        """(master, backup)"""
        return self.pair.wait_settled(10)

    def instance(self, node: Node) -> str:
        return f"{node.host.address}:{PORT}"

    def reload(self, node: Node, *words: str, **more: Any) -> None:
        """lb.yaml with *more*, and read again, whatever comes of it."""
        node.configure(settings={**self.settings, **more})
        node.command("reload", *words, check=False)

    def post(self, node: Node, path: str) -> None:
        """What a command would ask of the node's agent."""
        socket = str(node.run_dir.api_socket)
        argv = ["curl", "-sSf", "-m", "10", "-X", "POST", "--unix-socket", socket]
        run([*argv, f"http://localhost{path}"])

    def ask(self, path: str, times: int = 1, *words: str, host: str = "client") -> None:
        """Requests of the VIP, or of a URL, one after the other."""
        url = path if "://" in path else f"http://{self.pair.vip}{path}"
        argv = ["curl", "-s", "-o", "/dev/null", "-m", "5", *words, f"{url}?[1-{times}]"]
        self.lab[host].run(argv, check=False, timeout=30)

    @contextmanager
    def listening(self, host: str, code: str) -> Iterator[Process]:
        """A program of few lines on a host."""
        process = self.lab[host].spawn([sys.executable, "-Ic", code], log="listening.log")
        try:
            yield process
        finally:
            process.stop(3, signal.SIGKILL)


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(name="told", scope="module")
def _told(lab: Lab) -> Iterator[Prometheus]:
    """It runs before there is anything to scrape: its first scrape comes after 5 s."""
    certificate = issue(NAME)
    for name, content in (
        ("api.pem", certificate.pem),
        ("api.key", certificate.key),
        ("read-token", READ.encode()),
    ):
        (lab.directory / name).write_bytes(content)
        (lab.directory / name).chmod(0o600)
    targets = [f"{lab[name].address}:{PORT}" for name in ("a", "b")]
    with prometheus(
        lab["client"], targets, token=READ, authority=certificate.pem, server_name=NAME
    ) as made:
        yield made


@pytest.fixture(name="watched", scope="module")
def _watched(lab: Lab, told: Prometheus) -> Watched:
    pair = make_pair(lab)
    files = lab.directory
    settings = {
        **SETTINGS,
        "haproxy": {"processes": 1, "maxconn": _MAXCONN},
        "api": {
            "bind": f":{PORT}",
            "read_token_file": str(files / "read-token"),
            "tls": {"cert_file": str(files / "api.pem"), "key_file": str(files / "api.key")},
        },
        "services": SERVICES,
    }
    certificate = issue("www.example.com", days=(-1, 80)).both
    for node in pair.nodes:
        node.config.nginx_d.mkdir()
        node.config.certs.mkdir()
        (node.config.certs / "www.pem").write_bytes(certificate)
    pair.start(settings=settings, haproxy_cfg=None)
    acquainted(pair)
    return Watched(lab, pair, told, settings)


def test_nothing_fires_when_all_is_well_but_that_the_address_was_taken(watched: Watched) -> None:
    watched.told.wait_firing("LbctlFailover")
    seen = watched.told.wait_silent(OVER_S, but={"LbctlFailover"})

    assert seen == {"LbctlFailover"}


def test_every_query_of_the_dashboard_has_an_answer(watched: Watched) -> None:
    def without() -> set[str]:
        watched.ask("/", 4)
        return {title for title, query in queries() if not watched.told.query(query)}

    wait_until(lambda: without() <= EMPTY_WHEN_WELL, 10, "answers", seen=without)


def test_hosts_that_do_not_hear_each_other(watched: Watched) -> None:
    acquainted(watched.pair)
    _flood(watched, "off")
    try:
        watched.told.wait_firing("LbctlTwoHoldAddress", "LbctlFinding", pair="web")
    finally:
        _flood(watched, "on")


def test_services_whose_servers_fail_in_every_way(watched: Watched) -> None:
    lab, told = watched.lab, watched.told
    with ExitStack() as mended:
        mended.enter_context(watched.listening("client", _HANGS))
        for number in range(3):
            lab["client"].spawn(
                ["curl", "-s", "-m", "6", f"http://{watched.pair.vip}/full"],
                log=f"full{number}.log",
            )
        for name in ("web1", "web2"):
            lab[name].processes[0].stop()
            mended.callback(serve, lab[name])
        watched.ask("/deaf", 15)
        told.wait_firing("LbctlQueueGrows", proxy="full")
        told.wait_firing("LbctlConnectionErrors", "LbctlResponses5xx", proxy="deaf")
        told.wait_firing("LbctlBackendDown", "LbctlServersDown", proxy="hello")


def test_clients_that_take_all_connections(watched: Watched) -> None:
    master, _ = watched.roles()
    with watched.listening("web1", _HOLDS.format(vip=watched.pair.vip, count=_MAXCONN + 10)):
        watched.told.wait_firing(
            "LbctlFrontendNearLimit",
            "LbctlConnectionsNearLimit",
            "LbctlHaproxyProcessSilent",
            instance=watched.instance(master),
        )


def test_a_change_on_one_host_that_brings_trouble(watched: Watched) -> None:
    _, backup = watched.roles()
    old = backup.config.certs / "old.pem"
    old.write_bytes(issue("www.example.com", days=(-1, 2)).both)
    tls = {"ca_file": "/nonexistent/ca.pem"}
    broken = {"name": "broken", "servers": [{"id": "b", "address": "10.0.1.50:10"}], "tls": tls}
    watched.reload(
        backup,
        services=[*SERVICES[:-1], broken],
        discovery={"consul": {"url": "http://127.0.0.1:1"}},
    )
    told = watched.told
    try:
        told.wait_firing(
            "LbctlLossHeldBack",
            "LbctlServiceLeftOut",
            "LbctlCertificateExpires",
            "LbctlCertificateExpiresSoon",
            "LbctlSourceOutOfTouch",
            "LbctlSourceStale",
            instance=watched.instance(backup),
        )
        told.wait_firing("LbctlConfigurationDiffers")
    finally:
        old.unlink()
        watched.reload(backup)


def test_a_change_that_cannot_be_made(watched: Watched) -> None:
    _, backup = watched.roles()
    with watched.listening(backup.name, _HANGS):
        watched.reload(backup, http={"bind": ":7777"})
        watched.told.wait_firing("LbctlApplyFailed", instance=watched.instance(backup))
    watched.reload(backup)


def test_somebody_who_tries_tokens(watched: Watched) -> None:
    _, backup = watched.roles()
    url = f"https://{watched.instance(backup)}/v1/status"
    watched.ask(url, 40, "-k", "-H", "Authorization: Bearer of-nothing", host="web1")
    watched.told.wait_firing("LbctlApiRefusals", instance=watched.instance(backup))


def test_sockets_that_are_gone(watched: Watched) -> None:
    """Who stands still is ended within two seconds, and back before a scrape tells."""
    _, backup = watched.roles()
    with ExitStack() as mended:
        for path in (backup.run_dir.vipd_socket, backup.run_dir.runtime_socket(1)):
            away = path.rename(path.with_suffix(".away"))
            mended.callback(away.rename, path)
        watched.told.wait_firing(
            "LbctlVipdSilent", "LbctlScrapeFails", instance=watched.instance(backup)
        )


def test_hosts_that_do_not_answer(watched: Watched) -> None:
    for node in watched.pair.nodes:
        node.kill("agent", signal.SIGSTOP)
    try:
        watched.told.wait_firing("LbctlAbsent", "LbctlPairAbsent", pair="web")
    finally:
        for node in watched.pair.nodes:
            node.kill("agent", signal.SIGCONT)


def test_programs_that_die_and_do_not_come_back(watched: Watched) -> None:
    pair, told = watched.pair, watched.told
    _, backup = watched.roles()
    for _ in range(3):
        _die(backup, "logd")
    for node in pair.nodes:
        (node.config.nginx_d / "broken.conf").write_text("this is no directive\n")
        node.kill("nginx")
    try:
        told.wait_firing("LbctlProgramDown", program="nginx")
        told.wait_firing("LbctlNobodyReady", "LbctlNotReady", "LbctlFault")
        told.wait_firing("LbctlProgramRestarting", program="logd")
    finally:
        for node in pair.nodes:
            (node.config.nginx_d / "broken.conf").unlink()


def test_addresses_that_move_to_and_fro(watched: Watched) -> None:
    acquainted(watched.pair)
    for _ in range(3):
        master, _ = watched.roles()
        watched.post(master, "/v1/handover")
    watched.told.wait_firing("LbctlFlapping")


def test_a_master_that_is_cut_off_while_paused(watched: Watched) -> None:
    acquainted(watched.pair)
    master, backup = watched.roles()
    watched.post(master, "/v1/pause")
    watched.lab.cut(master.host)
    try:
        told = watched.told
        told.wait_firing("LbctlPausedLong", "LbctlNobodyHoldsAddress", pair="web")
        told.wait_firing("LbctlAbsent", instance=watched.instance(master))
        told.wait_firing("LbctlPeerSilent", instance=watched.instance(backup))
    finally:
        watched.lab.heal(master.host)
        watched.post(backup, "/v1/resume")


def test_every_alert_was_brought_about_and_ends_when_its_cause_does(watched: Watched) -> None:
    watched.told.wait_silent(OVER_S, but={"LbctlFailover"})

    assert set(alert_names()) - watched.told.seen.keys() == ONLY_BY_PROMTOOL


def test_what_the_alerts_said_was_complete(watched: Watched) -> None:
    said = [text for texts in watched.told.seen.values() for text in texts.values()]

    assert [text for text in said if "<" in text or "{{" in text or not text[0].strip()] == []


def test_every_figure_that_is_asked_for_was_there_at_one_time(watched: Watched) -> None:
    asked = {name for _, query in queries() for name in figures(query)}
    asked |= {name for rule in alerts() for name in figures(rule["expr"])}

    assert asked - set(watched.told.ask("label/__name__/values")) == set()


def _die(node: Node, program: str) -> None:
    """Killed, and started again."""
    before = node.kill(program)
    wait_until(lambda: node.pid_of(program) != before, 5, f"{program} to be started again")


def _flood(watched: Watched, word: str) -> None:
    """Whether the switch sends multicasts out to the two."""
    for node in watched.pair.nodes:
        port = ["dev", node.name, "type", "bridge_slave", "mcast_flood", word]
        run(["ip", "-n", watched.lab.switch, "link", "set", *port])
