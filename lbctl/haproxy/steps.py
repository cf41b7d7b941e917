"""
The steps of a plan: what is said to a HAProxy process, and how its answers are to be read.

Each step may be done twice, and a process that ends within one leaves something from which the
next plan goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lbctl.haproxy.abilities import spoken
from lbctl.haproxy.lines import split_words
from lbctl.haproxy.runtime import Answer
from lbctl.model.address import bracketed
from lbctl.model.target import Admin, TargetServer

#: ``del server`` says so as long as someone is connected; 2.6: also while a connection idles.
_IN_USE: Final = "still has connections"
_GONE: Final = "No such server."
#: A refused address comes with the severity of a warning, as an accepted one does.
_ADDRESS_SET = re.compile(r"changed|no need to change")


@dataclass(frozen=True, slots=True)
class _Step:
    """
    Attributes:
        backend: HAProxy's name of it.
        server: HAProxy's name of it.
    """

    backend: str
    server: str

    @property
    def path(self) -> str:
        return f"{self.backend}/{self.server}"

    def fault(self, answers: Sequence[Answer]) -> str:
        """What is wrong with the answers to :meth:`commands`; empty: nothing."""
        return next((one.refusal or one.failure for one in answers if not one.is_done), "")


@dataclass(frozen=True, slots=True)
class AddServer(_Step):
    """
    A server comes. HAProxy makes it in maintenance and without checks.

    Attributes:
        target: what it is to be.
        options: words that its backend's servers share, as in the configuration.
    """

    target: TargetServer
    options: str = ""

    def commands(self) -> tuple[str, ...]:
        new = self.target
        words = [f"add server {self.path} {new.address} id {new.id} weight {new.weight}"]
        words += [f"maxconn {new.maxconn}"] if new.maxconn is not None else []
        words += [f"cookie {new.cookie}"] if new.cookie else []
        words += ["backup"] if new.is_backup else []
        words += [spoken(self.options)] if self.options else []
        commands = [" ".join(words)]
        if "check" in split_words(self.options):
            commands.append(f"enable health {self.path}")
        if new.admin != "maint":
            commands.append(f"set server {self.path} state {new.admin}")
        return tuple(commands)

    def describe(self) -> str:
        return f"add {self.path} ({self.target.address})"


@dataclass(frozen=True, slots=True)
class RemoveServer(_Step):
    """A server goes: into maintenance, which new requests avoid, and away when nobody uses it."""

    def commands(self) -> tuple[str, ...]:
        return f"set server {self.path} state maint", f"del server {self.path}"

    def describe(self) -> str:
        return f"remove {self.path}"

    def fault(self, answers: Sequence[Answer]) -> str:
        if answers[-1].refusal == _GONE:
            return ""
        # slots make a new class, which super() without arguments does not know
        return _Step.fault(self, answers)

    @staticmethod
    def is_in_use(fault: str) -> bool:
        """Whether *fault* says: later."""
        return _IN_USE in fault


@dataclass(frozen=True, slots=True)
class SetAddress(_Step):
    """
    A server moves; what it has of checks, weight and state stays.

    Attributes:
        address: an IP address without brackets.
        port: of it.
    """

    address: str
    port: int

    def commands(self) -> tuple[str, ...]:
        port = f" port {self.port}" if self.port else ""
        return (f"set server {self.path} addr {self.address}{port}",)

    def describe(self) -> str:
        return f"move {self.path} to {bracketed(self.address)}:{self.port}"

    def fault(self, answers: Sequence[Answer]) -> str:
        said = answers[-1].text
        wrong = "" if _ADDRESS_SET.search(said) else said.strip() or "it said nothing"
        return _Step.fault(self, answers) or wrong


@dataclass(frozen=True, slots=True)
class SetWeight(_Step):
    """Attributes: weight: 0..256."""

    weight: int

    def commands(self) -> tuple[str, ...]:
        return (f"set server {self.path} weight {self.weight}",)

    def describe(self) -> str:
        return f"weight {self.weight} for {self.path}"


@dataclass(frozen=True, slots=True)
class SetMaxconn(_Step):
    """Attributes: maxconn: of this process; None: unlimited."""

    maxconn: int | None

    def commands(self) -> tuple[str, ...]:
        return (f"set maxconn server {self.path} {self.maxconn or 0}",)

    def describe(self) -> str:
        return f"maxconn {self.maxconn or 'unlimited'} for {self.path}"


@dataclass(frozen=True, slots=True)
class SetAdmin(_Step):
    """
    Attributes:
        admin: what it is to be.
        starts_checks: its checks were never switched on: someone was interrupted while adding it.
    """

    admin: Admin
    starts_checks: bool = field(default=False, kw_only=True)

    def commands(self) -> tuple[str, ...]:
        begin = (f"enable health {self.path}",) if self.starts_checks else ()
        return *begin, f"set server {self.path} state {self.admin}"

    def describe(self) -> str:
        return f"{self.admin} {self.path}"


Step = AddServer | RemoveServer | SetAddress | SetWeight | SetMaxconn | SetAdmin
