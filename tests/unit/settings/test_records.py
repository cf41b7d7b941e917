"""Lists of mappings in lb.yaml: every problem in them, with the line it stands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ConfigError
from lbctl.layout import ConfigDir
from lbctl.settings.load import load
from lbctl.settings.model import Check, Group, Ha


def ha_of(tmp_path: Path, text: str, flags: dict[str, str] | None = None) -> Ha:
    (tmp_path / "lb.yaml").write_text(text)
    return load(ConfigDir(tmp_path), environ={}, flags=flags or {}).ha


def problems_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ha_of(tmp_path, text)
    return [str(problem) for problem in caught.value.problems]


def test_words_and_mappings_stand_in_one_list(tmp_path: Path) -> None:
    ha = ha_of(
        tmp_path,
        "ha:\n"
        "  engine: native\n"
        "  track:\n"
        "    - nginx\n"
        "    - {name: web, http: 'http://127.0.0.1/up', headers: {Host: a.example}, rise: 1}\n"
        "    - {name: db, tcp: '10.0.0.5:5432', severity: 9}\n"
        "    - {name: look, command: [/bin/look, -q, '']}\n"
        "  groups:\n"
        "    - {addresses: [10.0.1.202, 'fd00::2/64'], vhid: 9}\n",
    )

    assert ha.track == (
        "nginx",
        Check(name="web", http="http://127.0.0.1/up", headers={"Host": "a.example"}, rise=1),
        Check(name="db", tcp="10.0.0.5:5432", severity=9),
        Check(name="look", command=("/bin/look", "-q", "")),
    )
    assert ha.groups == (Group(addresses=("10.0.1.202", "fd00::2/64"), vhid=9),)


def test_a_flag_replaces_the_whole_list(tmp_path: Path) -> None:
    text = "ha: {track: [nginx, {name: db, tcp: 'a:1'}]}"

    assert ha_of(tmp_path, text, {"ha.track": "haproxy"}).track == ("haproxy",)


BROKEN = """\
ha:
  engine: native
  groups:
    - addresses: [10.0.1.202]
      vhid: 300
    - {addresses: [10.0.1.203], advksew: 3}
    - {vhid: 7,
       advskew: 200}
    - 5
  track:
    - ngnix
    - name: db
      tcp: db
      rise: 0
    - name: web
      headers:
        Host: 3
        Via: b
        Via: c
    - [a]
    - &x {htp: a}
    - {name: a b, command: [true, x]}
