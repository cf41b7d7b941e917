"""``haproxy -c``: whether HAProxy itself accepts a set of files, and what it says about them."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbctl.errors import CheckError, Problem, ValidationError

_TIMEOUT_S = 60.0
_MESSAGE = re.compile(
    r"^\[(?P<level>EMERG|ALERT|CRIT|ERROR|WARNING|NOTICE|INFO|DEBUG)\]\s*"
    r"(?:\d+/\d+\s*)?\(\d+\)\s*:\s*(?:config\s*:\s*)?(?:parsing\s*)?"
    r"(?:\[(?P<file>[^\]]+):(?P<line>\d+)\]\s*:?\s*)?(?P<text>.*)$"
)
#: What HAProxy adds at the end, whatever the cause was.
_SUMMARY = re.compile(
    r"^(Error\(s\) found in configuration file : .*|Fatal errors found in configuration\.?)$"
)
_WARNING_LEVELS = ("WARNING",)
_QUIET_LEVELS = ("NOTICE", "INFO", "DEBUG")


@dataclass(frozen=True, slots=True)
class Message:
    """
    One thing that HAProxy says.

    Attributes:
        level: ``ALERT``, ``WARNING``, ``NOTICE`` ...
        where: ``FILE:LINE``, or empty where HAProxy names none.
        text: may span lines.
    """

    level: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


def check_configuration(
    binary: str,
    files: Sequence[Path],
    *,
    run_as: str | None = None,
    shown: Mapping[Path, str] | None = None,
    peer: str = "",
    cwd: Path | None = None,
) -> tuple[str, ...]:
    """
    Let HAProxy judge *files*. Blocks for at most 60 s: from a loop call it in a thread.

    Args:
        binary: the program.
        files: in the order in which they are loaded.
        run_as: user who must be able to read everything; without root, and by default, the caller.
        shown: by file, the name that the operator knows it by; others keep their path.
        cwd: where it runs, for relative paths in the files; None: where the caller does.
        peer: its name among peers, without which it leaves their section out; empty: the host's.

    Returns:
        HAProxy's warnings.

    Raises:
        CheckError: it refused; one problem for each of its own messages.
        ValidationError: it is not installed, or *run_as* is no user.
    """
    name = ("-L", peer) if peer else ()
    argv = [binary, "-c", *name, *(word for file in files for word in ("-f", str(file)))]
    try:
        reply = _run(argv, run_as, cwd)
    except FileNotFoundError as error:
        message = f"{binary} is not installed: install the Debian package haproxy"
        raise ValidationError([Problem("haproxy", message)]) from error
    except subprocess.TimeoutExpired as error:
        message = f"{' '.join(argv)}: no verdict within {_TIMEOUT_S:.0f} s; nothing was started"
        raise CheckError([Problem("haproxy -c", message)]) from error
    except OSError as error:
        message = f"{' '.join(argv)}: {error}; nothing was started"
        raise CheckError([Problem("haproxy -c", message)]) from error
    names = {str(file): name for file, name in (shown or {}).items()}
    messages = tuple(read_messages(reply.stderr, names))
    if reply.returncode == 0:
        return tuple(str(message) for message in messages if message.level in _WARNING_LEVELS)
    raise CheckError(_problems(messages, reply.returncode))


def read_messages(text: str, names: Mapping[str, str] | None = None) -> Iterator[Message]:
    """
    What HAProxy wrote to stderr, by message; lines without a level continue the one before.

    Args:
        text: all of it, 2.2's format or the later one.
        names: by path, what to call a file.
    """
    level, where, lines = "ALERT", "", list[str]()
    for line in text.splitlines():
        found = _MESSAGE.match(line)
        if found is None:
            lines.append(line.strip())
            continue
        if any(lines):
            yield Message(level, where, "\n".join(filter(None, lines)))
        level, lines = found["level"], [found["text"].strip()]
        file = found["file"]
        where = f"{(names or {}).get(file, file)}:{found['line']}" if file else ""
    if any(lines):
        yield Message(level, where, "\n".join(filter(None, lines)))


def _problems(messages: Sequence[Message], code: int) -> list[Problem]:
    """The refusals without HAProxy's own summary, which stands in only when it is all there is."""
    refusals = [m for m in messages if m.level not in (*_WARNING_LEVELS, *_QUIET_LEVELS)]
    causes = [m for m in refusals if not _SUMMARY.match(m.text)] or refusals or list(messages)
    problems = [Problem(m.where or "haproxy -c", m.text) for m in causes]
    if problems:
        return problems
    # Exit 2 without a word: the files are well formed and nothing in them listens.
    reason = "no listener in any of the files" if code == 2 else f"exit {code} without a message"
    return [Problem("haproxy -c", f"{reason}; nothing was started")]


def _run(
    argv: Sequence[str], run_as: str | None, cwd: Path | None
) -> subprocess.CompletedProcess[str]:
    uid: int | None = None
    gid: int | None = None
    groups: list[int] | None = None
    if run_as is not None and os.geteuid() == 0:
        try:
            user = pwd.getpwnam(run_as)
        except KeyError as error:
            message = f"{run_as!r}: no such user on this host"
            raise ValidationError([Problem("user", message)]) from error
        uid, gid = user.pw_uid, user.pw_gid
        groups = os.getgrouplist(run_as, gid)
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_S,
        cwd=cwd,
        user=uid,
        group=gid,
        extra_groups=groups,
    )
