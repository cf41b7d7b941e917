"""``GET /v1/names``: how what is typed may go on, for a shell. Asks nobody: it is to be quick."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from lbctl.api.served import AGENT
from lbctl.follow.follower import Follower
from lbctl.haproxy.proxies import OWN_PREFIX
from lbctl.model.names import backend_name

#: More would help nobody who has to choose.
MOST: Final = 200


async def names(request: web.Request) -> web.Response:
    """``?prefix=``: services that begin so, and servers as ``BACKEND/SERVER``."""
    prefix, follower = request.query.get("prefix", ""), request.app[AGENT].follower
    services = {*follower.desired.wanted(), *follower.desired.applied}
    return web.json_response(
        {
            "services": _some(services, prefix),
            "servers": _some(servers(follower, services, prefix), prefix),
        }
    )


def servers(follower: Follower, services: Iterable[str], prefix: str) -> Iterable[str]:
    """
    ``hello/v1/a`` where *prefix* says whose servers are meant, else ``hello/v1/``.

    Backends of the operator's own files are there by their own names.
    """
    titles = {backend_name(name): name for name in services}
    found: set[str] = set()
    for backend, server in follower.applier.fleet.known():
        title = titles.get(backend, backend)
        if title.startswith(OWN_PREFIX):
            continue
        is_meant = prefix.startswith(f"{title}/")
        found.add(f"{title}/{server}" if is_meant else f"{title}/")
    return found


def _some(names: Iterable[str], prefix: str) -> list[str]:
    return sorted(name for name in names if name.startswith(prefix))[:MOST]
