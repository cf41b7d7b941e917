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


def test_a_hangup_is_a_reload(site: Site) -> None:
    site.want(hello=(0, 1, 2))
    assert site.bundle.process is not None
    os.kill(site.bundle.process.pid, signal.SIGHUP)

    wait_until(lambda: site.asks() == set(site.origins), 15, "the third server serves")
