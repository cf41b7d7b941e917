"""Short questions over Unix sockets: the bundle's HTTP API, vipd, supervisord. All bounded."""

from __future__ import annotations

import http.client
import json
import socket
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbctl.lab.wait import LabError
from lbctl.spec import ON_DEMAND, TASKS


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        connection = UnixConnection(self._path, self._timeout)
        self._connection = ("localhost", connection)  # the one that it closes at its end
        return connection


def get_json(path: Path, url: str, timeout: float = 2.0) -> Any:
    """
    GET *url* from the HTTP server on *path*.

    Raises:
        LabError: no answer, not 200, or not JSON.
    """
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", url, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            message = f"{path}: GET {url}: {answer.status} {body[:200]!r}"
            raise LabError(message)
        return json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"{path}: GET {url}: {error!r}"
        raise LabError(message) from error
    finally:
        connection.close()


def ask_line(path: Path, request: dict[str, object], timeout: float = 2.0) -> dict[str, Any]:
    """
    One JSON line to vipd, one line back.

    Raises:
        LabError: no answer, not JSON, or vipd says that it failed.
    """
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(timeout)
            peer.connect(str(path))
            peer.sendall(json.dumps(request).encode() + b"\n")
            with peer.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        message = f"{path}: {request}: {error!r}"
        raise LabError(message) from error
    if not answer.get("ok"):
        message = f"{path}: {request}: {answer}"
        raise LabError(message)
    return answer


def programs(path: Path, timeout: float = 2.0) -> dict[str, tuple[str, int]]:
    """
    State and pid (0: none) of every program of the supervisord on *path*, by name, without tasks.

    Raises:
        LabError: no answer, or a fault.
    """
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(path, timeout))
    try:
        with proxy:
            raw: Any = proxy.supervisor.getAllProcessInfo()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        message = f"{path}: getAllProcessInfo: {error!r}"
        raise LabError(message) from error
    return {
        one["name"]: (one["statename"], one["pid"])
        for one in raw
        if one["name"] not in TASKS
        and not (one["name"] in ON_DEMAND and one["statename"] == "STOPPED")
    }


def idle(programs_by_name: Mapping[str, tuple[str, int]]) -> dict[str, str]:
    """What should run and does not: its state, by name."""
    return {name: state for name, (state, _) in programs_by_name.items() if state != "RUNNING"}
