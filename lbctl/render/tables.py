"""
Stick tables of one service: what a client may ask, and which server it stays with.

Pure. Counters and servers are copied to others under different conditions, and a backend has one
table: so they share it where the same holds for both, and else the servers go to a table in the
section of the peers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lbctl.model.names import backend_name
from lbctl.model.service import RateLimit, Service
from lbctl.render.scene import RenderScene

#: Third and last of the counters that a stream has: the first ones are the operator's.
_COUNTER: Final = 2
_SHAPE: Final = "type ipv6 size 100k"
_PEERS: Final = " peers lbctl"


def table_lines(service: Service, scene: RenderScene) -> Iterator[str]:
    """The table of the backend, and the rules that use it."""
    limit = service.limit
    has_own_stick = service.stick is not None and not shared_table(service, scene)
    words = []
    seconds = 0
    is_copied = not scene.is_nbproc
    if limit is not None:
        yield (
            f"# {limit.requests} in {limit.period_s} s from one address, "
            f"in {scene.processes} process(es)"
        )
        # Copies of the counters among the processes of a host would overwrite each other: 4,800
        # requests at once were counted as 1,232. So each process counts for itself.
        is_copied &= scene.processes == 1
        seconds = limit.period_s
        words.append(f" store {_what(service)}({limit.period_s}s)")
    if has_own_stick:
        seconds = max(seconds, service.stick_for_s)
        words.insert(0, _server_key(service, scene))
    if words:
        peers = _PEERS if is_copied else ""
        yield f"stick-table {_SHAPE} expire {seconds}s{''.join(words)}{peers}"
    if service.stick is not None:
        yield "stick on src" if has_own_stick else f"stick on src table {_name(service)}"
    if limit is not None:
        yield from _limit(service, limit, scene)


def shared_table(service: Service, scene: RenderScene) -> str:
    """The line for the section of the peers; empty: all is in the backend's own table."""
    # HAProxy has no peers with nbproc; and one process alone has its counters copied too.
    is_apart = service.limit is not None and scene.processes > 1 and not scene.is_nbproc
    if service.stick is None or not is_apart:
        return ""
    name, key = backend_name(service.name), _server_key(service, scene)
    return f"table {name} {_SHAPE} expire {service.stick_for_s}s{key}"


def _name(service: Service) -> str:
    return f"lbctl/{backend_name(service.name)}"


def _server_key(service: Service, scene: RenderScene) -> str:
    """Servers of a name are numbered as each process met them: there the address tells more."""
    return " srvkey addr" if service.dns is not None and scene.version >= (2, 4) else ""


def _what(service: Service) -> str:
    return "http_req_rate" if service.mode == "http" else "conn_rate"


def _limit(service: Service, limit: RateLimit, scene: RenderScene) -> Iterator[str]:
    """Each process allows its share."""
    is_http = service.mode == "http"
    rule = "http-request" if is_http else "tcp-request content"
    refuse = "deny deny_status 429" if is_http else "reject"
    share = scene.share(limit.requests)
    yield f"{rule} track-sc{_COUNTER} src"
    yield f"{rule} {refuse} if {{ sc_{_what(service)}({_COUNTER}) gt {share} }}"
