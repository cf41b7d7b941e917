"""
Generations: the operator's files as they were last found good, and what was said of the others.

Who may read those files writes a generation; the agent, who may not, applies it. Each is one file
that belongs to the starter of the bundle, so that there is never half of one; the unprivileged user
reads it and changes nothing. It holds what is secret to that user's programs, and no more.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from lbctl.errors import Problem, UnreachableError
from lbctl.files import write_atomic
from lbctl.layout import RunDir
from lbctl.settings.model import Settings
from lbctl.settings.transfer import settings_from_json, settings_json
from lbctl.spec import Task

#: The newest ones; a reader that holds the name of the one before is not left without.
KEPT = 2
#: Nobody reads more at once, and each goes into the log, the events and the answer.
PROBLEMS_MOST = 50
_MODE = 0o640
_TRIES = 3

#: A generation as JSON has it.
Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OperatorSource:
    """
    The operator's own configuration of HAProxy.

    Attributes:
        kind: ``cfg``: taken as it is; ``template``: rendered with the services.
        path: as he knows it: ``/haproxy/haproxy.cfg``.
        files: text by name: that file, and what a template may include.
    """

    kind: Literal["cfg", "template"]
    path: str
    files: Mapping[str, str]

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def text(self) -> str:
        return self.files[self.name]


@dataclass(frozen=True, slots=True)
class Generation:
    """
    All that is wanted of HAProxy and nginx, and comes from the operator.

    Attributes:
        number: 1 when the bundle starts.
        at: wall clock, seconds.
        settings: keys that only a start can change have the values that run.
        source: None: HAProxy's configuration is generated.
        certs: PEM by file name.
        haproxy_files: what lbctl adds for each process, by name in ``haproxy/`` of the run dir;
            with the password of the statistics.
        nginx: text by path below ``nginx/`` of the run dir.
        secrets: what the files named in lb.yaml hold, by the key that names them:
            ``discovery.consul.token_file``.
    """

    number: int
    at: float
    settings: Settings
    source: OperatorSource | None
    certs: Mapping[str, bytes] = field(repr=False)
    haproxy_files: Mapping[str, str] = field(repr=False)
    nginx: Mapping[str, str]
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a task has found.

    Attributes:
        number: of the generation that is the current one by its word; None: nothing was changed.
        code: of :mod:`lbctl.errors`; 0: all is well.
        problems: why nothing was changed, or single certificates were not.
        warnings: what works, and is worth a thought.
        restart: keys of lb.yaml that take effect with the next start alone.
        pid: of the process that found it.
        at: wall clock, seconds.
        took_s: seconds.
    """

    number: int | None
    code: int
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    restart: tuple[str, ...]
    pid: int
    at: float
    took_s: float


@contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """
    Be the only one who writes generations.

    Raises:
        OSError: the directory is not there, or not this user's.
    """
    # Closed to the unprivileged user, who could hold it for ever.
    descriptor = os.open(
        run.inputs_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_generation(run: RunDir, generation: Generation) -> None:
    """
    Make it the current one. The caller holds :func:`locked`.

    Raises:
        OSError: it cannot be written; the current one stays.
    """
    source = generation.source
    raw = {
        "number": generation.number,
        "at": generation.at,
        "settings": settings_json(generation.settings),
        "source": None if source is None else asdict(source),
        "certs": {name: encoded(pem) for name, pem in generation.certs.items()},
        "secrets": {key: encoded(secret) for key, secret in generation.secrets.items()},
        "haproxy_files": dict(generation.haproxy_files),
        "nginx": dict(generation.nginx),
    }
    write_raw(run, raw)


def write_raw(run: RunDir, raw: Raw) -> None:
    """The same of one in JSON's words."""
    path, text = run.generation(raw["number"]), json.dumps(raw)
    write_atomic(path, text, mode=0o600)
    if run.inputs_copies.is_dir():
        # Not by a group, whose members may ask the API: there are keys in it.
        user = run.haproxy.lstat()
        write_atomic(run.inputs_copies / path.name, text, mode=0o400, uid=user.st_uid)
    link = run.inputs / f".current.{secrets.token_hex(4)}"
    link.symlink_to(path.name)
    link.replace(run.current_generation)
    _prune(run)


def read_raw(run: RunDir) -> Raw:
    """
    The current one in JSON's words.

    Raises:
        UnreachableError: there is none, or another version wrote it.
    """
    try:
        raw = json.loads(_content(run))
        if not isinstance(raw["number"], int):
            raise TypeError(raw["number"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{run.current_generation}: {error!r}: no bundle wrote it, or another version"
        raise UnreachableError(message) from error
    return dict(raw)


def _content(run: RunDir) -> bytes:
    """The starter trusts what is his own; the unprivileged user has a copy."""
    is_own = os.geteuid() == run.inputs.stat().st_uid
    directory = run.inputs if is_own else run.inputs_copies
    for _ in range(_TRIES):
        # What the link named may be removed by now: there is a newer one then.
        with suppress(FileNotFoundError):
            return (directory / run.current_generation.readlink()).read_bytes()
    return (directory / run.current_generation.readlink()).read_bytes()


def read_generation(run: RunDir) -> Generation:
    """
    The current one.

    Raises:
        UnreachableError: as above.
    """
    raw = read_raw(run)
    try:
        source, settings = raw.pop("source"), settings_from_json(raw.pop("settings"))
        certs = {name: decoded(pem) for name, pem in raw.pop("certs").items()}
        kept = {key: decoded(secret) for key, secret in raw.pop("secrets").items()}
        return Generation(
            **raw,
            settings=settings,
            source=None if source is None else OperatorSource(**source),
            certs=certs,
            secrets=kept,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{run.current_generation}: {error!r}: another version of lbctl wrote it"
        raise UnreachableError(message) from error


def encoded(pem: bytes) -> str:
    """As a generation in JSON has it."""
    return base64.b64encode(pem).decode()


def decoded(text: str) -> bytes:
    """
    The inverse.

    Raises:
        ValueError: it is not.
    """
    return base64.b64decode(text, validate=True)


def write_verdict(run: RunDir, task: Task, verdict: Verdict) -> None:
    """
    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(asdict(verdict))
    write_atomic(run.verdict(task), text, mode=_MODE, gid=run.inputs.stat().st_gid)


def read_verdict(run: RunDir, task: Task) -> Verdict:
    """
    The last one of *task*.

    Raises:
        UnreachableError: there is none, or another version wrote it.
    """
    path = run.verdict(task)
    try:
        raw = json.loads(path.read_bytes())
        problems = tuple(Problem(**problem) for problem in raw.pop("problems"))
        warnings, restart = tuple(raw.pop("warnings")), tuple(raw.pop("restart"))
        return Verdict(**raw, problems=problems, warnings=warnings, restart=restart)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path}: {error!r}: {task} has not said anything, or in another version's words"
        raise UnreachableError(message) from error


def verdict_of(
    began: float,
    *,
    number: int | None = None,
    code: int = 0,
    problems: tuple[Problem, ...] = (),
    warnings: tuple[str, ...] = (),
    restart: tuple[str, ...] = (),
) -> Verdict:
    """One of this process, which *began* then (monotonic seconds); with the first problems."""
    if len(problems) > PROBLEMS_MOST:
        more = Problem("...", f"{len(problems) - PROBLEMS_MOST} problems more")
        problems = (*problems[:PROBLEMS_MOST], more)
    return Verdict(
        number=number,
        code=code,
        problems=problems,
        warnings=warnings,
        restart=restart,
        pid=os.getpid(),
        at=time.time(),
        took_s=round(time.monotonic() - began, 3),
    )


def _prune(run: RunDir) -> None:
    """Keep the newest, and nothing that a killed writer has left."""
    for directory in (run.inputs, run.inputs_copies):
        names = sorted(path.name for path in directory.glob("[0-9]*.json"))
        old = [directory / name for name in names[:-KEPT]]
        for path in (*old, *directory.glob(".*")):
            with suppress(FileNotFoundError):
                path.unlink()
