"""
``lbctl run`` against the real programs: what it leaves to them, and what outlives what.

Refused starts are in test_bad_input.py, virtual addresses in tests/system.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.lab.bundle import children_of
from lbctl.lab.wait import wait_until
from lbctl.layout import share
from tests.bundles import Bundle, members_of
from tests.places import free_ports, open_directory

pytestmark = pytest.mark.contract

_SITE = """\
server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "site\\n"; }}
}}
"""


_ECHO = """\
server {{
    listen unix:{socket};
    server_name echo.example.com;
    location / {{ return 200 "$http_x_forwarded_proto $http_host $remote_addr\n"; }}
}}
"""
_TLS_EXAMPLE = share("conf") / "nginx.d" / "tls.conf.example"


class Site:
    """A bundle on ports of its own, HAProxy in front of nginx, and a site of nginx's own."""

    def __init__(self, root: Path) -> None:
        self.http, self.site, self.tls, self.stats = free_ports(4)
        self.bundle = Bundle(root)
        self.bundle.configure(
            {
                "http": {"bind": f"127.0.0.1:{self.http}"},
                "haproxy": {"processes": 1, "stats": {"port_base": self.stats}},
            }
        )
        self.bundle.config.nginx_d.mkdir()
        (self.bundle.config.nginx_d / "site.conf").write_text(_SITE.format(port=self.site))


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with open_directory() as root:
        site = Site(root)
        yield site
        site.bundle.end()


@pytest.fixture(name="running")
def _running(site: Site) -> Site:
    site.bundle.start()
    site.bundle.wait_up()
    return site


def descriptors(pid: int) -> dict[int, str]:
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        found[int(entry.name)] = str(entry.readlink())
    return found


def test_supervisord_keeps_locks_and_stdout_and_its_children_none_of_them(running: Site) -> None:
    assert running.bundle.process is not None
    kept = descriptors(running.bundle.process.pid)

    assert kept[3] == str(running.bundle.run.lock)
    assert kept[4] == str(running.bundle.state.lock)
    assert kept[9] == kept[1] == str(running.bundle.root / "out")
    locks = {str(running.bundle.run.lock), str(running.bundle.state.lock)}
    for name, (_, pid) in running.bundle.programs().items():
        own = set(descriptors(pid).values())

        assert not own & locks, name
        assert (str(running.bundle.root / "out") in own) is (name == "logd"), name


def test_a_hangup_restarts_no_program_and_no_lock_is_lost(running: Site) -> None:
    assert running.bundle.process is not None
    before = running.bundle.programs()
    for _ in range(50):
        running.bundle.process.send_signal(signal.SIGHUP)
    log = running.bundle.run.supervisord_log
    wait_until(lambda: "SIGHUP: passed on to the agent" in log.read_text(), 5, "the word")

    assert running.bundle.programs() == before
    assert len(running.bundle.held_locks()) == 2


def test_killed_nginx_master_comes_back_to_its_ports(running: Site) -> None:
    """Its workers outlive it, on its ports and on its socket."""
    running.bundle.wait_answer(running.http)
    took_s = running.bundle.kill_and_wait_restart("nginx", within_s=3.0)
    running.bundle.wait_answer(running.site, within_s=2.0)
    running.bundle.wait_answer(running.http, within_s=2.0)

    assert took_s < 1.0
    assert "bind()" not in running.bundle.text()


def test_killed_supervisord_leaves_nothing_and_the_next_start_works(running: Site) -> None:
    assert running.bundle.process is not None
    session = running.bundle.process.pid
    running.bundle.process.kill()
    running.bundle.process.wait(5)
    wait_until(
        lambda: not members_of(session), 5, "its programs to end", seen=lambda: members_of(session)
    )
    running.bundle.start()
    running.bundle.wait_up()

    assert "site" in running.bundle.wait_answer(running.site)


def test_node_keeps_identity_and_certificate_over_restarts(running: Site) -> None:
    state = running.bundle.state
    before = state.node_id.read_text(), state.self_signed.read_text()
    running.bundle.stop()
    running.bundle.start()
    running.bundle.wait_up()

    assert (state.node_id.read_text(), state.self_signed.read_text()) == before


def test_plain_stop_takes_a_moment_and_ends_well(running: Site) -> None:
    status, took_s = running.bundle.stop()

    assert status == 0
    assert took_s < 2.0


