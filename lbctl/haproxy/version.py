"""Which HAProxy is installed, and what that version can do."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import Literal

from lbctl.errors import Problem, ValidationError
from lbctl.spec import ThreadsIn

Model = Literal["processes", "nbproc"]

_VERSION = re.compile(r"^HA-?Proxy version ((\d+)\.(\d+)(?:[.-](?:dev|rc)?(\d+))?\S*)", re.M)
_EXPORTER = "Built with the Prometheus exporter as a service"
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, order=True)
class HaproxyVersion:
    """
    A version; ordered by its three numbers.

    Attributes:
        text: as the program prints it: ``2.6.12-1+deb12u2``.
        has_exporter: the build has the Prometheus exporter, and 2.4 or later.
    """

    major: int
    minor: int
    patch: int
    text: str = field(compare=False)
    has_exporter: bool = field(compare=False, default=False)

    @property
    def has_native_nbproc(self) -> bool:
        """Up to 2.4 one program runs many processes; later ``nbproc`` is a fatal error."""
        return (self.major, self.minor) <= (2, 4)

    @property
    def threads_in(self) -> ThreadsIn:
        """
        Since 2.7 ``nbthread`` is refused once any section but ``global`` was read, so that only a
        first file can have it; from 3.0 on ``thread-hard-limit`` bounds it from anywhere.
        """
        if (self.major, self.minor) <= (2, 6):
            return "process file"
        return "first file" if (self.major, self.minor) < (3, 0) else "limit"

    @property
    def model(self) -> Model:
        return "nbproc" if self.has_native_nbproc else "processes"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def version_of(text: str) -> HaproxyVersion:
    """``2.6.12``, as :meth:`HaproxyVersion.__str__` writes it and a bundle's spec has it."""
    major, minor, patch = (int(part) for part in text.split("."))
    return HaproxyVersion(major, minor, patch, text=text)


def parse_version(text: str) -> HaproxyVersion | None:
    """Read what ``haproxy -v`` or ``haproxy -vv`` prints; None when it is something else."""
    found = _VERSION.search(text)
    if found is None:
        return None
    major, minor = int(found[2]), int(found[3])
    return HaproxyVersion(
        major,
        minor,
        int(found[4] or 0),
        text=found[1],
        has_exporter=_EXPORTER in text and (major, minor) >= (2, 4),
    )


def read_version(binary: str = "haproxy") -> HaproxyVersion:
    """
    Ask the installed program.

    Raises:
        ValidationError: it is not installed, does not start, or is not HAProxy.
    """
    try:
        reply = subprocess.run(
            [binary, "-vv"], capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
        )
    except FileNotFoundError as error:
        message = f"{binary} is not installed: install the Debian package haproxy"
        raise ValidationError([Problem("haproxy", message)]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{binary} -vv: {error}: without its version nothing can be rendered"
        raise ValidationError([Problem("haproxy", message)]) from error
    version = parse_version(reply.stdout)
    if version is None:
        said = (reply.stderr.strip() or reply.stdout.strip() or "nothing").splitlines()[0]
        message = f"{binary} -vv: exit {reply.returncode}, it said {said!r}: not HAProxy's version"
        raise ValidationError([Problem("haproxy", message)])
    return version
