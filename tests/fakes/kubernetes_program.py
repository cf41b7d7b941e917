"""
The double of a Kubernetes API server as a program, for hosts in a namespace of their own.

``python -m tests.fakes.kubernetes_program PORT SOCKET [PEM]``: it serves on 127.0.0.1, with TLS
where a certificate and its key are given, and is told at the socket what happens in its cluster, by
``POST /`` with the name of a method and its arguments.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from aiohttp import web

from lbctl.lab.hosts import Host
from lbctl.lab.local import UnixConnection
from lbctl.lab.process import Process
from lbctl.lab.wait import wait_until
from tests.fakes.kubernetes_api import KubernetesDouble

ROOT = Path(__file__).parents[2]
_PORT = 6443


class KubernetesProgram:
    """
    Args:
        host: where it runs.
        pem: certificate and key; None: without TLS.
    """

    port = _PORT
    url = f"http://127.0.0.1:{_PORT}"

    def __init__(self, host: Host, pem: Path | None = None) -> None:
        self._socket = host.directory / "kubernetes.sock"
        argv = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", __name__]
        command = [*argv, str(_PORT), str(self._socket), *([str(pem)] if pem else [])]
        self.process: Process = host.spawn(command, log="kubernetes.log")
        wait_until(self._socket.exists, 10, "the double", seen=self.process.text)

    def tell(self, method: str, *arguments: object) -> None:
        """A method of :class:`KubernetesDouble`; ``fault``, ``token``: what it is from now on."""
        with closing(UnixConnection(self._socket, 5.0)) as link:
            link.request("POST", "/", json.dumps([method, *arguments]))
            assert link.getresponse().status == 204


@contextmanager
def kubernetes_program(host: Host, pem: Path | None = None) -> Iterator[KubernetesProgram]:
    """One that runs."""
    found = KubernetesProgram(host, pem)
    try:
        yield found
    finally:
        found.process.stop()


async def _run(port: int, socket: str, pem: str | None = None) -> None:
    double = KubernetesDouble()
    tls = None
    if pem is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)

    async def obey(request: web.Request) -> web.Response:
        method, *arguments = await request.json()
        if method in ("fault", "token"):
            setattr(double, method, *arguments)
        else:
            getattr(double, method)(*arguments)
        return web.Response(status=204)

    control = web.Application()
    control.router.add_post("/", obey)
    for app, place in ((double.build(), port), (control, socket)):
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await (
            web.TCPSite(runner, "127.0.0.1", place, ssl_context=tls)
            if isinstance(place, int)
            else web.UnixSite(runner, place)
        ).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), *sys.argv[2:]))
