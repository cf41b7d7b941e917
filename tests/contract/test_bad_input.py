"""
Every start that cannot go well is refused: the right exit code, a message that names what is wrong
and the way out, and nothing half-started. What needs a network of its own is in tests/system.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from lbctl.errors import EXIT_CONFIG, EXIT_USAGE, EXIT_VALIDATION
from tests.bundles import Bundle
from tests.places import NOBODY
from tests.sites import Site, good_site

pytestmark = pytest.mark.contract

WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with good_site() as site:
        yield site


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["10.0.1.201"], ["needs a password", "LBCTL_PASSWORD_FILE"], id="no-password"),
        pytest.param(["10.0.1.300", "secret"], ["'10.0.1.300' is not an IP address"], id="no-ip"),
        pytest.param(["eth0", "secret"], ["'eth0'", "DEV=eth0"], id="interface-as-vip"),
        pytest.param(["10.0.1.201/0", "secret"], ["10.0.1.201", "prefix"], id="prefix"),
        pytest.param(["fd00:1::c9", "secret"], ["fd00:1::c9", "IPv4 address first"], id="ipv6"),
        pytest.param(["127.0.0.1", "secret"], ["127.0.0.1", "loopback"], id="loopback"),
        pytest.param(["10.0.1.201", ""], ["password is empty", "19"], id="empty-password"),
        pytest.param(["10.0.1.201", "x" * 20], ["20 bytes", "at most 19"], id="long-password"),
        pytest.param(["10.0.1.201", "é" * 10], ["20 bytes", "at most 19"], id="long-in-bytes"),
        pytest.param(["10.0.1.201", "secret", "wlan0"], ["DEV=wlan0"], id="interface-as-ip"),
        pytest.param(["10.0.1.201", "10.0.1.202"], ["password belongs"], id="ip-as-password"),
    ],
)
def test_bad_argument_is_a_usage_error(site: Site, arguments: list[str], words: list[str]) -> None:
    refusal = site.refused(EXIT_USAGE, *words, arguments=tuple(arguments))

    assert "secret" not in refusal.said
    assert "x" * 20 not in refusal.said


def test_every_bad_argument_is_reported_at_once(site: Site) -> None:
    arguments = ("10.0.1.300", "x" * 20, "10.0.1.400")
    site.refused(EXIT_USAGE, "'10.0.1.300'", "20 bytes", "'10.0.1.400'", arguments=arguments)


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "too long", "unreadable"])
def test_bad_password_file_is_named(site: Site, kind: str) -> None:
    path = site.bundle.root / "password"
    words = {
        "missing": "No such file",
        "directory": "Is a directory",
        "empty": "is empty",
        "too long": "20 bytes",
        "unreadable": "Permission denied",
    }
    match kind:
        case "directory":
            path.mkdir()
        case "empty":
            path.write_text("\n")
        case "too long":
            path.write_text("x" * 20 + "\n")
        case "unreadable":
            path.write_text("secret\n")
            path.chmod(0)
            os.chown(path, 65534, 65534)
            site.bundle.wrapper = WITHOUT_OVERRIDE
        case _:
            pass
    site.bundle.environ["LBCTL_PASSWORD_FILE"] = str(path)

    site.refused(EXIT_CONFIG, str(path), words[kind], arguments=("10.0.1.201",))


def test_password_argument_beside_a_password_file_is_a_usage_error(site: Site) -> None:
    path = site.bundle.root / "password"
    path.write_text("secret\n")
    site.bundle.environ["LBCTL_PASSWORD_FILE"] = str(path)

    refusal = site.refused(
        EXIT_USAGE, "LBCTL_PASSWORD_FILE is set", "not both", arguments=("10.0.1.201", "hunter2")
    )

    assert "hunter2" not in refusal.said


def test_settings_report_every_problem_with_its_line(site: Site) -> None:
    site.bundle.configure(
        "ha:\n"
        "  advskew: low\n"  # 2
        "  vhidd: 7\n"  # 3
        "haproxy:\n"
        "  processes: 0\n"  # 5
        "colour: red\n"  # 6
    )

    refusal = site.refused(EXIT_CONFIG, "4 problems", "advskew", "vhidd", "processes", "colour")
    refusal.names("lb.yaml:2", "lb.yaml:3", "lb.yaml:5", "lb.yaml:6", "did you mean")


def test_settings_that_are_no_yaml_are_named_by_line(site: Site) -> None:
    site.bundle.configure("ha:\n  advskew: [1\n")

    site.refused(EXIT_CONFIG, "lb.yaml:")


def test_unknown_variable_is_refused(site: Site) -> None:
    site.bundle.environ["LBCTL_HA_ADVSKEV"] = "3"

    site.refused(EXIT_CONFIG, "LBCTL_HA_ADVSKEV", "LBCTL_HA_ADVSKEW")


def test_stats_for_everybody_need_a_password(site: Site) -> None:
    site.bundle.configure("haproxy:\n  stats:\n    bind: 0.0.0.0\n")

    site.refused(EXIT_CONFIG, "lb.yaml:3", "password_file")


def test_missing_stats_password_file_is_named(site: Site) -> None:
    site.bundle.configure({"haproxy": {"stats": {"password_file": "/nowhere/password"}}})

    site.refused(EXIT_VALIDATION, "/nowhere/password", "No such file")


def test_malformed_haproxy_cfg_is_named_by_line(site: Site) -> None:
    site.bundle.configure(haproxy_cfg=site.good_cfg + "    nonsense here\n    more of it\n")

    refusal = site.refused(EXIT_VALIDATION, "nonsense")
    refusal.names(f"{site.bundle.config.haproxy_cfg}:9", f"{site.bundle.config.haproxy_cfg}:10")


def test_malformed_template_is_named_by_line(site: Site) -> None:
    template = site.bundle.config.haproxy_template
    template.write_text("global\n    maxconn {{ settings.haproxy.maxcon }}\n")

    site.refused(EXIT_VALIDATION, "haproxy.cfg.j2:2", "maxcon")


def test_haproxy_cfg_beside_a_template_is_refused(site: Site) -> None:
    site.bundle.configure(haproxy_cfg=site.good_cfg)
    site.bundle.config.haproxy_template.write_text(site.good_cfg)

    site.refused(EXIT_VALIDATION, "haproxy.cfg", "haproxy.cfg.j2", "remove one")


def test_directory_in_place_of_haproxy_cfg_is_named(site: Site) -> None:
    site.bundle.config.haproxy_cfg.mkdir()

    site.refused(EXIT_VALIDATION, str(site.bundle.config.haproxy_cfg), "directory")


def test_root_without_the_right_to_look_after_its_user_is_told(site: Site) -> None:
    site.bundle.wrapper = WITHOUT_OVERRIDE

    site.refused(EXIT_VALIDATION, "DAC_OVERRIDE", "--user")


def test_haproxy_cfg_that_the_user_may_not_read_is_named(site: Site) -> None:
    site.bundle.configure(haproxy_cfg=site.good_cfg)
    site.bundle.config.haproxy_cfg.chmod(0o600)
    _run_as_nobody(site.bundle)

    site.refused(EXIT_VALIDATION, str(site.bundle.config.haproxy_cfg), "Permission denied")


def test_missing_config_dir_is_a_warning(site: Site) -> None:
    bundle = site.bundle
    bundle.config = type(bundle.config)(bundle.root / "confg")
    bundle.environ |= {
        "LBCTL_HTTP_BIND": f"127.0.0.1:{site.http}",
        "LBCTL_HAPROXY_STATS_PORT_BASE": str(site.stats),
    }
    site.serves("The load balancer runs")

    assert f"warning: {bundle.config.root} is no directory" in bundle.text()


def test_config_dir_that_the_user_may_not_enter_is_named(site: Site) -> None:
    site.bundle.configure(haproxy_cfg=site.good_cfg)
    site.bundle.config.root.chmod(0o700)
    _run_as_nobody(site.bundle)

    refusal = site.bundle.refusal()

    assert refusal.status == EXIT_USAGE
    refusal.names("--config-dir", str(site.bundle.config.root), "not readable")


def test_file_of_haproxy_cfg_that_its_user_may_not_read_is_named(site: Site) -> None:
    page = site.bundle.config.root / "503.http"
    page.write_text("HTTP/1.0 503 Sorry\r\n\r\n")
    page.chmod(0o600)
    site.bundle.configure(haproxy_cfg=site.good_cfg + "    errorfile 503 503.http\n")

    site.refused(EXIT_VALIDATION, f"{site.bundle.config.haproxy_cfg}:9", "503.http")


def test_haproxy_cfg_of_root_alone_serves(site: Site) -> None:
    site.bundle.configure(haproxy_cfg=site.good_cfg)
    site.bundle.config.haproxy_cfg.chmod(0o600)

    site.serves("good")


def test_broken_nginx_d_is_named_by_line(site: Site) -> None:
    site.bundle.config.nginx_d.mkdir()
    broken = site.bundle.config.nginx_d / "site.conf"
    broken.write_text("server {\n    listen 127.0.0.1:1;\n    rooot /;\n}\n")

    site.refused(EXIT_VALIDATION, f"{broken}:3", "rooot")


def test_correct_start_works_after_each_refused_one(site: Site) -> None:
    nginx_d = site.bundle.config.nginx_d
    nginx_d.mkdir()

    def break_nginx() -> None:
        (nginx_d / "site.conf").write_text("broken\n")

    breaks: list[tuple[Callable[[], object], int]] = [
        (lambda: site.bundle.configure("haproxy: {processes: 0}\n"), EXIT_CONFIG),
        (lambda: site.bundle.configure(haproxy_cfg="nonsense\n"), EXIT_VALIDATION),
        (break_nginx, EXIT_VALIDATION),
    ]
    for break_it, status in breaks:
        break_it()
        assert site.bundle.refusal().status == status
        site.bundle.configure(site.settings, haproxy_cfg=site.good_cfg)
        (nginx_d / "site.conf").unlink(missing_ok=True)
        site.serves("good")


def _run_as_nobody(bundle: Bundle) -> None:
    for root in (bundle.run.root, bundle.state.root):
        shutil.chown(root, "nobody", "nogroup")
    bundle.wrapper = NOBODY
