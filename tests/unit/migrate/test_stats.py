"""Which listeners are lbctl's now, and what of them is proposed for lb.yaml."""

from __future__ import annotations

import pytest
import yaml

from lbctl.migrate.engine import migrate
from lbctl.migrate.proposal import proposal

PINNED = """\
global
 nbproc 2
listen s1 127.0.0.1:9001
 stats uri /
 stats auth ops:geheim
 bind-process 1
listen s2
 bind 127.0.0.1:9002 process 2
 stats enable
 # about web
listen web :80
 mode tcp
"""


def proposed(text: str, source: str = "h.cfg") -> list[str]:
    return list(proposal(migrate(text), source=source, password_file="/haproxy/stats-password"))


def test_pinned_stats_listeners_go_and_what_follows_them_stays() -> None:
    migration = migrate(PINNED)

    assert migration.text == "global\n # about web\nlisten web\n bind :80\n mode tcp\n"
    assert [one.port for one in migration.pinned] == [9001, 9002]


def test_the_proposal_is_an_lb_yaml_that_lbctl_reads() -> None:
    text = "\n".join(line for line in proposed(PINNED) if not line.startswith("("))

    assert yaml.safe_load(text) == {
        "haproxy": {
            "processes": 2,
            "stats": {
                "bind": "127.0.0.1",
                "port_base": 9001,
                "user": "ops",
                "password_file": "/haproxy/stats-password",
            },
        }
    }


def test_the_proposal_holds_no_password_and_says_how_to_cut_it_out() -> None:
    lines = proposed(PINNED)

    assert "geheim" not in "\n".join(lines)
    assert [line for line in lines if "sed -n '5s/" in line and line.endswith(")")]


def test_from_standard_input_the_password_is_put_in_place_by_hand() -> None:
    assert not [line for line in proposed(PINNED, source="") if line.startswith("(")]
    assert [line for line in proposed(PINNED, source="") if "mode 600" in line]


def test_a_password_that_is_quoted_is_put_in_place_by_hand() -> None:
    lines = proposed(PINNED.replace("ops:geheim", '"ops:ge heim"'))

    assert not [line for line in lines if line.startswith("(")]
    assert "heim" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("127.0.0.1:9001", ":9001", "password_file is needed"),
        (":9002", ":9012", "The ports were 9001, 9012"),
        ("stats uri /\n", "stats uri /x\n", "The page is at / now"),
        (" stats enable", " stats enable\n stats auth root:x", "several users"),
    ],
)
def test_what_changes_with_the_listeners_is_said(old: str, new: str, said: str) -> None:
    assert [line for line in proposed(PINNED.replace(old, new)) if said in line]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (" stats uri /\n", " stats admin if TRUE\n", 4),
        (" stats uri /\n", " acl inside src 10.0.0.0/8\n", 4),
        (" stats uri /\n", " stats http-request deny unless inside\n", 4),
        ("process 2", "ssl crt x process 2", 8),
    ],
)
def test_what_goes_with_the_listeners_is_said(old: str, new: str, line: int) -> None:
    lines = proposed(PINNED.replace(old, new))

    assert [one for one in lines if f"Gone with the listeners (lines {line} of" in one]


def test_a_listener_without_gone_lines_says_nothing_of_them() -> None:
    assert not [one for one in proposed(PINNED) if "Gone with" in one]


@pytest.mark.parametrize("bind", ['"$IP:8001"', ":8001-8002", ":${PORT}"])
def test_a_listener_whose_port_is_not_known_is_kept(bind: str) -> None:
    migration = migrate(f"listen s\n bind {bind}\n stats enable\n bind-process 1\n")

    assert migration.pinned == ()
    assert migration.text == f"listen s\n bind {bind}\n stats enable\n"


def test_an_ipv6_address_is_proposed_in_brackets() -> None:
    lines = proposed("listen s ::1:8001\n stats enable\n bind-process 1\n")

    assert '    bind: "[::1]"' in lines


def test_a_public_listener_without_a_login_needs_a_password_now() -> None:
    lines = proposed("listen s :8001\n stats enable\n bind-process 1\n")

    assert [line for line in lines if "There was no password" in line]
    assert "    password_file: /haproxy/stats-password" in lines


def test_without_nbproc_and_pins_nothing_is_proposed() -> None:
    assert proposed("global\n maxconn 1\n") == []


@pytest.mark.parametrize(
    "line", ["", " bind-process 1 2-3", " bind-process odd", " bind-process 1\n server a :1"]
)
def test_a_listener_for_several_processes_or_with_servers_is_kept(line: str) -> None:
    migration = migrate(f"listen s\n bind :8001\n stats enable\n{line}\n")

    assert "listen s\n bind :8001\n stats enable\n" in migration.text
    assert "bind-process" not in migration.text
    assert ["lbctl stats" in note for note in migration.notes] == [True]
