"""Settings from one process to another; and what of a change waits for the next start."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from lbctl.model.service import Cookie, HealthCheck, Route, Server, Service, ServiceTimeouts
from lbctl.settings.discovery import Api, Consul, Discovery, Docker, Hosts, Registry, Syslog
from lbctl.settings.keys import KEYS
from lbctl.settings.model import Check, Group, Ha, Settings, Stats
from lbctl.settings.transfer import keeping, restart_keys, settings_from_json, settings_json

SERVICE = Service(
    name="ü\n{/v1",
    route=Route(header={"X": "1"}),
    routes=(Route(path="/a", strip=True),),
    cookie=Cookie(name="SID", kind="insert"),
    check=HealthCheck(),
    timeouts=ServiceTimeouts(server="1s"),
    servers=(Server(address="a:1"), Server(address="b:1", id="b", weight=0, backup=True)),
)
RICH = Settings(
    user="lb",
    ha=Ha(
        engine="native",
        drain_s=0.1,
        track=("nginx", Check(name="x", command=("/bin/x", ""), headers={"a": "b"})),
        groups=(Group(addresses=("10.0.0.1",)),),
    ),
    services=(SERVICE, Service(name="b", cookie="SID")),
)


@pytest.mark.parametrize("settings", [Settings(), RICH])
def test_settings_come_back_exactly(settings: Settings) -> None:
    text = settings_json(settings)

    assert settings_from_json(text) == settings
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Expecting value"),
        ("[]", "no settings of this version: "),
        ("[" * 100_000, "no settings of this version: "),
        ('{"user": 5}', "no settings of this version: user = 5: must be text; write it in quotes"),
        ('{"usr": "a"}', "no settings of this version: usr: unknown key; did you mean user?"),
        ('{"services": [{}]}', "no settings of this version: services[0]: name is missing"),
        (
            '{"ha": {"vhid": 300}}',
            "no settings of this version: ha.vhid = 300: must be 1..255 or auto",
        ),
    ],
)
def test_another_text_is_refused_with_its_first_problem(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        settings_from_json(text)


def test_what_is_made_at_the_start_waits_for_the_next_one() -> None:
    old = Settings()
    haproxy = replace(old.haproxy, processes=3, maxconn=5, stats=Stats(port_base=9001))
    new = replace(old, user="x", ha=Ha(vhid=7), haproxy=haproxy, services=(SERVICE,))

    kept = keeping(old, new, restart_keys(old, new))
    assert restart_keys(old, kept) == ()
    assert (kept.services, kept.haproxy.maxconn) == ((SERVICE,), 5)
    assert restart_keys(old, new) == (
        "user",
        "ha.vhid",
        "haproxy.processes",
        "haproxy.stats.port_base",
    )
    assert restart_keys(old, old) == ()


def test_services_limits_and_listeners_do_not_wait() -> None:
    old = Settings()
    http = replace(old.http, bind=":81", https_redirect=True)
    apply = replace(old.apply, hold_s=0)
    haproxy = replace(old.haproxy, maxconn=5, hard_stop_after="1m", retries=0)
    discovery = Discovery(
        hosts=Hosts(path="/etc/hosts"),
        consul=Consul(url="http://127.0.0.1:8500", token_file="/token"),
        empty_s=5,
    )
    new = replace(
        replace(old, http=http, apply=apply, haproxy=haproxy, services=(SERVICE,)),
        discovery=discovery,
        registry=Registry(store="consul"),
    )

    assert restart_keys(old, new) == ()
    assert {path.partition(".")[0] for path in KEYS} == {
        *("user", "ha", "haproxy", "http", "apply"),
        *("discovery", "registry", "api", "syslog", "log", "services"),
    }


def test_rights_and_listeners_of_other_programs_wait_for_the_start() -> None:
    old = Settings()
    discovery = Discovery(
        hosts=Hosts(dnsmasq=True, dnsmasq_port=5353), docker=Docker(url="unix:///d")
    )
    new = replace(
        old, discovery=discovery, api=Api(bind=":9000", token_file="/t"), syslog=Syslog(run="no")
    )

    assert restart_keys(old, new) == (
        *("discovery.hosts.dnsmasq", "discovery.hosts.dnsmasq_port", "discovery.docker.url"),
        *("api.bind", "syslog.run"),
    )
