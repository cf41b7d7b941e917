"""Services in a bundle as `lbctl run` starts it: changed, drained, refused, over crashes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lbctl.lab.wait import wait_until
from tests.bundles import Bundle
from tests.following import Origin
from tests.haproxies import get
from tests.places import free_ports, open_directory

pytestmark = pytest.mark.contract


class Site:
    """A bundle of two processes with the service hello, and three web servers."""

    def __init__(self, root: Path, origins: list[str]) -> None:
        self.port, self.stats, *_ = free_ports(4)
        self.origins = origins
        self.bundle = Bundle(root)
        self.want(hello=(0, 1))

    def want(self, **servers: tuple[int, ...]) -> None:
        """Write lb.yaml: services with the origins of these numbers."""
        services = [
            {"name": name, "servers": [{"address": self.origins[n]} for n in numbers]}
            for name, numbers in servers.items()
        ]
        self.bundle.configure(
            {
                "http": {"bind": f"127.0.0.1:{self.port}"},
                "haproxy": {"processes": 2, "stats": {"port_base": self.stats}},
                "services": services,
            }
        )

    def reload(self, *options: str) -> dict[str, Any]:
        done = self.bundle.command("reload", "--json", *options)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def asks(self, path: str = "/hello") -> set[str | int]:
        answers = [get(self.port, path) for _ in range(16)]
        return {text if code == 200 else code for code, text in answers}

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.bundle.command("status", "--json").stdout)
        return status

    def pids(self, *names: str) -> list[int]:
        return [one["pid"] for one in self.status()["programs"] if one["name"] in names]

    def are_others(self, *names: str, than: list[int]) -> bool:
        """Whether the programs run anew, and the agent knows of services again."""
        now = self.pids(*names)
        return not {0, *than} & set(now) and "apply" in self.status()

    def admin(self, number: int) -> set[str]:
        """The state of an origin's server in hello, over all processes."""
        told = json.loads(self.bundle.command("services", "--json").stdout)
        hello = next(one for one in told["services"] if one["name"] == "hello")
        return {s["admin"] for s in hello["servers"] if s["server"] == self.origins[number]}


@pytest.fixture(name="bundled", scope="module")
def _bundled() -> Iterator[Site]:
    with ExitStack() as stack:
        origins = [stack.enter_context(Origin().running()).address for _ in range(3)]
        site = Site(stack.enter_context(open_directory()), origins)
        stack.callback(site.bundle.end)
        site.bundle.start()
        site.bundle.wait_up()
        wait_until(
            lambda: site.status().get("apply", {}).get("state") == "idle", 15, "it is followed"
        )
        yield site


@pytest.fixture(name="site")
def _site(bundled: Site) -> Site:
    """The one bundle, with hello on the first two web servers and nothing else."""
    bundled.want(hello=(0, 1))
    bundled.reload("--confirm")
    return bundled


def test_a_bundle_follows_its_lb_yaml(site: Site) -> None:
    workers = site.pids("haproxy-01", "haproxy-02")
    at_first = site.asks()
    site.want(hello=(1, 2))
    at_run_time = site.reload()
    changed = site.asks()
    site.want(hello=(1, 2), other=(0,))
    reloaded = site.reload()
    same = site.reload()

    assert at_first == {site.origins[0], site.origins[1]}
    assert (at_run_time["did"], at_run_time["reasons"]) == ("runtime", [])
    assert changed == {site.origins[1], site.origins[2]}
    assert (reloaded["did"], reloaded["nginx"]["is_ok"]) == ("reload", True)
    assert site.asks("/other") == {site.origins[0]}
    assert same["did"] == "nothing"
    assert site.pids("haproxy-01", "haproxy-02") == workers


def test_what_is_not_good_changes_nothing_and_says_why(site: Site) -> None:
    (site.bundle.config.settings).write_text("services: [{nme: x}]\n")
    typo = site.bundle.command("reload")
    site.want(hello=(0, 1))
    site.bundle.config.haproxy_template.write_text("nonsense\n")
    refused = site.bundle.command("reload")
    site.bundle.config.haproxy_template.unlink()

    assert (typo.returncode, refused.returncode) == (12, 13)
    assert "lb.yaml:1: services[0].nme: unknown key" in typo.stderr
    assert "haproxy.cfg.j2" in refused.stderr
    assert site.asks() == {site.origins[0], site.origins[1]}
    assert site.reload()["did"] == "nothing"


