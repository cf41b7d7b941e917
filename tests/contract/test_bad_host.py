"""
A start that this host makes impossible is refused: programs, ports, directories, another bundle.
What needs a network of its own is in tests/system.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lbctl.errors import EXIT_VALIDATION
from lbctl.haproxy.cpus import usable_cpus
from lbctl.lab.wait import wait_until
from lbctl.layout import SOCKET_PATH_MAX_BYTES
from tests.bundles import Bundle
from tests.places import hidden, open_directory
from tests.sites import GOOD_CFG, Site, good_site

pytestmark = pytest.mark.contract


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with good_site() as site:
        yield site


@pytest.mark.parametrize("program", ["haproxy", "nginx", "setpriv"])
def test_program_that_is_not_installed_is_named_with_its_package(site: Site, program: str) -> None:
    packages = {"haproxy": "haproxy", "nginx": "nginx", "setpriv": "util-linux"}
    site.bundle.wrapper = hidden(site.bundle.root, program)

    site.refused(EXIT_VALIDATION, f"{program} is not installed", f"package {packages[program]}")


def test_every_missing_program_is_reported_at_once(site: Site) -> None:
    site.bundle.wrapper = hidden(site.bundle.root, "haproxy", "nginx")

    site.refused(EXIT_VALIDATION, "package haproxy", "package nginx")


@pytest.mark.parametrize("wanted", ["http", "stats", "nginx"])
def test_port_of_another_program_is_named_with_its_pid(site: Site, wanted: str) -> None:
    port = {"http": site.http, "stats": site.stats, "nginx": site.other}[wanted]
    _nginx_on(site, site.other)
    serve = f"import socket, time; s = socket.create_server(('', {port})); time.sleep(60)"
    with _running([sys.executable, "-c", serve], port) as pid:
        site.refused(EXIT_VALIDATION, f":{port}", "python", f"pid {pid}")


@pytest.mark.parametrize("wanted", ["http", "stats"])
def test_port_of_another_haproxy_is_named_with_its_pid(site: Site, wanted: str) -> None:
    port = {"http": site.http, "stats": site.stats}[wanted]
    cfg = site.bundle.root / "other.cfg"
    cfg.write_text(GOOD_CFG.format(port=port))
    with _running(["haproxy", "-db", "-f", str(cfg)], port) as pid:
        site.refused(EXIT_VALIDATION, f":{port}", "haproxy", f"pid {pid}")


def test_port_that_haproxy_and_nginx_both_want_is_refused(site: Site) -> None:
    _nginx_on(site, site.http)

    site.refused(EXIT_VALIDATION, f":{site.http}", "HAProxy", "nginx")


def test_second_start_on_the_same_directories_is_refused_and_disturbs_nothing(site: Site) -> None:
    bundle = site.bundle
    process = bundle.start()
    bundle.wait_up()
    second = Bundle(bundle.root)
    before = bundle.programs()
    refused = subprocess.run(
        second.run_argv(), capture_output=True, text=True, timeout=8, env=second.whole_environ()
    )

    assert refused.returncode == EXIT_VALIDATION
    assert f"pid {process.pid}" in refused.stderr
    assert str(bundle.run.root) in refused.stderr
    assert bundle.programs() == before
    bundle.wait_answer(site.http)


@pytest.mark.parametrize("flag", ["run", "state"])
def test_directory_of_another_bundle_is_refused(site: Site, flag: str) -> None:
    bundle = site.bundle
    process = bundle.start()
    bundle.wait_up()
    with open_directory() as root:
        second = Bundle(root)
        setattr(second, flag, getattr(bundle, flag))
        refused = subprocess.run(
            second.run_argv(), capture_output=True, text=True, timeout=8, env=second.whole_environ()
        )

    assert refused.returncode == EXIT_VALIDATION
    assert f"pid {process.pid}" in refused.stderr
    assert str(getattr(bundle, flag).root) in refused.stderr
    bundle.wait_answer(site.http)


@pytest.mark.parametrize("flag", ["run", "state"])
def test_file_in_place_of_a_directory_is_named(site: Site, flag: str) -> None:
    root = getattr(site.bundle, flag).root
    root.rmdir()
    root.write_text("")

    site.refused(EXIT_VALIDATION, f"--{flag}-dir", str(root))


@pytest.mark.parametrize("flag", ["run", "state"])
def test_read_only_directory_is_named(site: Site, flag: str) -> None:
    root = str(getattr(site.bundle, flag).root)
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    site.bundle.wrapper = ("unshare", "-m", "sh", "-c", script, root)

    site.refused(EXIT_VALIDATION, f"--{flag}-dir", root, "Read-only file system")


@pytest.mark.parametrize("flag", ["run", "state"])
def test_directory_of_somebody_else_is_refused_untouched(site: Site, flag: str) -> None:
    root = getattr(site.bundle, flag).root
    (root / "passwd").write_text("precious")

    site.refused(EXIT_VALIDATION, f"--{flag}-dir", str(root), "passwd")
    assert [path.name for path in root.iterdir()] == ["passwd"]
    assert (root / "passwd").read_text() == "precious"


def test_run_dir_whose_sockets_would_be_too_long_is_refused(site: Site) -> None:
    bundle = site.bundle
    bundle.run = type(bundle.run)(bundle.root / ("r" * SOCKET_PATH_MAX_BYTES))

    site.refused(EXIT_VALIDATION, "--run-dir", "too long", str(SOCKET_PATH_MAX_BYTES))
    assert not bundle.run.root.exists()


def test_more_processes_than_cpus_is_a_warning_and_runs(site: Site) -> None:
    count = usable_cpus().count + 1
    site.bundle.configure(
        {
            "http": {"bind": f"127.0.0.1:{site.http}"},
            "haproxy": {"processes": count, "stats": {"port_base": site.stats}},
        }
    )
    site.bundle.start()
    site.bundle.wait_up()

    assert f"warning: haproxy.processes = {count}" in site.bundle.text()
    for number in range(count):
        site.bundle.wait_answer(site.stats + number)


def _nginx_on(site: Site, port: int) -> None:
    site.bundle.config.nginx_d.mkdir(exist_ok=True)
    text = f"server {{\n    listen 127.0.0.1:{port};\n}}\n"
    (site.bundle.config.nginx_d / "site.conf").write_text(text)


@contextmanager
def _running(argv: list[str], port: int) -> Iterator[int]:
    """A program that listens on a port; its pid."""
    program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _accepts(port), 5, f"{argv[0]} on {port}")
        yield program.pid
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait(5)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True
