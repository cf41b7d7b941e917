"""``lbctl migrate``: a configuration for an old HAProxy, rewritten for today's and the bundle."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from lbctl.cli.migrate_view import View
from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.errors import CheckError, LbctlError, UsageError, ValidationError
from lbctl.files import write_atomic
from lbctl.haproxy.check import check_configuration
from lbctl.haproxy.version import read_version
from lbctl.launch import host
from lbctl.layout import ConfigDir
from lbctl.migrate.difference import difference
from lbctl.migrate.engine import Migration
from lbctl.migrate.engine import migrate as translate
from lbctl.migrate.masking import masked, printable
from lbctl.migrate.proposal import proposal
from lbctl.settings.load import load

_STDIN = "-"
_BEFORE = ".before-migrate"
#: HAProxy may say the same of each of a thousand servers.
_MAX_SAID = 20
#: In the bundle there is always a listener beside the operator's file: the statistics.
_LISTENER = """\
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
listen lbctl-stats-01
    bind 127.0.0.1:8001
"""
_MAX_BYTES = 16 * 1024 * 1024


def migrate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="haproxy.cfg; '-': standard input.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="PATH",
            help="Write the new file there; '-': to standard output, and the difference to stderr.",
        ),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help=f"Replace FILE; the old one becomes FILE{_BEFORE}."),
    ] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """
    Rewrite a configuration for an old HAProxy, with the reason for each line.

    Without --output and --in-place nothing is written. What cannot be translated is said in words,
    and then nothing is written either (exit 13).
    """
    del run_dir, state_dir
    if output is not None and in_place:
        message = "--output and --in-place: one of the two"
        raise UsageError(message)
    if in_place and file == _STDIN:
        message = "--in-place: standard input is no file; use --output PATH"
        raise UsageError(message)
    settings = load(ConfigDir(config_dir), environ=os.environ)
    name = "standard input" if file == _STDIN else file
    migration = translate(
        _read(file), name=printable(name), is_single=settings.haproxy.processes == 1
    )
    view = View(sys.stderr if output == _STDIN else sys.stdout)
    source = "" if file == _STDIN else f"{file}{_BEFORE}" if in_place else file
    _show(view, migration, name, source, str(config_dir.absolute() / "stats-password"))
    if migration.problems:
        raise ValidationError(
            type(one)(one.where, printable(masked(one.what))) for one in migration.problems
        )
    written = _write(migration, file, output, in_place=in_place)
    _say_what_haproxy_says(migration, name)
    view.lines(("", _summary(migration, name, written)))


def _read(file: str) -> str:
    try:
        if file == _STDIN:
            found = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                found = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror}; nothing was written"
        raise UsageError(message) from error
    if len(found) > _MAX_BYTES:
        message = f"{file}: longer than {_MAX_BYTES >> 20} MiB: is it a configuration?"
        raise UsageError(message)
    return found.decode("utf-8", "surrogateescape")


def _show(view: View, migration: Migration, name: str, source: str, password_file: str) -> None:
    view.difference(difference(migration, printable(name)))
    lines = proposal(migration, source=source, password_file=password_file)
    if lines:
        view.title("For lb.yaml:")
        view.lines(lines)
    if migration.notes:
        view.title("Stays as it is:")
        view.lines(printable(note) for note in migration.notes)


def _write(migration: Migration, file: str, output: str | None, *, in_place: bool) -> str:
    """Write where it was asked for; what was done, in words."""
    if output == _STDIN:
        sys.stdout.flush()
        sys.stdout.buffer.write(migration.text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
        return "written to standard output"
    if output is not None:
        path = Path(output)
        mode = _mode_of(Path(file)) if file != _STDIN else 0o600
        with _refusal_in_words(path):
            target = path.resolve()
            _refuse_other_than_file(target, output)
            if file != _STDIN and target.exists() and target.samefile(file):
                message = f"{output} is FILE itself: --in-place replaces it, and keeps the old one"
                raise UsageError(message)
            write_atomic(target, migration.text, mode=mode, durable=True)
        return f"written to {output}"
    if in_place and migration.changes:
        _replace(Path(file).resolve(), migration.text)
        return f"replaced; the old one is {file}{_BEFORE}"
    return "nothing was written" + (
        " (--in-place or --output PATH does)" if migration.changes else ""
    )


def _replace(path: Path, text: str) -> None:
    """Both names exist at every moment: the old file gets a second one before it loses its own."""
    before = path.with_name(path.name + _BEFORE)
    with _refusal_in_words(path):
        status = path.stat()
        _refuse_other_than_file(path, str(path))
        try:
            os.link(path, before)
        except FileExistsError as error:
            message = f"{before} exists, and is not overwritten: move it away; nothing was written"
            raise UsageError(message) from error
        try:
            mode = status.st_mode & 0o7777
            write_atomic(path, text, mode=mode, uid=status.st_uid, gid=status.st_gid, durable=True)
        except BaseException:
            before.unlink()
            raise


def _refuse_other_than_file(path: Path, name: str) -> None:
    """A device would become a file: the new text takes its name."""
    if path.exists() and not path.is_file():
        message = f"{name} is no regular file: it is left alone ('-': standard output)"
        raise UsageError(message)


@contextlib.contextmanager
def _refusal_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}; it is as it was"
        raise UsageError(message) from error


def _mode_of(path: Path) -> int:
    """Passwords may be inside: the new file is as readable as the old one, and no more."""
    return path.stat().st_mode & 0o777


def _say_what_haproxy_says(migration: Migration, name: str) -> None:
    """The installed HAProxy's own warnings. A file that only the other host has is one, too."""
    host.widen_path()
    try:
        version = read_version()
        with tempfile.TemporaryDirectory(prefix="lbctl-migrate-") as directory:
            path = Path(directory) / "haproxy.cfg"
            write_atomic(path, migration.text, mode=0o600)
            listener = path.with_name("listener.cfg")
            write_atomic(listener, _LISTENER, mode=0o600)
            said = _verdict(path, listener, name)
    except LbctlError:
        # It is not installed here, and need not be.
        return
    more = [f"and {len(said) - _MAX_SAID} messages more"] if len(said) > _MAX_SAID else []
    for one in (*said[:_MAX_SAID], *more):
        print(
            f"lbctl: warning: HAProxy {version} says of the result: {printable(masked(one))}",
            file=sys.stderr,
        )


def _verdict(path: Path, listener: Path, name: str) -> tuple[str, ...]:
    try:
        return check_configuration("haproxy", [path, listener], shown={path: f"{name} (migrated)"})
    except CheckError as error:
        return tuple(str(problem).replace("\n", " ") for problem in error.problems)


def _summary(migration: Migration, name: str, written: str) -> str:
    count = migration.changes
    if not count:
        return f"{name}: nothing had to change; {written}"
    total = max(one.row.number for one in migration.placed)
    return f"{name}: {count} of {total} lines changed; {written}"
