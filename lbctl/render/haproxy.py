"""
Text of HAProxy's files: what lbctl adds for each process.

Pure but for reading templates. What is added comes in files of its own, each opening with its own
``defaults``, so that neither side can change what the other means.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lbctl.errors import Problem, RenderError
from lbctl.layout import RunDir, share
from lbctl.model.address import bracketed
from lbctl.render.engine import render_file
from lbctl.render.words import quote
from lbctl.settings.model import Settings, Stats
from lbctl.spec import HaproxyProcess, ThreadsIn

__all__ = ["WORKERS_KEPT", "process_files", "quote"]

#: Reloads that a connection survives; the oldest worker beyond it is ended. 61 workers took 271 MB.
WORKERS_KEPT = 20


def process_files(
    processes: Sequence[HaproxyProcess],
    settings: Settings,
    run_dir: RunDir,
    *,
    is_nbproc: bool,
    password: str | None = None,
    has_exporter: bool = False,
    threads_in: ThreadsIn = "process file",
) -> dict[Path, str]:
    """
    What lbctl adds, by file. The texts hold *password*: write them with mode 0600.

    Args:
        processes: all of them.
        settings: all of them.
        run_dir: where the files go.
        is_nbproc: HAProxy up to 2.4: one file, one program for all processes.
        password: of the stats listeners; None: no authentication.
        has_exporter: the build has HAProxy's Prometheus exporter.
        threads_in: how this HAProxy is told the number of its threads.

    Raises:
        RenderError: user or password cannot be used for HTTP basic authentication.
    """
    _check_credentials(settings.haproxy.stats, password)
    template = share("conf") / "templates" / ("nbproc.cfg.j2" if is_nbproc else "process.cfg.j2")
    common = {
        "settings": settings,
        "bind": bracketed(settings.haproxy.stats.bind),
        "password": password,
        "has_exporter": has_exporter,
        "threads_in": threads_in,
        "workers_kept": WORKERS_KEPT,
    }
    filters = {"quote": quote}
    if is_nbproc:
        text = render_file(template, {**common, "processes": processes}, filters=filters)
        return {run_dir.process_cfg(0): text}
    files = {
        run_dir.process_cfg(process.number): render_file(
            template, {**common, "process": process}, filters=filters
        )
        for process in processes
    }
    if threads_in == "first file":
        files[run_dir.threads_cfg] = f"global\n    nbthread {settings.haproxy.threads}\n"
    return files


def _check_credentials(stats: Stats, password: str | None) -> None:
    if password is None:
        return
    problems = []
    if ":" in stats.user or not stats.user.isprintable():
        what = f"{stats.user!r}: HTTP basic authentication allows no colon or control character"
        problems.append(Problem("haproxy.stats.user", what))
    if not password or any(ord(character) < 0x20 or character == "\x7f" for character in password):
        what = "the password must be one line, not empty and without control characters"
        problems.append(Problem("haproxy.stats.password_file", what))
    if problems:
        raise RenderError(problems)
