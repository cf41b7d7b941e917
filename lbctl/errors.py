"""
The tree of errors. Each class carries the exit code of the command that ends with it.

LbctlError                    10  something unexpected
├── UsageError                11  the command line asks for what cannot be
├── ConfigError               12  lb.yaml, environment or flags: every problem at once
├── ValidationError           13  the configuration is well formed, and this host cannot run it
│   ├── RenderError               a template failed
│   └── CheckError                haproxy -c or nginx -t refused; their output is kept
├── UnreachableError          14  a program that should answer does not
│   ├── SupervisorError           supervisord
│   ├── RuntimeApiError           a HAProxy process
│   ├── VipdError                 the keeper of the addresses
│   └── ProviderError             a source of services, or a store
│       ├── ProviderTimeout           no answer in time
│       └── ProviderReplyError        an answer that makes no sense, or says no
├── NotMasterError            15  asked of a BACKUP what only a MASTER can do
├── NetlinkError              10  the kernel refused an address or a socket
└── InvariantError            10  a state that cannot be: the process ends and is started again

A message says what was tried on what, what came back, and what happens next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

EXIT_OK = 0
EXIT_UNEXPECTED = 10
EXIT_USAGE = 11
EXIT_CONFIG = 12
EXIT_VALIDATION = 13
EXIT_UNREACHABLE = 14
EXIT_NOT_MASTER = 15


class LbctlError(Exception):
    """Any failure that lbctl names."""

    exit_code: ClassVar[int] = EXIT_UNEXPECTED


class UsageError(LbctlError):
    """The command line asks for what cannot be."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing that is wrong.

    Attributes:
        where: ``lb.yaml:7``, ``VIP``, ``haproxy.cfg:12``: what the reader must open or change.
        what: a sentence: what was found, and the rule it breaks or what to do.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ProblemsError(LbctlError):
    """Several problems, reported at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigError(ProblemsError):
    """lb.yaml, the environment or a flag is wrong."""

    exit_code = EXIT_CONFIG


class ValidationError(ProblemsError):
    """The configuration is well formed, and this host cannot run it."""

    exit_code = EXIT_VALIDATION


class RenderError(ValidationError):
    """A template failed; nothing was written."""


class CheckError(ValidationError):
    """``haproxy -c`` or ``nginx -t`` refused; its own output is in ``problems``."""


class UnreachableError(LbctlError):
    """A program that should answer does not."""

    exit_code = EXIT_UNREACHABLE


class SupervisorError(UnreachableError):
    """supervisord did not answer, or answered with a fault."""


class RuntimeApiError(UnreachableError):
    """A HAProxy process did not answer on its runtime socket, or refused."""


class VipdError(UnreachableError):
    """vipd did not answer, or refused."""


class ProviderError(UnreachableError):
    """A source of services, or a store, could not be asked."""


class ProviderTimeout(ProviderError):  # noqa: N818 - what it is, in the field's words
    """It did not answer in time."""


class ProviderReplyError(ProviderError):
    """It answered, with what makes no sense, or with no."""


class NotMasterError(LbctlError):
    """Asked of a BACKUP what only a MASTER can do."""

    exit_code = EXIT_NOT_MASTER


class NetlinkError(LbctlError):
    """The kernel refused an address or a socket."""


class InvariantError(LbctlError):
    """A state that cannot be. The process ends; supervisord starts it again."""
