"""``lbctl check``, as the build of an image runs it: elsewhere, and with no word of a VIP."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from lbctl.lab.wait import wait_until
from tests.pems import issue
from tests.places import NOBODY
from tests.sites import Site, good_site

pytestmark = pytest.mark.contract


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with good_site() as site:
        yield site


def test_check_judges_for_more_cpus_than_this_host_may_have(site: Site) -> None:
    """An image is built on another machine than it runs on."""
    site.bundle.wrapper = ("taskset", "--cpu-list", "0")
    own = f"global\n    stats socket /run/own.sock\n{site.good_cfg}"
    site.bundle.configure({"haproxy": {"stats": {"port_base": site.stats}}}, haproxy_cfg=own)
    several = site.bundle.command("check")
    site.bundle.configure(site.settings)
    one = site.bundle.command("check")

    assert several.returncode == 13
    assert f"{site.bundle.config.haproxy_cfg}:2: 'stats socket'" in several.stderr
    assert one.returncode == 0, one.stderr


def test_check_refuses_a_bind_that_only_a_master_could_make(site: Site) -> None:
    cfg = site.good_cfg.replace("127.0.0.1:", "192.0.2.201:")
    site.bundle.configure(haproxy_cfg=cfg)
    bare = site.bundle.command("check")
    site.bundle.configure(haproxy_cfg=cfg.replace(f":{site.http}", f":{site.http} transparent"))
    transparent = site.bundle.command("check")

    assert bare.returncode == 13
    assert f"{site.bundle.config.haproxy_cfg}:7: bind 192.0.2.201:{site.http}: " in bare.stderr
    assert "add the word 'transparent'" in bare.stderr
    assert transparent.returncode == 0, transparent.stderr


def test_check_and_start_accept_a_site_that_logs_to_the_bundle(site: Site) -> None:
    """As conf/nginx.d/site.conf.example does: nginx opens what it has as standard output."""
    text = f"server {{\n listen 127.0.0.1:{site.other};\n access_log /dev/stdout;\n}}\n"
    site.bundle.config.nginx_d.mkdir(exist_ok=True)
    (site.bundle.config.nginx_d / "site.conf").write_text(text)
    done = site.bundle.command("check")
    site.bundle.start()
    site.bundle.wait_up()
    site.bundle.wait_answer(site.other)

    assert done.returncode == 0, done.stderr
    wait_until(lambda: "nginx | 127.0.0.1 - -" in site.bundle.text(), 2, "a line of nginx's log")
    assert site.bundle.stop()[0] == 0


def test_check_leaves_the_current_directory_alone_where_none_is_temporary(site: Site) -> None:
    """As in a container with a read-only root whose /haproxy is the operator's own directory."""
    root = site.bundle.root
    own = root / "own"
    own.mkdir()
    # What is mounted beneath a directory stays writable when that is not.
    steps = (
        f"unset TMPDIR TEMP TMP && mount --bind {root} {root}",
        *(f"mount --rbind {o} {o} && mount -o remount,bind,ro {o}" for o in ("/tmp", "/var/tmp")),
        f'! test -w /tmp && cd {own} && exec "$@"',
    )
    site.bundle.wrapper = ("unshare", "-m", "sh", "-c", " && ".join(steps), "sh")
    before = own.stat().st_mtime_ns
    done = site.bundle.command("check")

    assert done.returncode == 0, done.stderr
    assert own.stat().st_mtime_ns == before


def test_check_refuses_what_would_end_haproxy_at_the_start(site: Site) -> None:
    lines = ("chroot /var/lib/haproxy", "pidfile /run/haproxy.pid", "user www-data")
    own = "".join(f"    {line}\n" for line in lines)
    site.bundle.configure(site.settings, haproxy_cfg=f"global\n{own}{site.good_cfg}")
    refused = site.bundle.command("check")
    site.bundle.configure(haproxy_cfg=f"global\n    user haproxy\n{site.good_cfg}")
    accepted = site.bundle.command("check")

    assert refused.returncode == 13
    for number, word in enumerate(("chroot", "pidfile", "user"), start=2):
        assert f"{site.bundle.config.haproxy_cfg}:{number}: '{word}': " in refused.stderr
    assert accepted.returncode == 0, accepted.stderr


