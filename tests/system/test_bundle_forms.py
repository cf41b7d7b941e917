"""
A bundle without a virtual IP in each of the forms an operator may give it: nothing configured,
another user, a second one beside it, a template, old HAProxy, TLS.
"""

from __future__ import annotations

import csv
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lbctl.lab import local
from lbctl.lab.bundle import children_of
from lbctl.lab.hosts import Lab
from lbctl.lab.wait import wait_until
from lbctl.launch.identity import make_pair
from tests.bundles import Bundle, members_of, status_of
from tests.places import NOBODY

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
#: SIGTERM ends everything within this.
STOP_S = 10.0

_ACCESS = re.compile(r'^haproxy-\d\d \| .*"GET / HTTP/1\.1"$')
_numbers = itertools.count()


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab(("a",)) as lab:
        yield lab


@pytest.fixture(name="bundle")
def _bundle(lab: Lab) -> Iterator[Bundle]:
    with _made(lab) as bundle:
        yield bundle


@contextmanager
def _made(lab: Lab) -> Iterator[Bundle]:
    """One on host a, in directories of its own."""
    bundle = Bundle(lab["a"].directory / f"{next(_numbers)}", lab["a"])
    try:
        yield bundle
    finally:
        bundle.end()


def test_nothing_configured_serves_a_page_that_says_what_this_is(bundle: Bundle) -> None:
    bundle.start()
    bundle.wait_up()
    page = bundle.wait_answer(80)
    wait_until(lambda: _ACCESS.search(bundle.text().splitlines()[-1]), 5, "HAProxy's log line")

    assert "The load balancer runs" in page
    assert "lbctl" in page
    assert os.uname().nodename in page
    assert status_of(bundle)["ha"] is None


def test_user_without_any_right_runs_it_on_high_ports(lab: Lab) -> None:
    with _made(lab) as bundle:
        bundle.wrapper = NOBODY
        for root in (bundle.run.root, bundle.state.root):
            shutil.chown(root, "nobody", "nogroup")
        bundle.configure(_on_ports(8080, 9001))
        bundle.start()
        bundle.wait_up()
        bundle.wait_answer(8080)
        assert bundle.process is not None
        users = {Path(f"/proc/{pid}").stat().st_uid for pid in members_of(bundle.process.pid)}
        status = status_of(bundle)
        bundle.recovers(8080)

        assert users == {65534}
        programs = {one["name"]: (one["state"], one["pid"]) for one in status["programs"]}
        assert programs
        assert not local.idle(programs)
        assert bundle.command("stats", "--json").returncode == 0
        assert bundle.command("events").returncode == 0
        assert bundle.stop(STOP_S)[0] == 0


def test_two_bundles_work_side_by_side(lab: Lab) -> None:
    with ExitStack() as stack:
        one, two = (stack.enter_context(_made(lab)) for _ in range(2))
        two.configure(_on_ports(8080, 9001))
        for bundle in (one, two):
            bundle.start()
        for bundle, port in ((one, 80), (two, 8080)):
            bundle.wait_up()
            assert f"node <code>{_node_of(bundle)}" in bundle.wait_answer(port)
        assert _node_of(one) != _node_of(two)

        assert one.stop(STOP_S)[0] == 0
        two.recovers(8080)
        assert two.stop(STOP_S)[0] == 0


def test_template_sees_the_settings(bundle: Bundle) -> None:
    bundle.configure({"haproxy": {"maxconn": 777, "timeouts": {"client": "7s"}}})
    bundle.config.haproxy_template.write_text(
        "global\n    maxconn {{ settings.haproxy.maxconn }}\n"
        "defaults\n    mode http\n    timeout connect 1s\n    timeout server 5s\n"
        "    timeout client {{ settings.haproxy.timeouts.client }}\n"
        "frontend web\n    bind :80\n"
        "    http-request return status 200 content-type text/plain"
        ' lf-string "{{ settings.haproxy.maxconn }} from a template"\n'
    )
    bundle.start()
    bundle.wait_up()

    assert "777 from a template" in bundle.wait_answer(80)
    assert bundle.stop(STOP_S)[0] == 0


def test_haproxy_2_2_runs_with_nbproc_and_pinned_stats(bundle: Bundle) -> None:
    binaries = ROOT / ".cache/haproxy-2.2/bin"
    assert (binaries / "haproxy").exists()
    bundle.environ["PATH"] = f"{binaries}:{os.environ['PATH']}"
    bundle.configure({"haproxy": {"processes": 2}})
    bundle.start()
    bundle.wait_up()
    bundle.wait_answer(80)
    status = status_of(bundle)
    numbers = [_stats_of_processes(bundle.wait_answer(port, "/;csv")) for port in (8001, 8002)]
    master = bundle.pid_of("haproxy-01")
    workers = children_of(master)
    os.kill(workers[0], 9)

    def recovered() -> bool:
        now = children_of(bundle.pid_of("haproxy-01"))
        return len(now) == 2 and workers[0] not in now

    wait_until(recovered, 3, "two workers again")
    bundle.wait_answer(80, within_s=1)
    for port in (8001, 8002):
        bundle.wait_answer(port, within_s=1)

    assert status["haproxy"]["version"].startswith("2.2")
    assert status["haproxy"]["model"] == "nbproc"
    assert [process["number"] for process in status["haproxy"]["processes"]] == [1, 2]
    assert numbers == [{"1"}, {"2"}]
    assert len(workers) == 2
    assert bundle.stop(STOP_S)[0] == 0


def test_tls_is_one_file_away_in_nginx_and_in_haproxy(bundle: Bundle) -> None:
    bundle.config.nginx_d.mkdir()
    shutil.copy(ROOT / "conf/nginx.d/tls.conf.example", bundle.config.nginx_d / "tls.conf")
    bundle.config.certs.mkdir()
    pem = bundle.config.certs / "site.pem"
    pem.write_text(make_pair("site.example.com"))
    pem.chmod(0o600)
    bundle.configure({"http": {"tls_bind": ":8443"}})
    bundle.start()
    bundle.wait_up()

    assert "The load balancer runs" in bundle.wait_answer(443, tls=True)
    assert "The load balancer runs" in bundle.wait_answer(8443, tls=True)
    assert "site.example.com" in _subject(bundle, 8443)
    assert "site.example.com" not in _subject(bundle, 443)
    # A port that the killed nginx had, and not only a socket.
    bundle.recovers(443, tls=True)
    assert bundle.stop(STOP_S)[0] == 0


def _on_ports(http: int, stats: int) -> dict[str, object]:
    return {"http": {"bind": f":{http}"}, "haproxy": {"stats": {"port_base": stats}}}


def _node_of(bundle: Bundle) -> str:
    return bundle.state.node_id.read_text().strip()


def _stats_of_processes(answer: str) -> set[str]:
    """The process numbers in an answer of HAProxy's statistics."""
    _, _, body = answer.partition("\n\n")
    return {row["pid"] for row in csv.DictReader(body.removeprefix("# ").splitlines())}


def _subject(bundle: Bundle, port: int) -> str:
    assert bundle.host is not None
    argv = ["curl", "-skv", "-o", "/dev/null", f"https://127.0.0.1:{port}/"]
    said = bundle.host.run(argv).stderr
    return next(line for line in said.splitlines() if "subject:" in line)
