"""Whether this node can serve: asked before it first speaks, by connecting as a client would."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lbctl.layout import RunDir
from lbctl.spec import BundleSpec

CONNECT_S = 0.2


async def missing(spec: BundleSpec, run: RunDir, track: Iterable[str]) -> tuple[str, ...]:
    """
    What does not answer yet.

    Args:
        spec: the bundle.
        run: its directory.
        track: ``haproxy``: one stats listener accepts; ``nginx``: its socket accepts.

    Returns:
        Names out of *track*.
    """
    absent = []
    for item in track:
        if item == "haproxy" and not await _any_accepts(
            [(p.stats_host, p.stats_port) for p in spec.processes]
        ):
            absent.append(item)
        if item == "nginx" and not await _accepts_unix(run.nginx_socket):
            absent.append(item)
    return tuple(absent)


async def _any_accepts(addresses: Iterable[tuple[str, int]]) -> bool:
    answers = await asyncio.gather(*(_accepts(host, port) for host, port in addresses))
    return any(answers)


async def _accepts(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return await _connects(family, (host, port))


async def _accepts_unix(path: Path) -> bool:
    return await _connects(socket.AF_UNIX, str(path))


async def _connects(family: int, address: tuple[str, int] | str) -> bool:
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(loop.sock_connect(client, address), CONNECT_S)
            return True
    return False
