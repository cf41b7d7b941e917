"""``lbctl registrator``: this host's containers, registered in Consul as they come and go."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from lbctl.discovery.url import TlsFiles
from lbctl.errors import ConfigError, Problem
from lbctl.files import read_bounded
from lbctl.registrator.main import Orders, live
from lbctl.registrator.registration import Rules

_FILE_MAX_BYTES = 1 << 20

DockerOption = Annotated[str, typer.Option(envvar="DOCKER_HOST", help="Docker's or Podman's API.")]
ConsulOption = Annotated[str, typer.Option(help="Consul's agent.")]
FileOption = Annotated[Path | None, typer.Option(help="PEM, for https.")]
TokenOption = Annotated[Path | None, typer.Option(help="File with Consul's token.")]
AddressOption = Annotated[
    str, typer.Option(help="Of published ports; default: this host's, towards Consul.")
]
HostOption = Annotated[str, typer.Option(help="First part of ids; default: the host's name.")]
TagsOption = Annotated[str, typer.Option(help="Of all services, beside their own: a,b.")]
TtlOption = Annotated[
    int | None, typer.Option(min=3, help="A check of so many seconds, for those that bring none.")
]
InternalOption = Annotated[
    bool, typer.Option("--internal", help="Containers' own addresses, not published ports.")
]
ExplicitOption = Annotated[
    bool, typer.Option("--explicit", help="Only containers with SERVICE_NAME.")
]
CleanupOption = Annotated[bool, typer.Option(help="Deregister what an earlier run left behind.")]
DeregisterOption = Annotated[
    bool, typer.Option("--deregister", help="Deregister everything when it is ended.")
]


def registrator(
    docker: DockerOption = "unix:///var/run/docker.sock",
    consul: ConsulOption = "http://127.0.0.1:8500",
    token_file: TokenOption = None,
    ca_file: FileOption = None,
    cert_file: FileOption = None,
    key_file: FileOption = None,
    address: AddressOption = "",
    host: HostOption = "",
    tags: TagsOption = "",
    ttl: TtlOption = None,
    internal: InternalOption = False,
    explicit: ExplicitOption = False,
    cleanup: CleanupOption = True,
    deregister: DeregisterOption = False,
) -> None:
    """Register this host's containers in Consul, by SERVICE_NAME, SERVICE_TAGS and the like."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    rules = Rules(
        host=host or socket.gethostname(),
        address=address,
        is_forced=bool(address),
        is_internal=internal,
        is_explicit=explicit,
        tags=tuple(one for part in tags.split(",") if (one := part.strip())),
        ttl_s=ttl,
    )
    token = _read("--token-file", token_file)
    files = {"--ca-file": ca_file, "--cert-file": cert_file, "--key-file": key_file}
    orders = Orders(
        docker=docker,
        consul=consul,
        rules=rules,
        token=token.decode(errors="replace").strip() if token else None,
        tls=TlsFiles(*(_read(option, path) for option, path in files.items())),
        is_cleaning=cleanup,
        is_deregistering=deregister,
    )
    asyncio.run(live(orders))


def _read(option: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return read_bounded(path, _FILE_MAX_BYTES)
    except OSError as error:
        raise ConfigError([Problem(option, f"{path}: {error.strerror}")]) from error
