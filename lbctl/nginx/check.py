"""``nginx -t``: whether nginx itself accepts its configuration, what it says, where it listens."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from lbctl.errors import CheckError, Problem, ValidationError

_TIMEOUT_S = 30.0
_MESSAGE = re.compile(
    # The first form goes to stderr, the second one to the log, which may be stderr as well.
    r"^(?:nginx:|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>\w+)\] (?:\d+#\d+: )?"
    r"(?P<text>.*?)(?: in (?P<file>/[^ ]*):(?P<line>\d+))?$"
)
_FATAL = frozenset({"emerg", "alert", "crit", "error"})
#: Said by one that may not write the log its Debian package names, before it reads our own.
_HARMLESS = "could not open error log file"
_SYNTAX_OK = "syntax is ok"
_NOT_HERE = re.compile(r"^bind\(\) to .* failed \(99: ")
_NOT_PERMITTED = re.compile(r"^bind\(\) to .* failed \(13: Permission denied\)")
_LISTEN = re.compile(r"^\s*listen\s+(?P<address>[^\s;]+)", re.MULTILINE)
_ERROR_LOG_OPTION = (1, 19, 5)
#: From here on ``http2 on;`` is known, and ``listen ... http2`` is a warning.
_HTTP2_DIRECTIVE = (1, 25, 1)


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    nginx would start.

    Attributes:
        warnings: its own.
        listens: address and TCP port, ``*`` and ``::`` for every address; empty when it did not
            come so far.
    """

    warnings: tuple[str, ...]
    listens: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    What this nginx understands.

    Attributes:
        options: for its command line, so that its first words do not go to /var/log.
        has_http2: ``http2 on;`` is a directive of a server.
    """

    options: tuple[str, ...] = ()
    has_http2: bool = False


def dialect(binary: str) -> Dialect:
    """
    Ask nginx for its version.

    Raises:
        ValidationError: it is not installed or does not start.
    """
    reply = _run([binary, "-v"])
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", reply.stderr + reply.stdout)
    version = tuple(int(part) for part in found.groups()) if found else ()
    options = ("-e", "stderr") if version >= _ERROR_LOG_OPTION else ()
    return Dialect(options, has_http2=version >= _HTTP2_DIRECTIVE)


def check(argv: Sequence[str], *, may_bind: bool = True) -> Accepted:
    """
    Let nginx judge its configuration. It binds its ports for a moment, those in use excepted.

    Args:
        argv: as it is to run: privileges, program, ``-c FILE``.
        may_bind: it will be allowed to bind ports below 1024 where it runs; if not here, a port
            that is refused is a warning.

    Raises:
        CheckError: it refused; one problem for each of its own messages.
        ValidationError: it is not installed.
    """
    reply = _run([*argv, "-T"])
    messages = list(read_messages(reply.stderr))
    warnings = tuple(f"{problem}" for level, problem in messages if level == "warn")
    if reply.returncode == 0:
        return Accepted(warnings, tuple(listens_of(reply.stdout)))
    refusals = [problem for level, problem in messages if level in _FATAL]
    excused = [problem for problem in refusals if _NOT_PERMITTED.match(problem.what)]
    if not may_bind and _SYNTAX_OK in reply.stderr and excused == refusals:
        return Accepted((*warnings, *(str(problem) for problem in excused)), ())
    words = reply.stderr.strip() or f"exit {reply.returncode} without a message"
    raise CheckError(refusals or [Problem("nginx -t", words)])


def read_messages(text: str) -> Iterator[tuple[str, Problem]]:
    """Level and message of each line that nginx wrote before it had a log."""
    for line in text.splitlines():
        found = _MESSAGE.match(line)
        if found is None or _HARMLESS in line:
            continue
        where = f"{found['file']}:{found['line']}" if found["file"] else "nginx -t"
        hint = ""
        if _NOT_HERE.match(found["text"]):
            hint = ": this host does not have it; a virtual address only the MASTER has, so listen "
            hint += "on the port alone"
        yield found["level"], Problem(where, found["text"] + hint)


def listens_of(dump: str) -> Iterator[tuple[str, int]]:
    """Every TCP address in the output of ``nginx -T``; those with a name are left out."""
    for found in _LISTEN.finditer(dump):
        address, colon, port = found["address"].rpartition(":")
        if found["address"].startswith("unix:"):
            continue
        if not colon or not port.isdecimal():
            # A port alone, or an address alone, which means port 80.
            alone = found["address"]
            address, port = ("*", alone) if alone.isdecimal() else (alone, "80")
        host = address.removeprefix("[").removesuffix("]")
        if host == "*" or re.fullmatch(r"[0-9a-fA-F.:]+", host):
            yield {"0.0.0.0": "*"}.get(host, host), int(port)


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        with _output("stdout") as stdout, _output("stderr") as stderr:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, timeout=_TIMEOUT_S
            )
            return subprocess.CompletedProcess(
                argv, done.returncode, _written(stdout), _written(stderr)
            )
    except FileNotFoundError as error:
        what = f"{argv[0]} is not installed: install the Debian package nginx"
        raise ValidationError([Problem("nginx", what)]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        what = f"{' '.join(argv)}: {error}; nothing was started"
        raise CheckError([Problem("nginx", what)]) from error


def _output(name: str) -> IO[bytes]:
    """
    Where nginx writes.

    No pipe: `access_log /dev/stdout` opens it again, and root's pipe is closed to nginx's user. In
    the bundle that is a FIFO of his own.
    """
    return os.fdopen(os.memfd_create(name), "w+b")


def _written(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")
