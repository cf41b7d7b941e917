"""deploy/compose as an operator starts it, by podman-compose, on a host of the lab."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lbctl.lab.hosts import Host, run
from tests.containers import sweep
from tests.podman import ROOT, Podman, alone, base

DIRECTORY = ROOT / "deploy" / "compose"
_PROGRAM = ROOT / ".venv/bin/podman-compose"
_CONSUL = ROOT / ".cache/consul/bin/consul"
#: Debian's Consul, since the image's registry is not asked; everything else is as shipped.
_CONSUL_IMAGE = "lbctl-compose-consul"
_CONSUL_DOCKERFILE = """\
FROM localhost/debian:trixie-slim
COPY consul /bin/consul
ENTRYPOINT ["consul"]
"""
_OVERRIDE = f"services:\n  consul: {{image: localhost/{_CONSUL_IMAGE}}}\n"


@dataclass(frozen=True, slots=True)
class Compose:
    """
    One project.

    Attributes:
        engine: podman.
        host: in whose network its bridge is.
        files: the copy of deploy/compose.
    """

    engine: Podman
    host: Host
    files: Path

    @property
    def project(self) -> str:
        """Containers with such names are removed by the next run when this one dies."""
        return f"lbctl-{self.host.ns}"

    def run(
        self, *words: str, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """A command of podman-compose's, in the host's network."""
        argv = ["nsenter", f"--net=/run/netns/{self.host.ns}", str(_PROGRAM), "--in-pod=false"]
        argv += [f"--project-name={self.project}"]
        argv += [f"--file={self.files / one}" for one in ("compose.yaml", "override.yaml")]
        return run([*argv, *words], check=check, timeout=timeout, env=self.engine.environ)

    def lbctl(self, node: str, *words: str) -> str:
        """What a command says on *node*, as an operator asks."""
        return self.run("exec", "-T", node, "lbctl", *words).stdout

    def inside(self, name: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """The same without podman-compose, which takes as long as the command."""
        return self.engine.run("exec", f"{self.project}_{name}_1", *argv, check=False)

    def said(self) -> str:
        """The end of what both nodes print."""
        logs = [self.run("logs", one, check=False).stdout[-2000:] for one in ("a", "b")]
        return "\n".join(logs)

    def status(self, node: str) -> dict[str, Any]:
        """Of *node*; empty: it does not answer."""
        found = json.loads(self.inside(node, "lbctl", "status", "--json").stdout or "{}")
        assert isinstance(found, dict)
        return found

    def servers(self, node: str) -> list[str]:
        """The states of the servers of the one service."""
        said = json.loads(self.inside(node, "lbctl", "services", "--json").stdout or "{}")
        return [str(one["state"]) for two in said.get("services", ()) for one in two["servers"]]

    def get(self, url: str, times: int = 1) -> list[str]:
        """What *url* answers a container of the network; empty: nothing, or an error."""
        code = (
            "import urllib.request as r\n"
            f"for _ in range({times}): print(r.urlopen({url!r}, timeout=2).read().decode().strip())"
        )
        return self.inside("web1", "python3", "-c", code).stdout.splitlines()

    def left(self) -> Mapping[str, list[str]]:
        """What the engine still has of it: containers, networks, volumes by name."""
        asked = {
            "containers": ("ps", "--all", "--format={{.Names}}"),
            "networks": ("network", "ls", "--format={{.Name}}"),
            "volumes": ("volume", "ls", "--format={{.Name}}"),
        }
        said = {what: self.engine.run(*words).stdout.split() for what, words in asked.items()}
        return {what: [one for one in names if self.project in one] for what, names in said.items()}


@contextmanager
def composed(engine: Podman, host: Host, directory: Path) -> Iterator[Compose]:
    """Started from a copy in *directory*; removed at the end. There can be one: it has a subnet."""
    with alone(engine, "compose.lock"):
        # Of a run that has died: its network has the subnet still.
        sweep(engine)
        engine.run("network", "prune", "--force")
        _build_consul(engine, directory / "consul")
        files = directory / "compose"
        shutil.copytree(DIRECTORY, files)
        (files / "override.yaml").write_text(_OVERRIDE)
        (files / "password").write_text("sesame-12345\n")
        (files / "password").chmod(0o600)
        compose = Compose(engine, host, files)
        try:
            compose.run("up", "--detach", "--no-build")
            yield compose
        finally:
            compose.run("down", "--volumes", "--timeout=3", check=False)


def document() -> dict[str, Any]:
    """compose.yaml, as any reader of YAML sees it."""
    found = yaml.safe_load((DIRECTORY / "compose.yaml").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def _build_consul(engine: Podman, context: Path) -> None:
    base(engine, "trixie")
    context.mkdir()
    shutil.copy(_CONSUL, context / "consul")
    (context / "Dockerfile").write_text(_CONSUL_DOCKERFILE)
    engine.build(f"--tag={_CONSUL_IMAGE}", "--network=none", "--pull=never", context=context)
