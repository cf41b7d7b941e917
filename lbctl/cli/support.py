"""``lbctl support``: one archive to send to those who help, without the secrets."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from lbctl import __version__
from lbctl.cli.client import ApiClient
from lbctl.cli.main import COMMANDS
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import UsageError
from lbctl.layout import ConfigDir, RunDir, StateDir
from lbctl.support.archive import bounded, manifest, mask_all, pack
from lbctl.support.gather import LIMIT_S, Gap, Part, gather
from lbctl.support.masking import Masker
from lbctl.support.sources import Places, secrets, sources

STDOUT: Final = Path("-")


def support(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A new file; - is standard output."),
    ] = None,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Gather configuration, status, history and the host's facts into one archive."""
    now, host = time.time(), socket.gethostname()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    folder = f"lbctl-support-{host}-{stamp}"
    target = output or Path(f"{folder}.tar.gz")
    run = RunDir(run_dir)
    places = Places(
        ConfigDir(config_dir),
        run,
        StateDir(state_dir),
        lambda path: ApiClient(run).get(path, limit_s=LIMIT_S),
        "doctor" in COMMANDS,
    )
    # Before the work: a name that is taken must not cost half a minute.
    with nullcontext(sys.stdout.buffer) if target == STDOUT else _created(target) as stream:
        parts, gaps = collected(places, f"lbctl {__version__} on {host}, {stamp}")
        data = pack(folder, parts, now=now)
        stream.write(data)
        stream.flush()
    for gap in gaps:
        print(f"not had: {gap.name}: {gap.why}", file=sys.stderr)
    name = "standard output" if target == STDOUT else target
    told = f"{name}: {len(parts)} parts, {len(data) / 1000:.0f} kB"
    print(f"{told}; secrets are masked, but look before you send it", file=sys.stderr)


def collected(places: Places, title: str) -> tuple[tuple[Part, ...], tuple[Gap, ...]]:
    """Everything that is to be had, masked, the manifest first; and what is not."""
    known, failure = secrets(places.run, os.environ)
    found, gaps = asyncio.run(gather(sources(places)))
    kept, left = bounded(mask_all(found, Masker(known)))
    masker = Masker(known)
    missing = tuple(Gap(gap.name, masker.text(gap.why)) for gap in (*gaps, *left))
    notes = ["secrets are replaced by ***; who made it: " + f"uid {os.geteuid()}"]
    if failure is not None:
        notes.append(f"the CARP password is not known here ({failure}): hidden by its places alone")
    first = Part("MANIFEST.txt", manifest(title, notes, kept, missing))
    return (first, *kept), missing


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    """A new file for its owner alone, which goes again when anything fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        message = f"{path} is there already: name another file with -o"
        raise UsageError(message) from error
    except OSError as error:
        message = f"{path}: {error.strerror}: name a file that can be written with -o"
        raise UsageError(message) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
    except BaseException:
        path.unlink(missing_ok=True)
        raise