def test_a_drained_server_stays_so_whoever_dies(site: Site) -> None:
    drained = site.bundle.command("server", "drain", f"hello/{site.origins[0]}")
    asked = site.asks()
    before = site.pids("agent", "haproxy-02")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: site.are_others("agent", "haproxy-02", than=before), 15, "they are back")
    wait_until(lambda: site.admin(0) == {"drain"}, 15, "drained everywhere")
    served = site.asks()
    ready = site.bundle.command("server", "ready", f"hello/{site.origins[0]}")

    assert drained.returncode == ready.returncode == 0
    assert asked == served == {site.origins[1]}
    assert site.asks() == {site.origins[0], site.origins[1]}
    assert site.bundle.command("server", "drain", "hello/nobody").returncode == 11


def test_a_loss_is_held_back_until_it_is_confirmed(site: Site) -> None:
    site.want(hello=(0, 1), other=(2,))
    site.reload()
    site.want(hello=(0, 1))
    held = site.reload()
    served = site.asks("/other")
    shown = site.bundle.command("status").stdout
    confirmed = site.reload("--confirm")

    assert [one["service"] for one in held["held"]] == ["other"]
    assert served == {site.origins[2]}
    assert "held back: other: gone, with 1 server" in shown
    assert (confirmed["did"], confirmed["held"]) == ("reload", [])
    assert site.origins[2] not in site.asks("/other")


def test_what_only_a_restart_brings_takes_a_restart_alone(site: Site) -> None:
    text = site.bundle.config.settings.read_text().replace('"processes": 2', '"processes": 3')
    site.bundle.configure(text)
    alone = site.bundle.command("render", "--diff").stdout
    site.bundle.configure(text.replace('"name": "hello"', '"name": "other"'))
    both = site.bundle.command("render", "--diff").stdout
    restart = "a restart of lbctl, for haproxy.processes"

    assert alone.endswith(f"# it takes: {restart}\n")
    assert "proc-03.cfg" in alone
    assert "# it takes: a reload of HAProxy, because\n" in both
    assert "proc-03.cfg changes" not in both
    assert both.endswith(f"# {restart}\n")


def test_a_hangup_is_a_reload(site: Site) -> None:
    site.want(hello=(0, 1, 2))
    assert site.bundle.process is not None
    os.kill(site.bundle.process.pid, signal.SIGHUP)

    wait_until(lambda: site.asks() == set(site.origins), 15, "the third server serves")


def test_a_start_does_without_a_service_that_haproxy_refuses_and_says_so(site: Site) -> None:
    with open_directory() as root:
        other = Site(root, site.origins)
        bad = {"name": "bad", "tls": {"ca_file": f"{root}/none.pem"}}
        servers = [{"address": site.origins[0]}]
        other.bundle.configure(
            {
                "http": {"bind": f"127.0.0.1:{other.port}"},
                "haproxy": {"processes": 1, "stats": {"port_base": other.stats}},
                "services": [{**bad, "servers": servers}, {"name": "good", "servers": servers}],
            }
        )
        other.bundle.start()
        try:
            other.bundle.wait_up()
            wait_until(lambda: other.status().get("apply", {}).get("left_out"), 15, "it is known")
            served, status = other.asks("/good"), other.status()
            said = other.bundle.text()
        finally:
            other.bundle.end()

    assert served == {site.origins[0]}
    assert [one["service"] for one in status["apply"]["left_out"]] == ["bad"]
    assert any("service bad is left out" in one for one in status["warnings"])
    assert "none.pem" in said
    assert "the rest starts" in said


#: An own haproxy.cfg, and how its frontend may find services.
OWN = """\
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    option idle-close-on-response
frontend web
    bind 127.0.0.1:{port}
"""
BY_MAP = """\
    http-request set-var(txn.to) path
    http-request set-var(txn.to) str(/*),concat(,txn.to,/),map_beg({map})
    use_backend %[var(txn.to)] if {{ var(txn.to) -m found }}
"""


@pytest.mark.parametrize("finds", [BY_MAP, "    use_backend hello\n"], ids=["map", "name"])
def test_services_beside_an_own_haproxy_cfg_need_no_reload_after_a_start(finds: str) -> None:
    with ExitStack() as stack:
        origin = stack.enter_context(Origin().running()).address
        site = Site(stack.enter_context(open_directory()), [origin] * 2)
        stack.callback(site.bundle.end)
        routes = site.bundle.run.haproxy / "routes.map"
        site.want(hello=(0,))
        site.bundle.configure(haproxy_cfg=(OWN + finds).format(port=site.port, map=routes))
        site.bundle.start()
        site.bundle.wait_up()
        # They are looked at when the first turn is over.
        workers = wait_until(
            lambda: site.status().get("apply", {}).get("workers"), 15, "the first turn"
        )
        status, first = site.status(), site.asks()
        site.want(hello=(0,), other=(0,))
        more = site.reload()

        assert [one["reloads"] for one in workers] == [0, 0]
        assert status["apply"]["last"] is None
        assert first == {origin}
        assert more["did"] == "reload"
        assert site.asks("/other") == site.asks() == {origin}
