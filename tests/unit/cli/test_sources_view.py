"""Sources of services as `lbctl status` and `lbctl services` draw them."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from lbctl.cli.services import draw
from lbctl.cli.sources_view import sources_table

LIVE = {"source": "docker", "target": "unix:///run/docker.sock", "state": "live"}
HOSTS = {"source": "hosts", "target": "/etc/hosts", "state": "live"}
FAILING = {"source": "consul", "target": "http://10.0.0.5:8500", "state": "failing"}


def drawn(what: Any, width: int = 160) -> str:
    paper = Console(file=StringIO(), width=width)
    if isinstance(what, dict):
        draw(what, paper)
    else:
        paper.print(what)
    file = paper.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_each_source_says_how_it_stands_and_what_is_wrong() -> None:
    counts = {"services": 4, "servers": 12}
    text = drawn(
        sources_table(
            [
                {**FAILING, **counts, "heard_at": 988.0, "error": "no answer in 5.0 s"},
                {**LIVE, "services": 0, "servers": 0, "heard_at": None, "error": ""},
                {**HOSTS, "services": 0, "servers": 0, "names": 3, "heard_at": 990.0},
            ],
            now=1000.0,
        )
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert "consul http://10.0.0.5:8500 failing 4 12 12.0 s ago" in lines
    assert "no answer in 5.0 s" in lines
    assert "docker unix:///run/docker.sock live 0 0 never" in lines
    assert "hosts /etc/hosts live 3 names - 10.0 s ago" in lines


def test_a_service_says_whose_it_is_and_a_server_who_drains_it() -> None:
    row = {"address": "10.0.0.1:80", "state": "up", "weight": "100", "is_wanted": True}
    service = {"name": "hello/v1", "sources": ["lb.yaml", "consul"], "state": "applied", "why": ""}
    rows = [
        {**row, "server": "a", "admin": "drain", "by": "consul"},
        {**row, "server": "b", "admin": "ready", "by": ""},
    ]
    apply: dict[str, object] = {"failure": None, "processes": []}
    text = drawn({"services": [{**service, "servers": rows}], "apply": apply})
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert "hello/v1 lb.yaml, consul a 10.0.0.1:80 up drain by consul 100" in lines
    assert "b 10.0.0.1:80 up ready 100" in lines


def test_a_service_that_was_asked_for_has_a_line_for_each_server_in_80_columns() -> None:
    row = {"address": "10.0.0.100:8080", "state": "up", "weight": "100", "is_wanted": True}
    doing = {"sessions": 312, "rate": 1234, "errors_5xx": 0, "check": "L7OK"}
    rows = [{**row, "server": name, "admin": "ready", "traffic": doing} for name in ("web1", "w2")]
    service = {"name": "hello/v1", "sources": ["consul"], "state": "applied", "why": ""}
    apply: dict[str, object] = {"failure": None, "processes": []}
    text = drawn({"services": [{**service, "servers": rows}], "apply": apply}, width=80)
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert lines[0] == "hello/v1, from consul"
    assert "web1 10.0.0.100:8080 up ready 100 312 1.2k 0 L7OK" in lines
    assert "w2 10.0.0.100:8080 up ready 100 312 1.2k 0 L7OK" in lines
