"""Settings that a source of services sets, and which sources there are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.settings.discovery import Consul, Discovery, Docker, Hosts, Registry, ReportTo
from lbctl.settings.model import Settings
from lbctl.settings.overlay import OVERLAID, overlaid
from lbctl.settings.sources import serving_sources_of, sources_of


def test_what_is_set_goes_over_lb_yaml_and_the_rest_stays() -> None:
    texts = {
        "haproxy.maxconn": "1024",
        "haproxy.timeouts.client": "60000",
        "haproxy.timeouts.http_request": "5s",
        "haproxy.timeouts.queue": "1m",
    }

    settings, problems = overlaid(Settings(), texts)

    assert problems == ()
    assert settings.haproxy.maxconn == 1024
    timeouts = settings.haproxy.timeouts
    assert (timeouts.client, timeouts.http_request, timeouts.queue) == ("60000", "5s", "1m")
    plain = Settings()
    same = replace(settings.haproxy, maxconn=4096, timeouts=plain.haproxy.timeouts)
    assert replace(settings, haproxy=same) == plain


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("haproxy.maxconn", "many", "'many': must be a whole number 1..10000000; it is ignored"),
        ("haproxy.maxconn", "0", "'0': must be 1..10000000"),
        ("haproxy.maxconn", "", "'': must be a whole number 1..10000000"),
        ("haproxy.timeouts.client", "5 s", "'5 s': must be a time as HAProxy writes it"),
        ("haproxy.timeouts.client", "5s\nuser root", "must not hold line breaks"),
        ("haproxy.timeouts.client", "25d", "must be at most 2147483647 ms"),
        ("haproxy.stats.bind", "*", "cannot be set by a source of services: one of haproxy.max"),
        ("user", "root", "cannot be set by a source of services"),
        ("haproxy.timeouts", "x", "cannot be set by a source of services"),
    ],
)
def test_a_bad_one_is_named_and_ignored(path: str, text: str, expected: str) -> None:
    before = Settings()

    settings, (problem,) = overlaid(before, {path: text, "haproxy.timeouts.server": "9s"})

    assert problem.where == path
    assert problem.what.startswith(expected) or expected in problem.what
    assert settings.haproxy.timeouts.server == "9s"
    assert settings.haproxy.maxconn == before.haproxy.maxconn


def test_what_this_host_has_no_room_for_is_ignored() -> None:
    before = Settings()
    good, none = overlaid(before, {"haproxy.maxconn": "9000"}, most_maxconn=9000)
    bad, (problem,) = overlaid(before, {"haproxy.maxconn": "9001"}, most_maxconn=9000)

    assert (good.haproxy.maxconn, none) == (9000, ())
    assert bad is before
    assert problem.what.startswith("'9001': must be at most 9000, for which this host")


def test_nothing_new_is_the_same_settings() -> None:
    before = Settings()

    assert overlaid(before, {})[0] is before
    assert overlaid(before, {"haproxy.maxconn": "4096"})[0] is before
    assert len(OVERLAID) == 9


def test_sources_are_those_with_a_path_or_a_url() -> None:
    docker = Docker(url="unix:///d", report_to=ReportTo(url="http://a"))
    discovery = Discovery(
        hosts=Hosts(path="/etc/hosts"), consul=Consul(url="http://a"), docker=docker
    )
    every = Settings(discovery=discovery, registry=Registry(store="consul"))

    assert sources_of(Settings(), has_registry=False) == ()
    assert sources_of(Settings(), has_registry=True) == ("registry",)
    assert sources_of(every, has_registry=False) == ("consul", "docker", "hosts", "registry")
    assert serving_sources_of(every, has_registry=False) == ("consul", "hosts", "registry")
