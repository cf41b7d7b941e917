"""
How HAProxy is told to look after the health of a service's servers.

Pure. A server without ``check`` must accept a connection every ``check_interval_s``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from lbctl.model.service import HealthCheck, Service
from lbctl.render.routes import Entry
from lbctl.render.words import (
    HOST,
    STATUSES,
    fit,
    path_word,
    quote,
    quote_format,
    seconds,
)
from lbctl.settings.model import Settings

#: A Host header may name a port.
_HOST_PORT = re.compile(rf"(?:{HOST.pattern})(?::[0-9]{{1,5}})?")
#: What HAProxy expects by itself.
_USUAL: Final = "200-399"
_DEFAULT: Final = HealthCheck()


def check_words(service: Service, settings: Settings) -> Iterator[str]:
    """For the servers: how often, and how many times in a row."""
    check, defaults = service.check or _DEFAULT, settings.haproxy.defaults
    if check.kind == "none":
        return
    interval_s = check.interval_s or defaults.check_interval_s
    yield (
        f"check inter {seconds(interval_s)} rise {check.rise or defaults.check_rise} "
        f"fall {check.fall or defaults.check_fall}"
    )


def check_lines(service: Service, settings: Settings, entries: Sequence[Entry]) -> Iterator[str]:
    """
    For the backend: what is asked, and which answer is well.

    Raises:
        UnfitError: something in it cannot be told to HAProxy.
    """
    check = service.check or _DEFAULT
    if check.kind == "none":
        return
    if check.timeout_s is not None:
        yield f"timeout check {seconds(check.timeout_s)}"
    if check.kind == "tcp" or (check.kind is None and check.path is None):
        return
    hosts = [entry.host for entry in entries if entry.host and not entry.is_wildcard]
    host = fit(_HOST_PORT, (check.host or (hosts or ["localhost"])[0]).lower(), "host of a check")
    yield "option httpchk"
    yield (
        f"http-check send meth {check.method or 'GET'} uri {quote(_uri(check.path or '/'))} "
        f"ver HTTP/1.1 hdr Host {quote_format(host)}"
    )
    expect = (check.expect or _USUAL).replace(" ", "")
    if expect != _USUAL:
        yield f"http-check expect status {fit(STATUSES, expect, 'expected status')}"


def _uri(path: str) -> str:
    """A check may ask with a query."""
    before, mark, query = path.partition("?")
    return path_word(before) + mark + path_word(f"/{query}")[1:]
