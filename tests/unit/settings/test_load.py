"""lb.yaml, environment and flags become Settings, or every problem at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from lbctl.errors import ConfigError
from lbctl.layout import ConfigDir
from lbctl.settings.load import FILE_MAX_BYTES, NO_FLAGS, as_json, effective, load
from lbctl.settings.model import Settings
from lbctl.settings.plain import plain

Load = Callable[..., Settings]
Problems = Callable[..., list[str]]

TOP = "user, ha, haproxy, http, apply, discovery, registry, api, syslog, log, services"


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def call(
        text: str, environ: Mapping[str, str] = NO_FLAGS, flags: Mapping[str, str] = NO_FLAGS
    ) -> Settings:
        (tmp_path / "lb.yaml").write_text(text, encoding="utf-8")
        return load(ConfigDir(tmp_path), environ=environ, flags=flags)

    return call


@pytest.fixture
def problems_of(load_text: Load) -> Problems:
    def call(*args: object) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(*args)
        return [str(problem) for problem in caught.value.problems]

    return call


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "ha:\n", "haproxy: {stats: }"])
def test_what_gives_nothing_gives_the_defaults(load_text: Load, text: str) -> None:
    assert load_text(text) == Settings()


def test_a_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load(ConfigDir(tmp_path), environ={}) == Settings()


def test_every_form_of_value_is_read(load_text: Load) -> None:
    settings = load_text(
        "\ufeffuser: lb\n"
        "ha: {vhid: 7, drain_s: 1, track: [nginx]}\n"
        "haproxy:\n"
        "  processes: 2\n"
        "  timeouts: {connect: &t 250ms, client: *t, server: '5000'}\n"
        "  stats: {bind: '::1', password_file: null}\n"
    )

    assert (settings.user, settings.ha.vhid, settings.ha.track) == ("lb", 7, ("nginx",))
    assert (settings.ha.drain_s, type(settings.ha.drain_s)) == (1.0, float)
    assert settings.haproxy.timeouts.client == "250ms"
    assert settings.haproxy.timeouts.server == "5000"
    assert (settings.haproxy.stats.bind, settings.haproxy.stats.password_file) == ("::1", None)


def test_file_gives_way_to_environment_and_environment_to_flags(load_text: Load) -> None:
    text = "ha: {advbase_s: 2, advskew: 2, dead_ratio: 2}"
    environ = {"LBCTL_HA_ADVSKEW": "3", "LBCTL_HA_DEAD_RATIO": "3"}

    ha = load_text(text, environ, {"ha.dead_ratio": "4"}).ha

    assert (ha.advbase_s, ha.advskew, ha.dead_ratio) == (2, 3, 4)


def test_every_problem_is_reported_at_once_by_source_and_line(problems_of: Problems) -> None:
    text = (
        "http: {bind: }\n"
        "ha:\n"
        "  vhdi: 3\n"
        "  track: [haproxy,\n"
        "    ngnix]\n"
        "  vhid: 300\n"
        "haproxy: {stats: {bind: 10.0.0.1}}\n"
    )

    problems = problems_of(text, {"LBCTL_HA_ADVSKEW": "200"}, {"ha.dead_ratio": "0"})

    assert problems[:-1] == [
        "lb.yaml:1: http.bind = nothing: must be text",
        "lb.yaml:3: ha.vhdi: unknown key; did you mean ha.vhid?",
        "lb.yaml:5: ha.track[1] = 'ngnix': must be one of haproxy, nginx, or a mapping",
        "lb.yaml:6: ha.vhid = 300: must be 1..255 or auto",
        "LBCTL_HA_ADVSKEW: ha.advskew = 200: must be 0..199",
        "--ha.dead_ratio: ha.dead_ratio = 0: must be 1..100",
    ]
    assert problems[-1] == (
        "lb.yaml:7: haproxy.stats.bind = '10.0.0.1': anyone who reaches it may read the "
        "statistics: set haproxy.stats.password_file, or bind to 127.0.0.1"
    )


def test_a_broken_file_is_broken_even_where_the_environment_replaces_the_value(
    problems_of: Problems,
) -> None:
    assert problems_of("ha: {vhid: 300}", {"VHID": "7"}) == [
        "lb.yaml:1: ha.vhid = 300: must be 1..255 or auto"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ha: {advskew: yes}",
            "ha.advskew = yes, which YAML reads as True: must be a whole number",
        ),
        ("ha: {advskew: true}", "ha.advskew = true: must be a whole number 0..199"),
        ("ha: {advskew: 1.0}", "ha.advskew = 1.0: must be a whole number 0..199"),
        ("ha: {advskew: '7'}", "ha.advskew = '7': must be a whole number 0..199; without quotes"),
        ("ha: {advskew: }", "ha.advskew = nothing: must be a whole number 0..199"),
        ("ha: {advskew: [1]}", "ha.advskew = [1]: must be a whole number 0..199"),
        ("ha: {advskew: {a: 1}}", "ha.advskew is a mapping: must be a whole number 0..199"),
        ("ha: {advskew: -1}", "ha.advskew = -1: must be 0..199"),
        ("ha: {advskew: 0o7}", "ha.advskew = '0o7': must be a whole number 0..199"),
        ("ha: {advskew: !!int x}", "ha.advskew = 'x': must be a whole number 0..199"),
        ("ha: {advskew: " + "9" * 5000 + "}", "ha.advskew = '9999"),
        (
            'ha: {advskew: !!float "1\\n"}',
            "ha.advskew = '1\\n', which YAML reads as 1.0: must be a",
        ),
        ("ha: {vhid: 0}", "ha.vhid = 0: must be 1..255 or auto"),
        ("ha: {vhid: atuo}", "ha.vhid = 'atuo': must be a whole number 1..255, or auto"),
        ("ha: {drain_s: 5}", "ha.drain_s = 5: must be 0..4"),
        ("ha: {drain_s: .nan}", "ha.drain_s = .nan, which YAML reads as nan: must be 0..4"),
        ("ha: {drain_s: true}", "ha.drain_s = true: must be a number 0..4"),
        ("ha: {engine: keepalived}", "ha.engine = 'keepalived': must be ucarp or native"),
        ("ha: {interface: ''}", "ha.interface = '': must not be empty"),
        ("ha: {track: haproxy}", "ha.track = 'haproxy': must be a list of haproxy, nginx"),
        ("ha: {track: [[a]]}", "ha.track[0] is a list: must be one of haproxy, nginx, or a map"),
        ("ha: {peers: [[a]]}", "ha.peers is a list of lists or mappings: must be a list of texts"),
        ("ha: {peers: [7]}", "ha.peers[0] = 7: must be text; write it in quotes"),
        ("ha: {track: [nginx, nginx]}", "must name each once; twice: nginx"),
        (
            "haproxy: {defaults: {balance: rr}}",
            "must be roundrobin, leastconn, random, first, source",
        ),
        ("haproxy: {timeouts: {queue: soon}}", "must be a time as HAProxy writes it"),
        ("discovery: {dns: {nameservers: [a]}}", "'a': must be an IP address, or one with a"),
        ("discovery: {dns: {nameservers: ['10.0.0.2:0']}}", "must be an IP address, or one"),
        ("haproxy: {peers: {hosts: [10.0.1.11]}}", "must name both hosts, or none"),
        ("haproxy: {peers: {hosts: [10.0.1.11, 127.0.0.1]}}", "'127.0.0.1' is no host's own IP"),
        ("haproxy: {peers: {port_base: 8001}}", "haproxy.stats.port_base = 8001 is too near"),
        (
            "haproxy: {processes: 4, peers: {port_base: 65533}}",
            "haproxy.peers.port_base = 65533: with haproxy.processes = 4 the last process would",
        ),
        ("http: {accept_proxy: 1}", "http.accept_proxy = 1: must be true or false; without quotes"),
        ("http: {internal_hosts: ['a b']}", "'a b': must be the name of a host, with * for any"),
        ("http: {known_hosts: ['*']}", "'*': must be the name of a host, as in app.example.com"),
        ("http: {known_hosts: ['']}", "'': must not be empty"),
        ("http: {foreign_redirect: /x}", "must be a URL"),
        ('http: {foreign_redirect: "http://a/\\\\"}', "must be written as in a request"),
        ("http: {health_path: up}", "must begin with /"),
        ("http: {hsts_max_age_s: -1}", "must be 0..1000000000 or null"),
        ("apply: {gather_ms: 501}", "must be at most apply.gather_max_ms = 500"),
        ("services: {}", "services is a mapping: must be a list of mappings (name, mode, route"),
        ("services: 5", "services = 5: must be a list of mappings (name, mode, route"),
        ("haproxy: {timeouts: {client: 5}}", "must be a time with its unit, as in 5s or 500ms"),
        ("haproxy: {stats: 3}", "haproxy.stats: must hold keys (bind, port_base, user, passw"),
        ("haproxy: {stats: {password_file: 3}}", "password_file = 3: must be text or null; write"),
        ("haproxy: {stats: {password_file: ''}}", "must be the path of a file, or null"),
        ("http: {bind: 80}", "http.bind = 80: must be [address]:port"),
        ("user: no", "user = no, which YAML reads as False: must be text; write it in quotes"),
        ('user: "a\\n"', "user = 'a\\n': must not hold line breaks or other control characters"),
        ('user: "\\ud800"', "user = '\\ud800': must not hold line breaks or other control chara"),
        ("user: !vault x", "user: the tag !vault is not understood; must be text"),
        ("user: !!python/name:os.system x", "user: the tag tag:yaml.org,2002:python/name:os.sys"),
        ("stats: {}", "stats: unknown key; did you mean haproxy.stats?"),
        ("vhid: 3", "vhid: unknown key; did you mean ha.vhid?"),
        ("quorum: 3", "quorum: unknown key; known here: user, ha, haproxy, http"),
        ("ha.vhid: 3", "ha.vhid: unknown key; write one name below the other, not a dot"),
        ("3: 3", "3: unknown key; known here:"),
        ("? [a]\n: 3", "(no name): unknown key; known here:"),
        ('"": 3', "'': unknown key; known here:"),
        ("ha: &a {x: *a}", "ha.x: unknown key"),
        ('&a {"": *a}', "'': unknown key"),
        ("<<: {user: x}", "<<: unknown key"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(
    problems_of: Problems, text: str, expected: str
) -> None:
    (problem,) = problems_of(text)

    assert problem.startswith("lb.yaml:1: ")
    assert expected in problem
    assert "\n" not in problem
    assert len(problem) < 270


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", f"lb.yaml:1: must hold keys ({TOP}), not a list"),
        ("hello", f"lb.yaml:1: must hold keys ({TOP}), not 'hello'"),
        ("!!omap {}", f"lb.yaml:1: must hold keys ({TOP}), not a tagged mapping"),
        ("ha:\n  vhid: 1\n  vhid: 2", "lb.yaml:3: ha.vhid: given twice, first in line 2; keep one"),
        ("ha: {}\nha: {}", "lb.yaml:2: ha: given twice, first in line 1; keep one"),
        ("user: a\n---\nuser: b", "lb.yaml:2:1: not YAML: a second document starts here"),
        ("ha: {vhid: 1", "lb.yaml:1:13: not YAML: expected ',' or '}', but got"),
        ("a: b: c", "lb.yaml:1:5: not YAML: mapping values are not allowed here; a text with"),
        ("user: a\nha:\n\tvhid: 1", "lb.yaml:3:1: not YAML: found character '\\t' that cannot st"),
        ("user: *nobody", "lb.yaml:1:7: not YAML: found undefined alias 'nobody'"),
        ("user: a\nha: \x00", "lb.yaml:2:5: not YAML: the character '\\x00' is not allowed"),
        ('user: "\\UFFFFFFFF"', "lb.yaml: not YAML: "),
        ("[" * 100_000, "lb.yaml: not read: brackets or indentation are nested too deep"),
    ],
)
def test_a_wrong_form_is_named_with_its_line(
    problems_of: Problems, text: str, expected: str
) -> None:
    (problem,) = problems_of(text)

    assert problem.startswith(expected)


def test_a_file_that_nobody_wrote_by_hand_is_not_read(problems_of: Problems) -> None:
    (problem,) = problems_of("# x\n" * (FILE_MAX_BYTES // 4 + 1))

    assert problem.endswith("lb.yaml: cannot be read: it is longer than 8 MB")


def test_tabs_are_told_to_be_spaces(problems_of: Problems) -> None:
    assert "indent with spaces, not with tabs" in problems_of("ha:\n\tvhid: 1")[0]


def test_a_value_behind_an_alias_is_reported_where_its_key_stands(problems_of: Problems) -> None:
    assert problems_of("user: &u x\nha:\n  vhid: *u\n") == [
        "lb.yaml:3: ha.vhid = 'x': must be a whole number 1..255, or auto"
    ]


def test_nested_anchors_do_not_blow_up(problems_of: Problems) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]

    assert len(problems_of("\n".join([*lines, "ha: {peers: *a39}"]))) == 41
    assert len(problems_of("\n".join([*lines, "ha: {track: *a39}"]))) == 42


def test_what_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "lb.yaml"

    def problem() -> str:
        with pytest.raises(ConfigError) as caught:
            load(ConfigDir(tmp_path), environ={})
        return str(caught.value).removeprefix(f"{path}: ")

    path.write_bytes(b"user: a\nha: \xff\n")
    assert problem() == "not UTF-8: byte 0xff in line 2; save it as UTF-8"
    path.unlink()
    path.symlink_to("nowhere")
    assert problem() == "cannot be read: No such file or directory: the link leads nowhere"
    path.unlink()
    path.symlink_to("lb.yaml")
    assert problem() == "cannot be read: Too many levels of symbolic links"
    path.unlink()
    path.mkdir()
    assert problem().startswith("cannot be read: it is a directory")


def test_an_unreadable_file_hides_no_problem_of_the_environment(problems_of: Problems) -> None:
    """Rules across keys wait: the file may hold what they miss."""
    environ = {"LBCTL_HA_VHID": "x", "LBCTL_HAPROXY_STATS_BIND": "*"}

    problems = problems_of("ha: {", environ)

    assert [problem.split(" ")[0] for problem in problems] == ["lb.yaml:1:6:", "LBCTL_HA_VHID:"]


def test_a_rule_across_keys_waits_for_the_values_it_needs(problems_of: Problems) -> None:
    text = "haproxy: {stats: {bind: '*', password_file: [a]}}"

    assert [problem.split(" = ")[0] for problem in problems_of(text)] == [
        "lb.yaml:1: haproxy.stats.password_file"
    ]


CHANGED = replace(
    Settings(),
    user="007",
    ha=replace(Settings().ha, vhid=7, track=(), interface="null"),
    haproxy=replace(
        Settings().haproxy,
        stats=replace(Settings().haproxy.stats, bind="::", password_file="/run/secrets/é x: #y"),
    ),
    http=replace(Settings().http, bind="*:80"),
)


@pytest.mark.parametrize("settings", [Settings(), CHANGED])
def test_effective_settings_load_as_the_same_settings(load_text: Load, settings: Settings) -> None:
    assert load_text(effective(settings)) == settings
    assert json.loads(as_json(settings)) == yaml.safe_load(effective(settings))


def test_a_field_marked_secret_is_masked_only_when_set() -> None:
    @dataclass(frozen=True)
    class Section:
        token: str | None = field(default=None, metadata={"secret": True})
        name: str = "x"

    assert plain(Section("hunter2")) == {"token": "***", "name": "x"}
    assert plain(Section()) == {"token": None, "name": "x"}
