from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.haproxy.cfg import Bind, binds_of, nothing_is_absent, problems_of
from lbctl.launch.absent import only_on_the_master
from lbctl.spec import ThreadsIn

ARTICLE = """\
global
  nbproc 2
  stats bind-process 1
defaults
  mode http
listen stats01 :8001
  stats uri /
  stats auth admin:foobar23
  bind-process 1
  stats enable
"""


def _problems(
    text: str,
    *,
    processes: int = 2,
    vips: tuple[str, ...] = ("10.0.1.201/32", "fd00::c9"),
    bind_nonlocal: bool = False,
    is_nbproc: bool = False,
    threads_in: ThreadsIn = "process file",
    runs_as: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    return [
        str(problem)
        for problem in problems_of(
            text,
            absent=nothing_is_absent if bind_nonlocal else only_on_the_master(vips),
            processes=processes,
            is_nbproc=is_nbproc,
            threads_in=threads_in,
            runs_as=runs_as,
        )
    ]


def test_the_articles_snippet_is_named_line_by_line() -> None:
    lines = [problem.partition(": ")[0] for problem in _problems(ARTICLE)]

    assert lines == ["haproxy.cfg:2", "haproxy.cfg:3", "haproxy.cfg:6", "haproxy.cfg:9"]


def test_an_ordinary_configuration_has_no_problem() -> None:
    text = """\
global
  daemon
  maxconn 1000 # nbproc 4
  log 'nbproc' local0
frontend web
  bind :80,[::]:443 ssl crt /x
  bind 10.0.1.201:8080 transparent
  bind 10.0.1.20:8081
  http-request set-header X "stats socket"
backend b from defaults-of-mine
  server a 10.0.1.201:80
"""

    assert _problems(text) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("  nbproc 4", "'nbproc': lbctl runs the processes itself: remove the line"),
        ("  bind-process 2", "'bind-process': every process runs the whole file"),
        ("  stats bind-process 1", "'stats bind-process': every process runs the whole file"),
        ("  bind :80 process 1/2", "'process' pins the listener to one process"),
        ("  stats socket /run/h.sock process 1", "'process' pins the socket"),
        ("  bind 10.0.1.201:80", "only the MASTER has the virtual address 10.0.1.201"),
        ("  bind :81,10.0.1.201:80-85 ssl", "add the word 'transparent'"),
        ("  bind [fd00:0::00c9]:80", "only the MASTER has the virtual address fd00:0::00c9"),
        ("  bind ipv6@[fd00::c9]:80", "bind every address with ':PORT'"),
        ("listen stats01 :8001", "bind :8001"),
    ],
)
def test_what_no_process_may_hold_is_named_with_its_remedy(line: str, says: str) -> None:
    (problem,) = _problems(f"frontend x\n{line}\n", processes=1)

    assert problem.startswith("haproxy.cfg:2: ")
    assert says in problem


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("  stats socket /run/h.sock mode 600", "the last of 2 processes to start would own it"),
        ("peers mine", "stick tables are copied between peers, not added up"),
        ("program other", "would each start the program"),
        ("  bind /run/web.sock", "the last of 2 processes to start would own the socket"),
        ("  bind :80,unix@/run/web.sock", "bind unix@/run/web.sock"),
        ("  bind abns@clear accept-proxy", "bind abns@clear"),
    ],
)
def test_what_cannot_be_multiplied_is_a_problem_for_several_processes_alone(
    line: str, says: str
) -> None:
    text = f"listen x\n{line}\n"
    (problem,) = _problems(text, processes=2)

    assert problem.startswith("haproxy.cfg:2: ")
    assert says in problem
    assert _problems(text, processes=1) == []


def test_under_nbproc_a_unix_listener_is_shared() -> None:
    assert _problems("frontend x\n  bind /run/web.sock\n", is_nbproc=True) == []


def test_a_host_that_binds_foreign_addresses_may_bind_the_vip() -> None:
    assert _problems("frontend x\n  bind 10.0.1.201:80\n", bind_nonlocal=True) == []


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        (":80", [("*", 80)]),
        ("*:80", [("*", 80)]),
        ("0.0.0.0:80", [("*", 80)]),
        ("192.0.2.1:80", [("192.0.2.1", 80)]),
        ("[::]:80", [("::", 80)]),
        (":::80", [("::", 80)]),
        ("[fd00::1]:80", [("fd00::1", 80)]),
        ("ipv4@:80", [("*", 80)]),
        ("ipv6@:80", [("::", 80)]),
        (":80,:81", [("*", 80), ("*", 81)]),
        (":80-82", [("*", 80), ("*", 81), ("*", 82)]),
        ("localhost:80", [("localhost", 80)]),
        ("/run/x.sock", []),
        ("unix@/run/x:80", []),
        ("unix@run/x:80", []),
        ("abns@name", []),
        ("fd@3", []),
        ("quic4@:443", []),
        ("fd@${FD}", []),
        ('"$IP:80"', []),
        (":${PORT}", []),
        ("192.0.2.1", []),
        (":80-4000000000", []),
        (":65535-70000", [("*", 65535)]),
    ],
)
def test_binds_are_addresses_and_ports(bind: str, expected: list[tuple[str, int]]) -> None:
    found = binds_of(f"frontend x\n  bind {bind} ssl crt /x\n")

    assert [Bind(address, port, 2) for address, port in expected] == list(found)


def test_a_bind_without_an_address_is_left_to_haproxy() -> None:
    assert binds_of("frontend x\n  bind\n") == ()
    assert _problems("frontend x\n  bind\n") == []


@given(st.text(alphabet="bind nproc:-,@[]*#'\"\\/0189\n$stakeul"))
def test_any_text_is_judged(text: str) -> None:
    assert all(port <= 65535 for _, port, _ in binds_of(text))
    assert all(": " in problem for problem in _problems(text))


HAPROXY = {"user": "haproxy", "uid": "106", "group": "haproxy", "gid": "113"}


@pytest.mark.parametrize(
    "line", ["chroot /var/lib/haproxy", "pidfile /run/haproxy.pid", "user www-data", "gid 33"]
)
def test_what_would_end_an_unprivileged_haproxy_is_named(line: str) -> None:
    (problem,) = _problems(f"global\n  {line}\n", runs_as=HAPROXY)

    assert problem.startswith(f"haproxy.cfg:2: {line.split()[0]!r}: ")
    assert "it would end at the start: remove the line" in problem


def test_the_user_that_haproxy_is_already_may_be_named() -> None:
    lines = "".join(f"  {word} {name}\n" for word, name in HAPROXY.items())

    assert _problems(f"global\n{lines}", runs_as=HAPROXY) == []
    assert _problems("userlist u\n  user www-data password x\n", runs_as=HAPROXY) == []


def test_own_threads_are_named_where_they_would_win() -> None:
    text = "global\n  nbthread 4\n"

    assert _problems(text) == []
    assert _problems(text, threads_in="limit") == []
    assert "haproxy.threads in lb.yaml" in _problems(text, threads_in="first file")[0]
