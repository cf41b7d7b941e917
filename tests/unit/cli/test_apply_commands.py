"""reload, server and services: what they ask for, what they show, how they end."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from lbctl.cli import reload, server, services
from lbctl.cli.client import _refusal
from lbctl.cli.server import Wish
from lbctl.errors import ConfigError, Problem, UsageError, ValidationError

ANSWER: dict[str, Any] = {
    "generation": 2, "problems": [], "warnings": [], "restart": [], "certificates": [],
    "did": "nothing", "reasons": [], "commands": 0, "steps": [], "pending": [], "failure": "",
    "held": [], "left_out": [], "took_s": 0.012, "waits_s": None,
    "nginx": {"is_ok": True, "said": []},
}  # fmt: skip


def said(**different: Any) -> list[str]:
    return list(reload.lines({**ANSWER, **different}))


def test_a_reload_says_what_was_done_and_why() -> None:
    assert said()[0] == "HAProxy: nothing has changed"
    assert said(did="runtime", commands=4, steps=["add a/b (1.2.3.4:80)"])[:2] == [
        "HAProxy: 4 changes at run time, no reload, 12 ms",
        "  add a/b (1.2.3.4:80)",
    ]
    assert said(did="reload", reasons=["new: the backend is new"])[:2] == [
        "HAProxy: reloaded in 12 ms",
        "  because new: the backend is new",
    ]


def test_a_removal_that_waits_is_told_with_what_it_waits_for() -> None:
    what = "remove a/b: Server still has connections attached to it, cannot remove it."

    assert said(did="runtime", pending=[what])[:2] == [
        "HAProxy: servers that go are still in use, no reload, 12 ms",
        f"! pending: {what}",
    ]
    assert said(did="runtime", commands=1)[0] == "HAProxy: 1 change at run time, no reload, 12 ms"
    assert said(did="runtime")[0] == "HAProxy: its file changed, no reload, 12 ms"


def test_a_reload_says_what_was_not_done() -> None:
    held = {"service": "a", "had": 3, "wants": None, "left_s": 29.6}
    told = said(held=[held], restart=["ha.vhid"], certificates=["x.pem: expired"])

    assert told[2:] == [
        "! held back: a: gone; it goes through in 30 s, or with --confirm",
        "! only a restart brings: ha.vhid",
        "! x.pem: expired",
    ]


def test_a_reload_that_has_to_wait_is_told_with_its_reason() -> None:
    assert said(waits_s=29.6, reasons=["new: the service is new"])[:3] == [
        "HAProxy: nothing else has changed",
        "! HAProxy has yet to be reloaded, in 30 s at the earliest",
        "  because new: the service is new",
    ]


def test_many_steps_are_counted() -> None:
    told = said(did="runtime", steps=[f"step {number}" for number in range(40)])

    assert told[11] == "  and 30 more"


@pytest.mark.parametrize(
    ("different", "where"),
    [
        ({"failure": "cannot bind"}, ["haproxy"]),
        ({"nginx": {"is_ok": False, "said": ["x.conf:3: bad"]}}, ["nginx"]),
        ({"nginx": {"is_ok": False, "said": ["nginx does not run; it ..."]}}, []),
        ({"left_out": ["b"]}, ["service b"]),
        ({}, []),
    ],
)
def test_what_failed_is_the_end_of_the_command(different: dict[str, Any], where: list[str]) -> None:
    assert [one.where for one in reload._failures({**ANSWER, **different})] == where


@pytest.mark.parametrize(("code", "error"), [(12, ConfigError), (13, ValidationError)])
def test_the_agents_refusal_has_every_problem(code: int, error: type[ConfigError]) -> None:
    body = (
        b'{"error": "x", "code": %d, "report": {"problems": '
        b'[{"where": "lb.yaml:7", "what": "odd"}, {"where": "lb.yaml:9", "what": "bad"}]}}' % code
    )
    refusal = _refusal(409, body)

    assert isinstance(refusal, error)
    assert refusal.problems == (Problem("lb.yaml:7", "odd"), Problem("lb.yaml:9", "bad"))


@pytest.mark.parametrize(
    ("wish", "words", "wanted"),
    [
        (Wish.DRAIN, ["a/b"], ("a/b", None)),
        (Wish.WEIGHT, ["10", "a/b"], ("a/b", 10)),
        (Wish.WEIGHT, ["a/b", "10"], ("a/b", 10)),
    ],
)
def test_words_of_a_server_command(wish: Wish, words: list[str], wanted: object) -> None:
    assert server._read(wish, words) == wanted


@pytest.mark.parametrize(
    ("wish", "words"),
    [(Wish.DRAIN, ["a", "b"]), (Wish.WEIGHT, ["a/b"]), (Wish.WEIGHT, ["1", "2"])],
)
def test_words_that_make_no_sense(wish: Wish, words: list[str]) -> None:
    with pytest.raises(UsageError, match="wanted"):
        server._read(wish, words)


PROCESS = {
    "number": 1, "program": "haproxy-01", "admin": "drain", "weight": 10, "state": "up",
    "silence": "",
}  # fmt: skip
SILENT = {**PROCESS, "program": "haproxy-02", "admin": None, "silence": "02.sock: no answer"}


def test_a_server_command_shows_every_process_and_fails_for_one() -> None:
    report = {"backend": "a", "server": "b", "processes": [PROCESS, SILENT], "error": None}

    assert list(server.lines(report)) == [
        "haproxy-01 (01): a/b: drain, weight 10, up",
        "haproxy-02: 02.sock: no answer",
    ]
    assert list(server._differing(report, "drain", None)) == ["haproxy-02 does not answer"]
    assert list(server._differing({"processes": [PROCESS]}, "ready", None)) == [
        "haproxy-01 has it drain"
    ]
    assert list(server._differing({"processes": [PROCESS]}, None, 20)) == [
        "haproxy-01 gives it the weight 10"
    ]


def drawn(answer: dict[str, Any]) -> str:
    paper = Console(file=io.StringIO(), width=120, highlight=False)
    services.draw(answer, paper)
    assert isinstance(paper.file, io.StringIO)
    return paper.file.getvalue()


def test_services_are_shown_with_what_is_wrong() -> None:
    row = {
        "server": "s[1]", "id": "", "address": "10.0.0.1:80", "admin": "ready", "weight": "100",
        "state": "up, down", "is_wanted": False,
    }  # fmt: skip
    one = {"name": "hello/v1", "state": "held", "why": "hello/v1: gone", "servers": [row]}
    other = {"name": "empty", "state": "applied", "why": "", "servers": []}
    process = {"program": "haproxy-01", "pending": ["remove a/b: in use"], "silence": ""}
    apply = {"failure": {"what": "no room"}, "processes": [process]}
    text = drawn({"services": [one, other], "apply": apply})

    for words in (
        "hello/v1", "held: hello/v1: gone", "s[1] (goes)", "up, down", "no servers",
        "! not applied: no room", "! haproxy-01: remove a/b: in use",
    ):  # fmt: skip
        assert words in text


def test_no_services_say_where_they_would_come_from() -> None:
    assert "lb.yaml" in drawn({"services": [], "apply": {"failure": None, "processes": []}})