def test_what_check_refuses_does_end_haproxy(site: Site) -> None:
    """The reason for the rule: ``haproxy -c`` has nothing against it."""
    cfg = site.bundle.config.haproxy_cfg
    cfg.write_text(f"global\n    chroot /var/lib/haproxy\n{site.good_cfg}")
    binary = shutil.which("haproxy") or ""
    judged = subprocess.run([binary, "-c", "-f", cfg], capture_output=True, timeout=10)
    unprivileged = (*NOBODY, "--ambient-caps=-all", binary, "-W", "-db", "-f", str(cfg))
    started = subprocess.run(unprivileged, capture_output=True, text=True, timeout=10)

    assert judged.returncode == 0
    assert started.returncode != 0
    assert "Cannot chroot" in started.stderr


#: The routes of services in a frontend of the operator's own.
LOOK_UP = """\
    http-request set-var(txn.to) path
    http-request set-var(txn.to) str(/*),concat(,txn.to,/),map_beg({map})
    use_backend %[var(txn.to)] if {{ var(txn.to) -m found }}
"""


@pytest.mark.parametrize("names", [[], ["hello"]])
def test_an_own_haproxy_cfg_may_name_the_map_of_routes_before_anything_runs(
    site: Site, names: list[str]
) -> None:
    routes = site.bundle.run.haproxy / "routes.map"
    services = [{"name": name, "servers": [{"address": "127.0.0.1:1"}]} for name in names]
    cfg = site.good_cfg + LOOK_UP.format(map=routes)
    site.bundle.configure({**site.settings, "services": services}, haproxy_cfg=cfg)
    done = site.bundle.command("check")
    site.bundle.configure(haproxy_cfg=cfg.replace("routes.map", "others.map"))
    refused = site.bundle.command("check")

    assert done.returncode == 0, done.stderr
    assert not routes.exists()
    assert refused.returncode == 13
    assert "others.map" in refused.stderr


def test_a_certificate_without_its_key_is_named_where_the_operator_has_it(site: Site) -> None:
    certs = site.bundle.config.certs
    certs.mkdir()
    (certs / "shop.pem").write_bytes(issue("shop.example.com").pem)
    done = site.bundle.command("check")

    assert done.returncode == 13
    assert f"{certs}/shop.pem" in done.stderr
    assert "lbctl-check" not in done.stderr


NOBODY_LISTENS = (
    "http.https_redirect: redirects to port 443, where nobody listens: no certificate in certs/"
)


def test_a_redirect_to_nobody_is_a_warning(site: Site) -> None:
    http = {"bind": f"127.0.0.1:{site.http}", "https_redirect": True}
    said = []
    for more in ({}, {"accept_proxy": True}, {"https_redirect": False}):
        site.bundle.configure({**site.settings, "http": {**http, **more}})
        said.append(site.bundle.command("check"))
    site.bundle.configure({**site.settings, "http": http})
    sites = site.bundle.config.nginx_d
    sites.mkdir()
    (sites / "tls.conf").write_text("server {\n listen 127.0.0.1:443;\n}\n")
    said.append(site.bundle.command("check"))

    assert [one.returncode for one in said] == [0, 0, 0, 0], said[-1].stderr
    assert [NOBODY_LISTENS in one.stderr for one in said] == [True, False, False, False]


def test_a_start_warns_of_a_redirect_to_nobody(site: Site) -> None:
    http = {"bind": f"127.0.0.1:{site.http}", "https_redirect": True}
    site.bundle.configure({**site.settings, "http": http})
    site.bundle.start()
    site.bundle.wait_up()

    assert NOBODY_LISTENS in site.bundle.text()