_PID_1 = (
    *("unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec"),
    (
        "ip link add up0 type veth peer name up1; ip addr add 10.0.1.11/24 dev up0; "
        'for one in lo up0 up1; do ip link set $one up; done; exec "$@"'
    ),
    "sh",
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pid_1_ends_at_once_while_it_listens_and_leaves_nothing(
    site: Site, number: signal.Signals
) -> None:
    """The kernel keeps from PID 1 what it has no handler for."""
    bundle = site.bundle
    bundle.wrapper = _PID_1
    process = bundle.start("10.0.1.201", "secret")
    wait_until(bundle.run.haproxy_cfg.exists, 5, "the files", seen=bundle.text)
    (pid, *_) = children_of(process.pid)
    began = time.monotonic()
    os.kill(pid, number)

    assert process.wait(5) == 128 + number, bundle.text()
    assert time.monotonic() - began < 1.5
    assert [path.name for path in bundle.run.root.iterdir()] == [bundle.run.lock.name]
    assert "Traceback" not in bundle.text()


def test_pid_1_that_is_supervisord_ends_on_sigterm(site: Site) -> None:
    bundle = site.bundle
    bundle.wrapper = _PID_1
    process = bundle.start()
    bundle.wait_up()
    (pid, *_) = children_of(process.pid)
    status = Path(f"/proc/{pid}/status").read_text()

    assert "SigBlk:\t0000000000000000\n" in status
    os.kill(pid, signal.SIGTERM)
    assert process.wait(8) == 0, bundle.text()


def test_check_says_what_is_right_and_disturbs_no_running_bundle(running: Site) -> None:
    before = running.bundle.programs()
    reply = running.bundle.command("check")

    assert reply.returncode == 0, reply.stderr
    assert [line.partition(":")[0] for line in reply.stdout.splitlines()] == ["ok"] * 3
    assert running.bundle.programs() == before
    running.bundle.wait_answer(running.http)


def test_check_reports_haproxy_and_nginx_at_once(site: Site) -> None:
    site.bundle.configure(haproxy_cfg="frontend a\n    bind :1\n    bogus\n")
    (site.bundle.config.nginx_d / "site.conf").write_text("server { bogus on; }\n")
    reply = site.bundle.command("check")

    assert reply.returncode == 13
    assert f"{site.bundle.config.haproxy_cfg}:3" in reply.stderr
    assert f"{site.bundle.config.nginx_d}/site.conf:1" in reply.stderr
    assert not list(site.bundle.run.root.iterdir())


def test_check_works_for_a_user_without_any_right(site: Site) -> None:
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all")
    site.bundle.wrapper = nobody
    site.bundle.configure({"http": {"bind": ":80"}})
    reply = site.bundle.command("check")

    assert reply.returncode == 0, reply.stderr


def test_render_shows_no_difference_to_what_runs_until_something_changes(running: Site) -> None:
    same = running.bundle.command("render", "--diff")

    assert (same.returncode, same.stdout) == (0, "")
    running.bundle.configure({"http": {"bind": f"127.0.0.1:{running.site}"}})
    other = running.bundle.command("render", "--diff")
    assert f"+    bind 127.0.0.1:{running.site}\n" in other.stdout


def test_site_behind_tls_in_nginx_knows_that_it_is_https(site: Site) -> None:
    nginx_d = site.bundle.config.nginx_d
    example = _TLS_EXAMPLE.read_text()
    (nginx_d / "tls.conf").write_text(example.replace("443 ssl", f"127.0.0.1:{site.tls} ssl"))
    (nginx_d / "echo.conf").write_text(_ECHO.format(socket=site.bundle.run.nginx_socket))
    site.bundle.start()
    site.bundle.wait_up()
    site.bundle.wait_answer(site.tls, tls=True)

    assert _echo("https", site.tls) == "https echo.example.com 127.0.0.1"
    assert _echo("http", site.http) == "http echo.example.com 127.0.0.1"


def _echo(scheme: str, port: int) -> str:
    argv = [
        "curl",
        "-sk",
        "-m",
        "2",
        "-H",
        "Host: echo.example.com",
        f"{scheme}://127.0.0.1:{port}/",
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_render_prints_no_password(site: Site) -> None:
    secret = site.bundle.root / "secret"
    secret.write_text('pa$s "word\n')
    stats = {"port_base": site.stats, "password_file": str(secret)}
    site.bundle.configure({"haproxy": {"processes": 1, "stats": stats}})
    reply = site.bundle.command("render")

    assert reply.returncode == 0, reply.stderr
    assert "***" in reply.stdout
    assert "word" not in reply.stdout.replace("insecure-password", "")
