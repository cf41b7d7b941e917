"""What nginx says and where it listens, from its own words."""

from __future__ import annotations

import pytest

from lbctl.nginx.check import listens_of, read_messages
from lbctl.render.nginx import front_door


@pytest.mark.parametrize(
    "line",
    [
        'nginx: [emerg] unknown directive "bogus" in /haproxy/nginx.d/x.conf:3',
        (
            '2026/11/21 02:21:09 [emerg] 4107#4107: unknown directive "bogus" in '
            "/haproxy/nginx.d/x.conf:3"
        ),
    ],
)
def test_refusal_is_a_problem_of_file_and_line(line: str) -> None:
    ((level, problem),) = read_messages(line)

    assert level == "emerg"
    assert str(problem) == '/haproxy/nginx.d/x.conf:3: unknown directive "bogus"'


def test_refusal_without_a_file_is_nginx_own() -> None:
    ((_, problem),) = read_messages("nginx: [emerg] bind() to 0.0.0.0:443 failed (98: In use)")

    assert problem.where == "nginx -t"


def test_log_that_cannot_be_opened_before_the_configuration_is_read_is_no_message() -> None:
    line = (
        "nginx: [alert] could not open error log file: open() "
        '"/var/log/nginx/error.log" failed (13: Permission denied)'
    )

    assert not list(read_messages(line))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("80", ("*", 80)),
        ("443 ssl http2", ("*", 443)),
        ("*:8080", ("*", 8080)),
        ("0.0.0.0:81", ("*", 81)),
        ("127.0.0.1:82 default_server", ("127.0.0.1", 82)),
        ("127.0.0.1", ("127.0.0.1", 80)),
        ("[::]:83", ("::", 83)),
        ("[::1]", ("::1", 80)),
    ],
)
def test_listen(written: str, expected: tuple[str, int]) -> None:
    assert list(listens_of(f"server {{\n    listen {written};\n}}\n")) == [expected]


def test_unix_sockets_and_names_are_left_out() -> None:
    dump = "listen unix:/run/x.sock;\n  listen localhost:80;\n # listen 81;\n"

    assert not list(listens_of(dump))


@pytest.mark.parametrize(
    ("binds", "expected"),
    [
        ([], "127.0.0.1:80"),
        ([("*", 443), ("*", 80)], "127.0.0.1:80"),
        ([("*", 8080)], "127.0.0.1:8080"),
        ([("::", 80)], "[::1]:80"),
        ([("192.0.2.1", 8080)], "192.0.2.1:8080"),
    ],
)
def test_front_door(binds: list[tuple[str, int]], expected: str) -> None:
    assert front_door(binds) == expected
