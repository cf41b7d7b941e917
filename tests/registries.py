"""Payloads for the registry, and a DynamoDB to keep them in."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lbctl.registry.payload import Payload, read_payload
from tests.places import free_ports

Plain = dict[str, Any]

#: "HAProxy Configuration Management with Lambda-Registry and Cosmonaut" (2016), its request.
ARTICLE: Final[Plain] = {
    "table": "astro",
    "running": [
        {"serviceName": "app1", "id": "a23nj53h3j4", "ip": "192.168.1.9:80"},
        {"serviceName": "app1", "id": "jk3243j54jl", "ip": "192.168.1.8:80"},
    ],
    "candidates": [
        {
            "serviceName": "app1",
            "configMode": "host",
            "predicate": "first.example.com",
            "cookie": "JSESSIONID",
            "containers": [{"id": "a23nj53h3j4", "ip": "192.168.1.9:80"}],
        },
        {
            "serviceName": "app2",
            "configMode": "host",
            "predicate": "second.example.com",
            "cookie": "JSESSIONID",
            "containers": [
                {"id": "das843j3h3k", "ip": "192.168.1.10:80"},
                {"id": "fds32k4354f", "ip": "192.168.1.11:80"},
            ],
        },
    ],
}


def article() -> Plain:
    """A copy that may be changed."""
    return copy.deepcopy(ARTICLE)


def runs(service: str, **ips: str) -> list[Plain]:
    """Items of ``running``."""
    return [{"serviceName": service, "id": name, "ip": ip} for name, ip in ips.items()]


def candidate(service: str, more: Plain | None = None, /, **ips: str) -> Plain:
    """An item of ``candidates``, in host mode unless *more* says otherwise."""
    containers = [{"id": name, "ip": ip} for name, ip in ips.items()]
    host = {"predicate": f"{service}.example.com"}
    return {"serviceName": service, "containers": containers, **(host if more is None else more)}


def plain(
    running: list[Plain] | None = None, *candidates: Plain, table: str = "t", **more: Any
) -> Plain:
    """A whole payload."""
    return {"table": table, "running": running or [], "candidates": list(candidates), **more}


def body(found: Plain) -> bytes:
    return json.dumps(found).encode()


def payload(found: Plain) -> Payload:
    """As the registry reads it."""
    return read_payload(body(found))


@contextmanager
def dynamodb(root: Path) -> Iterator[str]:
    """moto's server, by its URL; credentials of its own are in the environment meanwhile."""
    [port] = free_ports(1)
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    with (root / "moto.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            assert process.poll() is None, (root / "moto.log").read_text()
            assert time.monotonic() < deadline, "moto's server did not start"
            time.sleep(0.02)
        with _credentials():
            yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def _credentials() -> Iterator[None]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "testing"))
    try:
        yield
    finally:
        for name, text in before.items():
            os.environ.pop(name) if text is None else os.environ.__setitem__(name, text)


def _answers(port: int) -> bool:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as one:
        try:
            one.request("GET", "/moto-api/data.json")
            return one.getresponse().status == 200
        except OSError:
            return False
