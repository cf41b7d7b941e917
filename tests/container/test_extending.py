"""
``FROM lbctl``, ``ADD . /haproxy``, ``RUN lbctl check``: what is malformed, or cannot run on every
process and on both hosts, ends the build, with file and line.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.podman import Podman, refused

pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

Build = Callable[..., subprocess.CompletedProcess[str]]

CFG = """\
global
    maxconn 1000
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind :80
    default_backend webs
backend webs
    server web1 10.0.1.101:80
"""
SITE = "server {\n    listen 8080;\n    root /var/www/html;\n}\n"
GOOD = {"haproxy.cfg": CFG, "nginx.d/site.conf": SITE, "lb.yaml": "http: {bind: ':80'}\n"}
TLS_EXAMPLE = "/opt/lbctl/lib/python3*/site-packages/lbctl/_share/conf/nginx.d/tls.conf.example"

#: The file that is wrong, and words of the refusal; the tool's own where it has some.
BAD = {
    "haproxy's syntax": (
        {"haproxy.cfg": CFG.replace("maxconn 1000", "maxcon 1000")},
        ("/haproxy/haproxy.cfg:2: ", "unknown keyword 'maxcon' in 'global'"),
    ),
    "a backend that is missing": (
        {"haproxy.cfg": CFG.replace("backend webs\n    server", "backend other\n    server")},
        ("unable to find required default_backend: 'webs'",),
    ),
    "nginx's syntax": (
        {"nginx.d/site.conf": SITE.replace("root", "rot")},
        ("/haproxy/nginx.d/site.conf:3: ", 'unknown directive "rot"'),
    ),
    "a key of lb.yaml": (
        {"lb.yaml": "http:\n  binds: ':80'\n"},
        ("lb.yaml:2: http.binds: unknown key",),
    ),
    "lb.yaml's syntax": (
        {"lb.yaml": "http:\n  bind: [':80'\n"},
        ("lb.yaml:3:1: not YAML: ",),
    ),
    "a stats socket": (
        {"haproxy.cfg": CFG.replace("maxconn 1000", "stats socket /run/my.sock")},
        ("/haproxy/haproxy.cfg:2: 'stats socket': the last of ",),
    ),
    "peers": (
        {"haproxy.cfg": f"{CFG}peers both\n    peer a 10.0.1.11:1024\n"},
        ("/haproxy/haproxy.cfg:13: section 'peers'", "would all be the same peer"),
    ),
    "nbproc": (
        {"haproxy.cfg": CFG.replace("maxconn 1000", "nbproc 4")},
        ("/haproxy/haproxy.cfg:2: 'nbproc': lbctl runs the processes itself",),
    ),
    "a bind to the VIP": (
        {"haproxy.cfg": CFG.replace("bind :80", "bind 10.0.1.201:80")},
        ("/haproxy/haproxy.cfg:9: bind 10.0.1.201:80: ", "'transparent'"),
    ),
    "nginx on the VIP": (
        {"nginx.d/site.conf": SITE.replace("8080", "10.0.1.201:8080")},
        ("10.0.1.201:8080", "listen on the port alone"),
    ),
}


def test_good_files_pass_lbctl_check_and_haproxys_own(build: Build, engine: Podman) -> None:
    done = build(GOOD, "lbctl check", "haproxy -c -f /haproxy/haproxy.cfg")
    said = f"{done.stdout}{done.stderr}"

    assert done.returncode == 0, said
    assert "ok: /haproxy/haproxy.cfg: HAProxy 3." in said
    assert "ok: /haproxy/nginx.d/*.conf: 1 file" in said
    assert "warning" not in said.lower()
    engine.run("rmi", done.stdout.split()[-1])


@pytest.mark.parametrize("what", BAD)
def test_lbctl_check_ends_the_build_with_file_and_line(build: Build, what: str) -> None:
    files, words = BAD[what]
    done = build({**GOOD, **files}, "lbctl check")

    assert not refused(done, "lbctl: error: ", *words)
    assert "Traceback" not in done.stderr


def test_haproxys_own_check_ends_the_build(build: Build) -> None:
    cfg = CFG.replace("maxconn 1000", "maxcon 1000")
    done = build({"haproxy.cfg": cfg}, "haproxy -c -f /haproxy/haproxy.cfg")

    assert not refused(done, "[/haproxy/haproxy.cfg:2]", "unknown keyword 'maxcon'")


def test_a_bind_to_the_vip_passes_with_transparent(build: Build, engine: Podman) -> None:
    done = build(
        {"haproxy.cfg": CFG.replace("bind :80\n", "bind 10.0.1.201:80 transparent\n")},
        "lbctl check",
    )

    assert done.returncode == 0, done.stderr
    engine.run("rmi", done.stdout.split()[-1])


def test_the_shipped_examples_pass_without_a_warning(build: Build, engine: Podman) -> None:
    copies = f"mkdir nginx.d && for one in {TLS_EXAMPLE.replace('tls', '*')}; do"
    copies += ' cp "$one" "nginx.d/$(basename "$one" .example)"; done'
    done = build({}, f"{copies} && lbctl check")
    said = f"{done.stdout}{done.stderr}"

    assert done.returncode == 0, said
    assert "ok: /haproxy/nginx.d/*.conf: 2 files" in said
    assert "warning" not in said.lower()
    engine.run("rmi", done.stdout.split()[-1])
