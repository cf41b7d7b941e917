"""
What ``lbctl run`` was asked for: the virtual addresses and the password, from arguments and
environment. Pure but for reading the password's file.

``lbctl run [VIP] [PASSWORD] [IP ...]``. With LBCTL_PASSWORD_FILE there is no PASSWORD argument:
all that follows VIP are addresses. IPS in the environment adds addresses, with spaces or commas.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

from lbctl.errors import ConfigError, Problem, ProblemsError, UsageError
from lbctl.ha.carp import Password
from lbctl.settings.addresses import parsed, virtual_address_problem

PASSWORD_FILE = "LBCTL_PASSWORD_FILE"
EXTRA_ADDRESSES = "IPS"

#: An interface's name, as the predecessor's image took it after the password.
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,14}")


@dataclass(frozen=True, slots=True)
class Request:
    """
    Attributes:
        cidrs: the addresses with the prefix given, else that of a single host; each once, the
            first one IPv4. Empty: a plain load balancer.
        password: None only without addresses.
    """

    cidrs: tuple[str, ...] = ()
    password: Password | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Without prefix; the first one is what CARP signs."""
        return tuple(cidr.partition("/")[0] for cidr in self.cidrs)

    @property
    def vip(self) -> str | None:
        return self.addresses[0] if self.cidrs else None


def read_request(arguments: Sequence[str], environ: Mapping[str, str]) -> Request:
    """
    Judge the command line.

    Raises:
        UsageError: an argument is wrong; every problem in the message, one a line.
        ConfigError: the arguments are right and the environment is not.
    """
    extra = [word for word in re.split(r"[\s,]+", environ.get(EXTRA_ADDRESSES, "")) if word]
    if not arguments:
        _refuse_without_vip(extra)
        return Request()
    password_file = environ.get(PASSWORD_FILE, "")
    words = list(arguments[1:])
    in_usage: list[Problem] = []
    in_environment: list[Problem] = []
    password = None
    if password_file:
        words = _without_password(words, in_usage)
    else:
        password, words = _split_password(words, in_usage)
    cidrs: dict[str, str] = {}
    _take(arguments[:1], "VIP", cidrs, in_usage)
    _take(words, "IP", cidrs, in_usage)
    _take(extra, EXTRA_ADDRESSES, cidrs, in_environment)
    if password_file:
        try:
            password = Password.read(Path(password_file))
        except ProblemsError as error:
            in_environment.extend(error.problems)
    in_usage.extend(_first_must_be_ipv4(arguments[0]))
    if in_usage:
        raise UsageError("\n".join(str(problem) for problem in (*in_usage, *in_environment)))
    if in_environment:
        raise ConfigError(in_environment)
    return Request(tuple(cidrs.values()), password)


def _refuse_without_vip(extra: list[str]) -> None:
    if extra:
        what = f"{', '.join(extra)}: additional addresses without a VIP: lbctl run VIP PASSWORD"
        raise ConfigError([Problem(EXTRA_ADDRESSES, what)])


def _without_password(words: list[str], problems: list[Problem]) -> list[str]:
    if words and not _is_address(words[0]):
        what = (
            f"{PASSWORD_FILE} is set, so what follows VIP are addresses, and the first is none: "
            "give the password as an argument or in the file, not both"
        )
        problems.append(Problem("PASSWORD", what))
        return words[1:]
    return words


def _split_password(words: list[str], problems: list[Problem]) -> tuple[Password | None, list[str]]:
    """The first word is the password. No message repeats it."""
    both_ways = (
        "give it as the second argument (lbctl run VIP PASSWORD), or put it in a file and name "
        f"that in {PASSWORD_FILE}"
    )
    if not words:
        problems.append(Problem("PASSWORD", f"a VIP needs a password: {both_ways}"))
        return None, words
    if _is_address(words[0]):
        what = f"the second argument is an IP address where the password belongs: {both_ways}"
        problems.append(Problem("PASSWORD", what))
        return None, words
    try:
        return Password(os.fsencode(words[0])), words[1:]
    except ProblemsError as error:
        problems.extend(error.problems)
        return None, words[1:]


def _take(words: Sequence[str], where: str, cidrs: dict[str, str], problems: list[Problem]) -> None:
    """Add to *cidrs*, by address; the same one again must have the same prefix."""
    for word in words:
        what = _address_problem(word)
        if what:
            problems.append(Problem(where, what))
            continue
        # Without a prefix this is that of a single host.
        cidr = str(ip_interface(word))
        known = cidrs.setdefault(cidr.partition("/")[0], cidr)
        if known != cidr:
            what = f"{cidr} is given as {known} too: an address has one prefix: remove one of them"
            problems.append(Problem(where, what))


def _is_address(word: str) -> bool:
    return parsed(word) is not None


def _address_problem(word: str) -> str:
    if parsed(word) is None and _INTERFACE.fullmatch(word):
        return (
            f"{word!r} is not an IP address; if it is the network interface, set DEV={word} "
            "in the environment or ha.interface in lb.yaml"
        )
    return virtual_address_problem(word)


def _first_must_be_ipv4(word: str) -> list[Problem]:
    first = parsed(word)
    if first is None or first.version == 4:
        return []
    what = (
        f"{word}: the first virtual address must be IPv4, since UCARP speaks no IPv6: give an IPv4 "
        "address first, IPv6 ones after the password"
    )
    return [Problem("VIP", what)]
