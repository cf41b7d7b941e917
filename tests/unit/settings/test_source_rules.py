"""Rules of the keys about sources of services, the registry, the API and syslog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.errors import ConfigError
from lbctl.layout import ConfigDir
from lbctl.settings import source_rules
from lbctl.settings.keys import KEYS
from lbctl.settings.load import load
from lbctl.settings.model import Settings
from lbctl.settings.source_rules import (
    consul_problem,
    docker_problem,
    ip_or_host_problem,
    kv_problem,
    syslogs_problem,
)

Rule = Callable[[str], str | None]


def loaded(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "lb.yaml").write_text(text, encoding="utf-8")
    return load(ConfigDir(tmp_path), environ={})


def problems_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return [str(one) for one in caught.value.problems]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (consul_problem, "http://127.0.0.1:8500"),
        (consul_problem, "http://consul.service.consul:8500/"),
        (consul_problem, "https://[fd00::1]:8501"),
        (consul_problem, "http://[fd00::1]"),
        (consul_problem, "unix:///run/consul.sock"),
        (docker_problem, "unix:///var/run/docker.sock"),
        (docker_problem, "tcp://127.0.0.1:2375"),
        (docker_problem, "http://proxy:2375"),
        (ip_or_host_problem, "10.0.0.1"),
        (ip_or_host_problem, "fd00::1"),
        (ip_or_host_problem, "host.docker.internal"),
        (kv_problem, "service/haproxy"),
    ],
)
def test_what_can_be_asked_passes(rule: Rule, text: str) -> None:
    assert rule(text) is None


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        (consul_problem, "127.0.0.1:8500", "must be a URL (http, https, unix), as in http://127"),
        (consul_problem, "tcp://127.0.0.1:8500", "must be a URL (http, https, unix)"),
        (consul_problem, "http://", "must be a URL"),
        (consul_problem, "http://:8500", "must be a URL"),
        (consul_problem, "http://a:99999", "must be a URL"),
        (consul_problem, "http://a b:1", "must be a URL"),
        (consul_problem, "http://::1:8500", "must be a URL"),
        (consul_problem, "http://1.2.3:80", "is no IPv4 address: must be a URL"),
        (consul_problem, "http://a:s3cret@b:1", "must hold no user and no password"),
        (consul_problem, "http://a:1/v1", "must end with the port"),
        (consul_problem, "http://a:1?dc=x", "must end with the port"),
        (consul_problem, "unix://run/x.sock", "must be an absolute path"),
        (consul_problem, "unix:///" + "x" * 107, "must have at most 107 bytes"),
        (docker_problem, "/var/run/docker.sock", "as in unix:///run/docker.sock or tcp://127.0"),
        (docker_problem, "ssh://a", "must be a URL (unix, tcp, http, https)"),
        (ip_or_host_problem, "10.0.0.1:80", "without port"),
        (ip_or_host_problem, "a b", "must be the name of a host"),
        (kv_problem, "/service", "without / at its ends"),
        (kv_problem, "a//b", "without / at its ends"),
        (kv_problem, "a b", "must be letters"),
    ],
)
def test_what_cannot_be_asked_is_refused(rule: Rule, text: str, expected: str) -> None:
    said = rule(text) or ""

    assert said.startswith(expected) or expected in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    "places", [[], ["/dev/log", "127.0.0.1:514"], ["0.0.0.0"], ["[::]:514"], ["[::1]"]]
)
def test_places_of_syslog_pass(places: list[str]) -> None:
    assert syslogs_problem(places) is None


@pytest.mark.parametrize(
    "places", [["dev/log"], ["localhost:514"], ["::1"], ["127.0.0.1:0"], ["a", "a"], ["/a", "/a"]]
)
def test_other_places_of_syslog_are_refused(places: list[str]) -> None:
    assert syslogs_problem(places)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("discovery: {hosts: {path: hosts}}", ":1: discovery.hosts.path = 'hosts': must be an abs"),
        (
            "discovery:\n  consul:\n    tags:\n      web: http\n      db: udp\n",
            ":5: discovery.consul.tags.db = 'udp': must be one of http, tcp",
        ),
        ("discovery: {consul: {tags: [a]}}", "must be a mapping of names to texts"),
        ("discovery: {consul: {check: {path: x}}}", "must begin with /"),
        ("discovery: {consul: {token_file: t}}", "must be an absolute path"),
        ("api: {bind: ':9000'}", "api.bind = ':9000': anyone who reaches it could change"),
        ("api: {bind: '9000', token_file: /t}", "must be [address]:port"),
        (
            "discovery: {consul: {url: 'http://a:1', ca_file: /c}}",
            "discovery.consul.url = 'http://a:1': discovery.consul.ca_file want https://",
        ),
        ("discovery: {consul: {url: 'https://a', key_file: /k}}", "is the key of no certificate"),
        ("discovery: {docker: {report_to: {url: 'http://a'}}}", "set discovery.docker.url"),
        ("discovery: {hosts: {dnsmasq: true}}", "set discovery.hosts.path"),
        ("registry: {store: consul}", "set discovery.consul.url"),
        ("registry: {dynamodb_table: a}", "must be the name of a table"),
        ("registry: {dynamodb_region: EU}", "must be the name of a region"),
        ("registry: {poll_s: 0.1}", "registry.poll_s = 0.1: must be 0.5..3600"),
        ("syslog: {listen: [log]}", "must be an absolute path, or an IP address"),
        ("syslog: {run: true}", "must be auto, yes or no"),
    ],
)
def test_what_is_wrong_is_named_with_its_rule(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = problems_of(tmp_path, text)

    assert expected in problem


def test_a_check_that_is_given_in_part_keeps_the_rest_of_its_source(tmp_path: Path) -> None:
    text = "discovery: {consul: {check: {path: /health}}, docker: {check: {path: /health}}}"
    settings = loaded(tmp_path, text)

    assert settings.discovery.consul.check.kind == "http"
    assert settings.discovery.docker.check.kind == "tcp"


def test_a_mapping_comes_from_the_environment_too(tmp_path: Path) -> None:
    def tags(text: str) -> object:
        environ = {"LBCTL_DISCOVERY_CONSUL_TAGS": text}
        return load(ConfigDir(tmp_path), environ=environ).discovery.consul.tags

    assert tags("web=http, db=tcp") == {"web": "http", "db": "tcp"}
    with pytest.raises(ConfigError, match=r"LBCTL_DISCOVERY_CONSUL_TAGS: .*db = 'udp'"):
        tags("web=http,db=udp")
    with pytest.raises(ConfigError, match="must be a mapping of names to texts"):
        tags("web")


@pytest.mark.parametrize("word", ["yes", "no", "auto"])
def test_a_word_that_yaml_reads_as_a_truth_value_is_that_word(tmp_path: Path, word: str) -> None:
    assert loaded(tmp_path, f"syslog: {{run: {word}}}").syslog.run == word


def test_every_rule_has_its_key() -> None:
    rules = {*source_rules.VALUES, *source_rules.LISTS, *source_rules.MAPPINGS}
    across = {path for paths, _ in source_rules.ACROSS for path in paths}

    assert rules | across <= set(KEYS)
