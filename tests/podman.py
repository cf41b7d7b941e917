"""
podman for the tests, with a configuration and a store of its own: nothing of the user's is touched.

The store lies in ``$LBCTL_CACHE`` (``~/.cache/lbctl``) and outlives a run, so that layers are made
once. Whatever is missing or older than its sources is made again.
"""

from __future__ import annotations

import ast
import fcntl
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lbctl.lab.hosts import run

ROOT = Path(__file__).parents[1]
#: What a Dockerfile calls it: ``FROM lbctl``.
IMAGE = "lbctl"
#: Where another root finds the files of this machine that its pip needs.
MOUNTED = "/mnt/host"
_BUILD_LIMIT_S = 900.0

#: The capabilities are those that podman ships with: Docker's have NET_RAW, these have not.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=15000:15000", "nproc=30000:30000"]
log_driver = "k8s-file"
default_capabilities = [
  "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
  "SETPCAP", "SETUID", "SYS_CHROOT",
]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{run}/engine"
[network]
network_backend = "netavark"
network_config_dir = "{store}/networks"
"""
_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{store}/storage"
runroot = "{run}/storage"
"""
#: As the slim images of Debian leave them out.
_NOT_IN_SLIM = tuple(f"./usr/share/{part}/" for part in ("doc", "info", "locale", "man"))


@dataclass(frozen=True, slots=True)
class Podman:
    """
    The engine.

    Attributes:
        store: its directory; configuration, images, containers.
        environ: what points podman there.
    """

    store: Path
    environ: Mapping[str, str]

    def argv(self, *words: str) -> list[str]:
        """A command line; without systemd each start would complain of timers it cannot have."""
        return ["podman", "--log-level=fatal", *words]

    def run(
        self, *words: str, check: bool = True, input: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a command of podman's to its end.

        Raises:
            LabError: not within *timeout* seconds, or *check* and it failed; with what it said.
        """
        return run(self.argv(*words), check=check, input=input, timeout=timeout, env=self.environ)

    def build(
        self, *words: str, context: Path, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Build an image; ``docker`` is the format that knows HEALTHCHECK."""
        argv = ("build", "--format=docker", *words, str(context))
        return self.run(*argv, check=check, timeout=_BUILD_LIMIT_S)


def podman() -> Podman:
    """The engine on its store, which is made when there is none."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    store = Path(os.environ.get("LBCTL_CACHE") or home / "lbctl") / "containers"
    store.mkdir(parents=True, exist_ok=True)
    environ = {}
    files = {"CONTAINERS_CONF": _CONTAINERS_CONF, "CONTAINERS_STORAGE_CONF": _STORAGE_CONF}
    for variable, text in files.items():
        path = store / f"{variable.lower().removeprefix('containers_')}.ini"
        path.write_text(text.format(store=store, run="/run/lbctl-containers"))
        environ[variable] = str(path)
    return Podman(store, environ)


@contextmanager
def alone(engine: Podman, name: str = "lock") -> Iterator[None]:
    """Two test runs at once make an image once, or use what there can be one of."""
    with (engine.store / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base(engine: Podman, suite: str) -> str:
    """The name of an image like ``debian:SUITE-slim``; imported when there is a newer tar."""
    script = ROOT / "scripts" / "debian-root"
    made = subprocess.run(
        [str(script), suite], stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    tar = Path(made.stdout.strip())
    name, mark = f"localhost/debian:{suite}-slim", f"lbctl.tar={tar.stat().st_mtime_ns}"
    asked = engine.run("images", "-q", f"--filter=label={mark}", f"--filter=reference={name}")
    if not asked.stdout.strip():
        slim = engine.store / f"{suite}.tar"
        _copy_slim(tar, slim)
        try:
            engine.run("import", "--quiet", f"--change=LABEL {mark}", str(slim), name, timeout=120)
        finally:
            slim.unlink()
    return name


def _copy_slim(source: Path, target: Path) -> None:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            if not member.name.startswith(_NOT_IN_SLIM):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)


def build_image(engine: Podman, suite: str = "trixie", name: str = IMAGE) -> str:
    """
    Build this checkout's Dockerfile and remove what earlier builds left.

    Returns:
        The image's name.
    """
    config = engine.store / "pip.conf"
    text, mounts = pip_configuration()
    # An index's address may hold a password.
    config.touch()
    config.chmod(0o600)
    config.write_text(text)
    options = [
        "--network=host",
        f"--volume={config}:/etc/pip.conf:ro",
        f"--build-arg=BASE={base(engine, suite)}",
        *(f"--volume={path}:{MOUNTED}{path}:ro" for path in mounts),
    ]
    # A stage with a name of its own is no rubbish: it is what makes the next build a quick one.
    for target in (("--target=packages", f"--tag={name}-packages"), (f"--tag={name}",)):
        engine.build(*options, *target, context=ROOT)
    engine.run("image", "prune", "--force", "--filter=until=1h")
    return name


def pip_configuration() -> tuple[str, tuple[Path, ...]]:
    """
    This machine's pip configuration, of files and environment, as one file for another root.

    Returns:
        Text of a pip.conf, and the paths (index directories, CA bundles) that it names and that the
        other root must see beneath :data:`MOUNTED`: ``/a/b`` as ``MOUNTED/a/b``.

    Raises:
        subprocess.CalledProcessError: pip does not tell.
    """
    argv = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    values: dict[str, str] = {}
    # In this order the environment comes after the files, and what comes last counts.
    for line in sorted(said.splitlines(), reverse=True):
        key, _, value = line.partition("=")
        values[key.rpartition(".")[2]] = str(ast.literal_eval(value))
    paths: set[Path] = set()
    lines = [f"{key} = {_mounted(value, paths)}\n" for key, value in sorted(values.items())]
    outer = [one for one in paths if not paths.intersection(one.parents)]
    return f"[global]\n{''.join(lines)}", tuple(sorted(outer))


def _mounted(value: str, paths: set[Path]) -> str:
    """*value* with paths as the build sees them; an index's files lie beside its pages."""
    words = []
    for word in value.split():
        path = Path(word.removeprefix("file://"))
        if path.is_absolute() and path.exists():
            paths.add(path.parent if word.startswith("file://") else path)
            word = word.replace(str(path), f"{MOUNTED}{path}")
        words.append(word)
    return " ".join(words)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> Sequence[str]:
    """Those of *words* that a failed command did not say; it must have failed."""
    said = f"{done.stdout}\n{done.stderr}"

    assert done.returncode != 0, said
    return [word for word in words if word not in said]
