"""What can be said of a reload without nginx; with it: tests/contract/test_reload_nginx.py."""

from __future__ import annotations

import os

from lbctl.nginx.reload import reload_nginx, title_of, workers_of
from tests.loops import in_a_loop


@in_a_loop
async def test_nginx_that_is_not_installed_is_named_and_nothing_is_signalled() -> None:
    result = await reload_nginx(("/nowhere/nginx", "-c", "/nowhere/nginx.conf"), os.getpid())

    assert not result.is_ok
    assert result.said == (
        "nginx: /nowhere/nginx is not installed: install the Debian package nginx",
    )


@in_a_loop
async def test_a_test_that_says_nothing_is_no_good_sign() -> None:
    result = await reload_nginx(("false",), os.getpid())

    assert result.said == ("nginx -t: exit 1 without a message",)


@in_a_loop
async def test_no_process_is_signalled_that_is_not_nginx() -> None:
    for pid in (0, 2**22 + 1, os.getpid()):
        result = await reload_nginx(("true",), pid)

        assert result.said == (
            f"nginx (pid {pid}): not running; it loads the new files when it starts",
        )


def test_a_process_that_is_gone_has_neither_title_nor_workers() -> None:
    assert title_of(2**22 + 1) == ""
    assert workers_of(2**22 + 1) == frozenset()
