"""The live view of a running bundle: what real HAProxy processes count, seen as it happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from lbctl.cli.client import ApiClient
from lbctl.errors import LbctlError
from lbctl.glance.picture import Picture
from lbctl.lab.wait import wait_until
from tests.bundles import Bundle
from tests.contract.test_terminal import tab
from tests.origins import Origin
from tests.places import free_ports, open_directory

pytestmark = pytest.mark.contract

LIMIT_S = 10.0
TOKEN = "may-look-only"


@dataclass(frozen=True, slots=True)
class Site:
    bundle: Bundle
    web: int
    api: int

    @property
    def client(self) -> ApiClient:
        return ApiClient(self.bundle.run)

    def ask(self, count: int) -> None:
        for _ in range(count):
            with urlopen(f"http://127.0.0.1:{self.web}/", timeout=5) as answer:
                assert answer.status == 200

    def watched_until(self, claim: Callable[[Picture], object]) -> Picture:
        """What the stream told until *claim* held."""
        picture, began = Picture(), time.monotonic()
        stream = self.client.stream_events("/v1/live")
        with closing(stream):  # type: ignore[type-var]
            for kind, said in stream:
                picture.take(kind, said)
                if claim(picture):
                    return picture
                assert time.monotonic() - began < LIMIT_S, picture
        raise AssertionError(picture)


@pytest.fixture(scope="module", name="site")
def _site() -> Iterator[Site]:
    web, api, stats, _, peers, _ = free_ports(6)
    with Origin("a").running() as a, Origin("b").running() as b, open_directory() as root:
        token = root / "token"
        token.write_text(f"{TOKEN}\n")
        bundle = Bundle(root)
        servers = [{"id": one.name, "address": one.address} for one in (a, b)]
        bundle.configure(
            {
                "http": {"bind": f"127.0.0.1:{web}"},
                "haproxy": {
                    "processes": 2,
                    "stats": {"port_base": stats},
                    "peers": {"port_base": peers},
                },
                "api": {"bind": f"127.0.0.1:{api}", "read_token_file": str(token)},
                "services": [{"name": "hello/v1", "route": {"path": "/"}, "servers": servers}],
            }
        )
        bundle.start()
        try:
            bundle.wait_up()
            site = Site(bundle, web, api)
            wait_until(lambda: _is_known(site), LIMIT_S, "the service is followed")
            yield site
            bundle.stop()
        finally:
            bundle.end()


def _is_known(site: Site) -> bool:
    apply = site.client.get("/v1/status")["apply"]
    return bool(apply["state"] == "idle" and site.client.get("/v1/services")["services"])


def test_rates_of_all_processes_are_seen_while_they_happen(site: Site) -> None:
    site.watched_until(lambda picture: picture.proxies)
    site.ask(40)
    picture = site.watched_until(
        lambda seen: (
            (seen.traffic.get("requests_per_s") or 0) > 0 and seen.traffic.get("bytes_out_per_s")
        )
    )
    hello = picture.proxies["hello:v1"]

    assert (hello["kind"], hello["status"]) == ("backend", "UP")
    assert (hello["servers_up"], hello["servers"]) == (2, 2)
    assert hello["requests_per_s"] > 0
    assert not [name for name in picture.proxies if name.startswith("lbctl-stats")]


def test_what_is_idle_again_is_told_to_be(site: Site) -> None:
    site.ask(5)
    picture = site.watched_until(lambda seen: seen.traffic.get("requests_per_s") == 0)

    assert picture.proxies["hello:v1"]["requests_per_s"] == 0


def test_a_process_that_hangs_is_named_and_the_others_go_on(site: Site) -> None:
    pid = site.bundle.pid_of("haproxy-02")
    workers = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for one in workers:
        os.kill(one, signal.SIGSTOP)
    try:
        picture = site.watched_until(lambda seen: seen.silent)
    finally:
        for one in workers:
            try:
                os.kill(one, signal.SIGCONT)
            except ProcessLookupError:
                # Who hangs is killed by the agent.
                continue

    assert [*picture.silent] == ["2"]
    assert "02.sock" in picture.silent["2"]
    assert "hello:v1" in picture.proxies
    wait_until(lambda: not site.watched_until(bool).silent, LIMIT_S, "both answer again")


def test_one_service_is_looked_at_alone_with_what_its_servers_do(site: Site) -> None:
    site.ask(4)
    (one,) = site.client.get("/v1/services?name=hello/v1")["services"]
    (same,) = site.client.get("/v1/services?name=hello:v1")["services"]

    assert one["name"] == same["name"] == "hello/v1"
    rows = {row["server"]: row for row in one["servers"]}
    assert rows.keys() == {"a", "b"}
    assert sum(row["traffic"]["total"] for row in rows.values()) >= 4
    assert {row["state"] for row in rows.values()} == {"up"}
    with pytest.raises(LbctlError, match="'nothing': no such service"):
        site.client.get("/v1/services?name=nothing")


def test_a_command_shows_one_service(site: Site) -> None:
    done = site.bundle.command("services", "hello/v1")

    assert done.returncode == 0
    assert "rate/s" in done.stdout
    assert done.stdout.split().count("up") == 2


def test_names_go_on_as_they_begin(site: Site) -> None:
    names = site.client.get("/v1/names?prefix=hello/v1/")

    assert names == {"services": [], "servers": ["hello/v1/a", "hello/v1/b"]}
    assert site.client.get("/v1/names?prefix=he") == {
        "services": ["hello/v1"],
        "servers": ["hello/v1/"],
    }


def test_bash_completes_services_and_servers(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "lbctl.bash"
    script.write_text(site.bundle.command("completion", "bash").stdout)
    run_dir = site.bundle.run.root

    assert tab(script, "lbctl services he", run_dir) == ["hello/v1"]
    assert tab(script, "lbctl server drain hello", run_dir) == ["hello/v1/"]
    assert tab(script, "lbctl server drain hello/v1/", run_dir) == ["hello/v1/a", "hello/v1/b"]
    elsewhere = f"lbctl server weight 5 --run-dir={run_dir} hello/v1/a"
    assert tab(script, elsewhere) == ["hello/v1/a"]


def test_a_token_that_may_look_may_watch_and_without_one_nobody_may(site: Site) -> None:
    url = f"http://127.0.0.1:{site.api}/v1/live"
    with pytest.raises(HTTPError, match="401"):
        urlopen(url, timeout=5)
    request = Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request, timeout=5) as answer:
        kind, said = answer.readline(), answer.readline()

    assert kind == b"event: snapshot\n"
    assert json.loads(said.removeprefix(b"data: "))["status"]["hostname"]


@contextmanager
def _deaf(path: Path, count: int) -> Iterator[None]:
    """Who watches and reads nothing."""
    links = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    try:
        for link in links:
            link.connect(str(path))
            link.sendall(b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield
    finally:
        for link in links:
            link.close()


def test_a_hundred_who_watch_and_do_not_read_hold_nobody_up(site: Site) -> None:
    with _deaf(site.bundle.run.api_socket, 100):
        site.watched_until(lambda seen: seen.traffic)
        slowest_s = max(_took_s(site) for _ in range(20))

    assert slowest_s < 1.0


def _took_s(site: Site) -> float:
    began = time.monotonic()
    site.client.get("/v1/status")
    return time.monotonic() - began


def test_top_prints_a_frame_of_the_running_bundle(site: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lbctl", "top", "--once", f"--run-dir={site.bundle.run.root}"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )

    assert done.returncode == 0, done.stderr
    assert "HAProxy" in done.stdout
    assert [line.split()[:3] for line in done.stdout.splitlines() if "hello:v1" in line] == [
        ["hello:v1", "UP", "2/2"]
    ]


def test_what_was_applied_is_in_the_ledger(site: Site) -> None:
    assert site.bundle.command("server", "drain", "hello/v1/a").returncode == 0
    assert site.bundle.command("server", "ready", "hello/v1/a").returncode == 0

    def changes() -> int:
        for kind, said in site.client.stream_events("/v1/live"):
            assert kind == "snapshot"
            return sum(_runtime(span) for span in said["ledger"])
        return 0

    wait_until(lambda: changes() >= 1, LIMIT_S, "the ledger has it")


def _runtime(span: Mapping[str, Any]) -> int:
    return int(span["runtime"])