"""


def test_every_problem_is_reported_at_once_in_its_line(tmp_path: Path) -> None:
    assert problems_of(tmp_path, BROKEN) == [
        "lb.yaml:5: ha.groups[0].vhid = 300: must be 1..255 or auto",
        "lb.yaml:6: ha.groups[1].advksew: unknown key; did you mean ha.groups[1].advskew?",
        "lb.yaml:7: ha.groups[2]: addresses is missing",
        "lb.yaml:8: ha.groups[2].advskew = 200: must be 0..199",
        "lb.yaml:9: ha.groups[3] = 5: must be a mapping (addresses, vhid, advskew), in lb.yaml",
        "lb.yaml:11: ha.track[0] = 'ngnix': must be one of haproxy, nginx, or a mapping",
        "lb.yaml:13: ha.track[1].tcp = 'db': must be host:port, as in 127.0.0.1:5432 or [::1]:5432",
        "lb.yaml:14: ha.track[1].rise = 0: must be 1..100 or null",
        "lb.yaml:17: ha.track[2].headers.Host = 3: must be text; write it in quotes",
        "lb.yaml:19: ha.track[2].headers.Via: given twice, first in line 18; keep one",
        "lb.yaml:20: ha.track[3] is a list: must be one of haproxy, nginx, or a mapping",
        "lb.yaml:21: ha.track[4].htp: unknown key; did you mean ha.track[4].http?",
        "lb.yaml:22: ha.track[5].command[0] = True: must be text; write it in quotes",
        "lb.yaml:22: ha.track[5].name = 'a b': must be letters, digits and ._- (at most 40)",
    ]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("name: x", "must have one of http, tcp, command, link, program"),
        ("name: x, tcp: 'a:1', link: e", "program; given: tcp, link"),
        ("name: x, tcp: 'a:1', expect: '200'", "expect go with http, and this one looks at tcp"),
        ("name: x, http: 'http://a', headers: {A B: c}", "'A B' cannot be the name of a header"),
        ("name: x, link: e, timeout_s: 1", "timeout_s: a link is not asked, its change is noticed"),
        ("tcp: 'a:1'", "name is missing"),
        ("name: '', tcp: 'a:1'", "name = '': must not be empty"),
        ("name: nginx, tcp: 'a:1'", "is tracked by that word already"),
        ("name: x, tcp: 'a'", "must be host:port"),
        ("name: x, tcp: 'a:0'", "must be host:port"),
        ("name: x, tcp: 'a:65536'", "must be host:port"),
        ("name: x, tcp: '::1:80'", "must be host:port"),
        ("name: x, tcp: '[a]:80'", "[a] is no IPv6 address"),
        ("name: x, http: 'ftp://a'", "must be a URL"),
        ("name: x, http: 'http://'", "must be a URL"),
        ("name: x, http: 'http://[a/'", "must be a URL"),
        ("name: x, http: 'http://a:0/'", "must be a URL"),
        ("name: x, http: 'http://u:p@a/'", "must hold no user and no password"),
        ("name: x, http: 'http://a', expect: 99", "expect = 99: must be HTTP statuses"),
        ("name: x, http: 'http://a', expect: 300-200", "must be HTTP statuses"),
        ("name: x, http: 'http://a', headers: [a]", "must be a mapping of names to texts"),
        ("name: x, command: []", "must be an absolute path and its arguments"),
        ("name: x, command: [look]", "must be an absolute path and its arguments"),
        ("name: x, command: /bin/look", "must be a list of texts"),
        ("name: x, link: auto", "must be the name of a network interface"),
        ("name: x, tcp: 'a:1', interval_s: 0", "must be 0.1..60"),
        ("name: x, tcp: 'a:1', severity: 16", "must be 1..15"),
        ("name: x, tcp: !y 'a:1'", "the tag !y is not understood"),
    ],
)
def test_a_wrong_check_is_named_with_its_rule(tmp_path: Path, check: str, expected: str) -> None:
    (problem,) = problems_of(tmp_path, f"ha: {{track: [{{{check}}}]}}")

    assert problem.startswith("lb.yaml:1: ha.track[0]")
    assert expected in problem
    assert len(problem) < 250


def test_two_checks_of_one_name_are_refused_where_the_second_stands(tmp_path: Path) -> None:
    text = "ha:\n  track:\n  - {name: x, link: a}\n  - {name: x, link: b}\n"

    assert problems_of(tmp_path, text) == [
        "lb.yaml:4: ha.track[1]: another check is named x, ha.track[0]: choose another"
    ]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("{addresses: [10.0.1.2]}, {addresses: [10.0.1.2/24]}", "10.0.1.2 is in ha.groups[0] too"),
        (
            "{addresses: [10.0.1.2], vhid: 7}, {addresses: [10.0.1.3], vhid: 7}",
            "ha.groups[1]: vhid 7 is that of ha.groups[0] too: must differ",
        ),
        ("{addresses: []}", "must not be empty"),
        ("{addresses: [fd00::1]}", "must begin with an IPv4 address"),
        ("{addresses: [10.0.1.2, 10.0.1.2/24]}", "must name each once; twice: 10.0.1.2"),
        ("{addresses: [127.0.0.1]}", "127.0.0.1 cannot be a virtual address: it is loopback"),
        ("{addresses: [10.0.1.300]}", "'10.0.1.300' is not an IP address"),
        ("{addresses: 10.0.1.2}", "must be a list of texts"),
    ],
)
def test_groups_that_cannot_be_are_named(tmp_path: Path, groups: str, expected: str) -> None:
    (problem,) = problems_of(tmp_path, f"ha: {{engine: native, groups: [{groups}]}}")

    assert expected in problem


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("advbase_ms: 50", "ha.advbase_ms = 50: needs ha.engine: native"),
        ("failback_s: 5", "ha.failback_s = 5.0: needs ha.engine: native"),
        ("peers: [10.0.1.12]", "ha.peers = ['10.0.1.12']: needs ha.engine: native"),
        ("groups: [{addresses: [10.0.1.2]}]", "ha.groups: needs ha.engine: native"),
    ],
)
def test_what_only_the_native_engine_can_is_refused_with_ucarp(
    tmp_path: Path, line: str, expected: str
) -> None:
    assert ha_of(tmp_path, f"ha: {{engine: native, {line}}}").engine == "native"
    (problem,) = problems_of(tmp_path, f"ha:\n  {line}\n")
    assert problem.startswith("lb.yaml:2: ")
    assert expected in problem


def test_a_dead_ratio_that_one_lost_packet_reaches_is_refused(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "ha:\n  engine: native\n  dead_ratio: 1\n")

    assert "ha.dead_ratio = 1: with ha.engine: native one lost packet" in problem
    assert ha_of(tmp_path, "ha: {engine: native, dead_ratio: 2}").dead_ratio == 2
    assert ha_of(tmp_path, "ha: {dead_ratio: 1}").dead_ratio == 1


@pytest.mark.parametrize("line", ["advbase_ms: 100", "failback_s: 0", "peers: []", "groups: []"])
def test_the_defaults_may_stand_there_with_ucarp(tmp_path: Path, line: str) -> None:
    assert ha_of(tmp_path, f"ha: {{{line}}}") == Ha()


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ("fd00::1", "'fd00::1' is no IPv4 address"),
        ("other", "'other' is no IPv4 address"),
        ("10.0.1.12/24", "'10.0.1.12/24' is no IPv4 address"),
        ("224.0.0.18", "224.0.0.18 is no other node's address"),
        ("127.0.0.1", "127.0.0.1 is no other node's address"),
        ("255.255.255.255", "255.255.255.255 is no other node's address"),
        ("10.0.1.12, 10.0.1.12", "must name each once; twice: 10.0.1.12"),
    ],
)
def test_peers_are_ipv4_addresses_of_hosts(tmp_path: Path, peers: str, expected: str) -> None:
    (problem,) = problems_of(tmp_path, f"ha: {{engine: native, peers: [{peers}]}}")

    assert expected in problem
